//! Fetch (API key 1), versions 4 to 18, flexible from 12: what both sides send.
//! Written by `scripts/generate-kafka-messages.py` from Kafka's message definitions; do not edit.

use bytes::Bytes;

use crate::dialect::kafka::wire::{Fields, Message, Source, Uuid, WireError, Writer};

#[derive(Debug, Clone, PartialEq)]
pub struct FetchRequest {
    /// Versions 12+; may be null; tag 0.
    pub cluster_id: Option<String>,
    /// Versions 4 to 14.
    pub replica_id: i32,
    /// Versions 15+; tag 1.
    pub replica_state: ReplicaState,
    pub max_wait_ms: i32,
    pub min_bytes: i32,
    pub max_bytes: i32,
    pub isolation_level: i8,
    /// Versions 7+.
    pub session_id: i32,
    /// Versions 7+.
    pub session_epoch: i32,
    pub topics: Vec<FetchTopic>,
    /// Versions 7+.
    pub forgotten_topics_data: Vec<ForgottenTopic>,
    /// Versions 11+.
    pub rack_id: String,
}

impl Default for FetchRequest {
    fn default() -> Self {
        Self {
            cluster_id: None,
            replica_id: -1,
            replica_state: Default::default(),
            max_wait_ms: 0,
            min_bytes: 0,
            max_bytes: i32::MAX,
            isolation_level: 0,
            session_id: 0,
            session_epoch: -1,
            topics: Default::default(),
            forgotten_topics_data: Default::default(),
            rack_id: String::new(),
        }
    }
}

