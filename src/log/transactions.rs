//! What a partition knows of transactions besides their producers: up to where all is decided, which were aborted, and which
//! offsets hold no record for anybody. A pure state machine.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::record::Outcome;
use super::runs::RunSet;

/// A transaction that was aborted, as readers of committed records need it to pass over what it wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aborted {
    /// Whose it was.
    pub producer_id: i64,
    /// The offset of its first record.
    pub first_offset: u64,
    /// The offset of the marker that ended it.
    pub last_offset: u64,
    /// Up to where all was decided when it had ended.
    pub last_stable_offset: u64,
}

/// Transactions in one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transactions {
    /// The first offset of each transaction, and of its marker once it has one; forgotten when that is durable.
    undecided: BTreeMap<u64, Option<u64>>,
    /// Aborted ones of which something may be kept, by the offset of their marker.
    aborted: VecDeque<Aborted>,
    /// Markers, and records of aborted transactions.
    void: RunSet,
}

/// What must survive of it. The rest follows from the producers.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct KeptTransactions {
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    aborted: VecDeque<Aborted>,
    #[serde(default, skip_serializing_if = "RunSet::is_empty")]
    void: RunSet,
}

impl KeptTransactions {
    /// Whether there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        self.aborted.is_empty() && self.void.is_empty()
    }
}

impl Transactions {
    /// A transaction has its first record here.
    pub fn began(&mut self, first: u64) {
        self.undecided.insert(first, None);
    }

    /// A producer's transaction with these records, if it has any here, has its outcome at the offset of a marker.
    pub fn ended(&mut self, producer_id: i64, runs: &RunSet, marker: u64, outcome: Outcome) {
        self.void.insert(marker);
        let Some(first) = runs.first() else { return };
        self.undecided.insert(first, Some(marker));
        if outcome == Outcome::Commit {
            return;
        }
        for run in runs.iter() {
            self.void.insert_range(run);
        }
        let open = self.undecided.iter().find(|(_, marker)| marker.is_none());
        let last_stable_offset = open.map_or(marker.saturating_add(1), |(first, _)| *first);
        self.aborted.push_back(Aborted { producer_id, first_offset: first, last_offset: marker, last_stable_offset });
    }

    /// Up to where everything is durable and decided.
    pub fn stable(&mut self, log_start: u64, durable: u64) -> u64 {
        while let Some(first) = self.undecided.first_entry() {
            match first.get() {
                Some(marker) if *marker < durable => first.remove(),
                _ => break,
            };
        }
        self.undecided.first_key_value().map_or(durable, |(first, _)| (*first).max(log_start).min(durable))
    }

    /// The last of an offset and the markers that may decide on it and are not known to be durable.
    pub fn decided_by(&self, offset: u64) -> u64 {
        let began = self.undecided.range(..=offset).filter_map(|(_, marker)| *marker);
        began.max().map_or(offset, |marker| marker.max(offset))
    }

    /// Aborted transactions with records in `from..to`, in the order of their markers.
    pub fn aborted_in(&self, from: u64, to: u64) -> Vec<Aborted> {
        let mut found = Vec::new();
        for aborted in self.aborted.range(self.ending_before(from)..) {
            if aborted.first_offset < to {
                found.push(*aborted);
            }
            // Before this everything was decided: nobody who ends later began earlier.
            if aborted.last_stable_offset >= to {
                break;
            }
        }
        found
    }

    /// Aborted transactions whose marker lies in a range.
    pub fn aborted_ending(&self, range: std::ops::Range<u64>) -> Vec<Aborted> {
        self.aborted
            .range(self.ending_before(range.start)..)
            .take_while(|aborted| aborted.last_offset < range.end)
            .copied()
            .collect()
    }

    fn ending_before(&self, offset: u64) -> usize {
        self.aborted.partition_point(|aborted| aborted.last_offset < offset)
    }

    /// Nothing is left of these, their markers included.
    pub fn forget_aborted(&mut self, gone: &[Aborted]) {
        self.aborted.retain(|aborted| !gone.contains(aborted));
    }

    /// Offsets that hold no record for anybody.
    pub fn void(&self) -> &RunSet {
        &self.void
    }

    /// Nothing before this is kept.
    pub fn log_starts_at(&mut self, offset: u64) {
        self.void.remove_below(offset);
        self.aborted.drain(..self.ending_before(offset));
    }

    /// What must survive a restart.
    pub fn keep(&self) -> KeptTransactions {
        KeptTransactions { aborted: self.aborted.clone(), void: self.void.clone() }
    }

    /// Goes on from what was kept, with the transactions that have no outcome.
    pub fn restore<'a>(&mut self, kept: KeptTransactions, open: impl Iterator<Item = &'a RunSet>) {
        self.aborted = kept.aborted;
        for run in kept.void.iter() {
            self.void.insert_range(run);
        }
        self.undecided = open.filter_map(RunSet::first).map(|first| (first, None)).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(offsets: &[u64]) -> RunSet {
        offsets.iter().copied().collect()
    }

    #[test]
    fn readers_stop_before_the_first_open_transaction_until_its_marker_is_durable() {
        let mut all = Transactions::default();
        assert_eq!(all.stable(0, 10), 10);
        all.began(10);
        all.began(14);
        assert_eq!(all.stable(0, 20), 10);
        all.ended(1, &runs(&[10, 11]), 20, Outcome::Commit);
        assert_eq!(all.stable(0, 20), 10, "the marker may still be lost");
        assert_eq!(all.stable(0, 21), 14);
        assert_eq!(all.stable(18, 21), 18, "what is trimmed is nobody's to wait for");
        all.ended(2, &runs(&[14]), 21, Outcome::Commit);
        assert_eq!(all.stable(0, 22), 22);
    }

    #[test]
    fn an_aborted_transaction_is_told_to_readers_of_its_records() {
        let mut all = Transactions::default();
        all.began(3);
        all.began(5);
        all.ended(7, &runs(&[3, 4]), 9, Outcome::Abort);
        let aborted = Aborted { producer_id: 7, first_offset: 3, last_offset: 9, last_stable_offset: 5 };
        assert_eq!(all.aborted_in(0, 4), [aborted]);
        assert_eq!(all.aborted_in(9, 20), [aborted]);
        assert_eq!(all.aborted_in(0, 3).len() + all.aborted_in(10, 20).len(), 0);
        assert_eq!(all.void().iter().collect::<Vec<_>>(), [3..5, 9..10]);
        assert_eq!((all.aborted_ending(0..9), all.aborted_ending(9..10)), (vec![], vec![aborted]));
        all.log_starts_at(9);
        assert_eq!(all.aborted_in(9, 20), [aborted], "a part of it may be kept");
        all.log_starts_at(10);
        assert_eq!(all.aborted_in(0, 20), []);
    }

    #[test]
    fn a_marker_without_records_is_only_a_marker() {
        let mut all = Transactions::default();
        all.ended(7, &RunSet::new(), 4, Outcome::Abort);
        assert_eq!(all.stable(0, 5), 5);
        assert_eq!(all.aborted_in(0, 9), []);
        assert!(all.void().contains(4));
    }
}
