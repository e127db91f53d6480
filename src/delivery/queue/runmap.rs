//! A value for each of many offsets, in any number of partitions. Neighbours with one value are one run.

use std::collections::BTreeMap;
use std::ops::Range;

/// Values by partition and offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RunMap<V> {
    /// For each partition and first offset of a run: its end and its value.
    runs: BTreeMap<(u32, u64), (u64, V)>,
}

impl<V> Default for RunMap<V> {
    fn default() -> Self {
        Self { runs: BTreeMap::new() }
    }
}

impl<V: Copy + PartialEq> RunMap<V> {
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The value of an offset.
    pub fn get(&self, partition: u32, offset: u64) -> Option<V> {
        let ((at, _), (end, value)) = self.runs.range(..=(partition, offset)).next_back()?;
        (*at == partition && *end > offset).then_some(*value)
    }

    /// Gives all of `range` a value; nothing in it has one.
    pub fn fill(&mut self, partition: u32, range: Range<u64>, value: V) {
        if range.is_empty() {
            return;
        }
        let after = self.runs.get(&(partition, range.end)).filter(|(_, next)| *next == value).map(|(end, _)| *end);
        if after.is_some() {
            self.runs.remove(&(partition, range.end));
        }
        let new_end = after.unwrap_or(range.end);
        if let Some((&(at, _), (end, before))) = self.runs.range_mut(..(partition, range.start)).next_back()
            && at == partition
            && *end == range.start
            && *before == value
        {
            *end = new_end;
            return;
        }
        self.runs.insert((partition, range.start), (new_end, value));
    }

    /// Takes the values of all of `range` out and hands them to `each`, run by run.
    pub fn clear(&mut self, partition: u32, range: Range<u64>, mut each: impl FnMut(Range<u64>, V)) {
        if range.is_empty() {
            return;
        }
        if let Some((&(at, _), slot)) = self.runs.range_mut(..(partition, range.start)).next_back()
            && at == partition
            && slot.0 > range.start
        {
            let (end, value) = (std::mem::replace(&mut slot.0, range.start), slot.1);
            self.runs.insert((partition, range.start), (end, value));
        }
        while let Some((&(_, first), &(end, value))) = self.runs.range((partition, range.start)..(partition, range.end)).next() {
            self.runs.remove(&(partition, first));
            if end > range.end {
                self.runs.insert((partition, range.end), (end, value));
            }
            each(first..end.min(range.end), value);
        }
    }

    /// All runs: partition, offsets and value.
    pub fn iter(&self) -> impl Iterator<Item = (u32, Range<u64>, V)> + '_ {
        self.runs.iter().map(|((partition, first), (end, value))| (*partition, *first..*end, *value))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn values_are_those_of_a_plain_map(steps in prop::collection::vec((any::<bool>(), 0_u32..2, 0_u64..30, 0_u64..6, 0_u8..3), 1..60)) {
            let (mut runs, mut model) = (RunMap::default(), BTreeMap::new());
            for (fills, partition, first, count, value) in steps {
                let range = first..first + count;
                let mut removed = Vec::new();
                runs.clear(partition, range.clone(), |run, value| removed.extend(run.map(|offset| (offset, value))));
                let expected: Vec<_> = range.clone().filter_map(|o| model.remove(&(partition, o)).map(|v| (o, v))).collect();
                prop_assert_eq!(removed, expected);
                if fills {
                    runs.fill(partition, range.clone(), value);
                    model.extend(range.map(|offset| ((partition, offset), value)));
                }
                let all: BTreeMap<_, _> = runs.iter().flat_map(|(p, run, v)| run.map(move |offset| ((p, offset), v))).collect();
                prop_assert_eq!(&all, &model);
                prop_assert!((0..40).all(|offset| runs.get(0, offset) == model.get(&(0, offset)).copied()));
            }
        }
    }
}
