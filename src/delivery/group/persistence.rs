//! Groups over a real log: what they remember, for how long, and what a restart brings back.

use std::sync::Arc;
use std::time::Duration;

use super::scenarios::{ask, caller};
use super::*;
use crate::delivery::Delivery;
use crate::log::{Barrier, LogSettings, TopicName, TopicSettings};

pub(super) struct Place(tempfile::TempDir);

impl Place {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn open(&self) -> Delivery {
        Delivery::open(LogSettings { directory: self.0.path().to_owned(), ..LogSettings::default() }).unwrap()
    }
}

fn settings() -> GroupSettings {
    GroupSettings { initial_rebalance_delay_ms: 10, ..GroupSettings::default() }
}

pub(super) fn topic(name: &str) -> TopicName {
    TopicName::new(name.to_owned()).unwrap()
}

pub(super) fn make(delivery: &Delivery, name: &str, partitions: u32) -> Barrier {
    let mut unit = delivery.begin().unwrap();
    unit.create_topic(&topic(name), partitions, TopicSettings::consumed("test", true, 1 << 20)).unwrap();
    unit.commit()
}

fn key(name: &str, partition: u32) -> OffsetKey {
    OffsetKey { topic: topic(name), partition }
}

pub(super) fn at(name: &str, partition: u32, offset: u64) -> NewOffset {
    NewOffset { key: key(name, partition), offset, leader_epoch: -1, metadata: "".into() }
}

pub(super) fn offset(groups: &Groups, group: &str, name: &str, partition: u32) -> Option<u64> {
    groups.committed(group, &[key(name, partition)]).0.remove(0).map(|c| c.offset)
}

pub(super) fn stranger() -> Caller {
    caller("", -1)
}

/// Nobody keeps time here, so the first round ends when the test says so.
async fn lead(groups: &Groups, group: &Arc<str>, member: &str, topics: Option<Arc<[TopicName]>>) -> Joined {
    let joins = groups.join(group, Join { topics, ..ask("", member) });
    let timers = groups.run_timers(std::future::pending());
    let joined = tokio::select! {
        joined = joins => joined.unwrap(),
        () = timers => unreachable!("the timers run for ever"),
    };
    let work = vec![(Arc::from(member), "work".into())];
    let sync = Sync { caller: caller(member, joined.epoch), kind: None, strategy: None, assignments: work };
    groups.sync(group, sync).await.unwrap();
    joined
}

#[tokio::test]
async fn a_committed_offset_is_there_after_a_restart() {
    let place = Place::new();
    let delivery = place.open();
    make(&delivery, "orders", 2);
    let (g, groups) = (Arc::from("g"), Groups::open(delivery.clone(), settings()).unwrap());
    let first = groups.commit(&g, &stranger(), vec![at("orders", 0, 5), at("orders", 1, 7)]).unwrap();
    let second = groups.commit(&g, &stranger(), vec![at("orders", 0, 6)]).unwrap();
    assert!(second.barrier != first.barrier && second.barrier.covers(first.barrier));
    assert_eq!(groups.committed("g", &[key("orders", 0)]).1, second.barrier, "what is shown is gated by what it shows");
    delivery.log().when_durable(second.barrier).await.unwrap();
    drop(groups);
    delivery.close().unwrap();
    drop(delivery);

    let delivery = place.open();
    let groups = Groups::open(delivery.clone(), settings()).unwrap();
    assert_eq!((offset(&groups, "g", "orders", 0), offset(&groups, "g", "orders", 1)), (Some(6), Some(7)));
    assert_eq!(groups.all_committed("g").0.len(), 2);
    assert_eq!(groups.list().len(), 1);
    delivery.close().unwrap();
}

#[tokio::test]
async fn a_member_goes_on_after_a_restart() {
    let place = Place::new();
    let delivery = place.open();
    make(&delivery, "orders", 1);
    let (g, groups) = (Arc::from("g"), Groups::open(delivery.clone(), settings()).unwrap());
    let joined = lead(&groups, &g, "a", None).await;
    drop(groups);
    delivery.close().unwrap();
    drop(delivery);

    let delivery = place.open();
    let groups = Groups::open(delivery.clone(), settings()).unwrap();
    let member = caller("a", joined.epoch);
    assert_eq!(groups.heartbeat(&g, &member), Ok(()));
    assert!(groups.commit(&g, &member, vec![at("orders", 0, 1)]).is_ok());
    assert_eq!(groups.describe(&g).unwrap().members[0].assignment, "work");
    delivery.close().unwrap();
}

#[tokio::test]
async fn offsets_of_partitions_that_are_not_there_are_refused_one_by_one() {
    let place = Place::new();
    let delivery = place.open();
    make(&delivery, "orders", 1);
    let groups = Groups::open(delivery.clone(), settings()).unwrap();
    let long = NewOffset { metadata: "x".repeat(5_000).into(), ..at("orders", 0, 1) };
    let offsets = vec![at("orders", 1, 1), at("other", 0, 1), long, at("orders", 0, 3)];
    let answers = groups.commit(&Arc::from("g"), &stranger(), offsets).unwrap();
    let unknown = Err(OffsetError::UnknownPartition);
    assert_eq!(answers.results, [unknown, unknown, Err(OffsetError::MetadataTooLarge), Ok(())]);
    assert_eq!(offset(&groups, "g", "orders", 0), Some(3));
    assert_eq!(offset(&groups, "g", "orders", 1), None);
    delivery.close().unwrap();
}

