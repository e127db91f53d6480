//! The order of one partition's queue, edited at both ends and in the middle, against a plain deque.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

use std::collections::VecDeque;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::log::record::varint::Input;

const STEPS: usize = 1_000_000;
/// Longer than this it is trimmed.
const LENGTH_MAX: usize = 150;

/// The queue, the offsets that it must hold in order, and what a journal would hold since the last snapshot.
struct World {
    queue: QueueState,
    order: VecDeque<u64>,
    end: u64,
    snapshot: Bytes,
    /// Where the queue ended when an operation was done, and the operation.
    journal: Vec<(u64, StateOp)>,
    /// Whether it is kept: playing it again takes as long as everything else.
    is_kept: bool,
}

impl World {
    fn new() -> Self {
        let queue = QueueState::new(1);
        let snapshot = queue.snapshot();
        World { queue, order: VecDeque::new(), end: 0, snapshot, journal: Vec::new(), is_kept: true }
    }

    fn keep(&mut self, fill: impl FnOnce(&mut StateOps)) {
        if !self.is_kept {
            return;
        }
        let mut ops = StateOps::new();
        fill(&mut ops);
        self.journal.extend(ops.iter().map(|op| (self.end, op.clone())));
    }

    fn append(&mut self, count: u64) -> u64 {
        let first = self.end;
        self.queue.extend(0, first, count, Kind::Queued);
        self.end += count;
        first
    }

    fn push(&mut self, end: End, count: u64) {
        let first = self.append(count);
        match end {
            End::Tail => self.order.extend(first..first + count),
            End::Head => {
                assert!(self.queue.place_front(0, first, count));
                self.keep(|ops| ops.front(0, first, count));
                (first..first + count).for_each(|offset| self.order.push_front(offset));
            }
        }
    }

    fn pop(&mut self, end: End) -> Option<u64> {
        let popped = self.queue.pop(end, Class::Queued).map(|taken| taken.offset);
        let expected = if end == End::Head { self.order.pop_front() } else { self.order.pop_back() };
        assert_eq!(popped, expected);
        if let Some(offset) = popped {
            self.keep(|ops| ops.accept(0, offset));
        }
        popped
    }

    fn insert(&mut self, at: usize, side: Side) {
        let (place, moved) = self.queue.place_beside(0, self.order[at], side).unwrap();
        for (offset, place) in moved {
            self.keep(|ops| ops.place(0, offset, place));
        }
        let new = self.append(1);
        assert!(self.queue.place(0, new, place));
        self.keep(|ops| ops.place(0, new, place));
        self.order.insert(at + usize::from(side == Side::After), new);
    }

    fn replace(&mut self, at: usize) {
        let old = self.order[at];
        let place = self.queue.place_of(0, old).unwrap();
        let new = self.append(1);
        self.remove(at, 1);
        assert!(self.queue.place(0, new, place));
        self.keep(|ops| ops.place(0, new, place));
        self.order.insert(at, new);
    }

    fn remove(&mut self, at: usize, count: usize) {
        let runs: RunSet = self.order.drain(at..(at + count).min(self.order.len())).collect();
        let op = StateOp::Accept { partition: 0, runs };
        self.queue.apply(&op).unwrap();
        self.keep(|ops| ops.push(op));
    }

    fn step(&mut self, random: &mut StdRng) {
        let len = self.order.len();
        let at = random.random_range(0..len.max(1));
        let end = if random.random() { End::Head } else { End::Tail };
        match random.random_range(0..100) {
            0..30 => self.push(end, random.random_range(1..4)),
            30..55 => drop(self.pop(end)),
            // What is moved around is popped and pushed in one step.
            55..65 if self.pop(end).is_some() => self.push(if random.random() { End::Head } else { End::Tail }, 1),
            _ if len == 0 => {}
            65..78 => self.insert(at, if random.random() { Side::Before } else { Side::After }),
            // Again and again at one spot.
            78..80 => (0..8).for_each(|_| self.insert(at, Side::After)),
            80..90 => self.replace(at),
            90..97 => self.remove(at, random.random_range(1..4)),
            97 => self.look(random),
            98 if len > LENGTH_MAX => {
                self.remove(len - len / 3, len);
                self.remove(0, len / 3);
            }
            _ => {}
        }
    }

    /// Any index is found, and what follows it.
    fn look(&self, random: &mut StdRng) {
        let start = random.random_range(0..=self.order.len());
        let count = random.random_range(0..10);
        let shown = self.queue.range(Class::Queued, start as u64, count).into_iter().map(|(_, offset)| offset);
        assert!(shown.eq(self.order.iter().skip(start).take(count as usize).copied()));
    }

    fn check(&self, queue: &QueueState) {
        assert_eq!(queue.ready(Class::Queued), self.order.len() as u64);
        let shown = queue.range(Class::Queued, 0, u64::MAX).into_iter().map(|(_, offset)| offset);
        assert!(shown.eq(self.order.iter().copied()));
    }

    /// What a crash leaves: the snapshot, what was appended since, and the operations.
    fn restart(&mut self) {
        let mut queue = QueueState::restore(&self.snapshot, false).unwrap();
        for (end, op) in &self.journal {
            let known = queue.end(0);
            queue.extend(0, known, end.saturating_sub(known), Kind::Queued);
            let mut bytes = Vec::new();
            op.encode(&mut bytes);
            queue.apply(&StateOp::decode(&mut Input::new(&bytes)).unwrap()).unwrap();
        }
        let known = queue.end(0);
        queue.extend(0, known, self.end - known, Kind::Queued);
        self.check(&queue);
        self.queue = queue;
        self.snapshot = self.queue.snapshot();
        self.journal.clear();
        self.check(&QueueState::restore(&self.snapshot, false).unwrap());
    }
}

#[test]
fn an_edited_order_is_that_of_a_deque_over_a_million_steps() {
    let seed: u64 = std::env::var("TRUNKLINE_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    println!("TRUNKLINE_TEST_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut world = World::new();
    for step in 1..=STEPS {
        world.step(&mut random);
        if step % 2000 == 0 {
            world.check(&world.queue);
        }
        if step % 10_000 == 0 {
            if world.is_kept {
                world.restart();
            }
            world.snapshot = world.queue.snapshot();
            world.is_kept = random.random_bool(0.25);
        }
    }
}
