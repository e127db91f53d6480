//! A series against a plain list of stamped records, step by random step, through operations and snapshots.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::log::record::varint::Input;
use crate::log::runs::RunSet;

#[derive(Debug, Clone)]
enum Step {
    Add(u64, u64),
    Come(u64, u64),
    /// Records that are no part of it, as a transaction may write them.
    Pass(u64),
    /// Some of those count from now on.
    Decide(u64, u64),
    Remove(u64),
    Keep(u64),
    From(u64),
    LogStart(u64),
    Hold(u64, bool),
    Settle(u64),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0_u64..3, 0_u64..3).prop_map(|(ms, seq)| Step::Add(ms, seq)),
        3 => (1_u64..5, 0_u64..2000).prop_map(|(count, ms)| Step::Come(count, ms)),
        2 => (1_u64..4).prop_map(Step::Pass),
        2 => (any::<u64>(), 1_u64..4).prop_map(|(pick, count)| Step::Decide(pick, count)),
        3 => any::<u64>().prop_map(Step::Remove),
        1 => (0_u64..20).prop_map(Step::Keep),
        1 => any::<u64>().prop_map(Step::From),
        1 => any::<u64>().prop_map(Step::LogStart),
        3 => (any::<u64>(), any::<bool>()).prop_map(|(pick, first)| Step::Hold(pick, first)),
        2 => any::<u64>().prop_map(Step::Settle),
        1 => Just(Step::Restart),
    ]
}

