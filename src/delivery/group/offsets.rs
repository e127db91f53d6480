//! How far each group has come in each partition: the committed offsets, in memory.
//!
//! What is here is in the journal too, or about to be: every group remembers the position that its latest change has
//! there, and nobody may be told of the change before that is durable.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::delivery::Meter;
use crate::log::{Barrier, TopicId, TopicName};

/// Where an offset is committed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OffsetKey {
    /// The topic's name.
    pub topic: TopicName,
    /// The partition's index.
    pub partition: u32,
}

/// How far a group has come in one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The next record to read.
    pub offset: u64,
    /// As the client gave it, -1 if it did not.
    pub leader_epoch: i32,
    /// Whatever the client wants to remember.
    pub metadata: Arc<str>,
    /// Wall clock, milliseconds since 1970.
    pub committed_at_ms: i64,
    /// Which incarnation of the topic this is about; a topic that is made anew starts without offsets.
    pub topic_id: TopicId,
}

/// The offsets of one group.
#[derive(Debug)]
pub(super) struct GroupOffsets {
    pub(super) by_key: BTreeMap<OffsetKey, Committed>,
    /// What it has passed of each topic since the start.
    passed: BTreeMap<TopicName, Meter>,
    pub(super) barrier: Barrier,
}

impl GroupOffsets {
    /// What it has committed in the partitions of a topic.
    fn of_topic(&self, topic: &TopicName) -> impl Iterator<Item = (&OffsetKey, &Committed)> {
        let [first, last] = [0, u32::MAX].map(|partition| OffsetKey { topic: topic.clone(), partition });
        self.by_key.range(first..=last)
    }
}

/// The offsets of all groups.
#[derive(Debug, Default)]
pub(super) struct OffsetTable {
    groups: HashMap<Arc<str>, GroupOffsets>,
}

impl OffsetTable {
    pub(super) fn put(&mut self, group: &Arc<str>, key: OffsetKey, committed: Committed) {
        let empty = || GroupOffsets { by_key: BTreeMap::new(), passed: BTreeMap::new(), barrier: Barrier::NONE };
        let offsets = self.groups.entry(group.clone()).or_insert_with(empty);
        // From where it began is not known with its first offset, and it passes nothing by going back.
        if let Some(before) = offsets.by_key.get(&key)
            && before.topic_id == committed.topic_id
            && before.offset < committed.offset
        {
            let passed = offsets.passed.entry(key.topic.clone()).or_default();
            passed.add(committed.offset - before.offset, committed.committed_at_ms);
        }
        offsets.by_key.insert(key, committed);
    }

    pub(super) fn remove(&mut self, group: &str, key: &OffsetKey) {
        if let Some(offsets) = self.groups.get_mut(group) {
            offsets.by_key.remove(key);
            if offsets.of_topic(&key.topic).next().is_none() {
                offsets.passed.remove(&key.topic);
            }
        }
    }

    /// What a group has passed of a topic since the start, by what it committed.
    pub(super) fn passed(&self, group: &str, topic: &TopicName) -> Meter {
        self.groups.get(group).and_then(|offsets| offsets.passed.get(topic)).copied().unwrap_or_default()
    }

    /// The group's latest change has this position in the journal.
    pub(super) fn changed_at(&mut self, group: &str, barrier: Barrier) {
        if let Some(offsets) = self.groups.get_mut(group) {
            offsets.barrier = offsets.barrier.and(barrier);
        }
    }

    pub(super) fn forget(&mut self, group: &str) {
        self.groups.remove(group);
    }

    pub(super) fn group(&self, group: &str) -> Option<&GroupOffsets> {
        self.groups.get(group)
    }

    pub(super) fn keys(&self, group: &str) -> Vec<OffsetKey> {
        self.groups.get(group).map(|offsets| offsets.by_key.keys().cloned().collect()).unwrap_or_default()
    }

    pub(super) fn entries(&self, group: &str) -> Vec<(OffsetKey, Committed)> {
        let all = |offsets: &GroupOffsets| offsets.by_key.iter().map(|(key, c)| (key.clone(), c.clone())).collect();
        self.groups.get(group).map(all).unwrap_or_default()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &OffsetKey, &Committed)> {
        self.groups.iter().flat_map(|(name, offsets)| offsets.by_key.iter().map(move |(key, c)| (name, key, c)))
    }

    /// What every group has committed in the partitions of a topic.
    pub(super) fn of_topic(&self, topic: &TopicName) -> impl Iterator<Item = (&Arc<str>, &OffsetKey, &Committed)> {
        self.groups
            .iter()
            .flat_map(move |(name, offsets)| offsets.of_topic(topic).map(move |(key, committed)| (name, key, committed)))
    }

    /// The lowest offset that any group has committed in this partition. What was committed in a topic of that name that is
    /// gone counts too until it is swept out: it can only hold more.
    pub(super) fn floor(&self, key: &OffsetKey) -> Option<u64> {
        let of_key = self.groups.values().filter_map(|offsets| offsets.by_key.get(key));
        of_key.map(|c| c.offset).min()
    }
}
