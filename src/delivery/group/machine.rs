//! One group as a state machine: who its members are, who leads, and which round ("epoch") they are in.
//!
//! Follows Kafka's classic group protocol (KIP-62, KIP-134, KIP-345, KIP-394, KIP-814). Pure: the time comes in with each
//! [`Step`], answers to waiting requests go out with it. Knows nothing of offsets, of the log, or of what assignments mean.
//! Here are the state and the moves between states; the requests are in `join`, `sync` and `presence`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;

use super::member::Member;
use super::request::{Caller, InstanceName, Joined, Joiner, MemberId, Reply, Step, Synced, Ticket};
use super::{GroupError, GroupSettings};

/// A round that cannot finish is looked at again after at least this long.
const POSTPONE_MIN_MS: u64 = 100;

/// Where a group stands, whoever assigns in it. The names are Kafka's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// No members; it may still have committed offsets.
    Empty,
    /// Managed: something changed since targets were last worked out.
    Assigning,
    /// Managed: not every member has what it is to have.
    Reconciling,
    /// Waits for its members to join.
    PreparingRebalance,
    /// Waits for the leader's assignment.
    CompletingRebalance,
    /// Everybody has work.
    Stable,
    /// Does not exist.
    Dead,
}

/// When the wait for joins ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct JoinTimer {
    pub(super) at_ms: u64,
    /// Only while an empty group fills: how long it is being waited now, and how much longer it may be.
    pub(super) delay_ms: u64,
    pub(super) remaining_ms: u64,
}

/// One group.
#[derive(Debug)]
pub struct Group {
    pub(super) settings: Arc<GroupSettings>,
    pub(super) state: State,
    /// The group was empty before this round: more time is given for others to come.
    pub(super) first_round: bool,
    /// Somebody came since the wait of the first round was last extended.
    pub(super) member_added: bool,
    pub(super) epoch: i32,
    pub(super) kind: Option<Arc<str>>,
    pub(super) strategy: Option<Arc<str>>,
    pub(super) leader: Option<MemberId>,
    pub(super) members: BTreeMap<MemberId, Member>,
    pub(super) statics: HashMap<InstanceName, MemberId>,
    /// Ids handed out whose owners have not joined with them yet, and when they lapse.
    pub(super) pending: BTreeMap<MemberId, u64>,
    /// Members of this round that have not asked for their assignment yet.
    pub(super) unsynced: BTreeSet<MemberId>,
    pub(super) join_timer: Option<JoinTimer>,
    pub(super) sync_deadline_ms: Option<u64>,
    /// Something changed that has to outlive a restart.
    pub(super) changed: bool,
}

impl Group {
    /// An empty group.
    pub fn new(settings: Arc<GroupSettings>) -> Self {
        Self {
            settings,
            state: State::Empty,
            first_round: false,
            member_added: false,
            epoch: 0,
            kind: None,
            strategy: None,
            leader: None,
            members: BTreeMap::new(),
            statics: HashMap::new(),
            pending: BTreeMap::new(),
            unsynced: BTreeSet::new(),
            join_timer: None,
            sync_deadline_ms: None,
            changed: false,
        }
    }

    /// An empty group whose epochs go on from this one.
    pub(super) fn going_on(settings: Arc<GroupSettings>, epoch: i32) -> Self {
        Self { epoch, ..Self::new(settings) }
    }

    /// Where the group stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// The current round; grows with each.
    pub fn epoch(&self) -> i32 {
        self.epoch
    }

    /// Nobody is in it and nobody was told to come back.
    pub fn is_idle(&self) -> bool {
        self.state == State::Empty && self.pending.is_empty()
    }

    /// The caller is a member, under its instance name if it has one, in the current epoch.
    pub(super) fn check_caller(&self, caller: &Caller) -> Result<(), GroupError> {
        self.check_member(&caller.member_id, caller.instance.as_ref())?;
        if caller.epoch == self.epoch { Ok(()) } else { Err(GroupError::StaleEpoch) }
    }

    pub(super) fn check_member(&self, id: &MemberId, instance: Option<&InstanceName>) -> Result<(), GroupError> {
        if let Some(instance) = instance {
            let holder = self.statics.get(instance).ok_or(GroupError::UnknownMember)?;
            if holder != id {
                return Err(GroupError::Fenced);
            }
        }
        if self.members.contains_key(id) { Ok(()) } else { Err(GroupError::UnknownMember) }
    }

