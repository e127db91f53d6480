//! OffsetForLeaderEpoch (key 23), versions 2 to 4 (KIP-320): there is one leader, whose epoch is 0 for ever, so that no record
//! was ever cut off behind a reader's back. 4 is flexible.

use super::super::call::Call;
use super::super::error::ErrorCode;
use super::super::mapping::{find_partition, find_topic, wire_offset};
use super::super::wire::Uuid;
use super::super::wire::message::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, OffsetForLeaderPartition,
    OffsetForLeaderTopicResult,
};
use crate::log::Barrier;

const EPOCH: i32 = 0;
const NO_EPOCH: i32 = -1;
const NO_OFFSET: i64 = -1;

pub fn handle(call: &Call, request: OffsetForLeaderEpochRequest) -> (OffsetForLeaderEpochResponse, Barrier) {
    let topics = request.topics.into_iter().map(|topic| {
        let end = |wanted: OffsetForLeaderPartition| {
            let (error, leader_epoch, end_offset) = match end_offset(call, &topic.topic, &wanted) {
                Ok(Some(end)) => (ErrorCode::None, EPOCH, end),
                Ok(None) => (ErrorCode::None, NO_EPOCH, NO_OFFSET),
                Err(error) => (error, NO_EPOCH, NO_OFFSET),
            };
            EpochEndOffset { error_code: error.code(), partition: wanted.partition, leader_epoch, end_offset }
        };
        let partitions = topic.partitions.into_iter().map(end).collect();
        OffsetForLeaderTopicResult { topic: topic.topic, partitions }
    });
    (OffsetForLeaderEpochResponse { topics: topics.collect(), ..OffsetForLeaderEpochResponse::default() }, Barrier::NONE)
}

fn end_offset(call: &Call, name: &str, wanted: &OffsetForLeaderPartition) -> Result<Option<i64>, ErrorCode> {
    let topic = find_topic(call.log(), name, Uuid::ZERO)?;
    let partition = find_partition(&topic, wanted.partition)?;
    if wanted.current_leader_epoch > EPOCH {
        return Err(ErrorCode::UnknownLeaderEpoch);
    }
    Ok((wanted.leader_epoch == EPOCH).then(|| wire_offset(partition.bounds().durable)))
}
