//! `trunkline log`: what is in a data directory, whether it is whole, and how to get it out, in, or to another place.
//!
//! None of it needs a running gateway. What only reads may look at the directory of one that runs; what writes refuses while
//! another process holds the directory, and names it.

mod backup;
mod columns;
mod dump;
mod export;
mod import;
mod line;
mod list;
mod meter;
mod outcomes;
mod portable;
mod reporter;
mod verify;

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bytes::Bytes;
use clap::{Args, Subcommand};

use super::{EXIT_USAGE, complain};
use crate::config::{self, Flags};
use crate::gateway::DataDir;
use crate::log::TopicName;
use crate::log::inspect::Inspector;

/// Damage was found.
const EXIT_DAMAGED: u8 = 3;

#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct LogArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List topics, partitions, offsets, sizes, queues and groups.
    Ls(list::Args),
    /// Print records of topics, or the entries of the journal as they lie there.
    Dump(dump::Args),
    /// Read everything and check it: checksums, offsets, indexes, tables of state.
    Verify(verify::VerifyArgs),
    /// Take damage out, so that the gateway starts again; what is taken out is kept beside. Says what it would do unless --apply.
    Repair(verify::RepairArgs),
    /// Write topics to a file that can be read anywhere.
    Export(export::Args),
    /// Read topics from a file that `export` wrote.
    Import(import::Args),
    /// Copy the log to another directory, also while a gateway runs.
    Backup(backup::Args),
}

const EXAMPLES: &str = "\
Examples:
  trunkline log ls                                    the directory that `trunkline` would serve
  trunkline log dump --topic orders --from 100 --to 110
  trunkline log dump --journal --json | head
  trunkline log verify --data-dir /var/lib/trunkline && echo whole
  trunkline log repair                                what would be done; nothing is changed
  trunkline log repair --apply
  trunkline log export --topic orders --to orders.jsonl
  trunkline log import --from orders.jsonl --data-dir ./other
  trunkline log backup --to /backup/trunkline-today

`ls`, `dump`, `verify`, `export` and `backup` only read, and may be used while a gateway
runs. `repair` and `import` write, and refuse while another process holds the directory.

Exit codes: 0 done (verify: nothing is damaged), 1 failed, 2 wrong usage or configuration,
3 damage was found.";

/// Which data directory.
#[derive(Debug, Clone, Default, Args)]
struct Place {
    /// The data directory [default: what `trunkline serve` would use: key data_dir, TRUNKLINE_DATA_DIR, ./data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The configuration file that names it [default: config/trunkline.toml if it exists]
    #[arg(long, value_name = "FILE", conflicts_with = "data_dir")]
    config: Option<PathBuf>,
}

/// Why a command did not do its work.
#[derive(Debug)]
struct Failure {
    what: String,
    code: u8,
}

impl Failure {
    fn new(what: impl Display) -> Self {
        Self { what: what.to_string(), code: 1 }
    }

    fn usage(what: impl Display) -> Self {
        Self { what: what.to_string(), code: EXIT_USAGE }
    }

    /// A failure to read with what came of it, and the way out where it is damage.
    fn reading(what: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |error| match error.kind() {
            std::io::ErrorKind::InvalidData => {
                let way = "`trunkline log repair` takes out what is damaged; keep a copy of the directory before it does";
                Self { what: format!("{what}: {error}; {way}"), code: EXIT_DAMAGED }
            }
            _ => Self::new(format_args!("{what}: {error}")),
        }
    }

    /// An error with what it was about.
    fn about<E: Display>(what: impl Display) -> impl FnOnce(E) -> Self {
        move |error| Self::new(format_args!("{what}: {error}"))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        let code = if error.kind() == std::io::ErrorKind::InvalidData { EXIT_DAMAGED } else { 1 };
        Self { what: error.to_string(), code }
    }
}

impl Place {
    fn path(&self) -> Result<PathBuf, Failure> {
        if let Some(path) = &self.data_dir {
            return Ok(path.clone());
        }
        let flags = Flags { config: self.config.clone(), values: Vec::new() };
        let loaded = config::load(&flags, super::serve::environment()).map_err(Failure::usage)?;
        Ok(loaded.config.data_dir)
    }

    /// For those who only read. Says so where a gateway writes meanwhile.
    fn inspect(&self) -> Result<(PathBuf, Inspector), Failure> {
        let path = self.path()?;
        let holder = DataDir::holder(&path);
        if let Some(process) = &holder {
            let directory = path.display();
            complain(&format_args!("process {process} is writing to {directory}: what is shown may be moving"));
        }
        let inspector = Inspector::open(&path, holder.is_some()).map_err(|error| absent(&path, &error))?;
        Ok((path, inspector))
    }

    /// For those who write: nobody else may.
    fn hold(&self) -> Result<(DataDir, Inspector), Failure> {
        let path = self.path()?;
        let inspector = Inspector::open(&path, false).map_err(|error| absent(&path, &error))?;
        let held = DataDir::hold(&path).map_err(Failure::new)?;
        Ok((held, inspector))
    }
}

fn absent(path: &Path, error: &std::io::Error) -> Failure {
    let below = path.join("data");
    let hint = match Inspector::open(&below, false) {
        _ if error.kind() == std::io::ErrorKind::PermissionDenied => "; run this as the user that the gateway runs as".to_owned(),
        Ok(_) => format!("; {} does: name it with --data-dir", below.display()),
        Err(_) => "; name the data directory with --data-dir".to_owned(),
    };
    Failure::usage(format_args!("{error}{hint}"))
}

pub(super) fn run(args: LogArgs) -> ExitCode {
    let done = match args.command {
        Command::Ls(args) => list::run(&args),
        Command::Dump(args) => dump::run(&args),
        Command::Verify(args) => verify::verify(&args),
        Command::Repair(args) => verify::repair(&args),
        Command::Export(args) => export::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Backup(args) => backup::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            complain(&failure.what);
            ExitCode::from(failure.code)
        }
    }
}

/// So many damaged places.
fn places(count: usize) -> String {
    format!("{count} damaged {}", if count == 1 { "place" } else { "places" })
}

/// A topic's name on the command line: text as it is.
fn topic_name(text: &str) -> Result<TopicName, String> {
    TopicName::new(Bytes::copy_from_slice(text.as_bytes())).map_err(|error| error.to_string())
}

/// Writing to a pipe that nobody reads any more is no failure.
fn unless_closed(written: std::io::Result<()>) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::about("writing the output")(error)),
        _ => Ok(()),
    }
}
