//! Random schedules over the whole log, on a disk whose power goes at any moment, held against a model in memory.
//!
//! Entries with many bodies and targets, transactions, changes of a table, trims, topics that are deleted and made again,
//! retirements, compaction beside a view, retention, and crashes in the middle of each. What a start finds must be the model as it
//! stood after some entry, and after no earlier one than the last that was said to be durable.

mod model;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use model::{Found, FoundRows, Kind, Model, Row, Rows, What};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use smallvec::SmallVec;

use super::record::{BatchBuilder, Compression, Record, marker_batch, read_marker, sealed_for_tests};
use super::simulated::Simulated;
use super::simulation::{History, cramped, cut_power, name, on, play, wait_until_durable};
use super::*;

const SCHEDULES: u64 = 2_000;
const STEPS: usize = 40;
const TOPICS: [(&str, Kind); 3] = [("one", Kind::Kept), ("two", Kind::Compacted), ("three", Kind::Bounded)];
const KEYS: u8 = 6;
const PRODUCERS: i64 = 3;
const TABLE: Table = Table("__test");

/// What views need, by topic and partition: everything from an offset on.
#[derive(Clone, Default)]
struct Views(Arc<Mutex<BTreeMap<(TopicName, u32), u64>>>);

impl Keeper for Views {
    fn checkpoint(&self, _before: Lsn) {}

    fn needs(&self, partition: &Partition, _holders: Holders) -> Needs {
        let from = self.0.lock().get(&(partition.topic_name().clone(), partition.index())).copied();
        from.map_or_else(Needs::nothing, |from| Needs::nothing().and_from(from))
    }
}

struct World {
    random: StdRng,
    disk: Simulated,
    log: Log,
    views: Views,
    model: Model,
    history: History<Model>,
    next_value: u64,
}

