//! DeleteRecords (API key 21), versions 0 to 2, flexible from 2: what both sides send.
//! Written by `scripts/generate-kafka-messages.py` from Kafka's message definitions; do not edit.

use crate::dialect::kafka::wire::{Fields, Message, Source, WireError, Writer};

#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeleteRecordsRequest {
    pub topics: Vec<DeleteRecordsTopic>,
    pub timeout_ms: i32,
}

impl Fields for DeleteRecordsRequest {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.topics = s.array(|s| DeleteRecordsTopic::decode(s, version))?;
        m.timeout_ms = s.i32()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.array(&self.topics, |w, item| item.encode(w, version));
        w.i32(self.timeout_ms);
        w.no_tags();
    }
}

impl Message for DeleteRecordsRequest {
    const KEY: i16 = 21;
    const NAME: &'static str = "DeleteRecordsRequest";
    const MIN: i16 = 0;
    const MAX: i16 = 2;
    const FLEXIBLE: i16 = 2;
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeleteRecordsTopic {
    pub name: String,
    pub partitions: Vec<DeleteRecordsPartition>,
}

impl Fields for DeleteRecordsTopic {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = s.string()?;
        m.partitions = s.array(|s| DeleteRecordsPartition::decode(s, version))?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.string(&self.name);
        w.array(&self.partitions, |w, item| item.encode(w, version));
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeleteRecordsPartition {
    pub partition_index: i32,
    pub offset: i64,
}

impl Fields for DeleteRecordsPartition {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.partition_index = s.i32()?;
        m.offset = s.i64()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.i32(self.partition_index);
        w.i64(self.offset);
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeleteRecordsResponse {
    pub throttle_time_ms: i32,
    pub topics: Vec<DeleteRecordsTopicResult>,
}

impl Fields for DeleteRecordsResponse {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.throttle_time_ms = s.i32()?;
        m.topics = s.array(|s| DeleteRecordsTopicResult::decode(s, version))?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.i32(self.throttle_time_ms);
        w.array(&self.topics, |w, item| item.encode(w, version));
        w.no_tags();
    }
}

impl Message for DeleteRecordsResponse {
    const KEY: i16 = 21;
    const NAME: &'static str = "DeleteRecordsResponse";
    const MIN: i16 = 0;
    const MAX: i16 = 2;
    const FLEXIBLE: i16 = 2;
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeleteRecordsTopicResult {
    pub name: String,
    pub partitions: Vec<DeleteRecordsPartitionResult>,
}

impl Fields for DeleteRecordsTopicResult {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = s.string()?;
        m.partitions = s.array(|s| DeleteRecordsPartitionResult::decode(s, version))?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.string(&self.name);
        w.array(&self.partitions, |w, item| item.encode(w, version));
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeleteRecordsPartitionResult {
    pub partition_index: i32,
    pub low_watermark: i64,
    pub error_code: i16,
}

impl Fields for DeleteRecordsPartitionResult {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.partition_index = s.i32()?;
        m.low_watermark = s.i64()?;
        m.error_code = s.i16()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.i32(self.partition_index);
        w.i64(self.low_watermark);
        w.i16(self.error_code);
        w.no_tags();
    }
}
