//! DeleteTopics (API key 20), versions 1 to 6, flexible from 4: what both sides send.
//! Written by `scripts/generate-kafka-messages.py` from Kafka's message definitions; do not edit.

use crate::dialect::kafka::wire::{Fields, Message, Source, Uuid, WireError, Writer};

#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeleteTopicsRequest {
    /// Versions 6+.
    pub topics: Vec<DeleteTopicState>,
    /// Versions 1 to 5.
    pub topic_names: Vec<String>,
    pub timeout_ms: i32,
}

impl Fields for DeleteTopicsRequest {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version >= 6 {
            m.topics = s.array(|s| DeleteTopicState::decode(s, version))?;
        }
        if version <= 5 {
            m.topic_names = s.array(S::string)?;
        }
        m.timeout_ms = s.i32()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        if version >= 6 {
            w.array(&self.topics, |w, item| item.encode(w, version));
        }
        if version <= 5 {
            w.array(&self.topic_names, |w, item| w.string(item));
        }
        w.i32(self.timeout_ms);
        w.no_tags();
    }
}

impl Message for DeleteTopicsRequest {
    const KEY: i16 = 20;
    const NAME: &'static str = "DeleteTopicsRequest";
    const MIN: i16 = 1;
    const MAX: i16 = 6;
    const FLEXIBLE: i16 = 4;
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeleteTopicState {
    /// May be null.
    pub name: Option<String>,
    pub topic_id: Uuid,
}

impl Fields for DeleteTopicState {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = s.nullable_string()?;
        m.topic_id = s.uuid()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.nullable_string(self.name.as_deref());
        w.uuid(self.topic_id);
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeleteTopicsResponse {
    pub throttle_time_ms: i32,
    pub responses: Vec<DeletableTopicResult>,
}

impl Fields for DeleteTopicsResponse {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.throttle_time_ms = s.i32()?;
        m.responses = s.array(|s| DeletableTopicResult::decode(s, version))?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.i32(self.throttle_time_ms);
        w.array(&self.responses, |w, item| item.encode(w, version));
        w.no_tags();
    }
}

impl Message for DeleteTopicsResponse {
    const KEY: i16 = 20;
    const NAME: &'static str = "DeleteTopicsResponse";
    const MIN: i16 = 1;
    const MAX: i16 = 6;
    const FLEXIBLE: i16 = 4;
}

#[derive(Debug, Clone, PartialEq)]
pub struct DeletableTopicResult {
    /// May be null from version 6.
    pub name: Option<String>,
    /// Versions 6+.
    pub topic_id: Uuid,
    pub error_code: i16,
    /// Versions 5+; may be null.
    pub error_message: Option<String>,
}

impl Default for DeletableTopicResult {
    fn default() -> Self {
        Self { name: Some(String::new()), topic_id: Default::default(), error_code: 0, error_message: None }
    }
}

impl Fields for DeletableTopicResult {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = if version >= 6 { s.nullable_string()? } else { Some(s.string()?) };
        if version >= 6 {
            m.topic_id = s.uuid()?;
        }
        m.error_code = s.i16()?;
        if version >= 5 {
            m.error_message = s.nullable_string()?;
        }
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        if version >= 6 {
            w.nullable_string(self.name.as_deref());
        } else {
            w.string(self.name.as_deref().unwrap_or_default());
        }
        if version >= 6 {
            w.uuid(self.topic_id);
        }
        w.i16(self.error_code);
        if version >= 5 {
            w.nullable_string(self.error_message.as_deref());
        }
        w.no_tags();
    }
}
