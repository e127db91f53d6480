//! What the gateway says about itself: metrics for Prometheus and structured logs.
//!
//! Two ways in: hot paths hold cached handles ([`DialectMetrics`]), and what the core knows anyway is asked for when somebody
//! scrapes ([`Telemetry::pull`]). [`METRICS`] lists everything that can come out. The recorder belongs to the [`Telemetry`]
//! that made it, never to the process.

mod dialect;
mod logging;
mod samples;
mod table;

use std::fmt::Write as _;
use std::sync::Arc;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use parking_lot::RwLock;

pub use dialect::{BlockedGuard, ConnectionGuard, DialectMetrics};
pub(crate) use logging::parse_level;
pub use logging::{LogFormat, LogSetupError, init_logging};
pub use samples::{HistogramSnapshot, Samples};
pub use table::{Kind, METRICS, Metric};

/// Asked at every scrape; adds what it knows.
pub type Source = Box<dyn Fn(&mut Samples) + Send + Sync>;

/// The metrics of one gateway. Cheap to clone.
#[derive(Clone)]
pub struct Telemetry {
    recorder: Arc<PrometheusRecorder>,
    handle: PrometheusHandle,
    sources: Arc<RwLock<Vec<Source>>>,
    series_max: usize,
}

impl Telemetry {
    /// Metrics with at most `series_max` series in each family that has a series for a topic.
    #[must_use]
    pub fn new(series_max: usize) -> Self {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        table::describe(&recorder);
        Self { recorder: Arc::new(recorder), handle, sources: Arc::default(), series_max }
    }

    /// Handles for one dialect's hot path.
    #[must_use]
    pub fn dialect(&self, name: &'static str) -> DialectMetrics {
        DialectMetrics::registered(&self.recorder, name)
    }

    /// Adds somebody to ask at every scrape.
    pub fn pull(&self, source: Source) {
        self.sources.write().push(source);
    }

    /// Everything, in Prometheus' text format 0.0.4.
    #[must_use]
    pub fn render(&self) -> String {
        self.handle.run_upkeep();
        let mut text = self.handle.render();
        let mut samples = Samples::new(self.series_max);
        for source in self.sources.read().iter() {
            source(&mut samples);
        }
        // Writing to a string cannot fail.
        let _ = write!(text, "{samples}");
        text
    }
}

impl std::fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Telemetry").field("sources", &self.sources.read().len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dialect_counts_is_rendered_under_its_name() {
        let telemetry = Telemetry::new(10);
        let redis = telemetry.dialect("redis");
        redis.records_in(3, 300);
        redis.records_out(2, 200);
        let open = redis.connection_opened();
        let text = telemetry.render();
        for line in [
            "trunkline_records_in_total{dialect=\"redis\"} 3",
            "trunkline_record_bytes_in_total{dialect=\"redis\"} 300",
            "trunkline_records_out_total{dialect=\"redis\"} 2",
            "trunkline_connections{dialect=\"redis\"} 1",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        drop(open);
        assert!(telemetry.render().contains("trunkline_connections{dialect=\"redis\"} 0"));
    }

    #[test]
    fn a_source_is_asked_at_every_scrape() {
        let telemetry = Telemetry::new(10);
        telemetry.pull(Box::new(|samples| samples.gauge("trunkline_queue_ready", &[("topic", "a\"b")], 7.0)));
        let text = telemetry.render();
        assert!(text.contains("# TYPE trunkline_queue_ready gauge"), "{text}");
        assert!(text.contains("trunkline_queue_ready{topic=\"a\\\"b\"} 7"), "{text}");
    }

    #[test]
    fn every_rendered_family_stands_in_the_table() {
        let telemetry = Telemetry::new(10);
        let metrics = telemetry.dialect("kafka");
        metrics.protocol_error();
        metrics.records_live_only(1);
        for line in telemetry.render().lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let name = line.split(' ').next().unwrap_or_default();
            assert!(METRICS.iter().any(|metric| metric.name == name), "{name} is not in METRICS");
        }
    }
}
