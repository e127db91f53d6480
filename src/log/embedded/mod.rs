//! The engine that keeps the log in this process, on local disk.
//!
//! Writes go to the journal, which all partitions share; when a journal file is retired, what some view or policy still
//! needs moves to segments, one directory a partition. Nothing outside of this folder touches files.

mod aborted;
mod alike;
mod catalog;
mod clean;
mod compacted;
#[cfg(test)]
mod damage_tests;
pub(crate) mod disk;
mod expire;
mod files;
#[cfg(test)]
mod forged_tests;
mod frame;
mod handles;
pub mod inspect;
mod journal;
mod partition;
mod pressure;
#[cfg(test)]
mod read_tests;
mod recovery;
mod refs;
#[cfg(test)]
mod removal_tests;
mod removed;
mod retire;
#[cfg(test)]
mod retire_tests;
mod scan;
mod segment;
#[cfg(test)]
mod size_tests;
mod spares;
mod tail;
#[cfg(test)]
mod testing;
mod threads;
mod watched;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Instant;

use parking_lot::{Condvar, Mutex, ReentrantMutex, ReentrantMutexGuard, RwLock};
use smallvec::SmallVec;

pub use partition::{Bounds, Partition};
pub use pressure::Watermarks;
pub use recovery::replay_any;

use super::entry::{Entry, Write};
use super::error::{OpenError, ReadError, Refused, TopicError};
use super::lsn::{Barrier, Durability, Durable, Lsn};
use super::name::TopicName;
use super::record::{Limits, is_control_batch};
use super::retention::Keeper;
use super::state::{StateRecord, Table};
use super::stats::{JournalStats, LogStats, Room};
use super::stored::StoredBatch;
use super::topic::{Topic, TopicId, TopicSettings};
use super::transactions::Aborted;
use catalog::Catalog;
use clean::Cleaning;
use disk::Disk;
#[cfg(test)]
pub(crate) use disk::simulated;
use frame::{FLAG_BROADCAST, Target, copied_bytes};
use journal::{Body, Journal};
use partition::BatchRef;
use pressure::Pressure;
use removed::Removed;
use segment::OpenFiles;

/// Where the log lies and how large its parts may become.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// The data directory.
    pub directory: PathBuf,
    /// The file system that it lies in.
    pub disk: Disk,
    /// The size at which a new journal file is begun, in bytes.
    pub journal_file_bytes: u64,
    /// The size of the journal above which its oldest file is retired, in bytes.
    pub journal_retain_bytes: u64,
    /// What is acknowledged when, where a topic does not say.
    pub durability: Durability,
    /// How long what asks for [`Durability::Interval`] may stay unsynced, in milliseconds.
    pub sync_interval_ms: u64,
    /// How much of the newest written data stays in memory, in bytes.
    pub memory_tail_bytes: usize,
    /// How much may be appended and not written yet; whoever writes more waits; in bytes.
    pub in_flight_bytes_max: u64,
    /// The size at which a new segment is begun unless the topic says otherwise, in bytes.
    pub segment_bytes: u64,
    /// How much time a segment spans unless the topic says otherwise, in milliseconds.
    pub segment_ms: u64,
    /// How many files of segments stay open between reads.
    pub open_segment_files_max: usize,
    /// When the disk has too little room.
    pub watermarks: Watermarks,
    /// How often retention and the size of the journal are looked at, in milliseconds.
    pub maintenance_interval_ms: u64,
    /// How often retention is looked at, in milliseconds.
    pub retention_interval_ms: u64,
    /// How often it is looked at whether something is to be cleaned, in milliseconds.
    pub cleaning_interval_ms: u64,
    /// How fast segments are rewritten, in bytes a second, counting what is read and what is written.
    pub cleaning_bytes_per_s: u64,
    /// What the keys take that are compacted in one go, in bytes.
    pub compaction_memory_bytes: usize,
    /// What a record batch may be.
    pub limits: Limits,
    /// The most topics there may be.
    pub topics_max: usize,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            directory: PathBuf::from("data"),
            disk: Disk::default(),
            journal_file_bytes: 64 << 20,
            journal_retain_bytes: 256 << 20,
            durability: Durability::Fsync,
            sync_interval_ms: 1000,
            memory_tail_bytes: 64 << 20,
            in_flight_bytes_max: 64 << 20,
            segment_bytes: 512 << 20,
            segment_ms: 7 * 24 * 3_600_000,
            open_segment_files_max: 1_000,
            watermarks: Watermarks::default(),
            maintenance_interval_ms: 500,
            retention_interval_ms: 30_000,
            cleaning_interval_ms: 15_000,
            cleaning_bytes_per_s: 64 << 20,
            compaction_memory_bytes: 32 << 20,
            limits: Limits::default(),
            topics_max: 2_000_000,
        }
    }
}

