//! The segments of one partition: stretches of its log in Kafka's own layout and formats.
//!
//! `orders-0/00000000000000000000.log` holds record batches as they were sent, with their base offsets filled in;
//! `.index` maps offsets and `.timeindex` maps timestamps to positions, sparsely; `.txnindex` lists aborted transactions. Offsets may have gaps: what no view
//! needed when its journal file was retired is not there. Files are append-only; a torn tail is cut when they are opened.

use std::io;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};

use super::aborted;
use super::disk::{Disk, File, Open, OpenFile};
use crate::log::record::{BATCH_HEADER_BYTES, BatchHeader, Limits, validate_batch};
use crate::log::stored::StoredBatch;
use crate::log::topic::TopicId;
use crate::log::transactions::Aborted;

/// One index entry for every so many bytes, as Kafka does.
const INDEX_INTERVAL_BYTES: u64 = 4096;
/// How much a read asks for at a time when looking for batches.
const READ_BYTES: usize = 64 << 10;
/// Says which topic a directory belongs to, in Kafka's format.
pub const METADATA_FILE: &str = "partition.metadata";
const INDEX_ENTRY_BYTES: u64 = 8;
const TIME_ENTRY_BYTES: u64 = 12;

/// One file of a partition's log and its two indexes.
#[derive(Debug, Clone)]
pub struct Segment {
    /// The offset that names the file; nothing in it lies before.
    pub base_offset: u64,
    /// One past the last offset in it.
    pub next_offset: u64,
    /// The size of the log file, in bytes.
    pub bytes: u64,
    /// The newest timestamp in it, in milliseconds.
    pub max_timestamp_ms: i64,
    disk: Disk,
    path: PathBuf,
    unindexed_bytes: u64,
    /// Whether it has an index of aborted transactions.
    has_aborted: bool,
}

/// All segments of a partition, oldest first.
#[derive(Debug, Clone, Default)]
pub struct Segments {
    disk: Disk,
    directory: PathBuf,
    identity: String,
    list: Vec<Segment>,
}

impl Segments {
    /// No segments yet; the directory is made when the first batch comes. `identity` is the topic's.
    pub fn empty(disk: Disk, directory: PathBuf, identity: TopicId) -> Self {
        Self { disk, directory, identity: metadata_text(identity), list: Vec::new() }
    }

