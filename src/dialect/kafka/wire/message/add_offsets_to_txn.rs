//! AddOffsetsToTxn (API key 25), versions 0 to 4, flexible from 3: what both sides send.
//! Written by `scripts/generate-kafka-messages.py` from Kafka's message definitions; do not edit.

use crate::dialect::kafka::wire::{Fields, Message, Source, WireError, Writer};

#[derive(Debug, Clone, PartialEq, Default)]
pub struct AddOffsetsToTxnRequest {
    pub transactional_id: String,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub group_id: String,
}

impl Fields for AddOffsetsToTxnRequest {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.transactional_id = s.string()?;
        m.producer_id = s.i64()?;
        m.producer_epoch = s.i16()?;
        m.group_id = s.string()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.string(&self.transactional_id);
        w.i64(self.producer_id);
        w.i16(self.producer_epoch);
        w.string(&self.group_id);
        w.no_tags();
    }
}

impl Message for AddOffsetsToTxnRequest {
    const KEY: i16 = 25;
    const NAME: &'static str = "AddOffsetsToTxnRequest";
    const MIN: i16 = 0;
    const MAX: i16 = 4;
    const FLEXIBLE: i16 = 3;
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct AddOffsetsToTxnResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
}

impl Fields for AddOffsetsToTxnResponse {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.throttle_time_ms = s.i32()?;
        m.error_code = s.i16()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.i32(self.throttle_time_ms);
        w.i16(self.error_code);
        w.no_tags();
    }
}

impl Message for AddOffsetsToTxnResponse {
    const KEY: i16 = 25;
    const NAME: &'static str = "AddOffsetsToTxnResponse";
    const MIN: i16 = 0;
    const MAX: i16 = 4;
    const FLEXIBLE: i16 = 3;
}
