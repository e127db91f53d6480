//! SaslAuthenticate (key 36), versions 0 to 2 (KIP-152): one PLAIN token. 1 adds the session's lifetime (0: no end), 2 is
//! flexible.

use super::super::call::Call;
use super::super::error::ErrorCode;
use super::super::sasl::parse_plain;
use super::super::wire::message::sasl_authenticate::{SaslAuthenticateRequest, SaslAuthenticateResponse};
use crate::log::Barrier;

pub async fn handle(call: Call, request: SaslAuthenticateRequest) -> (SaslAuthenticateResponse, Barrier) {
    let (error, error_message) = match check(&call, &request.auth_bytes).await {
        Ok(()) => (ErrorCode::None, None),
        Err((error, message)) => (error, Some(message.to_owned())),
    };
    (SaslAuthenticateResponse { error_code: error.code(), error_message, ..SaslAuthenticateResponse::default() }, Barrier::NONE)
}

async fn check(call: &Call, token: &[u8]) -> Result<(), (ErrorCode, &'static str)> {
    if !call.client.access.awaits_token() {
        return Err((ErrorCode::IllegalSaslState, "SaslHandshake comes first"));
    }
    let admitted = match parse_plain(token) {
        Some((user, password)) => call.kafka().users.verify(user, password).await,
        None => false,
    };
    call.client.access.admit(admitted);
    if admitted { Ok(()) } else { Err((ErrorCode::SaslAuthenticationFailed, "user or password is wrong")) }
}
