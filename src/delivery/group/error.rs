//! Why a group refuses a request. Closed: a dialect maps each case to its own code.

use super::MemberId;

/// Everything a group can answer other than yes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// A group needs a name of at least one byte.
    #[error("the group has no name")]
    InvalidName,
    /// No such group, or it is gone.
    #[error("there is no such group")]
    NotFound,
    /// The sender is not a member; it has to join again without an id.
    #[error("the member is not known to the group")]
    UnknownMember,
    /// Join once more with this id (KIP-394), so that a lost reply leaves no ghost behind.
    #[error("join again as member {0}")]
    MemberIdRequired(MemberId),
    /// Another member joined under the same instance name since (KIP-345).
    #[error("another member took over this instance name")]
    Fenced,
    /// The request speaks of an epoch that is not the current one.
    #[error("the epoch is not the current one")]
    StaleEpoch,
    /// The group is finding its members together: join again.
    #[error("the group is rebalancing")]
    Rebalancing,
    /// The member's kind or strategies do not fit those of the group.
    #[error("no strategy in common with the group")]
    Mismatch,
    /// The session timeout lies outside the configured bounds.
    #[error("the session timeout is out of bounds")]
    InvalidSessionTimeout,
    /// The group has as many members as it may have.
    #[error("the group is full")]
    Full,
    /// As many groups exist as may exist.
    #[error("too many groups")]
    TooManyGroups,
    /// The group still has members.
    #[error("the group is not empty")]
    NotEmpty,
    /// A member's epoch is not the one that the group has given it: it has to start over (KIP-848).
    #[error("the member's epoch is not the one that the group gave it")]
    FencedEpoch,
    /// Offsets are committed or asked for under an epoch that the member has not any more, or not yet (KIP-848).
    #[error("the member's epoch is not the current one")]
    StaleMember,
    /// The instance name is still another member's, who has not left.
    #[error("another member still has this instance name")]
    Unreleased,
    /// There is no such assignor.
    #[error("there is no such assignor; there are uniform and range")]
    UnknownAssignor,
    /// What should be a regular expression is none, or one that is too big.
    #[error("the pattern of topics is no regular expression, or too big a one")]
    InvalidPattern,
    /// A text or the number of topics is beyond what a member may say.
    #[error("the member says more than it may")]
    TooLong,
    /// The groups are going down, or the log takes no more.
    #[error("the groups are not available")]
    Unavailable,
}
