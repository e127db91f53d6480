//! All transactional ids: by name, by producer, whose time is over when, and which offsets wait for an outcome.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;

use super::machine::{Begun, Ended, PendingOffset, Producer, State, Transaction};
use super::{TransactionError, kept};
use crate::delivery::group::OffsetKey;
use crate::log::TopicId;
use crate::log::record::Outcome;

/// The longest transactional id, in bytes.
const NAME_BYTES_MAX: usize = i16::MAX as usize;

/// What transactions may take.
#[derive(Debug, Clone)]
pub struct TransactionSettings {
    /// The longest timeout that a producer may ask for, in milliseconds.
    pub timeout_max_ms: i64,
    /// A transactional id that was not used for this long is forgotten, in milliseconds.
    pub expiry_ms: i64,
    /// The most transactional ids.
    pub ids_max: usize,
    /// The most partitions, and the most offsets, of one transaction.
    pub parts_max: usize,
}

impl Default for TransactionSettings {
    fn default() -> Self {
        Self { timeout_max_ms: 900_000, expiry_ms: 7 * 86_400_000, ids_max: 100_000, parts_max: 100_000 }
    }
}

/// A transactional id in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionListing {
    /// The transactional id.
    pub name: Arc<str>,
    /// Its producer.
    pub producer: Producer,
    /// What it is doing.
    pub state: State,
    /// When its open transaction began, in milliseconds since 1970.
    pub started_ms: Option<i64>,
}

/// All transactional ids.
#[derive(Debug, Default)]
pub(in crate::delivery) struct Transactions {
    settings: TransactionSettings,
    by_name: HashMap<Arc<str>, Transaction>,
    by_producer: HashMap<i64, Arc<str>>,
    due: BTreeSet<(i64, Arc<str>)>,
    /// How many open transactions commit an offset, by group.
    pending: HashMap<Arc<str>, HashMap<OffsetKey, u32>>,
}

impl Transactions {
    /// None yet.
    #[cfg(test)]
    pub fn with(settings: TransactionSettings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// Takes over what was kept of a transactional id; false if that is not what [`Self::keep`] gave.
    pub fn restore(&mut self, name: &[u8], value: &[u8]) -> bool {
        let Ok(name) = std::str::from_utf8(name) else { return false };
        let Some(transaction) = kept::decode(value) else { return false };
        self.put(&Arc::from(name), transaction);
        true
    }

    /// What must survive of a transactional id; none: it is forgotten.
    pub fn keep(&self, name: &str) -> Option<Bytes> {
        self.by_name.get(name).map(kept::encode)
    }

    /// A producer begins, see [`Transaction::begin`].
    pub fn begin(
        &mut self,
        name: &Arc<str>,
        known: Option<Producer>,
        timeout_ms: i64,
        now_ms: i64,
        fresh_id: impl FnOnce() -> i64,
    ) -> Result<Begun, TransactionError> {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(TransactionError::InvalidName);
        }
        if timeout_ms <= 0 || timeout_ms > self.settings.timeout_max_ms {
            return Err(TransactionError::InvalidTimeout);
        }
        let Some(mut transaction) = self.by_name.get(name).cloned() else {
            if known.is_some() {
                return Err(TransactionError::UnknownProducer);
            }
            if self.by_name.len() >= self.settings.ids_max {
                return Err(TransactionError::TooMany);
            }
            let transaction = Transaction::new(fresh_id(), timeout_ms, now_ms);
            let producer = transaction.producer();
            self.put(name, transaction);
            return Ok(Begun { producer, aborted: None });
        };
        let begun = transaction.begin(known, timeout_ms, now_ms, fresh_id)?;
        self.put(name, transaction);
        Ok(begun)
    }

    /// See [`Transaction::check_write`], whichever transactional id the producer has.
    pub fn check_write(&self, producer: Producer, topic: TopicId, partition: u32) -> Result<(), TransactionError> {
        let name = self.by_producer.get(&producer.id).ok_or(TransactionError::UnknownProducer)?;
        self.get(name)?.check_write(producer, topic, partition)
    }

    /// See [`Transaction::add`].
    pub fn add(
        &mut self,
        name: &Arc<str>,
        producer: Producer,
        partitions: Vec<(TopicId, u32)>,
        now_ms: i64,
    ) -> Result<bool, TransactionError> {
        let most = self.settings.parts_max;
        self.change(name, |transaction| {
            if transaction.partitions.len() + partitions.len() > most {
                return Err(TransactionError::TooMany);
            }
            transaction.add(producer, partitions, now_ms)
        })
    }

