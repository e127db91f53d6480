//! A log with one topic for the tests of segments, and disks that misbehave.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use smallvec::smallvec;

use super::disk::{Disk, File, FileSystem, Name, Open, Space};
use crate::log::record::{BatchBuilder, BatchHeader, Compression, Outcome, Record, batch_of_one, marker_batch, sealed_for_tests};
use crate::log::*;

/// Key, value; none is a deletion.
pub type Written = (u8, Option<String>);

pub struct Place {
    pub log: Log,
    pub partition: Arc<Partition>,
}

pub fn settings(directory: &Path, disk: Disk) -> LogSettings {
    let directory = directory.to_owned();
    LogSettings { directory, disk, journal_file_bytes: 8 << 10, segment_bytes: 2_000, ..simulation::at_rest() }
}

pub fn name() -> TopicName {
    TopicName::new("orders").expect("a legal name")
}

pub fn compacted() -> TopicSettings {
    let segments =
        SegmentSettings { min_dirty_ppm: 1, delete_retention_ms: 0, file_delete_delay_ms: 0, ..SegmentSettings::default() };
    TopicSettings { cleanup: Cleanup::Compact, retention_ms: None, segments, ..TopicSettings::default() }
}

impl Place {
    pub fn open(settings: LogSettings, topic: &TopicSettings) -> Self {
        let log = Log::open(settings).expect("the log opens");
        let topic = log.topic(&name()).unwrap_or_else(|| {
            let (made, record) = log.create_topic(&name(), 1, topic.clone()).expect("a new topic");
            let mut entry = Entry::default();
            entry.add_state(&[record], |table| log.open_table(table).ok(), 0);
            log.append(&entry).expect("it is taken");
            made
        });
        let partition = topic.partition(0).expect("a partition");
        log.set_keeper(Arc::new(Held(Mutex::new(Needs::nothing()))));
        Self { log, partition }
    }

    pub fn append(&self, records: &[Written], compression: Compression, timestamp_ms: i64) {
        let mut batch = BatchBuilder::new();
        for (key, value) in records {
            batch.push(&Record {
                key: Some(Bytes::from(vec![*key])),
                value: value.clone().map(Bytes::from),
                headers: Vec::new(),
                timestamp_ms,
            });
        }
        let span = u32::try_from(records.len()).expect("a few");
        self.append_batch(batch.finish_compressed(compression).expect("it compresses"), span, timestamp_ms);
    }

    pub fn append_batch(&self, batch: Bytes, span: u32, max_timestamp_ms: i64) {
        let base_offset = self.partition.reserve(span);
        self.place(batch, base_offset, span, max_timestamp_ms);
    }

    /// Writes a record as a part of a producer's transaction.
    pub fn append_in_transaction(&self, producer_id: i64, sequence: i32, (key, value): (u8, &str)) {
        let record = Record {
            key: Some(Bytes::from(vec![key])),
            value: Some(Bytes::copy_from_slice(value.as_bytes())),
            headers: Vec::new(),
            timestamp_ms: 7,
        };
        let bytes = batch_of_one(&record);
        let mut header = BatchHeader::parse(&bytes).expect("a batch");
        header.attributes |= 0x10;
        (header.producer_id, header.producer_epoch, header.base_sequence) = (producer_id, 0, sequence);
        let batch = sealed_for_tests(&bytes, header);
        let (_, base_offset) = self.log.reserve(&self.partition, &header, 7).expect("in order");
        self.place(batch, base_offset, 1, 7);
    }

    /// Ends a producer's transaction.
    pub fn end_transaction(&self, producer_id: i64, outcome: Outcome) {
        let (base_offset, _) = self.log.reserve_marker(&self.partition, producer_id, 0, outcome, 7);
        self.place(marker_batch(producer_id, 0, outcome, 7), base_offset, 1, 7);
    }

