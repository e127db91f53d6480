//! The shipped file, written from the table of keys and the built-in defaults.

use std::fmt::Write as _;

use figment::Figment;
use figment::providers::Serialized;
use figment::value::Value;

use super::Config;
use super::keys::{KEYS, Key, Kind};

const HEAD: &str = "\
# Trunkline's configuration. Every key stands here with its unit and its default, commented out: uncomment what you change.
#
# What is set later wins: built-in defaults, this file, variables (TRUNKLINE_KAFKA__LISTEN=127.0.0.1:9092, sections joined
# by a double underscore), flags (--kafka 127.0.0.1:9092, --set kafka.listen=127.0.0.1:9092).
# `trunkline check-config` prints the result and where each value comes from.
";

const USERS: &str = r#"
# Users and their passwords, in the clear or as Argon2 hashes (`trunkline hash-password`). While there are none, everybody is
# let in: keep the listeners on loopback then. Variables: TRUNKLINE_SECURITY__USERS__ann=...
[security.users]
#ann = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$..."
#bob = "a password in the clear"
"#;

const WIDTH: usize = 118;

/// The text of `config/trunkline.toml`.
#[must_use]
pub fn reference() -> String {
    let defaults = Figment::from(Serialized::defaults(Config::default()));
    let mut text = HEAD.to_owned();
    let mut section = "";
    for key in KEYS {
        let (of, name) = key.name.split_once('.').unwrap_or(("", key.name));
        if of != section {
            section = of;
            // Writing to a string cannot fail.
            let _ = write!(text, "\n[{section}]");
        }
        let default = defaults.find_value(key.name).map(|value| as_toml(&value)).unwrap_or_default();
        text.push('\n');
        for line in wrapped(&comment(key, &default)) {
            let _ = writeln!(text, "# {line}");
        }
        let _ = writeln!(text, "#{name} = {default}");
    }
    text.push_str(USERS);
    text
}

fn comment(key: &Key, default: &str) -> String {
    let about = key.about;
    let unit = if key.unit.is_empty() { String::new() } else { format!(" Unit: {}.", key.unit) };
    let takes = match key.kind {
        Kind::Choice(words) => format!(" One of: {}.", words.join(", ")),
        Kind::Number(min, max) if max < u64::MAX >> 1 => format!(" Range: {min} to {max}."),
        Kind::Number(..) | Kind::Text | Kind::Address | Kind::Flag => String::new(),
    };
    format!("{about}{unit}{takes} Default: {default}.")
}

fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        if let Some(line) = lines.last_mut() {
            if line.is_empty() {
                line.push_str(word);
                continue;
            }
            if line.len() + 1 + word.len() <= WIDTH {
                line.push(' ');
                line.push_str(word);
                continue;
            }
        }
        lines.push(word.to_owned());
    }
    lines
}

fn as_toml(value: &Value) -> String {
    match value {
        Value::String(_, text) => format!("{text:?}"),
        Value::Bool(_, flag) => flag.to_string(),
        Value::Num(_, number) => number.to_u128().map(|number| number.to_string()).unwrap_or_default(),
        Value::Char(..) | Value::Empty(..) | Value::Dict(..) | Value::Array(..) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// To write the file anew: `BLESS=1 cargo test --lib config::reference`.
    #[test]
    fn the_shipped_file_is_the_reference() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config/trunkline.toml");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, reference()).expect("write");
        }
        let shipped = std::fs::read_to_string(&path).expect("config/trunkline.toml");
        assert!(shipped == reference(), "config/trunkline.toml and src/config/keys.rs differ");
    }
}
