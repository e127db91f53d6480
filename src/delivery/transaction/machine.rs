//! The state of one transactional id: which producer owns it, and what its open transaction has touched.
//!
//! A pure state machine; time is passed in. What it refuses changes nothing. Ending, fencing and running out of time give an
//! [`Ended`], which the caller writes in the same entry as the new state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::TransactionError;
use crate::delivery::group::{Committed, OffsetKey};
use crate::log::TopicId;
use crate::log::record::Outcome;

/// The last epoch that is given to a producer; after it comes a new producer id. One more is left to fence it with.
const EPOCH_MAX: i16 = i16::MAX - 1;

/// One incarnation of a producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Producer {
    /// Its id.
    pub id: i64,
    /// Its epoch: the higher one fences the lower.
    pub epoch: i16,
}

/// What a transactional id is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Nothing yet.
    Empty,
    /// A transaction is open.
    Ongoing,
    /// The last one was committed.
    CompleteCommit,
    /// The last one was aborted.
    CompleteAbort,
}

/// An offset that a transaction commits for a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingOffset {
    /// The group.
    pub group: Arc<str>,
    /// Where.
    pub key: OffsetKey,
    /// How far.
    pub committed: Committed,
}

/// A transaction that has just ended: what its outcome has to be told to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Whose it was; the epoch is the one to go on with, which may fence the writer.
    pub producer: Producer,
    /// How it ended.
    pub outcome: Outcome,
    /// The partitions that it wrote to, or meant to.
    pub partitions: BTreeSet<(TopicId, u32)>,
    /// The offsets that it commits; none if it is aborted.
    pub offsets: Vec<PendingOffset>,
}

/// The answer to a producer that begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// Who it is from now on.
    pub producer: Producer,
    /// The transaction that its predecessor left open.
    pub aborted: Option<Ended>,
}

/// One transactional id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    pub(super) producer: Producer,
    /// Who asks as this one has lost the answer, or his time was over, and gets the present one.
    pub(super) previous: Option<Producer>,
    pub(super) timeout_ms: i64,
    pub(super) state: State,
    pub(super) partitions: BTreeSet<(TopicId, u32)>,
    pub(super) offsets: BTreeMap<(Arc<str>, OffsetKey), Committed>,
    /// When the open transaction began.
    pub(super) started_ms: i64,
    /// When it was last used.
    pub(super) used_ms: i64,
}

impl Transaction {
    /// A transactional id of a fresh producer.
    pub fn new(producer_id: i64, timeout_ms: i64, now_ms: i64) -> Self {
        Self {
            producer: Producer { id: producer_id, epoch: 0 },
            previous: None,
            timeout_ms,
            state: State::Empty,
            partitions: BTreeSet::new(),
            offsets: BTreeMap::new(),
            started_ms: -1,
            used_ms: now_ms,
        }
    }

    /// Its producer.
    pub fn producer(&self) -> Producer {
        self.producer
    }

    /// What it is doing.
    pub fn state(&self) -> State {
        self.state
    }

    /// How long a transaction may be open, in milliseconds.
    pub fn timeout_ms(&self) -> i64 {
        self.timeout_ms
    }

    /// When the open transaction began, in milliseconds since 1970; none: none is open.
    pub fn started_ms(&self) -> Option<i64> {
        (self.state == State::Ongoing).then_some(self.started_ms)
    }

    /// The partitions of the open transaction.
    pub fn partitions(&self) -> impl Iterator<Item = (TopicId, u32)> {
        self.partitions.iter().copied()
    }

    /// The offsets of the open transaction.
    pub fn offset_keys(&self) -> impl Iterator<Item = &(Arc<str>, OffsetKey)> {
        self.offsets.keys()
    }

    /// A producer begins: it fences whoever came before, and aborts what he left open. `known` says who it was, if it goes on
    /// after an error (KIP-360); `fresh_id` is used when the epochs of the present id have run out.
    ///
    /// # Errors
    /// `Fenced`: it was fenced itself meanwhile.
    pub fn begin(
        &mut self,
        known: Option<Producer>,
        timeout_ms: i64,
        now_ms: i64,
        fresh_id: impl FnOnce() -> i64,
    ) -> Result<Begun, TransactionError> {
        match known {
            Some(known) if known == self.producer => {}
            // The answer to the same question was lost, or its time was over.
            Some(known) if Some(known) == self.previous && self.state != State::Ongoing && self.producer.epoch <= EPOCH_MAX => {
                self.used_ms = now_ms;
                return Ok(Begun { producer: self.producer, aborted: None });
            }
            Some(known) if Some(known) == self.previous && self.state != State::Ongoing => {}
            Some(_) => return Err(TransactionError::Fenced),
            None => {}
        }
        let previous = self.producer;
        let aborted = (self.state == State::Ongoing).then(|| self.abort_and_fence());
        if self.producer == previous {
            self.producer.epoch = self.producer.epoch.saturating_add(1);
        }
        if self.producer.epoch > EPOCH_MAX {
            self.producer = Producer { id: fresh_id(), epoch: 0 };
        }
        self.previous = known.map(|_| previous);
        self.timeout_ms = timeout_ms;
        self.state = State::Empty;
        self.used_ms = now_ms;
        Ok(Begun { producer: self.producer, aborted })
    }

