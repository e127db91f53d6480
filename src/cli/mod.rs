//! The command line: what to run and with which settings. Nothing is served here; see [`crate::gateway`].

mod check_config;
mod compare;
mod flags;
mod hash_password;
mod log;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use flags::SettingFlags;

/// Kafka, AMQP 0-9-1 and Redis clients on one partitioned, durable log.
///
/// Without a command, `trunkline` serves: Kafka on 127.0.0.1:9092, AMQP on 5672, Redis on 6379 and HTTP on 8080, with its data
/// in ./data. Every name is a topic: what is written to it in one dialect can be read in the others.
#[derive(Debug, Parser)]
#[command(name = "trunkline", version, args_conflicts_with_subcommands = true, after_long_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    settings: SettingFlags,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve clients until SIGTERM or Ctrl-C; a second one ends at once.
    Serve(SettingFlags),
    /// Print the merged configuration and where each value comes from.
    CheckConfig(SettingFlags),
    /// Read a password from standard input and print its hash for [security.users].
    HashPassword,
    /// Look into a data directory: list, dump, verify, repair, export, import, back up.
    Log(log::LogArgs),
    /// Run one workload through the delivery models, here or elsewhere, and show what each did with it.
    Compare(Box<crate::compare::Args>),
}

const EXAMPLES: &str = "\
Examples:
  trunkline                                      serve with the defaults
  trunkline --data-dir /var/lib/trunkline --kafka 0.0.0.0:9092
  TRUNKLINE_REDIS__LISTEN=127.0.0.1:7000 trunkline check-config
  echo 'a password' | trunkline hash-password
  trunkline log verify --data-dir /var/lib/trunkline

Settings, later ones winning: built-in defaults, config/trunkline.toml (or --config FILE), TRUNKLINE_SECTION__KEY variables,
flags. config/trunkline.toml lists every key with its unit and default.

Exit codes: 0 ended in order, 1 failed, 2 wrong usage or configuration, 130 ended at once by a second signal.";

/// Wrong usage or configuration, as clap has it too.
const EXIT_USAGE: u8 = 2;

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let Cli { command, settings } = Cli::parse();
    match command {
        None => serve::run(settings),
        Some(Command::Serve(settings)) => serve::run(settings),
        Some(Command::CheckConfig(settings)) => check_config::run(settings),
        Some(Command::HashPassword) => hash_password::run(),
        Some(Command::Log(args)) => log::run(args),
        Some(Command::Compare(args)) => compare::run(*args),
    }
}

/// The threads to run on, or the complaint that there are none.
fn runtime() -> Option<tokio::runtime::Runtime> {
    let built = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    built.inspect_err(|error| complain(&format_args!("cannot start threads: {error}"))).ok()
}

/// Says on standard error why nothing runs.
#[allow(clippy::print_stderr, reason = "a command line program talks to its user")]
fn complain(error: &dyn std::fmt::Display) {
    eprintln!("trunkline: {error}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_command_is_serve_with_the_same_flags() {
        let plain = Cli::try_parse_from(["trunkline", "--kafka", "127.0.0.1:1"]).expect("plain");
        assert!(plain.command.is_none());
        let named = Cli::try_parse_from(["trunkline", "serve", "--kafka", "127.0.0.1:1"]).expect("named");
        let Some(Command::Serve(settings)) = named.command else { panic!("serve") };
        assert_eq!(plain.settings.into_flags().values, settings.into_flags().values);
    }

    #[test]
    fn a_setting_without_a_value_is_refused() {
        assert!(Cli::try_parse_from(["trunkline", "--set", "kafka.listen"]).is_err());
    }
}
