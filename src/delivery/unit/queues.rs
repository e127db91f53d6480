//! Queue views within a unit: opening, settling, and serving who waits.

use std::sync::Arc;

use smallvec::SmallVec;

use super::Unit;
use crate::delivery::QUEUES;
use crate::delivery::death::Reason;
use crate::delivery::queue::{Class, QueueOptions, Taken, time_after};
use crate::delivery::taker::{Claim, Mailbox, Position, Serve, Taker, TakerId, TakerSpec};
use crate::delivery::view::{QueueSpec, Start, View};
use crate::log::{Barrier, Change, Lsn, Partition, StateRecord, TopicError, TopicName};

impl Unit<'_> {
    /// Opens a queue view on a topic unless it is open. Its name is the topic's, or one that [`view_name`] gave.
    ///
    /// [`view_name`]: crate::delivery::view_name
    pub fn open_queue(&mut self, name: &TopicName, spec: QueueSpec) -> Result<(), TopicError> {
        if self.views.queues.contains_key(name) {
            return Ok(());
        }
        let topic = self.log.topic(&spec.topic).ok_or(TopicError::Unknown)?;
        let durable = spec.durable;
        let view = View::new(self.log, topic, spec, self.now_ms);
        if durable {
            let change = Change::Put(view.put());
            self.states.push(StateRecord { table: QUEUES, key: name.to_bytes(), change });
        }
        self.views.queues.insert(name, view);
        self.views.set_alarm(name);
        self.pump(name);
        Ok(())
    }

    /// Writes the whole state of a queue view, which takes the place of the changes before.
    pub(in crate::delivery) fn put_queue(&mut self, name: &TopicName) {
        let end = self.log.end();
        let Some(view) = self.views.queues.get_mut(name) else { return };
        view.put_at = Lsn(end.0 + 1);
        (view.has_ops, view.changed) = (false, false);
        // They are in the put.
        view.ops.clear();
        let change = Change::Put(view.put());
        self.states.push(StateRecord { table: QUEUES, key: name.to_bytes(), change });
    }

    /// Whether a queue view is open.
    pub fn has_queue(&self, name: &TopicName) -> bool {
        self.views.queues.contains_key(name)
    }

    /// The names of all open queue views, in no order.
    pub fn queue_names(&self) -> Vec<TopicName> {
        self.views.queues.names().cloned().collect()
    }

    /// The names of the queue views of a topic beside its default one.
    pub fn named_views_of(&self, topic: &TopicName) -> Vec<TopicName> {
        self.views.queues.named_views_of(topic).to_vec()
    }

    /// Lets a queue view begin anew at a start: what it was done with is ready again, or what was ready is passed over. False if
    /// records are in flight, whose settling would then mean others, or there is no such view.
    pub fn seek_queue(&mut self, name: &TopicName, start: Start) -> bool {
        let (log, now_ms) = (self.log, self.now_ms);
        let Some(view) = self.views.queues.get_mut(name).filter(|view| view.state.in_flight() == 0) else { return false };
        view.seek(log, start, now_ms);
        if view.durable {
            self.put_queue(name);
        }
        self.touched(name);
        self.views.set_alarm(name);
        self.pump(name);
        true
    }

    /// Changes what a queue view does from now on; records that are there keep their deadlines.
    pub fn set_queue_options(&mut self, name: &TopicName, options: Option<Box<QueueOptions>>) {
        if !self.views.queues.set_options(name, options) {
            return;
        }
        if self.views.queues.get(name).is_some_and(|view| view.durable) {
            self.put_queue(name);
        }
        self.views.set_alarm(name);
        self.pump(name);
    }

    /// Closes a queue view for good and cancels its takers. Its topic stays.
    pub fn drop_queue(&mut self, name: &TopicName) {
        let Some(mut view) = self.views.queues.remove(name) else { return };
        self.views.alarms.change(name, view.alarm_ms, None);
        view.cancel_takers();
        if view.durable {
            self.states.push(StateRecord { table: QUEUES, key: name.to_bytes(), change: Change::Delete });
        }
    }

    /// How many records may be taken.
    pub fn ready(&self, name: &TopicName, class: Class) -> u64 {
        self.views.queues.get(name).map_or(0, |view| view.state.ready(class))
    }

    /// How many records are taken and not settled.
    pub fn in_flight(&self, name: &TopicName) -> u64 {
        self.views.queues.get(name).map_or(0, |view| view.state.in_flight())
    }

    /// How many takers there are.
    pub fn takers(&self, name: &TopicName) -> u32 {
        self.views.queues.get(name).map_or(0, View::taker_count)
    }

    /// A number that grows with every change of what the queue view holds; 0: there is no such view.
    pub fn version(&self, name: &TopicName) -> u64 {
        self.views.queues.get(name).map_or(0, |view| view.version + 1)
    }

    /// Accepts everything that is ready and returns how many records that were.
    pub fn purge(&mut self, name: &TopicName, class: Class) -> u64 {
        let Some(view) = self.views.queues.get_mut(name) else { return 0 };
        let (count, op) = view.state.purge(class);
        view.count_settled(count, self.now_ms);
        view.ops.push(op);
        self.touched(name);
        count
    }

    /// The places of `count` records from the one at `start` on, in the order of the queue view.
    pub fn range(&self, name: &TopicName, class: Class, start: u64, count: u64) -> Vec<Position> {
        let Some(view) = self.views.queues.get(name) else { return Vec::new() };
        let places = view.state.range(class, start, count);
        places.into_iter().map(|(partition, offset)| Position { partition, offset }).collect()
    }

    /// Whether a claim still stands: its lease may be over, and somebody else may have the record by now.
    pub fn holds(&self, name: &TopicName, at: Position, attempt: Option<u32>) -> bool {
        let current = || self.views.queues.get(name).and_then(|view| view.state.attempt(at.partition, at.offset));
        attempt.is_none_or(|attempt| current() == Some(attempt))
    }

    /// Gives a taker more time, from now on. False if the claim does not stand any more.
    pub fn extend_lease(&mut self, name: &TopicName, at: Position, attempt: Option<u32>, lease_ms: u64) -> bool {
        if !self.holds(name, at, attempt) {
            return false;
        }
        let until_ms = time_after(self.now_ms, lease_ms);
        let is_extended = self.views.queues.get_mut(name).is_some_and(|view| view.state.lease(at.partition, at.offset, until_ms));
        self.views.set_alarm(name);
        is_extended
    }

    /// Adds a taker, which is served at the end of the unit.
    pub fn add_taker(&mut self, name: &TopicName, spec: TakerSpec) -> Option<Taker> {
        self.views.next_taker += 1;
        let mailbox = Mailbox::new(TakerId(self.views.next_taker), spec);
        let now_ms = self.now_ms;
        self.views.queues.get_mut(name)?.add_taker(Arc::clone(&mailbox), now_ms);
        self.views.set_alarm(name);
        self.pump(name);
        Some(Taker { mailbox })
    }

    /// Removes a taker. What is in its mailbox or in flight is the caller's to settle.
    pub fn remove_taker(&mut self, name: &TopicName, id: TakerId) {
        if let Some(view) = self.views.queues.get_mut(name) {
            view.remove_taker(id, self.now_ms);
        }
        self.views.set_alarm(name);
        // The next in line may be the one that is served now.
        self.pump(name);
    }

    /// Settles records for good.
    pub fn accept(&mut self, name: &TopicName, at: &[Position]) {
        let views = &mut *self.views;
        let Some(view) = views.queues.get_mut(name) else { return };
        view.ops.use_memory(&mut views.memory.ops);
        let mut settled = 0;
        for position in at {
            if view.state.accept(position.partition, position.offset) {
                view.ops.accept(position.partition, position.offset);
                settled += 1;
            }
        }
        view.count_settled(settled, self.now_ms);
        self.freed(name);
        self.touched(name);
    }

    /// Whether the records of one key are one taker's at a time: there may be some ready, and none for who asks.
    pub fn orders_by_key(&self, name: &TopicName) -> bool {
        self.views.queues.get(name).is_some_and(View::orders_by_key)
    }

    /// Keys may be free again, for which others wait.
    pub(super) fn freed(&mut self, name: &TopicName) {
        if self.orders_by_key(name) {
            self.pump(name);
        }
    }

    /// Puts records back to their published places. `failed`: the try counts as a delivery, which may be one too many.
    pub fn release(&mut self, name: &TopicName, at: &[Position], failed: bool) {
        let now_ms = self.now_ms;
        let Some(view) = self.views.queues.get_mut(name) else { return };
        let mut dead = Vec::new();
        for &at in at {
            if view.state.release(at.partition, at.offset, failed) && failed {
                dead.extend(view.failed(at, now_ms));
            }
        }
        self.died(name, &dead, Reason::DeliveryLimit);
        self.touched(name);
        self.pump(name);
    }

    /// Serves the takers of a queue view at the end of the unit.
    pub fn pump(&mut self, name: &TopicName) {
        self.stirred.push(name.clone());
    }

    /// Serves a taker again, at the end of the unit: it was given credit, its own or what it shares.
    pub fn resume_taker(&mut self, name: &TopicName, id: TakerId) {
        if let Some(view) = self.views.queues.get_mut(name) {
            view.resume_taker(id);
            self.pump(name);
        }
    }

    /// Serves now who waits on the queue views and series that were written to: after a whole command, where several make a unit.
    pub fn serve(&mut self) {
        // A move may stir another view.
        while !self.stirred.is_empty() {
            let name = self.stirred.remove(0);
            if self.views.queues.get(&name).is_none_or(View::is_quiet) || !self.age(&name, self.now_ms - 1) {
                continue;
            }
            self.serve_queue(&name);
            // What has no time at all had its chance.
            self.age(&name, self.now_ms);
            self.limit(&name);
        }
        self.answer_waiters();
    }

    fn serve_queue(&mut self, name: &TopicName) {
        let by_key = self.orders_by_key(name);
        let mut passed = SmallVec::<[TakerId; 4]>::new();
        loop {
            let next = match by_key {
                true => self.views.queues.get_mut(name).and_then(|view| view.next_turn(&passed)),
                false => self.serve_claims(name),
            };
            let Some(mailbox) = next else { return };
            if self.serve_one(name, &mailbox) {
                continue;
            }
            mailbox.refund();
            if !by_key {
                return;
            }
            // Another may have what this one may not.
            passed.push(mailbox.id);
        }
    }

    /// Serves those who claim what they are given. Returns who does not, with its credit spent, when it has its turn.
    fn serve_claims(&mut self, name: &TopicName) -> Option<Arc<Mailbox>> {
        let view = self.views.queues.get_mut(name)?;
        let mut source = None;
        let other = loop {
            let Some(mailbox) = view.next_turn(&[]) else { break None };
            if mailbox.spec.serve != Serve::Claim {
                break Some(mailbox);
            }
            let Some(claim) = claim_next(name, view, mailbox.spec.class, &mut source, self.now_ms) else {
                mailbox.refund();
                break None;
            };
            self.claims.push((mailbox, claim, false));
        };
        if view.lease_ms().is_some() {
            self.views.set_alarm(name);
        }
        other
    }

    fn serve_one(&mut self, name: &TopicName, mailbox: &Arc<Mailbox>) -> bool {
        let class = mailbox.spec.class;
        match &mailbox.spec.serve {
            // Where keys are no matter, they were served before.
            Serve::Claim => {
                let claim = if self.orders_by_key(name) { self.take_for(name, class, Some(mailbox.id)) } else { None };
                self.give(mailbox, claim, false)
            }
            Serve::Pop { end, count_max } => {
                let mut given = false;
                for _ in 0..*count_max {
                    let claim = self.pop(name, *end, class).and_then(|position| self.popped(name, position));
                    if !self.give(mailbox, claim, true) {
                        break;
                    }
                    given = true;
                }
                given
            }
            Serve::Move { from, to, to_end } => {
                let Some(target) = self.log.topic(to) else { return false };
                let moved = self.move_one(name, *from, class, &target, *to_end);
                let claim = moved.and_then(|(position, _)| self.popped(name, position));
                self.give(mailbox, claim, true)
            }
        }
    }

    fn give(&mut self, mailbox: &Arc<Mailbox>, claim: Option<Claim>, is_pop: bool) -> bool {
        let Some(claim) = claim else { return false };
        self.claims.push((Arc::clone(mailbox), claim, is_pop));
        true
    }

    fn popped(&self, name: &TopicName, position: Position) -> Option<Claim> {
        let view = self.views.queues.get(name)?;
        let partition = view.topic.partition(position.partition)?;
        let (queue, barrier) = (name.clone(), Barrier::NONE);
        Some(Claim { queue, partition, position, redelivered: false, delivery_count: 0, attempt: None, barrier })
    }

    pub(super) fn touched(&mut self, name: &TopicName) {
        if let Some(view) = self.views.queues.get_mut(name) {
            view.version += 1;
        }
        if self.changed.last() != Some(name) {
            self.changed.push(name.clone());
        }
    }
}

