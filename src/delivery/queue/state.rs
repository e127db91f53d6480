//! The state machine of one queue view over a topic with any number of partitions.
//!
//! Order: what has a level comes first; then what stands at an explicit place, by place; then fresh records, each partition in its own order, the
//! partitions in turn. A record's place is its offset until it is given another: at the front, or beside a record.
//!
//! Natural replay is `extend` first, then the operation. An operation that names records beyond the end extends the partition itself,
//! and a later `extend` over them only adds their kind.

use std::ops::Range;

use bytes::Bytes;
use smallvec::SmallVec;

use super::keys::Keys;
use super::lane::{Lane, Trace};
use super::marks::Weights;
use super::place::Place;
use super::placed::PlacedRun;
use super::ranks::Ranks;
use super::seen::Seen;
use super::timers::Timers;
use super::{Class, End, FailureSpread, Kind, RunSet, StateOp};
use crate::log::runs::{OFFSET_MAX, PLACE_MIN};

/// A record that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// The partition it lies in.
    pub partition: u32,
    /// Its offset there.
    pub offset: u64,
    /// True if it may have been delivered before.
    pub redelivered: bool,
    /// Times that it was taken, this one included.
    pub acquired: u32,
    /// Times that it came back as failed.
    pub delivered: u32,
}

/// Which records of a partition a view still needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needed {
    /// The lowest offset that is needed; the end of the partition if none is.
    pub floor: u64,
    /// Offsets above the floor that are not.
    pub gone: RunSet,
}

/// An operation named a partition that the queue does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the queue has no partition {0}")]
pub struct UnknownPartition(pub u32);

/// Where a ready record waits.
#[derive(Debug, Clone, Copy)]
pub(super) enum Home {
    /// Before the others, by its level.
    Ranked,
    Placed(Place),
    Fresh,
    /// Until its key is free; the place that it goes back to.
    Aside(Place),
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Spot {
    pub partition: u32,
    pub offset: u64,
    pub home: Home,
}

/// All that is known of one queue view.
#[derive(Debug, Clone)]
pub struct QueueState {
    pub(super) lanes: Vec<Lane>,
    pub(super) next_front_place: i64,
    /// The partition whose fresh records are next.
    pub(super) turn: u32,
    /// Ready records in the lanes, for class `All` and `Queued`: those without a level.
    in_lanes: [u64; 2],
    /// Ready records at an explicit place.
    placed: u64,
    in_flight: u64,
    // What nearly no queue has.
    pub(super) timers: Option<Box<Timers>>,
    pub(super) ranks: Option<Box<Ranks>>,
    pub(super) weights: Option<Box<Weights>>,
    pub(super) seen: Option<Box<Seen>>,
    pub(super) keys: Option<Box<Keys>>,
}

impl QueueState {
    /// An empty queue over that many partitions, each from offset 0. A view that begins later [passes](Self::pass) what is before.
    pub fn new(partitions: u32) -> Self {
        let lanes = (0..partitions).map(|_| Lane::default()).collect();
        Self::from_lanes(lanes, -1)
    }

    /// A queue of these lanes, nothing in flight.
    pub(super) fn from_lanes(lanes: Vec<Lane>, next_front_place: i64) -> Self {
        let ready = |class| lanes.iter().map(|lane| lane.ready(class)).sum();
        let (in_lanes, placed) = ([ready(Class::All), ready(Class::Queued)], lanes.iter().map(placed_count).sum());
        QueueState {
            lanes,
            next_front_place,
            turn: 0,
            in_lanes,
            placed,
            in_flight: 0,
            timers: None,
            ranks: None,
            weights: None,
            seen: None,
            keys: None,
        }
    }

    /// Partitions that the queue reads.
    pub fn partition_count(&self) -> u32 {
        self.lanes.len() as u32
    }

    /// Reads at least `total` partitions from now on.
    pub fn add_partitions(&mut self, total: u32) {
        if total as usize > self.lanes.len() {
            self.lanes.resize_with(total as usize, Lane::default);
        }
    }

    /// The offset after the last record known of a partition.
    pub fn end(&self, partition: u32) -> u64 {
        self.lanes.get(partition as usize).map_or(0, |lane| lane.end)
    }

    /// Records that could be taken now.
    pub fn ready(&self, class: Class) -> u64 {
        let apart = self.ranks.as_ref().map_or(0, |ranks| ranks.ready()) + self.aside();
        let [all, queued] = self.in_lanes;
        apart + if class == Class::All { all } else { queued }
    }

