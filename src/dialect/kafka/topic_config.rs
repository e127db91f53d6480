//! A topic's settings as Kafka's configuration keys: what each says, which values it takes, and which keys have no effect here.

use crate::log::{Cleanup, Durability, Partitioner, SegmentSettings, TopicSettings};

/// What kind of value a key has, with Kafka's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub enum ValueKind {
    Boolean = 1,
    Text = 2,
    Int = 3,
    Long = 5,
    Double = 6,
    List = 7,
}

/// One key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub name: &'static str,
    pub value: String,
    pub default: String,
    pub kind: ValueKind,
}

/// Why a value was not taken; the text is for the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

/// Keys that say how Kafka lays out its files or when it works on them. They are taken and have no effect.
pub const WITHOUT_EFFECT: &[&str] =
    &["flush.messages", "flush.ms", "index.interval.bytes", "preallocate", "segment.index.bytes", "segment.jitter.ms"];

/// Keys that can be set, besides those of which each value is the same.
#[cfg(test)]
pub const SETTABLE: &[&str] = &[
    "cleanup.policy",
    "delete.retention.ms",
    "file.delete.delay.ms",
    "max.compaction.lag.ms",
    "max.message.bytes",
    "message.timestamp.type",
    "min.cleanable.dirty.ratio",
    "min.compaction.lag.ms",
    "retention.bytes",
    "retention.ms",
    "segment.bytes",
    "segment.ms",
];

/// Keys that are what they are: another value is refused.
pub const FIXED: &[(&str, &str, ValueKind)] = &[
    ("compression.type", "producer", ValueKind::Text),
    ("min.insync.replicas", "1", ValueKind::Int),
    ("unclean.leader.election.enable", "false", ValueKind::Boolean),
];

/// When writes to the topic are acknowledged. Kafka has no such key: there it is for the server alone.
const DURABILITY: &str = "durability";
const DURABILITIES: [Option<Durability>; 4] = [None, Some(Durability::Fsync), Some(Durability::Interval), Some(Durability::Os)];

/// Where records go that come without a partition: what other dialects write. Kafka's producers choose for themselves.
const PARTITIONER: &str = "partitioner";

const BATCH_BYTES_MAX: u32 = 128 << 20;
/// Segments that are smaller would be too many; the indexes cannot say where something lies in larger ones.
const SEGMENT_BYTES: std::ops::RangeInclusive<u64> = (1 << 20)..=(i32::MAX as u64);
/// What Kafka writes for no bound on a lag.
const NO_LAG_BOUND: u64 = i64::MAX as u64;
const MILLION: f64 = 1e6;

/// All keys of a topic, in their order.
pub fn entries(settings: &TopicSettings, defaults: &TopicSettings) -> Vec<Entry> {
    let entry = |name, kind, value: &dyn Fn(&TopicSettings) -> String| Entry {
        name,
        kind,
        value: value(settings),
        default: value(defaults),
    };
    let mut entries = vec![
        entry("cleanup.policy", ValueKind::List, &|s| cleanup_text(s.cleanup).to_owned()),
        entry("delete.retention.ms", ValueKind::Long, &|s| s.segments.delete_retention_ms.to_string()),
        entry("file.delete.delay.ms", ValueKind::Long, &|s| s.segments.file_delete_delay_ms.to_string()),
        entry("max.compaction.lag.ms", ValueKind::Long, &|s| {
            s.segments.max_compaction_lag_ms.unwrap_or(NO_LAG_BOUND).to_string()
        }),
        entry("min.cleanable.dirty.ratio", ValueKind::Double, &|s| (f64::from(s.segments.min_dirty_ppm) / MILLION).to_string()),
        entry("min.compaction.lag.ms", ValueKind::Long, &|s| s.segments.min_compaction_lag_ms.to_string()),
        entry("segment.bytes", ValueKind::Int, &|s| or_default(s.segments.segment_bytes, defaults.segments.segment_bytes)),
        entry("segment.ms", ValueKind::Long, &|s| or_default(s.segments.segment_ms, defaults.segments.segment_ms)),
        entry(DURABILITY, ValueKind::Text, &|s| durability_text(s.durability).to_owned()),
        entry("max.message.bytes", ValueKind::Int, &|s| s.max_message_bytes.to_string()),
        entry("message.timestamp.type", ValueKind::Text, &|s| timestamp_text(s.log_append_time).to_owned()),
        entry(PARTITIONER, ValueKind::Text, &|s| s.partitioner.name().to_owned()),
        entry("retention.bytes", ValueKind::Long, &|s| bound_text(s.retention_bytes)),
        entry("retention.ms", ValueKind::Long, &|s| bound_text(s.retention_ms)),
    ];
    for (name, value, kind) in FIXED {
        entries.push(Entry { name, kind: *kind, value: (*value).to_owned(), default: (*value).to_owned() });
    }
    entries.sort_by_key(|entry| entry.name);
    entries
}

