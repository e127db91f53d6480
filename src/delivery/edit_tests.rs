//! Random schedules of edits (orders changed at both ends and in the middle, moves between them, a series with its cohort), of
//! retirements and of power cuts, over a real log on a simulated disk.
//!
//! What is there after a cut must be what stood after some unit, and after no earlier one than the last that was durable.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::series::{SeriesOp, Stamp, Trim};
use super::tests::record;
use super::*;
use crate::log::record::Record;
use crate::log::simulated::Simulated;
use crate::log::simulation::{History, cramped, cut_power, name, play};
use crate::log::{Topic, TopicSettings};

const SCHEDULES: u64 = 60;
const STEPS: usize = 80;
const QUEUES: [&str; 2] = ["left", "right"];
const SERIES_NAME: &str = "series";
const COHORT: &str = "cohort";

/// What must be there.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    /// The values of each queue, in order.
    orders: [Vec<String>; 2],
    series: Vec<(Stamp, String)>,
    last: Stamp,
    /// Who holds what, and how often it was handed out.
    held: BTreeMap<Stamp, (Bytes, u64)>,
    handed_out: Stamp,
}

struct World {
    random: StdRng,
    disk: Simulated,
    delivery: Delivery,
    model: Model,
    history: History<Model>,
    values: u64,
}

fn text(record: &Record) -> String {
    String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned()
}

