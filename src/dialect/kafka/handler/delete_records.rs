//! DeleteRecords (key 21), versions 0 to 2: forgets the records before an offset, in every view. 2 is flexible.

use super::super::call::Call;
use super::super::error::ErrorCode;
use super::super::mapping::{find_partition, find_topic, wire_offset};
use super::super::wire::Uuid;
use super::super::wire::message::delete_records::{
    DeleteRecordsPartition, DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsResponse, DeleteRecordsTopicResult,
};
use crate::delivery::Unit;
use crate::log::Barrier;

/// The offset that means: everything up to the high watermark.
const HIGH_WATERMARK: i64 = -1;
const NO_OFFSET: i64 = -1;

pub fn handle(call: &Call, request: DeleteRecordsRequest) -> (DeleteRecordsResponse, Barrier) {
    let mut unit = call.delivery().begin();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut delete = |wanted: DeleteRecordsPartition| {
            let deleted = match &mut unit {
                Ok(unit) => delete_before(call, unit, &topic.name, &wanted),
                Err(refused) => Err((&*refused).into()),
            };
            let (low_watermark, error) = deleted.map_or_else(|error| (NO_OFFSET, error), |low| (low, ErrorCode::None));
            DeleteRecordsPartitionResult { partition_index: wanted.partition_index, low_watermark, error_code: error.code() }
        };
        let partitions = topic.partitions.into_iter().map(&mut delete).collect();
        topics.push(DeleteRecordsTopicResult { name: topic.name, partitions });
    }
    let after = unit.map_or(Barrier::NONE, Unit::commit);
    (DeleteRecordsResponse { topics, ..DeleteRecordsResponse::default() }, after)
}

fn delete_before(call: &Call, unit: &mut Unit<'_>, name: &str, wanted: &DeleteRecordsPartition) -> Result<i64, ErrorCode> {
    let topic = find_topic(call.log(), name, Uuid::ZERO)?;
    if topic.is_internal() {
        return Err(ErrorCode::InvalidTopicException);
    }
    let partition = find_partition(&topic, wanted.partition_index)?;
    let bounds = partition.bounds();
    let to = match wanted.offset {
        HIGH_WATERMARK => bounds.durable,
        offset => u64::try_from(offset).map_err(|_| ErrorCode::OffsetOutOfRange)?,
    };
    if to > bounds.durable {
        return Err(ErrorCode::OffsetOutOfRange);
    }
    Ok(wire_offset(unit.trim(&topic, &partition, to)))
}
