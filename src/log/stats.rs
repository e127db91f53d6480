//! What the log counts about itself, read when somebody asks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the latency buckets, in microseconds; one more bucket holds what is above.
pub const LATENCY_BOUNDS_US: [u64; 16] =
    [50, 100, 150, 200, 300, 500, 750, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 250_000, 1_000_000];

/// Upper bounds of the buckets of a group commit's size, in entries; one more bucket holds what is above.
pub const COMMIT_BOUNDS: [u64; 12] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 4_096];

/// How many values fell below each bound, and their sum.
#[derive(Debug)]
struct Buckets<const N: usize> {
    bounds: [u64; N],
    counts: [AtomicU64; N],
    above: AtomicU64,
    sum: AtomicU64,
}

impl<const N: usize> Buckets<N> {
    fn new(bounds: [u64; N]) -> Self {
        Self { bounds, counts: [const { AtomicU64::new(0) }; N], above: AtomicU64::new(0), sum: AtomicU64::new(0) }
    }

    fn record(&self, value: u64) {
        let index = self.bounds.partition_point(|bound| *bound < value);
        self.counts.get(index).unwrap_or(&self.above).fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    fn counts(&self) -> Vec<u64> {
        self.counts.iter().chain([&self.above]).map(|count| count.load(Ordering::Relaxed)).collect()
    }
}

/// How much room the disk has for more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Room {
    /// Enough.
    #[default]
    Ample = 0,
    /// Little: writing is slowed down.
    Low = 1,
    /// Next to none: records are refused.
    Full = 2,
}

/// A histogram of times.
#[derive(Debug)]
pub struct Latency(Buckets<{ LATENCY_BOUNDS_US.len() }>);

/// A histogram as it stood: counts by bucket (not cumulative), and the sum in microseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LatencySnapshot {
    /// Counts by bucket; the last holds what is above the last bound.
    pub buckets: Vec<u64>,
    /// The sum of all, in microseconds.
    pub sum_us: u64,
}

impl Default for Latency {
    fn default() -> Self {
        Self(Buckets::new(LATENCY_BOUNDS_US))
    }
}

impl Latency {
    /// Counts one.
    pub fn record(&self, time: Duration) {
        self.0.record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// What was counted until now.
    pub fn snapshot(&self) -> LatencySnapshot {
        LatencySnapshot { buckets: self.0.counts(), sum_us: self.0.sum.load(Ordering::Relaxed) }
    }
}

/// A histogram of how many entries one sync made durable.
#[derive(Debug)]
pub struct CommitSizes {
    sizes: Buckets<{ COMMIT_BOUNDS.len() }>,
    /// Entries at the last sync.
    counted: AtomicU64,
}

/// Group commits as they stood: counts by bucket (not cumulative), and all their entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommitSizesSnapshot {
    /// Counts by bucket; the last holds what is above the last bound.
    pub buckets: Vec<u64>,
    /// The sum of all, in entries.
    pub sum_entries: u64,
}

impl Default for CommitSizes {
    fn default() -> Self {
        Self { sizes: Buckets::new(COMMIT_BOUNDS), counted: AtomicU64::new(0) }
    }
}

impl CommitSizes {
    /// Counts one sync after `entries` since the start.
    fn record(&self, entries: u64) {
        let before = self.counted.swap(entries, Ordering::Relaxed);
        if entries > before {
            self.sizes.record(entries - before);
        }
    }

    /// What was counted until now.
    pub fn snapshot(&self) -> CommitSizesSnapshot {
        CommitSizesSnapshot { buckets: self.sizes.counts(), sum_entries: self.sizes.sum.load(Ordering::Relaxed) }
    }
}

/// The journal's counters.
#[derive(Debug, Default)]
pub struct JournalStats {
    /// Entries appended.
    pub entries: AtomicU64,
    /// Records appended, once a target.
    pub records: AtomicU64,
    /// Syncs.
    pub syncs: AtomicU64,
    /// Bytes written to the journal.
    pub bytes: AtomicU64,
    /// Bytes written to segments.
    pub segment_bytes: AtomicU64,
    /// Bytes in the memory tail.
    pub tail_bytes: AtomicU64,
    /// Appends that waited because too much was in flight.
    pub held_back: AtomicU64,
    /// Journal files in use.
    pub files: AtomicU64,
    /// Journal files retired.
    pub retired: AtomicU64,
    /// Writes of gathered entries.
    pub write: Latency,
    /// Syncs.
    pub sync: Latency,
    /// Entries by sync.
    pub commits: CommitSizes,
}

