//! Random schedules of units, retirements and crashes over a real log, held against a model that keeps everything in memory.
//!
//! The log lies on a simulated disk, whose power goes at any moment, in the middle of a retirement too. What recovers from what
//! that leaves must be the model as it stood after some unit, and after no earlier one than the last that was durable.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::tests::record;
use super::*;
use crate::log::record::{BATCH_HEADER_BYTES, BatchBuilder, Limits, ValidBatch};
use crate::log::simulated::Simulated;
use crate::log::simulation::{History, cramped, cut_power, name, play};
use crate::log::{Barrier, Bound, Topic, TopicSettings};

const SCHEDULES: u64 = 300;
const STEPS: usize = 60;
const QUEUES: [&str; 3] = ["one", "two", "three"];
/// Kept whatever the queues do.
const KEPT: &str = "kept";
const PRODUCER: i64 = 77;

/// One queue and its topic.
#[derive(Clone, Debug, Default, PartialEq)]
struct Queue {
    /// Values by offset.
    log: Vec<String>,
    /// Offsets by place.
    ready: BTreeMap<i64, u64>,
    in_flight: BTreeMap<u64, i64>,
    fronts: i64,
}

impl Queue {
    /// What is ready when nothing is in flight, in order.
    fn all_ready(&self) -> Vec<(u64, String)> {
        let back = self.in_flight.iter().map(|(offset, place)| (*place, *offset));
        let places: BTreeMap<i64, u64> = self.ready.iter().map(|(place, offset)| (*place, *offset)).chain(back).collect();
        places.values().map(|offset| (*offset, self.log[*offset as usize].clone())).collect()
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    queues: [Queue; 3],
    kept: Vec<String>,
    /// Sequence number and base offset of the producer's batches.
    batches: Vec<(i32, u64)>,
}

struct World {
    random: StdRng,
    disk: Simulated,
    delivery: Delivery,
    model: Model,
    history: History<Model>,
    values: u64,
}

fn open(random: &mut StdRng, disk: &Simulated) -> Delivery {
    Delivery::open(cramped(random, disk)).expect("the log opens")
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let disk = Simulated::new(random.random());
        let delivery = open(&mut random, &disk);
        let mut world =
            Self { random, disk, delivery, model: Model::default(), history: History::of(Model::default()), values: 0 };
        let mut unit = world.delivery.begin().expect("the log is well");
        for queue in QUEUES {
            make(&mut unit, queue);
        }
        unit.create_topic(&name(KEPT), 1, TopicSettings { retention_ms: None, ..TopicSettings::default() }).expect("a new topic");
        let barrier = unit.commit();
        world.history.push(barrier, world.model.clone());
        world.history.settle(world.delivery.log());
        world
    }

    fn step(&mut self) {
        match self.random.random_range(0..20) {
            0 => self.crash(),
            1 => self.history.settle(self.delivery.log()),
            2..5 => drop(self.delivery.log().retire_oldest().expect("it retires")),
            5 => self.end_in_order(),
            6 => self.produce(),
            _ => self.unit(),
        }
        self.history.forget_durable(self.delivery.log());
    }

    fn unit(&mut self) {
        let delivery = self.delivery.clone();
        let mut unit = delivery.begin().expect("the log is well");
        for _ in 0..self.random.random_range(1..6) {
            let queue = self.random.random_range(0..QUEUES.len());
            match self.random.random_range(0..16) {
                0..5 => self.push(&mut unit, &[queue]),
                5 => self.push(&mut unit, &[queue, (queue + 1) % QUEUES.len()]),
                6..8 => self.push_front(&mut unit, queue),
                8..10 => self.pop(&mut unit, queue),
                10..12 => self.take(&mut unit, queue),
                12 => self.settle_one(&mut unit, queue, true),
                13 => self.settle_one(&mut unit, queue, false),
                14 => self.shift(&mut unit, queue),
                _ if self.random.random_bool(0.2) => self.remake(&mut unit, queue),
                _ if self.random.random_bool(0.3) => self.purge(&mut unit, queue),
                _ => self.push(&mut unit, &[queue]),
            }
        }
        let barrier = unit.commit();
        if barrier != Barrier::NONE {
            self.history.push(barrier, self.model.clone());
        }
    }

    fn value(&mut self) -> String {
        self.values += 1;
        let length = if self.random.random_bool(0.1) { 3_000 } else { self.random.random_range(0..200) };
        format!("{}:{}", self.values, "x".repeat(length))
    }

    fn push(&mut self, unit: &mut Unit<'_>, queues: &[usize]) {
        let value = self.value();
        let kind = [Kind::Plain, Kind::Queued, Kind::Broadcast][self.random.random_range(0..3)];
        let topic = |index: &usize| Target { topic: unit.topic(&name(QUEUES[*index])).expect("a topic"), partition: 0 };
        let targets: Vec<Target> = queues.iter().map(topic).collect();
        let offsets = unit.append(&targets, &record(&value), kind);
        for (index, offset) in queues.iter().zip(offsets) {
            let queue = &mut self.model.queues[*index];
            assert_eq!(offset, queue.log.len() as u64, "offsets are dense");
            queue.log.push(value.clone());
            queue.ready.insert(offset as i64, offset);
        }
    }

