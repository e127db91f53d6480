//! The changes to a series, which is all that happens to one: each is applied when it is done, and again from the journal after a crash.
//!
//! An operation is a tag byte and varints; names have their length before them. Decoding trusts nothing.

use bytes::Bytes;

use super::cohort::{Cohort, Held};
use super::stamp::Stamp;
use super::state::SeriesState;
use crate::log::record::varint::{Input, put_uvarint, put_varint};
use crate::log::runs::{OFFSET_MAX, RunSet};

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeriesOp {
    /// Records were appended, numbered on from `first`. `is_given`: they do not carry their stamps.
    Append {
        /// The offset of the first.
        offset: u64,
        /// How many; at least one.
        count: u64,
        /// The stamp of the first.
        first: Stamp,
        /// Whether the series keeps their stamps.
        is_given: bool,
    },
    /// Records of earlier offsets that count from now on, numbered on from `first`.
    Late {
        /// The offset of the first.
        offset: u64,
        /// How many; at least one.
        count: u64,
        /// The stamp of the first.
        first: Stamp,
    },
    /// Offsets below are no records of the series if they are not yet.
    Pass(u64),
    /// Records were removed on their own.
    Remove {
        /// Their indexes.
        runs: RunSet,
        /// The highest of their stamps.
        last: Stamp,
    },
    /// Everything below an index went.
    Trim(u64),
    /// The counters were set.
    Set {
        /// The newest stamp.
        last: Stamp,
        /// How many were added.
        added: u64,
        /// The highest stamp removed.
        last_removed: Stamp,
    },
    /// A cohort stands here; it is made if it is missing.
    Cohort {
        /// Its name.
        name: Bytes,
        /// Everything up to here was handed out.
        last: Stamp,
        /// How many that is.
        read: Option<u64>,
    },
    /// A cohort is no more.
    DropCohort(Bytes),
    /// A member was heard of; it is made if it is missing.
    Member {
        /// The cohort.
        cohort: Bytes,
        /// Its name.
        name: Bytes,
        /// When, in milliseconds since 1970.
        seen_ms: i64,
    },
    /// A member is no more, and what it held is settled.
    DropMember {
        /// The cohort.
        cohort: Bytes,
        /// Its name.
        name: Bytes,
    },
    /// A record is held.
    Hold {
        /// The cohort.
        cohort: Bytes,
        /// Which.
        stamp: Stamp,
        /// By whom, and how often.
        held: Held,
    },
    /// Records are settled.
    Settle {
        /// The cohort.
        cohort: Bytes,
        /// Which.
        stamps: Vec<Stamp>,
    },
}

impl SeriesState {
    /// Does what an operation says.
    pub fn apply(&mut self, op: &SeriesOp) {
        match op {
            SeriesOp::Append { offset, count, first, is_given } => self.append(*offset, *count, *first, *is_given),
            SeriesOp::Late { offset, count, first } => self.come_late(*offset, *count, *first),
            SeriesOp::Pass(to) => self.pass(*to),
            SeriesOp::Remove { runs, last } => self.remove(runs, *last),
            SeriesOp::Trim(floor) => self.trim(*floor),
            SeriesOp::Set { last, added, last_removed } => {
                (self.last, self.added, self.last_removed) = (*last, *added, *last_removed);
            }
            SeriesOp::Cohort { name, last, read } => {
                let cohort = self.cohorts.entry(name.clone()).or_default();
                (cohort.last, cohort.read) = (*last, *read);
            }
            SeriesOp::DropCohort(name) => drop(self.cohorts.remove(name)),
            SeriesOp::Member { cohort, name, seen_ms } => self.within(cohort, |cohort| {
                cohort.members.entry(name.clone()).or_default().seen_ms = *seen_ms;
            }),
            SeriesOp::DropMember { cohort, name } => self.within(cohort, |cohort| cohort.drop_member(name)),
            SeriesOp::Hold { cohort, stamp, held } => self.within(cohort, |cohort| cohort.hold(*stamp, held.clone())),
            SeriesOp::Settle { cohort, stamps } => {
                self.within(cohort, |cohort| stamps.iter().for_each(|stamp| cohort.settle(*stamp)));
            }
        }
    }

    fn within(&mut self, cohort: &[u8], change: impl FnOnce(&mut Cohort)) {
        if let Some(cohort) = self.cohorts.get_mut(cohort) {
            change(cohort);
        }
    }
}

