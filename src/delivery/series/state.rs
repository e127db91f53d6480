//! What is in a series, and where.
//!
//! Offsets and stamps rise together, so a stamp is found by halving the offsets. What was written with a stamp carries it; for records
//! that came without one, stamps are kept as runs: neighbours in offset and number are one run, however many.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;

use super::cohort::Cohort;
use super::stamp::Stamp;
use crate::log::runs::RunSet;

/// Records without a stamp of their own that come within this time of each other share one, in milliseconds.
const RUN_MS_MAX: u64 = 1000;

/// Neighbouring records that got their stamps from the series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Given {
    pub count: u64,
    pub first: Stamp,
}

/// Neighbouring records of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Their offsets.
    pub offsets: Range<u64>,
    /// The stamp of the first, from which on they count up; none: each carries its own.
    pub given: Option<Stamp>,
}

/// How a series is shortened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trim {
    /// To this many records.
    Length(u64),
    /// To the records that are not before this.
    From(Stamp),
}

/// All that is known of one series.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SeriesState {
    /// Where it begins in the log.
    pub(super) origin: u64,
    /// Everything below is gone.
    pub(super) floor: u64,
    pub(super) end: u64,
    /// Above the floor, and no record of the series any more, or never one.
    pub(super) gone: RunSet,
    pub(super) given: BTreeMap<u64, Given>,
    pub(super) last: Stamp,
    pub(super) added: u64,
    pub(super) last_removed: Stamp,
    pub(super) cohorts: BTreeMap<Bytes, Cohort>,
}

impl SeriesState {
    /// An empty series that begins at an offset.
    pub fn new(origin: u64) -> Self {
        Self { origin, floor: origin, end: origin, ..Self::default() }
    }

    /// How many records it has.
    pub fn len(&self) -> u64 {
        self.end - self.floor - self.gone.len()
    }

    /// True without records.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The stamp that the newest record has, or had.
    pub fn last(&self) -> Stamp {
        self.last
    }

    /// How many records were ever added.
    pub fn added(&self) -> u64 {
        self.added
    }

    /// The highest stamp that was removed on its own.
    pub fn last_removed(&self) -> Stamp {
        self.last_removed
    }

    /// Everything below is gone.
    pub fn floor(&self) -> u64 {
        self.floor
    }

    /// The offset after the last record known.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The lowest offset that is needed, and what is not needed above it.
    pub fn needed(&self) -> (u64, RunSet) {
        (self.first_offset().unwrap_or(self.end), self.gone.clone())
    }

    /// The offset of the first record.
    pub fn first_offset(&self) -> Option<u64> {
        let first = self.gone.next_absent(self.floor);
        (first < self.end).then_some(first)
    }

    /// The offset of the last record.
    pub fn last_offset(&self) -> Option<u64> {
        self.gone.prev_absent(self.end).filter(|last| *last >= self.floor)
    }

    /// Whether an offset is a record of the series.
    pub fn contains(&self, offset: u64) -> bool {
        (self.floor..self.end).contains(&offset) && !self.gone.contains(offset)
    }

    /// The stamp that the series gave to a record; none: it carries its own, if any.
    pub fn given(&self, offset: u64) -> Option<Stamp> {
        let (first, run) = self.given.range(..=offset).next_back()?;
        (offset - first < run.count).then(|| run.first.plus(offset - first))
    }

    /// The stamp for a record that comes without one, now.
    pub fn next_given(&self, offset: u64, now_ms: u64) -> Option<Stamp> {
        let newest = self.given.last_key_value().filter(|(first, run)| **first + run.count == offset);
        let joins = newest.is_some_and(|(_, run)| {
            run.first.plus(run.count - 1) == self.last && now_ms.saturating_sub(self.last.ms) < RUN_MS_MAX
        });
        if joins || now_ms <= self.last.ms { self.last.next() } else { Some(Stamp { ms: now_ms, seq: 0 }) }
    }

    /// The first record at or behind a stamp, as an offset; the end if there is none. `stamp_of` reads a record's stamp.
    pub fn seek(&self, stamp: Stamp, mut stamp_of: impl FnMut(u64) -> Option<Stamp>) -> u64 {
        if stamp > self.last {
            return self.end;
        }
        let mut is_before = |offset: u64| self.given(offset).or_else(|| stamp_of(offset)).is_some_and(|found| found < stamp);
        let (mut low, mut high) = (self.floor, self.end);
        // From the end, with growing strides: most who ask are near it.
        let mut stride = 1;
        while let Some(at) = high.checked_sub(stride).filter(|at| *at > low) {
            let live = self.gone.next_absent(at);
            if live < high && is_before(live) {
                low = live + 1;
                break;
            }
            high = at;
            stride *= 2;
        }
        while low < high {
            let middle = low + (high - low) / 2;
            let live = self.gone.next_absent(middle);
            if live < high && is_before(live) {
                low = live + 1;
            } else {
                high = middle;
            }
        }
        self.gone.next_absent(low).min(self.end)
    }

    /// The records in a range of offsets as spans, at most `count_max`, from the highest down if `backwards`.
    pub fn spans(&self, range: Range<u64>, count_max: u64, backwards: bool) -> Vec<Span> {
        let range = range.start.max(self.floor)..range.end.min(self.end);
        let mut spans = Vec::new();
        let mut left = count_max;
        let stretches = |range: Range<u64>| self.gone.gaps_in(range).collect::<Vec<_>>();
        let mut live = if range.is_empty() { Vec::new() } else { stretches(range) };
        if backwards {
            live.reverse();
        }
        for stretch in live {
            if left == 0 {
                break;
            }
            let used = left.min(stretch.end - stretch.start);
            left -= used;
            let part = if backwards { stretch.end - used..stretch.end } else { stretch.start..stretch.start + used };
            let mut pieces = self.by_kind(part);
            if backwards {
                pieces.reverse();
            }
            spans.append(&mut pieces);
        }
        spans
    }

