//! Transactions over a real log: what queue views, tails and readers see before and after the outcome, and after a restart.

use std::sync::Arc;

use bytes::Bytes;

use super::group::{Caller, GroupSettings, Groups};
use super::transaction::{Producer, TransactionError};
use super::*;
use crate::log::record::{BatchBuilder, BatchHeader, Limits, Outcome, Record, ValidBatch};
use crate::log::simulation::{name, wait_until_durable};
use crate::log::{Aborted, Bound, Signal, Topic, TopicSettings};

const TIMEOUT_MS: i64 = 60_000;

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    /// Journal files so small that each unit gets its own.
    fn open(&self) -> Delivery {
        let settings = LogSettings {
            directory: self.0.path().to_owned(),
            journal_file_bytes: 1,
            journal_retain_bytes: u64::MAX,
            ..LogSettings::default()
        };
        Delivery::open(settings).expect("the log opens")
    }
}

fn id() -> Arc<str> {
    Arc::from("id")
}

/// A topic of one partition with a queue view.
fn make(delivery: &Delivery, text: &str) -> Arc<Topic> {
    let mut unit = delivery.begin().expect("accepted");
    let topic = unit.create_topic(&name(text), 1, TopicSettings::default()).expect("a new topic");
    unit.open_queue(&name(text), QueueSpec::new(name(text), true)).expect("the topic is there");
    topic
}

