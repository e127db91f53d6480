//! SyncGroup (API key 14), versions 0 to 5. 3: static members (KIP-345). 5: both sides name protocol type and protocol
//! (KIP-559). Waits until the leader has handed out the work.

use std::sync::Arc;

use crate::delivery::group::{GroupError, Groups, Sync, Synced};
use crate::dialect::kafka::call::Call;
use crate::dialect::kafka::error::ErrorCode;
use crate::dialect::kafka::mapping::to_caller;
use crate::dialect::kafka::wire::message::sync_group::{SyncGroupRequest, SyncGroupResponse};
use crate::log::Barrier;

/// Answers when the group has.
pub async fn handle(call: Call, request: SyncGroupRequest) -> (SyncGroupResponse, Barrier) {
    let group: Arc<str> = Arc::from(request.group_id.as_str());
    let response = match answer(call.groups(), &group, call.version(), request).await {
        Ok(Synced { kind, strategy, assignment }) => SyncGroupResponse {
            throttle_time_ms: 0,
            error_code: ErrorCode::None.code(),
            protocol_type: Some(kind.to_string()),
            protocol_name: Some(strategy.to_string()),
            assignment,
        },
        Err(why) => SyncGroupResponse { error_code: ErrorCode::from(&why).code(), ..SyncGroupResponse::default() },
    };
    (response, Barrier::NONE)
}

async fn answer(groups: &Groups, group: &Arc<str>, version: i16, request: SyncGroupRequest) -> Result<Synced, GroupError> {
    if version >= 5 && (request.protocol_type.is_none() || request.protocol_name.is_none()) {
        return Err(GroupError::Mismatch);
    }
    let caller = to_caller(request.member_id, request.group_instance_id, request.generation_id);
    let assignments = request.assignments.into_iter().map(|a| (Arc::from(a.member_id), a.assignment)).collect();
    let (kind, strategy) = (request.protocol_type.map(Arc::from), request.protocol_name.map(Arc::from));
    groups.sync(group, Sync { caller, kind, strategy, assignments }).await
}
