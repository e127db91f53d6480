//! Who of a managed group may commit and read offsets.

use super::machine::Managed;
use crate::delivery::group::GroupError;
use crate::delivery::group::request::Caller;

impl Managed {
    /// Whether this sender may commit offsets now: a member in its current epoch or, while the group is empty, anybody who
    /// does not say that he is a member.
    pub fn check_commit(&self, caller: &Caller) -> Result<(), GroupError> {
        if caller.epoch < 0 && self.members.is_empty() {
            return Ok(());
        }
        self.check_member_epoch(caller)
    }

    /// Whether this sender may read what is committed: anybody who does not say that he is a member, and members in their
    /// current epoch.
    pub fn check_fetch(&self, caller: &Caller) -> Result<(), GroupError> {
        if caller.epoch < 0 && caller.member_id.is_empty() {
            return Ok(());
        }
        self.check_member_epoch(caller)
    }

    fn check_member_epoch(&self, caller: &Caller) -> Result<(), GroupError> {
        let member = self.members.get(&caller.member_id).ok_or(GroupError::UnknownMember)?;
        if member.epoch == caller.epoch { Ok(()) } else { Err(GroupError::StaleMember) }
    }
}
