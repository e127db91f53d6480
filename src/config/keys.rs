//! Every key as data: its meaning, unit and range. The shipped file is written from this table, and errors name their way out by it.

/// One key of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Section and name, joined by a dot.
    pub name: &'static str,
    pub kind: Kind,
    /// What the value counts. Empty where it counts nothing.
    pub unit: &'static str,
    pub about: &'static str,
}

/// What values a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// `host:port`, or nothing.
    Address,
    /// `true` or `false`.
    Flag,
    /// An integer from the first to the second, both included.
    Number(u64, u64),
    /// One of these words.
    Choice(&'static [&'static str]),
}

const LISTEN: &str = "Where clients connect. Port 0 takes any free port; an empty text turns the listener off.";
const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

/// Every key, in the order of the shipped file. `security.users.NAME` is the one that is not a fixed name.
pub const KEYS: &[Key] = &[
    text("data_dir", "The directory of the log. Created when it is missing; held by one process at a time."),
    address("kafka.listen", LISTEN),
    address(
        "kafka.advertised",
        "The host:port that Kafka clients are told to connect to. Empty: the address they reached the gateway at.",
    ),
    flag("kafka.auto_create_topics", "Whether asking for a topic that does not exist creates it."),
    number("kafka.default_partitions", "partitions", 1, 10_000, "Partitions of a topic created without a number of its own."),
    number("kafka.max_request_bytes", "bytes", MIB, GIB, "A longer request closes its connection."),
    number("kafka.max_fetch_bytes", "bytes", MIB, GIB, "The longest response to a Fetch, unless a single batch is longer."),
    number("kafka.max_batch_bytes", "bytes", KIB, 128 * MIB, "The largest record batch unless a topic says otherwise."),
    number(
        "kafka.default_retention_ms",
        "milliseconds",
        0,
        u64::MAX >> 1,
        "How long a topic made by Kafka keeps records unless it says otherwise; 0 keeps them for ever.",
    ),
    address("amqp.listen", LISTEN),
    number("amqp.heartbeat_s", "seconds", 0, 3600, "The heartbeat proposed to clients; 0 proposes none."),
    number("amqp.frame_max_bytes", "bytes", 4 * KIB, 16 * MIB, "The largest frame proposed to clients."),
    number("amqp.channel_max", "channels", 1, 65_535, "Channels a connection may have open."),
    number("amqp.max_message_bytes", "bytes", KIB, 128 * MIB, "A larger message is refused and closes its channel."),
    address("redis.listen", LISTEN),
    number(
        "redis.databases",
        "databases",
        1,
        10_000,
        "Numbered databases for SELECT; those other than 0 are prefixes of topic names.",
    ),
    number(
        "redis.automatic_topics",
        "topics",
        0,
        10_000_000,
        "Topics that PUBLISH may create. Beyond it a channel reaches its subscribers and is not logged.",
    ),
    number("redis.max_bulk_bytes", "bytes", MIB, 512 * MIB, "The longest argument of a command (proto-max-bulk-len)."),
    number("redis.max_subscriber_bytes", "bytes", 64 * KIB, GIB, "A subscriber that is further behind is disconnected."),
    address("http.listen", "Where /metrics, /healthz and /readyz are. Port 0 takes any free port; an empty text turns it off."),
    flag("http.queues", "Whether /api/queues looks into queues and changes them: whoever reaches http.listen may do so."),
    number(
        "groups.initial_rebalance_delay_ms",
        "milliseconds",
        0,
        3_600_000,
        "How long an empty group waits for more members before its first round (group.initial.rebalance.delay.ms).",
    ),
    number(
        "groups.session_timeout_min_ms",
        "milliseconds",
        1,
        86_400_000,
        "Shortest session timeout that a member of a classic group may ask for (group.min.session.timeout.ms).",
    ),
    number(
        "groups.session_timeout_max_ms",
        "milliseconds",
        1,
        86_400_000,
        "Longest session timeout that a member of a classic group may ask for (group.max.session.timeout.ms).",
    ),
    number(
        "groups.consumer_session_timeout_ms",
        "milliseconds",
        100,
        86_400_000,
        "How long a member may be silent in a group that the gateway assigns (group.consumer.session.timeout.ms).",
    ),
    number(
        "groups.consumer_heartbeat_interval_ms",
        "milliseconds",
        10,
        3_600_000,
        "How often members of such groups are told to come (group.consumer.heartbeat.interval.ms).",
    ),
    number(
        "groups.pattern_refresh_interval_ms",
        "milliseconds",
        0,
        86_400_000,
        "How often, at most, topics are looked for that match a member's regular expression.",
    ),
    number("groups.max_groups", "groups", 1, 10_000_000, "Groups that exist at the same time; more are refused."),
    number("groups.max_members", "members", 1, 100_000, "Members of one group (group.max.size); more are refused."),
    number(
        "groups.max_offset_metadata_bytes",
        "bytes",
        0,
        KIB * KIB,
        "Metadata with one committed offset (offset.metadata.max.bytes).",
    ),
    number(
        "groups.offsets_retention_ms",
        "milliseconds",
        0,
        u64::MAX >> 1,
        "How long committed offsets stay when their group is empty, or its members do not want the topic (offsets.retention.minutes).",
    ),
    number(
        "groups.offsets_check_interval_ms",
        "milliseconds",
        1,
        86_400_000,
        "How often is looked for offsets that expired (offsets.retention.check.interval.ms).",
    ),
    Key {
        name: "log.durability",
        kind: Kind::Choice(&["fsync", "interval", "os"]),
        unit: "",
        about: "What is acknowledged when, unless a topic says otherwise. fsync: on disk. interval: handed to the operating system, \
                and synced within log.sync_interval_ms. os: handed to the operating system. Both survive kill -9; only fsync \
                survives a power cut without loss.",
    },
    number(
        "log.sync_interval_ms",
        "milliseconds",
        1,
        3_600_000,
        "How long what is written with durability interval may stay unsynced.",
    ),
    number("log.journal_file_bytes", "bytes", MIB, 4 * GIB, "Size at which the journal begins a new file."),
    number("log.journal_retain_bytes", "bytes", MIB, 1024 * GIB, "Journal kept before the oldest file moves to segments."),
    number("log.memory_tail_bytes", "bytes", MIB, 1024 * GIB, "Recent records kept in memory for live readers."),
    number(
        "log.in_flight_bytes",
        "bytes",
        MIB,
        1024 * GIB,
        "Appended and not yet written to the disk; while there is more, whoever writes waits.",
    ),
    number("log.segment_bytes", "bytes", MIB, GIB, "Size at which a partition begins a new segment."),
    number(
        "log.segment_ms",
        "milliseconds",
        1,
        u64::MAX >> 1,
        "Time between the first and the last record of a segment at which a partition begins a new one.",
    ),
    number("log.open_segment_files", "files", 1, 1_000_000, "Files of segments that stay open between reads."),
    number(
        "log.retention_check_interval_ms",
        "milliseconds",
        10,
        86_400_000,
        "How often it is looked at what retention removes.",
    ),
    number(
        "log.cleaning_check_interval_ms",
        "milliseconds",
        10,
        86_400_000,
        "How often it is looked at which partitions are to be compacted, or freed of what no view needs.",
    ),
    number(
        "log.cleaning_bytes_per_s",
        "bytes a second",
        64 * KIB,
        1024 * GIB,
        "How fast segments are cleaned, counting what is read and what is written.",
    ),
    number(
        "log.compaction_memory_bytes",
        "bytes",
        64 * KIB,
        1024 * GIB,
        "Memory for the keys that one pass of compaction looks at; more keys take more passes.",
    ),
    number(
        "log.disk_slow_below_bytes",
        "bytes",
        0,
        u64::MAX >> 1,
        "With less room than this on the disk, who writes is slowed down, the more the less there is.",
    ),
    number(
        "log.disk_refuse_below_bytes",
        "bytes",
        0,
        u64::MAX >> 1,
        "With less room than this on the disk, records are refused until there is a quarter more.",
    ),
    number("limits.connections", "connections", 1, 1_000_000, "Connections over all dialects; more are refused."),
    number("limits.topics", "topics", 1, 100_000_000, "Topics over all dialects; more are refused."),
    number(
        "shutdown.grace_ms",
        "milliseconds",
        0,
        3_600_000,
        "How long what is in flight may take to finish when the gateway ends.",
    ),
    Key {
        name: "telemetry.log_format",
        kind: Kind::Choice(&["text", "json"]),
        unit: "",
        about: "How a log line looks: text for people, json for machines.",
    },
    text(
        "telemetry.log_level",
        "error, warn, info, debug, trace or off, or a filter such as `info,trunkline::dialect::redis=debug`.",
    ),
    number(
        "telemetry.series_max",
        "series",
        0,
        1_000_000,
        "Series of one metric that has a series for each topic; the rest are left out and counted.",
    ),
];

