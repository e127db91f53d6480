//! What must survive of the changes to a queue: acks, placings and counts, in a compact form.
//!
//! An operation is a tag byte and varints. Applying the operations since a snapshot, in their order, gives the state without its claims.

use crate::log::record::varint::{Input, put_uvarint, put_varint};

use bytes::Bytes;

use super::seen::{put_id, read_id};
use super::{Class, Place, RunSet};
use crate::log::runs::{OFFSET_MAX, PLACE_MIN};

const ACCEPT: u8 = 1;
const FRONT: u8 = 2;
const FAILED: u8 = 3;
const PURGE_ALL: u8 = 4;
const PURGE_QUEUED: u8 = 5;
const PLACE: u8 = 6;
const DEADLINE: u8 = 16;
const WAIT: u8 = 17;
const WEIGHT: u8 = 18;
const LEVEL: u8 = 19;
const SEEN: u8 = 20;

/// How far back a new accept looks for one of its partition to join.
const ACCEPTS_JOINED_BACK: usize = 8;
/// The same for marks: one of each kind.
const MARKS_JOINED_BACK: usize = 4;

/// What is known of a record beside where it lies. Records that nothing is known of cost nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// When it expires, in milliseconds since 1970.
    Deadline,
    /// When it is ready, in milliseconds since 1970.
    Wait,
    /// Its size, in bytes.
    Weight,
    /// Its level.
    Level,
}

/// One change to a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateOp {
    /// These records are done.
    Accept {
        /// Where they lie.
        partition: u32,
        /// Their offsets.
        runs: RunSet,
    },
    /// Records were placed at the head one after the other.
    Front {
        /// Where they lie.
        partition: u32,
        /// The first offset, which ends up behind the others.
        first: u64,
        /// How many.
        count: u64,
    },
    /// A record stands at a place.
    Place {
        /// Where it lies.
        partition: u32,
        /// Its offset.
        offset: u64,
        /// Its place: below its offset, since it was appended after what it stands beside.
        place: Place,
    },
    /// A record came back as failed.
    Failed {
        /// Where it lies.
        partition: u32,
        /// Its offset.
        offset: u64,
        /// How often it has failed by now.
        delivered: u32,
    },
    /// Something is known of records.
    Mark {
        /// What it is.
        mark: Mark,
        /// Where they lie.
        partition: u32,
        /// The first offset.
        first: u64,
        /// How many.
        count: u64,
        /// Its value.
        value: u64,
    },
    /// An id was written.
    Seen {
        /// The id.
        id: Bytes,
        /// Until when it is remembered, in milliseconds since 1970.
        until_ms: i64,
    },
    /// All that was ready is done.
    Purge {
        /// Which records that takes in.
        class: Class,
        /// For each partition: the offset below which records go, and those that stay because they were in flight.
        partitions: Vec<(u32, u64, RunSet)>,
    },
}

impl StateOp {
    /// Appends the operation.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            StateOp::Accept { partition, runs } => {
                out.push(ACCEPT);
                put_uvarint(out, u64::from(*partition));
                runs.encode(out);
            }
            StateOp::Front { partition, first, count } => {
                out.push(FRONT);
                [u64::from(*partition), *first, *count].into_iter().for_each(|field| put_uvarint(out, field));
            }
            StateOp::Place { partition, offset, place } => {
                out.push(PLACE);
                [u64::from(*partition), *offset].into_iter().for_each(|field| put_uvarint(out, field));
                put_place(out, *place);
            }
            StateOp::Failed { partition, offset, delivered } => {
                out.push(FAILED);
                let fields = [u64::from(*partition), *offset, u64::from(*delivered)];
                fields.into_iter().for_each(|field| put_uvarint(out, field));
            }
            StateOp::Mark { mark, partition, first, count, value } => {
                out.push(match mark {
                    Mark::Deadline => DEADLINE,
                    Mark::Wait => WAIT,
                    Mark::Weight => WEIGHT,
                    Mark::Level => LEVEL,
                });
                [u64::from(*partition), *first, *count, *value].into_iter().for_each(|field| put_uvarint(out, field));
            }
            StateOp::Seen { id, until_ms } => {
                out.push(SEEN);
                put_id(out, id, *until_ms);
            }
            StateOp::Purge { class, partitions } => {
                out.push(if *class == Class::All { PURGE_ALL } else { PURGE_QUEUED });
                put_uvarint(out, partitions.len() as u64);
                for (partition, below, kept) in partitions {
                    put_uvarint(out, u64::from(*partition));
                    put_uvarint(out, *below);
                    kept.encode(out);
                }
            }
        }
    }

    /// Reads the next operation; `None` if the bytes hold none.
    pub fn decode(input: &mut Input<'_>) -> Option<Self> {
        match input.byte()? {
            ACCEPT => Some(StateOp::Accept { partition: number(input)?, runs: RunSet::decode(input)? }),
            FRONT => {
                let (partition, first, count) = (number(input)?, offset(input)?, offset(input)?);
                Some(StateOp::Front { partition, first, count })
            }
            PLACE => {
                let (partition, offset) = (number(input)?, offset(input)?);
                let place = place_of(input).filter(|place| place.base < offset as i64)?;
                Some(StateOp::Place { partition, offset, place })
            }
            FAILED => {
                let (partition, offset, delivered) = (number(input)?, offset(input)?, number(input)?);
                Some(StateOp::Failed { partition, offset, delivered })
            }
            DEADLINE => marked(Mark::Deadline, input),
            WAIT => marked(Mark::Wait, input),
            WEIGHT => marked(Mark::Weight, input),
            LEVEL => marked(Mark::Level, input),
            SEEN => read_id(input).map(|(id, until_ms)| StateOp::Seen { id, until_ms }),
            PURGE_ALL => Some(StateOp::Purge { class: Class::All, partitions: purged(input)? }),
            PURGE_QUEUED => Some(StateOp::Purge { class: Class::Queued, partitions: purged(input)? }),
            _ => None,
        }
    }
}

