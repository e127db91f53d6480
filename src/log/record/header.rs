//! The 61 bytes in front of the records of a batch.
//!
//! Base offset, length and leader epoch stand outside the checksum, so one stored body can be served at several offsets. In a
//! segment a *seal* in the place of the epoch covers them: it is below zero, which Kafka reads as no epoch.
//! Source: the record batch format of KIP-98, attributes also KIP-32 (timestamp type) and KIP-534 (delete horizon).

use super::varint::Input;
use super::{BatchError, Compression};

/// Bytes of a batch header, from the base offset to the record count.
pub const BATCH_HEADER_BYTES: usize = 61;
/// Bytes in front of what the length field counts: base offset and the length itself.
pub const BATCH_PREFIX_BYTES: usize = 12;
/// Where the checksum stands.
pub(super) const CHECKSUM_AT: usize = 17;
/// Where the bytes that the checksum covers begin, right behind it.
pub(super) const CHECKSUMMED_FROM: usize = 21;

/// What a seal covers: base offset, length, magic and checksum.
const SEALED_BYTES: usize = 17;

const MAGIC: i8 = 2;
const COMPRESSION_BITS: i16 = 0x07;
const LOG_APPEND_TIME_BIT: i16 = 0x08;
pub(super) const TRANSACTIONAL_BIT: i16 = 0x10;
pub(super) const CONTROL_BIT: i16 = 0x20;
const DELETE_HORIZON_BIT: i16 = 0x40;

/// The header of a batch, each field as it stands in the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record (of the first there was, in a compacted batch).
    pub base_offset: i64,
    /// Bytes after this field; the batch has 12 more.
    pub length: i32,
    /// Kafka's partition leader epoch.
    pub leader_epoch: i32,
    /// Format version, always 2.
    pub magic: i8,
    /// CRC-32C of everything from the attributes on.
    pub crc: u32,
    /// Compression and flags.
    pub attributes: i16,
    /// Offset of the last record less the base offset.
    pub last_offset_delta: i32,
    /// What the records' timestamp deltas count from, in milliseconds since 1970 UTC.
    pub base_timestamp: i64,
    /// The latest timestamp of a record, in milliseconds since 1970 UTC.
    pub max_timestamp: i64,
    /// The idempotent producer, or -1.
    pub producer_id: i64,
    /// The producer's epoch, or -1.
    pub producer_epoch: i16,
    /// The producer's sequence number of the first record, or -1.
    pub base_sequence: i32,
    /// Records in the batch.
    pub record_count: i32,
}

