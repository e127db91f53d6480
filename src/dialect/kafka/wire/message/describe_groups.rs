//! DescribeGroups (API key 15), versions 0 to 6, flexible from 5: what both sides send.
//! Written by `scripts/generate-kafka-messages.py` from Kafka's message definitions; do not edit.

use bytes::Bytes;

use crate::dialect::kafka::wire::{Fields, Message, Source, WireError, Writer};

#[derive(Debug, Clone, PartialEq, Default)]
pub struct DescribeGroupsRequest {
    pub groups: Vec<String>,
    /// Versions 3+.
    pub include_authorized_operations: bool,
}

impl Fields for DescribeGroupsRequest {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.groups = s.array(S::string)?;
        if version >= 3 {
            m.include_authorized_operations = s.bool()?;
        }
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.array(&self.groups, |w, item| w.string(item));
        if version >= 3 {
            w.bool(self.include_authorized_operations);
        }
        w.no_tags();
    }
}

impl Message for DescribeGroupsRequest {
    const KEY: i16 = 15;
    const NAME: &'static str = "DescribeGroupsRequest";
    const MIN: i16 = 0;
    const MAX: i16 = 6;
    const FLEXIBLE: i16 = 5;
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct DescribeGroupsResponse {
    /// Versions 1+.
    pub throttle_time_ms: i32,
    pub groups: Vec<DescribedGroup>,
}

impl Fields for DescribeGroupsResponse {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version >= 1 {
            m.throttle_time_ms = s.i32()?;
        }
        m.groups = s.array(|s| DescribedGroup::decode(s, version))?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        if version >= 1 {
            w.i32(self.throttle_time_ms);
        }
        w.array(&self.groups, |w, item| item.encode(w, version));
        w.no_tags();
    }
}

impl Message for DescribeGroupsResponse {
    const KEY: i16 = 15;
    const NAME: &'static str = "DescribeGroupsResponse";
    const MIN: i16 = 0;
    const MAX: i16 = 6;
    const FLEXIBLE: i16 = 5;
}

#[derive(Debug, Clone, PartialEq)]
pub struct DescribedGroup {
    pub error_code: i16,
    /// Versions 6+; may be null.
    pub error_message: Option<String>,
    pub group_id: String,
    pub group_state: String,
    pub protocol_type: String,
    pub protocol_data: String,
    pub members: Vec<DescribedGroupMember>,
    /// Versions 3+.
    pub authorized_operations: i32,
}

impl Default for DescribedGroup {
    fn default() -> Self {
        Self {
            error_code: 0,
            error_message: None,
            group_id: String::new(),
            group_state: String::new(),
            protocol_type: String::new(),
            protocol_data: String::new(),
            members: Default::default(),
            authorized_operations: -2147483648,
        }
    }
}

impl Fields for DescribedGroup {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.error_code = s.i16()?;
        if version >= 6 {
            m.error_message = s.nullable_string()?;
        }
        m.group_id = s.string()?;
        m.group_state = s.string()?;
        m.protocol_type = s.string()?;
        m.protocol_data = s.string()?;
        m.members = s.array(|s| DescribedGroupMember::decode(s, version))?;
        if version >= 3 {
            m.authorized_operations = s.i32()?;
        }
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.i16(self.error_code);
        if version >= 6 {
            w.nullable_string(self.error_message.as_deref());
        }
        w.string(&self.group_id);
        w.string(&self.group_state);
        w.string(&self.protocol_type);
        w.string(&self.protocol_data);
        w.array(&self.members, |w, item| item.encode(w, version));
        if version >= 3 {
            w.i32(self.authorized_operations);
        }
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct DescribedGroupMember {
    pub member_id: String,
    /// Versions 4+; may be null.
    pub group_instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub member_metadata: Bytes,
    pub member_assignment: Bytes,
}

impl Fields for DescribedGroupMember {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.member_id = s.string()?;
        if version >= 4 {
            m.group_instance_id = s.nullable_string()?;
        }
        m.client_id = s.string()?;
        m.client_host = s.string()?;
        m.member_metadata = s.bytes()?;
        m.member_assignment = s.bytes()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.string(&self.member_id);
        if version >= 4 {
            w.nullable_string(self.group_instance_id.as_deref());
        }
        w.string(&self.client_id);
        w.string(&self.client_host);
        w.bytes(&self.member_metadata);
        w.bytes(&self.member_assignment);
        w.no_tags();
    }
}
