//! The log: topics of partitions of records, appended atomically and kept durably.
//!
//! This is all that the layers above see of it. It names nothing of files and knows no dialect; Kafka's record batch is its
//! own format. What is appended is durable once [`Log::is_durable`] says so of the barrier that the append returned, and
//! readers that stay below the durable bound never see what a crash can take back.

mod embedded;
mod entry;
mod error;
mod lsn;
mod name;
mod pace;
mod producers;
pub mod record;
mod retention;
pub mod runs;
mod state;
mod stats;
mod stored;
mod topic;
mod transactions;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;

#[cfg(test)]
pub(crate) use embedded::simulated;
pub use embedded::{Bounds, LogSettings, Partition, Watermarks, inspect, replay_any};
pub use entry::{Entry, Placement, Write};
pub use error::{OpenError, ReadError, Refused, TopicError};
pub use lsn::{Barrier, Durability, Lsn, Progress, Signal};
pub use name::{NAME_BYTES_MAX, TopicName};
pub use producers::{ProducerSnapshot, SequenceError, Verdict};
pub use retention::{Holders, Keeper, Needs};
pub use state::{Change, StateRecord, Table};
pub use stats::{COMMIT_BOUNDS, CleaningStats, CommitSizesSnapshot, LATENCY_BOUNDS_US, LatencySnapshot, LogStats, Removal, Room};
pub use stored::StoredBatch;
pub use topic::{Cleanup, Partitioner, SegmentSettings, Topic, TopicId, TopicSettings};
pub use transactions::Aborted;

use embedded::Engine;
use record::{BatchHeader, Limits, Outcome};
use runs::RunSet;

/// What a batch may hold besides the largest record's value: its key and headers, and records that came before it.
const BATCH_ROOM_BYTES: usize = 1 << 20;

/// Up to where a reader may look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// What no crash can take back.
    Durable,
    /// Of that, what lies before the first transaction without an outcome.
    Stable,
    /// Everything appended. For those whose own output is gated by a later position.
    End,
}

impl Bounds {
    /// The offset that a bound stands for.
    pub fn of(&self, bound: Bound) -> u64 {
        match bound {
            Bound::Durable => self.durable,
            Bound::Stable => self.stable,
            Bound::End => self.end,
        }
    }
}

/// The turn of the one who writes. Taken again by the same thread it costs nothing.
pub struct Turn<'a>(#[allow(dead_code)] parking_lot::ReentrantMutexGuard<'a, ()>);

/// A handle on the log; clones share it.
#[derive(Clone)]
pub struct Log {
    engine: Arc<Engine>,
    limits: Limits,
    threads: Arc<Mutex<Vec<std::thread::JoinHandle<()>>>>,
}

impl Log {
    /// Opens the log, making it where there is none.
    pub fn open(settings: LogSettings) -> Result<Self, OpenError> {
        let limits = settings.limits;
        let (engine, threads) = Engine::open(settings)?;
        Ok(Self { engine, limits, threads: Arc::new(Mutex::new(threads)) })
    }

    /// Refuses further appends, waits until everything is on disk, and ends. Blocks.
    pub fn close(&self) {
        self.engine.stop();
        for thread in self.threads.lock().drain(..) {
            let _ = thread.join();
        }
    }

    /// Who is asked what views need before records go.
    pub fn set_keeper(&self, keeper: Arc<dyn Keeper>) {
        self.engine.set_keeper(keeper);
    }

    /// What a record batch may be.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The topic of a name.
    pub fn topic(&self, name: &TopicName) -> Option<Arc<Topic>> {
        self.engine.topic(name)
    }

    /// The topic of an identity.
    pub fn topic_by_id(&self, id: TopicId) -> Option<Arc<Topic>> {
        self.engine.topic_by_id(id)
    }

    /// All topics, internal ones included, in no order.
    pub fn topics(&self) -> Vec<Arc<Topic>> {
        self.engine.topics()
    }

    /// Differs from what it was as soon as a topic or partition came or went: who asks again need not look before.
    pub fn catalog_version(&self) -> u64 {
        self.engine.catalog_version()
    }

    /// The batches from the one that holds `from` on, up to `bytes_max` but at least one if there is any below the bound.
    ///
    /// The first may begin before `from`. Nothing at the bound itself: an empty answer.
    pub fn read(&self, partition: &Partition, from: u64, bytes_max: usize, bound: Bound) -> Result<Vec<StoredBatch>, ReadError> {
        let bounds = partition.bounds();
        let end = bounds.of(bound);
        if from < bounds.log_start || from > bounds.durable.max(end) {
            return Err(ReadError::OutOfRange { offset: from, log_start: bounds.log_start, end });
        }
        if from >= end {
            return Ok(Vec::new());
        }
        self.engine.read(partition, from, bytes_max, end)
    }