    fn push_front(&mut self, unit: &mut Unit<'_>, index: usize) {
        let value = self.value();
        let topic = unit.topic(&name(QUEUES[index])).expect("a topic");
        let offset = unit.append_front(&topic, &record(&value)).expect("an offset");
        let queue = &mut self.model.queues[index];
        assert_eq!(offset, queue.log.len() as u64, "offsets are dense");
        queue.log.push(value);
        queue.fronts -= 1;
        queue.ready.insert(queue.fronts, offset);
    }

    fn pop(&mut self, unit: &mut Unit<'_>, index: usize) {
        let end = if self.random.random() { End::Head } else { End::Tail };
        let popped = unit.pop(&name(QUEUES[index]), end, Class::All).map(|position| position.offset);
        let ready = &mut self.model.queues[index].ready;
        let expected = if end == End::Head { ready.pop_first() } else { ready.pop_last() };
        assert_eq!(popped, expected.map(|(_, offset)| offset));
    }

    fn take(&mut self, unit: &mut Unit<'_>, index: usize) {
        let taken = unit.take(&name(QUEUES[index]), Class::All).map(|claim| claim.position.offset);
        let queue = &mut self.model.queues[index];
        let expected = queue.ready.pop_first();
        assert_eq!(taken, expected.map(|(_, offset)| offset));
        if let Some((place, offset)) = expected {
            queue.in_flight.insert(offset, place);
        }
    }

    fn settle_one(&mut self, unit: &mut Unit<'_>, index: usize, is_accepted: bool) {
        let queue = &mut self.model.queues[index];
        let pick = self.random.random_range(0..queue.in_flight.len().max(1));
        let Some((offset, place)) = queue.in_flight.iter().nth(pick).map(|(offset, place)| (*offset, *place)) else { return };
        queue.in_flight.remove(&offset);
        let at = [Position { partition: 0, offset }];
        if is_accepted {
            unit.accept(&name(QUEUES[index]), &at);
        } else {
            queue.ready.insert(place, offset);
            unit.release(&name(QUEUES[index]), &at, self.random.random());
        }
    }

    fn shift(&mut self, unit: &mut Unit<'_>, from: usize) {
        let to = (from + 1) % QUEUES.len();
        let topic = unit.topic(&name(QUEUES[to])).expect("a topic");
        let moved = unit.move_record(&name(QUEUES[from]), End::Head, Class::All, &topic, End::Tail);
        let Some((_, offset)) = self.model.queues[from].ready.pop_first() else { return assert!(moved.is_none()) };
        let value = self.model.queues[from].log[offset as usize].clone();
        assert_eq!(moved.and_then(|record| record.value), Some(Bytes::from(value.clone())));
        let queue = &mut self.model.queues[to];
        queue.ready.insert(queue.log.len() as i64, queue.log.len() as u64);
        queue.log.push(value);
    }

    fn remake(&mut self, unit: &mut Unit<'_>, index: usize) {
        unit.delete_topic(&name(QUEUES[index])).expect("it is there");
        make(unit, QUEUES[index]);
        self.model.queues[index] = Queue::default();
    }

    fn purge(&mut self, unit: &mut Unit<'_>, index: usize) {
        let queue = &mut self.model.queues[index];
        assert_eq!(unit.purge(&name(QUEUES[index]), Class::All), queue.ready.len() as u64);
        queue.ready.clear();
    }

    /// A batch of an idempotent producer, now and then one that was sent before.
    fn produce(&mut self) {
        let delivery = self.delivery.clone();
        let mut unit = delivery.begin().expect("the log is well");
        let topic = unit.topic(&name(KEPT)).expect("a topic");
        let known = self.model.batches.len();
        if known > 0 && self.random.random_bool(0.4) {
            let (sequence, base_offset) = self.model.batches[known - 1 - self.random.random_range(0..known.min(5))];
            let again = unit.append_batch(&topic, 0, &batch(sequence, &["again".to_owned()])).expect("it is known");
            assert_eq!((again.base_offset, again.is_duplicate), (base_offset, true));
            return;
        }
        let values = [self.value()];
        let sequence = i32::try_from(known).expect("a few");
        let written = unit.append_batch(&topic, 0, &batch(sequence, &values)).expect("it follows");
        assert_eq!((written.base_offset, written.is_duplicate), (self.model.kept.len() as u64, false));
        self.model.batches.push((sequence, written.base_offset));
        self.model.kept.extend(values);
        self.history.push(unit.commit(), self.model.clone());
    }

    fn end_in_order(&mut self) {
        self.history.settle(self.delivery.log());
        self.delivery.close().expect("it closes");
        self.delivery = open(&mut self.random, &self.disk);
        self.recover();
    }

