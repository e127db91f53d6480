//! The two indexes of a segment, in Kafka's formats: where offsets and times lie, sparsely.
//!
//! `.index`: the last offset of a batch less the segment's (4 bytes) and the batch's position (4 bytes). `.timeindex`: the newest
//! timestamp so far (8 bytes) and the last offset of the batch that has it, less the segment's (4 bytes). They hold
//! nothing that the log file does not: what is missing or damaged is built again.

use std::io;

use crate::log::embedded::aborted;
use crate::log::embedded::disk::OpenFile;
use crate::log::transactions::Aborted;

/// One entry for every so many bytes, as Kafka does.
const INTERVAL_BYTES: u64 = 4096;
/// The size of an entry of the offset index, in bytes.
pub const OFFSET_ENTRY_BYTES: u64 = 8;
/// The size of an entry of the time index, in bytes.
pub const TIME_ENTRY_BYTES: u64 = 12;

/// An entry of the offset index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetEntry {
    /// The last offset of a batch, less the segment's.
    pub relative: u32,
    /// Where the batch begins.
    pub position: u32,
}

/// An entry of the time index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeEntry {
    /// The newest so far, in milliseconds.
    pub timestamp_ms: i64,
    /// The last offset of its batch, less the segment's.
    pub relative: u32,
}

/// An entry of a sorted file.
pub trait Entry: Sized {
    /// Its size, in bytes.
    const BYTES: u64;

    /// Reads it.
    fn parse(bytes: &[u8]) -> Option<Self>;
}

impl Entry for OffsetEntry {
    const BYTES: u64 = OFFSET_ENTRY_BYTES;

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (relative, rest) = bytes.split_first_chunk()?;
        Some(Self { relative: u32::from_be_bytes(*relative), position: u32::from_be_bytes(*rest.first_chunk()?) })
    }
}

impl Entry for TimeEntry {
    const BYTES: u64 = TIME_ENTRY_BYTES;

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (timestamp_ms, rest) = bytes.split_first_chunk()?;
        Some(Self { timestamp_ms: i64::from_be_bytes(*timestamp_ms), relative: u32::from_be_bytes(*rest.first_chunk()?) })
    }
}

impl Entry for Aborted {
    const BYTES: u64 = aborted::ENTRY_BYTES;

    fn parse(bytes: &[u8]) -> Option<Self> {
        aborted::decode(bytes)
    }
}

/// How many entries of a sorted file come before the first for which `before` does not hold, and the last of them.
pub fn search<E: Entry>(file: &dyn OpenFile, before: impl Fn(&E) -> bool) -> io::Result<(u64, Option<E>)> {
    let (mut low, mut high) = (0, file.length()? / E::BYTES);
    let mut raw = [0; 64];
    let raw = raw.get_mut(..E::BYTES as usize).unwrap_or_default();
    let mut found = None;
    while low < high {
        let middle = low + (high - low) / 2;
        file.read_exact_at(raw, middle * E::BYTES)?;
        match E::parse(raw).filter(&before) {
            Some(entry) => {
                found = Some(entry);
                low = middle + 1;
            }
            None => high = middle,
        }
    }
    Ok((low, found))
}

/// Cuts a sorted file behind the last entry for which `stays` holds.
pub fn cut<E: Entry>(file: &dyn OpenFile, stays: impl Fn(&E) -> bool) -> io::Result<()> {
    let (count, _) = search(file, stays)?;
    if count * E::BYTES < file.length()? { file.set_length(count * E::BYTES) } else { Ok(()) }
}

/// Which entries a segment's batches get, as they come.
#[derive(Debug, Clone)]
pub struct Indexing {
    base_offset: u64,
    unindexed_bytes: u64,
    /// The newest timestamp so far, in milliseconds; -1 without any.
    pub max_timestamp_ms: i64,
    /// The last offset of its batch.
    max_timestamp_offset: u64,
    /// The newest that has an entry.
    last_entry_ms: i64,
}

/// Entries that are to be added to the files.
#[derive(Debug, Default)]
pub struct Entries {
    /// Of the offset index.
    pub offsets: Vec<u8>,
    /// Of the time index.
    pub times: Vec<u8>,
}

impl Indexing {
    /// Of a segment without batches.
    pub fn new(base_offset: u64) -> Self {
        Self { base_offset, unindexed_bytes: 0, max_timestamp_ms: -1, max_timestamp_offset: base_offset, last_entry_ms: -1 }
    }

    /// Goes on behind the last entries of both files.
    pub fn resume(base_offset: u64, time: Option<TimeEntry>) -> Self {
        let time = time.unwrap_or(TimeEntry { timestamp_ms: -1, relative: 0 });
        Self {
            max_timestamp_ms: time.timestamp_ms,
            max_timestamp_offset: base_offset + u64::from(time.relative),
            last_entry_ms: time.timestamp_ms,
            ..Self::new(base_offset)
        }
    }

    /// A batch follows that begins at `position`.
    pub fn add(&mut self, position: u64, bytes: usize, last_offset: u64, max_timestamp_ms: i64, entries: &mut Entries) {
        if max_timestamp_ms > self.max_timestamp_ms {
            self.max_timestamp_ms = max_timestamp_ms;
            self.max_timestamp_offset = last_offset;
        }
        if self.unindexed_bytes > INTERVAL_BYTES && position > 0 {
            entries.offsets.extend_from_slice(&self.relative(last_offset).to_be_bytes());
            entries.offsets.extend_from_slice(&u32::try_from(position).unwrap_or(u32::MAX).to_be_bytes());
            self.add_time(entries);
            self.unindexed_bytes = 0;
        }
        self.unindexed_bytes += bytes as u64;
    }

    /// No batch will follow: the last entry of the time index tells the newest timestamp of all.
    pub fn end(&mut self, entries: &mut Entries) {
        self.add_time(entries);
    }

    fn add_time(&mut self, entries: &mut Entries) {
        if self.max_timestamp_ms > self.last_entry_ms {
            entries.times.extend_from_slice(&self.max_timestamp_ms.to_be_bytes());
            entries.times.extend_from_slice(&self.relative(self.max_timestamp_offset).to_be_bytes());
            self.last_entry_ms = self.max_timestamp_ms;
        }
    }

    fn relative(&self, offset: u64) -> u32 {
        u32::try_from(offset.saturating_sub(self.base_offset)).unwrap_or(u32::MAX)
    }
}
