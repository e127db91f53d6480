//! The views over a real log in a temporary directory: what they give, and what is there after a restart.

use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::log::record::Record;
pub(super) use crate::log::simulation::name;
use crate::log::simulation::wait_until_durable;
use crate::log::{Barrier, Bound, Removal, Signal, Topic, TopicSettings};

pub(super) struct Place {
    directory: tempfile::TempDir,
    journal_file_bytes: u64,
}

impl Place {
    pub(super) fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("a temporary directory"), journal_file_bytes: 64 << 20 }
    }

    /// Journal files so small that each unit gets its own.
    pub(super) fn with_tiny_files() -> Self {
        Self { journal_file_bytes: 1, ..Self::new() }
    }

    pub(super) fn open(&self) -> Delivery {
        let settings = LogSettings {
            directory: self.directory.path().to_owned(),
            journal_file_bytes: self.journal_file_bytes,
            journal_retain_bytes: u64::MAX,
            ..LogSettings::default()
        };
        Delivery::open(settings).expect("the log opens")
    }
}

pub(super) fn record(value: &str) -> Record {
    Record { key: None, value: Some(Bytes::from(value.to_owned())), headers: Vec::new(), timestamp_ms: 1_000 }
}

pub(super) fn make(unit: &mut Unit<'_>, text: &str) -> Arc<Topic> {
    let name = name(text);
    let topic = unit.create_topic(&name, 1, TopicSettings::consumed("test", true, 1 << 20)).expect("a new topic");
    unit.open_queue(&name, QueueSpec::new(name.clone(), true)).expect("the topic is there");
    topic
}

pub(super) fn target(topic: &Arc<Topic>) -> [Target; 1] {
    [Target { topic: Arc::clone(topic), partition: 0 }]
}

pub(super) fn push(unit: &mut Unit<'_>, topic: &Arc<Topic>, values: &[&str]) {
    for value in values {
        unit.append(&target(topic), &record(value), Kind::Queued);
    }
}

/// Waits until what was done is on disk.
pub(super) fn settle(delivery: &Delivery, barrier: Barrier) {
    wait_until_durable(delivery.log(), barrier);
}

pub(super) fn held(delivery: &Delivery, queue: &str) -> Vec<String> {
    let queue = name(queue);
    let mut reader = delivery.reader();
    let unit = delivery.begin().expect("the log is well");
    let places = unit.range(&queue, Class::All, 0, u64::MAX);
    let partition = unit.topic(&queue).and_then(|topic| topic.partition(0)).expect("a partition");
    drop(unit);
    let value = |place: &Position| reader.record(&partition, place.offset).expect("it is kept").value.expect("a value");
    places.iter().map(value).map(|value| String::from_utf8_lossy(&value).into_owned()).collect()
}

#[test]
fn what_was_committed_is_there_after_a_restart_and_what_was_popped_is_not() {
    let place = Place::new();
    for is_clean in [true, false] {
        let delivery = place.open();
        let queue = if is_clean { "clean" } else { "killed" };
        let mut unit = delivery.begin().expect("the log is well");
        let topic = make(&mut unit, queue);
        push(&mut unit, &topic, &["a", "b", "c", "d"]);
        unit.append_front(&topic, &record("first"));
        settle(&delivery, unit.commit());
        let mut unit = delivery.begin().expect("the log is well");
        assert!(unit.pop(&name(queue), End::Tail, Class::Queued).is_some());
        let claim = unit.take(&name(queue), Class::All).expect("there is one");
        unit.release(&name(queue), &[claim.position], true);
        let claims: Vec<_> = (0..2).filter_map(|_| unit.take(&name(queue), Class::All)).collect();
        unit.accept(&name(queue), &[claims[1].position]);
        settle(&delivery, unit.commit());
        match is_clean {
            true => delivery.close().expect("it closes"),
            false => delivery.log().close(),
        }
        drop(delivery);
        let delivery = place.open();
        assert_eq!(held(&delivery, queue), ["first", "b", "c"], "{queue}");
        let mut unit = delivery.begin().expect("the log is well");
        let first = unit.take(&name(queue), Class::All).expect("there is one");
        assert!(first.redelivered);
        assert_eq!(first.delivery_count, 1);
        let second = unit.take(&name(queue), Class::All).expect("there is one");
        assert_eq!(second.redelivered, !is_clean);
        drop(unit);
        delivery.close().expect("it closes");
    }
}

