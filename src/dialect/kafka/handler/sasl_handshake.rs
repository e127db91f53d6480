//! SaslHandshake (key 17), versions 0 and 1: PLAIN is the one mechanism. After version 0 the tokens come without a header
//! around them, after version 1 in SaslAuthenticate (KIP-152); only the latter is spoken.

use super::super::call::Call;
use super::super::error::ErrorCode;
use super::super::sasl::MECHANISM;
use super::super::wire::message::sasl_handshake::{SaslHandshakeRequest, SaslHandshakeResponse};
use crate::log::Barrier;

pub fn handle(call: &Call, request: SaslHandshakeRequest) -> (SaslHandshakeResponse, Barrier) {
    let error = if request.mechanism != MECHANISM {
        ErrorCode::UnsupportedSaslMechanism
    } else if call.version() == 0 {
        ErrorCode::IllegalSaslState
    } else {
        call.client.access.choose_mechanism();
        ErrorCode::None
    };
    (SaslHandshakeResponse { error_code: error.code(), mechanisms: vec![MECHANISM.to_owned()] }, Barrier::NONE)
}