/// The engine.
pub struct Engine {
    settings: LogSettings,
    journal: Journal,
    catalog: RwLock<Catalog>,
    keeper: RwLock<Option<Arc<dyn Keeper>>>,
    stats: Arc<JournalStats>,
    segment_files: OpenFiles,
    removed: Removed,
    cleaning: Cleaning,
    turn: ReentrantMutex<()>,
    /// Held while a journal file is being retired.
    retiring: Mutex<()>,
    stopping: Mutex<bool>,
    stopped: Condvar,
    /// There is something for maintenance to do before its time.
    maintenance_due: Condvar,
}

/// How often a read looks again when the files it was about to read have moved on.
const READ_ATTEMPTS: u32 = 8;

/// How many bytes of one entry's targets are kept without allocation.
type Targets = SmallVec<[Target; 4]>;

impl Engine {
    /// Opens or makes the data directory, replays the journal, and starts the threads of the log.
    pub fn open(settings: LogSettings) -> Result<(Arc<Self>, Vec<JoinHandle<()>>), OpenError> {
        let segment_files = OpenFiles::new(settings.disk.clone(), settings.open_segment_files_max);
        let recovered = recovery::recover(&settings, &segment_files)?;
        let stats = Arc::new(JournalStats::default());
        stats.files.store(recovered.files.len() as u64, Ordering::Relaxed);
        let journal =
            Journal::new(&settings, recovered.files, (recovered.next, recovered.salt), recovered.durable, Arc::clone(&stats));
        let engine = Arc::new(Self {
            settings,
            journal,
            catalog: RwLock::new(recovered.catalog),
            keeper: RwLock::new(None),
            stats,
            segment_files,
            removed: Removed::default(),
            cleaning: Cleaning::default(),
            turn: ReentrantMutex::new(()),
            retiring: Mutex::new(()),
            stopping: Mutex::new(false),
            stopped: Condvar::new(),
            maintenance_due: Condvar::new(),
        });
        let threads = engine.start().map_err(OpenError::io("starting the threads of", engine.settings.directory.clone()))?;
        engine.drop_transient_topics();
        Ok((engine, threads))
    }

    /// How much room the disk has left.
    pub fn pressure(&self) -> &Pressure {
        self.journal.pressure()
    }

    /// Who knows what the views need.
    pub fn set_keeper(&self, keeper: Arc<dyn Keeper>) {
        *self.keeper.write() = Some(keeper);
    }

    /// Topics that were declared not durable are gone after a restart.
    fn drop_transient_topics(&self) {
        let transient: Vec<_> =
            self.topics().into_iter().filter(|topic| !topic.settings().durable).map(|topic| topic.name().clone()).collect();
        for name in transient {
            if let Ok(records) = self.delete_topic(&name) {
                let _ = self.append_state(&records);
            }
        }
    }

    /// What is on disk.
    pub fn durable(&self) -> &Arc<Durable> {
        self.journal.durable()
    }

    /// One past the last entry.
    pub fn end(&self) -> Lsn {
        self.journal.end()
    }

    /// Passed once everything appended by now is as safe as it asked to be.
    pub fn barrier(&self) -> Barrier {
        self.journal.barrier()
    }

    /// Writes and syncs on the calling thread if nobody else waits for that. Whether the barrier is passed.
    pub fn press(&self, barrier: Barrier) -> bool {
        self.journal.press(barrier)
    }

    /// Writes one atomic entry; its offsets have been reserved.
    pub fn append(&self, entry: &Entry) -> Result<Barrier, Refused> {
        if entry.writes.is_empty() {
            return Ok(Barrier::NONE);
        }
        let bodies =
            entry.writes.iter().map(|write| Body { targets: targets(write).into_iter(), span: write.span, bytes: &write.batch });
        let copied_bytes = copied_bytes(entry.writes.iter().map(|write| (write.targets.len(), write.batch.len())));
        let durability = entry.durability();
        let lsn = self.journal.append(bodies, copied_bytes, durability, |index, position, lsn| {
            if let Some(write) = entry.writes.get(index) {
                place(write, position, Barrier::at(lsn, durability), entry.now_ms());
            }
        })?;
        self.stats.entries.fetch_add(1, Ordering::Relaxed);
        let records: u64 = entry.writes.iter().map(|write| u64::from(write.span) * write.targets.len() as u64).sum();
        self.stats.records.fetch_add(records, Ordering::Relaxed);
        if self.pressure().room() > Room::Ample {
            let bytes: usize = entry.writes.iter().map(|write| write.batch.len()).sum();
            self.pressure().wrote(bytes as u64, Instant::now());
        }
        Ok(Barrier::at(lsn, durability))
    }

