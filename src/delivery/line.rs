//! Who takes from a queue view, in the order of their turns: by priority, and among equals one after the other.
//!
//! Only those who may have credit are in line. Who is found without any rests until he is said to have some again, so that a turn
//! costs the same however many have none.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashMap;

use super::queue::Class;
use super::taker::{Mailbox, TakerId};

/// The takers of one queue view.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// The next first.
    waiting: VecDeque<Arc<Mailbox>>,
    resting: HashMap<TakerId, Arc<Mailbox>>,
    /// The one that is served where only one is.
    active: Option<TakerId>,
}

impl Line {
    pub fn len(&self) -> usize {
        self.waiting.len() + self.resting.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A taker comes, or goes to the back: behind all who go first, and all who are equal.
    pub fn add(&mut self, mailbox: Arc<Mailbox>) {
        let priority = mailbox.spec.priority;
        if self.waiting.back().is_none_or(|last| last.spec.priority >= priority) {
            self.waiting.push_back(mailbox);
            return;
        }
        let at = self.waiting.partition_point(|other| other.spec.priority >= priority);
        self.waiting.insert(at, mailbox);
    }

    /// A taker goes. If it was the only one that was served, another is.
    pub fn remove(&mut self, id: TakerId) {
        if self.resting.remove(&id).is_none() {
            self.waiting.retain(|mailbox| mailbox.id != id);
        }
        if self.active == Some(id) {
            self.active = None;
        }
    }

    /// A taker may have credit again.
    pub fn resume(&mut self, id: TakerId) {
        if let Some(mailbox) = self.resting.remove(&id) {
            self.add(mailbox);
        }
    }

    /// The taker whose turn it is, with its credit spent; it is the last of its equals now. `sees`: whether there is anything for a
    /// class of takers. `is_single`: only one of them is served, as long as it is there.
    pub fn next(&mut self, is_single: bool, sees: impl Fn(Class) -> bool) -> Option<Arc<Mailbox>> {
        let only = if is_single { Some(self.active()?) } else { None };
        let mut at = 0;
        loop {
            let mailbox = self.waiting.get(at)?;
            if only.is_some_and(|only| only != mailbox.id) || !sees(mailbox.spec.class) {
                at += 1;
                continue;
            }
            let has_turn = mailbox.spend();
            let mailbox = self.waiting.remove(at)?;
            if has_turn {
                self.add(Arc::clone(&mailbox));
                return Some(mailbox);
            }
            self.resting.insert(mailbox.id, mailbox);
        }
    }

    /// The one that is served where only one is: the first that came, of the highest priority.
    fn active(&mut self) -> Option<TakerId> {
        if self.active.is_none() {
            let all = self.waiting.iter().chain(self.resting.values());
            self.active = all.map(|mailbox| (Reverse(mailbox.spec.priority), mailbox.id)).min().map(|(_, id)| id);
        }
        self.active
    }

    /// Everybody goes, and is told so.
    pub fn cancel(&mut self) {
        self.waiting.drain(..).chain(self.resting.drain().map(|(_, mailbox)| mailbox)).for_each(|mailbox| mailbox.cancel());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::taker::{Credit, Serve, TakerSpec};
    use crate::log::Signal;

    struct Takers(Vec<Arc<Mailbox>>);

    impl Takers {
        /// Each with a priority and a credit.
        fn new(of: &[(i32, i64)]) -> (Self, Line) {
            let spec = |&(priority, credit)| TakerSpec {
                signal: Signal::default(),
                credit: Credit::new(credit),
                shared: None,
                serve: Serve::Claim,
                class: Class::All,
                priority,
            };
            let takers: Vec<_> = (0..).zip(of).map(|(number, of)| Mailbox::new(TakerId(number), spec(of))).collect();
            let mut line = Line::default();
            takers.iter().for_each(|mailbox| line.add(Arc::clone(mailbox)));
            (Self(takers), line)
        }

        fn give(&self, line: &mut Line, index: usize, credit: i64) {
            self.0[index].spec.credit.add(credit);
            line.resume(TakerId(index as u64));
        }
    }

    fn turns(line: &mut Line, is_single: bool) -> Vec<u64> {
        std::iter::from_fn(|| line.next(is_single, |_| true)).map(|mailbox| mailbox.id.0).collect()
    }

    #[test]
    fn equals_take_turns_and_a_higher_priority_goes_first() {
        let (takers, mut line) = Takers::new(&[(0, 2), (0, 3), (5, 2)]);
        assert_eq!(turns(&mut line, false), [2, 2, 0, 1, 0, 1, 1]);
        takers.give(&mut line, 0, 1);
        takers.give(&mut line, 2, 1);
        assert_eq!(turns(&mut line, false), [2, 0]);
        assert_eq!(line.len(), 3);
    }

    #[test]
    fn who_rests_is_not_looked_at_until_he_has_credit() {
        let (takers, mut line) = Takers::new(&[(0, 1); 100]);
        assert_eq!(turns(&mut line, false).len(), 100);
        assert!(line.waiting.is_empty());
        takers.give(&mut line, 42, 2);
        assert_eq!(turns(&mut line, false), [42, 42]);
        line.remove(TakerId(42));
        takers.give(&mut line, 42, 1);
        assert!(turns(&mut line, false).is_empty());
        assert_eq!(line.len(), 99);
    }

    #[test]
    fn the_only_one_that_is_served_is_the_first_that_came_until_it_goes() {
        let (takers, mut line) = Takers::new(&[(0, 2), (0, 2), (3, 1)]);
        assert_eq!(turns(&mut line, true), [2]);
        assert!(turns(&mut line, true).is_empty());
        line.remove(TakerId(2));
        assert_eq!(turns(&mut line, true), [0, 0]);
        takers.give(&mut line, 0, 1);
        assert_eq!(turns(&mut line, true), [0]);
        line.remove(TakerId(0));
        assert_eq!(turns(&mut line, true), [1, 1]);
    }
}