    /// Finds the segments in a directory, and cuts what was torn off the end of the last one. A directory that belongs to
    /// an earlier topic of the same name is emptied.
    pub fn open(disk: Disk, directory: PathBuf, identity: TopicId, limits: &Limits) -> io::Result<Self> {
        let identity = metadata_text(identity);
        if !belongs_to(&disk, &directory, &identity) {
            disk.remove_directory(&directory)?;
            return Ok(Self { disk, directory, identity, list: Vec::new() });
        }
        let mut bases = Vec::new();
        for entry in disk.names(&directory)? {
            let path = directory.join(entry.name);
            let stem = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<u64>().ok());
            if let (Some(base), Some("log")) = (stem, path.extension().and_then(|extension| extension.to_str())) {
                bases.push(base);
            }
        }
        bases.sort_unstable();
        let mut list = Vec::with_capacity(bases.len());
        for (index, base) in bases.iter().enumerate() {
            let is_last = index + 1 == bases.len();
            list.push(Segment::open(&disk, &directory, *base, is_last, limits)?);
        }
        list.retain(|segment| segment.bytes > 0);
        Ok(Self { disk, directory, identity, list })
    }

    /// The directory that they lie in.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// All of them, oldest first.
    pub fn list(&self) -> &[Segment] {
        &self.list
    }

    /// The first offset kept, if any is.
    pub fn first_offset(&self) -> Option<u64> {
        self.list.first().map(|segment| segment.base_offset)
    }

    /// One past the last offset kept; 0 without segments.
    pub fn next_offset(&self) -> u64 {
        self.list.last().map_or(0, |segment| segment.next_offset)
    }

    /// The size of all log files, in bytes.
    pub fn bytes(&self) -> u64 {
        self.list.iter().map(|segment| segment.bytes).sum()
    }

    /// Adds batches in the order of their offsets and makes them durable, with the aborted transactions that end among them.
    /// Returns the bytes written.
    pub fn append(&mut self, batches: &[StoredBatch], aborted: &[Aborted], segment_bytes: u64) -> io::Result<u64> {
        let Some(first) = batches.first() else { return Ok(0) };
        if self.list.is_empty() {
            self.make_directory()?;
            if let Some(parent) = self.directory.parent() {
                self.disk.sync_directory(parent)?;
            }
        }
        let mut written = 0;
        let mut writer = match self.list.pop() {
            Some(segment) if !segment.is_full(segment_bytes, first.base_offset) => Writer::open(segment)?,
            full => {
                self.list.extend(full);
                Writer::create(&self.disk, &self.directory, first.base_offset)?
            }
        };
        for batch in batches {
            if writer.segment.is_full(segment_bytes, batch.base_offset) {
                // On disk before there is a next one: recovery takes all but the last segment for whole.
                self.list.push(writer.finish()?);
                self.disk.sync_directory(&self.directory)?;
                writer = Writer::create(&self.disk, &self.directory, batch.base_offset)?;
            }
            written += writer.push(batch)?;
            let ends = aborted.partition_point(|aborted| aborted.last_offset < batch.base_offset);
            if let Some(aborted) = aborted.get(ends).filter(|aborted| aborted.last_offset == batch.base_offset) {
                writer.push_aborted(aborted)?;
            }
        }
        self.list.push(writer.finish()?);
        self.disk.sync_directory(&self.directory)?;
        Ok(written)
    }

    /// The batches from the one that holds `from` on (or the first behind a gap), at least one if there is any, up to
    /// `max_bytes`.
    pub fn read(&self, from: u64, max_bytes: usize) -> io::Result<Vec<StoredBatch>> {
        let mut found = Vec::new();
        let mut room = max_bytes;
        let first = self.list.partition_point(|segment| segment.next_offset <= from);
        for segment in self.list.iter().skip(first) {
            if !segment.read(from, &mut room, &mut found)? {
                break;
            }
        }
        Ok(found)
    }

    /// The first batch whose newest timestamp is at or after the given one.
    pub fn find_time(&self, timestamp_ms: i64) -> io::Result<Option<StoredBatch>> {
        for segment in self.list.iter().filter(|segment| segment.max_timestamp_ms >= timestamp_ms) {
            let mut at = segment.time_floor(timestamp_ms)?;
            let file = segment.open_log()?;
            while let Some((batch, next)) = read_batch(&*file, at, segment.bytes)? {
                if batch.max_timestamp_ms() >= timestamp_ms {
                    return Ok(Some(batch));
                }
                at = next;
            }
        }
        Ok(None)
    }

    /// Aborted transactions that had records in `from..to`, in the order of their markers.
    pub fn aborted(&self, from: u64, to: u64) -> io::Result<Vec<Aborted>> {
        let mut found = Vec::new();
        let first = self.list.partition_point(|segment| segment.next_offset <= from);
        for segment in self.list.iter().skip(first).filter(|segment| segment.has_aborted) {
            let path = segment.aborted_path();
            for entry in aborted::decode_all(&self.disk.read(&path)?, &path)? {
                if entry.last_offset >= from && entry.first_offset < to {
                    found.push(entry);
                }
                // Before this everything was decided: nobody who ends later began earlier.
                if entry.last_stable_offset >= to {
                    return Ok(found);
                }
            }
        }
        Ok(found)
    }

    /// Takes the oldest segments out while `goes` says so. Their files are the caller's to delete, once readers see the rest.
    pub fn remove_while(&mut self, mut goes: impl FnMut(&Segment) -> bool) -> Vec<Segment> {
        let count = self.list.iter().take_while(|segment| goes(segment)).count();
        self.list.drain(..count).collect()
    }

    /// Puts other segments in the place of all of these: the batches are written to a new file first.
    pub fn replace(&mut self, batches: &[StoredBatch], segment_bytes: u64) -> io::Result<u64> {
        let staging = beside(&self.directory, "swap");
        let mut fresh =
            Self { disk: self.disk.clone(), directory: staging.clone(), identity: self.identity.clone(), list: Vec::new() };
        let written = fresh.append(batches, &[], segment_bytes)?;
        if fresh.list.is_empty() {
            fresh.make_directory()?;
        }
        let retired = beside(&self.directory, "old");
        self.disk.clear_directory(&retired)?;
        self.disk.rename(&self.directory, &retired)?;
        self.disk.rename(&staging, &self.directory)?;
        if let Some(parent) = self.directory.parent() {
            self.disk.sync_directory(parent)?;
        }
        self.disk.remove_directory(&retired)?;
        for segment in &mut fresh.list {
            segment.path = log_path(&self.directory, segment.base_offset);
        }
        self.list = fresh.list;
        Ok(written)
    }

    /// Makes the directory anew: what lies there belongs to an earlier topic of the same name.
    fn make_directory(&self) -> io::Result<()> {
        self.disk.clear_directory(&self.directory)?;
        self.disk.create_directory(&self.directory)?;
        let metadata = self.disk.open(&self.directory.join(METADATA_FILE), Open::CreateNew)?;
        metadata.write_all_at(self.identity.as_bytes(), 0)?;
        metadata.sync_all()
    }

    /// Removes all files, unless a newer topic of the same name has taken the directory over.
    pub fn delete_own(&self) -> io::Result<()> {
        if !belongs_to(&self.disk, &self.directory, &self.identity) {
            return Ok(());
        }
        self.disk.clear_directory(&self.directory)
    }
}

