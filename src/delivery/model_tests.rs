//! Random schedules of units, retirements and crashes over a real log, held against a model that keeps everything in memory.
//!
//! A crash is a copy of the data directory at any moment, cut anywhere behind what was known to be durable. What recovers from
//! it must be the model as it stood after some unit, and after no earlier one than the last that was durable.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::log::record::{BATCH_HEADER_BYTES, BatchBuilder, Limits, Record, ValidBatch};
use crate::log::{Barrier, Bound, Topic, TopicSettings};

/// `TRUNKLINE_TEST_SCHEDULES` runs more of them.
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
    home: tempfile::TempDir,
    directory: PathBuf,
    crashes: u32,
    delivery: Delivery,
    model: Model,
    /// The model after each unit that is not known to be durable, the last one that is in front.
    history: Vec<(Barrier, Model)>,
    values: u64,
    /// What a crash may not cut off.
    synced: Lsn,
}

fn name(text: &str) -> TopicName {
    TopicName::new(text.to_owned()).expect("a legal name")
}

fn record(value: &str) -> Record {
    Record { key: None, value: Some(Bytes::from(value.to_owned())), headers: Vec::new(), timestamp_ms: 1_000 }
}

/// In memory where the system has such a place: these crashes do not lose what the system holds, so the disk adds nothing.
fn home() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.expect("a directory")
}

