//! Random schedules over the whole log, on a disk whose power goes at any moment, held against a model in memory.
//!
//! Entries with many bodies and targets, changes of a table, trims, topics that are deleted and made again, retirements,
//! faults and crashes. What a start finds must be the model as it stood after some entry, and after no earlier one than the
//! last that was said to be durable.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use smallvec::SmallVec;

use super::record::{BatchBuilder, Record};
use super::simulated::{Keep, Simulated};
use super::*;

/// `TRUNKLINE_TEST_SCHEDULES` runs more or fewer of them.
const SCHEDULES: u64 = 2_000;
const STEPS: usize = 40;
const TOPICS: [&str; 3] = ["one", "two", "three"];
/// In the place of a value that nobody can see.
const HIDDEN: u64 = 0;
const TABLE: Table = Table("__test");

/// A partition: its first offset and the values from offset 0 on.
#[derive(Clone, Debug, Default, PartialEq)]
struct Rows {
    log_start: u64,
    values: Vec<u64>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    topics: BTreeMap<&'static str, Vec<Rows>>,
    table: BTreeMap<u32, u64>,
}

struct World {
    random: StdRng,
    disk: Simulated,
    log: Log,
    model: Model,
    /// The model after each entry that is not known to be durable; the last that is goes in front.
    history: Vec<(Barrier, Model)>,
    next_value: u64,
}

fn name(text: &str) -> TopicName {
    TopicName::new(text.to_owned()).expect("a legal name")
}

fn open(random: &mut StdRng, disk: &Simulated) -> Log {
    let settings = LogSettings {
        directory: PathBuf::from("/"),
        disk: disk.disk(),
        journal_file_bytes: random.random_range(1..10_000),
        journal_retain_bytes: u64::MAX,
        memory_tail_bytes: random.random_range(0..6_000),
        segment_bytes: random.random_range(1..5_000),
        // Files are retired when the schedule says so.
        maintenance_interval_ms: 3_600_000,
        ..LogSettings::default()
    };
    let log = Log::open(settings).expect("the log opens");
    log.open_table(TABLE).expect("it is taken");
    log
}

impl Model {
    /// As a reader sees it: not what lies before the first offset of a partition.
    fn as_seen(&self) -> Self {
        let mut seen = self.clone();
        for rows in seen.topics.values_mut().flatten() {
            rows.values[..rows.log_start as usize].fill(HIDDEN);
        }
        seen
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let disk = Simulated::new(random.random());
        let log = open(&mut random, &disk);
        let mut world = Self { random, disk, log, model: Model::default(), history: Vec::new(), next_value: 0 };
        world.history.push((Barrier::NONE, Model::default()));
        world
    }

    fn step(&mut self) {
        let pick = self.random.random_range(0..20);
        self.say(|| format!("step {pick}"));
        match pick {
            0 => self.crash(),
            1 => self.end_in_order(),
            2..5 => drop(self.log.retire_oldest().expect("it retires")),
            5 => self.log.maintain().expect("it is maintained"),
            6..8 => self.settle(),
            8..10 => self.look(),
            _ => self.write(),
        }
        self.forget_durable();
    }

    /// What is done, where one schedule is replayed. Tests that pass print nothing.
    #[allow(clippy::print_stderr)]
    fn say(&self, what: impl FnOnce() -> String) {
        if std::env::var("TRUNKLINE_TEST_SCHEDULES").is_ok_and(|schedules| schedules == "1") {
            eprintln!("{}", what());
        }
    }

    fn forget_durable(&mut self) {
        let durable = self.history.iter().rposition(|(barrier, _)| self.log.is_durable(*barrier)).unwrap_or(0);
        self.history.drain(..durable);
    }

    fn settle(&mut self) {
        while !self.log.is_durable(self.log.barrier()) {
            std::thread::yield_now();
        }
    }

    fn write(&mut self) {
        let log = self.log.clone();
        let _turn = log.turn();
        let mut entry = Entry::default();
        let mut states = Vec::new();
        for _ in 0..self.random.random_range(1..4) {
            let topic = TOPICS[self.random.random_range(0..TOPICS.len())];
            match self.random.random_range(0..12) {
                0 if entry.is_empty() => self.remake(topic, &mut states),
                1 => self.add_partitions(topic, &mut states),
                2..4 => self.trim(topic, &mut states),
                4..7 => self.change_table(&mut states),
                _ => self.append(&mut entry),
            }
        }
        entry.add_state(&states, |table| log.open_table(table).ok(), 0);
        let barrier = log.append(&entry).expect("it is taken");
        self.say(|| format!("wrote {:?} up to {barrier:?}", self.model));
        if !entry.is_empty() {
            self.history.push((barrier, self.model.clone()));
        }
    }

