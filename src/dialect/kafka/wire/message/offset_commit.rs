//! OffsetCommit (API key 8), versions 2 to 10, flexible from 8: what both sides send.
//! Written by `scripts/generate-kafka-messages.py` from Kafka's message definitions; do not edit.

use crate::dialect::kafka::wire::{Fields, Message, Source, Uuid, WireError, Writer};

#[derive(Debug, Clone, PartialEq)]
pub struct OffsetCommitRequest {
    pub group_id: String,
    pub generation_id_or_member_epoch: i32,
    pub member_id: String,
    /// Versions 7+; may be null.
    pub group_instance_id: Option<String>,
    /// Versions 2 to 4.
    pub retention_time_ms: i64,
    pub topics: Vec<OffsetCommitRequestTopic>,
}

impl Default for OffsetCommitRequest {
    fn default() -> Self {
        Self {
            group_id: String::new(),
            generation_id_or_member_epoch: -1,
            member_id: String::new(),
            group_instance_id: None,
            retention_time_ms: -1,
            topics: Default::default(),
        }
    }
}

impl Fields for OffsetCommitRequest {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.group_id = s.string()?;
        m.generation_id_or_member_epoch = s.i32()?;
        m.member_id = s.string()?;
        if version >= 7 {
            m.group_instance_id = s.nullable_string()?;
        }
        if version <= 4 {
            m.retention_time_ms = s.i64()?;
        }
        m.topics = s.array(|s| OffsetCommitRequestTopic::decode(s, version))?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.string(&self.group_id);
        w.i32(self.generation_id_or_member_epoch);
        w.string(&self.member_id);
        if version >= 7 {
            w.nullable_string(self.group_instance_id.as_deref());
        }
        if version <= 4 {
            w.i64(self.retention_time_ms);
        }
        w.array(&self.topics, |w, item| item.encode(w, version));
        w.no_tags();
    }
}

impl Message for OffsetCommitRequest {
    const KEY: i16 = 8;
    const NAME: &'static str = "OffsetCommitRequest";
    const MIN: i16 = 2;
    const MAX: i16 = 10;
    const FLEXIBLE: i16 = 8;
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetCommitRequestTopic {
    /// Versions 2 to 9.
    pub name: String,
    /// Versions 10+.
    pub topic_id: Uuid,
    pub partitions: Vec<OffsetCommitRequestPartition>,
}

impl Fields for OffsetCommitRequestTopic {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version <= 9 {
            m.name = s.string()?;
        }
        if version >= 10 {
            m.topic_id = s.uuid()?;
        }
        m.partitions = s.array(|s| OffsetCommitRequestPartition::decode(s, version))?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        if version <= 9 {
            w.string(&self.name);
        }
        if version >= 10 {
            w.uuid(self.topic_id);
        }
        w.array(&self.partitions, |w, item| item.encode(w, version));
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct OffsetCommitRequestPartition {
    pub partition_index: i32,
    pub committed_offset: i64,
    /// Versions 6+.
    pub committed_leader_epoch: i32,
    /// May be null.
    pub committed_metadata: Option<String>,
}

impl Default for OffsetCommitRequestPartition {
    fn default() -> Self {
        Self { partition_index: 0, committed_offset: 0, committed_leader_epoch: -1, committed_metadata: Some(String::new()) }
    }
}

impl Fields for OffsetCommitRequestPartition {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.partition_index = s.i32()?;
        m.committed_offset = s.i64()?;
        if version >= 6 {
            m.committed_leader_epoch = s.i32()?;
        }
        m.committed_metadata = s.nullable_string()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.i32(self.partition_index);
        w.i64(self.committed_offset);
        if version >= 6 {
            w.i32(self.committed_leader_epoch);
        }
        w.nullable_string(self.committed_metadata.as_deref());
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetCommitResponse {
    /// Versions 3+.
    pub throttle_time_ms: i32,
    pub topics: Vec<OffsetCommitResponseTopic>,
}

impl Fields for OffsetCommitResponse {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version >= 3 {
            m.throttle_time_ms = s.i32()?;
        }
        m.topics = s.array(|s| OffsetCommitResponseTopic::decode(s, version))?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        if version >= 3 {
            w.i32(self.throttle_time_ms);
        }
        w.array(&self.topics, |w, item| item.encode(w, version));
        w.no_tags();
    }
}

impl Message for OffsetCommitResponse {
    const KEY: i16 = 8;
    const NAME: &'static str = "OffsetCommitResponse";
    const MIN: i16 = 2;
    const MAX: i16 = 10;
    const FLEXIBLE: i16 = 8;
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetCommitResponseTopic {
    /// Versions 2 to 9.
    pub name: String,
    /// Versions 10+.
    pub topic_id: Uuid,
    pub partitions: Vec<OffsetCommitResponsePartition>,
}

impl Fields for OffsetCommitResponseTopic {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version <= 9 {
            m.name = s.string()?;
        }
        if version >= 10 {
            m.topic_id = s.uuid()?;
        }
        m.partitions = s.array(|s| OffsetCommitResponsePartition::decode(s, version))?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        if version <= 9 {
            w.string(&self.name);
        }
        if version >= 10 {
            w.uuid(self.topic_id);
        }
        w.array(&self.partitions, |w, item| item.encode(w, version));
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetCommitResponsePartition {
    pub partition_index: i32,
    pub error_code: i16,
}

impl Fields for OffsetCommitResponsePartition {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.partition_index = s.i32()?;
        m.error_code = s.i16()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.i32(self.partition_index);
        w.i16(self.error_code);
        w.no_tags();
    }
}
