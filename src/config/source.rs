//! The sources above the file: `TRUNKLINE_*` variables and flags, as figment providers that keep text as text.

use std::path::PathBuf;

use figment::value::{Dict, Map, Value};
use figment::{Error, Metadata, Profile, Provider};

use super::keys;

pub(super) const PREFIX: &str = "TRUNKLINE_";
/// Variables of the test suites, which are not the gateway's.
const NOT_OURS: &str = "TRUNKLINE_TEST_";

/// Settings given on the command line.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// The file to read instead of `config/trunkline.toml`; it must exist.
    pub config: Option<PathBuf>,
    /// (flag as the user wrote it, key, value), later ones winning.
    pub values: Vec<(String, String, String)>,
}

/// The variables of the environment that are ours.
pub(super) struct Environment(Vec<(String, String, String)>);

impl Environment {
    /// Takes the variables of a process. Names are the key in capitals with sections joined by `__`; a user's name keeps its case.
    pub(super) fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let ours = variables.into_iter().filter(|(name, _)| name.starts_with(PREFIX) && !name.starts_with(NOT_OURS));
        Self(ours.map(|(name, value)| (name.clone(), key_of(&name), value)).collect())
    }

    /// The variable that set `key`.
    pub(super) fn variable(&self, key: &str) -> Option<&str> {
        written_as(&self.0, key)
    }
}

impl Provider for Environment {
    fn metadata(&self) -> Metadata {
        Metadata::named("environment")
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        Ok(nested(&self.0))
    }
}

impl Flags {
    /// The flag that set `key`, as it was written.
    pub(super) fn flag(&self, key: &str) -> Option<&str> {
        written_as(&self.values, key)
    }
}

impl Provider for Flags {
    fn metadata(&self) -> Metadata {
        Metadata::named("flag")
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        Ok(nested(&self.values))
    }
}

fn written_as<'a>(values: &'a [(String, String, String)], key: &str) -> Option<&'a str> {
    let inside = |set: &str| set == key || set.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'));
    values.iter().rev().find(|(_, set, _)| inside(set)).map(|(written, _, _)| written.as_str())
}

fn key_of(variable: &str) -> String {
    let path: Vec<&str> = variable.get(PREFIX.len()..).unwrap_or_default().split("__").collect();
    let lower = |parts: &[&str]| parts.join(".").to_lowercase();
    match path.as_slice() {
        [sections @ .., user] if lower(sections) == keys::USERS => format!("{}.{user}", keys::USERS),
        parts => lower(parts),
    }
}

/// Turns dotted keys into sections. Text stays text even where it looks like a number: a password of digits is a text.
fn nested(values: &[(String, String, String)]) -> Map<Profile, Dict> {
    let mut root = Dict::new();
    for (_, key, text) in values {
        let keep = keys::find(key).is_none_or(|key| key.kind.is_text());
        let value = if keep { Value::from(text.as_str()) } else { parsed(text) };
        insert(&mut root, key, value);
    }
    Profile::Default.collect(root)
}

fn parsed(text: &str) -> Value {
    // Figment's own parser never fails: what is no number and no flag is a text.
    text.trim().parse().unwrap_or_else(|never| match never {})
}

fn insert(dict: &mut Dict, key: &str, value: Value) {
    let Some((section, rest)) = key.split_once('.') else {
        dict.insert(key.to_owned(), value);
        return;
    };
    let below = dict.entry(section.to_owned()).or_insert_with(|| Value::from(Dict::new()));
    if !matches!(below, Value::Dict(..)) {
        *below = Value::from(Dict::new());
    }
    if let Value::Dict(_, dict) = below {
        insert(dict, rest, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_become_keys_and_a_users_name_keeps_its_case() {
        assert_eq!(key_of("TRUNKLINE_KAFKA__LISTEN"), "kafka.listen");
        assert_eq!(key_of("TRUNKLINE_DATA_DIR"), "data_dir");
        assert_eq!(key_of("TRUNKLINE_SECURITY__USERS__Ann"), "security.users.Ann");
    }

    #[test]
    fn variables_of_others_are_left_alone() {
        let variables = [("PATH", "x"), ("TRUNKLINE_TEST_CACHE", "y"), ("TRUNKLINE_DATA_DIR", "z")];
        let environment = Environment::new(variables.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(environment.0.len(), 1);
        assert_eq!(environment.variable("data_dir"), Some("TRUNKLINE_DATA_DIR"));
    }
}
