//! Whatever producers do and however late: a transactional id has one owner, everything that he added ends together and once, and
//! what is kept says all of it. Against a model that remembers plain facts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};

use super::table::{TransactionSettings, Transactions};
use super::*;
use crate::delivery::group::{Committed, OffsetKey};
use crate::log::record::Outcome;
use crate::log::{TopicId, TopicName};

const IDS: usize = 3;
const TIMEOUT_MS: i64 = 1_000;
const EXPIRY_MS: i64 = 50_000;

#[derive(Debug, Clone)]
enum Act {
    /// A producer begins, as nobody, or as one of those that there were (counted from the newest).
    Begin {
        id: usize,
        as_earlier: Option<usize>,
    },
    Add {
        id: usize,
        earlier: usize,
        partition: u32,
    },
    Offset {
        id: usize,
        earlier: usize,
        partition: u32,
        offset: u64,
    },
    End {
        id: usize,
        earlier: usize,
        outcome: Outcome,
    },
    Wait {
        ms: i64,
    },
    /// All is kept and restored.
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    let id = 0..IDS;
    // Mostly the newest producer acts.
    let earlier = || prop_oneof![8 => Just(0_usize), 2 => 1..3_usize];
    let outcome = prop_oneof![Just(Outcome::Commit), Just(Outcome::Abort)];
    prop_oneof![
        2 => (id.clone(), proptest::option::of(earlier())).prop_map(|(id, as_earlier)| Act::Begin { id, as_earlier }),
        6 => (id.clone(), earlier(), 0..4_u32).prop_map(|(id, earlier, partition)| Act::Add { id, earlier, partition }),
        3 => (id.clone(), earlier(), 0..2_u32, any::<u64>())
            .prop_map(|(id, earlier, partition, offset)| Act::Offset { id, earlier, partition, offset }),
        4 => (id, earlier(), outcome).prop_map(|(id, earlier, outcome)| Act::End { id, earlier, outcome }),
        2 => prop_oneof![0..300_i64, 900..1_200_i64, Just(EXPIRY_MS)].prop_map(|ms| Act::Wait { ms }),
        1 => Just(Act::Restart),
    ]
}

/// What is known of one transactional id.
#[derive(Debug, Default)]
struct Known {
    producers: Vec<Producer>,
    open: Option<Open>,
    last: Option<Outcome>,
    used_ms: i64,
}

#[derive(Debug, Default)]
struct Open {
    since_ms: i64,
    partitions: BTreeSet<u32>,
    offsets: BTreeMap<u32, u64>,
}

struct World {
    all: Transactions,
    known: Vec<Option<Known>>,
    now_ms: i64,
    fresh: i64,
}

fn name(id: usize) -> Arc<str> {
    Arc::from(format!("id-{id}"))
}

fn settings() -> TransactionSettings {
    TransactionSettings { expiry_ms: EXPIRY_MS, ..TransactionSettings::default() }
}

fn key(partition: u32) -> OffsetKey {
    OffsetKey { topic: TopicName::new("orders").expect("legal"), partition }
}

fn pending(partition: u32, offset: u64) -> PendingOffset {
    let committed = Committed { offset, leader_epoch: 0, metadata: "m".into(), committed_at_ms: 1, topic_id: TopicId(1) };
    PendingOffset { group: "g".into(), key: key(partition), committed }
}

impl World {
    fn new() -> Self {
        let known = (0..IDS).map(|_| None).collect();
        Self { all: Transactions::with(settings()), known, now_ms: 0, fresh: 100 }
    }

    /// The producer of an id, counted back from the newest; a stranger where there was none.
    fn producer(&self, id: usize, earlier: usize) -> Producer {
        let known = self.known[id].as_ref().and_then(|known| known.producers.iter().rev().nth(earlier));
        known.copied().unwrap_or(Producer { id: 1, epoch: 0 })
    }

    fn is_owner(&self, id: usize, producer: Producer) -> bool {
        self.known[id].as_ref().is_some_and(|known| known.producers.last() == Some(&producer))
    }

    fn check_ended(open: &Open, ended: &Ended, outcome: Outcome) {
        assert_eq!(ended.outcome, outcome);
        let partitions: BTreeSet<u32> = ended.partitions.iter().map(|(_, partition)| *partition).collect();
        assert_eq!(partitions, open.partitions);
        let offsets: BTreeMap<u32, u64> =
            ended.offsets.iter().map(|offset| (offset.key.partition, offset.committed.offset)).collect();
        let expected = if outcome == Outcome::Commit { open.offsets.clone() } else { BTreeMap::new() };
        assert_eq!(offsets, expected);
    }

