//! JoinGroup (API key 11), versions 0 to 9. 1: rebalance timeout. 4: the member id comes first (KIP-394). 5: static members
//! (KIP-345). 7: the response names the protocol type (KIP-559). 8: a reason, for logs (KIP-800). 9: skip-assignment
//! (KIP-814). Waits until the group has its members together.

use std::sync::Arc;

use crate::delivery::group::{GroupError, Groups, Join, Joined, Strategy};
use crate::dialect::kafka::call::Call;
use crate::dialect::kafka::error::ErrorCode;
use crate::dialect::kafka::mapping::to_instance;
use crate::dialect::kafka::subscription;
use crate::dialect::kafka::wire::message::join_group::{
    JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse, JoinGroupResponseMember,
};
use crate::log::{Barrier, TopicName};

/// Answers when the group has.
pub async fn handle(call: Call, request: JoinGroupRequest) -> (JoinGroupResponse, Barrier) {
    let member_id = request.member_id.clone();
    let group: Arc<str> = Arc::from(request.group_id.as_str());
    let answer = match to_join(&call, request) {
        Ok(join) => call.groups().join(&group, join).await,
        Err(why) => Err(why),
    };
    let response = match answer {
        Ok(joined) => to_response(joined),
        Err(why) => refusal(&why, member_id),
    };
    (response, Barrier::NONE)
}

/// What all protocols of a consumer together ask for; they hardly differ.
fn wanted(protocols: &[JoinGroupRequestProtocol]) -> Option<Arc<[TopicName]>> {
    let topics: Option<Vec<_>> = protocols.iter().map(|p| subscription::topics(&p.metadata)).collect();
    let mut topics: Vec<_> = topics?.into_iter().flatten().collect();
    topics.sort_unstable();
    topics.dedup();
    Some(topics.into())
}

fn to_join(call: &Call, request: JoinGroupRequest) -> Result<Join, GroupError> {
    let session_timeout_ms = u32::try_from(request.session_timeout_ms).map_err(|_negative| GroupError::InvalidSessionTimeout)?;
    let client_id = call.header.client_id.as_deref().unwrap_or_default();
    let instance = to_instance(request.group_instance_id);
    let topics = (request.protocol_type == subscription::KIND).then(|| wanted(&request.protocols)).flatten();
    let to_strategy = |p: &JoinGroupRequestProtocol| Strategy { name: Arc::from(p.name.as_str()), metadata: p.metadata.clone() };
    Ok(Join {
        member_id: Arc::from(request.member_id),
        fresh_id: Groups::fresh_member_id(instance.as_deref().unwrap_or(client_id)),
        instance,
        client_id: Arc::from(client_id),
        client_host: Arc::from(format!("/{}", call.client.peer.ip().to_canonical())),
        session_timeout_ms,
        rebalance_timeout_ms: u32::try_from(request.rebalance_timeout_ms).unwrap_or(session_timeout_ms),
        kind: Arc::from(request.protocol_type),
        strategies: request.protocols.iter().map(to_strategy).collect(),
        topics,
        takes_id_first: call.version() >= 4,
        may_skip_assignment: call.version() >= 9,
    })
}

fn to_response(joined: Joined) -> JoinGroupResponse {
    let members = joined.members.into_iter().map(|m| JoinGroupResponseMember {
        member_id: m.member_id.to_string(),
        group_instance_id: m.instance.map(|i| i.to_string()),
        metadata: m.metadata,
    });
    JoinGroupResponse {
        throttle_time_ms: 0,
        error_code: ErrorCode::None.code(),
        generation_id: joined.epoch,
        protocol_type: Some(joined.kind.to_string()),
        protocol_name: Some(joined.strategy.to_string()),
        leader: joined.leader.to_string(),
        skip_assignment: joined.skip_assignment,
        member_id: joined.member_id.to_string(),
        members: members.collect(),
    }
}

/// Says back the member id it was asked with, unless the answer is about another.
fn refusal(why: &GroupError, asked_with: String) -> JoinGroupResponse {
    let member_id = match why {
        GroupError::MemberIdRequired(id) => id.to_string(),
        GroupError::InvalidName
        | GroupError::NotFound
        | GroupError::UnknownMember
        | GroupError::Fenced
        | GroupError::StaleEpoch
        | GroupError::Rebalancing
        | GroupError::Mismatch
        | GroupError::InvalidSessionTimeout
        | GroupError::Full
        | GroupError::TooManyGroups
        | GroupError::NotEmpty
        | GroupError::FencedEpoch
        | GroupError::StaleMember
        | GroupError::Unreleased
        | GroupError::UnknownAssignor
        | GroupError::InvalidPattern
        | GroupError::TooLong
        | GroupError::Unavailable => asked_with,
    };
    JoinGroupResponse { error_code: ErrorCode::from(why).code(), protocol_name: None, member_id, ..JoinGroupResponse::default() }
}