impl Fields for FetchRequest {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version <= 14 {
            m.replica_id = s.i32()?;
        }
        m.max_wait_ms = s.i32()?;
        m.min_bytes = s.i32()?;
        m.max_bytes = s.i32()?;
        m.isolation_level = s.i8()?;
        if version >= 7 {
            m.session_id = s.i32()?;
            m.session_epoch = s.i32()?;
        }
        m.topics = s.array(|s| FetchTopic::decode(s, version))?;
        if version >= 7 {
            m.forgotten_topics_data = s.array(|s| ForgottenTopic::decode(s, version))?;
        }
        if version >= 11 {
            m.rack_id = s.string()?;
        }
        s.tagged(&[0, 1], |s, tag| {
            match tag {
                0 => m.cluster_id = s.nullable_string()?,
                1 if version >= 15 => m.replica_state = ReplicaState::decode(s, version)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        if version <= 14 {
            w.i32(self.replica_id);
        }
        w.i32(self.max_wait_ms);
        w.i32(self.min_bytes);
        w.i32(self.max_bytes);
        w.i8(self.isolation_level);
        if version >= 7 {
            w.i32(self.session_id);
            w.i32(self.session_epoch);
        }
        w.array(&self.topics, |w, item| item.encode(w, version));
        if version >= 7 {
            w.array(&self.forgotten_topics_data, |w, item| item.encode(w, version));
        }
        if version >= 11 {
            w.string(&self.rack_id);
        }
        w.tagged(|tags| {
            if self.cluster_id.is_some() {
                tags.field(0, |w| w.nullable_string(self.cluster_id.as_deref()));
            }
            if version >= 15 && self.replica_state != ReplicaState::default() {
                tags.field(1, |w| self.replica_state.encode(w, version));
            }
        });
    }
}

impl Message for FetchRequest {
    const KEY: i16 = 1;
    const NAME: &'static str = "FetchRequest";
    const MIN: i16 = 4;
    const MAX: i16 = 18;
    const FLEXIBLE: i16 = 12;
}

#[derive(Debug, Clone, PartialEq)]
pub struct ReplicaState {
    pub replica_id: i32,
    pub replica_epoch: i64,
}

impl Default for ReplicaState {
    fn default() -> Self {
        Self { replica_id: -1, replica_epoch: -1 }
    }
}

impl Fields for ReplicaState {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.replica_id = s.i32()?;
        m.replica_epoch = s.i64()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.i32(self.replica_id);
        w.i64(self.replica_epoch);
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct FetchTopic {
    /// Versions 4 to 12.
    pub topic: String,
    /// Versions 13+.
    pub topic_id: Uuid,
    pub partitions: Vec<FetchPartition>,
}

impl Fields for FetchTopic {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version <= 12 {
            m.topic = s.string()?;
        }
        if version >= 13 {
            m.topic_id = s.uuid()?;
        }
        m.partitions = s.array(|s| FetchPartition::decode(s, version))?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        if version <= 12 {
            w.string(&self.topic);
        }
        if version >= 13 {
            w.uuid(self.topic_id);
        }
        w.array(&self.partitions, |w, item| item.encode(w, version));
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct FetchPartition {
    pub partition: i32,
    /// Versions 9+.
    pub current_leader_epoch: i32,
    pub fetch_offset: i64,
    /// Versions 12+.
    pub last_fetched_epoch: i32,
    /// Versions 5+.
    pub log_start_offset: i64,
    pub partition_max_bytes: i32,
    /// Versions 17+; tag 0.
    pub replica_directory_id: Uuid,
    /// Versions 18+; tag 1.
    pub high_watermark: i64,
}

impl Default for FetchPartition {
    fn default() -> Self {
        Self {
            partition: 0,
            current_leader_epoch: -1,
            fetch_offset: 0,
            last_fetched_epoch: -1,
            log_start_offset: -1,
            partition_max_bytes: 0,
            replica_directory_id: Default::default(),
            high_watermark: i64::MAX,
        }
    }
}

impl Fields for FetchPartition {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.partition = s.i32()?;
        if version >= 9 {
            m.current_leader_epoch = s.i32()?;
        }
        m.fetch_offset = s.i64()?;
        if version >= 12 {
            m.last_fetched_epoch = s.i32()?;
        }
        if version >= 5 {
            m.log_start_offset = s.i64()?;
        }
        m.partition_max_bytes = s.i32()?;
        s.tagged(&[0, 1], |s, tag| {
            match tag {
                0 if version >= 17 => m.replica_directory_id = s.uuid()?,
                1 if version >= 18 => m.high_watermark = s.i64()?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.i32(self.partition);
        if version >= 9 {
            w.i32(self.current_leader_epoch);
        }
        w.i64(self.fetch_offset);
        if version >= 12 {
            w.i32(self.last_fetched_epoch);
        }
        if version >= 5 {
            w.i64(self.log_start_offset);
        }
        w.i32(self.partition_max_bytes);
        w.tagged(|tags| {
            if version >= 17 && self.replica_directory_id != Uuid::ZERO {
                tags.field(0, |w| w.uuid(self.replica_directory_id));
            }
            if version >= 18 && self.high_watermark != i64::MAX {
                tags.field(1, |w| w.i64(self.high_watermark));
            }
        });
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct ForgottenTopic {
    /// Versions 7 to 12.
    pub topic: String,
    /// Versions 13+.
    pub topic_id: Uuid,
    pub partitions: Vec<i32>,
}

impl Fields for ForgottenTopic {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version <= 12 {
            m.topic = s.string()?;
        }
        if version >= 13 {
            m.topic_id = s.uuid()?;
        }
        m.partitions = s.array(S::i32)?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        if version <= 12 {
            w.string(&self.topic);
        }
        if version >= 13 {
            w.uuid(self.topic_id);
        }
        w.array(&self.partitions, |w, item| w.i32(*item));
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct FetchResponse {
    pub throttle_time_ms: i32,
    /// Versions 7+.
    pub error_code: i16,
    /// Versions 7+.
    pub session_id: i32,
    pub responses: Vec<FetchableTopicResponse>,
    /// Versions 16+; tag 0.
    pub node_endpoints: Vec<NodeEndpoint>,
}

impl Fields for FetchResponse {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.throttle_time_ms = s.i32()?;
        if version >= 7 {
            m.error_code = s.i16()?;
            m.session_id = s.i32()?;
        }
        m.responses = s.array(|s| FetchableTopicResponse::decode(s, version))?;
        s.tagged(&[0], |s, tag| {
            match tag {
                0 if version >= 16 => m.node_endpoints = s.array(|s| NodeEndpoint::decode(s, version))?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.i32(self.throttle_time_ms);
        if version >= 7 {
            w.i16(self.error_code);
            w.i32(self.session_id);
        }
        w.array(&self.responses, |w, item| item.encode(w, version));
        w.tagged(|tags| {
            if version >= 16 && !self.node_endpoints.is_empty() {
                tags.field(0, |w| w.array(&self.node_endpoints, |w, item| item.encode(w, version)));
            }
        });
    }
}

impl Message for FetchResponse {
    const KEY: i16 = 1;
    const NAME: &'static str = "FetchResponse";
    const MIN: i16 = 4;
    const MAX: i16 = 18;
    const FLEXIBLE: i16 = 12;
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct FetchableTopicResponse {
    /// Versions 4 to 12.
    pub topic: String,
    /// Versions 13+.
    pub topic_id: Uuid,
    pub partitions: Vec<PartitionData>,
}

impl Fields for FetchableTopicResponse {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version <= 12 {
            m.topic = s.string()?;
        }
        if version >= 13 {
            m.topic_id = s.uuid()?;
        }
        m.partitions = s.array(|s| PartitionData::decode(s, version))?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        if version <= 12 {
            w.string(&self.topic);
        }
        if version >= 13 {
            w.uuid(self.topic_id);
        }
        w.array(&self.partitions, |w, item| item.encode(w, version));
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct PartitionData {
    pub partition_index: i32,
    pub error_code: i16,
    pub high_watermark: i64,
    pub last_stable_offset: i64,
    /// Versions 5+.
    pub log_start_offset: i64,
    /// Versions 12+; tag 0.
    pub diverging_epoch: EpochEndOffset,
    /// Versions 12+; tag 1.
    pub current_leader: LeaderIdAndEpoch,
    /// Versions 12+; tag 2.
    pub snapshot_id: SnapshotId,
    /// May be null.
    pub aborted_transactions: Option<Vec<AbortedTransaction>>,
    /// Versions 11+.
    pub preferred_read_replica: i32,
    /// May be null.
    pub records: Option<Bytes>,
}

impl Default for PartitionData {
    fn default() -> Self {
        Self {
            partition_index: 0,
            error_code: 0,
            high_watermark: 0,
            last_stable_offset: -1,
            log_start_offset: -1,
            diverging_epoch: Default::default(),
            current_leader: Default::default(),
            snapshot_id: Default::default(),
            aborted_transactions: Some(Vec::new()),
            preferred_read_replica: -1,
            records: Some(Bytes::new()),
        }
    }
}

impl Fields for PartitionData {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.partition_index = s.i32()?;
        m.error_code = s.i16()?;
        m.high_watermark = s.i64()?;
        m.last_stable_offset = s.i64()?;
        if version >= 5 {
            m.log_start_offset = s.i64()?;
        }
        m.aborted_transactions = s.nullable_array(|s| AbortedTransaction::decode(s, version))?;
        if version >= 11 {
            m.preferred_read_replica = s.i32()?;
        }
        m.records = s.nullable_bytes()?;
        s.tagged(&[0, 1, 2], |s, tag| {
            match tag {
                0 => m.diverging_epoch = EpochEndOffset::decode(s, version)?,
                1 => m.current_leader = LeaderIdAndEpoch::decode(s, version)?,
                2 => m.snapshot_id = SnapshotId::decode(s, version)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.i32(self.partition_index);
        w.i16(self.error_code);
        w.i64(self.high_watermark);
        w.i64(self.last_stable_offset);
        if version >= 5 {
            w.i64(self.log_start_offset);
        }
        w.nullable_array(self.aborted_transactions.as_deref(), |w, item| item.encode(w, version));
        if version >= 11 {
            w.i32(self.preferred_read_replica);
        }
        w.nullable_bytes(self.records.as_deref());
        w.tagged(|tags| {
            if self.diverging_epoch != EpochEndOffset::default() {
                tags.field(0, |w| self.diverging_epoch.encode(w, version));
            }
            if self.current_leader != LeaderIdAndEpoch::default() {
                tags.field(1, |w| self.current_leader.encode(w, version));
            }
            if self.snapshot_id != SnapshotId::default() {
                tags.field(2, |w| self.snapshot_id.encode(w, version));
            }
        });
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct EpochEndOffset {
    pub epoch: i32,
    pub end_offset: i64,
}

impl Default for EpochEndOffset {
    fn default() -> Self {
        Self { epoch: -1, end_offset: -1 }
    }
}

impl Fields for EpochEndOffset {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.epoch = s.i32()?;
        m.end_offset = s.i64()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.i32(self.epoch);
        w.i64(self.end_offset);
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

#[derive(Debug, Clone, PartialEq)]
pub struct SnapshotId {
    pub end_offset: i64,
    pub epoch: i32,
}

impl Default for SnapshotId {
    fn default() -> Self {
        Self { end_offset: -1, epoch: -1 }
    }
}

impl Fields for SnapshotId {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.end_offset = s.i64()?;
        m.epoch = s.i32()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.i64(self.end_offset);
        w.i32(self.epoch);
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct AbortedTransaction {
    pub producer_id: i64,
    pub first_offset: i64,
}

impl Fields for AbortedTransaction {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.producer_id = s.i64()?;
        m.first_offset = s.i64()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.i64(self.producer_id);
        w.i64(self.first_offset);
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
