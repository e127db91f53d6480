//! ShareGroupHeartbeat (API key 76), version 1 (KIP-932): the one request about membership in groups whose members share
//! partitions. Fields that are null are as before.

use std::sync::Arc;

use super::consumer_group_heartbeat::{code, intent};
use crate::delivery::group::{Beat, BeatAnswer, Sharing};
use crate::dialect::kafka::call::Call;
use crate::dialect::kafka::error::ErrorCode;
use crate::dialect::kafka::mapping::topic_name;
use crate::dialect::kafka::places::by_topic;
use crate::dialect::kafka::wire::message::share_group_heartbeat::{
    Assignment, ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse, TopicPartitions,
};
use crate::log::Barrier;

const JOIN: i32 = 0;
const LEAVE: i32 = -1;

/// The answer is good once what it tells the member is durable.
pub fn handle(call: &Call, request: ShareGroupHeartbeatRequest) -> (ShareGroupHeartbeatResponse, Barrier) {
    if let Err(why) = check(&request) {
        return (refusal(ErrorCode::InvalidRequest, why.to_owned()), Barrier::NONE);
    }
    let group = Arc::from(request.group_id.as_str());
    match call.groups().beat(&group, Sharing::Shared, &to_beat(call, request)) {
        Ok((answer, barrier)) => (to_response(answer), barrier),
        Err(why) => (refusal(code(&why), why.to_string()), Barrier::NONE),
    }
}

/// What Kafka asks of a request by itself.
fn check(request: &ShareGroupHeartbeatRequest) -> Result<(), &'static str> {
    match request.member_epoch {
        _ if request.group_id.is_empty() => Err("GroupId can't be empty."),
        _ if request.member_id.is_empty() => Err("MemberId can't be empty."),
        _ if request.rack_id.as_deref() == Some("") => Err("RackId can't be empty."),
        JOIN if request.subscribed_topic_names.as_ref().is_none_or(Vec::is_empty) => {
            Err("SubscribedTopicNames must be set in first request.")
        }
        LEAVE.. => Ok(()),
        _ => Err("MemberEpoch is invalid."),
    }
}

fn to_beat(call: &Call, request: ShareGroupHeartbeatRequest) -> Beat {
    Beat {
        member_id: Arc::from(request.member_id),
        intent: intent(request.member_epoch),
        instance: None,
        rack: request.rack_id.map(Arc::from),
        client_id: Arc::from(call.header.client_id.as_deref().unwrap_or_default()),
        client_host: Arc::from(format!("/{}", call.client.peer.ip().to_canonical())),
        rebalance_timeout_ms: None,
        topics: request.subscribed_topic_names.map(|names| names.iter().filter_map(|name| topic_name(name)).collect()),
        pattern: None,
        assignor: None,
        owned: None,
    }
}

fn to_response(answer: BeatAnswer) -> ShareGroupHeartbeatResponse {
    let assignment = answer.assignment.map(|places| Assignment {
        topic_partitions: by_topic(&places).map(|(topic_id, partitions)| TopicPartitions { topic_id, partitions }).collect(),
    });
    ShareGroupHeartbeatResponse {
        member_id: Some(answer.member_id.to_string()),
        member_epoch: answer.epoch,
        heartbeat_interval_ms: i32::try_from(answer.interval_ms).unwrap_or(i32::MAX),
        assignment,
        ..ShareGroupHeartbeatResponse::default()
    }
}

fn refusal(error: ErrorCode, why: String) -> ShareGroupHeartbeatResponse {
    ShareGroupHeartbeatResponse { error_code: error.code(), error_message: Some(why), ..Default::default() }
}
