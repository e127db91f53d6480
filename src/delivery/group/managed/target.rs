//! What is wanted, which topics that is, and who is to hold what of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::assign::{Applicant, Assignor, Subject};
use super::catalog::Catalog;
use super::machine::{Managed, Sharing};
use super::member::{About, Member};
use super::pattern::Pattern;
use crate::delivery::group::GroupError;
use crate::delivery::group::request::MemberId;
use crate::log::{TopicId, TopicName};

/// Partitions that one group may share out. Topics beyond, in the order of their names, are left out.
const PLACES_MAX: u32 = 200_000;

impl Managed {
    pub(super) fn count_wishes(&mut self, about: &About) {
        for topic in about.topics.iter() {
            *self.named.entry(topic.clone()).or_default() += 1;
        }
        // It is known since the member named it; after a restart it is learnt here.
        if self.learn_pattern(about).is_err() {
            return;
        }
        if let Some(pattern) = about.pattern.as_ref().and_then(|text| self.patterns.get_mut(text)) {
            pattern.users += 1;
        }
    }

    /// Compiles the pattern of a member unless it is known. Compiling is costly; whoever calls this counts its user next.
    pub(super) fn learn_pattern(&mut self, about: &About) -> Result<(), GroupError> {
        if let Some(text) = about.pattern.as_ref().filter(|text| !self.patterns.contains_key(*text)) {
            self.patterns.insert(Arc::clone(text), Pattern::new(text)?);
        }
        Ok(())
    }

    pub(super) fn discount_wishes(&mut self, about: &About) {
        for topic in about.topics.iter() {
            if let Some(count) = self.named.get_mut(topic) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.named.remove(topic);
                }
            }
        }
        let Some(text) = &about.pattern else { return };
        if let Some(pattern) = self.patterns.get_mut(text) {
            pattern.users = pattern.users.saturating_sub(1);
            if pattern.users == 0 {
                self.patterns.remove(text);
            }
        }
    }

    /// Sees whether the topics that are wanted are still what they were. Patterns are costly, and looked for less often.
    pub(super) fn look_up_topics(&mut self, catalog: &dyn Catalog, now_ms: u64) {
        let version = catalog.version();
        if self.seen == Some(version) {
            return;
        }
        let is_due = self.patterns_due_ms <= now_ms;
        if is_due && !self.patterns.is_empty() {
            self.patterns_due_ms = now_ms + self.settings.pattern_refresh_interval_ms;
        }
        for pattern in self.patterns.values_mut().filter(|pattern| is_due || pattern.topics.is_none()) {
            pattern.resolve(catalog);
        }
        if is_due || self.patterns.is_empty() {
            self.seen = Some(version);
        }
        let topics = self.known_topics(catalog);
        let hash = hash(&topics);
        self.topics = topics;
        if hash != self.topics_hash {
            self.topics_hash = hash;
            self.topics_changed();
        }
    }

    fn known_topics(&self, catalog: &dyn Catalog) -> BTreeMap<TopicName, (TopicId, u32)> {
        let mut places = 0_u32;
        let mut topics = BTreeMap::new();
        for name in self.wanted_topics() {
            let Some((id, partitions)) = catalog.find(&name) else { continue };
            places = places.saturating_add(partitions);
            if places > PLACES_MAX {
                tracing::warn!(from = %name, "a group wants more partitions than it may have: topics from here on are left out");
                break;
            }
            topics.insert(name, (id, partitions));
        }
        topics
    }

    /// Every topic that any member wants, whether it exists or not.
    pub fn wanted_topics(&self) -> BTreeSet<TopicName> {
        let found = self.patterns.values().flat_map(|pattern| pattern.topics.iter().flat_map(|topics| topics.iter()));
        self.named.keys().chain(found).cloned().collect()
    }

    /// Works out what every member is to hold, if anything changed since that was last done.
    pub(super) fn work_out_targets(&mut self) {
        if self.target_epoch == self.epoch {
            return;
        }
        let index: HashMap<&TopicName, usize> = self.topics.keys().enumerate().map(|(at, name)| (name, at)).collect();
        let subjects: Vec<Subject> =
            self.topics.values().map(|(id, partitions)| Subject { id: *id, partitions: *partitions }).collect();
        let ids = self.lasting_order();
        let members = ids.iter().filter_map(|id| self.members.get(id));
        let applicants: Vec<Applicant<'_>> =
            members.map(|member| Applicant { wants: self.wishes(&member.about, &index), held: &member.target }).collect();
        let targets = self.assignor().assign(&subjects, &applicants);
        for (id, target) in ids.into_iter().zip(targets) {
            let Some(member) = self.members.get_mut(&id) else { continue };
            if member.target != target {
                member.target = target;
                self.changes.member(&id).target();
            }
        }
        self.target_epoch = self.epoch;
        self.changes.targets = true;
    }

    fn wishes(&self, about: &About, index: &HashMap<&TopicName, usize>) -> Vec<usize> {
        let found = about.pattern.as_ref().and_then(|text| self.patterns.get(text)).and_then(|pattern| pattern.topics.as_ref());
        let found = found.into_iter().flat_map(|topics| topics.iter());
        let all: BTreeSet<usize> = about.topics.iter().chain(found).filter_map(|name| index.get(name).copied()).collect();
        all.into_iter().collect()
    }

    /// Members by instance name, or by id where they have none: static members stay in their order.
    fn lasting_order(&self) -> Vec<MemberId> {
        let mut ids: Vec<(&Arc<str>, &MemberId)> =
            self.members.iter().map(|(id, member)| (member.about.instance.as_ref().unwrap_or(id), id)).collect();
        ids.sort_unstable();
        ids.into_iter().map(|(_, id)| id.clone()).collect()
    }

    /// The assignor that most members ask for.
    pub fn assignor(&self) -> Assignor {
        if self.sharing == Sharing::Shared {
            return Assignor::Spread;
        }
        let mut votes: BTreeMap<Assignor, usize> = BTreeMap::new();
        for assignor in self.members.values().filter_map(|member: &Member| member.about.assignor) {
            *votes.entry(assignor).or_default() += 1;
        }
        votes.into_iter().rev().max_by_key(|(_, count)| *count).map_or(Assignor::Uniform, |(assignor, _)| assignor)
    }
}

/// Tells two sets of topics apart, over restarts too.
fn hash(topics: &BTreeMap<TopicName, (TopicId, u32)>) -> u64 {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc64Nvme);
    for (name, (id, partitions)) in topics {
        digest.update(&u64::try_from(name.as_bytes().len()).unwrap_or(0).to_be_bytes());
        digest.update(name.as_bytes());
        digest.update(&id.0.to_be_bytes());
        digest.update(&partitions.to_be_bytes());
    }
    digest.finalize()
}
