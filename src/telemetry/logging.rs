//! Structured logs on standard error, as text or one JSON object a line. Peer, dialect and connection number stand in the
//! span of every line that a connection writes.

use std::io::IsTerminal;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines: one object a line.
    Json,
}

/// Why logging could not be set up.
#[derive(Debug, Error)]
pub enum LogSetupError {
    #[error("telemetry.log_level: `{level}` is no level and no filter: {reason}. Levels: error, warn, info, debug, trace")]
    InvalidLevel { level: String, reason: String },
}

/// Starts logging for the process. A second call in one process changes nothing.
pub fn init_logging(format: LogFormat, level: &str) -> Result<(), LogSetupError> {
    let filter = parse_level(level)?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_span_events(FmtSpan::NONE);
    // An error only says that the process logs already, as in tests.
    let _ = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    Ok(())
}

/// Checks a level, or a filter such as `info,trunkline::dialect::redis=debug`.
pub(crate) fn parse_level(level: &str) -> Result<EnvFilter, LogSetupError> {
    let invalid = |reason: String| LogSetupError::InvalidLevel { level: level.to_owned(), reason };
    let looks_like_a_level = !level.contains([',', '=', ':']);
    if looks_like_a_level && level.parse::<tracing::Level>().is_err() && level != "off" {
        return Err(invalid("unknown level".to_owned()));
    }
    EnvFilter::try_new(level).map_err(|error| invalid(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_filters_are_taken_and_nonsense_is_not() {
        for level in ["info", "off", "warn,trunkline::log=debug"] {
            assert!(parse_level(level).is_ok(), "{level}");
        }
        for level in ["loud", "", "trunkline=loud"] {
            assert!(parse_level(level).is_err(), "{level}");
        }
    }
}
