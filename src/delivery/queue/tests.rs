//! The queue against a model so simple that it is plainly right, step by random step, through snapshots and replays.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::log::record::varint::Input;

mod aging;
mod keys;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn random_bytes_are_no_queue_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut with_version = vec![2, 1];
        with_version.extend_from_slice(&bytes);
        let _ = QueueState::restore(&bytes, true);
        let _ = QueueState::restore(&with_version, true).map(exercise);
        let mut queue = QueueState::new(3);
        queue.extend(0, 0, 10, Kind::Plain);
        let mut input = Input::new(&bytes);
        while let Some(op) = StateOp::decode(&mut input) {
            let _ = queue.apply(&op);
        }
        exercise(queue);
    }

    #[test]
    fn a_changed_snapshot_is_refused_or_consistent(steps in prop::collection::vec(step(), 1..40), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut world = World::new(1);
        steps.iter().for_each(|step| world.run(step));
        let mut bytes = world.queue.snapshot().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = QueueState::restore(&bytes, false).map(exercise);
    }
}

/// Uses all of a queue that came from bytes nobody vouches for.
fn exercise(mut queue: QueueState) {
    for class in [Class::Queued, Class::All] {
        let ready = queue.ready(class);
        assert_eq!(queue.range(class, ready.saturating_sub(3), 4).len() as u64, ready.min(3));
        for end in [End::Head, End::Tail, End::Head] {
            queue.take_from(end, class);
            queue.pop(end, class);
        }
    }
    queue.place_front(0, queue.end(0), 3);
    if let Some((place, _)) = queue.place_beside(0, queue.end(0).saturating_sub(1), Side::Before) {
        queue.place(0, queue.end(0), place);
    }
    queue.purge(Class::All);
    assert_eq!(queue.ready(Class::All), 0);
    let _ = queue.snapshot();
}

// ---- the queue ----

#[derive(Debug, Clone)]
enum Step {
    Extend(u32, u64, Kind),
    Pass(u32, u64),
    Take(End, Class),
    Pop(End, Class),
    Accept(prop::sample::Index),
    Release(prop::sample::Index, bool),
    ReleaseAll,
    PlaceFront(u32, u64),
    Purge(Class),
    AdvanceStart(u32, u64),
    Insert(prop::sample::Index, Side),
    Replace(prop::sample::Index),
    Remove(prop::sample::Index, u64),
    /// Partition, count and level; the size goes with the level.
    Ranked(u32, u64, u8),
    Deadline(prop::sample::Index, i64),
    Wait(prop::sample::Index, i64),
    Tick(i64),
    Checkpoint,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let class = || prop::sample::select(vec![Class::All, Class::Queued]);
    let end = || prop::sample::select(vec![End::Head, End::Head, End::Tail]);
    let kind = prop::sample::select(vec![Kind::Plain, Kind::Queued, Kind::Broadcast]);
    prop_oneof![
        5 => (0_u32..3, 1_u64..5, kind).prop_map(|(p, n, kind)| Step::Extend(p, n, kind)),
        1 => (0_u32..3, 1_u64..3).prop_map(|(p, n)| Step::Pass(p, n)),
        6 => (end(), class()).prop_map(|(end, class)| Step::Take(end, class)),
        4 => (end(), class()).prop_map(|(end, class)| Step::Pop(end, class)),
        5 => any::<prop::sample::Index>().prop_map(Step::Accept),
        4 => (any::<prop::sample::Index>(), any::<bool>()).prop_map(|(i, failed)| Step::Release(i, failed)),
        1 => Just(Step::ReleaseAll),
        3 => (0_u32..3, 1_u64..4).prop_map(|(p, n)| Step::PlaceFront(p, n)),
        1 => class().prop_map(Step::Purge),
        1 => (0_u32..3, 1_u64..4).prop_map(|(p, n)| Step::AdvanceStart(p, n)),
        4 => (any::<prop::sample::Index>(), prop::sample::select(vec![Side::Before, Side::After])).prop_map(|(i, side)| Step::Insert(i, side)),
        2 => any::<prop::sample::Index>().prop_map(Step::Replace),
        2 => (any::<prop::sample::Index>(), 1_u64..4).prop_map(|(i, n)| Step::Remove(i, n)),
        3 => (0_u32..3, 1_u64..4, 0_u8..4).prop_map(|(p, n, level)| Step::Ranked(p, n, level)),
        2 => (any::<prop::sample::Index>(), 0_i64..9).prop_map(|(i, ms)| Step::Deadline(i, ms)),
        2 => (any::<prop::sample::Index>(), 0_i64..9).prop_map(|(i, ms)| Step::Wait(i, ms)),
        2 => (0_i64..5).prop_map(Step::Tick),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Crash),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Status {
    Ready,
    InFlight,
    /// Not ready before a time.
    Waiting(i64),
    Done,
}

/// Where it stands among the entries is where it stands in the queue.
#[derive(Debug, Clone)]
struct Entry {
    partition: u32,
    offset: u64,
    broadcast: bool,
    status: Status,
    seen: bool,
    delivered: u32,
    deadline: Option<i64>,
    level: u8,
    weight: u64,
}

impl Entry {
    fn visible(&self, class: Class) -> bool {
        self.status == Status::Ready && self.is_of(class)
    }

