//! The configuration's sections as the plain settings of those who are configured. Nobody below the gateway sees the configuration.

use std::path::Path;

use crate::config::Config;
use crate::log::LogSettings;

pub(super) fn log(config: &Config, directory: &Path) -> LogSettings {
    let log = &config.log;
    LogSettings {
        directory: directory.to_owned(),
        journal_file_bytes: log.journal_file_bytes,
        journal_retain_bytes: log.journal_retain_bytes,
        memory_tail_bytes: size(log.memory_tail_bytes),
        segment_bytes: log.segment_bytes,
        topics_max: size(config.limits.topics),
        ..LogSettings::default()
    }
}

/// What is more than the machine can address is as much as it can.
fn size(value: impl TryInto<usize>) -> usize {
    value.try_into().unwrap_or(usize::MAX)
}
