//! What the log counts about itself, read when somebody asks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the latency buckets, in microseconds; one more bucket holds what is above.
pub const LATENCY_BOUNDS_US: [u64; 16] =
    [50, 100, 150, 200, 300, 500, 750, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 250_000, 1_000_000];

/// A histogram with fixed bounds.
#[derive(Debug, Default)]
pub struct Latency {
    buckets: [AtomicU64; LATENCY_BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

/// A histogram as it stood: counts by bucket (not cumulative), and the sum in microseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LatencySnapshot {
    /// Counts by bucket; the last holds what is above the last bound.
    pub buckets: Vec<u64>,
    /// The sum of all, in microseconds.
    pub sum_us: u64,
}

impl Latency {
    /// Counts one.
    pub fn record(&self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let index = LATENCY_BOUNDS_US.partition_point(|bound| *bound < us);
        if let Some(bucket) = self.buckets.get(index) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// What was counted until now.
    pub fn snapshot(&self) -> LatencySnapshot {
        LatencySnapshot {
            buckets: self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect(),
            sum_us: self.sum_us.load(Ordering::Relaxed),
        }
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
    /// Journal files in use.
    pub files: AtomicU64,
    /// Journal files retired.
    pub retired: AtomicU64,
    /// Writes of gathered entries.
    pub write: Latency,
    /// Syncs.
    pub sync: Latency,
}

impl JournalStats {
    /// Counts one write and its sync.
    pub fn synced(&self, bytes: u64, write: Duration, sync: Duration) {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.write.record(write);
        self.sync.record(sync);
    }
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
    /// Topics, internal ones left out.
    pub topics: u64,
    /// Records removed because their age or their topic's size passed its retention.
    pub removed_retention: u64,
    /// Records not kept at retirement because nothing needed them any more.
    pub removed_consumed: u64,
    /// Writes of the journal.
    pub write: LatencySnapshot,
    /// Syncs of the journal.
    pub sync: LatencySnapshot,
}
