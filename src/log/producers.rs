//! What a partition remembers of its idempotent producers, to drop what comes twice and refuse what leaves a gap (KIP-98,
//! KIP-360), and which of their records belong to a transaction without an outcome. A pure state machine; time is passed in.

use std::collections::{HashMap, VecDeque};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::record::BatchHeader;
use super::runs::RunSet;

/// How many batches of a producer are remembered: as many as it may have in flight.
const BATCHES_KEPT: usize = 5;
/// A producer that was silent for this long is forgotten, in milliseconds (one day, Kafka's default).
const EXPIRY_MS: i64 = 86_400_000;

/// Why a batch of an idempotent producer is refused.
#[derive(Debug, Clone, Copy, Error, PartialEq, Eq)]
pub enum SequenceError {
    /// Batches before this one are missing.
    #[error("sequence {got} came where {expected} was due")]
    Gap {
        /// The sequence number of the batch.
        got: i32,
        /// The one that was due.
        expected: i32,
    },
    /// Older than what is remembered, so where it lies cannot be told.
    #[error("sequence {0} was written before and is no longer remembered")]
    Old(i32),
    /// A newer instance of the producer has written.
    #[error("producer epoch {got} is older than {current}")]
    Fenced {
        /// The epoch of the batch.
        got: i16,
        /// The newest epoch seen.
        current: i16,
    },
    /// The producer has a transaction open here, and the batch is no part of one.
    #[error("the producer has an open transaction that the batch is no part of")]
    OutsideTransaction,
}

/// What to do with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Write it.
    New,
    /// It lies at this offset already.
    Duplicate(u64),
}

/// One batch that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Written {
    first: i32,
    last: i32,
    offset: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Producer {
    epoch: i16,
    batches: VecDeque<Written>,
    timestamp_ms: i64,
    /// The records of its transaction that has no outcome yet; empty: it has none here.
    #[serde(default, skip_serializing_if = "RunSet::is_empty")]
    open: RunSet,
}

/// A producer as a partition knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerSnapshot {
    /// Its id.
    pub id: i64,
    /// The newest epoch that it wrote with.
    pub epoch: i16,
    /// The sequence number of its newest record; none: it has written nothing in this epoch.
    pub last_sequence: Option<i32>,
    /// When it was last heard of, in milliseconds since 1970.
    pub timestamp_ms: i64,
    /// Where its open transaction begins, if it has one here.
    pub open_from: Option<u64>,
}

/// All idempotent producers of one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Producers {
    by_id: HashMap<i64, Producer>,
}

impl Producers {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// What to do with a batch that has this header. Batches without a producer id are always new.
    pub fn check(&self, header: &BatchHeader) -> Result<Verdict, SequenceError> {
        let Some(producer) = self.by_id.get(&header.producer_id).filter(|_| header.producer_id >= 0) else {
            return Ok(Verdict::New);
        };
        if header.producer_epoch < producer.epoch {
            return Err(SequenceError::Fenced { got: header.producer_epoch, current: producer.epoch });
        }
        if !header.is_transactional() && !producer.open.is_empty() {
            return Err(SequenceError::OutsideTransaction);
        }
        let got = header.base_sequence;
        if header.producer_epoch > producer.epoch {
            return if got == 0 { Ok(Verdict::New) } else { Err(SequenceError::Gap { got, expected: 0 }) };
        }
        let last = last_sequence(header);
        if let Some(written) = producer.batches.iter().find(|written| written.first == got && written.last == last) {
            return Ok(Verdict::Duplicate(written.offset));
        }
        let expected = producer.batches.back().map_or(0, |newest| following(newest.last, 1));
        if got == expected {
            Ok(Verdict::New)
        } else if got < expected && expected - got < i32::MAX / 2 {
            Err(SequenceError::Old(got))
        } else {
            Err(SequenceError::Gap { got, expected })
        }
    }

