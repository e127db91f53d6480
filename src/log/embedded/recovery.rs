//! Opening a data directory: the tables in the segments, then the journal from its oldest file on.
//!
//! An entry that is not whole ends the journal if nothing behind it was written after it had been synced: that is the torn
//! tail of a crash, whose writers were never answered, and it is cut. Anything else is damage, and the log does not open.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::LogSettings;
use super::catalog::{Catalog, PartitionPut, RETIRED_KEY, retired_to};
use super::compacted::Compacted;
use super::disk::{Disk, Open};
use super::expire::advance_log_start;
use super::files::{self, Header, JOURNAL_VERSION};
use super::frame::{self, FLAG_BROADCAST, Frame, FrameWrite, Salt};
use super::journal::{FIRST_POSITION, JournalFile};
use super::partition::{BatchRef, Partition, Shared};
use super::retire::now_ms;
use super::scan::EntryScan;
use super::segment::{End, OpenFiles, Segments};
use crate::log::error::OpenError;
use crate::log::lsn::{Barrier, Durability, Durable, Lsn};
use crate::log::name::TopicName;
use crate::log::record::{BatchHeader, Limits, read_marker};
use crate::log::state::Change;
use crate::log::stored::StoredBatch;
use crate::log::topic::TopicId;

/// So much of a table is read at a time, in bytes.
const PIECE_BYTES: usize = 1 << 20;

/// What was found.
pub struct Recovered {
    pub catalog: Catalog,
    pub files: VecDeque<JournalFile>,
    pub next: u64,
    pub salt: Salt,
    pub durable: Arc<Durable>,
}

/// Where the journal's files lie.
pub fn journal_directory(directory: &Path) -> PathBuf {
    directory.join("journal")
}

/// Where the partitions' segments lie.
pub fn topics_directory(directory: &Path) -> PathBuf {
    directory.join("topics")
}

/// Opens the directory, making what is missing.
pub fn recover(settings: &LogSettings, segment_files: &OpenFiles) -> Result<Recovered, OpenError> {
    let disk = &settings.disk;
    let (journal, topics) = (journal_directory(&settings.directory), topics_directory(&settings.directory));
    for directory in [&journal, &topics] {
        disk.create_directory(directory).map_err(OpenError::io("creating", directory.clone()))?;
    }
    // Without its directory's name on disk no file in it is.
    disk.sync_directory(&settings.directory).map_err(OpenError::io("syncing", settings.directory.clone()))?;
    let durable = Arc::new(Durable::new(Lsn(u64::MAX)));
    let catalog = Catalog::new(
        topics.clone(),
        Shared::new(Arc::clone(&durable), segment_files.clone()),
        settings.durability,
        settings.topics_max,
    );
    let mut replay = Replay {
        disk: disk.clone(),
        segment_files: segment_files.clone(),
        catalog,
        limits: Limits::STORED,
        snapshots: HashMap::new(),
        salt: None,
        retired_to: 0,
        deleted: HashSet::new(),
        now_ms: now_ms(),
    };
    let present = directory_names(disk, &topics).map_err(OpenError::io("listing", topics.clone()))?;
    // A process that was killed may have made some and not synced their names; nobody makes them again.
    disk.sync_directory(&topics).map_err(OpenError::io("syncing", topics.clone()))?;
    replay.load_tables(&present)?;
    let (mut files, next) = replay.read_journal(&journal, settings.journal_file_bytes)?;
    replay.attach_segments(&present, retiring(&files, replay.retired_to))?;
    replay.check_beginning(&journal, files.front())?;
    replay.remove_unclaimed(&topics, &present)?;
    let salt = replay.salt.unwrap_or_else(Salt::draw);
    if files.is_empty() {
        let first = files::create_first_file(disk, &journal, (next, salt), settings.journal_file_bytes)
            .map_err(OpenError::io("creating a file in", journal))?;
        files.push_back(first);
    }
    durable.start_at(Lsn(next));
    Ok(Recovered { catalog: replay.catalog, files, next, salt, durable })
}

