//! Cleaning: segments are rewritten without what newer records of the same key replaced, or without what no view needs.
//!
//! Whole segments are read and written beside the old ones at a bounded pace, on a thread of its own, while everything else goes
//! on; only the swap excludes retirement for a moment. Offsets stay: what is left out leaves a gap, as Kafka's cleaner does.

mod judge;
mod keys;
mod needs;
mod offset_map;
mod pace;
mod rewrite;
mod transactions;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;

use super::Engine;
use super::disk::Hold;
use super::partition::Partition;
use super::retire::is_catalog;
use super::segment::{Rewriter, Segment, Segments};
use crate::log::record::Limits;
use crate::log::stats::{CleaningStats, Removal};
use crate::log::topic::Topic;
use judge::{ByTable, Judge};
use pace::Pace;
use rewrite::{Course, Outcome, rewrite};

/// So much of a table is read at a time, in bytes.
const READ_BYTES: usize = 1 << 20;

/// Segments of a table are not rewritten below this, in bytes.
const TABLE_FROM_BYTES: u64 = 1 << 20;
/// So many segments become one at most.
const GROUP_MAX: usize = 64;

/// How often, and how long each time, a rewrite waits for the right to replace files.
const HOLD_ATTEMPTS: u32 = 1_000;
const HOLD_PAUSE: Duration = Duration::from_millis(10);

/// What cleaning has cost, and what it was told to leave alone.
#[derive(Debug, Default)]
pub struct Cleaning {
    runs: AtomicU64,
    read_bytes: AtomicU64,
    written_bytes: AtomicU64,
    freed_bytes: AtomicU64,
    busy_us: AtomicU64,
    /// Partitions whose segments are damaged.
    damaged: Mutex<Vec<u32>>,
    /// Held while partitions are cleaned.
    running: Mutex<()>,
}

impl Cleaning {
    /// The counters as they stand.
    pub fn stats(&self) -> CleaningStats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CleaningStats {
            runs: load(&self.runs),
            read_bytes: load(&self.read_bytes),
            written_bytes: load(&self.written_bytes),
            freed_bytes: load(&self.freed_bytes),
            busy_us: load(&self.busy_us),
        }
    }
}

/// How a group of segments was dealt with.
enum Swapped {
    /// The new one is in its place; when the earliest of what waits for its horizon may go, in milliseconds.
    Done(Option<i64>),
    /// It was given up: the gateway ends, or the segments have changed.
    GivenUp,
}

impl Engine {
    /// Cleans every partition that is due for it, once.
    pub fn clean(&self) -> io::Result<()> {
        let _one_at_a_time = self.cleaning.running.lock();
        let mut pace = Pace::new(self.settings.cleaning_bytes_per_s, Instant::now());
        for number in self.stored() {
            if self.is_stopping() {
                break;
            }
            let Some((topic, partition)) = self.partition_of(number).filter(|(topic, _)| !topic.is_internal()) else { continue };
            if !self.cleaning.damaged.lock().contains(&number) {
                self.clean_partition(&topic, &partition, &mut pace)?;
            }
        }
        Ok(())
    }

    /// The partitions that have segments.
    fn stored(&self) -> Vec<u32> {
        let shared = Arc::clone(self.catalog.read().shared());
        let partition = |number| self.catalog.read().partition(number);
        shared.watched.in_segments(|number| {
            partition(number).is_some_and(|partition| partition.with(|state| !state.segments.list().is_empty()))
        })
    }

