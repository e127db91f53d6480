//! What a data directory holds, as the tables and the journal say: topics, partitions, offsets, sizes.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use bytes::Bytes;

use super::super::catalog::{PartitionPut, RETIRED_KEY, TopicPut, retired_to, table_settings};
use super::super::files::partition_directory;
use super::super::frame::{Frame, FrameWrite, Salt, Target};
use crate::log::name::TopicName;
use crate::log::producers::Producers;
use crate::log::record::{BatchHeader, read_marker};
use crate::log::state::{Change, PARTITIONS, TOPICS};
use crate::log::topic::{TopicId, TopicSettings};
use crate::log::transactions::Transactions;

/// What was found.
#[derive(Debug, Default)]
pub struct Contents {
    /// The topics by name, internal ones included.
    pub topics: HashMap<TopicName, TopicContents>,
    /// The journal's files.
    pub journal: JournalContents,
    /// The position before which journal files were retired, as was last written down.
    pub(super) retired_to: u64,
    by_number: HashMap<u32, PartitionContents>,
    /// Names of directories, without their numbers, of topics that were deleted.
    deleted: HashSet<String>,
}

/// A topic.
#[derive(Debug, Clone)]
pub struct TopicContents {
    /// Its identity.
    pub id: TopicId,
    /// The numbers of its partitions, in order.
    pub partitions: Vec<u32>,
    /// What it was made with.
    pub settings: TopicSettings,
}

/// The files of the journal.
#[derive(Debug, Default, Clone)]
pub struct JournalContents {
    /// Path, position of the first entry, and position behind the last whole one; oldest first.
    pub files: Vec<(PathBuf, u64, u64)>,
    /// How many entries there are.
    pub entries: u64,
    /// What its entries are marked with, if the header of a file is whole.
    pub(super) salt: Option<Salt>,
    /// How often entries were damaged or had been taken out so far: behind such a place offsets may be missing.
    pub(super) holes: u64,
}

impl JournalContents {
    /// The size of the entries, in bytes.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|(_, start, end)| end.saturating_sub(*start)).sum()
    }
}

/// A partition.
#[derive(Debug, Default, Clone)]
pub struct PartitionContents {
    /// The first offset that is kept, as far as was written down.
    pub log_start: u64,
    /// One past the last offset.
    pub end: u64,
    /// Its batches in the journal, and their size in bytes; a body with many targets counts in each.
    pub journal_batches: u64,
    /// See `journal_batches`.
    pub journal_bytes: u64,
    /// The first offset in the journal.
    pub journal_first: Option<u64>,
    /// Its segments, oldest first.
    pub segments: Vec<SegmentContents>,
    /// Its transactions, and the producers that have one open.
    pub(super) transactions: Transactions,
    producers: Producers,
    /// The end that was last written down.
    pub(super) put_end: u64,
    /// Where its first batch lies in the journal.
    pub(super) journal_position: u64,
    journal_next: u64,
    /// Whether something of the journal is missing before its first batch.
    pub(super) begins_behind_hole: bool,
    /// [`JournalContents::holes`] at its last batch.
    holes_seen: u64,
}

impl PartitionContents {
    /// The size of its segments, in bytes.
    pub fn segment_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// The first offset that is there, or the end if none is.
    pub fn first(&self) -> u64 {
        let first = self.segments.first().map(|segment| segment.base_offset).or(self.journal_first).unwrap_or(self.end);
        self.log_start.max(first)
    }

    fn note_transaction(&mut self, write: &FrameWrite, offset: u64) {
        let Some(header) = BatchHeader::parse(&write.body).ok().filter(BatchHeader::is_transactional) else { return };
        if let Some(outcome) = read_marker(&write.body) {
            let runs = self.producers.ended(header.producer_id, header.producer_epoch, offset, 0);
            self.transactions.ended(header.producer_id, &runs, offset, outcome);
        } else if self.producers.wrote(&header, offset, 0) {
            self.transactions.began(offset);
        }
    }

    /// One past the last offset that segments hold.
    pub fn segments_next(&self) -> u64 {
        self.segments.last().map_or(0, |segment| segment.next_offset)
    }
}

/// A segment.
#[derive(Debug, Clone)]
pub struct SegmentContents {
    /// Its log file.
    pub path: PathBuf,
    /// The offset that names it.
    pub base_offset: u64,
    /// One past the last offset in it.
    pub next_offset: u64,
    /// The size of its log file, in bytes.
    pub bytes: u64,
}

impl Contents {
    /// Only the two tables of the log itself.
    pub(super) fn new() -> Self {
        let mut contents = Self::default();
        for (number, table) in (0..).zip([TOPICS, PARTITIONS]) {
            let id = TopicId(u128::from(number) + 1);
            let topic = TopicContents { id, partitions: vec![number], settings: table_settings() };
            contents.topics.insert(TopicName::internal(table.0), topic);
        }
        contents
    }

    /// The partition of a number.
    pub fn partition(&self, number: u32) -> PartitionContents {
        self.by_number.get(&number).cloned().unwrap_or_default()
    }

    /// Where the journal file ends that was being retired when the log ended, if one was.
    pub(super) fn retiring(&self) -> Option<u64> {
        let ((_, oldest, _), (_, next, _)) = (self.journal.files.first()?, self.journal.files.get(1)?);
        (*oldest < self.retired_to).then_some(*next)
    }

