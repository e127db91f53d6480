//! IncrementalAlterConfigs (key 44), versions 0 and 1 (KIP-339): sets or resets single keys of a topic, all of them or none.
//! 1 is flexible. Appending to a list and taking from one are refused, because no list here has more than one value.

use super::super::call::Call;
use super::super::error::ErrorCode;
use super::super::mapping::find_topic;
use super::super::topic_config;
use super::super::wire::Uuid;
use super::super::wire::message::incremental_alter_configs::{
    AlterConfigsResource, AlterConfigsResourceResponse, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};
use super::create_topics::Refusal;
use super::describe_configs::RESOURCE_TOPIC;
use crate::delivery::Unit;
use crate::log::Barrier;

const SET: i8 = 0;
const DELETE: i8 = 1;

pub fn handle(call: &Call, request: IncrementalAlterConfigsRequest) -> (IncrementalAlterConfigsResponse, Barrier) {
    let mut unit = call.delivery().begin();
    let mut responses = Vec::with_capacity(request.resources.len());
    for resource in request.resources {
        let altered = match &mut unit {
            Ok(unit) => alter(call, unit, &resource, request.validate_only),
            Err(refused) => Err(((&*refused).into(), refused.to_string())),
        };
        let (error, error_message) = altered.err().map_or((ErrorCode::None, None), |(error, message)| (error, Some(message)));
        responses.push(AlterConfigsResourceResponse {
            error_code: error.code(),
            error_message,
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
        });
    }
    let after = unit.map_or(Barrier::NONE, Unit::commit);
    (IncrementalAlterConfigsResponse { responses, ..IncrementalAlterConfigsResponse::default() }, after)
}

fn alter(call: &Call, unit: &mut Unit<'_>, resource: &AlterConfigsResource, validate_only: bool) -> Result<(), Refusal> {
    let changes = resource.configs.iter().map(|config| {
        let value = match (config.config_operation, config.value.as_deref()) {
            (SET, Some(value)) => Some(value),
            (DELETE, _) => None,
            _ => return Err((ErrorCode::InvalidConfig, format!("{}: only SET and DELETE are supported", config.name))),
        };
        Ok((config.name.as_str(), value))
    });
    let changes = changes.collect::<Result<Vec<_>, Refusal>>()?;
    change_topic(call, unit, (resource.resource_type, &resource.resource_name), &changes, Base::Current, validate_only)
}

/// What changes start from.
pub enum Base {
    Current,
    Defaults,
}

/// Changes a topic's settings by Kafka's keys.
pub fn change_topic(
    call: &Call,
    unit: &mut Unit<'_>,
    (resource_type, name): (i8, &str),
    changes: &[(&str, Option<&str>)],
    base: Base,
    validate_only: bool,
) -> Result<(), Refusal> {
    if resource_type != RESOURCE_TOPIC {
        return Err((ErrorCode::InvalidRequest, "only settings of topics can be changed".to_owned()));
    }
    let topic = find_topic(call.log(), name, Uuid::ZERO).map_err(|error| (error, "no such topic".to_owned()))?;
    if topic.is_internal() {
        return Err((ErrorCode::InvalidTopicException, "the topic belongs to the log itself".to_owned()));
    }
    let defaults = call.kafka().new_topic_settings();
    let current = topic.settings();
    let mut settings = match base {
        Base::Current => crate::log::TopicSettings::clone(&current),
        Base::Defaults => {
            crate::log::TopicSettings { origin: current.origin.clone(), durable: current.durable, ..defaults.clone() }
        }
    };
    for (key, value) in changes {
        topic_config::set(&mut settings, &defaults, key, *value)
            .map_err(|error| (ErrorCode::InvalidConfig, error.to_string()))?;
    }
    if !validate_only {
        unit.set_topic_settings(topic.name(), settings).map_err(|error| ((&error).into(), error.to_string()))?;
    }
    Ok(())
}
