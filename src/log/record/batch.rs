//! Whether bytes are a batch that may be appended, and the records in one that was.
//!
//! Appending is strict: one whole batch, checksum right, offsets 0, 1, 2 ... without a gap, every record decodes. Reading is
//! lenient about gaps, which compaction leaves.

use bytes::Bytes;

use super::cursor::RecordCursor;
use super::fields::{Record, RecordView};
use super::header::{BATCH_HEADER_BYTES, BatchHeader, CHECKSUM_AT, CHECKSUMMED_FROM};
use super::varint::Input;
use super::{BatchError, Compression, Limits};

/// A record is seven bytes at least: its length, and one byte for each of its six fields.
const RECORD_BYTES_MIN: usize = 7;

/// Checks that `bytes` are exactly one batch that a reader will understand, and gives its header.
///
/// Transactional and control batches pass: whether they may is the caller's to say.
///
/// # Errors
/// Every [`BatchError`]; sizes come first, then the checksum, then what it covers.
pub fn validate_batch(bytes: &[u8], limits: &Limits) -> Result<BatchHeader, BatchError> {
    validate(bytes, limits).map(|(header, _)| header)
}

/// Also whether all of its records have a key.
fn validate(bytes: &[u8], limits: &Limits) -> Result<(BatchHeader, bool), BatchError> {
    let header = BatchHeader::parse(bytes)?;
    let need = header.total_bytes();
    if need > limits.batch_bytes_max {
        return Err(BatchError::TooLarge { limit_bytes: limits.batch_bytes_max });
    }
    match bytes.len().checked_sub(need) {
        None => return Err(BatchError::Truncated { need, have: bytes.len() }),
        Some(0) => {}
        Some(extra) => return Err(BatchError::Trailing(extra)),
    }
    let computed = crc_fast::crc32_iscsi(bytes.get(CHECKSUMMED_FROM..).unwrap_or_default());
    if computed != header.crc {
        return Err(BatchError::Checksum { stored: header.crc, computed });
    }
    if header.record_count < 1 || header.last_offset_delta != header.record_count - 1 {
        return Err(BatchError::Count);
    }
    let packed = bytes.get(BATCH_HEADER_BYTES..).unwrap_or_default();
    let has_keys = match header.compression()? {
        Compression::None => validate_records(packed, &header, limits)?,
        compression => {
            let payload = compression.decompress(packed, limits.decompressed_bytes_max)?;
            validate_records(&payload, &header, limits)?
        }
    };
    Ok((header, has_keys))
}

/// Checks that the batch at the front of `bytes` is whole and what was written: its records may have been thinned out since.
///
/// # Errors
/// `Truncated`, `Magic`, `Length`, `Checksum`.
pub fn check_batch(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
    let header = BatchHeader::parse(bytes)?;
    let need = header.total_bytes();
    let covered = bytes.get(CHECKSUMMED_FROM..need).ok_or(BatchError::Truncated { need, have: bytes.len() })?;
    let computed = crc_fast::crc32_iscsi(covered);
    if computed != header.crc {
        return Err(BatchError::Checksum { stored: header.crc, computed });
    }
    Ok(header)
}

/// A batch that was checked, so that it can be appended without another look at its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidBatch {
    bytes: Bytes,
    header: BatchHeader,
    has_keys: bool,
}

impl ValidBatch {
    /// Checks bytes as [`validate_batch`] does.
    ///
    /// # Errors
    /// Those of [`validate_batch`].
    pub fn check(bytes: Bytes, limits: &Limits) -> Result<Self, BatchError> {
        let (header, has_keys) = validate(&bytes, limits)?;
        Ok(Self { bytes, header, has_keys })
    }

    /// The batch as it was sent.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Whether all of its records have a key.
    pub fn has_keys(&self) -> bool {
        self.has_keys
    }

    /// Its header.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }
}

fn validate_records(payload: &[u8], header: &BatchHeader, limits: &Limits) -> Result<bool, BatchError> {
    let count = u32::try_from(header.record_count).map_err(|_| BatchError::Count)?;
    if count as usize > payload.len() / RECORD_BYTES_MIN {
        return Err(BatchError::Count);
    }
    let mut has_keys = true;
    let mut input = Input::new(payload);
    for index in 0..count {
        let record = RecordView::read(&mut input).ok_or(BatchError::Record(index))?;
        if record.offset_delta != index || !record.is_whole(limits.headers_max) {
            return Err(BatchError::Record(index));
        }
        has_keys &= record.key.is_some();
    }
    if input.is_empty() { Ok(has_keys) } else { Err(BatchError::Count) }
}

/// The records of the batch at the front of `bytes`, each with its offset, counted from `base_offset` and not from what the
/// header says. Keys and values share the memory of `bytes`, or of the one buffer it was decompressed into.
///
/// The checksum is not looked at: whoever read the bytes from disk or wire has done so.
///
/// # Errors
/// Those of the header and of decompression here; a malformed record ends the iteration with its error.
pub fn records(
    bytes: &Bytes,
    base_offset: u64,
    limits: &Limits,
) -> Result<impl Iterator<Item = Result<(u64, Record), BatchError>> + use<>, BatchError> {
    RecordCursor::open(bytes, base_offset, limits)
}

/// Whether the checksum in a batch is the one of its bytes.
pub fn has_own_checksum(batch: &[u8]) -> bool {
    let field = batch.get(CHECKSUM_AT..CHECKSUMMED_FROM).and_then(|field| field.try_into().ok()).map(u32::from_be_bytes);
    let covered = batch.get(CHECKSUMMED_FROM..).unwrap_or_default();
    field == Some(crc_fast::crc32_iscsi(covered))
}
