//! Consumer groups, in the core's words: members share out the partitions of topics between them, and the group remembers
//! how far it has come in each.
//!
//! [`Group`] is the membership of one group whose leader assigns, [`Managed`] of one that assigns by itself, both pure state
//! machines. [`Groups`] keeps all of them, lets callers wait, keeps time, and writes memberships and committed offsets to the
//! journal.

mod commits;
mod describe;
mod error;
mod expiry;
mod group_record;
mod groups;
mod join;
mod journal;
mod keep;
mod machine;
mod managed;
mod member;
mod membership;
mod offset_record;
mod offsets;
mod presence;
mod request;
mod settings;
mod sync;
mod table;
mod transactional;

pub use commits::{GroupLag, NewOffset, OffsetAnswers, OffsetError};
pub use describe::{GroupDescription, GroupListing, MemberDescription};
pub use error::GroupError;
pub use groups::Groups;
pub(super) use journal::{GroupRecord, TABLE, decode};
pub use machine::{Group, State};
pub use managed::{
    Assignor, Beat, BeatAnswer, Catalog, Intent, Managed, ManagedDescription, ManagedMember, Place, Places, Sharing,
};
pub use membership::GroupKind;
pub use offsets::{Committed, OffsetKey};
pub use request::{Caller, Departure, InstanceName, Join, Joined, Joiner, MemberId, Reply, Step, Strategy, Sync, Synced, Ticket};
pub use settings::GroupSettings;
pub use transactional::TransactionalCommitError;

#[cfg(test)]
mod persistence;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod scenarios;
