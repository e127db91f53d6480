//! LeaveGroup (API key 13), versions 0 to 5, flexible from 4: what both sides send.
//! Written by `scripts/generate-kafka-messages.py` from Kafka's message definitions; do not edit.

use crate::dialect::kafka::wire::{Fields, Message, Source, WireError, Writer};

#[derive(Debug, Clone, PartialEq, Default)]
pub struct LeaveGroupRequest {
    pub group_id: String,
    /// Versions 0 to 2.
    pub member_id: String,
    /// Versions 3+.
    pub members: Vec<MemberIdentity>,
}

impl Fields for LeaveGroupRequest {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.group_id = s.string()?;
        if version <= 2 {
            m.member_id = s.string()?;
        }
        if version >= 3 {
            m.members = s.array(|s| MemberIdentity::decode(s, version))?;
        }
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.string(&self.group_id);
        if version <= 2 {
            w.string(&self.member_id);
        }
        if version >= 3 {
            w.array(&self.members, |w, item| item.encode(w, version));
        }
        w.no_tags();
    }
}

impl Message for LeaveGroupRequest {
    const KEY: i16 = 13;
    const NAME: &'static str = "LeaveGroupRequest";
    const MIN: i16 = 0;
    const MAX: i16 = 5;
    const FLEXIBLE: i16 = 4;
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct MemberIdentity {
    pub member_id: String,
    /// May be null.
    pub group_instance_id: Option<String>,
    /// Versions 5+; may be null.
    pub reason: Option<String>,
}

impl Fields for MemberIdentity {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.member_id = s.string()?;
        m.group_instance_id = s.nullable_string()?;
        if version >= 5 {
            m.reason = s.nullable_string()?;
        }
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.string(&self.member_id);
        w.nullable_string(self.group_instance_id.as_deref());
        if version >= 5 {
            w.nullable_string(self.reason.as_deref());
        }
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct LeaveGroupResponse {
    /// Versions 1+.
    pub throttle_time_ms: i32,
    pub error_code: i16,
    /// Versions 3+.
    pub members: Vec<MemberResponse>,
}

impl Fields for LeaveGroupResponse {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version >= 1 {
            m.throttle_time_ms = s.i32()?;
        }
        m.error_code = s.i16()?;
        if version >= 3 {
            m.members = s.array(|s| MemberResponse::decode(s, version))?;
        }
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        if version >= 1 {
            w.i32(self.throttle_time_ms);
        }
        w.i16(self.error_code);
        if version >= 3 {
            w.array(&self.members, |w, item| item.encode(w, version));
        }
        w.no_tags();
    }
}

impl Message for LeaveGroupResponse {
    const KEY: i16 = 13;
    const NAME: &'static str = "LeaveGroupResponse";
    const MIN: i16 = 0;
    const MAX: i16 = 5;
    const FLEXIBLE: i16 = 4;
}

#[derive(Debug, Clone, PartialEq)]
pub struct MemberResponse {
    pub member_id: String,
    /// May be null.
    pub group_instance_id: Option<String>,
    pub error_code: i16,
}

impl Default for MemberResponse {
    fn default() -> Self {
        Self { member_id: String::new(), group_instance_id: Some(String::new()), error_code: 0 }
    }
}

impl Fields for MemberResponse {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.member_id = s.string()?;
        m.group_instance_id = s.nullable_string()?;
        m.error_code = s.i16()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.string(&self.member_id);
        w.nullable_string(self.group_instance_id.as_deref());
        w.i16(self.error_code);
        w.no_tags();
    }
}
