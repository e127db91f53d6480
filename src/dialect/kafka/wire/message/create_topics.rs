//! CreateTopics (API key 19), versions 2 to 7, flexible from 5: what both sides send.
//! Written by `scripts/generate-kafka-messages.py` from Kafka's message definitions; do not edit.

use crate::dialect::kafka::wire::{Fields, Message, Source, Uuid, WireError, Writer};

#[derive(Debug, Clone, PartialEq)]
pub struct CreateTopicsRequest {
    pub topics: Vec<CreatableTopic>,
    pub timeout_ms: i32,
    pub validate_only: bool,
}

impl Default for CreateTopicsRequest {
    fn default() -> Self {
        Self { topics: Default::default(), timeout_ms: 60000, validate_only: false }
    }
}

impl Fields for CreateTopicsRequest {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.topics = s.array(|s| CreatableTopic::decode(s, version))?;
        m.timeout_ms = s.i32()?;
        m.validate_only = s.bool()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.array(&self.topics, |w, item| item.encode(w, version));
        w.i32(self.timeout_ms);
        w.bool(self.validate_only);
        w.no_tags();
    }
}

impl Message for CreateTopicsRequest {
    const KEY: i16 = 19;
    const NAME: &'static str = "CreateTopicsRequest";
    const MIN: i16 = 2;
    const MAX: i16 = 7;
    const FLEXIBLE: i16 = 5;
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct CreatableTopic {
    pub name: String,
    pub num_partitions: i32,
    pub replication_factor: i16,
    pub assignments: Vec<CreatableReplicaAssignment>,
    pub configs: Vec<CreatableTopicConfig>,
}

impl Fields for CreatableTopic {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = s.string()?;
        m.num_partitions = s.i32()?;
        m.replication_factor = s.i16()?;
        m.assignments = s.array(|s| CreatableReplicaAssignment::decode(s, version))?;
        m.configs = s.array(|s| CreatableTopicConfig::decode(s, version))?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.string(&self.name);
        w.i32(self.num_partitions);
        w.i16(self.replication_factor);
        w.array(&self.assignments, |w, item| item.encode(w, version));
        w.array(&self.configs, |w, item| item.encode(w, version));
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct CreatableReplicaAssignment {
    pub partition_index: i32,
    pub broker_ids: Vec<i32>,
}

impl Fields for CreatableReplicaAssignment {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.partition_index = s.i32()?;
        m.broker_ids = s.array(S::i32)?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.i32(self.partition_index);
        w.array(&self.broker_ids, |w, item| w.i32(*item));
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct CreatableTopicConfig {
    pub name: String,
    /// May be null.
    pub value: Option<String>,
}

impl Default for CreatableTopicConfig {
    fn default() -> Self {
        Self { name: String::new(), value: Some(String::new()) }
    }
}

impl Fields for CreatableTopicConfig {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = s.string()?;
        m.value = s.nullable_string()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.string(&self.name);
        w.nullable_string(self.value.as_deref());
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct CreateTopicsResponse {
    pub throttle_time_ms: i32,
    pub topics: Vec<CreatableTopicResult>,
}

impl Fields for CreateTopicsResponse {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.throttle_time_ms = s.i32()?;
        m.topics = s.array(|s| CreatableTopicResult::decode(s, version))?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.i32(self.throttle_time_ms);
        w.array(&self.topics, |w, item| item.encode(w, version));
        w.no_tags();
    }
}

impl Message for CreateTopicsResponse {
    const KEY: i16 = 19;
    const NAME: &'static str = "CreateTopicsResponse";
    const MIN: i16 = 2;
    const MAX: i16 = 7;
    const FLEXIBLE: i16 = 5;
}

#[derive(Debug, Clone, PartialEq)]
pub struct CreatableTopicResult {
    pub name: String,
    /// Versions 7+.
    pub topic_id: Uuid,
    pub error_code: i16,
    /// May be null.
    pub error_message: Option<String>,
    /// Versions 5+; tag 0.
    pub topic_config_error_code: i16,
    /// Versions 5+.
    pub num_partitions: i32,
    /// Versions 5+.
    pub replication_factor: i16,
    /// Versions 5+; may be null.
    pub configs: Option<Vec<CreatableTopicConfigs>>,
}

impl Default for CreatableTopicResult {
    fn default() -> Self {
        Self {
            name: String::new(),
            topic_id: Default::default(),
            error_code: 0,
            error_message: Some(String::new()),
            topic_config_error_code: 0,
            num_partitions: -1,
            replication_factor: -1,
            configs: Some(Vec::new()),
        }
    }
}

impl Fields for CreatableTopicResult {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = s.string()?;
        if version >= 7 {
            m.topic_id = s.uuid()?;
        }
        m.error_code = s.i16()?;
        m.error_message = s.nullable_string()?;
        if version >= 5 {
            m.num_partitions = s.i32()?;
            m.replication_factor = s.i16()?;
            m.configs = s.nullable_array(|s| CreatableTopicConfigs::decode(s, version))?;
        }
        s.tagged(&[0], |s, tag| {
            match tag {
                0 => m.topic_config_error_code = s.i16()?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.string(&self.name);
        if version >= 7 {
            w.uuid(self.topic_id);
        }
        w.i16(self.error_code);
        w.nullable_string(self.error_message.as_deref());
        if version >= 5 {
            w.i32(self.num_partitions);
            w.i16(self.replication_factor);
            w.nullable_array(self.configs.as_deref(), |w, item| item.encode(w, version));
        }
        w.tagged(|tags| {
            if self.topic_config_error_code != 0 {
                tags.field(0, |w| w.i16(self.topic_config_error_code));
            }
        });
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct CreatableTopicConfigs {
    pub name: String,
    /// May be null.
    pub value: Option<String>,
    pub read_only: bool,
    pub config_source: i8,
    pub is_sensitive: bool,
}

impl Default for CreatableTopicConfigs {
    fn default() -> Self {
        Self { name: String::new(), value: Some(String::new()), read_only: false, config_source: -1, is_sensitive: false }
    }
}

impl Fields for CreatableTopicConfigs {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = s.string()?;
        m.value = s.nullable_string()?;
        m.read_only = s.bool()?;
        m.config_source = s.i8()?;
        m.is_sensitive = s.bool()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.string(&self.name);
        w.nullable_string(self.value.as_deref());
        w.bool(self.read_only);
        w.i8(self.config_source);
        w.bool(self.is_sensitive);
        w.no_tags();
    }
}