    /// The aborted transactions of a partition that had records in `from..to`, in the order of their markers.
    pub fn aborted(&self, partition: &Partition, from: u64, to: u64) -> Result<Vec<Aborted>, ReadError> {
        Ok(self.engine.aborted(partition, from, to))
    }

    /// The first record of this time or later below a bound: its offset and timestamp, in milliseconds.
    pub fn offset_for_time(
        &self,
        partition: &Partition,
        timestamp_ms: i64,
        bound: Bound,
    ) -> Result<Option<(u64, i64)>, ReadError> {
        let bounds = partition.bounds();
        let end = bounds.of(bound);
        let mut from = bounds.log_start;
        while let Some(batch) = self.engine.find_time(partition, timestamp_ms, from)?.filter(|batch| batch.base_offset < end) {
            for found in batch.records(&self.limits).map_err(|error| corrupt(partition, &batch, &error))? {
                let (offset, record) = found.map_err(|error| corrupt(partition, &batch, &error))?;
                if record.timestamp_ms >= timestamp_ms && offset >= bounds.log_start && offset < end {
                    return Ok(Some((offset, record.timestamp_ms)));
                }
            }
            // The record that has the newest time of its batch may be trimmed, or compacted away.
            from = batch.last_offset + 1;
        }
        Ok(None)
    }

    /// Whether what waits for a barrier may leave.
    pub fn is_durable(&self, barrier: Barrier) -> bool {
        self.engine.durable().is_durable(barrier)
    }

    /// How far the journal has come.
    pub fn progress(&self) -> Progress {
        self.engine.durable().progress()
    }

    /// Notifies the signal once, when a barrier is passed or never will be; at once if it is.
    pub fn wake_at(&self, barrier: Barrier, signal: &Signal) {
        self.engine.durable().wake_at(barrier, signal);
    }

    /// Waits until a barrier is passed.
    pub async fn when_durable(&self, barrier: Barrier) -> Result<(), Refused> {
        self.engine.durable().when_durable(barrier).await
    }

    /// Passes the barrier on the calling thread if nobody else waits for the disk: blocks for a sync then. Whether it is
    /// passed. Only for a task that has nothing else to do until it is, and holds nothing.
    pub fn press(&self, barrier: Barrier) -> bool {
        self.engine.press(barrier)
    }

    /// Why nothing is accepted any more, if that is so: a write or sync has failed.
    pub fn poisoned(&self) -> Option<Arc<str>> {
        self.engine.durable().failure()
    }

    /// One past the newest entry.
    pub fn end(&self) -> Lsn {
        self.engine.end()
    }

    /// Passed once everything appended by now is as safe as it asked to be.
    pub fn barrier(&self) -> Barrier {
        self.engine.barrier()
    }

    /// Whether an entry would be taken now.
    pub fn admit(&self) -> Result<(), Refused> {
        self.poisoned().map_or(Ok(()), |reason| Err(Refused::Poisoned(reason)))
    }

    /// Whether records would be taken now. What frees room is taken longer than they are.
    pub fn admit_records(&self) -> Result<(), Refused> {
        self.admit()?;
        self.engine.pressure().admit()
    }

    /// How much room the disk has, and how many bytes that is.
    pub fn room(&self) -> (Room, u64) {
        let pressure = self.engine.pressure();
        (pressure.room(), pressure.available_bytes())
    }

    /// Where there is too little room.
    pub fn watermarks(&self) -> Watermarks {
        self.engine.pressure().marks()
    }

    /// Notifies the signal once, when records are taken again after [`Refused::DiskFull`], or never will be.
    pub fn wake_at_room(&self, signal: &Signal) {
        self.engine.pressure().wake_at_room(signal);
        // It may have failed just before; who fails it wakes those who wait afterwards.
        if self.poisoned().is_some() {
            signal.notify_one();
        }
    }

    /// How long who has just written records is to wait before it writes more; none: there is room.
    pub fn pause(&self) -> Option<Duration> {
        self.engine.pressure().pause(Instant::now())
    }

