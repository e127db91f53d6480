//! The parameters that `CONFIG GET` shows and `CONFIG SET` takes.
//!
//! Clients and tools set Redis's tuning knobs without asking whether they exist. Those that have no meaning here are kept and
//! shown, and change nothing; those that would promise something else than the log keeps are refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;

use super::Settings;
use super::error::CommandError;
use super::output_limits::OutputLimits;
use crate::delivery::LagLimits;

/// What `CONFIG SET` may do to a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    /// Kept and shown; no effect.
    Kept,
    /// Takes effect.
    Effective,
    /// Refused.
    Fixed,
}

const OUTPUT_LIMITS: &str = "client-output-buffer-limit";

/// Name, initial value, access.
const PARAMETERS: &[(&str, &str, Access)] = &[
    ("activedefrag", "no", Access::Kept),
    ("active-expire-effort", "1", Access::Kept),
    ("appendfsync", "always", Access::Kept),
    ("appendonly", "yes", Access::Kept),
    ("bind", "127.0.0.1", Access::Fixed),
    (OUTPUT_LIMITS, "", Access::Effective),
    ("client-query-buffer-limit", "1073741824", Access::Kept),
    ("close-on-replica-write", "yes", Access::Kept),
    ("databases", "16", Access::Fixed),
    ("dir", "", Access::Fixed),
    ("hash-max-listpack-entries", "512", Access::Kept),
    ("hash-max-listpack-value", "64", Access::Kept),
    ("hash-max-ziplist-entries", "512", Access::Kept),
    ("hash-max-ziplist-value", "64", Access::Kept),
    ("hz", "10", Access::Kept),
    ("latency-monitor-threshold", "0", Access::Kept),
    ("latency-tracking", "no", Access::Kept),
    ("lazyfree-lazy-user-del", "no", Access::Kept),
    ("lazyfree-lazy-user-flush", "no", Access::Kept),
    ("list-compress-depth", "0", Access::Kept),
    ("list-max-listpack-size", "-2", Access::Kept),
    ("list-max-ziplist-size", "-2", Access::Kept),
    ("maxclients", "10000", Access::Fixed),
    ("maxmemory", "0", Access::Fixed),
    ("maxmemory-policy", "noeviction", Access::Fixed),
    ("notify-keyspace-events", "", Access::Fixed),
    ("port", "6379", Access::Fixed),
    ("proto-max-bulk-len", "536870912", Access::Effective),
    ("save", "", Access::Kept),
    ("set-max-intset-entries", "512", Access::Kept),
    ("slowlog-log-slower-than", "10000", Access::Kept),
    ("slowlog-max-len", "128", Access::Kept),
    ("stream-node-max-bytes", "4096", Access::Kept),
    ("stream-node-max-entries", "100", Access::Kept),
    ("tcp-keepalive", "300", Access::Kept),
    ("timeout", "0", Access::Kept),
    ("zset-max-listpack-entries", "128", Access::Kept),
    ("zset-max-listpack-value", "64", Access::Kept),
    ("zset-max-ziplist-entries", "128", Access::Kept),
    ("zset-max-ziplist-value", "64", Access::Kept),
];

/// The values in force.
#[derive(Debug)]
pub struct Parameters {
    values: RwLock<BTreeMap<&'static str, String>>,
    output_limits: OutputLimits,
}

impl Parameters {
    pub fn new(settings: &Settings) -> Self {
        let mut values: BTreeMap<&'static str, String> =
            PARAMETERS.iter().map(|(name, value, _)| (*name, (*value).to_owned())).collect();
        values.insert("databases", settings.databases.to_string());
        values.insert("maxclients", settings.clients_max.to_string());
        values.insert("proto-max-bulk-len", settings.bulk_bytes_max.to_string());
        let output_limits = OutputLimits::new(settings.subscriber_bytes_max);
        values.insert(OUTPUT_LIMITS, output_limits.classes().to_string());
        Self { values: RwLock::new(values), output_limits }
    }

    /// The parameters whose names match any of the glob patterns.
    pub fn matching(&self, patterns: &[bytes::Bytes]) -> Vec<(&'static str, String)> {
        let values = self.values.read();
        let wanted = |name: &str| patterns.iter().any(|p| super::glob::matches_any_case(p, name.as_bytes()));
        values.iter().filter(|(name, _)| wanted(name)).map(|(name, value)| (*name, value.clone())).collect()
    }

    /// Sets all of the pairs, or none and says why.
    pub fn set(&self, pairs: &[bytes::Bytes]) -> Result<(), CommandError> {
        let mut changes = Vec::new();
        let mut output_limits = None;
        for pair in pairs.chunks(2) {
            let [name, value] = pair else { return Err(CommandError::Arity("config|set")) };
            let name = String::from_utf8_lossy(name).to_ascii_lowercase();
            let value = String::from_utf8_lossy(value).into_owned();
            let known = PARAMETERS.iter().find(|(known, _, _)| *known == name);
            let Some((name, _, access)) = known else { return Err(CommandError::UnknownSetting(name)) };
            let refused = |reason| Err(CommandError::SettingRefused { setting: (*name).to_owned(), reason });
            match access {
                Access::Kept => {}
                Access::Fixed if self.values.read().get(name) == Some(&value) => {}
                Access::Fixed => return refused("can't set immutable config"),
                Access::Effective if *name == OUTPUT_LIMITS => match self.output_limits.changed(&value) {
                    Ok(classes) => output_limits = Some(classes),
                    Err(reason) => return refused(reason),
                },
                Access::Effective if value.parse::<u64>().is_ok_and(|n| n >= 1024 * 1024) => {}
                Access::Effective => return refused("argument must be between 1048576 and 9223372036854775807 inclusive"),
            }
            changes.push((*name, value));
        }
        if let Some(classes) = output_limits {
            self.output_limits.set(classes);
            changes.push((OUTPUT_LIMITS, classes.to_string()));
        }
        self.values.write().extend(changes);
        Ok(())
    }

    /// How far a subscriber may fall behind.
    pub fn subscriber_limits(&self) -> Arc<LagLimits> {
        self.output_limits.subscribers()
    }

    /// How many stream entries make a node, by which streams are trimmed approximately.
    pub fn stream_node_entries(&self) -> u64 {
        let values = self.values.read();
        let entries = values.get("stream-node-max-entries").and_then(|value| value.parse().ok());
        entries.filter(|entries| *entries > 0).unwrap_or(100)
    }

    /// The largest argument of a command, in bytes.
    pub fn bulk_bytes_max(&self) -> usize {
        self.values.read().get("proto-max-bulk-len").and_then(|value| value.parse().ok()).unwrap_or(usize::MAX)
    }
}
