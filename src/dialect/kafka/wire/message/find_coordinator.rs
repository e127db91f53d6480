//! FindCoordinator (API key 10), versions 0 to 6, flexible from 3: what both sides send.
//! Written by `scripts/generate-kafka-messages.py` from Kafka's message definitions; do not edit.

use crate::dialect::kafka::wire::{Fields, Message, Source, WireError, Writer};

#[derive(Debug, Clone, PartialEq, Default)]
pub struct FindCoordinatorRequest {
    /// Versions 0 to 3.
    pub key: String,
    /// Versions 1+.
    pub key_type: i8,
    /// Versions 4+.
    pub coordinator_keys: Vec<String>,
}

impl Fields for FindCoordinatorRequest {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version <= 3 {
            m.key = s.string()?;
        }
        if version >= 1 {
            m.key_type = s.i8()?;
        }
        if version >= 4 {
            m.coordinator_keys = s.array(S::string)?;
        }
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        if version <= 3 {
            w.string(&self.key);
        }
        if version >= 1 {
            w.i8(self.key_type);
        }
        if version >= 4 {
            w.array(&self.coordinator_keys, |w, item| w.string(item));
        }
        w.no_tags();
    }
}

impl Message for FindCoordinatorRequest {
    const KEY: i16 = 10;
    const NAME: &'static str = "FindCoordinatorRequest";
    const MIN: i16 = 0;
    const MAX: i16 = 6;
    const FLEXIBLE: i16 = 3;
}

#[derive(Debug, Clone, PartialEq)]
pub struct FindCoordinatorResponse {
    /// Versions 1+.
    pub throttle_time_ms: i32,
    /// Versions 0 to 3.
    pub error_code: i16,
    /// Versions 1 to 3; may be null.
    pub error_message: Option<String>,
    /// Versions 0 to 3.
    pub node_id: i32,
    /// Versions 0 to 3.
    pub host: String,
    /// Versions 0 to 3.
    pub port: i32,
    /// Versions 4+.
    pub coordinators: Vec<Coordinator>,
}

impl Default for FindCoordinatorResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            error_code: 0,
            error_message: Some(String::new()),
            node_id: 0,
            host: String::new(),
            port: 0,
            coordinators: Default::default(),
        }
    }
}

impl Fields for FindCoordinatorResponse {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version >= 1 {
            m.throttle_time_ms = s.i32()?;
        }
        if version <= 3 {
            m.error_code = s.i16()?;
        }
        if (1..=3).contains(&version) {
            m.error_message = s.nullable_string()?;
        }
        if version <= 3 {
            m.node_id = s.i32()?;
            m.host = s.string()?;
            m.port = s.i32()?;
        }
        if version >= 4 {
            m.coordinators = s.array(|s| Coordinator::decode(s, version))?;
        }
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        if version >= 1 {
            w.i32(self.throttle_time_ms);
        }
        if version <= 3 {
            w.i16(self.error_code);
        }
        if (1..=3).contains(&version) {
            w.nullable_string(self.error_message.as_deref());
        }
        if version <= 3 {
            w.i32(self.node_id);
            w.string(&self.host);
            w.i32(self.port);
        }
        if version >= 4 {
            w.array(&self.coordinators, |w, item| item.encode(w, version));
        }
        w.no_tags();
    }
}

impl Message for FindCoordinatorResponse {
    const KEY: i16 = 10;
    const NAME: &'static str = "FindCoordinatorResponse";
    const MIN: i16 = 0;
    const MAX: i16 = 6;
    const FLEXIBLE: i16 = 3;
}

#[derive(Debug, Clone, PartialEq)]
pub struct Coordinator {
    pub key: String,
    pub node_id: i32,
    pub host: String,
    pub port: i32,
    pub error_code: i16,
    /// May be null.
    pub error_message: Option<String>,
}

impl Default for Coordinator {
    fn default() -> Self {
        Self { key: String::new(), node_id: 0, host: String::new(), port: 0, error_code: 0, error_message: Some(String::new()) }
    }
}

impl Fields for Coordinator {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.key = s.string()?;
        m.node_id = s.i32()?;
        m.host = s.string()?;
        m.port = s.i32()?;
        m.error_code = s.i16()?;
        m.error_message = s.nullable_string()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.string(&self.key);
        w.i32(self.node_id);
        w.string(&self.host);
        w.i32(self.port);
        w.i16(self.error_code);
        w.nullable_string(self.error_message.as_deref());
        w.no_tags();
    }
}
