//! A set of runs against a set of numbers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::RunSet;
use crate::log::record::varint::Input;

#[derive(Debug, Clone)]
enum RunStep {
    Insert(u64, u64),
    Remove(u64, u64),
    RemoveBelow(u64),
    TakeRun(u64),
}

fn run_step() -> impl Strategy<Value = RunStep> {
    prop_oneof![
        4 => (0_u64..60, 0_u64..8).prop_map(|(at, n)| RunStep::Insert(at, at + n)),
        3 => (0_u64..60, 0_u64..8).prop_map(|(at, n)| RunStep::Remove(at, at + n)),
        1 => (0_u64..60).prop_map(RunStep::RemoveBelow),
        1 => (0_u64..60).prop_map(RunStep::TakeRun),
    ]
}

fn members(set: &RunSet) -> Vec<u64> {
    set.iter().flatten().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_run_set_is_a_set(steps in prop::collection::vec(run_step(), 1..40), from in 0_u64..70, length in 0_u64..30) {
        let (mut set, mut model) = (RunSet::new(), BTreeSet::new());
        for step in steps {
            match step {
                RunStep::Insert(a, b) => {
                    let added = (a..b).filter(|v| model.insert(*v)).count();
                    prop_assert_eq!(set.insert_range(a..b), added as u64);
                }
                RunStep::Remove(a, b) => {
                    let removed = (a..b).filter(|v| model.remove(v)).count();
                    prop_assert_eq!(set.remove_range(a..b), removed as u64);
                }
                RunStep::RemoveBelow(bound) => {
                    set.remove_below(bound);
                    model.retain(|v| *v >= bound);
                }
                RunStep::TakeRun(at) => {
                    let starts_there = model.first() == Some(&at);
                    let end = set.take_run_from(at);
                    prop_assert_eq!(end.is_some(), starts_there);
                    (at..end.unwrap_or(at)).for_each(|v| prop_assert_simple(model.remove(&v)));
                }
            }
            prop_assert_eq!(set.len(), model.len() as u64);
            prop_assert_eq!(members(&set), model.iter().copied().collect::<Vec<_>>());
            let touching = set.iter().zip(set.iter().skip(1)).any(|(a, b)| a.end >= b.start);
            prop_assert!(!touching);
        }
        prop_assert_eq!(set.contains(from), model.contains(&from));
        prop_assert_eq!(set.next_absent(from), (from..).find(|v| !model.contains(v)).unwrap());
        prop_assert_eq!(set.prev_absent(from), (0..from).rev().find(|v| !model.contains(v)));
        prop_assert_eq!((set.first(), set.last()), (model.first().copied(), model.last().copied()));
        let window = from..from + length;
        let inside: Vec<u64> = set.runs_in(window.clone()).flatten().collect();
        prop_assert_eq!(inside, model.range(window.clone()).copied().collect::<Vec<_>>());
        let outside: Vec<u64> = set.gaps_in(window.clone()).flatten().collect();
        prop_assert_eq!(outside, window.filter(|v| !model.contains(v)).collect::<Vec<_>>());
        let mut bytes = Vec::new();
        set.encode(&mut bytes);
        let mut input = Input::new(&bytes);
        prop_assert_eq!(RunSet::decode(&mut input), Some(set));
        prop_assert!(input.is_empty());
    }
}

fn prop_assert_simple(held: bool) {
    assert!(held);
}
