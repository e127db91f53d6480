//! DescribeGroups (API key 15), versions 0 to 6. 3: authorized operations, which are not told. 4: static members (KIP-345).
//! 6: a group that does not exist is an error with a message (KIP-1043); before it is a dead group.

use std::sync::Arc;

use super::list_groups::state_name;
use crate::delivery::group::{GroupDescription, MemberDescription, State};
use crate::dialect::kafka::call::Call;
use crate::dialect::kafka::error::ErrorCode;
use crate::dialect::kafka::wire::message::describe_groups::{
    DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup, DescribedGroupMember,
};
use crate::log::Barrier;

const OPERATIONS_NOT_TOLD: i32 = i32::MIN;

pub fn handle(call: &Call, request: DescribeGroupsRequest) -> (DescribeGroupsResponse, Barrier) {
    let each = request.groups.into_iter().map(|name| match call.groups().describe(&Arc::from(name.as_str())) {
        Some(group) => found(name, group),
        None => missing(name, call.version()),
    });
    (DescribeGroupsResponse { throttle_time_ms: 0, groups: each.collect() }, Barrier::NONE)
}

fn found(name: String, group: GroupDescription) -> DescribedGroup {
    DescribedGroup {
        error_code: ErrorCode::None.code(),
        error_message: None,
        group_id: name,
        group_state: state_name(group.listing.state).to_owned(),
        protocol_type: group.listing.work.to_string(),
        protocol_data: group.strategy.to_string(),
        members: group.members.into_iter().map(member).collect(),
        authorized_operations: OPERATIONS_NOT_TOLD,
    }
}

fn member(member: MemberDescription) -> DescribedGroupMember {
    DescribedGroupMember {
        member_id: member.member_id.to_string(),
        group_instance_id: member.instance.map(|i| i.to_string()),
        client_id: member.client_id.to_string(),
        client_host: member.client_host.to_string(),
        member_metadata: member.metadata,
        member_assignment: member.assignment,
    }
}

fn missing(name: String, version: i16) -> DescribedGroup {
    let (error_code, error_message) = match version {
        6.. => (ErrorCode::GroupIdNotFound.code(), Some(format!("Group {name} not found."))),
        _ => (ErrorCode::None.code(), None),
    };
    DescribedGroup {
        error_code,
        error_message,
        group_id: name,
        group_state: state_name(State::Dead).to_owned(),
        authorized_operations: OPERATIONS_NOT_TOLD,
        ..DescribedGroup::default()
    }
}