    fn is_of(&self, class: Class) -> bool {
        !(self.broadcast && class == Class::Queued)
    }

    fn at(&self) -> (u32, u64) {
        (self.partition, self.offset)
    }
}

#[derive(Debug, Clone)]
enum Event {
    Extend(u32, u64, u64, Kind),
    Pass(u32, u64, u64),
    Start(u32, u64),
    Op(StateOp),
}

/// The queue, its model, and what a journal would hold since the last checkpoint.
struct World {
    queue: QueueState,
    entries: Vec<Entry>,
    now_ms: i64,
    checkpoint: bytes::Bytes,
    journal: Vec<Event>,
}

impl World {
    fn new(partitions: u32) -> Self {
        let queue = QueueState::new(partitions);
        let checkpoint = queue.snapshot();
        World { queue, entries: Vec::new(), now_ms: 1000, checkpoint, journal: Vec::new() }
    }

    fn partition(&self, wanted: u32) -> u32 {
        wanted % self.queue.partition_count()
    }

    fn ordered(&self, class: Class, partition: u32) -> Vec<&Entry> {
        let mut found: Vec<_> = self.entries.iter().filter(|e| e.visible(class) && e.partition == partition).collect();
        found.sort_by_key(|e| std::cmp::Reverse(e.level));
        found
    }

    fn entry(&mut self, at: (u32, u64)) -> &mut Entry {
        self.entries.iter_mut().find(|e| e.at() == at).unwrap()
    }

    fn in_flight(&self) -> Vec<(u32, u64)> {
        self.entries.iter().filter(|e| e.status == Status::InFlight).map(Entry::at).collect()
    }

    fn append(&mut self, partition: u32, count: u64, kind: Kind) -> u64 {
        let base = self.queue.end(partition);
        self.queue.extend(partition, base, count, kind);
        self.journal.push(Event::Extend(partition, base, count, kind));
        for offset in base..base + count {
            self.entries.push(Entry {
                partition,
                offset,
                broadcast: kind == Kind::Broadcast,
                status: Status::Ready,
                seen: false,
                delivered: 0,
                deadline: None,
                level: 0,
                weight: 0,
            });
        }
        base
    }

    fn op(&mut self, fill: impl FnOnce(&mut StateOps)) {
        let (mut ops, mut bytes) = (StateOps::new(), Vec::new());
        fill(&mut ops);
        ops.encode(&mut bytes);
        let read = StateOps::decode(&mut Input::new(&bytes)).unwrap();
        assert_eq!(read, ops);
        self.journal.extend(read.iter().cloned().map(Event::Op));
    }