    /// Deletes a topic that is there, or makes one that is not.
    fn remake(&mut self, text: &'static str, states: &mut Vec<StateRecord>) {
        if self.model.topics.remove(text).is_some() {
            states.extend(self.log.delete_topic(&name(text)).expect("it is there"));
            if self.random.random() {
                return;
            }
        }
        let partitions = self.random.random_range(1..4);
        let settings = TopicSettings { retention_ms: None, ..TopicSettings::default() };
        let (_, record) = self.log.create_topic(&name(text), partitions, settings).expect("a new topic");
        states.push(record);
        self.model.topics.insert(text, vec![Rows::default(); partitions as usize]);
    }

    fn add_partitions(&mut self, text: &'static str, states: &mut Vec<StateRecord>) {
        let Some(rows) = self.model.topics.get_mut(text).filter(|rows| rows.len() < 5) else { return };
        rows.push(Rows::default());
        states.push(self.log.add_partitions(&name(text), rows.len() as u32).expect("one more"));
    }

    fn trim(&mut self, text: &'static str, states: &mut Vec<StateRecord>) {
        let Some(rows) = self.model.topics.get_mut(text) else { return };
        let index = self.random.random_range(0..rows.len());
        let partition = self.log.topic(&name(text)).and_then(|topic| topic.partition(index as u32)).expect("it is there");
        let to = self.random.random_range(0..=partition.bounds().durable);
        let (log_start, record) = self.log.trim(&partition, to);
        states.push(record);
        rows[index].log_start = log_start;
    }

    fn change_table(&mut self, states: &mut Vec<StateRecord>) {
        let key = self.random.random_range(0..20_u32);
        let value = self.value();
        let change = if self.random.random_bool(0.3) {
            self.model.table.remove(&key);
            Change::Delete
        } else {
            self.model.table.insert(key, value);
            Change::Put(Bytes::copy_from_slice(&value.to_be_bytes()))
        };
        states.push(StateRecord { table: TABLE, key: Bytes::copy_from_slice(&key.to_be_bytes()), change });
    }

    fn value(&mut self) -> u64 {
        self.next_value += 1;
        self.next_value
    }

    /// One body to up to four partitions.
    fn append(&mut self, entry: &mut Entry) {
        let span = self.random.random_range(1..5_u32);
        let padding = if self.random.random_bool(0.1) { 3_000 } else { self.random.random_range(0..100) };
        let mut batch = BatchBuilder::new();
        let values: Vec<u64> = (0..span).map(|_| self.value()).collect();
        for value in &values {
            let mut bytes = value.to_be_bytes().to_vec();
            bytes.resize(8 + padding, 0);
            batch.push(&Record { key: None, value: Some(bytes.into()), headers: Vec::new(), timestamp_ms: *value as i64 });
        }
        let mut targets: SmallVec<[Placement; 1]> = SmallVec::new();
        for (text, topic) in &mut self.model.topics {
            for (index, rows) in topic.iter_mut().enumerate() {
                if targets.len() < 4 && self.random.random_bool(0.3) {
                    let partition = self.log.topic(&name(text)).and_then(|topic| topic.partition(index as u32));
                    let partition = partition.expect("it is there");
                    let base_offset = partition.reserve(span);
                    assert_eq!(base_offset, rows.values.len() as u64, "offsets are dense");
                    targets.push(Placement { partition, base_offset });
                    rows.values.extend(&values);
                }
            }
        }
        if !targets.is_empty() {
            let (batch, max_timestamp_ms) = (batch.finish(), *values.last().expect("one") as i64);
            entry.add(Write { targets, span, batch, max_timestamp_ms, is_broadcast: false });
        }
    }

    fn end_in_order(&mut self) {
        self.log.close();
        self.history.drain(..self.history.len() - 1);
        self.log = open(&mut self.random, &self.disk);
        self.recover();
    }

