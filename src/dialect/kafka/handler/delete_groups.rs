//! DeleteGroups (API key 42), versions 0 to 2: forgets groups without members, offsets included (KIP-229). 2: flexible.

use std::sync::Arc;

use crate::dialect::kafka::call::Call;
use crate::dialect::kafka::error::ErrorCode;
use crate::dialect::kafka::wire::message::delete_groups::{DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse};
use crate::log::Barrier;

/// The answer is good once the deletions are durable.
pub fn handle(call: &Call, request: DeleteGroupsRequest) -> (DeleteGroupsResponse, Barrier) {
    let mut gate = Barrier::NONE;
    let results = request.groups_names.into_iter().map(|group_id| {
        let result = call.groups().delete(&Arc::from(group_id.as_str()));
        gate = gate.and(*result.as_ref().unwrap_or(&Barrier::NONE));
        DeletableGroupResult { error_code: ErrorCode::of(&result), group_id }
    });
    let response = DeleteGroupsResponse { throttle_time_ms: 0, results: results.collect() };
    (response, gate)
}
