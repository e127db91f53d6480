//! ConsumerGroupHeartbeat (API key 68), versions 0 and 1 (KIP-848): the one request of members of groups that the broker
//! assigns. 1: the client makes its member id, topics can be named by a regular expression. Fields that are null are as before.

use std::sync::Arc;

use crate::delivery::group::{Beat, BeatAnswer, GroupError, Groups, Intent, Sharing};
use crate::dialect::kafka::call::Call;
use crate::dialect::kafka::error::ErrorCode;
use crate::dialect::kafka::mapping::topic_name;
use crate::dialect::kafka::places::{by_topic, to_places};
use crate::dialect::kafka::wire::message::consumer_group_heartbeat::{
    Assignment, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, ResponseTopicPartitions,
};
use crate::log::Barrier;

const JOIN: i32 = 0;
const LEAVE: i32 = -1;
const STEP_OUT: i32 = -2;

/// The answer is good once what it tells the member is durable.
pub fn handle(call: &Call, request: ConsumerGroupHeartbeatRequest) -> (ConsumerGroupHeartbeatResponse, Barrier) {
    if let Err(why) = check(&request, call.version()) {
        return (refusal(ErrorCode::InvalidRequest, why.to_owned()), Barrier::NONE);
    }
    let group = Arc::from(request.group_id.as_str());
    match call.groups().beat(&group, Sharing::Exclusive, &to_beat(call, request)) {
        Ok((answer, barrier)) => (to_response(answer), barrier),
        Err(why) => (refusal(code(&why), why.to_string()), Barrier::NONE),
    }
}

/// What Kafka asks of a request by itself.
fn check(request: &ConsumerGroupHeartbeatRequest, version: i16) -> Result<(), &'static str> {
    let is_empty = |text: &Option<String>| text.as_deref() == Some("");
    let has_nothing = request.topic_partitions.as_ref().is_some_and(Vec::is_empty);
    let has_wishes = request.subscribed_topic_names.is_some() || request.subscribed_topic_regex.is_some();
    match request.member_epoch {
        _ if request.group_id.is_empty() => Err("GroupId can't be empty."),
        _ if is_empty(&request.instance_id) => Err("InstanceId can't be empty."),
        _ if is_empty(&request.rack_id) => Err("RackId can't be empty."),
        _ if request.member_id.is_empty() && (version >= 1 || request.member_epoch != JOIN) => Err("MemberId can't be empty."),
        JOIN if request.rebalance_timeout_ms < 0 => Err("RebalanceTimeoutMs must be provided in first request."),
        JOIN if !has_nothing => Err("TopicPartitions must be empty when (re-)joining."),
        JOIN if !has_wishes => Err("SubscribedTopicNames or SubscribedTopicRegex must be set in first request."),
        STEP_OUT if request.instance_id.is_none() => Err("InstanceId can't be null."),
        STEP_OUT.. => Ok(()),
        _ => Err("MemberEpoch is invalid."),
    }
}

fn to_beat(call: &Call, request: ConsumerGroupHeartbeatRequest) -> Beat {
    let client_id = call.header.client_id.as_deref().unwrap_or_default();
    let made_here = request.member_id.is_empty();
    Beat {
        member_id: if made_here { Groups::fresh_member_id(client_id) } else { Arc::from(request.member_id) },
        intent: intent(request.member_epoch),
        instance: request.instance_id.map(Arc::from),
        rack: request.rack_id.map(Arc::from),
        client_id: Arc::from(client_id),
        client_host: Arc::from(format!("/{}", call.client.peer.ip().to_canonical())),
        rebalance_timeout_ms: u32::try_from(request.rebalance_timeout_ms).ok(),
        topics: request.subscribed_topic_names.map(|names| names.iter().filter_map(|name| topic_name(name)).collect()),
        pattern: request.subscribed_topic_regex.map(Arc::from),
        assignor: request.server_assignor.map(Arc::from),
        owned: request.topic_partitions.map(|topics| to_places(topics.into_iter().map(|t| (t.topic_id, t.partitions)))),
    }
}

/// What a member epoch says besides being one.
pub(super) fn intent(member_epoch: i32) -> Intent {
    match member_epoch {
        JOIN => Intent::Join,
        LEAVE => Intent::Leave,
        STEP_OUT => Intent::StepOut,
        epoch => Intent::Stay { epoch },
    }
}

/// A group without a name is a malformed request here, and an invalid group id elsewhere.
pub(super) fn code(why: &GroupError) -> ErrorCode {
    if *why == GroupError::InvalidName { ErrorCode::InvalidRequest } else { why.into() }
}

fn to_response(answer: BeatAnswer) -> ConsumerGroupHeartbeatResponse {
    let assignment = answer.assignment.map(|places| Assignment {
        topic_partitions: by_topic(&places)
            .map(|(topic_id, partitions)| ResponseTopicPartitions { topic_id, partitions })
            .collect(),
    });
    ConsumerGroupHeartbeatResponse {
        member_id: Some(answer.member_id.to_string()),
        member_epoch: answer.epoch,
        heartbeat_interval_ms: i32::try_from(answer.interval_ms).unwrap_or(i32::MAX),
        assignment,
        ..ConsumerGroupHeartbeatResponse::default()
    }
}

fn refusal(error: ErrorCode, why: String) -> ConsumerGroupHeartbeatResponse {
    ConsumerGroupHeartbeatResponse { error_code: error.code(), error_message: Some(why), ..Default::default() }
}