    /// Remembers that the batch with this header was placed at an offset. Whether that began a transaction.
    ///
    /// A start may go on from a state that knows the batch already: nothing is remembered twice.
    pub fn wrote(&mut self, header: &BatchHeader, offset: u64, now_ms: i64) -> bool {
        if header.producer_id < 0 || self.knows(header, offset) {
            return false;
        }
        let producer = self.at_epoch(header.producer_id, header.producer_epoch, now_ms);
        if producer.batches.len() == BATCHES_KEPT {
            producer.batches.pop_front();
        }
        producer.batches.push_back(Written { first: header.base_sequence, last: last_sequence(header), offset });
        let begins = header.is_transactional() && producer.open.is_empty();
        if header.is_transactional() {
            let count = u64::from(header.last_offset_delta.unsigned_abs()) + 1;
            producer.open.insert_range(offset..offset.saturating_add(count));
        }
        begins
    }

    fn knows(&self, header: &BatchHeader, offset: u64) -> bool {
        let is_behind = |producer: &Producer| producer.batches.back().is_some_and(|newest| newest.offset >= offset);
        self.by_id.get(&header.producer_id).is_some_and(|producer| producer.epoch > header.producer_epoch || is_behind(producer))
    }

    /// The producer's transaction has its outcome: the records that it had here. A newer epoch fences older ones.
    /// What lies behind the marker is of a later one, which a start may know of already.
    pub fn ended(&mut self, producer_id: i64, epoch: i16, marker: u64, now_ms: i64) -> RunSet {
        let open = &mut self.at_epoch(producer_id, epoch, now_ms).open;
        let mut ended = open.clone();
        ended.remove_range(marker..u64::MAX);
        open.remove_below(marker);
        ended
    }

    fn at_epoch(&mut self, producer_id: i64, epoch: i16, now_ms: i64) -> &mut Producer {
        let fresh = || Producer { epoch, batches: VecDeque::new(), timestamp_ms: now_ms, open: RunSet::new() };
        let producer = self.by_id.entry(producer_id).or_insert_with(fresh);
        if producer.epoch < epoch {
            producer.epoch = epoch;
            producer.batches.clear();
        }
        producer.timestamp_ms = now_ms;
        producer
    }

    /// The records of each transaction that has no outcome yet.
    pub fn open(&self) -> impl Iterator<Item = &RunSet> {
        self.by_id.values().map(|producer| &producer.open).filter(|runs| !runs.is_empty())
    }

    /// All producers, in no order.
    pub fn snapshot(&self) -> impl Iterator<Item = ProducerSnapshot> {
        self.by_id.iter().map(|(id, producer)| ProducerSnapshot {
            id: *id,
            epoch: producer.epoch,
            last_sequence: producer.batches.back().map(|newest| newest.last),
            timestamp_ms: producer.timestamp_ms,
            open_from: producer.open.first(),
        })
    }

    /// Forgets who was silent for a day and has no transaction open.
    pub fn expire(&mut self, now_ms: i64) {
        let is_heard = |producer: &Producer| now_ms.saturating_sub(producer.timestamp_ms) < EXPIRY_MS;
        self.by_id.retain(|_, producer| is_heard(producer) || !producer.open.is_empty());
    }
}

fn last_sequence(header: &BatchHeader) -> i32 {
    following(header.base_sequence, header.last_offset_delta.max(0))
}