fn open(random: &mut StdRng, disk: &Simulated) -> Delivery {
    Delivery::open(cramped(random, disk)).expect("the log opens")
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let disk = Simulated::new(random.random());
        let delivery = open(&mut random, &disk);
        let mut world =
            Self { random, disk, delivery, model: Model::default(), history: History::of(Model::default()), values: 0 };
        let mut unit = world.delivery.begin().expect("the log is well");
        for text in QUEUES.into_iter().chain([SERIES_NAME]) {
            unit.create_topic(&name(text), 1, TopicSettings::consumed("test", true, 1 << 20)).expect("a new topic");
        }
        for queue in QUEUES.map(name) {
            unit.open_queue(&queue, QueueSpec::new(queue.clone(), true)).expect("the topic is there");
        }
        unit.open_series(&name(SERIES_NAME), false).expect("the topic is there");
        let cohort = SeriesOp::Cohort { name: Bytes::from(COHORT), last: Stamp::MIN, read: None };
        unit.change_series(&name(SERIES_NAME), cohort);
        let barrier = unit.commit();
        world.history.push(barrier, world.model.clone());
        world.history.settle(world.delivery.log());
        world
    }

    fn value(&mut self) -> String {
        self.values += 1;
        format!("value {} {}", self.values, "x".repeat(self.random.random_range(0..60)))
    }

    fn step(&mut self) {
        match self.random.random_range(0..20) {
            0 => self.crash(),
            1 => self.history.settle(self.delivery.log()),
            2..4 => drop(self.delivery.log().retire_oldest().expect("it retires")),
            _ => self.unit(),
        }
        self.history.forget_durable(self.delivery.log());
    }

    fn unit(&mut self) {
        let delivery = self.delivery.clone();
        let mut unit = delivery.begin().expect("the log is well");
        for _ in 0..self.random.random_range(1..6) {
            let queue = self.random.random_range(0..QUEUES.len());
            match self.random.random_range(0..18) {
                0..5 => self.push(&mut unit, queue),
                5..8 => self.shift(&mut unit, queue),
                8..10 => self.insert(&mut unit, queue),
                10 => self.replace(&mut unit, queue),
                11 => self.remove(&mut unit, queue),
                12 => self.pop(&mut unit, queue),
                13..15 => self.add(&mut unit),
                15 => self.hand_out(&mut unit),
                16 => self.settle_held(&mut unit),
                _ => self.shorten(&mut unit),
            }
        }
        // What changes nothing is no sooner durable than what it saw.
        let barrier = unit.seen().and(unit.commit());
        self.history.push(barrier, self.model.clone());
    }

    fn end(&mut self) -> End {
        if self.random.random() { End::Head } else { End::Tail }
    }

    fn put(order: &mut Vec<String>, end: End, value: String) {
        let at = if end == End::Head { 0 } else { order.len() };
        order.insert(at, value);
    }

    fn push(&mut self, unit: &mut Unit<'_>, queue: usize) {
        let (end, value) = (self.end(), self.value());
        let topic = unit.topic(&name(QUEUES[queue])).expect("a topic");
        match end {
            End::Head => drop(unit.append_front(&topic, &record(&value))),
            End::Tail => drop(unit.append(&[Target { topic, partition: 0 }], &record(&value), Kind::Queued)),
        }
        Self::put(&mut self.model.orders[queue], end, value);
    }

    /// From one to the other, or around itself.
    fn shift(&mut self, unit: &mut Unit<'_>, queue: usize) {
        let (from, to, target) = (self.end(), self.end(), self.random.random_range(0..QUEUES.len()));
        let topic: Arc<Topic> = unit.topic(&name(QUEUES[target])).expect("a topic");
        let moved = unit.move_record(&name(QUEUES[queue]), from, Class::Queued, &topic, to);
        let order = &mut self.model.orders[queue];
        let expected =
            if order.is_empty() { None } else { Some(order.remove(if from == End::Head { 0 } else { order.len() - 1 })) };
        assert_eq!(moved.as_ref().map(text), expected);
        if let Some(value) = expected {
            Self::put(&mut self.model.orders[target], to, value);
        }
    }

    /// One of the records of a queue, and its index.
    fn picked(&mut self, unit: &Unit<'_>, queue: usize) -> Option<(usize, Position)> {
        let len = self.model.orders[queue].len();
        let index = (len > 0).then(|| self.random.random_range(0..len))?;
        let at = unit.range(&name(QUEUES[queue]), Class::Queued, index as u64, 1).first().copied();
        Some((index, at.expect("it is there")))
    }

    fn insert(&mut self, unit: &mut Unit<'_>, queue: usize) {
        let Some((index, at)) = self.picked(unit, queue) else { return };
        let (value, is_before) = (self.value(), self.random.random());
        let side = if is_before { Side::Before } else { Side::After };
        unit.insert_beside(&name(QUEUES[queue]), at, side, &record(&value)).expect("it is there");
        self.model.orders[queue].insert(index + usize::from(!is_before), value);
    }

    fn replace(&mut self, unit: &mut Unit<'_>, queue: usize) {
        let Some((index, at)) = self.picked(unit, queue) else { return };
        let value = self.value();
        unit.replace(&name(QUEUES[queue]), at, &record(&value)).expect("it is there");
        self.model.orders[queue][index] = value;
    }

    fn remove(&mut self, unit: &mut Unit<'_>, queue: usize) {
        let Some((index, at)) = self.picked(unit, queue) else { return };
        unit.remove(&name(QUEUES[queue]), &[(0, RunSet::from_iter([at.offset]))]);
        self.model.orders[queue].remove(index);
    }

    fn pop(&mut self, unit: &mut Unit<'_>, queue: usize) {
        let end = self.end();
        let popped = unit.pop(&name(QUEUES[queue]), end, Class::Queued);
        let order = &mut self.model.orders[queue];
        assert_eq!(popped.is_some(), !order.is_empty());
        if popped.is_some() {
            order.remove(if end == End::Head { 0 } else { order.len() - 1 });
        }
    }

    fn add(&mut self, unit: &mut Unit<'_>) {
        let (last, value) = (self.model.last, self.value());
        let stamp =
            if self.random.random() { last.plus(1) } else { Stamp { ms: last.ms + 1, seq: self.random.random_range(0..3) } };
        unit.append_stamped(&name(SERIES_NAME), stamp, record(&value)).expect("it is open");
        self.model.series.push((stamp, value));
        self.model.last = stamp;
    }

    fn hand_out(&mut self, unit: &mut Unit<'_>) {
        let member = Bytes::from(if self.random.random() { "one" } else { "two" });
        let asker = Asker { cohort: Bytes::from(COHORT), member: member.clone() };
        let count = self.random.random_range(1..4);
        let given = unit.hand_out_next(&name(SERIES_NAME), &asker, count, true);
        let due = self.model.series.iter().map(|(stamp, _)| *stamp).filter(|stamp| *stamp > self.model.handed_out);
        let due: Vec<Stamp> = due.take(count as usize).collect();
        assert!(given.iter().map(|(stamp, _)| *stamp).eq(due.iter().copied()));
        self.model.handed_out = due.last().copied().unwrap_or(self.model.handed_out);
        self.model.held.extend(due.into_iter().map(|stamp| (stamp, (member.clone(), 1))));
    }

    fn settle_held(&mut self, unit: &mut Unit<'_>) {
        let Some(stamp) = self.model.held.keys().next().copied() else { return };
        assert_eq!(unit.settle_held(&name(SERIES_NAME), &Bytes::from(COHORT), &[stamp]), 1);
        self.model.held.remove(&stamp);
    }

    fn shorten(&mut self, unit: &mut Unit<'_>) {
        let len = self.model.series.len();
        if len > 0 && self.random.random() {
            let (stamp, _) = self.model.series.remove(self.random.random_range(0..len));
            assert_eq!(unit.remove_stamps(&name(SERIES_NAME), &[stamp]), 1);
        } else if len > 10 {
            assert_eq!(unit.trim_series(&name(SERIES_NAME), Trim::Length(10), None), len as u64 - 10);
            self.model.series.drain(..len - 10);
        }
    }

    /// Cuts the power while everything runs, and goes on with what that leaves.
    fn crash(&mut self) {
        let retire = |_: &mut StdRng| drop(self.delivery.log().retire_oldest());
        let (left, _) = cut_power(&mut self.random, &self.disk, retire);
        self.history.forget_durable(self.delivery.log());
        self.delivery.log().close();
        self.delivery = open(&mut self.random, &left);
        self.disk = left;
        let found = self.found();
        self.model = self.history.find(|model| if *model == found { Ok(()) } else { Err(&found) });
        self.history = History::of(self.model.clone());
    }

    /// What is there.
    fn found(&self) -> Model {
        let mut unit = self.delivery.begin().expect("the log is well");
        let mut model = Model::default();
        for (queue, order) in QUEUES.into_iter().zip(&mut model.orders) {
            let partition = unit.topic(&name(queue)).and_then(|topic| topic.partition(0)).expect("a partition");
            for at in unit.range(&name(queue), Class::Queued, 0, u64::MAX) {
                order.push(text(&unit.read(&partition, at.offset).expect("it can be read")));
            }
        }
        let series = name(SERIES_NAME);
        let partition = unit.topic(&series).and_then(|topic| topic.partition(0)).expect("a partition");
        for index in unit.series(&series).expect("it is open").indexes(0..u64::MAX, u64::MAX) {
            let offset = unit.series(&series).map(|state| state.offset_of(index)).unwrap_or_default();
            let stamp = unit.stamp_at(&series, index).expect("a stamp");
            model.series.push((stamp, text(&unit.read(&partition, offset).expect("it can be read"))));
        }
        model.last = unit.series(&series).map(|state| state.last()).unwrap_or_default();
        let cohort = unit.cohort(&series, COHORT.as_bytes()).expect("it is there");
        model.handed_out = cohort.last;
        model.held =
            cohort.held_in(Stamp::MIN..=Stamp::MAX).map(|(stamp, held)| (stamp, (held.member.clone(), held.count))).collect();
        model
    }
}

#[test]
fn edited_orders_and_series_are_the_models_after_any_power_cut() {
    play(SCHEDULES, |seed| {
        let mut world = World::new(seed);
        (0..STEPS).for_each(|_| world.step());
        world.crash();
        world.delivery.log().close();
    });
}
