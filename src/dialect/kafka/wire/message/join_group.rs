//! JoinGroup (API key 11), versions 0 to 9, flexible from 6: what both sides send.
//! Written by `scripts/generate-kafka-messages.py` from Kafka's message definitions; do not edit.

use bytes::Bytes;

use crate::dialect::kafka::wire::{Fields, Message, Source, WireError, Writer};

#[derive(Debug, Clone, PartialEq)]
pub struct JoinGroupRequest {
    pub group_id: String,
    pub session_timeout_ms: i32,
    /// Versions 1+.
    pub rebalance_timeout_ms: i32,
    pub member_id: String,
    /// Versions 5+; may be null.
    pub group_instance_id: Option<String>,
    pub protocol_type: String,
    pub protocols: Vec<JoinGroupRequestProtocol>,
    /// Versions 8+; may be null.
    pub reason: Option<String>,
}

impl Default for JoinGroupRequest {
    fn default() -> Self {
        Self {
            group_id: String::new(),
            session_timeout_ms: 0,
            rebalance_timeout_ms: -1,
            member_id: String::new(),
            group_instance_id: None,
            protocol_type: String::new(),
            protocols: Default::default(),
            reason: None,
        }
    }
}

impl Fields for JoinGroupRequest {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.group_id = s.string()?;
        m.session_timeout_ms = s.i32()?;
        if version >= 1 {
            m.rebalance_timeout_ms = s.i32()?;
        }
        m.member_id = s.string()?;
        if version >= 5 {
            m.group_instance_id = s.nullable_string()?;
        }
        m.protocol_type = s.string()?;
        m.protocols = s.array(|s| JoinGroupRequestProtocol::decode(s, version))?;
        if version >= 8 {
            m.reason = s.nullable_string()?;
        }
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.string(&self.group_id);
        w.i32(self.session_timeout_ms);
        if version >= 1 {
            w.i32(self.rebalance_timeout_ms);
        }
        w.string(&self.member_id);
        if version >= 5 {
            w.nullable_string(self.group_instance_id.as_deref());
        }
        w.string(&self.protocol_type);
        w.array(&self.protocols, |w, item| item.encode(w, version));
        if version >= 8 {
            w.nullable_string(self.reason.as_deref());
        }
        w.no_tags();
    }
}

impl Message for JoinGroupRequest {
    const KEY: i16 = 11;
    const NAME: &'static str = "JoinGroupRequest";
    const MIN: i16 = 0;
    const MAX: i16 = 9;
    const FLEXIBLE: i16 = 6;
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct JoinGroupRequestProtocol {
    pub name: String,
    pub metadata: Bytes,
}

impl Fields for JoinGroupRequestProtocol {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = s.string()?;
        m.metadata = s.bytes()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.string(&self.name);
        w.bytes(&self.metadata);
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct JoinGroupResponse {
    /// Versions 2+.
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub generation_id: i32,
    /// Versions 7+; may be null.
    pub protocol_type: Option<String>,
    /// May be null from version 7.
    pub protocol_name: Option<String>,
    pub leader: String,
    /// Versions 9+.
    pub skip_assignment: bool,
    pub member_id: String,
    pub members: Vec<JoinGroupResponseMember>,
}

impl Default for JoinGroupResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            error_code: 0,
            generation_id: -1,
            protocol_type: None,
            protocol_name: Some(String::new()),
            leader: String::new(),
            skip_assignment: false,
            member_id: String::new(),
            members: Default::default(),
        }
    }
}

impl Fields for JoinGroupResponse {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version >= 2 {
            m.throttle_time_ms = s.i32()?;
        }
        m.error_code = s.i16()?;
        m.generation_id = s.i32()?;
        if version >= 7 {
            m.protocol_type = s.nullable_string()?;
        }
        m.protocol_name = if version >= 7 { s.nullable_string()? } else { Some(s.string()?) };
        m.leader = s.string()?;
        if version >= 9 {
            m.skip_assignment = s.bool()?;
        }
        m.member_id = s.string()?;
        m.members = s.array(|s| JoinGroupResponseMember::decode(s, version))?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        if version >= 2 {
            w.i32(self.throttle_time_ms);
        }
        w.i16(self.error_code);
        w.i32(self.generation_id);
        if version >= 7 {
            w.nullable_string(self.protocol_type.as_deref());
        }
        if version >= 7 {
            w.nullable_string(self.protocol_name.as_deref());
        } else {
            w.string(self.protocol_name.as_deref().unwrap_or_default());
        }
        w.string(&self.leader);
        if version >= 9 {
            w.bool(self.skip_assignment);
        }
        w.string(&self.member_id);
        w.array(&self.members, |w, item| item.encode(w, version));
        w.no_tags();
    }
}

impl Message for JoinGroupResponse {
    const KEY: i16 = 11;
    const NAME: &'static str = "JoinGroupResponse";
    const MIN: i16 = 0;
    const MAX: i16 = 9;
    const FLEXIBLE: i16 = 6;
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct JoinGroupResponseMember {
    pub member_id: String,
    /// Versions 5+; may be null.
    pub group_instance_id: Option<String>,
    pub metadata: Bytes,
}

impl Fields for JoinGroupResponseMember {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.member_id = s.string()?;
        if version >= 5 {
            m.group_instance_id = s.nullable_string()?;
        }
        m.metadata = s.bytes()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.string(&self.member_id);
        if version >= 5 {
            w.nullable_string(self.group_instance_id.as_deref());
        }
        w.bytes(&self.metadata);
        w.no_tags();
    }
}
