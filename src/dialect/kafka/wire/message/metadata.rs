//! Metadata (API key 3), versions 0 to 13, flexible from 9: what both sides send.
//! Written by `scripts/generate-kafka-messages.py` from Kafka's message definitions; do not edit.

use crate::dialect::kafka::wire::{Fields, Message, Source, Uuid, WireError, Writer};

#[derive(Debug, Clone, PartialEq)]
pub struct MetadataRequest {
    /// May be null from version 1.
    pub topics: Option<Vec<MetadataRequestTopic>>,
    /// Versions 4+.
    pub allow_auto_topic_creation: bool,
    /// Versions 8 to 10.
    pub include_cluster_authorized_operations: bool,
    /// Versions 8+.
    pub include_topic_authorized_operations: bool,
}

impl Default for MetadataRequest {
    fn default() -> Self {
        Self {
            topics: Some(Vec::new()),
            allow_auto_topic_creation: true,
            include_cluster_authorized_operations: false,
            include_topic_authorized_operations: false,
        }
    }
}

impl Fields for MetadataRequest {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.topics = if version >= 1 {
            s.nullable_array(|s| MetadataRequestTopic::decode(s, version))?
        } else {
            Some(s.array(|s| MetadataRequestTopic::decode(s, version))?)
        };
        if version >= 4 {
            m.allow_auto_topic_creation = s.bool()?;
        }
        if (8..=10).contains(&version) {
            m.include_cluster_authorized_operations = s.bool()?;
        }
        if version >= 8 {
            m.include_topic_authorized_operations = s.bool()?;
        }
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        if version >= 1 {
            w.nullable_array(self.topics.as_deref(), |w, item| item.encode(w, version));
        } else {
            w.array(self.topics.as_deref().unwrap_or_default(), |w, item| item.encode(w, version));
        }
        if version >= 4 {
            w.bool(self.allow_auto_topic_creation);
        }
        if (8..=10).contains(&version) {
            w.bool(self.include_cluster_authorized_operations);
        }
        if version >= 8 {
            w.bool(self.include_topic_authorized_operations);
        }
        w.no_tags();
    }
}

impl Message for MetadataRequest {
    const KEY: i16 = 3;
    const NAME: &'static str = "MetadataRequest";
    const MIN: i16 = 0;
    const MAX: i16 = 13;
    const FLEXIBLE: i16 = 9;
}

#[derive(Debug, Clone, PartialEq)]
pub struct MetadataRequestTopic {
    /// Versions 10+.
    pub topic_id: Uuid,
    /// May be null from version 10.
    pub name: Option<String>,
}

impl Default for MetadataRequestTopic {
    fn default() -> Self {
        Self { topic_id: Default::default(), name: Some(String::new()) }
    }
}

impl Fields for MetadataRequestTopic {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version >= 10 {
            m.topic_id = s.uuid()?;
        }
        m.name = if version >= 10 { s.nullable_string()? } else { Some(s.string()?) };
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        if version >= 10 {
            w.uuid(self.topic_id);
        }
        if version >= 10 {
            w.nullable_string(self.name.as_deref());
        } else {
            w.string(self.name.as_deref().unwrap_or_default());
        }
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct MetadataResponse {
    /// Versions 3+.
    pub throttle_time_ms: i32,
    pub brokers: Vec<MetadataResponseBroker>,
    /// Versions 2+; may be null.
    pub cluster_id: Option<String>,
    /// Versions 1+.
    pub controller_id: i32,
    pub topics: Vec<MetadataResponseTopic>,
    /// Versions 8 to 10.
    pub cluster_authorized_operations: i32,
    /// Versions 13+.
    pub error_code: i16,
}

impl Default for MetadataResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            brokers: Default::default(),
            cluster_id: None,
            controller_id: -1,
            topics: Default::default(),
            cluster_authorized_operations: -2147483648,
            error_code: 0,
        }
    }
}

