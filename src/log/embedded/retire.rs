//! Retiring the oldest journal file: what is still needed of it moves to segments, in Kafka's layout, and the rest is gone.
//!
//! Writers go on meanwhile.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::Engine;
use super::catalog::{partition_put, retired_put, table_name};
use super::disk::Hold;
use super::expire::{Stretch, advance_log_start};
use super::partition::{BatchRef, Partition, PartitionState};
use super::segment::Roll;
use crate::log::lsn::Lsn;
use crate::log::record::{Limits, Record, batch_of_one};
use crate::log::state::TOPICS;
use crate::log::stats::Removal;
use crate::log::stored::StoredBatch;
use crate::log::topic::{Topic, TopicSettings};

/// So much is moved to segments between two waits for the disk, in bytes.
const MOVED_BYTES_AT_ONCE: usize = 16 << 20;
/// So many batches are looked at while a partition's writers wait.
const REFS_AT_ONCE: usize = 1_024;
/// So many partitions are written down in one step; others may write between two steps.
const PUTS_AT_ONCE: usize = 256;

/// What becomes of a partition's batches in a journal file.
#[derive(Default)]
struct Decision {
    kept: Vec<StoredBatch>,
    /// Why others go, and how many records that is.
    gone: Vec<(Removal, u64)>,
}

impl Engine {
    /// Retires journal files while there are too many, and deletes files whose time has come.
    pub fn maintain(&self) -> io::Result<()> {
        if let Some(_held) = self.hold()? {
            while self.has_too_much_journal() && self.retire_one()? {}
            self.removed.delete_due(&self.settings.disk, self.durable().synced(), now_ms())?;
        }
        self.journal.prepare_spare()
    }

    pub(super) fn has_too_much_journal(&self) -> bool {
        self.journal.live_bytes() > self.settings.journal_retain_bytes
    }

    /// Keeps those who copy files from copying what is about to go; `None` while they do. Until they are done the journal grows.
    pub(super) fn hold(&self) -> io::Result<Option<Hold>> {
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
        let touched = self.partitions_before(before);
        self.put_partitions(&touched)?;
        self.append_state(&[retired_put(before.0)]).map_err(io::Error::other)?;
        self.settle()?;
        self.move_to_segments(&touched, before)?;
        // A start knows by the journal that a directory without a topic is of one that was deleted.
        self.removed.delete_due(&self.settings.disk, self.durable().synced(), now_ms())?;
        self.journal.retire(&file)?;
        self.stats.retired.fetch_add(1, Ordering::Relaxed);
        Ok(true)
    }

    /// The partitions with batches in the journal before a position, in no order.
    fn partitions_before(&self, before: Lsn) -> Vec<Arc<Partition>> {
        let catalog = self.catalog.read();
        let mut found = Vec::new();
        catalog.shared().watched.each_in_journal(|number| {
            let Some(partition) = catalog.partition(number) else { return false };
            let has_some = partition.has_batches_before(before.0);
            found.extend((has_some == Some(true)).then_some(partition));
            has_some.is_some()
        });
        found
    }

    /// Writes what cannot be read off the files of these partitions. What a unit that is under way has reserved is no part of
    /// it: a crash may take the unit back and leave this.
    pub(super) fn put_partitions(&self, partitions: &[Arc<Partition>]) -> io::Result<()> {
        let now_ms = now_ms();
        for some in partitions.chunks(PUTS_AT_ONCE) {
            let _turn = self.turn();
            let present = |partition: &&Arc<Partition>| self.catalog.read().partition(partition.id()).is_some();
            let put = |partition: &Arc<Partition>| {
                partition.with(|state| {
                    if let Some(rare) = state.rare_mut() {
                        rare.producers.expire(now_ms);
                    }
                });
                partition_put(partition)
            };
            let puts: Vec<_> = some.iter().filter(present).map(put).collect();
            self.append_state(&puts).map_err(io::Error::other)?;
        }
        Ok(())
    }