fn open(random: &mut StdRng, disk: &Simulated) -> Log {
    let settings = LogSettings { compaction_memory_bytes: 32 * random.random_range(1..10), ..cramped(random, disk) };
    let log = Log::open(settings).expect("the log opens");
    log.open_table(TABLE).expect("it is taken");
    log
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let disk = Simulated::new(random.random());
        let log = open(&mut random, &disk);
        let (views, model) = (Views::default(), Model::default());
        log.set_keeper(Arc::new(views.clone()));
        Self { random, disk, log, views, model, history: History::of(Model::default()), next_value: 0 }
    }

    fn step(&mut self) {
        let pick = self.random.random_range(0..24);
        self.say(|| format!("step {pick}"));
        match pick {
            0 => self.crash(),
            1 => self.end_in_order(),
            2..5 => drop(self.log.retire_oldest().expect("it retires")),
            5 => self.log.maintain().expect("it is maintained"),
            6 => self.clean(),
            7 => self.expire(),
            8 => self.take(),
            9..11 => self.settle(),
            11..13 => self.look(),
            _ => self.write(),
        }
        self.history.forget_durable(&self.log);
    }

    /// What is done, where one schedule is replayed. Tests that pass print nothing.
    #[allow(clippy::print_stderr)]
    fn say(&self, what: impl FnOnce() -> String) {
        if std::env::var("TRUNKLINE_TEST_SCHEDULES").is_ok_and(|schedules| schedules == "1") {
            eprintln!("{}", what());
        }
    }

    fn settle(&mut self) {
        wait_until_durable(&self.log, self.log.barrier());
    }

    fn clean(&mut self) {
        self.log.clean_now().expect("it cleans");
        self.compare();
    }

    fn expire(&mut self) {
        self.log.expire_now().expect("it expires");
        self.settle();
        // It says where each of these begins now, and that is on disk.
        for (text, topic) in &mut self.model.topics {
            for (index, rows) in topic.iter_mut().enumerate().filter(|(_, rows)| rows.kind == Kind::Bounded) {
                let log_start = partition(&self.log, text, index).bounds().log_start;
                assert!(log_start <= rows.log_start.max(rows.held_from), "a view needs what is gone");
                rows.log_start = log_start;
            }
        }
        self.history = History::of(self.model.clone());
        self.compare();
    }

    /// A view comes to a partition, or takes some of it.
    fn take(&mut self) {
        let Some((text, index)) = self.any_partition() else { return };
        let bounds = partition(&self.log, text, index).bounds();
        let rows = &mut self.model.topics.get_mut(text).expect("it is there")[index];
        // What was held is on disk, as is what is held from now on.
        let floor = if rows.held_from == u64::MAX { bounds.durable } else { rows.held_from.min(bounds.durable) };
        rows.held_from = self.random.random_range(floor..=bounds.durable);
        let held_from = rows.held_from;
        self.views.0.lock().insert((name(text), index as u32), held_from);
        for model in self.history.models_mut() {
            if let Some(rows) = model.topics.get_mut(text).and_then(|topic| topic.get_mut(index)) {
                rows.held_from = held_from;
            }
        }
    }

    fn any_partition(&mut self) -> Option<(&'static str, usize)> {
        let all = self.model.topics.iter().flat_map(|(text, topic)| (0..topic.len()).map(move |index| (*text, index)));
        let all: Vec<_> = all.collect();
        if all.is_empty() { None } else { Some(all[self.random.random_range(0..all.len())]) }
    }

    /// Everything is there that must be, now that all of it is durable.
    fn compare(&mut self) {
        self.settle();
        if let Err(why) = self.model.check(&self.found()) {
            panic!("{why}: {:?}", self.model);
        }
    }

    fn write(&mut self) {
        let log = self.log.clone();
        let _turn = log.turn();
        let mut entry = Entry::default();
        let mut states = Vec::new();
        for _ in 0..self.random.random_range(1..4) {
            let (topic, kind) = TOPICS[self.random.random_range(0..TOPICS.len())];
            match self.random.random_range(0..16) {
                0 if entry.is_empty() => self.remake(topic, kind, &mut states),
                1 => self.add_partitions(topic, kind, &mut states),
                2..4 => self.trim(topic, &mut states),
                4..6 => self.change_table(&mut states),
                6..10 => self.append_in_transaction(&mut entry),
                10..12 => self.end_transaction(&mut entry),
                _ => self.append(&mut entry),
            }
        }
        entry.add_state(&states, |table| log.open_table(table).ok(), 0);
        let barrier = log.append(&entry).expect("it is taken");
        self.say(|| format!("wrote {:?} up to {barrier:?}", self.model));
        if !entry.is_empty() {
            self.history.push(barrier, self.model.clone());
        }
    }

    /// Deletes a topic that is there, or makes one that is not.
    fn remake(&mut self, text: &'static str, kind: Kind, states: &mut Vec<StateRecord>) {
        if self.model.topics.remove(text).is_some() {
            states.extend(self.log.delete_topic(&name(text)).expect("it is there"));
            self.views.0.lock().retain(|(topic, _), _| *topic != name(text));
            if self.random.random() {
                return;
            }
        }
        let partitions = self.random.random_range(1..4);
        let (_, record) = self.log.create_topic(&name(text), partitions, kind.settings()).expect("a new topic");
        states.push(record);
        self.model.topics.insert(text, vec![Rows::new(kind); partitions as usize]);
    }

    fn add_partitions(&mut self, text: &'static str, kind: Kind, states: &mut Vec<StateRecord>) {
        let Some(rows) = self.model.topics.get_mut(text).filter(|rows| rows.len() < 5) else { return };
        rows.push(Rows::new(kind));
        states.push(self.log.add_partitions(&name(text), rows.len() as u32).expect("one more"));
    }

    fn trim(&mut self, text: &'static str, states: &mut Vec<StateRecord>) {
        let Some(rows) = self.model.topics.get_mut(text) else { return };
        let index = self.random.random_range(0..rows.len());
        let partition = partition(&self.log, text, index);
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

    /// A batch of a few records, and the rows that they are.
    fn batch(&mut self, producer: i64) -> (Bytes, Vec<Row>) {
        let count = self.random.random_range(1..5);
        let padding = if self.random.random_bool(0.1) { 3_000 } else { self.random.random_range(0..100) };
        let mut batch = BatchBuilder::new();
        let mut rows = Vec::new();
        for _ in 0..count {
            let (stamp, key, is_deletion) = (self.value(), self.random.random_range(0..KEYS), self.random.random_bool(0.2));
            let mut bytes = stamp.to_be_bytes().to_vec();
            bytes.resize(8 + padding, 0);
            batch.push(&Record {
                key: Some(Bytes::from(vec![key])),
                value: (!is_deletion).then(|| bytes.into()),
                headers: Vec::new(),
                timestamp_ms: stamp as i64,
            });
            rows.push(Row { stamp, producer, batch: 0, what: What::Value { key, is_deletion } });
        }
        let compression = Compression::ALL[self.random.random_range(0..Compression::ALL.len())];
        (batch.finish_compressed(compression).expect("it compresses"), rows)
    }

    /// One body to up to four partitions.
    fn append(&mut self, entry: &mut Entry) {
        let (batch, written) = self.batch(-1);
        let span = written.len() as u32;
        let mut targets: SmallVec<[Placement; 1]> = SmallVec::new();
        for (text, topic) in &mut self.model.topics {
            for (index, rows) in topic.iter_mut().enumerate() {
                if targets.len() < 4 && self.random.random_bool(0.3) {
                    let partition = partition(&self.log, text, index);
                    let base_offset = partition.reserve(span);
                    rows.add(base_offset, &written);
                    targets.push(Placement { partition, base_offset });
                }
            }
        }
        if !targets.is_empty() {
            let max_timestamp_ms = written.last().expect("one").stamp as i64;
            entry.add(Write { targets, span, batch, max_timestamp_ms, is_broadcast: false });
        }
    }

    /// A batch of a producer's transaction, which begins with it if none is open.
    fn append_in_transaction(&mut self, entry: &mut Entry) {
        let Some((text, index)) = self.any_partition() else { return };
        let producer = self.random.random_range(0..PRODUCERS);
        let (batch, written) = self.batch(producer);
        let partition = partition(&self.log, text, index);
        let rows = &mut self.model.topics.get_mut(text).expect("it is there")[index];
        let mut header = BatchHeader::parse(&batch).expect("a batch");
        header.attributes |= 0x10;
        (header.producer_id, header.producer_epoch) = (producer, 0);
        header.base_sequence = rows.sequence(producer, u64::MAX);
        let reserved = self.log.reserve(&partition, &header, now_ms()).expect("in order");
        let base_offset = rows.rows.len() as u64;
        assert_eq!(reserved, (Verdict::New, base_offset));
        rows.add(base_offset, &written);
        let (batch, span) = (sealed_for_tests(&batch, header), written.len() as u32);
        let targets = smallvec::smallvec![Placement { partition, base_offset }];
        entry.add(Write { targets, span, batch, max_timestamp_ms: header.max_timestamp, is_broadcast: false });
    }

    /// Ends a producer's transaction wherever it wrote.
    fn end_transaction(&mut self, entry: &mut Entry) {
        let producer = self.random.random_range(0..PRODUCERS);
        let outcome = if self.random.random() { Outcome::Commit } else { Outcome::Abort };
        let stamp = self.value();
        let mut targets: SmallVec<[Placement; 1]> = SmallVec::new();
        for (text, topic) in &mut self.model.topics {
            for (index, rows) in topic.iter_mut().enumerate().filter(|(_, rows)| rows.is_open(producer)) {
                let partition = partition(&self.log, text, index);
                let (base_offset, _) = self.log.reserve_marker(&partition, producer, 0, outcome, now_ms());
                rows.add(base_offset, &[Row { stamp, producer, batch: 0, what: What::Marker(outcome) }]);
                targets.push(Placement { partition, base_offset });
            }
        }
        if !targets.is_empty() {
            let batch = marker_batch(producer, 0, outcome, stamp as i64);
            entry.add(Write { targets, span: 1, batch, max_timestamp_ms: stamp as i64, is_broadcast: false });
        }
    }

    fn end_in_order(&mut self) {
        self.log.close();
        self.history.settle(&self.log);
        self.reopen();
    }

    fn reopen(&mut self) {
        self.log = open(&mut self.random, &self.disk);
        self.log.set_keeper(Arc::new(self.views.clone()));
        self.recover();
    }

    /// Cuts the power while everything runs, and goes on with what that leaves.
    fn crash(&mut self) {
        let (left, keep) = cut_power(&mut self.random, &self.disk, |random| {
            let _ = match random.random_range(0..6) {
                0 => self.log.maintain(),
                1 | 2 => self.log.clean_now(),
                3 => self.log.expire_now(),
                _ => self.log.retire_oldest().map(drop),
            };
        });
        self.say(|| format!("cut, leaving {keep:?}: {:?}", left.files()));
        self.history.forget_durable(&self.log);
        self.log.close();
        // The power may go again while the log is being opened.
        let again = left.copy();
        again.cut_after(self.random.random_range(0..30), keep);
        if let Ok(log) = Log::open(on(&again)) {
            let _ = log.open_table(TABLE);
            log.close();
        }
        self.disk = again.cut(keep);
        self.reopen();
    }

    /// Finds the entry after which the model stood like this, and goes on from there.
    fn recover(&mut self) {
        let found = self.found();
        self.model = self.history.find(|model| model.check(&found).map_err(|why| (why, &found)));
        let mut views = self.views.0.lock();
        views.clear();
        for (text, topic) in &mut self.model.topics {
            for ((rows, found), index) in topic.iter_mut().zip(&found.topics[text]).zip(0..) {
                rows.log_start = found.log_start;
                views.extend((rows.held_from < u64::MAX).then(|| ((name(text), index), rows.held_from)));
            }
        }
        drop(views);
        // What was written after it is gone for good, and what is there is durable.
        self.history = History::of(self.model.clone());
    }

    fn found(&self) -> Found {
        let mut found = Found::default();
        for (text, _) in TOPICS {
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

    fn rows(&self, partition: &Arc<Partition>) -> FoundRows {
        let Bounds { log_start, durable, stable, end } = partition.bounds();
        assert_eq!(durable, end);
        let rows = self.read(partition, log_start, end);
        let aborted = self.log.aborted(partition, log_start, end).expect("it is known");
        FoundRows { log_start, end, stable, rows, aborted }
    }

    fn read(&self, partition: &Partition, from: u64, to: u64) -> BTreeMap<u64, Row> {
        let mut rows = BTreeMap::new();
        let mut next = from;
        while next < to {
            let bytes_max = (self.next_value as usize * 37) % 4_000 + 1;
            let batches = self.log.read(partition, next, bytes_max, Bound::End).expect("it is kept");
            // What was compacted away leaves a gap, also at the end of what there is.
            let Some(last) = batches.last() else { break };
            next = last.last_offset + 1;
            for batch in &batches {
                let header = batch.header().expect("a batch");
                for found in batch.records(self.log.limits()).expect("a batch") {
                    let (offset, record) = found.expect("a record");
                    let stamp = record.timestamp_ms as u64;
                    if let Some(value) = record.value.as_ref().filter(|_| !header.is_control()) {
                        assert_eq!(value[..8], stamp.to_be_bytes());
                    }
                    let what = match read_marker(batch.body()) {
                        Some(outcome) => What::Marker(outcome),
                        None => What::Value { key: record.key.expect("a key")[0], is_deletion: record.value.is_none() },
                    };
                    if (from..to).contains(&offset) {
                        let row = Row { stamp, producer: header.producer_id, batch: batch.base_offset, what };
                        assert_eq!(rows.insert(offset, row), None, "an offset is there twice");
                    }
                }
            }
        }
        rows
    }

    /// Reads a random stretch, looks times up, and sends a producer's newest batch again.
    fn look(&mut self) {
        let Some((text, index)) = self.any_partition() else { return };
        let partition = partition(&self.log, text, index);
        let rows = &self.model.topics[text][index];
        let end = rows.rows.len() as u64;
        assert_eq!((partition.bounds().log_start, partition.bounds().end), (rows.log_start, end));
        let from = self.random.random_range(rows.log_start..=end);
        let all = self.read(&partition, rows.log_start, end);
        let part = self.read(&partition, from, end);
        assert!(part.iter().eq(all.range(from..)), "{part:?} of {all:?} from {from}");
        let durable = partition.bounds().durable;
        let stamp = self.random.random_range(0..=self.next_value + 1);
        let found = self.log.offset_for_time(&partition, stamp as i64, Bound::Durable).expect("it reads");
        let durable_after = partition.bounds().durable;
        let expected = all.range(..durable_after).find(|(_, row)| row.stamp >= stamp);
        // What became durable meanwhile may have been found or not.
        let may_be_missed = expected.is_some_and(|(offset, _)| *offset >= durable);
        let is_right = found == expected.map(|(offset, row)| (*offset, row.stamp as i64)) || (found.is_none() && may_be_missed);
        assert!(is_right, "{found:?} for {expected:?}, time {stamp} in {all:?}");
        for producer in 0..PRODUCERS {
            let Some((base_offset, count)) = rows.newest_batch(producer) else { continue };
            let record = Record { key: None, value: None, headers: Vec::new(), timestamp_ms: 0 };
            let mut header = BatchHeader::parse(&record::batch_of_one(&record)).expect("a batch");
            header.attributes |= 0x10;
            (header.producer_id, header.producer_epoch) = (producer, 0);
            header.base_sequence = rows.sequence(producer, base_offset);
            header.last_offset_delta = count as i32 - 1;
            let verdict = self.log.reserve(&partition, &header, now_ms()).expect("it is known");
            assert_eq!(verdict, (Verdict::Duplicate(base_offset), base_offset));
        }
    }
}

/// A producer that was silent for a day is forgotten.
fn now_ms() -> i64 {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970");
    i64::try_from(since.as_millis()).expect("not so late")
}

fn partition(log: &Log, text: &str, index: usize) -> Arc<Partition> {
    log.topic(&name(text)).and_then(|topic| topic.partition(index as u32)).expect("it is there")
}

#[test]
fn random_schedules_with_power_cuts_recover_to_the_model() {
    play(SCHEDULES, |seed| {
        let mut world = World::new(seed);
        (0..STEPS).for_each(|_| world.step());
        world.crash();
        world.log.close();
    });
}
