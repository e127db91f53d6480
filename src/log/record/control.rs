//! Control records: how a transaction ended, as a batch of its own in each partition that it wrote to.
//!
//! Key: version 0 and type (0 abort, 1 commit); value: version 0 and the coordinator's epoch. The batch is transactional, has
//! its producer's id and epoch, and no sequence. Source: KIP-98.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::builder::seal;
use super::fields::{Record, put_record};
use super::header::{BATCH_HEADER_BYTES, BatchHeader, CONTROL_BIT, TRANSACTIONAL_BIT, plain_header};
use super::{Limits, RecordCursor};

const KEY_VERSION: i16 = 0;
const ABORT: i16 = 0;
const COMMIT: i16 = 1;
/// Version 0, and a coordinator that never changes.
const VALUE: [u8; 6] = [0; 6];

/// A control batch is one small record.
const LIMITS: Limits = Limits { batch_bytes_max: 4096, decompressed_bytes_max: 4096, headers_max: 0 };

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Outcome {
    /// Its records count.
    Commit,
    /// They do not.
    Abort,
}

/// The batch that says how a producer's transaction ended.
pub fn marker_batch(producer_id: i64, producer_epoch: i16, outcome: Outcome, timestamp_ms: i64) -> Bytes {
    let kind = match outcome {
        Outcome::Commit => COMMIT,
        Outcome::Abort => ABORT,
    };
    let key = [KEY_VERSION.to_be_bytes(), kind.to_be_bytes()].concat();
    let value = Some(Bytes::from_static(&VALUE));
    let record = Record { key: Some(key.into()), value, headers: Vec::new(), timestamp_ms };
    let mut out = vec![0; BATCH_HEADER_BYTES];
    put_record(&mut out, record.parts(), 0, 0);
    let attributes = TRANSACTIONAL_BIT | CONTROL_BIT;
    let header = BatchHeader { attributes, producer_id, producer_epoch, ..plain_header(1, timestamp_ms, timestamp_ms) };
    seal(&mut out, header);
    out.into()
}

/// What a control batch says; none: it is no control batch, or one of a kind that is not known.
pub fn read_marker(batch: &Bytes) -> Option<Outcome> {
    if !is_control_batch(batch) {
        return None;
    }
    let mut records = RecordCursor::open(batch, 0, &LIMITS).ok()?;
    let (_, record) = records.next()?.ok()?;
    let key = record.key?;
    match i16::from_be_bytes(*key.get(2..)?.first_chunk()?) {
        ABORT => Some(Outcome::Abort),
        COMMIT => Some(Outcome::Commit),
        _ => None,
    }
}

/// Whether the bytes, which must be those of a batch, hold control records.
pub fn is_control_batch(batch: &[u8]) -> bool {
    batch.get(21..23).and_then(|raw| raw.first_chunk()).is_some_and(|raw| i16::from_be_bytes(*raw) & CONTROL_BIT != 0)
}

#[cfg(test)]
mod tests {
    use super::super::{batch_of_one, validate_batch};
    use super::*;

    #[test]
    fn a_marker_is_a_batch_that_says_how_it_ended() {
        for outcome in [Outcome::Commit, Outcome::Abort] {
            let batch = marker_batch(7, 3, outcome, 99);
            let header = validate_batch(&batch, &Limits::default()).expect("a valid batch");
            assert!(header.is_control() && header.is_transactional());
            assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (7, 3, -1));
            assert_eq!(read_marker(&batch), Some(outcome));
        }
    }

    #[test]
    fn another_batch_is_no_marker() {
        assert_eq!(read_marker(&batch_of_one(&Record::default())), None);
        assert!(!is_control_batch(b"short"));
    }
}
