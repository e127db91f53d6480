//! What is remembered of records that were taken once, and how often they came back as failed, counted as it changes.

use std::ops::Range;

use hashbrown::HashMap;
use hashbrown::hash_map::{Iter, Keys};

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

/// Traces by offset.
#[derive(Debug, Clone, Default)]
pub(super) struct Traces {
    by_offset: HashMap<u64, Trace>,
    spread: FailureSpread,
}

impl Traces {
    pub fn spread(&self) -> &FailureSpread {
        &self.spread
    }

    pub fn len(&self) -> usize {
        self.by_offset.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_offset.is_empty()
    }

    pub fn get(&self, offset: &u64) -> Option<&Trace> {
        self.by_offset.get(offset)
    }

    /// Where the record goes when it comes back; false if nothing is remembered of it.
    pub fn set_place(&mut self, offset: u64, place: Place) -> bool {
        let trace = self.by_offset.get_mut(&offset);
        trace.map(|trace| trace.place = place).is_some()
    }

    pub fn contains_key(&self, offset: &u64) -> bool {
        self.by_offset.contains_key(offset)
    }

    pub fn keys(&self) -> Keys<'_, u64, Trace> {
        self.by_offset.keys()
    }

    pub fn iter(&self) -> Iter<'_, u64, Trace> {
        self.by_offset.iter()
    }

    pub fn insert(&mut self, offset: u64, trace: Trace) {
        self.spread.change(trace.delivered, |count| *count += 1);
        if let Some(before) = self.by_offset.insert(offset, trace) {
            self.spread.change(before.delivered, |count| *count -= 1);
        }
    }

    pub fn remove(&mut self, offset: &u64) -> Option<Trace> {
        let trace = self.by_offset.remove(offset)?;
        self.spread.change(trace.delivered, |count| *count -= 1);
        Some(trace)
    }

    /// Takes out the traces in `range`, by whichever way is shorter.
    pub fn remove_in(&mut self, range: &Range<u64>) -> Vec<Trace> {
        let removed: Vec<Trace> = if self.is_empty() {
            Vec::new()
        } else if range.end - range.start <= self.len() as u64 {
            range.clone().filter_map(|offset| self.by_offset.remove(&offset)).collect()
        } else {
            self.by_offset.extract_if(|offset, _| range.contains(offset)).map(|(_, trace)| trace).collect()
        };
        for trace in &removed {
            self.spread.change(trace.delivered, |count| *count -= 1);
        }
        removed
    }
}

impl<'a> IntoIterator for &'a Traces {
    type Item = (&'a u64, &'a Trace);
    type IntoIter = Iter<'a, u64, Trace>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