#[test]
fn retiring_the_journal_moves_what_is_held_to_segments_and_drops_what_was_consumed() {
    let place = Place::with_tiny_files();
    let delivery = place.open();
    let mut unit = delivery.begin().expect("the log is well");
    let topic = make(&mut unit, "q");
    settle(&delivery, unit.commit());
    for value in ["a", "b", "c", "d"] {
        let mut unit = delivery.begin().expect("the log is well");
        push(&mut unit, &topic, &[value]);
        settle(&delivery, unit.commit());
    }
    let mut unit = delivery.begin().expect("the log is well");
    assert!(unit.pop(&name("q"), End::Head, Class::Queued).is_some());
    settle(&delivery, unit.commit());
    for _ in 0..8 {
        assert!(delivery.log().retire_oldest().expect("it retires"));
    }
    let stats = delivery.log().stats();
    assert_eq!(stats.removed(Removal::Consumed), 1);
    assert!(stats.segment_written_bytes > 0);
    assert_eq!(held(&delivery, "q"), ["b", "c", "d"]);
    let partition = topic.partition(0).expect("a partition");
    assert_eq!(partition.bounds().log_start, 1);
    delivery.log().close();
    drop(delivery);
    let delivery = place.open();
    assert_eq!(held(&delivery, "q"), ["b", "c", "d"]);
    let partition = delivery.log().topic(&name("q")).and_then(|topic| topic.partition(0)).expect("a partition");
    assert_eq!(partition.bounds().end, 4);
    // How many journal files there were, and so how much of this is in segments, hangs on how the commits were grouped.
    let (mut from, mut kept) = (1, Vec::new());
    while from < 4 {
        for batch in delivery.log().read(&partition, from, 1 << 20, Bound::Durable).expect("it is kept") {
            kept.push(batch.base_offset);
            from = batch.last_offset + 1;
        }
    }
    assert_eq!(kept, [1, 2, 3]);
}

#[test]
fn an_emptied_queue_adds_nothing_to_segments() {
    let place = Place::with_tiny_files();
    let delivery = place.open();
    let mut unit = delivery.begin().expect("the log is well");
    let topic = make(&mut unit, "q");
    settle(&delivery, unit.commit());
    for _ in 0..20 {
        let mut unit = delivery.begin().expect("the log is well");
        push(&mut unit, &topic, &["some value"]);
        assert!(unit.pop(&name("q"), End::Head, Class::Queued).is_some());
        settle(&delivery, unit.commit());
    }
    while delivery.log().retire_oldest().expect("it retires") && delivery.log().stats().journal_retired < 30 {}
    assert_eq!(topic.partition(0).expect("a partition").bytes(), 0);
    drop(topic);
    delivery.close().expect("it closes");
    drop(delivery);
    let delivery = place.open();
    let partition = delivery.log().topic(&name("q")).and_then(|topic| topic.partition(0)).expect("a partition");
    assert_eq!(partition.bounds().end, 20, "offsets go on where they were");
}

#[test]
fn a_record_for_many_topics_is_written_once() {
    let place = Place::new();
    let delivery = place.open();
    let mut unit = delivery.begin().expect("the log is well");
    let targets: Vec<_> = (0..100).map(|number| Target { topic: make(&mut unit, &format!("q{number}")), partition: 0 }).collect();
    settle(&delivery, unit.commit());
    let before = delivery.log().stats().journal_written_bytes;
    let mut unit = delivery.begin().expect("the log is well");
    unit.append(&targets, &record(&"x".repeat(100_000)), Kind::Plain);
    settle(&delivery, unit.commit());
    let written = delivery.log().stats().journal_written_bytes - before;
    assert!((100_000..105_000).contains(&written), "{written}");
    for number in [0, 42, 99] {
        assert_eq!(held(&delivery, &format!("q{number}"))[0].len(), 100_000);
    }
}

