//! Cohorts of a series within a unit: handing records out, and who holds what.

use bytes::Bytes;

use super::Unit;
use crate::delivery::series::{Cohort, Held, SeriesOp, Stamp};
use crate::log::TopicName;

/// Who asks for records of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asker {
    /// The cohort.
    pub cohort: Bytes,
    /// The member of it.
    pub member: Bytes,
}

impl Unit<'_> {
    /// A cohort as it stands.
    pub fn cohort(&self, name: &TopicName, cohort: &[u8]) -> Option<&Cohort> {
        self.series(name)?.cohort(cohort)
    }

    /// Hands out up to `count_max` records that were handed to nobody yet, and gives their offsets. `keep`: they are held until they are
    /// settled.
    pub fn hand_out_next(&mut self, name: &TopicName, asker: &Asker, count_max: u64, keep: bool) -> Vec<(Stamp, u64)> {
        let Some(cohort) = self.cohort(name, &asker.cohort) else { return Vec::new() };
        let (mut last, mut read) = (cohort.last, cohort.read);
        let Some(from) = last.next().filter(|from| self.series(name).is_some_and(|series| series.last() >= *from)) else {
            return Vec::new();
        };
        let first = self.first_stamp(name);
        let mut given = Vec::new();
        let start = self.seek(name, from);
        for index in self.series(name).map_or_else(Vec::new, |series| series.indexes(start..u64::MAX, count_max)) {
            let Some(stamp) = self.stamp_at(name, index) else { continue };
            given.push((stamp, index));
        }
        let Some(series) = self.series(name) else { return given };
        for (stamp, _) in &given {
            read = match read {
                Some(read) if !series.has_hole_from(*stamp, first) => Some(read + 1),
                Some(_) | None => series.distance(*stamp, first),
            };
            last = *stamp;
        }
        if given.is_empty() {
            return given;
        }
        let offsets = given.iter().map(|(stamp, index)| (*stamp, series.offset_of(*index))).collect();
        self.change_series(name, SeriesOp::Cohort { name: asker.cohort.clone(), last, read });
        self.hear_of(name, asker);
        if keep {
            let held = |index| Held { member: asker.member.clone(), index, at_ms: self.now_ms, count: 1 };
            let ops: Vec<_> = given.iter().map(|(stamp, index)| (*stamp, held(*index))).collect();
            for (stamp, held) in ops {
                self.change_series(name, SeriesOp::Hold { cohort: asker.cohort.clone(), stamp, held });
            }
        }
        offsets
    }

    /// A record is held by a member from now on.
    pub fn hold(&mut self, name: &TopicName, cohort: &Bytes, stamp: Stamp, held: Held) {
        self.change_series(name, SeriesOp::Hold { cohort: cohort.clone(), stamp, held });
    }

    /// Settles what is held of these, and tells how many that was.
    pub fn settle_held(&mut self, name: &TopicName, cohort: &Bytes, stamps: &[Stamp]) -> u64 {
        let Some(state) = self.cohort(name, cohort) else { return 0 };
        let mut held: Vec<Stamp> = stamps.iter().copied().filter(|stamp| state.held(*stamp).is_some()).collect();
        held.sort_unstable();
        held.dedup();
        let count = held.len() as u64;
        if count > 0 {
            self.change_series(name, SeriesOp::Settle { cohort: cohort.clone(), stamps: held });
        }
        count
    }

    /// A member was heard of; it is made if it is missing. True if it was.
    pub fn hear_of(&mut self, name: &TopicName, asker: &Asker) -> bool {
        let is_new = self.cohort(name, &asker.cohort).is_some_and(|cohort| cohort.member(&asker.member).is_none());
        let (cohort, member) = (asker.cohort.clone(), asker.member.clone());
        self.change_series(name, SeriesOp::Member { cohort, name: member, seen_ms: self.now_ms });
        is_new
    }
}