fn random_step(random: &mut StdRng) -> Step {
    let pick: u64 = random.random();
    match random.random_range(0..1000) {
        0..250 => Step::Add(pick % 3, pick % 5),
        250..400 => Step::Come(1 + pick % 4, pick % 2000),
        400..480 => Step::Pass(1 + pick % 3),
        480..560 => Step::Decide(pick, 1 + pick % 3),
        560..700 => Step::Remove(pick),
        700..715 => Step::Keep(pick % 20),
        715..725 => Step::From(pick),
        725..735 => Step::LogStart(pick),
        735..870 => Step::Hold(pick, pick.is_multiple_of(2)),
        870..998 => Step::Settle(pick),
        _ => Step::Restart,
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Entry {
    offset: u64,
    stamp: Stamp,
    /// Whether the record carries its stamp.
    carries: bool,
    index: u64,
}

/// The series, and the entries that it must hold, in order.
struct World {
    series: SeriesState,
    entries: Vec<Entry>,
    /// Offsets that may still be decided on.
    undecided: Vec<u64>,
    held: BTreeMap<Stamp, (Bytes, u64)>,
    added: u64,
    end: u64,
    end_index: u64,
    now_ms: u64,
    snapshot: Bytes,
    journal: Vec<u8>,
}

impl World {
    fn new() -> Self {
        let mut series = SeriesState::new(0);
        series.apply(&SeriesOp::Cohort { name: Bytes::from("c"), last: Stamp::MIN, read: None });
        let snapshot = series.snapshot();
        World {
            series,
            entries: Vec::new(),
            undecided: Vec::new(),
            held: BTreeMap::new(),
            added: 0,
            end: 0,
            end_index: 0,
            now_ms: 1,
            snapshot,
            journal: Vec::new(),
        }
    }

    fn apply(&mut self, op: &SeriesOp) {
        self.series.apply(op);
        op.encode(&mut self.journal);
    }

    fn append(&mut self, count: u64, first: Stamp, is_given: bool) {
        let offset = self.end;
        self.apply(&SeriesOp::Append { offset, count, first, is_given });
        self.end += count;
        self.enter(offset, count, first, is_given);
    }

    fn enter(&mut self, offset: u64, count: u64, first: Stamp, is_given: bool) {
        let (index, carries) = (self.end_index, !is_given);
        let entry = |i| Entry { offset: offset + i, stamp: first.plus(i), carries, index: index + i };
        self.entries.extend((0..count).map(entry));
        self.end_index += count;
        self.added += count;
    }

    fn pass(&mut self, count: u64) {
        self.apply(&SeriesOp::Pass(self.end + count));
        self.end += count;
        self.end_index += count;
    }

    fn picked(&self, pick: u64) -> Option<Entry> {
        let len = self.entries.len() as u64;
        (len > 0).then(|| self.entries[(pick % len) as usize])
    }

    fn carried(&self, index: u64) -> Option<Stamp> {
        let at = self.entries.binary_search_by_key(&index, |entry| entry.index).ok()?;
        self.entries[at].carries.then_some(self.entries[at].stamp)
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Add(ms, seq) => {
                let last = self.series.last();
                let first = if *ms == 0 { last.plus(seq + 1) } else { Stamp { ms: last.ms + ms, seq: *seq } };
                self.append(1, first, false);
            }
            Step::Come(count, ms) => {
                self.now_ms = self.now_ms.max(self.series.last().ms) + ms;
                let first = self.series.next_given(Some(self.end), self.now_ms).unwrap();
                assert!(first > self.series.last());
                self.append(*count, first, true);
            }
            Step::Pass(count) => {
                self.undecided.extend(self.end..self.end + count);
                self.pass(*count);
            }
            Step::Decide(pick, count) => self.decide(*pick, *count),
            Step::Remove(pick) => {
                if let Some(Entry { index, stamp, .. }) = self.picked(*pick) {
                    self.entries.retain(|entry| entry.index != index);
                    self.apply(&SeriesOp::Remove { runs: RunSet::from_iter([index]), last: stamp });
                }
            }
            Step::Keep(keep) => {
                let floor = self.series.floor_for_length(*keep);
                let removed = self.series.count_below(floor);
                assert_eq!(removed, (self.entries.len() as u64).saturating_sub(*keep));
                self.apply(&SeriesOp::Trim(floor));
                self.entries.drain(..removed as usize);
            }
            Step::From(pick) => {
                if let Some(Entry { index, stamp, .. }) = self.picked(*pick) {
                    let floor = self.series.seek(stamp, |at| self.carried(at));
                    assert_eq!(floor, index);
                    self.apply(&SeriesOp::Trim(floor));
                    self.entries.retain(|entry| entry.index >= index);
                }
            }
            Step::LogStart(pick) => self.lose(*pick),
            Step::Hold(pick, first) => {
                if let Some(Entry { index, stamp, .. }) = self.picked(*pick) {
                    let member = Bytes::from(if *first { "first" } else { "second" });
                    let held = Held { member: member.clone(), index, at_ms: 7, count: 1 };
                    self.apply(&SeriesOp::Hold { cohort: Bytes::from("c"), stamp, held });
                    self.held.insert(stamp, (member, index));
                }
            }
            Step::Settle(pick) => {
                let picked = self.held.keys().nth((*pick % self.held.len().max(1) as u64) as usize).copied();
                if let Some(stamp) = picked {
                    self.held.remove(&stamp);
                    self.apply(&SeriesOp::Settle { cohort: Bytes::from("c"), stamps: vec![stamp] });
                }
            }
            Step::Restart => self.restart(),
        }
    }

    /// Neighbours among what is undecided are entries from now on; a marker follows.
    fn decide(&mut self, pick: u64, count: u64) {
        if self.undecided.is_empty() {
            return;
        }
        let from = (pick % self.undecided.len() as u64) as usize;
        let offset = self.undecided[from];
        let run = self.undecided[from..].iter().zip(offset..offset + count).take_while(|(at, wanted)| **at == *wanted).count();
        self.undecided.drain(from..from + run);
        let first = self.series.next_given(None, self.now_ms).unwrap();
        self.apply(&SeriesOp::Late { offset, count: run as u64, first });
        self.enter(offset, run as u64, first, true);
        self.pass(1);
    }

    /// The log loses its beginning, which is told again after a restart.
    fn lose(&mut self, pick: u64) {
        let Some(Entry { offset: to, .. }) = self.picked(pick) else { return };
        self.restart();
        self.series.advance_log_start(to);
        assert!(!self.series.advance_log_start(to), "it is known already");
        self.snapshot = self.series.snapshot();
        self.entries.retain(|entry| entry.offset >= to);
        self.undecided.retain(|offset| *offset >= to);
    }

    /// The state is what the snapshot and the operations since give.
    fn restart(&mut self) {
        let mut series = SeriesState::restore(&self.snapshot).unwrap();
        let mut input = Input::new(&self.journal);
        while !input.is_empty() {
            series.apply(&SeriesOp::decode(&mut input).unwrap());
        }
        assert_eq!(series, self.series);
        self.snapshot = series.snapshot();
        assert_eq!(SeriesState::restore(&self.snapshot).unwrap(), series);
        self.journal.clear();
    }

    fn check(&self) {
        assert_eq!((self.series.len(), self.series.added()), (self.entries.len() as u64, self.added));
        assert_eq!(self.series.end(), self.end_index);
        let expected: Vec<_> = self.entries.iter().map(|entry| (entry.offset, (!entry.carries).then_some(entry.stamp))).collect();
        for backwards in [false, true] {
            let spans = self.series.spans(0..u64::MAX, u64::MAX, backwards);
            let mut shown = Vec::new();
            for Span { offsets, given } in spans {
                let first = offsets.start;
                let one = |offset| (offset, given.map(|stamp: Stamp| stamp.plus(offset - first)));
                if backwards { shown.extend(offsets.rev().map(one)) } else { shown.extend(offsets.map(one)) }
            }
            if backwards {
                shown.reverse();
            }
            assert_eq!(shown, expected);
        }
        for (at, entry) in self.entries.iter().enumerate() {
            assert_eq!(self.series.offset_of(entry.index), entry.offset);
            assert_eq!(self.series.seek(entry.stamp, |index| self.carried(index)), entry.index);
            let behind = self.entries.get(at + 1).map_or(self.series.end(), |next| next.index);
            assert_eq!(self.series.seek(entry.stamp.next().unwrap(), |index| self.carried(index)), behind);
        }
        self.check_needs();
        let cohort = self.series.cohort(b"c").unwrap();
        let held: Vec<_> =
            cohort.held_in(Stamp::MIN..=Stamp::MAX).map(|(stamp, held)| (stamp, (held.member.clone(), held.index))).collect();
        assert!(held.iter().cloned().eq(self.held.clone()));
        let by_member: usize = cohort.members().map(|(_, member)| member.held()).sum();
        assert_eq!(by_member, held.len());
    }

    /// Exactly what is in the series, or may yet be, is kept of the log.
    fn check_needs(&self) {
        let undecided = RunSet::from_iter(self.undecided.iter().copied());
        let (floor, gone) = self.series.needed([&undecided].into_iter());
        let needed: BTreeSet<u64> = (floor..self.end).filter(|offset| !gone.contains(*offset)).collect();
        let expected: BTreeSet<u64> =
            self.entries.iter().map(|entry| entry.offset).chain(self.undecided.iter().copied()).collect();
        assert_eq!(needed, expected);
    }
}

#[test]
fn a_series_is_a_list_of_stamped_records_over_a_million_steps() {
    let seed: u64 = std::env::var("TRUNKLINE_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    println!("TRUNKLINE_TEST_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut world = World::new();
    for step in 0..1_000_000 {
        world.run(&random_step(&mut random));
        if step % 1000 == 0 {
            world.check();
        }
    }
    world.restart();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_series_is_a_list_of_stamped_records(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        for step in &steps {
            world.run(step);
            world.check();
        }
        world.restart();
    }

    #[test]
    fn random_bytes_are_no_series_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        let mut with_version = vec![2];
        with_version.extend_from_slice(&bytes);
        let _ = SeriesState::restore(&bytes);
        if let Some(mut series) = SeriesState::restore(&with_version) {
            series.seek(Stamp { ms: 5, seq: 0 }, |_| None);
            series.spans(0..u64::MAX, 10, true);
            series.needed(std::iter::empty());
            series.advance_log_start(5);
        }
        let mut series = SeriesState::new(3);
        let mut input = Input::new(&bytes);
        while let Some(op) = SeriesOp::decode(&mut input) {
            series.apply(&op);
        }
        series.spans(0..u64::MAX, 10, false);
        series.needed(std::iter::empty());
        series.floor_by_nodes(series.end(), 10, 0);
    }
}

#[test]
fn millions_of_records_that_carry_their_stamps_or_come_at_one_time_cost_nothing_each() {
    let mut series = SeriesState::new(0);
    for ms in 1..=100_000 {
        series.apply(&SeriesOp::Append { offset: (ms - 1) * 10, count: 10, first: Stamp { ms, seq: 0 }, is_given: false });
    }
    let offset = series.end();
    for batch in 0..1000 {
        let at = offset + batch * 1000;
        let first = series.next_given(Some(at), 100_500).unwrap();
        series.apply(&SeriesOp::Append { offset: at, count: 1000, first, is_given: true });
    }
    assert_eq!(series.len(), 2_000_000);
    assert!(series.snapshot().len() < 60);
    assert_eq!(series.given(series.end() - 1), Some(Stamp { ms: 100_500, seq: 999_999 }));
    let reads = std::cell::Cell::new(0);
    let stamp_of = |offset: u64| {
        reads.set(reads.get() + 1);
        Some(Stamp { ms: offset / 10 + 1, seq: offset % 10 })
    };
    assert_eq!(series.seek(Stamp { ms: 5_001, seq: 3 }, stamp_of), 50_003);
    assert!(reads.get() < 45, "{}", reads.get());
}
