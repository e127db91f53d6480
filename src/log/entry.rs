//! What is written in one atomic step: bodies, where each goes, and changes of state.
//!
//! Offsets are reserved as writes are added, so one writer at a time builds an entry and appends it.

use std::sync::Arc;

use bytes::Bytes;
use smallvec::{SmallVec, smallvec};

use super::embedded::Partition;
use super::lsn::Durability;
use super::record::BatchBuilder;
use super::state::{Change, StateRecord, Table};
use super::topic::Topic;

/// A batch of a table is closed at this size, in bytes: one record of it is read, rewritten or kept at a time.
const TABLE_BATCH_BYTES: usize = 1 << 20;

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

/// What is there after a crash as a whole, or not at all.
#[derive(Debug)]
pub struct Entry {
    pub(crate) writes: Vec<Write>,
    durability: Durability,
}

impl Default for Entry {
    fn default() -> Self {
        Self { writes: Vec::new(), durability: Durability::Os }
    }
}

impl Entry {
    /// Nothing yet.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
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
        let mut front = Vec::with_capacity(tables.len());
        for table in tables {
            let Some(partition) = topic_of(table).and_then(|topic| topic.partition(0)) else { continue };
            let of_table: Vec<_> = records.iter().filter(|record| record.table == table).collect();
            let mut rest = of_table.as_slice();
            while !rest.is_empty() {
                let (write, taken) = table_write(rest, Arc::clone(&partition), timestamp_ms);
                front.push(write);
                rest = rest.get(taken..).unwrap_or_default();
            }
        }
        // The catalog first: the partitions that other tables speak of are in it.
        front.sort_by_key(|write| write.targets.first().map(|target| target.partition.id()));
        front.append(&mut self.writes);
        self.writes = front;
    }
}

/// A batch of the first of the changes, and how many there are in it.
fn table_write(records: &[&StateRecord], partition: Arc<Partition>, timestamp_ms: i64) -> (Write, usize) {
    let mut batch = BatchBuilder::new();
    for record in records {
        batch.push(&record.change.to_record(&record.key, timestamp_ms));
        if batch.size_bytes() >= TABLE_BATCH_BYTES {
            break;
        }
    }
    let taken = batch.len();
    let span = u32::try_from(batch.len()).unwrap_or(u32::MAX);
    let base_offset = partition.reserve(span);
    partition.with(|state| {
        for (offset, record) in (base_offset..).zip(records.iter().take(taken)) {
            match record.change {
                Change::Operation(_) => {}
                Change::Put(_) => state.note_latest(&record.key, offset, false, false),
                Change::Delete => state.note_latest(&record.key, offset, true, false),
            }
        }
    });
    let write = Write {
        targets: smallvec![Placement { partition, base_offset }],
        span,
        batch: batch.finish(),
        max_timestamp_ms: timestamp_ms,
        is_broadcast: false,
    };
    (write, taken)
}