const fn text(name: &'static str, about: &'static str) -> Key {
    Key { name, kind: Kind::Text, unit: "", about }
}

const fn address(name: &'static str, about: &'static str) -> Key {
    Key { name, kind: Kind::Address, unit: "", about }
}

const fn flag(name: &'static str, about: &'static str) -> Key {
    Key { name, kind: Kind::Flag, unit: "", about }
}

const fn number(name: &'static str, unit: &'static str, min: u64, max: u64, about: &'static str) -> Key {
    Key { name, kind: Kind::Number(min, max), unit, about }
}

/// The keys below this are the users' names.
pub(super) const USERS: &str = "security.users";

/// The key of that name; a user's key counts as text.
pub(super) fn find(name: &str) -> Option<Key> {
    let user = name.strip_prefix(USERS).and_then(|rest| rest.strip_prefix('.'));
    if user.is_some_and(|user| !user.is_empty()) {
        return Some(text(USERS, "A user's password or Argon2 hash."));
    }
    KEYS.iter().find(|key| key.name == name).copied()
}

/// The name that somebody who wrote `wrong` most likely meant.
pub(super) fn nearest(wrong: &str) -> Option<&'static str> {
    const LIKE_ENOUGH: f64 = 0.75;
    let last = |name: &str| name.rsplit('.').next().map(str::to_owned).unwrap_or_default();
    KEYS.iter()
        .map(|key| {
            let whole = strsim::jaro_winkler(wrong, key.name);
            // The right name in the wrong section (or in none) is the commonest slip.
            let moved = if last(wrong) == last(key.name) { 0.9 } else { 0.0 };
            (key.name, f64::max(whole, moved))
        })
        .filter(|(_, likeness)| *likeness >= LIKE_ENOUGH)
        .max_by(|left, right| left.1.total_cmp(&right.1))
        .map(|(name, _)| name)
}

impl Kind {
    /// What the key takes, for an error's text.
    #[must_use]
    pub fn expected(self) -> String {
        match self {
            Self::Text => "a text".to_owned(),
            Self::Address => "an address such as \"127.0.0.1:9092\"".to_owned(),
            Self::Flag => "true or false".to_owned(),
            Self::Number(min, max) => format!("a whole number from {min} to {max}"),
            Self::Choice(words) => format!("one of {}", words.join(", ")),
        }
    }

    /// Whether a value that comes as text (a variable, a flag) is to be kept as it is.
    pub(super) fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::Address | Self::Choice(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_across_typos_and_sections() {
        assert_eq!(nearest("kafka.lisen"), Some("kafka.listen"));
        assert_eq!(nearest("max_message_bytes"), Some("amqp.max_message_bytes"));
        assert_eq!(nearest("datadir"), Some("data_dir"));
        assert_eq!(nearest("zzz"), None);
    }

    #[test]
    fn a_users_key_is_text() {
        assert_eq!(find("security.users.ann").map(|key| key.kind), Some(Kind::Text));
        assert!(find("security.users.").is_none());
        assert!(find("security.user.ann").is_none());
    }
}