impl Fields for MetadataResponse {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version >= 3 {
            m.throttle_time_ms = s.i32()?;
        }
        m.brokers = s.array(|s| MetadataResponseBroker::decode(s, version))?;
        if version >= 2 {
            m.cluster_id = s.nullable_string()?;
        }
        if version >= 1 {
            m.controller_id = s.i32()?;
        }
        m.topics = s.array(|s| MetadataResponseTopic::decode(s, version))?;
        if (8..=10).contains(&version) {
            m.cluster_authorized_operations = s.i32()?;
        }
        if version >= 13 {
            m.error_code = s.i16()?;
        }
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        if version >= 3 {
            w.i32(self.throttle_time_ms);
        }
        w.array(&self.brokers, |w, item| item.encode(w, version));
        if version >= 2 {
            w.nullable_string(self.cluster_id.as_deref());
        }
        if version >= 1 {
            w.i32(self.controller_id);
        }
        w.array(&self.topics, |w, item| item.encode(w, version));
        if (8..=10).contains(&version) {
            w.i32(self.cluster_authorized_operations);
        }
        if version >= 13 {
            w.i16(self.error_code);
        }
        w.no_tags();
    }
}

impl Message for MetadataResponse {
    const KEY: i16 = 3;
    const NAME: &'static str = "MetadataResponse";
    const MIN: i16 = 0;
    const MAX: i16 = 13;
    const FLEXIBLE: i16 = 9;
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct MetadataResponseBroker {
    pub node_id: i32,
    pub host: String,
    pub port: i32,
    /// Versions 1+; may be null.
    pub rack: Option<String>,
}

impl Fields for MetadataResponseBroker {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.node_id = s.i32()?;
        m.host = s.string()?;
        m.port = s.i32()?;
        if version >= 1 {
            m.rack = s.nullable_string()?;
        }
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.i32(self.node_id);
        w.string(&self.host);
        w.i32(self.port);
        if version >= 1 {
            w.nullable_string(self.rack.as_deref());
        }
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct MetadataResponseTopic {
    pub error_code: i16,
    /// May be null from version 12.
    pub name: Option<String>,
    /// Versions 10+.
    pub topic_id: Uuid,
    /// Versions 1+.
    pub is_internal: bool,
    pub partitions: Vec<MetadataResponsePartition>,
    /// Versions 8+.
    pub topic_authorized_operations: i32,
}

impl Default for MetadataResponseTopic {
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

impl Fields for MetadataResponseTopic {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.error_code = s.i16()?;
        m.name = if version >= 12 { s.nullable_string()? } else { Some(s.string()?) };
        if version >= 10 {
            m.topic_id = s.uuid()?;
        }
        if version >= 1 {
            m.is_internal = s.bool()?;
        }
        m.partitions = s.array(|s| MetadataResponsePartition::decode(s, version))?;
        if version >= 8 {
            m.topic_authorized_operations = s.i32()?;
        }
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.i16(self.error_code);
        if version >= 12 {
            w.nullable_string(self.name.as_deref());
        } else {
            w.string(self.name.as_deref().unwrap_or_default());
        }
        if version >= 10 {
            w.uuid(self.topic_id);
        }
        if version >= 1 {
            w.bool(self.is_internal);
        }
        w.array(&self.partitions, |w, item| item.encode(w, version));
        if version >= 8 {
            w.i32(self.topic_authorized_operations);
        }
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct MetadataResponsePartition {
    pub error_code: i16,
    pub partition_index: i32,
    pub leader_id: i32,
    /// Versions 7+.
    pub leader_epoch: i32,
    pub replica_nodes: Vec<i32>,
    pub isr_nodes: Vec<i32>,
    /// Versions 5+.
    pub offline_replicas: Vec<i32>,
}

impl Default for MetadataResponsePartition {
    fn default() -> Self {
        Self {
            error_code: 0,
            partition_index: 0,
            leader_id: 0,
            leader_epoch: -1,
            replica_nodes: Default::default(),
            isr_nodes: Default::default(),
            offline_replicas: Default::default(),
        }
    }
}

impl Fields for MetadataResponsePartition {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.error_code = s.i16()?;
        m.partition_index = s.i32()?;
        m.leader_id = s.i32()?;
        if version >= 7 {
            m.leader_epoch = s.i32()?;
        }
        m.replica_nodes = s.array(S::i32)?;
        m.isr_nodes = s.array(S::i32)?;
        if version >= 5 {
            m.offline_replicas = s.array(S::i32)?;
        }
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.i16(self.error_code);
        w.i32(self.partition_index);
        w.i32(self.leader_id);
        if version >= 7 {
            w.i32(self.leader_epoch);
        }
        w.array(&self.replica_nodes, |w, item| w.i32(*item));
        w.array(&self.isr_nodes, |w, item| w.i32(*item));
        if version >= 5 {
            w.array(&self.offline_replicas, |w, item| w.i32(*item));
        }
        w.no_tags();
    }
}
