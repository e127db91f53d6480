//! What a queue view knows of one partition.
//!
//! Every offset in `floor..end` is done, in flight, placed or fresh. Fresh is what is left: at or above `cursor` and not in `gone`. The
//! cursor is never itself gone, so the next fresh record costs nothing to find. Whatever is placed has a place below the cursor, so
//! it comes before everything fresh. `hidden` is `gone` and the broadcast records together, and exists only while there are any.

use std::ops::Range;

use super::place::Place;
use super::placed::{Placed, PlacedRun};
use super::seldom::Seldom;
use super::traces::Traces;
use super::{Class, End, Kind, RunSet};

/// Below this many runs `hidden` is cheap to build again, and is dropped when nothing needs it.
const HIDDEN_KEPT_FROM_RUNS: usize = 16;

/// What is remembered of a record that was taken once: where it belongs, and how it fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trace {
    /// Where it goes when it comes back.
    pub place: Place,
    /// Times it was taken.
    pub acquired: u32,
    /// Times it came back as failed.
    pub delivered: u32,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Lane {
    /// Everything below is done.
    pub floor: u64,
    /// The lowest fresh offset, or the end.
    pub cursor: u64,
    pub end: u64,
    /// Records below may have been delivered before a restart.
    pub recovered_below: u64,
    /// Done, above the floor.
    pub done: RunSet,
    /// Not fresh, above the cursor.
    pub gone: RunSet,
    /// Of what is gone: held back until it is known whether it counts.
    pub held: Seldom<RunSet>,
    /// Written with [`Kind::Broadcast`] and not done.
    pub broadcast: RunSet,
    hidden: Option<Box<RunSet>>,
    /// What stands at an explicit place; broadcast records apart.
    pub placed: [Seldom<Placed>; 2],
    pub in_flight: Traces,
    /// Traces of records that are ready.
    pub history: Traces,
}

impl Lane {
    /// A lane without claims. `done` and `broadcast` lie in `bounds`.
    pub fn restored(bounds: Range<u64>, done: RunSet, broadcast: RunSet) -> Self {
        let (floor, end) = (bounds.start, bounds.end);
        let mut lane = Lane { floor, cursor: floor, end, gone: done.clone(), done, broadcast, ..Lane::default() };
        lane.settle_cursor();
        lane.hide_broadcast(bounds);
        lane
    }

    /// Ready records.
    pub fn ready(&self, class: Class) -> u64 {
        (self.end - self.cursor) - self.passed_over(class).len() + self.placed_count(class)
    }

    /// How many records stand at an explicit place, as far as this class sees them.
    pub fn placed_count(&self, class: Class) -> u64 {
        let [plain, broadcast] = &self.placed;
        plain.count() + if class == Class::All { broadcast.count() } else { 0 }
    }

    /// What stands at an explicit place, as far as this class sees it.
    pub fn placed(&self, class: Class) -> impl Iterator<Item = &Placed> {
        let [plain, broadcast] = &self.placed;
        [Some(&**plain), (class == Class::All).then_some(&**broadcast)].into_iter().flatten()
    }

    /// Offset and place of the first or last of what stands at an explicit place.
    pub fn placed_at(&self, end: End, class: Class) -> Option<(u64, Place)> {
        let found = self.placed(class).filter_map(|placed| placed.at(end));
        match end {
            End::Head => found.min_by_key(|(_, place)| *place),
            End::Tail => found.max_by_key(|(_, place)| *place),
        }
    }

    /// What a scan for fresh records of this class leaves out.
    pub fn passed_over(&self, class: Class) -> &RunSet {
        match (class, &self.hidden) {
            (Class::Queued, Some(hidden)) => hidden,
            (Class::Queued, None) | (Class::All, _) => &self.gone,
        }
    }

    pub fn fresh_head(&self, class: Class) -> Option<u64> {
        let offset = match (class, &self.hidden) {
            (Class::Queued, Some(hidden)) => hidden.next_absent(self.cursor),
            (Class::Queued, None) | (Class::All, _) => self.cursor,
        };
        (offset < self.end).then_some(offset)
    }

    pub fn fresh_tail(&self, class: Class) -> Option<u64> {
        let passed_over = self.passed_over(class);
        let offset = if passed_over.is_empty() { self.end.checked_sub(1) } else { passed_over.prev_absent(self.end) };
        offset.filter(|offset| *offset >= self.cursor)
    }

    pub fn is_broadcast(&self, offset: u64) -> bool {
        !self.broadcast.is_empty() && self.broadcast.contains(offset)
    }

    pub fn is_done(&self, offset: u64) -> bool {
        offset < self.floor || self.done.contains(offset)
    }

