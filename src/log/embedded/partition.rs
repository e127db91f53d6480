//! One partition: its bounds, where each of its batches lies, who waits for more, and what it remembers of producers.
//!
//! Batches lie in the journal (newest) or in segments (what was needed when their journal file was retired). Offsets are
//! reserved before the entry is written, by one writer at a time; nothing is served before it is durable.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use smallvec::SmallVec;

use super::compacted::Compacted;
pub use super::refs::BatchRef;
use super::refs::Refs;
use super::segment::{OpenFiles, Segments};
use super::watched::Watched;
use crate::log::lsn::{Barrier, Durability, Durable, Signal};
use crate::log::name::TopicName;
use crate::log::pace::Pace;
use crate::log::producers::{ProducerSnapshot, Producers, SequenceError, Verdict};
use crate::log::record::{BatchHeader, Outcome};
use crate::log::runs::{OFFSET_MAX, RunSet};
use crate::log::topic::TopicId;
use crate::log::transactions::{Aborted, Transactions};
use crate::sync::Mutex;

/// The offsets between which a partition may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The first offset that is kept.
    pub log_start: u64,
    /// One past the last offset that no crash can take back: the high watermark.
    pub durable: u64,
    /// One past the last offset before which every transaction has its outcome: the last stable offset.
    pub stable: u64,
    /// The offset of the next record.
    pub end: u64,
}

/// The newest change of a key in a table of state: its offset and two flags, in eight bytes, because there is one for every name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latest(u64);

impl Latest {
    const DELETED: u64 = 1;
    const STORED: u64 = 2;

    /// The offset is below [`OFFSET_MAX`], as all of a log are.
    pub fn new(offset: u64, deleted: bool, stored: bool) -> Self {
        let offset = offset.min(OFFSET_MAX - 1);
        let mut latest = Self(offset << 2 | if deleted { Self::DELETED } else { 0 });
        latest.set_stored(stored);
        latest
    }

    pub fn offset(self) -> u64 {
        self.0 >> 2
    }

    pub fn is_deleted(self) -> bool {
        self.0 & Self::DELETED != 0
    }

    /// Whether segments hold something of this key, so that a delete must be kept too.
    pub fn is_stored(self) -> bool {
        self.0 & Self::STORED != 0
    }

    pub fn set_stored(&mut self, stored: bool) {
        self.0 = self.0 & !Self::STORED | if stored { Self::STORED } else { 0 };
    }
}

/// What all partitions of a log have in common.
#[derive(Debug)]
pub struct Shared {
    pub durable: Arc<Durable>,
    pub files: OpenFiles,
    pub watched: Watched,
    /// The segments of the many partitions that have none.
    nothing: Arc<Segments>,
}

impl Shared {
    pub fn new(durable: Arc<Durable>, files: OpenFiles) -> Arc<Self> {
        let nothing = Arc::new(Segments::empty(files.clone(), PathBuf::new(), TopicId(0)));
        Arc::new(Self { durable, files, watched: Watched::default(), nothing })
    }
}

/// A partition of a topic.
#[derive(Debug)]
pub struct Partition {
    id: u32,
    index: u32,
    topic: TopicName,
    shared: Arc<Shared>,
    /// A [`Durability`].
    durability: AtomicU8,
    state: Mutex<PartitionState>,
}

/// What changes in a partition.
#[derive(Debug)]
pub struct PartitionState {
    pub log_start: u64,
    pub end: u64,
    pub durable_end: u64,
    /// Ends of appends that were not durable when last looked at, oldest first.
    pub undurable: SmallVec<[(u64, Barrier); 1]>,
    pub refs: Refs,
    pub segments: Arc<Segments>,
    pub broadcast: RunSet,
    rare: Option<Box<Rare>>,
    /// It has been told that there are batches in the journal.
    is_in_journal: bool,
    /// Retention has been told that there is something new.
    is_changed: bool,
    /// When retention looks at it without being told, in milliseconds since 1970; `i64::MAX`: it does not.
    look_ms: i64,
    pace: Pace,
    waiters: Vec<(u64, Signal)>,
}

/// What is known of few partitions.
#[derive(Debug, Default)]
pub struct Rare {
    pub producers: Producers,
    pub transactions: Transactions,
    /// Of a table of state: the newest change of each key.
    pub latest: Option<HashMap<Box<[u8]>, Latest>>,
    pub compacted: Compacted,
    /// What the segments of a table took when they were last cleaned, in bytes.
    pub table_bytes: u64,
}

impl Partition {
    pub(crate) fn new(id: u32, index: u32, topic: TopicName, shared: Arc<Shared>, durability: Durability) -> Self {
        let state = Mutex::new(PartitionState::new(Arc::clone(&shared.nothing)));
        Self { id, index, topic, shared, durability: AtomicU8::new(durability as u8), state }
    }

