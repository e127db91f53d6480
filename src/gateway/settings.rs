//! The configuration's sections as the plain settings of those who are configured. Nobody below the gateway sees the configuration.

use std::path::Path;

use crate::config::Config;
use crate::delivery::group::GroupSettings;
use crate::dialect::{amqp, kafka, redis};
use crate::log::{LogSettings, Watermarks};

pub(super) fn log(config: &Config, directory: &Path) -> LogSettings {
    let log = &config.log;
    LogSettings {
        directory: directory.to_owned(),
        journal_file_bytes: log.journal_file_bytes,
        journal_retain_bytes: log.journal_retain_bytes,
        durability: log.durability,
        watermarks: Watermarks {
            slow_below_bytes: log.disk_slow_below_bytes.max(log.disk_refuse_below_bytes),
            refuse_below_bytes: log.disk_refuse_below_bytes,
        },
        sync_interval_ms: log.sync_interval_ms,
        memory_tail_bytes: size(log.memory_tail_bytes),
        in_flight_bytes_max: log.in_flight_bytes,
        segment_bytes: log.segment_bytes,
        segment_ms: log.segment_ms,
        open_segment_files_max: size(log.open_segment_files),
        retention_interval_ms: log.retention_check_interval_ms,
        cleaning_interval_ms: log.cleaning_check_interval_ms,
        cleaning_bytes_per_s: log.cleaning_bytes_per_s,
        compaction_memory_bytes: size(log.compaction_memory_bytes),
        topics_max: size(config.limits.topics),
        ..LogSettings::default()
    }
}

pub(super) fn groups(config: &Config) -> GroupSettings {
    let groups = &config.groups;
    GroupSettings {
        initial_rebalance_delay_ms: groups.initial_rebalance_delay_ms,
        session_timeout_min_ms: groups.session_timeout_min_ms,
        session_timeout_max_ms: groups.session_timeout_max_ms,
        managed_session_timeout_ms: groups.consumer_session_timeout_ms,
        managed_heartbeat_interval_ms: groups.consumer_heartbeat_interval_ms,
        pattern_refresh_interval_ms: groups.pattern_refresh_interval_ms,
        groups_max: size(groups.max_groups),
        members_max: size(groups.max_members),
        offset_metadata_bytes_max: size(groups.max_offset_metadata_bytes),
        offsets_retention_ms: groups.offsets_retention_ms,
        offsets_check_interval_ms: groups.offsets_check_interval_ms,
        ..GroupSettings::default()
    }
}

pub(super) fn kafka(config: &Config) -> kafka::Settings {
    let kafka = &config.kafka;
    kafka::Settings {
        advertised: host_and_port(&kafka.advertised),
        auto_create_topics: kafka.auto_create_topics,
        default_partitions: kafka.default_partitions,
        request_bytes_max: size(kafka.max_request_bytes),
        fetch_bytes_max: size(kafka.max_fetch_bytes),
        default_retention_ms: Some(kafka.default_retention_ms).filter(|retention_ms| *retention_ms > 0),
        batch_bytes_max: kafka.max_batch_bytes,
        segment_bytes: config.log.segment_bytes,
        segment_ms: config.log.segment_ms,
    }
}

pub(super) fn amqp(config: &Config) -> amqp::Settings {
    let amqp = &config.amqp;
    amqp::Settings {
        heartbeat_s: amqp.heartbeat_s,
        frame_max_bytes: amqp.frame_max_bytes,
        channel_max: amqp.channel_max,
        max_message_bytes: u64::from(amqp.max_message_bytes),
        ..amqp::Settings::default()
    }
}

pub(super) fn redis(config: &Config) -> redis::Settings {
    let redis = &config.redis;
    redis::Settings {
        clients_max: size(config.limits.connections),
        databases: redis.databases,
        bulk_bytes_max: size(redis.max_bulk_bytes),
        automatic_topics_max: size(redis.automatic_topics),
        subscriber_bytes_max: size(redis.max_subscriber_bytes),
        ..redis::Settings::default()
    }
}

/// An address whose form the configuration has checked already; an empty one is none.
fn host_and_port(address: &str) -> Option<(String, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    Some((host.trim_matches(['[', ']']).to_owned(), port.parse().ok()?))
}

/// What is more than the machine can address is as much as it can.
fn size(value: impl TryInto<usize>) -> usize {
    value.try_into().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_advertised_address_is_a_host_and_a_port() {
        assert_eq!(host_and_port("broker.example:9092"), Some(("broker.example".to_owned(), 9092)));
        assert_eq!(host_and_port("[::1]:9092"), Some(("::1".to_owned(), 9092)));
        assert_eq!(host_and_port(""), None);
    }
}
