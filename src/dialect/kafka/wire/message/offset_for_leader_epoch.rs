//! OffsetForLeaderEpoch (API key 23), versions 2 to 4, flexible from 4: what both sides send.
//! Written by `scripts/generate-kafka-messages.py` from Kafka's message definitions; do not edit.

use crate::dialect::kafka::wire::{Fields, Message, Source, WireError, Writer};

#[derive(Debug, Clone, PartialEq)]
pub struct OffsetForLeaderEpochRequest {
    /// Versions 3+.
    pub replica_id: i32,
    pub topics: Vec<OffsetForLeaderTopic>,
}

impl Default for OffsetForLeaderEpochRequest {
    fn default() -> Self {
        Self { replica_id: -2, topics: Default::default() }
    }
}

impl Fields for OffsetForLeaderEpochRequest {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version >= 3 {
            m.replica_id = s.i32()?;
        }
        m.topics = s.array(|s| OffsetForLeaderTopic::decode(s, version))?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        if version >= 3 {
            w.i32(self.replica_id);
        }
        w.array(&self.topics, |w, item| item.encode(w, version));
        w.no_tags();
    }
}

impl Message for OffsetForLeaderEpochRequest {
    const KEY: i16 = 23;
    const NAME: &'static str = "OffsetForLeaderEpochRequest";
    const MIN: i16 = 2;
    const MAX: i16 = 4;
    const FLEXIBLE: i16 = 4;
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetForLeaderTopic {
    pub topic: String,
    pub partitions: Vec<OffsetForLeaderPartition>,
}

impl Fields for OffsetForLeaderTopic {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.topic = s.string()?;
        m.partitions = s.array(|s| OffsetForLeaderPartition::decode(s, version))?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.string(&self.topic);
        w.array(&self.partitions, |w, item| item.encode(w, version));
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct OffsetForLeaderPartition {
    pub partition: i32,
    pub current_leader_epoch: i32,
    pub leader_epoch: i32,
}

impl Default for OffsetForLeaderPartition {
    fn default() -> Self {
        Self { partition: 0, current_leader_epoch: -1, leader_epoch: 0 }
    }
}

impl Fields for OffsetForLeaderPartition {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.partition = s.i32()?;
        m.current_leader_epoch = s.i32()?;
        m.leader_epoch = s.i32()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.i32(self.partition);
        w.i32(self.current_leader_epoch);
        w.i32(self.leader_epoch);
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetForLeaderEpochResponse {
    pub throttle_time_ms: i32,
    pub topics: Vec<OffsetForLeaderTopicResult>,
}

impl Fields for OffsetForLeaderEpochResponse {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.throttle_time_ms = s.i32()?;
        m.topics = s.array(|s| OffsetForLeaderTopicResult::decode(s, version))?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.i32(self.throttle_time_ms);
        w.array(&self.topics, |w, item| item.encode(w, version));
        w.no_tags();
    }
}

impl Message for OffsetForLeaderEpochResponse {
    const KEY: i16 = 23;
    const NAME: &'static str = "OffsetForLeaderEpochResponse";
    const MIN: i16 = 2;
    const MAX: i16 = 4;
    const FLEXIBLE: i16 = 4;
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetForLeaderTopicResult {
    pub topic: String,
    pub partitions: Vec<EpochEndOffset>,
}

impl Fields for OffsetForLeaderTopicResult {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.topic = s.string()?;
        m.partitions = s.array(|s| EpochEndOffset::decode(s, version))?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.string(&self.topic);
        w.array(&self.partitions, |w, item| item.encode(w, version));
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct EpochEndOffset {
    pub error_code: i16,
    pub partition: i32,
    pub leader_epoch: i32,
    pub end_offset: i64,
}

impl Default for EpochEndOffset {
    fn default() -> Self {
        Self { error_code: 0, partition: 0, leader_epoch: -1, end_offset: -1 }
    }
}

impl Fields for EpochEndOffset {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.error_code = s.i16()?;
        m.partition = s.i32()?;
        m.leader_epoch = s.i32()?;
        m.end_offset = s.i64()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.i16(self.error_code);
        w.i32(self.partition);
        w.i32(self.leader_epoch);
        w.i64(self.end_offset);
        w.no_tags();
    }
}
