//! When something is to happen to records: times of offsets, in order of time. Neighbours with the same time are one run.
//!
//! Whoever sets times rounds them, so that a steady flow of records with one delay makes few runs: memory goes with what is
//! waited for and fragmented, not with its number.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::log::record::varint::{Input, put_uvarint};

/// Times are rounded up by at most this part of what is waited for.
const ROUNDING: u64 = 512;

/// The time that lies `delay_ms` after `now_ms`, rounded up by a small part of the delay; in milliseconds.
pub(in crate::delivery) fn time_after(now_ms: i64, delay_ms: u64) -> i64 {
    let exact = now_ms.saturating_add_unsigned(delay_ms).max(0).unsigned_abs();
    let rounded = exact.checked_next_multiple_of((delay_ms / ROUNDING).max(1));
    rounded.and_then(|time_ms| i64::try_from(time_ms).ok()).unwrap_or(i64::MAX)
}

/// Times of offsets in any number of partitions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Due {
    /// For each partition and first offset of a run: its end and its time.
    runs: BTreeMap<(u32, u64), (u64, i64)>,
    /// Time, partition and first offset of every run.
    order: BTreeSet<(i64, u32, u64)>,
    /// Offsets of all runs.
    len: u64,
}

impl Due {
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Offsets that have a time.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// The first time.
    pub fn next(&self) -> Option<i64> {
        self.order.first().map(|(time_ms, ..)| *time_ms)
    }

    /// The time of an offset.
    pub fn time_of(&self, partition: u32, offset: u64) -> Option<i64> {
        let ((at, _), (end, time_ms)) = self.runs.range(..=(partition, offset)).next_back()?;
        (*at == partition && *end > offset).then_some(*time_ms)
    }

    /// The parts of a range that have a time.
    pub fn within(&self, partition: u32, range: Range<u64>) -> Vec<Range<u64>> {
        if self.runs.is_empty() || range.is_empty() {
            return Vec::new();
        }
        let before = self.runs.range(..(partition, range.start)).next_back();
        let all = before.into_iter().chain(self.runs.range((partition, range.start)..(partition, range.end)));
        let part = |((at, first), (end, _)): (&(u32, u64), &(u64, i64))| {
            let part = (*first).max(range.start)..(*end).min(range.end);
            (*at == partition && !part.is_empty()).then_some(part)
        };
        all.filter_map(part).collect()
    }

    /// Gives all of `range` a time, in place of what it had.
    pub fn set(&mut self, partition: u32, range: Range<u64>, time_ms: i64) {
        if range.is_empty() {
            return;
        }
        self.clear(partition, range.clone());
        let (mut start, mut end) = (range.start, range.end);
        if let Some((&(at, first), &(before_end, before))) = self.runs.range(..(partition, start)).next_back()
            && at == partition
            && before_end == start
            && before == time_ms
        {
            self.take(partition, first);
            start = first;
        }
        if let Some(&(after_end, after)) = self.runs.get(&(partition, end))
            && after == time_ms
        {
            self.take(partition, end);
            end = after_end;
        }
        self.put(partition, start..end, time_ms);
    }

    /// Nothing in `range` has a time any more.
    pub fn clear(&mut self, partition: u32, range: Range<u64>) {
        if self.runs.is_empty() || range.is_empty() {
            return;
        }
        if let Some((&(at, first), &(end, time_ms))) = self.runs.range(..(partition, range.start)).next_back()
            && at == partition
            && end > range.start
        {
            self.take(partition, first);
            self.put(partition, first..range.start, time_ms);
            self.put(partition, range.start..end, time_ms);
        }
        while let Some((&(_, first), &(end, time_ms))) = self.runs.range((partition, range.start)..(partition, range.end)).next()
        {
            self.take(partition, first);
            self.put(partition, range.end..end, time_ms);
        }
    }

    /// Takes out the first run whose time is `now_ms` or earlier, at most `count` offsets of it.
    pub fn take_due(&mut self, now_ms: i64, count: u64) -> Option<(u32, Range<u64>)> {
        let (time_ms, partition, first) = *self.order.first().filter(|(time_ms, ..)| *time_ms <= now_ms)?;
        let (end, _) = self.take(partition, first)?;
        let cut = first.saturating_add(count).min(end);
        self.put(partition, cut..end, time_ms);
        Some((partition, first..cut))
    }