impl SeriesOp {
    /// Appends the operation.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            SeriesOp::Append { offset, count, first, is_given } => {
                out.push(if *is_given { 2 } else { 1 });
                put_uvarint(out, *offset);
                put_uvarint(out, *count);
                put_stamp(out, *first);
            }
            SeriesOp::Late { offset, count, first } => {
                out.push(14);
                put_uvarint(out, *offset);
                put_uvarint(out, *count);
                put_stamp(out, *first);
            }
            SeriesOp::Pass(to) => put_tagged(out, 3, *to),
            SeriesOp::Remove { runs, last } => {
                out.push(4);
                runs.encode(out);
                put_stamp(out, *last);
            }
            SeriesOp::Trim(floor) => put_tagged(out, 5, *floor),
            SeriesOp::Set { last, added, last_removed } => {
                out.push(6);
                put_stamp(out, *last);
                put_uvarint(out, *added);
                put_stamp(out, *last_removed);
            }
            SeriesOp::Cohort { name, last, read } => {
                out.push(if read.is_some() { 8 } else { 7 });
                put_name(out, name);
                put_stamp(out, *last);
                read.iter().for_each(|read| put_uvarint(out, *read));
            }
            SeriesOp::DropCohort(name) => {
                out.push(9);
                put_name(out, name);
            }
            SeriesOp::Member { cohort, name, seen_ms } => {
                out.push(10);
                put_name(out, cohort);
                put_name(out, name);
                put_varint(out, *seen_ms);
            }
            SeriesOp::DropMember { cohort, name } => {
                out.push(11);
                put_name(out, cohort);
                put_name(out, name);
            }
            SeriesOp::Hold { cohort, stamp, held } => {
                out.push(12);
                put_name(out, cohort);
                put_stamp(out, *stamp);
                put_held(out, held);
            }
            SeriesOp::Settle { cohort, stamps } => {
                out.push(13);
                put_name(out, cohort);
                put_uvarint(out, stamps.len() as u64);
                stamps.iter().for_each(|stamp| put_stamp(out, *stamp));
            }
        }
    }

    /// Reads the next operation; `None` if the bytes hold none.
    pub fn decode(input: &mut Input<'_>) -> Option<Self> {
        let tag = input.byte()?;
        Some(match tag {
            1 | 2 => {
                let (offset, count, first) = (offset_of(input)?, offset_of(input)?, stamp_of(input)?);
                if count == 0 {
                    return None;
                }
                SeriesOp::Append { offset, count, first, is_given: tag == 2 }
            }
            3 => SeriesOp::Pass(offset_of(input)?),
            4 => SeriesOp::Remove { runs: RunSet::decode(input)?, last: stamp_of(input)? },
            5 => SeriesOp::Trim(offset_of(input)?),
            6 => SeriesOp::Set { last: stamp_of(input)?, added: input.uvarint()?, last_removed: stamp_of(input)? },
            7 => SeriesOp::Cohort { name: name_of(input)?, last: stamp_of(input)?, read: None },
            8 => SeriesOp::Cohort { name: name_of(input)?, last: stamp_of(input)?, read: Some(input.uvarint()?) },
            9 => SeriesOp::DropCohort(name_of(input)?),
            10 => SeriesOp::Member { cohort: name_of(input)?, name: name_of(input)?, seen_ms: input.varlong()? },
            11 => SeriesOp::DropMember { cohort: name_of(input)?, name: name_of(input)? },
            12 => SeriesOp::Hold { cohort: name_of(input)?, stamp: stamp_of(input)?, held: held_of(input)? },
            13 => {
                let cohort = name_of(input)?;
                let mut stamps = Vec::new();
                for _ in 0..input.uvarint()? {
                    stamps.push(stamp_of(input)?);
                }
                SeriesOp::Settle { cohort, stamps }
            }
            14 => {
                let (offset, count, first) = (offset_of(input)?, offset_of(input)?, stamp_of(input)?);
                if count == 0 {
                    return None;
                }
                SeriesOp::Late { offset, count, first }
            }
            _ => return None,
        })
    }

    /// Does both what this operation does and the next, if one can say so.
    pub fn join(&mut self, next: &SeriesOp) -> bool {
        match (self, next) {
            (
                SeriesOp::Append { offset, count, first, is_given },
                SeriesOp::Append { offset: then, count: more, first: after, is_given: same },
            ) if *offset + *count == *then && first.plus(*count) == *after && is_given == same => {
                *count += more;
                true
            }
            (SeriesOp::Trim(floor), SeriesOp::Trim(next)) | (SeriesOp::Pass(floor), SeriesOp::Pass(next)) => {
                *floor = (*floor).max(*next);
                true
            }
            _ => false,
        }
    }
}

fn put_tagged(out: &mut Vec<u8>, tag: u8, value: u64) {
    out.push(tag);
    put_uvarint(out, value);
}

pub(super) fn put_stamp(out: &mut Vec<u8>, stamp: Stamp) {
    put_uvarint(out, stamp.ms);
    put_uvarint(out, stamp.seq);
}

pub(super) fn stamp_of(input: &mut Input<'_>) -> Option<Stamp> {
    Some(Stamp { ms: input.uvarint()?, seq: input.uvarint()? })
}

pub(super) fn put_name(out: &mut Vec<u8>, name: &[u8]) {
    put_uvarint(out, name.len() as u64);
    out.extend_from_slice(name);
}

pub(super) fn name_of(input: &mut Input<'_>) -> Option<Bytes> {
    let length = usize::try_from(input.uvarint()?).ok()?;
    input.take(length).map(Bytes::copy_from_slice)
}

pub(super) fn put_held(out: &mut Vec<u8>, held: &Held) {
    put_name(out, &held.member);
    put_uvarint(out, held.index);
    put_varint(out, held.at_ms);
    put_uvarint(out, held.count);
}

pub(super) fn held_of(input: &mut Input<'_>) -> Option<Held> {
    let (member, index) = (name_of(input)?, offset_of(input)?);
    Some(Held { member, index, at_ms: input.varlong()?, count: input.uvarint()? })
}

pub(super) fn offset_of(input: &mut Input<'_>) -> Option<u64> {
    input.uvarint().filter(|offset| *offset < OFFSET_MAX)
}
