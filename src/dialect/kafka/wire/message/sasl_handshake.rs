//! SaslHandshake (API key 17), versions 0 to 1: what both sides send.
//! Written by `scripts/generate-kafka-messages.py` from Kafka's message definitions; do not edit.

use crate::dialect::kafka::wire::{Fields, Message, Source, WireError, Writer};

#[derive(Debug, Clone, PartialEq, Default)]
pub struct SaslHandshakeRequest {
    pub mechanism: String,
}

impl Fields for SaslHandshakeRequest {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.mechanism = s.string()?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.string(&self.mechanism);
    }
}

impl Message for SaslHandshakeRequest {
    const KEY: i16 = 17;
    const NAME: &'static str = "SaslHandshakeRequest";
    const MIN: i16 = 0;
    const MAX: i16 = 1;
    const FLEXIBLE: i16 = i16::MAX;
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct SaslHandshakeResponse {
    pub error_code: i16,
    pub mechanisms: Vec<String>,
}

impl Fields for SaslHandshakeResponse {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.error_code = s.i16()?;
        m.mechanisms = s.array(S::string)?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.i16(self.error_code);
        w.array(&self.mechanisms, |w, item| w.string(item));
    }
}

impl Message for SaslHandshakeResponse {
    const KEY: i16 = 17;
    const NAME: &'static str = "SaslHandshakeResponse";
    const MIN: i16 = 0;
    const MAX: i16 = 1;
    const FLEXIBLE: i16 = i16::MAX;
}
