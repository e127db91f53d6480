//! The records of one partition that stand at an explicit place, before everything fresh.
//!
//! Neighbours in offset and place form one run, rising or falling, however many they are. Runs are found by place and by offset. A run
//! that shrinks keeps its keys, so taking from an end costs no more than a look: a place key is at or above the run's highest
//! place, an offset key at or below its first offset, and no other run lies between the key and the run.

use std::collections::BTreeMap;
use std::ops::Range;

use super::End;
use super::place::Place;
use super::seldom::Empty;

/// Neighbouring records: the first has place `low` if they rise, the last if they fall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PlacedRun {
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
    fn part(&self, range: Range<u64>) -> Option<PlacedRun> {
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

#[derive(Debug, Clone, Copy)]
struct Kept {
    run: PlacedRun,
    /// Its key in `by_offset`.
    offset_key: u64,
}

/// Runs in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Placed {
    by_place: BTreeMap<Place, Kept>,
    by_offset: BTreeMap<u64, Place>,
    count: u64,
}

impl Empty for Placed {
    const EMPTY: &'static Self = &Self { by_place: BTreeMap::new(), by_offset: BTreeMap::new(), count: 0 };
}

impl Placed {
    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.by_place.is_empty()
    }

    /// About what the runs take, in bytes.
    #[cfg(test)]
    pub fn memory_bytes(&self) -> usize {
        let entry = size_of::<Place>() * 2 + size_of::<Kept>() + size_of::<u64>();
        // A node of a tree holds up to eleven.
        self.by_place.len().next_multiple_of(11) * entry
    }

    /// Offset and place of the record nearest to an end.
    pub fn at(&self, end: End) -> Option<(u64, Place)> {
        let kept = match end {
            End::Head => self.by_place.first_key_value(),
            End::Tail => self.by_place.last_key_value(),
        };
        kept.map(|(_, kept)| kept.run.at(end))
    }

    /// The place of a record, if it is here.
    pub fn place_of(&self, offset: u64) -> Option<Place> {
        let key = self.key_of(offset)?;
        self.by_place.get(&key).map(|kept| kept.run.place_of(offset))
    }

    /// The runs from the head on.
    pub fn iter(&self) -> impl Iterator<Item = PlacedRun> + '_ {
        self.by_place.values().map(|kept| kept.run)
    }

    /// The runs that end at or behind a place, from the head on.
    pub fn from(&self, place: Place) -> impl Iterator<Item = PlacedRun> + '_ {
        self.by_place.range(place..).map(|(_, kept)| kept.run).filter(move |run| run.high() >= place)
    }

    /// The highest place here that is below `place`.
    pub fn below(&self, place: Place) -> Option<Place> {
        let before = self.by_place.range(..place).next_back().map(|(_, kept)| kept.run.high());
        let around = self.by_place.range(place..).next().map(|(_, kept)| kept.run);
        let inside = around.and_then(|run| run.count_below(place).checked_sub(1).map(|index| run.low.plus(index)));
        before.max(inside)
    }

    /// The lowest place here that is above `place`.
    pub fn above(&self, place: Place) -> Option<Place> {
        self.from(place).find_map(|run| {
            let passed = run.count_below(place);
            let at = run.low.plus(passed);
            let next = if passed < run.count && at == place { passed + 1 } else { passed };
            (next < run.count).then(|| run.low.plus(next))
        })
    }

    /// Adds records that are not here. False: something stands at one of their places, or between several of them.
    pub fn insert(&mut self, run: PlacedRun) -> bool {
        if !self.make_room(&run) {
            return false;
        }
        self.count += run.count;
        let next = self.by_place.range(run.low..).next().map(|(key, kept)| (*key, *kept));
        if let Some((key, kept)) = next
            && let Some(joined) = run.joined(&kept.run)
            && joined.first == kept.run.first
            && self.by_offset.range(..run.end()).next_back().is_some_and(|(first, _)| *first == kept.offset_key)
        {
            // What is put at the head again and again: no key changes.
            self.by_place.insert(key, Kept { run: joined, ..kept });
            return true;
        }
        let mut run = run;
        let before = self.by_place.range(..run.low).next_back().map(|(key, kept)| (*key, kept.run));
        if let Some((key, joined)) = before.and_then(|(key, before)| Some((key, before.joined(&run)?))) {
            self.forget(key);
            run = joined;
        }
        if let Some((key, joined)) = next.and_then(|(key, next)| Some((key, run.joined(&next.run)?))) {
            self.forget(key);
            run = joined;
        }
        self.keep(run);
        true
    }

    /// Takes one record out; false if it is not here.
    pub fn remove(&mut self, offset: u64) -> bool {
        let Some(key) = self.key_of(offset) else { return false };
        let Some(kept) = self.by_place.get_mut(&key) else { return false };
        let run = &mut kept.run;
        if run.count == 1 {
            self.forget(key);
        } else if run.at(End::Head).0 == offset {
            *run = run.slice(1..run.count);
        } else if run.at(End::Tail).0 == offset {
            *run = run.slice(0..run.count - 1);
        } else {
            let whole = *run;
            self.forget(key);
            let parts = [whole.part(0..offset), whole.part(offset + 1..u64::MAX)];
            parts.into_iter().flatten().for_each(|part| self.keep(part));
        }
        self.count -= 1;
        true
    }

    /// Takes out what lies in `range`, and gives it.
    pub fn remove_range(&mut self, range: Range<u64>) -> Vec<PlacedRun> {
        let mut removed = Vec::new();
        if self.is_empty() || range.is_empty() {
            return removed;
        }
        let from = self.by_offset.range(..=range.start).next_back().map_or(range.start, |(key, _)| *key);
        let keys: Vec<Place> = self.by_offset.range(from..range.end.max(from)).map(|(_, key)| *key).collect();
        for key in keys {
            let Some(run) = self.by_place.get(&key).map(|kept| kept.run) else { continue };
            let Some(part) = run.part(range.clone()) else { continue };
            self.forget(key);
            let kept = [run.part(0..range.start), run.part(range.end..u64::MAX)];
            kept.into_iter().flatten().for_each(|part| self.keep(part));
            self.count -= part.count;
            removed.push(part);
        }
        removed
    }

    fn key_of(&self, offset: u64) -> Option<Place> {
        let (_, key) = self.by_offset.range(..=offset).next_back()?;
        let run = self.by_place.get(key)?.run;
        (run.first..run.end()).contains(&offset).then_some(*key)
    }

    /// Sees to it that no run reaches around the places of `run`.
    fn make_room(&mut self, run: &PlacedRun) -> bool {
        let Some((key, around)) = self.by_place.range(run.low..).next().map(|(key, kept)| (*key, kept.run)) else { return true };
        if around.high() < run.low {
            // The key was left high. Behind it nothing can reach down here.
            self.forget(key);
            self.keep(around);
            return self.by_place.range(run.low..).next().is_none_or(|(_, kept)| kept.run.low > run.high());
        }
        if around.low > run.high() {
            return true;
        }
        let below = around.count_below(run.low);
        if run.count > 1 || below == 0 || around.low.plus(below) == run.low {
            return false;
        }
        self.forget(key);
        self.keep(around.slice(0..below));
        self.keep(around.slice(below..around.count));
        true
    }

    fn forget(&mut self, key: Place) {
        if let Some(kept) = self.by_place.remove(&key) {
            self.by_offset.remove(&kept.offset_key);
        }
    }

    fn keep(&mut self, run: PlacedRun) {
        let last = self.by_offset.range(..run.end()).next_back().map(|(key, place)| (*key, *place));
        if let Some((offset_key, place)) = last
            && let Some(kept) = self.by_place.get_mut(&place)
            && kept.run.first >= run.end()
        {
            // The key was left low.
            kept.offset_key = kept.run.first;
            self.by_offset.remove(&offset_key);
            self.by_offset.insert(kept.offset_key, place);
        }
        self.by_offset.insert(run.first, run.high());
        self.by_place.insert(run.high(), Kept { run, offset_key: run.first });
    }
}