fn open(random: &mut StdRng, directory: &Path) -> Delivery {
    let settings = LogSettings {
        directory: directory.to_owned(),
        journal_file_bytes: random.random_range(1..20_000),
        journal_retain_bytes: u64::MAX,
        memory_tail_bytes: random.random_range(0..10_000),
        segment_bytes: random.random_range(1..8_000),
        // Files are retired when the schedule says so.
        maintenance_interval_ms: 3_600_000,
        ..LogSettings::default()
    };
    Delivery::open(settings).expect("the log opens")
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let home = home();
        let directory = home.path().join("0");
        let delivery = open(&mut random, &directory);
        let mut world = Self {
            random,
            home,
            directory,
            crashes: 0,
            delivery,
            model: Model::default(),
            history: Vec::new(),
            values: 0,
            synced: Lsn::NONE,
        };
        let mut unit = world.delivery.begin().expect("the log is well");
        for queue in QUEUES {
            make(&mut unit, queue);
        }
        unit.create_topic(&name(KEPT), 1, TopicSettings { retention_ms: None, ..TopicSettings::default() }).expect("a new topic");
        let barrier = unit.commit();
        world.history.push((barrier, world.model.clone()));
        world.settle();
        world
    }

    /// Waits until everything is durable.
    fn settle(&mut self) {
        if let Some(last) = self.history.pop() {
            while !self.delivery.log().is_durable(last.0) {
                std::thread::yield_now();
            }
            self.synced = self.synced.max(last.0.synced());
            self.history = vec![(Barrier::NONE, last.1)];
        }
    }

    fn step(&mut self) {
        match self.random.random_range(0..20) {
            0 => self.crash(),
            1 => self.settle(),
            2..5 => {
                self.delivery.log().retire_oldest().expect("it retires");
                // A retirement rests on what it has written itself, and on everything before.
                let end = self.delivery.log().end();
                self.synced = if self.delivery.log().is_durable(self.delivery.log().barrier()) { end } else { self.synced };
            }
            5 => self.end_in_order(),
            6 => self.produce(),
            _ => self.unit(),
        }
        self.history.drain(..self.history.iter().rposition(|(barrier, _)| self.delivery.log().is_durable(*barrier)).unwrap_or(0));
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
            self.history.push((barrier, self.model.clone()));
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
        self.history.push((unit.commit(), self.model.clone()));
    }

    fn end_in_order(&mut self) {
        self.settle();
        self.delivery.close().expect("it closes");
        self.delivery = open(&mut self.random, &self.directory);
        self.recover();
    }

    /// Copies the directory while everything runs, and goes on with the copy.
    fn crash(&mut self) {
        self.crashes += 1;
        let copy = self.home.path().join(self.crashes.to_string());
        let durable = self.history.iter().rposition(|(barrier, _)| self.delivery.log().is_durable(*barrier)).unwrap_or(0);
        let synced = self.history.get(durable).map_or(Lsn::NONE, |(barrier, _)| barrier.synced()).max(self.synced);
        // Copied file by file, a directory that a retirement is changing is not quite what it was at any one moment.
        let is_retiring = std::env::var_os("TRUNKLINE_TEST_RETIRING").is_some() && self.random.random_bool(0.5);
        std::thread::scope(|scope| {
            if is_retiring {
                scope.spawn(|| self.delivery.log().retire_oldest());
            }
            // The journal before: what a retirement adds to segments meanwhile lies in it too. The journal behind: so does what
            // the retirement rests on.
            copy_all(&self.directory.join("journal"), &copy.join("journal"));
            copy_all(&self.directory.join("topics"), &copy.join("topics"));
            copy_all(&self.directory.join("journal"), &copy.join("journal"));
        });
        if self.random.random_bool(0.5) && !is_retiring && synced > Lsn::NONE {
            self.tear(&copy, synced);
        }
        self.delivery.log().close();
        self.history.drain(..durable);
        self.delivery = open(&mut self.random, &copy);
        let _ = std::fs::remove_dir_all(std::mem::replace(&mut self.directory, copy));
        self.recover();
    }

    /// Cuts the newest journal file somewhere behind what was synced.
    fn tear(&mut self, copy: &Path, synced: Lsn) {
        let mut files: Vec<_> =
            std::fs::read_dir(copy.join("journal")).expect("a directory").flatten().map(|file| file.path()).collect();
        files.retain(|path| path.extension().is_some_and(|kind| kind == "journal"));
        files.sort();
        let Some(newest) = files.pop() else { return };
        let start: u64 =
            newest.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok()).expect("a position");
        let (from, to) = (64 + synced.0.saturating_sub(start), std::fs::metadata(&newest).expect("a file").len());
        if from < to {
            let file = std::fs::OpenOptions::new().write(true).open(&newest).expect("a file");
            file.set_len(self.random.random_range(from..=to)).expect("it is cut");
        }
    }

    /// Finds the unit after which the model stood like this, and goes on from there.
    fn recover(&mut self) {
        let found = self.found();
        let at = self.history.iter().rposition(|(_, model)| found.fits(model));
        let Some(at) = at else {
            let models: Vec<String> =
                self.history.iter().map(|(barrier, model)| format!("{barrier:?}: {}", found.unlike(model))).collect();
            panic!("recovered is none of {} models:\n{}", models.len(), models.join("\n"));
        };
        let (_, mut model) = self.history.swap_remove(at);
        for queue in &mut model.queues {
            queue.ready.extend(std::mem::take(&mut queue.in_flight).into_iter().map(|(offset, place)| (place, offset)));
        }
        self.model = model;
        // What was written after it is gone for good, and what is there is durable.
        self.history = vec![(Barrier::NONE, self.model.clone())];
        self.synced = Lsn::NONE;
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
    fn fits(&self, model: &Model) -> bool {
        self.unlike(model).is_empty()
    }

    /// In what it is not the model; empty if it is.
    fn unlike(&self, model: &Model) -> String {
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
        unlike
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

/// Copies what is there; what is renamed or removed meanwhile may be missed, as a crash just then would have it.
fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).into_iter().flatten().flatten() {
        let target = to.join(entry.file_name());
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => copy_all(&entry.path(), &target),
            Ok(_) => drop(std::fs::copy(entry.path(), target)),
            Err(_) => {}
        }
    }
}

#[test]
fn random_schedules_with_crashes_recover_to_the_model() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number("TRUNKLINE_TEST_SEED").unwrap_or_else(rand::random);
    for seed in (0..number("TRUNKLINE_TEST_SCHEDULES").unwrap_or(SCHEDULES)).map(|schedule| first.wrapping_add(schedule)) {
        let outcome = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            (0..STEPS).for_each(|_| world.step());
            world.crash();
            world.delivery.log().close();
        });
        assert!(outcome.is_ok(), "run it again with TRUNKLINE_TEST_SEED={seed} TRUNKLINE_TEST_SCHEDULES=1");
    }
}