    fn begin(&mut self, id: usize, as_earlier: Option<usize>) {
        let known_as = as_earlier.map(|earlier| self.producer(id, earlier));
        self.fresh += 1;
        let fresh = self.fresh;
        let begun = self.all.begin(&name(id), known_as, TIMEOUT_MS, self.now_ms, || fresh);
        let Ok(begun) = begun else {
            assert!(known_as.is_some_and(|producer| !self.is_owner(id, producer)), "only a stranger or a fenced one is refused");
            return;
        };
        let now_ms = self.now_ms;
        let known = self.known[id].get_or_insert_default();
        known.used_ms = now_ms;
        match (known.open.take(), &begun.aborted) {
            (Some(open), Some(ended)) => Self::check_ended(&open, ended, Outcome::Abort),
            (None, None) => {}
            (open, ended) => panic!("{open:?} became {ended:?}"),
        }
        if known.producers.last() == Some(&begun.producer) {
            assert!(known_as.is_some(), "nobody is told who another is");
            return;
        }
        let is_newer = |producer: &Producer| producer.id != begun.producer.id || producer.epoch < begun.producer.epoch;
        assert!(known.producers.iter().all(is_newer));
        known.producers.push(begun.producer);
        known.last = None;
    }

    fn add(&mut self, id: usize, earlier: usize, partition: u32) {
        let producer = self.producer(id, earlier);
        let added = self.all.add(&name(id), producer, vec![(TopicId(1), partition)], self.now_ms);
        assert_eq!(added.is_ok(), self.is_owner(id, producer), "{added:?}");
        let (Ok(_), Some(known)) = (added, &mut self.known[id]) else { return };
        let since_ms = self.now_ms;
        known.open.get_or_insert_with(|| Open { since_ms, ..Open::default() }).partitions.insert(partition);
        known.used_ms = self.now_ms;
        assert_eq!(self.all.check_write(producer, TopicId(1), partition), Ok(()));
        assert!(self.all.check_write(producer, TopicId(1), 99).is_err());
    }

    fn offset(&mut self, id: usize, earlier: usize, partition: u32, offset: u64) {
        let producer = self.producer(id, earlier);
        let added = self.all.add_offsets(&name(id), producer, vec![pending(partition, offset)], self.now_ms);
        let open = self.known[id].as_mut().and_then(|known| known.open.as_mut());
        let may = open.is_some() && self.is_owner(id, producer);
        assert_eq!(added.is_ok(), may);
        if let Some(known) = self.known[id].as_mut().filter(|_| may) {
            known.used_ms = self.now_ms;
            known.open.as_mut().expect("open").offsets.insert(partition, offset);
            assert!(self.all.is_pending("g", &key(partition)));
        }
    }

    fn end(&mut self, id: usize, earlier: usize, outcome: Outcome) {
        let producer = self.producer(id, earlier);
        let ended = self.all.end(&name(id), producer, outcome, self.now_ms);
        let is_owner = self.is_owner(id, producer);
        let Some(known) = self.known[id].as_mut().filter(|_| is_owner) else { return assert!(ended.is_err()) };
        match (known.open.take(), ended) {
            (Some(open), Ok(Some(ended))) => {
                Self::check_ended(&open, &ended, outcome);
                assert_eq!(ended.producer, producer);
                known.last = Some(outcome);
                known.used_ms = self.now_ms;
            }
            (None, Ok(None)) => assert_eq!(known.last, Some(outcome)),
            (None, Err(error)) => {
                assert_eq!(error, TransactionError::InvalidState);
                assert_ne!(known.last, Some(outcome));
            }
            (open, ended) => panic!("{open:?} became {ended:?}"),
        }
    }

