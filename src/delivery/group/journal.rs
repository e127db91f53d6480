//! Where groups meet the journal: what they write there, and what they find at the start.
//!
//! Everything is written under the lock of the group table, so memory and journal change in the same order. The lock of the
//! offsets is held over the commit of the unit, so that nobody sees a change before its position is known.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;

use super::groups::Groups;
use super::managed::{self, KeptParts};
use super::membership::Membership;
use super::offsets::{Committed, OffsetKey, OffsetTable};
use super::table::GroupTable;
use super::{GroupError, group_record, offset_record};
use crate::delivery::{Holder, StartError, Unit};
use crate::log::{Barrier, Table, TopicName};

/// The state table that holds committed offsets and memberships.
pub(in crate::delivery) const TABLE: Table = Table("__consumer_offsets");

/// A membership that takes more bytes is not kept: its members start over after a restart.
const MEMBERSHIP_BYTES_MAX: usize = 4 << 20;

/// A record of the table, as far as others than groups want to know it.
pub(in crate::delivery) enum GroupRecord {
    /// The committed offset of a group in a partition; none: it was forgotten.
    Offset { group: Arc<str>, key: OffsetKey, offset: Option<u64> },
    /// A membership, or a form that this program leaves alone.
    Other,
}

/// Reads a record of the table. An error: its key is of a known form, and its value is not.
pub(in crate::delivery) fn decode(key: &Bytes, value: Option<&Bytes>) -> Result<GroupRecord, String> {
    if let Some((group, key)) = offset_record::decode_key(key.clone()) {
        let damaged = || format!("the offset that group {group} committed in {}-{} does not decode", key.topic, key.partition);
        let committed = value.map(|value| offset_record::decode_value(value.clone()).ok_or_else(damaged)).transpose()?;
        return Ok(GroupRecord::Offset { group, key, offset: committed.map(|committed| committed.offset) });
    }
    if let Some(group) = group_record::decode_key(key.clone())
        && value.is_some_and(|value| group_record::decode_value(value.clone()).is_none())
    {
        return Err(format!("the membership of group {group} does not decode"));
    }
    Ok(GroupRecord::Other)
}

/// The keys of a group itself in every kind that it may have been of.
fn keys_of_kinds(group: &str) -> impl IntoIterator<Item = Bytes> {
    std::iter::once(group_record::encode_key(group)).chain(managed::forget_keys(group))
}

/// Committed offsets hold what comes after them. Knows the offsets alone, not the groups, which know the log.
pub(super) struct Floors(pub(super) Arc<RwLock<OffsetTable>>);

impl Holder for Floors {
    fn floor(&self, topic: &TopicName, partition: u32) -> Option<u64> {
        self.0.read().floor(&OffsetKey { topic: topic.clone(), partition })
    }
}

impl Groups {
    /// Puts changes into the journal and the memory, in the same order whoever else writes.
    pub(super) fn write(&self, group: &Arc<str>, changes: Vec<(OffsetKey, Option<Committed>)>) -> Result<Barrier, GroupError> {
        if changes.is_empty() {
            return Ok(Barrier::NONE);
        }
        let mut unit = self.shared.delivery.begin().map_err(|_refused| GroupError::Unavailable)?;
        for (key, committed) in &changes {
            match committed {
                Some(committed) => Self::put_offset(&mut unit, group, key, committed),
                None => unit.put_state(TABLE, offset_record::encode_key(group, key), None),
            }
        }
        let mut offsets = self.shared.offsets.write();
        for (key, committed) in changes {
            match committed {
                Some(committed) => offsets.put(group, key, committed),
                None => offsets.remove(group, &key),
            }
        }
        let barrier = unit.commit();
        offsets.changed_at(group, barrier);
        Ok(barrier)
    }

