//! Produce (API key 0), versions 3 to 13, flexible from 9: what both sides send.
//! Written by `scripts/generate-kafka-messages.py` from Kafka's message definitions; do not edit.

use bytes::Bytes;

use crate::dialect::kafka::wire::{Fields, Message, Source, Uuid, WireError, Writer};

#[derive(Debug, Clone, PartialEq, Default)]
pub struct ProduceRequest {
    /// May be null.
    pub transactional_id: Option<String>,
    pub acks: i16,
    pub timeout_ms: i32,
    pub topic_data: Vec<TopicProduceData>,
}

impl Fields for ProduceRequest {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.transactional_id = s.nullable_string()?;
        m.acks = s.i16()?;
        m.timeout_ms = s.i32()?;
        m.topic_data = s.array(|s| TopicProduceData::decode(s, version))?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.nullable_string(self.transactional_id.as_deref());
        w.i16(self.acks);
        w.i32(self.timeout_ms);
        w.array(&self.topic_data, |w, item| item.encode(w, version));
        w.no_tags();
    }
}

impl Message for ProduceRequest {
    const KEY: i16 = 0;
    const NAME: &'static str = "ProduceRequest";
    const MIN: i16 = 3;
    const MAX: i16 = 13;
    const FLEXIBLE: i16 = 9;
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct TopicProduceData {
    /// Versions 3 to 12.
    pub name: String,
    /// Versions 13+.
    pub topic_id: Uuid,
    pub partition_data: Vec<PartitionProduceData>,
}

impl Fields for TopicProduceData {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version <= 12 {
            m.name = s.string()?;
        }
        if version >= 13 {
            m.topic_id = s.uuid()?;
        }
        m.partition_data = s.array(|s| PartitionProduceData::decode(s, version))?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        if version <= 12 {
            w.string(&self.name);
        }
        if version >= 13 {
            w.uuid(self.topic_id);
        }
        w.array(&self.partition_data, |w, item| item.encode(w, version));
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct PartitionProduceData {
    pub index: i32,
    /// May be null.
    pub records: Option<Bytes>,
}

impl Default for PartitionProduceData {
    fn default() -> Self {
        Self { index: 0, records: Some(Bytes::new()) }
    }
}

impl Fields for PartitionProduceData {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.index = s.i32()?;
        m.records = s.nullable_bytes()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.i32(self.index);
        w.nullable_bytes(self.records.as_deref());
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct ProduceResponse {
    pub responses: Vec<TopicProduceResponse>,
    pub throttle_time_ms: i32,
    /// Versions 10+; tag 0.
    pub node_endpoints: Vec<NodeEndpoint>,
}

impl Fields for ProduceResponse {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.responses = s.array(|s| TopicProduceResponse::decode(s, version))?;
        m.throttle_time_ms = s.i32()?;
        s.tagged(&[0], |s, tag| {
            match tag {
                0 if version >= 10 => m.node_endpoints = s.array(|s| NodeEndpoint::decode(s, version))?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.array(&self.responses, |w, item| item.encode(w, version));
        w.i32(self.throttle_time_ms);
        w.tagged(|tags| {
            if version >= 10 && !self.node_endpoints.is_empty() {
                tags.field(0, |w| w.array(&self.node_endpoints, |w, item| item.encode(w, version)));
            }
        });
    }
}

impl Message for ProduceResponse {
    const KEY: i16 = 0;
    const NAME: &'static str = "ProduceResponse";
    const MIN: i16 = 3;
    const MAX: i16 = 13;
    const FLEXIBLE: i16 = 9;
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct TopicProduceResponse {
    /// Versions 3 to 12.
    pub name: String,
    /// Versions 13+.
    pub topic_id: Uuid,
    pub partition_responses: Vec<PartitionProduceResponse>,
}

impl Fields for TopicProduceResponse {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version <= 12 {
            m.name = s.string()?;
        }
        if version >= 13 {
            m.topic_id = s.uuid()?;
        }
        m.partition_responses = s.array(|s| PartitionProduceResponse::decode(s, version))?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        if version <= 12 {
            w.string(&self.name);
        }
        if version >= 13 {
            w.uuid(self.topic_id);
        }
        w.array(&self.partition_responses, |w, item| item.encode(w, version));
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct PartitionProduceResponse {
    pub index: i32,
    pub error_code: i16,
    pub base_offset: i64,
    pub log_append_time_ms: i64,
    /// Versions 5+.
    pub log_start_offset: i64,
    /// Versions 8+.
    pub record_errors: Vec<BatchIndexAndErrorMessage>,
    /// Versions 8+; may be null.
    pub error_message: Option<String>,
    /// Versions 10+; tag 0.
    pub current_leader: LeaderIdAndEpoch,
}

impl Default for PartitionProduceResponse {
    fn default() -> Self {
        Self {
            index: 0,
            error_code: 0,
            base_offset: 0,
            log_append_time_ms: -1,
            log_start_offset: -1,
            record_errors: Default::default(),
            error_message: None,
            current_leader: Default::default(),
        }
    }
}

impl Fields for PartitionProduceResponse {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.index = s.i32()?;
        m.error_code = s.i16()?;
        m.base_offset = s.i64()?;
        m.log_append_time_ms = s.i64()?;
        if version >= 5 {
            m.log_start_offset = s.i64()?;
        }
        if version >= 8 {
            m.record_errors = s.array(|s| BatchIndexAndErrorMessage::decode(s, version))?;
            m.error_message = s.nullable_string()?;
        }
        s.tagged(&[0], |s, tag| {
            match tag {
                0 if version >= 10 => m.current_leader = LeaderIdAndEpoch::decode(s, version)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.i32(self.index);
        w.i16(self.error_code);
        w.i64(self.base_offset);
        w.i64(self.log_append_time_ms);
        if version >= 5 {
            w.i64(self.log_start_offset);
        }
        if version >= 8 {
            w.array(&self.record_errors, |w, item| item.encode(w, version));
            w.nullable_string(self.error_message.as_deref());
        }
        w.tagged(|tags| {
            if version >= 10 && self.current_leader != LeaderIdAndEpoch::default() {
                tags.field(0, |w| self.current_leader.encode(w, version));
            }
        });
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct BatchIndexAndErrorMessage {
    pub batch_index: i32,
    /// May be null.
    pub batch_index_error_message: Option<String>,
}

impl Fields for BatchIndexAndErrorMessage {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.batch_index = s.i32()?;
        m.batch_index_error_message = s.nullable_string()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.i32(self.batch_index);
        w.nullable_string(self.batch_index_error_message.as_deref());
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct LeaderIdAndEpoch {
    pub leader_id: i32,
    pub leader_epoch: i32,
}

impl Default for LeaderIdAndEpoch {
    fn default() -> Self {
        Self { leader_id: -1, leader_epoch: -1 }
    }
}

impl Fields for LeaderIdAndEpoch {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.leader_id = s.i32()?;
        m.leader_epoch = s.i32()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.i32(self.leader_id);
        w.i32(self.leader_epoch);
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct NodeEndpoint {
    pub node_id: i32,
    pub host: String,
    pub port: i32,
    /// May be null.
    pub rack: Option<String>,
}

impl Fields for NodeEndpoint {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.node_id = s.i32()?;
        m.host = s.string()?;
        m.port = s.i32()?;
        m.rack = s.nullable_string()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.i32(self.node_id);
        w.string(&self.host);
        w.i32(self.port);
        w.nullable_string(self.rack.as_deref());
        w.no_tags();
    }
}
