//! Uniform: partitions of all topics together, as evenly as wishes allow, moving no more than that takes.
//!
//! Who holds something keeps it, what nobody holds goes to whoever has least, and then the fullest hand over to the emptiest.
//! Members with the same wishes form a class, inside which anything can move anywhere; between classes a partition moves along
//! a path of classes, each of which wants what the one before it gives. Without such a path no assignment is more even.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::{Applicant, Seat, Subject, kept};

/// Looks between classes before an assignment is taken as even enough: a bound on the time that strange wishes can cost.
const LOOKS_MAX: usize = 4_000_000;

pub(super) fn assign(topics: &[Subject], applicants: &[Applicant<'_>]) -> Vec<BTreeSet<Seat>> {
    let mut board = Board::new(topics, applicants);
    board.keep();
    board.fill(topics);
    board.level_all();
    board.level_between();
    board.given
}

/// Members that want the same topics.
struct Class {
    wants: Vec<usize>,
    /// How much each member holds: the emptiest first.
    loads: BTreeSet<(usize, usize)>,
    /// How many partitions of each topic its members hold.
    holds: HashMap<usize, usize>,
}

struct Board {
    classes: Vec<Class>,
    class_of: Vec<usize>,
    /// The classes that want each topic.
    readers: Vec<Vec<usize>>,
    given: Vec<BTreeSet<Seat>>,
    /// What each member held before.
    held: Vec<BTreeSet<Seat>>,
    /// What each member holds and did not before, and the other way round.
    gained: Vec<BTreeSet<Seat>>,
    lost: Vec<BTreeSet<Seat>>,
    taken: Vec<Vec<bool>>,
}

/// One partition on its way from one class to the next.
#[derive(Clone, Copy)]
struct Hop {
    from: usize,
    topic: usize,
}

impl Board {
    fn new(topics: &[Subject], applicants: &[Applicant<'_>]) -> Self {
        let mut classes: Vec<Class> = Vec::new();
        let mut by_wants: HashMap<&[usize], usize> = HashMap::new();
        let mut class_of = Vec::with_capacity(applicants.len());
        for (who, applicant) in applicants.iter().enumerate() {
            let class = *by_wants.entry(&applicant.wants).or_insert_with(|| {
                classes.push(Class { wants: applicant.wants.clone(), loads: BTreeSet::new(), holds: HashMap::new() });
                classes.len() - 1
            });
            class_of.push(class);
            if let Some(class) = classes.get_mut(class) {
                class.loads.insert((0, who));
            }
        }
        let mut readers = vec![Vec::new(); topics.len()];
        for (at, class) in classes.iter().enumerate() {
            for topic in &class.wants {
                if let Some(readers) = readers.get_mut(*topic) {
                    readers.push(at);
                }
            }
        }
        let taken = topics.iter().map(|topic| vec![false; topic.partitions as usize]).collect();
        let nothing = vec![BTreeSet::new(); applicants.len()];
        let held = kept(topics, applicants);
        Self { classes, class_of, readers, given: nothing.clone(), gained: nothing, lost: held.clone(), held, taken }
    }

    fn keep(&mut self) {
        for who in 0..self.held.len() {
            for seat in self.held.get(who).cloned().unwrap_or_default() {
                if !self.is_taken(seat) {
                    self.give(who, seat);
                }
            }
        }
    }

    /// What few want goes first, so that those who want much else are not full of it.
    fn fill(&mut self, topics: &[Subject]) {
        let mut order: Vec<usize> = (0..topics.len()).collect();
        order.sort_by_key(|topic| self.readers_of(*topic).map(|class| class.loads.len()).sum::<usize>());
        for topic in order {
            let partitions = topics.get(topic).map_or(0, |subject| subject.partitions);
            for seat in (0..partitions).map(|partition| Seat { topic, partition }) {
                if self.is_taken(seat) {
                    continue;
                }
                let emptiest = self.readers_of(topic).filter_map(|class| class.loads.first()).min();
                if let Some((_, who)) = emptiest.copied() {
                    self.give(who, seat);
                }
            }
        }
    }

    fn level_all(&mut self) {
        for class in 0..self.classes.len() {
            self.level(class);
        }
    }

    /// Evens out one class.
    fn level(&mut self, class: usize) {
        while let Some(Class { loads, .. }) = self.classes.get(class) {
            let (Some((least, to)), Some((most, from))) = (loads.first().copied(), loads.last().copied()) else { return };
            if most < least + 2 {
                return;
            }
            let Some(seat) = self.best_to_move(from, to, None) else { return };
            self.hand_over(from, to, seat);
        }
    }

    /// Evens out the classes among each other.
    fn level_between(&mut self) {
        let mut looks = 0;
        if self.classes.len() < 2 {
            return;
        }
        while let Some(path) = self.find_path(&mut looks) {
            for pair in path.windows(2) {
                let [hop, next] = pair else { continue };
                self.pass_on(hop.from, hop.topic, next.from);
            }
            if looks > LOOKS_MAX {
                tracing::warn!("wishes are too different to be weighed in full: the assignment may be less even");
                return;
            }
        }
    }

    /// A way from a class with a full member to one with an emptier one. The last hop stands for the class that gets.
    fn find_path(&self, looks: &mut usize) -> Option<Vec<Hop>> {
        let most = |class: &Class| class.loads.last().map_or(0, |(load, _)| *load);
        let mut sources: Vec<usize> = (0..self.classes.len()).collect();
        sources.sort_by_key(|class| std::cmp::Reverse(self.classes.get(*class).map_or(0, most)));
        sources.into_iter().find_map(|source| {
            let load = self.classes.get(source).map_or(0, most);
            self.find_path_from(source, load.checked_sub(2)?, looks)
        })
    }

    fn find_path_from(&self, source: usize, at_most: usize, looks: &mut usize) -> Option<Vec<Hop>> {
        let mut came_by: HashMap<usize, Option<Hop>> = HashMap::from([(source, None)]);
        let mut open = VecDeque::from([source]);
        while let Some(from) = open.pop_front() {
            let class = self.classes.get(from)?;
            for topic in class.wants.iter().copied().filter(|topic| class.holds.get(topic).is_some_and(|count| *count > 0)) {
                for to in self.readers.get(topic).into_iter().flatten().copied() {
                    *looks += 1;
                    if *looks > LOOKS_MAX {
                        return None;
                    }
                    if came_by.contains_key(&to) {
                        continue;
                    }
                    came_by.insert(to, Some(Hop { from, topic }));
                    let least = self.classes.get(to)?.loads.first().map_or(usize::MAX, |(load, _)| *load);
                    if least <= at_most {
                        return Some(path_to(to, &came_by));
                    }
                    open.push_back(to);
                }
            }
        }
        None
    }

    /// A partition of this topic goes from the fullest of one class that has one to the emptiest of another.
    fn pass_on(&mut self, from: usize, topic: usize, to: usize) {
        let to_whom = self.classes.get(to).and_then(|class| class.loads.first()).map(|(_, who)| *who);
        let givers = self.classes.get(from).map(|class| class.loads.iter().rev().map(|(_, who)| *who));
        let (Some(to_whom), Some(mut givers)) = (to_whom, givers) else { return };
        let found = givers.find_map(|who| Some((who, self.best_to_move(who, to_whom, Some(topic))?)));
        if let Some((who, seat)) = found {
            self.hand_over(who, to_whom, seat);
            self.level(from);
            self.level(to);
        }
    }

    /// Rather what comes back to who held it, then what the giver has only just got, then its last.
    fn best_to_move(&self, from: usize, to: usize, topic: Option<usize>) -> Option<Seat> {
        let given = self.given.get(from)?;
        let class = self.classes.get(*self.class_of.get(to)?)?;
        let fits = |seat: &&Seat| match topic {
            Some(topic) => seat.topic == topic,
            None => class.wants.binary_search(&seat.topic).is_ok(),
        };
        let back = self.lost.get(to)?.iter().filter(fits).find(|seat| given.contains(seat));
        let new = || self.gained.get(from)?.iter().rev().find(fits);
        back.or_else(new).or_else(|| given.iter().rev().find(fits)).copied()
    }

    fn readers_of(&self, topic: usize) -> impl Iterator<Item = &Class> {
        self.readers.get(topic).into_iter().flatten().filter_map(|class| self.classes.get(*class))
    }

    fn is_taken(&self, seat: Seat) -> bool {
        self.taken.get(seat.topic).and_then(|topic| topic.get(seat.partition as usize)).copied().unwrap_or(true)
    }

    fn hand_over(&mut self, from: usize, to: usize, seat: Seat) {
        self.change(from, seat, false);
        self.change(to, seat, true);
    }

    fn give(&mut self, who: usize, seat: Seat) {
        if let Some(taken) = self.taken.get_mut(seat.topic).and_then(|topic| topic.get_mut(seat.partition as usize)) {
            *taken = true;
        }
        self.change(who, seat, true);
    }

    fn change(&mut self, who: usize, seat: Seat, gets: bool) {
        let Some(given) = self.given.get_mut(who) else { return };
        let before = given.len();
        if gets {
            given.insert(seat)
        } else {
            given.remove(&seat)
        };
        let after = given.len();
        let was_held = self.held.get(who).is_some_and(|held| held.contains(&seat));
        // Held and gone, or not held and here: that differs from before.
        let differs = if was_held { self.lost.get_mut(who) } else { self.gained.get_mut(who) };
        if let Some(differs) = differs {
            if was_held == gets {
                differs.remove(&seat)
            } else {
                differs.insert(seat)
            };
        }
        let class = self.class_of.get(who).and_then(|class| self.classes.get_mut(*class));
        let Some(class) = class.filter(|_| before != after) else { return };
        class.loads.remove(&(before, who));
        class.loads.insert((after, who));
        let holds = class.holds.entry(seat.topic).or_default();
        *holds = if gets { *holds + 1 } else { holds.saturating_sub(1) };
    }
}

/// The hops that lead to a class, first to last.
fn path_to(end: usize, came_by: &HashMap<usize, Option<Hop>>) -> Vec<Hop> {
    let mut path = vec![Hop { from: end, topic: usize::MAX }];
    let mut at = end;
    while let Some(Some(hop)) = came_by.get(&at) {
        path.push(*hop);
        at = hop.from;
    }
    path.reverse();
    path
}
