//! One segment: a log file and its two indexes, opened, healed and read.
//!
//! What opening finds to be missing from the indexes is added from the log file. Of the newest segment of a partition a torn end
//! is cut: it was being written at a crash, and is in the journal still.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::index::{self, Entries, Indexing, OffsetEntry, TimeEntry};
use super::open_files::{Handle, OpenFiles};
use super::places::Places;
use super::scan::{Found, SCAN_BYTES, Scan, header_at};
use crate::log::embedded::aborted;
use crate::log::embedded::disk::{File, Open};
use crate::log::record::BatchHeader;
use crate::log::stored::StoredBatch;
use crate::log::transactions::Aborted;

/// The extensions of a segment's files: the log and its indexes.
pub const EXTENSIONS: [&str; 4] = ["log", "index", "timeindex", aborted::EXTENSION];
/// How much is read at a time by those who want a single batch, in bytes.
const LOOK_BYTES: usize = 64 << 10;

/// How a segment ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Another one follows.
    Sealed,
    /// It is the last.
    Last,
    /// It is the last, and a crash may have torn what was moved to it; what lies from this offset on is in the journal, too.
    MayBeTorn(u64),
    /// It is the last, and whether a crash may have torn it is not known yet: what is whole is read, and nothing is changed.
    Unknown,
}

/// One file of a partition's log and its two indexes. Clones share what is open.
#[derive(Debug, Clone)]
pub struct Segment {
    /// The offset that names the file; nothing in it lies before.
    pub base_offset: u64,
    /// One past the last offset in it.
    pub next_offset: u64,
    /// The size of the log file, in bytes.
    pub bytes: u64,
    /// The newest timestamp of its first batch, in milliseconds; none without batches.
    pub first_timestamp_ms: Option<i64>,
    /// Nothing is added any more.
    pub is_sealed: bool,
    pub(super) indexing: Indexing,
    pub(super) log: Handle,
    pub(super) offsets: Handle,
    pub(super) times: Handle,
    /// The index of aborted transactions, which most segments have not.
    pub(super) aborted: Handle,
    pub(super) has_aborted: bool,
    /// How many records it has, once they were counted. Another count for each state of the file.
    pub(super) records: Arc<OnceLock<u64>>,
    pub(super) suspect: Arc<AtomicBool>,
    /// Where readers left off.
    pub(super) places: Arc<Places>,
    /// How many of its records were needed when a rewrite left nothing out, and one.
    pub(super) futile: Arc<AtomicU64>,
}

impl Segment {
    /// A segment whose files are still to be made.
    pub(super) fn new(files: &OpenFiles, directory: &Path, base_offset: u64) -> Self {
        let handle = |extension| files.handle(path(directory, base_offset, extension));
        Self {
            base_offset,
            next_offset: base_offset,
            bytes: 0,
            first_timestamp_ms: None,
            is_sealed: false,
            indexing: Indexing::new(base_offset),
            log: handle("log"),
            offsets: handle("index"),
            times: handle("timeindex"),
            aborted: handle(aborted::EXTENSION),
            has_aborted: false,
            records: Arc::new(OnceLock::from(0)),
            suspect: Arc::default(),
            places: Arc::default(),
            futile: Arc::default(),
        }
    }

    /// Finds out what is in a segment's files, and mends its indexes.
    pub(super) fn open(files: &OpenFiles, directory: &Path, base_offset: u64, end: End) -> io::Result<Self> {
        let mut segment = Self { records: Arc::default(), ..Self::new(files, directory, base_offset) };
        let log = segment.log.get()?;
        segment.bytes = log.length()?;
        segment.first_timestamp_ms = Scan::new(&*log, 0, segment.bytes, LOOK_BYTES).skip()?.map(|header| header.max_timestamp);
        segment.mend(&log, end)?;
        if let End::MayBeTorn(_) = end {
            // What is here is not moved again, and what was cut must not come back: the next crash may find nothing of it in the
            // journal.
            segment.log.disk().open(segment.log.path(), Open::Write)?.sync_all()?;
        }
        segment.has_aborted = segment.log.disk().exists(segment.aborted.path());
        Ok(segment)
    }

