//! The configuration: built-in defaults, then a file, then `TRUNKLINE_*` variables, then flags.
//!
//! [`Config`] is the merged result and nothing else: who uses a part of it gets plain settings built by the gateway.
//! [`KEYS`] says of every key what it means, its unit and its range, and is what the shipped file and every error are made of.

mod error;
mod keys;
mod load;
mod reference;
mod source;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::log::Durability;
use crate::telemetry::LogFormat;

pub use error::{ConfigError, Problem};
pub use keys::{KEYS, Key, Kind};
pub use load::{Loaded, Origin, load};
pub use reference::reference;
pub use source::Flags;

/// Everything that can be configured, by section. See [`KEYS`] for what each key means.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub data_dir: PathBuf,
    pub kafka: Kafka,
    pub amqp: Amqp,
    pub redis: Redis,
    pub http: Http,
    pub groups: Groups,
    pub log: Log,
    pub limits: Limits,
    pub shutdown: Shutdown,
    pub telemetry: Telemetry,
    pub security: Security,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kafka {
    pub listen: String,
    pub advertised: String,
    pub auto_create_topics: bool,
    pub default_partitions: u32,
    pub max_request_bytes: u32,
    pub max_fetch_bytes: u32,
    pub max_batch_bytes: u32,
    pub default_retention_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Amqp {
    pub listen: String,
    pub heartbeat_s: u16,
    pub frame_max_bytes: u32,
    pub channel_max: u16,
    pub max_message_bytes: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redis {
    pub listen: String,
    pub databases: u32,
    pub automatic_topics: u32,
    pub max_bulk_bytes: u32,
    pub max_subscriber_bytes: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    pub listen: String,
    pub queues: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Groups {
    pub initial_rebalance_delay_ms: u32,
    pub session_timeout_min_ms: u32,
    pub session_timeout_max_ms: u32,
    pub consumer_session_timeout_ms: u32,
    pub consumer_heartbeat_interval_ms: u32,
    pub pattern_refresh_interval_ms: u64,
    pub max_groups: u32,
    pub max_members: u32,
    pub max_offset_metadata_bytes: u32,
    pub offsets_retention_ms: u64,
    pub offsets_check_interval_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    pub durability: Durability,
    pub sync_interval_ms: u64,
    pub journal_file_bytes: u64,
    pub journal_retain_bytes: u64,
    pub memory_tail_bytes: u64,
    pub in_flight_bytes: u64,
    pub segment_bytes: u64,
    pub segment_ms: u64,
    pub open_segment_files: u32,
    pub retention_check_interval_ms: u64,
    pub cleaning_check_interval_ms: u64,
    pub cleaning_bytes_per_s: u64,
    pub compaction_memory_bytes: u64,
    pub disk_slow_below_bytes: u64,
    pub disk_refuse_below_bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    pub connections: u32,
    pub topics: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shutdown {
    pub grace_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Telemetry {
    pub log_format: LogFormat,
    pub log_level: String,
    pub series_max: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Security {
    /// User name to password or Argon2 hash.
    #[serde(default)]
    pub users: BTreeMap<String, String>,
}

const KIB: u32 = 1024;
const MIB: u32 = 1024 * KIB;
const MIB_64: u64 = MIB as u64;

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("data"),
            kafka: Kafka {
                listen: "127.0.0.1:9092".to_owned(),
                advertised: String::new(),
                auto_create_topics: true,
                default_partitions: 1,
                max_request_bytes: 100 * MIB,
                max_fetch_bytes: 16 * MIB,
                max_batch_bytes: MIB,
                default_retention_ms: 7 * 24 * 3_600_000,
            },
            amqp: Amqp {
                listen: "127.0.0.1:5672".to_owned(),
                heartbeat_s: 60,
                frame_max_bytes: 128 * KIB,
                channel_max: 2047,
                max_message_bytes: 16 * MIB,
            },
            redis: Redis {
                listen: "127.0.0.1:6379".to_owned(),
                databases: 16,
                automatic_topics: 10_000,
                max_bulk_bytes: 512 * MIB,
                max_subscriber_bytes: 32 * MIB,
            },
            http: Http { listen: "127.0.0.1:8080".to_owned(), queues: false },
            groups: Groups {
                initial_rebalance_delay_ms: 100,
                session_timeout_min_ms: 6_000,
                session_timeout_max_ms: 1_800_000,
                consumer_session_timeout_ms: 45_000,
                consumer_heartbeat_interval_ms: 5_000,
                pattern_refresh_interval_ms: 5_000,
                max_groups: 100_000,
                max_members: 2_000,
                max_offset_metadata_bytes: 4_096,
                offsets_retention_ms: 7 * 24 * 3_600_000,
                offsets_check_interval_ms: 600_000,
            },
            log: Log {
                durability: Durability::Fsync,
                sync_interval_ms: 1_000,
                journal_file_bytes: 64 * MIB_64,
                journal_retain_bytes: 256 * MIB_64,
                memory_tail_bytes: 64 * MIB_64,
                in_flight_bytes: 64 * MIB_64,
                segment_bytes: 512 * MIB_64,
                segment_ms: 7 * 24 * 3_600_000,
                open_segment_files: 1_000,
                retention_check_interval_ms: 30_000,
                cleaning_check_interval_ms: 15_000,
                cleaning_bytes_per_s: 64 * MIB_64,
                compaction_memory_bytes: 32 * MIB_64,
                disk_slow_below_bytes: 512 * MIB_64,
                disk_refuse_below_bytes: 128 * MIB_64,
            },
            limits: Limits { connections: 10_000, topics: 1_000_000 },
            shutdown: Shutdown { grace_ms: 5_000 },
            telemetry: Telemetry { log_format: LogFormat::Text, log_level: "info".to_owned(), series_max: 1_000 },
            security: Security::default(),
        }
    }
}
