//! All groups by name, the requests that wait in them, and when each group has to be looked at next.
//!
//! Every call leaves with the answers given and the alarms set; time comes in from outside.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tokio::sync::oneshot;

use super::group_record::KeptGroup;
use super::machine::Group;
use super::managed::{Beat, BeatAnswer, Catalog, Intent, KeptParts, Managed, Sharing};
use super::membership::Membership;
use super::request::{Join, Joined, Reply, Step, Sync, Synced, Ticket};
use super::{GroupError, GroupSettings};
use crate::log::Barrier;

pub(super) type Answer<T> = oneshot::Receiver<Result<T, GroupError>>;
type Waiting<T> = HashMap<Ticket, oneshot::Sender<Result<T, GroupError>>>;

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) group: Membership,
    /// It was of another kind when it was last kept.
    pub(super) switched: bool,
    /// Where the journal has what was last kept of a managed group: nobody hears of it before that is durable.
    pub(super) kept: Barrier,
    /// When the group is due in [`GroupTable::alarms`].
    alarm_ms: Option<u64>,
    /// Since when nobody uses it, on the clock of steps. Meaningful while the group is idle.
    pub(super) idle_since_ms: u64,
    was_idle: bool,
}

impl Entry {
    fn new(group: Membership, idle_since_ms: u64) -> Self {
        let was_idle = group.is_idle();
        Self { group, switched: false, kept: Barrier::NONE, alarm_ms: None, idle_since_ms, was_idle }
    }
}

#[derive(Debug)]
pub(super) struct GroupTable {
    settings: Arc<GroupSettings>,
    groups: HashMap<Arc<str>, Entry>,
    joins: Waiting<Joined>,
    syncs: Waiting<Synced>,
    alarms: BTreeSet<(u64, Arc<str>)>,
    tickets: u64,
    /// Groups that changed in a way that has to outlive a restart.
    unsaved: Vec<Arc<str>>,
}