    /// Reads on from where both indexes are known to be right, and adds what they lack.
    fn mend(&mut self, log: &File, end: End) -> io::Result<()> {
        let is_last = end != End::Sealed;
        let disk = self.log.disk().clone();
        let open = |handle: &Handle| disk.open(handle.path(), Open::Append);
        let (offsets, times) = (open(&self.offsets)?, open(&self.times)?);
        index::cut(&*offsets, |entry: &OffsetEntry| u64::from(entry.position) < self.bytes)?;
        let start = match (self.right_until(log, &offsets, &times, is_last)?, end) {
            (Some(last), End::MayBeTorn(from)) => self.right_before(log, &offsets, last, from)?,
            (_, End::Unknown) => None,
            (start, _) => start,
        };
        index::cut(&*offsets, |entry: &OffsetEntry| u64::from(entry.position) <= start.map_or(0, |entry| entry.position.into()))?;
        let known_until = start.map_or(0, |entry| u64::from(entry.relative) + 1);
        index::cut(&*times, |entry: &TimeEntry| start.is_some() && (!is_last || u64::from(entry.relative) < known_until))?;
        let (_, newest) = index::search(&*times, |_: &TimeEntry| true)?;
        self.indexing = Indexing::resume(self.base_offset, newest);
        let mut entries = Entries::default();
        let mut scan = Scan::new(&**log, start.map_or(0, |entry| entry.position.into()), self.bytes, SCAN_BYTES);
        loop {
            let at = scan.position();
            match scan.next()? {
                Found::Batch(batch) if batch.base_offset >= self.next_offset && self.can_index(&batch) => {
                    self.indexing.add(at, batch.len(), batch.last_offset, batch.max_timestamp_ms(), &mut entries);
                    self.next_offset = batch.last_offset + 1;
                }
                Found::End => break,
                Found::Batch(_) | Found::Damaged if end == End::Unknown => {
                    self.bytes = at;
                    break;
                }
                Found::Batch(_) | Found::Damaged if is_last && !self.is_torn(log, at, end)? => return Err(self.damaged(at)),
                Found::Batch(_) | Found::Damaged if is_last => {
                    tracing::warn!(file = %self.log.path().display(), from = at, to = self.bytes, "cut a torn end off a segment");
                    disk.open(self.log.path(), Open::Write)?.set_length(at)?;
                    self.bytes = at;
                    break;
                }
                Found::Batch(_) | Found::Damaged => {
                    tracing::error!(file = %self.log.path().display(), byte = at, "a segment is damaged; what lies behind is not served");
                    // Whoever reads on is told, and not led to the next segment.
                    self.next_offset = u64::MAX;
                    break;
                }
            }
        }
        if !is_last {
            self.indexing.end(&mut entries);
        }
        offsets.append(&entries.offsets)?;
        times.append(&entries.times)
    }

    /// Whether what is no whole batch may be what a crash left of one that is in the journal, too.
    fn is_torn(&self, log: &File, at: u64, end: End) -> io::Result<bool> {
        let End::MayBeTorn(in_journal_from) = end else { return Ok(false) };
        let mut claimed = [0; 8];
        if at + 8 > self.bytes {
            return Ok(true);
        }
        log.read_exact_at(&mut claimed, at)?;
        Ok(!(self.next_offset..in_journal_from).contains(&u64::from_be_bytes(claimed)))
    }

    /// Cuts what an attempt to add to it that failed has left behind.
    pub(super) fn cut_back(&self) -> io::Result<()> {
        let log = self.log.disk().open(self.log.path(), Open::Write)?;
        log.set_length(self.bytes)?;
        log.sync_all()
    }

    /// Forgets aborted transactions whose end is not there.
    pub(super) fn cut_aborted(&self) -> io::Result<()> {
        let file = self.log.disk().open(self.aborted.path(), Open::Append)?;
        index::cut(&*file, |entry: &Aborted| entry.last_offset < self.next_offset)
    }