/// Sets a key; no value sets it back to its default.
pub fn set(settings: &mut TopicSettings, defaults: &TopicSettings, name: &str, value: Option<&str>) -> Result<(), ConfigError> {
    let invalid = |value: &str, wanted: &str| Err(ConfigError(format!("{name}: {value} is not {wanted}")));
    match (name, value) {
        ("cleanup.policy", None) => settings.cleanup = defaults.cleanup,
        ("cleanup.policy", Some(value)) => match parse_cleanup(value) {
            Some(cleanup) => settings.cleanup = cleanup,
            None => return invalid(value, "delete, compact, both, or consumed"),
        },
        (DURABILITY, None) => settings.durability = defaults.durability,
        (DURABILITY, Some(value)) => {
            let known = DURABILITIES.iter().find(|known| durability_text(**known) == value.trim());
            let Some(known) = known else { return invalid(value, "fsync, interval, os or configured") };
            settings.durability = *known;
        }
        (PARTITIONER, None) => settings.partitioner = defaults.partitioner,
        (PARTITIONER, Some(value)) => {
            let Some(known) = Partitioner::named(value.trim().as_bytes()) else { return invalid(value, Partitioner::NAMES) };
            settings.partitioner = known;
        }
        ("max.message.bytes", None) => settings.max_message_bytes = defaults.max_message_bytes,
        ("max.message.bytes", Some(value)) => match value.trim().parse() {
            Ok(bytes) if bytes <= BATCH_BYTES_MAX => settings.max_message_bytes = bytes,
            _ => return invalid(value, "a number of bytes up to 134217728"),
        },
        ("message.timestamp.type", None) => settings.log_append_time = defaults.log_append_time,
        ("message.timestamp.type", Some("CreateTime")) => settings.log_append_time = false,
        ("message.timestamp.type", Some("LogAppendTime")) => settings.log_append_time = true,
        ("message.timestamp.type", Some(value)) => return invalid(value, "CreateTime or LogAppendTime"),
        ("retention.bytes", None) => settings.retention_bytes = defaults.retention_bytes,
        ("retention.ms", None) => settings.retention_ms = defaults.retention_ms,
        ("retention.bytes" | "retention.ms", Some(value)) => {
            let Some(bound) = parse_bound(value) else { return invalid(value, "a number from 0 on, or -1 for no bound") };
            let place = if name == "retention.ms" { &mut settings.retention_ms } else { &mut settings.retention_bytes };
            *place = bound;
        }
        (name, value) => return set_of_segments(&mut settings.segments, &defaults.segments, name, value),
    }
    Ok(())
}

