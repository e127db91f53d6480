//! What is wrong with a configuration: which key, where it was set, what it takes, and what was probably meant.

use std::fmt;

use thiserror::Error;

/// Everything found wrong at once, so that it is mended in one go.
#[derive(Debug, Error)]
pub enum ConfigError {
    #[error("the configuration file {path} cannot be read: {reason}")]
    File { path: String, reason: String },
    #[error("{}", Lines(.0))]
    Problems(Vec<Problem>),
}

/// One thing that is wrong.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Problem {
    #[error("unknown key `{key}` in {source_name}{}", meant(*.nearest))]
    UnknownKey { key: String, source_name: String, nearest: Option<&'static str> },
    #[error("`{key}` in {source_name} is {found}, but takes {expected}")]
    WrongValue { key: String, source_name: String, found: String, expected: String },
    #[error("`{key}` in {source_name}: {reason}")]
    Impossible { key: String, source_name: String, reason: String },
}

struct Lines<'a>(&'a [Problem]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

fn meant(nearest: Option<&'static str>) -> String {
    nearest.map_or_else(|| ": see `trunkline check-config` for all keys".to_owned(), |name| format!(": did you mean `{name}`?"))
}