    /// Records taken and neither accepted nor released.
    pub fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// How often the records that are ready or in flight came back as failed.
    pub fn failures(&self) -> FailureSpread {
        let mut spread = FailureSpread::default();
        for traces in self.lanes.iter().flat_map(|lane| [&lane.history, &lane.in_flight]) {
            spread.add(&traces.spread());
        }
        // Most records have never been taken, and nothing is remembered of them.
        let [never, failed @ ..] = &mut spread.0;
        *never = (self.ready(Class::All) + self.in_flight).saturating_sub(failed.iter().sum());
        spread
    }

    /// What must not be removed from a partition; `None` for a partition that the queue does not have.
    pub fn needed(&self, partition: u32) -> Option<Needed> {
        let lane = self.lanes.get(partition as usize)?;
        Some(Needed { floor: lane.floor, gone: lane.done.clone() })
    }

    /// The lowest offset that is needed, without the rest of [`Self::needed`].
    pub fn floor(&self, partition: u32) -> u64 {
        self.lanes.get(partition as usize).map_or(0, |lane| lane.floor)
    }

    /// `count` records were appended from `base` on. Offsets between the end so far and `base` hold no record.
    pub fn extend(&mut self, partition: u32, base: u64, count: u64, kind: Kind) {
        let range = base..base.saturating_add(count).min(OFFSET_MAX);
        self.change(partition, |lane| lane.extend(range, kind));
    }

    /// Offsets that hold nothing for this view: before its beginning, or a control record.
    pub fn pass(&mut self, partition: u32, base: u64, count: u64) {
        self.finish_range(partition, base..base.saturating_add(count).min(OFFSET_MAX));
    }

    /// What is ready of `range` waits: nobody takes it before it is delivered, nobody ever if it is passed.
    pub fn hold(&mut self, partition: u32, range: Range<u64>) {
        self.change(partition, |lane| lane.hold(range));
    }

    /// What is held of `range` is ready, each record at its own place.
    pub fn deliver(&mut self, partition: u32, range: Range<u64>) {
        self.change(partition, |lane| lane.deliver(range.clone()));
        self.due_again_in(partition, range);
    }

    /// The log no longer holds what is below `to`. Tells how many records the queue lost that way.
    pub fn advance_log_start(&mut self, partition: u32, to: u64) -> u64 {
        let held = |queue: &Self| queue.ready(Class::All) + queue.in_flight + queue.waiting();
        let before = held(self);
        self.finish_range(partition, 0..to.min(self.end(partition)));
        let lost = before - held(self);
        self.finish_range(partition, 0..to.min(OFFSET_MAX));
        lost
    }

    /// Takes the first record; it is in flight until it is accepted or released.
    pub fn take(&mut self, class: Class) -> Option<Taken> {
        self.take_from(End::Head, class)
    }

    /// Takes a record from either end; it is in flight until it is accepted or released.
    pub fn take_from(&mut self, end: End, class: Class) -> Option<Taken> {
        let spot = self.find(end, class)?;
        self.detach(end, spot);
        self.fly(spot)
    }

    /// A record that was just detached is in flight.
    pub(super) fn fly(&mut self, spot: Spot) -> Option<Taken> {
        let lane = self.lanes.get_mut(spot.partition as usize)?;
        let (taken, trace) = taken(lane, spot);
        lane.in_flight.insert(spot.offset, trace);
        self.in_flight += 1;
        Some(taken)
    }

    /// Takes a record from either end and accepts it at once.
    pub fn pop(&mut self, end: End, class: Class) -> Option<Taken> {
        let spot = self.find(end, class)?;
        self.detach(end, spot);
        let lane = self.lanes.get_mut(spot.partition as usize)?;
        let (taken, _) = taken(lane, spot);
        lane.finish(spot.offset);
        self.forget(spot.partition, spot.offset..spot.offset + 1);
        Some(taken)
    }

    /// A record in flight is done. False if it was not in flight.
    pub fn accept(&mut self, partition: u32, offset: u64) -> bool {
        let Some(lane) = self.lanes.get_mut(partition as usize) else { return false };
        if lane.in_flight.remove(&offset).is_none() {
            return false;
        }
        lane.finish(offset);
        self.in_flight -= 1;
        self.forget(partition, offset..offset + 1);
        true
    }

    /// A record in flight goes back to its place; `failed` counts it as a delivery that did. False if it was not in flight.
    pub fn release(&mut self, partition: u32, offset: u64, failed: bool) -> bool {
        let Some(lane) = self.lanes.get_mut(partition as usize) else { return false };
        let Some(mut trace) = lane.in_flight.remove(&offset) else { return false };
        self.in_flight -= 1;
        trace.delivered = trace.delivered.saturating_add(u32::from(failed));
        lane.history.insert(offset, trace);
        if !self.put_aside_again(partition, offset) {
            self.put_back(partition, offset);
        }
        self.due_again(partition, offset);
        true
    }

