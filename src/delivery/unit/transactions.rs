//! Transactions within a unit: what decides on one is one entry with all its markers, its offsets and its own state.

use std::sync::Arc;

use smallvec::SmallVec;

use super::Unit;
use crate::delivery::queue::Kind;
use crate::delivery::transaction::{
    Ended, PendingOffset, Producer, TRANSACTIONS, Transaction, TransactionError, TransactionListing,
};
use crate::log::record::{Outcome, marker_batch};
use crate::log::runs::RunSet;
use crate::log::{Bound, Partition, Placement, Topic, TopicId, Write};

/// So much of a transaction is read at a time for those who listen, in bytes.
const HEARD_BYTES_AT_ONCE: usize = 1 << 20;

impl Unit<'_> {
    /// A producer begins to use a transactional id: whoever used it before is fenced, and what he left open is aborted.
    /// `known`: who the producer was, if it goes on after an error.
    pub fn begin_producer(
        &mut self,
        name: &Arc<str>,
        known: Option<Producer>,
        timeout_ms: i64,
    ) -> Result<Producer, TransactionError> {
        // Taken whether it is needed or not: there are enough.
        let fresh = self.next_producer_id();
        let begun = self.views.transactions.begin(name, known, timeout_ms, self.now_ms, || fresh)?;
        if let Some(ended) = &begun.aborted {
            self.decide(ended);
        }
        self.keep_transaction(name);
        Ok(begun.producer)
    }

    /// The transaction is to write to these partitions; it is begun if none is open.
    pub fn add_to_transaction(
        &mut self,
        name: &Arc<str>,
        producer: Producer,
        partitions: Vec<(TopicId, u32)>,
    ) -> Result<(), TransactionError> {
        if self.views.transactions.add(name, producer, partitions, self.now_ms)? {
            self.keep_transaction(name);
        }
        Ok(())
    }

    /// The transaction commits these offsets.
    pub fn add_offsets_to_transaction(
        &mut self,
        name: &Arc<str>,
        producer: Producer,
        offsets: Vec<PendingOffset>,
    ) -> Result<(), TransactionError> {
        self.views.transactions.add_offsets(name, producer, offsets, self.now_ms)?;
        self.keep_transaction(name);
        Ok(())
    }

    /// The transaction ends. Its offsets are the caller's to commit in this unit.
    pub(in crate::delivery) fn end_transaction(
        &mut self,
        name: &Arc<str>,
        producer: Producer,
        outcome: Outcome,
    ) -> Result<Vec<PendingOffset>, TransactionError> {
        let Some(ended) = self.views.transactions.end(name, producer, outcome, self.now_ms)? else { return Ok(Vec::new()) };
        self.decide(&ended);
        self.keep_transaction(name);
        Ok(ended.offsets)
    }

    /// Aborts transactions whose time is over, up to a number of them, and forgets ids that nobody used for long.
    /// Whether there may be more.
    pub(in crate::delivery) fn run_out_transactions(&mut self, most: usize) -> bool {
        for _ in 0..most {
            let Some((name, ended)) = self.views.transactions.run_out(self.now_ms) else { return false };
            if let Some(ended) = &ended {
                tracing::info!(transaction = %name, partitions = ended.partitions.len(), "a transaction ran out of time");
                self.decide(ended);
            }
            self.keep_transaction(&name);
        }
        true
    }

    /// One transactional id.
    pub fn transaction(&self, name: &str) -> Result<Transaction, TransactionError> {
        self.views.transactions.get(name).cloned()
    }

    /// All transactional ids, in no order.
    pub fn transactions(&self) -> Vec<TransactionListing> {
        self.views.transactions.list()
    }

    /// Whether the producer may write to a partition within its transaction.
    pub(super) fn check_transaction(&self, topic: &Topic, partition: u32, producer: Producer) -> Result<(), TransactionError> {
        self.views.transactions.check_write(producer, topic.id(), partition)
    }

    fn keep_transaction(&mut self, name: &Arc<str>) {
        let key = bytes::Bytes::copy_from_slice(name.as_bytes());
        let value = self.views.transactions.keep(name);
        self.put_state(TRANSACTIONS, key, value);
    }

    /// Writes how a transaction ended: one body, which goes to each of its partitions.
    fn decide(&mut self, ended: &Ended) {
        self.close_batch();
        let (producer, outcome, now_ms) = (ended.producer, ended.outcome, self.now_ms);
        let mut targets: SmallVec<[Placement; 1]> = SmallVec::new();
        for (id, index) in &ended.partitions {
            // A topic that was deleted took its records along.
            let Some(topic) = self.log.topic_by_id(*id) else { continue };
            let Some(partition) = Self::live_partition(&topic, *index) else { continue };
            let (marker, runs) = self.log.reserve_marker(&partition, producer.id, producer.epoch, outcome, now_ms);
            self.decided(&partition, &runs, marker, outcome);
            targets.push(Placement { partition, base_offset: marker });
        }
        if !targets.is_empty() {
            let batch = marker_batch(producer.id, producer.epoch, outcome, now_ms);
            self.entry.add(Write { targets, span: 1, batch, max_timestamp_ms: now_ms, is_broadcast: false });
        }
    }

    /// Tells the views of a partition that the records of a transaction count, or do not.
    fn decided(&mut self, partition: &Arc<Partition>, runs: &RunSet, marker: u64, outcome: Outcome) {
        let (name, index, stirred) = (partition.topic_name(), partition.index(), &mut self.stirred);
        self.views.queues.each_of_topic(name, |name, view| {
            view.state.extend(index, marker, 1, Kind::Plain);
            view.state.pass(index, marker, 1);
            for run in runs.iter() {
                match outcome {
                    Outcome::Commit => view.state.deliver(index, run),
                    Outcome::Abort => view.state.pass(index, run.start, run.end - run.start),
                }
            }
            view.version += 1;
            stirred.push(name.clone());
        });
        if outcome == Outcome::Commit {
            self.series_decided(partition, runs);
        }
        self.series_appended(partition, marker, 1, Kind::Broadcast);
        if outcome == Outcome::Commit && self.receivers(name) > 0 {
            for run in runs.iter() {
                self.hear_run(partition, run.start, run.end);
            }
        }
    }

    /// Those who listen hear records that were written in earlier units.
    fn hear_run(&mut self, partition: &Arc<Partition>, from: u64, to: u64) {
        let mut at = from;
        while at < to {
            let batches = self.log.read(partition, at, HEARD_BYTES_AT_ONCE, Bound::End).unwrap_or_default();
            let Some(last) = batches.last() else { return };
            at = last.last_offset + 1;
            for batch in batches.iter().filter(|batch| batch.base_offset < to) {
                self.hear_batch(partition.topic_name(), batch.body(), batch.base_offset);
            }
        }
    }
}
