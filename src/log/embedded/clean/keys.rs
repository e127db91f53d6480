//! Compaction: of each key the newest record stays. What came since the last time is read into a map of keys; then everything
//! up to there is rewritten.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::judge::ByKey;
use super::offset_map::OffsetMap;
use super::pace::Pace;
use super::transactions::Transactions;
use super::{Swapped, groups};
use crate::log::embedded::Engine;
use crate::log::embedded::compacted::{Compacted, Held};
use crate::log::embedded::partition::Partition;
use crate::log::embedded::retire::now_ms;
use crate::log::embedded::segment::{Segment, Segments};
use crate::log::record::{Limits, each_record};
use crate::log::stats::Removal;
use crate::log::topic::{SegmentSettings, Topic};

const MILLION: u64 = 1_000_000;

/// What there is to compact.
#[derive(Debug, PartialEq, Eq)]
struct Dirt {
    clean_bytes: u64,
    dirty_bytes: u64,
    /// The first offset that is too young.
    until: u64,
    /// The oldest timestamp of a segment that was not compacted, in milliseconds.
    oldest_ms: Option<i64>,
}

impl Dirt {
    fn of(segments: &[Segment], compacted_to: u64, settings: &SegmentSettings, now_ms: i64) -> Self {
        let young_from_ms = now_ms.saturating_sub_unsigned(settings.min_compaction_lag_ms);
        let has_lag = settings.min_compaction_lag_ms > 0;
        let mut dirt = Self { clean_bytes: 0, dirty_bytes: 0, until: 0, oldest_ms: None };
        for segment in segments {
            if has_lag && segment.next_offset > compacted_to && segment.max_timestamp_ms() > young_from_ms {
                break;
            }
            dirt.until = segment.next_offset;
            if segment.next_offset <= compacted_to {
                dirt.clean_bytes += segment.bytes;
            } else {
                dirt.dirty_bytes += segment.bytes;
                dirt.oldest_ms = dirt.oldest_ms.into_iter().chain(segment.first_timestamp_ms).min();
            }
        }
        dirt
    }

    fn is_due(&self, compacted: Compacted, settings: &SegmentSettings, now_ms: i64) -> bool {
        let total = self.clean_bytes + self.dirty_bytes;
        let is_dirty = self.dirty_bytes > 0
            && self.dirty_bytes.saturating_mul(MILLION) >= total.saturating_mul(settings.min_dirty_ppm.into());
        let is_late = settings
            .max_compaction_lag_ms
            .zip(self.oldest_ms)
            .is_some_and(|(most, oldest_ms)| self.dirty_bytes > 0 && oldest_ms.saturating_add_unsigned(most) < now_ms);
        let may_forget = total > 0 && compacted.horizon_ms.is_some_and(|horizon_ms| horizon_ms <= now_ms);
        is_dirty || is_late || may_forget
    }
}

impl Engine {
    /// Compacts a partition if enough of it is dirty. True: something was done.
    pub(super) fn clean_by_key(&self, topic: &Topic, partition: &Arc<Partition>, pace: &mut Pace) -> io::Result<bool> {
        let settings = topic.settings().segments;
        let (compacted, present) = partition.with(|state| (state.compacted(), Arc::clone(&state.segments)));
        let now_ms = now_ms();
        // From what was let go of on, everything is dirty again.
        let let_go = compacted.held.filter(|held| held.is_let_go(&self.policy(topic, partition).needs));
        let from = let_go.map_or(compacted.to, |held| held.from.min(compacted.to));
        let dirt = Dirt::of(present.list(), from, &settings, now_ms);
        if !dirt.is_due(compacted, &settings, now_ms) {
            return Ok(false);
        }
        let segments = self.seal(partition);
        let policy = self.policy(topic, partition);
        let transactions = Transactions::read(segments.list(), from)?;
        let bound = dirt.until.min(transactions.first_open().unwrap_or(u64::MAX)).min(partition.bounds().stable);
        let mut newest = OffsetMap::new(self.settings.compaction_memory_bytes);
        let Some(until) = self.gather(&segments, from..bound, &transactions, &mut newest, pace)? else {
            return Ok(false);
        };
        let due: Vec<Segment> = segments.list().iter().filter(|segment| segment.base_offset < until).cloned().collect();
        let horizon_ms = now_ms.saturating_add_unsigned(settings.delete_retention_ms);
        let (needs, left) = (&policy.needs, HashMap::new());
        let mut judge = ByKey { newest: &newest, until, needs, transactions: &transactions, now_ms, left, held: None };
        let mut next_horizon_ms = None;
        for group in groups(&due, self.roll(&topic.settings()).bytes) {
            let how = (Removal::Compacted, horizon_ms);
            match self.rewrite_group(partition, &segments, group, &mut judge, how, pace)? {
                Swapped::Done(horizon) => next_horizon_ms = horizon.into_iter().chain(next_horizon_ms).min(),
                Swapped::GivenUp => return Ok(false),
            }
        }
        let known = compacted.held.filter(|_| let_go.is_none()).map(|held| held.from..held.to);
        let spanned = judge.held.into_iter().chain(known).reduce(|one, other| one.start.min(other.start)..one.end.max(other.end));
        let held = spanned.map(|Range { start, end }| Held { from: start, to: end, needed: needs.count(start, end) });
        let compacted = Compacted { to: until.max(from), horizon_ms: next_horizon_ms, held };
        partition.with(|state| state.make_rare().compacted = compacted);
        self.put_partitions(std::slice::from_ref(partition))?;
        Ok(true)
    }

    /// Reads the keys of a range into the map, and tells how far it went; `None`: the gateway ends.
    fn gather(
        &self,
        segments: &Segments,
        range: Range<u64>,
        transactions: &Transactions,
        newest: &mut OffsetMap,
        pace: &mut Pace,
    ) -> io::Result<Option<u64>> {
        let mut full_at = None;
        let mut is_stopped = false;
        for segment in segments.list().iter().filter(|segment| segment.next_offset > range.start) {
            segment.each_batch(range.start, |batch| {
                if batch.base_offset >= range.end || full_at.is_some() {
                    return Ok(false);
                }
                is_stopped = !self.paced(batch.len() as u64, pace);
                self.cleaning.read_bytes.fetch_add(batch.len() as u64, std::sync::atomic::Ordering::Relaxed);
                let header = batch.header().map_err(io::Error::other)?;
                if header.is_control() || transactions.is_aborted(&header, batch.base_offset) {
                    return Ok(!is_stopped);
                }
                each_record(batch.body(), batch.base_offset, &Limits::STORED, |offset, record| {
                    let is_due = range.contains(&offset);
                    match record.key.filter(|_| is_due) {
                        Some(key) if !newest.put(key, offset) => {
                            full_at = Some(offset);
                            false
                        }
                        _ => true,
                    }
                })
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                Ok(!is_stopped)
            })?;
            if is_stopped {
                return Ok(None);
            }
        }
        Ok(Some(full_at.unwrap_or(range.end)))
    }
}
