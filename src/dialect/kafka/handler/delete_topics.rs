//! DeleteTopics (key 20), versions 1 to 6, all in one step. 4 is flexible, 5 adds messages, 6 names topics by name or by id.

use super::super::call::Call;
use super::super::error::ErrorCode;
use super::super::mapping::{find_topic, wire_id};
use super::super::wire::Uuid;
use super::super::wire::message::delete_topics::{
    DeletableTopicResult, DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse,
};
use crate::delivery::Unit;
use crate::log::Barrier;

pub fn handle(call: &Call, request: DeleteTopicsRequest) -> (DeleteTopicsResponse, Barrier) {
    let by_name = request.topic_names.into_iter().map(|name| DeleteTopicState { name: Some(name), topic_id: Uuid::ZERO });
    let mut unit = call.delivery().begin();
    let mut responses = Vec::new();
    for wanted in by_name.chain(request.topics) {
        let deleted = match &mut unit {
            Ok(unit) => delete(call, unit, &wanted),
            Err(refused) => Err((&*refused).into()),
        };
        responses.push(deleted.unwrap_or_else(|error| DeletableTopicResult {
            name: wanted.name,
            topic_id: wanted.topic_id,
            error_code: error.code(),
            error_message: (error == ErrorCode::InvalidTopicException).then(|| "the topic belongs to the log itself".to_owned()),
        }));
    }
    let after = unit.map_or(Barrier::NONE, Unit::commit);
    (DeleteTopicsResponse { responses, ..DeleteTopicsResponse::default() }, after)
}

fn delete(call: &Call, unit: &mut Unit<'_>, wanted: &DeleteTopicState) -> Result<DeletableTopicResult, ErrorCode> {
    if wanted.name.is_some() == (wanted.topic_id != Uuid::ZERO) {
        return Err(ErrorCode::InvalidRequest);
    }
    let topic = find_topic(call.log(), wanted.name.as_deref().unwrap_or_default(), wanted.topic_id)?;
    if topic.is_internal() {
        return Err(ErrorCode::InvalidTopicException);
    }
    unit.delete_topic(topic.name()).map_err(|error| ErrorCode::from(&error))?;
    tracing::info!(topic = %topic.name(), peer = %call.client.peer, "topic deleted");
    Ok(DeletableTopicResult {
        name: topic.name().as_str().map(str::to_owned),
        topic_id: wire_id(&topic),
        error_code: ErrorCode::None.code(),
        error_message: None,
    })
}
