//! What is seen is right, and costs the same whatever the backlog.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::group::{GroupSettings, Groups};
use super::queue::{Class, FailureSpread, Kind};
use super::{Delivery, Observer, QueueSpec, Target};
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
            unit.append(&[Target { topic: Arc::clone(&topic), partition: 0 }], &record, Kind::Plain);
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
    let seen = place.observer.topic(&name).expect("it is there");
    let queue = &seen.queues[0];
    assert_eq!((queue.ready, queue.in_flight, queue.failures), (2, 1, FailureSpread([2, 1, 0, 0, 0, 0])));
    assert_eq!(place.observer.oldest_age_ms(queue, 5_000), Some(3_999));
    assert_eq!((queue.flow.taken.total(), queue.flow.settled.total()), (3, 1));
    let mut unit = unit_of();
    unit.purge(&name, Class::All);
    unit.accept(&name, &claims[2..]);
    unit.commit();
    let seen = place.observer.topic(&name).expect("it is there");
    assert_eq!(place.observer.oldest_age_ms(&seen.queues[0], 5_000), None);
    place.observer.delivery().close().expect("it closes");
}

/// A snapshot that looked at each batch would take thousands of times as long for the large topic.
#[test]
fn what_is_seen_costs_the_same_whatever_the_backlog() {
    let place = Place::new();
    let [small, large] = [place.fill("small", 2, 0), place.fill("large", 20_000, 0)];
    let least = |name: &TopicName| -> Duration {
        let look = || {
            let began = Instant::now();
            let seen = place.observer.topic(name).expect("it is there");
            assert!(place.observer.oldest_age_ms(&seen.queues[0], 0).is_some());
            began.elapsed()
        };
        (0..200).map(|_| look()).min().unwrap_or_default()
    };
    let (small, large) = (least(&small), least(&large));
    assert!(large < small * 20 + Duration::from_micros(50), "{large:?} for 20,000 records, {small:?} for two");
    place.observer.delivery().close().expect("it closes");
}
