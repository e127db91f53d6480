//! Consumer groups as librdkafka's clients see them: sharing partitions, taking over, remembering, over restarts too.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

#[path = "kafka_groups/expiry.rs"]
mod expiry;
#[path = "kafka_groups/managed.rs"]
mod managed;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, ClientContext, Message, Offset, TopicPartitionList};
use support::{Gateway, PATIENCE, eventually, unique, within};

const CALL: Duration = Duration::from_secs(20);

fn config(gateway: &Gateway) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", gateway.kafka()).set("broker.address.family", "v4").set("reconnect.backoff.max.ms", "200");
    config
}

fn group_config(gateway: &Gateway, group: &str) -> ClientConfig {
    let mut config = config(gateway);
    config
        .set("group.id", group)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("session.timeout.ms", "10000")
        .set("heartbeat.interval.ms", "200")
        .set("topic.metadata.refresh.interval.ms", "1000");
    config
}

fn admin(gateway: &Gateway) -> AdminClient<DefaultClientContext> {
    config(gateway).create().unwrap()
}

async fn make_topic(gateway: &Gateway, partitions: i32) -> String {
    let topic = unique("groups");
    let new = NewTopic::new(&topic, partitions, TopicReplication::Fixed(1));
    let made = admin(gateway).create_topics([&new], &AdminOptions::new()).await.unwrap();
    assert!(made.iter().all(Result::is_ok), "{made:?}");
    topic
}

async fn produce(gateway: &Gateway, topic: &str, partitions: i32, values: std::ops::Range<u32>) {
    let producer: FutureProducer = config(gateway).create().unwrap();
    for value in values {
        let text = value.to_string();
        let record = FutureRecord::<(), str>::to(topic).payload(&text).partition(value as i32 % partitions);
        producer.send(record, CALL).await.unwrap();
    }
}

/// What a member has seen.
#[derive(Default)]
struct Seen {
    rounds: AtomicUsize,
    records: Mutex<Vec<(i32, i64, u32)>>,
    fatal: Mutex<Option<RDKafkaErrorCode>>,
}

struct Context(Arc<Seen>);

impl ClientContext for Context {}

