//! The records of one partition that stand at an explicit place, before everything fresh.
//!
//! Neighbours in offset and place form one run, rising or falling, however many they are. Mostly there is one run or none, which is kept
//! in place; only more of them are worth an order.

mod many;
mod run;

use std::ops::Range;

use super::End;
use super::place::Place;
use super::seldom::Empty;
use many::Many;
pub(super) use run::PlacedRun;

/// Runs in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Placed(Runs);

#[derive(Debug, Clone, Default)]
enum Runs {
    #[default]
    None,
    One(PlacedRun),
    Many(Box<Many>),
}

impl Empty for Placed {
    const EMPTY: &'static Self = &Self(Runs::None);
}

impl Placed {
    pub fn count(&self) -> u64 {
        match &self.0 {
            Runs::None => 0,
            Runs::One(run) => run.count,
            Runs::Many(many) => many.count(),
        }
    }

    pub fn is_empty(&self) -> bool {
        matches!(self.0, Runs::None)
    }

    /// What the runs take beside this, in bytes.
    #[cfg(test)]
    pub fn memory_bytes(&self) -> usize {
        match &self.0 {
            Runs::None | Runs::One(_) => 0,
            Runs::Many(many) => many.memory_bytes(),
        }
    }

    /// Offset and place of the record nearest to an end.
    pub fn at(&self, end: End) -> Option<(u64, Place)> {
        match &self.0 {
            Runs::None => None,
            Runs::One(run) => Some(run.at(end)),
            Runs::Many(many) => many.at(end),
        }
    }

    /// The place of a record, if it is here.
    pub fn place_of(&self, offset: u64) -> Option<Place> {
        match &self.0 {
            Runs::None => None,
            Runs::One(run) => run.contains(offset).then(|| run.place_of(offset)),
            Runs::Many(many) => many.place_of(offset),
        }
    }

    fn parts(&self) -> (Option<PlacedRun>, Option<&Many>) {
        match &self.0 {
            Runs::None => (None, None),
            Runs::One(run) => (Some(*run), None),
            Runs::Many(many) => (None, Some(many)),
        }
    }

    /// The runs from the head on.
    pub fn iter(&self) -> impl Iterator<Item = PlacedRun> + '_ {
        let (one, many) = self.parts();
        one.into_iter().chain(many.into_iter().flat_map(Many::iter))
    }

    /// The runs that end at or behind a place, from the head on.
    pub fn from(&self, place: Place) -> impl Iterator<Item = PlacedRun> + '_ {
        let (one, many) = self.parts();
        let one = one.filter(|run| run.high() >= place);
        one.into_iter().chain(many.into_iter().flat_map(move |many| many.from(place)))
    }

    /// The highest place here that is below `place`.
    pub fn below(&self, place: Place) -> Option<Place> {
        match &self.0 {
            Runs::None => None,
            Runs::One(run) => run.count_below(place).checked_sub(1).map(|index| run.low.plus(index)),
            Runs::Many(many) => many.below(place),
        }
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
        match &mut self.0 {
            Runs::None => self.0 = Runs::One(run),
            Runs::One(one) => match run.joined(one).or_else(|| one.joined(&run)) {
                Some(joined) => *one = joined,
                None => {
                    let mut many: Many = std::iter::once(*one).collect();
                    let inserted = many.insert(run);
                    self.0 = Runs::Many(Box::new(many));
                    self.settle();
                    return inserted;
                }
            },
            Runs::Many(many) => return many.insert(run),
        }
        true
    }

    /// Takes one record out; false if it is not here.
    pub fn remove(&mut self, offset: u64) -> bool {
        match &mut self.0 {
            Runs::None => false,
            Runs::One(_) => !self.remove_range(offset..offset + 1).is_empty(),
            Runs::Many(many) => {
                let removed = many.remove(offset);
                self.settle();
                removed
            }
        }
    }

    /// Takes out what lies in `range`, and gives it.
    pub fn remove_range(&mut self, range: Range<u64>) -> Vec<PlacedRun> {
        if let Runs::One(run) = &self.0 {
            let (run, part) = (*run, run.part(range.clone()));
            match (run.part(0..range.start), run.part(range.end..u64::MAX)) {
                _ if part.is_none() => return Vec::new(),
                (Some(before), Some(after)) => self.0 = Runs::Many(Box::new([before, after].into_iter().collect())),
                (one, other) => self.0 = one.or(other).map_or(Runs::None, Runs::One),
            }
            return part.into_iter().collect();
        }
        let Runs::Many(many) = &mut self.0 else { return Vec::new() };
        let removed = many.remove_range(range);
        self.settle();
        removed
    }

    /// An order of one run or none is not kept.
    fn settle(&mut self) {
        let few = match &self.0 {
            Runs::Many(many) if many.run_count() < 2 => many.iter().next(),
            Runs::None | Runs::One(_) | Runs::Many(_) => return,
        };
        self.0 = few.map_or(Runs::None, Runs::One);
    }
}
