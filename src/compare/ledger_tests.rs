//! The ledger by example, and against a naive second opinion that counts from the whole history at the end.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;

fn finished(slot: u32, producer: u32, sequence: u64) -> Finished {
    Finished { slot, instance: slot, producer, sequence }
}

fn acknowledged(ledger: &mut Ledger, producer: u32, count: u64) {
    for _ in 0..count {
        let sequence = ledger.attempt(producer).unwrap();
        ledger.acknowledge(producer, sequence);
    }
}

#[test]
fn a_record_that_arrives_once_is_neither_lost_nor_doubled() {
    let mut ledger = Ledger::new(Audience::Shared, 1, 2);
    acknowledged(&mut ledger, 0, 3);
    assert_eq!(ledger.tally().lost, 3);
    for sequence in 0..3 {
        assert_eq!(ledger.finish(finished((sequence % 2) as u32, 0, sequence)), Note::First);
    }
    assert!(ledger.settled());
    let tally = ledger.tally();
    assert_eq!((tally.sent, tally.delivered, tally.lost, tally.duplicated, tally.out_of_order), (3, 3, 0, 0, 0));
}

#[test]
fn every_subscriber_is_owed_every_record() {
    let mut ledger = Ledger::new(Audience::Each, 1, 3);
    acknowledged(&mut ledger, 0, 2);
    ledger.finish(finished(0, 0, 0));
    ledger.finish(finished(1, 0, 0));
    assert_eq!(ledger.tally().lost, 4);
    assert_eq!(ledger.tally().duplicated, 0);
}

#[test]
fn a_delivery_may_overtake_the_acknowledgement() {
    let mut ledger = Ledger::new(Audience::Shared, 1, 1);
    let sequence = ledger.attempt(0).unwrap();
    ledger.finish(finished(0, 0, sequence));
    assert!(!ledger.settled());
    ledger.acknowledge(0, sequence);
    assert!(ledger.settled());
    assert_eq!(ledger.tally().lost, 0);
}

#[test]
fn a_refused_record_is_owed_to_nobody() {
    let mut ledger = Ledger::new(Audience::Shared, 1, 1);
    let sequence = ledger.attempt(0).unwrap();
    ledger.refuse(0, sequence);
    assert!(ledger.settled());
    assert_eq!(ledger.tally(), Tally { attempted: 1, refused: 1, ..Tally::default() });
}

#[test]
fn a_replacement_that_reads_again_doubles_but_does_not_disorder() {
    let mut ledger = Ledger::new(Audience::Shared, 1, 1);
    acknowledged(&mut ledger, 0, 5);
    for sequence in 0..4 {
        ledger.finish(Finished { slot: 0, instance: 0, producer: 0, sequence });
    }
    for sequence in 2..5 {
        ledger.finish(Finished { slot: 0, instance: 1, producer: 0, sequence });
    }
    let tally = ledger.tally();
    assert_eq!((tally.duplicated, tally.out_of_order, tally.lost), (2, 0, 0));
    assert_eq!(tally.copies_a_record(), 1.4);
}

#[test]
fn a_first_copy_after_a_later_one_is_out_of_order() {
    let mut ledger = Ledger::new(Audience::Shared, 2, 1);
    acknowledged(&mut ledger, 0, 3);
    acknowledged(&mut ledger, 1, 1);
    for (producer, sequence) in [(0, 2), (1, 0), (0, 0), (0, 1)] {
        ledger.finish(finished(0, producer, sequence));
    }
    assert_eq!(ledger.tally().out_of_order, 2);
}

#[test]
fn what_this_run_never_sent_is_foreign() {
    let mut ledger = Ledger::new(Audience::Shared, 1, 1);
    acknowledged(&mut ledger, 0, 1);
    for stranger in [finished(0, 0, 1), finished(0, 9, 0), finished(5, 0, 0)] {
        assert_eq!(ledger.finish(stranger), Note::Foreign);
    }
    assert_eq!(ledger.tally().foreign, 3);
    assert_eq!(ledger.attempt(1), None);
}

