//! OffsetDelete (API key 47), versions 0 to 0: what both sides send.
//! Written by `scripts/generate-kafka-messages.py` from Kafka's message definitions; do not edit.

use crate::dialect::kafka::wire::{Fields, Message, Source, WireError, Writer};

#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetDeleteRequest {
    pub group_id: String,
    pub topics: Vec<OffsetDeleteRequestTopic>,
}

impl Fields for OffsetDeleteRequest {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.group_id = s.string()?;
        m.topics = s.array(|s| OffsetDeleteRequestTopic::decode(s, version))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.string(&self.group_id);
        w.array(&self.topics, |w, item| item.encode(w, version));
    }
}

impl Message for OffsetDeleteRequest {
    const KEY: i16 = 47;
    const NAME: &'static str = "OffsetDeleteRequest";
    const MIN: i16 = 0;
    const MAX: i16 = 0;
    const FLEXIBLE: i16 = i16::MAX;
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetDeleteRequestTopic {
    pub name: String,
    pub partitions: Vec<OffsetDeleteRequestPartition>,
}

impl Fields for OffsetDeleteRequestTopic {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = s.string()?;
        m.partitions = s.array(|s| OffsetDeleteRequestPartition::decode(s, version))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.string(&self.name);
        w.array(&self.partitions, |w, item| item.encode(w, version));
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetDeleteRequestPartition {
    pub partition_index: i32,
}

impl Fields for OffsetDeleteRequestPartition {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.partition_index = s.i32()?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.i32(self.partition_index);
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetDeleteResponse {
    pub error_code: i16,
    pub throttle_time_ms: i32,
    pub topics: Vec<OffsetDeleteResponseTopic>,
}

impl Fields for OffsetDeleteResponse {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.error_code = s.i16()?;
        m.throttle_time_ms = s.i32()?;
        m.topics = s.array(|s| OffsetDeleteResponseTopic::decode(s, version))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.i16(self.error_code);
        w.i32(self.throttle_time_ms);
        w.array(&self.topics, |w, item| item.encode(w, version));
    }
}

impl Message for OffsetDeleteResponse {
    const KEY: i16 = 47;
    const NAME: &'static str = "OffsetDeleteResponse";
    const MIN: i16 = 0;
    const MAX: i16 = 0;
    const FLEXIBLE: i16 = i16::MAX;
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetDeleteResponseTopic {
    pub name: String,
    pub partitions: Vec<OffsetDeleteResponsePartition>,
}

impl Fields for OffsetDeleteResponseTopic {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = s.string()?;
        m.partitions = s.array(|s| OffsetDeleteResponsePartition::decode(s, version))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.string(&self.name);
        w.array(&self.partitions, |w, item| item.encode(w, version));
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetDeleteResponsePartition {
    pub partition_index: i32,
    pub error_code: i16,
}

impl Fields for OffsetDeleteResponsePartition {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.partition_index = s.i32()?;
        m.error_code = s.i16()?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.i32(self.partition_index);
        w.i16(self.error_code);
    }
}
