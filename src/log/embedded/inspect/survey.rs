//! One look at everything: the tables in the segments, then the journal, then the segments of all partitions.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use super::super::disk::Hold;
use super::super::files::journal_file_name;
use super::super::frame::Frame;
use super::super::journal::FIRST_POSITION;
use super::super::scan::BatchScan;
use super::contents::{Contents, Gap, JournalContents};
use super::journal::Visitor;
use super::repair::Repair;
use super::segments::{Depth, Owner, check_batch, log_files};
use super::{Finding, Inspector, Watch};
use crate::log::name::TopicName;
use crate::log::record::Limits;
use crate::log::state::{Change, PARTITIONS, TOPICS};
use crate::log::stored::StoredBatch;
use crate::log::topic::TopicId;

/// No longer stretch of a missing journal is bridged, in bytes.
const BRIDGED_BYTES_MAX: u64 = 4 << 30;
const REPORT_IT: &str = "keep a copy of the directory and report it: this program wrote what it cannot read";
const ONLY_A_COPY: &str = "restore the directory from a backup; without one, what is missing is gone";

impl Inspector {
    /// What the directory holds, without looking at every record. Damage on the way is reported.
    pub fn survey(&self, watch: &mut dyn Watch) -> io::Result<Contents> {
        Survey::new(self, watch, Depth::Bounds).run()
    }

    /// Reads everything and checks it: every checksum of journal and segments, that offsets are where they must be, that
    /// indexes agree with segments, that tables of state decode.
    pub fn verify(&self, watch: &mut dyn Watch) -> io::Result<Contents> {
        Survey::new(self, watch, Depth::Whole).run()
    }
}

struct Survey<'a> {
    inspector: &'a Inspector,
    watch: &'a mut dyn Watch,
    depth: Depth,
    contents: Contents,
    /// The numbers of the internal topics.
    tables: HashMap<u32, String>,
}

impl<'a> Survey<'a> {
    fn new(inspector: &'a Inspector, watch: &'a mut dyn Watch, depth: Depth) -> Self {
        let tables = [(0, TOPICS.0.to_owned()), (1, PARTITIONS.0.to_owned())].into();
        Self { inspector, watch, depth, contents: Contents::new(), tables }
    }

    fn run(mut self) -> io::Result<Contents> {
        // Nothing moves from journal to segments between a look at these and one at that.
        let _held = if self.inspector.is_live { Some(Hold::shared(&self.inspector.directory)?) } else { None };
        let directories = self.inspector.partition_directories()?;
        let mut tables: Vec<&str> =
            directories.iter().filter(|name| name.starts_with("__")).filter_map(|name| name.strip_suffix("-0")).collect();
        // The catalog first: the other tables speak of what is in it.
        tables.sort_unstable_by_key(|name| (*name != TOPICS.0, *name != PARTITIONS.0, *name));
        for table in tables {
            self.table_segments(table)?;
        }
        let inspector = self.inspector;
        let holes = inspector.walk_journal(&mut self)?;
        self.contents.journal = holes;
        self.partitions(&directories)?;
        self.beginnings();
        Ok(self.contents)
    }

    fn table_segments(&mut self, table: &str) -> io::Result<()> {
        let directory = self.inspector.topics().join(format!("{table}-0"));
        for (path, _) in log_files(&self.inspector.disk, &directory)? {
            let mut scan = BatchScan::open(&self.inspector.disk, &path, 0)?;
            let mut byte = scan.at();
            // What is no batch is reported when the segment is looked at as a segment.
            while let Some(batch) = scan.batch()? {
                if check_batch(&batch).is_err() {
                    break;
                }
                self.apply(table, &batch, &path, byte);
                byte = scan.at();
            }
        }
        Ok(())
    }

    fn apply(&mut self, table: &str, batch: &StoredBatch, path: &Path, byte: u64) {
        let records = match batch.records(&Limits::STORED) {
            Ok(records) => records,
            Err(error) => return self.watch.found(Finding::lost(path, byte, error.to_string(), REPORT_IT)),
        };
        for found in records {
            let applied = match found {
                Ok((_, record)) => {
                    let (key, change) = Change::from_record(record);
                    let applied = self.contents.apply(table, &key, &change);
                    if table == TOPICS.0 && key.starts_with(b"__") {
                        self.note_table(&key);
                    }
                    applied.and_then(|()| self.watch.state(table, &key, &change))
                }
                Err(error) => Err(error.to_string()),
            };
            if let Err(reason) = applied {
                let what = format!("a record of {table} does not decode: {reason}");
                self.watch.found(Finding::lost(path, byte, what, REPORT_IT));
            }
        }
    }

    fn note_table(&mut self, key: &bytes::Bytes) {
        let topic = TopicName::new(key.clone()).ok().and_then(|name| self.contents.topics.get(&name));
        for number in topic.iter().flat_map(|topic| topic.partitions.iter()) {
            self.tables.insert(*number, String::from_utf8_lossy(key).into_owned());
        }
    }

