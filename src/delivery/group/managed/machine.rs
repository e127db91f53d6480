//! One managed group as a state machine: who its members are, what it knows of the topics they want, and the epochs.
//!
//! The group epoch grows when members, wishes or topics change; the target epoch follows when targets are worked out for it;
//! each member's epoch follows when it has let go of what it has to. Pure: time and topics come in with each call.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::assign::{Assignor, Place, Places};
use super::beat::{Beat, BeatAnswer, Intent};
use super::catalog::Catalog;
use super::keep::Changes;
use super::member::{AWAY, About, Member, Progress};
use super::pattern::Pattern;
use crate::delivery::group::request::{InstanceName, MemberId};
use crate::delivery::group::{GroupError, GroupSettings, State};
use crate::log::{TopicId, TopicName};

/// The epoch of a member that left, as it is told.
const LEFT: i32 = -1;
/// Topics that one member may name.
const TOPICS_MAX: usize = 10_000;
/// Bytes of any other text of a member's.
const TEXT_BYTES_MAX: usize = 4_096;
/// Bytes of the names that one member may say.
const NAMES_BYTES_MAX: usize = 1 << 20;

/// Whether a partition goes to one member or to several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Each partition has one owner, who commits offsets (KIP-848).
    Exclusive,
    /// Members read partitions together, record by record (KIP-932).
    Shared,
}

/// One group that assigns by itself.
#[derive(Debug)]
pub struct Managed {
    pub(super) settings: Arc<GroupSettings>,
    pub(super) sharing: Sharing,
    pub(super) epoch: i32,
    pub(super) target_epoch: i32,
    pub(super) members: BTreeMap<MemberId, Member>,
    pub(super) statics: HashMap<InstanceName, MemberId>,
    /// Who may work on, or has still to let go of, each partition. Empty where partitions are shared.
    pub(super) owners: HashMap<Place, MemberId>,
    /// How many members name each topic.
    pub(super) named: BTreeMap<TopicName, usize>,
    pub(super) patterns: BTreeMap<Arc<str>, Pattern>,
    pub(super) patterns_due_ms: u64,
    /// What the current group epoch knows of the topics that are wanted.
    pub(super) topics: BTreeMap<TopicName, (TopicId, u32)>,
    pub(super) topics_hash: u64,
    /// The catalog that `topics` were looked up in; `None` to look again.
    pub(super) seen: Option<u64>,
    pub(super) changes: Changes,
}

impl Managed {
    /// An empty group, whose epochs go on from this one.
    pub fn new(settings: Arc<GroupSettings>, sharing: Sharing, epoch: i32) -> Self {
        Self {
            settings,
            sharing,
            epoch,
            target_epoch: epoch,
            members: BTreeMap::new(),
            statics: HashMap::new(),
            owners: HashMap::new(),
            named: BTreeMap::new(),
            patterns: BTreeMap::new(),
            patterns_due_ms: 0,
            topics: BTreeMap::new(),
            topics_hash: 0,
            seen: None,
            changes: Changes::default(),
        }
    }

    /// Whether partitions have one owner or several.
    pub fn sharing(&self) -> Sharing {
        self.sharing
    }

    /// The group's epoch; grows with every change of members, wishes or topics.
    pub fn epoch(&self) -> i32 {
        self.epoch
    }

    /// How many are in it.
    pub fn member_count(&self) -> usize {
        self.members.len()
    }

    /// Nobody is in it.
    pub fn is_idle(&self) -> bool {
        self.members.is_empty()
    }

    /// Where the group stands.
    pub fn state(&self) -> State {
        if self.members.is_empty() {
            State::Empty
        } else if self.epoch > self.target_epoch {
            State::Assigning
        } else if self.members.values().all(|member| member.is_reconciled(self.target_epoch)) {
            State::Stable
        } else {
            State::Reconciling
        }
    }

