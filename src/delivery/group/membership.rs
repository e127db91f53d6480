//! The membership of a group, of whichever kind: led by a member that assigns, or managed by the group itself. What both kinds
//! can be asked; each kind's own requests are its own.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::machine::{Group, State};
use super::managed::{Managed, Sharing};
use super::request::{Caller, Departure, Step};
use super::{GroupError, GroupListing, GroupSettings};
use crate::log::TopicName;

/// Who assigns the work of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GroupKind {
    /// One of its members.
    Led,
    /// The group; each partition has one owner.
    Managed,
    /// The group; members share partitions.
    Shared,
}

#[derive(Debug)]
pub(super) enum Membership {
    Led(Group),
    Managed(Managed),
}

impl Membership {
    pub(super) fn kind(&self) -> GroupKind {
        match self {
            Self::Led(_) => GroupKind::Led,
            Self::Managed(group) => match group.sharing() {
                Sharing::Exclusive => GroupKind::Managed,
                Sharing::Shared => GroupKind::Shared,
            },
        }
    }

    pub(super) fn led(&self) -> Option<&Group> {
        match self {
            Self::Led(group) => Some(group),
            Self::Managed(_) => None,
        }
    }

    pub(super) fn led_mut(&mut self) -> Option<&mut Group> {
        match self {
            Self::Led(group) => Some(group),
            Self::Managed(_) => None,
        }
    }

    pub(super) fn managed(&self) -> Option<&Managed> {
        match self {
            Self::Led(_) => None,
            Self::Managed(group) => Some(group),
        }
    }

    /// Makes an idle group one that a member leads. False if it is not and cannot be.
    pub(super) fn become_led(&mut self, settings: &Arc<GroupSettings>) -> bool {
        if let Self::Managed(group) = self {
            if !group.is_idle() {
                return false;
            }
            *self = Self::Led(Group::going_on(settings.clone(), group.epoch()));
        }
        true
    }

    /// Makes an idle group one that is managed in this way. False if it is not and cannot be.
    pub(super) fn become_managed(&mut self, settings: &Arc<GroupSettings>, sharing: Sharing) -> bool {
        if self.managed().is_some_and(|group| group.sharing() == sharing) {
            return true;
        }
        if !self.is_idle() {
            return false;
        }
        *self = Self::Managed(Managed::new(settings.clone(), sharing, self.epoch()));
        true
    }

    pub(super) fn epoch(&self) -> i32 {
        match self {
            Self::Led(group) => group.epoch(),
            Self::Managed(group) => group.epoch(),
        }
    }

    pub(super) fn state(&self) -> State {
        match self {
            Self::Led(group) => group.state(),
            Self::Managed(group) => group.state(),
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        match self {
            Self::Led(group) => group.is_idle(),
            Self::Managed(group) => group.is_idle(),
        }
    }

    pub(super) fn member_count(&self) -> usize {
        match self {
            Self::Led(group) => group.member_count(),
            Self::Managed(group) => group.member_count(),
        }
    }

    pub(super) fn listing(&self, name: &Arc<str>) -> GroupListing {
        match self {
            Self::Led(group) => group.listing(name),
            Self::Managed(group) => GroupListing { name: name.clone(), kind: self.kind(), work: "".into(), state: group.state() },
        }
    }

    /// The topics that the members want. `None` if a member did not say: then it may want any.
    pub(super) fn wanted_topics(&self) -> Option<BTreeSet<TopicName>> {
        match self {
            Self::Led(group) => group.wanted_topics(),
            Self::Managed(group) => Some(group.wanted_topics()),
        }
    }

    pub(super) fn check_commit(&mut self, caller: &Caller, now_ms: u64) -> Result<(), GroupError> {
        match self {
            Self::Led(group) => group.check_commit(caller, now_ms),
            Self::Managed(group) if group.sharing() == Sharing::Shared => Err(GroupError::NotFound),
            Self::Managed(group) => group.check_commit(caller),
        }
    }

    pub(super) fn leave(&mut self, departures: &[Departure], step: &mut Step) -> Vec<Result<(), GroupError>> {
        match self {
            Self::Led(group) => group.leave(departures, step),
            Self::Managed(group) => departures.iter().map(|gone| group.expel(&gone.member_id, gone.instance.as_ref())).collect(),
        }
    }

    pub(super) fn tick(&mut self, step: &mut Step) {
        match self {
            Self::Led(group) => group.tick(step),
            Self::Managed(group) => group.tick(step.now_ms),
        }
    }

    pub(super) fn next_deadline_ms(&self) -> Option<u64> {
        match self {
            Self::Led(group) => group.next_deadline_ms(),
            Self::Managed(group) => group.next_deadline_ms(),
        }
    }

    pub(super) fn take_changed(&mut self) -> bool {
        match self {
            Self::Led(group) => group.take_changed(),
            Self::Managed(group) => group.has_changed(),
        }
    }
}
