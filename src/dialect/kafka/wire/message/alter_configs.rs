//! AlterConfigs (API key 33), versions 0 to 2, flexible from 2: what both sides send.
//! Written by `scripts/generate-kafka-messages.py` from Kafka's message definitions; do not edit.

use crate::dialect::kafka::wire::{Fields, Message, Source, WireError, Writer};

#[derive(Debug, Clone, PartialEq, Default)]
pub struct AlterConfigsRequest {
    pub resources: Vec<AlterConfigsResource>,
    pub validate_only: bool,
}

impl Fields for AlterConfigsRequest {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.resources = s.array(|s| AlterConfigsResource::decode(s, version))?;
        m.validate_only = s.bool()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.array(&self.resources, |w, item| item.encode(w, version));
        w.bool(self.validate_only);
        w.no_tags();
    }
}

impl Message for AlterConfigsRequest {
    const KEY: i16 = 33;
    const NAME: &'static str = "AlterConfigsRequest";
    const MIN: i16 = 0;
    const MAX: i16 = 2;
    const FLEXIBLE: i16 = 2;
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct AlterConfigsResource {
    pub resource_type: i8,
    pub resource_name: String,
    pub configs: Vec<AlterableConfig>,
}

impl Fields for AlterConfigsResource {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.resource_type = s.i8()?;
        m.resource_name = s.string()?;
        m.configs = s.array(|s| AlterableConfig::decode(s, version))?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.i8(self.resource_type);
        w.string(&self.resource_name);
        w.array(&self.configs, |w, item| item.encode(w, version));
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct AlterableConfig {
    pub name: String,
    /// May be null.
    pub value: Option<String>,
}

impl Default for AlterableConfig {
    fn default() -> Self {
        Self { name: String::new(), value: Some(String::new()) }
    }
}

impl Fields for AlterableConfig {
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
pub struct AlterConfigsResponse {
    pub throttle_time_ms: i32,
    pub responses: Vec<AlterConfigsResourceResponse>,
}

impl Fields for AlterConfigsResponse {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.throttle_time_ms = s.i32()?;
        m.responses = s.array(|s| AlterConfigsResourceResponse::decode(s, version))?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.i32(self.throttle_time_ms);
        w.array(&self.responses, |w, item| item.encode(w, version));
        w.no_tags();
    }
}

impl Message for AlterConfigsResponse {
    const KEY: i16 = 33;
    const NAME: &'static str = "AlterConfigsResponse";
    const MIN: i16 = 0;
    const MAX: i16 = 2;
    const FLEXIBLE: i16 = 2;
}

#[derive(Debug, Clone, PartialEq)]
pub struct AlterConfigsResourceResponse {
    pub error_code: i16,
    /// May be null.
    pub error_message: Option<String>,
    pub resource_type: i8,
    pub resource_name: String,
}

impl Default for AlterConfigsResourceResponse {
    fn default() -> Self {
        Self { error_code: 0, error_message: Some(String::new()), resource_type: 0, resource_name: String::new() }
    }
}

impl Fields for AlterConfigsResourceResponse {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.error_code = s.i16()?;
        m.error_message = s.nullable_string()?;
        m.resource_type = s.i8()?;
        m.resource_name = s.string()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.i16(self.error_code);
        w.nullable_string(self.error_message.as_deref());
        w.i8(self.resource_type);
        w.string(&self.resource_name);
        w.no_tags();
    }
}
