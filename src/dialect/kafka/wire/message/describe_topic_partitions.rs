//! DescribeTopicPartitions (API key 75), versions 0 to 0, flexible from 0: what both sides send.
//! Written by `scripts/generate-kafka-messages.py` from Kafka's message definitions; do not edit.

use crate::dialect::kafka::wire::{Fields, Message, Source, Uuid, WireError, Writer};

#[derive(Debug, Clone, PartialEq)]
pub struct DescribeTopicPartitionsRequest {
    pub topics: Vec<TopicRequest>,
    pub response_partition_limit: i32,
    /// May be null.
    pub cursor: Option<Cursor>,
}

impl Default for DescribeTopicPartitionsRequest {
    fn default() -> Self {
        Self { topics: Default::default(), response_partition_limit: 2000, cursor: None }
    }
}

impl Fields for DescribeTopicPartitionsRequest {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.topics = s.array(|s| TopicRequest::decode(s, version))?;
        m.response_partition_limit = s.i32()?;
        m.cursor = s.nullable_struct(|s| Cursor::decode(s, version))?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.array(&self.topics, |w, item| item.encode(w, version));
        w.i32(self.response_partition_limit);
        w.nullable_struct(self.cursor.as_ref(), |w, item| item.encode(w, version));
        w.no_tags();
    }
}

impl Message for DescribeTopicPartitionsRequest {
    const KEY: i16 = 75;
    const NAME: &'static str = "DescribeTopicPartitionsRequest";
    const MIN: i16 = 0;
    const MAX: i16 = 0;
    const FLEXIBLE: i16 = 0;
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct TopicRequest {
    pub name: String,
}

impl Fields for TopicRequest {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = s.string()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.string(&self.name);
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Cursor {
    pub topic_name: String,
    pub partition_index: i32,
}

impl Fields for Cursor {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.topic_name = s.string()?;
        m.partition_index = s.i32()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.string(&self.topic_name);
        w.i32(self.partition_index);
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct DescribeTopicPartitionsResponse {
    pub throttle_time_ms: i32,
    pub topics: Vec<DescribeTopicPartitionsResponseTopic>,
    /// May be null.
    pub next_cursor: Option<ResponseCursor>,
}

impl Fields for DescribeTopicPartitionsResponse {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.throttle_time_ms = s.i32()?;
        m.topics = s.array(|s| DescribeTopicPartitionsResponseTopic::decode(s, version))?;
        m.next_cursor = s.nullable_struct(|s| ResponseCursor::decode(s, version))?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.i32(self.throttle_time_ms);
        w.array(&self.topics, |w, item| item.encode(w, version));
        w.nullable_struct(self.next_cursor.as_ref(), |w, item| item.encode(w, version));
        w.no_tags();
    }
}

impl Message for DescribeTopicPartitionsResponse {
    const KEY: i16 = 75;
    const NAME: &'static str = "DescribeTopicPartitionsResponse";
    const MIN: i16 = 0;
    const MAX: i16 = 0;
    const FLEXIBLE: i16 = 0;
}

#[derive(Debug, Clone, PartialEq)]
pub struct DescribeTopicPartitionsResponseTopic {
    pub error_code: i16,
    /// May be null.
    pub name: Option<String>,
    pub topic_id: Uuid,
    pub is_internal: bool,
    pub partitions: Vec<DescribeTopicPartitionsResponsePartition>,
    pub topic_authorized_operations: i32,
}

impl Default for DescribeTopicPartitionsResponseTopic {
    fn default() -> Self {
        Self {
            error_code: 0,
            name: Some(String::new()),
            topic_id: Default::default(),
            is_internal: false,
            partitions: Default::default(),
            topic_authorized_operations: -2147483648,
        }
    }
}

impl Fields for DescribeTopicPartitionsResponseTopic {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.error_code = s.i16()?;
        m.name = s.nullable_string()?;
        m.topic_id = s.uuid()?;
        m.is_internal = s.bool()?;
        m.partitions = s.array(|s| DescribeTopicPartitionsResponsePartition::decode(s, version))?;
        m.topic_authorized_operations = s.i32()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.i16(self.error_code);
        w.nullable_string(self.name.as_deref());
        w.uuid(self.topic_id);
        w.bool(self.is_internal);
        w.array(&self.partitions, |w, item| item.encode(w, version));
        w.i32(self.topic_authorized_operations);
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct DescribeTopicPartitionsResponsePartition {
    pub error_code: i16,
    pub partition_index: i32,
    pub leader_id: i32,
    pub leader_epoch: i32,
    pub replica_nodes: Vec<i32>,
    pub isr_nodes: Vec<i32>,
    /// May be null.
    pub eligible_leader_replicas: Option<Vec<i32>>,
    /// May be null.
    pub last_known_elr: Option<Vec<i32>>,
    pub offline_replicas: Vec<i32>,
}

impl Default for DescribeTopicPartitionsResponsePartition {
    fn default() -> Self {
        Self {
            error_code: 0,
            partition_index: 0,
            leader_id: 0,
            leader_epoch: -1,
            replica_nodes: Default::default(),
            isr_nodes: Default::default(),
            eligible_leader_replicas: None,
            last_known_elr: None,
            offline_replicas: Default::default(),
        }
    }
}

impl Fields for DescribeTopicPartitionsResponsePartition {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.error_code = s.i16()?;
        m.partition_index = s.i32()?;
        m.leader_id = s.i32()?;
        m.leader_epoch = s.i32()?;
        m.replica_nodes = s.array(S::i32)?;
        m.isr_nodes = s.array(S::i32)?;
        m.eligible_leader_replicas = s.nullable_array(S::i32)?;
        m.last_known_elr = s.nullable_array(S::i32)?;
        m.offline_replicas = s.array(S::i32)?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.i16(self.error_code);
        w.i32(self.partition_index);
        w.i32(self.leader_id);
        w.i32(self.leader_epoch);
        w.array(&self.replica_nodes, |w, item| w.i32(*item));
        w.array(&self.isr_nodes, |w, item| w.i32(*item));
        w.nullable_array(self.eligible_leader_replicas.as_deref(), |w, item| w.i32(*item));
        w.nullable_array(self.last_known_elr.as_deref(), |w, item| w.i32(*item));
        w.array(&self.offline_replicas, |w, item| w.i32(*item));
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct ResponseCursor {
    pub topic_name: String,
    pub partition_index: i32,
}

impl Fields for ResponseCursor {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.topic_name = s.string()?;
        m.partition_index = s.i32()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.string(&self.topic_name);
        w.i32(self.partition_index);
        w.no_tags();
    }
}
