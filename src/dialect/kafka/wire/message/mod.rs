//! The messages, one file an API key, and the way to try every one of them.
//! Written by `scripts/generate-kafka-messages.py` from Kafka's message definitions; do not edit.

#![allow(clippy::field_reassign_with_default)]

pub mod add_offsets_to_txn;
pub mod add_partitions_to_txn;
pub mod alter_configs;
pub mod api_versions;
pub mod consumer_group_describe;
pub mod consumer_group_heartbeat;
pub mod create_partitions;
pub mod create_topics;
pub mod delete_groups;
pub mod delete_records;
pub mod delete_topics;
pub mod describe_cluster;
pub mod describe_configs;
pub mod describe_groups;
pub mod describe_producers;
pub mod describe_topic_partitions;
pub mod describe_transactions;
pub mod end_txn;
pub mod fetch;
pub mod find_coordinator;
pub mod heartbeat;
pub mod incremental_alter_configs;
pub mod init_producer_id;
pub mod join_group;
pub mod leave_group;
pub mod list_groups;
pub mod list_offsets;
pub mod list_transactions;
pub mod metadata;
pub mod offset_commit;
pub mod offset_delete;
pub mod offset_fetch;
pub mod offset_for_leader_epoch;
pub mod produce;
pub mod sasl_authenticate;
pub mod sasl_handshake;
pub mod share_group_describe;
pub mod share_group_heartbeat;
pub mod sync_group;
pub mod txn_offset_commit;

/// Calls a macro with the name of every API: the one list of what the codec knows.
macro_rules! each_kafka_api {
    ($with:ident) => {
        $with! {
        produce ProduceRequest ProduceResponse,
        fetch FetchRequest FetchResponse,
        list_offsets ListOffsetsRequest ListOffsetsResponse,
        metadata MetadataRequest MetadataResponse,
        offset_commit OffsetCommitRequest OffsetCommitResponse,
        offset_fetch OffsetFetchRequest OffsetFetchResponse,
        find_coordinator FindCoordinatorRequest FindCoordinatorResponse,
        join_group JoinGroupRequest JoinGroupResponse,
        heartbeat HeartbeatRequest HeartbeatResponse,
        leave_group LeaveGroupRequest LeaveGroupResponse,
        sync_group SyncGroupRequest SyncGroupResponse,
        describe_groups DescribeGroupsRequest DescribeGroupsResponse,
        list_groups ListGroupsRequest ListGroupsResponse,
        sasl_handshake SaslHandshakeRequest SaslHandshakeResponse,
        api_versions ApiVersionsRequest ApiVersionsResponse,
        create_topics CreateTopicsRequest CreateTopicsResponse,
        delete_topics DeleteTopicsRequest DeleteTopicsResponse,
        delete_records DeleteRecordsRequest DeleteRecordsResponse,
        init_producer_id InitProducerIdRequest InitProducerIdResponse,
        offset_for_leader_epoch OffsetForLeaderEpochRequest OffsetForLeaderEpochResponse,
        add_partitions_to_txn AddPartitionsToTxnRequest AddPartitionsToTxnResponse,
        add_offsets_to_txn AddOffsetsToTxnRequest AddOffsetsToTxnResponse,
        end_txn EndTxnRequest EndTxnResponse,
        txn_offset_commit TxnOffsetCommitRequest TxnOffsetCommitResponse,
        describe_configs DescribeConfigsRequest DescribeConfigsResponse,
        alter_configs AlterConfigsRequest AlterConfigsResponse,
        sasl_authenticate SaslAuthenticateRequest SaslAuthenticateResponse,
        create_partitions CreatePartitionsRequest CreatePartitionsResponse,
        delete_groups DeleteGroupsRequest DeleteGroupsResponse,
        incremental_alter_configs IncrementalAlterConfigsRequest IncrementalAlterConfigsResponse,
        offset_delete OffsetDeleteRequest OffsetDeleteResponse,
        describe_cluster DescribeClusterRequest DescribeClusterResponse,
        describe_producers DescribeProducersRequest DescribeProducersResponse,
        describe_transactions DescribeTransactionsRequest DescribeTransactionsResponse,
        list_transactions ListTransactionsRequest ListTransactionsResponse,
        consumer_group_heartbeat ConsumerGroupHeartbeatRequest ConsumerGroupHeartbeatResponse,
        consumer_group_describe ConsumerGroupDescribeRequest ConsumerGroupDescribeResponse,
        describe_topic_partitions DescribeTopicPartitionsRequest DescribeTopicPartitionsResponse,
        share_group_heartbeat ShareGroupHeartbeatRequest ShareGroupHeartbeatResponse,
        share_group_describe ShareGroupDescribeRequest ShareGroupDescribeResponse,
        }
    };
}
pub(crate) use each_kafka_api;
