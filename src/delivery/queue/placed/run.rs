//! Neighbouring records at neighbouring places, as one.

use std::ops::Range;

use crate::delivery::queue::End;
use crate::delivery::queue::place::Place;

/// Neighbouring records: the first has place `low` if they rise, the last if they fall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::delivery::queue) struct PlacedRun {
    pub first: u64,
    pub count: u64,
    /// The lowest place.
    pub low: Place,
    /// Whether the highest offset has the lowest place.
    pub falling: bool,
}

impl PlacedRun {
    pub fn single(offset: u64, place: Place) -> Self {
        PlacedRun { first: offset, count: 1, low: place, falling: false }
    }

    /// Records at their natural places.
    pub fn natural(offsets: Range<u64>) -> Self {
        PlacedRun { first: offsets.start, count: offsets.end - offsets.start, low: Place::of(offsets.start), falling: false }
    }

    pub fn is_natural(&self) -> bool {
        self.low == Place::of(self.first) && (self.count == 1 || !self.falling)
    }

    pub fn contains(&self, offset: u64) -> bool {
        (self.first..self.end()).contains(&offset)
    }

    pub fn end(&self) -> u64 {
        self.first + self.count
    }

    pub fn high(&self) -> Place {
        self.low.plus(self.count - 1)
    }

    /// The record at an end, and its place.
    pub fn at(&self, end: End) -> (u64, Place) {
        match (end, self.falling) {
            (End::Head, false) => (self.first, self.low),
            (End::Head, true) => (self.end() - 1, self.low),
            (End::Tail, false) => (self.end() - 1, self.high()),
            (End::Tail, true) => (self.first, self.high()),
        }
    }

    pub fn place_of(&self, offset: u64) -> Place {
        self.low.plus(if self.falling { self.end() - 1 - offset } else { offset - self.first })
    }

    /// How many of its places are below `place`.
    pub fn count_below(&self, place: Place) -> u64 {
        let whole = place.base.saturating_sub(self.low.base);
        let below = i128::from(whole) + i128::from(place.step > self.low.step);
        u64::try_from(below).unwrap_or(0).min(self.count)
    }

    /// Its records from index `range.start` to `range.end`, counted from the lowest place.
    pub fn slice(&self, range: Range<u64>) -> PlacedRun {
        let count = range.end - range.start;
        let first = if self.falling { self.end() - range.end } else { self.first + range.start };
        PlacedRun { first, count, low: self.low.plus(range.start), falling: self.falling }
    }

    /// The part whose offsets lie in `range`.
    pub(super) fn part(&self, range: Range<u64>) -> Option<PlacedRun> {
        let (first, end) = (range.start.max(self.first), range.end.min(self.end()));
        let from = if self.falling { self.end().saturating_sub(end) } else { first.saturating_sub(self.first) };
        (first < end).then(|| self.slice(from..from + (end - first)))
    }

    /// Both as one run, if `next` goes on where this one ends.
    pub fn joined(&self, next: &PlacedRun) -> Option<PlacedRun> {
        if self.low.plus(self.count) != next.low {
            return None;
        }
        let may = |run: &PlacedRun, falling: bool| run.count == 1 || run.falling == falling;
        let count = self.count + next.count;
        if self.end() == next.first && may(self, false) && may(next, false) {
            Some(PlacedRun { first: self.first, count, low: self.low, falling: false })
        } else if next.end() == self.first && may(self, true) && may(next, true) {
            Some(PlacedRun { first: next.first, count, low: self.low, falling: true })
        } else {
            None
        }
    }
}
