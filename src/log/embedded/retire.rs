//! Retiring the oldest journal file: what is still needed of it moves to segments, in Kafka's layout, and the rest is gone.
//!
//! Also removes segments that retention lets go, and the files of deleted topics. Writers go on meanwhile.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use super::Engine;
use super::catalog::{partition_put, retired_put};
use super::disk::Hold;
use super::partition::{BatchRef, Latest, Partition, PartitionState};
use super::segment::{Segment, Segments};
use crate::log::lsn::Lsn;
use crate::log::record::{Limits, batch_of_one};
use crate::log::retention::Needs;
use crate::log::state::Change;
use crate::log::stored::StoredBatch;
use crate::log::topic::{Cleanup, Topic, TopicSettings};

/// So much is moved to segments between two waits for the disk, in bytes.
const MOVED_BYTES_AT_ONCE: usize = 16 << 20;
/// Segments of a table are not rewritten below this, in bytes.
const COMPACT_FROM_BYTES: u64 = 1 << 20;
/// So many partitions are written down in one step; others may write between two steps.
const PUTS_AT_ONCE: usize = 256;

/// What was let go, and what waits to be removed.
#[derive(Debug, Default)]
pub struct Removed {
    by_retention: AtomicU64,
    as_consumed: AtomicU64,
    /// Segments of deleted topics, and what must be durable before they go.
    segments: Mutex<Vec<(Lsn, Arc<Segments>)>>,
}

impl Removed {
    pub fn by_retention(&self) -> u64 {
        self.by_retention.load(Ordering::Relaxed)
    }

    pub fn as_consumed(&self) -> u64 {
        self.as_consumed.load(Ordering::Relaxed)
    }

    /// A topic is deleted by an entry that will be written at `end` or later.
    pub fn topic(&self, topic: &Topic, end: Lsn) {
        let mut waiting = self.segments.lock();
        for partition in topic.partitions() {
            let segments = partition.with(|state| Arc::clone(&state.segments));
            if !segments.list().is_empty() {
                waiting.push((Lsn(end.0 + 1), segments));
            }
        }
    }

    fn take_due(&self, synced: Lsn) -> Vec<Arc<Segments>> {
        let mut due = Vec::new();
        self.segments.lock().retain(|(lsn, segments)| {
            let stays = *lsn > synced;
            if !stays {
                due.push(Arc::clone(segments));
            }
            stays
        });
        due
    }
}

/// Which batches of a partition stay.
struct Policy {
    settings: TopicSettings,
    needs: Needs,
    log_start: u64,
    now_ms: i64,
}

enum Fate {
    Kept,
    Expired,
    Consumed,
}

impl Policy {
    /// The outcome of a transaction stays as long as anything before it may: readers of its records go by it.
    fn fate_of(&self, batch: &BatchRef) -> Fate {
        let to = batch.next_offset();
        let may_decide = match self.settings.cleanup {
            Cleanup::Consumed => to > self.needs.floor,
            Cleanup::Compact | Cleanup::Delete => true,
        };
        match batch.is_control && may_decide && to > self.log_start {
            true => Fate::Kept,
            false => self.fate(batch.base_offset, to, batch.max_timestamp_ms),
        }
    }

    fn fate(&self, from: u64, to: u64, max_timestamp_ms: i64) -> Fate {
        if self.needs.any(from, to) {
            return Fate::Kept;
        }
        if to <= self.log_start {
            return Fate::Expired;
        }
        match self.settings.cleanup {
            Cleanup::Consumed => Fate::Consumed,
            Cleanup::Compact => Fate::Kept,
            Cleanup::Delete => match self.settings.retention_ms {
                Some(age_ms) if max_timestamp_ms.saturating_add_unsigned(age_ms) < self.now_ms => Fate::Expired,
                _ => Fate::Kept,
            },
        }
    }
}

impl Engine {
    /// Retires journal files while there are too many, and lets retention have its way with segments.
    pub fn maintain(&self) -> io::Result<()> {
        if let Some(_held) = self.hold()? {
            while self.journal.live_bytes() > self.settings.journal_retain_bytes && self.retire_one()? {}
            self.apply_retention()?;
            for segments in self.removed.take_due(self.durable().synced()) {
                // A new topic of that name may have taken the directory over; its own files are found by their identity.
                segments.delete_own()?;
            }
        }
        self.journal.prepare_spare()
    }