    /// Records `range` were appended. What lies between the end and them is taken to be no records.
    pub fn extend(&mut self, range: Range<u64>, kind: Kind) {
        if range.is_empty() {
            return;
        }
        if range.start > self.end {
            let gap = self.end..range.start;
            self.reach(gap.end);
            self.finish_range(gap);
        }
        self.reach(range.end);
        if kind == Kind::Broadcast {
            self.add_broadcast(range);
        }
    }

    /// Lets the lane end at `end` at least; what is new is fresh.
    pub fn reach(&mut self, end: u64) {
        self.end = self.end.max(end);
    }

    /// Marks what is not done of `range`, and was given no place of its own, as broadcast.
    fn add_broadcast(&mut self, range: Range<u64>) {
        let range = range.start.max(self.floor)..range.end.max(self.floor);
        let undone: Vec<_> = self.done.gaps_in(range.clone()).collect();
        for part in undone {
            self.broadcast.insert_range(part);
        }
        let [plain, broadcast] = &mut self.placed;
        for run in plain.if_any().map(|plain| plain.remove_range(range.clone())).unwrap_or_default() {
            if run.is_natural() {
                broadcast.insert(run);
            } else {
                self.broadcast.remove_range(run.first..run.end());
                plain.insert(run);
            }
        }
        self.hide_broadcast(range);
    }

    /// Makes class `Queued` pass over the broadcast records; `new` are those that it does not yet.
    fn hide_broadcast(&mut self, new: Range<u64>) {
        if self.broadcast.is_empty() {
            return;
        }
        let (mut hidden, from) = match self.hidden.take() {
            Some(hidden) => (hidden, new.start.max(self.cursor)),
            None => (Box::new(self.gone.clone()), self.cursor),
        };
        for run in self.broadcast.runs_in(from..self.end.max(from)) {
            hidden.insert_range(run);
        }
        self.hidden = Some(hidden);
    }

    /// A fresh record is no longer.
    pub fn take_fresh(&mut self, offset: u64) {
        if offset == self.cursor {
            self.cursor += 1;
            self.settle_cursor();
        } else {
            self.take_fresh_range(offset..offset + 1);
        }
    }

    /// Whatever of `range` is fresh is no longer.
    pub fn take_fresh_range(&mut self, range: Range<u64>) {
        let range = range.start.max(self.cursor)..range.end;
        if range.start == self.cursor && range.end > self.cursor {
            self.cursor = range.end;
            self.gone.remove_below(self.cursor);
        } else {
            self.gone.insert_range(range.clone());
            if let Some(hidden) = &mut self.hidden {
                hidden.insert_range(range);
            }
        }
        self.settle_cursor();
    }

    /// Whatever of `range` is fresh waits until it is delivered or done.
    pub fn hold(&mut self, range: Range<u64>) {
        let fresh: Vec<_> = self.gone.gaps_in(range.start.max(self.cursor)..range.end.min(self.end)).collect();
        for part in fresh {
            self.take_fresh_range(part.clone());
            self.held.insert_range(part);
        }
    }

    /// Whatever of `range` is held is ready, at its own place.
    pub fn deliver(&mut self, range: Range<u64>) {
        let parts: Vec<_> = self.held.runs_in(range).collect();
        for part in parts {
            self.held.remove_range(part.clone());
            self.make_ready(part);
        }
    }

    /// Moves the cursor over what is gone.
    fn settle_cursor(&mut self) {
        if let Some(end) = self.gone.take_run_from(self.cursor) {
            self.cursor = end;
        }
        if let Some(hidden) = &mut self.hidden {
            hidden.remove_below(self.cursor);
        }
    }

    /// A record above the cursor is fresh again.
    pub fn make_fresh(&mut self, offset: u64) {
        self.gone.remove(offset);
        let broadcast = self.is_broadcast(offset);
        if let Some(hidden) = &mut self.hidden
            && !broadcast
        {
            hidden.remove(offset);
        }
    }

    /// Neighbours that were neither done nor in flight nor placed are ready at their own places: fresh, and the cursor goes back to them.
    pub fn make_ready(&mut self, range: Range<u64>) {
        let range = range.start.max(self.floor)..range.end.min(self.end);
        if range.is_empty() {
            return;
        }
        if range.start < self.cursor && self.placed.iter().any(|placed| !placed.is_empty()) {
            // What is placed comes before what is fresh, so among it this is placed too, where it is already.
            range.for_each(|offset| self.put_back(offset, Place::of(offset)));
            return;
        }
        // What lies between them and the cursor is not fresh.
        let between = range.end.min(self.cursor)..self.cursor;
        self.cursor = self.cursor.min(range.start);
        self.gone.insert_range(between.clone());
        self.gone.remove_range(range.clone());
        if let Some(hidden) = &mut self.hidden {
            hidden.insert_range(between);
            hidden.remove_range(range.clone());
            for run in self.broadcast.runs_in(range) {
                hidden.insert_range(run);
            }
        }
    }