    fn clean_partition(&self, topic: &Topic, partition: &Arc<Partition>, pace: &mut Pace) -> io::Result<()> {
        let began = Instant::now();
        let cleaned = if topic.settings().cleanup.compacts() {
            self.clean_by_key(topic, partition, pace)
        } else {
            self.clean_by_need(topic, partition, pace)
        };
        match cleaned {
            Ok(true) => {
                self.cleaning.runs.fetch_add(1, Ordering::Relaxed);
                let busy_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
                self.cleaning.busy_us.fetch_add(busy_us, Ordering::Relaxed);
                Ok(())
            }
            Ok(false) => Ok(()),
            // Its files went with it.
            Err(error) if error.kind() == io::ErrorKind::NotFound && topic.is_deleted() => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                tracing::error!(topic = %topic.name(), partition = partition.index(), %error, "a damaged partition is not cleaned");
                self.cleaning.damaged.lock().push(partition.id());
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Makes sure that nothing is added to the segments that there are, and takes them.
    fn seal(&self, partition: &Partition) -> Segments {
        let _one_at_a_time = self.retiring.lock();
        partition.with(|state| {
            let mut segments = Segments::clone(&state.segments);
            segments.seal();
            partition.set_segments(state, segments.clone());
            segments
        })
    }

    /// Bytes were moved; false: the gateway ends.
    fn paced(&self, bytes: u64, pace: &mut Pace) -> bool {
        match pace.moved(bytes, Instant::now()) {
            Duration::ZERO => !self.is_stopping(),
            pause => !self.stops_within(pause),
        }
    }

    /// Rewrites neighbouring segments as one. `why` is what its missing records are counted as.
    fn rewrite_group(
        &self,
        partition: &Arc<Partition>,
        segments: &Segments,
        group: Vec<Segment>,
        judge: &mut dyn Judge,
        (why, horizon_ms): (Removal, i64),
        pace: &mut Pace,
    ) -> io::Result<Swapped> {
        let directory = segments.directory();
        let old_bytes: u64 = group.iter().map(|segment| segment.bytes).sum();
        let aborted = partition.with(|state| state.aborted_ending(Rewriter::range(&group)));
        let mut rewriter = Rewriter::new(segments, group, aborted);
        let mut moved = |bytes| self.paced(bytes, pace);
        let written = rewrite(&mut rewriter, directory, judge, &mut Course { horizon_ms, moved: &mut moved });
        let outcome = match written {
            Ok(Some(outcome)) => outcome,
            Ok(None) => {
                rewriter.abandon(directory);
                return Ok(Swapped::GivenUp);
            }
            Err(error) => {
                rewriter.abandon(directory);
                return Err(error);
            }
        };
        self.cleaning.read_bytes.fetch_add(old_bytes, Ordering::Relaxed);
        self.cleaning.written_bytes.fetch_add(outcome.written_bytes, Ordering::Relaxed);
        self.stats.segment_bytes.fetch_add(outcome.written_bytes, Ordering::Relaxed);
        if outcome.is_unchanged && rewriter.old().len() == 1 {
            rewriter.abandon(directory);
            return Ok(Swapped::Done(outcome.horizon_ms));
        }
        if !self.swap(partition, segments, &rewriter, &outcome)? {
            rewriter.abandon(directory);
            return Ok(Swapped::GivenUp);
        }
        self.removed.count(why, outcome.gone_records);
        self.cleaning.freed_bytes.fetch_add(old_bytes.saturating_sub(outcome.written_bytes), Ordering::Relaxed);
        Ok(Swapped::Done(outcome.horizon_ms))
    }

    /// Puts the new segment in the place of the old ones, on disk and for readers. False: they are not there any more.
    fn swap(&self, partition: &Arc<Partition>, segments: &Segments, rewriter: &Rewriter, outcome: &Outcome) -> io::Result<bool> {
        // Records of these went in an earlier pass. A reader that was told of one whose end is gone would wait for that end.
        let gone = rewriter.gone_aborted();
        if !gone.is_empty() {
            partition.with(|state| {
                if let Some(rare) = state.rare_mut() {
                    rare.transactions.forget_aborted(&gone);
                }
            });
            self.put_partitions(std::slice::from_ref(partition))?;
        }
        // What a view said it needs no more is on disk before it goes because of that.
        self.settle()?;
        let Some(_held) = self.wait_to_hold()? else { return Ok(false) };
        let _one_at_a_time = self.retiring.lock();
        let mut present = partition.with(|state| Segments::clone(&state.segments));
        if !segments.is_own() || !present.replace(rewriter.old(), outcome.segment.clone()) {
            return Ok(false);
        }
        rewriter.swap(segments.directory(), outcome.segment.as_ref())?;
        partition.with(|state| partition.set_segments(state, present));
        Ok(true)
    }

    /// The right to replace files, once nobody else has it. `None`: somebody copies files, or the gateway ends.
    fn wait_to_hold(&self) -> io::Result<Option<Hold>> {
        for _ in 0..HOLD_ATTEMPTS {
            if let Some(held) = self.hold()? {
                return Ok(Some(held));
            }
            if self.stops_within(HOLD_PAUSE) {
                break;
            }
        }
        Ok(None)
    }

    /// Rewrites the segments of a table when most of what they hold has been replaced. The caller retires a journal file, and
    /// publishes the segments.
    pub(super) fn clean_table(&self, partition: &Partition, segments: &mut Segments) -> io::Result<()> {
        let live = partition.with(|state| state.latest().map_or(0, HashMap::len)) as u64;
        if segments.bytes()
            < (TABLE_FROM_BYTES + live * 512).max(2 * partition.with(|state| state.rare().map_or(0, |rare| rare.table_bytes)))
        {
            return Ok(());
        }
        self.settle()?;
        segments.seal();
        let mut judge = match is_catalog(partition) {
            true => ByTable::of_catalog(partition, last_of_each_key(segments)?),
            false => ByTable::new(partition),
        };
        for group in groups(segments.list(), u64::MAX >> 1) {
            let mut rewriter = Rewriter::new(segments, group, Vec::new());
            let mut course = Course { horizon_ms: 0, moved: &mut |_| true };
            let directory = segments.directory().to_owned();
            let Some(outcome) = rewrite(&mut rewriter, &directory, &mut judge, &mut course)? else {
                rewriter.abandon(&directory);
                return Ok(());
            };
            self.stats.segment_bytes.fetch_add(outcome.written_bytes, Ordering::Relaxed);
            rewriter.swap(&directory, outcome.segment.as_ref())?;
            segments.replace(rewriter.old(), outcome.segment);
        }
        // A deletion need not be kept where nothing of its key is left in segments.
        partition.with(|state| {
            let rare = state.make_rare();
            rare.table_bytes = segments.bytes();
            if let Some(latest) = rare.latest.as_mut() {
                latest.retain(|key, latest| {
                    latest.set_stored(judge.held.contains(&key[..]));
                    latest.is_stored() || !latest.is_deleted()
                });
            }
        });
        Ok(())
    }
}

/// The offset of the last change of each key that a table's segments hold.
fn last_of_each_key(segments: &Segments) -> io::Result<HashMap<Bytes, u64>> {
    let mut last = HashMap::new();
    let mut from = 0;
    loop {
        let batches = segments.read(from, READ_BYTES)?;
        let Some(newest) = batches.last() else { return Ok(last) };
        from = newest.last_offset + 1;
        for batch in &batches {
            for found in batch.records(&Limits::STORED).map_err(io::Error::other)? {
                let (offset, record) = found.map_err(io::Error::other)?;
                last.insert(record.key.unwrap_or_default(), offset);
            }
        }
    }
}

/// Neighbours that become one segment each: as many as fit, but at least one.
fn groups(segments: &[Segment], bytes_max: u64) -> Vec<Vec<Segment>> {
    let mut groups: Vec<Vec<Segment>> = Vec::new();
    let mut bytes = 0;
    for segment in segments {
        bytes += segment.bytes;
        match groups.last_mut() {
            Some(group)
                if bytes <= bytes_max
                    && group.len() < GROUP_MAX
                    && group.first().is_some_and(|first| Rewriter::spans(first, segment)) =>
            {
                group.push(segment.clone());
            }
            _ => {
                bytes = segment.bytes;
                groups.push(vec![segment.clone()]);
            }
        }
    }
    groups
}
