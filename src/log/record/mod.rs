//! Kafka's record batch v2, which is the log's own format: reading, writing and checking it.
//!
//! Sans-I/O: bytes in, records out. Nothing here trusts a length or a count that bytes claim, allocates because of one, or
//! decompresses beyond [`Limits`]. It knows no topic, no partition and no request of any protocol.

mod batch;
mod builder;
mod compression;
mod control;
mod cursor;
mod fields;
mod filter;
mod header;
pub mod varint;

pub(crate) use batch::has_own_checksum;
pub use batch::{ValidBatch, check_batch, records, validate_batch};
#[cfg(test)]
pub use builder::sealed_for_tests;
pub use builder::{BatchBuilder, batch_of_one, put_batch_of_one};
pub use compression::Compression;
pub use control::{Outcome, is_control_batch, marker_batch, read_marker};
pub use cursor::RecordCursor;
pub use fields::{Header, Record, RecordParts, RecordView, encoded_len, put_record};
pub use filter::{Filtered, Stay, each_record, filter_batch};
pub use header::{BATCH_HEADER_BYTES, BATCH_PREFIX_BYTES, BatchHeader, patch_placement};

#[cfg(test)]
mod tests;

/// What a reader of batches accepts. Sizes are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest batch, header included, as it stands on the wire.
    pub batch_bytes_max: usize,
    /// The most that the records of one batch may take when decompressed.
    pub decompressed_bytes_max: usize,
    /// The most headers that one record may have.
    pub headers_max: usize,
}

impl Limits {
    /// For what the log itself has accepted or written: what was taken once must be read again, whatever the limits are now.
    pub const STORED: Self =
        Limits { batch_bytes_max: i32::MAX as usize, decompressed_bytes_max: i32::MAX as usize, headers_max: usize::MAX };
}

impl Default for Limits {
    fn default() -> Self {
        Limits { batch_bytes_max: 128 << 20, decompressed_bytes_max: 128 << 20, headers_max: 1 << 16 }
    }
}

/// Why bytes are not a record batch that can be kept or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Fewer bytes than a batch header, or than the header announces.
    #[error("batch is cut short: {have} bytes of {need}")]
    Truncated {
        /// Bytes that the batch needs.
        need: usize,
        /// Bytes that there are.
        have: usize,
    },
    /// More bytes follow the batch where exactly one batch is expected.
    #[error("{0} bytes follow the batch")]
    Trailing(usize),
    /// The length field cannot be one: negative, or shorter than a header.
    #[error("batch length {0} is impossible")]
    Length(i32),
    /// The batch or its decompressed records exceed a limit.
    #[error("batch exceeds the limit of {limit_bytes} bytes")]
    TooLarge {
        /// The limit that was reached, in bytes.
        limit_bytes: usize,
    },
    /// A format that is not version 2 (message sets of Kafka before 0.11).
    #[error("batch format version {0} is not supported")]
    Magic(i8),
    /// The CRC-32C does not match the bytes.
    #[error("batch checksum is {computed:08x}, header says {stored:08x}")]
    Checksum {
        /// What the header says.
        stored: u32,
        /// What the bytes give.
        computed: u32,
    },
    /// The count of records, or the last offset delta, does not fit the records.
    #[error("batch counts do not fit its records")]
    Count,
    /// The attributes name a compression that does not exist.
    #[error("compression type {0} is unknown")]
    UnknownCompression(i16),
    /// The compressed records cannot be decompressed.
    #[error("{0:?} data is damaged")]
    Decompress(Compression),
    /// A record does not decode; the number is its index in the batch.
    #[error("record {0} of the batch is malformed")]
    Record(u32),
}
