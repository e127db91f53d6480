//! TxnOffsetCommit (key 28), versions 0 to 4: offsets of a group that are committed with the transaction. 2 adds leader epochs,
//! 3 the member that commits and is flexible (KIP-447), 4 errors of KIP-890.

use std::sync::Arc;

use super::super::call::Call;
use super::super::error::ErrorCode;
use super::super::mapping::{to_caller, to_producer};
use super::super::wire::message::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitResponse, TxnOffsetCommitResponsePartition,
    TxnOffsetCommitResponseTopic,
};
use crate::delivery::group::{NewOffset, OffsetKey};
use crate::log::{Barrier, TopicName};

/// The answer is good once the offsets are kept; they count once the transaction is committed.
pub fn handle(call: &Call, request: TxnOffsetCommitRequest) -> (TxnOffsetCommitResponse, Barrier) {
    let caller = to_caller(request.member_id, request.group_instance_id, request.generation_id);
    let producer = to_producer(request.producer_id, request.producer_epoch);
    let mut offsets = Vec::new();
    let mut answers = Vec::new();
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in topic.partitions {
            let index = partition.partition_index;
            // Which of the offsets that are to be committed it is.
            let place = to_offset(&topic.name, partition).map(|offset| {
                offsets.push(offset);
                offsets.len() - 1
            });
            partitions.push((index, place));
        }
        answers.push((topic.name, partitions));
    }
    let (transaction, group) = (Arc::from(request.transactional_id), Arc::from(request.group_id));
    let added = call.groups().commit_in_transaction(&transaction, producer, &group, &caller, offsets);
    let (results, refusal, barrier) = match added {
        Ok(answers) => (answers.results, ErrorCode::None, answers.barrier),
        Err(error) => (Vec::new(), (&error).into(), Barrier::NONE),
    };
    let code = |place: Result<usize, ErrorCode>| match place {
        Ok(place) => results.get(place).map_or(refusal.code(), ErrorCode::of),
        Err(error) => error.code(),
    };
    let partition = |(partition_index, place)| TxnOffsetCommitResponsePartition { partition_index, error_code: code(place) };
    let topics = answers.into_iter().map(|(name, partitions)| TxnOffsetCommitResponseTopic {
        name,
        partitions: partitions.into_iter().map(partition).collect(),
    });
    (TxnOffsetCommitResponse { topics: topics.collect(), ..TxnOffsetCommitResponse::default() }, barrier)
}

fn to_offset(topic: &str, partition: TxnOffsetCommitRequestPartition) -> Result<NewOffset, ErrorCode> {
    let name = TopicName::new(topic.to_owned()).map_err(|_illegal| ErrorCode::UnknownTopicOrPartition)?;
    let index = u32::try_from(partition.partition_index).map_err(|_negative| ErrorCode::UnknownTopicOrPartition)?;
    Ok(NewOffset {
        key: OffsetKey { topic: name, partition: index },
        offset: u64::try_from(partition.committed_offset).map_err(|_negative| ErrorCode::OffsetOutOfRange)?,
        leader_epoch: partition.committed_leader_epoch,
        metadata: Arc::from(partition.committed_metadata.unwrap_or_default()),
    })
}
