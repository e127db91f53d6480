//! What of Kafka is supported, as data: the answer to ApiVersions, the gate in front of the handlers, and the table of
//! `docs/compat/kafka.md` are all this list.

use super::wire::Message;
use super::wire::message::{
    add_offsets_to_txn::AddOffsetsToTxnRequest, add_partitions_to_txn::AddPartitionsToTxnRequest,
    alter_configs::AlterConfigsRequest, api_versions::ApiVersionsRequest, consumer_group_describe::ConsumerGroupDescribeRequest,
    consumer_group_heartbeat::ConsumerGroupHeartbeatRequest, create_partitions::CreatePartitionsRequest,
    create_topics::CreateTopicsRequest, delete_groups::DeleteGroupsRequest, delete_records::DeleteRecordsRequest,
    delete_topics::DeleteTopicsRequest, describe_cluster::DescribeClusterRequest, describe_configs::DescribeConfigsRequest,
    describe_groups::DescribeGroupsRequest, describe_producers::DescribeProducersRequest,
    describe_topic_partitions::DescribeTopicPartitionsRequest, describe_transactions::DescribeTransactionsRequest,
    end_txn::EndTxnRequest, fetch::FetchRequest, find_coordinator::FindCoordinatorRequest, heartbeat::HeartbeatRequest,
    incremental_alter_configs::IncrementalAlterConfigsRequest, init_producer_id::InitProducerIdRequest,
    join_group::JoinGroupRequest, leave_group::LeaveGroupRequest, list_groups::ListGroupsRequest,
    list_offsets::ListOffsetsRequest, list_transactions::ListTransactionsRequest, metadata::MetadataRequest,
    offset_commit::OffsetCommitRequest, offset_delete::OffsetDeleteRequest, offset_fetch::OffsetFetchRequest,
    offset_for_leader_epoch::OffsetForLeaderEpochRequest, produce::ProduceRequest, sasl_authenticate::SaslAuthenticateRequest,
    sasl_handshake::SaslHandshakeRequest, share_group_describe::ShareGroupDescribeRequest,
    share_group_heartbeat::ShareGroupHeartbeatRequest, sync_group::SyncGroupRequest, txn_offset_commit::TxnOffsetCommitRequest,
};

/// One API key and the versions of it that are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Api {
    pub key: i16,
    /// Kafka's name of the API.
    pub name: &'static str,
    pub min: i16,
    pub max: i16,
    /// The first version that ApiVersions names. Lower than `min` where a client looks for a version that it never sends.
    pub advertised_min: i16,
}

const fn api<M: Message>(name: &'static str, max: i16) -> Api {
    Api { key: M::KEY, name, min: M::MIN, max, advertised_min: M::MIN }
}