    /// Writes the index of aborted transactions anew unless it says what is known of those from the start of the log on. Whether
    /// it did. Nothing is ever read from it: it is there for Kafka's tools.
    pub(super) fn mend_aborted(&mut self, known: &[Aborted], log_start: u64) -> io::Result<bool> {
        let (disk, path) = (self.log.disk().clone(), self.aborted.path().to_owned());
        let found = if self.has_aborted { aborted::decode_all(&disk.read(&path)?) } else { Some(Vec::new()) };
        let is_right = found.is_some_and(|mut found| {
            found.retain(|aborted| aborted.last_offset >= log_start);
            found == known
        });
        if is_right {
            return Ok(false);
        }
        tracing::warn!(file = %path.display(), "an index of aborted transactions is built anew");
        disk.clear_file(&path)?;
        self.has_aborted = !known.is_empty();
        if self.has_aborted {
            let file = disk.open(&path, Open::CreateNew)?;
            file.write_all_at(&aborted::encode_all(known), 0)?;
            file.sync_all()?;
        }
        Ok(true)
    }

    /// The last entry of the offset index up to which both indexes can be trusted.
    fn right_until(&self, log: &File, offsets: &File, times: &File, is_last: bool) -> io::Result<Option<OffsetEntry>> {
        let (_, last) = index::search(&**offsets, |_: &OffsetEntry| true)?;
        let (_, newest) = index::search(&**times, |_: &TimeEntry| true)?;
        let Some(last) = last else { return Ok(None) };
        let newest = match newest.filter(|_| self.is_right(log, last)) {
            Some(newest) if self.has_time(log, offsets, newest)? => Some(newest),
            _ => None,
        };
        let Some(newest) = newest else {
            tracing::warn!(file = %self.log.path().display(), "the indexes of a segment are built anew");
            return Ok(None);
        };
        if !is_last || newest.relative >= last.relative {
            return Ok(Some(last));
        }
        // A crash may have kept the entries of one index and not those of the other.
        let (_, before) = index::search(&**offsets, |entry: &OffsetEntry| entry.relative <= newest.relative)?;
        Ok(before)
    }

    /// The last entry of the offset index, up to one that can be trusted, that speaks of a batch before an offset. Of what was not
    /// synced any part may be missing while what lies behind it, and what the indexes say of it, is there.
    fn right_before(&self, log: &File, offsets: &File, last: OffsetEntry, from: u64) -> io::Result<Option<OffsetEntry>> {
        let is_before = |entry: &OffsetEntry| self.base_offset + u64::from(entry.relative) < from;
        if is_before(&last) {
            return Ok(Some(last));
        }
        let (_, before) = index::search(&**offsets, is_before)?;
        Ok(before.filter(|before| self.is_right(log, *before)))
    }

    /// Whether there is a whole batch where an entry of the offset index says.
    fn is_right(&self, log: &File, entry: OffsetEntry) -> bool {
        let found = Scan::new(&**log, entry.position.into(), self.bytes, LOOK_BYTES).next();
        matches!(found, Ok(Found::Batch(batch)) if batch.last_offset == self.base_offset + u64::from(entry.relative))
    }

    /// Whether there is a batch that an entry of the time index speaks of.
    fn has_time(&self, log: &File, offsets: &File, entry: TimeEntry) -> io::Result<bool> {
        let (_, floor) = index::search(&**offsets, |offset: &OffsetEntry| offset.relative <= entry.relative)?;
        let mut scan = Scan::new(&**log, floor.map_or(0, |floor| floor.position.into()), self.bytes, LOOK_BYTES);
        let last_offset = self.base_offset + u64::from(entry.relative);
        while let Found::Batch(batch) = scan.next()? {
            if batch.last_offset >= last_offset {
                return Ok(batch.last_offset == last_offset && batch.max_timestamp_ms() == entry.timestamp_ms);
            }
        }
        Ok(false)
    }

    fn can_index(&self, batch: &StoredBatch) -> bool {
        batch.last_offset - self.base_offset <= super::writer::INDEXED_MAX
    }

    /// The newest timestamp in it, in milliseconds; -1 without any.
    pub fn max_timestamp_ms(&self) -> i64 {
        self.indexing.max_timestamp_ms
    }

