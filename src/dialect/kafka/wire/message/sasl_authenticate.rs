//! SaslAuthenticate (API key 36), versions 0 to 2, flexible from 2: what both sides send.
//! Written by `scripts/generate-kafka-messages.py` from Kafka's message definitions; do not edit.

use bytes::Bytes;

use crate::dialect::kafka::wire::{Fields, Message, Source, WireError, Writer};

#[derive(Debug, Clone, PartialEq, Default)]
pub struct SaslAuthenticateRequest {
    pub auth_bytes: Bytes,
}

impl Fields for SaslAuthenticateRequest {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.auth_bytes = s.bytes()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.bytes(&self.auth_bytes);
        w.no_tags();
    }
}

impl Message for SaslAuthenticateRequest {
    const KEY: i16 = 36;
    const NAME: &'static str = "SaslAuthenticateRequest";
    const MIN: i16 = 0;
    const MAX: i16 = 2;
    const FLEXIBLE: i16 = 2;
}

#[derive(Debug, Clone, PartialEq)]
pub struct SaslAuthenticateResponse {
    pub error_code: i16,
    /// May be null.
    pub error_message: Option<String>,
    pub auth_bytes: Bytes,
    /// Versions 1+.
    pub session_lifetime_ms: i64,
}

impl Default for SaslAuthenticateResponse {
    fn default() -> Self {
        Self { error_code: 0, error_message: Some(String::new()), auth_bytes: Default::default(), session_lifetime_ms: 0 }
    }
}

impl Fields for SaslAuthenticateResponse {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.error_code = s.i16()?;
        m.error_message = s.nullable_string()?;
        m.auth_bytes = s.bytes()?;
        if version >= 1 {
            m.session_lifetime_ms = s.i64()?;
        }
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.i16(self.error_code);
        w.nullable_string(self.error_message.as_deref());
        w.bytes(&self.auth_bytes);
        if version >= 1 {
            w.i64(self.session_lifetime_ms);
        }
        w.no_tags();
    }
}

impl Message for SaslAuthenticateResponse {
    const KEY: i16 = 36;
    const NAME: &'static str = "SaslAuthenticateResponse";
    const MIN: i16 = 0;
    const MAX: i16 = 2;
    const FLEXIBLE: i16 = 2;
}