    /// Cuts the power while everything runs, and goes on with what that leaves.
    fn crash(&mut self) {
        let keep = [Keep::Nothing, Keep::Some, Keep::All][self.random.random_range(0..3)];
        if self.random.random_bool(0.6) {
            self.disk.cut_after(self.random.random_range(0..60), keep);
            // It fails when the power goes.
            let _ = if self.random.random() { self.log.retire_oldest().map(drop) } else { self.log.maintain() };
        }
        let left = self.disk.cut(keep);
        self.say(|| format!("cut, leaving {keep:?}: {:?}", left.files()));
        self.forget_durable();
        self.log.close();
        // The power may go again while the log is being opened.
        let again = left.copy();
        again.cut_after(self.random.random_range(0..30), keep);
        let settings = LogSettings { directory: PathBuf::from("/"), disk: again.disk(), ..LogSettings::default() };
        if let Ok(log) = Log::open(settings) {
            let _ = log.open_table(TABLE);
            log.close();
        }
        self.disk = again.cut(keep);
        self.log = open(&mut self.random, &self.disk);
        self.recover();
    }

    /// Finds the entry after which the model stood like this, and goes on from there.
    fn recover(&mut self) {
        let found = self.found();
        let at = self.history.iter().rposition(|(_, model)| model.as_seen() == found);
        let Some(at) = at else {
            panic!("recovered is none of {} models:\n{found:?}\nfor\n{:?}", self.history.len(), self.history);
        };
        self.model = self.history.swap_remove(at).1;
        // What was written after it is gone for good, and what is there is durable.
        self.history = vec![(Barrier::NONE, self.model.clone())];
    }

    fn found(&self) -> Model {
        let mut found = Model::default();
        for text in TOPICS {
            let Some(topic) = self.log.topic(&name(text)) else { continue };
            let rows = topic.partitions().iter().map(|partition| self.rows(partition)).collect();
            found.topics.insert(text, rows);
        }
        for (key, change) in self.log.read_table(TABLE).expect("it reads") {
            let key = u32::from_be_bytes(key[..].try_into().expect("a key"));
            match change {
                Change::Put(value) => drop(found.table.insert(key, u64::from_be_bytes(value[..].try_into().expect("8 bytes")))),
                _ => drop(found.table.remove(&key)),
            }
        }
        found
    }

    fn rows(&self, partition: &Arc<Partition>) -> Rows {
        let bounds = partition.bounds();
        let mut values = vec![HIDDEN; bounds.log_start as usize];
        values.extend(self.values(partition, bounds.log_start, bounds.durable));
        Rows { log_start: bounds.log_start, values }
    }

    fn values(&self, partition: &Partition, from: u64, to: u64) -> Vec<u64> {
        let mut values = Vec::new();
        let mut next = from;
        while next < to {
            let bytes_max = (self.next_value as usize * 37) % 4_000 + 1;
            let batches = self.log.read(partition, next, bytes_max, Bound::End).expect("it is kept");
            assert!(!batches.is_empty(), "nothing at {next} of {:?}", partition.bounds());
            for found in batches.iter().flat_map(|batch| batch.records(self.log.limits()).expect("a batch")) {
                let (offset, record) = found.expect("a record");
                if offset >= next && offset < to {
                    assert_eq!(offset, next, "offsets are dense");
                    let value = record.value.expect("a value");
                    values.push(u64::from_be_bytes(value[..8].try_into().expect("8 bytes")));
                    next += 1;
                }
            }
        }
        values
    }

    /// Reads a random stretch, and looks a time up.
    fn look(&mut self) {
        let Some((text, rows)) = self.model.topics.iter().next() else { return };
        let index = self.random.random_range(0..rows.len());
        let rows = &rows[index];
        let partition = self.log.topic(&name(text)).and_then(|topic| topic.partition(index as u32)).expect("it is there");
        let end = rows.values.len() as u64;
        assert_eq!((partition.bounds().log_start, partition.bounds().end), (rows.log_start, end));
        let from = self.random.random_range(rows.log_start..=end);
        assert_eq!(self.values(&partition, from, end), rows.values[from as usize..]);
        if from < partition.bounds().durable {
            let value = rows.values[from as usize] as i64;
            let found = self.log.offset_for_time(&partition, value, Bound::Durable).expect("it reads");
            assert_eq!(found, Some((from, value)));
        }
    }
}

#[test]
fn random_schedules_with_power_cuts_recover_to_the_model() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number("TRUNKLINE_TEST_SEED").unwrap_or_else(rand::random);
    for seed in (0..number("TRUNKLINE_TEST_SCHEDULES").unwrap_or(SCHEDULES)).map(|schedule| first.wrapping_add(schedule)) {
        let outcome = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            (0..STEPS).for_each(|_| world.step());
            world.crash();
            world.log.close();
        });
        assert!(outcome.is_ok(), "run it again with TRUNKLINE_TEST_SEED={seed} TRUNKLINE_TEST_SCHEDULES=1");
    }
}
