//! Reading single records out of stored batches.
//!
//! Keeps the batch it last looked into, decompressed, so that neighbours cost one step each. A connection has one.

use crate::log::record::{Record, RecordCursor};
use crate::log::{Bound, Log, Partition, ReadError};

/// Reads records one by one.
pub struct RecordReader {
    log: Log,
    batch: Option<(u32, RecordCursor)>,
}

/// A batch larger than this is not kept between reads, in bytes.
const KEPT_BYTES_MAX: usize = 1 << 20;

impl RecordReader {
    pub(super) fn new(log: Log) -> Self {
        Self { log, batch: None }
    }

    /// The record at an offset. Who calls it makes sure that what it does with it is gated by durability.
    pub fn record(&mut self, partition: &Partition, offset: u64) -> Result<Record, ReadError> {
        let kept = self.batch.take().filter(|(id, cursor)| *id == partition.id() && cursor.covers(offset));
        let mut cursor = match kept {
            Some((_, cursor)) => cursor,
            None => self.open(partition, offset)?,
        };
        let found = cursor.record_at(offset).map_err(|error| corrupt(partition, offset, &error.to_string()))?;
        if cursor.payload_bytes() <= KEPT_BYTES_MAX {
            self.batch = Some((partition.id(), cursor));
        }
        found.ok_or_else(|| gone(partition, offset))
    }

    fn open(&self, partition: &Partition, offset: u64) -> Result<RecordCursor, ReadError> {
        let batch = self.log.read(partition, offset, 1, Bound::End)?.into_iter().next();
        let batch = batch.ok_or_else(|| gone(partition, offset))?;
        batch.records(self.log.limits()).map_err(|error| corrupt(partition, offset, &error.to_string()))
    }
}

fn gone(partition: &Partition, offset: u64) -> ReadError {
    let bounds = partition.bounds();
    ReadError::OutOfRange { offset, log_start: bounds.log_start, end: bounds.end }
}

fn corrupt(partition: &Partition, offset: u64, reason: &str) -> ReadError {
    let partition = format!("{}-{}", partition.topic_name(), partition.index());
    ReadError::Corrupt { partition, offset, reason: reason.to_owned() }
}
