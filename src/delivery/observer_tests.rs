//! What is seen is right, and costs the same whatever the backlog.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::group::{GroupSettings, Groups};
use super::queue::{Class, FailureSpread, Kind};
use super::{Attributes, Delivery, Observer, QueueSpec, Target};
use crate::log::record::Record;
use crate::log::{LogSettings, TopicName, TopicSettings};

struct Place {
    observer: Observer,
    _directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let settings = LogSettings { directory: directory.path().to_owned(), ..LogSettings::default() };
        let delivery = Delivery::open(settings).expect("it opens");
        let groups = Groups::open(delivery.clone(), GroupSettings::default()).expect("no groups yet");
        Self { observer: Observer::new(delivery, groups), _directory: directory }
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

/// A snapshot that looked at each batch would take thousands of times as long for the large topic.
#[test]
fn what_is_seen_costs_the_same_whatever_the_backlog() {
    let place = Place::new();
    let [small, large] = [place.fill("small", 2, 0), place.fill("large", 20_000, 0)];
    // Each with a time of its own, so that there are as many runs.
    let hours = |number| Attributes { delay_ms: Some(3_600_000 * (number + 1)), ..Attributes::default() };
    let delayed = place.fill_with("delayed", 20_000, 0, hours);
    let least = |name: &TopicName| -> Duration {
        let look = || {
            let began = Instant::now();
            let seen = place.observer.topic(name, 0).expect("it is there");
            assert!(seen.queues[0].oldest_age_ms.is_some());
            began.elapsed()
        };
        (0..200).map(|_| look()).min().unwrap_or_default()
    };
    let seen = place.observer.topic(&delayed, 0).expect("it is there");
    assert_eq!((seen.queues[0].delayed, seen.queues[0].lag()), (20_000, 20_000));
    let small = least(&small);
    for (name, of_many) in [(&large, least(&large)), (&delayed, least(&delayed))] {
        assert!(of_many < small * 20 + Duration::from_micros(50), "{of_many:?} for 20,000 records of {name}, {small:?} for two");
    }
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
