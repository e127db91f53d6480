//! DescribeProducers (key 61), version 0: the producers that a partition remembers, and where their open transactions begin
//! (KIP-664). The coordinator of transactions never changes, so its epoch is 0.

use super::super::call::Call;
use super::super::error::ErrorCode;
use super::super::mapping::{find_partition, find_topic, wire_offset};
use super::super::wire::Uuid;
use super::super::wire::message::describe_producers::{
    DescribeProducersRequest, DescribeProducersResponse, PartitionResponse, ProducerState, TopicRequest, TopicResponse,
};
use crate::log::{Barrier, ProducerSnapshot};

pub fn handle(call: &Call, request: DescribeProducersRequest) -> (DescribeProducersResponse, Barrier) {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partition_indexes.iter().map(|index| describe(call, &topic, *index)).collect();
        TopicResponse { name: topic.name, partitions }
    });
    (DescribeProducersResponse { topics: topics.collect(), ..DescribeProducersResponse::default() }, call.log().barrier())
}

fn describe(call: &Call, topic: &TopicRequest, partition_index: i32) -> PartitionResponse {
    let found = find_topic(call.log(), &topic.name, Uuid::ZERO).and_then(|topic| find_partition(&topic, partition_index));
    let (error, active_producers) = match found {
        Ok(partition) => (ErrorCode::None, partition.producers().into_iter().map(state).collect()),
        Err(error) => (error, Vec::new()),
    };
    PartitionResponse { partition_index, error_code: error.code(), error_message: None, active_producers }
}

fn state(producer: ProducerSnapshot) -> ProducerState {
    ProducerState {
        producer_id: producer.id,
        producer_epoch: producer.epoch.into(),
        last_sequence: producer.last_sequence.unwrap_or(-1),
        last_timestamp: producer.timestamp_ms,
        coordinator_epoch: 0,
        current_txn_start_offset: producer.open_from.map_or(-1, wire_offset),
    }
}
