//! What members ask of a group and what they are told. Plain values: no socket, no clock, no wire format.
//!
//! A request that may have to wait is named by a [`Ticket`]; the group answers every ticket exactly once.

use std::sync::Arc;

use bytes::Bytes;

use super::GroupError;
use crate::log::TopicName;

/// The id of a member, made by [`super::Groups`] and unique for ever.
pub type MemberId = Arc<str>;

/// A name that a member keeps over its restarts (KIP-345, "static membership").
pub type InstanceName = Arc<str>;

/// Names one waiting request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// One way of assigning work that a member knows, with what it wants to tell the leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strategy {
    /// Name, compared byte for byte between members.
    pub name: Arc<str>,
    /// Opaque to the group; only the leader reads it.
    pub metadata: Bytes,
}

/// A request to become, or to stay, a member.
#[derive(Debug, Clone)]
pub struct Join {
    /// Empty on the first join.
    pub member_id: MemberId,
    /// The id to hand out if the member has none yet.
    pub fresh_id: MemberId,
    /// Set by static members.
    pub instance: Option<InstanceName>,
    /// As the client calls itself; shown in descriptions.
    pub client_id: Arc<str>,
    /// Where the client connects from; shown in descriptions.
    pub client_host: Arc<str>,
    /// How long the member may be silent.
    pub session_timeout_ms: u32,
    /// How long the others wait for this member to join again.
    pub rebalance_timeout_ms: u32,
    /// What sort of work the group shares out; all members agree on it.
    pub kind: Arc<str>,
    /// In order of preference.
    pub strategies: Vec<Strategy>,
    /// The topics the member wants, where the dialect can tell; only these keep their committed offsets from expiring.
    pub topics: Option<Arc<[TopicName]>>,
    /// The client understands [`GroupError::MemberIdRequired`] (KIP-394).
    pub takes_id_first: bool,
    /// The client understands [`Joined::skip_assignment`] (KIP-814).
    pub may_skip_assignment: bool,
}

/// The good answer to a [`Join`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// The round of the group that this membership belongs to.
    pub epoch: i32,
    /// See [`Join::kind`].
    pub kind: Arc<str>,
    /// The strategy that won.
    pub strategy: Arc<str>,
    /// Who hands out the work.
    pub leader: MemberId,
    /// The member's own id.
    pub member_id: MemberId,
    /// The leader returned to a stable group and need not assign again.
    pub skip_assignment: bool,
    /// All members, for the leader; empty for the others.
    pub members: Vec<Joiner>,
}

/// A member as its leader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joiner {
    /// Its id.
    pub member_id: MemberId,
    /// Its instance name, if static.
    pub instance: Option<InstanceName>,
    /// What it said under the strategy that won.
    pub metadata: Bytes,
}

/// A member's request for its share of the work. The leader brings everybody's.
#[derive(Debug, Clone)]
pub struct Sync {
    /// Who asks, and of which epoch.
    pub caller: Caller,
    /// If given, must be the group's.
    pub kind: Option<Arc<str>>,
    /// If given, must be the one that won.
    pub strategy: Option<Arc<str>>,
    /// From the leader: what each member gets.
    pub assignments: Vec<(MemberId, Bytes)>,
}

/// The good answer to a [`Sync`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synced {
    /// See [`Join::kind`].
    pub kind: Arc<str>,
    /// The strategy that won.
    pub strategy: Arc<str>,
    /// Opaque, as the leader gave it.
    pub assignment: Bytes,
}

/// Who sends a request as a member.
#[derive(Debug, Clone)]
pub struct Caller {
    /// As given out by the join; empty if the sender is no member.
    pub member_id: MemberId,
    /// Set by static members.
    pub instance: Option<InstanceName>,
    /// As given out by the join; negative if the sender is no member.
    pub epoch: i32,
}

/// One member that goes. An administrator names static members by instance alone, with an empty id.
#[derive(Debug, Clone)]
pub struct Departure {
    /// Empty if only the instance name is given.
    pub member_id: MemberId,
    /// Set by static members.
    pub instance: Option<InstanceName>,
}

/// An answer to a waiting request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// To a [`Join`].
    Join(Ticket, Result<Joined, GroupError>),
    /// To a [`Sync`].
    Sync(Ticket, Result<Synced, GroupError>),
}

/// One call into a group: the time it happens at, and the answers that fall out of it.
#[derive(Debug)]
pub struct Step {
    /// Milliseconds on a clock that never goes back.
    pub now_ms: u64,
    /// For whoever waits, the caller included.
    pub replies: Vec<Reply>,
}

impl Step {
    /// A step at this time, without answers yet.
    pub fn at(now_ms: u64) -> Self {
        Self { now_ms, replies: Vec::new() }
    }
}