/// Every API that is answered, in the order of the keys.
pub const APIS: &[Api] = &[
    // librdkafka compresses only if version 0 is named (KAFKA-18659), and sends 3 or later.
    Api { advertised_min: 0, ..api::<ProduceRequest>("Produce", 13) },
    api::<FetchRequest>("Fetch", 17),
    api::<ListOffsetsRequest>("ListOffsets", 10),
    api::<MetadataRequest>("Metadata", 13),
    api::<OffsetCommitRequest>("OffsetCommit", 10),
    api::<OffsetFetchRequest>("OffsetFetch", 10),
    api::<FindCoordinatorRequest>("FindCoordinator", 6),
    api::<JoinGroupRequest>("JoinGroup", 9),
    api::<HeartbeatRequest>("Heartbeat", 4),
    api::<LeaveGroupRequest>("LeaveGroup", 5),
    api::<SyncGroupRequest>("SyncGroup", 5),
    api::<DescribeGroupsRequest>("DescribeGroups", 6),
    api::<ListGroupsRequest>("ListGroups", 5),
    api::<SaslHandshakeRequest>("SaslHandshake", 1),
    api::<ApiVersionsRequest>("ApiVersions", 4),
    api::<CreateTopicsRequest>("CreateTopics", 7),
    api::<DeleteTopicsRequest>("DeleteTopics", 6),
    api::<DeleteRecordsRequest>("DeleteRecords", 2),
    api::<InitProducerIdRequest>("InitProducerId", 5),
    api::<OffsetForLeaderEpochRequest>("OffsetForLeaderEpoch", 4),
    // Later versions are what brokers send each other.
    api::<AddPartitionsToTxnRequest>("AddPartitionsToTxn", 3),
    api::<AddOffsetsToTxnRequest>("AddOffsetsToTxn", 4),
    api::<EndTxnRequest>("EndTxn", 4),
    api::<TxnOffsetCommitRequest>("TxnOffsetCommit", 4),
    api::<DescribeConfigsRequest>("DescribeConfigs", 4),
    api::<AlterConfigsRequest>("AlterConfigs", 2),
    api::<SaslAuthenticateRequest>("SaslAuthenticate", 2),
    api::<CreatePartitionsRequest>("CreatePartitions", 3),
    api::<DeleteGroupsRequest>("DeleteGroups", 2),
    api::<IncrementalAlterConfigsRequest>("IncrementalAlterConfigs", 1),
    api::<OffsetDeleteRequest>("OffsetDelete", 0),
    api::<DescribeClusterRequest>("DescribeCluster", 2),
    api::<DescribeProducersRequest>("DescribeProducers", 0),
    api::<DescribeTransactionsRequest>("DescribeTransactions", 0),
    api::<ListTransactionsRequest>("ListTransactions", 1),
    api::<ConsumerGroupHeartbeatRequest>("ConsumerGroupHeartbeat", 1),
    api::<ConsumerGroupDescribeRequest>("ConsumerGroupDescribe", 1),
    api::<DescribeTopicPartitionsRequest>("DescribeTopicPartitions", 0),
    api::<ShareGroupHeartbeatRequest>("ShareGroupHeartbeat", 1),
    api::<ShareGroupDescribeRequest>("ShareGroupDescribe", 1),
];

/// Whether a request of this key and version is answered.
pub fn is_supported(key: i16, version: i16) -> bool {
    APIS.iter().any(|api| api.key == key && (api.min..=api.max).contains(&version))
}

#[cfg(test)]
mod tests {
    use super::super::topic_config::{FIXED, SETTABLE, WITHOUT_EFFECT};
    use super::*;

    #[test]
    fn keys_are_in_order_and_once() {
        assert!(APIS.windows(2).all(|pair| matches!(pair, [a, b] if a.key < b.key)));
    }

    /// The table between the marks of `docs/compat/kafka.md`.
    #[test]
    fn the_page_says_what_the_table_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/compat/kafka.md");
        let page = std::fs::read_to_string(path).expect("the page");
        let row = |api: &Api| format!("| {} | {} | {} to {} |\n", api.key, api.name, api.min, api.max);
        let rows: String = APIS.iter().map(row).collect();
        let table = format!("<!-- table: begin -->\n| key | request | versions |\n|---|---|---|\n{rows}<!-- table: end -->");
        assert!(page.contains(&table), "docs/compat/kafka.md and the code differ. In the code:\n{table}");
    }

    #[test]
    fn every_key_of_a_topic_stands_on_the_page() {
        let page = include_str!("../../../docs/compat/kafka.md");
        let fixed = FIXED.iter().map(|(name, _, _)| *name);
        for name in fixed.chain(WITHOUT_EFFECT.iter().copied()).chain(SETTABLE.iter().copied()) {
            assert!(page.contains(&format!("`{name}`")), "{name}");
        }
    }

    #[test]
    fn telemetry_keys_are_not_offered_for_nobody_answers_them() {
        assert!(APIS.iter().all(|api| api.key != 71 && api.key != 72));
    }
}
