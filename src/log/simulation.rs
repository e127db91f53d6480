//! A log on a simulated disk, for tests: it does nothing by itself, its power goes while everything runs, and what a start finds
//! is looked for in the history of a model.

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use rand::Rng;
use rand::rngs::StdRng;

use super::simulated::{Keep, Simulated};
use super::{Barrier, Log, LogSettings, TopicName};

pub(crate) fn name(text: &str) -> TopicName {
    TopicName::new(text.to_owned()).expect("a legal name")
}

/// Files are retired and segments cleaned when the test says so, and never before.
pub(crate) fn at_rest() -> LogSettings {
    LogSettings {
        journal_retain_bytes: u64::MAX,
        maintenance_interval_ms: 3_600_000,
        cleaning_interval_ms: 3_600_000,
        cleaning_bytes_per_s: 1 << 40,
        ..LogSettings::default()
    }
}

/// A log at rest that has the disk for itself.
pub(crate) fn on(disk: &Simulated) -> LogSettings {
    LogSettings { directory: PathBuf::from("/"), disk: disk.disk(), ..at_rest() }
}

/// The same with files of sizes so small that a few steps fill some, or each step does.
pub(crate) fn cramped(random: &mut StdRng, disk: &Simulated) -> LogSettings {
    LogSettings {
        journal_file_bytes: random.random_range(1..20_000),
        memory_tail_bytes: random.random_range(0..10_000),
        segment_bytes: random.random_range(1..8_000),
        ..on(disk)
    }
}

pub(crate) fn wait_until_durable(log: &Log, barrier: Barrier) {
    while !log.is_durable(barrier) {
        std::thread::yield_now();
    }
}

/// Cuts the power, half of the time in the middle of an act, which fails when it goes. Returns what that leaves.
pub(crate) fn cut_power(random: &mut StdRng, disk: &Simulated, act: impl FnOnce(&mut StdRng)) -> (Simulated, Keep) {
    let keep = [Keep::Nothing, Keep::Some, Keep::All][random.random_range(0..3)];
    if random.random() {
        disk.cut_after(random.random_range(0..60), keep);
        act(random);
    }
    (disk.cut(keep), keep)
}

/// A model as it stood after each entry, from the last one on that is known to be durable.
pub(crate) struct History<M>(Vec<(Barrier, M)>);

impl<M: Debug> History<M> {
    /// All of it is durable.
    pub fn of(model: M) -> Self {
        Self(vec![(Barrier::NONE, model)])
    }

    pub fn push(&mut self, barrier: Barrier, model: M) {
        self.0.push((barrier, model));
    }

    pub fn forget_durable(&mut self, log: &Log) {
        let durable = self.0.iter().rposition(|(barrier, _)| log.is_durable(*barrier)).unwrap_or(0);
        self.0.drain(..durable);
    }

    /// Waits until the last of it is durable.
    pub fn settle(&mut self, log: &Log) {
        self.0.drain(..self.0.len() - 1);
        self.0.iter().for_each(|(barrier, _)| wait_until_durable(log, *barrier));
    }

    pub fn models_mut(&mut self) -> impl Iterator<Item = &mut M> {
        self.0.iter_mut().map(|(_, model)| model)
    }

    /// The last model that a start may have found. If there is none, says of each why not.
    pub fn find<W: Debug>(&mut self, unlike: impl Fn(&M) -> Result<(), W>) -> M {
        match self.0.iter().rposition(|(_, model)| unlike(model).is_ok()) {
            Some(at) => self.0.swap_remove(at).1,
            None => {
                let whys = self.0.iter().map(|(barrier, model)| format!("{barrier:?}: {:?}, {model:?}", unlike(model).err()));
                panic!("what is there is none of {} models:\n{}", self.0.len(), whys.collect::<Vec<_>>().join("\n"));
            }
        }
    }
}

/// Plays so many schedules, each of which a seed tells whole: `TRUNKLINE_TEST_SCHEDULES` runs more or fewer of them,
/// `TRUNKLINE_TEST_SEED` the ones of an earlier run.
pub(crate) fn play(schedules: u64, one: impl Fn(u64)) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number("TRUNKLINE_TEST_SEED").unwrap_or_else(rand::random);
    for seed in (0..number("TRUNKLINE_TEST_SCHEDULES").unwrap_or(schedules)).map(|schedule| first.wrapping_add(schedule)) {
        let outcome = catch_unwind(AssertUnwindSafe(|| one(seed)));
        assert!(outcome.is_ok(), "run it again with TRUNKLINE_TEST_SEED={seed} TRUNKLINE_TEST_SCHEDULES=1");
    }
}
