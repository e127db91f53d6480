//! The group requests in every version that is offered, as frames in and frames out: a whole life of a group in each.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::run;
use crate::delivery::Delivery;
use crate::delivery::group::{GroupSettings, Groups};
use crate::dialect::kafka::call::{Answer, Client};
use crate::dialect::kafka::error::ErrorCode;
use crate::dialect::kafka::sasl::Access;
use crate::dialect::kafka::wire::message::delete_groups::{DeleteGroupsRequest, DeleteGroupsResponse};
use crate::dialect::kafka::wire::message::describe_groups::{DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup};
use crate::dialect::kafka::wire::message::find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};
use crate::dialect::kafka::wire::message::heartbeat::{HeartbeatRequest, HeartbeatResponse};
use crate::dialect::kafka::wire::message::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use crate::dialect::kafka::wire::message::leave_group::{LeaveGroupRequest, LeaveGroupResponse, MemberIdentity};
use crate::dialect::kafka::wire::message::list_groups::{ListGroupsRequest, ListGroupsResponse};
use crate::dialect::kafka::wire::message::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic, OffsetCommitResponse,
};
use crate::dialect::kafka::wire::message::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic, OffsetDeleteResponse,
};
use crate::dialect::kafka::wire::message::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics, OffsetFetchResponse,
};
use crate::dialect::kafka::wire::message::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse};
use crate::dialect::kafka::wire::{Message, RequestHeader, Uuid, decode, encode};
use crate::dialect::kafka::{Kafka, Settings};
use crate::log::{LogSettings, TopicName, TopicSettings};
use crate::security::Open;
use crate::telemetry::DialectMetrics;

const METADATA: &[u8] = b"\x00\x00\x00\x00\x00\x01\x00\x06orders\xff\xff\xff\xff";

/// A client of a dialect over a log of its own.
struct Conversation {
    client: Arc<Client>,
    delivery: Delivery,
    orders: Uuid,
    _timers: tokio::task::JoinSet<()>,
    _directory: tempfile::TempDir,
}