impl Segment {
    fn open(disk: &Disk, directory: &Path, base_offset: u64, is_last: bool, limits: &Limits) -> io::Result<Self> {
        let path = log_path(directory, base_offset);
        let bytes = disk.open(&path, Open::Read)?.length()?;
        let mut segment = Self {
            base_offset,
            next_offset: base_offset,
            bytes,
            max_timestamp_ms: -1,
            disk: disk.clone(),
            path,
            unindexed_bytes: 0,
            has_aborted: false,
        };
        segment.scan_tail(is_last, limits)?;
        segment.has_aborted = disk.exists(&segment.aborted_path());
        Ok(segment)
    }

    fn open_log(&self) -> io::Result<File> {
        self.disk.open(&self.path, Open::Read)
    }

    /// Whether a batch at this offset must begin another segment. Indexes hold the distance from the first in 32 bits.
    fn is_full(&self, segment_bytes: u64, offset: u64) -> bool {
        self.bytes >= segment_bytes || offset.saturating_sub(self.base_offset) > u64::from(u32::MAX >> 1)
    }

    /// Reads from the last index entry to the end; in the last segment, cuts what is no whole batch.
    ///
    /// The index is written before the batch that it points to, so a crash may leave entries of batches that are not there.
    fn scan_tail(&mut self, is_last: bool, limits: &Limits) -> io::Result<()> {
        let file = self.open_log()?;
        let mut until = self.bytes;
        let at = loop {
            let indexed = self.last_indexed_before(until)?;
            let at = self.scan_from(&*file, indexed, is_last, limits)?;
            if at > indexed || indexed == 0 {
                self.unindexed_bytes = at - indexed;
                break at;
            }
            until = indexed;
        };
        if at < self.bytes {
            tracing::warn!(file = %self.path.display(), from = at, to = self.bytes, "cut a torn end off a segment");
            self.disk.open(&self.path, Open::Write)?.set_length(at)?;
            self.bytes = at;
        }
        if is_last {
            self.trim_indexes()?;
        }
        self.max_timestamp_ms = self.max_timestamp_ms.max(self.last_indexed_time()?);
        Ok(())
    }

