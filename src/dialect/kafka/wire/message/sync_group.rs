//! SyncGroup (API key 14), versions 0 to 5, flexible from 4: what both sides send.
//! Written by `scripts/generate-kafka-messages.py` from Kafka's message definitions; do not edit.

use bytes::Bytes;

use crate::dialect::kafka::wire::{Fields, Message, Source, WireError, Writer};

#[derive(Debug, Clone, PartialEq, Default)]
pub struct SyncGroupRequest {
    pub group_id: String,
    pub generation_id: i32,
    pub member_id: String,
    /// Versions 3+; may be null.
    pub group_instance_id: Option<String>,
    /// Versions 5+; may be null.
    pub protocol_type: Option<String>,
    /// Versions 5+; may be null.
    pub protocol_name: Option<String>,
    pub assignments: Vec<SyncGroupRequestAssignment>,
}

impl Fields for SyncGroupRequest {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.group_id = s.string()?;
        m.generation_id = s.i32()?;
        m.member_id = s.string()?;
        if version >= 3 {
            m.group_instance_id = s.nullable_string()?;
        }
        if version >= 5 {
            m.protocol_type = s.nullable_string()?;
            m.protocol_name = s.nullable_string()?;
        }
        m.assignments = s.array(|s| SyncGroupRequestAssignment::decode(s, version))?;
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
        if version >= 5 {
            w.nullable_string(self.protocol_type.as_deref());
            w.nullable_string(self.protocol_name.as_deref());
        }
        w.array(&self.assignments, |w, item| item.encode(w, version));
        w.no_tags();
    }
}

impl Message for SyncGroupRequest {
    const KEY: i16 = 14;
    const NAME: &'static str = "SyncGroupRequest";
    const MIN: i16 = 0;
    const MAX: i16 = 5;
    const FLEXIBLE: i16 = 4;
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct SyncGroupRequestAssignment {
    pub member_id: String,
    pub assignment: Bytes,
}

impl Fields for SyncGroupRequestAssignment {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.member_id = s.string()?;
        m.assignment = s.bytes()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.string(&self.member_id);
        w.bytes(&self.assignment);
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct SyncGroupResponse {
    /// Versions 1+.
    pub throttle_time_ms: i32,
    pub error_code: i16,
    /// Versions 5+; may be null.
    pub protocol_type: Option<String>,
    /// Versions 5+; may be null.
    pub protocol_name: Option<String>,
    pub assignment: Bytes,
}

impl Fields for SyncGroupResponse {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version >= 1 {
            m.throttle_time_ms = s.i32()?;
        }
        m.error_code = s.i16()?;
        if version >= 5 {
            m.protocol_type = s.nullable_string()?;
            m.protocol_name = s.nullable_string()?;
        }
        m.assignment = s.bytes()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        if version >= 1 {
            w.i32(self.throttle_time_ms);
        }
        w.i16(self.error_code);
        if version >= 5 {
            w.nullable_string(self.protocol_type.as_deref());
            w.nullable_string(self.protocol_name.as_deref());
        }
        w.bytes(&self.assignment);
        w.no_tags();
    }
}

impl Message for SyncGroupResponse {
    const KEY: i16 = 14;
    const NAME: &'static str = "SyncGroupResponse";
    const MIN: i16 = 0;
    const MAX: i16 = 5;
    const FLEXIBLE: i16 = 4;
}
