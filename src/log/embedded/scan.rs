//! Reading the files of the log from one end to the other in bounded memory: the entries of a journal file, the batches of
//! a segment.
//!
//! A scan holds one piece of its file, at least as long as what it looks at. It reports what it finds where it stands and
//! judges nothing: whether the end of what is whole is a torn tail or damage is for those who know the files beside it.

use std::io;
use std::path::Path;

use bytes::{Bytes, BytesMut};

use super::disk::{Disk, File, Open};
use super::files::{self, JOURNAL_HEADER_BYTES};
use super::frame::{self, ALIGNMENT_BYTES, Frame, Salt};
use crate::log::record::{BATCH_HEADER_BYTES, BatchHeader};
use crate::log::stored::StoredBatch;

/// How much is read at a time, in bytes.
const PIECE_BYTES: u64 = 1 << 20;
/// An entry's length and checksum, and the mark that says whose bytes they are.
const ENTRY_START_BYTES: u64 = 16;

/// A piece of a file that is read forwards.
struct Window {
    file: File,
    length: u64,
    at: u64,
    piece: Bytes,
}

impl Window {
    fn open(disk: &Disk, path: &Path) -> io::Result<Self> {
        let file = disk.open(path, Open::Read)?;
        let length = file.length()?;
        Ok(Self { file, length, at: 0, piece: Bytes::new() })
    }

    /// `count` bytes from `at` on; `None` beyond the end of the file.
    fn get(&mut self, at: u64, count: u64) -> io::Result<Option<Bytes>> {
        if at.checked_add(count).is_none_or(|end| end > self.length) {
            return Ok(None);
        }
        let held = self.at..self.at + self.piece.len() as u64;
        if at < held.start || at + count > held.end {
            let wanted = count.max(PIECE_BYTES).min(self.length - at);
            let mut bytes = BytesMut::zeroed(usize::try_from(wanted).map_err(io::Error::other)?);
            self.file.read_exact_at(&mut bytes, at)?;
            (self.at, self.piece) = (at, bytes.freeze());
        }
        let from = usize::try_from(at - self.at).map_err(io::Error::other)?;
        let count = usize::try_from(count).map_err(io::Error::other)?;
        Ok(Some(self.piece.slice(from..from + count)))
    }

    /// As many bytes from `at` on as are read already, at least `least`; `None` beyond the end of the file.
    fn rest(&mut self, at: u64, least: u64) -> io::Result<Option<Bytes>> {
        if self.get(at, least)?.is_none() {
            return Ok(None);
        }
        let from = usize::try_from(at - self.at).map_err(io::Error::other)?;
        Ok(Some(self.piece.slice(from..)))
    }
}

/// What lies behind the last whole entry of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beyond {
    /// The position of a whole entry that was written when the place before it had been synced.
    pub synced: Option<u64>,
    /// The byte of the file up to which there may be something of an entry that was written there: an entry that is written over
    /// a part of it could make the rest look whole. Zeros, and what a recycled file held before, are no such thing.
    pub traces_end: u64,
}

/// The entries of one journal file.
pub struct EntryScan {
    window: Window,
    header: Bytes,
    salt: Salt,
    start: u64,
    position: u64,
}

impl EntryScan {
    /// Begins at the first entry of the file, which is at position `start`. Takes the salt from the header, whatever that is.
    pub fn open(disk: &Disk, path: &Path, start: u64) -> io::Result<Self> {
        let mut window = Window::open(disk, path)?;
        let header = window.get(0, window.length.min(JOURNAL_HEADER_BYTES))?.unwrap_or_default();
        let salt = files::salt_of_header(&header);
        Ok(Self { window, header, salt, start, position: start })
    }

    /// The bytes of the file's header, as many as there are.
    pub fn header(&self) -> &Bytes {
        &self.header
    }

    /// The salt that entries are looked for with.
    pub fn salt(&self) -> Salt {
        self.salt
    }

    /// The header is not to be believed: the salt is that of the other files, or else what makes the first entry a whole one.
    pub fn distrust_header(&mut self, of_others: Option<Salt>) -> io::Result<()> {
        let first = self.window.get(self.byte_of(self.start), ENTRY_START_BYTES)?;
        let of_first = first.and_then(|start| frame::mark_of(&start)).map(|mark| Salt::of_mark(mark, self.start));
        for salt in of_others.into_iter().chain(of_first) {
            let before = std::mem::replace(&mut self.salt, salt);
            let is_right = of_others.is_some() || self.entry()?.is_some();
            self.position = self.start;
            if is_right {
                return Ok(());
            }
            self.salt = before;
        }
        Ok(())
    }

