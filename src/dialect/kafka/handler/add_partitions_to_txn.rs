//! AddPartitionsToTxn (key 24), versions 0 to 3: the transaction is to write to these partitions. All of them, or none: who is
//! asked beside one that does not exist is not tried. 2 knows PRODUCER_FENCED, 3 is flexible; 4 and 5 are for brokers.

use std::sync::Arc;

use super::super::call::Call;
use super::super::error::ErrorCode;
use super::super::mapping::{find_partition, find_topic, to_producer, transaction_error};
use super::super::wire::Uuid;
use super::super::wire::message::add_partitions_to_txn::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, AddPartitionsToTxnTopic,
    AddPartitionsToTxnTopicResult,
};
use crate::log::{Barrier, TopicId};

pub fn handle(call: &Call, request: AddPartitionsToTxnRequest) -> (AddPartitionsToTxnResponse, Barrier) {
    let topics = &request.v3_and_below_topics;
    let found: Vec<_> = topics.iter().flat_map(|topic| topic.partitions.iter().map(|index| find(call, topic, *index))).collect();
    let all: Result<Vec<_>, ErrorCode> = found.iter().copied().collect();
    let (added, barrier) = match all {
        Ok(partitions) => add(call, &request, partitions),
        Err(_) => (Err(ErrorCode::OperationNotAttempted), Barrier::NONE),
    };
    let mut codes = found.into_iter().map(|found| found.and(added.map(|()| TopicId(0))).err().unwrap_or(ErrorCode::None).code());
    let topic = |topic: &AddPartitionsToTxnTopic| AddPartitionsToTxnTopicResult {
        name: topic.name.clone(),
        results_by_partition: topic.partitions.iter().zip(&mut codes).map(result).collect(),
    };
    let results_by_topic_v3_and_below = topics.iter().map(topic).collect();
    (AddPartitionsToTxnResponse { results_by_topic_v3_and_below, ..AddPartitionsToTxnResponse::default() }, barrier)
}

fn result((index, code): (&i32, i16)) -> AddPartitionsToTxnPartitionResult {
    AddPartitionsToTxnPartitionResult { partition_index: *index, partition_error_code: code }
}

fn find(call: &Call, wanted: &AddPartitionsToTxnTopic, index: i32) -> Result<(TopicId, u32), ErrorCode> {
    let topic = find_topic(call.log(), &wanted.name, Uuid::ZERO)?;
    if topic.is_internal() {
        return Err(ErrorCode::InvalidTopicException);
    }
    Ok((topic.id(), find_partition(&topic, index)?.index()))
}

fn add(call: &Call, request: &AddPartitionsToTxnRequest, partitions: Vec<(TopicId, u32)>) -> (Result<(), ErrorCode>, Barrier) {
    let name = Arc::from(request.v3_and_below_transactional_id.as_str());
    let producer = to_producer(request.v3_and_below_producer_id, request.v3_and_below_producer_epoch);
    let mut unit = match call.delivery().begin() {
        Ok(unit) => unit,
        Err(refused) => return (Err((&refused).into()), Barrier::NONE),
    };
    let added = unit.add_to_transaction(&name, producer, partitions);
    let seen = unit.seen();
    (added.map_err(|error| transaction_error(&error, call.version() >= 2)), unit.commit().and(seen))
}
