//! Handing out the work: members ask for their assignment, the leader brings all of them.

use bytes::Bytes;

use super::GroupError;
use super::machine::{Group, State, answer_waiting};
use super::request::{MemberId, Reply, Step, Sync, Ticket};

impl Group {
    /// A member asks for its assignment. The answer comes now or with the leader's, as [`Reply::Sync`] with this ticket.
    pub fn sync(&mut self, sync: &Sync, ticket: Ticket, step: &mut Step) {
        if let Err(why) = self.try_sync(sync, ticket, step) {
            step.replies.push(Reply::Sync(ticket, Err(why)));
        }
    }

    fn try_sync(&mut self, sync: &Sync, ticket: Ticket, step: &mut Step) -> Result<(), GroupError> {
        let id = &sync.caller.member_id;
        self.check_caller(&sync.caller)?;
        if differs(sync.kind.as_deref(), self.kind.as_deref()) || differs(sync.strategy.as_deref(), self.strategy.as_deref()) {
            return Err(GroupError::Mismatch);
        }
        match self.state {
            State::Empty | State::Dead | State::Assigning | State::Reconciling => return Err(GroupError::UnknownMember),
            State::PreparingRebalance => return Err(GroupError::Rebalancing),
            State::CompletingRebalance => self.await_assignment(id, sync, ticket, step),
            State::Stable => self.answer_sync(id, ticket, step),
        }
        Ok(())
    }

    fn await_assignment(&mut self, id: &MemberId, sync: &Sync, ticket: Ticket, step: &mut Step) {
        if let Some(member) = self.members.get_mut(id) {
            let superseded = member.syncing.replace(ticket);
            answer_waiting(None, superseded, &GroupError::Rebalancing, step);
        }
        self.mark_synced(id);
        if self.is_leader(id) {
            self.assign(&sync.assignments, step);
        }
    }

    /// The leader has spoken. Whom it left out gets an empty assignment.
    fn assign(&mut self, assignments: &[(MemberId, Bytes)], step: &mut Step) {
        for member in self.members.values_mut() {
            member.assignment = Bytes::new();
        }
        for (id, assignment) in assignments {
            if let Some(member) = self.members.get_mut(id) {
                member.assignment = assignment.clone();
            }
        }
        self.state = State::Stable;
        self.changed = true;
        let mut waiting = Vec::new();
        for member in self.members.values_mut() {
            if let Some(ticket) = member.syncing.take() {
                member.touch(step.now_ms);
                waiting.push((ticket, member.assignment.clone()));
            }
        }
        for (ticket, assignment) in waiting {
            step.replies.push(Reply::Sync(ticket, Ok(self.synced(assignment))));
        }
    }

    fn answer_sync(&mut self, id: &MemberId, ticket: Ticket, step: &mut Step) {
        self.mark_synced(id);
        let Some(member) = self.members.get_mut(id) else { return };
        member.touch(step.now_ms);
        let assignment = member.assignment.clone();
        step.replies.push(Reply::Sync(ticket, Ok(self.synced(assignment))));
    }
}

/// Only what both sides name can differ (KIP-559).
fn differs(said: Option<&str>, ours: Option<&str>) -> bool {
    matches!((said, ours), (Some(said), Some(ours)) if said != ours)
}