impl JournalStats {
    /// Counts one write.
    pub fn wrote(&self, bytes: u64, time: Duration) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.write.record(time);
    }

    /// Counts one sync.
    pub fn synced(&self, time: Duration) {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.sync.record(time);
        self.commits.record(self.entries.load(Ordering::Relaxed));
    }
}

/// Why records were removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// They were older than their topic keeps records.
    Time,
    /// Their partition was larger than its topic allows.
    Size,
    /// No view needed them any more.
    Consumed,
    /// A newer record of the same key, or the time to see a deletion, took their place.
    Compacted,
    /// Somebody asked for it.
    Trimmed,
    /// Their topic was deleted.
    Deleted,
}

impl Removal {
    /// All, in their order.
    pub const ALL: [Self; 6] = [Self::Time, Self::Size, Self::Consumed, Self::Compacted, Self::Trimmed, Self::Deleted];

    /// One word for it, as metrics have it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Time => "retention_time",
            Self::Size => "retention_size",
            Self::Consumed => "consumed",
            Self::Compacted => "compacted",
            Self::Trimmed => "trimmed",
            Self::Deleted => "deleted",
        }
    }
}

/// What cleaning has cost since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CleaningStats {
    /// Partitions cleaned.
    pub runs: u64,
    /// Bytes of segments read.
    pub read_bytes: u64,
    /// Bytes of segments written.
    pub written_bytes: u64,
    /// Bytes that segments take less because of it.
    pub freed_bytes: u64,
    /// Time spent, pauses included, in microseconds.
    pub busy_us: u64,
}

/// The log's counters as they stood.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogStats {
    /// Entries appended.
    pub entries: u64,
    /// Records appended, once a target.
    pub records: u64,
    /// Syncs of the journal.
    pub syncs: u64,
    /// Bytes written to the journal since the start.
    pub journal_written_bytes: u64,
    /// Bytes between the oldest and the newest entry of the journal.
    pub journal_live_bytes: u64,
    /// Journal files in use.
    pub journal_files: u64,
    /// Journal files retired.
    pub journal_retired: u64,
    /// Bytes written to segments.
    pub segment_written_bytes: u64,
    /// Bytes in the memory tail.
    pub tail_bytes: u64,
    /// How many there may be.
    pub tail_bytes_max: u64,
    /// Bytes appended and not written yet.
    pub in_flight_bytes: u64,
    /// How many there may be before whoever writes more waits.
    pub in_flight_bytes_max: u64,
    /// Appends that waited because of that.
    pub held_back: u64,
    /// Topics, internal ones left out.
    pub topics: u64,
    /// Records removed, by [`Removal`] in its order.
    pub removed: [u64; Removal::ALL.len()],
    /// Files of segments that are open for reading.
    pub segment_files_open: u64,
    /// Times that a file of a segment was opened for reading.
    pub segment_files_opened: u64,
    /// Files of removed segments that wait for their deletion.
    pub segment_files_deleted: u64,
    /// What cleaning has cost.
    pub cleaning: CleaningStats,
    /// What may still be written to the disk, in bytes; `u64::MAX` until it was looked at.
    pub disk_available_bytes: u64,
    /// How much that is.
    pub disk_room: Room,
    /// Appends refused because the disk was full.
    pub disk_refused: u64,
    /// How long writers were made to pause because the disk was nearly full, together, in microseconds.
    pub disk_paused_us: u64,
    /// Writes of the journal.
    pub write: LatencySnapshot,
    /// Syncs of the journal.
    pub sync: LatencySnapshot,
    /// Entries that each sync made durable.
    pub commits: CommitSizesSnapshot,
}

impl LogStats {
    /// Records removed for a reason.
    pub fn removed(&self, why: Removal) -> u64 {
        self.removed.get(why as usize).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_falls_into_the_first_bucket_that_holds_it() {
        let latency = Latency::default();
        latency.record(Duration::from_micros(50));
        latency.record(Duration::from_micros(51));
        latency.record(Duration::from_secs(9));
        let snapshot = latency.snapshot();
        assert_eq!((snapshot.buckets.first(), snapshot.buckets.get(1), snapshot.buckets.last()), (Some(&1), Some(&1), Some(&1)));
        assert_eq!(snapshot.sum_us, 9_000_101);
    }

    #[test]
    fn a_sync_counts_the_entries_since_the_one_before() {
        let commits = CommitSizes::default();
        for entries in [3, 3, 4] {
            commits.record(entries);
        }
        let snapshot = commits.snapshot();
        assert_eq!(snapshot.buckets[..3], [1, 0, 1]);
        assert_eq!(snapshot.sum_entries, 4);
    }
}