    /// Reads whole batches from a position on, and returns where they end.
    fn scan_from(&mut self, file: &dyn OpenFile, indexed: u64, is_last: bool, limits: &Limits) -> io::Result<u64> {
        let mut at = indexed;
        while let Some((batch, next)) = read_batch(file, at, self.bytes)? {
            if is_last && validate_batch(batch.body(), limits).is_err() {
                break;
            }
            self.next_offset = batch.last_offset + 1;
            self.max_timestamp_ms = self.max_timestamp_ms.max(batch.max_timestamp_ms());
            at = next;
        }
        Ok(at)
    }

    /// Forgets index entries of batches that are not there.
    fn trim_indexes(&self) -> io::Result<()> {
        let count = self.next_offset - self.base_offset;
        let index = self.path.with_extension("index");
        cut_entries(&self.disk, &index, INDEX_ENTRY_BYTES, |entry| u64::from(be_u32(entry, 4)) < self.bytes)?;
        let time_index = self.path.with_extension("timeindex");
        cut_entries(&self.disk, &time_index, TIME_ENTRY_BYTES, |entry| u64::from(be_u32(entry, 8)) < count)?;
        let ends_here = |entry: &[u8]| aborted::last_offset(entry) < self.next_offset;
        cut_entries(&self.disk, &self.aborted_path(), aborted::ENTRY_BYTES, ends_here)
    }

    fn aborted_path(&self) -> PathBuf {
        self.path.with_extension(aborted::EXTENSION)
    }

    fn read(&self, from: u64, room: &mut usize, found: &mut Vec<StoredBatch>) -> io::Result<bool> {
        let file = self.open_log()?;
        let mut at = self.offset_floor(from)?;
        let mut chunk = Bytes::new();
        while at < self.bytes {
            if batch_bytes(&chunk).is_none_or(|needed| needed > chunk.len()) {
                chunk = read_chunk(&*file, at, self.bytes, batch_bytes(&chunk).unwrap_or(0), *room)?;
            }
            let Some(batch) = StoredBatch::parse(&chunk) else {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("{} holds no record batch at byte {at}", self.path.display()),
                ));
            };
            let length = batch.len();
            at += length as u64;
            chunk = chunk.slice(length..);
            if batch.last_offset < from {
                continue;
            }
            if length > *room && !found.is_empty() {
                return Ok(false);
            }
            *room = room.saturating_sub(length);
            found.push(batch);
            if *room == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Where to begin to look for an offset: the position of the last index entry at or before it.
    fn offset_floor(&self, offset: u64) -> io::Result<u64> {
        let relative = offset.saturating_sub(self.base_offset);
        let index = self.path.with_extension("index");
        let found = search(&self.disk, &index, INDEX_ENTRY_BYTES, |entry| u64::from(be_u32(entry, 0)) <= relative)?;
        Ok(found.map_or(0, |entry| u64::from(be_u32(&entry, 4))).min(self.bytes))
    }

    /// Where to begin to look for a timestamp.
    fn time_floor(&self, timestamp_ms: i64) -> io::Result<u64> {
        let index = self.path.with_extension("timeindex");
        let found = search(&self.disk, &index, TIME_ENTRY_BYTES, |entry| be_i64(entry, 0) < timestamp_ms)?;
        match found {
            Some(entry) => self.offset_floor(self.base_offset + u64::from(be_u32(&entry, 8))),
            None => Ok(0),
        }
    }

    /// The position of the last index entry before a position; 0 without one.
    fn last_indexed_before(&self, until: u64) -> io::Result<u64> {
        let index = self.path.with_extension("index");
        let found = search(&self.disk, &index, INDEX_ENTRY_BYTES, |entry| u64::from(be_u32(entry, 4)) < until)?;
        Ok(found.map_or(0, |entry| u64::from(be_u32(&entry, 4))))
    }

    fn last_indexed_time(&self) -> io::Result<i64> {
        let entry = last_entry(&self.disk, &self.path.with_extension("timeindex"), TIME_ENTRY_BYTES)?;
        Ok(entry.map_or(-1, |entry| be_i64(&entry, 0)))
    }

    /// Removes its files.
    pub fn delete(&self) -> io::Result<()> {
        for extension in ["log", "index", "timeindex", aborted::EXTENSION] {
            self.disk.clear_file(&self.path.with_extension(extension))?;
        }
        Ok(())
    }
}

