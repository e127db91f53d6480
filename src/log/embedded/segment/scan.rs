//! Batch after batch out of a log file, read ahead in pieces.
//!
//! What is read is not believed: a batch must fit what is left of the file, and its seal and its checksum must hold. A header is
//! taken for one by its seal alone.

use std::io;

use bytes::Bytes;

use crate::log::embedded::disk::OpenFile;
use crate::log::record::{BATCH_HEADER_BYTES, BatchHeader, check_batch};
use crate::log::stored::StoredBatch;

/// How much is read at a time by those who read a whole file, in bytes.
pub const SCAN_BYTES: usize = 1 << 20;
/// The least that is read at a time, in bytes.
const READ_BYTES_MIN: usize = 4 << 10;

/// A position in a log file.
pub struct Scan<'a> {
    file: &'a dyn OpenFile,
    at: u64,
    end: u64,
    ahead_bytes: usize,
    chunk: Bytes,
}

/// What lies at a position.
#[derive(Debug)]
pub enum Found {
    /// A batch that is whole and undamaged.
    Batch(StoredBatch),
    /// Nothing: the end.
    End,
    /// Bytes that are no batch.
    Damaged,
}

impl<'a> Scan<'a> {
    /// Reads from a position up to the end, about so many bytes at a time.
    pub fn new(file: &'a dyn OpenFile, at: u64, end: u64, ahead_bytes: usize) -> Self {
        Self { file, at, end, ahead_bytes: ahead_bytes.clamp(READ_BYTES_MIN, SCAN_BYTES), chunk: Bytes::new() }
    }

    /// Where the next batch begins.
    pub fn position(&self) -> u64 {
        self.at
    }

    /// The next batch.
    pub fn next(&mut self) -> io::Result<Found> {
        if self.at >= self.end {
            return Ok(Found::End);
        }
        let Some(length) = self.next_bytes()? else { return Ok(Found::Damaged) };
        if length as u64 > self.end - self.at {
            return Ok(Found::Damaged);
        }
        self.fill(length)?;
        if check_batch(&self.chunk).is_err() {
            return Ok(Found::Damaged);
        }
        let Some(batch) = StoredBatch::parse(&self.chunk) else { return Ok(Found::Damaged) };
        self.pass(length);
        Ok(Found::Batch(batch))
    }

    /// How long the next batch says it is. `None`: there is none.
    pub fn next_bytes(&self) -> io::Result<Option<usize>> {
        Ok(self.header()?.map(|header| header.total_bytes()))
    }

    /// The next header, and the scan stands behind its batch, which is not looked at. `None`: there is none.
    pub fn skip(&mut self) -> io::Result<Option<BatchHeader>> {
        if self.end.saturating_sub(self.at) >= BATCH_HEADER_BYTES as u64 {
            self.fill(BATCH_HEADER_BYTES)?;
        }
        let left = self.end.saturating_sub(self.at);
        let header = self.header()?.filter(|header| header.total_bytes() as u64 <= left);
        if let Some(header) = &header {
            self.pass(header.total_bytes());
        }
        Ok(header)
    }

    /// Where it was not read ahead it is read alone, so that what follows is read once, and not in part before.
    fn header(&self) -> io::Result<Option<BatchHeader>> {
        if self.chunk.len() < BATCH_HEADER_BYTES {
            return header_at(self.file, self.at, self.end);
        }
        Ok(sealed_header(&self.chunk))
    }

    /// Makes sure that so many bytes are there; they lie before the end.
    fn fill(&mut self, needed: usize) -> io::Result<()> {
        if self.chunk.len() >= needed {
            return Ok(());
        }
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        self.chunk = self.file.read_at(needed.max(self.ahead_bytes).min(left), self.at)?;
        Ok(())
    }

    fn pass(&mut self, length: usize) {
        self.at += length as u64;
        self.chunk = if length < self.chunk.len() { self.chunk.slice(length..) } else { Bytes::new() };
    }
}

/// The header of the batch at a position of a file that ends at `end`. `None`: there is none.
pub fn header_at(file: &dyn OpenFile, at: u64, end: u64) -> io::Result<Option<BatchHeader>> {
    let mut raw = [0; BATCH_HEADER_BYTES];
    if end.saturating_sub(at) < raw.len() as u64 {
        return Ok(None);
    }
    file.read_exact_at(&mut raw, at)?;
    Ok(sealed_header(&raw))
}

fn sealed_header(bytes: &[u8]) -> Option<BatchHeader> {
    BatchHeader::parse(bytes).ok().filter(BatchHeader::is_sealed)
}
