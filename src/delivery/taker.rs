//! Who takes records from a queue view, as the view sees it: credit, a mailbox, and a signal.
//!
//! The owner of a queue view puts claims into the mailbox; the connection drains it without the view's lock. Credit bounds
//! what is in the mailbox and in flight, so a slow taker never hoards.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::queue::{Class, End};
use crate::log::{Barrier, Partition, Signal, TopicName};
use crate::sync::{AtomicBool, AtomicI64, Mutex};

/// Identifies a taker while the gateway runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TakerId(pub u64);

/// A place in a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// The index of the partition.
    pub partition: u32,
    /// The offset in it.
    pub offset: u64,
}

/// How many more records a taker, or several that share it, may be given.
#[derive(Debug)]
pub struct Credit(AtomicI64);

impl Credit {
    /// A credit of this many records.
    pub fn new(records: i64) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(records)))
    }

    /// Gives more; the takers that it concerns must then be resumed.
    pub fn add(&self, records: i64) {
        self.0.fetch_add(records, Ordering::AcqRel);
    }

    /// What is left.
    pub fn available(&self) -> i64 {
        self.0.load(Ordering::Acquire)
    }

    /// Spends one, if there is one.
    pub(super) fn spend(&self) -> bool {
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| (left > 0).then(|| left - 1)).is_ok()
    }
}

/// What happens to a record that a taker is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Serve {
    /// It is in flight until it is accepted or released.
    Claim,
    /// It is accepted in the same step, and so are those behind it.
    Pop {
        /// The end they are taken from.
        end: End,
        /// How many at most, all for one credit.
        count_max: u64,
    },
    /// It is moved to an end of another queue view in the same step.
    Move {
        /// The end it is taken from.
        from: End,
        /// The topic and queue view it goes to.
        to: TopicName,
        /// The end it is put to.
        to_end: End,
    },
}

/// What a taker asks for.
#[derive(Debug, Clone)]
pub struct TakerSpec {
    /// Notified when claims in the mailbox may go out.
    pub signal: Signal,
    /// Its own credit.
    pub credit: Arc<Credit>,
    /// A credit that it shares with others; both are spent for a record.
    pub shared: Option<Arc<Credit>>,
    /// What happens to what it is given.
    pub serve: Serve,
    /// What it sees.
    pub class: Class,
    /// Takers of a higher priority are served first, as long as they have credit.
    pub priority: i32,
}

/// A record that was given to a taker.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The queue view it is from.
    pub queue: TopicName,
    /// Where the record is read.
    pub partition: Arc<Partition>,
    /// Its place.
    pub position: Position,
    /// Whether it may have been delivered before.
    pub redelivered: bool,
    /// How often it was delivered before without success.
    pub delivery_count: u32,
    /// Where records are leased: what tells this claim from a later one of the same record.
    pub attempt: Option<u32>,
    /// It may leave the process once this is durable.
    pub barrier: Barrier,
}

#[derive(Debug)]
pub(super) struct Mailbox {
    pub id: TakerId,
    pub spec: TakerSpec,
    claims: Mutex<Vec<Claim>>,
    cancelled: AtomicBool,
}

impl Mailbox {
    pub fn new(id: TakerId, spec: TakerSpec) -> Arc<Self> {
        Arc::new(Self { id, spec, claims: Mutex::new(Vec::new()), cancelled: AtomicBool::new(false) })
    }

    /// Spends the credit for one record, if there is one.
    pub fn spend(&self) -> bool {
        let Some(shared) = &self.spec.shared else { return self.spec.credit.spend() };
        if !shared.spend() {
            return false;
        }
        let spent = self.spec.credit.spend();
        if !spent {
            shared.add(1);
        }
        spent
    }

    /// Gives back what [`Self::spend`] took.
    pub fn refund(&self) {
        self.spec.credit.add(1);
        if let Some(shared) = &self.spec.shared {
            shared.add(1);
        }
    }

    /// Puts a claim in. True: the taker does not know of any yet.
    pub fn push(&self, claim: Claim) -> bool {
        let mut claims = self.claims.lock();
        claims.push(claim);
        claims.len() == 1
    }

    /// The queue view is gone.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        self.spec.signal.notify_one();
    }
}

/// A taker, as its connection holds it.
#[derive(Debug)]
pub struct Taker {
    pub(super) mailbox: Arc<Mailbox>,
}

impl Taker {
    /// Its identity.
    pub fn id(&self) -> TakerId {
        self.mailbox.id
    }

    /// Moves what it was given to the end of `claims`, oldest first.
    pub fn drain(&self, claims: &mut Vec<Claim>) {
        claims.append(&mut self.mailbox.claims.lock());
    }

    /// Whether its queue view was removed.
    pub fn is_cancelled(&self) -> bool {
        self.mailbox.cancelled.load(Ordering::Acquire)
    }
}
