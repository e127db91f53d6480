//! What a log must hold after a schedule, kept as naively as can be: every row that was ever written, and what may be gone of it.

use std::collections::BTreeMap;

use crate::log::record::Outcome;
use crate::log::{Aborted, Cleanup, SegmentSettings, TopicSettings};

/// What becomes of a topic's records.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// All stay.
    Kept,
    /// The newest of each key stays.
    Compacted,
    /// The oldest go where there are too many.
    Bounded,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum What {
    Value { key: u8, is_deletion: bool },
    Marker(Outcome),
}

/// What lies at an offset. Each has a stamp of its own, which is its time as well.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    pub stamp: u64,
    /// -1: no producer, and no transaction.
    pub producer: i64,
    /// The first offset of its batch.
    pub batch: u64,
    pub what: What,
}

/// A partition: all that was written to it, from offset 0 on.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    pub kind: Kind,
    pub log_start: u64,
    /// A view needs everything from here on.
    pub held_from: u64,
    pub rows: Vec<Row>,
}

#[derive(Clone, Debug, Default)]
pub struct Model {
    pub topics: BTreeMap<&'static str, Vec<Rows>>,
    pub table: BTreeMap<u32, u64>,
}

/// What is there of a partition.
#[derive(Debug)]
pub struct FoundRows {
    pub log_start: u64,
    pub end: u64,
    pub stable: u64,
    pub rows: BTreeMap<u64, Row>,
    pub aborted: Vec<Aborted>,
}

#[derive(Debug, Default)]
pub struct Found {
    pub topics: BTreeMap<&'static str, Vec<FoundRows>>,
    pub table: BTreeMap<u32, u64>,
}

impl Kind {
    pub fn settings(self) -> TopicSettings {
        let segments = SegmentSettings { file_delete_delay_ms: 0, ..SegmentSettings::default() };
        let settings = TopicSettings { retention_ms: None, segments, ..TopicSettings::default() };
        match self {
            Self::Kept => settings,
            Self::Bounded => TopicSettings { retention_bytes: Some(3_000), ..settings },
            Self::Compacted => {
                let segments = SegmentSettings { min_dirty_ppm: 1, delete_retention_ms: 0, ..settings.segments };
                TopicSettings { cleanup: Cleanup::Compact, segments, ..settings }
            }
        }
    }
}

/// Transactions in the order of the log.
struct Decisions {
    aborted: Vec<Aborted>,
    open: BTreeMap<i64, u64>,
    /// How the transaction of a row ended; none: it is in none, or that is open.
    of: BTreeMap<u64, Outcome>,
}

impl Rows {
    pub fn new(kind: Kind) -> Self {
        Self { kind, log_start: 0, held_from: u64::MAX, rows: Vec::new() }
    }

    /// A batch is placed at an offset.
    pub fn add(&mut self, base_offset: u64, written: &[Row]) {
        assert_eq!(base_offset, self.rows.len() as u64, "offsets are dense");
        self.rows.extend(written.iter().map(|row| Row { batch: base_offset, ..*row }));
    }

    fn offsets(&self) -> impl DoubleEndedIterator<Item = (u64, &Row)> + ExactSizeIterator {
        self.rows.iter().enumerate().map(|(offset, row)| (offset as u64, row))
    }

    fn decisions(&self) -> Decisions {
        let mut all = Decisions { aborted: Vec::new(), open: BTreeMap::new(), of: BTreeMap::new() };
        for (offset, row) in self.offsets().filter(|(_, row)| row.producer >= 0) {
            match row.what {
                What::Value { .. } => {
                    all.open.entry(row.producer).or_insert(offset);
                }
                What::Marker(outcome) => {
                    let Some(first_offset) = all.open.remove(&row.producer) else { continue };
                    let of_producer = self
                        .offsets()
                        .filter(|(at, other)| (first_offset..offset).contains(at) && other.producer == row.producer);
                    all.of.extend(of_producer.map(|(at, _)| (at, outcome)));
                    if outcome == Outcome::Abort {
                        let last_stable_offset = all.open.values().min().copied().unwrap_or(offset + 1);
                        let (producer_id, last_offset) = (row.producer, offset);
                        all.aborted.push(Aborted { producer_id, first_offset, last_offset, last_stable_offset });
                    }
                }
            }
        }
        all
    }

    /// Whether a producer has a transaction open here.
    pub fn is_open(&self, producer: i64) -> bool {
        self.decisions().open.contains_key(&producer)
    }

    /// How many records a producer has written: its next sequence number.
    pub fn sequence(&self, producer: i64, before: u64) -> i32 {
        let written =
            |(at, row): &(u64, &Row)| *at < before && row.producer == producer && matches!(row.what, What::Value { .. });
        i32::try_from(self.offsets().filter(written).count()).expect("few")
    }

