//! The Kafka dialect: what Kafka clients say, and what it means for [`crate::delivery`].
//!
//! [`wire`] is the codec, [`support`] the table of what is answered, [`connection`] one client's task, `handler` one file an
//! API key, [`mapping`] where Kafka's words become the core's. A Kafka topic is a topic, a Kafka record is a record.

mod call;
mod connection;
mod error;
mod handler;
mod mapping;
mod places;
mod sasl;
mod subscription;
pub mod support;
mod topic_config;
pub mod wire;

use std::sync::Arc;

use bytes::Bytes;

use crate::delivery::group::Groups;
use crate::delivery::{Delivery, StartError};
use crate::log::{SegmentSettings, Table, TopicId, TopicSettings};
use crate::net::{Dialect, Incoming};
use crate::security::Authenticator;
use crate::telemetry::DialectMetrics;

/// Durable state of the dialect: the cluster's id.
const STATE: Table = Table("__kafka");
const CLUSTER_ID: &[u8] = b"cluster_id";

/// The id of the one broker that clients see.
pub const NODE_ID: i32 = 1;

/// What the dialect is told at start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The host and port that clients are told to connect to; none: where they reached the gateway.
    pub advertised: Option<(String, u16)>,
    /// Whether asking for a topic that does not exist makes it.
    pub auto_create_topics: bool,
    /// Partitions of a topic that is made without a number of its own.
    pub default_partitions: u32,
    /// A longer request closes its connection, in bytes.
    pub request_bytes_max: usize,
    /// No response to a Fetch is longer than this, but for a single batch, in bytes.
    pub fetch_bytes_max: usize,
    /// How long a topic keeps records unless it says otherwise, in milliseconds; none: for ever.
    pub default_retention_ms: Option<u64>,
    /// The largest record batch unless a topic says otherwise, in bytes.
    pub batch_bytes_max: u32,
    /// The size at which a partition begins another segment unless its topic says otherwise, in bytes.
    pub segment_bytes: u64,
    /// The time that a segment spans unless its topic says otherwise, in milliseconds.
    pub segment_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            advertised: None,
            auto_create_topics: true,
            default_partitions: 1,
            request_bytes_max: 100 << 20,
            fetch_bytes_max: 16 << 20,
            default_retention_ms: Some(7 * 24 * 3_600_000),
            batch_bytes_max: 1 << 20,
            segment_bytes: 512 << 20,
            segment_ms: 7 * 24 * 3_600_000,
        }
    }
}

/// The dialect, ready to serve connections.
pub struct Kafka {
    delivery: Delivery,
    groups: Groups,
    settings: Settings,
    users: Arc<dyn Authenticator>,
    metrics: DialectMetrics,
    cluster_id: String,
}

impl Kafka {
    /// Reads the cluster's id, or makes and keeps one.
    ///
    /// # Errors
    /// The log cannot be read or written.
    pub fn open(
        delivery: Delivery,
        groups: Groups,
        settings: Settings,
        users: Arc<dyn Authenticator>,
        metrics: DialectMetrics,
    ) -> Result<Self, StartError> {
        let cluster_id = cluster_id(&delivery)?;
        Ok(Self { delivery, groups, settings, users, metrics, cluster_id })
    }

    /// What a topic has that is made from here and says nothing else.
    fn new_topic_settings(&self) -> TopicSettings {
        TopicSettings {
            retention_ms: self.settings.default_retention_ms,
            max_message_bytes: self.settings.batch_bytes_max,
            segments: SegmentSettings {
                segment_bytes: Some(self.settings.segment_bytes),
                segment_ms: Some(self.settings.segment_ms),
                ..SegmentSettings::default()
            },
            origin: "kafka".to_owned(),
            ..TopicSettings::default()
        }
    }
}

impl Dialect for Kafka {
    fn name(&self) -> &'static str {
        "kafka"
    }

    async fn serve(self: Arc<Self>, connection: Incoming) {
        connection::serve(self, connection).await;
    }
}

fn cluster_id(delivery: &Delivery) -> Result<String, StartError> {
    let held = delivery.state(STATE)?;
    if let Some((_, id)) = held.iter().find(|(key, _)| key == CLUSTER_ID) {
        return Ok(String::from_utf8_lossy(id).into_owned());
    }
    let id = TopicId(rand::random()).to_base64();
    let mut unit = delivery.begin()?;
    unit.put_state(STATE, Bytes::from_static(CLUSTER_ID), Some(Bytes::from(id.clone())));
    unit.commit();
    Ok(id)
}
