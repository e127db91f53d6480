//! Spread: for members that read partitions together. Each topic by itself: every reader gets a partition and every partition
//! a reader, as evenly as the numbers allow, and what a member has stays with it where that fits.

use std::collections::BTreeSet;

use super::{Applicant, Seat, Subject, kept};

pub(super) fn assign(topics: &[Subject], applicants: &[Applicant<'_>]) -> Vec<BTreeSet<Seat>> {
    let held = kept(topics, applicants);
    let mut given = vec![BTreeSet::new(); applicants.len()];
    for (topic, subject) in topics.iter().enumerate() {
        let readers: Vec<usize> = (0..applicants.len())
            .filter(|who| applicants.get(*who).is_some_and(|a| a.wants.binary_search(&topic).is_ok()))
            .collect();
        if readers.is_empty() || subject.partitions == 0 {
            continue;
        }
        let shares = share(topic, subject.partitions, &readers, &held);
        for (who, seats) in readers.into_iter().zip(shares) {
            if let Some(given) = given.get_mut(who) {
                given.extend(seats);
            }
        }
    }
    given
}

/// One topic among its readers. The fewer side is gone round, so that everybody on the other side has one.
fn share(topic: usize, partitions: u32, readers: &[usize], held: &[BTreeSet<Seat>]) -> Vec<BTreeSet<Seat>> {
    let (members, places) = (readers.len(), partitions as usize);
    let per_member = places.div_ceil(members);
    let per_place = members.div_ceil(places);
    let mut load = vec![0_usize; places];
    let mut shares: Vec<BTreeSet<Seat>> = vec![BTreeSet::new(); members];
    let has = Seat { topic, partition: 0 }..Seat { topic: topic + 1, partition: 0 };
    for (share, who) in shares.iter_mut().zip(readers) {
        for seat in held.get(*who).into_iter().flat_map(|seats| seats.range(has.clone())) {
            let Some(load) = load.get_mut(seat.partition as usize) else { continue };
            if share.len() < per_member && *load < per_place {
                *load += 1;
                share.insert(*seat);
            }
        }
    }
    // Places without a reader go to whoever has least; readers without a place to the place with fewest.
    let mut by_share: BTreeSet<(usize, usize)> = shares.iter().enumerate().map(|(at, share)| (share.len(), at)).collect();
    for (partition, load) in (0..partitions).zip(&mut load).filter(|(_, load)| **load == 0) {
        let Some((len, at)) = by_share.pop_first() else { break };
        by_share.insert((len + 1, at));
        *load = 1;
        if let Some(share) = shares.get_mut(at) {
            share.insert(Seat { topic, partition });
        }
    }
    let mut by_load: BTreeSet<(usize, u32)> = load.iter().copied().zip(0..partitions).collect();
    for share in shares.iter_mut().filter(|share| share.is_empty()) {
        let Some((load, partition)) = by_load.pop_first() else { break };
        by_load.insert((load + 1, partition));
        share.insert(Seat { topic, partition });
    }
    shares
}
