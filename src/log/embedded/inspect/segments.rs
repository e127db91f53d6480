//! The segments of one partition as files: whether every batch is what was written and in its place, and whether the indexes
//! say what the segment holds.

use std::io;
use std::path::{Path, PathBuf};

use super::super::aborted;
use super::super::disk::Disk;
use super::super::frame::checksum;
use super::super::scan::BatchScan;
use super::super::segment::{Identity, METADATA_FILE, identity_of, metadata_text};
use super::contents::SegmentContents;
use super::repair::Repair;
use super::{Finding, Inspector, Watch};
use crate::log::record::{BATCH_HEADER_BYTES, Limits};
use crate::log::stored::StoredBatch;
use crate::log::topic::TopicId;
use crate::log::transactions::Transactions;

const INDEX_ENTRY_BYTES: usize = 8;
const TIME_ENTRY_BYTES: usize = 12;
/// The bytes that a batch's checksum covers begin here.
const CHECKSUMMED_FROM: usize = 21;

/// How much is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// Where segments begin and end.
    Bounds,
    /// Every byte.
    Whole,
}

/// What the rest of the directory says of a partition.
pub(super) struct Owner {
    pub id: TopicId,
    /// Whether a journal file was being retired that holds batches of it: a crash may have torn its segments.
    pub may_be_torn: bool,
    pub journal_first: Option<u64>,
    pub log_start: u64,
    pub transactions: Transactions,
}

/// Checks what a stored batch is made of. Compaction leaves gaps in its offsets.
pub(super) fn check_batch(batch: &StoredBatch) -> Result<(), String> {
    let header = batch.header().map_err(|error| error.to_string())?;
    let computed = checksum(batch.body().get(CHECKSUMMED_FROM..).unwrap_or_default());
    if computed != header.crc {
        return Err(format!("its checksum is {computed:08x}, its header says {:08x}", header.crc));
    }
    let mut count = 0;
    for found in batch.records(&Limits::STORED).map_err(|error| error.to_string())? {
        let (offset, _) = found.map_err(|error| error.to_string())?;
        if offset > batch.last_offset {
            return Err(format!("it ends with offset {}, and holds offset {offset}", batch.last_offset));
        }
        count += 1;
    }
    if count == header.record_count { Ok(()) } else { Err(format!("it holds {count} records of {}", header.record_count)) }
}

/// The batch here, if it is a good one: in its place between `next` and `below`. The scan then stands behind it, and stays
/// otherwise.
pub(super) fn good_batch(scan: &mut BatchScan, (next, below): (u64, u64)) -> io::Result<Option<StoredBatch>> {
    let at = scan.at();
    let fits = |batch: &StoredBatch| batch.base_offset >= next && batch.last_offset < below && check_batch(batch).is_ok();
    let found = scan.batch()?.filter(fits);
    if found.is_none() {
        scan.seek(at);
    }
    Ok(found)
}

/// The log files in a partition's directory with the offsets that name them, in order.
pub(super) fn log_files(disk: &Disk, directory: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
    let mut found: Vec<_> = disk
        .names(directory)?
        .into_iter()
        .filter_map(|name| Some((directory.join(&name.name), name.name.strip_suffix(".log")?.parse().ok()?)))
        .collect();
    found.sort_unstable_by_key(|(_, base)| *base);
    Ok(found)
}

/// All files in a partition's directory.
pub(super) fn files(disk: &Disk, directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found: Vec<_> =
        disk.names(directory)?.into_iter().filter(|name| !name.is_directory).map(|name| directory.join(name.name)).collect();
    found.sort_unstable();
    Ok(found)
}