    /// Puts one offset into a unit.
    pub(super) fn put_offset(unit: &mut Unit<'_>, group: &Arc<str>, key: &OffsetKey, committed: &Committed) {
        unit.put_state(TABLE, offset_record::encode_key(group, key), Some(offset_record::encode_value(committed)));
    }

    /// Keeps the memberships that changed. Members of a group that one of them leads are not made to wait for the disk: a crash
    /// that loses this record loses every later commit too, so it only makes the members join again.
    pub(super) fn save(&self, table: &mut GroupTable) {
        let unsaved = table.take_unsaved();
        if unsaved.is_empty() {
            return;
        }
        let mut saved = Vec::with_capacity(unsaved.len());
        let Ok(mut unit) = self.shared.delivery.begin() else {
            tracing::warn!(groups = unsaved.len(), "memberships are not kept: the log takes no more");
            return;
        };
        for name in unsaved {
            let Some(entry) = table.get_mut(&name) else { continue };
            if std::mem::take(&mut entry.switched) {
                keys_of_kinds(&name).into_iter().for_each(|key| unit.put_state(TABLE, key, None));
            }
            for (key, value) in self.records_of(&name, &mut entry.group) {
                unit.put_state(TABLE, key, value);
            }
            saved.push(name);
        }
        let barrier = unit.commit();
        for name in saved {
            if let Some(entry) = table.get_mut(&name) {
                entry.kept = barrier;
            }
        }
    }

    fn records_of(&self, name: &str, group: &mut Membership) -> Vec<(Bytes, Option<Bytes>)> {
        match group {
            Membership::Led(group) => {
                let value = group_record::encode_value(&group.keep(self.now_ms()));
                let value = value.filter(|value| value.len() <= MEMBERSHIP_BYTES_MAX);
                vec![(group_record::encode_key(name), value)]
            }
            Membership::Managed(group) => group.take_records(name),
        }
    }

    /// Takes a group and its offsets out of journal and memory.
    pub(super) fn forget(&self, table: &mut GroupTable, name: &Arc<str>, keys: Vec<OffsetKey>) -> Result<Barrier, GroupError> {
        let mut unit = self.shared.delivery.begin().map_err(|_refused| GroupError::Unavailable)?;
        for key in keys {
            unit.put_state(TABLE, offset_record::encode_key(name, &key), None);
        }
        for key in keys_of_kinds(name) {
            unit.put_state(TABLE, key, None);
        }
        let mut offsets = self.shared.offsets.write();
        offsets.forget(name);
        table.remove(name);
        Ok(unit.commit())
    }

    /// Takes over what the journal held at the start.
    pub(super) fn load(&self) -> Result<(), StartError> {
        let now_ms = self.now_ms();
        let mut table = self.shared.table.lock();
        let mut offsets = self.shared.offsets.write();
        let mut unknown = 0_u64;
        let mut managed: HashMap<Arc<str>, KeptParts> = HashMap::new();
        for (key, value) in self.shared.delivery.state(TABLE)? {
            if let Some(group) = group_record::decode_key(key.clone()) {
                match group_record::decode_value(value) {
                    Some(kept) => table.restore(&group, kept, now_ms),
                    None => unknown += 1,
                }
                continue;
            }
            if let Some(part) = managed::decode(&key, value.clone()) {
                managed.entry(part.group.clone()).or_insert_with(|| KeptParts::new(&part)).add(part);
                continue;
            }
            match (offset_record::decode_key(key), offset_record::decode_value(value)) {
                (Some((group, key)), Some(committed)) => {
                    table.committed_at(&group, committed.committed_at_ms, now_ms);
                    offsets.put(&group, key, committed);
                }
                (None, _) | (_, None) => unknown += 1,
            }
        }
        for (group, kept) in managed {
            if kept.is_whole() {
                table.restore_managed(&group, kept, now_ms);
            } else {
                unknown += 1;
            }
        }
        if unknown > 0 {
            tracing::warn!(records = unknown, "records of groups in an unknown form are left alone");
        }
        Ok(())
    }
}
