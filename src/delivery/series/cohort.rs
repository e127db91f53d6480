//! A named view of a series: how far records were handed out, to whom, and which are not settled.
//!
//! Memory goes with what is held, not with the series. A member is there until it is dropped, whatever it holds.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use bytes::Bytes;

use super::stamp::Stamp;

/// A record that was handed out and is not settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Who holds it.
    pub member: Bytes,
    /// Its index.
    pub index: u64,
    /// When it was handed out last, in milliseconds since 1970.
    pub at_ms: i64,
    /// How often it was handed out.
    pub count: u64,
}

/// One who takes part in a cohort.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Member {
    /// When it was last heard of, in milliseconds since 1970.
    pub seen_ms: i64,
    pub(super) held: BTreeSet<Stamp>,
}

/// A named view.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cohort {
    /// Everything up to here was handed out.
    pub last: Stamp,
    /// How many records of the series lie up to there, if that is known.
    pub read: Option<u64>,
    pub(super) held: BTreeMap<Stamp, Held>,
    pub(super) members: BTreeMap<Bytes, Member>,
}

impl Member {
    /// How many records it holds.
    pub fn held(&self) -> usize {
        self.held.len()
    }
}

impl Cohort {
    /// How many records are held.
    pub fn held_count(&self) -> usize {
        self.held.len()
    }

    /// A record that is held.
    pub fn held(&self, stamp: Stamp) -> Option<&Held> {
        self.held.get(&stamp)
    }

    /// What is held, in order.
    pub fn held_in(&self, range: RangeInclusive<Stamp>) -> Box<dyn Iterator<Item = (Stamp, &Held)> + '_> {
        if range.is_empty() {
            return Box::new(std::iter::empty());
        }
        Box::new(self.held.range(range).map(|(stamp, held)| (*stamp, held)))
    }

    /// What one member holds, in order.
    pub fn held_by<'c>(
        &'c self,
        member: &[u8],
        range: RangeInclusive<Stamp>,
    ) -> Box<dyn Iterator<Item = (Stamp, &'c Held)> + 'c> {
        match self.members.get(member) {
            Some(member) if !range.is_empty() => {
                Box::new(member.held.range(range).filter_map(|stamp| Some((*stamp, self.held.get(stamp)?))))
            }
            Some(_) | None => Box::new(std::iter::empty()),
        }
    }

    /// Lowest and highest stamp of what is held.
    pub fn held_bounds(&self) -> Option<(Stamp, Stamp)> {
        Some((*self.held.first_key_value()?.0, *self.held.last_key_value()?.0))
    }

    /// One member.
    pub fn member(&self, name: &[u8]) -> Option<&Member> {
        self.members.get(name)
    }

    /// All members, by name.
    pub fn members(&self) -> impl ExactSizeIterator<Item = (&Bytes, &Member)> {
        self.members.iter()
    }

    pub(super) fn hold(&mut self, stamp: Stamp, held: Held) {
        if let Some(before) = self.held.get(&stamp)
            && before.member != held.member
            && let Some(member) = self.members.get_mut(&before.member)
        {
            member.held.remove(&stamp);
        }
        self.members.entry(held.member.clone()).or_default().held.insert(stamp);
        self.held.insert(stamp, held);
    }

    pub(super) fn settle(&mut self, stamp: Stamp) {
        if let Some(held) = self.held.remove(&stamp)
            && let Some(member) = self.members.get_mut(&held.member)
        {
            member.held.remove(&stamp);
        }
    }

    pub(super) fn drop_member(&mut self, name: &[u8]) {
        if let Some(member) = self.members.remove(name) {
            for stamp in member.held {
                self.held.remove(&stamp);
            }
        }
    }
}
