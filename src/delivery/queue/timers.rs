//! Records of a queue view that something happens to at a time: they expire, or they become ready.
//!
//! A deadline belongs to a record that is there, ready or not: one that passes while its record is in flight is remembered, and the
//! record expires when it comes back. A record that waits is neither ready nor in flight. A view without either has none of this.

use std::ops::Range;

use super::RunSet;
use super::due::Due;
use super::state::{QueueState, Taken};
use crate::log::runs::OFFSET_MAX;

#[derive(Debug, Clone, Default)]
pub(super) struct Timers {
    /// Until when records are worth something.
    pub deadlines: Due,
    /// Records in flight or held back whose deadline is over, by partition.
    pub overdue: Vec<(u32, RunSet)>,
    /// From when on records are ready.
    pub waiting: Due,
    /// Until when records in flight are their taker's. It ends with the process, as claims do.
    pub leases: Due,
}

impl Timers {
    /// A range is done.
    pub fn forget(&mut self, partition: u32, range: Range<u64>) {
        self.deadlines.clear(partition, range.clone());
        self.waiting.clear(partition, range.clone());
        self.leases.clear(partition, range.clone());
        if let Some(overdue) = self.overdue_in(partition) {
            overdue.remove_range(range);
        }
    }

    fn overdue_in(&mut self, partition: u32) -> Option<&mut RunSet> {
        self.overdue.iter_mut().find(|(known, _)| *known == partition).map(|(_, overdue)| overdue)
    }

    fn set_overdue(&mut self, partition: u32, offset: u64) {
        match self.overdue_in(partition) {
            Some(overdue) => {
                overdue.insert(offset);
            }
            None => self.overdue.push((partition, RunSet::from_iter([offset]))),
        }
    }

    fn is_empty(&self) -> bool {
        let is_idle = self.deadlines.is_empty() && self.waiting.is_empty() && self.leases.is_empty();
        is_idle && self.overdue.iter().all(|(_, overdue)| overdue.is_empty())
    }

    /// Deadlines as they are written: what is overdue has been so for ever.
    pub fn all_deadlines(&self) -> Due {
        let mut all = self.deadlines.clone();
        for (partition, overdue) in &self.overdue {
            overdue.iter().for_each(|run| all.set(*partition, run, 0));
        }
        all
    }
}

impl QueueState {
    /// When something is due next, in milliseconds since 1970.
    pub fn next_due(&self) -> Option<i64> {
        let timers = self.timers.as_ref()?;
        [&timers.deadlines, &timers.waiting, &timers.leases].into_iter().filter_map(Due::next).min()
    }

    /// Whether a record waits for its time.
    pub(super) fn is_waiting(&self, partition: u32, offset: u64) -> bool {
        self.timers.as_ref().is_some_and(|timers| timers.waiting.time_of(partition, offset).is_some())
    }

    /// Whether any record waits for its time.
    pub(super) fn any_waits(&self) -> bool {
        self.timers.as_ref().is_some_and(|timers| !timers.waiting.is_empty())
    }

    /// Records that wait for their time.
    pub fn waiting(&self) -> u64 {
        self.timers.as_ref().map_or(0, |timers| timers.waiting.len())
    }

    /// Records `first..first + count` expire at a time, if they are not done by then.
    pub fn set_deadline(&mut self, partition: u32, first: u64, count: u64, time_ms: i64) {
        for range in self.undone(partition, first, count) {
            self.timers.get_or_insert_default().deadlines.set(partition, range, time_ms);
        }
    }

    /// Ready records of `first..first + count` are not ready before a time, and those that wait already wait until then.
    pub fn wait_until(&mut self, partition: u32, first: u64, count: u64, time_ms: i64) {
        let range = first..first.saturating_add(count).min(OFFSET_MAX);
        let Some(lane) = self.lanes.get(partition as usize) else { return };
        let fresh: Vec<_> = lane.gone.gaps_in(range.start.max(lane.cursor)..range.end.min(lane.end).max(lane.cursor)).collect();
        for run in fresh {
            self.change(partition, |lane| lane.take_fresh_range(run.clone()));
            self.timers.get_or_insert_default().waiting.set(partition, run, time_ms);
        }
        if let Some(timers) = &mut self.timers {
            for run in timers.waiting.within(partition, range.clone()) {
                timers.waiting.set(partition, run, time_ms);
            }
        }
        for run in self.detach_ranked(partition, &range).iter() {
            self.timers.get_or_insert_default().waiting.set(partition, run, time_ms);
        }
        let mut placed = Vec::new();
        self.change(partition, |lane| placed = lane.lift_placed(&range));
        for run in placed {
            self.timers.get_or_insert_default().waiting.set(partition, run, time_ms);
        }
    }

    /// Records of a range that were taken before and are not in flight.
    fn traced(&self, partition: u32, range: &Range<u64>) -> Vec<u64> {
        let Some(lane) = self.lanes.get(partition as usize).filter(|lane| !lane.history.is_empty()) else { return Vec::new() };
        if range.end - range.start <= lane.history.len() as u64 {
            return range.clone().filter(|offset| lane.history.contains_key(offset)).collect();
        }
        lane.history.keys().copied().filter(|offset| range.contains(offset)).collect()
    }

