//! Heartbeat (API key 12), versions 0 to 4. 3: static members (KIP-345). 4: flexible.

use std::sync::Arc;

use crate::dialect::kafka::call::Call;
use crate::dialect::kafka::error::ErrorCode;
use crate::dialect::kafka::mapping::to_caller;
use crate::dialect::kafka::wire::message::heartbeat::{HeartbeatRequest, HeartbeatResponse};
use crate::log::Barrier;

pub fn handle(call: &Call, request: HeartbeatRequest) -> (HeartbeatResponse, Barrier) {
    let caller = to_caller(request.member_id, request.group_instance_id, request.generation_id);
    let result = call.groups().heartbeat(&Arc::from(request.group_id), &caller);
    (HeartbeatResponse { throttle_time_ms: 0, error_code: ErrorCode::of(&result) }, Barrier::NONE)
}