impl GroupTable {
    pub(super) fn new(settings: Arc<GroupSettings>) -> Self {
        Self {
            settings,
            groups: HashMap::new(),
            joins: HashMap::new(),
            syncs: HashMap::new(),
            alarms: BTreeSet::new(),
            tickets: 0,
            unsaved: Vec::new(),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Entry> {
        self.groups.get(name)
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Entry> {
        self.groups.get_mut(name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Entry)> {
        self.groups.iter()
    }

    /// The group of this name, made if there is none and there may be one more.
    pub(super) fn ensure(&mut self, name: &Arc<str>, now_ms: u64) -> Result<&mut Entry, GroupError> {
        if !self.groups.contains_key(name) && self.groups.len() >= self.settings.groups_max {
            return Err(GroupError::TooManyGroups);
        }
        Ok(self.insert(name, now_ms))
    }

    /// The journal knows an offset of this group: the group was in use then.
    pub(super) fn committed_at(&mut self, name: &Arc<str>, at_ms: i64, now_ms: u64) {
        let at_ms = u64::try_from(at_ms).unwrap_or(0).min(now_ms);
        let entry = self.insert(name, at_ms);
        entry.idle_since_ms = entry.idle_since_ms.max(at_ms);
    }

    fn insert(&mut self, name: &Arc<str>, now_ms: u64) -> &mut Entry {
        let settings = &self.settings;
        let empty = || Entry::new(Membership::Led(Group::new(settings.clone())), now_ms);
        self.groups.entry(name.clone()).or_insert_with(empty)
    }

    pub(super) fn remove(&mut self, name: &Arc<str>) {
        if let Some(at) = self.groups.remove(name).and_then(|entry| entry.alarm_ms) {
            self.alarms.remove(&(at, name.clone()));
        }
    }

    /// Puts a group back as it was kept.
    pub(super) fn restore(&mut self, name: &Arc<str>, kept: KeptGroup, now_ms: u64) {
        let idle_since_ms = u64::try_from(kept.since_ms).unwrap_or(0).min(now_ms);
        let group = Group::restore(kept, self.settings.clone(), now_ms);
        self.put_back(name, Membership::Led(group), idle_since_ms, now_ms);
    }

    /// Puts a managed group back as it was kept. Nothing says how long it has been idle, so that counts from now on.
    pub(super) fn restore_managed(&mut self, name: &Arc<str>, kept: KeptParts, now_ms: u64) {
        let group = Managed::restore(kept, self.settings.clone(), now_ms);
        self.put_back(name, Membership::Managed(group), now_ms, now_ms);
    }

    fn put_back(&mut self, name: &Arc<str>, group: Membership, idle_since_ms: u64, now_ms: u64) {
        let idle_since_ms = self.groups.get(name).map_or(idle_since_ms, |entry| entry.idle_since_ms.max(idle_since_ms));
        self.remove(name);
        self.groups.insert(name.clone(), Entry::new(group, idle_since_ms));
        self.set_alarm(name, now_ms);
    }

    /// A member of a managed group. Only a join makes a group.
    pub(super) fn beat(
        &mut self,
        name: &Arc<str>,
        sharing: Sharing,
        beat: &Beat,
        catalog: &dyn Catalog,
        now_ms: u64,
    ) -> Result<BeatAnswer, GroupError> {
        let joins = beat.intent == Intent::Join;
        let known = self.groups.contains_key(name);
        if !known && !joins {
            return Err(GroupError::UnknownMember);
        }
        let settings = self.settings.clone();
        let entry = self.ensure(name, now_ms)?;
        let kind = entry.group.kind();
        if joins && !entry.group.become_managed(&settings, sharing) {
            return Err(GroupError::NotFound);
        }
        entry.switched |= known && kind != entry.group.kind();
        let answer = match &mut entry.group {
            Membership::Managed(group) if group.sharing() == sharing => group.beat(beat, catalog, now_ms),
            Membership::Managed(_) | Membership::Led(_) => Err(GroupError::UnknownMember),
        };
        self.finish(name, Step::at(now_ms));
        self.drop_unmade(name, known);
        answer
    }

    /// A group that was made for a request that came to nothing goes with it.
    fn drop_unmade(&mut self, name: &Arc<str>, known: bool) {
        if !known && self.groups.get(name).is_some_and(|entry| entry.group.is_idle()) {
            self.remove(name);
        }
    }

    /// Only a join without a member id makes a group.
    pub(super) fn join(&mut self, name: &Arc<str>, join: &Join, now_ms: u64) -> Result<Answer<Joined>, GroupError> {
        let known = self.groups.contains_key(name);
        if !known && !join.member_id.is_empty() {
            return Err(GroupError::UnknownMember);
        }
        let ticket = self.next_ticket();
        let mut step = Step::at(now_ms);
        let settings = self.settings.clone();
        let entry = self.ensure(name, now_ms)?;
        let kind = entry.group.kind();
        if !entry.group.become_led(&settings) {
            return Err(GroupError::Mismatch);
        }
        entry.switched |= known && kind != entry.group.kind();
        entry.group.led_mut().ok_or(GroupError::Mismatch)?.join(join, ticket, &mut step);
        let (sender, answer) = oneshot::channel();
        self.joins.insert(ticket, sender);
        self.finish(name, step);
        self.drop_unmade(name, known);
        Ok(answer)
    }

    pub(super) fn sync(&mut self, name: &Arc<str>, sync: &Sync, now_ms: u64) -> Result<Answer<Synced>, GroupError> {
        let ticket = self.next_ticket();
        let entry = self.groups.get_mut(name).ok_or(GroupError::UnknownMember)?;
        let mut step = Step::at(now_ms);
        entry.group.led_mut().ok_or(GroupError::UnknownMember)?.sync(sync, ticket, &mut step);
        let (sender, answer) = oneshot::channel();
        self.syncs.insert(ticket, sender);
        self.finish(name, step);
        Ok(answer)
    }

    /// Any other call into a group that may give answers to others.
    pub(super) fn step<T>(
        &mut self,
        name: &Arc<str>,
        now_ms: u64,
        call: impl FnOnce(&mut Membership, &mut Step) -> T,
    ) -> Option<T> {
        let entry = self.groups.get_mut(name)?;
        let mut step = Step::at(now_ms);
        let result = call(&mut entry.group, &mut step);
        self.finish(name, step);
        Some(result)
    }

    /// Looks at every group whose time has come.
    pub(super) fn tick(&mut self, now_ms: u64) {
        while let Some((_, name)) = self.alarms.first().filter(|(at, _)| *at <= now_ms).cloned() {
            self.step(&name, now_ms, Membership::tick);
        }
    }

    pub(super) fn next_alarm_ms(&self) -> Option<u64> {
        self.alarms.first().map(|(at, _)| *at)
    }

    pub(super) fn take_unsaved(&mut self) -> Vec<Arc<str>> {
        std::mem::take(&mut self.unsaved)
    }

    fn next_ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// Gives the answers to those who wait. Who has gone meanwhile does not hear his.
    fn finish(&mut self, name: &Arc<str>, step: Step) {
        for reply in step.replies {
            match reply {
                Reply::Join(ticket, answer) => answer_to(&mut self.joins, ticket, answer),
                Reply::Sync(ticket, answer) => answer_to(&mut self.syncs, ticket, answer),
            }
        }
        if self.groups.get_mut(name).is_some_and(|entry| entry.group.take_changed()) {
            self.unsaved.push(name.clone());
        }
        self.set_alarm(name, step.now_ms);
    }

    fn set_alarm(&mut self, name: &Arc<str>, now_ms: u64) {
        let Some(entry) = self.groups.get_mut(name) else { return };
        let is_idle = entry.group.is_idle();
        if !is_idle || !entry.was_idle {
            // Also at the moment at which it becomes idle.
            entry.idle_since_ms = now_ms;
        }
        entry.was_idle = is_idle;
        let next = entry.group.next_deadline_ms();
        if next == entry.alarm_ms {
            return;
        }
        if let Some(at) = std::mem::replace(&mut entry.alarm_ms, next) {
            self.alarms.remove(&(at, name.clone()));
        }
        if let Some(at) = next {
            self.alarms.insert((at, name.clone()));
        }
    }
}

fn answer_to<T>(waiting: &mut Waiting<T>, ticket: Ticket, answer: Result<T, GroupError>) {
    if let Some(sender) = waiting.remove(&ticket) {
        let _gone = sender.send(answer);
    }
}

#[cfg(test)]
mod tests {
    use super::super::scenarios::{ask, caller};
    use super::*;

    fn table() -> GroupTable {
        let settings = GroupSettings { initial_rebalance_delay_ms: 10, groups_max: 2, ..GroupSettings::default() };
        GroupTable::new(Arc::new(settings))
    }

    fn lead(table: &mut GroupTable, name: &Arc<str>, member: &str) {
        let mut joined = table.join(name, &ask("", member), 0).unwrap();
        table.tick(10);
        table.tick(20);
        assert!(joined.try_recv().unwrap().is_ok());
        let work = vec![(Arc::from(member), "work".into())];
        let sync = Sync { caller: caller(member, 1), kind: None, strategy: None, assignments: work };
        let mut synced = table.sync(name, &sync, 20).unwrap();
        assert_eq!(synced.try_recv().unwrap().unwrap().assignment, "work");
    }

    #[test]
    fn a_wait_ends_when_the_alarm_goes_off() {
        let (mut table, name) = (table(), Arc::from("g"));
        let mut answer = table.join(&name, &ask("", "a"), 0).unwrap();
        assert!(answer.try_recv().is_err());
        assert_eq!(table.next_alarm_ms(), Some(10));
        table.tick(9);
        assert!(answer.try_recv().is_err());
        table.tick(10);
        assert_eq!(&*answer.try_recv().unwrap().unwrap().member_id, "a");
    }

    #[test]
    fn a_client_that_went_away_holds_up_nobody() {
        let (mut table, name) = (table(), Arc::from("g"));
        drop(table.join(&name, &ask("", "a"), 0).unwrap());
        let mut other = table.join(&name, &ask("", "b"), 0).unwrap();
        table.tick(10);
        table.tick(20);
        assert!(other.try_recv().unwrap().is_ok());
    }

    #[test]
    fn a_refused_join_leaves_no_group_behind() {
        let (mut table, name) = (table(), Arc::from("g"));
        let mut answer = table.join(&name, &Join { kind: "".into(), ..ask("", "a") }, 0).unwrap();
        assert_eq!(answer.try_recv().unwrap(), Err(GroupError::Mismatch));
        assert!(table.get("g").is_none());
        assert_eq!(table.join(&name, &ask("a", ""), 0).unwrap_err(), GroupError::UnknownMember);
    }

    #[test]
    fn there_are_only_so_many_groups() {
        let mut table = table();
        for name in ["a", "b"] {
            table.join(&Arc::from(name), &ask("", "m"), 0).unwrap();
        }
        assert_eq!(table.join(&Arc::from("c"), &ask("", "m"), 0).unwrap_err(), GroupError::TooManyGroups);
    }

    #[test]
    fn members_go_on_after_a_restart() {
        let (mut before, name) = (table(), Arc::from("g"));
        lead(&mut before, &name, "a");
        assert_eq!(before.take_unsaved(), [Arc::clone(&name)]);
        let kept = before.get("g").unwrap().group.led().unwrap().keep(20);

        let mut after = table();
        after.restore(&name, kept, 1_000);
        let member = caller("a", 1);
        assert_eq!(after.get_mut("g").unwrap().group.led_mut().unwrap().heartbeat(&member, 2_000), Ok(()));
        let sync = Sync { caller: member, kind: None, strategy: None, assignments: Vec::new() };
        let mut synced = after.sync(&name, &sync, 2_000).unwrap();
        assert_eq!(synced.try_recv().unwrap().unwrap().assignment, "work");
    }

    #[test]
    fn who_does_not_show_after_a_restart_is_gone() {
        let (mut before, name) = (table(), Arc::from("g"));
        lead(&mut before, &name, "a");
        let mut after = table();
        after.restore(&name, before.get("g").unwrap().group.led().unwrap().keep(20), 1_000);
        after.tick(11_000);
        assert!(after.get("g").unwrap().group.is_idle());
        assert_eq!(after.get("g").unwrap().idle_since_ms, 11_000);
        assert_eq!(after.get("g").unwrap().group.epoch(), 2);
    }
}
