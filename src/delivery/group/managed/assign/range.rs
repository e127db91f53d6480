//! Range: each topic by itself, in runs of neighbouring partitions, in the order of the applicants. Those that want the same
//! topics get the same indices of each, and the first of them one more where the numbers do not divide.

use std::collections::BTreeSet;

use super::{Applicant, Seat, Subject};

pub(super) fn assign(topics: &[Subject], applicants: &[Applicant<'_>]) -> Vec<BTreeSet<Seat>> {
    let mut given = vec![BTreeSet::new(); applicants.len()];
    let mut readers = vec![Vec::new(); topics.len()];
    for (who, applicant) in applicants.iter().enumerate() {
        for topic in &applicant.wants {
            if let Some(readers) = readers.get_mut(*topic) {
                readers.push(who);
            }
        }
    }
    for (topic, (subject, readers)) in topics.iter().zip(readers).enumerate() {
        let (count, partitions) = (readers.len().max(1), subject.partitions as usize);
        let mut next = 0..subject.partitions;
        for (turn, who) in readers.into_iter().enumerate() {
            let share = partitions / count + usize::from(turn < partitions % count);
            if let Some(seats) = given.get_mut(who) {
                seats.extend(next.by_ref().take(share).map(|partition| Seat { topic, partition }));
            }
        }
    }
    given
}
