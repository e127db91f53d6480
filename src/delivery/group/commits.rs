//! Committing offsets and reading them back. A commit is one atomic entry in the journal; its answer is gated by the entry's
//! position there, and so is every answer that shows what it committed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::groups::{Groups, check_name};
use super::offsets::{Committed, OffsetKey, OffsetTable};
use super::request::Caller;
use super::{GroupError, State};
use crate::delivery::Meter;
use crate::log::{Barrier, TopicId, TopicName};

/// One offset to commit.
#[derive(Debug, Clone)]
pub struct NewOffset {
    /// Where.
    pub key: OffsetKey,
    /// The next record to read.
    pub offset: u64,
    /// As the client gives it, -1 if it does not.
    pub leader_epoch: i32,
    /// Whatever the client wants to remember.
    pub metadata: Arc<str>,
}

/// Why one offset of several was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OffsetError {
    /// There is no such topic or partition.
    #[error("there is no such topic or partition")]
    UnknownPartition,
    /// The metadata is longer than configured.
    #[error("the metadata is too long")]
    MetadataTooLarge,
    /// The group has members that want this topic.
    #[error("the group still wants this topic")]
    InUse,
}

/// An answer for each of several offsets, in order, and when it may be told.
#[derive(Debug)]
pub struct OffsetAnswers {
    /// One an offset.
    pub results: Vec<Result<(), OffsetError>>,
    /// Nothing of this may leave the process before this position is durable.
    pub barrier: Barrier,
}

impl Groups {
    /// Commits offsets, as a member or (empty member id, negative epoch) for a group without members.
    ///
    /// # Errors
    /// As the group answers, see [`super::Group::check_commit`]; [`GroupError::StaleEpoch`] from a member of a group that
    /// does not exist; [`GroupError::Unavailable`] if the log takes no more.
    pub fn commit(&self, group: &Arc<str>, caller: &Caller, offsets: Vec<NewOffset>) -> Result<OffsetAnswers, GroupError> {
        check_name(group)?;
        let now_ms = self.now_ms();
        let mut table = self.shared.table.lock();
        if table.get(group).is_none() && caller.epoch >= 0 {
            return Err(GroupError::StaleEpoch);
        }
        let entry = table.ensure(group, now_ms)?;
        entry.group.check_commit(caller, now_ms)?;
        if entry.group.is_idle() {
            entry.idle_since_ms = now_ms;
        }
        let mut results = Vec::with_capacity(offsets.len());
        let mut accepted = Vec::with_capacity(offsets.len());
        let committed_at_ms = wall_clock_ms();
        for offset in offsets {
            results.push(self.accept(&offset).map(|topic_id| {
                let NewOffset { key, offset, leader_epoch, metadata } = offset;
                accepted.push((key, Some(Committed { offset, leader_epoch, metadata, committed_at_ms, topic_id })));
            }));
        }
        let barrier = self.write(group, accepted)?;
        Ok(OffsetAnswers { results, barrier })
    }

    /// Whether this sender may be shown what is committed. Members of managed groups have to be in their current epoch.
    ///
    /// # Errors
    /// [`GroupError::UnknownMember`], [`GroupError::StaleMember`].
    pub fn check_fetch(&self, group: &str, caller: &Caller) -> Result<(), GroupError> {
        let table = self.shared.table.lock();
        table.get(group).and_then(|entry| entry.group.managed()).map_or(Ok(()), |managed| managed.check_fetch(caller))
    }

    pub(super) fn accept(&self, offset: &NewOffset) -> Result<TopicId, OffsetError> {
        if offset.metadata.len() > self.shared.settings.offset_metadata_bytes_max {
            return Err(OffsetError::MetadataTooLarge);
        }
        self.topic_id(&offset.key).ok_or(OffsetError::UnknownPartition)
    }

    pub(super) fn topic_id(&self, key: &OffsetKey) -> Option<TopicId> {
        let topic = self.shared.delivery.log().topic(&key.topic)?;
        (key.partition < topic.partition_count()).then(|| topic.id())
    }

    /// What the group has committed for each key, in order, and when that may be told. Offsets of a topic that was deleted
    /// are gone, even if a topic of that name was made again.
    pub fn committed(&self, group: &str, keys: &[OffsetKey]) -> (Vec<Option<Committed>>, Barrier) {
        let ids: Vec<_> = keys.iter().map(|key| self.topic_id(key)).collect();
        let offsets = self.shared.offsets.read();
        let Some(of_group) = offsets.group(group) else { return (vec![None; keys.len()], Barrier::NONE) };
        let found = keys.iter().zip(ids).map(|(key, id)| of_group.by_key.get(key).filter(|c| Some(c.topic_id) == id).cloned());
        (found.collect(), of_group.barrier)
    }

