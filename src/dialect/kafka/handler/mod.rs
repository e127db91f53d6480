//! One file an API key, and the flat dispatch in front of them: one line an API.
//!
//! A handler takes a decoded request and gives a response with the position in the journal that gates it. None of them sees
//! a socket.

// Every handler has one form: it takes its request, whether it keeps parts of it or not.
#![allow(clippy::needless_pass_by_value)]

mod add_offsets_to_txn;
mod add_partitions_to_txn;
mod alter_configs;
mod api_versions;
mod consumer_group_describe;
mod consumer_group_heartbeat;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_producers;
mod describe_topic_partitions;
mod describe_transactions;
mod end_txn;
mod fetch;
mod fetch_response;
mod find_coordinator;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_groups;
mod list_offsets;
mod list_transactions;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;
mod sasl_authenticate;
mod sasl_handshake;
mod share_group_describe;
mod share_group_heartbeat;
mod sync_group;
mod txn_offset_commit;

#[cfg(test)]
mod group_tests;

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;

use super::call::{Answer, Call, Client};
use super::support;
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
use super::wire::{Message, RequestHeader, WireError, decode};
use crate::log::Barrier;

/// Runs one request frame of a client.
///
/// # Errors
/// The frame is not what it claims to be; the connection cannot go on.
pub fn run(client: &Arc<Client>, frame: Bytes) -> Result<Answer, WireError> {
    let (header, body) = RequestHeader::decode(frame)?;
    let (key, version) = (header.api_key, header.api_version);
    let call = Call { client: Arc::clone(client), header: Arc::new(header) };
    if !support::is_supported(key, version) {
        // Only ApiVersions has an answer that a client of any version can read (KIP-511).
        return match key {
            ApiVersionsRequest::KEY => Ok(Answer::Now(api_versions::unsupported(&call))),
            key => Err(WireError::Version { key, version }),
        };
    }
    let before_login = matches!(key, ApiVersionsRequest::KEY | SaslHandshakeRequest::KEY | SaslAuthenticateRequest::KEY);
    if !before_login && !client.access.is_known() {
        return Ok(Answer::Close("a request before authentication"));
    }
    dispatch(&call, body)
}

fn dispatch(call: &Call, body: Bytes) -> Result<Answer, WireError> {
    match call.header.api_key {
        ProduceRequest::KEY => produce::handle(call, body),
        FetchRequest::KEY => fetch::handle(call, body),
        ListOffsetsRequest::KEY => now(call, body, list_offsets::handle),
        MetadataRequest::KEY => now(call, body, metadata::handle),
        SaslHandshakeRequest::KEY => now(call, body, sasl_handshake::handle),
        ApiVersionsRequest::KEY => now(call, body, api_versions::handle),
        ConsumerGroupDescribeRequest::KEY => now(call, body, consumer_group_describe::handle),
        ConsumerGroupHeartbeatRequest::KEY => now(call, body, consumer_group_heartbeat::handle),
        CreateTopicsRequest::KEY => now(call, body, create_topics::handle),
        DeleteTopicsRequest::KEY => now(call, body, delete_topics::handle),
        DeleteRecordsRequest::KEY => now(call, body, delete_records::handle),
        InitProducerIdRequest::KEY => now(call, body, init_producer_id::handle),
        OffsetForLeaderEpochRequest::KEY => now(call, body, offset_for_leader_epoch::handle),
        DescribeConfigsRequest::KEY => now(call, body, describe_configs::handle),
        AlterConfigsRequest::KEY => now(call, body, alter_configs::handle),
        SaslAuthenticateRequest::KEY => later(call, body, sasl_authenticate::handle),
        CreatePartitionsRequest::KEY => now(call, body, create_partitions::handle),
        IncrementalAlterConfigsRequest::KEY => now(call, body, incremental_alter_configs::handle),
        DescribeClusterRequest::KEY => now(call, body, describe_cluster::handle),
        DescribeTopicPartitionsRequest::KEY => now(call, body, describe_topic_partitions::handle),
        DeleteGroupsRequest::KEY => now(call, body, delete_groups::handle),
        DescribeGroupsRequest::KEY => now(call, body, describe_groups::handle),
        FindCoordinatorRequest::KEY => now(call, body, find_coordinator::handle),
        HeartbeatRequest::KEY => now(call, body, heartbeat::handle),
        JoinGroupRequest::KEY => later(call, body, join_group::handle),
        LeaveGroupRequest::KEY => now(call, body, leave_group::handle),
        ListGroupsRequest::KEY => now(call, body, list_groups::handle),
        OffsetCommitRequest::KEY => now(call, body, offset_commit::handle),
        OffsetDeleteRequest::KEY => now(call, body, offset_delete::handle),
        OffsetFetchRequest::KEY => now(call, body, offset_fetch::handle),
        AddPartitionsToTxnRequest::KEY => now(call, body, add_partitions_to_txn::handle),
        AddOffsetsToTxnRequest::KEY => now(call, body, add_offsets_to_txn::handle),
        EndTxnRequest::KEY => now(call, body, end_txn::handle),
        TxnOffsetCommitRequest::KEY => now(call, body, txn_offset_commit::handle),
        DescribeProducersRequest::KEY => now(call, body, describe_producers::handle),
        DescribeTransactionsRequest::KEY => now(call, body, describe_transactions::handle),
        ListTransactionsRequest::KEY => now(call, body, list_transactions::handle),
        ShareGroupDescribeRequest::KEY => now(call, body, share_group_describe::handle),
        ShareGroupHeartbeatRequest::KEY => now(call, body, share_group_heartbeat::handle),
        SyncGroupRequest::KEY => later(call, body, sync_group::handle),
        key => Err(WireError::Version { key, version: call.version() }),
    }
}

/// A handler that has its response at once.
fn now<Q: Message, R: Message>(
    call: &Call,
    body: Bytes,
    handle: impl FnOnce(&Call, Q) -> (R, Barrier),
) -> Result<Answer, WireError> {
    let (response, after) = handle(call, decode(body, call.version())?);
    Ok(Answer::Now(call.reply(&response, after)))
}

/// A handler that may have to wait.
fn later<Q, R, F>(call: &Call, body: Bytes, handle: impl FnOnce(Call, Q) -> F) -> Result<Answer, WireError>
where
    Q: Message,
    R: Message,
    F: Future<Output = (R, Barrier)> + Send + 'static,
{
    let request = decode(body, call.version())?;
    let call = call.clone();
    let waiting = handle(call.clone(), request);
    Ok(Answer::Later(Box::pin(async move {
        let (response, after) = waiting.await;
        Answer::Now(call.reply(&response, after))
    })))
}
