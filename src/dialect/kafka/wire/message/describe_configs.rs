//! DescribeConfigs (API key 32), versions 1 to 4, flexible from 4: what both sides send.
//! Written by `scripts/generate-kafka-messages.py` from Kafka's message definitions; do not edit.

use crate::dialect::kafka::wire::{Fields, Message, Source, WireError, Writer};

#[derive(Debug, Clone, PartialEq, Default)]
pub struct DescribeConfigsRequest {
    pub resources: Vec<DescribeConfigsResource>,
    pub include_synonyms: bool,
    /// Versions 3+.
    pub include_documentation: bool,
}

impl Fields for DescribeConfigsRequest {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.resources = s.array(|s| DescribeConfigsResource::decode(s, version))?;
        m.include_synonyms = s.bool()?;
        if version >= 3 {
            m.include_documentation = s.bool()?;
        }
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.array(&self.resources, |w, item| item.encode(w, version));
        w.bool(self.include_synonyms);
        if version >= 3 {
            w.bool(self.include_documentation);
        }
        w.no_tags();
    }
}

impl Message for DescribeConfigsRequest {
    const KEY: i16 = 32;
    const NAME: &'static str = "DescribeConfigsRequest";
    const MIN: i16 = 1;
    const MAX: i16 = 4;
    const FLEXIBLE: i16 = 4;
}

#[derive(Debug, Clone, PartialEq)]
pub struct DescribeConfigsResource {
    pub resource_type: i8,
    pub resource_name: String,
    /// May be null.
    pub configuration_keys: Option<Vec<String>>,
}

impl Default for DescribeConfigsResource {
    fn default() -> Self {
        Self { resource_type: 0, resource_name: String::new(), configuration_keys: Some(Vec::new()) }
    }
}

impl Fields for DescribeConfigsResource {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.resource_type = s.i8()?;
        m.resource_name = s.string()?;
        m.configuration_keys = s.nullable_array(S::string)?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.i8(self.resource_type);
        w.string(&self.resource_name);
        w.nullable_array(self.configuration_keys.as_deref(), |w, item| w.string(item));
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct DescribeConfigsResponse {
    pub throttle_time_ms: i32,
    pub results: Vec<DescribeConfigsResult>,
}

impl Fields for DescribeConfigsResponse {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.throttle_time_ms = s.i32()?;
        m.results = s.array(|s| DescribeConfigsResult::decode(s, version))?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.i32(self.throttle_time_ms);
        w.array(&self.results, |w, item| item.encode(w, version));
        w.no_tags();
    }
}

impl Message for DescribeConfigsResponse {
    const KEY: i16 = 32;
    const NAME: &'static str = "DescribeConfigsResponse";
    const MIN: i16 = 1;
    const MAX: i16 = 4;
    const FLEXIBLE: i16 = 4;
}

#[derive(Debug, Clone, PartialEq)]
pub struct DescribeConfigsResult {
    pub error_code: i16,
    /// May be null.
    pub error_message: Option<String>,
    pub resource_type: i8,
    pub resource_name: String,
    pub configs: Vec<DescribeConfigsResourceResult>,
}

impl Default for DescribeConfigsResult {
    fn default() -> Self {
        Self {
            error_code: 0,
            error_message: Some(String::new()),
            resource_type: 0,
            resource_name: String::new(),
            configs: Default::default(),
        }
    }
}

impl Fields for DescribeConfigsResult {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.error_code = s.i16()?;
        m.error_message = s.nullable_string()?;
        m.resource_type = s.i8()?;
        m.resource_name = s.string()?;
        m.configs = s.array(|s| DescribeConfigsResourceResult::decode(s, version))?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.i16(self.error_code);
        w.nullable_string(self.error_message.as_deref());
        w.i8(self.resource_type);
        w.string(&self.resource_name);
        w.array(&self.configs, |w, item| item.encode(w, version));
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct DescribeConfigsResourceResult {
    pub name: String,
    /// May be null.
    pub value: Option<String>,
    pub read_only: bool,
    pub config_source: i8,
    pub is_sensitive: bool,
    pub synonyms: Vec<DescribeConfigsSynonym>,
    /// Versions 3+.
    pub config_type: i8,
    /// Versions 3+; may be null.
    pub documentation: Option<String>,
}

impl Default for DescribeConfigsResourceResult {
    fn default() -> Self {
        Self {
            name: String::new(),
            value: Some(String::new()),
            read_only: false,
            config_source: -1,
            is_sensitive: false,
            synonyms: Default::default(),
            config_type: 0,
            documentation: Some(String::new()),
        }
    }
}

impl Fields for DescribeConfigsResourceResult {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = s.string()?;
        m.value = s.nullable_string()?;
        m.read_only = s.bool()?;
        m.config_source = s.i8()?;
        m.is_sensitive = s.bool()?;
        m.synonyms = s.array(|s| DescribeConfigsSynonym::decode(s, version))?;
        if version >= 3 {
            m.config_type = s.i8()?;
            m.documentation = s.nullable_string()?;
        }
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.string(&self.name);
        w.nullable_string(self.value.as_deref());
        w.bool(self.read_only);
        w.i8(self.config_source);
        w.bool(self.is_sensitive);
        w.array(&self.synonyms, |w, item| item.encode(w, version));
        if version >= 3 {
            w.i8(self.config_type);
            w.nullable_string(self.documentation.as_deref());
        }
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct DescribeConfigsSynonym {
    pub name: String,
    /// May be null.
    pub value: Option<String>,
    pub source: i8,
}

impl Default for DescribeConfigsSynonym {
    fn default() -> Self {
        Self { name: String::new(), value: Some(String::new()), source: 0 }
    }
}

impl Fields for DescribeConfigsSynonym {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = s.string()?;
        m.value = s.nullable_string()?;
        m.source = s.i8()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.string(&self.name);
        w.nullable_string(self.value.as_deref());
        w.i8(self.source);
        w.no_tags();
    }
}
