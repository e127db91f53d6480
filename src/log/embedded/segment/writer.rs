//! Adds batches to one segment: gathered in memory, written in large pieces, synced at the end.

use std::io;
use std::sync::{Arc, OnceLock};

use bytes::BytesMut;

use super::file::Segment;
use super::index::{self, Entries, OffsetEntry, TimeEntry};
use crate::log::embedded::aborted;
use crate::log::embedded::disk::{File, Open};
use crate::log::stored::StoredBatch;
use crate::log::transactions::Aborted;

/// So much is gathered before it is written, in bytes.
const GATHERED_BYTES: usize = 1 << 20;
/// A batch of this size is not copied to what is gathered but written by itself, in bytes.
const WRITTEN_ALONE_BYTES: usize = 128 << 10;
/// Indexes hold distances of offsets and positions in 31 bits, as Kafka reads them.
pub const INDEXED_MAX: u64 = (u32::MAX >> 1) as u64;

/// When another segment is begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roll {
    /// At this size, in bytes.
    pub bytes: u64,
    /// When so much time lies between the first batch and the next, in milliseconds; none: no matter when.
    pub age_ms: Option<u64>,
}

impl Roll {
    /// Whether a batch must not be added to the segment.
    pub fn is_due(&self, segment: &Segment, batch: &StoredBatch) -> bool {
        let Some(first_ms) = segment.first_timestamp_ms else { return false };
        let age_ms = batch.max_timestamp_ms().saturating_sub(first_ms);
        let is_old = self.age_ms.is_some_and(|most| i64::try_from(most).is_ok_and(|most| age_ms > most));
        let bytes = segment.bytes + batch.len() as u64;
        segment.is_sealed
            || is_old
            || bytes > self.bytes.min(INDEXED_MAX)
            || batch.last_offset.saturating_sub(segment.base_offset) > INDEXED_MAX
    }
}

/// Adds to one segment.
pub struct Writer {
    segment: Segment,
    log: File,
    offsets: File,
    times: File,
    gathered: BytesMut,
    entries: Entries,
    records: Option<u64>,
    /// Entries of the index of aborted transactions.
    aborted: Vec<u8>,
}

impl Writer {
    /// Goes on with a segment. What an attempt that failed half-way has left behind is cut.
    pub fn open(segment: Segment) -> io::Result<Self> {
        let disk = segment.log.disk();
        let open = |path| disk.open(path, Open::Append);
        let [log, offsets, times, _] = segment.paths();
        let (log, offsets, times) = (open(log)?, open(offsets)?, open(times)?);
        log.set_length(segment.bytes)?;
        index::cut(&*offsets, |entry: &OffsetEntry| u64::from(entry.position) < segment.bytes)?;
        let span = segment.next_offset - segment.base_offset;
        index::cut(&*times, |entry: &TimeEntry| u64::from(entry.relative) < span)?;
        if disk.exists(segment.aborted.path()) {
            segment.cut_aborted()?;
        }
        let records = segment.records.get().copied();
        Ok(Self {
            segment,
            log,
            offsets,
            times,
            gathered: BytesMut::new(),
            entries: Entries::default(),
            records,
            aborted: Vec::new(),
        })
    }

    /// Whether the batch must go to another segment.
    pub fn is_full(&self, batch: &StoredBatch, roll: Roll) -> bool {
        roll.is_due(&self.segment, batch)
    }

    /// Adds a batch; `aborted` are those that end in it or elsewhere, in the order of their ends.
    pub fn push(&mut self, batch: &StoredBatch, aborted: &[Aborted]) -> io::Result<u64> {
        let segment = &mut self.segment;
        let max_timestamp_ms = batch.max_timestamp_ms();
        segment.first_timestamp_ms.get_or_insert(max_timestamp_ms);
        segment.indexing.add(segment.bytes, batch.len(), batch.last_offset, max_timestamp_ms, &mut self.entries);
        let is_alone = batch.len() >= WRITTEN_ALONE_BYTES;
        batch.put_sealed_head_into(&mut self.gathered).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        if !is_alone {
            self.gathered.extend_from_slice(batch.rest());
        }
        segment.bytes += batch.len() as u64;
        segment.next_offset = batch.last_offset + 1;
        let count = batch.header().map_or(0, |header| u64::from(header.record_count.unsigned_abs()));
        self.records = self.records.map(|records| records + count);
        let ends = aborted.partition_point(|aborted| aborted.last_offset < batch.base_offset);
        if let Some(aborted) = aborted.get(ends).filter(|aborted| aborted.last_offset == batch.base_offset) {
            self.aborted.extend_from_slice(&aborted::encode(aborted));
        }
        if is_alone || self.gathered.len() >= GATHERED_BYTES {
            self.write()?;
        }
        if is_alone {
            self.log.append(batch.rest())?;
        }
        Ok(batch.len() as u64)
    }

    fn write(&mut self) -> io::Result<()> {
        self.log.append(&self.gathered)?;
        self.offsets.append(&self.entries.offsets)?;
        self.times.append(&self.entries.times)?;
        self.gathered.clear();
        self.entries = Entries::default();
        Ok(())
    }

    /// Makes it durable. Nothing will be added to one that is sealed.
    pub fn finish(mut self, is_sealed: bool) -> io::Result<Segment> {
        if is_sealed {
            self.segment.indexing.end(&mut self.entries);
            self.segment.is_sealed = true;
        }
        self.write()?;
        if !self.aborted.is_empty() {
            let file = self.segment.log.disk().open(self.segment.aborted.path(), Open::Append)?;
            file.append(&self.aborted)?;
            file.sync_data()?;
            self.segment.has_aborted = true;
        }
        self.log.sync_data()?;
        self.times.sync_data()?;
        self.offsets.sync_data()?;
        self.segment.records = Arc::new(self.records.map_or_else(OnceLock::new, OnceLock::from));
        Ok(self.segment)
    }
}
