//! Taking records from a queue view within a unit.
//!
//! What retention has removed is passed over, and where the records of one key are one taker's at a time, so is what is not for this
//! taker. Such a view looks at the key of a record when it comes to it, so nothing is kept of those that nobody has come to yet.

use super::Unit;
use super::append::read;
use super::queues::{claim_next, claimed};
use crate::delivery::Views;
use crate::delivery::queue::{Class, End, Key, Taken};
use crate::delivery::taker::{Claim, Position, TakerId};
use crate::log::{Barrier, TopicName};

impl Unit<'_> {
    /// Takes the record at an end and accepts it.
    pub fn pop(&mut self, name: &TopicName, end: End, class: Class) -> Option<Position> {
        self.age(name, self.now_ms - 1);
        let Taken { partition, offset, .. } = if self.orders_by_key(name) {
            let taken = self.take_from(name, end, class, None)?;
            self.views.queues.get_mut(name)?.state.accept(taken.partition, taken.offset);
            taken
        } else {
            let view = self.views.queues.get_mut(name)?;
            loop {
                let taken = view.state.pop(end, class)?;
                if !view.has_lost(taken.partition, taken.offset) {
                    break taken;
                }
            }
        };
        let views = &mut *self.views;
        let view = views.queues.get_mut(name)?;
        view.ops.use_memory(&mut views.memory.ops);
        view.ops.accept(partition, offset);
        view.count_taken(1, self.now_ms);
        view.count_settled(1, self.now_ms);
        self.touched(name);
        Some(Position { partition, offset })
    }

    /// Takes the record at the head; it is in flight until it is settled.
    pub fn take(&mut self, name: &TopicName, class: Class) -> Option<Claim> {
        self.take_for(name, class, None)
    }

    /// Takes the first record that a taker may have.
    pub(super) fn take_for(&mut self, name: &TopicName, class: Class, by: Option<TakerId>) -> Option<Claim> {
        self.age(name, self.now_ms - 1);
        let now_ms = self.now_ms;
        let mut claim = if self.orders_by_key(name) {
            let taken = self.take_from(name, End::Head, class, by)?;
            let view = self.views.queues.get_mut(name)?;
            let partition = view.topic.partition(taken.partition)?;
            claimed(name, view, &taken, partition, now_ms)
        } else {
            claim_next(name, self.views.queues.get_mut(name)?, class, &mut None, now_ms)?
        };
        claim.barrier = claim.partition.barrier_of(claim.position.offset).unwrap_or(Barrier::NONE);
        if claim.attempt.is_some() {
            self.views.set_alarm(name);
        }
        Some(claim)
    }

    /// Takes the record at an end that `by` may have; none: one who may have what nobody else has. At the tail order is no matter.
    pub(super) fn take_from(&mut self, name: &TopicName, end: End, class: Class, by: Option<TakerId>) -> Option<Taken> {
        let by_key = end == End::Head && self.orders_by_key(name);
        if by_key {
            self.close_batch();
        }
        let (log, entry, reading) = (self.log, &self.entry, &mut self.reading);
        let Views { queues, steward, .. } = &mut *self.views;
        let view = queues.get_mut(name)?;
        loop {
            let topic = &view.topic;
            let key_of = |partition: u32, offset: u64| {
                let record = read(log, entry, reading, &*topic.partition(partition)?, offset)?;
                let key = steward.as_ref().map_or_else(|| record.key.clone(), |steward| steward.order_key(&record));
                key.map(|key| Key::of(&key))
            };
            let taken = match by_key {
                true => view.state.take_by_key(class, by.map(Into::into), key_of),
                false => view.state.take_from(end, class),
            }?;
            if !view.has_lost(taken.partition, taken.offset) {
                return Some(taken);
            }
        }
    }
}
