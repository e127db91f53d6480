//! What is in a series, and where.
//!
//! Indexes and stamps rise together, so a stamp is found by halving the indexes. What was written with a stamp carries it; for records
//! that came without one, stamps are kept as runs: neighbours in index and number are one run, however many. An index is an offset as
//! long as nothing came late.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;

use super::cohort::Cohort;
use super::layout::Layout;
use super::stamp::Stamp;
use crate::log::runs::{OFFSET_MAX, RunSet};

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
    /// The index that it begins at.
    pub(super) origin: u64,
    /// Everything below is gone.
    pub(super) floor: u64,
    pub(super) end: u64,
    /// Above the floor, and no record of the series any more, or never one.
    pub(super) gone: RunSet,
    pub(super) given: BTreeMap<u64, Given>,
    pub(super) layout: Layout,
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

    /// The index after the last record known.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The offset of the record at an index.
    pub fn offset_of(&self, index: u64) -> u64 {
        self.layout.offset_of(index)
    }

    /// The lowest offset that is needed, and what is not needed above it. `undecided`: records that may yet come late.
    pub fn needed<'r>(&self, undecided: impl Iterator<Item = &'r RunSet>) -> (u64, RunSet) {
        let mut kept = RunSet::new();
        for run in undecided.flat_map(RunSet::iter) {
            kept.insert_range(run);
        }
        for (index, late) in self.layout.late() {
            for part in self.gone.gaps_in(index.max(self.floor)..index + late.count) {
                let offset = self.offset_of(part.start);
                kept.insert_range(offset..offset + (part.end - part.start));
            }
        }
        let mut gone = RunSet::new();
        for run in self.gone.iter().flat_map(|run| self.layout.offsets_in(run)) {
            gone.insert_range(run);
        }
        let floor = self.layout.next_offset(self.floor);
        let lowest = kept.first().map_or(floor, |first| first.min(floor));
        gone.insert_range(lowest..floor);
        for run in kept.iter() {
            gone.remove_range(run);
        }
        (gone.next_absent(lowest), gone)
    }

    /// The index of the first record.
    pub fn first_index(&self) -> Option<u64> {
        let first = self.gone.next_absent(self.floor);
        (first < self.end).then_some(first)
    }

    /// The index of the last record.
    pub fn last_index(&self) -> Option<u64> {
        self.gone.prev_absent(self.end).filter(|last| *last >= self.floor)
    }

    /// Whether there is a record at an index.
    pub fn contains(&self, index: u64) -> bool {
        (self.floor..self.end).contains(&index) && !self.gone.contains(index)
    }

    /// The indexes of up to `count_max` records of a range.
    pub fn indexes(&self, range: Range<u64>, count_max: u64) -> Vec<u64> {
        let count_max = usize::try_from(count_max).unwrap_or(usize::MAX);
        let range = range.start.max(self.floor)..range.end.min(self.end).max(self.floor);
        if range.is_empty() { Vec::new() } else { self.gone.gaps_in(range).flatten().take(count_max).collect() }
    }

    /// The stamp that the series gave to a record; none: it carries its own, if any.
    pub fn given(&self, index: u64) -> Option<Stamp> {
        let (first, run) = self.given.range(..=index).next_back()?;
        (index - first < run.count).then(|| run.first.plus(index - first))
    }

    /// The stamp for a record that comes without one, now: one that is appended at an offset, or comes late.
    pub fn next_given(&self, offset: Option<u64>, now_ms: u64) -> Option<Stamp> {
        let index = offset.map_or(self.end, |offset| self.layout.next_index(offset));
        let newest = self.given.last_key_value().filter(|(first, run)| **first + run.count == index);
        let joins = newest.is_some_and(|(_, run)| {
            run.first.plus(run.count - 1) == self.last && now_ms.saturating_sub(self.last.ms) < RUN_MS_MAX
        });
        if joins || now_ms <= self.last.ms { self.last.next() } else { Some(Stamp { ms: now_ms, seq: 0 }) }
    }

    /// The index of the first record at or behind a stamp; the end if there is none. `stamp_of` reads the stamp that a record carries.
    pub fn seek(&self, stamp: Stamp, mut stamp_of: impl FnMut(u64) -> Option<Stamp>) -> u64 {
        if stamp > self.last {
            return self.end;
        }
        let mut is_before = |index: u64| self.given(index).or_else(|| stamp_of(index)).is_some_and(|found| found < stamp);
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

    /// The records in a range of indexes as spans, at most `count_max`, from the highest down if `backwards`.
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

    /// Cuts a stretch where records with stamps of their own and given ones meet, and where they are no neighbours in the log.
    fn by_kind(&self, stretch: Range<u64>) -> Vec<Span> {
        let mut spans = Vec::new();
        let mut at = stretch.start;
        while at < stretch.end {
            let given = self.given(at);
            let next = match given {
                Some(_) => self.given.range(..=at).next_back().map_or(stretch.end, |(first, run)| first + run.count),
                None => self.given.range(at..).next().map_or(stretch.end, |(first, _)| *first),
            };
            let end = next.min(self.layout.neighbours_until(at)).clamp(at + 1, stretch.end);
            let offset = self.offset_of(at);
            spans.push(Span { offsets: offset..offset + (end - at), given });
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

    /// How many records are before an index.
    pub fn count_below(&self, index: u64) -> u64 {
        let range = self.floor..index.clamp(self.floor, self.end);
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

    /// The log no longer holds what is below an offset. Whether that changes anything.
    pub fn advance_log_start(&mut self, to: u64) -> bool {
        let (index, before) = (self.layout.index_of(to), (self.floor, self.gone.len()));
        let lost: Vec<_> =
            self.layout.late().map(|(first, late)| first..first + to.saturating_sub(late.offset).min(late.count)).collect();
        self.trim(index.min(self.end));
        if index > self.end {
            (self.floor, self.end) = (index, index);
        }
        for range in lost {
            self.gone.insert_range(range.start.max(self.floor)..range.end.max(self.floor));
        }
        before != (self.floor, self.gone.len())
    }

    pub(super) fn trim(&mut self, floor: u64) {
        if floor <= self.floor {
            return;
        }
        self.floor = floor.min(self.end);
        self.gone.remove_below(self.floor);
        self.layout.trim(self.floor);
        while let Some(first) = self.given.first_entry() {
            if first.key() + first.get().count > self.floor {
                break;
            }
            first.remove();
        }
    }

    pub(super) fn append(&mut self, offset: u64, count: u64, stamp: Stamp, is_given: bool) {
        self.pass(offset);
        let index = self.layout.next_index(offset);
        if index == self.end {
            self.add(index, count, stamp, is_given);
        }
    }

    /// Records come late: they lie before the end.
    pub(super) fn come_late(&mut self, offset: u64, count: u64, stamp: Stamp) {
        let index = self.end;
        self.layout.add(index, offset, count);
        self.add(index, count, stamp, true);
    }

    fn add(&mut self, index: u64, count: u64, stamp: Stamp, is_given: bool) {
        self.end = index.saturating_add(count).min(OFFSET_MAX);
        self.added = self.added.saturating_add(count);
        let joined = self.given.last_entry().filter(|run| *run.key() + run.get().count == index);
        match joined {
            Some(mut run) if is_given && run.get().first.plus(run.get().count) == stamp => run.get_mut().count += count,
            Some(_) | None if is_given => drop(self.given.insert(index, Given { count, first: stamp })),
            Some(_) | None => {}
        }
        self.last = stamp.plus(count - 1);
    }

    /// Offsets up to `to` that it does not know yet are no records of the series.
    pub(super) fn pass(&mut self, to: u64) {
        let to = self.layout.next_index(to).min(OFFSET_MAX);
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