/// Adds to one segment.
struct Writer {
    segment: Segment,
    log: File,
    index: File,
    time_index: File,
    last_time_ms: i64,
    /// Most segments have none.
    aborted: Option<File>,
}

impl Writer {
    fn create(disk: &Disk, directory: &Path, base_offset: u64) -> io::Result<Self> {
        let path = log_path(directory, base_offset);
        for extension in ["log", "index", "timeindex"] {
            disk.open(&path.with_extension(extension), Open::Create)?.set_length(0)?;
        }
        Self::open(Segment {
            base_offset,
            next_offset: base_offset,
            bytes: 0,
            max_timestamp_ms: -1,
            disk: disk.clone(),
            path,
            unindexed_bytes: INDEX_INTERVAL_BYTES,
            has_aborted: false,
        })
    }

    fn open(segment: Segment) -> io::Result<Self> {
        let append = |extension| segment.disk.open(&segment.path.with_extension(extension), Open::Append);
        let (log, index, time_index) = (append("log")?, append("index")?, append("timeindex")?);
        // What an attempt that failed half-way has left behind.
        log.set_length(segment.bytes)?;
        segment.trim_indexes()?;
        let last_time_ms = segment.last_indexed_time()?;
        Ok(Self { segment, log, index, time_index, last_time_ms, aborted: None })
    }

    /// Notes an aborted transaction whose marker was just added.
    fn push_aborted(&mut self, aborted: &Aborted) -> io::Result<()> {
        let file = match &self.aborted {
            Some(file) => file,
            None => self.aborted.insert(self.segment.disk.open(&self.segment.aborted_path(), Open::Append)?),
        };
        self.segment.has_aborted = true;
        file.append(&aborted::encode(aborted))
    }

    fn push(&mut self, batch: &StoredBatch) -> io::Result<u64> {
        let segment = &mut self.segment;
        let mut bytes = BytesMut::with_capacity(batch.len());
        batch.put_into(&mut bytes);
        segment.max_timestamp_ms = segment.max_timestamp_ms.max(batch.max_timestamp_ms());
        if segment.unindexed_bytes >= INDEX_INTERVAL_BYTES && segment.bytes > 0 {
            let relative = u32::try_from(batch.base_offset - segment.base_offset).unwrap_or(u32::MAX);
            let position = u32::try_from(segment.bytes).unwrap_or(u32::MAX);
            self.index.append(&[relative.to_be_bytes(), position.to_be_bytes()].concat())?;
            segment.unindexed_bytes = 0;
            self.add_time(relative)?;
        }
        self.log.append(&bytes)?;
        let segment = &mut self.segment;
        segment.bytes += bytes.len() as u64;
        segment.unindexed_bytes += bytes.len() as u64;
        segment.next_offset = batch.last_offset + 1;
        Ok(bytes.len() as u64)
    }

    /// Up to `relative`, nothing is newer than the newest timestamp so far.
    fn add_time(&mut self, relative: u32) -> io::Result<()> {
        let newest = self.segment.max_timestamp_ms;
        if newest > self.last_time_ms {
            let mut entry = newest.to_be_bytes().to_vec();
            entry.extend_from_slice(&relative.to_be_bytes());
            self.time_index.append(&entry)?;
            self.last_time_ms = newest;
        }
        Ok(())
    }

    fn finish(self) -> io::Result<Segment> {
        self.log.sync_data()?;
        self.index.sync_data()?;
        self.time_index.sync_data()?;
        if let Some(aborted) = &self.aborted {
            aborted.sync_data()?;
        }
        Ok(self.segment)
    }
}

/// Whether a directory was made for this topic.
fn belongs_to(disk: &Disk, directory: &Path, identity: &str) -> bool {
    disk.read(&directory.join(METADATA_FILE)).is_ok_and(|found| found == identity.as_bytes())
}

/// The content of Kafka's `partition.metadata`.
pub fn metadata_text(identity: TopicId) -> String {
    format!("version: 0\ntopic_id: {}\n", identity.to_base64())
}

