//! What time and limits do to queue views within a unit: records become ready, expire, are dropped or die, and dead ones go on.

use std::sync::Arc;

use super::{Target, Unit};
use crate::delivery::death::{Attributes, Burial, Death, Reason};
use crate::delivery::queue::{Class, End, Kind, Overflow, Taken};
use crate::delivery::taker::Position;
use crate::delivery::view::View;
use crate::log::record::Record;
use crate::log::{Partition, Room as DiskRoom, Signal, TopicName};

/// Records of one view that die in one unit of what was due, at most: their bodies are read under the lock.
const BURIED_AT_ONCE: usize = 1000;

/// What the queue views of a topic say to more records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// They may come.
    Enough,
    /// They may come later, when some have gone.
    Later,
    /// They may not.
    Refused,
}

/// A record that is done in its view, or was refused by it, and goes on elsewhere.
pub(super) struct Dead {
    death: Death,
    body: Body,
}

/// Where a dead record is.
enum Body {
    Written {
        partition: Arc<Partition>,
        offset: u64,
    },
    /// It was refused before it was written.
    Refused(Box<Record>),
}

impl Unit<'_> {
    /// Ages the queue views that something is due in; some of them, if there are many.
    pub(in crate::delivery) fn run_due(&mut self) {
        for name in self.views.alarms.due(self.now_ms) {
            let idle_end_ms = self.views.queues.get(&name).and_then(View::idle_end);
            match idle_end_ms.is_some_and(|end_ms| end_ms <= self.now_ms) {
                true => self.idle.push(name),
                false => self.pump(&name),
            }
        }
    }

    /// Somebody uses a queue view in a way that is not seen here; its time without use begins anew.
    pub fn use_queue(&mut self, name: &TopicName) {
        self.views.used(name, self.now_ms);
    }

    /// Ends the queue views that nobody used for too long.
    pub(super) fn end_idle(&mut self) {
        for name in std::mem::take(&mut self.idle) {
            let Some(topic) = self.views.queues.get(&name).map(|view| view.topic.name().clone()) else { continue };
            let ended = self.views.steward.clone().map(|steward| steward.end(&name)).unwrap_or_default();
            self.drop_queue(&name);
            if ended.with_topic {
                // Gone already is as good.
                let _ = self.delete_topic(&topic);
            }
            for (table, key, value) in ended.states {
                self.put_state(table, key, value);
            }
        }
    }

    /// Lets what waits in a view become ready and what has expired by a time go. False if there is more, which nobody gets meanwhile.
    pub(super) fn age(&mut self, name: &TopicName, expired_by_ms: i64) -> bool {
        let now_ms = self.now_ms;
        let Some(view) = self.views.queues.get_mut(name) else { return true };
        if view.state.next_due().is_none_or(|due_ms| due_ms > now_ms) {
            return true;
        }
        let routes = view.dead_route().is_some();
        view.state.wake(now_ms);
        let mut failed = Vec::new();
        while let Some((partition, offset)) = view.state.lapse(now_ms) {
            if view.state.release(partition, offset, true) {
                failed.extend(view.failed(Position { partition, offset }, now_ms));
            }
        }
        let at_once = match self.log.room().0 {
            _ if !routes => usize::MAX,
            // Each is written once more, into the room that is left for what makes some.
            DiskRoom::Full => 0,
            _ => BURIED_AT_ONCE,
        };
        let mut dead = Vec::new();
        while dead.len() < at_once {
            let Some(taken) = view.state.expire(expired_by_ms) else { break };
            view.ops.accept(taken.partition, taken.offset);
            dead.push(taken);
        }
        let is_over = dead.len() < at_once || view.state.next_due().is_none_or(|due_ms| due_ms > expired_by_ms);
        self.died(name, &failed, Reason::DeliveryLimit);
        self.died(name, &dead, Reason::Expired);
        self.touched(name);
        is_over
    }

    /// Drops what a view has too much of.
    pub(super) fn limit(&mut self, name: &TopicName) {
        let Some(view) = self.views.queues.get_mut(name) else { return };
        if view.overflow() != Overflow::DropOldest {
            return;
        }
        let mut dead = Vec::new();
        while view.has_too_much() {
            let Some(taken) = view.state.pop(End::Head, Class::All) else { break };
            view.ops.accept(taken.partition, taken.offset);
            dead.push(taken);
        }
        if !dead.is_empty() {
            self.died(name, &dead, Reason::Overflow);
            self.touched(name);
        }
    }

    /// Settles records that a taker refuses for good: they are done, and go where dead records go.
    pub fn reject(&mut self, name: &TopicName, at: &[Position]) {
        let Some(view) = self.views.queues.get_mut(name) else { return };
        let mut dead = Vec::new();
        for &Position { partition, offset } in at {
            let delivered = view.state.delivered(partition, offset);
            if view.state.accept(partition, offset) {
                view.ops.accept(partition, offset);
                dead.push(Taken { partition, offset, redelivered: true, acquired: 1, delivered });
            }
        }
        self.died(name, &dead, Reason::Rejected);
        self.freed(name);
        self.touched(name);
    }

    /// Whether ids of records are worth telling.
    pub fn remembers_ids(&self) -> bool {
        self.views.queues.any_remembers_ids()
    }

    /// Whether some queue view of a topic remembers the record's id.
    pub(super) fn is_known(&self, topic: &TopicName, attributes: &Attributes) -> bool {
        let Some(id) = attributes.id.as_ref().filter(|_| self.remembers_ids()) else { return false };
        self.views.queues.of_topic(topic).any(|view| view.state.knows(id, self.now_ms))
    }

    /// Whether any queue view at all may refuse a record, or let who writes it wait.
    pub fn has_limits(&self) -> bool {
        self.views.queues.any_may_refuse()
    }

    /// What the queue views of a topic say to so many more records.
    pub fn room(&self, topic: &TopicName, records: u64) -> Room {
        if !self.has_limits() {
            return Room::Enough;
        }
        let mut room = Room::Enough;
        for view in self.views.queues.of_topic(topic).filter(|view| view.is_full_for(records)) {
            if view.overflow() == Overflow::Wait {
                return Room::Later;
            }
            room = Room::Refused;
        }
        room
    }

    /// Notifies, once, when the queue views of a topic may have room again.
    pub fn wait_for_room(&mut self, topic: &TopicName, signal: &Signal) {
        let waiting = self.views.rooms.entry(topic.clone()).or_default();
        // Who has gone meanwhile is not kept.
        waiting.retain(|known| Arc::strong_count(known) > 1);
        if !waiting.iter().any(|known| Arc::ptr_eq(known, signal)) {
            waiting.push(Arc::clone(signal));
        }
    }

    /// Wakes who waits for room that is there now.
    pub(super) fn wake_writers(&mut self) {
        if self.views.rooms.is_empty() {
            return;
        }
        let rooms = std::mem::take(&mut self.views.rooms);
        for (topic, waiting) in rooms {
            match self.room(&topic, 1) {
                Room::Later => drop(self.views.rooms.insert(topic, waiting)),
                Room::Enough | Room::Refused => waiting.iter().for_each(|signal| signal.notify_one()),
            }
        }
    }

    /// Appends a record to those of the targets that do not refuse it (nobody can wait here), and buries it for those that do and bury.
    pub fn append_where_it_fits(&mut self, targets: &[Target], record: &Record, kind: Kind, attributes: &Attributes) {
        let is_full = |target: &Target| self.room(target.topic.name(), 1) == Room::Refused;
        let (full, open): (Vec<_>, Vec<_>) = targets.iter().cloned().partition(is_full);
        self.append_with(&open, record, kind, attributes);
        for target in full {
            self.refuse(target.topic.name(), record, 1);
        }
    }

    /// A record, one of so many, was refused because there is no room for all of them: it dies in those of a topic's queue views that
    /// bury what they refuse.
    pub fn refuse(&mut self, topic: &TopicName, record: &Record, records: u64) {
        let refusals = self.refusals(topic, records);
        let dead = |death| Dead { death, body: Body::Refused(Box::new(record.clone())) };
        self.dead.extend(refusals.into_iter().map(dead));
    }

    /// What one of so many records dies of that a topic's views refuse.
    fn refusals(&self, topic: &TopicName, records: u64) -> Vec<Death> {
        let burying = |view: &&View| view.overflow() == Overflow::RefuseAndBury && view.is_full_for(records);
        let death = |view: &View| Death {
            queue: view.topic.name().clone(),
            route: view.dead_route().cloned().unwrap_or_default(),
            reason: Reason::Overflow,
            time_ms: self.now_ms,
        };
        self.views.queues.of_topic(topic).filter(burying).map(death).collect()
    }

    /// Notes where records go that are done in a view, if they go anywhere.
    pub(super) fn died(&mut self, name: &TopicName, dead: &[Taken], reason: Reason) {
        if dead.is_empty() {
            return;
        }
        let Some(view) = self.views.queues.get(name) else { return };
        let Some(route) = view.dead_route() else { return };
        for taken in dead {
            let Some(partition) = view.topic.partition(taken.partition) else { continue };
            let death = Death { queue: name.clone(), route: route.clone(), reason, time_ms: self.now_ms };
            self.dead.push(Dead { death, body: Body::Written { partition, offset: taken.offset } });
        }
    }

    /// Appends dead records where they go. False if there were none.
    pub(super) fn bury(&mut self) -> bool {
        let dead = std::mem::take(&mut self.dead);
        let Some(steward) = self.views.steward.clone().filter(|_| !dead.is_empty()) else { return false };
        for Dead { death, body } in dead {
            let record = match body {
                Body::Written { partition, offset } => self.read(&partition, offset),
                Body::Refused(record) => Some(*record),
            };
            let Some(record) = record else {
                tracing::error!(queue = %death.queue, "a dead record cannot be read and goes nowhere");
                continue;
            };
            if let Some(Burial { targets, record, attributes }) = steward.bury(&death, &record) {
                self.append_with(&targets, &record, Kind::Plain, &attributes);
            }
        }
        true
    }
}
