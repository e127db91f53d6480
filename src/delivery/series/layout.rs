//! Where the records of a series lie in the log.
//!
//! A record counts from when it was decided that it does. What a transaction wrote is decided on at its end, so it stands behind what was
//! added meanwhile, though it lies before that. Each record has an *index*, by which they are ordered; for all but those that came late
//! it is the offset, moved on by how many came late before.

use std::collections::BTreeMap;
use std::ops::Range;

/// Neighbours that came late, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Late {
    pub offset: u64,
    pub count: u64,
    /// How many came late before them.
    before: u64,
}

impl Late {
    fn upto(&self) -> u64 {
        self.before.saturating_add(self.count)
    }
}

/// From indexes to offsets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Layout {
    /// By the index of the first.
    late: BTreeMap<u64, Late>,
    /// How many came late before all of these.
    forgotten: u64,
}

impl Layout {
    pub fn new(forgotten: u64) -> Self {
        Layout { forgotten, ..Self::default() }
    }

    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// What came late, each with the index of its first.
    pub fn late(&self) -> impl ExactSizeIterator<Item = (u64, Late)> + '_ {
        self.late.iter().map(|(index, late)| (*index, *late))
    }

    /// Records come late, behind all that is there.
    pub fn add(&mut self, index: u64, offset: u64, count: u64) {
        let before = self.late.last_key_value().map_or(self.forgotten, |(_, late)| late.upto());
        self.late.insert(index, Late { offset, count, before });
    }

    /// The index of what is appended next, if it has this offset.
    pub fn next_index(&self, offset: u64) -> u64 {
        offset.saturating_add(self.late.last_key_value().map_or(self.forgotten, |(_, late)| late.upto()))
    }

    /// The index of a record that did not come late.
    pub fn index_of(&self, offset: u64) -> u64 {
        let passed = self.late.iter().rev().find(|(index, late)| index.saturating_sub(late.before) <= offset);
        offset.saturating_add(passed.map_or(self.forgotten, |(_, late)| late.upto()))
    }

    /// Where a record lies.
    pub fn offset_of(&self, index: u64) -> u64 {
        match self.late.range(..=index).next_back() {
            Some((first, late)) if index - first < late.count => late.offset.saturating_add(index - first),
            Some((_, late)) => index.saturating_sub(late.upto()),
            None => index.saturating_sub(self.forgotten),
        }
    }

    /// The lowest offset of what is not late and stands at or behind an index.
    pub fn next_offset(&self, index: u64) -> u64 {
        match self.late.range(..=index).next_back() {
            Some((first, late)) if index - first < late.count => first.saturating_sub(late.before),
            Some(_) | None => self.offset_of(index),
        }
    }

    /// Up to where the records from an index on are neighbours in the log too.
    pub fn neighbours_until(&self, index: u64) -> u64 {
        let around = self.late.range(..=index).next_back().map(|(first, late)| first + late.count);
        let within = around.filter(|end| *end > index);
        let next = || self.late.range(index + 1..).next().map(|(first, _)| *first);
        within.or_else(next).unwrap_or(u64::MAX)
    }

    /// The parts of a range that did not come late, as offsets.
    pub fn offsets_in(&self, indexes: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let mut at = indexes.start;
        std::iter::from_fn(move || {
            while at < indexes.end {
                let (first, until) = (at, self.neighbours_until(at).min(indexes.end));
                at = until;
                if self.next_offset(first) == self.offset_of(first) {
                    let offset = self.offset_of(first);
                    return Some(offset..offset + (until - first));
                }
            }
            None
        })
    }

    /// Nothing below an index is asked for any more.
    pub fn trim(&mut self, floor: u64) {
        while let Some(first) = self.late.first_entry() {
            if first.key() + first.get().count > floor {
                return;
            }
            self.forgotten = first.remove().upto();
        }
    }
}