    /// A member comes, goes or shows that it is there, and is told what it has to know.
    ///
    /// # Errors
    /// [`GroupError::UnknownMember`], [`GroupError::FencedEpoch`], [`GroupError::Fenced`], [`GroupError::Unreleased`],
    /// [`GroupError::Full`], [`GroupError::UnknownAssignor`], [`GroupError::InvalidPattern`],
    /// [`GroupError::TooLong`]. Nothing changes then.
    pub fn beat(&mut self, beat: &Beat, catalog: &dyn Catalog, now_ms: u64) -> Result<BeatAnswer, GroupError> {
        check_lengths(beat)?;
        match beat.intent {
            Intent::Leave => self.leave(beat),
            Intent::StepOut => self.step_out(beat, now_ms),
            Intent::Join => {
                let about = self.about(beat, self.predecessor(beat)?)?;
                self.learn_pattern(&about)?;
                self.seat(beat, about);
                Ok(self.go_on(beat, catalog, now_ms))
            }
            Intent::Stay { epoch } => {
                let member = self.check(beat, epoch)?;
                let about = self.about(beat, Some(member))?;
                self.learn_pattern(&about)?;
                self.update(&beat.member_id, about);
                Ok(self.go_on(beat, catalog, now_ms))
            }
        }
    }

    /// The member whose place a joining one takes, if there is one: itself, or its former self under the same instance name.
    fn predecessor(&self, beat: &Beat) -> Result<Option<&Member>, GroupError> {
        let holder = beat.instance.as_ref().and_then(|instance| self.statics.get(instance));
        if let Some(holder) = holder {
            let member = self.members.get(holder);
            let is_there = member.is_some_and(|member| member.epoch != AWAY);
            return match () {
                () if *holder == beat.member_id => Ok(member),
                () if is_there => Err(GroupError::Unreleased),
                () if self.members.contains_key(&beat.member_id) => Err(GroupError::Fenced),
                () => Ok(member),
            };
        }
        let member = self.members.get(&beat.member_id);
        match member {
            None if self.members.len() >= self.settings.members_max => Err(GroupError::Full),
            // An id that is another instance's.
            Some(member) if member.about.instance != beat.instance => Err(GroupError::Fenced),
            member => Ok(member),
        }
    }

    /// The member that sends a beat with this epoch. One that has not heard of its new epoch yet may still come with the
    /// one before, as long as it has nothing that is not its own.
    fn check(&self, beat: &Beat, epoch: i32) -> Result<&Member, GroupError> {
        let member = self.check_holder(beat)?;
        let is_own = |owned: &Places| owned.is_subset(&member.assigned);
        let missed_answer = epoch == member.previous_epoch && beat.owned.as_ref().is_some_and(is_own);
        if epoch == member.epoch || (epoch < member.epoch && missed_answer) { Ok(member) } else { Err(GroupError::FencedEpoch) }
    }

    fn check_holder(&self, beat: &Beat) -> Result<&Member, GroupError> {
        if let Some(instance) = &beat.instance {
            let holder = self.statics.get(instance).ok_or(GroupError::UnknownMember)?;
            if *holder != beat.member_id {
                return Err(GroupError::Fenced);
            }
        }
        self.members.get(&beat.member_id).ok_or(GroupError::UnknownMember)
    }

    /// What the member says about itself now, on top of what it said before.
    fn about(&self, beat: &Beat, before: Option<&Member>) -> Result<About, GroupError> {
        let before = before.map(|member| &member.about);
        let assignor = match &beat.assignor {
            Some(name) => Some(Assignor::from_name(name).ok_or(GroupError::UnknownAssignor)?),
            None => before.and_then(|about| about.assignor),
        };
        let topics = match &beat.topics {
            Some(topics) => checked_topics(topics)?,
            None => before.map(|about| about.topics.clone()).unwrap_or_default(),
        };
        let pattern = match &beat.pattern {
            Some(pattern) => Some(pattern.clone()).filter(|pattern| !pattern.is_empty()),
            None => before.and_then(|about| about.pattern.clone()),
        };
        Ok(About {
            instance: beat.instance.clone().or_else(|| before.and_then(|about| about.instance.clone())),
            rack: beat.rack.clone().or_else(|| before.and_then(|about| about.rack.clone())),
            client_id: beat.client_id.clone(),
            client_host: beat.client_host.clone(),
            rebalance_timeout_ms: beat
                .rebalance_timeout_ms
                .or_else(|| before.map(|about| about.rebalance_timeout_ms))
                .unwrap_or(self.settings.managed_session_timeout_ms),
            topics,
            pattern,
            assignor,
        })
    }