impl BatchHeader {
    /// Reads the header at the front of `bytes`; what follows it is not looked at, and may be missing.
    ///
    /// # Errors
    /// `Truncated`, `Magic` (looked at first, as older formats put other things after it), `Length`.
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        let header = Self::read(&mut Input::new(bytes));
        match bytes.get(16).map(|magic| *magic as i8) {
            Some(MAGIC) => {}
            Some(magic) => return Err(BatchError::Magic(magic)),
            None => return Err(truncated(bytes)),
        }
        let header = header.ok_or_else(|| truncated(bytes))?;
        if header.length < (BATCH_HEADER_BYTES - BATCH_PREFIX_BYTES) as i32 {
            return Err(BatchError::Length(header.length));
        }
        Ok(header)
    }

    fn read(input: &mut Input<'_>) -> Option<Self> {
        Some(BatchHeader {
            base_offset: i64::from_be_bytes(input.array()?),
            length: i32::from_be_bytes(input.array()?),
            leader_epoch: i32::from_be_bytes(input.array()?),
            magic: i8::from_be_bytes(input.array()?),
            crc: u32::from_be_bytes(input.array()?),
            attributes: i16::from_be_bytes(input.array()?),
            last_offset_delta: i32::from_be_bytes(input.array()?),
            base_timestamp: i64::from_be_bytes(input.array()?),
            max_timestamp: i64::from_be_bytes(input.array()?),
            producer_id: i64::from_be_bytes(input.array()?),
            producer_epoch: i16::from_be_bytes(input.array()?),
            base_sequence: i32::from_be_bytes(input.array()?),
            record_count: i32::from_be_bytes(input.array()?),
        })
    }

    /// The header's 61 bytes.
    pub fn to_bytes(&self) -> [u8; BATCH_HEADER_BYTES] {
        let mut out = [0; BATCH_HEADER_BYTES];
        out[0..8].copy_from_slice(&self.base_offset.to_be_bytes());
        out[8..12].copy_from_slice(&self.length.to_be_bytes());
        out[12..16].copy_from_slice(&self.leader_epoch.to_be_bytes());
        out[16..17].copy_from_slice(&self.magic.to_be_bytes());
        out[17..21].copy_from_slice(&self.crc.to_be_bytes());
        out[21..23].copy_from_slice(&self.attributes.to_be_bytes());
        out[23..27].copy_from_slice(&self.last_offset_delta.to_be_bytes());
        out[27..35].copy_from_slice(&self.base_timestamp.to_be_bytes());
        out[35..43].copy_from_slice(&self.max_timestamp.to_be_bytes());
        out[43..51].copy_from_slice(&self.producer_id.to_be_bytes());
        out[51..53].copy_from_slice(&self.producer_epoch.to_be_bytes());
        out[53..57].copy_from_slice(&self.base_sequence.to_be_bytes());
        out[57..61].copy_from_slice(&self.record_count.to_be_bytes());
        out
    }

    /// Bytes of the whole batch, header included. At least 61 in a header that `parse` gave.
    pub fn total_bytes(&self) -> usize {
        usize::try_from(self.length).unwrap_or(0) + BATCH_PREFIX_BYTES
    }

    /// How the records are compressed.
    ///
    /// # Errors
    /// `UnknownCompression` for types 5 to 7.
    pub fn compression(&self) -> Result<Compression, BatchError> {
        let code = self.attributes & COMPRESSION_BITS;
        Compression::from_code(code).ok_or(BatchError::UnknownCompression(code))
    }

    /// True for a batch written inside a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL_BIT != 0
    }

    /// True for a batch of control records (transaction markers), which no application sees.
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL_BIT != 0
    }

    /// True when all records carry the time of the append, which is `max_timestamp`.
    pub fn is_log_append_time(&self) -> bool {
        self.attributes & LOG_APPEND_TIME_BIT != 0
    }

    /// Until when the deletions in it stay, in milliseconds, if it was cleaned since they were written (KIP-534).
    pub fn delete_horizon_ms(&self) -> Option<i64> {
        (self.attributes & DELETE_HORIZON_BIT != 0).then_some(self.base_timestamp)
    }

    /// Deltas of timestamps count from the horizon then.
    pub(super) fn set_delete_horizon(&mut self, horizon_ms: i64) {
        self.attributes |= DELETE_HORIZON_BIT;
        self.base_timestamp = horizon_ms;
    }

    /// What stands in the place of the leader epoch where a batch lies in a segment: a checksum of what the batch's own does not
    /// cover, that one included, and the sign bit.
    pub fn seal(&self) -> i32 {
        let mut covered = [0; SEALED_BYTES];
        covered[0..8].copy_from_slice(&self.base_offset.to_be_bytes());
        covered[8..12].copy_from_slice(&self.length.to_be_bytes());
        covered[12..13].copy_from_slice(&self.magic.to_be_bytes());
        covered[13..17].copy_from_slice(&self.crc.to_be_bytes());
        crc_fast::crc32_iscsi(&covered).cast_signed() | i32::MIN
    }

    /// Whether the seal is the one that was made of this header.
    pub fn is_sealed(&self) -> bool {
        self.leader_epoch == self.seal()
    }

    /// The timestamp of a record with this delta, in milliseconds.
    pub fn timestamp_ms(&self, delta_ms: i64) -> i64 {
        if self.is_log_append_time() { self.max_timestamp } else { self.base_timestamp.wrapping_add(delta_ms) }
    }
}

/// A header for records of our own: no compression, no producer, leader epoch 0; length and checksum still zero.
pub(super) fn plain_header(record_count: u32, base_timestamp: i64, max_timestamp: i64) -> BatchHeader {
    let record_count = i32::try_from(record_count).unwrap_or(i32::MAX);
    BatchHeader {
        base_offset: 0,
        length: 0,
        leader_epoch: 0,
        magic: MAGIC,
        crc: 0,
        attributes: 0,
        last_offset_delta: record_count - 1,
        base_timestamp,
        max_timestamp,
        producer_id: -1,
        producer_epoch: -1,
        base_sequence: -1,
        record_count,
    }
}

/// Overwrites base offset and leader epoch at the front of a batch, which its checksum does not cover.
/// Bytes shorter than these fields are left as they are.
pub fn patch_placement(batch: &mut [u8], base_offset: u64, leader_epoch: i32) {
    if let Some(field) = batch.first_chunk_mut::<8>() {
        *field = base_offset.to_be_bytes();
    }
    if let Some(field) = batch.get_mut(12..16).and_then(|bytes| bytes.first_chunk_mut::<4>()) {
        *field = leader_epoch.to_be_bytes();
    }
}

fn truncated(bytes: &[u8]) -> BatchError {
    BatchError::Truncated { need: BATCH_HEADER_BYTES, have: bytes.len() }
}
