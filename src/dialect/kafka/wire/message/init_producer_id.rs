//! InitProducerId (API key 22), versions 0 to 6, flexible from 2: what both sides send.
//! Written by `scripts/generate-kafka-messages.py` from Kafka's message definitions; do not edit.

use crate::dialect::kafka::wire::{Fields, Message, Source, WireError, Writer};

#[derive(Debug, Clone, PartialEq)]
pub struct InitProducerIdRequest {
    /// May be null.
    pub transactional_id: Option<String>,
    pub transaction_timeout_ms: i32,
    /// Versions 3+.
    pub producer_id: i64,
    /// Versions 3+.
    pub producer_epoch: i16,
    /// Versions 6+.
    pub enable2_pc: bool,
    /// Versions 6+.
    pub keep_prepared_txn: bool,
}

impl Default for InitProducerIdRequest {
    fn default() -> Self {
        Self {
            transactional_id: Some(String::new()),
            transaction_timeout_ms: 0,
            producer_id: -1,
            producer_epoch: -1,
            enable2_pc: false,
            keep_prepared_txn: false,
        }
    }
}

impl Fields for InitProducerIdRequest {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.transactional_id = s.nullable_string()?;
        m.transaction_timeout_ms = s.i32()?;
        if version >= 3 {
            m.producer_id = s.i64()?;
            m.producer_epoch = s.i16()?;
        }
        if version >= 6 {
            m.enable2_pc = s.bool()?;
            m.keep_prepared_txn = s.bool()?;
        }
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.nullable_string(self.transactional_id.as_deref());
        w.i32(self.transaction_timeout_ms);
        if version >= 3 {
            w.i64(self.producer_id);
            w.i16(self.producer_epoch);
        }
        if version >= 6 {
            w.bool(self.enable2_pc);
            w.bool(self.keep_prepared_txn);
        }
        w.no_tags();
    }
}

impl Message for InitProducerIdRequest {
    const KEY: i16 = 22;
    const NAME: &'static str = "InitProducerIdRequest";
    const MIN: i16 = 0;
    const MAX: i16 = 6;
    const FLEXIBLE: i16 = 2;
}

#[derive(Debug, Clone, PartialEq)]
pub struct InitProducerIdResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub producer_id: i64,
    pub producer_epoch: i16,
    /// Versions 6+.
    pub ongoing_txn_producer_id: i64,
    /// Versions 6+.
    pub ongoing_txn_producer_epoch: i16,
}

impl Default for InitProducerIdResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            error_code: 0,
            producer_id: -1,
            producer_epoch: 0,
            ongoing_txn_producer_id: -1,
            ongoing_txn_producer_epoch: -1,
        }
    }
}

impl Fields for InitProducerIdResponse {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.throttle_time_ms = s.i32()?;
        m.error_code = s.i16()?;
        m.producer_id = s.i64()?;
        m.producer_epoch = s.i16()?;
        if version >= 6 {
            m.ongoing_txn_producer_id = s.i64()?;
            m.ongoing_txn_producer_epoch = s.i16()?;
        }
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.i32(self.throttle_time_ms);
        w.i16(self.error_code);
        w.i64(self.producer_id);
        w.i16(self.producer_epoch);
        if version >= 6 {
            w.i64(self.ongoing_txn_producer_id);
            w.i16(self.ongoing_txn_producer_epoch);
        }
        w.no_tags();
    }
}

impl Message for InitProducerIdResponse {
    const KEY: i16 = 22;
    const NAME: &'static str = "InitProducerIdResponse";
    const MIN: i16 = 0;
    const MAX: i16 = 6;
    const FLEXIBLE: i16 = 2;
}
