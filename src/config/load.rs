//! Merging the sources, and finding everything that is wrong with the result before anything starts.

use std::net::ToSocketAddrs;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::error::Kind as FigmentKind;
use figment::providers::{Format, Serialized, Toml};
use figment::value::{Num, Value};

use super::Config;
use super::error::{ConfigError, Problem};
use super::keys::{self, KEYS, Kind};
use super::source::{Environment, Flags};

/// Read when no other file is named and it exists.
const DEFAULT_FILE: &str = "config/trunkline.toml";

/// A valid configuration and where each value comes from.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    /// Every key in the order of [`KEYS`], users last. Passwords are not shown.
    pub origins: Vec<Origin>,
}

/// One key, its value as TOML, and what set it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub key: String,
    pub value: String,
    pub source: String,
}

/// Merges defaults, file, `environment` and `flags`.
pub fn load(flags: &Flags, environment: impl IntoIterator<Item = (String, String)>) -> Result<Loaded, ConfigError> {
    let environment = Environment::new(environment);
    let file = config_file(flags)?;
    let mut figment = Figment::from(Serialized::defaults(Config::default()));
    if let Some(path) = &file {
        figment = figment.merge(Toml::string(&read(path)?));
    }
    let figment = figment.merge(&environment).merge(flags);
    let sources = Sources { figment, file, environment, flags };
    let values = sources.values()?;
    let mut problems = unknown_keys(&sources, &values);
    problems.extend(wrong_values(&sources, &values));
    if !problems.is_empty() {
        return Err(ConfigError::Problems(problems));
    }
    let config: Config = sources.figment.extract().map_err(|error| sources.explain(error))?;
    let problems = impossible(&sources, &config);
    if !problems.is_empty() {
        return Err(ConfigError::Problems(problems));
    }
    let origins = sources.origins(&values);
    Ok(Loaded { config, origins })
}

struct Sources<'a> {
    figment: Figment,
    file: Option<PathBuf>,
    environment: Environment,
    flags: &'a Flags,
}

impl Sources<'_> {
    /// All values by dotted key.
    fn values(&self) -> Result<Vec<(String, Value)>, ConfigError> {
        let all: Value = self.figment.extract().map_err(|error| self.explain(error))?;
        let mut values = Vec::new();
        leaves(String::new(), all, &mut values);
        Ok(values)
    }

    /// What set `key`, in the words of whoever has to change it.
    fn name(&self, key: &str) -> String {
        let metadata = self.figment.find_metadata(key).map_or("", |metadata| metadata.name.as_ref());
        match metadata {
            "environment" => self.environment.variable(key).unwrap_or("the environment").to_owned(),
            "flag" => self.flags.flag(key).unwrap_or("a flag").to_owned(),
            name if name.contains("TOML") => self.file_name(),
            _ => "default".to_owned(),
        }
    }

    fn file_name(&self) -> String {
        self.file.as_deref().map_or_else(|| "the configuration file".to_owned(), |path| path.display().to_string())
    }

    fn explain(&self, error: figment::Error) -> ConfigError {
        let problems = error.into_iter().map(|error| {
            let key = error.path.join(".");
            if key.is_empty() {
                return ConfigError::File { path: self.file_name(), reason: error.kind.to_string() };
            }
            let source_name = self.name(&key);
            let problem = match error.kind {
                FigmentKind::UnknownField(field, _) => {
                    let nearest = keys::nearest(&field);
                    Problem::UnknownKey { key: field, source_name, nearest }
                }
                kind => Problem::Impossible { key, source_name, reason: kind.to_string() },
            };
            ConfigError::Problems(vec![problem])
        });
        problems.last().unwrap_or(ConfigError::Problems(Vec::new()))
    }

    fn origins(&self, values: &[(String, Value)]) -> Vec<Origin> {
        let place = |key: &str| KEYS.iter().position(|known| known.name == key).unwrap_or(KEYS.len());
        let mut origins: Vec<Origin> = values
            .iter()
            .filter(|(key, value)| !(key == keys::USERS && matches!(value, Value::Dict(..))))
            .map(|(key, value)| Origin { key: key.clone(), value: shown(key, value), source: self.name(key) })
            .collect();
        origins.sort_by(|left, right| (place(&left.key), &left.key).cmp(&(place(&right.key), &right.key)));
        origins
    }
}