/// Replays bytes as if they were the entries of a journal, without any file: for fuzzing.
pub fn replay_any(entries: &[u8]) -> Result<u64, String> {
    let durable = Arc::new(Durable::new(Lsn(u64::MAX)));
    let disk = Disk::default();
    let segment_files = OpenFiles::new(disk.clone(), 1);
    let catalog = Catalog::new(PathBuf::new(), Shared::new(durable, segment_files.clone()), Durability::Fsync, 1000);
    let (limits, snapshots) = (Limits::default(), HashMap::new());
    let mut replay = Replay {
        disk,
        segment_files,
        catalog,
        limits,
        snapshots,
        salt: None,
        retired_to: 0,
        deleted: HashSet::new(),
        now_ms: now_ms(),
    };
    let entries = Bytes::copy_from_slice(entries);
    // The first entry is one of some journal, whichever that is.
    let salt = Salt::of_mark(frame::mark_of(&entries).unwrap_or(0), FIRST_POSITION);
    let mut end = FIRST_POSITION;
    while let Some(rest) =
        usize::try_from(end - FIRST_POSITION).ok().filter(|at| *at <= entries.len()).map(|at| entries.slice(at..))
    {
        let Some(frame) = frame::decode(&rest, salt, end) else { break };
        replay.apply_frame(&frame)?;
        end = frame.next;
    }
    Ok(end)
}

struct Replay {
    disk: Disk,
    segment_files: OpenFiles,
    catalog: Catalog,
    limits: Limits,
    /// What `__partitions` said last of each partition that is not in the catalog yet.
    snapshots: HashMap<u32, PartitionPut>,
    /// That of the journal's files.
    salt: Option<Salt>,
    /// The position before which journal files were retired, as was last written down.
    retired_to: u64,
    /// The names of topics that were deleted, as directories have them.
    deleted: HashSet<String>,
    /// A producer's silence is counted from the start: the times in its records are its own affair.
    now_ms: i64,
}

impl Replay {
    /// Reads what the segments of the two tables of the log hold.
    fn load_tables(&mut self, present: &HashSet<String>) -> Result<(), OpenError> {
        for number in [0, 1] {
            let Some(partition) = self.catalog.partition(number) else { continue };
            let directory = self.catalog.directory_of(&partition);
            if !directory.file_name().is_some_and(|name| present.contains(&*name.to_string_lossy())) {
                continue;
            }
            let segments = self
                // Whether the journal holds what may be torn off is known once it was read, which needs these tables.
                .open_segments(partition.topic_name(), directory.clone(), End::Unknown)
                .map_err(OpenError::io("opening the segments in", directory.clone()))?;
            each_batch(&segments, &directory, |batch| self.apply_table(number, batch, true))?;
        }
        Ok(())
    }

    fn read_journal(&mut self, directory: &Path, file_bytes: u64) -> Result<(VecDeque<JournalFile>, u64), OpenError> {
        let starts = journal_starts(&self.disk, directory).map_err(OpenError::io("listing", directory))?;
        let mut files = VecDeque::new();
        let mut next = starts.first().copied().unwrap_or(FIRST_POSITION);
        for (index, start) in starts.iter().enumerate() {
            let path = directory.join(files::journal_file_name(*start));
            if *start != next {
                return Err(OpenError::Damaged {
                    path,
                    byte: 0,
                    reason: format!("the file before it ends at position {next}, and this one begins at {start}"),
                });
            }
            next = self.read_file(&path, *start, starts.get(index + 1).copied())?;
            let file = self.disk.open(&path, Open::Write).map_err(OpenError::io("opening", &path))?;
            let length = file.length().map_err(OpenError::io("looking at", &path))?;
            let capacity_bytes = files::capacity_of(length, file_bytes);
            files.push_back(JournalFile { start: *start, path, file, capacity_bytes });
        }
        // A process that was killed leaves entries that are written and not synced. From now on they count as durable.
        if let Some(newest) = files.back() {
            let JournalFile { path, file, .. } = newest;
            file.sync_all().and_then(|()| self.disk.sync_directory(directory)).map_err(OpenError::io("syncing", path))?;
        }
        Ok((files, next))
    }

    /// The journal must begin where it was retired to, or before.
    fn check_beginning(&self, directory: &Path, first: Option<&JournalFile>) -> Result<(), OpenError> {
        let retired_to = self.retired_to.max(FIRST_POSITION);
        let from = match first {
            Some(file) if file.start > retired_to => format!("the journal begins at position {}", file.start),
            None if self.retired_to > 0 => "there is no journal".to_owned(),
            _ => return Ok(()),
        };
        let reason = format!("{from}, and was retired up to {retired_to} only: a file is missing");
        Err(damaged(first.map_or(directory, |file| file.path.as_path()), 0, &reason))
    }

