//! ShareGroupDescribe (API key 77), versions 1 to 1, flexible from 1: what both sides send.
//! Written by `scripts/generate-kafka-messages.py` from Kafka's message definitions; do not edit.

use crate::dialect::kafka::wire::{Fields, Message, Source, Uuid, WireError, Writer};

#[derive(Debug, Clone, PartialEq, Default)]
pub struct ShareGroupDescribeRequest {
    pub group_ids: Vec<String>,
    pub include_authorized_operations: bool,
}

impl Fields for ShareGroupDescribeRequest {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.group_ids = s.array(S::string)?;
        m.include_authorized_operations = s.bool()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.array(&self.group_ids, |w, item| w.string(item));
        w.bool(self.include_authorized_operations);
        w.no_tags();
    }
}

impl Message for ShareGroupDescribeRequest {
    const KEY: i16 = 77;
    const NAME: &'static str = "ShareGroupDescribeRequest";
    const MIN: i16 = 1;
    const MAX: i16 = 1;
    const FLEXIBLE: i16 = 1;
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct ShareGroupDescribeResponse {
    pub throttle_time_ms: i32,
    pub groups: Vec<DescribedGroup>,
}

impl Fields for ShareGroupDescribeResponse {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.throttle_time_ms = s.i32()?;
        m.groups = s.array(|s| DescribedGroup::decode(s, version))?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.i32(self.throttle_time_ms);
        w.array(&self.groups, |w, item| item.encode(w, version));
        w.no_tags();
    }
}

impl Message for ShareGroupDescribeResponse {
    const KEY: i16 = 77;
    const NAME: &'static str = "ShareGroupDescribeResponse";
    const MIN: i16 = 1;
    const MAX: i16 = 1;
    const FLEXIBLE: i16 = 1;
}

#[derive(Debug, Clone, PartialEq)]
pub struct DescribedGroup {
    pub error_code: i16,
    /// May be null.
    pub error_message: Option<String>,
    pub group_id: String,
    pub group_state: String,
    pub group_epoch: i32,
    pub assignment_epoch: i32,
    pub assignor_name: String,
    pub members: Vec<Member>,
    pub authorized_operations: i32,
}

impl Default for DescribedGroup {
    fn default() -> Self {
        Self {
            error_code: 0,
            error_message: None,
            group_id: String::new(),
            group_state: String::new(),
            group_epoch: 0,
            assignment_epoch: 0,
            assignor_name: String::new(),
            members: Default::default(),
            authorized_operations: -2147483648,
        }
    }
}

impl Fields for DescribedGroup {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.error_code = s.i16()?;
        m.error_message = s.nullable_string()?;
        m.group_id = s.string()?;
        m.group_state = s.string()?;
        m.group_epoch = s.i32()?;
        m.assignment_epoch = s.i32()?;
        m.assignor_name = s.string()?;
        m.members = s.array(|s| Member::decode(s, version))?;
        m.authorized_operations = s.i32()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.i16(self.error_code);
        w.nullable_string(self.error_message.as_deref());
        w.string(&self.group_id);
        w.string(&self.group_state);
        w.i32(self.group_epoch);
        w.i32(self.assignment_epoch);
        w.string(&self.assignor_name);
        w.array(&self.members, |w, item| item.encode(w, version));
        w.i32(self.authorized_operations);
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Member {
    pub member_id: String,
    /// May be null.
    pub rack_id: Option<String>,
    pub member_epoch: i32,
    pub client_id: String,
    pub client_host: String,
    pub subscribed_topic_names: Vec<String>,
    pub assignment: Assignment,
}

impl Fields for Member {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.member_id = s.string()?;
        m.rack_id = s.nullable_string()?;
        m.member_epoch = s.i32()?;
        m.client_id = s.string()?;
        m.client_host = s.string()?;
        m.subscribed_topic_names = s.array(S::string)?;
        m.assignment = Assignment::decode(s, version)?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.string(&self.member_id);
        w.nullable_string(self.rack_id.as_deref());
        w.i32(self.member_epoch);
        w.string(&self.client_id);
        w.string(&self.client_host);
        w.array(&self.subscribed_topic_names, |w, item| w.string(item));
        self.assignment.encode(w, version);
        w.no_tags();
    }
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
    pub topic_name: String,
    pub partitions: Vec<i32>,
}

impl Fields for TopicPartitions {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.topic_id = s.uuid()?;
        m.topic_name = s.string()?;
        m.partitions = s.array(S::i32)?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.uuid(self.topic_id);
        w.string(&self.topic_name);
        w.array(&self.partitions, |w, item| w.i32(*item));
        w.no_tags();
    }
}
