//! A queue as bytes: what is done, where things were placed, and how often records failed. Claims are left out.
//!
//! Version byte, next front place, partitions; for each: floor, end, done, broadcast, runs at places that are not their natural ones,
//! traces. All numbers are varints. Reading trusts nothing: sets that overlap where they must not are damage.

use bytes::Bytes;

use crate::log::record::varint::{Input, put_uvarint, put_varint};

use super::lane::{Lane, Trace};
use super::op::{place_of, put_place};
use super::place::Place;
use super::placed::PlacedRun;
use super::state::QueueState;
use super::traces::Traces;
use super::{Class, RunSet};
use crate::log::runs::{OFFSET_MAX, PLACE_MIN};

const VERSION: u8 = 2;

/// Why bytes are no queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Written by a version that this one does not know.
    #[error("queue snapshot has unknown version {0}")]
    Version(u8),
    /// Cut short, or at odds with itself.
    #[error("queue snapshot is damaged")]
    Damaged,
}

impl QueueState {
    /// The state without its claims: what is in flight is written as ready.
    pub fn snapshot(&self) -> Bytes {
        let mut out = vec![VERSION];
        put_varint(&mut out, self.next_front_place);
        put_uvarint(&mut out, self.lanes.len() as u64);
        self.lanes.iter().for_each(|lane| put_lane(&mut out, lane));
        Bytes::from(out)
    }

    /// A queue from its snapshot. After a crash (`recovered`) every record in it counts as possibly delivered.
    ///
    /// # Errors
    /// [`SnapshotError`]: nothing is repaired.
    pub fn restore(bytes: &[u8], recovered: bool) -> Result<Self, SnapshotError> {
        let mut input = Input::new(bytes);
        match input.byte() {
            Some(VERSION) => {}
            Some(version) => return Err(SnapshotError::Version(version)),
            None => return Err(SnapshotError::Damaged),
        }
        let mut queue = read_queue(&mut input).filter(|_| input.is_empty()).ok_or(SnapshotError::Damaged)?;
        if recovered {
            queue.mark_recovered();
        }
        Ok(queue)
    }
}

fn put_lane(out: &mut Vec<u8>, lane: &Lane) {
    put_uvarint(out, lane.floor);
    put_uvarint(out, lane.end);
    lane.done.encode(out);
    lane.broadcast.encode(out);
    let runs = placed_with_claims(lane);
    put_uvarint(out, runs.len() as u64);
    for run in runs {
        put_uvarint(out, run.first);
        put_uvarint(out, run.count);
        out.push(u8::from(run.falling && run.count > 1));
        put_place(out, run.low);
    }
    let mut traces: Vec<_> = lane.history.iter().chain(&lane.in_flight).collect();
    traces.sort_unstable_by_key(|(offset, _)| **offset);
    put_uvarint(out, traces.len() as u64);
    for (offset, trace) in traces {
        put_uvarint(out, *offset);
        put_uvarint(out, u64::from(trace.acquired));
        put_uvarint(out, u64::from(trace.delivered));
    }
}

/// What will stand at a place not its own when all that was taken is back, in the order of the places.
fn placed_with_claims(lane: &Lane) -> Vec<PlacedRun> {
    let flying = lane.in_flight.iter().map(|(offset, trace)| PlacedRun::single(*offset, trace.place));
    let mut runs: Vec<PlacedRun> = lane.placed(Class::All).flat_map(|placed| placed.iter()).chain(flying).collect();
    runs.sort_unstable_by_key(|run| run.low);
    runs.dedup_by(|next, run| {
        // What stands at its natural place is not written, and may be of another kind.
        let joined = if run.is_natural() || next.is_natural() { None } else { run.joined(next) };
        if let Some(joined) = joined {
            *run = joined;
        }
        joined.is_some()
    });
    runs.retain(|run| !run.is_natural());
    runs
}

fn read_queue(input: &mut Input<'_>) -> Option<QueueState> {
    let next_front_place = input.varlong().filter(|place| (PLACE_MIN..0).contains(place))?;
    let partitions = input.uvarint()?;
    let mut lanes = Vec::new();
    for _ in 0..partitions {
        lanes.push(read_lane(input, next_front_place)?);
    }
    Some(QueueState::from_lanes(lanes, next_front_place))
}

fn read_lane(input: &mut Input<'_>, next_front_place: i64) -> Option<Lane> {
    let floor = input.uvarint()?;
    let end = input.uvarint().filter(|end| (floor..OFFSET_MAX).contains(end))?;
    let within = |set: &RunSet| set.first().is_none_or(|first| first >= floor) && set.last().is_none_or(|last| last < end);
    let done = RunSet::decode(input).filter(|done| within(done) && !done.contains(floor))?;
    let broadcast = RunSet::decode(input).filter(within)?;
    if broadcast.iter().any(|run| done.runs_in(run).next().is_some()) {
        return None;
    }
    let mut lane = Lane::restored(floor..end, done, broadcast);
    read_placed(input, &mut lane, next_front_place)?;
    lane.history = read_traces(input, &lane)?;
    Some(lane)
}

/// Reads the runs at explicit places, which must be free and hold neither done nor broadcast records.
fn read_placed(input: &mut Input<'_>, lane: &mut Lane, next_front_place: i64) -> Option<()> {
    let mut runs = Vec::new();
    let mut offsets = RunSet::new();
    for _ in 0..input.uvarint()? {
        let (first, count, falling) = (input.uvarint()?, input.uvarint()?, input.byte()? == 1);
        let end = first.checked_add(count)?;
        let run = PlacedRun { first, count, low: place_of(input)?, falling };
        let inside = count > 0 && first >= lane.floor && end <= lane.end;
        let taken = |set: &RunSet| set.runs_in(first..end).next().is_some();
        if !inside || taken(&lane.done) || taken(&lane.broadcast) || offsets.insert_range(first..end) != count {
            return None;
        }
        if run.low <= Place::whole(next_front_place) || run.high().base >= end as i64 {
            return None;
        }
        runs.push(run);
    }
    for run in &runs {
        lane.take_fresh_range(run.first..run.end());
    }
    let highest = runs.iter().map(PlacedRun::high).max();
    highest.into_iter().for_each(|place| lane.uncover(place));
    runs.into_iter().all(|run| lane.placed[0].insert(run)).then_some(())
}

fn read_traces(input: &mut Input<'_>, lane: &Lane) -> Option<Traces> {
    let count = input.uvarint()?;
    let mut traces = Traces::default();
    for _ in 0..count {
        let offset = input.uvarint().filter(|offset| *offset < lane.end && !lane.is_done(*offset))?;
        let acquired = u32::try_from(input.uvarint()?).ok()?;
        let delivered = u32::try_from(input.uvarint()?).ok()?;
        let place = lane.place_of(offset);
        traces.insert(offset, Trace { place, acquired, delivered });
    }
    Some(traces)
}
