//! ConsumerGroupHeartbeat (API key 68), versions 0 to 1, flexible from 0: what both sides send.
//! Written by `scripts/generate-kafka-messages.py` from Kafka's message definitions; do not edit.

use crate::dialect::kafka::wire::{Fields, Message, Source, Uuid, WireError, Writer};

#[derive(Debug, Clone, PartialEq)]
pub struct ConsumerGroupHeartbeatRequest {
    pub group_id: String,
    pub member_id: String,
    pub member_epoch: i32,
    /// May be null.
    pub instance_id: Option<String>,
    /// May be null.
    pub rack_id: Option<String>,
    pub rebalance_timeout_ms: i32,
    /// May be null.
    pub subscribed_topic_names: Option<Vec<String>>,
    /// Versions 1+; may be null.
    pub subscribed_topic_regex: Option<String>,
    /// May be null.
    pub server_assignor: Option<String>,
    /// May be null.
    pub topic_partitions: Option<Vec<TopicPartitions>>,
}

impl Default for ConsumerGroupHeartbeatRequest {
    fn default() -> Self {
        Self {
            group_id: String::new(),
            member_id: String::new(),
            member_epoch: 0,
            instance_id: None,
            rack_id: None,
            rebalance_timeout_ms: -1,
            subscribed_topic_names: None,
            subscribed_topic_regex: None,
            server_assignor: None,
            topic_partitions: None,
        }
    }
}

impl Fields for ConsumerGroupHeartbeatRequest {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.group_id = s.string()?;
        m.member_id = s.string()?;
        m.member_epoch = s.i32()?;
        m.instance_id = s.nullable_string()?;
        m.rack_id = s.nullable_string()?;
        m.rebalance_timeout_ms = s.i32()?;
        m.subscribed_topic_names = s.nullable_array(S::string)?;
        if version >= 1 {
            m.subscribed_topic_regex = s.nullable_string()?;
        }
        m.server_assignor = s.nullable_string()?;
        m.topic_partitions = s.nullable_array(|s| TopicPartitions::decode(s, version))?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.string(&self.group_id);
        w.string(&self.member_id);
        w.i32(self.member_epoch);
        w.nullable_string(self.instance_id.as_deref());
        w.nullable_string(self.rack_id.as_deref());
        w.i32(self.rebalance_timeout_ms);
        w.nullable_array(self.subscribed_topic_names.as_deref(), |w, item| w.string(item));
        if version >= 1 {
            w.nullable_string(self.subscribed_topic_regex.as_deref());
        }
        w.nullable_string(self.server_assignor.as_deref());
        w.nullable_array(self.topic_partitions.as_deref(), |w, item| item.encode(w, version));
        w.no_tags();
    }
}

impl Message for ConsumerGroupHeartbeatRequest {
    const KEY: i16 = 68;
    const NAME: &'static str = "ConsumerGroupHeartbeatRequest";
    const MIN: i16 = 0;
    const MAX: i16 = 1;
    const FLEXIBLE: i16 = 0;
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct TopicPartitions {
    pub topic_id: Uuid,
    pub partitions: Vec<i32>,
}

impl Fields for TopicPartitions {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.topic_id = s.uuid()?;
        m.partitions = s.array(S::i32)?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.uuid(self.topic_id);
        w.array(&self.partitions, |w, item| w.i32(*item));
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct ConsumerGroupHeartbeatResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    /// May be null.
    pub error_message: Option<String>,
    /// May be null.
    pub member_id: Option<String>,
    pub member_epoch: i32,
    pub heartbeat_interval_ms: i32,
    /// May be null.
    pub assignment: Option<Assignment>,
}

impl Fields for ConsumerGroupHeartbeatResponse {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.throttle_time_ms = s.i32()?;
        m.error_code = s.i16()?;
        m.error_message = s.nullable_string()?;
        m.member_id = s.nullable_string()?;
        m.member_epoch = s.i32()?;
        m.heartbeat_interval_ms = s.i32()?;
        m.assignment = s.nullable_struct(|s| Assignment::decode(s, version))?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.i32(self.throttle_time_ms);
        w.i16(self.error_code);
        w.nullable_string(self.error_message.as_deref());
        w.nullable_string(self.member_id.as_deref());
        w.i32(self.member_epoch);
        w.i32(self.heartbeat_interval_ms);
        w.nullable_struct(self.assignment.as_ref(), |w, item| item.encode(w, version));
        w.no_tags();
    }
}

impl Message for ConsumerGroupHeartbeatResponse {
    const KEY: i16 = 68;
    const NAME: &'static str = "ConsumerGroupHeartbeatResponse";
    const MIN: i16 = 0;
    const MAX: i16 = 1;
    const FLEXIBLE: i16 = 0;
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Assignment {
    pub topic_partitions: Vec<ResponseTopicPartitions>,
}

impl Fields for Assignment {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.topic_partitions = s.array(|s| ResponseTopicPartitions::decode(s, version))?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.array(&self.topic_partitions, |w, item| item.encode(w, version));
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct ResponseTopicPartitions {
    pub topic_id: Uuid,
    pub partitions: Vec<i32>,
}

impl Fields for ResponseTopicPartitions {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.topic_id = s.uuid()?;
        m.partitions = s.array(S::i32)?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.uuid(self.topic_id);
        w.array(&self.partitions, |w, item| w.i32(*item));
        w.no_tags();
    }
}