#[tokio::test]
async fn a_topic_that_is_made_again_starts_without_offsets() {
    let place = Place::new();
    let delivery = place.open();
    make(&delivery, "orders", 1);
    let groups = Groups::open(delivery.clone(), settings()).unwrap();
    groups.commit(&Arc::from("g"), &stranger(), vec![at("orders", 0, 5)]).unwrap();
    let mut unit = delivery.begin().unwrap();
    unit.delete_topic(&topic("orders")).unwrap();
    unit.commit();
    assert_eq!(offset(&groups, "g", "orders", 0), None);
    make(&delivery, "orders", 1);
    assert_eq!(offset(&groups, "g", "orders", 0), None);
    groups.drop_expired();
    assert!(groups.list().is_empty(), "the group has nothing left");
    delivery.close().unwrap();
}

#[tokio::test]
async fn a_group_is_deleted_once_it_is_empty() {
    let place = Place::new();
    let delivery = place.open();
    make(&delivery, "orders", 1);
    let (g, groups) = (Arc::from("g"), Groups::open(delivery.clone(), settings()).unwrap());
    let joined = lead(&groups, &g, "a", None).await;
    groups.commit(&g, &caller("a", joined.epoch), vec![at("orders", 0, 5)]).unwrap();
    assert_eq!(groups.delete(&g), Err(GroupError::NotEmpty));
    groups.leave(&g, &[Departure { member_id: "a".into(), instance: None }]).unwrap();
    groups.delete(&g).unwrap();
    assert_eq!(groups.delete(&g), Err(GroupError::NotFound));
    assert_eq!(offset(&groups, "g", "orders", 0), None);
    drop(groups);
    delivery.close().unwrap();
    drop(delivery);

    let delivery = place.open();
    let groups = Groups::open(delivery.clone(), settings()).unwrap();
    assert!(groups.list().is_empty());
    delivery.close().unwrap();
}

#[tokio::test]
async fn offsets_of_wanted_topics_cannot_be_deleted_and_do_not_expire() {
    let place = Place::new();
    let delivery = place.open();
    make(&delivery, "wanted", 1);
    make(&delivery, "other", 1);
    let settings = GroupSettings { offsets_retention_ms: 0, ..settings() };
    let (g, groups) = (Arc::from("g"), Groups::open(delivery.clone(), settings).unwrap());
    let joined = lead(&groups, &g, "a", Some(Arc::from([topic("wanted")]))).await;
    let member = caller("a", joined.epoch);
    groups.commit(&g, &member, vec![at("wanted", 0, 1), at("other", 0, 1)]).unwrap();

    let answers = groups.delete_offsets(&g, &[key("wanted", 0), key("none", 0)]).unwrap();
    assert_eq!(answers.results, [Err(OffsetError::InUse), Err(OffsetError::UnknownPartition)]);
    groups.drop_expired();
    assert_eq!((offset(&groups, "g", "wanted", 0), offset(&groups, "g", "other", 0)), (Some(1), None));

    groups.leave(&g, &[Departure { member_id: "a".into(), instance: None }]).unwrap();
    groups.drop_expired();
    assert!(groups.list().is_empty(), "an empty group keeps nothing past the retention");
    delivery.close().unwrap();
}

#[tokio::test]
async fn a_group_passes_what_lies_between_its_commits() {
    let place = Place::new();
    let delivery = place.open();
    make(&delivery, "orders", 2);
    let groups = Groups::open(delivery.clone(), settings()).unwrap();
    let (g, orders) = (Arc::from("g"), key("orders", 0).topic);
    for (partition, offset) in [(0, 5), (0, 12), (1, 100), (1, 101), (0, 3), (0, 4)] {
        groups.commit(&g, &stranger(), vec![at("orders", partition, offset)]).unwrap();
    }
    let (members, passed) = groups.activity("g", &orders);
    assert_eq!((members, passed.total()), (0, 7 + 1 + 1), "not before its first commit, and nothing by going back");
    assert!(passed.per_s(crate::delivery::unit::now_ms()) > 0.0);
    let timers = tokio::spawn({
        let groups = groups.clone();
        async move { groups.run_timers(std::future::pending()).await }
    });
    groups.join(&g, ask("", "a")).await.unwrap();
    assert_eq!(groups.activity("g", &orders).0, 1);
    timers.abort();
    delivery.close().unwrap();
}

#[tokio::test]
async fn lag_is_counted_to_the_end_of_what_is_durable() {
    let place = Place::new();
    let delivery = place.open();
    make(&delivery, "orders", 1);
    let groups = Groups::open(delivery.clone(), settings()).unwrap();
    groups.commit(&Arc::from("g"), &stranger(), vec![at("orders", 0, 0)]).unwrap();
    let lags = groups.snapshot();
    assert_eq!(lags, [GroupLag { group: "g".into(), key: key("orders", 0), committed: 0, lag: 0 }]);
    delivery.close().unwrap();
}

#[tokio::test]
async fn waits_end_by_the_timer_task_alone() {
    let place = Place::new();
    let delivery = place.open();
    let groups = Groups::open(delivery.clone(), settings()).unwrap();
    let timers = tokio::spawn({
        let groups = groups.clone();
        async move { groups.run_timers(std::future::pending()).await }
    });
    let g = Arc::from("g");
    let (a, b) = tokio::join!(groups.join(&g, ask("", "a")), groups.join(&g, ask("", "b")));
    assert_eq!((a.unwrap().members.len(), b.unwrap().members.len()), (2, 0));
    let late =
        tokio::time::timeout(Duration::from_secs(10), groups.join(&g, Join { session_timeout_ms: 1, ..ask("", "c") })).await;
    assert_eq!(late.unwrap(), Err(GroupError::InvalidSessionTimeout));
    timers.abort();
    delivery.close().unwrap();
}
