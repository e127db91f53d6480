//! Queue views whose records die, wait and expire, over a real log: what is there after a crash, and what a view alone holds.

use std::sync::Arc;

use bytes::Bytes;

use super::tests::{Place, held, make, name, push, record, settle, target};
use super::*;
use crate::log::record::Record;
use crate::log::simulated::Simulated;
use crate::log::{Log, Room as DiskRoom, Topic, Watermarks};

/// Everything dead goes to the topic `dead`.
struct ToDead(Log);

impl Steward for ToDead {
    fn bury(&self, death: &Death, record: &Record) -> Option<Burial> {
        assert_eq!(death.route, "there");
        let topic = self.0.topic(&name("dead"))?;
        let targets = vec![Target { topic, partition: 0 }];
        Some(Burial { targets, record: record.clone(), attributes: Attributes::default() })
    }

    fn end(&self, _: &TopicName) -> Ended {
        Ended { with_topic: true, states: Vec::new() }
    }
}

fn open(place: &Place) -> Delivery {
    let delivery = place.open();
    delivery.set_steward(Arc::new(ToDead(delivery.log().clone())));
    delivery
}

fn mortal() -> QueueOptions {
    QueueOptions { dead_route: Some(Bytes::from_static(b"there")), ..QueueOptions::default() }
}

/// A topic whose default view has options.
fn make_with(unit: &mut Unit<'_>, queue: &str, options: QueueOptions) -> Arc<Topic> {
    let topic = make(unit, queue);
    unit.set_queue_options(&name(queue), Some(Box::new(options)));
    topic
}

fn crash(delivery: Delivery) {
    delivery.log().close();
}

/// Does what is due until something holds.
fn run_until(delivery: &Delivery, holds: impl Fn(&Unit<'_>) -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !delivery.begin().is_ok_and(|unit| holds(&unit)) {
        assert!(std::time::Instant::now() < deadline, "not in time");
        assert!(delivery.run_due());
        std::thread::yield_now();
    }
}

#[test]
fn a_dead_record_is_in_one_place_after_a_crash() {
    let place = Place::new();
    let delivery = open(&place);
    let mut unit = delivery.begin().expect("the log is well");
    make(&mut unit, "dead");
    let topic = make_with(&mut unit, "q", QueueOptions { records_max: Some(2), failures_max: Some(0), ..mortal() });
    push(&mut unit, &topic, &["overflow", "rejected", "failed"]);
    settle(&delivery, unit.commit());
    let mut unit = delivery.begin().expect("the log is well");
    let claims: Vec<_> = (0..2).filter_map(|_| unit.take(&name("q"), Class::All)).collect();
    unit.reject(&name("q"), &[claims[0].position]);
    unit.release(&name("q"), &[claims[1].position], true);
    // A second refusal of the same is none.
    unit.reject(&name("q"), &[claims[0].position]);
    settle(&delivery, unit.commit());
    drop((topic, claims));
    crash(delivery);
    let delivery = open(&place);
    assert_eq!(held(&delivery, "q"), [""; 0]);
    assert_eq!(held(&delivery, "dead"), ["overflow", "rejected", "failed"]);
}

#[test]
fn times_levels_and_ids_are_there_after_a_crash() {
    let place = Place::new();
    let delivery = open(&place);
    let mut unit = delivery.begin().expect("the log is well");
    make(&mut unit, "dead");
    let options = QueueOptions { level_max: Some(9), ids_ms: Some(600_000), ..mortal() };
    let topic = make_with(&mut unit, "q", options);
    let mut append = |value: &str, attributes: Attributes| {
        unit.append_with(&target(&topic), &record(value), Kind::Plain, &attributes);
    };
    append("plain", Attributes { id: Some(Bytes::from_static(b"1")), ..Attributes::default() });
    append("high", Attributes { level: 5, ..Attributes::default() });
    append("expires", Attributes { ttl_ms: Some(300), ..Attributes::default() });
    append("waits", Attributes { delay_ms: Some(300), ..Attributes::default() });
    settle(&delivery, unit.commit());
    drop(topic);
    crash(delivery);
    let delivery = open(&place);
    let mut unit = delivery.begin().expect("the log is well");
    let topic = unit.topic(&name("q")).expect("it is there");
    let again = Attributes { id: Some(Bytes::from_static(b"1")), ..Attributes::default() };
    assert!(unit.append_with(&target(&topic), &record("again"), Kind::Plain, &again).is_empty());
    drop(unit);
    assert_eq!(held(&delivery, "q"), ["high", "plain", "expires"]);
    run_until(&delivery, |unit| unit.ready(&name("dead"), Class::All) == 1);
    run_until(&delivery, |unit| unit.ready(&name("q"), Class::All) == 3);
    assert_eq!(held(&delivery, "q"), ["high", "plain", "waits"]);
    assert_eq!(held(&delivery, "dead"), ["expires"]);
}

