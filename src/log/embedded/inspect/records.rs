//! The records of a data directory in order: of each partition first what lies in segments, then what lies in the journal.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use bytes::Bytes;

use super::super::frame::{FLAG_BROADCAST, Frame};
use super::super::scan::BatchScan;
use super::contents::{Contents, JournalContents};
use super::journal::Visitor;
use super::segments::check_batch;
use super::{Finding, Inspector, Watch};
use crate::log::name::TopicName;
use crate::log::stored::StoredBatch;

/// Which records are wanted.
#[derive(Debug, Clone)]
pub struct Selection {
    /// Of these topics; none: of all but the internal ones.
    pub topics: Vec<TopicName>,
    /// Of this partition of each; none: of all.
    pub partition: Option<u32>,
    /// From this offset on.
    pub from: u64,
    /// Before this offset.
    pub to: u64,
}

/// A batch and where it belongs.
#[derive(Debug, Clone)]
pub struct Found<'a> {
    /// The topic.
    pub topic: &'a TopicName,
    /// The index of the partition.
    pub partition: u32,
    /// The first offset of the partition that was not trimmed.
    pub log_start: u64,
    /// The batch.
    pub batch: StoredBatch,
}

/// An entry of the journal as it lies there.
#[derive(Debug, Clone)]
pub struct EntryLine<'a> {
    /// The file.
    pub path: &'a Path,
    /// Where it begins in the file.
    pub byte: u64,
    /// Its position.
    pub position: u64,
    /// The position of the next entry.
    pub next: u64,
    /// Up to where the journal was synced when it was written.
    pub synced: u64,
    /// What it holds.
    pub writes: Vec<WriteLine>,
}

/// One body of an entry and where it goes.
#[derive(Debug, Clone)]
pub struct WriteLine {
    /// How many offsets the body takes.
    pub span: u32,
    /// The record batch.
    pub body: Bytes,
    /// Where it goes.
    pub targets: Vec<TargetLine>,
}

/// Where a body goes.
#[derive(Debug, Clone)]
pub struct TargetLine {
    /// Topic and index of the partition, where the catalog knows them.
    pub place: Option<(TopicName, u32)>,
    /// The partition's number in the catalog.
    pub number: u32,
    /// The offset of the first record.
    pub base_offset: u64,
    /// Whether it was written for listeners.
    pub is_broadcast: bool,
}

impl Selection {
    fn of(&self, contents: &Contents) -> HashMap<u32, (TopicName, u32)> {
        let mut places = contents.places();
        places.retain(|_, (name, index)| {
            let named = if self.topics.is_empty() { !name.is_internal() } else { self.topics.contains(name) };
            named && self.partition.is_none_or(|partition| partition == *index)
        });
        places
    }

    fn takes(&self, batch: &StoredBatch, log_start: u64) -> bool {
        batch.last_offset >= self.from.max(log_start) && batch.base_offset < self.to
    }
}

impl Inspector {
    /// Gives the batches that hold wanted records, in the order of their offsets within a partition.
    pub fn records(
        &self,
        contents: &Contents,
        selection: &Selection,
        watch: &mut dyn Watch,
        each: &mut dyn FnMut(Found<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let places = selection.of(contents);
        let mut order: Vec<_> = places.iter().map(|(number, place)| (place, *number)).collect();
        order.sort_unstable();
        for ((topic, index), number) in order {
            let partition = contents.partition(number);
            for segment in &partition.segments {
                if segment.next_offset <= selection.from || segment.base_offset >= selection.to {
                    continue;
                }
                let mut scan = BatchScan::open(&self.disk, &segment.path, 0)?;
                let mut told = 0;
                while let Some(batch) = scan.batch()? {
                    check_batch(&batch).map_err(|reason| damaged(&segment.path, batch.base_offset, &reason))?;
                    if selection.takes(&batch, partition.log_start) {
                        each(Found { topic, partition: *index, log_start: partition.log_start, batch })?;
                    }
                    watch.progress(scan.at() - told);
                    told = scan.at();
                }
                if scan.at() < segment.bytes {
                    return Err(damaged(&segment.path, segment.next_offset, "no record batch"));
                }
            }
        }
        let mut reading = InJournal { contents, selection, places, watch, each };
        self.walk_journal(&mut reading).map(drop)
    }

    /// Gives the entries of the journal from a position on.
    pub fn entries(
        &self,
        contents: &Contents,
        from: u64,
        watch: &mut dyn Watch,
        each: &mut dyn FnMut(EntryLine<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut reading = Entries { places: contents.places(), from, watch, each };
        self.walk_journal(&mut reading).map(drop)
    }
}

fn damaged(path: &Path, offset: u64, reason: &str) -> io::Error {
    let what = format!("{} is damaged at offset {offset}: {reason}; see `trunkline log verify`", path.display());
    io::Error::new(io::ErrorKind::InvalidData, what)
}

struct InJournal<'a> {
    contents: &'a Contents,
    selection: &'a Selection,
    places: HashMap<u32, (TopicName, u32)>,
    watch: &'a mut dyn Watch,
    each: &'a mut dyn FnMut(Found<'_>) -> io::Result<()>,
}

impl Visitor for InJournal<'_> {
    fn entry(&mut self, _: &JournalContents, _: &Path, _: u64, frame: &Frame) -> io::Result<()> {
        for write in &frame.writes {
            for target in &write.targets {
                let Some((topic, index)) = self.places.get(&target.partition) else { continue };
                let partition = self.contents.partition(target.partition);
                let batch = StoredBatch::new(target.base_offset, write.span, write.body.clone());
                // What a retirement had moved already lies in both places.
                if target.base_offset >= partition.segments_next() && self.selection.takes(&batch, partition.log_start) {
                    (self.each)(Found { topic, partition: *index, log_start: partition.log_start, batch })?;
                }
            }
        }
        Ok(())
    }

    fn found(&mut self, finding: Finding) {
        self.watch.found(finding);
    }

    fn progress(&mut self, bytes: u64) {
        self.watch.progress(bytes);
    }
}

struct Entries<'a> {
    places: HashMap<u32, (TopicName, u32)>,
    from: u64,
    watch: &'a mut dyn Watch,
    each: &'a mut dyn FnMut(EntryLine<'_>) -> io::Result<()>,
}

impl Visitor for Entries<'_> {
    fn entry(&mut self, _: &JournalContents, path: &Path, byte: u64, frame: &Frame) -> io::Result<()> {
        if frame.next <= self.from {
            return Ok(());
        }
        let writes = frame.writes.iter().map(|write| {
            let targets = write.targets.iter().map(|target| TargetLine {
                place: self.places.get(&target.partition).cloned(),
                number: target.partition,
                base_offset: target.base_offset,
                is_broadcast: target.flags & FLAG_BROADCAST != 0,
            });
            WriteLine { span: write.span, body: write.body.clone(), targets: targets.collect() }
        });
        let Frame { position, next, synced, .. } = *frame;
        (self.each)(EntryLine { path, byte, position, next, synced, writes: writes.collect() })
    }

    fn found(&mut self, finding: Finding) {
        self.watch.found(finding);
    }

    fn progress(&mut self, bytes: u64) {
        self.watch.progress(bytes);
    }
}
