//! The segments of one partition: stretches of its log in Kafka's own layout and formats.
//!
//! `orders-0/00000000000000000000.log` holds record batches as they were sent, with their base offsets filled in;
//! `.index` maps offsets and `.timeindex` maps timestamps to positions, sparsely. Offsets may have gaps: what no view
//! needed when its journal file was retired is not there. Files are added to at their end, and replaced as a whole when most of
//! what they hold is needed no more (`swap`).

mod file;
mod index;
mod open_files;
mod places;
mod scan;
mod swap;
mod writer;

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

pub use file::{EXTENSIONS, End, Segment, path};
pub use open_files::OpenFiles;
pub use swap::Rewriter;
pub use writer::Roll;

use super::disk::{Disk, Open};
use crate::log::stored::StoredBatch;
use crate::log::topic::TopicId;
use crate::log::transactions::Aborted;
use writer::Writer;

/// Says which topic a directory belongs to, in Kafka's format.
pub const METADATA_FILE: &str = "partition.metadata";

/// Whose a partition's directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// The topic's.
    Own,
    /// Another one's that had the same name.
    Another,
    /// It does not say, or not in a way that can be believed.
    Unclear,
}

/// The id of another topic differs from that of a topic in more places than damage does.
const DIFFERENT_BYTES_MIN: usize = 4;

/// All segments of a partition, oldest first.
#[derive(Debug, Clone)]
pub struct Segments {
    files: OpenFiles,
    directory: PathBuf,
    identity: TopicId,
    list: Vec<Segment>,
}

impl Segments {
    /// No segments yet; the directory is made when the first batch comes. `identity` is the topic's.
    pub fn empty(files: OpenFiles, directory: PathBuf, identity: TopicId) -> Self {
        Self { files, directory, identity, list: Vec::new() }
    }

    /// Finds the segments in a directory, and ends what a crash interrupted. A directory that belongs to an earlier topic of
    /// the same name is emptied. `end`: how the last one may end.
    pub fn open(files: OpenFiles, directory: PathBuf, identity: TopicId, end: End) -> io::Result<Self> {
        let mut segments = Self::empty(files, directory, identity);
        let disk = segments.disk().clone();
        match segments.identity() {
            Identity::Own => swap::settle(&disk, &segments.directory)?,
            _ if end == End::Unknown => return Ok(segments),
            whose => {
                if whose == Identity::Unclear && segments.holds_only_here(end)? {
                    return Err(segments.unclear());
                }
                disk.clear_directory(&segments.directory)?;
                return Ok(segments);
            }
        }
        let bases = segments.bases()?;
        for (index, base) in bases.iter().enumerate() {
            let following = bases.get(index + 1).copied();
            let mut segment = {
                let end = if following.is_some() { End::Sealed } else { end };
                Segment::open(&segments.files, &segments.directory, *base, end)?
            };
            segment.is_sealed = following.is_some();
            segment.next_offset = segment.next_offset.min(following.unwrap_or(u64::MAX));
            segments.list.extend(Some(segment).filter(|segment| segment.bytes > 0));
        }
        if let End::MayBeTorn(_) = end {
            // A process that was killed may have left these unsynced, and nobody makes them again.
            disk.open(&segments.directory.join(METADATA_FILE), Open::Write)?.sync_all()?;
            disk.sync_directory(&segments.directory)?;
        }
        Ok(segments)
    }

    /// The offsets that name the files in the directory, in order.
    fn bases(&self) -> io::Result<Vec<u64>> {
        let names = self.disk().names(&self.directory)?;
        let stems = names.iter().filter_map(|name| name.name.strip_suffix(".log"));
        let mut bases: Vec<u64> = stems.filter_map(|stem| stem.parse().ok()).collect();
        bases.sort_unstable();
        Ok(bases)
    }

    /// Whether there is something in the directory that is not in the journal, too: a crash while it was made leaves no such thing.
    fn holds_only_here(&self, end: End) -> io::Result<bool> {
        let in_journal_from = if let End::MayBeTorn(from) = end { from } else { u64::MAX };
        Ok(self.bases()?.first().is_some_and(|first| *first < in_journal_from))
    }