    /// A record that was taken before is ready again, at its place.
    pub(super) fn put_back(&mut self, partition: u32, offset: u64) {
        if self.ranks.is_some() && !self.put_ranked_back(partition, offset..offset + 1).is_empty() {
            return;
        }
        self.change(partition, |lane| {
            let place = lane.place_of(offset);
            if place == Place::of(offset) && offset >= lane.cursor {
                lane.make_fresh(offset);
            } else {
                lane.uncover(place);
                lane.put_back(offset, place);
            }
        });
    }

    /// A record that is ready is so no more, wherever it stood. False if it is not ready.
    pub(super) fn detach_at(&mut self, partition: u32, offset: u64) -> bool {
        if self.detach_aside(partition, offset) {
            return true;
        }
        if self.ranks.is_some() && !self.detach_ranked(partition, &(offset..offset + 1)).is_empty() {
            return true;
        }
        let mut is_ready = false;
        self.change(partition, |lane| {
            if let Some(place) = lane.explicit_place_of(offset) {
                // What comes back goes there.
                lane.history.set_place(offset, place);
                is_ready = lane.take_placed(offset);
            } else if (lane.cursor..lane.end).contains(&offset) && !lane.gone.contains(offset) {
                lane.take_fresh(offset);
                is_ready = true;
            }
        });
        is_ready
    }

    /// How often a ready or in-flight record came back as failed.
    pub fn delivered(&self, partition: u32, offset: u64) -> u32 {
        let lane = self.lanes.get(partition as usize);
        let trace = lane.and_then(|lane| lane.in_flight.get(&offset).or_else(|| lane.history.get(&offset)));
        trace.map_or(0, |trace| trace.delivered)
    }

    /// Records `first..first + count` were each in turn placed at the head, so the last of them is now the first of the queue.
    /// False if that cannot be: the partition is unknown, or there are no places left.
    pub fn place_front(&mut self, partition: u32, first: u64, count: u64) -> bool {
        let range = first..first.saturating_add(count).min(OFFSET_MAX);
        if range.is_empty() || partition >= self.partition_count() {
            return range.is_empty();
        }
        let top = self.next_front_place;
        let next = top.saturating_sub_unsigned(range.end - range.start);
        if next < PLACE_MIN {
            return false;
        }
        self.next_front_place = next;
        self.change(partition, |lane| place_front(lane, range, top));
        true
    }

    /// Accepts everything that is ready; what is in flight stays. Tells how many records that were, and what to keep of it.
    pub fn purge(&mut self, class: Class) -> (u64, StateOp) {
        let below = |lane: &Lane| {
            let mut kept = RunSet::clone(&lane.held);
            for offset in lane.in_flight.keys() {
                kept.insert(*offset);
            }
            (lane.end, kept)
        };
        let partitions = (0_u32..).zip(self.lanes.iter().map(below)).map(|(p, (end, kept))| (p, end, kept)).collect();
        let before = self.ready(class);
        let op = StateOp::Purge { class, partitions };
        let _ = self.apply(&op);
        (before - self.ready(class), op)
    }

    /// Does again what an operation did. Applying one twice changes nothing, save for `Front`.
    ///
    /// # Errors
    /// [`UnknownPartition`]; what the operation says of other partitions is done.
    pub fn apply(&mut self, op: &StateOp) -> Result<(), UnknownPartition> {
        match op {
            StateOp::Accept { partition, runs } => {
                self.known(*partition)?;
                runs.iter().for_each(|run| self.finish_range(*partition, run));
            }
            StateOp::Front { partition, first, count } => {
                self.known(*partition)?;
                self.place_front(*partition, *first, *count);
            }
            StateOp::Place { partition, offset, place } => {
                self.known(*partition)?;
                self.place(*partition, *offset, *place);
            }
            StateOp::Failed { partition, offset, delivered } => {
                self.known(*partition)?;
                self.apply_failed(*partition, *offset, *delivered);
            }
            StateOp::Mark { mark, partition, first, count, value } => {
                self.known(*partition)?;
                self.mark_again(*mark, *partition, *first, *count, *value);
            }
            StateOp::Seen { id, until_ms } => self.remember(id.clone(), *until_ms, i64::MIN, usize::MAX),
            StateOp::Purge { class, partitions } => {
                let mut unknown = None;
                for (partition, below, kept) in partitions {
                    match self.known(*partition) {
                        Ok(()) => self.apply_purge(*partition, *below, kept, *class),
                        Err(error) => unknown = Some(error),
                    }
                }
                return unknown.map_or(Ok(()), Err);
            }
        }
        Ok(())
    }

