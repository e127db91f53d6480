//! ApiVersions (key 18), versions 0 to 4. 1 adds the throttle time, 3 is flexible and names the client (KIP-511), 4 may name
//! features of level 0. The response's header has version 0 in all of them.

use super::super::call::{Call, Reply};
use super::super::error::ErrorCode;
use super::super::support::APIS;
use super::super::wire::encode;
use super::super::wire::message::api_versions::{ApiVersion, ApiVersionsRequest, ApiVersionsResponse};
use crate::log::Barrier;

pub fn handle(call: &Call, request: ApiVersionsRequest) -> (ApiVersionsResponse, Barrier) {
    tracing::debug!(
        peer = %call.client.peer,
        name = request.client_software_name,
        version = request.client_software_version,
        id = call.header.client_id,
        "client"
    );
    (response(ErrorCode::None), Barrier::NONE)
}

/// The answer to a version that is not known: the error and the list, as version 0.
pub fn unsupported(call: &Call) -> Reply {
    call.reply_with(i16::MAX, 256, Barrier::NONE, |out| encode(&response(ErrorCode::UnsupportedVersion), out, 0))
}

fn response(error: ErrorCode) -> ApiVersionsResponse {
    let api_keys =
        APIS.iter().map(|api| ApiVersion { api_key: api.key, min_version: api.advertised_min, max_version: api.max }).collect();
    ApiVersionsResponse { error_code: error.code(), api_keys, ..ApiVersionsResponse::default() }
}