    fn unclear(&self) -> io::Error {
        let path = self.directory.join(METADATA_FILE);
        let what = "is missing or damaged, and there are segments beside it. Restore it from a backup, or let `trunkline log \
                    repair` write it anew";
        io::Error::new(io::ErrorKind::InvalidData, format!("{} {what}", path.display()))
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

    fn disk(&self) -> &Disk {
        self.files.disk()
    }

    /// Adds batches in the order of their offsets and makes them durable, with the aborted transactions that end among them.
    /// Returns the bytes written.
    pub fn append(&mut self, batches: &[StoredBatch], aborted: &[Aborted], roll: Roll) -> io::Result<u64> {
        let Some(first) = batches.first() else { return Ok(0) };
        if self.list.is_empty() && !self.is_own() {
            self.make_directory()?;
        }
        let mut written = 0;
        let mut made = Vec::new();
        let last = self.list.last().cloned();
        let added = self.add(batches, (first, aborted), roll, &mut written, &mut made);
        if added.is_err() {
            // What stays behind would be taken for a segment, or for damage, by a start to which the journal gives it no more.
            for base in made {
                for extension in EXTENSIONS {
                    let _ = self.disk().clear_file(&path(&self.directory, base, extension));
                }
            }
            let _ = last.map(|last| last.cut_back());
        }
        added.map(|()| written)
    }

    fn add(
        &mut self,
        batches: &[StoredBatch],
        (first, aborted): (&StoredBatch, &[Aborted]),
        roll: Roll,
        written: &mut u64,
        made: &mut Vec<u64>,
    ) -> io::Result<()> {
        let mut create = |batch: &StoredBatch| {
            made.push(batch.base_offset);
            Writer::open(Segment::new(&self.files, &self.directory, batch.base_offset))
        };
        let mut writer = match self.list.pop() {
            Some(segment) if !roll.is_due(&segment, first) => Writer::open(segment)?,
            full => {
                self.list.extend(full);
                create(first)?
            }
        };
        for batch in batches {
            if writer.is_full(batch, roll) {
                // On disk before there is a next one: recovery takes all but the last segment for whole.
                self.list.push(writer.finish(true)?);
                self.files.disk().sync_directory(&self.directory)?;
                writer = create(batch)?;
            }
            *written += writer.push(batch, aborted)?;
        }
        self.list.push(writer.finish(false)?);
        self.files.disk().sync_directory(&self.directory)
    }

    /// Nothing is added to the segments that there are: what comes begins another one.
    pub fn seal(&mut self) {
        if let Some(last) = self.list.last_mut() {
            last.is_sealed = true;
        }
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

    /// The first batch that reaches an offset and whose newest timestamp is at or after the given one.
    pub fn find_time(&self, timestamp_ms: i64, from: u64) -> io::Result<Option<StoredBatch>> {
        let holds = |segment: &&Segment| segment.next_offset > from && segment.max_timestamp_ms() >= timestamp_ms;
        for segment in self.list.iter().filter(holds) {
            if let Some(batch) = segment.find_time(timestamp_ms, from)? {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    /// Makes the indexes of aborted transactions say what is known: `ending` gives those whose markers lie in a range.
    pub fn mend_aborted(&mut self, log_start: u64, ending: impl Fn(std::ops::Range<u64>) -> Vec<Aborted>) -> io::Result<()> {
        let mut is_mended = false;
        for segment in &mut self.list {
            let known = ending(segment.base_offset.max(log_start)..segment.next_offset);
            is_mended |= segment.mend_aborted(&known, log_start)?;
        }
        if is_mended { self.files.disk().sync_directory(&self.directory) } else { Ok(()) }
    }

    /// Takes the oldest segments out while `goes` says so. Their files are the caller's to delete, once readers see the rest.
    pub fn remove_while(&mut self, mut goes: impl FnMut(&Segment) -> bool) -> Vec<Segment> {
        let count = self.list.iter().take_while(|segment| goes(segment)).count();
        self.list.drain(..count).collect()
    }

    /// Puts what was rewritten in the place of segments that follow each other. False: they are not there any more.
    pub fn replace(&mut self, old: &[Segment], new: Option<Segment>) -> bool {
        let Some(first) = old.first() else { return false };
        let Some(at) = self.list.iter().position(|segment| segment.is_same(first)) else { return false };
        let present = self.list.get(at..at + old.len()).unwrap_or_default();
        let is_there = present.len() == old.len()
            && present.iter().zip(old).all(|(present, old)| present.is_same(old) && present.bytes == old.bytes);
        if is_there {
            self.list.splice(at..at + old.len(), new);
        }
        is_there
    }

    /// Whether the directory is there and belongs to the topic.
    pub fn is_own(&self) -> bool {
        self.identity() == Identity::Own
    }

    fn identity(&self) -> Identity {
        let metadata = self.disk().read(&self.directory.join(METADATA_FILE));
        metadata.map_or(Identity::Unclear, |metadata| identity_of(&metadata, self.identity))
    }

    /// Makes the directory anew: what lies there belongs to an earlier topic of the same name.
    fn make_directory(&self) -> io::Result<()> {
        let disk = self.disk();
        disk.clear_directory(&self.directory)?;
        disk.create_directory(&self.directory)?;
        let metadata = disk.open(&self.directory.join(METADATA_FILE), Open::CreateNew)?;
        metadata.write_all_at(metadata_text(self.identity).as_bytes(), 0)?;
        metadata.sync_all()?;
        self.directory.parent().map_or(Ok(()), |parent| disk.sync_directory(parent))
    }

    /// Where the directory is put until it is removed. Nobody looks there for segments.
    pub fn directory_of_deleted(&self) -> PathBuf {
        let mut name = self.directory.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.deleted", self.identity.to_base64()));
        self.directory.with_file_name(name)
    }
}

/// Whose directory it is that this metadata lies in, to a topic.
pub fn identity_of(metadata: &[u8], topic: TopicId) -> Identity {
    let expected = metadata_text(topic);
    let prefix_bytes = expected.len() - TopicId::BASE64_BYTES - 1;
    let of_form = metadata.len() == expected.len()
        && metadata.get(..prefix_bytes) == expected.as_bytes().get(..prefix_bytes)
        && metadata.ends_with(b"\n");
    match metadata.iter().zip(expected.as_bytes()).filter(|(found, expected)| found != expected).count() {
        0 if of_form => Identity::Own,
        different if of_form && different >= DIFFERENT_BYTES_MIN => Identity::Another,
        _ => Identity::Unclear,
    }
}

/// The content of Kafka's `partition.metadata`.
pub fn metadata_text(identity: TopicId) -> String {
    format!("version: 0\ntopic_id: {}\n", identity.to_base64())
}