    pub fn place(&self, batch: Bytes, base_offset: u64, span: u32, max_timestamp_ms: i64) {
        let mut entry = Entry::default();
        let targets = smallvec![Placement { partition: Arc::clone(&self.partition), base_offset }];
        entry.add(Write { targets, span, batch, max_timestamp_ms, is_broadcast: false });
        let barrier = self.log.append(&entry).expect("it is taken");
        // What is written together lies in one file.
        while !self.log.is_durable(barrier) && self.log.poisoned().is_none() {
            std::thread::yield_now();
        }
    }

    /// Moves all that was written to segments: the journal's one file is not retired while it is the newest.
    pub fn retire_all(&self) {
        let end = self.partition.bounds().end;
        let filler = TopicName::new("filler").expect("a legal name");
        let topic = self.log.topic(&filler).unwrap_or_else(|| {
            let settings = TopicSettings::consumed("test", true, 4 << 20);
            let (made, record) = self.log.create_topic(&filler, 1, settings).expect("a new topic");
            let mut entry = Entry::default();
            entry.add_state(&[record], |table| self.log.open_table(table).ok(), 0);
            self.log.append(&entry).expect("it is taken");
            made
        });
        let other = Self { log: self.log.clone(), partition: topic.partition(0).expect("a partition") };
        for _ in 0..2 {
            other.append(&[(0, Some("x".repeat(8 << 10)))], Compression::None, 0);
        }
        while self.partition.with(|state| state.refs.front().is_some_and(|first| first.base_offset < end)) {
            self.log.retire_oldest().expect("it retires");
        }
    }

    pub fn hold(&self, needs: Needs) {
        self.log.set_keeper(Arc::new(Held(Mutex::new(needs))));
    }

    /// Everything that a reader finds, by offset.
    pub fn read(&self) -> BTreeMap<u64, Written> {
        let mut found = BTreeMap::new();
        let mut from = self.partition.bounds().log_start;
        while from < self.partition.bounds().durable {
            let batches = self.log.read(&self.partition, from, 700, Bound::Durable).expect("it is kept");
            let Some(last) = batches.last() else { break };
            from = last.last_offset + 1;
            for batch in &batches {
                for record in batch.records(&record::Limits::STORED).expect("a batch") {
                    let (offset, record) = record.expect("a record");
                    let value = record.value.map(|value| String::from_utf8_lossy(&value).into_owned());
                    found.insert(offset, (record.key.map_or(0, |key| key[0]), value));
                }
            }
        }
        found
    }

    pub fn segment_bytes(&self) -> u64 {
        self.partition.with(|state| state.segments.bytes())
    }
}

struct Held(Mutex<Needs>);

impl Keeper for Held {
    fn checkpoint(&self, _before: Lsn) {}

    fn needs(&self, _partition: &Partition, _holders: Holders) -> Needs {
        self.0.lock().clone()
    }
}

/// A disk on which nothing changes any more after so many changes: what a crash at that moment leaves.
#[derive(Debug, Clone)]
pub struct Stops {
    pub disk: Disk,
    pub left: Arc<AtomicI64>,
}

impl Stops {
    fn change(&self) -> io::Result<()> {
        let is_over = self.left.fetch_sub(1, Ordering::Relaxed) <= 0;
        if is_over { Err(io::Error::other("the power is off")) } else { Ok(()) }
    }
}

impl FileSystem for Stops {
    fn open(&self, path: &Path, how: Open) -> io::Result<File> {
        if how != Open::Read {
            self.change()?;
        }
        self.disk.open(path, how)
    }
    fn names(&self, directory: &Path) -> io::Result<Vec<Name>> {
        self.disk.names(directory)
    }
    fn exists(&self, path: &Path) -> bool {
        self.disk.exists(path)
    }
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.change()?;
        self.disk.create_directory(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change()?;
        self.disk.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.change()?;
        self.disk.remove_file(path)
    }
    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.change()?;
        self.disk.remove_directory(path)
    }
    fn space(&self, directory: &Path) -> io::Result<Space> {
        self.disk.space(directory)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.change()?;
        self.disk.sync_directory(path)
    }
}
