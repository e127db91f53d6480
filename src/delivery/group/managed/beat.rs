//! The one request of members of managed groups, in the core's words: a sign of life that says what changed and is told what
//! changed. Plain values.

use std::sync::Arc;

use super::assign::Places;
use crate::delivery::group::request::{InstanceName, MemberId};
use crate::log::TopicName;

/// What a member comes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// To become a member, or to start over as one.
    Join,
    /// To stay one.
    Stay {
        /// The member's epoch, as it was told last.
        epoch: i32,
    },
    /// To be one no longer.
    Leave,
    /// To go and come back: a static member keeps its place until its session ends.
    StepOut,
}

/// A sign of life. Whatever is `None` is as it was before.
#[derive(Debug, Clone)]
pub struct Beat {
    /// Made by the client or, for those that have none, by [`super::super::Groups::fresh_member_id`].
    pub member_id: MemberId,
    /// What for.
    pub intent: Intent,
    /// Set by static members.
    pub instance: Option<InstanceName>,
    /// Where the member is; shown in descriptions.
    pub rack: Option<Arc<str>>,
    /// As the client calls itself; shown in descriptions.
    pub client_id: Arc<str>,
    /// Where the client connects from; shown in descriptions.
    pub client_host: Arc<str>,
    /// How long the member may take to let go of partitions.
    pub rebalance_timeout_ms: Option<u32>,
    /// The topics the member wants by name.
    pub topics: Option<Vec<TopicName>>,
    /// Those it wants by a pattern; empty for none.
    pub pattern: Option<Arc<str>>,
    /// The assignor it would have; the group takes the one that most ask for.
    pub assignor: Option<Arc<str>>,
    /// The partitions that it has.
    pub owned: Option<Places>,
}

/// The good answer to a [`Beat`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeatAnswer {
    /// The member's id.
    pub member_id: MemberId,
    /// The member's epoch; -1 for one that left and -2 for one that stepped out.
    pub epoch: i32,
    /// How often to come.
    pub interval_ms: u32,
    /// What the member may work on, if that changed or the member cannot know.
    pub assignment: Option<Places>,
}