fn beside(directory: &Path, suffix: &str) -> PathBuf {
    let mut name = directory.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(suffix);
    directory.with_file_name(name)
}

fn log_path(directory: &Path, base_offset: u64) -> PathBuf {
    directory.join(format!("{base_offset:020}.log"))
}

/// How long the batch at the start of the bytes is, if its header is there.
fn batch_bytes(bytes: &[u8]) -> Option<usize> {
    let length = i32::from_be_bytes(bytes.get(8..12)?.try_into().ok()?);
    usize::try_from(length).ok().map(|length| length + 12)
}

fn read_chunk(file: &dyn OpenFile, at: u64, end: u64, batch: usize, room: usize) -> io::Result<Bytes> {
    let left = usize::try_from(end - at).unwrap_or(usize::MAX);
    let mut bytes = BytesMut::zeroed(left.min(batch.max(room.clamp(READ_BYTES, 1 << 20))));
    file.read_exact_at(&mut bytes, at)?;
    let chunk = bytes.freeze();
    match batch_bytes(&chunk) {
        Some(needed) if needed > chunk.len() && needed <= left && batch == 0 => read_chunk(file, at, end, needed, room),
        _ => Ok(chunk),
    }
}

/// The batch at a position and where the next one begins. `None`: no whole batch.
fn read_batch(file: &dyn OpenFile, at: u64, end: u64) -> io::Result<Option<(StoredBatch, u64)>> {
    if at + BATCH_HEADER_BYTES as u64 > end {
        return Ok(None);
    }
    let mut header = [0; BATCH_HEADER_BYTES];
    file.read_exact_at(&mut header, at)?;
    let Ok(parsed) = BatchHeader::parse(&header) else { return Ok(None) };
    let next = at + parsed.total_bytes() as u64;
    if next > end {
        return Ok(None);
    }
    let mut bytes = BytesMut::zeroed(parsed.total_bytes());
    file.read_exact_at(&mut bytes, at)?;
    Ok(StoredBatch::parse(&bytes.freeze()).map(|batch| (batch, next)))
}

/// The last entry of a sorted index file for which `before` holds.
fn search(disk: &Disk, path: &Path, entry_bytes: u64, before: impl Fn(&[u8]) -> bool) -> io::Result<Option<Vec<u8>>> {
    let Ok(file) = disk.open(path, Open::Read) else { return Ok(None) };
    let (mut low, mut high) = (0, file.length()? / entry_bytes);
    let mut entry = vec![0; usize::try_from(entry_bytes).unwrap_or(0)];
    let mut found = None;
    while low < high {
        let middle = low + (high - low) / 2;
        file.read_exact_at(&mut entry, middle * entry_bytes)?;
        if before(&entry) {
            found = Some(entry.clone());
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(found)
}

/// Cuts a sorted index file behind the last entry for which `stays` holds.
fn cut_entries(disk: &Disk, path: &Path, entry_bytes: u64, stays: impl Fn(&[u8]) -> bool) -> io::Result<()> {
    let file = match disk.open(path, Open::Write) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let length = file.length()?;
    let (mut low, mut high) = (0, length / entry_bytes);
    let mut entry = vec![0; usize::try_from(entry_bytes).unwrap_or(0)];
    while low < high {
        let middle = low + (high - low) / 2;
        file.read_exact_at(&mut entry, middle * entry_bytes)?;
        if stays(&entry) { low = middle + 1 } else { high = middle }
    }
    if low * entry_bytes < length { file.set_length(low * entry_bytes) } else { Ok(()) }
}

fn last_entry(disk: &Disk, path: &Path, entry_bytes: u64) -> io::Result<Option<Vec<u8>>> {
    search(disk, path, entry_bytes, |_| true)
}

fn be_u32(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|raw| raw.try_into().ok()).map_or(0, u32::from_be_bytes)
}

fn be_i64(bytes: &[u8], at: usize) -> i64 {
    bytes.get(at..at + 8).and_then(|raw| raw.try_into().ok()).map_or(0, i64::from_be_bytes)
}