    /// Cuts a stretch where records with stamps of their own and given ones meet.
    fn by_kind(&self, stretch: Range<u64>) -> Vec<Span> {
        let mut spans = Vec::new();
        let mut at = stretch.start;
        while at < stretch.end {
            let given = self.given(at);
            let next = match given {
                Some(_) => self.given.range(..=at).next_back().map_or(stretch.end, |(first, run)| first + run.count),
                None => self.given.range(at..).next().map_or(stretch.end, |(first, _)| *first),
            };
            let end = next.clamp(at + 1, stretch.end);
            spans.push(Span { offsets: at..end, given });
            at = end;
        }
        spans
    }

    /// The new floor, so that at most `keep` records are left.
    pub fn floor_for_length(&self, keep: u64) -> u64 {
        let mut excess = self.len().saturating_sub(keep);
        for stretch in self.gone.gaps_in(self.floor..self.end) {
            if excess == 0 {
                return stretch.start;
            }
            let length = stretch.end - stretch.start;
            if length > excess {
                return stretch.start + excess;
            }
            excess -= length;
        }
        self.end
    }

    /// The new floor if whole nodes of `node` records, as they were added, are left out up to `upto`, and at most `limit` records if it
    /// is not 0.
    pub fn floor_by_nodes(&self, upto: u64, node: u64, limit: u64) -> u64 {
        if upto <= self.floor {
            return self.floor;
        }
        // No further than to where the record stands that would be one too many.
        let mut left = if limit == 0 { u64::MAX } else { limit };
        let mut reach = self.end;
        for stretch in self.gone.gaps_in(self.floor..self.end) {
            let length = stretch.end - stretch.start;
            if length > left {
                reach = stretch.start + left;
                break;
            }
            left -= length;
        }
        let last = upto.min(reach);
        if last == self.end {
            return self.end;
        }
        let node = node.max(1);
        (self.origin + (last - self.origin) / node * node).max(self.floor)
    }

    /// How many records lie below an offset.
    pub fn count_below(&self, offset: u64) -> u64 {
        let range = self.floor..offset.clamp(self.floor, self.end);
        self.gone.gaps_in(range).map(|gap| gap.end - gap.start).sum()
    }

    /// A named view.
    pub fn cohort(&self, name: &[u8]) -> Option<&Cohort> {
        self.cohorts.get(name)
    }

    /// All named views, by name.
    pub fn cohorts(&self) -> impl ExactSizeIterator<Item = (&Bytes, &Cohort)> {
        self.cohorts.iter()
    }

    /// The log no longer holds what is below.
    pub fn advance_log_start(&mut self, to: u64) {
        self.trim(to.min(self.end));
        if to > self.end {
            (self.floor, self.end) = (to, to);
        }
    }

    pub(super) fn trim(&mut self, floor: u64) {
        if floor <= self.floor {
            return;
        }
        self.floor = floor.min(self.end);
        self.gone.remove_below(self.floor);
        while let Some(first) = self.given.first_entry() {
            if first.key() + first.get().count > self.floor {
                break;
            }
            first.remove();
        }
    }

    pub(super) fn append(&mut self, offset: u64, count: u64, stamp: Stamp, is_given: bool) {
        self.pass(offset);
        if offset < self.end {
            return;
        }
        self.end = offset + count;
        self.added = self.added.saturating_add(count);
        let joined = self.given.last_entry().filter(|run| *run.key() + run.get().count == offset);
        match joined {
            Some(mut run) if is_given && run.get().first.plus(run.get().count) == stamp => run.get_mut().count += count,
            Some(_) | None if is_given => drop(self.given.insert(offset, Given { count, first: stamp })),
            Some(_) | None => {}
        }
        self.last = stamp.plus(count - 1);
    }

    /// Offsets up to `to` are no records of the series.
    pub(super) fn pass(&mut self, to: u64) {
        if to > self.end {
            self.gone.insert_range(self.end..to);
            self.end = to;
        }
    }

    pub(super) fn remove(&mut self, runs: &RunSet, last: Stamp) {
        for run in runs.iter() {
            self.gone.insert_range(run.start.max(self.floor)..run.end.min(self.end).max(self.floor));
        }
        self.last_removed = self.last_removed.max(last);
    }

    /// Whether something was removed on its own at or behind `from`. `first`: the stamp of the first record, if there is one.
    pub fn has_hole_from(&self, from: Stamp, first: Option<Stamp>) -> bool {
        let Some(first) = first else { return false };
        self.last_removed != Stamp::MIN && first <= self.last_removed && from <= self.last_removed
    }

    /// How many records were ever added up to and with a stamp, where that can be told.
    pub fn distance(&self, stamp: Stamp, first: Option<Stamp>) -> Option<u64> {
        if self.added == 0 {
            return Some(0);
        }
        let Some(first) = first else { return (stamp <= self.last).then_some(self.added) };
        match stamp.cmp(&self.last) {
            std::cmp::Ordering::Equal => return Some(self.added),
            std::cmp::Ordering::Greater => return None,
            std::cmp::Ordering::Less => {}
        }
        let has_no_holes = self.last_removed == Stamp::MIN || self.last_removed < first;
        let before = self.added.saturating_sub(self.len());
        match stamp.cmp(&first) {
            std::cmp::Ordering::Less if has_no_holes => Some(before),
            std::cmp::Ordering::Equal if has_no_holes => Some(before + 1),
            _ => None,
        }
    }
}