    /// Whether a producer is the one of this id.
    ///
    /// # Errors
    /// `UnknownProducer`, `Fenced`.
    pub fn check(&self, producer: Producer) -> Result<(), TransactionError> {
        if producer.id != self.producer.id {
            return Err(TransactionError::UnknownProducer);
        }
        if producer.epoch == self.producer.epoch { Ok(()) } else { Err(TransactionError::Fenced) }
    }

    /// Whether a producer may write to a partition now.
    ///
    /// # Errors
    /// Those of [`Self::check`]; `InvalidState`: the partition is no part of an open transaction.
    pub fn check_write(&self, producer: Producer, topic: TopicId, partition: u32) -> Result<(), TransactionError> {
        self.check(producer)?;
        let is_part = self.state == State::Ongoing && self.partitions.contains(&(topic, partition));
        if is_part { Ok(()) } else { Err(TransactionError::InvalidState) }
    }

    /// The transaction touches these partitions, or offsets of a group; it is begun if none is open. Whether anything changed.
    ///
    /// # Errors
    /// Those of [`Self::check`].
    pub fn add(
        &mut self,
        producer: Producer,
        partitions: impl IntoIterator<Item = (TopicId, u32)>,
        now_ms: i64,
    ) -> Result<bool, TransactionError> {
        self.check(producer)?;
        let begins = self.state != State::Ongoing;
        if begins {
            self.state = State::Ongoing;
            self.started_ms = now_ms;
        }
        self.used_ms = now_ms;
        let before = self.partitions.len();
        self.partitions.extend(partitions);
        Ok(begins || self.partitions.len() > before)
    }

    /// The transaction commits offsets for groups.
    ///
    /// # Errors
    /// Those of [`Self::check`]; `InvalidState`: none is open.
    pub fn add_offsets(&mut self, producer: Producer, offsets: Vec<PendingOffset>, now_ms: i64) -> Result<(), TransactionError> {
        self.check(producer)?;
        if self.state != State::Ongoing {
            return Err(TransactionError::InvalidState);
        }
        self.used_ms = now_ms;
        self.offsets.extend(offsets.into_iter().map(|offset| ((offset.group, offset.key), offset.committed)));
        Ok(())
    }

    /// The transaction ends. None: it has ended this way before, and the answer was lost.
    ///
    /// # Errors
    /// Those of [`Self::check`]; `InvalidState`: there was none, or it ended the other way.
    pub fn end(&mut self, producer: Producer, outcome: Outcome, now_ms: i64) -> Result<Option<Ended>, TransactionError> {
        self.check(producer)?;
        match (self.state, outcome) {
            (State::CompleteCommit, Outcome::Commit) | (State::CompleteAbort, Outcome::Abort) => return Ok(None),
            (State::Empty | State::CompleteCommit | State::CompleteAbort, _) => return Err(TransactionError::InvalidState),
            (State::Ongoing, _) => {}
        }
        self.used_ms = now_ms;
        Ok(Some(self.decide(outcome)))
    }

    /// When it is to be looked at again: an open transaction runs out of time, an id that nobody uses is forgotten.
    pub fn due_ms(&self, expiry_ms: i64) -> i64 {
        match self.state {
            State::Ongoing => self.started_ms.saturating_add(self.timeout_ms),
            State::Empty | State::CompleteCommit | State::CompleteAbort => self.used_ms.saturating_add(expiry_ms),
        }
    }

    /// Its time is over: it is aborted, and its producer is fenced. None: there is none open.
    pub fn run_out(&mut self, now_ms: i64) -> Option<Ended> {
        if self.state != State::Ongoing {
            return None;
        }
        self.used_ms = now_ms;
        let previous = self.producer;
        let ended = self.abort_and_fence();
        self.previous = Some(previous);
        Some(ended)
    }

    fn abort_and_fence(&mut self) -> Ended {
        self.producer.epoch = self.producer.epoch.saturating_add(1);
        self.decide(Outcome::Abort)
    }

    fn decide(&mut self, outcome: Outcome) -> Ended {
        let partitions = std::mem::take(&mut self.partitions);
        let offsets = std::mem::take(&mut self.offsets);
        self.started_ms = -1;
        let (state, offsets) = match outcome {
            Outcome::Abort => (State::CompleteAbort, Vec::new()),
            Outcome::Commit => {
                let pending = |((group, key), committed)| PendingOffset { group, key, committed };
                (State::CompleteCommit, offsets.into_iter().map(pending).collect())
            }
        };
        self.state = state;
        Ended { producer: self.producer, outcome, partitions, offsets }
    }
}