    fn wait(&mut self, ms: i64) {
        self.now_ms += ms;
        while let Some((name, ended)) = self.all.run_out(self.now_ms) {
            let id = (0..IDS).find(|id| self::name(*id) == name).expect("one of ours");
            let known = self.known[id].as_mut().expect("known");
            match (known.open.take(), ended) {
                (Some(open), Some(ended)) => {
                    assert!(open.since_ms + TIMEOUT_MS <= self.now_ms);
                    Self::check_ended(&open, &ended, Outcome::Abort);
                    // Whoever had it open is fenced, and may ask who he is now.
                    known.producers.push(ended.producer);
                    known.last = Some(Outcome::Abort);
                    known.used_ms = self.now_ms;
                }
                (None, None) => {
                    assert!(known.used_ms + EXPIRY_MS <= self.now_ms);
                    self.known[id] = None;
                }
                (open, ended) => panic!("{open:?} became {ended:?}"),
            }
        }
        let is_due = |known: &Known| known.open.as_ref().is_some_and(|open| open.since_ms + TIMEOUT_MS <= self.now_ms);
        assert!(!self.known.iter().flatten().any(is_due), "no transaction is open beyond its time");
    }

    fn restart(&mut self) {
        let mut again = Transactions::with(settings());
        for listing in self.all.list() {
            let kept = self.all.keep(&listing.name).expect("it is there");
            assert!(again.restore(listing.name.as_bytes(), &kept));
            assert!(!again.restore(b"other", &kept[..kept.len() - 1]), "a cut value is refused");
        }
        self.all = again;
    }

    fn step(&mut self, act: &Act) {
        match *act {
            Act::Begin { id, as_earlier } => self.begin(id, as_earlier),
            Act::Add { id, earlier, partition } => self.add(id, earlier, partition),
            Act::Offset { id, earlier, partition, offset } => self.offset(id, earlier, partition, offset),
            Act::End { id, earlier, outcome } => self.end(id, earlier, outcome),
            Act::Wait { ms } => self.wait(ms),
            Act::Restart => self.restart(),
        }
        for partition in 0..2 {
            let open = self.known.iter().flatten().filter_map(|known| known.open.as_ref());
            let expected = open.flat_map(|open| open.offsets.keys()).any(|pending| *pending == partition);
            assert_eq!(self.all.is_pending("g", &key(partition)), expected);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn a_transactional_id_has_one_owner_and_what_he_added_ends_together(acts in proptest::collection::vec(act(), 1..120)) {
        let mut world = World::new();
        for act in &acts {
            world.step(act);
        }
    }
}

#[test]
fn epochs_that_run_out_lead_to_a_new_producer() {
    let (mut all, name) = (Transactions::with(settings()), name(0));
    let first = all.begin(&name, None, TIMEOUT_MS, 0, || 1).expect("begun").producer;
    let mut last = first;
    for _ in 0..i16::MAX - 1 {
        last = all.begin(&name, None, TIMEOUT_MS, 0, || 2).expect("begun").producer;
    }
    assert_eq!((first, last), (Producer { id: 1, epoch: 0 }, Producer { id: 1, epoch: i16::MAX - 1 }));
    all.add(&name, last, vec![(TopicId(1), 0)], 0).expect("added");
    let begun = all.begin(&name, Some(last), TIMEOUT_MS, 0, || 2).expect("begun");
    assert_eq!(begun.producer, Producer { id: 2, epoch: 0 });
    assert_eq!(begun.aborted.expect("it was open").producer, Producer { id: 1, epoch: i16::MAX }, "the old one is fenced");
    assert_eq!(all.end(&name, last, Outcome::Commit, 0), Err(TransactionError::UnknownProducer));
}

#[test]
fn who_was_fenced_by_time_may_go_on_and_who_was_fenced_by_another_may_not() {
    let (mut all, name) = (Transactions::with(settings()), name(0));
    let producer = all.begin(&name, None, TIMEOUT_MS, 0, || 1).expect("begun").producer;
    all.add(&name, producer, vec![(TopicId(1), 0)], 0).expect("added");
    let (_, ended) = all.run_out(TIMEOUT_MS).expect("its time is over");
    assert_eq!(ended.expect("it was open").producer.epoch, 1);
    assert_eq!(all.end(&name, producer, Outcome::Commit, TIMEOUT_MS), Err(TransactionError::Fenced));
    let again = all.begin(&name, Some(producer), TIMEOUT_MS, TIMEOUT_MS, || 2).expect("the owner").producer;
    assert_eq!(again, Producer { id: 1, epoch: 1 });
    let other = all.begin(&name, None, TIMEOUT_MS, TIMEOUT_MS, || 2).expect("another").producer;
    assert_eq!(other.epoch, 2);
    let refused = all.begin(&name, Some(again), TIMEOUT_MS, TIMEOUT_MS, || 2);
    assert_eq!(refused, Err(TransactionError::Fenced));
}