    fn partitions(&mut self, directories: &[String]) -> io::Result<()> {
        let owners = self.contents.directories();
        for directory in directories {
            if directory.ends_with(".deleted") {
                let what = "what is left of a deleted topic";
                let path = self.inspector.topics().join(directory);
                self.watch.found(Finding::note(path, 0, what, "the next start removes it"));
                continue;
            }
            match owners.get(directory) {
                Some((name, number)) => {
                    let id = self.contents.topics.get(name).map_or(TopicId(0), |topic| topic.id);
                    let in_journal = self.contents.partition(*number);
                    let owner = Owner {
                        id,
                        may_be_torn: in_journal.journal_first.is_some()
                            && self.contents.retiring().is_some_and(|end| in_journal.journal_position < end),
                        journal_first: in_journal.journal_first,
                        log_start: in_journal.log_start,
                        transactions: in_journal.transactions,
                    };
                    let segments = self.inspector.partition(directory, &owner, self.depth, self.watch)?;
                    let partition = self.contents.partition_mut(*number);
                    partition.end = partition.end.max(segments.last().map_or(0, |segment| segment.next_offset));
                    partition.segments = segments;
                }
                None => self.unclaimed(directory),
            }
        }
        Ok(())
    }

    /// A directory of no topic: what is left of a deleted one, or the catalog has lost it.
    fn unclaimed(&mut self, directory: &str) {
        let path = self.inspector.topics().join(directory);
        if self.contents.was_deleted(directory) || self.inspector.has_moved(&path) {
            let what = "what is left of a deleted topic";
            self.watch.found(Finding::note(path, 0, what, "the next start removes it"));
        } else {
            let what = "no topic of the catalog has this directory, and none that had it was deleted";
            self.watch.found(Finding::damage(path.clone(), 0, what, Repair::SetAside { path }));
        }
    }

    /// The journal must begin where retired files end, and what was written down of a partition and what its segments hold must
    /// reach the journal's first offset.
    fn beginnings(&mut self) {
        if self.depth == Depth::Bounds || self.inspector.is_live {
            return;
        }
        let retired_to = self.contents.retired_to.max(FIRST_POSITION);
        let Some((path, start, _)) = self.contents.journal.files.first().cloned() else {
            if self.contents.retired_to > 0 {
                let what = format!("there is no file of the journal, which was retired up to position {retired_to} only");
                self.watch.found(Finding::lost(self.inspector.journal(), 0, what, ONLY_A_COPY));
            }
            return;
        };
        if start > retired_to {
            let what =
                format!("the journal begins at position {start}, and was retired up to {retired_to} only: a file is missing");
            let can_bridge = start - retired_to <= BRIDGED_BYTES_MAX && self.contents.retired_to > 0;
            let finding = match self.contents.journal.salt.filter(|_| can_bridge) {
                Some(salt) => {
                    let missing = self.inspector.journal().join(journal_file_name(retired_to));
                    Finding::damage(&path, 0, what, Repair::MakeJournal { path: missing, start: retired_to, salt, to: start })
                }
                None => Finding::lost(&path, 0, what, ONLY_A_COPY),
            };
            self.watch.found(finding);
            return;
        }
        for (number, (name, index)) in self.contents.places() {
            let partition = self.contents.partition(number);
            let known = partition.put_end.max(partition.segments_next());
            let first = partition.journal_first.filter(|first| *first > known && !partition.begins_behind_hole);
            if let Some(first) = first {
                let what = format!(
                    "the journal begins with offset {first} of {name}-{index}, and only offsets below {known} are accounted \
                     for: a segment is missing"
                );
                self.watch.found(Finding::lost(&path, 0, what, ONLY_A_COPY));
            }
        }
    }

    fn gap(&mut self, path: &Path, byte: u64, number: u32, gap: Gap) {
        let place = self.contents.places().get(&number).map(|(name, index)| format!("{name}-{index}"));
        let place = place.unwrap_or_else(|| format!("the partition with number {number}"));
        let Gap { expected, found, is_explained } = gap;
        let finding = if found < expected {
            let what = format!("offset {found} of {place} is written a second time; {expected} should come next");
            Finding::lost(path, byte, what, REPORT_IT)
        } else if is_explained {
            let what =
                format!("offsets {expected} to {} of {place} were in entries that are damaged or were taken out", found - 1);
            Finding::note(path, byte, what, "restore the journal from a backup if they are needed")
        } else {
            let what = format!("offsets {expected} to {} of {place} are missing", found - 1);
            Finding::lost(path, byte, what, ONLY_A_COPY)
        };
        self.watch.found(finding);
    }
}

impl Visitor for Survey<'_> {
    fn entry(&mut self, journal: &JournalContents, path: &Path, byte: u64, frame: &Frame) -> io::Result<()> {
        self.contents.journal.holes = journal.holes;
        for write in &frame.writes {
            for target in &write.targets {
                let batch = StoredBatch::new(target.base_offset, write.span, write.body.clone());
                if let Some(table) = self.tables.get(&target.partition).cloned() {
                    self.apply(&table, &batch, path, byte);
                }
                if let Err(gap) = self.contents.note(frame, write, *target) {
                    self.gap(path, byte, target.partition, gap);
                }
            }
            if self.depth == Depth::Whole && !write.targets.is_empty() {
                let batch = StoredBatch::new(0, write.span, write.body.clone());
                if let Err(reason) = check_batch(&batch) {
                    let what = format!("a record batch of the entry is damaged, though the entry is whole: {reason}");
                    self.watch.found(Finding::lost(path, byte, what, REPORT_IT));
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