    /// Everything that the group has committed, by topic and partition, and when that may be told.
    pub fn all_committed(&self, group: &str) -> (Vec<(OffsetKey, Committed)>, Barrier) {
        let keys = self.shared.offsets.read().keys(group);
        let (found, barrier) = self.committed(group, &keys);
        (keys.into_iter().zip(found).filter_map(|(key, c)| Some((key, c?))).collect(), barrier)
    }

    /// Forgets offsets, but not of topics that a member wants (KIP-496). The answer to each, in order.
    ///
    /// # Errors
    /// [`GroupError::NotFound`]; [`GroupError::NotEmpty`] if the members do not say which topics they want.
    pub fn delete_offsets(&self, group: &Arc<str>, keys: &[OffsetKey]) -> Result<OffsetAnswers, GroupError> {
        check_name(group)?;
        let table = self.shared.table.lock();
        let wanted = table.get(group).ok_or(GroupError::NotFound)?.group.wanted_topics().ok_or(GroupError::NotEmpty)?;
        let results: Vec<_> = keys
            .iter()
            .map(|key| match () {
                () if self.topic_id(key).is_none() => Err(OffsetError::UnknownPartition),
                () if wanted.contains(&key.topic) => Err(OffsetError::InUse),
                () => Ok(()),
            })
            .collect();
        let offsets = self.shared.offsets.read();
        let held = |key: &OffsetKey| offsets.group(group).is_some_and(|o| o.by_key.contains_key(key));
        let changes: Vec<_> =
            keys.iter().zip(&results).filter(|(k, r)| r.is_ok() && held(k)).map(|(k, _)| (k.clone(), None)).collect();
        drop(offsets);
        let barrier = self.write(group, changes)?;
        Ok(OffsetAnswers { results, barrier })
    }

    /// Forgets a group that has no members, with its offsets.
    ///
    /// # Errors
    /// [`GroupError::NotFound`], [`GroupError::NotEmpty`], [`GroupError::Unavailable`].
    pub fn delete(&self, group: &Arc<str>) -> Result<Barrier, GroupError> {
        check_name(group)?;
        let mut table = self.shared.table.lock();
        let entry = table.get(group).ok_or(GroupError::NotFound)?;
        if entry.group.state() != State::Empty {
            return Err(GroupError::NotEmpty);
        }
        let keys = self.shared.offsets.read().keys(group);
        self.forget(&mut table, group, keys)
    }

    /// How far every group is behind, by group, topic and partition.
    pub fn snapshot(&self) -> Vec<GroupLag> {
        self.lags(|offsets| offsets.iter().map(owned).collect())
    }

    /// How far every group is behind in the partitions of a topic.
    pub fn snapshot_of(&self, topic: &TopicName) -> Vec<GroupLag> {
        self.lags(|offsets| offsets.of_topic(topic).map(owned).collect())
    }

    /// How many members a group has, and what it has passed of a topic since the start, by what it committed.
    pub fn activity(&self, group: &str, topic: &TopicName) -> (u32, Meter) {
        let members = self.shared.table.lock().get(group).map_or(0, |entry| entry.group.member_count());
        (u32::try_from(members).unwrap_or(u32::MAX), self.shared.offsets.read().passed(group, topic))
    }

    fn lags(&self, select: impl FnOnce(&OffsetTable) -> Vec<OwnedOffset>) -> Vec<GroupLag> {
        let mut ends = BTreeMap::new();
        let all = select(&self.shared.offsets.read());
        let mut lags = Vec::with_capacity(all.len());
        for (group, key, committed, topic_id) in all {
            let end = *ends.entry(key.clone()).or_insert_with(|| self.end_of(&key, topic_id));
            lags.extend(end.map(|end| GroupLag { group, key, committed, lag: end.saturating_sub(committed) }));
        }
        lags
    }

    fn end_of(&self, key: &OffsetKey, topic_id: TopicId) -> Option<u64> {
        let topic = self.shared.delivery.log().topic(&key.topic).filter(|t| t.id() == topic_id)?;
        Some(topic.partition(key.partition)?.bounds().durable)
    }
}

/// A group, a key, the committed offset, and the topic that it was committed in.
type OwnedOffset = (Arc<str>, OffsetKey, u64, TopicId);

fn owned((group, key, committed): (&Arc<str>, &OffsetKey, &Committed)) -> OwnedOffset {
    (group.clone(), key.clone(), committed.offset, committed.topic_id)
}

/// How far one group is behind in one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupLag {
    /// The group's name.
    pub group: Arc<str>,
    /// Topic and partition.
    pub key: OffsetKey,
    /// The next offset that the group would read.
    pub committed: u64,
    /// Offsets between that and the end of what is durable.
    pub lag: u64,
}

/// Milliseconds since 1970.
pub(super) fn wall_clock_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