    /// Whether an id was written and is still remembered.
    pub fn knows(&self, id: &[u8], now_ms: i64) -> bool {
        self.seen.as_ref().is_some_and(|seen| seen.knows(id, now_ms))
    }

    /// An id was written: it is remembered until a time, or until there are more than `most` newer ones.
    pub fn remember(&mut self, id: Bytes, until_ms: i64, now_ms: i64, most: usize) {
        self.seen.get_or_insert_default().remember(id, until_ms, now_ms, most);
    }

    /// Remembers the ids that another queue has seen, which forgets them.
    pub fn keep_seen(&mut self, other: &mut Self) {
        self.seen = other.seen.take();
    }

    /// Every record known so far may have been delivered before, as far as anyone can say after a crash.
    pub fn mark_recovered(&mut self) {
        self.lanes.iter_mut().for_each(|lane| lane.recovered_below = lane.end);
    }

    fn known(&self, partition: u32) -> Result<(), UnknownPartition> {
        if (partition as usize) < self.lanes.len() { Ok(()) } else { Err(UnknownPartition(partition)) }
    }

    fn apply_failed(&mut self, partition: u32, offset: u64, delivered: u32) {
        self.change(partition, |lane| {
            lane.reach(offset.saturating_add(1).min(OFFSET_MAX));
            if lane.is_done(offset) {
                return;
            }
            let place = lane.place_of(offset);
            let traces = if lane.in_flight.contains_key(&offset) { &mut lane.in_flight } else { &mut lane.history };
            let acquired = traces.get(&offset).map_or(0, |trace| trace.acquired).max(delivered);
            traces.insert(offset, Trace { place, acquired, delivered });
        });
    }

    fn apply_purge(&mut self, partition: u32, below: u64, kept: &RunSet, class: Class) {
        self.change(partition, |lane| lane.reach(below));
        let Some(lane) = self.lanes.get(partition as usize) else { return };
        let mut spared = kept.clone();
        if class == Class::Queued {
            for run in lane.broadcast.iter() {
                spared.insert_range(run);
            }
        }
        let floor = lane.floor.min(below);
        for gap in spared.gaps_in(floor..below) {
            self.finish_range(partition, gap);
        }
    }

    /// All of `range` is done, whatever it was.
    fn finish_range(&mut self, partition: u32, range: Range<u64>) {
        self.forget(partition, range.clone());
        let mut claims = 0;
        self.change(partition, |lane| claims = lane.finish_range(range));
        self.in_flight -= claims;
    }

    /// Changes a lane and keeps the counts true.
    pub(super) fn change(&mut self, partition: u32, change: impl FnOnce(&mut Lane)) {
        let Some(lane) = self.lanes.get_mut(partition as usize) else { return };
        let before = [lane.ready(Class::All), lane.ready(Class::Queued), placed_count(lane)];
        change(lane);
        self.in_lanes[0] = self.in_lanes[0] + lane.ready(Class::All) - before[0];
        self.in_lanes[1] = self.in_lanes[1] + lane.ready(Class::Queued) - before[1];
        self.placed = self.placed + placed_count(lane) - before[2];
    }

    /// The record at an end, which stays ready.
    pub fn peek(&self, end: End, class: Class) -> Option<(u32, u64)> {
        self.find(end, class).map(|spot| (spot.partition, spot.offset))
    }

    /// What was found at an end is ready no more.
    pub(super) fn detach(&mut self, end: End, spot: Spot) {
        match spot.home {
            Home::Placed(_) => self.change(spot.partition, |lane| {
                let taken = lane.take_placed(spot.offset);
                debug_assert!(taken, "what was found at an end is there");
            }),
            Home::Ranked => {
                self.detach_ranked(spot.partition, &(spot.offset..spot.offset + 1));
            }
            Home::Fresh => {
                self.change(spot.partition, |lane| lane.take_fresh(spot.offset));
                if end == End::Head {
                    self.turn = if spot.partition + 1 < self.partition_count() { spot.partition + 1 } else { 0 };
                }
            }
            Home::Aside(_) => drop(self.detach_aside(spot.partition, spot.offset)),
        }
    }

    /// Finds the record at an end, whoever may have it.
    fn find(&self, end: End, class: Class) -> Option<Spot> {
        match end {
            End::Head => self.aside_at(end).or_else(|| self.find_unheld(end, class)),
            End::Tail => self.find_unheld(end, class).or_else(|| self.aside_at(end)),
        }
    }