    /// A record that is neither fresh nor at the front is done.
    pub fn finish(&mut self, offset: u64) {
        if offset == self.floor {
            self.floor += 1;
            self.settle_floor();
        } else {
            self.done.insert(offset);
        }
        if !self.broadcast.is_empty() {
            self.broadcast.remove(offset);
            self.forget_hidden();
        }
    }

    /// All of `range` is done, whatever it was; tells how many claims end with it.
    pub fn finish_range(&mut self, range: Range<u64>) -> u64 {
        let claims = self.in_flight.remove_in(&range).len() as u64;
        self.history.remove_in(&range);
        let range = range.start.max(self.floor)..range.end;
        if range.is_empty() {
            return claims;
        }
        self.reach(range.end);
        self.take_fresh_range(range.clone());
        for placed in self.placed.iter_mut().filter_map(Seldom::if_any) {
            placed.remove_range(range.clone());
        }
        self.broadcast.remove_range(range.clone());
        if let Some(held) = self.held.if_any() {
            held.remove_range(range.clone());
        }
        if range.start == self.floor {
            self.floor = range.end;
            self.done.remove_below(self.floor);
            self.settle_floor();
        } else {
            self.done.insert_range(range);
        }
        self.forget_hidden();
        claims
    }

    fn settle_floor(&mut self) {
        if let Some(end) = self.done.take_run_from(self.floor) {
            self.floor = end;
        }
    }

    fn forget_hidden(&mut self) {
        if self.hidden.is_some() && self.broadcast.is_empty() && self.gone.run_count() < HIDDEN_KEPT_FROM_RUNS {
            self.hidden = None;
        }
    }

    /// The place of a record that is not done.
    pub fn place_of(&self, offset: u64) -> Place {
        let traced = |traces: &Traces| traces.get(&offset).map(|trace| trace.place);
        // What is remembered of a record that stands somewhere may be older than where it stands.
        let known = traced(&self.in_flight).or_else(|| self.explicit_place_of(offset)).or_else(|| traced(&self.history));
        known.unwrap_or(Place::of(offset))
    }

    /// Where a ready record stands, if it is not fresh.
    pub fn explicit_place_of(&self, offset: u64) -> Option<Place> {
        self.placed.iter().find_map(|placed| placed.place_of(offset))
    }

    /// A placed record is no longer. False if it is not placed.
    pub fn take_placed(&mut self, offset: u64) -> bool {
        self.placed.iter_mut().filter_map(Seldom::if_any).any(|placed| placed.remove(offset))
    }

    /// What is fresh at or below a place is placed, where it is already, so that something can stand behind it.
    pub fn uncover(&mut self, place: Place) {
        let Ok(upto) = u64::try_from(place.base) else { return };
        let upto = upto.saturating_add(1).min(self.end);
        if upto <= self.cursor {
            return;
        }
        let fresh: Vec<_> = self.gone.gaps_in(self.cursor..upto).collect();
        self.take_fresh_range(self.cursor..upto);
        for run in fresh {
            for plain in self.broadcast.gaps_in(run.clone()) {
                place_natural(&mut self.placed[0], plain);
            }
            for broadcast in self.broadcast.runs_in(run) {
                place_natural(&mut self.placed[1], broadcast);
            }
        }
    }

    /// What is placed of a range is no longer, and goes back to its places when it is ready again. Tells what that was.
    pub fn lift_placed(&mut self, range: &Range<u64>) -> Vec<Range<u64>> {
        let lifted: Vec<_> =
            self.placed.iter_mut().filter_map(Seldom::if_any).flat_map(|placed| placed.remove_range(range.clone())).collect();
        for run in &lifted {
            if run.is_natural() && self.history.is_empty() {
                continue;
            }
            for offset in run.first..run.end() {
                let place = run.place_of(offset);
                if !self.history.set_place(offset, place) && !run.is_natural() {
                    self.history.insert(offset, Trace { place, acquired: 0, delivered: 0 });
                }
            }
        }
        lifted.iter().map(|run| run.first..run.end()).collect()
    }

    /// What is fresh before something placed is placed too.
    pub fn settle_placed(&mut self) {
        if let Some((_, place)) = self.placed_at(End::Tail, Class::All) {
            self.uncover(place);
        }
    }

    /// A record that is neither fresh nor placed is ready at its place. Where something stands there, it goes right behind it.
    pub fn put_back(&mut self, offset: u64, mut place: Place) {
        let of_kind = usize::from(self.is_broadcast(offset));
        if let Some(placed) = self.placed.get_mut(of_kind) {
            while !placed.insert(PlacedRun::single(offset, place)) && place.step < u64::MAX {
                place.step += 1;
            }
        }
    }
}

/// Places records where they are already, between the records of a run where it must be.
fn place_natural(placed: &mut Placed, range: Range<u64>) {
    if !placed.insert(PlacedRun::natural(range.clone())) {
        for offset in range {
            placed.insert(PlacedRun::single(offset, Place::of(offset)));
        }
    }
}