    /// Checks that what was taken is what the model's order says, and gives its entry.
    fn check_taken(&mut self, taken: Option<Taken>, end: End, class: Class) -> Option<(u32, u64)> {
        let Some(taken) = taken else {
            assert!(!self.entries.iter().any(|e| e.visible(class)));
            return None;
        };
        let order = self.ordered(class, taken.partition);
        let expected = if end == End::Head { order.first() } else { order.last() }.unwrap();
        assert_eq!((taken.partition, taken.offset), expected.at());
        assert_eq!((taken.redelivered, taken.delivered), (expected.seen, expected.delivered));
        Some(expected.at())
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Extend(p, count, kind) => drop(self.append(self.partition(*p), *count, *kind)),
            Step::Pass(p, count) => {
                let (partition, base) = (self.partition(*p), self.queue.end(self.partition(*p)));
                self.queue.pass(partition, base, *count);
                self.journal.push(Event::Pass(partition, base, *count));
            }
            Step::Take(end, class) => self.take(*end, *class),
            Step::Pop(end, class) => self.pop(*end, *class),
            Step::Accept(pick) => self.accept(pick),
            Step::Release(pick, failed) => {
                let flying = self.in_flight();
                if !flying.is_empty() {
                    self.release(flying[pick.index(flying.len())], *failed);
                }
            }
            Step::ReleaseAll => self.in_flight().into_iter().for_each(|at| self.release(at, false)),
            Step::PlaceFront(p, count) => self.place_front(self.partition(*p), *count),
            Step::Purge(class) => self.purge(*class),
            Step::AdvanceStart(p, by) => self.advance_start(self.partition(*p), *by),
            Step::Insert(pick, side) => self.insert(pick, *side),
            Step::Replace(pick) => self.replace(pick),
            Step::Remove(pick, count) => self.remove(pick.index(self.queue.ready(Class::Queued) as usize + 1) as u64, *count),
            Step::Ranked(p, count, level) => self.append_ranked(self.partition(*p), *count, *level),
            Step::Deadline(pick, in_ms) => self.set_deadline(pick, *in_ms),
            Step::Wait(pick, for_ms) => self.wait(pick, *for_ms),
            Step::Tick(by_ms) => self.tick(*by_ms),
            Step::Checkpoint => {
                self.checkpoint = self.queue.snapshot();
                self.journal.clear();
            }
            Step::Crash => self.crash(),
        }
        self.check();
    }

    fn take(&mut self, end: End, class: Class) {
        let shown = self.queue.range(class, 0, u64::MAX);
        let taken = self.queue.take_from(end, class);
        let expected = if end == End::Head { shown.first() } else { shown.last() };
        assert_eq!(taken.map(|t| (t.partition, t.offset)).as_ref(), expected);
        if let Some(at) = self.check_taken(taken, end, class) {
            let entry = self.entry(at);
            entry.status = Status::InFlight;
            entry.seen = true;
        }
    }

    fn pop(&mut self, end: End, class: Class) {
        let taken = self.queue.pop(end, class);
        if let Some(at) = self.check_taken(taken, end, class) {
            self.entry(at).status = Status::Done;
            self.op(|ops| ops.accept(at.0, at.1));
        }
    }

    fn accept(&mut self, pick: &prop::sample::Index) {
        let flying = self.in_flight();
        if flying.is_empty() {
            assert!(!self.queue.accept(0, 0));
            return;
        }
        let at = flying[pick.index(flying.len())];
        assert!(self.queue.accept(at.0, at.1));
        assert!(!self.queue.accept(at.0, at.1));
        assert!(!self.queue.release(at.0, at.1, true));
        self.entry(at).status = Status::Done;
        self.op(|ops| ops.accept(at.0, at.1));
    }

    fn release(&mut self, at: (u32, u64), failed: bool) {
        assert!(self.queue.release(at.0, at.1, failed));
        let entry = self.entry(at);
        entry.status = Status::Ready;
        entry.delivered += u32::from(failed);
        let delivered = entry.delivered;
        assert_eq!(self.queue.delivered(at.0, at.1), delivered);
        if failed {
            self.op(|ops| ops.failed(at.0, at.1, delivered));
        }
    }

    fn place_front(&mut self, partition: u32, count: u64) {
        let first = self.append(partition, count, Kind::Queued);
        assert!(self.queue.place_front(partition, first, count));
        (first..first + count).for_each(|offset| self.stand((partition, offset), 0));
        self.op(|ops| (first..first + count).for_each(|offset| ops.front(partition, offset, 1)));
    }