#[test]
fn a_taker_gets_what_is_durable_and_turns_are_fair() {
    let place = Place::new();
    let delivery = place.open();
    let mut unit = delivery.begin().expect("the log is well");
    let topic = make(&mut unit, "q");
    let spec = || TakerSpec {
        signal: Signal::default(),
        credit: Credit::new(2),
        shared: None,
        serve: Serve::Claim,
        class: Class::All,
        priority: 0,
    };
    let takers: Vec<_> = (0..2).filter_map(|_| unit.add_taker(&name("q"), spec())).collect();
    push(&mut unit, &topic, &["a", "b", "c", "d", "e"]);
    settle(&delivery, unit.commit());
    let claims: Vec<Vec<u64>> = takers
        .iter()
        .map(|taker| {
            let mut claims = Vec::new();
            taker.drain(&mut claims);
            assert!(claims.iter().all(|claim| delivery.log().is_durable(claim.barrier)));
            claims.iter().map(|claim| claim.position.offset).collect()
        })
        .collect();
    assert_eq!(claims, [vec![0, 2], vec![1, 3]]);
    let unit = delivery.begin().expect("the log is well");
    assert_eq!((unit.ready(&name("q"), Class::All), unit.in_flight(&name("q"))), (1, 4));
}

#[test]
fn one_credit_shared_by_takers_of_two_queues_gets_one_record() {
    let place = Place::new();
    let delivery = place.open();
    let mut unit = delivery.begin().expect("the log is well");
    let topics = [make(&mut unit, "one"), make(&mut unit, "two")];
    let credit = Credit::new(1);
    let spec = || TakerSpec {
        signal: Signal::default(),
        credit: Arc::clone(&credit),
        shared: None,
        serve: Serve::Pop { end: End::Head, count_max: 1 },
        class: Class::Queued,
        priority: 0,
    };
    let takers: Vec<_> = ["one", "two"].iter().filter_map(|queue| unit.add_taker(&name(queue), spec())).collect();
    push(&mut unit, &topics[1], &["x"]);
    push(&mut unit, &topics[0], &["y"]);
    settle(&delivery, unit.commit());
    let mut claims = Vec::new();
    takers.iter().for_each(|taker| taker.drain(&mut claims));
    assert_eq!(claims.len(), 1);
}

#[test]
fn a_move_is_seen_whole_after_a_restart_even_of_what_the_same_unit_pushed() {
    let place = Place::new();
    let delivery = place.open();
    let mut unit = delivery.begin().expect("the log is well");
    let (from, to) = (make(&mut unit, "from"), make(&mut unit, "to"));
    push(&mut unit, &from, &["a", "b"]);
    let moved = unit.move_record(&name("from"), End::Tail, Class::Queued, &to, End::Head).expect("there is one");
    assert_eq!(moved.value, Some(Bytes::from("b")));
    settle(&delivery, unit.commit());
    delivery.log().close();
    drop((from, to));
    drop(delivery);
    let delivery = place.open();
    assert_eq!(held(&delivery, "from"), ["a"]);
    assert_eq!(held(&delivery, "to"), ["b"]);
}

