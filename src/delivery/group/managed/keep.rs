//! What of a managed group goes into the journal, and how a group comes back from there.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::machine::{Managed, Sharing};
use super::member::{Member, Progress};
use super::record::{self, Current, KeptParts};
use crate::delivery::group::GroupSettings;
use crate::delivery::group::request::MemberId;

/// What changed since it was last kept.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) group: bool,
    pub(super) targets: bool,
    members: BTreeMap<MemberId, Parts>,
}

/// What changed of one member.
#[derive(Debug, Default)]
pub(super) struct Parts {
    about: bool,
    target: bool,
    current: bool,
}

impl Changes {
    pub(super) fn member(&mut self, id: &MemberId) -> &mut Parts {
        self.members.entry(id.clone()).or_default()
    }
}

impl Parts {
    pub(super) fn about(&mut self) {
        self.about = true;
    }

    pub(super) fn target(&mut self) {
        self.target = true;
    }

    pub(super) fn current(&mut self) {
        self.current = true;
    }

    pub(super) fn all(&mut self) {
        *self = Self { about: true, target: true, current: true };
    }
}

impl Managed {
    /// Whether [`Managed::take_records`] would give any.
    pub(in crate::delivery::group) fn has_changed(&self) -> bool {
        self.changes.group || self.changes.targets || !self.changes.members.is_empty()
    }

    /// The records that bring what is kept up to date: a key, and a value or none for what is no more.
    pub(in crate::delivery::group) fn take_records(&mut self, group: &str) -> Vec<(Bytes, Option<Bytes>)> {
        let changes = std::mem::take(&mut self.changes);
        let keys = record::Keys { group, sharing: self.sharing };
        let mut records = Vec::new();
        if changes.group {
            records.push((keys.group(), Some(record::group(self.sharing, self.epoch, self.topics_hash))));
        }
        if changes.targets {
            records.push((keys.target_epoch(), Some(record::target_epoch(self.target_epoch))));
        }
        for (id, parts) in changes.members {
            let member = self.members.get(&id);
            if parts.about {
                records.push((keys.about(&id), member.map(|member| record::about(self.sharing, &member.about))));
            }
            if parts.target {
                records.push((keys.target(&id), member.map(|member| record::target(&member.target))));
            }
            if parts.current {
                records.push((keys.current(&id), member.map(|member| record::current(self.sharing, member))));
            }
        }
        records
    }

    /// A group as it was kept. Its members have one session to show themselves.
    pub(in crate::delivery::group) fn restore(kept: KeptParts, settings: Arc<GroupSettings>, now_ms: u64) -> Self {
        let mut group = Self::new(settings, kept.sharing, kept.epoch);
        group.target_epoch = kept.target_epoch.min(kept.epoch);
        group.topics_hash = kept.topics_hash;
        let (mut targets, mut currents) = (kept.targets, kept.currents);
        for (id, about) in kept.abouts {
            let mut member = Member::new(about);
            member.target = targets.remove(&id).unwrap_or_default();
            let Current { epoch, previous_epoch, progress, assigned, revoking } = currents.remove(&id).unwrap_or_default();
            (member.epoch, member.previous_epoch, member.progress) = (epoch, previous_epoch, progress);
            (member.assigned, member.revoking) = (assigned, revoking);
            member.deadline_ms = now_ms + u64::from(group.settings.managed_session_timeout_ms);
            let revokes = member.progress == Progress::Unrevoked;
            member.revoke_by_ms = revokes.then(|| now_ms + u64::from(member.about.rebalance_timeout_ms));
            if let Some(instance) = &member.about.instance {
                group.statics.insert(instance.clone(), id.clone());
            }
            if group.sharing == Sharing::Exclusive {
                group.owners.extend(member.holds().map(|place| (*place, id.clone())));
            }
            group.count_wishes(&member.about);
            group.members.insert(id, member);
        }
        if group.members.is_empty() {
            group.target_epoch = group.epoch;
        }
        group
    }
}