    fn index(&self, at: (u32, u64)) -> usize {
        self.entries.iter().position(|e| e.at() == at).unwrap()
    }

    /// Puts an entry in front of the one at an index.
    fn stand(&mut self, at: (u32, u64), index: usize) {
        let from = self.index(at);
        let entry = self.entries.remove(from);
        self.entries.insert(index, entry);
    }

    fn picked(&self, pick: &prop::sample::Index) -> Option<(u32, u64)> {
        let shown = self.queue.range(Class::Queued, 0, u64::MAX);
        (!shown.is_empty()).then(|| shown[pick.index(shown.len())])
    }

    fn insert(&mut self, pick: &prop::sample::Index, side: Side) {
        let Some(beside) = self.picked(pick) else { return };
        let offset = self.append(beside.0, 1, Kind::Queued);
        let (place, moved) = self.queue.place_beside(beside.0, beside.1, side).unwrap();
        assert!(self.queue.place(beside.0, offset, place));
        let index = self.index(beside) + usize::from(side == Side::After);
        self.stand((beside.0, offset), index);
        self.op(|ops| moved.into_iter().chain([(offset, place)]).for_each(|(offset, place)| ops.place(beside.0, offset, place)));
    }

    fn replace(&mut self, pick: &prop::sample::Index) {
        let Some(old) = self.picked(pick) else { return };
        let offset = self.append(old.0, 1, Kind::Queued);
        let place = self.queue.place_of(old.0, old.1).unwrap();
        let accept = StateOp::Accept { partition: old.0, runs: RunSet::from_iter([old.1]) };
        self.queue.apply(&accept).unwrap();
        assert!(self.queue.place(old.0, offset, place));
        let index = self.index(old);
        self.entry(old).status = Status::Done;
        self.stand((old.0, offset), index);
        self.op(|ops| {
            ops.push(accept);
            ops.place(old.0, offset, place);
        });
    }

    fn remove(&mut self, start: u64, count: u64) {
        for stretch in self.queue.stretches(Class::Queued, start, count) {
            let (partition, runs) = (stretch.partition, stretch.iter().collect::<RunSet>());
            stretch.iter().for_each(|offset| self.entry((partition, offset)).status = Status::Done);
            let accept = StateOp::Accept { partition, runs };
            self.queue.apply(&accept).unwrap();
            self.op(|ops| ops.push(accept));
        }
    }

    fn purge(&mut self, class: Class) {
        let (count, op) = self.queue.purge(class);
        assert_eq!(count, self.entries.iter().filter(|e| e.visible(class)).count() as u64);
        // What waits goes too.
        let is_here = |e: &&mut Entry| e.is_of(class) && !matches!(e.status, Status::InFlight | Status::Done);
        self.entries.iter_mut().filter(is_here).for_each(|e| e.status = Status::Done);
        self.op(|ops| ops.push(op));
    }

    fn advance_start(&mut self, partition: u32, by: u64) {
        let to = (self.queue.floor(partition) + by).min(self.queue.end(partition));
        let lost = self.queue.advance_log_start(partition, to);
        let below = |e: &&mut Entry| e.partition == partition && e.offset < to && e.status != Status::Done;
        let gone = self.entries.iter_mut().filter(below);
        assert_eq!(lost, gone.map(|e| e.status = Status::Done).count() as u64);
        self.journal.push(Event::Start(partition, to));
    }

    /// The state is what the checkpoint and the journal since give. Claims are over.
    fn crash(&mut self) {
        for at in self.in_flight() {
            self.entry(at).status = Status::Ready;
        }
        self.entries.iter_mut().for_each(|e| e.seen = true);
        self.wake_entries();
        let mut ops_first = self.journal.clone();
        ops_first.sort_by_key(|event| u8::from(!matches!(event, Event::Op(_))));
        let is_purge_of_some = |e: &Event| matches!(e, Event::Op(StateOp::Purge { class: Class::Queued, .. }));
        if !self.journal.iter().any(|e| is_purge_of_some(e) || matches!(e, Event::Pass(..))) {
            self.queue = self.replay(&ops_first);
            self.check();
        }
        self.queue = self.replay(&self.journal);
        self.checkpoint = self.queue.snapshot();
        self.journal.clear();
        let again = QueueState::restore(&self.checkpoint, false).unwrap();
        assert_eq!(again.snapshot(), self.checkpoint);
    }

