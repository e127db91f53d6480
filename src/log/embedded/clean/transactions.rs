//! Which transactions in the segments were aborted and which are open, read off their control records.

use std::collections::HashMap;
use std::io;

use crate::log::embedded::segment::Segment;
use crate::log::record::{BatchHeader, Outcome, read_marker};
use crate::log::stored::StoredBatch;

/// What is known of transactions from some offset on.
#[derive(Debug, Default)]
pub struct Transactions {
    /// Producer, first offset and offset of the end of each that was aborted.
    aborted: HashMap<i64, Vec<(u64, u64)>>,
    /// Where each begins that has no end yet.
    open: HashMap<i64, u64>,
}

impl Transactions {
    /// Reads all headers from an offset on.
    pub fn read(segments: &[Segment], from: u64) -> io::Result<Self> {
        let mut found = Self::default();
        for segment in segments.iter().filter(|segment| segment.next_offset > from) {
            segment.each_header(from, |header, batch| {
                let offset = header.base_offset.unsigned_abs();
                if header.is_control() {
                    found.end(&header, offset, &batch()?);
                } else if header.is_transactional() {
                    found.open.entry(header.producer_id).or_insert(offset);
                }
                Ok(())
            })?;
        }
        Ok(found)
    }

    fn end(&mut self, header: &BatchHeader, offset: u64, batch: &StoredBatch) {
        let Some(first) = self.open.remove(&header.producer_id) else { return };
        if read_marker(batch.body()) == Some(Outcome::Abort) {
            self.aborted.entry(header.producer_id).or_default().push((first, offset));
        }
    }

    /// Where the first open one begins.
    pub fn first_open(&self) -> Option<u64> {
        self.open.values().min().copied()
    }

    /// Whether a batch belongs to one that was aborted.
    pub fn is_aborted(&self, header: &BatchHeader, base_offset: u64) -> bool {
        let of_producer = self.aborted.get(&header.producer_id).filter(|_| header.is_transactional() && !header.is_control());
        of_producer.is_some_and(|ranges| ranges.iter().any(|(first, end)| (*first..*end).contains(&base_offset)))
    }
}