#[test]
fn what_expires_on_a_full_disk_moves_when_there_is_room_again() {
    let disk = Simulated::new(1);
    let settings = LogSettings {
        directory: "/".into(),
        disk: disk.disk(),
        watermarks: Watermarks { slow_below_bytes: 100_000, refuse_below_bytes: 100_000 },
        maintenance_interval_ms: 1,
        ..LogSettings::default()
    };
    let delivery = Delivery::open(settings).expect("the log opens");
    delivery.set_steward(Arc::new(ToDead(delivery.log().clone())));
    let mut unit = delivery.begin().expect("the log is well");
    make(&mut unit, "dead");
    let topic = make_with(&mut unit, "q", QueueOptions { ttl_ms: Some(200), ..mortal() });
    push(&mut unit, &topic, &["x"; 50]);
    settle(&delivery, unit.commit());
    let expire = std::time::Instant::now() + std::time::Duration::from_millis(300);
    disk.limit(disk.used_bytes() + 50_000);
    while delivery.log().room().0 < DiskRoom::Full || std::time::Instant::now() < expire {
        std::thread::yield_now();
    }
    for _ in 0..3 {
        assert!(!delivery.run_due(), "who runs it comes back later, not at once");
    }
    let unit = delivery.begin().expect("what frees room is taken");
    assert_eq!((unit.ready(&name("q"), Class::All), unit.ready(&name("dead"), Class::All)), (50, 0));
    drop(unit);
    disk.limit(u64::MAX);
    while delivery.log().room().0 == DiskRoom::Full {
        std::thread::yield_now();
    }
    run_until(&delivery, |unit| unit.ready(&name("dead"), Class::All) == 50);
    crash(delivery);
}

#[test]
fn more_than_one_unit_of_records_expire() {
    let place = Place::new();
    let delivery = open(&place);
    let mut unit = delivery.begin().expect("the log is well");
    make(&mut unit, "dead");
    let topic = make_with(&mut unit, "q", QueueOptions { ttl_ms: Some(50), ..mortal() });
    for _ in 0..2500 {
        push(&mut unit, &topic, &["x"]);
    }
    settle(&delivery, unit.commit());
    run_until(&delivery, |unit| unit.ready(&name("dead"), Class::All) == 2500);
    let mut unit = delivery.begin().expect("the log is well");
    assert_eq!(unit.ready(&name("q"), Class::All), 0);
    assert!(unit.take(&name("q"), Class::All).is_none());
}

#[test]
fn a_view_that_nobody_uses_ends_with_its_topic() {
    let place = Place::new();
    let delivery = open(&place);
    let mut unit = delivery.begin().expect("the log is well");
    make_with(&mut unit, "q", QueueOptions { idle_ms: Some(1), ..QueueOptions::default() });
    settle(&delivery, unit.commit());
    run_until(&delivery, |unit| unit.topic(&name("q")).is_none());
}