    fn replay(&self, events: &[Event]) -> QueueState {
        let mut queue = QueueState::restore(&self.checkpoint, true).unwrap();
        for event in events {
            match event {
                Event::Extend(p, base, count, kind) => queue.extend(*p, *base, *count, *kind),
                Event::Pass(p, base, count) => queue.pass(*p, *base, *count),
                Event::Start(p, to) => drop(queue.advance_log_start(*p, *to)),
                Event::Op(op) => queue.apply(op).unwrap(),
            }
        }
        queue.mark_recovered();
        queue.wake(self.now_ms);
        queue
    }

    fn check(&self) {
        self.check_times();
        assert_eq!(self.queue.in_flight(), self.in_flight().len() as u64);
        for class in [Class::All, Class::Queued] {
            let shown = self.queue.range(class, 0, u64::MAX);
            assert_eq!(self.queue.ready(class), shown.len() as u64);
            for partition in 0..self.queue.partition_count() {
                let order: Vec<_> = self.ordered(class, partition).into_iter().map(Entry::at).collect();
                let here: Vec<_> = shown.iter().copied().filter(|(p, _)| *p == partition).collect();
                assert_eq!(here, order, "{class:?}");
            }
            for start in [0, 1, 2, shown.len() / 2] {
                let part: Vec<_> = shown.iter().copied().skip(start).take(3).collect();
                assert_eq!(self.queue.range(class, start as u64, 3), part);
            }
        }
        for partition in 0..self.queue.partition_count() {
            let needed = self.queue.needed(partition).unwrap();
            let undone = |e: &&Entry| e.partition == partition && e.status != Status::Done;
            let expected: BTreeSet<u64> = self.entries.iter().filter(undone).map(|e| e.offset).collect();
            let held: BTreeSet<u64> = needed.gone.gaps_in(needed.floor..self.queue.end(partition)).flatten().collect();
            assert_eq!(held, expected);
            assert!(needed.floor == self.queue.end(partition) || expected.first() == Some(&needed.floor));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn one_partition_behaves_as_the_model(steps in prop::collection::vec(step(), 1..80)) {
        let mut world = World::new(1);
        steps.iter().for_each(|step| world.run(step));
        world.crash();
    }

    #[test]
    fn several_partitions_behave_as_the_model(steps in prop::collection::vec(step(), 1..80)) {
        let mut world = World::new(3);
        steps.iter().for_each(|step| world.run(step));
        world.crash();
    }
}

fn queue_of(count: u64) -> QueueState {
    let mut queue = QueueState::new(1);
    queue.extend(0, 0, count, Kind::Plain);
    queue
}

#[test]
fn ten_million_records_pushed_at_either_end_take_a_few_hundred_bytes() {
    let mut queue = QueueState::new(1);
    let mut at_tail = QueueState::new(1);
    for batch in 0..10_000 {
        queue.extend(0, batch * 1000, 1000, Kind::Queued);
        queue.place_front(0, batch * 1000, 1000);
        at_tail.extend(0, batch * 1000, 1000, Kind::Queued);
    }
    assert_eq!((queue.ready(Class::Queued), at_tail.ready(Class::Queued)), (10_000_000, 10_000_000));
    assert!(queue.snapshot().len() < 40);
    assert!(at_tail.memory_bytes() < 750, "{}", at_tail.memory_bytes());
    assert_eq!(queue.memory_bytes(), at_tail.memory_bytes(), "a run at the head is kept in place");
    assert_eq!(queue.range(Class::All, 5_000_000, 2), vec![(0, 4_999_999), (0, 4_999_998)]);
    // As a stack, as a queue, and moved around itself.
    for offset in 10_000_000..10_001_000 {
        assert_eq!(queue.pop(End::Head, Class::All).unwrap().offset, 19_999_999 - offset);
        assert_eq!(queue.pop(End::Tail, Class::All).unwrap().offset, offset - 10_000_000);
        queue.extend(0, offset, 1, Kind::Queued);
        queue.place_front(0, offset, 1);
        assert_eq!(queue.pop(End::Head, Class::All).unwrap().offset, offset);
    }
    // What was popped on one side of the rest is one run, too.
    assert!(queue.memory_bytes() < 900, "{}", queue.memory_bytes());
}

#[test]
fn a_stack_of_pushes_and_pops_at_the_tail_stays_small() {
    let mut queue = queue_of(1000);
    for offset in 1000..50_000 {
        queue.extend(0, offset, 1, Kind::Queued);
        assert_eq!(queue.pop(End::Tail, Class::Queued).unwrap().offset, offset);
    }
    assert!(queue.snapshot().len() < 40);
    assert_eq!(queue.pop(End::Tail, Class::Queued).unwrap().offset, 999);
}

#[test]
fn partitions_take_turns() {
    let mut queue = QueueState::new(3);
    [0, 2].into_iter().for_each(|partition| queue.extend(partition, 0, 2, Kind::Plain));
    let order: Vec<_> = std::iter::from_fn(|| queue.take(Class::All)).map(|t| (t.partition, t.offset)).collect();
    assert_eq!(order, vec![(0, 0), (2, 0), (0, 1), (2, 1)]);
}

#[test]
fn counts_tell_how_often_a_record_was_taken_and_failed() {
    let mut queue = queue_of(1);
    let first = queue.take(Class::All).unwrap();
    assert_eq!((first.redelivered, first.acquired, first.delivered), (false, 1, 0));
    queue.release(0, 0, false);
    queue.take(Class::All).unwrap();
    queue.release(0, 0, true);
    let third = queue.take(Class::All).unwrap();
    assert_eq!((third.redelivered, third.acquired, third.delivered), (true, 3, 1));
    let mut restored = QueueState::restore(&queue.snapshot(), false).unwrap();
    let fourth = restored.take(Class::All).unwrap();
    assert_eq!((fourth.redelivered, fourth.acquired, fourth.delivered), (true, 4, 1));
}

#[test]
fn operations_on_unknown_partitions_change_nothing() {
    let mut queue = queue_of(3);
    let op = StateOp::Accept { partition: 7, runs: RunSet::from_iter([1]) };
    assert_eq!(queue.apply(&op), Err(UnknownPartition(7)));
    assert!(!queue.place_front(7, 0, 1) && !queue.accept(7, 0) && !queue.release(7, 0, true));
    queue.extend(7, 0, 5, Kind::Plain);
    assert_eq!((queue.ready(Class::All), queue.needed(7)), (3, None));
}

#[test]
fn a_named_view_that_begins_later_passes_what_is_before() {
    let mut queue = QueueState::new(1);
    queue.pass(0, 0, 500);
    queue.extend(0, 500, 2, Kind::Plain);
    assert_eq!((queue.ready(Class::All), queue.floor(0)), (2, 500));
    queue.extend(0, 510, 1, Kind::Plain);
    assert_eq!(queue.range(Class::All, 0, 9), vec![(0, 500), (0, 501), (0, 510)]);
}

#[test]
fn records_put_into_one_gap_from_both_sides_always_find_a_place() {
    let mut queue = queue_of(2);
    let mut expected = std::collections::VecDeque::from([0, 1]);
    let mut moves = 0;
    for offset in 2..2000 {
        let (beside, side) = if offset % 2 == 0 { (0, Side::After) } else { (expected[1], Side::Before) };
        queue.extend(0, offset, 1, Kind::Queued);
        let (place, moved) = queue.place_beside(0, beside, side).unwrap();
        assert!(queue.place(0, offset, place));
        moves += moved.len();
        expected.insert(1, offset);
    }
    let order: Vec<u64> = queue.range(Class::All, 0, u64::MAX).into_iter().map(|(_, offset)| offset).collect();
    assert_eq!(order, expected.into_iter().collect::<Vec<u64>>());
    assert!(moves > 0);
}
