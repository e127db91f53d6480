//! What of a group goes into the journal, and how a group comes back from there.

use std::sync::Arc;

use super::GroupSettings;
use super::group_record::{KeptGroup, KeptMember};
use super::machine::{Group, State};
use super::member::Member;
use super::request::Strategy;

impl Group {
    /// Whether the group changed in a way that has to outlive a restart since this was last asked.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// What has to outlive a restart.
    pub(super) fn keep(&self, since_ms: u64) -> KeptGroup {
        let strategy = self.strategy.clone().unwrap_or_default();
        let members = self.members.iter().map(|(id, m)| KeptMember {
            id: id.clone(),
            instance: m.instance.clone(),
            client_id: m.client_id.clone(),
            client_host: m.client_host.clone(),
            rebalance_timeout_ms: m.rebalance_timeout_ms,
            session_timeout_ms: m.session_timeout_ms,
            metadata: m.metadata_for(&strategy),
            assignment: m.assignment.clone(),
        });
        KeptGroup {
            kind: self.kind.clone().unwrap_or_default(),
            epoch: self.epoch,
            strategy: self.strategy.clone(),
            leader: self.leader.clone(),
            since_ms: i64::try_from(since_ms).unwrap_or(i64::MAX),
            members: members.collect(),
        }
    }

    /// A group as it was kept: stable if it has members, who have one session to show themselves.
    pub(super) fn restore(kept: KeptGroup, settings: Arc<GroupSettings>, now_ms: u64) -> Self {
        let mut group = Self::new(settings);
        let strategy = kept.strategy.clone().unwrap_or_default();
        group.epoch = kept.epoch;
        group.kind = Some(kept.kind).filter(|kind| !kind.is_empty());
        if kept.members.is_empty() {
            return group;
        }
        group.state = State::Stable;
        for kept in kept.members {
            if let Some(instance) = &kept.instance {
                group.statics.insert(instance.clone(), kept.id.clone());
            }
            group.members.insert(kept.id.clone(), restore_member(kept, &strategy, now_ms));
        }
        group.strategy = kept.strategy;
        let is_member = |id: &_| group.members.contains_key(id);
        group.leader = kept.leader.filter(is_member).or_else(|| group.members.keys().next().cloned());
        group
    }
}

fn restore_member(kept: KeptMember, strategy: &Arc<str>, now_ms: u64) -> Member {
    Member {
        instance: kept.instance,
        client_id: kept.client_id,
        client_host: kept.client_host,
        session_timeout_ms: kept.session_timeout_ms,
        rebalance_timeout_ms: kept.rebalance_timeout_ms,
        strategies: vec![Strategy { name: strategy.clone(), metadata: kept.metadata }],
        topics: None,
        assignment: kept.assignment,
        joining: None,
        syncing: None,
        is_new: false,
        deadline_ms: now_ms + u64::from(kept.session_timeout_ms),
    }
}
