//! A queue view against a model so simple that it is plainly right, a million random steps: options, takers, keys, ids, time, crashes.
//!
//! The model is a list of records that are not done. Each life of a view has options of its own and a seed that tells all of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::queue::{Key, QueueState, StateOp, Taken, time_after};
use super::taker::{Mailbox, TakerId};
use super::view::View;
use super::*;
use crate::log::simulation::play;
use crate::log::testing::Tide;
use crate::log::{Signal, Topic, TopicId, TopicSettings};

/// Steps in all, of lives of this length each.
const STEPS: usize = 1_200_000;
const LIFE: usize = 1_500;
const PARTITIONS_MAX: u32 = 2;
const RECORDS_MAX: usize = 40;
const TAKERS_MAX: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Status {
    Ready,
    Waiting(i64),
    InFlight { holder: Option<u64>, until: Option<i64> },
}

#[derive(Debug, Clone)]
struct Entry {
    at: (u32, u64),
    key: Option<u8>,
    level: u8,
    bytes: u64,
    deadline: Option<i64>,
    status: Status,
    failures: u32,
    seen: bool,
    /// Who waits for another try gives up its turn.
    has_waited: bool,
}

impl Entry {
    fn is_ready(&self) -> bool {
        self.status == Status::Ready
    }

    fn is_in_flight(&self) -> bool {
        matches!(self.status, Status::InFlight { .. })
    }
}

struct Worker {
    id: u64,
    priority: i32,
    joined: u64,
    credit: Arc<Credit>,
}

enum Event {
    Extend(u32, u64, u64),
    Op(StateOp),
}

struct World {
    random: StdRng,
    view: View,
    options: QueueOptions,
    partitions: u32,
    now_ms: i64,
    entries: Vec<Entry>,
    workers: Vec<Worker>,
    active: Option<u64>,
    next_id: u64,
    /// Ids that are remembered, and until when. After a crash there may be older ones, until the next comes.
    ids: Vec<(i64, u8)>,
    ids_exact: bool,
    checkpoint: Bytes,
    journal: Vec<Event>,
}

