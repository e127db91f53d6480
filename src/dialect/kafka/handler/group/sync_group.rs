//! SyncGroup (API key 14), versions 0 to 5. 3: static members (KIP-345). 5: both sides name protocol type and protocol
//! (KIP-559). Waits until the leader has handed out the work.

use std::sync::Arc;

use super::{code, instance};
use crate::delivery::group::{Caller, GroupError, Groups, Sync, Synced};
use crate::dialect::kafka::wire::message::sync_group::{SyncGroupRequest, SyncGroupResponse};

/// Answers a request of `version`, when the group has.
pub async fn sync_group(groups: &Groups, version: i16, request: SyncGroupRequest) -> SyncGroupResponse {
    let group: Arc<str> = Arc::from(request.group_id.as_str());
    match answer(groups, &group, version, request).await {
        Ok(Synced { kind, strategy, assignment }) => SyncGroupResponse {
            throttle_time_ms: 0,
            error_code: code::NONE,
            protocol_type: Some(kind.to_string()),
            protocol_name: Some(strategy.to_string()),
            assignment,
        },
        Err(why) => SyncGroupResponse { error_code: code::of_group(&why), ..SyncGroupResponse::default() },
    }
}

async fn answer(groups: &Groups, group: &Arc<str>, version: i16, request: SyncGroupRequest) -> Result<Synced, GroupError> {
    if version >= 5 && (request.protocol_type.is_none() || request.protocol_name.is_none()) {
        return Err(GroupError::Mismatch);
    }
    let caller = Caller {
        member_id: Arc::from(request.member_id),
        instance: instance(request.group_instance_id),
        epoch: request.generation_id,
    };
    let assignments = request.assignments.into_iter().map(|a| (Arc::from(a.member_id), a.assignment)).collect();
    let (kind, strategy) = (request.protocol_type.map(Arc::from), request.protocol_name.map(Arc::from));
    groups.sync(group, Sync { caller, kind, strategy, assignments }).await
}
