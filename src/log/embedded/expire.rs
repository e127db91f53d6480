//! Retention: what is too old, too much, or needed by no view is removed from the front of a partition.
//!
//! Segments go as a whole; what is in the journal still goes batch by batch as far as readers see it, and leaves the disk with
//! its journal file. Nothing goes before what the decision rests on is on disk.

use std::io;
use std::sync::Arc;

use super::Engine;
use super::partition::{Partition, PartitionState};
use super::retire::now_ms;
use super::segment::Segments;
use crate::log::retention::{Holders, Needs};
use crate::log::stats::Removal;
use crate::log::topic::{Cleanup, Topic, TopicSettings};

/// Which batches of a partition stay.
pub struct Policy {
    pub settings: Arc<TopicSettings>,
    pub needs: Needs,
    pub log_start: u64,
    pub now_ms: i64,
}

/// A run of offsets that stays or goes as a whole.
#[derive(Debug, Clone, Copy)]
pub struct Stretch {
    pub from: u64,
    pub to: u64,
    pub max_timestamp_ms: i64,
    /// Whether it says how a transaction ended, and something before it stays.
    pub is_outcome: bool,
}

impl Stretch {
    /// One before which nothing stays.
    fn of(from: u64, to: u64, max_timestamp_ms: i64) -> Self {
        Self { from, to, max_timestamp_ms, is_outcome: false }
    }
}

impl Policy {
    /// Why a stretch goes; none: it stays. Size is another matter.
    pub fn removal(&self, stretch: Stretch) -> Option<Removal> {
        if self.needs.any(stretch.from, stretch.to) {
            return None;
        }
        if stretch.to <= self.log_start {
            return Some(Removal::Trimmed);
        }
        // It stays as long as anything before it does: readers of its records go by it.
        if stretch.is_outcome {
            return None;
        }
        let cleanup = self.settings.cleanup;
        if cleanup == Cleanup::Consumed {
            return Some(Removal::Consumed);
        }
        let is_old = stretch.max_timestamp_ms < self.kept_from_ms();
        (cleanup.deletes() && is_old).then_some(Removal::Time)
    }

    /// The age from which on records stay, in milliseconds since the epoch.
    pub fn kept_from_ms(&self) -> i64 {
        self.settings.retention_ms.map_or(i64::MIN, |age_ms| self.now_ms.saturating_sub_unsigned(age_ms))
    }

    /// The same where the partition is larger than it may be by `excess`, of which a stretch that goes is taken.
    fn removal_of(&self, stretch: Stretch, bytes: u64, excess: &mut u64) -> Option<Removal> {
        let is_too_much = *excess >= bytes && bytes > 0 && !self.needs.any(stretch.from, stretch.to);
        let why = self.removal(stretch).or(is_too_much.then_some(Removal::Size));
        if why.is_some() {
            *excess = excess.saturating_sub(bytes);
        }
        why
    }
}

impl Engine {
    /// What is to stay of a partition.
    pub(super) fn policy(&self, topic: &Topic, partition: &Partition) -> Policy {
        let settings = topic.settings();
        // Age, size and newer records of a key remove what a group has not read; a view that hands records out one by one holds them.
        let holders = if settings.cleanup == Cleanup::Consumed { Holders::All } else { Holders::Queues };
        let needs = match self.keeper.read().as_ref() {
            Some(keeper) => keeper.needs(partition, holders),
            None => Needs::default(),
        };
        Policy { settings, needs, log_start: partition.bounds().log_start, now_ms: now_ms() }
    }

    /// Lets retention have its way with all partitions.
    pub fn expire(&self) -> io::Result<()> {
        let Some(_held) = self.hold()? else { return Ok(()) };
        let shared = Arc::clone(self.catalog.read().shared());
        let now_ms = now_ms();
        let due = shared.watched.due(now_ms);
        for (index, number) in due.iter().enumerate() {
            if let Err(error) = self.look_at(*number, now_ms) {
                due.iter().skip(index).for_each(|number| shared.watched.changed(*number));
                return Err(error);
            }
        }
        self.removed.delete_due(&self.settings.disk, self.durable().synced(), now_ms)
    }

