//! The state of one channel: the message in the making, mode, consumers, unsettled deliveries and confirms. No I/O, no log.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::consumer::Consumer;
use super::content::{Content, Publish};
use super::unsettled::{Delivery, Unsettled};
use crate::delivery::{Credit, Settlement};
use crate::log::Barrier;

/// Whether a channel talks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Open,
    /// We closed it; everything is dropped until the client agrees.
    Closing,
}

/// What publishing on a channel promises.
#[derive(Debug, Default)]
pub enum Mode {
    #[default]
    Plain,
    Confirm(Confirms),
    Transaction(Transaction),
}

/// Publishes with one settlement.
#[derive(Debug)]
struct Run {
    last_tag: u64,
    /// What it waits for; none while its round goes on.
    barrier: Option<Barrier>,
    refused: bool,
}

/// What is said of a run of publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confirmed {
    pub tag: u64,
    /// It stands for all before it that nothing was said of.
    pub multiple: bool,
    pub refused: bool,
}

/// Publisher confirms: publishes are numbered, and confirmed in runs.
#[derive(Debug, Default)]
pub struct Confirms {
    last_tag: u64,
    /// Runs of publishes with one settlement, oldest first.
    waiting: VecDeque<Run>,
    confirmed: u64,
    /// Publishes of this round, and whether one of them must be durable first.
    round: Option<bool>,
}

impl Confirms {
    /// Numbers a publish. `durable`: it is confirmed only when it is on disk.
    pub fn published(&mut self, durable: bool) {
        self.last_tag += 1;
        self.round = Some(self.round.unwrap_or(false) || durable);
    }

    /// Numbers a publish that some queue had no room for.
    pub fn refused(&mut self) {
        self.end_run();
        self.last_tag += 1;
        self.waiting.push_back(Run { last_tag: self.last_tag, barrier: None, refused: true });
    }

    fn end_run(&mut self) {
        if let Some(durable) = self.round.take() {
            let barrier = if durable { None } else { Some(Barrier::NONE) };
            self.waiting.push_back(Run { last_tag: self.last_tag, barrier, refused: false });
        }
    }

    /// Ends the round: its publishes wait for the position.
    pub fn settle_round(&mut self, barrier: Barrier) {
        self.end_run();
        for run in self.waiting.iter_mut().rev().take_while(|run| run.barrier.is_none_or(|barrier| barrier == Barrier::NONE)) {
            run.barrier.get_or_insert(barrier);
        }
    }

    /// What to say now; more may follow.
    pub fn take_durable(&mut self, is_durable: impl Fn(Barrier) -> bool) -> Option<Confirmed> {
        let refused = self.waiting.front()?.refused;
        let goes = |run: &&Run| run.refused == refused && run.barrier.is_some_and(&is_durable);
        let mut last = None;
        while let Some(run) = self.waiting.front().filter(goes) {
            last = Some(run.last_tag);
            self.waiting.pop_front();
        }
        Some(self.confirm_up_to(last?, refused))
    }

    /// The refusal of everything that still waits.
    pub fn take_all(&mut self) -> Option<Confirmed> {
        let last = self.waiting.back()?.last_tag;
        self.waiting.clear();
        Some(self.confirm_up_to(last, true))
    }

    fn confirm_up_to(&mut self, last: u64, refused: bool) -> Confirmed {
        let multiple = last - self.confirmed > 1;
        self.confirmed = last;
        Confirmed { tag: last, multiple, refused }
    }

    /// What the first unconfirmed publish waits for.
    pub fn waits_for(&self) -> Option<Barrier> {
        self.waiting.front().map(|run| run.barrier.unwrap_or(Barrier::NONE))
    }

    /// Publishes without a confirm.
    pub fn unconfirmed(&self) -> u64 {
        self.last_tag - self.confirmed
    }
}

/// Work that waits for `tx.commit`.
#[derive(Debug, Default)]
pub struct Transaction {
    pub publishes: Vec<Publish>,
    /// Bytes of all bodies and properties.
    pub bytes: usize,
    pub accepted: Vec<Delivery>,
    /// Given back, and how.
    pub rejected: Vec<(Delivery, Settlement)>,
}

/// A limit of unsettled deliveries that all consumers of a channel share.
#[derive(Debug)]
pub struct SharedPrefetch {
    pub credit: Arc<Credit>,
    limit: u32,
    /// Credit to keep back because the limit was lowered.
    debt: u32,
    /// Credit came back that consumers may be waiting for.
    changed: bool,
}

/// Stands for no limit.
const UNLIMITED: u32 = 1 << 30;

impl SharedPrefetch {
    pub fn new(limit: u32) -> Self {
        let limit = if limit == 0 { UNLIMITED } else { limit };
        Self { credit: Credit::new(i64::from(limit)), limit, debt: 0, changed: false }
    }

    /// Changes the limit; a lower one takes effect as deliveries are settled.
    pub fn change(&mut self, limit: u32) {
        let limit = if limit == 0 { UNLIMITED } else { limit };
        if limit >= self.limit {
            let more = limit - self.limit;
            let kept = more.min(self.debt);
            self.debt -= kept;
            self.credit.add(i64::from(more - kept));
            self.changed = true;
        } else {
            self.debt += self.limit - limit;
        }
        self.limit = limit;
    }

    /// Deliveries were settled.
    pub fn give_back(&mut self, count: u32) {
        let kept = count.min(self.debt);
        self.debt -= kept;
        self.credit.add(i64::from(count - kept));
        self.changed = true;
    }