    /// See [`Transaction::add_offsets`].
    pub fn add_offsets(
        &mut self,
        name: &Arc<str>,
        producer: Producer,
        offsets: Vec<PendingOffset>,
        now_ms: i64,
    ) -> Result<(), TransactionError> {
        let most = self.settings.parts_max;
        self.change(name, |transaction| {
            if transaction.offsets.len() + offsets.len() > most {
                return Err(TransactionError::TooMany);
            }
            transaction.add_offsets(producer, offsets, now_ms)
        })
    }

    /// See [`Transaction::end`].
    pub fn end(
        &mut self,
        name: &Arc<str>,
        producer: Producer,
        outcome: Outcome,
        now_ms: i64,
    ) -> Result<Option<Ended>, TransactionError> {
        self.change(name, |transaction| transaction.end(producer, outcome, now_ms))
    }

    /// The next transactional id whose time is over, and the transaction that it had open. Without one it is forgotten.
    pub fn run_out(&mut self, now_ms: i64) -> Option<(Arc<str>, Option<Ended>)> {
        let name = self.due.first().filter(|(due_ms, _)| *due_ms <= now_ms).map(|(_, name)| Arc::clone(name))?;
        let ended = self.change(&name, |transaction| Ok(transaction.run_out(now_ms))).ok().flatten();
        if ended.is_none() {
            self.remove(&name);
        }
        Some((name, ended))
    }

    /// Whether an open transaction commits this offset for the group.
    pub fn is_pending(&self, group: &str, key: &OffsetKey) -> bool {
        self.pending.get(group).is_some_and(|keys| keys.contains_key(key))
    }

    /// One transactional id.
    pub fn get(&self, name: &str) -> Result<&Transaction, TransactionError> {
        self.by_name.get(name).ok_or(TransactionError::NotFound)
    }

    /// All of them, in no order.
    pub fn list(&self) -> Vec<TransactionListing> {
        let listing = |(name, transaction): (&Arc<str>, &Transaction)| TransactionListing {
            name: Arc::clone(name),
            producer: transaction.producer(),
            state: transaction.state(),
            started_ms: transaction.started_ms(),
        };
        self.by_name.iter().map(listing).collect()
    }

    fn change<T>(
        &mut self,
        name: &Arc<str>,
        change: impl FnOnce(&mut Transaction) -> Result<T, TransactionError>,
    ) -> Result<T, TransactionError> {
        // A producer that asks is the owner of an id that exists.
        let mut transaction = self.take(name).ok_or(TransactionError::UnknownProducer)?;
        let result = change(&mut transaction);
        self.put(name, transaction);
        result
    }

    fn take(&mut self, name: &Arc<str>) -> Option<Transaction> {
        let transaction = self.by_name.remove(name)?;
        self.due.remove(&(transaction.due_ms(self.settings.expiry_ms), Arc::clone(name)));
        for (group, key) in transaction.offset_keys() {
            self.unpend(group, key);
        }
        Some(transaction)
    }

    fn unpend(&mut self, group: &Arc<str>, key: &OffsetKey) {
        let Some(keys) = self.pending.get_mut(group) else { return };
        if let Some(count) = keys.get_mut(key) {
            *count -= 1;
            if *count == 0 {
                keys.remove(key);
            }
        }
        if keys.is_empty() {
            self.pending.remove(group);
        }
    }

    fn put(&mut self, name: &Arc<str>, transaction: Transaction) {
        if let Some(before) = self.take(name) {
            self.by_producer.remove(&before.producer().id);
        }
        for (group, key) in transaction.offset_keys() {
            *self.pending.entry(Arc::clone(group)).or_default().entry(key.clone()).or_default() += 1;
        }
        self.by_producer.insert(transaction.producer().id, Arc::clone(name));
        self.due.insert((transaction.due_ms(self.settings.expiry_ms), Arc::clone(name)));
        self.by_name.insert(Arc::clone(name), transaction);
    }

    fn remove(&mut self, name: &Arc<str>) {
        if let Some(transaction) = self.take(name) {
            self.by_producer.remove(&transaction.producer().id);
        }
    }
}