    /// Lets retention have its way with a partition, and says when it is to be looked at again.
    fn look_at(&self, number: u32, now_ms: i64) -> io::Result<()> {
        let Some((topic, partition)) = self.partition_of(number) else { return Ok(()) };
        partition.looked_at(now_ms);
        let settings = topic.settings();
        let may_remove = |state: &mut PartitionState| {
            !state.segments.list().is_empty() || (settings.cleanup.deletes() && !state.refs.is_empty())
        };
        if topic.is_internal() || !partition.with(may_remove) {
            return Ok(());
        }
        self.expire_partition(&topic, &partition)?;
        if let Some(time_ms) = partition.with(|state| next_look(state, &settings)) {
            partition.look_at(time_ms);
        }
        Ok(())
    }

    fn expire_partition(&self, topic: &Topic, partition: &Arc<Partition>) -> io::Result<()> {
        let _one_at_a_time = self.retiring.lock();
        let policy = self.policy(topic, partition);
        let sizes = policy.settings.retention_bytes.filter(|_| policy.settings.cleanup.deletes());
        let mut excess = sizes.map_or(0, |most| partition.bytes().saturating_sub(most));
        let mut segments = partition.with(|state| Segments::clone(&state.segments));
        let mut whys = Vec::new();
        let removed = segments.remove_while(|segment| {
            let stretch = Stretch::of(segment.base_offset, segment.next_offset, segment.max_timestamp_ms());
            let why = policy.removal_of(stretch, segment.bytes, &mut excess);
            whys.extend(why);
            why.is_some()
        });
        for (segment, why) in removed.iter().zip(whys) {
            self.removed.count(why, segment.record_count()?);
        }
        let reaches_journal = segments.list().is_empty() && policy.settings.cleanup.deletes();
        let passed = partition.with(|state| {
            if !removed.is_empty() {
                partition.set_segments(state, segments);
            }
            let passed = if reaches_journal { self.expire_journal(state, &policy, excess) } else { 0 };
            if let Some(last) = removed.last() {
                state.log_start = state.log_start.max(last.next_offset);
            }
            if !removed.is_empty() || passed > 0 {
                advance_log_start(state, !policy.settings.cleanup.compacts());
            }
            passed
        });
        if removed.is_empty() && passed == 0 {
            return Ok(());
        }
        self.put_partitions(std::slice::from_ref(partition))?;
        // Also what the decision rests on.
        self.settle()?;
        let delay_ms = policy.settings.segments.file_delete_delay_ms;
        self.removed.files(&self.settings.disk, &removed, delay_ms, policy.now_ms)
    }

    /// Passes over durable batches at the front of the journal that go, and tells how many.
    fn expire_journal(&self, state: &mut PartitionState, policy: &Policy, mut excess: u64) -> u64 {
        state.settle(self.durable());
        let mut passed = 0;
        while let Some(batch) = state.refs.front().filter(|batch| batch.next_offset() <= state.durable_end) {
            let stretch = Stretch::of(batch.base_offset, batch.next_offset(), batch.max_timestamp_ms);
            let Some(why) = policy.removal_of(stretch, batch.bytes.into(), &mut excess) else { break };
            self.removed.count(why, batch.span.into());
            state.log_start = state.log_start.max(batch.next_offset());
            state.refs.pop_front();
            passed += 1;
        }
        passed
    }
}

/// When something may go next, in milliseconds since 1970; none: not before something changes. What a view no longer needs is
/// told by nobody: where that is all that holds something in segments, it is looked at each time.
fn next_look(state: &PartitionState, settings: &TopicSettings) -> Option<i64> {
    if !settings.cleanup.deletes() {
        return (!state.segments.list().is_empty()).then_some(i64::MIN);
    }
    let is_too_large = settings.retention_bytes.is_some_and(|most| state.refs.bytes() + state.segments.bytes() > most);
    let oldest_ms = match state.segments.list().first() {
        Some(segment) => Some(segment.max_timestamp_ms()),
        None => state.refs.front().map(|batch| batch.max_timestamp_ms),
    };
    let due_ms = settings.retention_ms.zip(oldest_ms).map(|(age_ms, oldest_ms)| oldest_ms.saturating_add_unsigned(age_ms));
    if is_too_large { Some(i64::MIN) } else { due_ms }
}

/// After the front was removed, the log starts with what is left; what compaction left out is no part of that.
pub fn advance_log_start(state: &mut PartitionState, was_removed: bool) {
    let in_journal = state.refs.front().map(|batch| batch.base_offset);
    if was_removed {
        let first = state.segments.first_offset().or(in_journal).unwrap_or(state.end);
        state.log_start = state.log_start.max(first);
    }
    state.broadcast.remove_below(state.log_start);
    let log_start = state.log_start;
    if let Some(rare) = state.rare_mut() {
        rare.transactions.log_starts_at(log_start);
    }
}
