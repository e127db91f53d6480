//! Every metric there is, as data. `docs/metrics.md` is held to this table by a test.

use metrics::{KeyName, Recorder, SharedString};
use metrics_exporter_prometheus::PrometheusRecorder;

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows while the process lives.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Observations counted by size.
    Histogram,
}

impl Kind {
    /// Prometheus' word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One family of series.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    /// What the value counts: `records`, `bytes`, `seconds`, ...
    pub unit: &'static str,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

/// Everything that `/metrics` can show, in the order of `docs/metrics.md`.
pub const METRICS: &[Metric] = &[
    counter("trunkline_connections_opened_total", "connections", "Connections accepted since the start."),
    Metric {
        name: "trunkline_connections",
        kind: Kind::Gauge,
        unit: "connections",
        labels: &["dialect"],
        help: "Connections open now.",
    },
    Metric {
        name: "trunkline_connections_blocked",
        kind: Kind::Gauge,
        unit: "connections",
        labels: &["dialect"],
        help: "Connections that publish and are not read until the disk has room.",
    },
    counter("trunkline_protocol_errors_total", "errors", "Connections closed because the client broke the protocol."),
    counter("trunkline_records_in_total", "records", "Records taken in from clients."),
    counter("trunkline_record_bytes_in_total", "bytes", "Key, value and header bytes of the records taken in."),
    counter("trunkline_records_out_total", "records", "Records handed out to clients, copies counted each."),
    counter("trunkline_record_bytes_out_total", "bytes", "Key, value and header bytes of the records handed out."),
    counter("trunkline_records_live_only_total", "records", "Records that reached listeners and were not logged."),
    counter(
        "trunkline_listeners_cut_total",
        "clients",
        "Clients that listened and were disconnected because too much waited for them.",
    ),
    plain("trunkline_topics", Kind::Gauge, "topics", "Topics, internal ones left out."),
    Metric {
        name: "trunkline_topic_written_total",
        kind: Kind::Counter,
        unit: "records",
        labels: &["topic"],
        help: "Records ever written to the topic, over all partitions.",
    },
    topic("trunkline_topic_bytes", "bytes", "What the topic keeps, over all partitions."),
    topic("trunkline_queue_ready", "records", "Records that the default queue view of the topic could hand out now."),
    topic("trunkline_queue_in_flight", "records", "Records taken from the queue view and not yet settled."),
    topic("trunkline_queue_delayed", "records", "Records of the queue view that wait for their time."),
    Metric {
        name: "trunkline_queue_failures",
        kind: Kind::Gauge,
        unit: "records",
        labels: &["failures", "topic"],
        help: "Records ready or in flight by how often they came back as failed: `0`, `1`, `2`, `3`, `4-7`, `8+` times.",
    },
    topic("trunkline_queue_takers", "takers", "Those who wait for records of the queue view."),
    topic(
        "trunkline_queue_oldest_age_seconds",
        "seconds",
        "How long ago the oldest record was written that the queue view has not settled; 0: it has settled all.",
    ),
    Metric {
        name: "trunkline_queue_taken_total",
        kind: Kind::Counter,
        unit: "records",
        labels: &["topic"],
        help: "Records that the queue view handed out since the start, each time.",
    },
    Metric {
        name: "trunkline_queue_settled_total",
        kind: Kind::Counter,
        unit: "records",
        labels: &["topic"],
        help: "Records that the queue view was done with since the start.",
    },
    Metric {
        name: "trunkline_group_lag",
        kind: Kind::Gauge,
        unit: "records",
        labels: &["group", "topic"],
        help: "Durable records beyond the committed offset, over all partitions.",
    },
    Metric {
        name: "trunkline_group_members",
        kind: Kind::Gauge,
        unit: "members",
        labels: &["group", "topic"],
        help: "Members of the group, whatever topics they read.",
    },
    Metric {
        name: "trunkline_group_passed_total",
        kind: Kind::Counter,
        unit: "records",
        labels: &["group", "topic"],
        help: "Records of the topic that the group has passed since the start, by what it committed.",
    },
    plain("trunkline_series_dropped", Kind::Gauge, "series", "Series of this scrape left out by `telemetry.series_max`."),
    plain(
        "trunkline_log_write_seconds",
        Kind::Histogram,
        "seconds",
        "One write of the entries that were waiting to the journal.",
    ),
    plain("trunkline_log_fsync_seconds", Kind::Histogram, "seconds", "One sync of the journal."),
    plain(
        "trunkline_log_commit_entries",
        Kind::Histogram,
        "entries",
        "Journal entries that one sync made durable (group commit).",
    ),
    plain("trunkline_log_entries_total", Kind::Counter, "entries", "Journal entries appended."),
    plain("trunkline_log_records_total", Kind::Counter, "records", "Records appended, once for each topic they went to."),
    plain("trunkline_log_fsyncs_total", Kind::Counter, "syncs", "Syncs of the journal."),
    plain("trunkline_log_journal_written_bytes_total", Kind::Counter, "bytes", "Bytes written to the journal."),
    plain("trunkline_log_journal_bytes", Kind::Gauge, "bytes", "Size of the journal."),
    plain("trunkline_log_journal_files", Kind::Gauge, "files", "Files of the journal."),
    plain(
        "trunkline_log_journal_retired_total",
        Kind::Counter,
        "files",
        "Journal files whose records moved to segments or went.",
    ),
    plain("trunkline_log_segment_written_bytes_total", Kind::Counter, "bytes", "Bytes written to segments."),
    plain("trunkline_log_segment_files_open", Kind::Gauge, "files", "Files of segments that are open for reading."),
    plain("trunkline_log_segment_opens_total", Kind::Counter, "files", "Times that a file of a segment was opened for reading."),
    plain(
        "trunkline_log_deleted_files_waiting",
        Kind::Gauge,
        "files",
        "Files of removed segments, and directories of deleted topics, that wait for their deletion.",
    ),
    plain("trunkline_log_cleaning_runs_total", Kind::Counter, "partitions", "Partitions that were cleaned."),
    plain("trunkline_log_cleaning_read_bytes_total", Kind::Counter, "bytes", "Bytes of segments read to clean them."),
    plain("trunkline_log_cleaning_written_bytes_total", Kind::Counter, "bytes", "Bytes of segments written in their place."),
    plain("trunkline_log_cleaning_freed_bytes_total", Kind::Counter, "bytes", "Bytes that segments take less because of it."),
    plain("trunkline_log_cleaning_seconds_total", Kind::Counter, "seconds", "Time spent cleaning, its pauses included."),
    plain("trunkline_disk_available_bytes", Kind::Gauge, "bytes", "What may still be written to the disk of the log."),
    plain(
        "trunkline_disk_room",
        Kind::Gauge,
        "0, 1 or 2",
        "0: enough. 1: little, who writes is slowed down. 2: none, records are refused.",
    ),
    plain("trunkline_disk_slow_below_bytes", Kind::Gauge, "bytes", "With less than this available, who writes is slowed down."),
    plain("trunkline_disk_refuse_below_bytes", Kind::Gauge, "bytes", "With less than this available, records are refused."),
    plain(
        "trunkline_disk_paused_seconds_total",
        Kind::Counter,
        "seconds",
        "Time that connections which write were made to pause because the disk was nearly full, together.",
    ),
    plain("trunkline_disk_refused_total", Kind::Counter, "appends", "Appends refused because the disk was full."),
    plain("trunkline_log_memory_tail_bytes", Kind::Gauge, "bytes", "Recent records kept in memory."),
    plain("trunkline_log_memory_tail_max_bytes", Kind::Gauge, "bytes", "How many there may be: `log.memory_tail_bytes`."),
    plain("trunkline_log_in_flight_bytes", Kind::Gauge, "bytes", "Appended and not yet written to the disk."),
    plain("trunkline_log_in_flight_max_bytes", Kind::Gauge, "bytes", "How many there may be: `log.in_flight_bytes`."),
    plain("trunkline_log_held_back_total", Kind::Counter, "appends", "Appends that waited because too much was in flight."),
    Metric {
        name: "trunkline_log_removed_records_total",
        kind: Kind::Counter,
        unit: "records",
        labels: &["reason"],
        help: "Records removed: by `retention_time` or `retention_size`, `consumed` (no view needs them), `compacted` (replaced by a newer one of the key), `trimmed` (asked for) or `deleted` with their topic.",
    },
    plain("trunkline_log_poisoned", Kind::Gauge, "0 or 1", "1 once a sync failed: no append succeeds until a restart."),
    plain("trunkline_start_time_seconds", Kind::Gauge, "seconds", "When the process started, since the epoch."),
    plain("trunkline_resident_memory_bytes", Kind::Gauge, "bytes", "Resident memory of the process."),
    plain("trunkline_cpu_seconds_total", Kind::Counter, "seconds", "User and system time used by the process."),
    Metric {
        name: "trunkline_build_info",
        kind: Kind::Gauge,
        unit: "always 1",
        labels: &["version"],
        help: "The version that runs.",
    },
];

const fn counter(name: &'static str, unit: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, unit, labels: &["dialect"], help }
}

const fn topic(name: &'static str, unit: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, unit, labels: &["topic"], help }
}

const fn plain(name: &'static str, kind: Kind, unit: &'static str, help: &'static str) -> Metric {
    Metric { name, kind, unit, labels: &[], help }
}

/// The metric of that name.
pub(super) fn find(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.name == name)
}

/// Gives the recorder the help texts of what is pushed to it.
pub(super) fn describe(recorder: &PrometheusRecorder) {
    for metric in METRICS {
        let (name, help) = (KeyName::from(metric.name), SharedString::const_str(metric.help));
        match metric.kind {
            Kind::Counter => recorder.describe_counter(name, None, help),
            Kind::Gauge => recorder.describe_gauge(name, None, help),
            Kind::Histogram => recorder.describe_histogram(name, None, help),
        }
    }
}