fn config_file(flags: &Flags) -> Result<Option<PathBuf>, ConfigError> {
    if let Some(path) = &flags.config {
        return Ok(Some(path.clone()));
    }
    let default = Path::new(DEFAULT_FILE);
    Ok(default.exists().then(|| default.to_owned()))
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let failed = |reason: String| ConfigError::File { path: path.display().to_string(), reason };
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    // Parsed here only for the position in the message; figment parses it again.
    text.parse::<toml::Table>().map_err(|error| failed(error.to_string().trim_end().to_owned()))?;
    Ok(text)
}

fn leaves(key: String, value: Value, found: &mut Vec<(String, Value)>) {
    match value {
        Value::Dict(_, dict) if !dict.is_empty() => {
            for (name, value) in dict {
                let below = if key.is_empty() { name } else { format!("{key}.{name}") };
                leaves(below, value, found);
            }
        }
        value => found.push((key, value)),
    }
}

fn unknown_keys(sources: &Sources<'_>, values: &[(String, Value)]) -> Vec<Problem> {
    let is_section = |key: &str| key == "security" || key == keys::USERS || KEYS.iter().any(|known| within(key, known.name));
    let unknown = values.iter().filter(|(key, _)| keys::find(key).is_none() && !is_section(key));
    unknown
        .map(|(key, _)| Problem::UnknownKey { key: key.clone(), source_name: sources.name(key), nearest: keys::nearest(key) })
        .collect()
}

fn within(section: &str, key: &str) -> bool {
    key.strip_prefix(section).is_some_and(|rest| rest.starts_with('.'))
}

fn wrong_values(sources: &Sources<'_>, values: &[(String, Value)]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (key, value) in values {
        let expected = match keys::find(key) {
            Some(known) if fits(known.kind, value) => continue,
            Some(known) => known.kind.expected(),
            None if matches!(value, Value::Dict(..)) => continue,
            None if key == keys::USERS || KEYS.iter().any(|known| within(key, known.name)) => "a section".to_owned(),
            None => continue,
        };
        let source_name = sources.name(key);
        problems.push(Problem::WrongValue { key: key.clone(), source_name, found: shown(key, value), expected });
    }
    problems
}

fn fits(kind: Kind, value: &Value) -> bool {
    match (kind, value) {
        (Kind::Text | Kind::Address, Value::String(..)) | (Kind::Flag, Value::Bool(..)) => true,
        (Kind::Choice(words), Value::String(_, word)) => words.contains(&word.as_str()),
        (Kind::Number(min, max), Value::Num(_, number)) => whole(*number).is_some_and(|number| (min..=max).contains(&number)),
        _ => false,
    }
}

fn whole(number: Num) -> Option<u64> {
    number
        .to_u128()
        .and_then(|number| u64::try_from(number).ok())
        .or_else(|| number.to_i128().and_then(|n| u64::try_from(n).ok()))
}

/// What single values cannot show: addresses that are none, two listeners on one port.
fn impossible(sources: &Sources<'_>, config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut problem = |key: &str, reason: String| {
        problems.push(Problem::Impossible { key: key.to_owned(), source_name: sources.name(key), reason });
    };
    let listeners = [
        ("kafka.listen", &config.kafka.listen),
        ("amqp.listen", &config.amqp.listen),
        ("redis.listen", &config.redis.listen),
        ("http.listen", &config.http.listen),
    ];
    for (index, (key, address)) in listeners.iter().enumerate() {
        if let Some(reason) = bad_address(address) {
            problem(key, reason);
        } else if let Some((other, _)) = listeners.iter().take(index).find(|(_, other)| same_port(address, other)) {
            problem(key, format!("{address} is the address of `{other}` already"));
        }
    }
    if let Some(reason) = bad_host_and_port(&config.kafka.advertised) {
        problem("kafka.advertised", reason);
    }
    if config.data_dir.as_os_str().is_empty() {
        problem("data_dir", "a directory must be named".to_owned());
    }
    if config.log.journal_retain_bytes < config.log.journal_file_bytes {
        problem("log.journal_retain_bytes", "must be at least `log.journal_file_bytes`".to_owned());
    }
    if let Err(error) = crate::telemetry::parse_level(&config.telemetry.log_level) {
        problem("telemetry.log_level", error.to_string());
    }
    if let Err(error) = crate::security::Users::new(config.security.users.clone()) {
        problem(keys::USERS, error.to_string());
    }
    problems
}