    /// Replays one file and returns the position behind its last entry.
    fn read_file(&mut self, path: &Path, start: u64, following: Option<u64>) -> Result<u64, OpenError> {
        let reading = || OpenError::io("reading", path);
        let mut scan = EntryScan::open(&self.disk, path, start).map_err(reading())?;
        match files::decode_header(scan.header()) {
            Header::Start(found, salt) if found == start && *self.salt.get_or_insert(salt) == salt => {}
            Header::Start(found, _) if found == start => return Err(damaged(path, 0, "the file is one of another journal")),
            Header::Version(found) => {
                return Err(OpenError::Version { path: path.to_owned(), found, known: JOURNAL_VERSION });
            }
            _ => return Err(damaged(path, 0, "the header is not one of this file")),
        }
        while following != Some(scan.position()) {
            let Some(frame) = scan.entry().map_err(reading())? else {
                self.end_of_journal(path, &mut scan, following)?;
                break;
            };
            self.apply_frame(&frame).map_err(|reason| damaged(path, scan.byte_of(frame.position), &reason))?;
        }
        Ok(scan.position())
    }

    /// There is no whole entry where the scan stands: cuts a torn tail, or reports damage.
    fn end_of_journal(&self, path: &Path, scan: &mut EntryScan, following: Option<u64>) -> Result<(), OpenError> {
        let byte = scan.byte_of(scan.position());
        if following.is_some() {
            return Err(damaged(path, byte, "an entry is not whole, and newer files follow"));
        }
        let beyond = scan.beyond().map_err(OpenError::io("reading", path))?;
        if let Some(later) = beyond.synced {
            let reason = format!("an entry is not whole, and the one at position {later} was written after it had been synced");
            return Err(damaged(path, byte, &reason));
        }
        let traces = beyond.traces_end.saturating_sub(byte);
        if traces > 0 {
            tracing::info!(file = %path.display(), at = byte, "the journal ends here; what follows was never acknowledged");
            files::erase(&self.disk, path, byte, traces).map_err(OpenError::io("erasing the end of", path))?;
        }
        Ok(())
    }

    fn apply_frame(&mut self, frame: &Frame) -> Result<(), String> {
        for write in &frame.writes {
            for target in &write.targets {
                let batch = StoredBatch::new(target.base_offset, write.span, write.body.clone());
                self.catalog.note_number(target.partition);
                if target.partition <= 1 {
                    self.apply_table(target.partition, &batch, false)?;
                }
                // A partition that is in the catalog no more belonged to a topic that was deleted later.
                if let Some(partition) = self.catalog.partition(target.partition) {
                    self.place(&partition, write, target.base_offset, target.flags, frame.next)?;
                }
            }
        }
        Ok(())
    }

    fn place(
        &mut self,
        partition: &Partition,
        write: &FrameWrite,
        base_offset: u64,
        flags: u32,
        next: u64,
    ) -> Result<(), String> {
        let header = BatchHeader::parse(&write.body).map_err(|error| error.to_string())?;
        let batch = BatchRef {
            base_offset,
            position: write.position,
            bytes: u32::try_from(write.body.len()).unwrap_or(u32::MAX),
            span: write.span,
            max_timestamp_ms: header.max_timestamp,
            is_control: header.is_control(),
        };
        partition.placed(batch, Barrier::at(Lsn(next), Durability::Fsync), flags & FLAG_BROADCAST != 0, None);
        partition.with(|state| match read_marker(&write.body) {
            Some(outcome) => {
                state.note_marker(header.producer_id, header.producer_epoch, outcome, base_offset, self.now_ms);
            }
            None if header.is_control() => {}
            None => state.note_batch(&header, base_offset, self.now_ms),
        });
        if partition.topic_name().is_internal() {
            let stored = StoredBatch::new(base_offset, write.span, write.body.clone());
            note_keys(partition, &stored, &self.limits, false)?;
        }
        Ok(())
    }

    fn apply_table(&mut self, number: u32, batch: &StoredBatch, in_segments: bool) -> Result<(), String> {
        for found in batch.records(&self.limits).map_err(|error| error.to_string())? {
            let (offset, record) = found.map_err(|error| error.to_string())?;
            let (key, change) = Change::from_record(record);
            if in_segments && let Some(table) = self.catalog.partition(number) {
                let deleted = change == Change::Delete;
                table.with(|state| state.note_latest(&key, offset, deleted, true));
            }
            if number == 1 && key == RETIRED_KEY {
                self.retired_to = self.retired_to.max(retired_to(&change).unwrap_or(0));
            } else if number == 0 {
                self.catalog.apply(&key, &change)?;
                if let Some(name) = TopicName::new(key.clone()).ok().filter(|_| change == Change::Delete) {
                    self.deleted.insert(name.to_file_stem());
                }
                self.restore_known(&key);
            } else if let (Some(id), Change::Put(body)) = (key.first_chunk::<4>(), &change) {
                self.restore_partition(u32::from_be_bytes(*id), body)?;
            }
        }
        Ok(())
    }

