//! ListTransactions (API key 66), versions 0 to 2, flexible from 0: what both sides send.
//! Written by `scripts/generate-kafka-messages.py` from Kafka's message definitions; do not edit.

use crate::dialect::kafka::wire::{Fields, Message, Source, WireError, Writer};

#[derive(Debug, Clone, PartialEq)]
pub struct ListTransactionsRequest {
    pub state_filters: Vec<String>,
    pub producer_id_filters: Vec<i64>,
    /// Versions 1+.
    pub duration_filter: i64,
    /// Versions 2+; may be null.
    pub transactional_id_pattern: Option<String>,
}

impl Default for ListTransactionsRequest {
    fn default() -> Self {
        Self {
            state_filters: Default::default(),
            producer_id_filters: Default::default(),
            duration_filter: -1,
            transactional_id_pattern: None,
        }
    }
}

impl Fields for ListTransactionsRequest {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.state_filters = s.array(S::string)?;
        m.producer_id_filters = s.array(S::i64)?;
        if version >= 1 {
            m.duration_filter = s.i64()?;
        }
        if version >= 2 {
            m.transactional_id_pattern = s.nullable_string()?;
        }
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.array(&self.state_filters, |w, item| w.string(item));
        w.array(&self.producer_id_filters, |w, item| w.i64(*item));
        if version >= 1 {
            w.i64(self.duration_filter);
        }
        if version >= 2 {
            w.nullable_string(self.transactional_id_pattern.as_deref());
        }
        w.no_tags();
    }
}

impl Message for ListTransactionsRequest {
    const KEY: i16 = 66;
    const NAME: &'static str = "ListTransactionsRequest";
    const MIN: i16 = 0;
    const MAX: i16 = 2;
    const FLEXIBLE: i16 = 0;
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct ListTransactionsResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub unknown_state_filters: Vec<String>,
    pub transaction_states: Vec<TransactionState>,
}

impl Fields for ListTransactionsResponse {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.throttle_time_ms = s.i32()?;
        m.error_code = s.i16()?;
        m.unknown_state_filters = s.array(S::string)?;
        m.transaction_states = s.array(|s| TransactionState::decode(s, version))?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.i32(self.throttle_time_ms);
        w.i16(self.error_code);
        w.array(&self.unknown_state_filters, |w, item| w.string(item));
        w.array(&self.transaction_states, |w, item| item.encode(w, version));
        w.no_tags();
    }
}

impl Message for ListTransactionsResponse {
    const KEY: i16 = 66;
    const NAME: &'static str = "ListTransactionsResponse";
    const MIN: i16 = 0;
    const MAX: i16 = 2;
    const FLEXIBLE: i16 = 0;
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct TransactionState {
    pub transactional_id: String,
    pub producer_id: i64,
    pub transaction_state: String,
}

impl Fields for TransactionState {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.transactional_id = s.string()?;
        m.producer_id = s.i64()?;
        m.transaction_state = s.string()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.string(&self.transactional_id);
        w.i64(self.producer_id);
        w.string(&self.transaction_state);
        w.no_tags();
    }
}
