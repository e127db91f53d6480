//! Offsets that are committed in a transaction: they wait in it, and are committed in the entry that commits it.

use std::sync::Arc;

use super::commits::wall_clock_ms;
use super::groups::{Groups, check_name};
use super::request::Caller;
use super::{Committed, GroupError, NewOffset, OffsetAnswers};
use crate::delivery::transaction::{PendingOffset, Producer, TransactionError};
use crate::log::Barrier;
use crate::log::record::Outcome;

/// Why offsets were not added to a transaction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransactionalCommitError {
    /// The group does not take them from this member.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// The transaction does not take them.
    #[error(transparent)]
    Transaction(#[from] TransactionError),
}

impl Groups {
    /// Adds offsets to a transaction, for a member of the group or (no member id, no epoch) for whoever asks.
    ///
    /// # Errors
    /// As the group answers to a commit, and as the transaction answers.
    pub fn commit_in_transaction(
        &self,
        transaction: &Arc<str>,
        producer: Producer,
        group: &Arc<str>,
        caller: &Caller,
        offsets: Vec<NewOffset>,
    ) -> Result<OffsetAnswers, TransactionalCommitError> {
        check_name(group)?;
        let now_ms = self.now_ms();
        let mut table = self.shared.table.lock();
        let is_stranger = caller.member_id.is_empty() && caller.epoch < 0;
        match table.get_mut(group) {
            Some(entry) if !is_stranger => entry.group.check_commit(caller, now_ms)?,
            None if caller.epoch >= 0 => return Err(GroupError::StaleEpoch.into()),
            Some(_) | None => {}
        }
        let committed_at_ms = wall_clock_ms();
        let mut results = Vec::with_capacity(offsets.len());
        let mut pending = Vec::with_capacity(offsets.len());
        for offset in offsets {
            results.push(self.accept(&offset).map(|topic_id| {
                let NewOffset { key, offset, leader_epoch, metadata } = offset;
                let committed = Committed { offset, leader_epoch, metadata, committed_at_ms, topic_id };
                pending.push(PendingOffset { group: Arc::clone(group), key, committed });
            }));
        }
        let mut unit = self.shared.delivery.begin().map_err(|_refused| GroupError::Unavailable)?;
        unit.add_offsets_to_transaction(transaction, producer, pending)?;
        Ok(OffsetAnswers { results, barrier: unit.commit() })
    }

    /// Ends a transaction: everything that it wrote and all its offsets count from one entry of the journal on, or never.
    /// The answer may be told once the returned barrier is passed.
    ///
    /// # Errors
    /// As the transaction answers.
    pub fn end_transaction(&self, name: &Arc<str>, producer: Producer, outcome: Outcome) -> Result<Barrier, TransactionError> {
        let now_ms = self.now_ms();
        let mut table = self.shared.table.lock();
        let mut unit = self.shared.delivery.begin().map_err(|_refused| TransactionError::Unavailable)?;
        let pending = unit.end_transaction(name, producer, outcome)?;
        // One that has ended before may not be durable yet.
        let seen = unit.seen();
        let mut offsets = self.shared.offsets.write();
        let mut touched = Vec::new();
        for PendingOffset { group, key, committed } in pending {
            table.committed_at(&group, committed.committed_at_ms, now_ms);
            Self::put_offset(&mut unit, &group, &key, &committed);
            offsets.put(&group, key, committed);
            touched.push(group);
        }
        let barrier = unit.commit();
        for group in touched {
            offsets.changed_at(&group, barrier);
        }
        Ok(barrier.and(seen))
    }
}
