//! Giving records places: beside another, or where another stands.
//!
//! There is one operation, "this record stands at that place", whatever a dialect calls what it does. What is fresh before the place
//! is placed first, where it is already, so all that stands at explicit places comes before what is fresh. A new place is found from
//! its neighbours alone; should none be left between two, those that share the base are spread out again by the same operation.

use super::lane::{Lane, Trace};
use super::place::Place;
use super::state::QueueState;
use super::{Class, Side};
use crate::log::runs::{OFFSET_MAX, PLACE_MIN};

impl QueueState {
    /// A record stands at a place from now on, or will when it is ready; the place must be below its offset. False if it cannot. What
    /// has a place has no level any more.
    pub fn place(&mut self, partition: u32, offset: u64, place: Place) -> bool {
        if partition >= self.partition_count() || offset >= OFFSET_MAX || place.base >= offset as i64 || place.base < PLACE_MIN {
            return false;
        }
        let mut placed = false;
        let is_waiting = self.is_waiting(partition, offset) || self.is_aside(partition, offset);
        self.forget_ranks(partition, &(offset..offset + 1));
        self.change(partition, |lane| {
            lane.reach(offset + 1);
            lane.uncover(place);
            if lane.in_flight.set_place(offset, place) {
                placed = true;
            } else if is_waiting {
                if !lane.history.set_place(offset, place) {
                    lane.history.insert(offset, Trace { place, acquired: 0, delivered: 0 });
                }
                lane.broadcast.remove(offset);
                placed = true;
            } else if !lane.is_done(offset) && !lane.held.contains(offset) {
                if !lane.take_placed(offset) {
                    lane.take_fresh_range(offset..offset + 1);
                    lane.broadcast.remove(offset);
                }
                lane.put_back(offset, place);
                placed = true;
            }
        });
        self.stand_aside_again(partition, offset);
        placed
    }

    /// The place of a record that is ready or in flight.
    pub fn place_of(&self, partition: u32, offset: u64) -> Option<Place> {
        let lane = self.lanes.get(partition as usize)?;
        (offset < lane.end && !lane.is_done(offset)).then(|| lane.place_of(offset))
    }

    /// A free place next to a record that is ready, and the records that had to be moved to make one, with their new places: the
    /// caller sees to it that they are written down.
    pub fn place_beside(&mut self, partition: u32, offset: u64, side: Side) -> Option<(Place, Vec<(u64, Place)>)> {
        let at = self.place_of(partition, offset)?;
        if let Some(place) = self.free_place(partition, at, side) {
            return Some((place, Vec::new()));
        }
        let base = if side == Side::Before && at.step == 0 { at.base - 1 } else { at.base };
        let moved = self.spread(partition, base);
        let at = self.place_of(partition, offset)?;
        Some((self.free_place(partition, at, side)?, moved))
    }

    /// Records that are in flight, wait or are set aside, and the places that they go back to.
    fn away<'a>(&'a self, lane: &'a Lane) -> impl Iterator<Item = (u64, Place)> + 'a {
        let waiting = lane.history.iter().filter(|(offset, _)| self.any_away() && lane.explicit_place_of(**offset).is_none());
        lane.in_flight.iter().chain(waiting).map(|(offset, trace)| (*offset, trace.place))
    }

    /// Neighbours matter within one base alone: the next whole place is a bound in any case.
    fn free_place(&self, partition: u32, at: Place, side: Side) -> Option<Place> {
        let lane = self.lanes.get(partition as usize)?;
        let flying = self.away(lane).map(|(_, place)| place);
        match side {
            Side::Before => {
                let whole = if at.step > 0 { Place::whole(at.base) } else { Place::whole(at.base).back() };
                let placed = lane.placed(Class::All).filter_map(|placed| placed.below(at)).max();
                let low = flying.filter(|place| *place < at).chain(placed).max();
                Place::between(low.unwrap_or(whole).max(whole), at, side)
            }
            Side::After => {
                let whole = Place::whole(at.base).plus(1);
                let placed = lane.placed(Class::All).filter_map(|placed| placed.above(at)).min();
                let high = flying.filter(|place| *place > at).chain(placed).min();
                Place::between(at, high.unwrap_or(whole).min(whole), side)
            }
        }
    }

    /// Gives the records behind one whole place equal distances.
    fn spread(&mut self, partition: u32, base: i64) -> Vec<(u64, Place)> {
        let Some(lane) = self.lanes.get(partition as usize) else { return Vec::new() };
        let (whole, next) = (Place::whole(base), Place::whole(base).plus(1));
        let mut behind: Vec<(Place, u64)> = Vec::new();
        for placed in lane.placed(Class::All) {
            for run in placed.from(whole).take_while(|run| run.low < next) {
                let within = run.slice(run.count_below(whole)..run.count_below(next));
                if within.count == 1 && within.low > whole {
                    behind.push((within.low, within.first));
                }
            }
        }
        let away = self.away(lane).map(|(offset, place)| (place, offset));
        behind.extend(away.filter(|(place, _)| *place > whole && *place < next));
        behind.sort_unstable();
        let distance = u64::MAX / (behind.len() as u64 + 1);
        let places = (1..).map(|index: u64| Place { base, step: index * distance });
        let moved: Vec<(u64, Place)> = behind.into_iter().zip(places).map(|((_, offset), place)| (offset, place)).collect();
        // None meets another: all are taken out before the first is put back.
        for (offset, _) in &moved {
            self.change(partition, |lane| {
                lane.take_placed(*offset);
            });
        }
        for (offset, place) in &moved {
            self.place(partition, *offset, *place);
        }
        moved
    }
}
