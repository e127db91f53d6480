//! ConsumerGroupDescribe (API key 69), versions 0 and 1 (KIP-848): groups that the broker assigns, with what each member has
//! and is to have. 1: which protocol each member speaks (KIP-1099). Authorized operations are not told.

use std::sync::Arc;

use super::list_groups::state_name;
use crate::delivery::group::{ManagedDescription, ManagedMember, Places, Sharing, State};
use crate::dialect::kafka::call::Call;
use crate::dialect::kafka::error::ErrorCode;
use crate::dialect::kafka::places::by_named_topic;
use crate::dialect::kafka::wire::message::consumer_group_describe::{
    Assignment, ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, DescribedGroup, Member, TopicPartitions,
};
use crate::log::{Barrier, Log};

/// A member that speaks the protocol of its group.
const MEMBER_TYPE: i8 = 1;

/// The answer is good once what it shows is durable.
pub fn handle(call: &Call, request: ConsumerGroupDescribeRequest) -> (ConsumerGroupDescribeResponse, Barrier) {
    let mut gate = Barrier::NONE;
    let each = request.group_ids.into_iter().map(|name| {
        match call.groups().describe_managed(&Arc::from(name.as_str()), Sharing::Exclusive) {
            Some((group, barrier)) => {
                gate = gate.and(barrier);
                found(call.log(), name, group)
            }
            None => missing(name),
        }
    });
    let groups = each.collect();
    (ConsumerGroupDescribeResponse { throttle_time_ms: 0, groups }, gate)
}

fn found(log: &Log, name: String, group: ManagedDescription) -> DescribedGroup {
    DescribedGroup {
        group_id: name,
        group_state: state_name(group.listing.state).to_owned(),
        group_epoch: group.epoch,
        assignment_epoch: group.target_epoch,
        assignor_name: group.assignor.to_owned(),
        members: group.members.into_iter().map(|m| member(log, m)).collect(),
        ..DescribedGroup::default()
    }
}

fn member(log: &Log, member: ManagedMember) -> Member {
    Member {
        member_id: member.member_id.to_string(),
        instance_id: member.instance.map(|instance| instance.to_string()),
        rack_id: member.rack.map(|rack| rack.to_string()),
        member_epoch: member.epoch,
        client_id: member.client_id.to_string(),
        client_host: member.client_host.to_string(),
        subscribed_topic_names: member.topics.iter().map(ToString::to_string).collect(),
        subscribed_topic_regex: member.pattern.map(|pattern| pattern.to_string()),
        assignment: assignment(log, &member.assigned),
        target_assignment: assignment(log, &member.target),
        member_type: MEMBER_TYPE,
    }
}

fn assignment(log: &Log, places: &Places) -> Assignment {
    let topics = by_named_topic(log, places);
    let topics = topics.map(|(topic_id, topic_name, partitions)| TopicPartitions { topic_id, topic_name, partitions });
    Assignment { topic_partitions: topics.collect() }
}

fn missing(name: String) -> DescribedGroup {
    DescribedGroup {
        error_code: ErrorCode::GroupIdNotFound.code(),
        error_message: Some(format!("Group {name} is not a consumer group.")),
        group_id: name,
        group_state: state_name(State::Dead).to_owned(),
        ..DescribedGroup::default()
    }
}
