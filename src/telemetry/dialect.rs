//! What every dialect counts, through handles that cost an atomic addition.
//!
//! A connection that moves many small records adds them up itself and reports once a round.

use std::sync::Arc;

use metrics::{Counter, Gauge, Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::PrometheusRecorder;

/// The counters of one dialect. Cheap to clone.
#[derive(Clone)]
pub struct DialectMetrics(Arc<Handles>);

struct Handles {
    connections: Gauge,
    connections_blocked: Gauge,
    connections_opened: Counter,
    records_in: Counter,
    bytes_in: Counter,
    records_out: Counter,
    bytes_out: Counter,
    live_only: Counter,
    listeners_cut: Counter,
    protocol_errors: Counter,
}

impl DialectMetrics {
    /// Handles that count nowhere, for tests.
    #[must_use]
    pub fn new(_name: &'static str) -> Self {
        Self(Arc::new(Handles {
            connections: Gauge::noop(),
            connections_blocked: Gauge::noop(),
            connections_opened: Counter::noop(),
            records_in: Counter::noop(),
            bytes_in: Counter::noop(),
            records_out: Counter::noop(),
            bytes_out: Counter::noop(),
            live_only: Counter::noop(),
            listeners_cut: Counter::noop(),
            protocol_errors: Counter::noop(),
        }))
    }

    pub(super) fn registered(recorder: &PrometheusRecorder, dialect: &'static str) -> Self {
        let metadata = Metadata::new(module_path!(), Level::INFO, None);
        let key = |name: &'static str| Key::from_parts(name, vec![Label::new("dialect", dialect)]);
        let counter = |name| recorder.register_counter(&key(name), &metadata);
        Self(Arc::new(Handles {
            connections: recorder.register_gauge(&key("trunkline_connections"), &metadata),
            connections_blocked: recorder.register_gauge(&key("trunkline_connections_blocked"), &metadata),
            connections_opened: counter("trunkline_connections_opened_total"),
            records_in: counter("trunkline_records_in_total"),
            bytes_in: counter("trunkline_record_bytes_in_total"),
            records_out: counter("trunkline_records_out_total"),
            bytes_out: counter("trunkline_record_bytes_out_total"),
            live_only: counter("trunkline_records_live_only_total"),
            listeners_cut: counter("trunkline_listeners_cut_total"),
            protocol_errors: counter("trunkline_protocol_errors_total"),
        }))
    }

    /// `records` were taken in from clients, `bytes` of key, value and headers together.
    pub fn records_in(&self, records: u64, bytes: u64) {
        self.0.records_in.increment(records);
        self.0.bytes_in.increment(bytes);
    }

    /// `records` were handed out to clients.
    pub fn records_out(&self, records: u64, bytes: u64) {
        self.0.records_out.increment(records);
        self.0.bytes_out.increment(bytes);
    }

    /// `records` reached those who listened and were not logged.
    pub fn records_live_only(&self, records: u64) {
        self.0.live_only.increment(records);
    }

    /// A client that listened fell too far behind and was disconnected.
    pub fn listener_cut(&self) {
        self.0.listeners_cut.increment(1);
    }

    /// A client broke the protocol so that its connection had to be closed.
    pub fn protocol_error(&self) {
        self.0.protocol_errors.increment(1);
    }

    /// Counts a connection as open for as long as the guard lives.
    pub fn connection_opened(&self) -> ConnectionGuard {
        self.0.connections_opened.increment(1);
        self.0.connections.increment(1.0);
        ConnectionGuard(Arc::clone(&self.0))
    }

    /// Counts a connection as blocked for as long as the guard lives.
    pub fn connection_blocked(&self) -> BlockedGuard {
        self.0.connections_blocked.increment(1.0);
        BlockedGuard(Arc::clone(&self.0))
    }
}

impl std::fmt::Debug for DialectMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DialectMetrics")
    }
}

/// One open connection.
#[must_use]
pub struct ConnectionGuard(Arc<Handles>);

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.0.connections.decrement(1.0);
    }
}

/// One connection that is not read because the disk is full.
#[must_use]
pub struct BlockedGuard(Arc<Handles>);

impl Drop for BlockedGuard {
    fn drop(&mut self) {
        self.0.connections_blocked.decrement(1.0);
    }
}
