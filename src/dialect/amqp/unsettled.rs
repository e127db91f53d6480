//! The deliveries of a channel that its client has not settled yet, by delivery tag.
//!
//! Tags grow, so a queue in order with holes is enough: settling is a binary search, and holes are squeezed out when they outnumber
//! what is left.

use std::collections::VecDeque;

use bytes::Bytes;

use super::error::Fault;
use super::round::Round;
use crate::delivery::{Position, Unit};
use crate::log::TopicName;

/// A delivery that waits for its acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub tag: u64,
    pub view: TopicName,
    pub position: Position,
    /// What tells its claim from a later one, if the queue has a timeout.
    pub attempt: Option<u32>,
    /// The consumer it went to; none for `basic.get`.
    pub consumer: Option<Bytes>,
    /// It was paid for with the channel's shared prefetch too.
    pub shared: bool,
}

impl Delivery {
    /// Whether it still is this channel's to settle.
    pub fn stands(&self, unit: &Unit<'_>) -> bool {
        unit.holds(&self.view, self.position, self.attempt)
    }

    /// Refuses to settle what came too late.
    pub fn check_stands(&self, round: &mut Round<'_>) -> Result<(), Fault> {
        if self.attempt.is_none() || self.stands(&round.work()?.unit) { Ok(()) } else { Err(Fault::TooLate(self.tag)) }
    }
}

/// Unsettled deliveries in the order of their tags.
#[derive(Debug, Default)]
pub struct Unsettled {
    entries: VecDeque<(u64, Option<Delivery>)>,
    live: usize,
}

impl Unsettled {
    /// Adds a delivery; its tag is larger than all before.
    pub fn push(&mut self, delivery: Delivery) {
        self.live += 1;
        self.entries.push_back((delivery.tag, Some(delivery)));
    }

    /// Takes the delivery of a tag, or all up to it; tag 0 with `multiple` means all there are. `None`: no such tag.
    pub fn settle(&mut self, tag: u64, multiple: bool) -> Option<Vec<Delivery>> {
        match (tag, multiple) {
            (0, true) => Some(self.take_all()),
            (tag, true) => self.take_up_to(tag),
            (tag, false) => self.take_one(tag).map(|one| vec![one]),
        }
    }

    /// Takes the delivery of a tag.
    pub fn take_one(&mut self, tag: u64) -> Option<Delivery> {
        let at = self.entries.binary_search_by_key(&tag, |entry| entry.0).ok()?;
        let taken = self.entries.get_mut(at)?.1.take()?;
        self.live -= 1;
        self.squeeze();
        Some(taken)
    }

    fn take_up_to(&mut self, tag: u64) -> Option<Vec<Delivery>> {
        let at = self.entries.binary_search_by_key(&tag, |entry| entry.0).ok()?;
        self.entries.get(at)?.1.as_ref()?;
        let taken: Vec<_> = self.entries.drain(..=at).filter_map(|entry| entry.1).collect();
        self.live -= taken.len();
        self.squeeze();
        Some(taken)
    }

    /// Takes all.
    pub fn take_all(&mut self) -> Vec<Delivery> {
        self.live = 0;
        self.entries.drain(..).filter_map(|entry| entry.1).collect()
    }

    /// Puts deliveries back that were settled by a transaction which is rolled back.
    pub fn put_back(&mut self, deliveries: Vec<Delivery>) {
        let mut all = self.take_all();
        all.extend(deliveries);
        all.sort_by_key(|delivery| delivery.tag);
        self.live = all.len();
        self.entries = all.into_iter().map(|delivery| (delivery.tag, Some(delivery))).collect();
    }

    fn squeeze(&mut self) {
        while self.entries.front().is_some_and(|entry| entry.1.is_none()) {
            self.entries.pop_front();
        }
        if self.entries.len() > 64 && self.entries.len() > 2 * self.live {
            self.entries.retain(|entry| entry.1.is_some());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(tags: std::ops::RangeInclusive<u64>) -> Unsettled {
        let mut unsettled = Unsettled::default();
        for tag in tags {
            let view = TopicName::new("q").unwrap();
            unsettled.push(Delivery {
                tag,
                view,
                position: Position { partition: 0, offset: tag },
                attempt: None,
                consumer: None,
                shared: false,
            });
        }
        unsettled
    }

    fn tags(deliveries: Option<Vec<Delivery>>) -> Vec<u64> {
        deliveries.unwrap().iter().map(|delivery| delivery.tag).collect()
    }

    #[test]
    fn one_several_and_all_are_settled_once() {
        let mut unsettled = filled(1..=10);
        assert_eq!(tags(unsettled.settle(3, false)), [3]);
        assert_eq!(unsettled.settle(3, false), None);
        assert_eq!(tags(unsettled.settle(5, true)), [1, 2, 4, 5]);
        assert_eq!(unsettled.settle(5, true), None);
        assert_eq!(unsettled.settle(11, true), None);
        assert_eq!(unsettled.settle(0, false), None);
        assert_eq!(tags(unsettled.settle(0, true)), [6, 7, 8, 9, 10]);
        assert_eq!(tags(unsettled.settle(0, true)), [0; 0]);
        assert_eq!(unsettled.live, 0);
    }

    #[test]
    fn one_old_delivery_does_not_keep_the_room_of_all_later_ones() {
        let mut unsettled = filled(1..=10_000);
        for tag in 2..=10_000 {
            assert!(unsettled.take_one(tag).is_some());
        }
        assert!(unsettled.entries.len() <= 65);
        assert_eq!(unsettled.live, 1);
    }

    #[test]
    fn what_a_rollback_puts_back_can_be_settled_again() {
        let mut unsettled = filled(1..=4);
        let settled = unsettled.settle(2, true).unwrap();
        unsettled.put_back(settled);
        assert_eq!(tags(unsettled.settle(0, true)), [1, 2, 3, 4]);
    }
}