    /// What must have happened to what is written to it before it is acknowledged.
    pub fn durability(&self) -> Durability {
        let number = self.durability.load(Ordering::Relaxed);
        let weaker = [Durability::Os, Durability::Interval];
        weaker.into_iter().find(|weaker| *weaker as u8 == number).unwrap_or_default()
    }

    pub(crate) fn set_durability(&self, durability: Durability) {
        self.durability.store(durability as u8, Ordering::Relaxed);
    }

    /// What must be passed before a record that was appended may be seen. A record whose entry is not appended yet waits for
    /// that entry, whose barrier nobody knows: `None`.
    pub(crate) fn barrier_of(&self, offset: u64) -> Option<Barrier> {
        let mut state = self.state.lock();
        state.settle(&self.shared.durable);
        // A record of a transaction waits for the outcome, too.
        let offset = state.rare().map_or(offset, |rare| rare.transactions.decided_by(offset));
        if offset < state.durable_end {
            return Some(Barrier::NONE);
        }
        state.undurable.iter().find(|(end, _)| *end > offset).map(|(_, barrier)| *barrier)
    }

    /// Its number in the catalog, unique over all topics and times.
    pub fn id(&self) -> u32 {
        self.id
    }

    pub(crate) fn id_ref(&self) -> &u32 {
        &self.id
    }

    /// Its index in its topic.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The topic it belongs to.
    pub fn topic_name(&self) -> &TopicName {
        &self.topic
    }

    /// The offsets between which it may be read.
    pub fn bounds(&self) -> Bounds {
        let mut state = self.state.lock();
        state.settle(&self.shared.durable);
        let (log_start, durable, end) = (state.log_start, state.durable_end, state.end);
        Bounds { log_start, durable, stable: state.stable(log_start, durable), end }
    }

    /// The size of what it keeps, in bytes: a record that was fanned out counts in each of its partitions.
    pub fn bytes(&self) -> u64 {
        let state = self.state.lock();
        state.refs.bytes() + state.segments.bytes()
    }

    /// Records a second that were written of late.
    pub fn written_per_s(&self, now_ms: i64) -> f64 {
        self.state.lock().pace.per_s(now_ms)
    }

    /// The time of the batch that holds a record, in milliseconds since 1970, if the journal still has it.
    pub fn recent_time_of(&self, offset: u64) -> Option<i64> {
        self.state.lock().refs.holding(offset).map(|batch| batch.max_timestamp_ms)
    }

    /// Notifies the signal once when a record beyond `offset` is durable; at once if there is one.
    ///
    /// A signal waits for one offset of a partition at a time; the newest call counts.
    pub fn wake_beyond(&self, offset: u64, signal: &Signal) {
        let due = {
            let mut state = self.state.lock();
            state.settle(&self.shared.durable);
            if state.durable_end > offset {
                Barrier::NONE
            } else if let Some((_, barrier)) = state.undurable.iter().find(|(end, _)| *end > offset) {
                *barrier
            } else {
                state.wait(offset, signal);
                return;
            }
        };
        self.shared.durable.wake_at(due, signal);
    }

    /// Takes the next `span` offsets. Only the one that is about to append may call this.
    pub(crate) fn reserve(&self, span: u32) -> u64 {
        let mut state = self.state.lock();
        let base = state.end;
        state.end += u64::from(span);
        base
    }

    /// What to do with a batch of a producer; if it is new, its offsets are reserved and the producer's state moves on.
    pub(crate) fn reserve_batch(&self, header: &BatchHeader, now_ms: i64) -> Result<(Verdict, u64), SequenceError> {
        let mut state = self.state.lock();
        match state.check(header)? {
            Verdict::Duplicate(offset) => Ok((Verdict::Duplicate(offset), offset)),
            Verdict::New => {
                let base = state.end;
                state.end += u64::from(header.last_offset_delta.unsigned_abs()) + 1;
                state.note_batch(header, base, now_ms);
                Ok((Verdict::New, base))
            }
        }
    }

    /// Takes the offset of a marker that ends a producer's transaction, and gives the records that it decides on.
    pub(crate) fn reserve_marker(&self, producer_id: i64, epoch: i16, outcome: Outcome, now_ms: i64) -> (u64, RunSet) {
        let mut state = self.state.lock();
        let offset = state.end;
        state.end += 1;
        let runs = state.note_marker(producer_id, epoch, outcome, offset, now_ms);
        (offset, runs)
    }