    /// A partition may be in the catalog only after what is known of it was read. It must be told before its records are.
    fn restore_known(&mut self, name: &Bytes) {
        if self.snapshots.is_empty() {
            return;
        }
        let topic = TopicName::new(name.clone()).ok().and_then(|name| self.catalog.topic(&name));
        for partition in topic.iter().flat_map(|topic| topic.partitions()) {
            if let Some(put) = self.snapshots.remove(&partition.id()) {
                restore(&partition, put);
            }
        }
    }

    fn restore_partition(&mut self, number: u32, body: &[u8]) -> Result<(), String> {
        self.catalog.note_number(number);
        let put: PartitionPut = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        match self.catalog.partition(number) {
            Some(partition) => restore(&partition, put),
            None => {
                self.snapshots.insert(number, put);
            }
        }
        Ok(())
    }

    /// Finds the segments of all partitions.
    fn attach_segments(&mut self, present: &HashSet<String>, retiring: Option<u64>) -> Result<(), OpenError> {
        let mut partitions = self.catalog.partitions();
        // The tables first: where they are damaged, nothing else is what it seems.
        partitions.sort_unstable_by_key(|partition| partition.id());
        for partition in partitions {
            let directory = self.catalog.directory_of(&partition);
            if present.contains(&*directory_name(&directory)) {
                self.attach(&partition, directory, retiring)?;
            }
            let compacts = self.catalog.topic(partition.topic_name()).is_some_and(|topic| topic.settings().cleanup.compacts());
            settle_bounds(&partition, compacts);
            partition.note_change();
        }
        Ok(())
    }

    /// Removes what is left of deleted topics. What belongs to no topic that is known is none of that.
    fn remove_unclaimed(&self, root: &Path, present: &HashSet<String>) -> Result<(), OpenError> {
        let partitions = self.catalog.partitions();
        let claimed: HashSet<String> =
            partitions.iter().map(|partition| directory_name(&self.catalog.directory_of(partition))).collect();
        for name in present.difference(&claimed) {
            let path = root.join(name);
            let is_of_deleted = name.rsplit_once('-').is_some_and(|(stem, _)| self.deleted.contains(stem));
            let holds_segments = || self.disk.names(&path).map(|names| names.iter().any(|name| name.name.ends_with(".log")));
            if !(name.ends_with(".deleted") || is_of_deleted) && holds_segments().map_err(OpenError::io("listing", &path))? {
                let reason = "no topic of the catalog has this directory, and none that had it was deleted";
                return Err(damaged(&path, 0, reason));
            }
            self.disk.remove_directory(&path).map_err(OpenError::io("removing", &path))?;
        }
        Ok(())
    }

    fn open_segments(&self, topic: &TopicName, directory: PathBuf, end: End) -> std::io::Result<Segments> {
        let identity = self.catalog.topic(topic).map_or(TopicId(0), |topic| topic.id());
        Segments::open(self.segment_files.clone(), directory, identity, end)
    }

    /// Segments are torn by a crash only while the oldest journal file is being retired, up to `retiring`: what was to be in
    /// them is in that file then. Without that, they end before the journal begins.
    fn attach(&self, partition: &Partition, directory: PathBuf, retiring: Option<u64>) -> Result<(), OpenError> {
        let first = partition.with(|state| state.refs.front().map(|batch| (batch.position, batch.base_offset)));
        let in_retiring = first.filter(|(position, _)| retiring.is_some_and(|end| *position < end));
        let end = in_retiring.map_or(End::Last, |(_, offset)| End::MayBeTorn(offset));
        let mut segments = self
            .open_segments(partition.topic_name(), directory.clone(), end)
            .map_err(OpenError::io("opening the segments in", directory.clone()))?;
        if let Some((_, offset)) = first.filter(|(_, offset)| end == End::Last && segments.next_offset() > *offset) {
            let reason = format!("it reaches offset {}, and the journal goes on at {offset}", segments.next_offset());
            let path = segments.list().last().map_or(&*directory, |last| last.paths()[0]);
            return Err(damaged(path, 0, &reason));
        }
        partition
            .with(|state| segments.mend_aborted(state.log_start, |range| state.aborted_ending(range)))
            .map_err(OpenError::io("mending the indexes in", directory.clone()))?;
        if partition.topic_name().is_internal() && partition.id() > 1 {
            each_batch(&segments, &directory, |batch| note_keys(partition, batch, &self.limits, true))?;
        }
        partition.with(|state| {
            // A crash in the middle of a retirement leaves batches in both places.
            let kept_until = segments.next_offset();
            while state.refs.front().is_some_and(|batch| batch.next_offset() <= kept_until) {
                state.refs.pop_front();
            }
            partition.set_segments(state, segments);
        });
        Ok(())
    }
}

