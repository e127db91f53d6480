//! Writing batches of our own: base offset 0, no compression, no producer, checksum set.
//!
//! The caller's limits keep a batch under 2 GiB, which is all that the format can say; what exceeds it does not validate.

use bytes::{Bytes, BytesMut};

use super::Compression;
use super::fields::{Record, RecordParts, encoded_len, put_record};
use super::header::{BATCH_HEADER_BYTES, BATCH_PREFIX_BYTES, BatchHeader, CHECKSUM_AT, CHECKSUMMED_FROM, plain_header};

/// Gathers records into one batch.
#[derive(Debug, Default)]
pub struct BatchBuilder {
    /// Room for the header, then the records; empty until the first record.
    out: Vec<u8>,
    record_count: u32,
    base_timestamp: i64,
    max_timestamp: i64,
}

impl BatchBuilder {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty batch with room for `bytes` bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        BatchBuilder { out: Vec::with_capacity(bytes), ..Self::default() }
    }

    /// Appends a record; its offset is the number of records before it.
    pub fn push(&mut self, record: &Record) {
        self.push_parts(record.parts(), record.timestamp_ms);
    }

    /// Appends a record of these parts and this time, in milliseconds since 1970.
    pub fn push_parts(&mut self, parts: RecordParts<'_>, timestamp_ms: i64) {
        if self.record_count == 0 {
            self.out.resize(BATCH_HEADER_BYTES, 0);
            self.base_timestamp = timestamp_ms;
            self.max_timestamp = timestamp_ms;
        }
        self.max_timestamp = self.max_timestamp.max(timestamp_ms);
        let delta_ms = timestamp_ms.wrapping_sub(self.base_timestamp);
        put_record(&mut self.out, parts, delta_ms, self.record_count);
        self.record_count += 1;
    }

    /// Records so far.
    pub fn len(&self) -> usize {
        self.record_count as usize
    }

    /// True before the first record.
    pub fn is_empty(&self) -> bool {
        self.record_count == 0
    }

    /// Bytes that the batch has so far, header included.
    pub fn size_bytes(&self) -> usize {
        self.out.len()
    }

    /// The batch. Without a record it is empty: no bytes at all.
    pub fn finish(mut self) -> Bytes {
        self.seal();
        Bytes::from(self.out)
    }

    /// The batch, copied to `room`; the builder is empty again and keeps its memory. For small batches, of which there are many.
    pub fn finish_in(&mut self, room: &mut BytesMut) -> Bytes {
        self.seal();
        room.extend_from_slice(&self.out);
        self.out.clear();
        self.record_count = 0;
        room.split().freeze()
    }

    fn seal(&mut self) {
        if self.record_count > 0 {
            let header = plain_header(self.record_count, self.base_timestamp, self.max_timestamp);
            seal(&mut self.out, header);
        }
    }

    /// The batch with its records compressed, as a producer would send it.
    ///
    /// # Errors
    /// Whatever the compressor reports.
    pub fn finish_compressed(mut self, compression: Compression) -> std::io::Result<Bytes> {
        if self.record_count == 0 || compression == Compression::None {
            return Ok(self.finish());
        }
        let mut header = plain_header(self.record_count, self.base_timestamp, self.max_timestamp);
        header.attributes = compression.code();
        let packed = compression.compress(self.out.get(BATCH_HEADER_BYTES..).unwrap_or_default())?;
        self.out.truncate(BATCH_HEADER_BYTES);
        self.out.extend_from_slice(&packed);
        seal(&mut self.out, header);
        Ok(Bytes::from(self.out))
    }
}

/// One record as a batch, in one buffer.
pub fn batch_of_one(record: &Record) -> Bytes {
    let mut out = Vec::new();
    put_batch_of_one(&mut out, record);
    Bytes::from(out)
}

/// Appends one record as a batch to `out`, allocating nothing but the growth of `out`.
pub fn put_batch_of_one(out: &mut Vec<u8>, record: &Record) {
    let start = out.len();
    out.reserve(BATCH_HEADER_BYTES + encoded_len(record.parts(), 0, 0));
    out.resize(start + BATCH_HEADER_BYTES, 0);
    put_record(out, record.parts(), 0, 0);
    if let Some(batch) = out.get_mut(start..) {
        seal(batch, plain_header(1, record.timestamp_ms, record.timestamp_ms));
    }
}

/// The batch with another header, for tests.
#[cfg(test)]
pub fn sealed_for_tests(bytes: &[u8], header: BatchHeader) -> Bytes {
    let mut batch = bytes.to_vec();
    seal(&mut batch, header);
    Bytes::from(batch)
}

/// Writes the header over the room left for it, with the length and the checksum of what follows.
pub(super) fn seal(batch: &mut [u8], mut header: BatchHeader) {
    header.length = i32::try_from(batch.len() - BATCH_PREFIX_BYTES).unwrap_or(i32::MAX);
    if let Some(room) = batch.first_chunk_mut::<BATCH_HEADER_BYTES>() {
        *room = header.to_bytes();
    }
    let crc = crc_fast::crc32_iscsi(batch.get(CHECKSUMMED_FROM..).unwrap_or_default());
    if let Some(field) = batch.get_mut(CHECKSUM_AT..CHECKSUMMED_FROM) {
        field.copy_from_slice(&crc.to_be_bytes());
    }
}
