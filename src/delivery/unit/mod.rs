//! A unit of work: whatever is done in it is one atomic entry of the journal.
//!
//! It holds the one lock of the views, so it is short and never crosses an await. Offsets are taken and views change as it
//! goes on; nothing of that may leave the process before the position that [`Unit::commit`] returns is durable.

mod aging;
mod append;
mod arrange;
mod cohorts;
mod queues;
mod redrive;
mod series;
mod tails;
mod taking;
mod topics;
mod transactions;
mod waiters;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use parking_lot::MutexGuard;
use smallvec::SmallVec;

pub use aging::Room;
pub use append::{Appended, ProduceError};
pub use cohorts::Asker;
pub use redrive::Moved;

use aging::Dead;

use super::queue::{Kind, StateOps};
use super::series::{Stamp, Waiter};
use super::tail::Heard;
use super::taker::{Claim, Mailbox};
use super::{QUEUES, Views};
use crate::log::record::{BatchBuilder, RecordCursor};
use crate::log::{Barrier, Change, Entry, Log, Partition, Placement, StateRecord, Table, Topic, TopicName, Turn};

/// Where a record goes.
#[derive(Debug, Clone)]
pub struct Target {
    /// The topic.
    pub topic: Arc<Topic>,
    /// The index of the partition.
    pub partition: u32,
}

/// A batch that more records may still join.
struct Open {
    targets: SmallVec<[Placement; 1]>,
    builder: BatchBuilder,
    kind: Kind,
    max_timestamp_ms: i64,
}

/// One atomic step. Dropping it commits it.
pub struct Unit<'a> {
    log: &'a Log,
    views: MutexGuard<'a, Views>,
    _turn: Turn<'a>,
    now_ms: i64,
    entry: Entry,
    open: Option<Open>,
    states: Vec<StateRecord>,
    /// Queue views with more ready, or with more credit.
    stirred: SmallVec<[TopicName; 4]>,
    /// Queue views with changes to write.
    changed: SmallVec<[TopicName; 4]>,
    claims: Vec<Given>,
    /// What listeners get.
    heard: Vec<Told>,
    /// Operations of one view, encoded.
    encoded: Vec<u8>,
    /// The batch that was read last, and its partition: neighbours cost one step each.
    reading: Option<(u32, RecordCursor)>,
    /// The stamp of the record that is being appended, if it has one.
    stamp: Option<Stamp>,
    /// Series with changes to write, those with news for who waits, and who was answered.
    changed_series: SmallVec<[TopicName; 1]>,
    stirred_series: SmallVec<[TopicName; 1]>,
    answered: Vec<Arc<Waiter>>,
    /// Records that go on elsewhere at the end of the unit.
    dead: Vec<Dead>,
    /// Queue views that end because nobody uses them.
    idle: Vec<TopicName>,
    done: bool,
}

/// A claim, whose it is, and whether it was accepted in this unit, so that it waits for the unit itself.
type Given = (Arc<Mailbox>, Claim, bool);
/// What listeners get, and whether it is live: announced without being written, so that it waits for nothing.
type Told = (Heard, bool);

/// The memory of the last unit, for the next: empty, and as large as it had to be.
#[derive(Default)]
pub(super) struct Memory {
    entry: Entry,
    states: Vec<StateRecord>,
    claims: Vec<Given>,
    heard: Vec<Told>,
    encoded: Vec<u8>,
    ops: StateOps,
}

/// Of each kind so many are kept memory for, and so many bytes.
const KEPT: usize = 4096;

impl<'a> Unit<'a> {
    pub(super) fn new(log: &'a Log, mut views: MutexGuard<'a, Views>) -> Self {
        let Memory { entry, states, claims, heard, encoded, ops } = std::mem::take(&mut views.memory);
        views.memory.ops = ops;
        Self {
            log,
            views,
            _turn: log.turn(),
            now_ms: now_ms(),
            entry,
            open: None,
            states,
            stirred: SmallVec::new(),
            changed: SmallVec::new(),
            claims,
            heard,
            encoded,
            reading: None,
            stamp: None,
            changed_series: SmallVec::new(),
            stirred_series: SmallVec::new(),
            answered: Vec::new(),
            dead: Vec::new(),
            idle: Vec::new(),
            done: false,
        }
    }

    /// The time at which the unit began, in milliseconds since 1970.
    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// Writes everything as one entry. What depends on it waits for the returned position.
    pub fn commit(mut self) -> Barrier {
        self.finish()
    }

    /// A position that covers everything that was seen or done until now, by anyone.
    ///
    /// What was read in a unit that wrote nothing may not be durable yet; its answer waits for this.
    pub fn seen(&self) -> Barrier {
        self.log.barrier()
    }

