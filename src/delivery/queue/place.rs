//! Where a record stands in the order of a partition's queue.
//!
//! A record's natural place is its offset. Places below zero are before everything that was appended, and between two places there
//! are as many others as are ever asked for: a place has a whole part, its base, and a fraction of 64 bits, its step.

/// How far a new place keeps from the neighbour that more will be put next to: room for four billion of them.
const STRIDE: i128 = 1 << 32;

/// A place in the order of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The natural place that it lies at or behind.
    pub base: i64,
    /// How far behind, in parts of 2^64.
    pub step: u64,
}

/// A side of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Towards the head.
    Before,
    /// Towards the tail.
    After,
}

impl Place {
    /// The natural place of the record at an offset.
    pub const fn of(offset: u64) -> Self {
        Self::whole(offset as i64)
    }

    /// A place without fraction.
    pub(super) const fn whole(base: i64) -> Self {
        Place { base, step: 0 }
    }

    /// The place `by` whole places further towards the tail.
    pub(super) const fn plus(self, by: u64) -> Self {
        Place { base: self.base.saturating_add_unsigned(by), step: self.step }
    }

    /// The place one whole place towards the head.
    pub(super) const fn back(self) -> Self {
        Place { base: self.base.saturating_sub(1), step: self.step }
    }

    /// A place strictly between two, with the more room left on the side where the next one of its kind will go: `side` says on
    /// which side of its neighbour a record is put. `None`: nothing is between them.
    pub(super) fn between(low: Place, high: Place, side: Side) -> Option<Place> {
        let gap = high.wide() - low.wide();
        if gap < 2 {
            return None;
        }
        let by = STRIDE.min(gap / 2);
        Some(Self::narrow(match side {
            Side::Before => low.wide() + by,
            Side::After => high.wide() - by,
        }))
    }

    fn wide(self) -> i128 {
        (i128::from(self.base) << 64) | i128::from(self.step)
    }

    fn narrow(wide: i128) -> Self {
        Place { base: (wide >> 64) as i64, step: wide as u64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_millions_on_one_side_of_a_record() {
        let (mut before, pivot) = (Place::of(5), Place::of(6));
        let mut after = Place::of(7);
        for _ in 0..1_000_000 {
            before = Place::between(before, pivot, Side::Before).unwrap_or(pivot);
            after = Place::between(pivot, after, Side::After).unwrap_or(pivot);
        }
        assert!(before < pivot && pivot < after);
        assert_eq!(Place::between(Place::of(5), Place { base: 5, step: 1 }, Side::After), None);
        assert!(Place::between(Place::whole(-4), Place::whole(-3), Side::Before).is_some_and(|place| place.base == -4));
    }
}