    /// The topics in the order of their names.
    pub fn sorted(&self) -> Vec<(&TopicName, &TopicContents)> {
        let mut all: Vec<_> = self.topics.iter().collect();
        all.sort_unstable_by_key(|(name, _)| *name);
        all
    }

    pub(super) fn partition_mut(&mut self, number: u32) -> &mut PartitionContents {
        self.by_number.entry(number).or_default()
    }

    /// Topic and index of each partition that the catalog has, by number.
    pub fn places(&self) -> HashMap<u32, (TopicName, u32)> {
        let of_topic = |(name, topic): (&TopicName, &TopicContents)| {
            let name = name.clone();
            topic.partitions.clone().into_iter().zip(0..).map(move |(number, index)| (number, (name.clone(), index)))
        };
        self.topics.iter().flat_map(of_topic).collect()
    }

    /// The directory of each partition, and the number of the partition.
    pub(super) fn directories(&self) -> HashMap<String, (TopicName, u32)> {
        let root = PathBuf::new();
        let of_topic = |(name, topic): (&TopicName, &TopicContents)| {
            let (stem, name) = (name.to_file_stem(), name.clone());
            let directory = {
                let root = root.clone();
                move |index| partition_directory(&root, &stem, index).to_string_lossy().into_owned()
            };
            topic.partitions.clone().into_iter().zip(0..).map(move |(number, index)| (directory(index), (name.clone(), number)))
        };
        self.topics.iter().flat_map(of_topic).collect()
    }

    /// Whether a partition's directory is of a topic that was deleted by a record that is still there.
    pub(super) fn was_deleted(&self, directory: &str) -> bool {
        directory.rsplit_once('-').is_some_and(|(stem, _)| self.deleted.contains(stem))
    }

    /// Does what a record of one of the log's own tables says.
    pub(super) fn apply(&mut self, table: &str, key: &Bytes, change: &Change) -> Result<(), String> {
        if table == TOPICS.0 {
            self.apply_topic(key, change)
        } else if table == PARTITIONS.0 {
            self.apply_partition(key, change)
        } else {
            Ok(())
        }
    }

    fn apply_topic(&mut self, key: &Bytes, change: &Change) -> Result<(), String> {
        let name = TopicName::new(Bytes::copy_from_slice(key)).map_err(|error| error.to_string())?;
        match change {
            Change::Operation(_) => Err("an operation in the catalog".to_owned()),
            Change::Delete => {
                self.topics.remove(&name);
                self.deleted.insert(name.to_file_stem());
                Ok(())
            }
            Change::Put(body) => {
                let put: TopicPut = serde_json::from_slice(body).map_err(|error| error.to_string())?;
                let topic = TopicContents { id: put.id, partitions: put.partitions, settings: put.settings };
                self.topics.insert(name, topic);
                Ok(())
            }
        }
    }

    fn apply_partition(&mut self, key: &Bytes, change: &Change) -> Result<(), String> {
        if *key == RETIRED_KEY {
            self.retired_to = self.retired_to.max(retired_to(change).ok_or("not a position of the journal")?);
            return Ok(());
        }
        let number = key.first_chunk::<4>().filter(|_| key.len() == 4).ok_or("the key is no partition number")?;
        let number = u32::from_be_bytes(*number);
        match change {
            Change::Operation(_) => Err("an operation in a table of bounds".to_owned()),
            Change::Delete => Ok(()),
            Change::Put(body) => {
                let put: PartitionPut = serde_json::from_slice(body).map_err(|error| error.to_string())?;
                let partition = self.partition_mut(number);
                partition.log_start = partition.log_start.max(put.log_start);
                partition.end = partition.end.max(put.end);
                partition.put_end = partition.put_end.max(put.end);
                partition.transactions.restore(put.transactions, put.producers.open());
                partition.producers = put.producers;
                Ok(())
            }
        }
    }

    /// Counts a write to a partition. An error: offsets are missing before it, or it goes back.
    pub(super) fn note(&mut self, frame: &Frame, write: &FrameWrite, target: Target) -> Result<(), Gap> {
        let holes = self.journal.holes;
        let partition = self.by_number.entry(target.partition).or_default();
        let next = target.base_offset + u64::from(write.span);
        let expected = match partition.journal_first {
            None => {
                partition.journal_first = Some(target.base_offset);
                partition.journal_position = frame.position;
                partition.begins_behind_hole = holes > 0;
                target.base_offset
            }
            Some(_) => partition.journal_next.max(partition.put_end.min(target.base_offset)),
        };
        let gap = Gap { expected, found: target.base_offset, is_explained: partition.holes_seen != holes };
        partition.holes_seen = holes;
        partition.journal_next = next;
        partition.end = partition.end.max(next);
        partition.journal_batches += 1;
        partition.journal_bytes += write.body.len() as u64;
        partition.note_transaction(write, target.base_offset);
        if gap.expected == gap.found { Ok(()) } else { Err(gap) }
    }
}

/// Offsets that are not where they must be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gap {
    pub expected: u64,
    pub found: u64,
    /// Whether entries are missing in between.
    pub is_explained: bool,
}