#[test]
fn what_one_view_of_a_topic_holds_is_kept_when_another_is_done_with_it() {
    let place = Place::with_tiny_files();
    let delivery = open(&place);
    let view = view_name(&name("q"), b"view").expect("a legal name");
    let mut unit = delivery.begin().expect("the log is well");
    let topic = make(&mut unit, "q");
    unit.open_queue(&view, QueueSpec::new(name("q"), true)).expect("the topic is there");
    settle(&delivery, unit.commit());
    for value in ["a", "b"] {
        let mut unit = delivery.begin().expect("the log is well");
        push(&mut unit, &topic, &[value]);
        assert!(unit.pop(&name("q"), End::Head, Class::All).is_some());
        settle(&delivery, unit.commit());
    }
    let mut unit = delivery.begin().expect("the log is well");
    let first = unit.pop(&view, End::Head, Class::All).expect("there is one");
    settle(&delivery, unit.commit());
    for _ in 0..8 {
        delivery.log().retire_oldest().expect("it retires");
    }
    drop(topic);
    crash(delivery);
    let delivery = open(&place);
    let mut unit = delivery.begin().expect("the log is well");
    assert_eq!(unit.named_views_of(&name("q")), std::slice::from_ref(&view));
    assert_eq!((unit.ready(&name("q"), Class::All), unit.ready(&view, Class::All)), (0, 1));
    let next = unit.take(&view, Class::All).expect("there is one");
    assert_eq!((first.offset, next.position.offset), (0, 1));
    let kept = delivery.reader().record(&next.partition, 1).expect("it is kept");
    assert_eq!(kept.value, Some(Bytes::from("b")));
}

#[test]
fn a_view_is_set_back_and_its_records_moved() {
    let place = Place::new();
    let delivery = open(&place);
    let mut unit = delivery.begin().expect("the log is well");
    let (topic, other) = (make(&mut unit, "q"), make(&mut unit, "other"));
    push(&mut unit, &topic, &["a", "b", "c"]);
    assert_eq!(unit.move_records(&name("q"), &other, 0, 2).moved, 2);
    let claim = unit.take(&name("q"), Class::All).expect("there is one");
    assert!(!unit.seek_queue(&name("q"), Start::Earliest), "a record is in flight");
    unit.accept(&name("q"), &[claim.position]);
    assert!(unit.seek_queue(&name("q"), Start::Offset(1)));
    settle(&delivery, unit.commit());
    drop((topic, other, claim));
    crash(delivery);
    let delivery = open(&place);
    assert_eq!((held(&delivery, "q"), held(&delivery, "other")), (vec!["b".into(), "c".into()], vec!["a".into(), "b".into()]));
}

#[test]
fn a_pop_passes_over_what_retention_removed_before_the_view_knew() {
    let place = Place::new();
    let delivery = open(&place);
    for by_key in [false, true] {
        let queue = if by_key { "keyed" } else { "plain" };
        let mut unit = delivery.begin().expect("the log is well");
        let topic = make_with(&mut unit, queue, QueueOptions { by_key, ..QueueOptions::default() });
        push(&mut unit, &topic, &["a", "b", "c"]);
        settle(&delivery, unit.commit());
        delivery.log().trim(&topic.partition(0).expect("a partition"), 2);
        let mut unit = delivery.begin().expect("the log is well");
        assert_eq!(unit.pop(&name(queue), End::Head, Class::All).map(|at| at.offset), Some(2));
        assert_eq!(unit.pop(&name(queue), End::Head, Class::All), None);
        assert_eq!(unit.ready(&name(queue), Class::All), 0);
    }
}

#[test]
fn writers_that_wait_are_told_when_there_is_room() {
    let place = Place::new();
    let delivery = open(&place);
    let mut unit = delivery.begin().expect("the log is well");
    let options = QueueOptions { records_max: Some(2), overflow: Overflow::Wait, ..QueueOptions::default() };
    let topic = make_with(&mut unit, "q", options);
    push(&mut unit, &topic, &["a"]);
    // What comes at once goes in as a whole when there is room for any of it.
    assert_eq!(unit.room(&name("q"), 5), Room::Enough);
    push(&mut unit, &topic, &["b"]);
    assert_eq!(unit.room(&name("q"), 1), Room::Later);
    let signal = Signal::default();
    unit.wait_for_room(&name("q"), &signal);
    settle(&delivery, unit.commit());
    let told = || {
        let notified = signal.notified();
        tokio::pin!(notified);
        futures_util::FutureExt::now_or_never(notified).is_some()
    };
    assert!(!told(), "it is full");
    let mut unit = delivery.begin().expect("the log is well");
    assert!(unit.take(&name("q"), Class::All).is_some());
    settle(&delivery, unit.commit());
    assert!(told(), "what is in flight does not count");
    assert!(!told(), "once");
}
