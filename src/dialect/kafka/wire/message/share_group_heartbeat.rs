//! ShareGroupHeartbeat (API key 76), versions 1 to 1, flexible from 1: what both sides send.
//! Written by `scripts/generate-kafka-messages.py` from Kafka's message definitions; do not edit.

use crate::dialect::kafka::wire::{Fields, Message, Source, Uuid, WireError, Writer};

#[derive(Debug, Clone, PartialEq, Default)]
pub struct ShareGroupHeartbeatRequest {
    pub group_id: String,
    pub member_id: String,
    pub member_epoch: i32,
    /// May be null.
    pub rack_id: Option<String>,
    /// May be null.
    pub subscribed_topic_names: Option<Vec<String>>,
}

impl Fields for ShareGroupHeartbeatRequest {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.group_id = s.string()?;
        m.member_id = s.string()?;
        m.member_epoch = s.i32()?;
        m.rack_id = s.nullable_string()?;
        m.subscribed_topic_names = s.nullable_array(S::string)?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.string(&self.group_id);
        w.string(&self.member_id);
        w.i32(self.member_epoch);
        w.nullable_string(self.rack_id.as_deref());
        w.nullable_array(self.subscribed_topic_names.as_deref(), |w, item| w.string(item));
        w.no_tags();
    }
}

impl Message for ShareGroupHeartbeatRequest {
    const KEY: i16 = 76;
    const NAME: &'static str = "ShareGroupHeartbeatRequest";
    const MIN: i16 = 1;
    const MAX: i16 = 1;
    const FLEXIBLE: i16 = 1;
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct ShareGroupHeartbeatResponse {
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

impl Fields for ShareGroupHeartbeatResponse {
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

impl Message for ShareGroupHeartbeatResponse {
    const KEY: i16 = 76;
    const NAME: &'static str = "ShareGroupHeartbeatResponse";
    const MIN: i16 = 1;
    const MAX: i16 = 1;
    const FLEXIBLE: i16 = 1;
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Assignment {
    pub topic_partitions: Vec<TopicPartitions>,
}

impl Fields for Assignment {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.topic_partitions = s.array(|s| TopicPartitions::decode(s, version))?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.array(&self.topic_partitions, |w, item| item.encode(w, version));
        w.no_tags();
    }
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