fn set_of_segments(
    settings: &mut SegmentSettings,
    defaults: &SegmentSettings,
    name: &str,
    value: Option<&str>,
) -> Result<(), ConfigError> {
    let Some(text) = value else {
        match name {
            "delete.retention.ms" => settings.delete_retention_ms = defaults.delete_retention_ms,
            "file.delete.delay.ms" => settings.file_delete_delay_ms = defaults.file_delete_delay_ms,
            "max.compaction.lag.ms" => settings.max_compaction_lag_ms = defaults.max_compaction_lag_ms,
            "min.cleanable.dirty.ratio" => settings.min_dirty_ppm = defaults.min_dirty_ppm,
            "min.compaction.lag.ms" => settings.min_compaction_lag_ms = defaults.min_compaction_lag_ms,
            "segment.bytes" => settings.segment_bytes = defaults.segment_bytes,
            "segment.ms" => settings.segment_ms = defaults.segment_ms,
            name => return set_without_effect(name, None),
        }
        return Ok(());
    };
    let invalid = |wanted: &str| ConfigError(format!("{name}: {text} is not {wanted}"));
    let count = || text.trim().parse::<i64>().ok().and_then(|count| u64::try_from(count).ok());
    let time = || count().ok_or_else(|| invalid("a number of milliseconds from 0 on"));
    match name {
        "delete.retention.ms" => settings.delete_retention_ms = time()?,
        "file.delete.delay.ms" => settings.file_delete_delay_ms = time()?,
        "max.compaction.lag.ms" => {
            let lag_ms = time().ok().filter(|lag_ms| *lag_ms > 0).ok_or_else(|| invalid("a number of milliseconds from 1 on"))?;
            settings.max_compaction_lag_ms = Some(lag_ms).filter(|lag_ms| *lag_ms < NO_LAG_BOUND);
        }
        "min.cleanable.dirty.ratio" => {
            let ratio: Option<f64> = text.trim().parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
            settings.min_dirty_ppm = (ratio.ok_or_else(|| invalid("a number from 0 to 1"))? * MILLION).round() as u32;
        }
        "min.compaction.lag.ms" => settings.min_compaction_lag_ms = time()?,
        "segment.bytes" => {
            let bytes = count().filter(|bytes| SEGMENT_BYTES.contains(bytes));
            settings.segment_bytes = Some(bytes.ok_or_else(|| invalid("a number of bytes from 1048576 to 2147483647"))?);
        }
        "segment.ms" => {
            let ms = count().filter(|ms| *ms > 0);
            settings.segment_ms = Some(ms.ok_or_else(|| invalid("a number of milliseconds from 1 on"))?);
        }
        name => return set_without_effect(name, value),
    }
    Ok(())
}

fn set_without_effect(name: &str, value: Option<&str>) -> Result<(), ConfigError> {
    if let Some((_, fixed, _)) = FIXED.iter().find(|(fixed, _, _)| *fixed == name) {
        return match value {
            Some(value) if value.trim() != *fixed => Err(ConfigError(format!("{name} can only be {fixed}"))),
            _ => Ok(()),
        };
    }
    if WITHOUT_EFFECT.contains(&name) { Ok(()) } else { Err(ConfigError(format!("{name} is not supported"))) }
}

fn parse_cleanup(value: &str) -> Option<Cleanup> {
    let mut words: Vec<_> = value.split(',').map(str::trim).collect();
    words.sort_unstable();
    match words.as_slice() {
        ["delete"] => Some(Cleanup::Delete),
        ["compact"] => Some(Cleanup::Compact),
        ["compact", "delete"] => Some(Cleanup::CompactDelete),
        ["consumed"] => Some(Cleanup::Consumed),
        _ => None,
    }
}

fn or_default(own: Option<u64>, default: Option<u64>) -> String {
    own.or(default).unwrap_or_default().to_string()
}

fn parse_bound(value: &str) -> Option<Option<u64>> {
    match value.trim().parse::<i64>().ok()? {
        -1 => Some(None),
        bound => u64::try_from(bound).ok().map(Some),
    }
}

fn bound_text(bound: Option<u64>) -> String {
    bound.map_or_else(|| "-1".to_owned(), |bound| bound.to_string())
}

fn durability_text(durability: Option<Durability>) -> &'static str {
    match durability {
        None => "configured",
        Some(Durability::Fsync) => "fsync",
        Some(Durability::Interval) => "interval",
        Some(Durability::Os) => "os",
    }
}

fn cleanup_text(cleanup: Cleanup) -> &'static str {
    match cleanup {
        Cleanup::Delete => "delete",
        Cleanup::Compact => "compact",
        Cleanup::CompactDelete => "compact,delete",
        Cleanup::Consumed => "consumed",
    }
}

