//! Who says what stays when segments are rewritten: by key, by need, or as a table of state.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use bytes::Bytes;

use super::offset_map::OffsetMap;
use super::transactions::Transactions;
use crate::log::embedded::partition::Partition;
use crate::log::record::{BatchHeader, RecordView, Stay};
use crate::log::retention::Needs;
use crate::log::stored::StoredBatch;

/// What becomes of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whole {
    /// All of it stays.
    Kept,
    /// All of it goes.
    Gone,
    /// That depends on its records.
    Look,
}

/// Says what stays.
pub trait Judge {
    /// Of a batch, before its records are looked at.
    fn batch(&mut self, batch: &StoredBatch, header: &BatchHeader) -> Whole;

    /// Of a record.
    fn record(&mut self, header: &BatchHeader, offset: u64, record: &RecordView<'_>) -> Stay;

    /// Something of a batch was left.
    fn was_left(&mut self, _header: &BatchHeader) {}
}

/// The newest record of each key stays, and what a view needs.
pub struct ByKey<'a> {
    pub newest: &'a OffsetMap,
    /// From here on nothing is known of keys.
    pub until: u64,
    pub needs: &'a Needs,
    pub transactions: &'a Transactions,
    pub now_ms: i64,
    /// Producers of which something was left since their last transaction ended.
    pub left: HashMap<i64, ()>,
    /// Spans what stays for a view's sake alone.
    pub held: Option<Range<u64>>,
}

impl ByKey<'_> {
    /// A record stays because a view needs something from an offset on.
    fn hold(&mut self, from: u64, offset: u64) -> Stay {
        let held = self.held.get_or_insert(from..offset + 1);
        *held = held.start.min(from)..held.end.max(offset + 1);
        Stay::Kept
    }

    /// What says that something was deleted or ended stays until everybody had time to see it.
    fn until_horizon(&self, header: &BatchHeader) -> Stay {
        match header.delete_horizon_ms() {
            Some(horizon_ms) if horizon_ms <= self.now_ms => Stay::Gone,
            _ => Stay::UntilHorizon,
        }
    }
}

impl Judge for ByKey<'_> {
    fn batch(&mut self, batch: &StoredBatch, header: &BatchHeader) -> Whole {
        if batch.base_offset >= self.until {
            return Whole::Kept;
        }
        if header.is_control() {
            return if self.left.remove(&header.producer_id).is_some() { Whole::Kept } else { Whole::Look };
        }
        if self.transactions.is_aborted(header, batch.base_offset) { Whole::Gone } else { Whole::Look }
    }

    fn record(&mut self, header: &BatchHeader, offset: u64, record: &RecordView<'_>) -> Stay {
        if header.is_control() {
            return self.until_horizon(header);
        }
        // Nothing replaces a record without a key.
        let Some(key) = record.key.filter(|_| offset < self.until) else { return Stay::Kept };
        let is_replaced = self.newest.newest(key).is_some_and(|newest| newest > offset);
        match record.value {
            _ if self.needs.any(offset, offset + 1) => {
                if is_replaced {
                    self.hold(offset, offset)
                } else {
                    Stay::Kept
                }
            }
            _ if is_replaced => Stay::Gone,
            Some(_) => Stay::Kept,
            // What it deletes may have been kept for a view.
            None if self.needs.any(0, offset) => self.hold(self.needs.first(), offset),
            None => self.until_horizon(header),
        }
    }

    fn was_left(&mut self, header: &BatchHeader) {
        if header.is_transactional() && !header.is_control() {
            self.left.insert(header.producer_id, ());
        }
    }
}

/// What a view needs stays, and what is not too old.
pub struct ByNeed<'a> {
    pub needs: &'a Needs,
    /// What is as old stays even if nobody needs it, in milliseconds; `i64::MAX`: nothing does.
    pub kept_from_ms: i64,
}

impl Judge for ByNeed<'_> {
    fn batch(&mut self, batch: &StoredBatch, header: &BatchHeader) -> Whole {
        // What ends a transaction says how to read what may be left of it.
        if header.is_control() {
            return Whole::Kept;
        }
        let is_needed = self.needs.any(batch.base_offset, batch.last_offset + 1);
        if is_needed || header.max_timestamp >= self.kept_from_ms { Whole::Look } else { Whole::Gone }
    }

    fn record(&mut self, header: &BatchHeader, offset: u64, record: &RecordView<'_>) -> Stay {
        let is_young = header.timestamp_ms(record.timestamp_delta_ms) >= self.kept_from_ms;
        if is_young || self.needs.any(offset, offset + 1) { Stay::Kept } else { Stay::Gone }
    }
}

/// Of a table of state the newest put of each key stays.
pub struct ByTable<'a> {
    partition: &'a Partition,
    /// The last change of each key in segments, where that counts: see [`ByTable::of_catalog`].
    last: Option<HashMap<Bytes, u64>>,
    /// The keys of which something was kept.
    pub held: HashSet<Bytes>,
}

impl<'a> ByTable<'a> {
    /// The newest is what memory knows as such.
    pub fn new(partition: &'a Partition) -> Self {
        Self { partition, last: None, held: HashSet::new() }
    }

    /// The newest is the last of those in segments: until a newer one is read from the journal, the journal speaks of a topic
    /// as it was before.
    pub fn of_catalog(partition: &'a Partition, last: HashMap<Bytes, u64>) -> Self {
        Self { partition, last: Some(last), held: HashSet::new() }
    }

    fn newest(&self, key: &Bytes) -> Option<u64> {
        match &self.last {
            Some(last) => last.get(key).copied(),
            None => {
                self.partition.with(|state| state.latest().and_then(|latest| latest.get(&key[..])).map(|latest| latest.offset()))
            }
        }
    }
}

impl Judge for ByTable<'_> {
    fn batch(&mut self, _batch: &StoredBatch, _header: &BatchHeader) -> Whole {
        Whole::Look
    }

    fn record(&mut self, _header: &BatchHeader, offset: u64, record: &RecordView<'_>) -> Stay {
        let key = Bytes::copy_from_slice(record.key.unwrap_or_default());
        if self.newest(&key) != Some(offset) || record.value.is_none() {
            return Stay::Gone;
        }
        self.held.insert(key);
        Stay::Kept
    }
}
