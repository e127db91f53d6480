//! What became of the transactions that records belong to, read off the markers that end them.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::log::TopicName;
use crate::log::inspect::Found;
use crate::log::record::{BatchHeader, Outcome, read_marker};

/// Why records that were written do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Undone {
    /// Their transaction was aborted.
    Aborted,
    /// Their transaction has no outcome yet: it ends when its producer or its timeout says so.
    Open,
}

/// The transactions of all partitions that were looked at.
#[derive(Debug, Default)]
pub(super) struct Outcomes(HashMap<(TopicName, u32), Partition>);

#[derive(Debug, Default)]
struct Partition {
    /// By producer: the first offset of each that was aborted, and that of its marker.
    aborted: HashMap<i64, Vec<(u64, u64)>>,
    /// By producer: where the one without an outcome begins.
    open: HashMap<i64, u64>,
}

impl Outcomes {
    /// Notes a batch. Those of a partition come in the order of their offsets.
    pub(super) fn note(&mut self, found: &Found<'_>, header: &BatchHeader) {
        if !header.is_transactional() {
            return;
        }
        let partition = self.0.entry((found.topic.clone(), found.partition)).or_default();
        partition.note(found.batch.base_offset, header, read_marker(found.batch.body()));
    }

    /// Why the records of a batch do not count, if that is so; asked when all batches are noted.
    pub(super) fn of(&self, found: &Found<'_>, header: &BatchHeader) -> Option<Undone> {
        if !header.is_transactional() || header.is_control() {
            return None;
        }
        self.0.get(&(found.topic.clone(), found.partition))?.of(found.batch.base_offset, header.producer_id)
    }
}

impl Partition {
    fn note(&mut self, offset: u64, header: &BatchHeader, marker: Option<Outcome>) {
        let producer_id = header.producer_id;
        match marker {
            None if header.is_control() => {}
            None => drop(self.open.entry(producer_id).or_insert(offset)),
            Some(outcome) => {
                let first = self.open.remove(&producer_id);
                if let Some(first) = first.filter(|_| outcome == Outcome::Abort) {
                    self.aborted.entry(producer_id).or_default().push((first, offset));
                }
            }
        }
    }

    fn of(&self, offset: u64, producer_id: i64) -> Option<Undone> {
        if self.open.get(&producer_id).is_some_and(|first| offset >= *first) {
            return Some(Undone::Open);
        }
        let ranges = self.aborted.get(&producer_id)?;
        let at = ranges.partition_point(|(first, _)| *first <= offset).checked_sub(1)?;
        ranges.get(at).filter(|(_, marker)| offset < *marker).map(|_| Undone::Aborted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::record::marker_batch;

    #[test]
    fn each_transaction_of_a_producer_has_its_own_outcome() {
        let mut partition = Partition::default();
        let marker = |outcome| BatchHeader::parse(&marker_batch(7, 0, outcome, 0)).expect("a header");
        let record = BatchHeader { attributes: 0x10, ..marker(Outcome::Commit) };
        let script = [
            (0, None),
            (2, None),
            (3, Some(Outcome::Abort)),
            (4, None),
            (5, Some(Outcome::Commit)),
            (6, None),
            (8, Some(Outcome::Abort)),
            (9, None),
        ];
        for (offset, outcome) in script {
            partition.note(offset, &outcome.map_or(record, marker), outcome);
        }
        let found: Vec<_> = [0, 2, 4, 6, 9, 10].into_iter().map(|offset| partition.of(offset, 7)).collect();
        use Undone::{Aborted, Open};
        assert_eq!(found, [Some(Aborted), Some(Aborted), None, Some(Aborted), Some(Open), Some(Open)]);
        assert_eq!(partition.of(0, 8), None, "another producer's");
    }
}
