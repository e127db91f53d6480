//! Durable state that is not a record of a user: kept as records of internal topics, written through the same append.
//!
//! A table is an internal topic with one partition. A *put* replaces what a key had; an *operation* changes it and is read
//! again in order after the put before it; a *delete* forgets the key. Whoever writes operations for a key writes a new put
//! for it when the log asks for a checkpoint, so that the operations need not be kept for ever.

use bytes::Bytes;

use super::record::{Header, Record, RecordParts};

/// A table of keyed state: the name of an internal topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Table(pub &'static str);

/// The catalog of topics, kept by the log.
pub const TOPICS: Table = Table("__topics");
/// What cannot be read off a partition's files: bounds, producers. Kept by the log.
pub const PARTITIONS: Table = Table("__partitions");

const OPERATION_HEADER: &[u8] = b"op";
static OPERATION_HEADERS: [Header; 1] = [Header { key: Bytes::from_static(OPERATION_HEADER), value: None }];

/// What is written for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Replaces what the key had.
    Put(Bytes),
    /// Changes what the key has.
    Operation(Bytes),
    /// Forgets the key.
    Delete,
}

/// One change of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateRecord {
    /// Which table.
    pub table: Table,
    /// Which key.
    pub key: Bytes,
    /// What happens to it.
    pub change: Change,
}

impl Change {
    /// As a record of the table's topic.
    pub(crate) fn parts<'r>(&'r self, key: &'r [u8]) -> RecordParts<'r> {
        let (value, headers) = match self {
            Self::Put(body) => (Some(&body[..]), [].as_slice()),
            Self::Operation(body) => (Some(&body[..]), OPERATION_HEADERS.as_slice()),
            Self::Delete => (None, [].as_slice()),
        };
        RecordParts { key: Some(key), value, headers }
    }

    /// From a record of the table's topic.
    pub(crate) fn from_record(record: Record) -> (Bytes, Self) {
        let is_operation = record.headers.iter().any(|header| header.key == OPERATION_HEADER);
        let change = match record.value {
            None => Self::Delete,
            Some(body) if is_operation => Self::Operation(body),
            Some(body) => Self::Put(body),
        };
        (record.key.unwrap_or_default(), change)
    }
}