impl ConsumerContext for Context {
    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if matches!(rebalance, Rebalance::Assign(_)) {
            self.0.rounds.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// A consumer that takes whatever comes, until it is dropped.
struct Member {
    consumer: Arc<StreamConsumer<Context>>,
    seen: Arc<Seen>,
    task: tokio::task::JoinHandle<()>,
}

impl Member {
    fn start(config: &ClientConfig, topic: &str) -> Self {
        let seen = Arc::new(Seen::default());
        let consumer: StreamConsumer<Context> = config.create_with_context(Context(Arc::clone(&seen))).unwrap();
        let consumer = Arc::new(consumer);
        consumer.subscribe(&[topic]).unwrap();
        let task = tokio::spawn(take_all(Arc::clone(&consumer), Arc::clone(&seen)));
        Self { consumer, seen, task }
    }

    fn partitions(&self) -> BTreeSet<i32> {
        let assigned = self.consumer.assignment().unwrap();
        assigned.elements().iter().map(rdkafka::topic_partition_list::TopicPartitionListElem::partition).collect()
    }

    fn values(&self) -> Vec<u32> {
        self.seen.records.lock().unwrap().iter().map(|(_, _, value)| *value).collect()
    }

    async fn has(&self, what: &str, partitions: &[i32]) {
        let wanted: BTreeSet<i32> = partitions.iter().copied().collect();
        eventually(what, async || (self.partitions() == wanted).then_some(())).await;
    }

    /// Ends it; a member that is not static leaves its group.
    async fn stop(self) {
        self.task.abort();
        let _ = self.task.await;
        let consumer = self.consumer;
        tokio::task::spawn_blocking(move || drop(consumer)).await.unwrap();
    }
}

async fn take_all(consumer: Arc<StreamConsumer<Context>>, seen: Arc<Seen>) {
    loop {
        match consumer.recv().await {
            Ok(record) => {
                let value = std::str::from_utf8(record.payload().unwrap()).unwrap().parse().unwrap();
                seen.records.lock().unwrap().push((record.partition(), record.offset(), value));
                // Refused where the client stores offsets by itself.
                let _ = consumer.store_offset_from_message(&record);
            }
            Err(KafkaError::MessageConsumptionFatal(code)) => {
                *seen.fatal.lock().unwrap() = Some(code);
                return;
            }
            Err(_) => {}
        }
    }
}

/// Waits until the members together have every value at least once, and gives how often each came.
async fn all_seen(members: &[&Member], count: u32) -> BTreeMap<u32, usize> {
    eventually("every record comes", async || {
        let mut times = BTreeMap::new();
        for value in members.iter().flat_map(|m| m.values()) {
            *times.entry(value).or_insert(0) += 1;
        }
        (times.len() == count as usize).then_some(times)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_share_the_partitions_and_take_over_from_each_other() {
    let gateway = Gateway::start();
    let topic = make_topic(&gateway, 6).await;
    let config = group_config(&gateway, &unique("g"));
    let a = Member::start(&config, &topic);
    a.has("a has all", &[0, 1, 2, 3, 4, 5]).await;
    let b = Member::start(&config, &topic);
    eventually("a and b share", async || {
        let (of_a, of_b) = (a.partitions(), b.partitions());
        (of_a.len() == 3 && of_b.len() == 3 && of_a.is_disjoint(&of_b)).then_some(())
    })
    .await;
    produce(&gateway, &topic, 6, 0..60).await;
    let times = all_seen(&[&a, &b], 60).await;
    assert!(times.values().all(|n| *n == 1), "{times:?}");
    for member in [&a, &b] {
        member.consumer.commit_consumer_state(CommitMode::Sync).unwrap();
    }
    let of_b = b.values();
    b.stop().await;
    a.has("a has all again", &[0, 1, 2, 3, 4, 5]).await;
    produce(&gateway, &topic, 6, 60..120).await;
    eventually("a gets the rest", async || (a.values().len() == 120 - of_b.len()).then_some(())).await;
    a.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cooperative_members_keep_what_they_have() {
    let gateway = Gateway::start();
    let topic = make_topic(&gateway, 4).await;
    let mut config = group_config(&gateway, &unique("g"));
    config.set("partition.assignment.strategy", "cooperative-sticky");
    let a = Member::start(&config, &topic);
    a.has("a has all", &[0, 1, 2, 3]).await;
    let b = Member::start(&config, &topic);
    eventually("b gets two", async || (b.partitions().len() == 2 && a.partitions().len() == 2).then_some(())).await;
    assert!(a.partitions().is_disjoint(&b.partitions()));
    produce(&gateway, &topic, 4, 0..40).await;
    let times = all_seen(&[&a, &b], 40).await;
    assert!(times.values().all(|n| *n == 1), "{times:?}");
    b.stop().await;
    a.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn committed_offsets_outlive_a_crash() {
    let mut gateway = Gateway::start();
    let topic = make_topic(&gateway, 1).await;
    let config = group_config(&gateway, &unique("g"));
    produce(&gateway, &topic, 1, 0..10).await;
    let first = Member::start(&config, &topic);
    all_seen(&[&first], 10).await;
    let mut at = TopicPartitionList::new();
    at.add_partition_offset(&topic, 0, Offset::Offset(7)).unwrap();
    first.consumer.commit(&at, CommitMode::Sync).unwrap();
    first.stop().await;
    gateway.crash();

    let second = Member::start(&config, &topic);
    eventually("what was not committed comes again", async || (second.values() == [7, 8, 9]).then_some(())).await;
    let mut asked = TopicPartitionList::new();
    asked.add_partition(&topic, 0);
    let held = second.consumer.committed_offsets(asked, CALL).unwrap();
    assert_eq!(held.elements()[0].offset(), Offset::Offset(7));
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_goes_on_over_a_crash_without_a_round() {
    let mut gateway = Gateway::start();
    let topic = make_topic(&gateway, 2).await;
    let member = Member::start(&group_config(&gateway, &unique("g")), &topic);
    member.has("all partitions", &[0, 1]).await;
    produce(&gateway, &topic, 2, 0..4).await;
    all_seen(&[&member], 4).await;
    member.consumer.commit_consumer_state(CommitMode::Sync).unwrap();
    gateway.crash();
    produce(&gateway, &topic, 2, 4..8).await;
    all_seen(&[&member], 8).await;
    within("the commit", async {
        eventually("a commit is taken", async || member.consumer.commit_consumer_state(CommitMode::Sync).ok()).await;
    })
    .await;
    assert_eq!(member.seen.rounds.load(Ordering::SeqCst), 1, "the group knew its member");
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_static_member_that_restarts_disturbs_nobody() {
    let gateway = Gateway::start();
    let topic = make_topic(&gateway, 4).await;
    let mut config = group_config(&gateway, &unique("g"));
    config.set("group.instance.id", "one");
    let one = Member::start(&config, &topic);
    one.has("all partitions", &[0, 1, 2, 3]).await;
    config.set("group.instance.id", "two");
    let two = Member::start(&config, &topic);
    eventually("they share", async || (one.partitions().len() == 2 && two.partitions().len() == 2).then_some(())).await;
    let (rounds, of_two) = (one.seen.rounds.load(Ordering::SeqCst), two.partitions());
    two.stop().await;
    let again = Member::start(&config, &topic);
    let of_two: Vec<i32> = of_two.into_iter().collect();
    again.has("what it had", &of_two).await;
    assert_eq!(one.seen.rounds.load(Ordering::SeqCst), rounds);
    again.stop().await;
    one.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_later_of_two_static_members_of_one_name_fences_the_first() {
    let gateway = Gateway::start();
    let topic = make_topic(&gateway, 1).await;
    let mut config = group_config(&gateway, &unique("g"));
    config.set("group.instance.id", "one");
    let first = Member::start(&config, &topic);
    first.has("the partition", &[0]).await;
    let second = Member::start(&config, &topic);
    second.has("the partition", &[0]).await;
    eventually("the first is fenced", async || *first.seen.fatal.lock().unwrap()).await;
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_are_listed_described_and_deleted_when_empty() {
    let gateway = Gateway::start();
    let topic = make_topic(&gateway, 1).await;
    let group = unique("g");
    let member = Member::start(group_config(&gateway, &group).set("client.id", "billing"), &topic);
    member.has("the partition", &[0]).await;
    let list = member.consumer.fetch_group_list(None, CALL).unwrap();
    let told = list.groups().iter().find(|g| g.name() == group).expect("the group is listed");
    assert_eq!((told.state(), told.protocol_type(), told.protocol()), ("Stable", "consumer", "range"));
    let members = told.members();
    assert_eq!((members.len(), members[0].client_id(), members[0].client_host()), (1, "billing", "/127.0.0.1"));
    assert!(members[0].id().starts_with("billing-"), "{}", members[0].id());
    assert!(members[0].assignment().is_some_and(|bytes| !bytes.is_empty()));

    let admin = admin(&gateway);
    let delete = async || admin.delete_groups(&[&group], &AdminOptions::new()).await.unwrap().remove(0);
    assert_eq!(delete().await, Err((group.clone(), RDKafkaErrorCode::NonEmptyGroup)));
    member.stop().await;
    eventually("the group is empty", async || delete().await.ok()).await;
    assert_eq!(delete().await, Err((group.clone(), RDKafkaErrorCode::GroupIdNotFound)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_may_commit_for_an_empty_group_only() {
    let gateway = Gateway::start();
    let topic = make_topic(&gateway, 1).await;
    let group = unique("g");
    let stranger: BaseConsumer = group_config(&gateway, &group).create().unwrap();
    let mut at = TopicPartitionList::new();
    at.add_partition_offset(&topic, 0, Offset::Offset(5)).unwrap();
    stranger.commit(&at, CommitMode::Sync).unwrap();
    let mut asked = TopicPartitionList::new();
    asked.add_partition(&topic, 0);
    asked.add_partition(&topic, 1);
    let held = stranger.committed_offsets(asked, CALL).unwrap();
    let offsets: Vec<_> = held.elements().iter().map(rdkafka::topic_partition_list::TopicPartitionListElem::offset).collect();
    assert_eq!(offsets, [Offset::Offset(5), Offset::Invalid]);

    let member = Member::start(&group_config(&gateway, &group), &topic);
    member.has("the partition", &[0]).await;
    let refused = stranger.commit(&at, CommitMode::Sync).unwrap_err();
    assert_eq!(refused.rdkafka_error_code(), Some(RDKafkaErrorCode::UnknownMemberId));
    member.stop().await;
    tokio::time::timeout(PATIENCE, tokio::task::spawn_blocking(move || drop(stranger))).await.unwrap().unwrap();
}
