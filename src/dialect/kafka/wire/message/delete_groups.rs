//! DeleteGroups (API key 42), versions 0 to 2, flexible from 2: what both sides send.
//! Written by `scripts/generate-kafka-messages.py` from Kafka's message definitions; do not edit.

use crate::dialect::kafka::wire::{Fields, Message, Source, WireError, Writer};

#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeleteGroupsRequest {
    pub groups_names: Vec<String>,
}

impl Fields for DeleteGroupsRequest {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.groups_names = s.array(S::string)?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.array(&self.groups_names, |w, item| w.string(item));
        w.no_tags();
    }
}

impl Message for DeleteGroupsRequest {
    const KEY: i16 = 42;
    const NAME: &'static str = "DeleteGroupsRequest";
    const MIN: i16 = 0;
    const MAX: i16 = 2;
    const FLEXIBLE: i16 = 2;
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeleteGroupsResponse {
    pub throttle_time_ms: i32,
    pub results: Vec<DeletableGroupResult>,
}

impl Fields for DeleteGroupsResponse {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.throttle_time_ms = s.i32()?;
        m.results = s.array(|s| DeletableGroupResult::decode(s, version))?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.i32(self.throttle_time_ms);
        w.array(&self.results, |w, item| item.encode(w, version));
        w.no_tags();
    }
}

impl Message for DeleteGroupsResponse {
    const KEY: i16 = 42;
    const NAME: &'static str = "DeleteGroupsResponse";
    const MIN: i16 = 0;
    const MAX: i16 = 2;
    const FLEXIBLE: i16 = 2;
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeletableGroupResult {
    pub group_id: String,
    pub error_code: i16,
}

impl Fields for DeletableGroupResult {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.group_id = s.string()?;
        m.error_code = s.i16()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.string(&self.group_id);
        w.i16(self.error_code);
        w.no_tags();
    }
}
