//! What assignors promise, over random wishes: everything wanted is given, to whom it may be, evenly, and without moving more
//! than that takes.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

fn topics(sizes: &[u32]) -> Vec<Subject> {
    sizes.iter().enumerate().map(|(at, partitions)| Subject { id: TopicId(at as u128 + 1), partitions: *partitions }).collect()
}

/// Assigns over and over, as what was given before is held.
struct Rounds {
    topics: Vec<Subject>,
    members: BTreeMap<u32, (Vec<usize>, Places)>,
}

impl Rounds {
    fn new(sizes: &[u32]) -> Self {
        Self { topics: topics(sizes), members: BTreeMap::new() }
    }

    fn join(&mut self, who: u32, wants: &[usize]) {
        self.members.insert(who, (wants.to_vec(), Places::new()));
    }

    /// Gives how many partitions went to another member than before, those aside that nobody held.
    fn assign(&mut self, assignor: Assignor) -> usize {
        let applicants: Vec<_> = self.members.values().map(|(wants, held)| Applicant { wants: wants.clone(), held }).collect();
        let given = assignor.assign(&self.topics, &applicants);
        let moves = given.iter().zip(&applicants).map(|(given, a)| a.held.difference(given).count()).sum();
        for ((_, held), given) in self.members.values_mut().zip(given) {
            *held = given;
        }
        moves
    }

    fn loads(&self) -> Vec<usize> {
        self.members.values().map(|(_, held)| held.len()).collect()
    }

    /// Every wanted partition has one owner, who wants it.
    fn check_owners(&self) {
        let mut owned = Places::new();
        for (wants, held) in self.members.values() {
            for place in held {
                let topic = self.topics.iter().position(|t| t.id == place.topic).unwrap();
                assert!(wants.contains(&topic), "given and not wanted");
                assert!(owned.insert(*place), "given twice");
            }
        }
        let wanted = |at: usize| self.members.values().any(|(wants, _)| wants.contains(&at));
        let total: u32 = self.topics.iter().enumerate().filter(|(at, _)| wanted(*at)).map(|(_, t)| t.partitions).sum();
        assert_eq!(owned.len(), total as usize, "wanted and not given");
    }
}

#[test]
fn uniform_moves_no_more_than_balance_takes() {
    let mut group = Rounds::new(&[7, 5, 12]);
    group.join(0, &[0, 1, 2]);
    assert_eq!(group.assign(Assignor::Uniform), 0);
    group.join(1, &[0, 1, 2]);
    assert_eq!(group.assign(Assignor::Uniform), 12, "half of it moves");
    group.join(2, &[0, 1, 2]);
    assert_eq!(group.assign(Assignor::Uniform), 8, "a third of it moves, all to the new one");
    assert_eq!(group.assign(Assignor::Uniform), 0, "nothing has changed");
    group.members.remove(&0);
    assert_eq!(group.assign(Assignor::Uniform), 0, "only what nobody holds any more is given");
    assert_eq!(group.loads(), [12, 12]);
}

#[test]
fn uniform_finds_its_way_over_others() {
    // One member wants both topics, the first wants only the first, the third only the second.
    let mut group = Rounds::new(&[9, 1]);
    group.join(0, &[0]);
    group.join(1, &[0, 1]);
    group.join(2, &[1]);
    group.assign(Assignor::Uniform);
    group.check_owners();
    assert_eq!(group.loads(), [5, 4, 1]);
}

#[test]
fn range_gives_one_index_of_all_topics_to_one_member() {
    let mut group = Rounds::new(&[5, 5]);
    for who in 0..3 {
        group.join(who, &[0, 1]);
    }
    group.assign(Assignor::Range);
    group.check_owners();
    assert_eq!(group.loads(), [4, 4, 2]);
    for (_, held) in group.members.values() {
        let of = |topic: u128| held.iter().filter(|p| p.topic == TopicId(topic)).map(|p| p.partition).collect::<Vec<_>>();
        assert_eq!(of(1), of(2));
    }
}

#[test]
fn spread_leaves_nobody_and_nothing_alone() {
    for (partitions, members) in [(1, 1), (1, 5), (5, 1), (3, 7), (7, 3), (4, 4)] {
        let mut group = Rounds::new(&[partitions]);
        for who in 0..members {
            group.join(who, &[0]);
        }
        group.assign(Assignor::Spread);
        let mut readers: BTreeMap<Place, usize> = BTreeMap::new();
        for (_, held) in group.members.values() {
            assert!(!held.is_empty());
            held.iter().for_each(|place| *readers.entry(*place).or_default() += 1);
        }
        assert_eq!(readers.len(), partitions as usize);
        let (least, most) = (readers.values().min().unwrap(), readers.values().max().unwrap());
        assert!(most - least <= 1 || members <= partitions, "{partitions} partitions, {members} members: {readers:?}");
        assert_eq!(group.assign(Assignor::Spread), 0, "nothing has changed");
    }
}

/// No partition can move to a member that would still hold less than the giver, directly or over others.
fn check_even(group: &Rounds) {
    let members: Vec<_> = group.members.values().collect();
    for (start, (_, held)) in members.iter().enumerate() {
        let mut reached = BTreeSet::from([start]);
        let mut open = vec![start];
        while let Some(at) = open.pop() {
            for (to, (wants, _)) in members.iter().enumerate() {
                let gives =
                    members[at].1.iter().any(|p| wants.contains(&group.topics.iter().position(|t| t.id == p.topic).unwrap()));
                if gives && reached.insert(to) {
                    open.push(to);
                }
            }
        }
        let least = reached.into_iter().map(|to| members[to].1.len()).min().unwrap();
        assert!(held.len() <= least + 1, "{} could give to {least}", held.len());
    }
}

#[test]
#[allow(clippy::print_stdout)]
fn whatever_members_want_uniform_is_even_and_complete() {
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..60 {
        let sizes: Vec<u32> = (0..random.random_range(1..6)).map(|_| random.random_range(1..9)).collect();
        let mut group = Rounds::new(&sizes);
        for round in 0..12_u32 {
            if random.random_range(0..3) > 0 || group.members.is_empty() {
                let all: Vec<usize> = (0..sizes.len()).collect();
                let same = random.random();
                let some = all.iter().copied().filter(|_| same || random.random()).collect::<Vec<_>>();
                group.join(round, &some);
            } else {
                let at = random.random_range(0..group.members.len());
                let who = *group.members.keys().nth(at).unwrap();
                group.members.remove(&who);
            }
            for assignor in [Assignor::Range, Assignor::Uniform] {
                group.assign(assignor);
                group.check_owners();
            }
            check_even(&group);
            assert_eq!(group.assign(Assignor::Uniform), 0, "nothing has changed");
        }
    }
}