    /// The turn to write, held while offsets are reserved and until the entry is appended.
    pub fn turn(&self) -> Turn<'_> {
        Turn(self.engine.turn())
    }

    /// Writes one atomic entry whose offsets were reserved. The caller holds the turn.
    pub fn append(&self, entry: &Entry) -> Result<Barrier, Refused> {
        self.engine.append(entry)
    }

    /// The topic that a table of state is kept in, made if it is missing.
    pub fn open_table(&self, table: Table) -> Result<Arc<Topic>, Refused> {
        self.engine.open_table(table)
    }

    /// Everything that a table holds and what was done to it since, oldest first.
    pub fn read_table(&self, table: Table) -> Result<Vec<(Bytes, Change)>, ReadError> {
        let mut changes = Vec::new();
        self.each_change(table, |key, change| {
            changes.push((key, change));
            Ok::<_, ReadError>(())
        })?;
        Ok(changes)
    }

    /// The same one by one, for tables with a change for each of very many names: what is kept of one must be a copy, or the whole
    /// batch that it was read with stays in memory.
    ///
    /// # Errors
    /// What cannot be read, and the first that `each` returns.
    pub fn each_change<E: From<ReadError>>(
        &self,
        table: Table,
        mut each: impl FnMut(Bytes, Change) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(partition) = self.engine.table(table).and_then(|topic| topic.partition(0)) else { return Ok(()) };
        let bounds = partition.bounds();
        let mut from = bounds.log_start;
        while from < bounds.end {
            let batches = self.read(&partition, from, 1 << 20, Bound::End)?;
            let Some(last) = batches.last() else { break };
            from = last.last_offset + 1;
            for batch in &batches {
                let records = batch.records(&Limits::STORED).map_err(|error| corrupt(&partition, batch, &error))?;
                for found in records {
                    let (_, record) = found.map_err(|error| corrupt(&partition, batch, &error))?;
                    let (key, change) = Change::from_record(record);
                    each(key, change)?;
                }
            }
        }
        Ok(())
    }

    /// Makes a topic. The record must be part of the same entry as the first write to it.
    pub fn create_topic(
        &self,
        name: &TopicName,
        partitions: u32,
        settings: TopicSettings,
    ) -> Result<(Arc<Topic>, StateRecord), TopicError> {
        self.engine.create_topic(name, partitions, self.within_limits(settings))
    }

    /// Adds partitions up to a total.
    pub fn add_partitions(&self, name: &TopicName, total: u32) -> Result<StateRecord, TopicError> {
        self.engine.add_partitions(name, total)
    }

    /// Changes a topic's settings.
    pub fn change_topic(&self, name: &TopicName, settings: TopicSettings) -> Result<StateRecord, TopicError> {
        self.engine.change_topic(name, self.within_limits(settings))
    }

    /// A record that is taken must fit a batch that can be read.
    fn within_limits(&self, settings: TopicSettings) -> TopicSettings {
        let most = u32::try_from(self.limits.batch_bytes_max.saturating_sub(BATCH_ROOM_BYTES)).unwrap_or(u32::MAX);
        TopicSettings { max_message_bytes: settings.max_message_bytes.min(most), ..settings }
    }

    /// Takes a topic out of the catalog, with all its records.
    pub fn delete_topic(&self, name: &TopicName) -> Result<Vec<StateRecord>, TopicError> {
        self.engine.delete_topic(name)
    }

    /// Forgets the records of a partition before an offset and returns the new log start; the record makes that durable.
    pub fn trim(&self, partition: &Partition, to: u64) -> (u64, StateRecord) {
        let log_start = self.engine.trim(partition, to);
        (log_start, self.engine.partition_record(partition))
    }

    /// Leaves out the offsets of a partition before one, which must not lie before its end; the record makes that durable.
    pub fn skip_to(&self, partition: &Partition, offset: u64) -> StateRecord {
        partition.with(|state| {
            if state.log_start == state.end {
                state.log_start = state.log_start.max(offset);
            }
            state.end = state.end.max(offset);
        });
        self.engine.partition_record(partition)
    }

    /// What to do with a batch of a producer, and its offsets if it is to be written.
    pub fn reserve(&self, partition: &Partition, header: &BatchHeader, now_ms: i64) -> Result<(Verdict, u64), SequenceError> {
        partition.reserve_batch(header, now_ms)
    }

    /// The offset of a marker that ends a producer's transaction in a partition, and the records that it decides on. A newer
    /// epoch than the producer's fences it.
    pub fn reserve_marker(
        &self,
        partition: &Partition,
        producer_id: i64,
        epoch: i16,
        outcome: Outcome,
        now_ms: i64,
    ) -> (u64, RunSet) {
        partition.reserve_marker(producer_id, epoch, outcome, now_ms)
    }

    /// Retires the oldest journal file now, if there is more than one. Blocks.
    pub fn retire_oldest(&self) -> std::io::Result<bool> {
        self.engine.retire_oldest()
    }

    /// Lets retention have its way now. Blocks.
    pub fn expire_now(&self) -> std::io::Result<()> {
        self.engine.expire()
    }

    /// Cleans what is due for it now. Blocks.
    pub fn clean_now(&self) -> std::io::Result<()> {
        self.engine.clean()
    }

    /// Does at once what is otherwise done from time to time.
    #[cfg(test)]
    fn maintain(&self) -> std::io::Result<()> {
        self.engine.maintain()
    }

    /// The counters as they stand.
    pub fn stats(&self) -> LogStats {
        self.engine.stats()
    }
}

fn corrupt(partition: &Partition, batch: &StoredBatch, error: &record::BatchError) -> ReadError {
    ReadError::Corrupt {
        partition: format!("{}-{}", partition.topic_name(), partition.index()),
        offset: batch.base_offset,
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod in_flight_tests;
#[cfg(test)]
mod schedule_tests;
#[cfg(test)]
pub mod simulation;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod torn_tests;
