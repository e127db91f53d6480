//! A record batch as the log keeps it: the bytes that were sent, and the offset at which it was placed.
//!
//! One body may lie at several offsets of several partitions, because base offset and leader epoch are outside of the
//! batch's checksum and are filled in as it is read.

use bytes::{BufMut, Bytes, BytesMut};

use super::record::{BATCH_HEADER_BYTES, BatchError, BatchHeader, Limits, RecordCursor, has_own_checksum};

/// A batch and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBatch {
    /// The offset of its first record.
    pub base_offset: u64,
    /// The offset of its last record.
    pub last_offset: u64,
    bytes: Bytes,
}

impl StoredBatch {
    /// A batch whose body is placed at an offset; `span` is the number of offsets it takes, at least 1.
    pub(crate) fn new(base_offset: u64, span: u32, bytes: Bytes) -> Self {
        Self { base_offset, last_offset: base_offset + u64::from(span.max(1)) - 1, bytes }
    }

    /// The batch at the start of the bytes, placed where its own header says. `None`: no whole batch.
    pub(crate) fn parse(bytes: &Bytes) -> Option<Self> {
        let header = BatchHeader::parse(bytes).ok()?;
        let base_offset = u64::try_from(header.base_offset).ok()?;
        let span = u32::try_from(header.last_offset_delta).ok()?.checked_add(1)?;
        let total = header.total_bytes();
        (total <= bytes.len()).then(|| Self::new(base_offset, span, bytes.slice(..total)))
    }

    /// How many offsets it takes.
    pub(crate) fn span(&self) -> u32 {
        u32::try_from(self.last_offset - self.base_offset + 1).unwrap_or(u32::MAX)
    }

    /// Its length on the wire, in bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// A batch always has a header.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes as they were sent; base offset and leader epoch in them mean nothing.
    pub fn body(&self) -> &Bytes {
        &self.bytes
    }

    /// Writes it as Kafka's readers expect it, with its base offset and leader epoch 0.
    pub fn put_into(&self, out: &mut BytesMut) {
        self.put_head_into(0, out);
        out.put_slice(self.rest());
    }

    /// Writes what of it differs in a segment from what was sent, with the seal; [`Self::rest`] follows.
    pub(crate) fn put_sealed_head_into(&self, out: &mut BytesMut) -> Result<(), BatchError> {
        let header = BatchHeader { base_offset: self.base_offset.cast_signed(), ..self.header()? };
        self.put_head_into(header.seal(), out);
        Ok(())
    }

    fn put_head_into(&self, leader_epoch: i32, out: &mut BytesMut) {
        out.put_u64(self.base_offset);
        out.put_slice(self.bytes.get(8..12).unwrap_or_default());
        out.put_i32(leader_epoch);
    }

    /// What is behind its head, as it was sent.
    pub(crate) fn rest(&self) -> &[u8] {
        self.bytes.get(16..).unwrap_or_default()
    }

    /// The header as it was sent.
    pub fn header(&self) -> Result<BatchHeader, BatchError> {
        BatchHeader::parse(self.bytes.get(..BATCH_HEADER_BYTES.min(self.bytes.len())).unwrap_or_default())
    }

    /// The newest timestamp in it, in milliseconds; -1 where the header cannot be read.
    pub fn max_timestamp_ms(&self) -> i64 {
        self.header().map_or(-1, |header| header.max_timestamp)
    }

    /// Whether its bytes are those that its checksum was made of. All but base offset and leader epoch are covered.
    pub(crate) fn is_intact(&self) -> bool {
        let length = self.header().map(|header| header.total_bytes());
        length.is_ok_and(|length| length == self.bytes.len()) && has_own_checksum(&self.bytes)
    }

    /// Its records with their offsets.
    pub fn records(&self, limits: &Limits) -> Result<RecordCursor, BatchError> {
        RecordCursor::open(&self.bytes, self.base_offset, limits)
    }
}