    /// Finds the record at an end, among those that are not set aside.
    pub(super) fn find_unheld(&self, end: End, class: Class) -> Option<Spot> {
        match end {
            End::Head => self.ranked(end).or_else(|| self.placed(end, class)).or_else(|| self.fresh_head(class)),
            End::Tail => self.fresh_tail(class).or_else(|| self.placed(end, class)).or_else(|| self.ranked(end)),
        }
    }

    /// The first or last record with a level.
    fn ranked(&self, end: End) -> Option<Spot> {
        let (partition, offset) = self.ranks.as_ref()?.at(end)?;
        Some(Spot { partition, offset, home: Home::Ranked })
    }

    /// The partitions from the one whose turn it is.
    pub(super) fn cycle(&self) -> impl DoubleEndedIterator<Item = (u32, &Lane)> {
        let order = (self.turn..self.partition_count()).chain(0..self.turn);
        order.filter_map(|partition| self.lanes.get(partition as usize).map(|lane| (partition, lane)))
    }

    fn fresh_head(&self, class: Class) -> Option<Spot> {
        self.cycle()
            .find_map(|(partition, lane)| lane.fresh_head(class).map(|offset| Spot { partition, offset, home: Home::Fresh }))
    }

    fn fresh_tail(&self, class: Class) -> Option<Spot> {
        self.cycle()
            .rev()
            .find_map(|(partition, lane)| lane.fresh_tail(class).map(|offset| Spot { partition, offset, home: Home::Fresh }))
    }

    /// The first or last of the records at an explicit place.
    fn placed(&self, end: End, class: Class) -> Option<Spot> {
        if self.placed == 0 {
            return None;
        }
        let found = (0_u32..).zip(&self.lanes).filter_map(|(partition, lane)| {
            let (offset, place) = lane.placed_at(end, class)?;
            Some(((place, partition), Spot { partition, offset, home: Home::Placed(place) }))
        });
        let nearest = match end {
            End::Head => found.min_by_key(|(key, _)| *key),
            End::Tail => found.max_by_key(|(key, _)| *key),
        };
        nearest.map(|(_, spot)| spot)
    }
}

#[cfg(test)]
impl QueueState {
    /// About what the state takes beside the records, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        let of_lane = |lane: &Lane| {
            let sets = [&lane.done, &lane.gone, &lane.broadcast].map(|set| set.run_count().next_multiple_of(11) * 16);
            let placed = lane.placed(Class::All).map(super::placed::Placed::memory_bytes);
            let traces = (lane.in_flight.len() + lane.history.len()) * size_of::<(u64, Trace)>();
            size_of::<Lane>() + sets.iter().sum::<usize>() + placed.sum::<usize>() + traces
        };
        size_of::<Self>() + self.lanes.iter().map(of_lane).sum::<usize>()
    }
}

fn placed_count(lane: &Lane) -> u64 {
    lane.placed_count(Class::All)
}

/// What the taker is told, and what is remembered, of a record that was just detached.
fn taken(lane: &mut Lane, spot: Spot) -> (Taken, Trace) {
    let known = if lane.history.is_empty() { None } else { lane.history.remove(&spot.offset) };
    let (acquired, delivered) = known.map_or((0, 0), |trace| (trace.acquired, trace.delivered));
    let acquired = acquired.saturating_add(1);
    let redelivered = acquired > 1 || spot.offset < lane.recovered_below;
    let place = match spot.home {
        Home::Placed(place) | Home::Aside(place) => place,
        Home::Fresh | Home::Ranked => Place::of(spot.offset),
    };
    let Spot { partition, offset, .. } = spot;
    (Taken { partition, offset, redelivered, acquired, delivered }, Trace { place, acquired, delivered })
}

/// Whatever of `range` is fresh goes to the front, the first of the range to place `top`.
fn place_front(lane: &mut Lane, range: Range<u64>, top: i64) {
    lane.reach(range.end);
    let fresh: SmallVec<[Range<u64>; 2]> = lane.gone.gaps_in(range.start.max(lane.cursor)..range.end).collect();
    lane.take_fresh_range(range.clone());
    lane.broadcast.remove_range(range.clone());
    for part in fresh {
        // The last of them has the lowest place.
        let (count, low) = (part.end - part.start, top.saturating_sub_unsigned(part.end - 1 - range.start));
        lane.placed[0].insert(PlacedRun { first: part.start, count, low: Place::whole(low), falling: true });
    }
}
