//! DescribeConfigs (key 32), versions 1 to 4: the settings of topics and of the broker under Kafka's names.
//! 3 adds the kind of a value, 4 is flexible.

use super::super::NODE_ID;
use super::super::call::Call;
use super::super::error::ErrorCode;
use super::super::mapping::find_topic;
use super::super::topic_config::{self, Entry, ValueKind};
use super::super::wire::Uuid;
use super::super::wire::message::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResponse,
    DescribeConfigsResult, DescribeConfigsSynonym,
};
use crate::log::Barrier;

pub const RESOURCE_TOPIC: i8 = 2;
pub const RESOURCE_BROKER: i8 = 4;
/// Where a value comes from: the topic, the broker's file, or nowhere but the default.
pub const SOURCE_TOPIC: i8 = 1;
const SOURCE_BROKER_FILE: i8 = 4;
pub const SOURCE_DEFAULT: i8 = 5;

pub fn handle(call: &Call, request: DescribeConfigsRequest) -> (DescribeConfigsResponse, Barrier) {
    let describe = |resource: DescribeConfigsResource| {
        let described = match resource.resource_type {
            RESOURCE_TOPIC => topic(call, &resource.resource_name),
            RESOURCE_BROKER => broker(call, &resource.resource_name),
            _ => Err(ErrorCode::InvalidRequest),
        };
        let (error, mut configs) = match described {
            Ok(configs) => (ErrorCode::None, configs),
            Err(error) => (error, Vec::new()),
        };
        if let Some(keys) = &resource.configuration_keys {
            configs.retain(|config| keys.contains(&config.name));
        }
        if !request.include_synonyms {
            configs.iter_mut().for_each(|config| config.synonyms.clear());
        }
        DescribeConfigsResult {
            error_code: error.code(),
            error_message: (error == ErrorCode::InvalidRequest).then(|| "only topics and brokers have settings".to_owned()),
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
            configs,
        }
    };
    let results = request.resources.into_iter().map(describe).collect();
    (DescribeConfigsResponse { results, ..DescribeConfigsResponse::default() }, Barrier::NONE)
}

fn topic(call: &Call, name: &str) -> Result<Vec<DescribeConfigsResourceResult>, ErrorCode> {
    let topic = find_topic(call.log(), name, Uuid::ZERO)?;
    let entries = topic_config::entries(&topic.settings(), &call.kafka().new_topic_settings());
    Ok(entries.into_iter().map(|entry| result(entry, SOURCE_TOPIC, topic.is_internal())).collect())
}

fn broker(call: &Call, name: &str) -> Result<Vec<DescribeConfigsResourceResult>, ErrorCode> {
    if !name.is_empty() && name != NODE_ID.to_string() {
        return Err(ErrorCode::InvalidRequest);
    }
    let settings = &call.kafka().settings;
    let defaults = super::super::Settings::default();
    let retention = |bound: Option<u64>| bound.map_or_else(|| "-1".to_owned(), |ms| ms.to_string());
    let entry = |name, kind, value: String, default: String| Entry { name, kind, value, default };
    let entries = [
        entry(
            "auto.create.topics.enable",
            ValueKind::Boolean,
            settings.auto_create_topics.to_string(),
            defaults.auto_create_topics.to_string(),
        ),
        entry("default.replication.factor", ValueKind::Int, "1".to_owned(), "1".to_owned()),
        entry(
            "log.retention.ms",
            ValueKind::Long,
            retention(settings.default_retention_ms),
            retention(defaults.default_retention_ms),
        ),
        entry("message.max.bytes", ValueKind::Int, settings.batch_bytes_max.to_string(), defaults.batch_bytes_max.to_string()),
        entry("num.partitions", ValueKind::Int, settings.default_partitions.to_string(), defaults.default_partitions.to_string()),
        entry(
            "socket.request.max.bytes",
            ValueKind::Int,
            settings.request_bytes_max.to_string(),
            defaults.request_bytes_max.to_string(),
        ),
    ];
    Ok(entries.into_iter().map(|entry| result(entry, SOURCE_BROKER_FILE, true)).collect())
}

fn result(entry: Entry, source: i8, read_only: bool) -> DescribeConfigsResourceResult {
    let config_source = if entry.value == entry.default { SOURCE_DEFAULT } else { source };
    let synonym =
        |value: &str, source| DescribeConfigsSynonym { name: entry.name.to_owned(), value: Some(value.to_owned()), source };
    let mut synonyms = vec![synonym(&entry.value, config_source)];
    if config_source != SOURCE_DEFAULT {
        synonyms.push(synonym(&entry.default, SOURCE_DEFAULT));
    }
    DescribeConfigsResourceResult {
        name: entry.name.to_owned(),
        value: Some(entry.value),
        read_only,
        config_source,
        is_sensitive: false,
        synonyms,
        config_type: entry.kind as i8,
        documentation: None,
    }
}