fn same_port(left: &str, right: &str) -> bool {
    !left.is_empty() && left == right && !left.ends_with(":0")
}

fn bad_address(address: &str) -> Option<String> {
    if let Some(reason) = bad_host_and_port(address) {
        return Some(reason);
    }
    // Only literal addresses and localhost are looked up here: a name server may be slow.
    let literal = address.starts_with(['[', 'l']) || address.starts_with(|first: char| first.is_ascii_digit());
    let failed = literal && !address.is_empty() && address.to_socket_addrs().is_err();
    failed.then(|| format!("`{address}` is no address such as 127.0.0.1:9092"))
}

fn bad_host_and_port(address: &str) -> Option<String> {
    if address.is_empty() {
        return None;
    }
    let Some((host, port)) = address.rsplit_once(':') else {
        return Some(format!("`{address}` has no port: write {address}:PORT"));
    };
    if host.is_empty() {
        return Some(format!("`{address}` has no host: 127.0.0.1{address} is this machine only, 0.0.0.0{address} everywhere"));
    }
    port.parse::<u16>().is_err().then(|| format!("`{port}` is no port: a port is a number from 0 to 65535"))
}

fn shown(key: &str, value: &Value) -> String {
    if keys::find(key).is_some_and(|known| known.name == keys::USERS) {
        return "\"********\"".to_owned();
    }
    match value {
        Value::String(_, text) => format!("{text:?}"),
        Value::Char(_, character) => format!("\"{character}\""),
        Value::Bool(_, flag) => flag.to_string(),
        Value::Num(_, number) => number_shown(*number),
        Value::Empty(..) => "nothing".to_owned(),
        Value::Dict(..) => "a section".to_owned(),
        Value::Array(..) => "a list".to_owned(),
    }
}

