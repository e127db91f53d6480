//! The flags that set keys of the configuration.

use std::path::PathBuf;

use clap::Args;

use crate::config::Flags;

/// Flags that `serve` and `check-config` share.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct SettingFlags {
    /// The configuration file [default: config/trunkline.toml if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The directory of the log [key: data_dir] [default: data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Where Kafka clients connect [key: kafka.listen]
    #[arg(long, value_name = "HOST:PORT")]
    kafka: Option<String>,
    /// Where AMQP 0-9-1 clients connect [key: amqp.listen]
    #[arg(long, value_name = "HOST:PORT")]
    amqp: Option<String>,
    /// Where Redis clients connect [key: redis.listen]
    #[arg(long, value_name = "HOST:PORT")]
    redis: Option<String>,
    /// Where /metrics, /healthz and /readyz are [key: http.listen]
    #[arg(long, value_name = "HOST:PORT")]
    http: Option<String>,
    /// Sets any key, as in --set kafka.default_partitions=3; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
}

impl SettingFlags {
    pub(super) fn into_flags(self) -> Flags {
        let named = [
            ("--data-dir", "data_dir", self.data_dir),
            ("--kafka", "kafka.listen", self.kafka),
            ("--amqp", "amqp.listen", self.amqp),
            ("--redis", "redis.listen", self.redis),
            ("--http", "http.listen", self.http),
        ];
        let named = named.into_iter().filter_map(|(flag, key, value)| Some((flag.to_owned(), key.to_owned(), value?)));
        let set = self.set.into_iter().map(|(key, value)| (format!("--set {key}"), key, value));
        Flags { config: self.config, values: named.chain(set).collect() }
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE, as in kafka.default_partitions=3".to_owned()),
    }
}