    /// Waits until everything that views and tables show by now is on disk, what a unit that is under way does included.
    pub(super) fn settle(&self) -> io::Result<()> {
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
            let decision = self.decide(&topic, partition, before)?;
            bytes += decision.kept.iter().map(StoredBatch::len).sum::<usize>();
            decided.push((topic, partition, decision));
            if bytes > MOVED_BYTES_AT_ONCE || decided.len() >= PUTS_AT_ONCE {
                self.write_segments(&mut decided, before)?;
                bytes = 0;
            }
        }
        self.write_segments(&mut decided, before)
    }

    fn decide(&self, topic: &Topic, partition: &Partition, before: Lsn) -> io::Result<Decision> {
        let due = due_batches(partition, before);
        if topic.is_internal() { self.newest_changes(partition, &due) } else { self.needed_batches(topic, partition, &due) }
    }

    fn write_segments(&self, decided: &mut Vec<(Arc<Topic>, &Arc<Partition>, Decision)>, before: Lsn) -> io::Result<()> {
        self.settle()?;
        for (topic, partition, Decision { kept, gone }) in decided.drain(..) {
            let mut segments = self.catalog.read().segments_of(&topic, partition);
            let range = kept.first().map_or(0, |first| first.base_offset)..kept.last().map_or(0, |last| last.last_offset + 1);
            let aborted = partition.with(|state| state.aborted_ending(range));
            let written = segments.append(&kept, &aborted, self.roll(&topic.settings()))?;
            self.stats.segment_bytes.fetch_add(written, Ordering::Relaxed);
            // Also where it fails half-way, what it has replaced is what is there.
            let cleaned = if topic.is_internal() { self.clean_table(partition, &mut segments) } else { Ok(()) };
            // Until they are forgotten there, readers find the same batches in the journal.
            partition.with(|state| {
                if !segments.list().is_empty() || !state.segments.list().is_empty() {
                    partition.set_segments(state, segments);
                }
            });
            forget_batches(partition, before);
            partition.with(|state| advance_log_start(state, !topic.settings().cleanup.compacts()));
            partition.note_change();
            // Not before: where it finds no room, it is decided again.
            gone.into_iter().for_each(|(why, records)| self.removed.count(why, records));
            cleaned?;
        }
        Ok(())
    }

    /// When a topic's partitions begin another segment.
    pub(super) fn roll(&self, settings: &TopicSettings) -> Roll {
        let segments = &settings.segments;
        Roll {
            bytes: segments.segment_bytes.unwrap_or(self.settings.segment_bytes),
            age_ms: Some(segments.segment_ms.unwrap_or(self.settings.segment_ms)),
        }
    }

    fn needed_batches(&self, topic: &Topic, partition: &Partition, due: &[BatchRef]) -> io::Result<Decision> {
        let policy = self.policy(topic, partition);
        let (stored_until, is_stored) = partition.with(|state| (state.segments.next_offset(), !state.segments.list().is_empty()));
        let Decision { mut kept, mut gone } = Decision::default();
        for batch in due.iter().filter(|batch| batch.base_offset >= stored_until) {
            let (from, to, max_timestamp_ms) = (batch.base_offset, batch.next_offset(), batch.max_timestamp_ms);
            let is_outcome = batch.is_control && (is_stored || !kept.is_empty());
            match policy.removal(Stretch { from, to, max_timestamp_ms, is_outcome }) {
                None => {
                    let bytes = self.journal.read(batch.position, batch.bytes as usize)?;
                    kept.push(StoredBatch::new(batch.base_offset, batch.span, bytes));
                }
                Some(why) => gone.push((why, u64::from(batch.span))),
            }
        }
        Ok(Decision { kept, gone })
    }

    /// Of a table of state only the newest change of each key is kept, each as a batch of its own at its offset.
    ///
    /// Of the catalog it is the newest of those that are due: until a newer one is read, the journal speaks of the topic as
    /// it was before, and its records would belong to nobody.
    fn newest_changes(&self, partition: &Partition, due: &[BatchRef]) -> io::Result<Decision> {
        let stored_until = partition.with(|state| state.segments.next_offset());
        let mut changes = Vec::new();
        // A crash in the middle of a retirement may have left the first changes of a batch in segments and not the rest.
        for batch in due.iter().filter(|batch| batch.next_offset() > stored_until) {
            let bytes = self.journal.read(batch.position, batch.bytes as usize)?;
            let batch = StoredBatch::new(batch.base_offset, batch.span, bytes);
            for found in batch.records(&Limits::STORED).map_err(io::Error::other)? {
                changes.push(found.map_err(io::Error::other)?);
            }
        }
        changes.retain(|(offset, _)| *offset >= stored_until);
        let last = is_catalog(partition).then(|| last_of_each(&changes));
        let stays = |(offset, record): &(u64, Record)| {
            let key = record.key.clone().unwrap_or_default();
            partition.with(|state| match &last {
                Some(last) => last.get(&key) == Some(offset) && keep_due(state, &key, *offset, record.value.is_none()),
                None => keep_change(state, &key, *offset),
            })
        };
        let kept = changes.iter().filter(|change| stays(change));
        let kept = kept.map(|(offset, record)| StoredBatch::new(*offset, 1, batch_of_one(record))).collect();
        Ok(Decision { kept, gone: Vec::new() })
    }
}

