//! ListGroups (API key 16), versions 0 to 5, flexible from 3: what both sides send.
//! Written by `scripts/generate-kafka-messages.py` from Kafka's message definitions; do not edit.

use crate::dialect::kafka::wire::{Fields, Message, Source, WireError, Writer};

#[derive(Debug, Clone, PartialEq, Default)]
pub struct ListGroupsRequest {
    /// Versions 4+.
    pub states_filter: Vec<String>,
    /// Versions 5+.
    pub types_filter: Vec<String>,
}

impl Fields for ListGroupsRequest {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version >= 4 {
            m.states_filter = s.array(S::string)?;
        }
        if version >= 5 {
            m.types_filter = s.array(S::string)?;
        }
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        if version >= 4 {
            w.array(&self.states_filter, |w, item| w.string(item));
        }
        if version >= 5 {
            w.array(&self.types_filter, |w, item| w.string(item));
        }
        w.no_tags();
    }
}

impl Message for ListGroupsRequest {
    const KEY: i16 = 16;
    const NAME: &'static str = "ListGroupsRequest";
    const MIN: i16 = 0;
    const MAX: i16 = 5;
    const FLEXIBLE: i16 = 3;
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct ListGroupsResponse {
    /// Versions 1+.
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub groups: Vec<ListedGroup>,
}

impl Fields for ListGroupsResponse {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version >= 1 {
            m.throttle_time_ms = s.i32()?;
        }
        m.error_code = s.i16()?;
        m.groups = s.array(|s| ListedGroup::decode(s, version))?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        if version >= 1 {
            w.i32(self.throttle_time_ms);
        }
        w.i16(self.error_code);
        w.array(&self.groups, |w, item| item.encode(w, version));
        w.no_tags();
    }
}

impl Message for ListGroupsResponse {
    const KEY: i16 = 16;
    const NAME: &'static str = "ListGroupsResponse";
    const MIN: i16 = 0;
    const MAX: i16 = 5;
    const FLEXIBLE: i16 = 3;
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct ListedGroup {
    pub group_id: String,
    pub protocol_type: String,
    /// Versions 4+.
    pub group_state: String,
    /// Versions 5+.
    pub group_type: String,
}

impl Fields for ListedGroup {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.group_id = s.string()?;
        m.protocol_type = s.string()?;
        if version >= 4 {
            m.group_state = s.string()?;
        }
        if version >= 5 {
            m.group_type = s.string()?;
        }
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.string(&self.group_id);
        w.string(&self.protocol_type);
        if version >= 4 {
            w.string(&self.group_state);
        }
        if version >= 5 {
            w.string(&self.group_type);
        }
        w.no_tags();
    }
}