#[derive(Clone, Debug)]
enum Step {
    Attempt(u32),
    Acknowledge(u32, u64),
    Refuse(u32, u64),
    Finish(Finished),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0u32..3).prop_map(Step::Attempt),
        3 => (0u32..3, 0u64..12).prop_map(|(producer, sequence)| Step::Acknowledge(producer, sequence)),
        1 => (0u32..3, 0u64..12).prop_map(|(producer, sequence)| Step::Refuse(producer, sequence)),
        5 => (0u32..3, 0u32..5, 0u32..3, 0u64..12)
            .prop_map(|(slot, instance, producer, sequence)| Step::Finish(Finished { slot, instance, producer, sequence })),
    ]
}

/// The history in full, judged at the end by counting.
#[derive(Default)]
struct Naive {
    attempted: HashMap<u32, u64>,
    fates: HashMap<(u32, u64), bool>,
    deliveries: Vec<Finished>,
    foreign: u64,
}

impl Naive {
    fn apply(&mut self, step: &Step, slots: u32) {
        let exists = |naive: &Self, producer, sequence| naive.attempted.get(&producer).is_some_and(|count| sequence < *count);
        match *step {
            Step::Attempt(producer) => *self.attempted.entry(producer).or_default() += 1,
            Step::Acknowledge(producer, sequence) if exists(self, producer, sequence) => {
                self.fates.entry((producer, sequence)).or_insert(true);
            }
            Step::Refuse(producer, sequence) if exists(self, producer, sequence) => {
                self.fates.entry((producer, sequence)).or_insert(false);
            }
            Step::Finish(delivery) if exists(self, delivery.producer, delivery.sequence) && delivery.slot < slots => {
                self.deliveries.push(delivery);
            }
            Step::Finish(_) => self.foreign += 1,
            Step::Acknowledge(..) | Step::Refuse(..) => {}
        }
    }

    fn tally(&self, audience: Audience, slots: u32) -> Tally {
        let reader_of = |slot| if audience == Audience::Shared { 0 } else { slot };
        let readers = if audience == Audience::Shared { 1 } else { slots };
        let mut seen = HashSet::new();
        let mut firsts: Vec<Finished> = Vec::new();
        let mut out_of_order = 0;
        for delivery in &self.deliveries {
            if seen.insert((reader_of(delivery.slot), delivery.producer, delivery.sequence)) {
                let same = |earlier: &&Finished| earlier.instance == delivery.instance && earlier.producer == delivery.producer;
                out_of_order += u64::from(firsts.iter().filter(same).any(|earlier| earlier.sequence > delivery.sequence));
                firsts.push(*delivery);
            }
        }
        let owed = self.fates.iter().filter(|(_, acknowledged)| **acknowledged);
        let lost =
            owed.flat_map(|(id, _)| (0..readers).map(move |reader| (reader, id.0, id.1))).filter(|pair| !seen.contains(pair));
        let sent = self.fates.values().filter(|acknowledged| **acknowledged).count() as u64;
        Tally {
            attempted: self.attempted.values().sum(),
            sent,
            refused: self.fates.len() as u64 - sent,
            delivered: self.deliveries.len() as u64 + self.foreign,
            distinct: seen.len() as u64,
            lost: lost.count() as u64,
            duplicated: (self.deliveries.len() - seen.len()) as u64,
            out_of_order,
            corrupt: 0,
            foreign: self.foreign,
        }
    }
}

proptest! {
    #[test]
    fn the_running_sums_agree_with_counting_at_the_end(
        steps in prop::collection::vec(step(), 0..200), each: bool, slots in 1u32..4
    ) {
        let audience = if each { Audience::Each } else { Audience::Shared };
        let mut ledger = Ledger::new(audience, 3, slots);
        let mut naive = Naive::default();
        for step in &steps {
            naive.apply(step, slots);
            match *step {
                Step::Attempt(producer) => prop_assert!(ledger.attempt(producer).is_some()),
                Step::Acknowledge(producer, sequence) => ledger.acknowledge(producer, sequence),
                Step::Refuse(producer, sequence) => ledger.refuse(producer, sequence),
                Step::Finish(delivery) => { ledger.finish(delivery); }
            }
            prop_assert_eq!(ledger.tally(), naive.tally(audience, slots));
        }
    }
}