    /// Keeps those who copy files from copying what is about to go; `None` while they do. Until they are done the journal grows.
    fn hold(&self) -> io::Result<Option<Hold>> {
        self.settings.disk.hold(&self.settings.directory)
    }

    /// Retires the oldest journal file, unless it is the only one or somebody copies files.
    pub fn retire_oldest(&self) -> io::Result<bool> {
        match self.hold()? {
            Some(_held) => self.retire_one(),
            None => Ok(false),
        }
    }

    fn retire_one(&self) -> io::Result<bool> {
        let _one_at_a_time = self.retiring.lock();
        let Some((file, before)) = self.journal.oldest() else { return Ok(false) };
        if self.durable().synced() < before {
            return Ok(false);
        }
        if let Some(keeper) = self.keeper.read().clone() {
            keeper.checkpoint(before);
        }
        let touched: Vec<_> = self
            .catalog
            .read()
            .partitions()
            .into_iter()
            .filter(|partition| partition.with(|state| state.refs.front().is_some_and(|first| first.position < before.0)))
            .collect();
        self.put_partitions(&touched)?;
        self.append_state(&[retired_put(before.0)]).map_err(io::Error::other)?;
        self.settle()?;
        self.move_to_segments(&touched, before)?;
        self.journal.retire(&file)?;
        self.stats.retired.fetch_add(1, Ordering::Relaxed);
        Ok(true)
    }

    /// Writes what cannot be read off the files of these partitions. What a unit that is under way has reserved is no part of
    /// it: a crash may take the unit back and leave this.
    fn put_partitions(&self, partitions: &[Arc<Partition>]) -> io::Result<()> {
        let now_ms = now_ms();
        for some in partitions.chunks(PUTS_AT_ONCE) {
            let _turn = self.turn();
            let present = |partition: &&Arc<Partition>| self.catalog.read().partition(partition.id()).is_some();
            let put = |partition: &Arc<Partition>| {
                partition.with(|state| state.producers.expire(now_ms));
                partition_put(partition)
            };
            let puts: Vec<_> = some.iter().filter(present).map(put).collect();
            self.append_state(&puts).map_err(io::Error::other)?;
        }
        Ok(())
    }

    /// Waits until everything that views and tables show by now is on disk, what a unit that is under way does included.
    fn settle(&self) -> io::Result<()> {
        drop(self.turn());
        self.wait_durable(self.journal.end())
    }