    /// Where the next entry is looked for.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The byte of the file at which a position lies.
    pub fn byte_of(&self, position: u64) -> u64 {
        JOURNAL_HEADER_BYTES + position.saturating_sub(self.start)
    }

    /// The size of the file, in bytes.
    pub fn file_bytes(&self) -> u64 {
        self.window.length
    }

    /// The entry here, if a whole one is; the scan then stands behind it.
    pub fn entry(&mut self) -> io::Result<Option<Frame>> {
        let at = self.byte_of(self.position);
        let Some(start) = self.window.get(at, ENTRY_START_BYTES)? else { return Ok(None) };
        let Some(length) = frame::claimed_length(&start, self.salt.mark(self.position)) else { return Ok(None) };
        // The zeros behind the last entry of a file may be missing.
        let length = (length as u64).min(self.window.length - at);
        let Some(bytes) = self.window.get(at, length)? else { return Ok(None) };
        let found = frame::decode(&bytes, self.salt, self.position);
        if let Some(frame) = &found {
            self.position = frame.next;
        }
        Ok(found)
    }

    /// The first whole entry behind the place where the scan stands; the scan then stands behind it. Without one the scan
    /// stays.
    pub fn next_entry(&mut self) -> io::Result<Option<Frame>> {
        let from = self.position;
        let mut next = from + ALIGNMENT_BYTES as u64;
        while let Some((position, _)) = self.claim_from(next)? {
            self.position = position;
            if let Some(frame) = self.entry()? {
                return Ok(Some(frame));
            }
            next = position + ALIGNMENT_BYTES as u64;
        }
        self.position = from;
        Ok(None)
    }

    /// What lies behind the place where the scan stands, where there is no whole entry. The scan stays.
    pub fn beyond(&mut self) -> io::Result<Beyond> {
        let from = self.position;
        let mut beyond = Beyond { synced: None, traces_end: 0 };
        let mut next = from;
        while let Some((position, length)) = self.claim_from(next)? {
            beyond.traces_end = beyond.traces_end.max(self.byte_of(position) + length as u64).min(self.window.length);
            next = position + ALIGNMENT_BYTES as u64;
            self.position = position;
            let is_later = self.entry()?.is_some_and(|frame| frame.synced > from);
            if is_later && position > from {
                beyond.synced.get_or_insert(position);
            }
        }
        self.position = from;
        Ok(beyond)
    }

    /// The first position from `position` on at which an entry says that it is, and how long it says it is, in bytes.
    fn claim_from(&mut self, mut position: u64) -> io::Result<Option<(u64, usize)>> {
        while let Some(piece) = self.window.rest(self.byte_of(position), ENTRY_START_BYTES)? {
            let starts = (piece.len() - ENTRY_START_BYTES as usize) / ALIGNMENT_BYTES + 1;
            for start in (0..starts * ALIGNMENT_BYTES).step_by(ALIGNMENT_BYTES) {
                let here = position + start as u64;
                let rest = piece.get(start..).unwrap_or_default();
                if let Some(length) = frame::claimed_length(rest, self.salt.mark(here)) {
                    return Ok(Some((here, length)));
                }
            }
            position += (starts * ALIGNMENT_BYTES) as u64;
        }
        Ok(None)
    }

    /// Whether an entry was begun where the scan stands, whole or not.
    pub fn begins_entry(&mut self) -> io::Result<bool> {
        let start = self.window.get(self.byte_of(self.position), ENTRY_START_BYTES)?;
        Ok(start.is_some_and(|start| frame::claimed_length(&start, self.salt.mark(self.position)).is_some()))
    }
}

/// The batches of one segment.
pub struct BatchScan {
    window: Window,
    at: u64,
}

impl BatchScan {
    /// Begins at a byte of the file, where a batch must begin.
    pub fn open(disk: &Disk, path: &Path, at: u64) -> io::Result<Self> {
        Ok(Self { window: Window::open(disk, path)?, at })
    }

    /// Where the next batch is looked for, in bytes.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// The size of the file, in bytes.
    pub fn file_bytes(&self) -> u64 {
        self.window.length
    }

