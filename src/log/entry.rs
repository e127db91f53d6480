//! What is written in one atomic step: bodies, where each goes, and changes of state.
//!
//! Offsets are reserved as writes are added, so one writer at a time builds an entry and appends it.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use smallvec::{SmallVec, smallvec};

use super::embedded::Partition;
use super::lsn::Durability;
use super::record::BatchBuilder;
use super::state::{Change, StateRecord, Table};
use super::topic::Topic;

/// A batch of a table is closed at this size, in bytes: one record of it is read, rewritten or kept at a time.
const TABLE_BATCH_BYTES: usize = 1 << 20;
/// Up to this size a batch is copied rather than given memory of its own, in bytes.
const SMALL_BYTES: usize = 64 << 10;
/// An entry that is used again keeps memory for so many writes.
const WRITES_KEPT: usize = 1024;

/// A partition and the offset of a body's first record in it.
#[derive(Debug, Clone)]
pub struct Placement {
    /// Where it goes.
    pub partition: Arc<Partition>,
    /// The offset that was reserved.
    pub base_offset: u64,
}

/// One record batch and the places it goes to.
#[derive(Debug, Clone)]
pub struct Write {
    /// Where it goes; at least one.
    pub targets: SmallVec<[Placement; 1]>,
    /// How many offsets it takes in each.
    pub span: u32,
    /// The batch.
    pub batch: Bytes,
    /// The newest timestamp in it, in milliseconds.
    pub max_timestamp_ms: i64,
    /// Whether it was written for listeners.
    pub is_broadcast: bool,
}

/// What is there after a crash as a whole, or not at all. It can be used again once it was appended, and keeps its memory then.
#[derive(Debug)]
pub struct Entry {
    pub(crate) writes: Vec<Write>,
    durability: Durability,
    /// When it is written, in milliseconds since 1970, if that is of interest.
    now_ms: Option<i64>,
    /// Where small batches lie until they are in the journal.
    room: BytesMut,
    /// The memory of the batch before.
    spare: BatchBuilder,
}

impl Default for Entry {
    fn default() -> Self {
        Self { writes: Vec::new(), durability: Durability::Os, now_ms: None, room: BytesMut::new(), spare: BatchBuilder::new() }
    }
}

impl Entry {
    /// Nothing yet.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// It is written at a time, in milliseconds since 1970: its records count for the rates of their partitions.
    pub(crate) fn set_time(&mut self, now_ms: i64) {
        self.now_ms = Some(now_ms);
    }

    pub(crate) fn now_ms(&self) -> Option<i64> {
        self.now_ms
    }

    /// Nothing again.
    pub(crate) fn clear(&mut self) {
        self.writes.clear();
        self.writes.shrink_to(WRITES_KEPT);
        (self.durability, self.now_ms) = (Durability::Os, None);
    }

    /// An empty batch, to be ended by [`Self::end_batch`].
    pub(crate) fn begin_batch(&mut self) -> BatchBuilder {
        std::mem::take(&mut self.spare)
    }

    /// The bytes of a batch of this entry.
    pub(crate) fn end_batch(&mut self, mut batch: BatchBuilder) -> Bytes {
        if batch.size_bytes() > SMALL_BYTES {
            return batch.finish();
        }
        let bytes = batch.finish_in(self.room(batch.size_bytes()));
        self.spare = batch;
        bytes
    }

    /// A copy of a few bytes.
    pub(crate) fn copy(&mut self, bytes: &[u8]) -> Bytes {
        let room = self.room(bytes.len());
        room.extend_from_slice(bytes);
        room.split().freeze()
    }

    /// Room for so many bytes. It is asked for in large pieces, each for many entries.
    fn room(&mut self, bytes: usize) -> &mut BytesMut {
        if self.room.capacity() < bytes {
            self.room.reserve(bytes.max(SMALL_BYTES));
        }
        &mut self.room
    }

    /// Adds a body whose offsets were reserved.
    pub(crate) fn add(&mut self, write: Write) {
        let asked = write.targets.iter().map(|target| target.partition.durability()).max();
        self.require(asked.unwrap_or_default());
        self.writes.push(write);
    }

    /// The entry is at least so safe before anything that depends on it leaves.
    pub(crate) fn require(&mut self, durability: Durability) {
        self.durability = self.durability.max(durability);
    }

    /// What must have happened to it before anything that depends on it leaves.
    pub(crate) fn durability(&self) -> Durability {
        self.durability
    }

    /// The batch that holds an offset of a partition, and the offset it begins at.
    pub fn batch_of(&self, partition: &Partition, offset: u64) -> Option<(u64, Bytes)> {
        self.writes.iter().find_map(|write| {
            let placed = write.targets.iter().find(|target| target.partition.id() == partition.id())?;
            let range = placed.base_offset..placed.base_offset + u64::from(write.span);
            range.contains(&offset).then(|| (placed.base_offset, write.batch.clone()))
        })
    }

    /// Adds changes of state, in batches of a table each, before everything else: a topic is made before its first record.
    /// Operations are as safe as the caller [requires](Self::require), everything else is to be on disk.
    pub(crate) fn add_state(
        &mut self,
        records: &[StateRecord],
        topic_of: impl Fn(Table) -> Option<Arc<Topic>>,
        timestamp_ms: i64,
    ) {
        if records.iter().any(|record| !matches!(record.change, Change::Operation(_))) {
            self.require(Durability::Fsync);
        }
        let mut tables: SmallVec<[Table; 4]> = records.iter().map(|record| record.table).collect();
        tables.sort_unstable();
        tables.dedup();
        let before = self.writes.len();
        for table in tables {
            let Some(partition) = topic_of(table).and_then(|topic| topic.partition(0)) else { continue };
            let mut of_table = records.iter().filter(|record| record.table == table);
            while let Some(write) = self.table_write(&mut of_table, &partition, timestamp_ms) {
                self.writes.push(write);
            }
        }
        // The catalog first: the partitions that other tables speak of are in it.
        let of_tables = self.writes.get_mut(before..).unwrap_or_default();
        of_tables.sort_by_key(|write| write.targets.first().map(|target| target.partition.id()));
        self.writes.rotate_left(before);
    }

    /// A batch of the next of the changes of a table; none: there are no more.
    fn table_write<'r>(
        &mut self,
        records: &mut (impl Iterator<Item = &'r StateRecord> + Clone),
        partition: &Arc<Partition>,
        timestamp_ms: i64,
    ) -> Option<Write> {
        let first = records.clone();
        let mut batch = self.begin_batch();
        while batch.size_bytes() < TABLE_BATCH_BYTES
            && let Some(record) = records.next()
        {
            batch.push_parts(record.change.parts(&record.key), timestamp_ms);
        }
        let taken = batch.len();
        if taken == 0 {
            self.spare = batch;
            return None;
        }
        let span = u32::try_from(taken).unwrap_or(u32::MAX);
        let base_offset = partition.reserve(span);
        partition.with(|state| {
            for (offset, record) in (base_offset..).zip(first.take(taken)) {
                match record.change {
                    Change::Operation(_) => {}
                    Change::Put(_) => state.note_latest(&record.key, offset, false, false),
                    Change::Delete => state.note_latest(&record.key, offset, true, false),
                }
            }
        });
        Some(Write {
            targets: smallvec![Placement { partition: Arc::clone(partition), base_offset }],
            span,
            batch: self.end_batch(batch),
            max_timestamp_ms: timestamp_ms,
            is_broadcast: false,
        })
    }
}
