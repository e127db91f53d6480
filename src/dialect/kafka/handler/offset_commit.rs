//! OffsetCommit (API key 8), versions 2 to 10. 6: leader epochs (KIP-320). 7: static members (KIP-345). 9: errors of the newer
//! group protocol. 10: topics by id. The retention time of versions 2 to 4 is not heeded: the broker's own holds for all.

use std::sync::Arc;

use crate::delivery::group::{GroupError, NewOffset, OffsetKey};
use crate::dialect::kafka::call::Call;
use crate::dialect::kafka::error::ErrorCode;
use crate::dialect::kafka::mapping::to_caller;
use crate::dialect::kafka::wire::message::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitResponse, OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
};
use crate::log::{Barrier, Log, TopicId, TopicName};

/// The answer is good once the commit is durable.
pub fn handle(call: &Call, request: OffsetCommitRequest) -> (OffsetCommitResponse, Barrier) {
    let version = call.version();
    let caller = to_caller(request.member_id, request.group_instance_id, request.generation_id_or_member_epoch);
    let mut response = OffsetCommitResponse::default();
    let mut offsets = Vec::new();
    for topic in request.topics {
        let name =
            if version >= 10 { name_of(call.log(), TopicId(topic.topic_id.0)) } else { TopicName::new(topic.name.clone()).ok() };
        let missing = if version >= 10 { ErrorCode::UnknownTopicId.code() } else { ErrorCode::UnknownTopicOrPartition.code() };
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in topic.partitions {
            let partition_index = partition.partition_index;
            let error_code = match name.clone().ok_or(missing).and_then(|name| to_offset(name, partition)) {
                Ok(offset) => {
                    offsets.push(offset);
                    PENDING
                }
                Err(error_code) => error_code,
            };
            partitions.push(OffsetCommitResponsePartition { partition_index, error_code });
        }
        response.topics.push(OffsetCommitResponseTopic { name: topic.name, topic_id: topic.topic_id, partitions });
    }
    let count = offsets.len();
    let (codes, barrier) = match call.groups().commit(&Arc::from(request.group_id), &caller, offsets) {
        Ok(answers) => (answers.results.iter().map(ErrorCode::of).collect(), answers.barrier),
        // Older versions have no word for it (KIP-848).
        Err(GroupError::StaleMember) if version < 9 => (vec![ErrorCode::UnsupportedVersion.code(); count], Barrier::NONE),
        Err(why) => (vec![ErrorCode::from(&why).code(); count], Barrier::NONE),
    };
    fill_in(&mut response, &codes);
    (response, barrier)
}

/// Marks a partition whose answer the group gives; no code of Kafka's.
const PENDING: i16 = i16::MIN;

fn fill_in(response: &mut OffsetCommitResponse, codes: &[i16]) {
    let pending = response.topics.iter_mut().flat_map(|t| &mut t.partitions).filter(|p| p.error_code == PENDING);
    for (partition, error_code) in pending.zip(codes) {
        partition.error_code = *error_code;
    }
}

fn name_of(log: &Log, id: TopicId) -> Option<TopicName> {
    log.topic_by_id(id).map(|topic| topic.name().clone())
}

fn to_offset(topic: TopicName, partition: OffsetCommitRequestPartition) -> Result<NewOffset, i16> {
    let index = u32::try_from(partition.partition_index).map_err(|_negative| ErrorCode::UnknownTopicOrPartition.code())?;
    Ok(NewOffset {
        key: OffsetKey { topic, partition: index },
        offset: u64::try_from(partition.committed_offset).map_err(|_negative| ErrorCode::OffsetOutOfRange.code())?,
        leader_epoch: partition.committed_leader_epoch,
        metadata: Arc::from(partition.committed_metadata.unwrap_or_default()),
    })
}
