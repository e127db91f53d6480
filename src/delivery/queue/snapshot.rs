//! A queue as bytes: what is done, where things were placed, and how often records failed. Claims are left out.
//!
//! Version byte, next front place, partitions; for each: floor, end, done, broadcast, runs at places that are not their natural ones,
//! traces. Then levels, sizes, deadlines and records that wait: runs of partition, first offset, count and value. Then ids that were
//! seen: until when, length, bytes. All numbers are varints.
//! Reading trusts nothing: sets that overlap where they must not are damage.

use bytes::Bytes;

use crate::log::record::varint::{Input, put_uvarint, put_varint};

use super::due::Due;
use super::lane::{Lane, Trace};
use super::op::{place_of, put_place};
use super::place::Place;
use super::placed::PlacedRun;
use super::seen::Seen;
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
        match &self.ranks {
            Some(ranks) => ranks.encode(&mut out),
            None => out.push(0),
        }
        match &self.weights {
            Some(weights) => weights.encode(&mut out),
            None => out.push(0),
        }
        match &self.timers {
            Some(timers) => [timers.all_deadlines(), timers.waiting.clone()].iter().for_each(|due| due.encode(&mut out)),
            None => out.extend([0, 0]),
        }
        match &self.seen {
            Some(seen) => seen.encode(&mut out),
            None => out.push(0),
        }
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
    let mut traces: Vec<_> = lane.history.iter().chain(lane.in_flight.iter()).collect();
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
    let waiting = lane.history.iter().filter(|(offset, _)| lane.explicit_place_of(**offset).is_none());
    let mut away: Vec<_> =
        lane.in_flight.iter().chain(waiting).map(|(offset, trace)| PlacedRun::single(*offset, trace.place)).collect();
    away.sort_unstable_by_key(|run| run.low);
    let placed = lane.placed(Class::All).flat_map(|placed| placed.iter());
    let mut runs: Vec<PlacedRun> = placed.flat_map(|run| cut(run, &away)).chain(away.iter().copied()).collect();
    // What stands at its natural place is not written.
    runs.retain(|run| !run.is_natural());
    runs.sort_unstable_by_key(|run| run.low);
    runs.dedup_by(|next, run| {
        let joined = run.joined(next);
        if let Some(joined) = joined {
            *run = joined;
        }
        joined.is_some()
    });
    runs
}

/// A run in parts, between which others, in rising order of place, go back to their places.
fn cut(run: PlacedRun, others: &[PlacedRun]) -> Vec<PlacedRun> {
    let inside = others.partition_point(|other| other.low <= run.low)..others.partition_point(|other| other.low <= run.high());
    let (mut parts, mut from) = (Vec::new(), 0);
    for other in others.get(inside).into_iter().flatten() {
        let below = run.count_below(other.low);
        if below > from {
            parts.push(run.slice(from..below));
            from = below;
        }
    }
    parts.push(run.slice(from..run.count));
    parts
}

fn read_queue(input: &mut Input<'_>) -> Option<QueueState> {
    let next_front_place = input.varlong().filter(|place| (PLACE_MIN..0).contains(place))?;
    let partitions = input.uvarint()?;
    let mut lanes = Vec::new();
    for _ in 0..partitions {
        lanes.push(read_lane(input, next_front_place)?);
    }
    let mut queue = QueueState::from_lanes(lanes, next_front_place);
    queue.read_ranks(input)?;
    queue.read_weights(input)?;
    let within = |queue: &QueueState, partition, run: &std::ops::Range<u64>| !run.is_empty() && run.end <= queue.end(partition);
    Due::decode(input, |partition, run, time_ms| {
        within(&queue, partition, &run).then(|| queue.set_deadline(partition, run.start, run.end - run.start, time_ms))
    })?;
    Due::decode(input, |partition, run, time_ms| {
        within(&queue, partition, &run).then(|| queue.wait_until(partition, run.start, run.end - run.start, time_ms))
    })?;
    let seen = Seen::decode(input)?;
    queue.seen = (seen != Seen::default()).then(|| Box::new(seen));
    for partition in 0..queue.partition_count() {
        queue.change(partition, Lane::settle_placed);
    }
    Some(queue)
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

/// Reads the runs at explicit places, which must be free and hold neither done nor broadcast records. What is fresh among them is
/// placed when it is known what has a level and what waits.
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