/// Where the file ends that was being retired when the log ended, if one was.
fn retiring(files: &VecDeque<JournalFile>, retired_to: u64) -> Option<u64> {
    let (oldest, next) = (files.front()?, files.get(1)?);
    (oldest.start < retired_to).then_some(next.start)
}

fn directory_name(directory: &Path) -> String {
    directory.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Gives all batches of segments, with a piece of them in memory at a time.
fn each_batch(
    segments: &Segments,
    directory: &Path,
    mut each: impl FnMut(&StoredBatch) -> Result<(), String>,
) -> Result<(), OpenError> {
    let mut from = segments.first_offset().unwrap_or(0);
    loop {
        let batches = segments.read(from, PIECE_BYTES).map_err(OpenError::io("reading the segments in", directory))?;
        let Some(last) = batches.last() else { return Ok(()) };
        from = last.last_offset + 1;
        for batch in &batches {
            each(batch).map_err(|reason| damaged(directory, 0, &reason))?;
        }
    }
}

fn restore(partition: &Partition, put: PartitionPut) {
    partition.with(|state| {
        state.log_start = state.log_start.max(put.log_start);
        state.end = state.end.max(put.end);
        let compacted = Compacted { to: put.compacted_to, horizon_ms: put.horizon_ms, held: put.held };
        let is_plain = put.producers.is_empty() && put.transactions.is_empty() && compacted == Compacted::default();
        if !is_plain || state.rare().is_some() {
            let rare = state.make_rare();
            rare.producers = put.producers;
            rare.compacted = compacted;
            rare.transactions.restore(put.transactions, rare.producers.open());
        }
        for (from, to) in put.broadcast {
            state.broadcast.insert_range(from..to);
        }
    });
}

fn settle_bounds(partition: &Partition, compacts: bool) {
    partition.with(|state| {
        state.end = state.end.max(state.segments.next_offset());
        state.durable_end = state.end;
        state.undurable.clear();
        while state.refs.front().is_some_and(|batch| batch.next_offset() <= state.log_start) {
            state.refs.pop_front();
        }
        advance_log_start(state, !compacts);
    });
}

fn note_keys(partition: &Partition, batch: &StoredBatch, limits: &Limits, in_segments: bool) -> Result<(), String> {
    for found in batch.records(limits).map_err(|error| error.to_string())? {
        let (offset, record) = found.map_err(|error| error.to_string())?;
        let (key, change) = Change::from_record(record);
        let deleted = match change {
            Change::Operation(_) => continue,
            Change::Put(_) => false,
            Change::Delete => true,
        };
        partition.with(|state| match state.latest().and_then(|latest| latest.get(&key[..])) {
            // Segments are read after the journal, and hold what is older.
            Some(newer) if in_segments && newer.offset() >= offset => {
                let newer = *newer;
                state.note_latest(&key, newer.offset(), newer.is_deleted(), true);
            }
            _ => state.note_latest(&key, offset, deleted, in_segments),
        });
    }
    Ok(())
}

fn damaged(path: &Path, byte: u64, reason: &str) -> OpenError {
    OpenError::Damaged { path: path.to_owned(), byte, reason: reason.to_owned() }
}

fn journal_starts(disk: &Disk, directory: &Path) -> std::io::Result<Vec<u64>> {
    let mut starts = Vec::new();
    for entry in disk.names(directory)? {
        let path = directory.join(entry.name);
        let stem = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<u64>().ok());
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("journal") => starts.extend(stem),
            Some("spare") => disk.remove_file(&path)?,
            _ => {}
        }
    }
    starts.sort_unstable();
    Ok(starts)
}

fn directory_names(disk: &Disk, root: &Path) -> std::io::Result<HashSet<String>> {
    let names = disk.names(root)?.into_iter().filter(|entry| entry.is_directory);
    Ok(names.map(|entry| entry.name).collect())
}
