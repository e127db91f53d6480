//! Walking through the records of one batch, decompressed once.
//!
//! Reading offsets in rising order costs one step each; going back starts at the nearest mark before, so that reading in falling order
//! costs a few steps each.

use bytes::Bytes;

use super::fields::{Record, RecordView};
use super::header::{BATCH_HEADER_BYTES, BatchHeader};
use super::varint::Input;
use super::{BatchError, Compression, Limits};

/// So many records lie between two marks.
const MARK_EVERY: u32 = 16;

/// Where a record begins that was passed before.
#[derive(Debug, Clone, Copy)]
struct Mark {
    next_offset: u64,
    index: u32,
    at: usize,
}

/// A position in a batch. As an iterator it gives the offset and record of each that is left.
#[derive(Debug, Clone)]
pub struct RecordCursor {
    header: BatchHeader,
    base_offset: u64,
    payload: Bytes,
    headers_max: usize,
    /// Records read so far, and the byte where the next begins.
    index: u32,
    at: usize,
    /// No record before this offset is left; one past the last after the end.
    next_offset: u64,
    marks: Vec<Mark>,
}

impl RecordCursor {
    /// Opens the batch at the front of `bytes`, whose first record is to have `base_offset`.
    ///
    /// # Errors
    /// `Truncated`, `Magic`, `Length`, `Count`, `UnknownCompression`, `Decompress`, `TooLarge`.
    pub fn open(bytes: &Bytes, base_offset: u64, limits: &Limits) -> Result<Self, BatchError> {
        let header = BatchHeader::parse(bytes)?;
        let need = header.total_bytes();
        if need > bytes.len() {
            return Err(BatchError::Truncated { need, have: bytes.len() });
        }
        if header.record_count < 0 || header.last_offset_delta < 0 {
            return Err(BatchError::Count);
        }
        let packed = bytes.slice(BATCH_HEADER_BYTES..need);
        let payload = match header.compression()? {
            Compression::None => packed,
            compression => Bytes::from(compression.decompress(&packed, limits.decompressed_bytes_max)?),
        };
        let headers_max = limits.headers_max;
        Ok(RecordCursor {
            header,
            base_offset,
            payload,
            headers_max,
            index: 0,
            at: 0,
            next_offset: base_offset,
            marks: Vec::new(),
        })
    }

    /// The batch's header, as it stands in its bytes.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The offset of the batch's first record.
    pub fn base_offset(&self) -> u64 {
        self.base_offset
    }

    /// The offset of the batch's last record.
    pub fn last_offset(&self) -> u64 {
        self.base_offset.saturating_add(u64::from(self.header.last_offset_delta.unsigned_abs()))
    }

    /// True when `offset` lies within the batch (a compacted batch may still lack it).
    pub fn covers(&self, offset: u64) -> bool {
        (self.base_offset..=self.last_offset()).contains(&offset)
    }

    /// Bytes that the cursor keeps in memory.
    pub fn payload_bytes(&self) -> usize {
        self.payload.len()
    }

    /// The record at `offset`, and the cursor stands behind it; `None` if the batch does not have it.
    ///
    /// # Errors
    /// `Record` where the bytes on the way to it are malformed.
    pub fn record_at(&mut self, offset: u64) -> Result<Option<Record>, BatchError> {
        if !self.covers(offset) {
            return Ok(None);
        }
        if offset < self.next_offset {
            self.go_back(offset);
        }
        while let Some(found) = self.peek_offset()? {
            if found > offset {
                return Ok(None);
            }
            if found == offset {
                return Ok(self.read_next()?.map(|(_, record)| record));
            }
            self.skip_next()?;
        }
        Ok(None)
    }

    /// Back to the first record.
    pub fn rewind(&mut self) {
        self.index = 0;
        self.at = 0;
        self.next_offset = self.base_offset;
    }

    /// To a record at or before `offset`.
    fn go_back(&mut self, offset: u64) {
        let passed = self.marks.partition_point(|mark| mark.next_offset <= offset);
        match passed.checked_sub(1).and_then(|last| self.marks.get(last)) {
            Some(mark) => (self.next_offset, self.index, self.at) = (mark.next_offset, mark.index, mark.at),
            None => self.rewind(),
        }
    }

    fn at_end(&self) -> bool {
        i64::from(self.index) >= i64::from(self.header.record_count)
    }

    fn rest(&self) -> &[u8] {
        self.payload.get(self.at..).unwrap_or_default()
    }

    fn malformed(&self) -> BatchError {
        BatchError::Record(self.index)
    }

    fn peek_offset(&self) -> Result<Option<u64>, BatchError> {
        if self.at_end() {
            return Ok(None);
        }
        let delta = RecordView::skip(&mut Input::new(self.rest())).ok_or_else(|| self.malformed())?;
        Ok(Some(self.base_offset.saturating_add(u64::from(delta))))
    }

    fn skip_next(&mut self) -> Result<(), BatchError> {
        let mut input = Input::new(self.rest());
        let delta = RecordView::skip(&mut input).ok_or_else(|| self.malformed())?;
        let left = input.rest().len();
        self.step(left, delta)
    }

    fn read_next(&mut self) -> Result<Option<(u64, Record)>, BatchError> {
        if self.at_end() {
            return Ok(None);
        }
        let mut input = Input::new(self.rest());
        let view = RecordView::read(&mut input).ok_or_else(|| self.malformed())?;
        if !view.is_whole(self.headers_max) {
            return Err(self.malformed());
        }
        let record = view.to_record(&self.payload, self.header.timestamp_ms(view.timestamp_delta_ms));
        let (left, delta) = (input.rest().len(), view.offset_delta);
        self.step(left, delta)?;
        Ok(Some((self.base_offset.saturating_add(u64::from(delta)), record)))
    }

    /// Moves behind a record; offsets must rise, and stay within the batch.
    fn step(&mut self, bytes_left: usize, delta: u32) -> Result<(), BatchError> {
        let offset = self.base_offset.saturating_add(u64::from(delta));
        if offset < self.next_offset || offset > self.last_offset() {
            return Err(self.malformed());
        }
        self.at = self.payload.len() - bytes_left;
        self.index += 1;
        self.next_offset = offset.saturating_add(1);
        if self.index.is_multiple_of(MARK_EVERY) && self.marks.last().is_none_or(|last| last.index < self.index) {
            self.marks.push(Mark { next_offset: self.next_offset, index: self.index, at: self.at });
        }
        Ok(())
    }
}

impl Iterator for RecordCursor {
    type Item = Result<(u64, Record), BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.read_next().transpose();
        if matches!(item, Some(Err(_))) {
            self.index = u32::MAX;
        }
        item
    }
}
