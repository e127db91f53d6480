//! A queue as bytes: what is done, where things were placed, and how often records failed. Claims are left out.
//!
//! Version byte, next front place, partitions; for each: floor, end, done, broadcast, front runs, traces. All numbers are varints.
//! Reading trusts nothing: sets that overlap where they must not are damage.

use bytes::Bytes;

use crate::log::record::varint::{Input, put_uvarint, put_varint};

use super::RunSet;
use super::front::{FrontRun, FrontRuns};
use super::lane::{Lane, Trace};
use super::state::QueueState;
use super::traces::Traces;
use crate::log::runs::{OFFSET_MAX, PLACE_MIN};

const VERSION: u8 = 1;

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
    let front = front_with_claims(lane);
    put_uvarint(out, front.len() as u64);
    for run in front {
        put_uvarint(out, run.first);
        put_uvarint(out, run.count);
        put_varint(out, run.top);
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

/// The front as it will be when all that was taken from it is back.
fn front_with_claims(lane: &Lane) -> Vec<FrontRun> {
    let returned = lane.history.iter().filter(|(offset, _)| lane.front.place_of(**offset).is_none());
    let away = returned.chain(&lane.in_flight).filter(|(_, trace)| trace.place < 0);
    let away = away.map(|(offset, trace)| FrontRun { first: *offset, count: 1, top: trace.place });
    let mut runs: Vec<FrontRun> = lane.front.iter().chain(away).collect();
    runs.sort_unstable_by_key(|run| run.first);
    runs.dedup_by(|next, run| {
        let joined = run.end() == next.first && run.lowest_place() - 1 == next.top;
        if joined {
            run.count += next.count;
        }
        joined
    });
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
    let mut gone = done.clone();
    let front = read_front(input, floor..end, next_front_place, &mut gone)?;
    if front.iter().any(|run| broadcast.runs_in(run.first..run.end()).next().is_some()) {
        return None;
    }
    let mut lane = Lane::restored(floor..end, done, gone, broadcast, front);
    lane.history = read_traces(input, &lane)?;
    Some(lane)
}

/// Reads the front runs and adds them to what is gone, which must not hold them yet.
fn read_front(
    input: &mut Input<'_>,
    bounds: std::ops::Range<u64>,
    next_front_place: i64,
    gone: &mut RunSet,
) -> Option<FrontRuns> {
    let count = input.uvarint()?;
    let mut front = FrontRuns::default();
    for _ in 0..count {
        let run = FrontRun { first: input.uvarint()?, count: input.uvarint()?, top: input.varlong()? };
        let end = run.first.checked_add(run.count)?;
        let inside = run.count > 0 && run.first >= bounds.start && end <= bounds.end;
        let placed = inside && run.top < 0 && run.top >= PLACE_MIN && run.lowest_place() > next_front_place;
        if !placed || gone.insert_range(run.first..end) != run.count || !front.push(run) {
            return None;
        }
    }
    Some(front)
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
