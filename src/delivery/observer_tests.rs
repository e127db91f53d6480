//! What is seen is right, and reads no more whatever the backlog.

use std::sync::Arc;

use bytes::Bytes;

use super::group::{GroupSettings, Groups};
use super::queue::{Class, FailureSpread, Kind};
use super::{Attributes, Delivery, Observer, QueueSpec, Target};
use crate::log::record::Record;
use crate::log::simulated::Simulated;
use crate::log::{LogSettings, TopicName, TopicSettings, simulation};

struct Place {
    observer: Observer,
    disk: Simulated,
}

impl Place {
    fn new() -> Self {
        let disk = Simulated::new(1);
        let settings = LogSettings { journal_file_bytes: 64 << 10, memory_tail_bytes: 0, ..simulation::on(&disk) };
        let delivery = Delivery::open(settings).expect("it opens");
        let groups = Groups::open(delivery.clone(), GroupSettings::default()).expect("no groups yet");
        Self { observer: Observer::new(delivery, groups), disk }
    }

    /// A topic with a queue view and so many records, each an entry of its own.
    fn fill(&self, name: &'static str, records: u64, time_ms: i64) -> TopicName {
        self.fill_with(name, records, time_ms, |_| Attributes::default())
    }

    /// The same, with what each record asks for.
    fn fill_with(&self, name: &'static str, records: u64, time_ms: i64, asks: impl Fn(u64) -> Attributes) -> TopicName {
        let name = TopicName::new(name).expect("a name");
        let delivery = self.observer.delivery();
        let mut unit = delivery.begin().expect("the log is well");
        let topic = unit.create_topic(&name, 1, TopicSettings::default()).expect("it is new");
        unit.open_queue(&name, QueueSpec::new(name.clone(), true)).expect("it is new");
        unit.commit();
        for number in 0..records {
            let value = Some(Bytes::from_static(b"value"));
            let record = Record { key: None, value, headers: Vec::new(), timestamp_ms: time_ms + number as i64 };
            let mut unit = delivery.begin().expect("the log is well");
            unit.append_with(&[Target { topic: Arc::clone(&topic), partition: 0 }], &record, Kind::Plain, &asks(number));
            unit.commit();
        }
        name
    }
}

#[test]
fn the_oldest_record_that_is_not_settled_and_the_failures_are_seen() {
    let place = Place::new();
    let name = place.fill("q", 4, 1_000);
    let unit_of = || place.observer.delivery().begin().expect("the log is well");
    let mut unit = unit_of();
    let claims: Vec<_> = (0..3).filter_map(|_| unit.take(&name, Class::All)).map(|claim| claim.position).collect();
    unit.accept(&name, &claims[..1]);
    unit.release(&name, &claims[1..2], true);
    unit.commit();
    let seen = place.observer.topic(&name, 5_000).expect("it is there");
    let queue = &seen.queues[0];
    assert_eq!((queue.ready, queue.in_flight, queue.failures), (2, 1, FailureSpread([2, 1, 0, 0, 0, 0])));
    assert_eq!((queue.oldest_age_ms, queue.lag()), (Some(3_999), 3));
    assert_eq!((queue.flow.taken.total(), queue.flow.settled.total()), (3, 1));
    let mut unit = unit_of();
    unit.purge(&name, Class::All);
    unit.accept(&name, &claims[2..]);
    unit.commit();
    let seen = place.observer.topic(&name, 5_000).expect("it is there");
    assert_eq!((seen.queues[0].oldest_age_ms, seen.queues[0].lag()), (None, 0));
    place.observer.delivery().close().expect("it closes");
}

/// What looking at each batch would read of a backlog is hundreds of times as much.
const READ_BYTES_MAX: u64 = 16 << 10;

#[test]
fn what_is_seen_of_a_large_backlog_is_read_off_no_more_of_the_disk_than_of_a_small_one() {
    let place = Place::new();
    let [small, large] = [place.fill("small", 2, 0), place.fill("large", 20_000, 0)];
    // Each with a time of its own, so that there are as many runs.
    let hours = |number| Attributes { delay_ms: Some(3_600_000 * (number + 1)), ..Attributes::default() };
    let delayed = place.fill_with("delayed", 20_000, 0, hours);
    let log = place.observer.delivery().log();
    // What has left the journal has to be looked for in segments.
    while log.retire_oldest().expect("it retires") && log.stats().journal_files > 2 {}
    let look = |name: &TopicName| {
        let before = place.disk.read_bytes();
        let seen = place.observer.topic(name, 0).expect("it is there");
        assert!(seen.queues[0].oldest_age_ms.is_some());
        (place.disk.read_bytes() - before, seen)
    };
    let (of_few, _) = look(&small);
    assert!(of_few > 0, "it is read off the disk");
    for name in [&large, &delayed] {
        let (of_many, seen) = look(name);
        assert!(seen.bytes() > 50 * READ_BYTES_MAX, "{} bytes of {name} are no backlog", seen.bytes());
        assert!(of_many < of_few + READ_BYTES_MAX, "{of_many} bytes are read for 20,000 records of {name}, {of_few} for two");
    }
    let seen = place.observer.topic(&delayed, 0).expect("it is there");
    assert_eq!((seen.queues[0].delayed, seen.queues[0].lag()), (20_000, 20_000));
    place.observer.delivery().close().expect("it closes");
}

#[test]
fn topics_are_ranked_by_the_view_that_is_furthest_behind() {
    let place = Place::new();
    let [few, many] = [place.fill("few", 2, 0), place.fill("many", 9, 0)];
    assert_eq!(place.observer.deepest(1), (vec![many.clone()], 1));
    assert_eq!(place.observer.deepest(5), (vec![many.clone(), few], 0));
    let seen = place.observer.topic(&many, super::unit::now_ms()).expect("it is there");
    assert!(seen.written_per_s > 0.0 && seen.partitions[0].written_per_s == seen.written_per_s);
    place.observer.delivery().close().expect("it closes");
}