    /// Goes on at another byte.
    pub fn seek(&mut self, at: u64) {
        self.at = at;
    }

    /// The base offset that the bytes here claim, if there are enough of them.
    pub fn claimed_offset(&mut self) -> io::Result<Option<u64>> {
        let bytes = self.window.get(self.at, 8)?;
        Ok(bytes.and_then(|bytes| bytes.first_chunk::<8>().map(|raw| u64::from_be_bytes(*raw))))
    }

    /// The batch here, if one begins, by its seal; its checksum is not looked at. The scan then stands behind it.
    pub fn batch(&mut self) -> io::Result<Option<StoredBatch>> {
        let Some(header) = self.window.get(self.at, BATCH_HEADER_BYTES as u64)? else { return Ok(None) };
        let Some(header) = BatchHeader::parse(&header).ok().filter(BatchHeader::is_sealed) else { return Ok(None) };
        let Some(bytes) = self.window.get(self.at, header.total_bytes() as u64)? else { return Ok(None) };
        let found = StoredBatch::parse(&bytes);
        if let Some(batch) = &found {
            self.at += batch.len() as u64;
        }
        Ok(found)
    }

    /// Goes to the next byte behind `from` at which `fits` takes a batch, and returns it; the scan then stands behind it.
    pub fn next_batch(&mut self, from: u64, fits: impl Fn(&StoredBatch) -> bool) -> io::Result<Option<StoredBatch>> {
        let back = self.at;
        let mut at = from + 1;
        while at + BATCH_HEADER_BYTES as u64 <= self.window.length {
            self.at = at;
            if let Some(batch) = self.batch()?.filter(&fits) {
                return Ok(Some(batch));
            }
            at += 1;
        }
        self.at = back;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::super::files::{encode_header, journal_file_name};
    use super::super::frame::{Encoder, Target};
    use super::*;

    /// A journal file of entries with bodies of these lengths, from position 8 on.
    fn file(directory: &Path, bodies: &[usize]) -> (std::path::PathBuf, Vec<u64>) {
        let mut bytes = BytesMut::from(&encode_header(8, Salt(3))[..]);
        let mut positions = Vec::new();
        for length in bodies {
            let position = 8 + bytes.len() as u64 - JOURNAL_HEADER_BYTES;
            positions.push(position);
            let mut encoder = Encoder::begin(&mut bytes, Salt(3).mark(position), 0, 1);
            encoder.write([Target { partition: 2, flags: 0, base_offset: 0 }].into_iter(), 1, &vec![7; *length]);
            encoder.finish();
        }
        let path = directory.join(journal_file_name(8));
        std::fs::write(&path, &bytes).expect("written");
        (path, positions)
    }

    #[test]
    fn entries_longer_than_a_piece_are_read_whole() {
        let directory = tempfile::tempdir().expect("directory");
        let lengths = [10, 3 << 20, 0, (1 << 20) - 60, 1 << 20, 5];
        let (path, positions) = file(directory.path(), &lengths);
        let mut scan = EntryScan::open(&Disk::real(), &path, 8).expect("open");
        for (length, position) in lengths.iter().zip(positions) {
            let frame = scan.entry().expect("read").expect("an entry");
            assert_eq!((frame.writes[0].body.len(), frame.position), (*length, position));
        }
        assert!(scan.entry().expect("read").is_none());
        assert!(!scan.begins_entry().expect("read"));
    }

    #[test]
    fn behind_a_damaged_entry_the_next_whole_one_is_found() {
        let directory = tempfile::tempdir().expect("directory");
        let (path, positions) = file(directory.path(), &[100, 2 << 20, 300]);
        let mut bytes = std::fs::read(&path).expect("read");
        let at = JOURNAL_HEADER_BYTES as usize + (positions[1] - 8) as usize + 50;
        bytes[at] ^= 1;
        std::fs::write(&path, &bytes).expect("written");
        let mut scan = EntryScan::open(&Disk::real(), &path, 8).expect("open");
        assert!(scan.entry().expect("read").is_some());
        assert!(scan.entry().expect("read").is_none());
        assert_eq!(scan.position(), positions[1]);
        let found = scan.next_entry().expect("read").expect("the third");
        assert_eq!(found.position, positions[2]);
        assert!(scan.next_entry().expect("read").is_none());
    }
}