fn some_options(random: &mut StdRng) -> QueueOptions {
    let mut maybe = |most: u64| random.random_bool(0.4).then(|| random.random_range(1..most));
    QueueOptions {
        ttl_ms: maybe(100),
        records_max: maybe(12),
        bytes_max: maybe(100),
        failures_max: maybe(4).map(|most| most as u32),
        retry_min_ms: maybe(8),
        retry_max_ms: maybe(30),
        lease_ms: maybe(40),
        ids_ms: maybe(60),
        ids_max: maybe(6),
        level_max: maybe(4).map(|most| most as u8),
        overflow: [Overflow::DropOldest, Overflow::Refuse, Overflow::RefuseAndBury, Overflow::Wait][random.random_range(0..4)],
        single_taker: random.random_bool(0.2),
        by_key: random.random_bool(0.6),
        retry_doubles: random.random(),
        ..QueueOptions::default()
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let options = some_options(&mut random);
        let name = TopicName::internal("modelled");
        let count = random.random_range(1..=PARTITIONS_MAX);
        let partitions = (0..count).map(|_| Arc::clone(Tide::new().partition())).collect();
        let topic = Arc::new(Topic::new(name.clone(), TopicId(1), partitions, TopicSettings::default().into()));
        let spec = QueueSpec { options: Some(Box::new(options.clone())), ..QueueSpec::new(name, true) };
        let view = View::with_state(topic, spec, QueueState::new(count));
        let checkpoint = view.state.snapshot();
        Self {
            random,
            view,
            options,
            partitions: count,
            now_ms: 1_000_000,
            entries: Vec::new(),
            workers: Vec::new(),
            active: None,
            next_id: 0,
            ids: Vec::new(),
            ids_exact: true,
            checkpoint,
            journal: Vec::new(),
        }
    }

    fn step(&mut self) {
        if self.random.random_bool(0.2) {
            self.now_ms += self.random.random_range(1..9);
        }
        match self.random.random_range(0..100) {
            0..30 => self.write(),
            30..50 => self.serve(),
            50..55 => self.get(),
            55..80 => self.settle(),
            80..84 => self.extend_lease(),
            84..89 => self.change_workers(),
            89..97 => self.age(),
            97 if self.random.random_bool(0.1) => self.purge(),
            98 if self.random.random_bool(0.3) => self.crash(),
            _ => self.checkpoint(),
        }
        let ops = std::mem::take(&mut self.view.ops);
        self.journal.extend(ops.iter().cloned().map(Event::Op));
        self.check();
    }

    // ---- writing and limits ----

    fn write(&mut self) {
        if self.entries.len() >= RECORDS_MAX {
            return;
        }
        let id = self.random.random_bool(0.5).then(|| self.random.random_range(0..8_u8));
        let attributes = Attributes {
            ttl_ms: self.random.random_bool(0.2).then(|| self.random.random_range(1..60)),
            delay_ms: self.random.random_bool(0.1).then(|| self.random.random_range(0..20)),
            level: self.random.random_range(0..5),
            id: id.map(|id| Bytes::from(vec![id])),
        };
        if let Some(id) = id
            && self.is_known(id)
        {
            return;
        }
        let count = if self.random.random_bool(0.1) { 3 } else { 1 };
        assert_eq!(self.view.is_full_for(count), self.is_full_for(count));
        if self.view.is_full_for(count) {
            return;
        }
        let (partition, bytes) = (self.random.random_range(0..self.partitions), self.random.random_range(0..20));
        let offset = self.view.state.end(partition);
        self.view.state.extend(partition, offset, count, Kind::Plain);
        self.journal.push(Event::Extend(partition, offset, count));
        self.view.stamp(Position { partition, offset }, count, bytes, &attributes, self.now_ms);
        self.note_id(id);
        self.note(partition, offset, count, bytes, &attributes);
        self.limit();
    }

    fn is_known(&mut self, id: u8) -> bool {
        let known = self.view.state.knows(&[id], self.now_ms);
        let expected = self.ids.iter().any(|(until, other)| *other == id && *until > self.now_ms);
        assert!(known == expected || known && !self.ids_exact, "id {id}");
        known
    }

    fn note_id(&mut self, id: Option<u8>) {
        let (Some(id), Some(ids_ms)) = (id, self.options.ids_ms) else { return };
        self.ids.retain(|(until, _)| *until > self.now_ms);
        self.ids.push((self.now_ms + ids_ms as i64, id));
        let most = self.options.ids_max.map_or(usize::MAX, |most| most as usize);
        self.ids.drain(..self.ids.len().saturating_sub(most));
        self.ids_exact = true;
    }

    fn note(&mut self, partition: u32, first: u64, count: u64, bytes: u64, attributes: &Attributes) {
        let key = self.random.random_bool(0.8).then(|| self.random.random_range(0..4));
        let delay_ms = attributes.delay_ms.unwrap_or(0);
        let ttl_ms = attributes.ttl_ms.into_iter().chain(self.options.ttl_ms).min();
        let status = if delay_ms > 0 { Status::Waiting(time_after(self.now_ms, delay_ms)) } else { Status::Ready };
        self.entries.extend((first..first + count).map(|offset| Entry {
            at: (partition, offset),
            key,
            level: self.options.level_max.map_or(0, |most| attributes.level.min(most)),
            bytes,
            deadline: ttl_ms.map(|ttl_ms| time_after(self.now_ms + delay_ms as i64, ttl_ms)),
            status,
            failures: 0,
            seen: false,
            has_waited: delay_ms > 0,
        }));
    }

    fn ready(&self) -> u64 {
        self.entries.iter().filter(|entry| entry.is_ready()).count() as u64
    }

    fn held_bytes(&self) -> u64 {
        self.entries.iter().filter(|entry| !entry.is_in_flight()).map(|entry| entry.bytes).sum()
    }

    fn is_full_for(&self, count: u64) -> bool {
        let count = if self.options.overflow == Overflow::Wait { 1 } else { count };
        self.options.overflow != Overflow::DropOldest
            && (self.options.records_max.is_some_and(|most| self.ready() + count > most)
                || self.options.bytes_max.is_some_and(|most| self.held_bytes() >= most))
    }

    fn limit(&mut self) {
        while self.options.overflow == Overflow::DropOldest && self.view.has_too_much() {
            let over = self.options.records_max.is_some_and(|most| self.ready() > most)
                || self.options.bytes_max.is_some_and(|most| self.held_bytes() > most);
            assert!(over);
            let dropped = self.view.state.pop(End::Head, Class::All).expect("there is too much");
            self.view.ops.accept(dropped.partition, dropped.offset);
            let entry = self.remove((dropped.partition, dropped.offset));
            assert!(entry.is_ready());
            if !self.options.by_key {
                assert!(!self.entries.iter().any(|other| other.is_ready() && comes_before(other, &entry)));
            }
        }
    }

    // ---- taking ----

    /// Whether a record's key is free for one who takes.
    fn is_allowed(&self, entry: &Entry, asker: Option<u64>) -> bool {
        let Some(key) = entry.key.filter(|_| self.options.by_key) else { return true };
        self.entries.iter().filter(|other| other.key == Some(key)).all(|other| match other.status {
            Status::InFlight { holder, .. } => holder.is_some() && holder == asker,
            Status::Ready | Status::Waiting(_) => true,
        })
    }

    fn finds_any(&self, asker: Option<u64>) -> bool {
        self.entries.iter().any(|entry| entry.is_ready() && self.is_allowed(entry, asker))
    }

    fn take(&mut self, asker: Option<u64>) -> Option<Taken> {
        let entries = &self.entries;
        let key_of = |partition, offset| {
            let entry = entries.iter().find(|entry| entry.at == (partition, offset)).expect("it is not done");
            entry.key.map(|key| Key(key.into()))
        };
        let taken = match self.options.by_key {
            true => self.view.state.take_by_key(Class::All, asker.map(|id| TakerId(id).into()), key_of),
            false => self.view.state.take(Class::All),
        };
        assert_eq!(taken.is_some(), self.finds_any(asker));
        let taken = taken?;
        let at = (taken.partition, taken.offset);
        let entry = self.entry(at).clone();
        assert!(entry.is_ready() && self.is_allowed(&entry, asker), "{at:?} is not for {asker:?}");
        // Keys of several partitions have no order but their own.
        let is_ordered =
            |other: &Entry| !self.options.by_key || self.partitions == 1 || other.key == entry.key && !other.has_waited;
        let before = |other: &&Entry| {
            other.is_ready() && is_ordered(other) && self.is_allowed(other, asker) && comes_before(other, &entry)
        };
        assert!(!self.entries.iter().any(|other| before(&other)), "{at:?} is not the first for {asker:?}");
        assert_eq!((taken.redelivered, taken.delivered), (entry.seen, entry.failures));
        let until = self.options.lease_ms.map(|lease_ms| time_after(self.now_ms, lease_ms));
        if let Some(until) = until {
            assert!(self.view.state.lease(at.0, at.1, until));
        }
        let entry = self.entry(at);
        (entry.status, entry.seen) = (Status::InFlight { holder: asker, until }, true);
        Some(taken)
    }

    fn get(&mut self) {
        self.age();
        self.take(None);
    }

    fn serve(&mut self) {
        self.age();
        let mut passed = Vec::new();
        while let Some(turn) = self.view.next_turn(&passed) {
            let id = turn.id.0;
            let is_better = |other: &&Worker| self.is_served(other) && self.finds_any(Some(other.id));
            let mine = self.workers.iter().find(|worker| worker.id == id).expect("it is there");
            assert!(mine.credit.available() >= 0, "nobody gets more than its credit");
            let priority = mine.priority;
            let better: Vec<_> = self.workers.iter().filter(is_better).filter(|other| other.priority > priority).collect();
            assert!(better.is_empty(), "who has a higher priority is served first");
            if self.options.single_taker {
                assert_eq!(self.active(), Some(id), "only one is served");
            }
            if self.take(Some(id)).is_none() {
                turn.refund();
                passed.push(turn.id);
            }
        }
        if self.options.single_taker {
            self.active();
        }
        let hungry = self.workers.iter().filter(|worker| self.is_served(worker));
        assert!(!hungry.into_iter().any(|worker| self.finds_any(Some(worker.id))), "nobody is left out");
    }

    fn is_served(&self, worker: &Worker) -> bool {
        worker.credit.available() > 0 && (!self.options.single_taker || self.active == Some(worker.id))
    }

    /// The single active one: it stays until it goes, then it is who is first by priority and age.
    fn active(&mut self) -> Option<u64> {
        let first = self.workers.iter().min_by_key(|worker| (-worker.priority, worker.joined)).map(|worker| worker.id);
        self.active = self.active.or(first.filter(|_| self.ready() > 0 || self.active.is_some()));
        self.active
    }

    fn change_workers(&mut self) {
        let number = self.workers.len();
        match self.random.random_range(0..3) {
            0 if number < TAKERS_MAX => self.join(),
            1 if number > 0 => {
                let at = self.random.random_range(0..number);
                let id = self.workers.remove(at).id;
                self.view.remove_taker(TakerId(id), self.now_ms);
                self.active = self.active.filter(|active| *active != id);
                // What it had comes back, or stays until it is settled.
                if self.random.random() {
                    for at in self.in_flight().into_iter().filter(|(_, holder)| *holder == Some(id)).map(|(at, _)| at) {
                        self.fail(at);
                    }
                }
            }
            2 if number > 0 => {
                let at = self.random.random_range(0..number);
                let credit = self.random.random_range(1..4);
                self.workers[at].credit.add(credit);
                self.view.resume_taker(TakerId(self.workers[at].id));
            }
            _ => {}
        }
    }

    fn join(&mut self) {
        self.next_id += 1;
        let (id, priority, credit) = (self.next_id, self.random.random_range(0..3), Credit::new(self.random.random_range(0..4)));
        let spec = TakerSpec {
            signal: Signal::default(),
            credit: Arc::clone(&credit),
            shared: None,
            serve: Serve::Claim,
            class: Class::All,
            priority,
        };
        self.view.add_taker(Mailbox::new(TakerId(id), spec), self.now_ms);
        self.workers.push(Worker { id, priority, joined: id, credit });
    }

    // ---- settling and time ----

    fn in_flight(&self) -> Vec<((u32, u64), Option<u64>)> {
        let held = |entry: &Entry| match entry.status {
            Status::InFlight { holder, .. } => Some((entry.at, holder)),
            Status::Ready | Status::Waiting(_) => None,
        };
        self.entries.iter().filter_map(held).collect()
    }

    fn some_in_flight(&mut self) -> Option<((u32, u64), Option<u64>)> {
        let flying = self.in_flight();
        (!flying.is_empty()).then(|| flying[self.random.random_range(0..flying.len())])
    }

    fn settle(&mut self) {
        let Some((at, holder)) = self.some_in_flight() else { return };
        match self.random.random_range(0..6) {
            0..3 => {
                assert!(self.view.state.accept(at.0, at.1));
                assert!(!self.view.state.accept(at.0, at.1) && !self.view.state.release(at.0, at.1, true));
                self.view.ops.accept(at.0, at.1);
                self.remove(at);
            }
            3 => {
                assert!(self.view.state.release(at.0, at.1, false));
                self.entry(at).status = Status::Ready;
            }
            _ => self.fail(at),
        }
        if let Some(worker) = self.workers.iter().find(|worker| holder == Some(worker.id)) {
            worker.credit.add(1);
            self.view.resume_taker(TakerId(worker.id));
        }
    }

    fn fail(&mut self, (partition, offset): (u32, u64)) {
        assert!(self.view.state.release(partition, offset, true));
        let dead = self.view.failed(Position { partition, offset }, self.now_ms);
        self.note_failure((partition, offset), dead);
    }

    fn note_failure(&mut self, at: (u32, u64), dead: Option<Taken>) {
        let (options, now_ms) = (self.options.clone(), self.now_ms);
        let entry = self.entry(at);
        entry.failures += 1;
        let is_dead = options.failures_max.is_some_and(|most| entry.failures > most);
        entry.status = match options.retry_ms(entry.failures) {
            Some(wait_ms) => Status::Waiting(time_after(now_ms, wait_ms)),
            None => Status::Ready,
        };
        entry.has_waited |= entry.status != Status::Ready;
        assert_eq!(dead.map(|taken| (taken.partition, taken.offset)), is_dead.then_some(at));
        if is_dead {
            self.remove(at);
        }
    }

    fn extend_lease(&mut self) {
        if self.options.lease_ms.is_none() {
            return;
        }
        let Some((at, holder)) = self.some_in_flight() else { return };
        let until = self.now_ms + self.random.random_range(1..100);
        assert!(self.view.state.lease(at.0, at.1, until));
        self.entry(at).status = Status::InFlight { holder, until: Some(until) };
    }

    /// What waited long enough is ready, what was leased long enough has failed, and what has expired is gone unless it is in flight.
    fn age(&mut self) {
        let now_ms = self.now_ms;
        self.view.state.wake(now_ms);
        for entry in &mut self.entries {
            if matches!(entry.status, Status::Waiting(until) if until <= now_ms) {
                entry.status = Status::Ready;
            }
        }
        let is_over = |entry: &&Entry| matches!(entry.status, Status::InFlight { until: Some(until), .. } if until <= now_ms);
        let mut over: BTreeSet<_> = self.entries.iter().filter(is_over).map(|entry| entry.at).collect();
        while let Some((partition, offset)) = self.view.state.lapse(now_ms) {
            assert!(over.remove(&(partition, offset)), "a lease is over");
            self.fail((partition, offset));
        }
        assert!(over.is_empty(), "leases end");
        let mut expired = BTreeSet::new();
        while let Some(taken) = self.view.state.expire(now_ms) {
            self.view.ops.accept(taken.partition, taken.offset);
            expired.insert((taken.partition, taken.offset));
        }
        let has_expired = |entry: &mut Entry| entry.deadline.is_some_and(|time| time <= now_ms) && !entry.is_in_flight();
        let gone: BTreeSet<_> = self.entries.extract_if(.., has_expired).map(|entry| entry.at).collect();
        assert_eq!(expired, gone);
    }

    fn purge(&mut self) {
        let (count, op) = self.view.state.purge(Class::All);
        assert_eq!(count, self.ready());
        self.view.ops.push(op);
        self.entries.retain(Entry::is_in_flight);
    }

    fn checkpoint(&mut self) {
        self.checkpoint = self.view.state.snapshot();
        self.journal.clear();
    }

    /// What a checkpoint and the journal since give: claims are over, and who took them is gone.
    fn crash(&mut self) {
        let mut state = QueueState::restore(&self.checkpoint, true).expect("a snapshot");
        for event in &self.journal {
            match event {
                Event::Extend(partition, base, count) => state.extend(*partition, *base, *count, Kind::Plain),
                Event::Op(op) => state.apply(op).expect("a known partition"),
            }
        }
        state.mark_recovered();
        self.view.state = state;
        for worker in std::mem::take(&mut self.workers) {
            self.view.remove_taker(TakerId(worker.id), self.now_ms);
        }
        (self.active, self.ids_exact) = (None, false);
        for entry in &mut self.entries {
            entry.seen = true;
            if entry.is_in_flight() {
                entry.status = Status::Ready;
            }
        }
        self.checkpoint();
        self.age();
    }

    // ---- looking ----

    fn entry(&mut self, at: (u32, u64)) -> &mut Entry {
        self.entries.iter_mut().find(|entry| entry.at == at).expect("it is not done")
    }

    fn remove(&mut self, at: (u32, u64)) -> Entry {
        let index = self.entries.iter().position(|entry| entry.at == at).expect("it is not done");
        self.entries.remove(index)
    }

    fn check(&mut self) {
        let state = &self.view.state;
        let waiting = self.entries.iter().filter(|entry| matches!(entry.status, Status::Waiting(_))).count() as u64;
        let in_flight = self.entries.len() as u64 - waiting - self.ready();
        assert_eq!((state.ready(Class::All), state.waiting(), state.in_flight()), (self.ready(), waiting, in_flight));
        if self.options.bytes_max.is_some() {
            assert_eq!(state.held_bytes(), self.held_bytes());
        }
        if self.random.random_bool(0.05) {
            self.check_whole();
        }
    }

    fn check_whole(&self) {
        let state = &self.view.state;
        let shown: BTreeSet<_> = state.range(Class::All, 0, u64::MAX).into_iter().collect();
        let ready: BTreeSet<_> = self.entries.iter().filter(|entry| entry.is_ready()).map(|entry| entry.at).collect();
        assert_eq!(shown, ready);
        for partition in 0..self.partitions {
            let needed = state.needed(partition).expect("a partition");
            let held: BTreeSet<_> = needed.gone.gaps_in(needed.floor..state.end(partition)).flatten().collect();
            let of_partition = self.entries.iter().filter(|entry| entry.at.0 == partition);
            assert_eq!(held, of_partition.map(|entry| entry.at.1).collect());
        }
        for entry in &self.entries {
            assert_eq!(state.delivered(entry.at.0, entry.at.1), entry.failures);
        }
    }
}

/// What has a higher level comes first, of a partition or not; otherwise only a partition has an order.
fn comes_before(one: &Entry, other: &Entry) -> bool {
    one.level > other.level || one.level == other.level && one.at.0 == other.at.0 && one.at.1 < other.at.1
}

#[test]
fn a_million_steps_of_a_view_are_those_of_a_plain_list() {
    // A life is told by its seed alone, and fails at its first wrong step: nothing shorter of it does.
    play((STEPS / LIFE) as u64, |seed| {
        let mut world = World::new(seed);
        (0..LIFE).for_each(|_| world.step());
    });
}
