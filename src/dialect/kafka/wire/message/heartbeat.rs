//! Heartbeat (API key 12), versions 0 to 4, flexible from 4: what both sides send.
//! Written by `scripts/generate-kafka-messages.py` from Kafka's message definitions; do not edit.

use crate::dialect::kafka::wire::{Fields, Message, Source, WireError, Writer};

#[derive(Debug, Clone, PartialEq, Default)]
pub struct HeartbeatRequest {
    pub group_id: String,
    pub generation_id: i32,
    pub member_id: String,
    /// Versions 3+; may be null.
    pub group_instance_id: Option<String>,
}

impl Fields for HeartbeatRequest {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.group_id = s.string()?;
        m.generation_id = s.i32()?;
        m.member_id = s.string()?;
        if version >= 3 {
            m.group_instance_id = s.nullable_string()?;
        }
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.string(&self.group_id);
        w.i32(self.generation_id);
        w.string(&self.member_id);
        if version >= 3 {
            w.nullable_string(self.group_instance_id.as_deref());
        }
        w.no_tags();
    }
}

impl Message for HeartbeatRequest {
    const KEY: i16 = 12;
    const NAME: &'static str = "HeartbeatRequest";
    const MIN: i16 = 0;
    const MAX: i16 = 4;
    const FLEXIBLE: i16 = 4;
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct HeartbeatResponse {
    /// Versions 1+.
    pub throttle_time_ms: i32,
    pub error_code: i16,
}

impl Fields for HeartbeatResponse {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version >= 1 {
            m.throttle_time_ms = s.i32()?;
        }
        m.error_code = s.i16()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        if version >= 1 {
            w.i32(self.throttle_time_ms);
        }
        w.i16(self.error_code);
        w.no_tags();
    }
}

impl Message for HeartbeatResponse {
    const KEY: i16 = 12;
    const NAME: &'static str = "HeartbeatResponse";
    const MIN: i16 = 0;
    const MAX: i16 = 4;
    const FLEXIBLE: i16 = 4;
}