/// The batches of the journal before a position. Taken a few at a time, as the partition's writers wait meanwhile.
fn due_batches(partition: &Partition, before: Lsn) -> Vec<BatchRef> {
    let mut due: Vec<BatchRef> = Vec::new();
    loop {
        let known = due.len();
        partition.with(|state| {
            let from = due.last().map_or(0, |last| state.refs.index_beyond(last.next_offset()));
            let more = state.refs.range(from..).take(REFS_AT_ONCE).take_while(|batch| batch.position < before.0);
            due.extend(more.copied());
        });
        if due.len() < known + REFS_AT_ONCE {
            return due;
        }
    }
}

/// Takes the batches before a position out of what is known to lie in the journal, a few at a time.
fn forget_batches(partition: &Partition, before: Lsn) {
    let is_due = |state: &mut PartitionState| state.refs.front().is_some_and(|batch| batch.position < before.0);
    while partition.with(|state| {
        for _ in 0..REFS_AT_ONCE {
            if is_due(state) {
                state.refs.pop_front();
            }
        }
        is_due(state)
    }) {}
}

/// Whether a table is the one that says which topics there are.
pub fn is_catalog(partition: &Partition) -> bool {
    *partition.topic_name() == table_name(TOPICS)
}

/// The offset of the last change of each key.
fn last_of_each(changes: &[(u64, Record)]) -> HashMap<Bytes, u64> {
    changes.iter().map(|(offset, record)| (record.key.clone().unwrap_or_default(), *offset)).collect()
}

/// Whether a change that is the last of its key so far must be kept: a deletion need not where segments hold nothing of it.
fn keep_due(state: &mut PartitionState, key: &Bytes, offset: u64, is_deletion: bool) -> bool {
    let Some(latest) = state.latest_mut() else { return false };
    let Some(entry) = latest.get_mut(&key[..]) else { return false };
    if !is_deletion || entry.is_stored() {
        entry.set_stored(true);
        return true;
    }
    if entry.offset() == offset {
        latest.remove(&key[..]);
    }
    false
}

/// Whether a change is the newest of its key and must be kept, remembering that segments then hold the key.
fn keep_change(state: &mut PartitionState, key: &Bytes, offset: u64) -> bool {
    let Some(latest) = state.latest_mut() else { return false };
    match latest.get_mut(&key[..]) {
        Some(entry) if entry.offset() == offset => {
            if entry.is_deleted() && !entry.is_stored() {
                latest.remove(&key[..]);
                return false;
            }
            entry.set_stored(true);
            true
        }
        _ => false,
    }
}

pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