impl Conversation {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let settings = LogSettings { directory: directory.path().to_owned(), ..LogSettings::default() };
        let delivery = Delivery::open(settings).unwrap();
        let settings = GroupSettings { initial_rebalance_delay_ms: 1, ..GroupSettings::default() };
        let groups = Groups::open(delivery.clone(), settings).unwrap();
        let mut timers = tokio::task::JoinSet::new();
        let timed = groups.clone();
        timers.spawn(async move { timed.run_timers(std::future::pending()).await });
        let mut unit = delivery.begin().unwrap();
        let name = TopicName::new(&b"orders"[..]).unwrap();
        let topic = unit.create_topic(&name, 2, TopicSettings::consumed("test", true, 1 << 20)).unwrap();
        unit.commit();
        let kafka = Kafka::open(delivery.clone(), groups, Settings::default(), Arc::new(Open), DialectMetrics::new("kafka"));
        let client = Client {
            kafka: Arc::new(kafka.unwrap()),
            peer: ([127, 0, 0, 1], 5000).into(),
            local: ([127, 0, 0, 1], 9092).into(),
            access: Access::new(&Open),
        };
        let orders = Uuid(topic.id().0);
        Self { client: Arc::new(client), delivery, orders, _timers: timers, _directory: directory }
    }

    /// Sends a request as a frame and reads the frame that comes back.
    async fn ask<Q: Message, R: Message>(&self, version: i16, request: &Q) -> R {
        let mut frame = BytesMut::new();
        let header = RequestHeader { api_key: Q::KEY, api_version: version, correlation_id: 7, client_id: Some("teller".into()) };
        header.encode(&mut frame);
        encode(request, &mut frame, version);
        let reply = match run(&self.client, frame.freeze()).unwrap() {
            Answer::Now(reply) => reply,
            Answer::Later(reply) => reply.await,
            Answer::Silent | Answer::Paused(..) | Answer::Close(_) => panic!("no answer to {} version {version}", Q::NAME),
        };
        self.delivery.log().when_durable(reply.after).await.unwrap();
        let header_bytes = if version >= R::FLEXIBLE { 9 } else { 8 };
        decode(reply.frame.freeze().slice(header_bytes..), version).unwrap()
    }

    /// Joins, with an id first where the version asks for that, and gets all the work.
    async fn lead(&self, group: &str, version: i16) -> JoinGroupResponse {
        let protocol = JoinGroupRequestProtocol { name: "range".into(), metadata: Bytes::from_static(METADATA) };
        let mut request = JoinGroupRequest {
            group_id: group.into(),
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 10_000,
            protocol_type: "consumer".into(),
            protocols: vec![protocol],
            ..JoinGroupRequest::default()
        };
        let first: JoinGroupResponse = self.ask(version, &request).await;
        if version < 4 {
            return first;
        }
        assert_eq!(first.error_code, ErrorCode::MemberIdRequired.code());
        request.member_id = first.member_id;
        self.ask(version, &request).await
    }

    async fn sync(&self, group: &str, joined: &JoinGroupResponse, version: i16) -> SyncGroupResponse {
        let work = SyncGroupRequestAssignment { member_id: joined.member_id.clone(), assignment: Bytes::from_static(b"all") };
        let request = SyncGroupRequest {
            group_id: group.into(),
            generation_id: joined.generation_id,
            member_id: joined.member_id.clone(),
            protocol_type: Some("consumer".into()),
            protocol_name: Some("range".into()),
            assignments: vec![work],
            ..SyncGroupRequest::default()
        };
        self.ask(version, &request).await
    }

    async fn commit(&self, group: &str, joined: &JoinGroupResponse, version: i16, offset: i64) -> i16 {
        let partition = OffsetCommitRequestPartition {
            partition_index: 1,
            committed_offset: offset,
            committed_metadata: Some("note".into()),
            ..OffsetCommitRequestPartition::default()
        };
        let (name, topic_id) = if version >= 10 { (String::new(), self.orders) } else { ("orders".into(), Uuid::ZERO) };
        let request = OffsetCommitRequest {
            group_id: group.into(),
            generation_id_or_member_epoch: joined.generation_id,
            member_id: joined.member_id.clone(),
            topics: vec![OffsetCommitRequestTopic { name, topic_id, partitions: vec![partition] }],
            ..OffsetCommitRequest::default()
        };
        let response: OffsetCommitResponse = self.ask(version, &request).await;
        let topic = &response.topics[0];
        assert_eq!((topic.name.as_str(), topic.topic_id), (request.topics[0].name.as_str(), topic_id));
        topic.partitions[0].error_code
    }

    /// Offset and metadata of partitions 0 and 1; by name, by id, or all there is, as the version and the caller want.
    async fn fetch(&self, group: &str, version: i16, everything: bool) -> Vec<(i32, i64, String)> {
        let by_id = version >= 10;
        let (name, topic_id) = if by_id { (String::new(), self.orders) } else { ("orders".into(), Uuid::ZERO) };
        let topics = vec![OffsetFetchRequestTopics { name: name.clone(), topic_id, partition_indexes: vec![0, 1] }];
        let old = vec![OffsetFetchRequestTopic { name, partition_indexes: vec![0, 1] }];
        let of_group = OffsetFetchRequestGroup {
            group_id: group.into(),
            topics: (!everything).then_some(topics),
            ..OffsetFetchRequestGroup::default()
        };
        let request = if version >= 8 {
            OffsetFetchRequest { groups: vec![of_group], ..OffsetFetchRequest::default() }
        } else {
            OffsetFetchRequest { group_id: group.into(), topics: (!everything).then_some(old), ..OffsetFetchRequest::default() }
        };
        let response: OffsetFetchResponse = self.ask(version, &request).await;
        assert_eq!(response.error_code, 0);
        let old = response.topics.into_iter().flat_map(|t| t.partitions);
        let old = old.map(|p| (p.partition_index, p.committed_offset, p.metadata.unwrap(), p.error_code));
        let new = response.groups.into_iter().flat_map(|g| g.topics).inspect(|t| assert!(!by_id || t.topic_id == self.orders));
        let new = new.flat_map(|t| t.partitions);
        let new = new.map(|p| (p.partition_index, p.committed_offset, p.metadata.unwrap(), p.error_code));
        let all = old.chain(new).inspect(|p| assert_eq!(p.3, 0));
        all.map(|(index, offset, metadata, _)| (index, offset, metadata)).collect()
    }

    async fn describe(&self, group: &str, version: i16) -> DescribedGroup {
        let request = DescribeGroupsRequest { groups: vec![group.into()], ..DescribeGroupsRequest::default() };
        let mut response: DescribeGroupsResponse = self.ask(version, &request).await;
        response.groups.remove(0)
    }

    async fn leave(&self, group: &str, joined: &JoinGroupResponse, version: i16) -> (i16, Vec<i16>) {
        let member = MemberIdentity { member_id: joined.member_id.clone(), ..MemberIdentity::default() };
        let mut request = LeaveGroupRequest { group_id: group.into(), ..LeaveGroupRequest::default() };
        if version < 3 {
            request.member_id.clone_from(&joined.member_id);
        } else {
            request.members = vec![member];
        }
        let response: LeaveGroupResponse = self.ask(version, &request).await;
        (response.error_code, response.members.iter().map(|m| m.error_code).collect())
    }
}