fn timestamp_text(log_append_time: bool) -> &'static str {
    if log_append_time { "LogAppendTime" } else { "CreateTime" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(name: &str, value: Option<&str>) -> Result<TopicSettings, ConfigError> {
        let defaults = TopicSettings::default();
        let mut settings = TopicSettings { retention_ms: Some(5), max_message_bytes: 7, ..defaults.clone() };
        set(&mut settings, &defaults, name, value).map(|()| settings)
    }

    #[test]
    fn keys_change_what_they_name() {
        assert_eq!(changed("retention.ms", Some("-1")).map(|s| s.retention_ms), Ok(None));
        assert_eq!(changed("retention.ms", Some("1000")).map(|s| s.retention_ms), Ok(Some(1000)));
        assert_eq!(changed("retention.ms", None).map(|s| s.retention_ms), Ok(TopicSettings::default().retention_ms));
        assert_eq!(changed("cleanup.policy", Some("compact")).map(|s| s.cleanup), Ok(Cleanup::Compact));
        assert_eq!(changed("message.timestamp.type", Some("LogAppendTime")).map(|s| s.log_append_time), Ok(true));
        assert_eq!(changed("durability", Some("os")).map(|s| s.durability), Ok(Some(Durability::Os)));
        assert_eq!(changed("durability", Some("configured")).map(|s| s.durability), Ok(None));
        assert_eq!(changed("partitioner", Some("round-robin")).map(|s| s.partitioner), Ok(Partitioner::RoundRobin));
        assert_eq!(changed("max.message.bytes", Some("99")).map(|s| s.max_message_bytes), Ok(99));
    }

    #[test]
    fn keys_of_segments_change_what_they_name_and_go_back_to_their_defaults() {
        for (name, value, shown) in [
            ("cleanup.policy", "delete, compact", "compact,delete"),
            ("delete.retention.ms", "7", "7"),
            ("file.delete.delay.ms", "0", "0"),
            ("max.compaction.lag.ms", "9", "9"),
            ("min.cleanable.dirty.ratio", "0.01", "0.01"),
            ("min.compaction.lag.ms", "3", "3"),
            ("segment.bytes", "1048576", "1048576"),
            ("segment.ms", "60000", "60000"),
        ] {
            let defaults = TopicSettings::default();
            let value_of = |settings: &TopicSettings| {
                let entry = entries(settings, &defaults).into_iter().find(|entry| entry.name == name);
                entry.map(|entry| entry.value)
            };
            let mut settings = defaults.clone();
            assert_eq!(set(&mut settings, &defaults, name, Some(value)), Ok(()));
            assert_eq!(value_of(&settings).as_deref(), Some(shown), "{name}");
            assert_eq!(set(&mut settings, &defaults, name, None), Ok(()));
            assert_eq!(settings, defaults, "{name}");
        }
    }

    #[test]
    fn what_is_not_supported_says_so() {
        for (name, value) in [
            ("cleanup.policy", "compact,consumed"),
            ("segment.bytes", "1"),
            ("segment.ms", "0"),
            ("min.cleanable.dirty.ratio", "1.5"),
            ("delete.retention.ms", "-1"),
            ("retention.ms", "-2"),
            ("retention.bytes", "lots"),
            ("durability", "fast"),
            ("partitioner", "best"),
            ("max.message.bytes", "999999999999"),
            ("min.insync.replicas", "2"),
            ("remote.storage.enable", "true"),
            ("no.such.key", "1"),
        ] {
            assert!(changed(name, Some(value)).is_err(), "{name}={value}");
        }
        assert!(changed("flush.ms", Some("1")).is_ok());
        assert!(changed("compression.type", Some("producer")).is_ok());
    }

    #[test]
    fn every_key_that_is_shown_can_be_set_to_what_it_shows() {
        let segments = SegmentSettings { segment_bytes: Some(1 << 20), segment_ms: Some(5), ..SegmentSettings::default() };
        let defaults = TopicSettings { segments, ..TopicSettings::default() };
        for entry in entries(&defaults, &defaults) {
            assert_eq!(entry.value, entry.default);
            let mut settings = defaults.clone();
            assert_eq!(set(&mut settings, &defaults, entry.name, Some(&entry.value)), Ok(()), "{}", entry.name);
            assert_eq!(settings, defaults);
        }
    }
}