    fn finish(&mut self) -> Barrier {
        if std::mem::replace(&mut self.done, true) {
            return Barrier::NONE;
        }
        self.end_idle();
        self.serve();
        while self.bury() {
            self.serve();
        }
        self.close_batch();
        self.collect_ops();
        self.collect_series_ops();
        if !self.states.is_empty() {
            let log = self.log;
            self.entry.add_state(&self.states, |table| log.open_table(table).ok(), self.now_ms);
        }
        self.entry.set_time(self.now_ms);
        // A failure poisons the log: nobody is answered any more, so nothing that was changed here can be told.
        let barrier = self.log.append(&self.entry).unwrap_or(Barrier::NEVER);
        for name in &self.changed {
            if let Some(view) = self.views.queues.get_mut(name) {
                view.changed = true;
            }
            self.views.set_alarm(name);
        }
        self.hand_out(barrier);
        self.wake_writers();
        self.keep_memory();
        barrier
    }

    /// The next unit need not ask for the memory of this one.
    fn keep_memory(&mut self) {
        self.entry.clear();
        self.states.clear();
        self.states.shrink_to(KEPT);
        self.claims.shrink_to(KEPT);
        self.heard.shrink_to(KEPT);
        self.encoded.shrink_to(KEPT);
        self.views.memory = Memory {
            entry: std::mem::take(&mut self.entry),
            states: std::mem::take(&mut self.states),
            claims: std::mem::take(&mut self.claims),
            heard: std::mem::take(&mut self.heard),
            encoded: std::mem::take(&mut self.encoded),
            ops: std::mem::take(&mut self.views.memory.ops),
        };
    }

    fn collect_ops(&mut self) {
        self.changed.sort_unstable();
        self.changed.dedup();
        let views = &mut *self.views;
        for name in &self.changed {
            let Some(view) = views.queues.get_mut(name) else { continue };
            let mut ops = std::mem::take(&mut view.ops);
            if view.durable && !ops.is_empty() {
                if !std::mem::replace(&mut view.has_ops, true) {
                    views.unsaved.push(name.clone());
                }
                self.entry.require(view.topic.durability());
                self.encoded.clear();
                ops.encode(&mut self.encoded);
                let change = Change::Operation(self.entry.copy(&self.encoded));
                self.states.push(StateRecord { table: QUEUES, key: name.to_bytes(), change });
            }
            ops.clear();
            views.memory.ops = ops;
        }
    }

    /// Gives claims and announcements to whom they are for, to go out once they are durable.
    fn hand_out(&mut self, barrier: Barrier) {
        let mut stable = Stable::default();
        for (mailbox, mut claim, is_pop) in self.claims.drain(..) {
            claim.barrier = if is_pop { barrier } else { stable.barrier_of(&claim, barrier) };
            let barrier = claim.barrier;
            // Who has something in the mailbox already is woken for that, and waits for the rest himself.
            if mailbox.push(claim) {
                self.log.wake_at(barrier, &mailbox.spec.signal);
            }
        }
        self.answered.drain(..).for_each(|waiter| self.log.wake_at(barrier, &waiter.signal));
        for (heard, is_live) in self.heard.drain(..) {
            let barrier = if is_live { Barrier::NONE } else { barrier };
            self.views.tails.announce(heard, barrier, self.now_ms, |signal| self.log.wake_at(barrier, signal));
        }
    }

    /// Writes a key of a dialect's or a model's own durable state; none: forgets it.
    pub fn put_state(&mut self, table: Table, key: Bytes, value: Option<Bytes>) {
        let change = value.map_or(Change::Delete, Change::Put);
        self.states.push(StateRecord { table, key, change });
    }

    fn partition(topic: &Topic, index: u32) -> Option<Arc<Partition>> {
        topic.partition(index)
    }

    /// A partition that may be written to: a handle may be older than the topic that has its name by now, whose offsets and
    /// views are others.
    fn live_partition(topic: &Topic, index: u32) -> Option<Arc<Partition>> {
        topic.partition(index).filter(|_| !topic.is_deleted())
    }
}

/// Up to where a partition was stable when it was looked at: most records that are handed out lie before that, and one after the other.
#[derive(Default)]
struct Stable(Option<(Arc<Partition>, u64)>);

impl Stable {
    /// What must be passed before a claimed record may be seen; `unit`, if it was written in the same unit.
    fn barrier_of(&mut self, claim: &Claim, unit: Barrier) -> Barrier {
        let (partition, stable) = match &mut self.0 {
            Some(of) if Arc::ptr_eq(&of.0, &claim.partition) => of,
            other => other.insert((Arc::clone(&claim.partition), claim.partition.bounds().stable)),
        };
        let offset = claim.position.offset;
        if offset < *stable { Barrier::NONE } else { partition.barrier_of(offset).unwrap_or(unit) }
    }
}

impl Drop for Unit<'_> {
    fn drop(&mut self) {
        self.finish();
    }
}

pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