    /// Records whose waiting is over are ready. Tells how many.
    pub fn wake(&mut self, now_ms: i64) -> u64 {
        let mut count = 0;
        while let Some((partition, range)) = self.timers.as_mut().and_then(|timers| timers.waiting.take_due(now_ms, u64::MAX)) {
            count += range.end - range.start;
            let mut others = RunSet::new();
            others.insert_range(range.clone());
            for run in self.put_ranked_back(partition, range.clone()).iter() {
                others.remove_range(run);
            }
            for offset in self.traced(partition, &range) {
                if others.remove(offset) {
                    self.put_back(partition, offset);
                }
            }
            for run in others.iter() {
                self.change(partition, |lane| lane.make_ready(run));
            }
        }
        self.settle_timers();
        count
    }

    /// A record in flight is its taker's until a time. False if it is not in flight.
    pub fn lease(&mut self, partition: u32, offset: u64, until_ms: i64) -> bool {
        let is_taken = self.attempt(partition, offset).is_some();
        if is_taken {
            self.timers.get_or_insert_default().leases.set(partition, offset..offset + 1, until_ms);
        }
        is_taken
    }

    /// How often a record in flight was taken, this time included. A later claim of the same record has another number.
    pub fn attempt(&self, partition: u32, offset: u64) -> Option<u32> {
        self.lanes.get(partition as usize)?.in_flight.get(&offset).map(|trace| trace.acquired)
    }

    /// The next record in flight whose lease is over by a time; it still is in flight.
    pub fn lapse(&mut self, now_ms: i64) -> Option<(u32, u64)> {
        let (partition, range) = self.timers.as_mut()?.leases.take_due(now_ms, 1)?;
        Some((partition, range.start))
    }

    /// The next ready record that has expired by a time, taken and done; none: there is none.
    pub fn expire(&mut self, now_ms: i64) -> Option<Taken> {
        loop {
            let Some((partition, range)) = self.timers.as_mut()?.deadlines.take_due(now_ms, 1) else {
                self.settle_timers();
                return None;
            };
            let offset = range.start;
            let lane = self.lanes.get(partition as usize)?;
            if lane.in_flight.contains_key(&offset) || lane.held.contains(offset) {
                self.timers.get_or_insert_default().set_overdue(partition, offset);
            } else if let Some(taken) = self.discard(partition, offset) {
                return Some(taken);
            }
        }
    }

    /// A record that came back expires at once if its deadline passed meanwhile.
    pub(super) fn due_again(&mut self, partition: u32, offset: u64) {
        let Some(timers) = &mut self.timers else { return };
        timers.leases.clear(partition, offset..offset + 1);
        let is_overdue = timers.overdue_in(partition).is_some_and(|overdue| overdue.remove(offset));
        if is_overdue {
            timers.deadlines.set(partition, offset..offset + 1, 0);
        }
    }

    /// Records that were held back expire at once if their deadline passed meanwhile.
    pub(super) fn due_again_in(&mut self, partition: u32, range: Range<u64>) {
        let Some(timers) = &mut self.timers else { return };
        let Some(overdue) = timers.overdue_in(partition) else { return };
        let runs: Vec<_> = overdue.runs_in(range.clone()).collect();
        overdue.remove_range(range);
        runs.into_iter().for_each(|run| timers.deadlines.set(partition, run, 0));
    }

    /// A record that is ready or waits, taken and done.
    pub fn discard(&mut self, partition: u32, offset: u64) -> Option<Taken> {
        if !self.is_waiting(partition, offset) && !self.detach_at(partition, offset) {
            return None;
        }
        let lane = self.lanes.get_mut(partition as usize)?;
        let trace = lane.history.remove(&offset);
        let (acquired, delivered) = trace.map_or((0, 0), |trace| (trace.acquired, trace.delivered));
        let redelivered = acquired > 0 || offset < lane.recovered_below;
        lane.finish(offset);
        self.forget(partition, offset..offset + 1);
        Some(Taken { partition, offset, redelivered, acquired, delivered })
    }

    pub(super) fn forget_timers(&mut self, partition: u32, range: Range<u64>) {
        if let Some(timers) = &mut self.timers {
            timers.forget(partition, range);
        }
    }

    fn settle_timers(&mut self) {
        if self.timers.as_ref().is_some_and(|timers| timers.is_empty()) {
            self.timers = None;
        }
    }

    /// What of a range that is known is not done.
    pub(super) fn undone(&self, partition: u32, first: u64, count: u64) -> Vec<Range<u64>> {
        let Some(lane) = self.lanes.get(partition as usize) else { return Vec::new() };
        let range = first.max(lane.floor)..first.saturating_add(count).min(OFFSET_MAX).min(lane.end);
        if range.is_empty() { Vec::new() } else { lane.done.gaps_in(range).collect() }
    }
}