    /// How many records it has. The first time this reads all headers.
    pub fn record_count(&self) -> io::Result<u64> {
        if let Some(count) = self.records.get() {
            return Ok(*count);
        }
        let log = self.log.get()?;
        let mut scan = Scan::new(&*log, 0, self.bytes, SCAN_BYTES);
        let mut count = 0;
        while let Some(header) = scan.skip()? {
            count += u64::from(header.record_count.unsigned_abs());
        }
        Ok(*self.records.get_or_init(|| count))
    }

    /// Calls `each` with every header from an offset on, and what reads its batch.
    pub fn each_header(
        &self,
        from: u64,
        mut each: impl FnMut(BatchHeader, &dyn Fn() -> io::Result<StoredBatch>) -> io::Result<()>,
    ) -> io::Result<()> {
        let log = self.log.get()?;
        let mut scan = Scan::new(&*log, self.offset_floor(&log, from)?, self.bytes, SCAN_BYTES);
        loop {
            let at = scan.position();
            let Some(header) = scan.skip()? else { return if at < self.bytes { Err(self.damaged(at)) } else { Ok(()) } };
            let whole = || match Scan::new(&*log, at, self.bytes, LOOK_BYTES).next()? {
                Found::Batch(batch) => Ok(batch),
                _ => Err(self.damaged(at)),
            };
            if header.base_offset + i64::from(header.last_offset_delta) >= i64::try_from(from).unwrap_or(i64::MAX) {
                each(header, &whole)?;
            }
        }
    }

    /// Calls `each` with every batch from an offset on, until it returns false. Fails where bytes are no batch.
    pub fn each_batch(&self, from: u64, mut each: impl FnMut(StoredBatch) -> io::Result<bool>) -> io::Result<()> {
        let log = self.log.get()?;
        let mut scan = Scan::new(&*log, self.offset_floor(&log, from)?, self.bytes, SCAN_BYTES);
        let mut expected = self.base_offset;
        loop {
            let at = scan.position();
            match scan.next()? {
                Found::Batch(batch) if !self.is_in_place(&batch, &mut expected) => return Err(self.damaged(at)),
                Found::Batch(batch) if batch.last_offset < from => {}
                Found::Batch(batch) => {
                    if !each(batch)? {
                        return Ok(());
                    }
                }
                Found::End => return Ok(()),
                Found::Damaged => return Err(self.damaged(at)),
            }
        }
    }

    /// Adds the batches from the one that holds `from` on while there is room. False: there is none left.
    pub(super) fn read(&self, from: u64, room: &mut usize, found: &mut Vec<StoredBatch>) -> io::Result<bool> {
        let log = self.log.get()?;
        let (at, mut expected) = match self.places.take(from) {
            Some(at) => {
                // Somebody reads on: what they will ask for next is fetched from the disk while they work on this.
                log.will_read(at + *room as u64, *room);
                (at, from)
            }
            None => (self.offset_floor(&log, from)?, self.base_offset),
        };
        let mut scan = Scan::new(&*log, at, self.bytes, *room);
        loop {
            let at = scan.position();
            if !found.is_empty() && at < self.bytes && scan.next_bytes()?.is_some_and(|bytes| bytes > *room) {
                self.left_off(found, at);
                return Ok(false);
            }
            let batch = match scan.next()? {
                Found::Batch(batch) if self.is_in_place(&batch, &mut expected) => batch,
                Found::End => return Ok(true),
                Found::Batch(_) | Found::Damaged => return Err(self.damaged(at)),
            };
            if batch.last_offset < from {
                continue;
            }
            *room = room.saturating_sub(batch.len());
            found.push(batch);
            if *room == 0 {
                self.left_off(found, scan.position());
                return Ok(false);
            }
        }
    }

    /// Whoever reads on behind what was found begins at a position.
    fn left_off(&self, found: &[StoredBatch], position: u64) {
        if let Some(last) = found.last() {
            self.places.put(last.last_offset + 1, position);
        }
    }

