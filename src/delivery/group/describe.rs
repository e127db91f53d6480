//! What an observer sees of a group. Never changes it.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::machine::{Group, State};
use super::membership::GroupKind;
use super::request::{InstanceName, MemberId};
use crate::log::TopicName;

/// A group in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupListing {
    /// Its name.
    pub name: Arc<str>,
    /// Who assigns in it.
    pub kind: GroupKind,
    /// What sort of work it shares out, as its members say; empty for a group that never had members.
    pub work: Arc<str>,
    /// Where it stands.
    pub state: State,
}

/// A group in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupDescription {
    /// Name, kind and state.
    pub listing: GroupListing,
    /// The strategy in use; empty unless stable.
    pub strategy: Arc<str>,
    /// Its members, by id.
    pub members: Vec<MemberDescription>,
}

/// One member of a described group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberDescription {
    /// Its id.
    pub member_id: MemberId,
    /// Its instance name, if static.
    pub instance: Option<InstanceName>,
    /// As the client calls itself.
    pub client_id: Arc<str>,
    /// Where it connects from.
    pub client_host: Arc<str>,
    /// What it told the leader; empty unless the group is stable.
    pub metadata: Bytes,
    /// What the leader gave it; empty unless the group is stable.
    pub assignment: Bytes,
}

impl Group {
    /// How many are in it.
    pub fn member_count(&self) -> usize {
        self.members.len()
    }

    /// Name, kind and state.
    pub fn listing(&self, name: &Arc<str>) -> GroupListing {
        GroupListing { name: name.clone(), kind: GroupKind::Led, work: self.kind.clone().unwrap_or_default(), state: self.state }
    }

    /// Everything about the group and its members.
    pub fn describe(&self, name: &Arc<str>) -> GroupDescription {
        let stable = self.state == State::Stable;
        let strategy = self.strategy.clone().filter(|_| stable).unwrap_or_default();
        let members = self.members.iter().map(|(id, m)| MemberDescription {
            member_id: id.clone(),
            instance: m.instance.clone(),
            client_id: m.client_id.clone(),
            client_host: m.client_host.clone(),
            metadata: if stable { m.metadata_for(&strategy) } else { Bytes::new() },
            assignment: if stable { m.assignment.clone() } else { Bytes::new() },
        });
        GroupDescription { listing: self.listing(name), members: members.collect(), strategy }
    }

    /// The topics that the members want. `None` if a member did not say: then it may want any.
    pub fn wanted_topics(&self) -> Option<BTreeSet<TopicName>> {
        let mut wanted = BTreeSet::new();
        for member in self.members.values() {
            wanted.extend(member.topics.as_ref()?.iter().cloned());
        }
        Some(wanted)
    }
}