    pub(super) fn is_leader(&self, id: &MemberId) -> bool {
        self.leader.as_ref() == Some(id)
    }

    pub(super) fn all_joined(&self) -> bool {
        self.pending.is_empty() && self.members.values().all(|m| m.joining.is_some())
    }

    /// Something about the members changed: start a round, or see whether the one that runs can finish.
    pub(super) fn rebalance(&mut self, step: &mut Step) {
        match self.state {
            State::PreparingRebalance => self.finish_joins_if_complete(step),
            State::Empty | State::CompletingRebalance | State::Stable => self.prepare(step),
            State::Dead | State::Assigning | State::Reconciling => {}
        }
    }

    /// Begins a round: everybody has to join again.
    fn prepare(&mut self, step: &mut Step) {
        if self.state == State::CompletingRebalance {
            self.refuse_syncs(step);
        }
        self.sync_deadline_ms = None;
        self.unsynced.clear();
        self.first_round = self.state == State::Empty;
        self.state = State::PreparingRebalance;
        if self.first_round {
            self.member_added = false;
            let delay_ms = u64::from(self.settings.initial_rebalance_delay_ms);
            let remaining_ms = self.rebalance_timeout_ms().saturating_sub(delay_ms);
            self.join_timer = Some(JoinTimer { at_ms: step.now_ms + delay_ms, delay_ms, remaining_ms });
        } else if self.all_joined() {
            self.finish_joins(step);
        } else {
            self.wait_for_joins(step.now_ms);
        }
    }

    /// The group waits as long as its slowest member asks for.
    fn rebalance_timeout_ms(&self) -> u64 {
        self.members.values().map(|m| u64::from(m.rebalance_timeout_ms)).max().unwrap_or(0)
    }

    fn wait_for_joins(&mut self, now_ms: u64) {
        let at_ms = now_ms + self.rebalance_timeout_ms().max(POSTPONE_MIN_MS);
        self.join_timer = Some(JoinTimer { at_ms, delay_ms: 0, remaining_ms: 0 });
    }

    /// A first round always waits for its timer.
    fn finish_joins_if_complete(&mut self, step: &mut Step) {
        if self.state == State::PreparingRebalance && !self.first_round && self.all_joined() {
            self.finish_joins(step);
        }
    }

    /// The wait for joins is over: who is not back is out, unless it is static; the rest is the new epoch.
    pub(super) fn finish_joins(&mut self, step: &mut Step) {
        self.join_timer = None;
        let absent: Vec<MemberId> =
            self.members.iter().filter(|(_, m)| m.joining.is_none() && m.instance.is_none()).map(|(id, _)| id.clone()).collect();
        for id in absent {
            self.remove(&id, step);
        }
        if self.members.is_empty() {
            self.become_empty();
        } else if self.elect() {
            self.begin_epoch(step);
        } else {
            self.wait_for_joins(step.now_ms);
        }
    }

    fn become_empty(&mut self) {
        self.epoch = next_epoch(self.epoch);
        self.state = State::Empty;
        self.changed = true;
        self.strategy = None;
        self.leader = None;
        self.unsynced.clear();
        self.sync_deadline_ms = None;
    }

    /// The leader stays if it is back; else somebody who is. False if nobody is.
    fn elect(&mut self) -> bool {
        let is_back = |m: &Member| m.joining.is_some();
        if self.leader.as_ref().and_then(|id| self.members.get(id)).is_some_and(is_back) {
            return true;
        }
        let next = self.members.iter().find(|(_, m)| is_back(m)).map(|(id, _)| id.clone());
        if next.is_some() {
            self.leader = next;
            return true;
        }
        false
    }

    fn begin_epoch(&mut self, step: &mut Step) {
        self.epoch = next_epoch(self.epoch);
        self.strategy = self.vote();
        self.state = State::CompletingRebalance;
        self.unsynced = self.members.keys().cloned().collect();
        self.sync_deadline_ms = Some(step.now_ms + self.rebalance_timeout_ms().max(POSTPONE_MIN_MS));
        let mut tickets = Vec::with_capacity(self.members.len());
        for (id, member) in &mut self.members {
            member.is_new = false;
            member.touch(step.now_ms);
            if let Some(ticket) = member.joining.take() {
                tickets.push((id.clone(), ticket));
            }
        }
        for (id, ticket) in tickets {
            let joined = self.joined(id);
            step.replies.push(Reply::Join(ticket, Ok(joined)));
        }
    }