fn batch(values: &[&str], producer: Option<(Producer, i32)>) -> ValidBatch {
    let mut builder = BatchBuilder::new();
    for value in values {
        let value = Some(Bytes::from((*value).to_owned()));
        builder.push(&Record { key: None, value, headers: Vec::new(), timestamp_ms: 1_000 });
    }
    let mut bytes = builder.finish().to_vec();
    if let Some((producer, sequence)) = producer {
        let mut header = BatchHeader::parse(&bytes).expect("a batch");
        header.attributes |= 0x10;
        (header.producer_id, header.producer_epoch, header.base_sequence) = (producer.id, producer.epoch, sequence);
        bytes[..61].copy_from_slice(&header.to_bytes());
        let crc = crc_fast::crc32_iscsi(&bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    }
    ValidBatch::check(bytes.into(), &Limits::default()).expect("valid")
}

fn begin(delivery: &Delivery) -> Producer {
    let mut unit = delivery.begin().expect("accepted");
    let producer = unit.begin_producer(&id(), None, TIMEOUT_MS).expect("begun");
    settle(delivery, unit.commit());
    producer
}

fn join(delivery: &Delivery, producer: Producer, topics: &[&Arc<Topic>]) {
    let partitions = topics.iter().map(|topic| (topic.id(), 0)).collect();
    delivery.begin().expect("accepted").add_to_transaction(&id(), producer, partitions).expect("added");
}

fn write(
    delivery: &Delivery,
    topic: &Arc<Topic>,
    values: &[&str],
    producer: Option<(Producer, i32)>,
) -> Result<u64, ProduceError> {
    let mut unit = delivery.begin().expect("accepted");
    let appended = unit.append_batch(topic, 0, &batch(values, producer))?;
    settle(delivery, unit.commit());
    Ok(appended.base_offset)
}

fn settle(delivery: &Delivery, barrier: crate::log::Barrier) {
    wait_until_durable(delivery.log(), barrier);
}

/// Moves everything that is there by now to segments. Each step writes something itself, to a file of its own.
fn retire(delivery: &Delivery) {
    let files = delivery.log().stats().journal_files;
    for _ in 1..files {
        delivery.log().retire_oldest().expect("retired");
    }
}

fn end(delivery: &Delivery, producer: Producer, outcome: Outcome) {
    let groups = groups(delivery);
    settle(delivery, groups.end_transaction(&id(), producer, outcome).expect("ended"));
}

fn groups(delivery: &Delivery) -> Groups {
    Groups::open(delivery.clone(), GroupSettings::default()).expect("groups open")
}

fn ready(delivery: &Delivery, text: &str) -> u64 {
    delivery.begin().expect("accepted").ready(&name(text), Class::All)
}

/// Everything that the queue view gives, in its order.
fn pop_all(delivery: &Delivery, topic: &Arc<Topic>) -> Vec<String> {
    let mut unit = delivery.begin().expect("accepted");
    let mut found = Vec::new();
    while let Some(position) = unit.pop(topic.name(), End::Head, Class::All) {
        let partition = topic.partition(position.partition).expect("a partition");
        let record = unit.read(&partition, position.offset).expect("a record");
        found.push(String::from_utf8_lossy(&record.value.unwrap_or_default()).into_owned());
    }
    found
}

fn bounds(topic: &Topic) -> (u64, u64) {
    let bounds = topic.partition(0).expect("a partition").bounds();
    (bounds.stable, bounds.durable)
}

#[tokio::test]
async fn a_queue_gives_a_record_of_a_transaction_once_it_is_committed_and_at_its_place() {
    let place = Place::new();
    let delivery = place.open();
    let (orders, other) = (make(&delivery, "orders"), make(&delivery, "other"));
    let producer = begin(&delivery);
    join(&delivery, producer, &[&orders, &other]);
    write(&delivery, &orders, &["a", "b"], Some((producer, 0))).expect("taken");
    write(&delivery, &orders, &["plain"], None).expect("taken");
    write(&delivery, &other, &["far"], Some((producer, 0))).expect("taken");
    assert_eq!((ready(&delivery, "orders"), ready(&delivery, "other")), (1, 0));
    assert_eq!((bounds(&orders), bounds(&other)), ((0, 3), (0, 1)));
    assert_eq!(pop_all(&delivery, &orders), ["plain"], "others do not wait for it");
    write(&delivery, &orders, &["later"], None).expect("taken");
    end(&delivery, producer, Outcome::Commit);
    assert_eq!((bounds(&orders), bounds(&other)), ((5, 5), (2, 2)));
    assert_eq!(ready(&delivery, "orders"), 3, "a marker is no record");
    assert_eq!(pop_all(&delivery, &orders), ["a", "b", "later"]);
    assert_eq!(pop_all(&delivery, &other), ["far"]);
    delivery.close().expect("closed");
}

#[tokio::test]
async fn an_aborted_record_is_never_given_by_a_queue_and_told_to_readers_of_what_is_committed() {
    let place = Place::new();
    let delivery = place.open();
    let orders = make(&delivery, "orders");
    let producer = begin(&delivery);
    join(&delivery, producer, &[&orders]);
    write(&delivery, &orders, &["a", "b"], Some((producer, 0))).expect("taken");
    end(&delivery, producer, Outcome::Abort);
    assert_eq!(ready(&delivery, "orders"), 0);
    let partition = orders.partition(0).expect("a partition");
    let told = [Aborted { producer_id: producer.id, first_offset: 0, last_offset: 2, last_stable_offset: 3 }];
    assert_eq!(delivery.log().aborted(&partition, 0, 2).expect("read"), told);
    assert_eq!(partition.bounds().stable, 3);

    // A view that is opened later passes over it too, and so does each after a restart.
    let mut unit = delivery.begin().expect("accepted");
    unit.drop_queue(&name("orders"));
    unit.open_queue(&name("orders"), QueueSpec::new(name("orders"), true)).expect("there");
    unit.commit();
    assert_eq!(ready(&delivery, "orders"), 0);
    delivery.close().expect("closed");
    let delivery = place.open();
    assert_eq!(ready(&delivery, "orders"), 0);
    delivery.close().expect("closed");
}

#[tokio::test]
async fn an_open_transaction_goes_on_after_a_restart_and_after_its_journal_file_is_gone() {
    let place = Place::new();
    let mut delivery = place.open();
    let orders = make(&delivery, "orders");
    let producer = begin(&delivery);
    join(&delivery, producer, &[&orders]);
    write(&delivery, &orders, &["a"], Some((producer, 0))).expect("taken");
    write(&delivery, &orders, &["plain"], None).expect("taken");
    for round in 0..3 {
        retire(&delivery);
        delivery.0.log.close();
        delivery = place.open();
        let orders = delivery.log().topic(&name("orders")).expect("there");
        assert_eq!((bounds(&orders).0, ready(&delivery, "orders")), (0, 1), "round {round}");
    }
    let orders = delivery.log().topic(&name("orders")).expect("there");
    assert_eq!(write(&delivery, &orders, &["a"], Some((producer, 0))), Ok(0), "a batch that comes twice");
    write(&delivery, &orders, &["b"], Some((producer, 1))).expect("taken");
    end(&delivery, producer, Outcome::Commit);
    assert_eq!(pop_all(&delivery, &orders), ["a", "plain", "b"]);
    delivery.close().expect("closed");
}

#[tokio::test]
async fn aborted_transactions_are_told_from_segments_too() {
    let place = Place::new();
    let delivery = place.open();
    let orders = make(&delivery, "orders");
    let producer = begin(&delivery);
    let mut expected = Vec::new();
    for round in 0..6_u64 {
        join(&delivery, producer, &[&orders]);
        let first_offset = write(&delivery, &orders, &["x"], Some((producer, round as i32))).expect("taken");
        let outcome = if round % 2 == 0 { Outcome::Abort } else { Outcome::Commit };
        end(&delivery, producer, outcome);
        let (last_offset, last_stable_offset) = (first_offset + 1, first_offset + 2);
        if outcome == Outcome::Abort {
            expected.push(Aborted { producer_id: producer.id, first_offset, last_offset, last_stable_offset });
        }
        if round == 3 {
            retire(&delivery);
        }
    }
    let told = |delivery: &Delivery| {
        let partition = delivery.log().topic(&name("orders")).expect("there").partition(0).expect("a partition");
        delivery.log().aborted(&partition, 0, u64::MAX).expect("read")
    };
    assert_eq!(told(&delivery), expected);
    delivery.0.log.close();
    let delivery = place.open();
    assert_eq!(told(&delivery), expected);
    retire(&delivery);
    assert_eq!(told(&delivery), expected);
    assert_eq!(ready(&delivery, "orders"), 3);
    delivery.close().expect("closed");
}

#[tokio::test]
async fn a_listener_hears_a_transaction_when_it_is_committed() {
    let place = Place::new();
    let delivery = place.open();
    let orders = make(&delivery, "orders");
    let listener = Listener::new(Signal::default(), LagLimits::new(0, 0, 0));
    delivery.begin().expect("accepted").listen(&listener, name("orders"));
    let producer = begin(&delivery);
    let mut heard = Vec::new();
    for (sequence, outcome, expected) in [(0, Outcome::Abort, vec![]), (1, Outcome::Commit, vec!["v1"])] {
        join(&delivery, producer, &[&orders]);
        let value = format!("v{sequence}");
        write(&delivery, &orders, &[&value], Some((producer, sequence))).expect("taken");
        listener.take(usize::MAX, &mut heard);
        assert!(heard.is_empty());
        end(&delivery, producer, outcome);
        listener.take(usize::MAX, &mut heard);
        let values = heard.drain(..).map(|one| one.record.value.clone().unwrap_or_default()).collect::<Vec<_>>();
        assert_eq!(values, expected);
    }
    delivery.close().expect("closed");
}

#[tokio::test]
async fn nobody_writes_beside_his_transaction() {
    let place = Place::new();
    let delivery = place.open();
    let orders = make(&delivery, "orders");
    let producer = begin(&delivery);
    let refused = |error| Err(ProduceError::Transaction(error));
    let stranger = Producer { id: 77, epoch: 0 };
    assert_eq!(write(&delivery, &orders, &["x"], Some((stranger, 0))), refused(TransactionError::UnknownProducer));
    assert_eq!(write(&delivery, &orders, &["x"], Some((producer, 0))), refused(TransactionError::InvalidState));
    join(&delivery, producer, &[&orders]);
    write(&delivery, &orders, &["x"], Some((producer, 0))).expect("taken");
    let next = begin(&delivery);
    assert_eq!((next.id, next.epoch), (producer.id, producer.epoch + 1));
    assert_eq!(write(&delivery, &orders, &["y"], Some((producer, 1))), refused(TransactionError::Fenced));
    assert_eq!(ready(&delivery, "orders"), 0, "what the fenced one left open is aborted");
    assert_eq!(bounds(&orders), (2, 2));
    delivery.close().expect("closed");
}

#[tokio::test]
async fn a_purge_spares_what_is_not_decided_yet() {
    let place = Place::new();
    let delivery = place.open();
    let orders = make(&delivery, "orders");
    let producer = begin(&delivery);
    join(&delivery, producer, &[&orders]);
    write(&delivery, &orders, &["plain"], None).expect("taken");
    write(&delivery, &orders, &["a"], Some((producer, 0))).expect("taken");
    assert_eq!(delivery.begin().expect("accepted").purge(&name("orders"), Class::All), 1);
    delivery.0.log.close();
    let delivery = place.open();
    let orders = delivery.log().topic(&name("orders")).expect("there");
    assert_eq!(ready(&delivery, "orders"), 0);
    end(&delivery, producer, Outcome::Commit);
    assert_eq!(pop_all(&delivery, &orders), ["a"]);
    delivery.close().expect("closed");
}

#[tokio::test]
async fn offsets_count_with_the_transaction_that_commits_them() {
    let place = Place::new();
    let delivery = place.open();
    let orders = make(&delivery, "orders");
    let producer = begin(&delivery);
    let group: Arc<str> = Arc::from("g");
    let key = group::OffsetKey { topic: name("orders"), partition: 0 };
    let stranger = Caller { member_id: Arc::from(""), instance: None, epoch: -1 };
    for (outcome, expected) in [(Outcome::Abort, None), (Outcome::Commit, Some(7))] {
        let groups = groups(&delivery);
        join(&delivery, producer, &[]);
        let offset = group::NewOffset { key: key.clone(), offset: 7, leader_epoch: 0, metadata: Arc::from("") };
        let added = groups.commit_in_transaction(&id(), producer, &group, &stranger, vec![offset]).expect("added");
        assert_eq!(added.results, [Ok(())]);
        assert!(delivery.is_offset_pending("g", &key));
        assert_eq!(groups.committed("g", std::slice::from_ref(&key)).0, [None]);
        groups.end_transaction(&id(), producer, outcome).expect("ended");
        assert!(!delivery.is_offset_pending("g", &key));
        let committed = groups.committed("g", std::slice::from_ref(&key)).0;
        assert_eq!(committed.into_iter().map(|c| c.map(|c| c.offset)).collect::<Vec<_>>(), [expected]);
    }
    delivery.close().expect("closed");
    let delivery = place.open();
    let committed = groups(&delivery).committed("g", &[key]).0;
    assert_eq!(committed.into_iter().map(|c| c.map(|c| c.offset)).collect::<Vec<_>>(), [Some(7)]);
    assert_eq!(delivery.log().read(&orders.partition(0).expect("one"), 0, 1, Bound::Stable).expect("read"), []);
    delivery.close().expect("closed");
}