impl Inspector {
    /// The segments in a partition's directory.
    pub(super) fn partition(
        &self,
        directory: &str,
        owner: &Owner,
        depth: Depth,
        watch: &mut dyn Watch,
    ) -> io::Result<Vec<SegmentContents>> {
        let path = self.topics().join(directory);
        let logs = match log_files(&self.disk, &path) {
            Err(_) if self.has_moved(&path) => return Ok(Vec::new()),
            found => found?,
        };
        if !self.check_identity(&path, owner, !logs.is_empty(), watch)? {
            return Ok(Vec::new());
        }
        self.check_strays(&path, &logs, owner, watch)?;
        let mut segments: Vec<SegmentContents> = Vec::new();
        for (index, (log, base)) in logs.iter().enumerate() {
            let from = segments.last().map_or(0, |before| before.next_offset);
            let is_last = index + 1 == logs.len();
            let behind = if owner.may_be_torn { None } else { owner.journal_first };
            let below = logs.get(index + 1).map(|(_, base)| *base).or(behind).unwrap_or(u64::MAX);
            let look = Look { inspector: self, owner, watch: &mut *watch, path: log, base: *base, below, is_last };
            let found = match depth {
                Depth::Bounds => look.bounds(),
                Depth::Whole => look.whole(from),
            };
            match found {
                Err(error) if error.kind() == io::ErrorKind::NotFound && self.has_moved(log) => {}
                found => segments.push(found?),
            }
        }
        Ok(segments)
    }

    /// Whether the directory belongs to the topic; one that does not is removed by the next start.
    fn check_identity(&self, directory: &Path, owner: &Owner, is_used: bool, watch: &mut dyn Watch) -> io::Result<bool> {
        let path = directory.join(METADATA_FILE);
        let found = if self.disk.exists(&path) { self.disk.read(&path)? } else { Vec::new() };
        match identity_of(&found, owner.id) {
            Identity::Own => {}
            _ if self.has_moved(directory) => {}
            Identity::Another => {
                let what = "the directory belongs to an earlier topic of this name";
                watch.found(Finding::note(path, 0, what, "the next start removes it"));
                return Ok(false);
            }
            Identity::Unclear if !is_used => {
                watch.found(Finding::note(path, 0, "a directory without segments", "the next start removes it"));
                return Ok(false);
            }
            Identity::Unclear => {
                let what = "it does not say which topic the directory belongs to";
                let repair = Repair::WriteMetadata { path: path.clone(), text: metadata_text(owner.id) };
                watch.found(Finding::damage(path, 0, what, repair));
            }
        }
        Ok(true)
    }

    /// Index files without their segment: the segment is gone.
    fn check_strays(&self, directory: &Path, logs: &[(PathBuf, u64)], owner: &Owner, watch: &mut dyn Watch) -> io::Result<()> {
        for path in files(&self.disk, directory)? {
            let is_index = path.extension().is_some_and(|extension| extension == "index");
            let log = path.with_extension("log");
            if !is_index || logs.iter().any(|(known, _)| *known == log) || self.is_live {
                continue;
            }
            if self.disk.read(&path)?.is_empty() && owner.may_be_torn {
                continue;
            }
            let what = "the segment that this index is of is missing";
            watch.found(Finding::damage(path.clone(), 0, what, Repair::SetAside { path }));
        }
        Ok(())
    }
}

/// One segment being looked at.
struct Look<'a> {
    inspector: &'a Inspector,
    owner: &'a Owner,
    watch: &'a mut dyn Watch,
    path: &'a Path,
    base: u64,
    /// What comes after it begins here.
    below: u64,
    is_last: bool,
}