    /// Gives a joining member its place: that of its former self, or a new one.
    fn seat(&mut self, beat: &Beat, about: About) {
        let id = &beat.member_id;
        let holder = about.instance.as_ref().and_then(|instance| self.statics.get(instance)).cloned();
        if let Some(former) = holder.filter(|holder| holder != id) {
            self.succeed(&former, id);
        }
        if let Some(instance) = &about.instance {
            self.statics.insert(instance.clone(), id.clone());
        }
        if !self.members.contains_key(id) {
            self.count_wishes(&about);
            self.members.insert(id.clone(), Member::new(about));
            self.changes.member(id).about();
            self.bump();
            return;
        }
        self.update(id, about);
    }

    /// A static member is back under a new id, and takes over what the old one was to hold.
    fn succeed(&mut self, former: &MemberId, id: &MemberId) {
        let Some(mut member) = self.members.remove(former) else { return };
        for place in member.holds() {
            self.owners.insert(*place, id.clone());
        }
        (member.epoch, member.previous_epoch) = (0, 0);
        self.members.insert(id.clone(), member);
        self.changes.member(former).all();
        self.changes.member(id).all();
    }

    fn update(&mut self, id: &MemberId, about: About) {
        let Some(member) = self.members.get_mut(id) else { return };
        if member.about == about {
            return;
        }
        let before = std::mem::replace(&mut member.about, about.clone());
        self.changes.member(id).about();
        if (&before.topics, &before.pattern) != (&about.topics, &about.pattern) {
            self.count_wishes(&about);
            self.discount_wishes(&before);
            self.bump();
        } else if before.assignor != about.assignor {
            self.bump();
        }
    }

    /// Everything after a member is known and its wishes are: topics, targets, its next step, its answer.
    fn go_on(&mut self, beat: &Beat, catalog: &dyn Catalog, now_ms: u64) -> BeatAnswer {
        self.look_up_topics(catalog, now_ms);
        self.work_out_targets();
        let joins = beat.intent == Intent::Join;
        let nothing = Places::new();
        let owned = if joins { Some(&nothing) } else { beat.owned.as_ref() };
        let is_changed = self.advance(&beat.member_id, owned, now_ms);
        let says_wishes = beat.topics.is_some() || beat.pattern.is_some();
        let says_more = beat.owned.is_some() && beat.rebalance_timeout_ms.is_some();
        let says_all = says_wishes && (says_more || self.sharing == Sharing::Shared);
        let member = self.members.get(&beat.member_id);
        BeatAnswer {
            member_id: beat.member_id.clone(),
            epoch: member.map_or(LEFT, |member| member.epoch),
            interval_ms: self.settings.managed_heartbeat_interval_ms,
            assignment: member.filter(|_| joins || is_changed || says_all).map(|member| member.assigned.clone()),
        }
    }

    /// The member's next step. Whether what it may work on is another now.
    fn advance(&mut self, id: &MemberId, owned: Option<&Places>, now_ms: u64) -> bool {
        let Some(member) = self.members.get_mut(id) else { return false };
        member.deadline_ms = now_ms + u64::from(self.settings.managed_session_timeout_ms);
        if member.is_reconciled(self.target_epoch) {
            return false;
        }
        let before = (member.epoch, member.progress, member.assigned.clone(), member.revoking.clone());
        match self.sharing {
            Sharing::Shared => member.take_target(self.target_epoch),
            Sharing::Exclusive => {
                let owners = &self.owners;
                member.advance(self.target_epoch, owned, |place| owners.get(place).is_none_or(|owner| owner == id));
                let held: BTreeSet<Place> = member.holds().copied().collect();
                before.2.iter().chain(&before.3).filter(|place| !held.contains(place)).for_each(|place| {
                    self.owners.remove(place);
                });
                self.owners.extend(held.into_iter().map(|place| (place, id.clone())));
            }
        }
        let by_ms = now_ms + u64::from(member.about.rebalance_timeout_ms);
        let revokes = member.progress == Progress::Unrevoked;
        let by_ms = member.revoke_by_ms.filter(|_| before.3 == member.revoking).unwrap_or(by_ms);
        member.revoke_by_ms = revokes.then_some(by_ms);
        let is_changed = before.2 != member.assigned;
        if is_changed || before.0 != member.epoch || before.1 != member.progress || before.3 != member.revoking {
            self.changes.member(id).current();
        }
        is_changed
    }

    fn leave(&mut self, beat: &Beat) -> Result<BeatAnswer, GroupError> {
        self.check_holder(beat)?;
        self.remove(&beat.member_id);
        self.bump();
        Ok(self.farewell(beat, LEFT))
    }

