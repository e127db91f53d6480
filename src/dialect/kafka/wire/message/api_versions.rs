//! ApiVersions (API key 18), versions 0 to 4, flexible from 3: what both sides send.
//! Written by `scripts/generate-kafka-messages.py` from Kafka's message definitions; do not edit.

use crate::dialect::kafka::wire::{Fields, Message, Source, WireError, Writer};

#[derive(Debug, Clone, PartialEq, Default)]
pub struct ApiVersionsRequest {
    /// Versions 3+.
    pub client_software_name: String,
    /// Versions 3+.
    pub client_software_version: String,
}

impl Fields for ApiVersionsRequest {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version >= 3 {
            m.client_software_name = s.string()?;
            m.client_software_version = s.string()?;
        }
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        if version >= 3 {
            w.string(&self.client_software_name);
            w.string(&self.client_software_version);
        }
        w.no_tags();
    }
}

impl Message for ApiVersionsRequest {
    const KEY: i16 = 18;
    const NAME: &'static str = "ApiVersionsRequest";
    const MIN: i16 = 0;
    const MAX: i16 = 4;
    const FLEXIBLE: i16 = 3;
}

#[derive(Debug, Clone, PartialEq)]
pub struct ApiVersionsResponse {
    pub error_code: i16,
    pub api_keys: Vec<ApiVersion>,
    /// Versions 1+.
    pub throttle_time_ms: i32,
    /// Versions 3+; tag 0.
    pub supported_features: Vec<SupportedFeatureKey>,
    /// Versions 3+; tag 1.
    pub finalized_features_epoch: i64,
    /// Versions 3+; tag 2.
    pub finalized_features: Vec<FinalizedFeatureKey>,
    /// Versions 3+; tag 3.
    pub zk_migration_ready: bool,
}

impl Default for ApiVersionsResponse {
    fn default() -> Self {
        Self {
            error_code: 0,
            api_keys: Default::default(),
            throttle_time_ms: 0,
            supported_features: Default::default(),
            finalized_features_epoch: -1,
            finalized_features: Default::default(),
            zk_migration_ready: false,
        }
    }
}

impl Fields for ApiVersionsResponse {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.error_code = s.i16()?;
        m.api_keys = s.array(|s| ApiVersion::decode(s, version))?;
        if version >= 1 {
            m.throttle_time_ms = s.i32()?;
        }
        s.tagged(&[0, 1, 2, 3], |s, tag| {
            match tag {
                0 => m.supported_features = s.array(|s| SupportedFeatureKey::decode(s, version))?,
                1 => m.finalized_features_epoch = s.i64()?,
                2 => m.finalized_features = s.array(|s| FinalizedFeatureKey::decode(s, version))?,
                3 => m.zk_migration_ready = s.bool()?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.i16(self.error_code);
        w.array(&self.api_keys, |w, item| item.encode(w, version));
        if version >= 1 {
            w.i32(self.throttle_time_ms);
        }
        w.tagged(|tags| {
            if !self.supported_features.is_empty() {
                tags.field(0, |w| w.array(&self.supported_features, |w, item| item.encode(w, version)));
            }
            if self.finalized_features_epoch != -1 {
                tags.field(1, |w| w.i64(self.finalized_features_epoch));
            }
            if !self.finalized_features.is_empty() {
                tags.field(2, |w| w.array(&self.finalized_features, |w, item| item.encode(w, version)));
            }
            if self.zk_migration_ready {
                tags.field(3, |w| w.bool(self.zk_migration_ready));
            }
        });
    }
}

impl Message for ApiVersionsResponse {
    const KEY: i16 = 18;
    const NAME: &'static str = "ApiVersionsResponse";
    const MIN: i16 = 0;
    const MAX: i16 = 4;
    const FLEXIBLE: i16 = 3;
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct ApiVersion {
    pub api_key: i16,
    pub min_version: i16,
    pub max_version: i16,
}

impl Fields for ApiVersion {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.api_key = s.i16()?;
        m.min_version = s.i16()?;
        m.max_version = s.i16()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.i16(self.api_key);
        w.i16(self.min_version);
        w.i16(self.max_version);
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct SupportedFeatureKey {
    pub name: String,
    pub min_version: i16,
    pub max_version: i16,
}

impl Fields for SupportedFeatureKey {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = s.string()?;
        m.min_version = s.i16()?;
        m.max_version = s.i16()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.string(&self.name);
        w.i16(self.min_version);
        w.i16(self.max_version);
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct FinalizedFeatureKey {
    pub name: String,
    pub max_version_level: i16,
    pub min_version_level: i16,
}

impl Fields for FinalizedFeatureKey {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = s.string()?;
        m.max_version_level = s.i16()?;
        m.min_version_level = s.i16()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.string(&self.name);
        w.i16(self.max_version_level);
        w.i16(self.min_version_level);
        w.no_tags();
    }
}
