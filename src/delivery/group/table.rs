//! All groups by name, the requests that wait in them, and when each group has to be looked at next.
//!
//! Every call leaves with the answers given and the alarms set; time comes in from outside.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tokio::sync::oneshot;

use super::machine::Group;
use super::request::{Join, Joined, Reply, Step, Sync, Synced, Ticket};
use super::{GroupError, GroupSettings};

pub(super) type Answer<T> = oneshot::Receiver<Result<T, GroupError>>;
type Waiting<T> = HashMap<Ticket, oneshot::Sender<Result<T, GroupError>>>;

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) group: Group,
    /// When the group is due in [`GroupTable::alarms`].
    alarm_ms: Option<u64>,
    /// Since when nobody uses it, on the clock of steps. Meaningful while the group is idle.
    pub(super) idle_since_ms: u64,
    was_idle: bool,
}

#[derive(Debug)]
pub(super) struct GroupTable {
    settings: Arc<GroupSettings>,
    groups: HashMap<Arc<str>, Entry>,
    joins: Waiting<Joined>,
    syncs: Waiting<Synced>,
    alarms: BTreeSet<(u64, Arc<str>)>,
    tickets: u64,
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

    /// As [`GroupTable::ensure`], past the limit: for groups that the journal knows.
    pub(super) fn insert(&mut self, name: &Arc<str>, now_ms: u64) -> &mut Entry {
        let settings = &self.settings;
        let empty = || Entry { group: Group::new(settings.clone()), alarm_ms: None, idle_since_ms: now_ms, was_idle: true };
        self.groups.entry(name.clone()).or_insert_with(empty)
    }

    pub(super) fn remove(&mut self, name: &Arc<str>) {
        if let Some(at) = self.groups.remove(name).and_then(|entry| entry.alarm_ms) {
            self.alarms.remove(&(at, name.clone()));
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
        self.ensure(name, now_ms)?.group.join(join, ticket, &mut step);
        let (sender, answer) = oneshot::channel();
        self.joins.insert(ticket, sender);
        self.finish(name, step);
        if !known && self.groups.get(name).is_some_and(|entry| entry.group.is_idle()) {
            self.remove(name);
        }
        Ok(answer)
    }

    pub(super) fn sync(&mut self, name: &Arc<str>, sync: &Sync, now_ms: u64) -> Result<Answer<Synced>, GroupError> {
        let ticket = self.next_ticket();
        let entry = self.groups.get_mut(name).ok_or(GroupError::UnknownMember)?;
        let mut step = Step::at(now_ms);
        entry.group.sync(sync, ticket, &mut step);
        let (sender, answer) = oneshot::channel();
        self.syncs.insert(ticket, sender);
        self.finish(name, step);
        Ok(answer)
    }

    /// Any other call into a group that may give answers to others.
    pub(super) fn step<T>(&mut self, name: &Arc<str>, now_ms: u64, call: impl FnOnce(&mut Group, &mut Step) -> T) -> Option<T> {
        let entry = self.groups.get_mut(name)?;
        let mut step = Step::at(now_ms);
        let result = call(&mut entry.group, &mut step);
        self.finish(name, step);
        Some(result)
    }

    /// Looks at every group whose time has come.
    pub(super) fn tick(&mut self, now_ms: u64) {
        while let Some((_, name)) = self.alarms.first().filter(|(at, _)| *at <= now_ms).cloned() {
            self.step(&name, now_ms, Group::tick);
        }
    }

    pub(super) fn next_alarm_ms(&self) -> Option<u64> {
        self.alarms.first().map(|(at, _)| *at)
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
        self.set_alarm(name, step.now_ms);
    }

    fn set_alarm(&mut self, name: &Arc<str>, now_ms: u64) {
        let Some(entry) = self.groups.get_mut(name) else { return };
        let is_idle = entry.group.is_idle();
        if !is_idle || !entry.was_idle {
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
