//! What is remembered of records that were taken once, and how often they came back as failed, counted as it changes.

use std::ops::Range;

use hashbrown::HashMap;

use super::lane::Trace;
use super::place::Place;

/// How many records came back as failed how often: never, once, twice, three times, four to seven times, more often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FailureSpread(pub [u64; 6]);

impl FailureSpread {
    /// What each count is about.
    pub const NAMES: [&'static str; 6] = ["0", "1", "2", "3", "4-7", "8+"];

    fn change(&mut self, failures: u32, change: impl FnOnce(&mut u64)) {
        let place = match failures {
            0..=3 => failures as usize,
            4..=7 => 4,
            _ => 5,
        };
        if let Some(count) = self.0.get_mut(place) {
            change(count);
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(count, more)| *count += more);
    }
}

/// Room for so many is kept when there are none any more.
const KEPT_ROOM: usize = 28;

/// Traces by offset. Where nothing was ever taken it takes a pointer.
#[derive(Debug, Clone, Default)]
pub(super) struct Traces(Option<Box<Known>>);

#[derive(Debug, Clone, Default)]
struct Known {
    by_offset: HashMap<u64, Trace>,
    spread: FailureSpread,
}

impl Known {
    fn forget(&mut self, trace: Trace) {
        self.spread.change(trace.delivered, |count| *count -= 1);
    }
}

impl Traces {
    pub fn spread(&self) -> FailureSpread {
        self.0.as_ref().map_or_else(FailureSpread::default, |known| known.spread)
    }

    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |known| known.by_offset.len())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn get(&self, offset: &u64) -> Option<&Trace> {
        self.0.as_ref()?.by_offset.get(offset)
    }

    /// Where the record goes when it comes back; false if nothing is remembered of it.
    pub fn set_place(&mut self, offset: u64, place: Place) -> bool {
        let trace = self.0.as_mut().and_then(|known| known.by_offset.get_mut(&offset));
        trace.map(|trace| trace.place = place).is_some()
    }

    pub fn contains_key(&self, offset: &u64) -> bool {
        self.get(offset).is_some()
    }

    pub fn keys(&self) -> impl Iterator<Item = &u64> {
        self.iter().map(|(offset, _)| offset)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&u64, &Trace)> {
        self.0.iter().flat_map(|known| &known.by_offset)
    }

    pub fn insert(&mut self, offset: u64, trace: Trace) {
        let known = self.0.get_or_insert_default();
        known.spread.change(trace.delivered, |count| *count += 1);
        if let Some(before) = known.by_offset.insert(offset, trace) {
            known.forget(before);
        }
    }

    pub fn remove(&mut self, offset: &u64) -> Option<Trace> {
        let known = self.0.as_mut()?;
        let trace = known.by_offset.remove(offset)?;
        known.forget(trace);
        self.give_back_room();
        Some(trace)
    }

    /// What a million took is not kept for none.
    fn give_back_room(&mut self) {
        if self.0.as_ref().is_some_and(|known| known.by_offset.is_empty() && known.by_offset.capacity() > KEPT_ROOM) {
            self.0 = None;
        }
    }

    /// Takes out the traces in `range`, by whichever way is shorter.
    pub fn remove_in(&mut self, range: &Range<u64>) -> Vec<Trace> {
        let Some(known) = self.0.as_mut().filter(|known| !known.by_offset.is_empty()) else { return Vec::new() };
        let removed: Vec<Trace> = if range.end - range.start <= known.by_offset.len() as u64 {
            range.clone().filter_map(|offset| known.by_offset.remove(&offset)).collect()
        } else {
            known.by_offset.extract_if(|offset, _| range.contains(offset)).map(|(_, trace)| trace).collect()
        };
        for trace in &removed {
            known.forget(*trace);
        }
        self.give_back_room();
        removed
    }
}
