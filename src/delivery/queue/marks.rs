//! What is known of single records of a queue: which of the parts that keep it is told, and when it is forgotten.

use std::ops::Range;

use super::Mark;
use super::runmap::RunMap;
use super::state::QueueState;
use crate::log::record::varint::{Input, put_uvarint};
use crate::log::runs::OFFSET_MAX;

/// The sizes of records that are not done.
#[derive(Debug, Clone, Default)]
pub(super) struct Weights {
    bytes: RunMap<u64>,
    total: u64,
}

impl Weights {
    fn clear(&mut self, partition: u32, range: Range<u64>) {
        let mut removed = 0_u64;
        self.bytes
            .clear(partition, range, |run, each| removed = removed.saturating_add(each.saturating_mul(run.end - run.start)));
        self.total = self.total.saturating_sub(removed);
    }

    /// The number of runs, and for each its partition, first offset, count and bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_uvarint(out, self.bytes.iter().count() as u64);
        for (partition, run, bytes) in self.bytes.iter() {
            let fields = [u64::from(partition), run.start, run.end - run.start, bytes];
            fields.into_iter().for_each(|field| put_uvarint(out, field));
        }
    }
}

impl QueueState {
    /// Something is known of records `first..first + count`; of those that are done already nothing is kept.
    pub fn mark(&mut self, mark: Mark, partition: u32, first: u64, count: u64, value: u64) {
        let time_ms = i64::try_from(value).unwrap_or(i64::MAX);
        match mark {
            Mark::Deadline => self.set_deadline(partition, first, count, time_ms),
            Mark::Wait => self.wait_until(partition, first, count, time_ms),
            Mark::Weight => self.set_weight(partition, first, count, value),
            Mark::Level => self.set_level(partition, first, count, u8::try_from(value).unwrap_or(u8::MAX)),
        }
    }

    /// Does again what a mark did.
    pub(super) fn mark_again(&mut self, mark: Mark, partition: u32, first: u64, count: u64, value: u64) {
        let end = first.saturating_add(count).min(OFFSET_MAX);
        self.change(partition, |lane| lane.reach(end));
        self.mark(mark, partition, first, count, value);
    }

    fn set_weight(&mut self, partition: u32, first: u64, count: u64, bytes: u64) {
        for run in self.undone(partition, first, count) {
            let weights = self.weights.get_or_insert_default();
            weights.clear(partition, run.clone());
            weights.total = weights.total.saturating_add(bytes.saturating_mul(run.end - run.start));
            weights.bytes.fill(partition, run, bytes);
        }
    }

    /// Bytes of all records that are neither done nor in flight, as far as their sizes are known.
    pub fn held_bytes(&self) -> u64 {
        let Some(weights) = &self.weights else { return 0 };
        let in_flight =
            (0_u32..).zip(&self.lanes).flat_map(|(partition, lane)| lane.in_flight.keys().map(move |at| (partition, *at)));
        let bytes: u64 = in_flight.filter_map(|(partition, offset)| weights.bytes.get(partition, offset)).sum();
        weights.total.saturating_sub(bytes)
    }

    /// A range is done: nothing is known of it any more.
    pub(super) fn forget(&mut self, partition: u32, range: Range<u64>) {
        self.forget_timers(partition, range.clone());
        self.forget_ranks(partition, &range);
        self.forget_keys(partition, &range);
        if let Some(weights) = &mut self.weights {
            weights.clear(partition, range);
        }
    }

    /// Reads what [`Weights::encode`] wrote; `None` if it does not fit the lanes.
    pub(super) fn read_weights(&mut self, input: &mut Input<'_>) -> Option<()> {
        for _ in 0..input.uvarint()? {
            let partition = u32::try_from(input.uvarint()?).ok()?;
            let (first, count, bytes) = (input.uvarint()?, input.uvarint()?, input.uvarint()?);
            first.checked_add(count).filter(|end| count > 0 && *end <= self.end(partition))?;
            self.set_weight(partition, first, count, bytes);
        }
        Some(())
    }
}
