//! `trunkline log backup`: a copy of the log that a gateway starts on, taken while another one writes.

use std::io::Write;
use std::path::PathBuf;

use super::columns::size;
use super::reporter::Reporter;
use super::{EXIT_DAMAGED, Failure, Place, unless_closed};
use crate::log::inspect::{BackupSettings, Inspector};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    /// Where to; a directory that is not there yet
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Give full segments a second name instead of copying them: fast, but damage to the disk hits both
    #[arg(long)]
    link: bool,
    /// Do not read the copy again to check it
    #[arg(long)]
    no_verify: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let path = args.place.path()?;
    // Being written to is what a backup is made for, so it is not worth a word.
    let inspector = Inspector::open(&path, false).map_err(|error| super::absent(&path, &error))?;
    let mut reporter = Reporter::new("copying", inspector.total_bytes()?);
    let settings = BackupSettings { to: args.to.clone(), link: args.link };
    let done = inspector.backup(&settings, &mut reporter).map_err(Failure::reading("the backup was not made"))?;
    drop(reporter);
    let mut out = std::io::stdout().lock();
    let (to, bytes, files, end) = (args.to.display(), size(done.bytes), done.files, done.end);
    unless_closed(writeln!(out, "{to}: {bytes} in {files} files, up to position {end}"))?;
    if args.no_verify {
        return Ok(());
    }
    let copy = Inspector::open(&args.to, false)?;
    let mut reporter = Reporter::new("reading the copy", done.bytes);
    copy.verify(&mut reporter)?;
    match reporter.damages().next() {
        None => unless_closed(writeln!(out, "the copy was read again: nothing is damaged")),
        Some(first) => {
            let what = format!(
                "the copy is damaged, as the source may be: {} at byte {}: {}; keep older backups, and see `trunkline log verify` of both",
                first.path.display(),
                first.byte,
                first.what
            );
            Err(Failure { what, code: EXIT_DAMAGED })
        }
    }
}
