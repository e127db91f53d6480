//! What an observer sees of a managed group. Never changes it.

use std::sync::Arc;

use super::assign::Places;
use super::machine::Managed;
use crate::delivery::group::GroupListing;
use crate::delivery::group::request::{InstanceName, MemberId};
use crate::log::TopicName;

/// A managed group in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagedDescription {
    /// Its name, kind and state.
    pub listing: GroupListing,
    /// Grows with every change of members, wishes or topics.
    pub epoch: i32,
    /// The epoch that targets were worked out for.
    pub target_epoch: i32,
    /// The name of the assignor in use.
    pub assignor: &'static str,
    /// Its members, by id.
    pub members: Vec<ManagedMember>,
}

/// One member of a described group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagedMember {
    /// Its id.
    pub member_id: MemberId,
    /// Its instance name, if static.
    pub instance: Option<InstanceName>,
    /// Where it is, if it says.
    pub rack: Option<Arc<str>>,
    /// How far it has come.
    pub epoch: i32,
    /// As the client calls itself.
    pub client_id: Arc<str>,
    /// Where it connects from.
    pub client_host: Arc<str>,
    /// The topics it names.
    pub topics: Arc<[TopicName]>,
    /// The pattern it wants topics by.
    pub pattern: Option<Arc<str>>,
    /// What it works on.
    pub assigned: Places,
    /// What it is to work on.
    pub target: Places,
}

impl Managed {
    /// Everything about the group and its members.
    pub fn describe(&self, listing: GroupListing) -> ManagedDescription {
        let members = self.members.iter().map(|(id, member)| ManagedMember {
            member_id: id.clone(),
            instance: member.about.instance.clone(),
            rack: member.about.rack.clone(),
            epoch: member.epoch,
            client_id: member.about.client_id.clone(),
            client_host: member.about.client_host.clone(),
            topics: member.about.topics.clone(),
            pattern: member.about.pattern.clone(),
            assigned: member.assigned.clone(),
            target: member.target.clone(),
        });
        let members = members.collect();
        let assignor = self.assignor().name();
        ManagedDescription { listing, epoch: self.epoch, target_epoch: self.target_epoch, assignor, members }
    }
}