    /// A batch whose offsets were reserved has its place in the journal. `now_ms`: when, if it counts as written now.
    pub(crate) fn placed(&self, batch: BatchRef, barrier: Barrier, is_broadcast: bool, now_ms: Option<i64>) {
        let mut state = self.state.lock();
        let next = batch.next_offset();
        if let Some(now_ms) = now_ms {
            state.pace.add(batch.span, now_ms);
        }
        state.end = state.end.max(next);
        match state.undurable.last_mut() {
            Some((end, last)) if *last == barrier => *end = next,
            _ => state.undurable.push((next, barrier)),
        }
        if state.undurable.len() > 64 {
            state.settle(&self.shared.durable);
        }
        if is_broadcast {
            state.broadcast.insert_range(batch.base_offset..next);
        }
        state.refs.push_back(batch);
        if !std::mem::replace(&mut state.is_in_journal, true) {
            self.shared.watched.has_batches(self.id);
        }
        if !std::mem::replace(&mut state.is_changed, true) {
            self.shared.watched.changed(self.id);
        }
        for signal in state.due_waiters(next) {
            self.shared.durable.wake_at(barrier, &signal);
        }
    }

    /// Retention is to look at it, whatever it was told before.
    pub(crate) fn note_change(&self) {
        if !std::mem::replace(&mut self.state.lock().is_changed, true) {
            self.shared.watched.changed(self.id);
        }
    }

    /// Retention looks now: what changes from here on is another change.
    pub(crate) fn looked_at(&self, now_ms: i64) {
        let mut state = self.state.lock();
        state.is_changed = false;
        if state.look_ms <= now_ms {
            state.look_ms = i64::MAX;
        }
    }

    /// Retention is to look at it at a time, in milliseconds since 1970, if it does not earlier.
    pub(crate) fn look_at(&self, time_ms: i64) {
        let mut state = self.state.lock();
        if time_ms < state.look_ms {
            state.look_ms = time_ms;
            self.shared.watched.look_at(self.id, time_ms);
        }
    }

    /// Whether it has batches in the journal that begin before a position; none: it has none at all, and tells when it has again.
    pub(crate) fn has_batches_before(&self, position: u64) -> Option<bool> {
        let mut state = self.state.lock();
        let first = state.refs.front().map(|first| first.position < position);
        state.is_in_journal = first.is_some();
        first
    }

    /// Puts other segments in the place of those that it has.
    pub(crate) fn set_segments(&self, state: &mut PartitionState, segments: Segments) {
        if !segments.list().is_empty() {
            self.shared.watched.has_segments(self.id);
        }
        state.segments = Arc::new(segments);
    }

    /// Looks at or changes the state; must not read or write the journal meanwhile.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut PartitionState) -> T) -> T {
        look(&mut self.state.lock())
    }

    /// The producers that it remembers, by id.
    pub fn producers(&self) -> Vec<ProducerSnapshot> {
        let mut all: Vec<_> = self.state.lock().rare().map_or_else(Vec::new, |rare| rare.producers.snapshot().collect());
        all.sort_unstable_by_key(|producer| producer.id);
        all
    }

    /// The records of each transaction that has no outcome yet.
    pub fn open_transactions(&self) -> Vec<RunSet> {
        self.state.lock().rare().map_or_else(Vec::new, |rare| rare.producers.open().cloned().collect())
    }

    /// Offsets from `from` on that hold no record for anybody: outcomes of transactions, and what was aborted.
    pub fn void_from(&self, from: u64) -> RunSet {
        let state = self.state.lock();
        let mut void = RunSet::new();
        for run in state.rare().into_iter().flat_map(|rare| rare.transactions.void().runs_in(from..u64::MAX)) {
            void.insert_range(run);
        }
        void
    }

    /// The ranges of offsets that were written for listeners alone.
    pub fn broadcast(&self) -> RunSet {
        self.state.lock().broadcast.clone()
    }
}

#[cfg(test)]
impl Partition {
    /// One that has no files, for tests of who waits for it.
    pub(crate) fn without_files(topic: TopicName, durable: Arc<Durable>) -> Self {
        let files = super::segment::OpenFiles::new(super::disk::Disk::default(), 1);
        Self::new(0, 0, topic, Shared::new(durable, files), Durability::Fsync)
    }

    /// Appends an entry of one record that lies nowhere.
    pub(crate) fn place_empty(&self, barrier: Barrier) {
        let (base_offset, is_control) = (self.reserve(1), false);
        let batch = BatchRef { base_offset, position: 0, bytes: 0, span: 1, max_timestamp_ms: 0, is_control };
        self.placed(batch, barrier, false, None);
    }
}

impl PartitionState {
    fn new(segments: Arc<Segments>) -> Self {
        Self {
            log_start: 0,
            end: 0,
            durable_end: 0,
            undurable: SmallVec::new(),
            refs: Refs::default(),
            segments,
            broadcast: RunSet::default(),
            rare: None,
            is_in_journal: false,
            is_changed: false,
            look_ms: i64::MAX,
            pace: Pace::default(),
            waiters: Vec::new(),
        }
    }

    /// What is known of few partitions, if it is known of this one.
    pub fn rare(&self) -> Option<&Rare> {
        self.rare.as_deref()
    }