    fn wait_durable(&self, lsn: Lsn) -> io::Result<()> {
        self.durable().want_sync(lsn);
        while self.durable().synced() < lsn {
            if let Some(reason) = self.durable().failure() {
                return Err(io::Error::other(reason.to_string()));
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        Ok(())
    }

    /// Moves what is needed of these partitions out of the journal before a position.
    ///
    /// What is needed is decided by views that may be ahead of the disk: somebody has just taken a record, or replaced a
    /// key. A crash would take that back, so it must be on disk before anything is left out because of it.
    fn move_to_segments(&self, partitions: &[Arc<Partition>], before: Lsn) -> io::Result<()> {
        let mut decided = Vec::new();
        let mut bytes = 0;
        for partition in partitions {
            // Its topic may have been deleted meanwhile.
            let Some(topic) = self.topic(partition.topic_name()) else { continue };
            let kept = self.kept_batches(&topic, partition, before)?;
            bytes += kept.iter().map(StoredBatch::len).sum::<usize>();
            decided.push((topic, partition, kept));
            if bytes > MOVED_BYTES_AT_ONCE || decided.len() >= PUTS_AT_ONCE {
                self.write_segments(&mut decided, before)?;
                bytes = 0;
            }
        }
        self.write_segments(&mut decided, before)
    }

    fn kept_batches(&self, topic: &Topic, partition: &Partition, before: Lsn) -> io::Result<Vec<StoredBatch>> {
        let due: Vec<BatchRef> =
            partition.with(|state| state.refs.iter().take_while(|batch| batch.position < before.0).copied().collect());
        if topic.is_internal() { self.newest_changes(partition, &due) } else { self.needed_batches(topic, partition, &due) }
    }

    fn write_segments(&self, decided: &mut Vec<(Arc<Topic>, &Arc<Partition>, Vec<StoredBatch>)>, before: Lsn) -> io::Result<()> {
        self.settle()?;
        for (topic, partition, kept) in decided.drain(..) {
            let mut segments = partition.with(|state| Segments::clone(&state.segments));
            let until = kept.last().map_or(0, |last| last.last_offset + 1);
            let aborted = partition.with(|state| state.transactions.aborted_before(until));
            let written = segments.append(&kept, &aborted, self.settings.segment_bytes)?;
            self.stats.segment_bytes.fetch_add(written, Ordering::Relaxed);
            if topic.is_internal() {
                self.compact_table(partition, &mut segments)?;
            }
            partition.with(|state| {
                state.segments = Arc::new(segments);
                while state.refs.front().is_some_and(|batch| batch.position < before.0) {
                    state.refs.pop_front();
                }
                advance_log_start(state);
            });
        }
        Ok(())
    }

    fn policy(&self, topic: &Topic, partition: &Partition) -> Policy {
        let needs = match self.keeper.read().as_ref() {
            Some(keeper) => keeper.needs(partition),
            None => Needs::default(),
        };
        let log_start = partition.bounds().log_start;
        Policy { settings: topic.settings(), needs, log_start, now_ms: now_ms() }
    }

    fn needed_batches(&self, topic: &Topic, partition: &Partition, due: &[BatchRef]) -> io::Result<Vec<StoredBatch>> {
        let policy = self.policy(topic, partition);
        let stored_until = partition.with(|state| state.segments.next_offset());
        let mut kept = Vec::new();
        for batch in due.iter().filter(|batch| batch.base_offset >= stored_until) {
            match policy.fate_of(batch) {
                Fate::Kept => {
                    let bytes = self.journal.read(batch.position, batch.bytes as usize)?;
                    kept.push(StoredBatch::new(batch.base_offset, batch.span, bytes));
                }
                Fate::Expired => self.count_removed(&self.removed.by_retention, batch.span.into()),
                Fate::Consumed => self.count_removed(&self.removed.as_consumed, batch.span.into()),
            }
        }
        Ok(kept)
    }

    fn count_removed(&self, counter: &AtomicU64, records: u64) {
        counter.fetch_add(records, Ordering::Relaxed);
    }

    /// Of a table of state only the newest change of each key is kept, each as a batch of its own at its offset.
    fn newest_changes(&self, partition: &Partition, due: &[BatchRef]) -> io::Result<Vec<StoredBatch>> {
        let stored_until = partition.with(|state| state.segments.next_offset());
        let mut kept = Vec::new();
        for batch in due.iter().filter(|batch| batch.base_offset >= stored_until) {
            let bytes = self.journal.read(batch.position, batch.bytes as usize)?;
            let batch = StoredBatch::new(batch.base_offset, batch.span, bytes);
            for found in batch.records(&Limits::STORED).map_err(io::Error::other)? {
                let (offset, record) = found.map_err(io::Error::other)?;
                let is_newest = partition.with(|state| keep_change(state, &record.key.clone().unwrap_or_default(), offset));
                if is_newest {
                    kept.push(StoredBatch::new(offset, 1, batch_of_one(&record)));
                }
            }
        }
        Ok(kept)
    }

    /// Rewrites the segments of a table when most of what they hold has been replaced.
    fn compact_table(&self, partition: &Partition, segments: &mut Segments) -> io::Result<()> {
        let live = partition.with(|state| state.latest.as_ref().map_or(0, |latest| latest.len())) as u64;
        if segments.bytes() < COMPACT_FROM_BYTES + live * 512 {
            return Ok(());
        }
        let mut kept = Vec::new();
        for batch in segments.read(0, usize::MAX)? {
            for found in batch.records(&Limits::STORED).map_err(io::Error::other)? {
                let (offset, record) = found.map_err(io::Error::other)?;
                let (key, change) = Change::from_record(record.clone());
                let stays = partition.with(|state| {
                    let newest = state.latest.as_ref().and_then(|latest| latest.get(&key)).map(|latest| latest.offset);
                    newest == Some(offset) && change != Change::Delete
                });
                if stays {
                    kept.push(StoredBatch::new(offset, 1, batch_of_one(&record)));
                }
            }
        }
        let kept_bytes: u64 = kept.iter().map(|batch| batch.len() as u64).sum();
        if kept_bytes * 2 > segments.bytes() {
            return Ok(());
        }
        self.settle()?;
        let written = segments.replace(&kept, self.settings.segment_bytes)?;
        self.stats.segment_bytes.fetch_add(written, Ordering::Relaxed);
        // Nothing of a deleted key is left in segments, so its deletion need not be kept either.
        partition.with(|state| {
            if let Some(latest) = state.latest.as_mut() {
                latest.retain(|_, latest| !(latest.deleted && latest.stored));
            }
        });
        Ok(())
    }

    /// Removes whole segments that are too old, too many, or needed by no view.
    fn apply_retention(&self) -> io::Result<()> {
        for topic in self.topics().into_iter().filter(|topic| !topic.is_internal()) {
            for partition in topic.partitions() {
                if partition.with(|state| !state.segments.list().is_empty()) {
                    self.retain_partition(&topic, &partition)?;
                }
            }
        }
        Ok(())
    }

    fn retain_partition(&self, topic: &Topic, partition: &Arc<Partition>) -> io::Result<()> {
        let _one_at_a_time = self.retiring.lock();
        let policy = self.policy(topic, partition);
        let mut segments = partition.with(|state| Segments::clone(&state.segments));
        let mut excess = policy.settings.retention_bytes.map_or(0, |most| partition.bytes().saturating_sub(most));
        let mut consumed = 0;
        let removed = segments.remove_while(|segment| {
            let too_many = excess >= segment.bytes && policy.settings.cleanup == Cleanup::Delete;
            let fate = match policy.fate(segment.base_offset, segment.next_offset, segment.max_timestamp_ms) {
                Fate::Kept if too_many && !policy.needs.any(segment.base_offset, segment.next_offset) => Fate::Expired,
                fate => fate,
            };
            excess = excess.saturating_sub(segment.bytes);
            consumed += u64::from(matches!(fate, Fate::Consumed)) * (segment.next_offset - segment.base_offset);
            !matches!(fate, Fate::Kept)
        });
        if removed.is_empty() {
            return Ok(());
        }
        let gone: u64 = removed.iter().map(|segment| segment.next_offset - segment.base_offset).sum();
        self.count_removed(&self.removed.as_consumed, consumed);
        self.count_removed(&self.removed.by_retention, gone - consumed);
        partition.with(|state| {
            state.segments = Arc::new(segments);
            advance_log_start(state);
        });
        self.put_partitions(std::slice::from_ref(partition))?;
        // Also what the decision rests on.
        self.settle()?;
        removed.iter().try_for_each(Segment::delete)
    }
}

fn advance_log_start(state: &mut PartitionState) {
    let in_journal = state.refs.front().map(|batch| batch.base_offset);
    let first = state.segments.first_offset().or(in_journal).unwrap_or(state.end);
    state.log_start = state.log_start.max(first);
    state.broadcast.remove_below(state.log_start);
    state.transactions.log_starts_at(state.log_start);
    state.transactions.journal_from(in_journal.unwrap_or(state.end));
}

/// Whether a change is the newest of its key and must be kept, remembering that segments then hold the key.
fn keep_change(state: &mut PartitionState, key: &bytes::Bytes, offset: u64) -> bool {
    let Some(latest) = state.latest.as_mut() else { return false };
    match latest.get_mut(key) {
        Some(Latest { offset: newest, deleted, stored }) if *newest == offset => {
            if *deleted && !*stored {
                latest.remove(key);
                return false;
            }
            *stored = true;
            true
        }
        _ => false,
    }
}

pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