    /// Held from the first offset that is reserved until the entry is appended, so that offsets lie in the journal in
    /// their order, and nobody writes down bounds or producers that run ahead of the journal.
    pub fn turn(&self) -> ReentrantMutexGuard<'_, ()> {
        self.turn.lock()
    }

    /// Writes changes of the log's own tables.
    fn append_state(&self, records: &[StateRecord]) -> Result<Barrier, Refused> {
        let _turn = self.turn();
        let mut entry = Entry::default();
        entry.add_state(records, |table| self.table(table), 0);
        self.append(&entry)
    }

    /// The batches from the one that holds `from` on, up to `bytes_max` but at least one if there is any below `bound`.
    pub fn read(&self, partition: &Partition, from: u64, bytes_max: usize, bound: u64) -> Result<Vec<StoredBatch>, ReadError> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.read_once(partition, from, bytes_max, bound) {
                // Its file was retired or replaced meanwhile: what was needed of it is in segments now. Of a topic that was
                // deleted nothing is.
                Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound && attempts < READ_ATTEMPTS => {}
                found => return found,
            }
        }
    }

    fn read_once(&self, partition: &Partition, from: u64, bytes_max: usize, bound: u64) -> Result<Vec<StoredBatch>, ReadError> {
        let (in_journal, segments, first_in_journal) = partition.with(|state| {
            let batches = state.journal_batches(from, bound, bytes_max);
            let first = state.refs.front().map(|batch| batch.base_offset);
            (batches, Arc::clone(&state.segments), first)
        });
        if let Some(refs) = in_journal {
            return self.read_refs(partition, &refs);
        }
        let mut found = segments.read(from, bytes_max)?;
        found.retain(|batch| batch.base_offset < bound);
        if !found.is_empty() {
            return Ok(found);
        }
        let Some(first) = first_in_journal.filter(|first| *first < bound) else { return Ok(Vec::new()) };
        self.read_refs(partition, &partition.with(|state| state.journal_batches(first, bound, bytes_max)).unwrap_or_default())
    }

    fn read_refs(&self, partition: &Partition, refs: &[BatchRef]) -> Result<Vec<StoredBatch>, ReadError> {
        let mut found = Vec::with_capacity(refs.len());
        for batch in refs {
            let (position, length) = (batch.position, batch.bytes as usize);
            let stored = |bytes| StoredBatch::new(batch.base_offset, batch.span, bytes);
            found.push(match self.journal.in_memory(position, length) {
                Some(bytes) => stored(bytes),
                None => intact(partition, stored(self.journal.in_file(position, length)?))?,
            });
        }
        Ok(found)
    }

    /// The aborted transactions of a partition that had records in `from..to`, in the order of their markers.
    pub fn aborted(&self, partition: &Partition, from: u64, to: u64) -> Vec<Aborted> {
        partition.with(|state| state.aborted_in(from, to))
    }

    /// The first batch that reaches an offset and says that it holds a record of this time or later.
    pub fn find_time(&self, partition: &Partition, timestamp_ms: i64, from: u64) -> Result<Option<StoredBatch>, ReadError> {
        let (segments, in_journal) = partition.with(|state| {
            let mut batches = state.refs.range(state.refs.index_beyond(from)..);
            (Arc::clone(&state.segments), batches.find(|batch| batch.max_timestamp_ms >= timestamp_ms).copied())
        });
        if let Some(batch) = segments.find_time(timestamp_ms, from)? {
            return Ok(Some(batch));
        }
        let Some(found) = in_journal else { return Ok(None) };
        Ok(self.read(partition, found.base_offset, 1, found.next_offset())?.into_iter().next())
    }

    /// The topic of a name.
    pub fn topic(&self, name: &TopicName) -> Option<Arc<Topic>> {
        self.catalog.read().topic(name)
    }

    /// A partition and its topic, unless it was deleted.
    fn partition_of(&self, number: u32) -> Option<(Arc<Topic>, Arc<Partition>)> {
        let catalog = self.catalog.read();
        let partition = catalog.partition(number)?;
        Some((catalog.topic(partition.topic_name())?, partition))
    }

    /// The topic of an identity.
    pub fn topic_by_id(&self, id: TopicId) -> Option<Arc<Topic>> {
        self.catalog.read().topic_by_id(id)
    }

    /// All topics, internal ones included.
    pub fn topics(&self) -> Vec<Arc<Topic>> {
        self.catalog.read().topics()
    }

    /// See [`crate::log::Log::catalog_version`].
    pub fn catalog_version(&self) -> u64 {
        self.catalog.read().version()
    }

    /// The topic that a table is kept in, if it was opened.
    pub fn table(&self, table: Table) -> Option<Arc<Topic>> {
        self.topic(&catalog::table_name(table))
    }

    /// Makes a table if it is missing.
    pub fn open_table(&self, table: Table) -> Result<Arc<Topic>, Refused> {
        if let Some(topic) = self.table(table) {
            return Ok(topic);
        }
        let made = self.catalog.write().create(&catalog::table_name(table), 1, catalog::table_settings());
        match made {
            Ok((topic, record)) => self.append_state(&[record]).map(|_| topic),
            Err(_) => self.table(table).ok_or(Refused::ShuttingDown),
        }
    }

    /// Makes a topic; the record makes it durable.
    pub fn create_topic(
        &self,
        name: &TopicName,
        partitions: u32,
        settings: TopicSettings,
    ) -> Result<(Arc<Topic>, StateRecord), TopicError> {
        self.catalog.write().create(name, partitions, settings)
    }

    /// Adds partitions up to a total; the record makes them durable.
    pub fn add_partitions(&self, name: &TopicName, total: u32) -> Result<StateRecord, TopicError> {
        self.catalog.write().add_partitions(name, total)
    }

    /// Changes settings; the record makes the change durable.
    pub fn change_topic(&self, name: &TopicName, settings: TopicSettings) -> Result<StateRecord, TopicError> {
        self.catalog.write().change(name, settings)
    }

    /// Takes a topic out; the records make that durable. Its files go with the next maintenance.
    pub fn delete_topic(&self, name: &TopicName) -> Result<Vec<StateRecord>, TopicError> {
        let (topic, records) = self.catalog.write().delete(name)?;
        self.removed.topic(&topic, self.journal.end());
        Ok(records)
    }

    /// Forgets what lies before an offset; space is freed when the files allow it.
    pub fn trim(&self, partition: &Partition, to: u64) -> u64 {
        let durable = partition.bounds().durable;
        let log_start = partition.with(|state| {
            state.log_start = state.log_start.max(to.min(durable));
            state.log_start
        });
        partition.note_change();
        log_start
    }

    /// The counters as they stand.
    pub fn stats(&self) -> LogStats {
        let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let stats = &self.stats;
        LogStats {
            entries: load(&stats.entries),
            records: load(&stats.records),
            syncs: load(&stats.syncs),
            journal_written_bytes: load(&stats.bytes),
            journal_live_bytes: self.journal.live_bytes(),
            journal_files: load(&stats.files),
            journal_retired: load(&stats.retired),
            segment_written_bytes: load(&stats.segment_bytes),
            tail_bytes: load(&stats.tail_bytes),
            tail_bytes_max: self.settings.memory_tail_bytes as u64,
            in_flight_bytes: self.journal.in_flight_bytes(),
            in_flight_bytes_max: self.settings.in_flight_bytes_max,
            held_back: load(&stats.held_back),
            topics: self.catalog.read().public_count() as u64,
            removed: self.removed.counts(),
            segment_files_open: self.segment_files.open(),
            segment_files_opened: self.segment_files.opened(),
            segment_files_deleted: self.removed.waiting(),
            cleaning: self.cleaning.stats(),
            disk_available_bytes: self.pressure().available_bytes(),
            disk_room: self.pressure().room(),
            disk_refused: self.pressure().refused(),
            disk_paused_us: self.pressure().paused_us(),
            write: stats.write.snapshot(),
            sync: stats.sync.snapshot(),
            commits: stats.commits.snapshot(),
        }
    }

    /// What keeps a partition's bounds and producers as they are now.
    pub fn partition_record(&self, partition: &Partition) -> StateRecord {
        catalog::partition_put(partition)
    }
}