fn number_shown(number: Num) -> String {
    let whole = number.to_u128().map(|n| n.to_string()).or_else(|| number.to_i128().map(|n| n.to_string()));
    whole.or_else(|| number.to_f64().map(|n| n.to_string())).unwrap_or_else(|| "a number".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(file: &str, variables: &[(&str, &str)], values: &[(&str, &str)]) -> Result<Loaded, String> {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("trunkline.toml");
        std::fs::write(&path, file).expect("file");
        let values = values.iter().map(|(key, value)| (format!("--set {key}"), (*key).to_owned(), (*value).to_owned()));
        let flags = Flags { config: Some(path.clone()), values: values.collect() };
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        load(&flags, variables).map_err(|error| error.to_string().replace(&path.display().to_string(), "FILE"))
    }

    fn origin(loaded: &Loaded, key: &str) -> (String, String) {
        let origin = loaded.origins.iter().find(|origin| origin.key == key).expect("key");
        (origin.value.clone(), origin.source.clone())
    }

    #[test]
    fn later_sources_win_and_are_named() {
        let file = "[kafka]\nlisten = \"127.0.0.1:1\"\n[amqp]\nlisten = \"127.0.0.1:2\"\n[redis]\nlisten = \"127.0.0.1:3\"\n";
        let variables = [("TRUNKLINE_AMQP__LISTEN", "127.0.0.1:22"), ("TRUNKLINE_REDIS__LISTEN", "127.0.0.1:33")];
        let loaded = loaded(file, &variables, &[("redis.listen", "127.0.0.1:333")]).expect("valid");
        assert_eq!(loaded.config.kafka.listen, "127.0.0.1:1");
        assert_eq!(origin(&loaded, "amqp.listen"), ("\"127.0.0.1:22\"".to_owned(), "TRUNKLINE_AMQP__LISTEN".to_owned()));
        assert_eq!(origin(&loaded, "redis.listen"), ("\"127.0.0.1:333\"".to_owned(), "--set redis.listen".to_owned()));
        assert!(origin(&loaded, "kafka.listen").1.ends_with("trunkline.toml"));
        assert_eq!(origin(&loaded, "http.listen"), ("\"127.0.0.1:8080\"".to_owned(), "default".to_owned()));
    }

    #[test]
    fn every_key_has_an_origin_in_the_order_of_the_table() {
        let loaded = loaded("", &[], &[]).expect("valid");
        let keys: Vec<&str> = loaded.origins.iter().map(|origin| origin.key.as_str()).collect();
        let table: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
        assert_eq!(keys, table);
        assert_eq!(loaded.config, Config::default());
    }

    #[test]
    fn an_unknown_key_names_its_source_and_the_nearest_name() {
        let error = loaded("[kafka]\nlissen = \"127.0.0.1:1\"\n", &[], &[]).expect_err("unknown");
        assert_eq!(error, "unknown key `kafka.lissen` in FILE: did you mean `kafka.listen`?");
        let error = loaded("", &[("TRUNKLINE_REDIS_LISTEN", "127.0.0.1:1")], &[]).expect_err("unknown");
        assert_eq!(error, "unknown key `redis_listen` in TRUNKLINE_REDIS_LISTEN: did you mean `redis.listen`?");
    }

    #[test]
    fn everything_wrong_is_reported_at_once() {
        let file = "nonsense = 1\n[kafka]\ndefault_partitions = \"many\"\n[limits]\nconnections = 0\n";
        let error = loaded(file, &[("TRUNKLINE_TELEMETRY__LOG_FORMAT", "maybe")], &[]).expect_err("wrong");
        let expected = [
            "unknown key `nonsense` in FILE",
            "`kafka.default_partitions` in FILE is \"many\", but takes a whole number from 1 to 10000",
            "`limits.connections` in FILE is 0, but takes a whole number from 1 to 1000000",
            "`telemetry.log_format` in TRUNKLINE_TELEMETRY__LOG_FORMAT is \"maybe\", but takes one of text, json",
        ];
        for line in expected {
            assert!(error.contains(line), "{line} in {error}");
        }
    }

    #[test]
    fn a_section_that_is_a_value_is_refused() {
        let error = loaded("kafka = 3\n", &[], &[]).expect_err("wrong");
        assert!(error.contains("`kafka` in FILE is 3, but takes a section"), "{error}");
    }

    #[test]
    fn impossible_values_are_refused_with_a_reason() {
        for (key, value, reason) in [
            ("kafka.listen", "9092", "has no port"),
            ("kafka.listen", "127.0.0.1:port", "is no port"),
            ("kafka.listen", "1.2.3.4.5:1", "is no address"),
            ("kafka.listen", ":9092", "has no host"),
            ("kafka.listen", "127.0.0.1:6379", "is the address of `kafka.listen` already"),
            ("log.journal_retain_bytes", "1048576", "must be at least"),
            ("telemetry.log_level", "loud", "is no level"),
            ("security.users.ann", "$argon2$x", "no Argon2 hash"),
        ] {
            let error = loaded("", &[], &[(key, value)]).expect_err(key);
            assert!(error.contains(reason), "{key}: {error}");
        }
    }

    #[test]
    fn a_password_of_digits_is_a_text_and_is_not_shown() {
        let loaded = loaded("", &[("TRUNKLINE_SECURITY__USERS__ann", "12345")], &[]).expect("valid");
        assert_eq!(loaded.config.security.users.get("ann").map(String::as_str), Some("12345"));
        assert_eq!(origin(&loaded, "security.users.ann").0, "\"********\"");
    }

    #[test]
    fn a_file_that_is_no_toml_is_named_with_the_place() {
        let error = loaded("[kafka\nlisten=1", &[], &[]).expect_err("no TOML");
        assert!(error.contains("FILE") && error.contains("line 1"), "{error}");
        let missing = Flags { config: Some(PathBuf::from("/nowhere/x.toml")), values: Vec::new() };
        assert!(matches!(load(&missing, []), Err(ConfigError::File { .. })));
    }

    #[test]
    fn the_reference_uncommented_is_the_defaults() {
        let mut file = String::new();
        for line in crate::config::reference().lines() {
            let setting = line.strip_prefix('#').filter(|rest| !rest.starts_with(' ') && !rest.is_empty());
            let user = setting.is_some_and(|setting| setting.starts_with("ann") || setting.starts_with("bob"));
            file.push_str(setting.filter(|_| !user).unwrap_or(line));
            file.push('\n');
        }
        let loaded = loaded(&file, &[], &[]).expect("valid");
        assert_eq!(loaded.config, Config::default());
        let from_file = loaded.origins.iter().filter(|origin| origin.source.ends_with("trunkline.toml")).count();
        assert_eq!(from_file, KEYS.len());
    }
}