fn purged(input: &mut Input<'_>) -> Option<Vec<(u32, u64, RunSet)>> {
    let count = input.uvarint()?;
    let mut partitions = Vec::new();
    for _ in 0..count {
        partitions.push((number(input)?, offset(input)?, RunSet::decode(input)?));
    }
    Some(partitions)
}

fn marked(mark: Mark, input: &mut Input<'_>) -> Option<StateOp> {
    let (partition, first, count, value) = (number(input)?, offset(input)?, offset(input)?, input.uvarint()?);
    Some(StateOp::Mark { mark, partition, first, count, value })
}

fn number(input: &mut Input<'_>) -> Option<u32> {
    u32::try_from(input.uvarint()?).ok()
}

fn offset(input: &mut Input<'_>) -> Option<u64> {
    input.uvarint().filter(|offset| *offset < OFFSET_MAX)
}

/// Appends a place: its base, and its step with the bits turned round, because most steps end in zeros.
pub(super) fn put_place(out: &mut Vec<u8>, place: Place) {
    put_varint(out, place.base);
    put_uvarint(out, place.step.reverse_bits());
}

/// Reads what [`put_place`] wrote.
pub(super) fn place_of(input: &mut Input<'_>) -> Option<Place> {
    let base = input.varlong().filter(|base| (PLACE_MIN..OFFSET_MAX as i64).contains(base))?;
    Some(Place { base, step: input.uvarint()?.reverse_bits() })
}

/// The operations of one atomic step on one queue, gathered as they happen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateOps {
    ops: Vec<StateOp>,
}

impl StateOps {
    /// No operations.
    pub fn new() -> Self {
        Self::default()
    }

    /// True if nothing has to be kept.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// How many operations there are.
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Forgets all operations, and keeps the memory for the next.
    pub fn clear(&mut self) {
        self.ops.clear();
    }

    /// Takes the memory of others that are empty, if it has none itself.
    pub fn use_memory(&mut self, of: &mut Self) {
        if self.ops.capacity() == 0 && of.ops.is_empty() {
            std::mem::swap(self, of);
        }
    }

    /// The operations in their order.
    pub fn iter(&self) -> impl Iterator<Item = &StateOp> {
        self.ops.iter()
    }

    /// A record is done. It joins the accepts just before it.
    pub fn accept(&mut self, partition: u32, offset: u64) {
        for op in self.ops.iter_mut().rev().take(ACCEPTS_JOINED_BACK) {
            match op {
                StateOp::Accept { partition: same, runs } if *same == partition => {
                    runs.insert(offset);
                    return;
                }
                StateOp::Accept { .. } => {}
                // What is known of a record that is done already is not kept.
                StateOp::Mark { .. } | StateOp::Seen { .. } => {}
                StateOp::Front { .. } | StateOp::Place { .. } | StateOp::Failed { .. } | StateOp::Purge { .. } => break,
            }
        }
        self.ops.push(StateOp::Accept { partition, runs: RunSet::from_iter([offset]) });
    }

    /// Records were placed at the head. They join a placing just before them.
    pub fn front(&mut self, partition: u32, first: u64, count: u64) {
        match self.ops.last_mut() {
            Some(StateOp::Front { partition: same, first: start, count: length })
                if *same == partition && *start + *length == first =>
            {
                *length += count;
            }
            Some(_) | None => self.ops.push(StateOp::Front { partition, first, count }),
        }
    }

    /// A record came back as failed, for the `delivered`th time.
    pub fn failed(&mut self, partition: u32, offset: u64, delivered: u32) {
        self.ops.push(StateOp::Failed { partition, offset, delivered });
    }

    /// A record stands at a place.
    pub fn place(&mut self, partition: u32, offset: u64, place: Place) {
        self.ops.push(StateOp::Place { partition, offset, place });
    }

    /// Something is known of records. They join those just before them of which the same is known.
    pub fn mark(&mut self, mark: Mark, partition: u32, first: u64, count: u64, value: u64) {
        for op in self.ops.iter_mut().rev().take(MARKS_JOINED_BACK) {
            let StateOp::Mark { mark: as_this, partition: in_this, first: start, count: length, value: of_this } = op else {
                break;
            };
            if (*as_this, *in_this) == (mark, partition) {
                if *of_this == value && *start + *length == first {
                    *length += count;
                    return;
                }
                break;
            }
        }
        self.ops.push(StateOp::Mark { mark, partition, first, count, value });
    }

    /// Any operation, as it is.
    pub fn push(&mut self, op: StateOp) {
        self.ops.push(op);
    }

    /// Appends the operations, their number first.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_uvarint(out, self.ops.len() as u64);
        self.ops.iter().for_each(|op| op.encode(out));
    }

    /// Reads what [`Self::encode`] wrote; `None` if it is not that.
    pub fn decode(input: &mut Input<'_>) -> Option<Self> {
        let count = input.uvarint()?;
        let mut ops = Vec::new();
        for _ in 0..count {
            ops.push(StateOp::decode(input)?);
        }
        Some(StateOps { ops })
    }
}
