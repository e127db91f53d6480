//! The segments of one partition: stretches of its log in Kafka's own layout and formats.
//!
//! `orders-0/00000000000000000000.log` holds record batches as they were sent, with their base offsets filled in;
//! `.index` maps offsets and `.timeindex` maps timestamps to positions, sparsely. Offsets may have gaps: what no view
//! needed when its journal file was retired is not there. Files are added to at their end, and replaced as a whole when most of
//! what they hold is needed no more (`swap`).

mod file;
mod index;
mod open_files;
mod scan;
mod swap;
mod writer;

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use file::End;
pub use file::{EXTENSIONS, Segment, Torn, path};
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
    /// the same name is emptied.
    pub fn open(files: OpenFiles, directory: PathBuf, identity: TopicId, torn: Torn) -> io::Result<Self> {
        let mut segments = Self::empty(files, directory, identity);
        let disk = segments.disk().clone();
        if !segments.is_own() {
            disk.clear_directory(&segments.directory)?;
            return Ok(segments);
        }
        swap::settle(&disk, &segments.directory)?;
        let names = disk.names(&segments.directory)?;
        let mut bases: Vec<u64> =
            names.iter().filter_map(|name| name.name.strip_suffix(".log")).filter_map(|stem| stem.parse().ok()).collect();
        bases.sort_unstable();
        for (index, base) in bases.iter().enumerate() {
            let following = bases.get(index + 1).copied();
            let mut segment = {
                let end = if following.is_some() { End::Sealed } else { End::Last(torn) };
                Segment::open(&segments.files, &segments.directory, *base, end)?
            };
            segment.is_sealed = following.is_some();
            segment.next_offset = segment.next_offset.min(following.unwrap_or(u64::MAX));
            segments.list.extend(Some(segment).filter(|segment| segment.bytes > 0));
        }
        if matches!(torn, Torn::From(from) if segments.list.is_empty() || segments.next_offset() > from) {
            // A process that was killed may have left all of this unsynced, and nobody moves or makes it again.
            disk.open(&segments.directory.join(METADATA_FILE), Open::Write)?.sync_all()?;
            disk.sync_directory(&segments.directory)?;
        }
        Ok(segments)
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

    /// The first batch whose newest timestamp is at or after the given one.
    pub fn find_time(&self, timestamp_ms: i64) -> io::Result<Option<StoredBatch>> {
        for segment in self.list.iter().filter(|segment| segment.max_timestamp_ms() >= timestamp_ms) {
            if let Some(batch) = segment.find_time(timestamp_ms)? {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    /// Aborted transactions that had records in `from..to`, in the order of their markers.
    pub fn aborted(&self, from: u64, to: u64) -> io::Result<Vec<Aborted>> {
        let mut found = Vec::new();
        let first = self.list.partition_point(|segment| segment.next_offset <= from);
        for segment in self.list.iter().skip(first) {
            for entry in segment.aborted()? {
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
        let metadata = self.disk().read(&self.directory.join(METADATA_FILE));
        metadata.is_ok_and(|metadata| metadata == metadata_text(self.identity).as_bytes())
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

/// The content of Kafka's `partition.metadata`.
pub fn metadata_text(identity: TopicId) -> String {
    format!("version: 0\ntopic_id: {}\n", identity.to_base64())
}