    /// Whether credit came back since the last call.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }
}

/// One channel.
pub struct Channel {
    pub number: u16,
    pub phase: Phase,
    pub content: Content,
    pub mode: Mode,
    /// In the order they were made.
    pub consumers: Vec<Consumer>,
    pub unsettled: Unsettled,
    last_tag: u64,
    /// The queue that an empty name means.
    pub last_queue: Bytes,
    /// For consumers to come.
    pub prefetch: u32,
    pub shared: Option<SharedPrefetch>,
}

impl Channel {
    pub fn new(number: u16) -> Self {
        Self {
            number,
            phase: Phase::Open,
            content: Content::None,
            mode: Mode::Plain,
            consumers: Vec::new(),
            unsettled: Unsettled::default(),
            last_tag: 0,
            last_queue: Bytes::new(),
            prefetch: 0,
            shared: None,
        }
    }

    pub fn next_delivery_tag(&mut self) -> u64 {
        self.last_tag += 1;
        self.last_tag
    }

    pub fn consumer_mut(&mut self, tag: &[u8]) -> Option<&mut Consumer> {
        self.consumers.iter_mut().find(|consumer| consumer.tag == tag)
    }

    /// Notes that a consumer's delivery was settled.
    pub fn settled(&mut self, delivery: &Delivery) {
        let Some(tag) = &delivery.consumer else { return };
        if let Some(consumer) = self.consumer_mut(tag) {
            consumer.unsettled = consumer.unsettled.saturating_sub(1);
        }
        if let Some(shared) = self.shared.as_mut().filter(|_| delivery.shared) {
            shared.give_back(1);
        }
    }

    pub fn confirms_mut(&mut self) -> Option<&mut Confirms> {
        match &mut self.mode {
            Mode::Confirm(confirms) => Some(confirms),
            Mode::Plain | Mode::Transaction(_) => None,
        }
    }

    pub fn confirms(&self) -> Option<&Confirms> {
        match &self.mode {
            Mode::Confirm(confirms) => Some(confirms),
            Mode::Plain | Mode::Transaction(_) => None,
        }
    }
}

/// The channels of a connection by number.
#[derive(Default)]
pub struct Channels {
    slots: Vec<Option<Box<Channel>>>,
    open: usize,
}

impl Channels {
    pub fn get(&mut self, number: u16) -> Option<&mut Channel> {
        self.slots.get_mut(usize::from(number))?.as_deref_mut()
    }

    pub fn insert(&mut self, channel: Channel) {
        let at = usize::from(channel.number);
        if self.slots.len() <= at {
            self.slots.resize_with(at + 1, || None);
        }
        if let Some(slot) = self.slots.get_mut(at) {
            self.open += usize::from(slot.is_none());
            *slot = Some(Box::new(channel));
        }
    }

    pub fn remove(&mut self, number: u16) -> Option<Channel> {
        let channel = self.slots.get_mut(usize::from(number))?.take()?;
        self.open -= 1;
        Some(*channel)
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Channel> {
        self.slots.iter_mut().filter_map(|slot| slot.as_deref_mut())
    }

    pub fn iter(&self) -> impl Iterator<Item = &Channel> {
        self.slots.iter().filter_map(|slot| slot.as_deref())
    }

    pub fn numbers(&self) -> Vec<u16> {
        self.iter().map(|channel| channel.number).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Durability, Lsn};

    fn barrier(lsn: u64) -> Barrier {
        Barrier::at(Lsn(lsn), Durability::Fsync)
    }

    #[test]
    fn confirms_of_a_round_are_one_and_wait_for_it() {
        let mut confirms = Confirms::default();
        confirms.published(true);
        confirms.published(false);
        let (first, second) = (barrier(5), barrier(9));
        confirms.settle_round(first);
        confirms.published(true);
        confirms.settle_round(second);
        confirms.settle_round(barrier(10));
        assert_eq!(confirms.take_durable(|barrier| barrier == Barrier::NONE), None);
        assert_eq!(confirms.waits_for(), Some(first));
        let said = Some(Confirmed { tag: 2, multiple: true, refused: false });
        assert_eq!(confirms.take_durable(|barrier| barrier == first), said);
        assert_eq!(confirms.unconfirmed(), 1);
        assert_eq!(confirms.take_durable(|_| true), Some(Confirmed { tag: 3, multiple: false, refused: false }));
        assert_eq!(confirms.take_durable(|_| true), None);
    }

    #[test]
    fn transient_publishes_wait_for_nothing() {
        let mut confirms = Confirms::default();
        confirms.published(false);
        confirms.settle_round(Barrier::NEVER);
        assert_eq!(
            confirms.take_durable(|barrier| barrier == Barrier::NONE),
            Some(Confirmed { tag: 1, multiple: false, refused: false })
        );
    }

    #[test]
    fn what_is_refused_is_said_in_its_turn() {
        let mut confirms = Confirms::default();
        confirms.published(true);
        confirms.published(true);
        confirms.refused();
        confirms.refused();
        confirms.published(true);
        confirms.settle_round(barrier(5));
        let said: Vec<_> = std::iter::from_fn(|| confirms.take_durable(|_| true)).collect();
        let of = |tag, multiple, refused| Confirmed { tag, multiple, refused };
        assert_eq!(said, [of(2, true, false), of(4, true, true), of(5, false, false)]);
        assert_eq!(confirms.unconfirmed(), 0);
    }
}