#[tokio::test]
async fn every_version_of_join_and_sync_leads_to_a_stable_group() {
    let talk = Conversation::start();
    for version in JoinGroupRequest::MIN..=JoinGroupRequest::MAX {
        let group = format!("join-{version}");
        let joined = talk.lead(&group, version).await;
        assert_eq!((joined.error_code, joined.generation_id, joined.leader == joined.member_id), (0, 1, true));
        assert_eq!((joined.protocol_name.as_deref(), joined.members.len()), (Some("range"), 1));
        assert_eq!((&joined.members[0].metadata[..], joined.skip_assignment), (METADATA, false));
        assert!(joined.member_id.starts_with("teller-"));
        let synced = talk.sync(&group, &joined, version.min(SyncGroupRequest::MAX)).await;
        assert_eq!((synced.error_code, &synced.assignment[..]), (0, &b"all"[..]));
    }
}

#[tokio::test]
async fn every_version_of_heartbeat_and_leave_is_answered() {
    let talk = Conversation::start();
    for version in LeaveGroupRequest::MIN..=LeaveGroupRequest::MAX {
        let group = format!("leave-{version}");
        let joined = talk.lead(&group, 9).await;
        talk.sync(&group, &joined, 5).await;
        let beat = |epoch| HeartbeatRequest {
            group_id: group.clone(),
            generation_id: epoch,
            member_id: joined.member_id.clone(),
            ..HeartbeatRequest::default()
        };
        let heartbeat_version = version.min(HeartbeatRequest::MAX);
        let alive: HeartbeatResponse = talk.ask(heartbeat_version, &beat(1)).await;
        let stale: HeartbeatResponse = talk.ask(heartbeat_version, &beat(2)).await;
        assert_eq!((alive.error_code, stale.error_code), (0, ErrorCode::IllegalGeneration.code()));
        let unknown = ErrorCode::UnknownMemberId.code();
        let (yes, no) = if version < 3 { ((0, vec![]), (unknown, vec![])) } else { ((0, vec![0]), (0, vec![unknown])) };
        assert_eq!(talk.leave(&group, &joined, version).await, yes);
        assert_eq!(talk.leave(&group, &joined, version).await, no);
    }
}

#[tokio::test]
async fn every_version_of_commit_and_fetch_keeps_an_offset() {
    let talk = Conversation::start();
    let joined = talk.lead("billing", 9).await;
    talk.sync("billing", &joined, 5).await;
    for version in OffsetCommitRequest::MIN..=OffsetCommitRequest::MAX {
        let offset = 100 + i64::from(version);
        assert_eq!(talk.commit("billing", &joined, version, offset).await, 0);
        assert_eq!(talk.fetch("billing", version, true).await, [(1, offset, "note".to_owned())]);
    }
    for version in OffsetFetchRequest::MIN..=OffsetFetchRequest::MAX {
        let expected = [(0, -1, String::new()), (1, 110, "note".to_owned())];
        assert_eq!(talk.fetch("billing", version, false).await, expected);
        assert_eq!(talk.fetch("nobody", version, false).await, [(0, -1, String::new()), (1, -1, String::new())]);
    }
    let stranger = JoinGroupResponse::default();
    assert_eq!(talk.commit("billing", &stranger, 9, 1).await, ErrorCode::UnknownMemberId.code());
    assert_eq!(talk.commit("other", &stranger, 9, 1).await, 0);
    assert_eq!(talk.commit("other", &stranger, 9, -1).await, ErrorCode::OffsetOutOfRange.code());
}