    /// The first batch that reaches an offset and whose newest timestamp is at or after the given one.
    pub(super) fn find_time(&self, timestamp_ms: i64, from: u64) -> io::Result<Option<StoredBatch>> {
        let mut found = None;
        self.each_batch(self.time_floor(timestamp_ms)?.max(from), |batch| {
            if batch.max_timestamp_ms() < timestamp_ms {
                return Ok(true);
            }
            found = Some(batch);
            Ok(false)
        })?;
        Ok(found)
    }

    /// The offset from which on to look for a time. An entry that was damaged since the index was opened must not hide records: it
    /// is only believed where a batch says the same.
    fn time_floor(&self, timestamp_ms: i64) -> io::Result<u64> {
        let times = self.times.get()?;
        let (_, before) = index::search(&*times, |entry: &TimeEntry| entry.timestamp_ms < timestamp_ms)?;
        let Some(entry) = before else { return Ok(0) };
        if self.has_time(&self.log.get()?, &self.offsets.get()?, entry)? {
            return Ok(self.base_offset + u64::from(entry.relative));
        }
        tracing::warn!(file = %self.times.path().display(), "a time index is damaged: the segment is read from its beginning");
        Ok(0)
    }

    /// Where to begin to look for an offset: the position of the last indexed batch that ends at or before it.
    fn offset_floor(&self, log: &File, offset: u64) -> io::Result<u64> {
        let relative = offset.saturating_sub(self.base_offset);
        if relative == 0 || self.suspect.load(Ordering::Relaxed) {
            return Ok(0);
        }
        let offsets = self.offsets.get()?;
        let (_, entry) = index::search(&*offsets, |entry: &OffsetEntry| u64::from(entry.relative) <= relative)?;
        let Some(entry) = entry else { return Ok(0) };
        // An index that was damaged since it was opened must not hide records: it is only believed where a batch says the same.
        let header = header_at(&**log, entry.position.into(), self.bytes)?;
        let ends_at = header.map(|header| header.base_offset + i64::from(header.last_offset_delta));
        if ends_at == i64::try_from(self.base_offset + u64::from(entry.relative)).ok() {
            return Ok(entry.position.into());
        }
        tracing::warn!(file = %self.offsets.path().display(), "an index is damaged: it is not used until the next start builds it anew");
        self.suspect.store(true, Ordering::Relaxed);
        Ok(0)
    }

    /// Whether a batch lies behind those before it, and in this segment.
    fn is_in_place(&self, batch: &StoredBatch, expected: &mut u64) -> bool {
        let is_in_place = batch.base_offset >= *expected && batch.last_offset < self.next_offset;
        *expected = batch.last_offset.saturating_add(1);
        is_in_place
    }

    fn damaged(&self, at: u64) -> io::Error {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!(
                "{} holds no record batch at byte {at}; `trunkline log verify` says more, `trunkline log repair` is the way out",
                self.log.path().display()
            ),
        )
    }

    /// Keeps its files open, so that whoever knows them reads on when their names are gone.
    pub fn pin(&self) -> io::Result<()> {
        let aborted = self.has_aborted.then_some(&self.aborted);
        [&self.log, &self.offsets, &self.times].into_iter().chain(aborted).try_for_each(Handle::pin)
    }

    /// The files, log first.
    pub fn paths(&self) -> [&Path; 4] {
        [self.log.path(), self.offsets.path(), self.times.path(), self.aborted.path()]
    }

    /// A rewrite has left nothing out while so many of its records were needed.
    pub fn note_futile(&self, needed: u64) {
        self.futile.store(needed + 1, Ordering::Relaxed);
    }

    /// Whether a rewrite was tried while as many of its records were needed.
    pub fn was_futile(&self, needed: u64) -> bool {
        self.futile.load(Ordering::Relaxed) == needed + 1
    }

    /// Whether this is the same file, in whatever state.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.suspect, &other.suspect)
    }
}

/// Where one of the files of a segment lies.
pub fn path(directory: &Path, base_offset: u64, extension: &str) -> PathBuf {
    directory.join(format!("{base_offset:020}.{extension}"))
}
