//! `trunkline log verify` and `repair`: what is wrong with a data directory, and taking it out.

use std::io::Write;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::columns::size;
use super::reporter::Reporter;
use super::{EXIT_DAMAGED, Failure, Place, places, unless_closed};
use crate::log::inspect::{Contents, Finding, Inspector, Severity};

#[derive(Debug, clap::Args)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    place: Place,
    /// As JSON, one line a finding
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct RepairArgs {
    #[command(flatten)]
    place: Place,
    /// Do it. Without this, what would be done is shown and nothing is changed
    #[arg(long)]
    apply: bool,
    /// Where what is taken out goes [default: repair-SECONDS in the data directory]
    #[arg(long, value_name = "DIR")]
    side: Option<PathBuf>,
}

pub(super) fn verify(args: &VerifyArgs) -> Result<(), Failure> {
    let (path, inspector) = args.place.inspect()?;
    let bytes = inspector.total_bytes()?;
    let mut reporter = Reporter::new("reading", bytes);
    let contents = inspector.verify(&mut reporter)?;
    let mut out = std::io::stdout().lock();
    for finding in &reporter.findings {
        unless_closed(if args.json { print_json(&mut out, finding) } else { print(&mut out, finding) })?;
    }
    if !args.json {
        unless_closed(writeln!(out, "{}: {}", path.display(), summary(&contents, bytes, &reporter)))?;
    }
    verdict(&reporter)
}

fn verdict(reporter: &Reporter) -> Result<(), Failure> {
    let (damages, further) = (reporter.damages().count(), reporter.further);
    if damages == 0 && further == 0 {
        return Ok(());
    }
    let repairable = reporter.findings.iter().filter(|finding| finding.is_repairable()).count();
    let more = if further > 0 { format!(" and {further} further findings") } else { String::new() };
    let way = match repairable {
        0 => "; the way out of each is above".to_owned(),
        some if some == damages && further == 0 => "; `trunkline log repair` shows how to take it out".to_owned(),
        some => format!("; `trunkline log repair` knows what to do about {some} of them"),
    };
    Err(Failure { what: format!("{}{more}{way}", places(damages)), code: EXIT_DAMAGED })
}

fn summary(contents: &Contents, bytes: u64, reporter: &Reporter) -> String {
    let topics = contents.topics.keys().filter(|name| !name.is_internal()).count();
    let entries = contents.journal.entries;
    let state = if reporter.damages().next().is_some() { "damaged" } else { "whole" };
    format!("{state}; {} read, {topics} topics, {entries} journal entries", size(bytes))
}

fn print(out: &mut dyn Write, finding: &Finding) -> std::io::Result<()> {
    let severity = if finding.severity == Severity::Damage { "damage" } else { "note" };
    writeln!(out, "{severity}: {} at byte {}: {}", finding.path.display(), finding.byte, finding.what)?;
    writeln!(out, "    way out: {}", finding.way_out)
}

fn print_json(out: &mut dyn Write, finding: &Finding) -> std::io::Result<()> {
    let line = json!({
        "severity": if finding.severity == Severity::Damage { "damage" } else { "note" },
        "path": finding.path.display().to_string(),
        "byte": finding.byte,
        "what": finding.what,
        "way_out": finding.way_out,
        "repairable": finding.is_repairable(),
    });
    writeln!(out, "{line}")
}

pub(super) fn repair(args: &RepairArgs) -> Result<(), Failure> {
    let (held, inspector) = args.place.hold()?;
    let mut out = std::io::stdout().lock();
    let reporter = look(&inspector)?;
    let (repairable, others): (Vec<&Finding>, Vec<&Finding>) = reporter.damages().partition(|finding| finding.is_repairable());
    for finding in repairable.iter().chain(&others) {
        unless_closed(print(&mut out, finding))?;
    }
    if repairable.is_empty() {
        return match others.len() {
            0 => unless_closed(writeln!(out, "nothing is damaged")),
            more => {
                let what = format!("nothing can be done here about {}: the way out of each is above", places(more));
                Err(Failure { what, code: EXIT_DAMAGED })
            }
        };
    }
    if !args.apply {
        let what = format!("nothing was changed; `trunkline log repair --apply` takes {} out", places(repairable.len()));
        return Err(Failure { what, code: EXIT_DAMAGED });
    }
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let side = args.side.clone().unwrap_or_else(|| held.path().join(format!("repair-{seconds}")));
    let findings: Vec<Finding> = repairable.into_iter().cloned().collect();
    for done in inspector.repair(&findings, &side)? {
        let aside = done.aside.map_or("nothing had to be kept".to_owned(), |path| format!("kept in {}", path.display()));
        unless_closed(writeln!(out, "done: {}: {}; {aside}", done.path.display(), done.what))?;
    }
    // Behind what is gone something may come to light that it had hidden.
    let left = look(&inspector)?;
    for finding in left.damages() {
        unless_closed(print(&mut out, finding))?;
    }
    unless_closed(writeln!(out, "what was taken out lies in {}; its CONTENTS says what and why", side.display()))?;
    verdict(&left)
}

fn look(inspector: &Inspector) -> Result<Reporter, Failure> {
    let mut reporter = Reporter::new("reading", inspector.total_bytes()?);
    inspector.verify(&mut reporter)?;
    Ok(reporter)
}
