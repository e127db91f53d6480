//! Topics: a name, an identity, settings, and partitions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use super::embedded::Partition;
use super::lsn::Durability;
use super::name::TopicName;

/// The identity of one incarnation of a topic; a topic deleted and made again has another (KIP-516).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TopicId(pub u128);

impl TopicId {
    /// The length of its text.
    pub const BASE64_BYTES: usize = 22;

    /// As Kafka writes it: base64 for URLs, without padding.
    pub fn to_base64(self) -> String {
        const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        // 22 letters of 6 bits hold the 128 bits and four zeros behind them.
        let letter = |place: u32| {
            let bits = if place == 21 { self.0 << 4 } else { self.0 >> (122 - 6 * place) };
            char::from(LETTERS[(bits & 63) as usize])
        };
        (0..22).map(letter).collect()
    }
}

/// What is removed from a topic, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cleanup {
    /// By age and size; never what a queue view still holds.
    Delete,
    /// Only the newest record of each key is kept.
    Compact,
    /// Both: the newest of each key, and of these by age and size.
    CompactDelete,
    /// What no queue view and no group needs any more.
    Consumed,
}

impl Cleanup {
    /// Whether only the newest record of a key is kept.
    pub fn compacts(self) -> bool {
        matches!(self, Self::Compact | Self::CompactDelete)
    }

    /// Whether age and size remove records.
    pub fn deletes(self) -> bool {
        matches!(self, Self::Delete | Self::CompactDelete)
    }
}

/// How segments are begun, cleaned and deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct SegmentSettings {
    /// The size at which a new segment is begun, in bytes; none: as the log is configured.
    pub segment_bytes: Option<u64>,
    /// The time that a segment spans, in milliseconds; none: as the log is configured.
    pub segment_ms: Option<u64>,
    /// How long removed files stay under another name, in milliseconds.
    pub file_delete_delay_ms: u64,
    /// The part of a partition that was not compacted before and makes it worth to, in millionths.
    pub min_dirty_ppm: u32,
    /// Younger records are not compacted, in milliseconds.
    pub min_compaction_lag_ms: u64,
    /// Older records are compacted whatever the ratio, in milliseconds; none: no bound.
    pub max_compaction_lag_ms: Option<u64>,
    /// How long a deletion stays to be seen after it was compacted, in milliseconds.
    pub delete_retention_ms: u64,
}

impl SegmentSettings {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for SegmentSettings {
    fn default() -> Self {
        Self {
            segment_bytes: None,
            segment_ms: None,
            file_delete_delay_ms: 60_000,
            min_dirty_ppm: 500_000,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: None,
            delete_retention_ms: 24 * 3_600_000,
        }
    }
}

/// Which partition a record goes to that its writer has not chosen one for. What the writer chooses counts first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Partitioner {
    /// Records of one key to one partition, the one that Kafka's Java client picks; those without a key as by [`Self::Sticky`].
    #[default]
    Key,
    /// The first, whatever the record: the writer chooses.
    Given,
    /// Each in turn.
    RoundRobin,
    /// One until it has been given a batch's worth of bytes, then the next.
    Sticky,
    /// Any.
    Random,
}

impl Partitioner {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Key, Self::Given, Self::RoundRobin, Self::Sticky, Self::Random];
    /// What they are called, for who asks for another.
    pub const NAMES: &str = "key, given, round-robin, sticky or random";

    /// What it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Given => "given",
            Self::RoundRobin => "round-robin",
            Self::Sticky => "sticky",
            Self::Random => "random",
        }
    }

    /// The one of a name.
    pub fn named(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|partitioner| partitioner.name().as_bytes() == name)
    }
}

/// What a topic was made with.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TopicSettings {
    /// What is removed.
    pub cleanup: Cleanup,
    /// The age beyond which records may be removed, in milliseconds; none: no bound.
    pub retention_ms: Option<u64>,
    /// The size of a partition beyond which its oldest records may be removed, in bytes; none: no bound.
    pub retention_bytes: Option<u64>,
    /// The largest record batch, in bytes.
    pub max_message_bytes: u32,
    /// Whether records carry the time of their append instead of the producer's.
    #[serde(default)]
    pub log_append_time: bool,
    /// How its segments are begun, cleaned and deleted.
    #[serde(default, skip_serializing_if = "SegmentSettings::is_default")]
    pub segments: SegmentSettings,
    /// What is acknowledged when; none: as configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub durability: Option<Durability>,
    /// Where records go that come without a partition.
    #[serde(default)]
    pub partitioner: Partitioner,
    /// Whether it is there after a restart.
    pub durable: bool,
    /// Who made it: a dialect's name, or `log`.
    pub origin: String,
}

