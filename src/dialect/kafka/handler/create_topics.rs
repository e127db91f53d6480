//! CreateTopics (key 19), versions 2 to 7: each topic is made or refused on its own, those that are made in one step.
//! 4 allows defaults for both numbers (KIP-464), 5 is flexible and returns the configuration, 7 returns the topic id.

use std::collections::HashMap;

use super::super::NODE_ID;
use super::super::call::Call;
use super::super::error::ErrorCode;
use super::super::mapping::{is_legal_new_name, topic_name, wire_count, wire_id};
use super::super::topic_config;
use super::super::wire::message::create_topics::{
    CreatableTopic, CreatableTopicConfigs, CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse,
};
use super::describe_configs::{SOURCE_DEFAULT, SOURCE_TOPIC};
use crate::delivery::Unit;
use crate::log::{Barrier, TopicName, TopicSettings};

/// More partitions than this are not made for one topic.
const PARTITIONS_MAX: u32 = 10_000;

/// Why a topic was not made, for the client.
pub type Refusal = (ErrorCode, String);

pub fn handle(call: &Call, request: CreateTopicsRequest) -> (CreateTopicsResponse, Barrier) {
    let mut times: HashMap<&str, u32> = HashMap::new();
    for topic in &request.topics {
        *times.entry(&topic.name).or_default() += 1;
    }
    let mut unit = if request.validate_only { call.delivery().begin() } else { call.delivery().begin_records() };
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let is_repeated = times.get(topic.name.as_str()).is_some_and(|times| *times > 1);
        let made = match &mut unit {
            _ if is_repeated => Err((ErrorCode::InvalidRequest, "the topic is named more than once".to_owned())),
            Ok(unit) => create(call, unit, topic, request.validate_only),
            Err(refused) => Err(((&*refused).into(), refused.to_string())),
        };
        topics.push(made.unwrap_or_else(|(error, message)| CreatableTopicResult {
            name: topic.name.clone(),
            error_code: error.code(),
            error_message: Some(message),
            configs: None,
            ..CreatableTopicResult::default()
        }));
    }
    let after = unit.map_or(Barrier::NONE, Unit::commit);
    (CreateTopicsResponse { topics, ..CreateTopicsResponse::default() }, after)
}

fn create(
    call: &Call,
    unit: &mut Unit<'_>,
    wanted: &CreatableTopic,
    validate_only: bool,
) -> Result<CreatableTopicResult, Refusal> {
    let name = legal_name(&wanted.name)?;
    if unit.topic(&name).is_some() {
        return Err((ErrorCode::TopicAlreadyExists, format!("Topic '{name}' already exists.")));
    }
    let partitions = partition_count(call, wanted)?;
    let defaults = call.kafka().new_topic_settings();
    let mut settings = defaults.clone();
    for config in &wanted.configs {
        topic_config::set(&mut settings, &defaults, &config.name, config.value.as_deref())
            .map_err(|error| (ErrorCode::InvalidConfig, error.to_string()))?;
    }
    let mut result = CreatableTopicResult {
        name: wanted.name.clone(),
        num_partitions: wire_count(partitions),
        replication_factor: 1,
        configs: Some(configs(&settings, &defaults)),
        ..CreatableTopicResult::default()
    };
    if !validate_only {
        let topic = unit.create_topic(&name, partitions, settings).map_err(|error| ((&error).into(), error.to_string()))?;
        result.topic_id = wire_id(&topic);
        tracing::info!(topic = %name, partitions, peer = %call.client.peer, "topic made");
    }
    Ok(result)
}

fn legal_name(name: &str) -> Result<TopicName, Refusal> {
    topic_name(name).filter(|_| is_legal_new_name(name)).ok_or_else(|| {
        let rule = "a topic's name has 1 to 249 letters, digits, '.', '_' or '-', and does not begin with two underscores";
        (ErrorCode::InvalidTopicException, rule.to_owned())
    })
}

/// The number asked for, or the number of assignments, or the configured one.
fn partition_count(call: &Call, wanted: &CreatableTopic) -> Result<u32, Refusal> {
    if !wanted.assignments.is_empty() {
        if wanted.num_partitions != -1 || wanted.replication_factor != -1 {
            return Err((ErrorCode::InvalidRequest, "either numbers or assignments, not both".to_owned()));
        }
        let mut indexes: Vec<i32> = wanted.assignments.iter().map(|assignment| assignment.partition_index).collect();
        indexes.sort_unstable();
        let is_dense = indexes.iter().zip(0..).all(|(index, due)| *index == due);
        if !is_dense || wanted.assignments.iter().any(|assignment| assignment.broker_ids != [NODE_ID]) {
            return Err((ErrorCode::InvalidReplicaAssignment, format!("every partition can only lie on broker {NODE_ID}")));
        }
        return Ok(u32::try_from(wanted.assignments.len()).unwrap_or(u32::MAX));
    }
    if !matches!(wanted.replication_factor, -1 | 1) {
        let message = format!("replication factor {} asked for, there is 1 broker", wanted.replication_factor);
        return Err((ErrorCode::InvalidReplicationFactor, message));
    }
    match u32::try_from(wanted.num_partitions) {
        Ok(count @ 1..=PARTITIONS_MAX) => Ok(count),
        _ if wanted.num_partitions == -1 => Ok(call.kafka().settings.default_partitions),
        _ => Err((ErrorCode::InvalidPartitions, format!("the number of partitions must be 1 to {PARTITIONS_MAX}"))),
    }
}

fn configs(settings: &TopicSettings, defaults: &TopicSettings) -> Vec<CreatableTopicConfigs> {
    let config = |entry: topic_config::Entry| CreatableTopicConfigs {
        name: entry.name.to_owned(),
        config_source: if entry.value == entry.default { SOURCE_DEFAULT } else { SOURCE_TOPIC },
        value: Some(entry.value),
        read_only: false,
        is_sensitive: false,
    };
    topic_config::entries(settings, defaults).into_iter().map(config).collect()
}