#[test]
fn listeners_get_what_is_not_a_push_and_queues_keep_broadcasts_apart() {
    let place = Place::new();
    let delivery = place.open();
    let listener = Listener::new(Signal::default(), LagLimits::new(1 << 20, 0, 0));
    let mut unit = delivery.begin().expect("the log is well");
    let topic = make(&mut unit, "q");
    unit.listen(&listener, name("q"));
    unit.append(&target(&topic), &record("pushed"), Kind::Queued);
    unit.append(&target(&topic), &record("announced"), Kind::Broadcast);
    unit.append(&target(&topic), &record("plain"), Kind::Plain);
    assert_eq!(unit.announce(&name("q"), &record("live")), 1);
    assert_eq!((unit.ready(&name("q"), Class::Queued), unit.ready(&name("q"), Class::All)), (2, 3));
    settle(&delivery, unit.commit());
    let mut got = Vec::new();
    listener.take(usize::MAX, &mut got);
    let values: Vec<_> = got.iter().map(|one| one.record.value.clone().expect("a value")).collect();
    assert_eq!(values, ["announced", "plain", "live"]);
    delivery.log().close();
    drop(topic);
    drop(delivery);
    let delivery = place.open();
    let unit = delivery.begin().expect("the log is well");
    assert_eq!((unit.ready(&name("q"), Class::Queued), unit.ready(&name("q"), Class::All)), (2, 3));
}

#[test]
fn a_topic_made_again_under_its_name_shows_nothing_of_the_old_one() {
    let place = Place::with_tiny_files();
    let delivery = place.open();
    let mut unit = delivery.begin().expect("the log is well");
    let topic = make(&mut unit, "q");
    push(&mut unit, &topic, &["old"]);
    settle(&delivery, unit.commit());
    for _ in 0..3 {
        delivery.log().retire_oldest().expect("it retires");
    }
    let mut unit = delivery.begin().expect("the log is well");
    unit.delete_topic(&name("q")).expect("it is there");
    let topic = make(&mut unit, "q");
    push(&mut unit, &topic, &["new"]);
    settle(&delivery, unit.commit());
    assert_eq!(held(&delivery, "q"), ["new"]);
    drop(topic);
    delivery.log().close();
    drop(delivery);
    let delivery = place.open();
    assert_eq!(held(&delivery, "q"), ["new"]);
    for _ in 0..8 {
        delivery.log().retire_oldest().expect("it retires");
    }
    assert_eq!(held(&delivery, "q"), ["new"]);
}

#[test]
fn producer_ids_never_come_twice() {
    let place = Place::new();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..3 {
        let delivery = place.open();
        let mut unit = delivery.begin().expect("the log is well");
        for _ in 0..1500 {
            assert!(seen.insert(unit.next_producer_id()));
        }
        settle(&delivery, unit.commit());
        delivery.log().close();
    }
}

#[test]
fn a_handle_of_a_deleted_topic_writes_nothing_to_the_new_one_of_its_name() {
    let place = Place::new();
    let delivery = place.open();
    let mut unit = delivery.begin().expect("the log is well");
    let old = make(&mut unit, "q");
    push(&mut unit, &old, &["a", "b", "c"]);
    unit.delete_topic(&name("q")).expect("it is there");
    let new = make(&mut unit, "q");
    assert!(unit.append(&target(&old), &record("lost"), Kind::Plain).is_empty());
    assert!(unit.append_front(&old, &record("lost")).is_none());
    push(&mut unit, &new, &["d"]);
    settle(&delivery, unit.commit());
    assert_eq!(held(&delivery, "q"), ["d"]);
    delivery.close().expect("it closes");
}

#[test]
fn what_was_trimmed_stays_so_after_a_restart() {
    let place = Place::new();
    let delivery = place.open();
    let mut unit = delivery.begin().expect("the log is well");
    let topic = make(&mut unit, "q");
    push(&mut unit, &topic, &["a", "b", "c"]);
    settle(&delivery, unit.commit());
    let partition = topic.partition(0).expect("a partition");
    let mut unit = delivery.begin().expect("the log is well");
    assert_eq!(unit.trim(&topic, &partition, 2), 2);
    settle(&delivery, unit.commit());
    delivery.log().close();
    drop((topic, partition, delivery));
    let delivery = place.open();
    assert_eq!(held(&delivery, "q"), ["c"]);
    let partition = delivery.log().topic(&name("q")).and_then(|topic| topic.partition(0)).expect("a partition");
    assert_eq!((partition.bounds().log_start, partition.bounds().end), (2, 3));
    delivery.close().expect("it closes");
}