impl Look<'_> {
    fn contents(&self, next_offset: u64, bytes: u64) -> SegmentContents {
        SegmentContents { path: self.path.to_owned(), base_offset: self.base, next_offset, bytes }
    }

    /// From the last index entry to the end, without a look at what the batches hold.
    fn bounds(self) -> io::Result<SegmentContents> {
        let disk = &self.inspector.disk;
        let index = disk.read(&self.path.with_extension("index")).unwrap_or_default();
        let bytes = BatchScan::open(disk, self.path, 0)?.file_bytes();
        let entries = index.chunks_exact(INDEX_ENTRY_BYTES).rev().map(|entry| u64::from(be_u32(entry, 4)));
        for from in entries.filter(|at| *at < bytes).chain([0]) {
            let mut scan = BatchScan::open(disk, self.path, from)?;
            let mut next = None;
            while let Some(batch) = scan.batch()? {
                next = Some(batch.last_offset + 1);
            }
            if let Some(next) = next {
                return Ok(self.contents(next, scan.at()));
            }
        }
        Ok(self.contents(self.base, 0))
    }

    /// Every batch, and the indexes beside them.
    fn whole(mut self, from: u64) -> io::Result<SegmentContents> {
        let disk = &self.inspector.disk;
        let mut indexes = Indexes::read(disk, self.path)?;
        let mut scan = BatchScan::open(disk, self.path, 0)?;
        let mut next = self.base.max(from);
        let (mut end, mut told) = (0, 0);
        while scan.at() < scan.file_bytes() {
            let at = scan.at();
            match good_batch(&mut scan, (next, self.below))? {
                Some(batch) => {
                    indexes.batch(at, batch.last_offset - self.base.min(batch.last_offset), batch.max_timestamp_ms());
                    next = batch.last_offset + 1;
                    end = scan.at();
                }
                None => match self.resume(&mut scan, at, next)? {
                    Some(to) => {
                        self.bad(at, to, next);
                        indexes.is_damaged = true;
                    }
                    None => {
                        scan.seek(at);
                        let claimed = scan.claimed_offset()?;
                        self.bad_end(at, next, claimed, scan.file_bytes());
                        break;
                    }
                },
            }
            self.watch.progress(scan.at() - told);
            told = scan.at();
        }
        let wrong = indexes.finish(end, self.is_last && self.owner.may_be_torn).filter(|_| !self.inspector.is_live);
        if let Some((extension, what)) = wrong {
            let repair = self.rewrite();
            self.watch.found(Finding::damage(self.path.with_extension(extension), 0, what, repair));
        }
        self.aborted(next)?;
        Ok(self.contents(next, end))
    }

    /// The index of aborted transactions must say what is known of them.
    fn aborted(&mut self, next: u64) -> io::Result<()> {
        let path = self.path.with_extension(aborted::EXTENSION);
        // A crash may have kept away what its last entries are of.
        if self.inspector.is_live || (self.is_last && self.owner.may_be_torn) {
            return Ok(());
        }
        let disk = &self.inspector.disk;
        let bytes = if disk.exists(&path) { disk.read(&path)? } else { Vec::new() };
        let log_start = self.owner.log_start;
        let known = self.owner.transactions.aborted_ending(self.base.max(log_start)..next);
        let is_right = aborted::decode_all(&bytes).is_some_and(|mut found| {
            found.retain(|aborted| aborted.last_offset >= log_start);
            found == known
        });
        if !is_right {
            let (what, bytes) = ("the index of aborted transactions is not what is known of them", aborted::encode_all(&known));
            self.watch.found(Finding::damage(path.clone(), 0, what, Repair::WriteAborted { path, bytes }));
        }
        Ok(())
    }

    /// Where the next good batch begins behind a bad one at `at`; the scan stands there.
    fn resume(&self, scan: &mut BatchScan, at: u64, next: u64) -> io::Result<Option<u64>> {
        let below = self.below;
        let fits = |batch: &StoredBatch| batch.base_offset >= next && batch.last_offset < below && check_batch(batch).is_ok();
        // Its length may be right.
        scan.seek(at);
        if scan.batch()?.is_some() {
            let behind = scan.at();
            if scan.batch()?.is_some_and(|batch| fits(&batch)) {
                scan.seek(behind);
                return Ok(Some(behind));
            }
        }
        scan.seek(at);
        let Some(found) = scan.next_batch(at, fits)? else { return Ok(None) };
        let to = scan.at() - found.len() as u64;
        scan.seek(to);
        Ok(Some(to))
    }

    fn bad(&mut self, from: u64, to: u64, next: u64) {
        let what = format!("{} bytes from offset {next} on are no record batch, or one that is damaged", to - from);
        self.report(from, what);
    }

    /// Nothing is whole from here to the end of the file.
    fn bad_end(&mut self, at: u64, next: u64, claimed: Option<u64>, file_bytes: u64) {
        if self.inspector.is_live && self.is_last {
            return;
        }
        let in_journal = claimed.is_none_or(|offset| self.owner.journal_first.is_some_and(|first| first <= offset));
        if self.is_last && self.owner.may_be_torn && in_journal {
            let what =
                format!("the last {} bytes are no whole batch; the journal still holds what they were to be", file_bytes - at);
            self.watch.found(Finding::note(self.path, at, what, "the next start cuts them off and writes them again"));
        } else if file_bytes - at < BATCH_HEADER_BYTES as u64 {
            self.report(at, format!("the file ends within a record batch, at offset {next}"));
        } else {
            self.report(at, format!("no whole record batch follows, from offset {next} on"));
        }
    }

    fn report(&mut self, at: u64, what: String) {
        if !self.inspector.has_moved(self.path) {
            let repair = self.rewrite();
            self.watch.found(Finding::damage(self.path, at, what, repair));
        }
    }

    fn rewrite(&self) -> Repair {
        Repair::RewriteSegment { log: self.path.to_owned(), id: self.owner.id, below: self.below }
    }
}