    /// The newest batch of a producer: its first offset, and how many records it had.
    pub fn newest_batch(&self, producer: i64) -> Option<(u64, usize)> {
        let is_value = |(_, row): &(u64, &Row)| row.producer == producer && matches!(row.what, What::Value { .. });
        let batch = self.offsets().rev().find(is_value)?.1.batch;
        Some((batch, self.rows.iter().filter(|row| row.batch == batch).count()))
    }

    /// Whether what is there is what must be, and nothing is gone that must not be.
    pub fn check(&self, found: &FoundRows) -> Result<(), String> {
        let end = self.rows.len() as u64;
        if found.end != end {
            return Err(format!("it ends at {} and not at {end}", found.end));
        }
        let may_move = self.kind == Kind::Bounded && found.log_start <= self.log_start.max(self.held_from);
        if found.log_start < self.log_start || (found.log_start > self.log_start && !may_move) {
            return Err(format!("it begins at {} and not at {}", found.log_start, self.log_start));
        }
        let decisions = self.decisions();
        let stable = decisions.open.values().min().map_or(end, |first| (*first).max(found.log_start));
        if found.stable != stable {
            return Err(format!("it is stable up to {} and not to {stable}", found.stable));
        }
        for (offset, row) in self.offsets().filter(|(offset, _)| *offset >= found.log_start) {
            match found.rows.get(&offset) {
                Some(there) if there == row => {}
                Some(there) => return Err(format!("{there:?} is at {offset}, where {row:?} was written")),
                None => self.check_gone(offset, row, found, &decisions).map_err(|why| format!("{offset} is gone: {why}"))?,
            }
        }
        self.check_aborted(found, &decisions)
    }

    fn check_gone(&self, offset: u64, row: &Row, found: &FoundRows, decisions: &Decisions) -> Result<(), &'static str> {
        if self.kind != Kind::Compacted {
            return Err("nothing goes here");
        }
        let What::Value { key, is_deletion } = row.what else {
            let before = self.offsets().take(offset as usize).rev().filter(|(_, other)| other.producer == row.producer);
            let mut of_transaction = before.take_while(|(_, other)| matches!(other.what, What::Value { .. }));
            let is_needed = of_transaction.any(|(at, _)| found.rows.contains_key(&at));
            return if is_needed { Err("it says how to read what is there") } else { Ok(()) };
        };
        let outcome = decisions.of.get(&offset);
        if outcome == Some(&Outcome::Abort) {
            return Ok(());
        }
        if offset >= self.held_from {
            return Err("a view needs it");
        }
        if outcome.is_none() && row.producer >= 0 {
            return Err("its transaction is open");
        }
        let of_key = |(_, other): &(u64, &Row)| matches!(other.what, What::Value { key: other, .. } if other == key);
        let counts = |(at, other): &(u64, &Row)| other.producer < 0 || decisions.of.get(at) == Some(&Outcome::Commit);
        if self.offsets().skip(offset as usize + 1).filter(of_key).any(|row| counts(&row)) {
            return Ok(());
        }
        let mut older = self.offsets().take(offset as usize).filter(of_key).filter(counts);
        match is_deletion && !older.any(|(at, _)| found.rows.contains_key(&at)) {
            true => Ok(()),
            false => Err("nothing took its place"),
        }
    }

    fn check_aborted(&self, found: &FoundRows, decisions: &Decisions) -> Result<(), String> {
        let known = || decisions.aborted.iter().filter(|aborted| aborted.last_offset >= found.log_start);
        for aborted in &found.aborted {
            if !known().any(|known| known == aborted) || !found.rows.contains_key(&aborted.last_offset) {
                return Err(format!("{aborted:?} is told, of {:?}", decisions.aborted));
            }
        }
        // Nobody needs to be told of one of which nothing is left.
        let is_there = |known: &Aborted| {
            let mut rows = found.rows.range(known.first_offset..known.last_offset);
            rows.any(|(_, row)| row.producer == known.producer_id)
        };
        match known().find(|known| !found.aborted.contains(known) && is_there(known)) {
            Some(missing) => Err(format!("{missing:?} is not told, only {:?}", found.aborted)),
            None => Ok(()),
        }
    }
}

impl Model {
    pub fn check(&self, found: &Found) -> Result<(), String> {
        if self.table != found.table {
            return Err("the table is another".to_owned());
        }
        if !self.topics.keys().eq(found.topics.keys()) {
            return Err("the topics are others".to_owned());
        }
        for ((name, rows), found) in self.topics.iter().zip(found.topics.values()) {
            if rows.len() != found.len() {
                return Err(format!("{name} has {} partitions and not {}", found.len(), rows.len()));
            }
            for (index, (rows, found)) in rows.iter().zip(found).enumerate() {
                rows.check(found).map_err(|why| format!("{name}-{index}: {why}"))?;
            }
        }
        Ok(())
    }
}
