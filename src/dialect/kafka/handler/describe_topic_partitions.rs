//! DescribeTopicPartitions (key 75), version 0 (KIP-966): partitions of topics in the order of their names, in pages.

use super::super::NODE_ID;
use super::super::call::Call;
use super::super::error::ErrorCode;
use super::super::mapping::{find_topic, is_legal_new_name, wire_count, wire_id};
use super::super::wire::Uuid;
use super::super::wire::message::describe_topic_partitions::{
    Cursor, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic, ResponseCursor,
};
use crate::log::Barrier;

/// No page has more partitions than this, whatever is asked for.
const PAGE_MAX: i32 = 2000;

pub fn handle(call: &Call, request: DescribeTopicPartitionsRequest) -> (DescribeTopicPartitionsResponse, Barrier) {
    let mut room = if request.response_partition_limit > 0 { request.response_partition_limit.min(PAGE_MAX) } else { PAGE_MAX };
    let mut names: Vec<String> = request.topics.into_iter().map(|topic| topic.name).collect();
    if names.is_empty() {
        names = call.log().topics().iter().filter_map(|topic| topic.name().as_str().map(str::to_owned)).collect();
    }
    names.sort_unstable();
    names.dedup();
    let start = request.cursor.unwrap_or(Cursor { topic_name: String::new(), partition_index: 0 });
    let mut response = DescribeTopicPartitionsResponse::default();
    for name in names.into_iter().filter(|name| *name >= start.topic_name) {
        let first = if name == start.topic_name { start.partition_index.max(0) } else { 0 };
        if room == 0 {
            response.next_cursor = Some(ResponseCursor { topic_name: name, partition_index: first });
            break;
        }
        let (topic, rest) = describe(call, &name, first, room);
        room -= i32::try_from(topic.partitions.len()).unwrap_or(room).min(room);
        response.topics.push(topic);
        if let Some(partition_index) = rest {
            response.next_cursor = Some(ResponseCursor { topic_name: name, partition_index });
            break;
        }
    }
    (response, Barrier::NONE)
}

/// One topic from a partition on, and the partition at which the next page begins if it did not fit.
fn describe(call: &Call, name: &str, first: i32, room: i32) -> (DescribeTopicPartitionsResponseTopic, Option<i32>) {
    let mut described = DescribeTopicPartitionsResponseTopic { name: Some(name.to_owned()), ..Default::default() };
    let topic = match find_topic(call.log(), name, Uuid::ZERO) {
        Ok(topic) => topic,
        Err(error) => {
            let error = if is_legal_new_name(name) { error } else { ErrorCode::InvalidTopicException };
            described.error_code = error.code();
            return (described, None);
        }
    };
    let count = wire_count(topic.partition_count());
    let end = count.min(first.saturating_add(room));
    described.topic_id = wire_id(&topic);
    described.is_internal = topic.is_internal();
    described.partitions = (first..end)
        .map(|partition_index| DescribeTopicPartitionsResponsePartition {
            partition_index,
            leader_id: NODE_ID,
            leader_epoch: 0,
            replica_nodes: vec![NODE_ID],
            isr_nodes: vec![NODE_ID],
            eligible_leader_replicas: Some(Vec::new()),
            last_known_elr: Some(Vec::new()),
            ..Default::default()
        })
        .collect();
    (described, (end < count).then_some(end))
}