    /// The same to be changed.
    pub fn rare_mut(&mut self) -> Option<&mut Rare> {
        self.rare.as_deref_mut()
    }

    /// The same, from now on if not before.
    pub fn make_rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// How far it was compacted.
    pub fn compacted(&self) -> Compacted {
        self.rare().map_or_else(Compacted::default, |rare| rare.compacted)
    }

    /// Of a table of state: the newest change of each key.
    pub fn latest(&self) -> Option<&HashMap<Box<[u8]>, Latest>> {
        self.rare()?.latest.as_ref()
    }

    /// The same to be changed.
    pub fn latest_mut(&mut self) -> Option<&mut HashMap<Box<[u8]>, Latest>> {
        self.rare_mut()?.latest.as_mut()
    }

    /// Aborted transactions whose marker lies in a range.
    pub fn aborted_ending(&self, range: std::ops::Range<u64>) -> Vec<Aborted> {
        self.rare().map_or_else(Vec::new, |rare| rare.transactions.aborted_ending(range))
    }

    /// Aborted transactions of records in `from..to`.
    pub fn aborted_in(&self, from: u64, to: u64) -> Vec<Aborted> {
        self.rare().map_or_else(Vec::new, |rare| rare.transactions.aborted_in(from, to))
    }

    fn stable(&mut self, log_start: u64, durable: u64) -> u64 {
        self.rare_mut().map_or(durable, |rare| rare.transactions.stable(log_start, durable))
    }

    /// What to do with a batch that has this header.
    fn check(&self, header: &BatchHeader) -> Result<Verdict, SequenceError> {
        self.rare().map_or(Ok(Verdict::New), |rare| rare.producers.check(header))
    }

    /// A batch was placed at an offset: what it says of its producer.
    pub fn note_batch(&mut self, header: &BatchHeader, offset: u64, now_ms: i64) {
        if header.producer_id < 0 {
            return;
        }
        let rare = self.make_rare();
        if rare.producers.wrote(header, offset, now_ms) {
            rare.transactions.began(offset);
        }
    }

    /// A marker was placed at an offset. The records that it decides on.
    pub fn note_marker(&mut self, producer_id: i64, epoch: i16, outcome: Outcome, offset: u64, now_ms: i64) -> RunSet {
        let rare = self.make_rare();
        let runs = rare.producers.ended(producer_id, epoch, offset, now_ms);
        rare.transactions.ended(producer_id, &runs, offset, outcome);
        runs
    }

    /// Counts as durable what has become so.
    pub fn settle(&mut self, durable: &Durable) {
        let count = self.undurable.iter().take_while(|(_, barrier)| durable.is_durable(*barrier)).count();
        if let Some((end, _)) = self.undurable.drain(..count).next_back() {
            self.durable_end = end;
        }
        if self.undurable.is_empty() && self.undurable.spilled() {
            self.undurable = SmallVec::new();
        }
    }

    fn wait(&mut self, offset: u64, signal: &Signal) {
        self.waiters.retain(|(_, waiting)| Arc::strong_count(waiting) > 1 && !Arc::ptr_eq(waiting, signal));
        self.waiters.push((offset, Arc::clone(signal)));
    }

    fn due_waiters(&mut self, end: u64) -> Vec<Signal> {
        if self.waiters.is_empty() {
            return Vec::new();
        }
        let mut due = Vec::new();
        self.waiters.retain(|(offset, signal)| {
            let stays = *offset >= end;
            if !stays {
                due.push(Arc::clone(signal));
            }
            stays
        });
        due
    }

    /// The batches of the journal from the one that holds `from` on, at least one if there is any below `bound`, up to
    /// `bytes_max`. `None`: the journal begins behind `from`.
    pub fn journal_batches(&self, from: u64, bound: u64, bytes_max: usize) -> Option<Vec<BatchRef>> {
        if self.refs.front().is_none_or(|first| first.base_offset > from) {
            return None;
        }
        let first = self.refs.index_beyond(from);
        let mut found = Vec::new();
        let mut room = bytes_max;
        for batch in self.refs.range(first..).take_while(|batch| batch.base_offset < bound) {
            if batch.bytes as usize > room && !found.is_empty() {
                break;
            }
            room = room.saturating_sub(batch.bytes as usize);
            found.push(*batch);
        }
        Some(found)
    }

    /// Remembers the newest change of a key.
    pub fn note_latest(&mut self, key: &[u8], offset: u64, deleted: bool, stored: bool) {
        let latest = self.make_rare().latest.get_or_insert_default();
        match latest.get_mut(key) {
            Some(entry) => *entry = Latest::new(offset, deleted, stored || entry.is_stored()),
            None => {
                latest.insert(key.into(), Latest::new(offset, deleted, stored));
            }
        }
    }
}
