//! CreatePartitions (key 37), versions 0 to 3: more partitions for topics that exist. 2 is flexible, 3 may throttle.

use super::super::NODE_ID;
use super::super::call::Call;
use super::super::error::ErrorCode;
use super::super::mapping::{find_topic, wire_count};
use super::super::wire::Uuid;
use super::super::wire::message::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic, CreatePartitionsTopicResult,
};
use super::create_topics::Refusal;
use crate::delivery::Unit;
use crate::log::Barrier;

/// More partitions than this are not made for one topic.
const PARTITIONS_MAX: u32 = 10_000;

pub fn handle(call: &Call, request: CreatePartitionsRequest) -> (CreatePartitionsResponse, Barrier) {
    let mut unit = if request.validate_only { call.delivery().begin() } else { call.delivery().begin_records() };
    let mut results = Vec::with_capacity(request.topics.len());
    for wanted in request.topics {
        let grown = match &mut unit {
            Ok(unit) => grow(call, unit, &wanted, request.validate_only),
            Err(refused) => Err(((&*refused).into(), refused.to_string())),
        };
        let (error, error_message) = grown.err().map_or((ErrorCode::None, None), |(error, message)| (error, Some(message)));
        results.push(CreatePartitionsTopicResult { name: wanted.name, error_code: error.code(), error_message });
    }
    let after = unit.map_or(Barrier::NONE, Unit::commit);
    (CreatePartitionsResponse { results, ..CreatePartitionsResponse::default() }, after)
}

fn grow(call: &Call, unit: &mut Unit<'_>, wanted: &CreatePartitionsTopic, validate_only: bool) -> Result<(), Refusal> {
    let topic = find_topic(call.log(), &wanted.name, Uuid::ZERO).map_err(|error| (error, "no such topic".to_owned()))?;
    if topic.is_internal() {
        return Err((ErrorCode::InvalidTopicException, "the topic belongs to the log itself".to_owned()));
    }
    let current = topic.partition_count();
    let total = match u32::try_from(wanted.count) {
        Ok(total) if total > current && total <= PARTITIONS_MAX => total,
        _ => {
            let message =
                format!("the topic has {}; a new number must be more than that, up to {PARTITIONS_MAX}", wire_count(current));
            return Err((ErrorCode::InvalidPartitions, message));
        }
    };
    if let Some(assignments) = &wanted.assignments {
        let fits = u32::try_from(assignments.len()).is_ok_and(|count| count == total - current);
        if !fits || assignments.iter().any(|assignment| assignment.broker_ids != [NODE_ID]) {
            let message = format!("every new partition needs one assignment, to broker {NODE_ID}");
            return Err((ErrorCode::InvalidReplicaAssignment, message));
        }
    }
    if !validate_only {
        unit.add_partitions(topic.name(), total).map_err(|error| ((&error).into(), error.to_string()))?;
    }
    Ok(())
}
