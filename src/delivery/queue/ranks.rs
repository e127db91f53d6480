//! Records that are taken before others: levels above 0, the highest first, and in each level by partition turn and place.
//!
//! A ready record with a level stands here and in no other part of its queue, whether it is fresh or was returned, so that its
//! place in its level is its offset. Level 0 is the rest of the queue. Memory goes with the runs that records of one level form.

use std::collections::BTreeMap;
use std::ops::Range;

use super::runmap::RunMap;
use super::state::QueueState;
use super::{End, RunSet};
use crate::log::record::varint::{Input, put_uvarint};
use crate::log::runs::OFFSET_MAX;

#[derive(Debug, Clone, Default)]
pub(super) struct Ranks {
    /// The levels of all records that have one and are not done.
    levels: RunMap<u8>,
    /// Those that are ready, by level and partition; no set is empty.
    ready: BTreeMap<(u8, u32), RunSet>,
    count: u64,
}

impl Ranks {
    pub fn level_of(&self, partition: u32, offset: u64) -> Option<u8> {
        self.levels.get(partition, offset)
    }

    /// Ready records.
    pub fn ready(&self) -> u64 {
        self.count
    }

    fn put(&mut self, partition: u32, range: Range<u64>, level: u8) {
        self.count += self.ready.entry((level, partition)).or_default().insert_range(range);
    }

    /// Ready records of a range are so no more. Tells which they were.
    fn take(&mut self, partition: u32, range: &Range<u64>) -> RunSet {
        let mut taken = RunSet::new();
        self.ready.retain(|(_, at), ready| {
            if *at == partition {
                for run in ready.runs_in(range.clone()) {
                    taken.insert_range(run);
                }
                ready.remove_range(range.clone());
            }
            !ready.is_empty()
        });
        self.count -= taken.len();
        taken
    }

    /// The first or last ready record.
    pub fn at(&self, end: End) -> Option<(u32, u64)> {
        let found = match end {
            End::Head => {
                let level = self.ready.last_key_value()?.0.0;
                self.ready.range((level, 0)..).next().map(|((_, partition), ready)| (*partition, ready.first()))
            }
            End::Tail => {
                let level = self.ready.first_key_value()?.0.0;
                self.ready.range(..=(level, u32::MAX)).next_back().map(|((_, partition), ready)| (*partition, ready.last()))
            }
        };
        found.and_then(|(partition, offset)| Some((partition, offset?)))
    }

    /// Ready records in the order in which they are taken.
    pub fn segments(&self) -> impl Iterator<Item = (u32, Range<u64>)> + '_ {
        let mut levels: Vec<u8> = self.ready.keys().map(|(level, _)| *level).collect();
        levels.dedup();
        let of_level = |level: u8| self.ready.range((level, 0)..=(level, u32::MAX));
        levels.into_iter().rev().flat_map(of_level).flat_map(|((_, at), ready)| ready.iter().map(move |run| (*at, run)))
    }

    /// A range is done.
    fn forget(&mut self, partition: u32, range: &Range<u64>) {
        self.take(partition, range);
        self.levels.clear(partition, range.clone(), |_, _| {});
    }

    /// The number of runs, and for each its partition, first offset, count and level.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_uvarint(out, self.levels.iter().count() as u64);
        for (partition, run, level) in self.levels.iter() {
            let fields = [u64::from(partition), run.start, run.end - run.start, u64::from(level)];
            fields.into_iter().for_each(|field| put_uvarint(out, field));
        }
    }
}

impl QueueState {
    /// Fresh records `first..first + count` have a level; 0 is none.
    pub fn set_level(&mut self, partition: u32, first: u64, count: u64, level: u8) {
        let Some(lane) = self.lanes.get(partition as usize).filter(|_| level > 0) else { return };
        let range = first.max(lane.cursor)..first.saturating_add(count).min(OFFSET_MAX).min(lane.end);
        if range.is_empty() {
            return;
        }
        let fresh: Vec<_> = lane.gone.gaps_in(range).collect();
        for run in fresh {
            self.change(partition, |lane| lane.take_fresh_range(run.clone()));
            let ranks = self.ranks.get_or_insert_default();
            ranks.levels.clear(partition, run.clone(), |_, _| {});
            ranks.levels.fill(partition, run.clone(), level);
            ranks.put(partition, run, level);
        }
    }

    /// The level of a record that is not done.
    pub fn level_of(&self, partition: u32, offset: u64) -> u8 {
        self.ranks.as_ref().and_then(|ranks| ranks.level_of(partition, offset)).unwrap_or(0)
    }

    /// Ready records with a level in a range are ready no more. Tells which they were.
    pub(super) fn detach_ranked(&mut self, partition: u32, range: &Range<u64>) -> RunSet {
        self.ranks.as_mut().map_or_else(RunSet::new, |ranks| ranks.take(partition, range))
    }

    /// What of a range has a level is ready again. Tells which that is.
    pub(super) fn put_ranked_back(&mut self, partition: u32, range: Range<u64>) -> RunSet {
        let mut put = RunSet::new();
        let Some(ranks) = &mut self.ranks else { return put };
        let mut known = Vec::new();
        ranks.levels.clear(partition, range, |run, level| known.push((run, level)));
        for (run, level) in known {
            ranks.levels.fill(partition, run.clone(), level);
            ranks.put(partition, run.clone(), level);
            put.insert_range(run);
        }
        put
    }

    pub(super) fn forget_ranks(&mut self, partition: u32, range: &Range<u64>) {
        let Some(ranks) = &mut self.ranks else { return };
        ranks.forget(partition, range);
        if ranks.levels.is_empty() {
            self.ranks = None;
        }
    }

    /// Reads what [`Ranks::encode`] wrote; `None` if it does not fit the lanes.
    pub(super) fn read_ranks(&mut self, input: &mut Input<'_>) -> Option<()> {
        for _ in 0..input.uvarint()? {
            let partition = u32::try_from(input.uvarint()?).ok()?;
            let (first, count) = (input.uvarint()?, input.uvarint()?);
            let level = u8::try_from(input.uvarint()?).ok().filter(|level| *level > 0)?;
            let end = first.checked_add(count).filter(|end| count > 0 && *end <= self.end(partition))?;
            self.set_level(partition, first, end - first, level);
        }
        Some(())
    }
}