    /// The member's partitions stay its own until its session ends, but it has let go of all that it had to.
    fn step_out(&mut self, beat: &Beat, now_ms: u64) -> Result<BeatAnswer, GroupError> {
        self.check_holder(beat)?;
        let session_ms = u64::from(self.settings.managed_session_timeout_ms);
        if let Some(member) = self.members.get_mut(&beat.member_id) {
            member.previous_epoch = member.epoch;
            member.epoch = AWAY;
            member.progress = Progress::Stable;
            member.deadline_ms = now_ms + session_ms;
            member.revoke_by_ms = None;
            for place in std::mem::take(&mut member.revoking) {
                self.owners.remove(&place);
            }
            self.changes.member(&beat.member_id).current();
        }
        Ok(self.farewell(beat, AWAY))
    }

    fn farewell(&self, beat: &Beat, epoch: i32) -> BeatAnswer {
        let interval_ms = self.settings.managed_heartbeat_interval_ms;
        BeatAnswer { member_id: beat.member_id.clone(), epoch, interval_ms, assignment: None }
    }

    /// Takes a member out, with all that it holds.
    fn remove(&mut self, id: &MemberId) {
        let Some(member) = self.members.remove(id) else { return };
        for place in member.holds() {
            self.owners.remove(place);
        }
        if let Some(instance) = &member.about.instance {
            self.statics.remove(instance);
        }
        self.discount_wishes(&member.about);
        self.changes.member(id).all();
    }

    /// An administrator takes out static members by their instance names, and any by their ids.
    pub fn expel(&mut self, member_id: &str, instance: Option<&InstanceName>) -> Result<(), GroupError> {
        let holder = instance.and_then(|instance| self.statics.get(instance));
        let id = match holder {
            Some(holder) if !member_id.is_empty() && **holder != *member_id => return Err(GroupError::Fenced),
            Some(holder) => holder.clone(),
            None if instance.is_some() => return Err(GroupError::UnknownMember),
            None => self.members.get_key_value(member_id).map(|(id, _)| id.clone()).ok_or(GroupError::UnknownMember)?,
        };
        self.remove(&id);
        self.bump();
        Ok(())
    }

    /// Time has passed: who was silent, or held on to what it was to let go of, for too long is out.
    pub fn tick(&mut self, now_ms: u64) {
        let is_late = |member: &Member| member.deadline_ms <= now_ms || member.revoke_by_ms.is_some_and(|by| by <= now_ms);
        let late: Vec<MemberId> = self.members.iter().filter(|(_, member)| is_late(member)).map(|(id, _)| id.clone()).collect();
        if late.is_empty() {
            return;
        }
        for id in late {
            self.remove(&id);
        }
        self.bump();
    }

    /// The earliest moment at which [`Managed::tick`] would do something.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        self.members.values().map(|member| member.revoke_by_ms.map_or(member.deadline_ms, |by| by.min(member.deadline_ms))).min()
    }

    /// Targets have to be worked out anew, unless they have to be anyway.
    pub(super) fn topics_changed(&mut self) {
        if self.epoch == self.target_epoch {
            self.epoch = self.epoch.saturating_add(1);
        }
        self.changes.group = true;
    }

    pub(super) fn bump(&mut self) {
        // Two billion changes are more than a group sees.
        self.epoch = self.epoch.saturating_add(1);
        self.seen = None;
        self.changes.group = true;
        if self.members.is_empty() {
            // Nobody is left to ask for targets.
            self.target_epoch = self.epoch;
            self.changes.targets = true;
        }
    }
}

fn check_lengths(beat: &Beat) -> Result<(), GroupError> {
    let texts = [Some(&beat.member_id), beat.instance.as_ref(), beat.rack.as_ref(), Some(&beat.client_id)];
    if texts.into_iter().flatten().any(|text| text.len() > TEXT_BYTES_MAX) { Err(GroupError::TooLong) } else { Ok(()) }
}

fn checked_topics(topics: &[TopicName]) -> Result<Arc<[TopicName]>, GroupError> {
    let bytes: usize = topics.iter().map(|name| name.as_bytes().len()).sum();
    if topics.len() > TOPICS_MAX || bytes > NAMES_BYTES_MAX {
        return Err(GroupError::TooLong);
    }
    Ok(topics.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect())
}
