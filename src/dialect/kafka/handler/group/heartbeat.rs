//! Heartbeat (API key 12), versions 0 to 4. 3: static members (KIP-345). 4: flexible.

use std::sync::Arc;

use super::{code, instance};
use crate::delivery::group::{Caller, Groups};
use crate::dialect::kafka::wire::message::heartbeat::{HeartbeatRequest, HeartbeatResponse};

/// Answers at once.
pub fn heartbeat(groups: &Groups, request: HeartbeatRequest) -> HeartbeatResponse {
    let caller = Caller {
        member_id: Arc::from(request.member_id),
        instance: instance(request.group_instance_id),
        epoch: request.generation_id,
    };
    let result = groups.heartbeat(&Arc::from(request.group_id), &caller);
    HeartbeatResponse { throttle_time_ms: 0, error_code: code::of(&result) }
}