/// Where records are taken from, and the offset that it began at when it was looked at: most come from where the last did.
type Source = Option<(Arc<Partition>, u64)>;

/// Takes the record at the head of a view.
pub(super) fn claim_next(name: &TopicName, view: &mut View, class: Class, source: &mut Source, now_ms: i64) -> Option<Claim> {
    let taken = loop {
        let taken = view.state.take(class)?;
        if source.as_ref().is_none_or(|(partition, _)| partition.index() != taken.partition) {
            let partition = view.topic.partition(taken.partition)?;
            let log_start = partition.bounds().log_start;
            *source = Some((partition, log_start));
        }
        let log_start = source.as_ref().map_or(0, |(_, log_start)| *log_start);
        if taken.offset >= log_start {
            break taken;
        }
        // Retention was faster.
        view.state.advance_log_start(taken.partition, log_start);
    };
    let (partition, _) = source.as_ref()?;
    Some(claimed(name, view, &taken, Arc::clone(partition), now_ms))
}

/// What a taker is given of a record that was just taken.
pub(super) fn claimed(name: &TopicName, view: &mut View, taken: &Taken, partition: Arc<Partition>, now_ms: i64) -> Claim {
    view.count_taken(1, now_ms);
    view.version += 1;
    let lease_ms = view.lease_ms();
    if let Some(lease_ms) = lease_ms {
        view.state.lease(taken.partition, taken.offset, time_after(now_ms, lease_ms));
    }
    Claim {
        queue: name.clone(),
        partition,
        position: Position { partition: taken.partition, offset: taken.offset },
        redelivered: taken.redelivered,
        delivery_count: taken.delivered,
        attempt: lease_ms.map(|_| taken.acquired),
        barrier: Barrier::NONE,
    }
}
