//! OffsetDelete (API key 47), version 0: forgets offsets that no member of the group wants any more (KIP-496).

use std::sync::Arc;

use crate::delivery::group::OffsetKey;
use crate::dialect::kafka::call::Call;
use crate::dialect::kafka::error::ErrorCode;
use crate::dialect::kafka::wire::message::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestTopic, OffsetDeleteResponse, OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use crate::log::{Barrier, TopicName};

/// The answer is good once the deletion is durable.
pub fn handle(call: &Call, request: OffsetDeleteRequest) -> (OffsetDeleteResponse, Barrier) {
    let keys: Vec<_> = request.topics.iter().flat_map(keys_of).flatten().collect();
    let answers = match call.groups().delete_offsets(&Arc::from(request.group_id), &keys) {
        Ok(answers) => answers,
        Err(why) => {
            let response = OffsetDeleteResponse { error_code: ErrorCode::from(&why).code(), ..OffsetDeleteResponse::default() };
            return (response, Barrier::NONE);
        }
    };
    let mut codes = answers.results.iter().map(ErrorCode::of);
    let topics = request.topics.into_iter().map(|topic| {
        let keys = keys_of(&topic);
        let partitions = topic.partitions.iter().zip(keys).map(|(p, key)| OffsetDeleteResponsePartition {
            partition_index: p.partition_index,
            error_code: key.and_then(|_| codes.next()).unwrap_or(ErrorCode::UnknownTopicOrPartition.code()),
        });
        OffsetDeleteResponseTopic { partitions: partitions.collect(), name: topic.name }
    });
    let response = OffsetDeleteResponse { topics: topics.collect(), ..OffsetDeleteResponse::default() };
    (response, answers.barrier)
}

/// One key a partition, `None` where there can be no such partition.
fn keys_of(topic: &OffsetDeleteRequestTopic) -> Vec<Option<OffsetKey>> {
    let name = TopicName::new(topic.name.clone()).ok();
    let key = |index: i32| Some(OffsetKey { topic: name.clone()?, partition: u32::try_from(index).ok()? });
    topic.partitions.iter().map(|p| key(p.partition_index)).collect()
}