/// The two indexes of a segment, compared with the batches as they come by.
struct Indexes {
    offsets: Vec<u8>,
    times: Vec<u8>,
    next_offset: usize,
    next_time: usize,
    newest_ms: i64,
    newest_relative: u64,
    /// What is wrong, and in which of the files.
    wrong: Option<(&'static str, String)>,
    is_damaged: bool,
}

impl Indexes {
    fn read(disk: &Disk, log: &Path) -> io::Result<Self> {
        let mut wrong = None;
        let mut read = |extension: &'static str, entry_bytes: usize| -> io::Result<Vec<u8>> {
            let path = log.with_extension(extension);
            if !disk.exists(&path) {
                wrong = Some((extension, "the file is missing".to_owned()));
                return Ok(Vec::new());
            }
            let bytes = disk.read(&path)?;
            if bytes.len() % entry_bytes != 0 {
                wrong = Some((extension, "the file ends within an entry".to_owned()));
            }
            Ok(bytes)
        };
        let (offsets, times) = (read("index", INDEX_ENTRY_BYTES)?, read("timeindex", TIME_ENTRY_BYTES)?);
        Ok(Self { offsets, times, next_offset: 0, next_time: 0, newest_ms: -1, newest_relative: 0, wrong, is_damaged: false })
    }

    /// A batch at a byte of the segment whose last offset is `relative` from the segment's own.
    fn batch(&mut self, at: u64, relative: u64, max_timestamp_ms: i64) {
        while let Some(entry) = self.times.chunks_exact(TIME_ENTRY_BYTES).nth(self.next_time) {
            if u64::from(be_u32(entry, 8)) >= relative {
                break;
            }
            let is_right = self.is_newest(entry);
            self.check_time(is_right);
        }
        if max_timestamp_ms > self.newest_ms {
            (self.newest_ms, self.newest_relative) = (max_timestamp_ms, relative);
        }
        while let Some(entry) = self.offsets.chunks_exact(INDEX_ENTRY_BYTES).nth(self.next_offset) {
            let (offset, position) = (u64::from(be_u32(entry, 0)), u64::from(be_u32(entry, 4)));
            if position > at {
                break;
            }
            if position < at || offset != relative {
                let which = self.next_offset;
                self.wrong.get_or_insert_with(|| ("index", format!("entry {which} points to no batch of its offset")));
            }
            self.next_offset += 1;
        }
    }

    /// Whether an entry of the time index says which batch so far has the newest time.
    fn is_newest(&self, entry: &[u8]) -> bool {
        let newest_ms = entry.first_chunk::<8>().map(|raw| i64::from_be_bytes(*raw));
        newest_ms == Some(self.newest_ms) && u64::from(be_u32(entry, 8)) == self.newest_relative
    }

    fn check_time(&mut self, is_right: bool) {
        let which = self.next_time;
        self.next_time += 1;
        if !is_right {
            self.wrong.get_or_insert_with(|| ("timeindex", format!("entry {which} does not say what the newest time was")));
        }
    }

    /// What is wrong, and in which file. Entries of batches that a crash kept from being written may be left (`may_be_ahead`).
    fn finish(mut self, end: u64, may_be_ahead: bool) -> Option<(&'static str, String)> {
        while let Some(entry) = self.times.chunks_exact(TIME_ENTRY_BYTES).nth(self.next_time).filter(|_| !may_be_ahead) {
            let is_right = self.is_newest(entry);
            self.check_time(is_right);
        }
        if self.wrong.is_some() || self.is_damaged {
            // A damaged segment has been reported, and its indexes go with it.
            return self.wrong.filter(|_| !self.is_damaged);
        }
        let rest = self.offsets.chunks_exact(INDEX_ENTRY_BYTES).skip(self.next_offset);
        let beyond = rest.filter(|_| !may_be_ahead).map(|entry| u64::from(be_u32(entry, 4))).next();
        let what = |position| format!("it points to byte {position}, and the segment ends at byte {end}: one of them was cut");
        beyond.map(|position| ("index", what(position)))
    }
}

fn be_u32(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|raw| raw.try_into().ok()).map_or(0, u32::from_be_bytes)
}
