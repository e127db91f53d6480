//! Joining a group: first joins, second joins with an id, returns of members, and static members that come back.

use super::GroupError;
use super::machine::{Group, State, answer_waiting};
use super::member::Member;
use super::request::{Join, MemberId, Reply, Step, Strategy, Ticket};

impl Group {
    /// Somebody wants to be a member. The answer comes now or when the round finishes, as [`Reply::Join`] with this ticket.
    pub fn join(&mut self, join: &Join, ticket: Ticket, step: &mut Step) {
        if let Err(why) = self.try_join(join, ticket, step) {
            step.replies.push(Reply::Join(ticket, Err(why)));
        }
    }

    /// On success the ticket is answered or kept by a member; on failure it is the caller's to answer.
    fn try_join(&mut self, join: &Join, ticket: Ticket, step: &mut Step) -> Result<(), GroupError> {
        if !self.has_room_for(join) {
            if self.remove(&join.member_id, step) {
                self.rebalance(step);
            }
            return Err(GroupError::Full);
        }
        if !self.supports(&join.kind, &join.strategies) {
            return Err(GroupError::Mismatch);
        }
        if join.member_id.is_empty() { self.join_unknown(join, ticket, step) } else { self.join_known(join, ticket, step) }
    }

    /// While members gather, those who already wait count, so that the last to return are turned away if the limit shrank.
    /// Who returns under its instance name takes no new place.
    fn has_room_for(&self, join: &Join) -> bool {
        let max = self.settings.members_max;
        let id = join.instance.as_ref().and_then(|name| self.statics.get(name)).unwrap_or(&join.member_id);
        let member = self.members.get(id);
        match self.state {
            State::Empty | State::Dead | State::Assigning | State::Reconciling => {
                self.pending.len() < max || self.pending.contains_key(id)
            }
            State::PreparingRebalance => {
                let stays = |m: &Member| m.joining.is_some() || m.instance.is_some();
                member.is_some_and(stays) || self.members.values().filter(|m| stays(m)).count() < max
            }
            State::CompletingRebalance | State::Stable => member.is_some() || self.members.len() < max,
        }
    }

    fn supports(&self, kind: &str, strategies: &[Strategy]) -> bool {
        if kind.is_empty() || strategies.is_empty() {
            return false;
        }
        self.members.is_empty() || (self.kind.as_deref() == Some(kind) && strategies.iter().any(|s| self.all_know(&s.name)))
    }

    fn join_unknown(&mut self, join: &Join, ticket: Ticket, step: &mut Step) -> Result<(), GroupError> {
        if let Some(instance) = &join.instance {
            match self.statics.get(instance).cloned() {
                Some(old) => self.replace(&old, join, ticket, step),
                None => self.add(&join.fresh_id, join, ticket, step),
            }
            return Ok(());
        }
        if join.takes_id_first {
            if self.pending.len() >= self.settings.members_max {
                return Err(GroupError::Full);
            }
            self.pending.insert(join.fresh_id.clone(), step.now_ms + u64::from(join.session_timeout_ms));
            return Err(GroupError::MemberIdRequired(join.fresh_id.clone()));
        }
        self.add(&join.fresh_id, join, ticket, step);
        Ok(())
    }

    fn join_known(&mut self, join: &Join, ticket: Ticket, step: &mut Step) -> Result<(), GroupError> {
        let id = &join.member_id;
        if join.instance.is_none() && self.pending.contains_key(id) {
            self.add(id, join, ticket, step);
            return Ok(());
        }
        self.check_member(id, join.instance.as_ref())?;
        let same = self.members.get(id).is_some_and(|m| m.strategies == join.strategies);
        match self.state {
            State::PreparingRebalance => self.rejoin(join, ticket, step),
            // The answer to its join was lost: tell it again.
            State::CompletingRebalance if same => self.answer_again(id, ticket, step),
            State::CompletingRebalance => self.rejoin(join, ticket, step),
            // A leader that joins again asks for a round, for reasons that its metadata need not show.
            State::Stable if same && !self.is_leader(id) => self.answer_again(id, ticket, step),
            State::Stable => self.rejoin(join, ticket, step),
            State::Empty | State::Dead | State::Assigning | State::Reconciling => return Err(GroupError::UnknownMember),
        }
        Ok(())
    }

    fn answer_again(&mut self, id: &MemberId, ticket: Ticket, step: &mut Step) {
        if let Some(member) = self.members.get_mut(id) {
            member.touch(step.now_ms);
        }
        let joined = self.joined(id.clone());
        step.replies.push(Reply::Join(ticket, Ok(joined)));
    }

    fn add(&mut self, id: &MemberId, join: &Join, ticket: Ticket, step: &mut Step) {
        let deadline_ms = step.now_ms + u64::from(self.settings.new_member_timeout_ms);
        self.pending.remove(id);
        if self.members.is_empty() {
            self.kind = Some(join.kind.clone());
        }
        self.member_added = self.state == State::PreparingRebalance && self.first_round;
        self.leader.get_or_insert_with(|| id.clone());
        if let Some(instance) = &join.instance {
            self.statics.insert(instance.clone(), id.clone());
        }
        self.members.insert(id.clone(), Member::new(join, ticket, deadline_ms));
        self.rebalance(step);
    }

    fn rejoin(&mut self, join: &Join, ticket: Ticket, step: &mut Step) {
        if let Some(member) = self.members.get_mut(&join.member_id) {
            let superseded = member.update(join, ticket);
            answer_waiting(superseded, None, &GroupError::Rebalancing, step);
        }
        self.rebalance(step);
    }

    /// A static member is back under a new id: the old id is fenced, the work stays where it is if it can.
    fn replace(&mut self, old: &MemberId, join: &Join, ticket: Ticket, step: &mut Step) {
        let Some(mut member) = self.members.remove(old) else { return self.add(&join.fresh_id, join, ticket, step) };
        let id = join.fresh_id.clone();
        answer_waiting(member.joining.take(), member.syncing.take(), &GroupError::Fenced, step);
        member.update(join, ticket);
        member.is_new = false;
        member.touch(step.now_ms);
        self.members.insert(id.clone(), member);
        if let Some(instance) = &join.instance {
            self.statics.insert(instance.clone(), id.clone());
        }
        let old_leader = self.leader.clone();
        if self.is_leader(old) {
            self.leader = Some(id.clone());
        }
        if self.unsynced.remove(old) {
            self.unsynced.insert(id.clone());
        }
        if self.state == State::Stable && self.vote() == self.strategy {
            self.answer_replaced(&id, old_leader, join.may_skip_assignment, step);
        } else {
            self.rebalance(step);
        }
    }

    /// Without KIP-814 a returned leader is told that its old id leads, so that it does not assign anew.
    fn answer_replaced(&mut self, id: &MemberId, old_leader: Option<MemberId>, may_skip: bool, step: &mut Step) {
        let mut joined = self.joined(id.clone());
        if may_skip {
            joined.skip_assignment = self.is_leader(id);
        } else {
            joined.members.clear();
            joined.leader = old_leader.unwrap_or_default();
        }
        self.changed = true;
        if let Some(ticket) = self.members.get_mut(id).and_then(|m| m.joining.take()) {
            step.replies.push(Reply::Join(ticket, Ok(joined)));
        }
    }
}
