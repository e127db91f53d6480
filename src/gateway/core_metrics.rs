//! What a scrape learns of the log and the views on it. Both are asked; neither knows of metrics.

use super::vitals::now_ms;
use crate::delivery::queue::FailureSpread;
use crate::delivery::{Observer, QueueSnapshot};
use crate::log::{COMMIT_BOUNDS, LATENCY_BOUNDS_US, LatencySnapshot, LogStats, Removal};
use crate::telemetry::{HistogramSnapshot, Samples, Telemetry};

const US_PER_S: f64 = 1e6;
const MS_PER_S: f64 = 1e3;

pub(super) fn register(telemetry: &Telemetry, observer: Observer) {
    telemetry.pull(Box::new(move |samples| {
        let the_log = observer.delivery().log();
        log(samples, &the_log.stats());
        let marks = the_log.watermarks();
        samples.gauge("trunkline_disk_slow_below_bytes", &[], marks.slow_below_bytes as f64);
        samples.gauge("trunkline_disk_refuse_below_bytes", &[], marks.refuse_below_bytes as f64);
        let poisoned = if the_log.poisoned().is_some() { 1.0 } else { 0.0 };
        samples.gauge("trunkline_log_poisoned", &[], poisoned);
        topics(samples, &observer);
    }));
}

fn log(samples: &mut Samples, stats: &LogStats) {
    samples.histogram("trunkline_log_write_seconds", &seconds(&stats.write));
    samples.histogram("trunkline_log_fsync_seconds", &seconds(&stats.sync));
    let bounds = COMMIT_BOUNDS.iter().map(|bound| *bound as f64);
    let commits = histogram(bounds, &stats.commits.buckets, stats.commits.sum_entries as f64);
    samples.histogram("trunkline_log_commit_entries", &commits);
    for (name, value) in [
        ("trunkline_log_entries_total", stats.entries),
        ("trunkline_log_records_total", stats.records),
        ("trunkline_log_fsyncs_total", stats.syncs),
        ("trunkline_log_journal_written_bytes_total", stats.journal_written_bytes),
        ("trunkline_log_journal_retired_total", stats.journal_retired),
        ("trunkline_log_segment_written_bytes_total", stats.segment_written_bytes),
        ("trunkline_disk_refused_total", stats.disk_refused),
        ("trunkline_log_held_back_total", stats.held_back),
    ] {
        samples.counter(name, &[], value as f64);
    }
    for (name, value) in [
        ("trunkline_log_journal_bytes", stats.journal_live_bytes),
        ("trunkline_log_journal_files", stats.journal_files),
        ("trunkline_disk_available_bytes", stats.disk_available_bytes),
        ("trunkline_disk_room", stats.disk_room as u64),
        ("trunkline_log_memory_tail_bytes", stats.tail_bytes),
        ("trunkline_log_memory_tail_max_bytes", stats.tail_bytes_max),
        ("trunkline_log_in_flight_bytes", stats.in_flight_bytes),
        ("trunkline_log_in_flight_max_bytes", stats.in_flight_bytes_max),
        ("trunkline_log_segment_files_open", stats.segment_files_open),
        ("trunkline_log_deleted_files_waiting", stats.segment_files_deleted),
        ("trunkline_topics", stats.topics),
    ] {
        samples.gauge(name, &[], value as f64);
    }
    for why in Removal::ALL {
        samples.counter("trunkline_log_removed_records_total", &[("reason", why.label())], stats.removed(why) as f64);
    }
    samples.counter("trunkline_disk_paused_seconds_total", &[], stats.disk_paused_us as f64 / US_PER_S);
    let cleaning = &stats.cleaning;
    samples.counter("trunkline_log_cleaning_seconds_total", &[], cleaning.busy_us as f64 / US_PER_S);
    for (name, value) in [
        ("trunkline_log_segment_opens_total", stats.segment_files_opened),
        ("trunkline_log_cleaning_runs_total", cleaning.runs),
        ("trunkline_log_cleaning_read_bytes_total", cleaning.read_bytes),
        ("trunkline_log_cleaning_written_bytes_total", cleaning.written_bytes),
        ("trunkline_log_cleaning_freed_bytes_total", cleaning.freed_bytes),
    ] {
        samples.counter(name, &[], value as f64);
    }
}

/// The deepest topics first: they are what the cap on series must not hide.
fn topics(samples: &mut Samples, observer: &Observer) {
    let now_ms = now_ms();
    let (names, left_out) = observer.deepest(samples.series_max());
    for topic in names.iter().filter_map(|name| observer.topic(name, now_ms)) {
        let name = topic.name.to_string();
        let labels = [("topic", name.as_str())];
        let written: u64 = topic.partitions.iter().map(|partition| partition.end).sum();
        samples.counter("trunkline_topic_written_total", &labels, written as f64);
        samples.gauge("trunkline_topic_bytes", &labels, topic.bytes() as f64);
        topic.queues.iter().for_each(|queue| queue_view(samples, queue));
        for group in &topic.groups {
            let labels = [("group", &*group.group), ("topic", name.as_str())];
            samples.gauge("trunkline_group_lag", &labels, group.lag as f64);
            samples.gauge("trunkline_group_members", &labels, f64::from(group.members));
            samples.counter("trunkline_group_passed_total", &labels, group.passed.total() as f64);
        }
    }
    samples.left_out((left_out * OF_A_QUEUE) as u64);
}

/// Series of one queue view.
const OF_A_QUEUE: usize = 7 + FailureSpread::NAMES.len();

fn queue_view(samples: &mut Samples, queue: &QueueSnapshot) {
    let name = queue.label();
    let labels = [("topic", name.as_str())];
    samples.gauge("trunkline_queue_ready", &labels, queue.ready as f64);
    samples.gauge("trunkline_queue_in_flight", &labels, queue.in_flight as f64);
    samples.gauge("trunkline_queue_delayed", &labels, queue.delayed as f64);
    samples.gauge("trunkline_queue_takers", &labels, f64::from(queue.takers));
    samples.counter("trunkline_queue_taken_total", &labels, queue.flow.taken.total() as f64);
    samples.counter("trunkline_queue_settled_total", &labels, queue.flow.settled.total() as f64);
    let age_ms = queue.oldest_age_ms.unwrap_or(0);
    samples.gauge("trunkline_queue_oldest_age_seconds", &labels, age_ms as f64 / MS_PER_S);
    for (failures, count) in FailureSpread::NAMES.iter().zip(queue.failures.0) {
        samples.gauge("trunkline_queue_failures", &[("failures", failures), ("topic", &name)], count as f64);
    }
}

fn seconds(latency: &LatencySnapshot) -> HistogramSnapshot {
    let bounds = LATENCY_BOUNDS_US.iter().map(|bound| *bound as f64 / US_PER_S);
    histogram(bounds, &latency.buckets, latency.sum_us as f64 / US_PER_S)
}

fn histogram(bounds: impl Iterator<Item = f64>, counts: &[u64], sum: f64) -> HistogramSnapshot {
    HistogramSnapshot { buckets: bounds.zip(counts.iter().copied()).collect(), count: counts.iter().sum(), sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_bucket_counts_in_the_total_only() {
        let snapshot = histogram([1.0, 2.0].into_iter(), &[3, 4, 5], 60.0);
        assert_eq!(snapshot, HistogramSnapshot { buckets: vec![(1.0, 3), (2.0, 4)], count: 12, sum: 60.0 });
    }
}
