//! CreatePartitions (API key 37), versions 0 to 3, flexible from 2: what both sides send.
//! Written by `scripts/generate-kafka-messages.py` from Kafka's message definitions; do not edit.

use crate::dialect::kafka::wire::{Fields, Message, Source, WireError, Writer};

#[derive(Debug, Clone, PartialEq, Default)]
pub struct CreatePartitionsRequest {
    pub topics: Vec<CreatePartitionsTopic>,
    pub timeout_ms: i32,
    pub validate_only: bool,
}

impl Fields for CreatePartitionsRequest {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.topics = s.array(|s| CreatePartitionsTopic::decode(s, version))?;
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

impl Message for CreatePartitionsRequest {
    const KEY: i16 = 37;
    const NAME: &'static str = "CreatePartitionsRequest";
    const MIN: i16 = 0;
    const MAX: i16 = 3;
    const FLEXIBLE: i16 = 2;
}

#[derive(Debug, Clone, PartialEq)]
pub struct CreatePartitionsTopic {
    pub name: String,
    pub count: i32,
    /// May be null.
    pub assignments: Option<Vec<CreatePartitionsAssignment>>,
}

impl Default for CreatePartitionsTopic {
    fn default() -> Self {
        Self { name: String::new(), count: 0, assignments: Some(Vec::new()) }
    }
}

impl Fields for CreatePartitionsTopic {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = s.string()?;
        m.count = s.i32()?;
        m.assignments = s.nullable_array(|s| CreatePartitionsAssignment::decode(s, version))?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.string(&self.name);
        w.i32(self.count);
        w.nullable_array(self.assignments.as_deref(), |w, item| item.encode(w, version));
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct CreatePartitionsAssignment {
    pub broker_ids: Vec<i32>,
}

impl Fields for CreatePartitionsAssignment {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.broker_ids = s.array(S::i32)?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.array(&self.broker_ids, |w, item| w.i32(*item));
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct CreatePartitionsResponse {
    pub throttle_time_ms: i32,
    pub results: Vec<CreatePartitionsTopicResult>,
}

impl Fields for CreatePartitionsResponse {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.throttle_time_ms = s.i32()?;
        m.results = s.array(|s| CreatePartitionsTopicResult::decode(s, version))?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.i32(self.throttle_time_ms);
        w.array(&self.results, |w, item| item.encode(w, version));
        w.no_tags();
    }
}

impl Message for CreatePartitionsResponse {
    const KEY: i16 = 37;
    const NAME: &'static str = "CreatePartitionsResponse";
    const MIN: i16 = 0;
    const MAX: i16 = 3;
    const FLEXIBLE: i16 = 2;
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct CreatePartitionsTopicResult {
    pub name: String,
    pub error_code: i16,
    /// May be null.
    pub error_message: Option<String>,
}

impl Fields for CreatePartitionsTopicResult {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = s.string()?;
        m.error_code = s.i16()?;
        m.error_message = s.nullable_string()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.string(&self.name);
        w.i16(self.error_code);
        w.nullable_string(self.error_message.as_deref());
        w.no_tags();
    }
}
