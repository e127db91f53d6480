//! What the log answers when it cannot do what was asked. Each dialect maps these to its own protocol's errors.

use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

/// Why an append was refused. Nothing of it was written.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum Refused {
    /// A write or sync of the journal failed before; what is on disk is no longer known, so nothing is accepted any more.
    #[error("the log no longer accepts records: {0}")]
    Poisoned(Arc<str>),
    /// The file system is at its high watermark.
    #[error("the disk is full: free some space or lower the retention")]
    DiskFull,
    /// The record or batch is larger than its topic allows.
    #[error("{bytes} bytes are more than the limit of {limit_bytes}")]
    TooLarge {
        /// What was asked for, in bytes.
        bytes: usize,
        /// What is allowed, in bytes.
        limit_bytes: usize,
    },
    /// The gateway is on its way down.
    #[error("the gateway is shutting down")]
    ShuttingDown,
}

/// Why a read gave nothing.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The offset lies outside of what the partition holds.
    #[error("offset {offset} is outside of {log_start}..{end}")]
    OutOfRange {
        /// The offset asked for.
        offset: u64,
        /// The first offset that is kept.
        log_start: u64,
        /// One past the last offset that may be read.
        end: u64,
    },
    /// The stored bytes are not what was written.
    #[error("damaged data at offset {offset} of {partition}: {reason}")]
    Corrupt {
        /// Topic and partition.
        partition: String,
        /// Where.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// The file system failed.
    #[error("reading the log failed: {0}")]
    Io(#[from] std::io::Error),
}

/// Why a topic could not be made or changed.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum TopicError {
    /// There is one of that name.
    #[error("the topic exists")]
    Exists,
    /// There is none of that name.
    #[error("no such topic")]
    Unknown,
    /// Empty, too long, or reserved.
    #[error("not a legal topic name")]
    InvalidName,
    /// None, too many, or fewer than there are.
    #[error("not a legal number of partitions")]
    InvalidPartitions,
    /// The configured number of topics is reached.
    #[error("the limit on the number of topics is reached")]
    TooMany,
}

/// Why the log did not open.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The file system failed.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was being done, as a verb in its -ing form.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// Data that was synced is no longer what was written. Opening would lose acknowledged records, so it is refused.
    #[error(
        "damaged: {} at byte {byte}: {reason}.\n\
         Records that lie there were acknowledged, so the log does not open by itself. Restore the file from a backup, or let \
         `trunkline log repair` take out what is damaged; `trunkline log verify` says what that is.",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The position in it.
        byte: u64,
        /// What is wrong there.
        reason: String,
    },
    /// The files were written by another version of the format.
    #[error("{} has format version {found}, and this program reads version {known}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The version in it.
        found: u32,
        /// The version that this program knows.
        known: u32,
    },
}

impl OpenError {
    /// Wraps an I/O error with what was being done to which file.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}
