//! Metadata (key 3), versions 0 to 13: who the broker is and which partitions topics have.
//!
//! 1 adds controller and internal topics, 4 whether topics may be made by asking, 7 leader epochs, 8 to 10 authorized
//! operations, 9 is flexible, 10 adds topic ids, 12 asks by id, 13 adds an error for the whole.

use std::sync::Arc;

use super::super::NODE_ID;
use super::super::call::Call;
use super::super::error::ErrorCode;
use super::super::mapping::{find_topic, is_legal_new_name, topic_name, wire_count, wire_id};
use super::super::wire::Uuid;
use super::super::wire::message::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker, MetadataResponsePartition,
    MetadataResponseTopic,
};
use crate::log::{Barrier, Topic, TopicError, TopicName};

pub fn handle(call: &Call, request: MetadataRequest) -> (MetadataResponse, Barrier) {
    // Version 0 has no way to ask for no topic: an empty list is all of them.
    let wanted = request.topics.filter(|topics| call.version() > 0 || !topics.is_empty());
    let (topics, after) = match wanted {
        None => (all_topics(call), Barrier::NONE),
        Some(wanted) => {
            let create = request.allow_auto_topic_creation && call.kafka().settings.auto_create_topics;
            let after = if create { create_missing(call, &wanted) } else { Barrier::NONE };
            (wanted.into_iter().map(|topic| wanted_topic(call, topic)).collect(), after)
        }
    };
    let (host, port) = call.advertised();
    let response = MetadataResponse {
        brokers: vec![MetadataResponseBroker { node_id: NODE_ID, host, port, rack: None }],
        cluster_id: Some(call.kafka().cluster_id.clone()),
        controller_id: NODE_ID,
        topics,
        ..MetadataResponse::default()
    };
    (response, after)
}

/// Topics whose names are not text cannot be said in this protocol.
fn all_topics(call: &Call) -> Vec<MetadataResponseTopic> {
    let mut topics: Vec<_> = call.log().topics().iter().filter_map(|topic| Some(found(topic, topic.name().as_str()?))).collect();
    topics.sort_by(|a, b| a.name.cmp(&b.name));
    topics
}

/// Makes the topics that are asked for and may be made, all in one step.
fn create_missing(call: &Call, wanted: &[MetadataRequestTopic]) -> Barrier {
    let log = call.log();
    let missing: Vec<TopicName> = wanted
        .iter()
        .filter(|topic| topic.topic_id == Uuid::ZERO)
        .filter_map(|topic| topic.name.as_deref())
        .filter(|name| is_legal_new_name(name))
        .filter_map(topic_name)
        .filter(|name| log.topic(name).is_none())
        .collect();
    if missing.is_empty() {
        return Barrier::NONE;
    }
    let Ok(mut unit) = call.delivery().begin_records() else { return Barrier::NONE };
    for name in missing {
        let settings = call.kafka().new_topic_settings();
        match unit.create_topic(&name, call.kafka().settings.default_partitions, settings) {
            Ok(_) => tracing::info!(topic = %name, peer = %call.client.peer, "topic made because it was asked for"),
            // Somebody else was faster, or it is named twice.
            Err(TopicError::Exists) => {}
            Err(error) => tracing::warn!(topic = %name, %error, "topic not made"),
        }
    }
    unit.commit()
}

fn wanted_topic(call: &Call, wanted: MetadataRequestTopic) -> MetadataResponseTopic {
    let name = wanted.name.as_deref().unwrap_or_default();
    match find_topic(call.log(), name, wanted.topic_id) {
        Ok(topic) => match topic.name().as_str() {
            Some(name) => found(&topic, name),
            None => unknown(wanted, ErrorCode::UnknownTopicId),
        },
        Err(ErrorCode::UnknownTopicOrPartition) if !is_legal_new_name(name) => unknown(wanted, ErrorCode::InvalidTopicException),
        Err(error) => unknown(wanted, error),
    }
}

fn unknown(wanted: MetadataRequestTopic, error: ErrorCode) -> MetadataResponseTopic {
    MetadataResponseTopic {
        error_code: error.code(),
        name: wanted.name,
        topic_id: wanted.topic_id,
        ..MetadataResponseTopic::default()
    }
}

fn found(topic: &Arc<Topic>, name: &str) -> MetadataResponseTopic {
    let partition = |index| MetadataResponsePartition {
        partition_index: index,
        leader_id: NODE_ID,
        leader_epoch: 0,
        replica_nodes: vec![NODE_ID],
        isr_nodes: vec![NODE_ID],
        ..MetadataResponsePartition::default()
    };
    MetadataResponseTopic {
        name: Some(name.to_owned()),
        topic_id: wire_id(topic),
        is_internal: topic.is_internal(),
        partitions: (0..wire_count(topic.partition_count())).map(partition).collect(),
        ..MetadataResponseTopic::default()
    }
}
