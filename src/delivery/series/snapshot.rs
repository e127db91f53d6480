//! A series as bytes: everything, since what is held must survive too.
//!
//! Version byte; how many records came late before all that is kept; origin, floor, end, gone; given runs; what came late; counters;
//! cohorts, each with members and what they hold. Varints throughout.

use bytes::Bytes;

use super::cohort::Cohort;
use super::layout::Layout;
use super::op::{held_of, name_of, offset_of, put_held, put_name, put_stamp, stamp_of};
use super::state::{Given, SeriesState};
use crate::log::record::varint::{Input, put_uvarint, put_varint};
use crate::log::runs::RunSet;

const VERSION: u8 = 2;

impl SeriesState {
    /// The whole state.
    pub fn snapshot(&self) -> Bytes {
        let mut out = vec![VERSION];
        put_uvarint(&mut out, self.layout.forgotten());
        [self.origin, self.floor, self.end].into_iter().for_each(|bound| put_uvarint(&mut out, bound));
        self.gone.encode(&mut out);
        put_uvarint(&mut out, self.given.len() as u64);
        for (offset, given) in &self.given {
            put_uvarint(&mut out, *offset);
            put_uvarint(&mut out, given.count);
            put_stamp(&mut out, given.first);
        }
        put_uvarint(&mut out, self.layout.late().len() as u64);
        for (index, late) in self.layout.late() {
            [index, late.offset, late.count].into_iter().for_each(|number| put_uvarint(&mut out, number));
        }
        put_stamp(&mut out, self.last);
        put_uvarint(&mut out, self.added);
        put_stamp(&mut out, self.last_removed);
        put_uvarint(&mut out, self.cohorts.len() as u64);
        for (name, cohort) in &self.cohorts {
            put_name(&mut out, name);
            put_cohort(&mut out, cohort);
        }
        Bytes::from(out)
    }

    /// A series from its snapshot; `None` if it is damaged.
    pub fn restore(bytes: &[u8]) -> Option<Self> {
        let mut input = Input::new(bytes);
        if input.byte()? != VERSION {
            return None;
        }
        let series = read(&mut input)?;
        input.is_empty().then_some(series)
    }
}

fn put_cohort(out: &mut Vec<u8>, cohort: &Cohort) {
    put_stamp(out, cohort.last);
    // 0: not known.
    put_uvarint(out, cohort.read.map_or(0, |read| read.saturating_add(1)));
    put_uvarint(out, cohort.members.len() as u64);
    for (name, member) in &cohort.members {
        put_name(out, name);
        put_varint(out, member.seen_ms);
    }
    put_uvarint(out, cohort.held.len() as u64);
    for (stamp, held) in &cohort.held {
        put_stamp(out, *stamp);
        put_held(out, held);
    }
}

fn read(input: &mut Input<'_>) -> Option<SeriesState> {
    let mut layout = Layout::new(offset_of(input)?);
    let (origin, floor, end) = (offset_of(input)?, offset_of(input)?, offset_of(input)?);
    let gone = RunSet::decode(input)?;
    let within = gone.first().is_none_or(|first| first >= floor) && gone.last().is_none_or(|last| last < end);
    if floor > end || origin > floor || !within {
        return None;
    }
    let mut series = SeriesState { origin, floor, end, gone, ..SeriesState::default() };
    let mut at = 0;
    for _ in 0..input.uvarint()? {
        let (offset, count, first) = (offset_of(input)?, offset_of(input)?, stamp_of(input)?);
        if count == 0 || offset < at || offset + count > end {
            return None;
        }
        at = offset + count;
        series.given.insert(offset, Given { count, first });
    }
    let mut at = 0;
    for _ in 0..input.uvarint()? {
        let (index, offset, count) = (offset_of(input)?, offset_of(input)?, offset_of(input)?);
        if count == 0 || index < at || index + count > end {
            return None;
        }
        at = index + count;
        layout.add(index, offset, count);
    }
    layout.trim(floor);
    series.layout = layout;
    series.last = stamp_of(input)?;
    series.added = input.uvarint()?;
    series.last_removed = stamp_of(input)?;
    for _ in 0..input.uvarint()? {
        let name = name_of(input)?;
        series.cohorts.insert(name, read_cohort(input)?);
    }
    Some(series)
}

fn read_cohort(input: &mut Input<'_>) -> Option<Cohort> {
    let mut cohort = Cohort { last: stamp_of(input)?, read: input.uvarint()?.checked_sub(1), ..Cohort::default() };
    for _ in 0..input.uvarint()? {
        let (name, seen_ms) = (name_of(input)?, input.varlong()?);
        cohort.members.entry(name).or_default().seen_ms = seen_ms;
    }
    for _ in 0..input.uvarint()? {
        let (stamp, held) = (stamp_of(input)?, held_of(input)?);
        if !cohort.members.contains_key(&held.member) {
            return None;
        }
        cohort.hold(stamp, held);
    }
    Some(cohort)
}