/// What has been damaged on disk is named and never served. What was checked as it came in and is in memory still is not
/// checked again: it costs as much as the copy into a response.
fn intact(partition: &Partition, batch: StoredBatch) -> Result<StoredBatch, ReadError> {
    if batch.is_intact() {
        return Ok(batch);
    }
    Err(ReadError::Corrupt {
        partition: format!("{}-{}", partition.topic_name(), partition.index()),
        offset: batch.base_offset,
        reason: "the checksum is not that of the bytes".to_owned(),
    })
}

fn targets(write: &Write) -> Targets {
    let flags = if write.is_broadcast { FLAG_BROADCAST } else { 0 };
    write
        .targets
        .iter()
        .map(|target| Target { partition: target.partition.id(), flags, base_offset: target.base_offset })
        .collect()
}

fn place(write: &Write, position: u64, barrier: Barrier, now_ms: Option<i64>) {
    for target in &write.targets {
        let batch = BatchRef {
            base_offset: target.base_offset,
            position,
            bytes: u32::try_from(write.batch.len()).unwrap_or(u32::MAX),
            span: write.span,
            max_timestamp_ms: write.max_timestamp_ms,
            is_control: is_control_batch(&write.batch),
        };
        target.partition.placed(batch, barrier, write.is_broadcast, now_ms);
    }
}