impl Default for TopicSettings {
    fn default() -> Self {
        Self {
            cleanup: Cleanup::Delete,
            retention_ms: Some(7 * 24 * 3_600_000),
            retention_bytes: None,
            max_message_bytes: 1 << 20,
            log_append_time: false,
            segments: SegmentSettings::default(),
            durability: None,
            partitioner: Partitioner::Key,
            durable: true,
            origin: "log".to_owned(),
        }
    }
}

impl TopicSettings {
    /// For a name made by a dialect without topics of its own: kept until consumed, records up to `max_message_bytes`.
    pub fn consumed(origin: &str, durable: bool, max_message_bytes: u32) -> Self {
        Self {
            cleanup: Cleanup::Consumed,
            retention_ms: None,
            max_message_bytes,
            durable,
            origin: origin.to_owned(),
            ..Self::default()
        }
    }
}

/// A topic. Handles stay valid after it is deleted, and then lead to nothing new.
#[derive(Debug)]
pub struct Topic {
    name: TopicName,
    id: TopicId,
    partitions: RwLock<Vec<Arc<Partition>>>,
    /// Shared by all topics that have the same.
    settings: RwLock<Arc<TopicSettings>>,
    deleted: AtomicBool,
    /// What was spread over its partitions, in whatever its partitioner counts.
    spread: AtomicU64,
}

impl Topic {
    pub(crate) fn new(name: TopicName, id: TopicId, partitions: Vec<Arc<Partition>>, settings: Arc<TopicSettings>) -> Self {
        let (partitions, settings) = (RwLock::new(partitions), RwLock::new(settings));
        Self { name, id, partitions, settings, deleted: AtomicBool::new(false), spread: AtomicU64::new(0) }
    }

    /// Its name.
    pub fn name(&self) -> &TopicName {
        &self.name
    }

    /// Its identity.
    pub fn id(&self) -> TopicId {
        self.id
    }

    pub(crate) fn id_ref(&self) -> &TopicId {
        &self.id
    }

    /// How many partitions it has.
    pub fn partition_count(&self) -> u32 {
        u32::try_from(self.partitions.read().len()).unwrap_or(u32::MAX)
    }

    /// The partition of this index.
    pub fn partition(&self, index: u32) -> Option<Arc<Partition>> {
        self.partitions.read().get(usize::try_from(index).ok()?).cloned()
    }

    /// All partitions in order.
    pub fn partitions(&self) -> Vec<Arc<Partition>> {
        self.partitions.read().clone()
    }

    /// The most that any of its partitions asks for before a record is acknowledged.
    pub fn durability(&self) -> Durability {
        self.partitions.read().iter().map(|partition| partition.durability()).max().unwrap_or_default()
    }

    /// What it was made or last changed with.
    pub fn settings(&self) -> Arc<TopicSettings> {
        Arc::clone(&self.settings.read())
    }

    /// The largest record batch, in bytes.
    pub fn max_message_bytes(&self) -> usize {
        self.settings.read().max_message_bytes as usize
    }

    /// Where records go that come without a partition.
    pub fn partitioner(&self) -> Partitioner {
        self.settings.read().partitioner
    }

    /// Counts something that is spread over the partitions, and tells how much it was before.
    pub fn spread_by(&self, amount: u64) -> u64 {
        self.spread.fetch_add(amount, Ordering::Relaxed)
    }

    /// Whether only the newest record of each key is kept, so that each must have one.
    pub fn is_compacted(&self) -> bool {
        self.settings.read().cleanup.compacts()
    }

    /// Whether its records carry the time of their append.
    pub fn has_append_time(&self) -> bool {
        self.settings.read().log_append_time
    }

    /// Whether it belongs to the log itself.
    pub fn is_internal(&self) -> bool {
        self.name.is_internal()
    }

    /// Whether it has been deleted since the handle was taken.
    pub fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
    }

    pub(crate) fn mark_deleted(&self) {
        self.deleted.store(true, Ordering::Release);
    }

    pub(crate) fn add_partitions(&self, more: Vec<Arc<Partition>>) {
        self.partitions.write().extend(more);
    }

    pub(crate) fn change_settings(&self, settings: Arc<TopicSettings>) {
        *self.settings.write() = settings;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_written_as_kafka_writes_it() {
        assert_eq!(TopicId(0).to_base64(), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(TopicId(u128::MAX).to_base64(), "_____________________w");
        assert_eq!(TopicId(1).to_base64(), "AAAAAAAAAAAAAAAAAAAAAQ");
    }
}
