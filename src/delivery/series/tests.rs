//! A series against a plain list of stamped records, step by random step, through operations and snapshots.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::log::record::varint::Input;
use crate::log::runs::RunSet;

#[derive(Debug, Clone)]
enum Step {
    Add(u64, u64),
    Come(u64, u64),
    Pass(u64),
    Remove(prop::sample::Index),
    Keep(u64),
    From(prop::sample::Index),
    Hold(prop::sample::Index, bool),
    Settle(prop::sample::Index),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0_u64..3, 0_u64..3).prop_map(|(ms, seq)| Step::Add(ms, seq)),
        3 => (1_u64..5, 0_u64..2000).prop_map(|(count, ms)| Step::Come(count, ms)),
        1 => (1_u64..3).prop_map(Step::Pass),
        3 => any::<prop::sample::Index>().prop_map(Step::Remove),
        1 => (0_u64..20).prop_map(Step::Keep),
        1 => any::<prop::sample::Index>().prop_map(Step::From),
        3 => (any::<prop::sample::Index>(), any::<bool>()).prop_map(|(i, first)| Step::Hold(i, first)),
        2 => any::<prop::sample::Index>().prop_map(Step::Settle),
        1 => Just(Step::Restart),
    ]
}

/// The series, and what it must hold: offset, stamp, and whether the record carries it.
struct World {
    series: SeriesState,
    records: Vec<(u64, Stamp, bool)>,
    held: Vec<(Stamp, Bytes)>,
    added: u64,
    now_ms: u64,
    snapshot: Bytes,
    journal: Vec<u8>,
}

impl World {
    fn new() -> Self {
        let mut series = SeriesState::new(0);
        series.apply(&SeriesOp::Cohort { name: Bytes::from("c"), last: Stamp::MIN, read: None });
        let snapshot = series.snapshot();
        World { series, records: Vec::new(), held: Vec::new(), added: 0, now_ms: 1, snapshot, journal: Vec::new() }
    }

    fn apply(&mut self, op: &SeriesOp) {
        self.series.apply(op);
        op.encode(&mut self.journal);
    }

    fn append(&mut self, count: u64, first: Stamp, is_given: bool) {
        let offset = self.series.end();
        self.apply(&SeriesOp::Append { offset, count, first, is_given });
        self.records.extend((0..count).map(|i| (offset + i, first.plus(i), !is_given)));
        self.added += count;
    }

    fn stamp_of(&self, offset: u64) -> Option<Stamp> {
        self.records.iter().find(|(at, _, carries)| *at == offset && *carries).map(|(_, stamp, _)| *stamp)
    }

    fn run(&mut self, step: &Step) {
        let picked = |pick: &prop::sample::Index, len: usize| (len > 0).then(|| pick.index(len));
        match step {
            Step::Add(ms, seq) => {
                let last = self.series.last();
                let first = if *ms == 0 { last.plus(seq + 1) } else { Stamp { ms: last.ms + ms, seq: *seq } };
                self.append(1, first, false);
            }
            Step::Come(count, ms) => {
                self.now_ms = self.now_ms.max(self.series.last().ms) + ms;
                let first = self.series.next_given(self.series.end(), self.now_ms).unwrap();
                assert!(first > self.series.last());
                self.append(*count, first, true);
            }
            Step::Pass(count) => self.apply(&SeriesOp::Pass(self.series.end() + count)),
            Step::Remove(pick) => {
                if let Some(index) = picked(pick, self.records.len()) {
                    let (offset, stamp, _) = self.records.remove(index);
                    self.apply(&SeriesOp::Remove { runs: RunSet::from_iter([offset]), last: stamp });
                }
            }
            Step::Keep(keep) => {
                let floor = self.series.floor_for_length(*keep);
                let removed = self.series.count_below(floor);
                assert_eq!(removed, (self.records.len() as u64).saturating_sub(*keep));
                self.apply(&SeriesOp::Trim(floor));
                self.records.drain(..removed as usize);
            }
            Step::From(pick) => {
                if let Some(index) = picked(pick, self.records.len()) {
                    let floor = self.series.seek(self.records[index].1, |offset| self.stamp_of(offset));
                    self.apply(&SeriesOp::Trim(floor));
                    self.records.drain(..index);
                }
            }
            Step::Hold(pick, first) => {
                if let Some(index) = picked(pick, self.records.len()) {
                    let (offset, stamp, _) = self.records[index];
                    let member = Bytes::from(if *first { "first" } else { "second" });
                    let held = Held { member: member.clone(), offset, at_ms: 7, count: 1 };
                    self.apply(&SeriesOp::Hold { cohort: Bytes::from("c"), stamp, held });
                    self.held.retain(|(known, _)| *known != stamp);
                    self.held.push((stamp, member));
                }
            }
            Step::Settle(pick) => {
                if let Some(index) = picked(pick, self.held.len()) {
                    let (stamp, _) = self.held.remove(index);
                    self.apply(&SeriesOp::Settle { cohort: Bytes::from("c"), stamps: vec![stamp] });
                }
            }
            Step::Restart => self.restart(),
        }
        self.check();
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
        assert_eq!((self.series.len(), self.series.added()), (self.records.len() as u64, self.added));
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
            let expected: Vec<_> =
                self.records.iter().map(|(offset, stamp, carries)| (*offset, (!carries).then_some(*stamp))).collect();
            assert_eq!(shown, expected);
        }
        for (index, (offset, stamp, _)) in self.records.iter().enumerate() {
            assert_eq!(self.series.seek(*stamp, |at| self.stamp_of(at)), *offset);
            let behind = self.records.get(index + 1).map_or(self.series.end(), |(next, _, _)| *next);
            assert_eq!(self.series.seek(stamp.next().unwrap(), |at| self.stamp_of(at)), behind);
        }
        let cohort = self.series.cohort(b"c").unwrap();
        let mut expected = self.held.clone();
        expected.sort();
        let held: Vec<_> = cohort.held_in(Stamp::MIN..=Stamp::MAX).map(|(stamp, held)| (stamp, held.member.clone())).collect();
        assert_eq!(held, expected);
        let by_member: usize = cohort.members().map(|(_, member)| member.held()).sum();
        assert_eq!(by_member, held.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_series_is_a_list_of_stamped_records(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        steps.iter().for_each(|step| world.run(step));
        world.restart();
    }

    #[test]
    fn random_bytes_are_no_series_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        let mut with_version = vec![1];
        with_version.extend_from_slice(&bytes);
        let _ = SeriesState::restore(&bytes);
        if let Some(mut series) = SeriesState::restore(&with_version) {
            series.seek(Stamp { ms: 5, seq: 0 }, |_| None);
            series.spans(0..u64::MAX, 10, true);
            series.advance_log_start(5);
        }
        let mut series = SeriesState::new(3);
        let mut input = Input::new(&bytes);
        while let Some(op) = SeriesOp::decode(&mut input) {
            series.apply(&op);
        }
        series.spans(0..u64::MAX, 10, false);
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
        let first = series.next_given(at, 100_500).unwrap();
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
