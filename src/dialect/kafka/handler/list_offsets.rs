//! ListOffsets (key 2), versions 1 to 10: the offset of a time, or of one of the places that negative times stand for.
//! 2 adds the isolation level, 4 leader epochs, 6 is flexible, 7 adds the newest timestamp (KIP-734), 8 and 9 places of
//! tiered storage, which is empty here, 10 a timeout.

use super::super::call::Call;
use super::super::error::ErrorCode;
use super::super::mapping::{find_partition, find_topic, to_bound, wire_offset};
use super::super::wire::Uuid;
use super::super::wire::message::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use crate::log::{Barrier, Bound, Log, Partition};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const NEWEST_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
/// No offset, no timestamp, no epoch.
const NOTHING: i64 = -1;

pub fn handle(call: &Call, request: ListOffsetsRequest) -> (ListOffsetsResponse, Barrier) {
    let bound = to_bound(request.isolation_level);
    let topics = request.topics.into_iter().map(|topic| {
        let list = |wanted: ListOffsetsPartition| {
            let (error, found) = match find(call.log(), &topic.name, &wanted, bound) {
                Ok(found) => (ErrorCode::None, found),
                Err(error) => (error, None),
            };
            let (offset, timestamp) = found.unwrap_or((NOTHING, NOTHING));
            ListOffsetsPartitionResponse {
                partition_index: wanted.partition_index,
                error_code: error.code(),
                timestamp,
                offset,
                leader_epoch: if found.is_some() { 0 } else { -1 },
            }
        };
        let partitions = topic.partitions.into_iter().map(list).collect();
        ListOffsetsTopicResponse { name: topic.name, partitions }
    });
    (ListOffsetsResponse { topics: topics.collect(), ..ListOffsetsResponse::default() }, Barrier::NONE)
}

/// Offset and timestamp.
fn find(log: &Log, name: &str, wanted: &ListOffsetsPartition, bound: Bound) -> Result<Option<(i64, i64)>, ErrorCode> {
    let topic = find_topic(log, name, Uuid::ZERO)?;
    let partition = find_partition(&topic, wanted.partition_index)?;
    if wanted.current_leader_epoch > 0 {
        return Err(ErrorCode::UnknownLeaderEpoch);
    }
    let bounds = partition.bounds();
    match wanted.timestamp {
        LATEST => Ok(Some((wire_offset(bounds.of(bound)), NOTHING))),
        EARLIEST | EARLIEST_LOCAL => Ok(Some((wire_offset(bounds.log_start), NOTHING))),
        LATEST_TIERED => Ok(None),
        NEWEST_TIMESTAMP => newest(log, &partition, bound),
        timestamp_ms if timestamp_ms >= 0 => at_time(log, &partition, timestamp_ms, bound),
        _ => Err(ErrorCode::InvalidRequest),
    }
}

fn at_time(log: &Log, partition: &Partition, timestamp_ms: i64, bound: Bound) -> Result<Option<(i64, i64)>, ErrorCode> {
    let found = log.offset_for_time(partition, timestamp_ms, bound).map_err(|error| ErrorCode::from(&error))?;
    Ok(found.map(|(offset, timestamp)| (wire_offset(offset), timestamp)))
}

/// The first record that has the newest timestamp: the last time for which a record of that time or later exists.
fn newest(log: &Log, partition: &Partition, bound: Bound) -> Result<Option<(i64, i64)>, ErrorCode> {
    let mut newest = at_time(log, partition, 0, bound)?;
    let mut beyond = i64::MAX;
    while let Some((_, timestamp)) = newest {
        let middle = timestamp + (beyond - timestamp) / 2;
        if middle == timestamp {
            break;
        }
        match at_time(log, partition, middle, bound)? {
            Some(later) => newest = Some(later),
            None => beyond = middle,
        }
    }
    Ok(newest)
}
