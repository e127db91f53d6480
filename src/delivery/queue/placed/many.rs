//! Runs of records at explicit places, found by place and by offset.
//!
//! A run that shrinks keeps its keys, so taking from an end costs no more than a look: a place key is at or above the run's highest
//! place, an offset key at or below its first offset, and no other run lies between the key and the run.

use std::collections::BTreeMap;
use std::ops::Range;

use super::run::PlacedRun;
use crate::delivery::queue::End;
use crate::delivery::queue::place::Place;

#[derive(Debug, Clone, Copy)]
struct Kept {
    run: PlacedRun,
    /// Its key in `by_offset`.
    offset_key: u64,
}

/// Runs in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Many {
    by_place: BTreeMap<Place, Kept>,
    by_offset: BTreeMap<u64, Place>,
    count: u64,
}

impl Many {
    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn run_count(&self) -> usize {
        self.by_place.len()
    }

    /// About what the runs take, in bytes.
    #[cfg(test)]
    pub fn memory_bytes(&self) -> usize {
        let entry = size_of::<Place>() * 2 + size_of::<Kept>() + size_of::<u64>();
        // A node of a tree holds up to eleven.
        size_of::<Self>() + self.by_place.len().next_multiple_of(11) * entry
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
        if range.is_empty() {
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

impl FromIterator<PlacedRun> for Many {
    /// Of runs that do not touch.
    fn from_iter<I: IntoIterator<Item = PlacedRun>>(runs: I) -> Self {
        let mut many = Many::default();
        for run in runs {
            many.count += run.count;
            many.keep(run);
        }
        many
    }
}
