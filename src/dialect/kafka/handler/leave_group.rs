//! LeaveGroup (API key 13), versions 0 to 5. 3: several members at once, static ones by instance id alone (KIP-345).
//! 5: a reason, for logs (KIP-800).

use std::sync::Arc;

use crate::delivery::group::{Departure, GroupError};
use crate::dialect::kafka::call::Call;
use crate::dialect::kafka::error::ErrorCode;
use crate::dialect::kafka::mapping::to_instance;
use crate::dialect::kafka::wire::message::leave_group::{LeaveGroupRequest, LeaveGroupResponse, MemberIdentity, MemberResponse};
use crate::log::Barrier;

/// Before version 3 the one member's answer is the answer.
pub fn handle(call: &Call, request: LeaveGroupRequest) -> (LeaveGroupResponse, Barrier) {
    (answer(call, request), Barrier::NONE)
}

fn answer(call: &Call, request: LeaveGroupRequest) -> LeaveGroupResponse {
    let version = call.version();
    let members = if version >= 3 {
        request.members
    } else {
        vec![MemberIdentity { member_id: request.member_id, ..MemberIdentity::default() }]
    };
    let departures: Vec<_> = members
        .iter()
        .map(|m| Departure { member_id: Arc::from(m.member_id.as_str()), instance: to_instance(m.group_instance_id.clone()) })
        .collect();
    let answers = match call.groups().leave(&Arc::from(request.group_id), &departures) {
        Ok(answers) => answers,
        Err(GroupError::UnknownMember) => vec![Err(GroupError::UnknownMember); departures.len()],
        Err(why) => return LeaveGroupResponse { error_code: ErrorCode::from(&why).code(), ..LeaveGroupResponse::default() },
    };
    if version < 3 {
        let error_code = answers.first().map_or(0, ErrorCode::of);
        return LeaveGroupResponse { error_code, ..LeaveGroupResponse::default() };
    }
    let members = members.into_iter().zip(&answers).map(|(m, answer)| MemberResponse {
        member_id: m.member_id,
        group_instance_id: m.group_instance_id,
        error_code: ErrorCode::of(answer),
    });
    LeaveGroupResponse { members: members.collect(), ..LeaveGroupResponse::default() }
}