    /// Each member votes for the first of its strategies that all know; the earliest named wins a tie.
    pub(super) fn vote(&self) -> Option<Arc<str>> {
        let first = self.members.values().next()?;
        let mut votes: Vec<(&Arc<str>, usize)> =
            first.strategies.iter().map(|s| &s.name).filter(|n| self.all_know(n)).map(|n| (n, 0)).collect();
        for member in self.members.values() {
            let choice = member.strategies.iter().find_map(|s| votes.iter().position(|(n, _)| **n == s.name));
            if let Some((_, count)) = choice.and_then(|i| votes.get_mut(i)) {
                *count += 1;
            }
        }
        votes.iter().rev().max_by_key(|(_, count)| *count).map(|(name, _)| Arc::clone(name))
    }

    pub(super) fn all_know(&self, strategy: &str) -> bool {
        self.members.values().all(|m| m.knows(strategy))
    }

    /// What a member is told about the current epoch.
    pub(super) fn joined(&self, id: MemberId) -> Joined {
        let members = if self.is_leader(&id) { self.joiners() } else { Vec::new() };
        Joined {
            epoch: self.epoch,
            kind: self.kind.clone().unwrap_or_default(),
            strategy: self.strategy.clone().unwrap_or_default(),
            leader: self.leader.clone().unwrap_or_default(),
            member_id: id,
            skip_assignment: false,
            members,
        }
    }

    fn joiners(&self) -> Vec<Joiner> {
        let strategy = self.strategy.clone().unwrap_or_default();
        self.members
            .iter()
            .map(|(id, m)| Joiner { member_id: id.clone(), instance: m.instance.clone(), metadata: m.metadata_for(&strategy) })
            .collect()
    }

    pub(super) fn synced(&self, assignment: Bytes) -> Synced {
        Synced { kind: self.kind.clone().unwrap_or_default(), strategy: self.strategy.clone().unwrap_or_default(), assignment }
    }

    /// The round is off before the leader's assignment came.
    fn refuse_syncs(&mut self, step: &mut Step) {
        for member in self.members.values_mut() {
            member.assignment = Bytes::new();
            if let Some(ticket) = member.syncing.take() {
                member.touch(step.now_ms);
                step.replies.push(Reply::Sync(ticket, Err(GroupError::Rebalancing)));
            }
        }
    }

    /// Takes a member out and tells whoever waits in its name. Does not start a round.
    pub(super) fn remove(&mut self, id: &MemberId, step: &mut Step) -> bool {
        self.pending.remove(id);
        self.mark_synced(id);
        let Some(member) = self.members.remove(id) else { return false };
        answer_waiting(member.joining, member.syncing, &GroupError::UnknownMember, step);
        if let Some(instance) = &member.instance {
            self.statics.remove(instance);
        }
        if self.is_leader(id) {
            self.leader = self.members.keys().next().cloned();
        }
        true
    }

    pub(super) fn mark_synced(&mut self, id: &MemberId) {
        self.unsynced.remove(id);
        if self.unsynced.is_empty() {
            self.sync_deadline_ms = None;
        }
    }

    /// The earliest moment at which [`Group::tick`] would do something.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        let members = self.members.values().filter_map(Member::expires_at_ms);
        let pending = self.pending.values().copied();
        let join = self.join_timer.map(|t| t.at_ms);
        members.chain(pending).chain(join).chain(self.sync_deadline_ms).min()
    }
}

/// Answers what a member still waits for.
pub(super) fn answer_waiting(joining: Option<Ticket>, syncing: Option<Ticket>, why: &GroupError, step: &mut Step) {
    if let Some(ticket) = joining {
        step.replies.push(Reply::Join(ticket, Err(why.clone())));
    }
    if let Some(ticket) = syncing {
        step.replies.push(Reply::Sync(ticket, Err(why.clone())));
    }
}

/// Epochs start at 1; a group that lives through two billion rounds starts over.
fn next_epoch(epoch: i32) -> i32 {
    epoch.checked_add(1).unwrap_or(1)
}
