//! Held ranges against a model that knows the state of every offset: nobody takes a held record, and a delivered one comes at its
//! own place.

use std::collections::BTreeMap;

use proptest::prelude::{ProptestConfig, Strategy, prop_oneof, proptest};

use super::{Class, End, Kind, QueueState};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Is {
    Ready,
    Held,
    Taken,
    Done,
}

#[derive(Debug, Clone)]
enum Act {
    Append {
        count: u64,
        held: bool,
        kind: Kind,
    },
    /// What is held in a stretch is ready, or done.
    Decide {
        from: u64,
        count: u64,
        counts: bool,
    },
    Take(End),
    Accept(usize),
    Purge,
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    let kind = prop_oneof![3 => proptest::strategy::Just(Kind::Plain), 1 => proptest::strategy::Just(Kind::Broadcast)];
    let end = prop_oneof![3 => proptest::strategy::Just(End::Head), 1 => proptest::strategy::Just(End::Tail)];
    prop_oneof![
        4 => (1..4_u64, proptest::bool::ANY, kind).prop_map(|(count, held, kind)| Act::Append { count, held, kind }),
        3 => (0..40_u64, 1..8_u64, proptest::bool::ANY)
            .prop_map(|(from, count, counts)| Act::Decide { from, count, counts }),
        5 => end.prop_map(Act::Take),
        2 => (0..8_usize).prop_map(Act::Accept),
        1 => proptest::strategy::Just(Act::Purge),
        1 => proptest::strategy::Just(Act::Restart),
    ]
}

struct World {
    state: QueueState,
    model: BTreeMap<u64, (Is, Kind)>,
}

impl World {
    fn step(&mut self, act: &Act) {
        match *act {
            Act::Append { count, held, kind } => {
                let base = self.model.len() as u64;
                let kind = if held { Kind::Plain } else { kind };
                self.state.extend(0, base, count, kind);
                if held {
                    self.state.hold(0, base..base + count);
                }
                let is = if held { Is::Held } else { Is::Ready };
                self.model.extend((base..base + count).map(|offset| (offset, (is, kind))));
            }
            Act::Decide { from, count, counts } => {
                let held = self.model.range_mut(from..from + count).filter(|(_, (is, _))| *is == Is::Held);
                for (offset, (is, _)) in held {
                    match counts {
                        true => self.state.deliver(0, *offset..offset + 1),
                        false => self.state.pass(0, *offset, 1),
                    }
                    *is = if counts { Is::Ready } else { Is::Done };
                }
            }
            Act::Take(end) => self.take(end),
            Act::Accept(nth) => {
                let taken = self.model.iter_mut().filter(|(_, (is, _))| *is == Is::Taken).nth(nth);
                if let Some((offset, (is, _))) = taken {
                    assert!(self.state.accept(0, *offset));
                    *is = Is::Done;
                }
            }
            Act::Purge => {
                self.state.purge(Class::All);
                self.model.values_mut().filter(|(is, _)| *is == Is::Ready).for_each(|(is, _)| *is = Is::Done);
            }
            Act::Restart => {
                self.state = QueueState::restore(&self.state.snapshot(), true).expect("its own snapshot");
                for (offset, (is, _)) in &mut self.model {
                    match *is {
                        Is::Held => self.state.hold(0, *offset..offset + 1),
                        Is::Taken => *is = Is::Ready,
                        Is::Ready | Is::Done => {}
                    }
                }
            }
        }
        self.check();
    }

    fn take(&mut self, end: End) {
        let mut ready = self.model.iter().filter(|(_, (is, _))| *is == Is::Ready).map(|(offset, _)| *offset);
        let expected = if end == End::Head { ready.next() } else { ready.next_back() };
        assert_eq!(self.state.take_from(end, Class::All).map(|taken| taken.offset), expected);
        if let Some(entry) = expected.and_then(|offset| self.model.get_mut(&offset)) {
            entry.0 = Is::Taken;
        }
    }

    fn check(&self) {
        let ready = |class| {
            let sees = move |kind| class == Class::All || kind == Kind::Plain;
            self.model.iter().filter(move |(_, (is, kind))| *is == Is::Ready && sees(*kind)).map(|(offset, _)| (0, *offset))
        };
        for class in [Class::All, Class::Queued] {
            assert_eq!(self.state.ready(class), ready(class).count() as u64, "{class:?}");
            assert_eq!(self.state.range(class, 0, 100), ready(class).collect::<Vec<_>>(), "{class:?}");
        }
        let needed = self.state.needed(0).expect("the partition");
        for (offset, (is, _)) in &self.model {
            let is_needed = *offset >= needed.floor && !needed.gone.contains(*offset);
            assert_eq!(is_needed, *is != Is::Done, "{offset} is {is:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn what_is_held_is_taken_by_nobody_and_comes_at_its_place_when_it_is_delivered(acts in proptest::collection::vec(act(), 1..80)) {
        let mut world = World { state: QueueState::new(1), model: BTreeMap::new() };
        for act in &acts {
            world.step(act);
        }
    }
}