    /// All runs: partition, offsets and time.
    pub fn iter(&self) -> impl Iterator<Item = (u32, Range<u64>, i64)> + '_ {
        self.runs.iter().map(|((partition, first), (end, time_ms))| (*partition, *first..*end, *time_ms))
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        put_uvarint(out, self.runs.len() as u64);
        for (partition, run, time_ms) in self.iter() {
            let fields = [u64::from(partition), run.start, run.end - run.start, time_ms.max(0).unsigned_abs()];
            fields.into_iter().for_each(|field| put_uvarint(out, field));
        }
    }

    /// Hands each run to `each` until it says that it cannot be.
    pub fn decode(input: &mut Input<'_>, mut each: impl FnMut(u32, Range<u64>, i64) -> Option<()>) -> Option<()> {
        for _ in 0..input.uvarint()? {
            let partition = u32::try_from(input.uvarint()?).ok()?;
            let first = input.uvarint()?;
            let end = first.checked_add(input.uvarint()?)?;
            let time_ms = i64::try_from(input.uvarint()?).ok()?;
            each(partition, first..end, time_ms)?;
        }
        Some(())
    }

    fn put(&mut self, partition: u32, range: Range<u64>, time_ms: i64) {
        if !range.is_empty() {
            self.len += range.end - range.start;
            self.runs.insert((partition, range.start), (range.end, time_ms));
            self.order.insert((time_ms, partition, range.start));
        }
    }

    fn take(&mut self, partition: u32, first: u64) -> Option<(u64, i64)> {
        let (end, time_ms) = self.runs.remove(&(partition, first))?;
        self.len -= end - first;
        self.order.remove(&(time_ms, partition, first));
        Some((end, time_ms))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_never_early_and_hardly_late() {
        for delay_ms in [0, 1, 511, 512, 60_000, u64::MAX] {
            let time_ms = time_after(1_000_003, delay_ms);
            let exact = 1_000_003_i64.saturating_add_unsigned(delay_ms);
            assert!(time_ms >= exact && time_ms.saturating_sub(exact) <= exact / 512 + 1, "{delay_ms}");
        }
    }

    proptest! {
        #[test]
        fn times_are_those_of_a_plain_map(steps in prop::collection::vec((0_u8..3, 0_u32..2, 0_u64..30, 0_u64..6, 0_i64..5), 1..60)) {
            let (mut due, mut model) = (Due::default(), BTreeMap::new());
            for (what, partition, first, count, time_ms) in steps {
                let range = first..first + count;
                match what {
                    0 => {
                        due.set(partition, range.clone(), time_ms);
                        model.extend(range.map(|offset| ((partition, offset), time_ms)));
                    }
                    1 => {
                        due.clear(partition, range.clone());
                        model.retain(|(at, offset), _| *at != partition || !range.contains(offset));
                    }
                    _ => while let Some((partition, run)) = due.take_due(time_ms, count + 1) {
                        for offset in run {
                            let time = model.remove(&(partition, offset));
                            prop_assert!(time.is_some_and(|time| time <= time_ms));
                        }
                    },
                }
                prop_assert_eq!(due.next(), model.values().min().copied());
                let all: BTreeMap<_, _> = due.iter().flat_map(|(p, run, t)| run.map(move |offset| ((p, offset), t))).collect();
                prop_assert_eq!(&all, &model);
                for ((partition, offset), time_ms) in &model {
                    prop_assert_eq!(due.time_of(*partition, *offset), Some(*time_ms));
                }
                let known: Vec<u64> = due.within(partition, first..first + count).into_iter().flatten().collect();
                let expected: Vec<u64> = (first..first + count).filter(|o| model.contains_key(&(partition, *o))).collect();
                prop_assert_eq!(known, expected);
                let (mut bytes, mut again) = (Vec::new(), Due::default());
                due.encode(&mut bytes);
                Due::decode(&mut Input::new(&bytes), |p, run, t| { again.set(p, run, t); Some(()) });
                prop_assert_eq!(&again, &due);
            }
        }
    }
}
