//! Staying in a group and going: heartbeats, leaving, and being silent for too long.

use super::GroupError;
use super::machine::{Group, State};
use super::request::{Caller, Departure, MemberId, Step};

impl Group {
    /// A sign of life. `Rebalancing` tells the member to join again; it counts as alive all the same.
    pub fn heartbeat(&mut self, caller: &Caller, now_ms: u64) -> Result<(), GroupError> {
        self.check_caller(caller)?;
        if let Some(member) = self.members.get_mut(&caller.member_id) {
            member.touch(now_ms);
        }
        match self.state {
            State::Empty | State::Dead | State::Assigning | State::Reconciling => Err(GroupError::UnknownMember),
            State::PreparingRebalance => Err(GroupError::Rebalancing),
            State::CompletingRebalance | State::Stable => Ok(()),
        }
    }

    /// Whether this sender may commit offsets now. From a member it is a sign of life too. Who is no member (empty id,
    /// negative epoch) may commit while the group is empty.
    pub fn check_commit(&mut self, caller: &Caller, now_ms: u64) -> Result<(), GroupError> {
        if caller.epoch < 0 && self.state == State::Empty {
            return Ok(());
        }
        if caller.epoch < 0 && caller.member_id.is_empty() && caller.instance.is_none() {
            return Err(GroupError::UnknownMember);
        }
        self.check_caller(caller)?;
        if self.state == State::CompletingRebalance {
            return Err(GroupError::Rebalancing);
        }
        if let Some(member) = self.members.get_mut(&caller.member_id) {
            member.touch(now_ms);
        }
        Ok(())
    }

    /// Members go. One answer each, in order; the others find themselves a new round.
    pub fn leave(&mut self, departures: &[Departure], step: &mut Step) -> Vec<Result<(), GroupError>> {
        let mut any_member = false;
        let answers = departures
            .iter()
            .map(|departure| {
                let id = self.departing(departure)?;
                any_member |= self.remove(&id, step);
                Ok(())
            })
            .collect();
        self.after_removal(any_member, step);
        answers
    }

    fn departing(&self, departure: &Departure) -> Result<MemberId, GroupError> {
        let Departure { member_id, instance } = departure;
        if member_id.is_empty() {
            let holder = instance.as_ref().and_then(|name| self.statics.get(name));
            return holder.cloned().ok_or(GroupError::UnknownMember);
        }
        if !self.pending.contains_key(member_id) {
            self.check_member(member_id, instance.as_ref())?;
        }
        Ok(member_id.clone())
    }

    /// Time has passed: who was silent for too long is out, and waits that are over end.
    pub fn tick(&mut self, step: &mut Step) {
        self.drop_silent(step);
        if let Some(timer) = self.join_timer.filter(|t| t.at_ms <= step.now_ms) {
            self.join_wait_is_over(timer.delay_ms, timer.remaining_ms, step);
        }
        if self.sync_deadline_ms.is_some_and(|at| at <= step.now_ms) {
            self.drop_unsynced(step);
        }
    }

    fn drop_silent(&mut self, step: &mut Step) {
        let now_ms = step.now_ms;
        let lapsed = self.pending.iter().filter(|(_, at)| **at <= now_ms).map(|(id, _)| id.clone());
        let silent = self.members.iter().filter(|(_, m)| m.expires_at_ms().is_some_and(|at| at <= now_ms));
        let gone: Vec<MemberId> = lapsed.chain(silent.map(|(id, _)| id.clone())).collect();
        if gone.is_empty() {
            return;
        }
        let mut any_member = false;
        for id in gone {
            any_member |= self.remove(&id, step);
        }
        self.after_removal(any_member, step);
    }

    /// A first round waits longer as long as members keep coming (KIP-134).
    fn join_wait_is_over(&mut self, delay_ms: u64, remaining_ms: u64, step: &mut Step) {
        let Some(timer) = &mut self.join_timer else { return };
        if self.first_round && self.member_added && remaining_ms > 0 {
            self.member_added = false;
            timer.delay_ms = u64::from(self.settings.initial_rebalance_delay_ms).min(remaining_ms);
            timer.remaining_ms = remaining_ms.saturating_sub(delay_ms);
            timer.at_ms = step.now_ms + timer.delay_ms;
            return;
        }
        self.finish_joins(step);
    }

    /// Members that joined this round and never asked for their work hold it up no longer.
    fn drop_unsynced(&mut self, step: &mut Step) {
        let mut any_member = false;
        for id in std::mem::take(&mut self.unsynced) {
            any_member |= self.remove(&id, step);
        }
        self.sync_deadline_ms = None;
        self.after_removal(any_member, step);
    }

    /// A missing member starts a round; an id that lapsed can only let one finish.
    fn after_removal(&mut self, any_member: bool, step: &mut Step) {
        match self.state {
            State::Empty | State::Dead | State::Assigning | State::Reconciling => {}
            State::PreparingRebalance => self.rebalance(step),
            State::CompletingRebalance | State::Stable if any_member => self.rebalance(step),
            State::CompletingRebalance | State::Stable => {}
        }
    }
}