#[tokio::test]
async fn every_version_of_find_coordinator_names_this_broker() {
    let talk = Conversation::start();
    for version in FindCoordinatorRequest::MIN..=FindCoordinatorRequest::MAX {
        let keys = vec!["a".to_owned(), String::new()];
        let mut request = FindCoordinatorRequest { key: "a".into(), ..FindCoordinatorRequest::default() };
        if version >= 4 {
            request = FindCoordinatorRequest { coordinator_keys: keys, ..FindCoordinatorRequest::default() };
        }
        let response: FindCoordinatorResponse = talk.ask(version, &request).await;
        if version >= 4 {
            let codes: Vec<_> = response.coordinators.iter().map(|c| (c.error_code, c.node_id, c.port)).collect();
            assert_eq!(codes, [(0, 1, 9092), (ErrorCode::InvalidGroupId.code(), -1, -1)]);
        } else {
            assert_eq!((response.error_code, response.node_id, response.host.as_str()), (0, 1, "127.0.0.1"));
        }
    }
}

#[tokio::test]
async fn every_version_of_the_observers_requests_shows_the_group() {
    let talk = Conversation::start();
    let joined = talk.lead("billing", 9).await;
    talk.sync("billing", &joined, 5).await;
    for version in DescribeGroupsRequest::MIN..=DescribeGroupsRequest::MAX {
        let told = talk.describe("billing", version).await;
        assert_eq!((told.error_code, told.group_state.as_str(), told.protocol_type.as_str()), (0, "Stable", "consumer"));
        let member = &told.members[0];
        assert_eq!((member.client_id.as_str(), member.client_host.as_str()), ("teller", "/127.0.0.1"));
        assert_eq!((&member.member_metadata[..], &member.member_assignment[..]), (METADATA, &b"all"[..]));
        let none = talk.describe("nobody", version).await;
        let code = if version >= 6 { ErrorCode::GroupIdNotFound } else { ErrorCode::None };
        assert_eq!((none.error_code, none.group_state.as_str()), (code.code(), "Dead"));
    }
    for version in ListGroupsRequest::MIN..=ListGroupsRequest::MAX {
        let list: ListGroupsResponse = talk.ask(version, &ListGroupsRequest::default()).await;
        assert_eq!((list.groups.len(), list.groups[0].group_id.as_str()), (1, "billing"));
    }
    for (states, types, count) in [("stable", "Classic", 1), ("Empty", "classic", 0), ("Stable", "consumer", 0)] {
        let request = ListGroupsRequest { states_filter: vec![states.into()], types_filter: vec![types.into()] };
        let list: ListGroupsResponse = talk.ask(5, &request).await;
        assert_eq!(list.groups.len(), count, "{states} {types}");
    }
}

#[tokio::test]
async fn offsets_and_groups_are_deleted_when_nobody_needs_them() {
    let talk = Conversation::start();
    let delete = |group: &str| DeleteGroupsRequest { groups_names: vec![group.into()] };
    for version in DeleteGroupsRequest::MIN..=DeleteGroupsRequest::MAX {
        let joined = talk.lead("billing", 9).await;
        talk.sync("billing", &joined, 5).await;
        assert_eq!(talk.commit("billing", &joined, 9, 5).await, 0);
        let parts = [1, -1].map(|partition_index| OffsetDeleteRequestPartition { partition_index });
        let topic = OffsetDeleteRequestTopic { name: "orders".into(), partitions: parts.to_vec() };
        let request = OffsetDeleteRequest { group_id: "billing".into(), topics: vec![topic] };
        let codes = async || {
            let response: OffsetDeleteResponse = talk.ask(0, &request).await;
            (response.error_code, response.topics[0].partitions.iter().map(|p| p.error_code).collect::<Vec<_>>())
        };
        let unknown = ErrorCode::UnknownTopicOrPartition.code();
        assert_eq!(codes().await, (0, vec![ErrorCode::GroupSubscribedToTopic.code(), unknown]));
        let response: DeleteGroupsResponse = talk.ask(version, &delete("billing")).await;
        assert_eq!(response.results[0].error_code, ErrorCode::NonEmptyGroup.code());
        talk.leave("billing", &joined, 5).await;
        assert_eq!(codes().await, (0, vec![0, unknown]));
        assert_eq!(talk.fetch("billing", 9, true).await, []);
        let response: DeleteGroupsResponse = talk.ask(version, &delete("billing")).await;
        assert_eq!(response.results[0].error_code, 0);
        let response: DeleteGroupsResponse = talk.ask(version, &delete("billing")).await;
        assert_eq!(response.results[0].error_code, ErrorCode::GroupIdNotFound.code());
    }
}
