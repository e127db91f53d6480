//! Forgetting what nobody needs: offsets past their retention (KIP-211), offsets of deleted topics, and groups without
//! members and offsets.

use std::sync::Arc;

use super::commits::wall_clock_ms;
use super::groups::Groups;
use super::offsets::{Committed, OffsetKey};
use super::table::Entry;

/// One look at the clocks.
struct Now {
    now_ms: u64,
    wall_ms: i64,
    retention_ms: u64,
}

impl Groups {
    /// One pass over all groups.
    pub(super) fn drop_expired(&self) {
        let now =
            Now { now_ms: self.now_ms(), wall_ms: wall_clock_ms(), retention_ms: self.shared.settings.offsets_retention_ms };
        let names: Vec<Arc<str>> = self.shared.table.lock().iter().map(|(name, _)| name.clone()).collect();
        for name in names {
            self.drop_expired_of(&name, &now);
        }
    }

    fn drop_expired_of(&self, name: &Arc<str>, now: &Now) {
        let mut table = self.shared.table.lock();
        let Some(entry) = table.get(name) else { return };
        let all = self.shared.offsets.read().entries(name);
        let total = all.len();
        let gone: Vec<_> = all.into_iter().filter(|(k, c)| self.is_deleted(k, c) || now.is_past(entry, k, c)).collect();
        let left = total - gone.len();
        let changes = gone.into_iter().map(|(key, _)| (key, None)).collect::<Vec<_>>();
        if !changes.is_empty() {
            tracing::info!(group = %name, offsets = changes.len(), "committed offsets expired");
        }
        if self.write(name, changes).is_err() {
            return;
        }
        if left == 0 && entry.group.is_idle() {
            let _refused = self.forget(&mut table, name, Vec::new());
        }
    }

    fn is_deleted(&self, key: &OffsetKey, committed: &Committed) -> bool {
        self.topic_id(key) != Some(committed.topic_id)
    }
}

impl Now {
    /// A group without members keeps its offsets from its last use on, one with members those of the topics it wants.
    fn is_past(&self, entry: &Entry, key: &OffsetKey, committed: &Committed) -> bool {
        let age_ms = u64::try_from(self.wall_ms.saturating_sub(committed.committed_at_ms)).unwrap_or(0);
        if age_ms < self.retention_ms {
            return false;
        }
        if entry.group.is_idle() {
            return self.now_ms.saturating_sub(entry.idle_since_ms) >= self.retention_ms;
        }
        entry.group.wanted_topics().is_some_and(|wanted| !wanted.contains(&key.topic))
    }
}