/// Sequence numbers wrap from the largest to 0.
fn following(sequence: i32, by: i32) -> i32 {
    i32::try_from((i64::from(sequence) + i64::from(by)) % (i64::from(i32::MAX) + 1)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::record::{Record, batch_of_one};

    fn header(epoch: i16, sequence: i32, count: i32) -> BatchHeader {
        let record = Record { key: None, value: None, headers: Vec::new(), timestamp_ms: 0 };
        let mut header = BatchHeader::parse(&batch_of_one(&record)).expect("a batch");
        header.producer_id = 9;
        header.producer_epoch = epoch;
        header.base_sequence = sequence;
        header.last_offset_delta = count - 1;
        header
    }

    #[test]
    fn a_repeated_batch_is_found_where_it_lies() {
        let mut producers = Producers::default();
        for batch in 0..7 {
            let header = header(0, batch * 10, 10);
            assert_eq!(producers.check(&header), Ok(Verdict::New));
            producers.wrote(&header, u64::from(batch as u32) * 10, 0);
        }
        assert_eq!(producers.check(&header(0, 60, 10)), Ok(Verdict::Duplicate(60)));
        assert_eq!(producers.check(&header(0, 20, 10)), Ok(Verdict::Duplicate(20)));
        assert_eq!(producers.check(&header(0, 0, 10)), Err(SequenceError::Old(0)));
    }

    #[test]
    fn a_gap_is_refused_and_an_old_epoch_is_fenced() {
        let mut producers = Producers::default();
        producers.wrote(&header(1, 0, 1), 0, 0);
        assert_eq!(producers.check(&header(1, 2, 1)), Err(SequenceError::Gap { got: 2, expected: 1 }));
        assert_eq!(producers.check(&header(0, 1, 1)), Err(SequenceError::Fenced { got: 0, current: 1 }));
        assert_eq!(producers.check(&header(2, 5, 1)), Err(SequenceError::Gap { got: 5, expected: 0 }));
        assert_eq!(producers.check(&header(2, 0, 1)), Ok(Verdict::New));
    }

    #[test]
    fn what_is_known_already_is_not_remembered_twice() {
        let in_transaction = |sequence| BatchHeader { attributes: 0x10, ..header(1, sequence, 2) };
        let mut producers = Producers::default();
        assert!(producers.wrote(&in_transaction(0), 5, 0));
        producers.wrote(&in_transaction(2), 8, 0);
        producers.ended(9, 1, 10, 0);
        let known = producers.clone();
        for (sequence, offset) in [(0, 5), (2, 8)] {
            assert!(!producers.wrote(&in_transaction(sequence), offset, 0));
        }
        assert!(producers.ended(9, 0, 10, 0).is_empty());
        assert_eq!(producers, known);
    }

    #[test]
    fn sequences_wrap() {
        let mut producers = Producers::default();
        producers.wrote(&header(0, i32::MAX - 1, 2), 0, 0);
        assert_eq!(producers.check(&header(0, 0, 4)), Ok(Verdict::New));
    }

    #[test]
    fn silent_producers_are_forgotten() {
        let mut producers = Producers::default();
        producers.wrote(&header(0, 0, 1), 0, 1000);
        producers.expire(1000 + EXPIRY_MS - 1);
        assert!(!producers.is_empty());
        producers.expire(1000 + EXPIRY_MS);
        assert!(producers.is_empty());
    }

    #[test]
    fn a_transaction_holds_its_records_and_its_producer_until_it_ends() {
        let in_transaction = |epoch, sequence, count| BatchHeader { attributes: 0x10, ..header(epoch, sequence, count) };
        let mut producers = Producers::default();
        assert!(producers.wrote(&in_transaction(3, 0, 2), 10, 0));
        assert!(!producers.wrote(&in_transaction(3, 2, 1), 15, 0));
        assert_eq!(producers.check(&header(3, 3, 1)), Err(SequenceError::OutsideTransaction));
        producers.expire(i64::MAX);
        assert_eq!(producers.ended(9, 3, 16, 0).iter().collect::<Vec<_>>(), [10..12, 15..16]);
        assert_eq!(producers.check(&in_transaction(3, 3, 1)), Ok(Verdict::New));
        assert!(producers.wrote(&in_transaction(3, 3, 1), 20, 0));
        assert_eq!(producers.ended(9, 4, 21, 0).first(), Some(20));
        assert_eq!(producers.check(&in_transaction(3, 4, 1)), Err(SequenceError::Fenced { got: 3, current: 4 }));
        assert_eq!(producers.check(&in_transaction(4, 1, 1)), Err(SequenceError::Gap { got: 1, expected: 0 }));
        assert_eq!(producers.check(&in_transaction(4, 0, 1)), Ok(Verdict::New));
    }
}
