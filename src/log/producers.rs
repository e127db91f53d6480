//! What a partition remembers of its idempotent producers, to drop what comes twice and refuse what leaves a gap (KIP-98,
//! KIP-360). A pure state machine; time is passed in.

use std::collections::HashMap;
use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::record::BatchHeader;

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
}

/// All idempotent producers of one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Producers {
    by_id: HashMap<i64, Producer>,
}

impl Producers {
    /// Whether there are none.
    #[cfg(test)]
    fn is_empty(&self) -> bool {
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
        let got = header.base_sequence;
        if header.producer_epoch > producer.epoch {
            return if got == 0 { Ok(Verdict::New) } else { Err(SequenceError::Gap { got, expected: 0 }) };
        }
        let last = last_sequence(header);
        if let Some(written) = producer.batches.iter().find(|written| written.first == got && written.last == last) {
            return Ok(Verdict::Duplicate(written.offset));
        }
        let Some(newest) = producer.batches.back() else { return Ok(Verdict::New) };
        let expected = following(newest.last, 1);
        if got == expected {
            Ok(Verdict::New)
        } else if got < expected && expected - got < i32::MAX / 2 {
            Err(SequenceError::Old(got))
        } else {
            Err(SequenceError::Gap { got, expected })
        }
    }

    /// Remembers that the batch with this header was placed at an offset.
    pub fn wrote(&mut self, header: &BatchHeader, offset: u64, now_ms: i64) {
        if header.producer_id < 0 {
            return;
        }
        let producer = self.by_id.entry(header.producer_id).or_insert_with(|| Producer {
            epoch: header.producer_epoch,
            batches: VecDeque::new(),
            timestamp_ms: now_ms,
        });
        if producer.epoch != header.producer_epoch {
            producer.epoch = header.producer_epoch;
            producer.batches.clear();
        }
        if producer.batches.len() == BATCHES_KEPT {
            producer.batches.pop_front();
        }
        producer.timestamp_ms = now_ms;
        producer.batches.push_back(Written { first: header.base_sequence, last: last_sequence(header), offset });
    }

    /// Forgets who was silent for a day.
    pub fn expire(&mut self, now_ms: i64) {
        self.by_id.retain(|_, producer| now_ms.saturating_sub(producer.timestamp_ms) < EXPIRY_MS);
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
}
