//! Assignors: which member is to hold which partitions. Pure functions of what members want and hold now.
//!
//! Every assignor keeps these rules: a member gets only partitions of topics that it wants, and every partition that anyone
//! wants is given. [`Assignor::Uniform`] and [`Assignor::Range`] give it to one member, [`Assignor::Spread`] to some.

mod range;
mod spread;
mod uniform;

use std::collections::{BTreeSet, HashMap};

use crate::log::TopicId;

/// One partition of one topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The topic's identity.
    pub topic: TopicId,
    /// The partition's index.
    pub partition: u32,
}

/// Partitions of topics.
pub type Places = BTreeSet<Place>;

/// How partitions are shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Assignor {
    /// Balanced over all topics together, and as much as that allows stays where it is.
    Uniform,
    /// Each topic by itself in runs, so that one index of several topics goes to one member.
    Range,
    /// For members that share partitions: everybody gets one, and every partition somebody.
    Spread,
}

impl Assignor {
    /// The name that members choose it by.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Range => "range",
            Self::Spread => "simple",
        }
    }

    /// The assignor of a name, of those that give each partition to one member.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Uniform, Self::Range].into_iter().find(|assignor| assignor.name() == name)
    }

    /// What each applicant is to hold, in their order. Topics come in the order of their names, applicants in a lasting order.
    pub(super) fn assign(self, topics: &[Subject], applicants: &[Applicant<'_>]) -> Vec<Places> {
        let given = match self {
            Self::Uniform => uniform::assign(topics, applicants),
            Self::Range => range::assign(topics, applicants),
            Self::Spread => spread::assign(topics, applicants),
        };
        given.into_iter().map(|seats| seats.into_iter().filter_map(|seat| seat.place(topics)).collect()).collect()
    }
}

/// A topic that somebody wants.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject {
    pub(super) id: TopicId,
    pub(super) partitions: u32,
}

/// Somebody who wants partitions.
#[derive(Debug, Clone)]
pub(super) struct Applicant<'a> {
    /// The topics it wants, as indices of the subjects, ascending.
    pub(super) wants: Vec<usize>,
    /// What it was to hold so far.
    pub(super) held: &'a Places,
}

/// A partition as assignors count it: the index of its subject, and its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Seat {
    topic: usize,
    partition: u32,
}

impl Seat {
    fn place(self, topics: &[Subject]) -> Option<Place> {
        Some(Place { topic: topics.get(self.topic)?.id, partition: self.partition })
    }
}

/// What each applicant holds that it still wants and that still exists.
fn kept(topics: &[Subject], applicants: &[Applicant<'_>]) -> Vec<BTreeSet<Seat>> {
    let index: HashMap<TopicId, usize> = topics.iter().enumerate().map(|(at, topic)| (topic.id, at)).collect();
    let seat = |applicant: &Applicant<'_>, place: &Place| {
        let topic = *index.get(&place.topic)?;
        let exists = topics.get(topic).is_some_and(|subject| place.partition < subject.partitions);
        let wanted = applicant.wants.binary_search(&topic).is_ok();
        (exists && wanted).then_some(Seat { topic, partition: place.partition })
    };
    applicants.iter().map(|applicant| applicant.held.iter().filter_map(|place| seat(applicant, place)).collect()).collect()
}

#[cfg(test)]
mod compare;
#[cfg(test)]
mod tests;