    /// Cuts the power while everything runs, and goes on with what that leaves.
    fn crash(&mut self) {
        let retire = |_: &mut StdRng| drop(self.delivery.log().retire_oldest());
        let (left, _) = cut_power(&mut self.random, &self.disk, retire);
        self.history.forget_durable(self.delivery.log());
        self.delivery.log().close();
        self.delivery = open(&mut self.random, &left);
        self.disk = left;
        self.recover();
    }

    /// Finds the unit after which the model stood like this, and goes on from there.
    fn recover(&mut self) {
        let found = self.found();
        let mut model = self.history.find(|model| found.check(model));
        for queue in &mut model.queues {
            queue.ready.extend(std::mem::take(&mut queue.in_flight).into_iter().map(|(offset, place)| (place, offset)));
        }
        self.model = model;
        // What was written after it is gone for good, and what is there is durable.
        self.history = History::of(self.model.clone());
    }

    fn found(&self) -> Found {
        let mut reader = self.delivery.reader();
        let mut queues = Vec::new();
        for queue in QUEUES {
            let unit = self.delivery.begin().expect("the log is well");
            let places = unit.range(&name(queue), Class::All, 0, u64::MAX);
            let Some(partition) = unit.topic(&name(queue)).and_then(|topic| topic.partition(0)) else { panic!("no {queue}") };
            drop(unit);
            let value = |place: &Position| {
                let record = reader.record(&partition, place.offset);
                let value = record.unwrap_or_else(|error| panic!("{queue}: {error}")).value.expect("a value");
                (place.offset, String::from_utf8_lossy(&value).into_owned())
            };
            queues.push((partition.bounds().end, places.iter().map(value).collect()));
        }
        Found { queues, kept: self.kept() }
    }

    fn kept(&self) -> Vec<String> {
        let log = self.delivery.log();
        let partition = log.topic(&name(KEPT)).and_then(|topic| topic.partition(0)).expect("a partition");
        let (mut next, mut values) = (0, Vec::new());
        while next < partition.bounds().durable {
            let batches = log.read(&partition, next, self.values as usize % 5_000 + 1, Bound::Durable).expect("it is kept");
            assert!(!batches.is_empty(), "nothing at {next} of {:?}", partition.bounds());
            for found in batches.iter().flat_map(|batch| batch.records(log.limits()).expect("a batch")) {
                let (offset, record) = found.expect("a record");
                assert_eq!(offset, next, "offsets are dense");
                next += 1;
                values.push(String::from_utf8_lossy(&record.value.expect("a value")).into_owned());
            }
        }
        values
    }
}

/// What is there after a restart.
#[derive(Debug)]
struct Found {
    /// The end of each queue's topic, and what is ready in order.
    queues: Vec<(u64, Vec<(u64, String)>)>,
    kept: Vec<String>,
}

impl Found {
    /// In what it is not the model.
    fn check(&self, model: &Model) -> Result<(), String> {
        let mut unlike = String::new();
        for (((end, ready), queue), name) in self.queues.iter().zip(&model.queues).zip(QUEUES) {
            let due = queue.all_ready();
            if *end != queue.log.len() as u64 || *ready != due {
                let offsets = |ready: &[(u64, String)]| ready.iter().map(|(offset, _)| *offset).collect::<Vec<_>>();
                let (ready, due, length) = (offsets(ready), offsets(&due), queue.log.len());
                unlike += &format!("{name} ends at {end} for {length} with {ready:?} for {due:?}; ");
            }
        }
        if self.kept != model.kept {
            unlike += &format!("{} for {} are kept", self.kept.len(), model.kept.len());
        }
        if unlike.is_empty() { Ok(()) } else { Err(unlike) }
    }
}

fn make(unit: &mut Unit<'_>, text: &str) -> Arc<Topic> {
    let name = name(text);
    let topic = unit.create_topic(&name, 1, TopicSettings::consumed("test", true, 1 << 20)).expect("a new topic");
    unit.open_queue(&name, QueueSpec::new(name.clone(), true)).expect("the topic is there");
    topic
}

/// A batch of an idempotent producer.
fn batch(sequence: i32, values: &[String]) -> ValidBatch {
    let mut builder = BatchBuilder::new();
    values.iter().for_each(|value| builder.push(&record(value)));
    let mut bytes = builder.finish().to_vec();
    bytes[43..51].copy_from_slice(&PRODUCER.to_be_bytes());
    bytes[51..53].copy_from_slice(&0_i16.to_be_bytes());
    bytes[53..57].copy_from_slice(&sequence.to_be_bytes());
    assert!(bytes.len() > BATCH_HEADER_BYTES);
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &bytes[21..]) as u32;
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    ValidBatch::check(bytes.into(), &Limits::default()).expect("a whole batch")
}

#[test]
fn random_schedules_with_crashes_recover_to_the_model() {
    play(SCHEDULES, |seed| {
        let mut world = World::new(seed);
        (0..STEPS).for_each(|_| world.step());
        world.crash();
        world.delivery.log().close();
    });
}
