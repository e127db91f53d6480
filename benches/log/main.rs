//! The log alone, beside the bare device and the memory of the same machine in the same run.
//!
//! Every row is a ratio: what the log does, and what a plain program does with the same bytes. Durable appends: that many
//! writers, each waiting for its record before it appends the next, beside one thread that overwrites a file full of zeros
//! and syncs as many bytes at a time as the log's commits had on average. Prints a table, or JSON for `scripts/figures`.
#![allow(clippy::print_stdout)]

mod bare;
mod durable;
mod large;
mod place;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;

type Failure = Box<dyn Error + Send + Sync>;

/// The allocator of the program that is measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures the log beside the bare device and memory
#[derive(Parser)]
struct Args {
    /// Only rows whose names contain this
    filter: Option<String>,
    /// Where to write; on the disk to be measured
    #[arg(long)]
    dir: Option<PathBuf>,
    /// How long each durable row takes, in milliseconds
    #[arg(long, default_value_t = 2_000)]
    row_ms: u64,
    /// Large batches written and read, in megabytes
    #[arg(long, default_value_t = 1_024)]
    large_mb: u64,
    /// Rounds; of each row the one with the best ratio is shown, and the spread of all
    #[arg(long, default_value_t = 1)]
    rounds: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

impl Args {
    fn wants(&self, work: &str) -> bool {
        self.filter.as_ref().is_none_or(|filter| work.contains(filter.as_str()))
    }

    fn row_time(&self) -> Duration {
        Duration::from_millis(self.row_ms)
    }
}

#[derive(Debug, serde::Serialize)]
struct Row {
    work: String,
    unit: &'static str,
    log_per_s: f64,
    bare_per_s: f64,
    bare: &'static str,
    /// p50, p99 and p99.9 of one append until it is durable, in microseconds; zeros where nobody waits.
    latency_us: [u64; 3],
    /// What the process used of the processor for a unit, in microseconds, all threads together.
    cpu_us: f64,
    /// How many entries a commit had on average, and which part of the time the journal spent in syncs; zeros where nothing was written.
    commit_entries: f64,
    in_syncs: f64,
    /// The lowest and the highest ratio of all rounds.
    spread: [f64; 2],
}

impl Row {
    fn ratio(&self) -> f64 {
        self.log_per_s / self.bare_per_s
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let args = Args::parse();
    let scratch = match &args.dir {
        Some(dir) => tempfile::tempdir_in(dir)?,
        None => tempfile::tempdir_in(".")?,
    };
    let mut rows = Vec::new();
    for _ in 0..args.rounds.max(1) {
        rows = best_of(rows, round(scratch.path(), &args).await?);
    }
    if args.json {
        serde_json::to_writer(std::io::stdout(), &serde_json::json!({ "rows": rows }))?;
    } else {
        print(&rows);
    }
    Ok(())
}

async fn round(scratch: &Path, args: &Args) -> Result<Vec<Row>, Failure> {
    let mut rows = durable::rows(scratch, args).await?;
    rows.extend(large::rows(scratch, args).await?);
    Ok(rows)
}

/// Of each row the better one, with the spread of both.
fn best_of(before: Vec<Row>, now: Vec<Row>) -> Vec<Row> {
    let mut before = before.into_iter();
    let mut better = |now: Row| {
        let Some(before) = before.next() else { return now };
        let spread = [before.spread[0].min(now.ratio()), before.spread[1].max(now.ratio())];
        if before.ratio() > now.ratio() { Row { spread, ..before } } else { Row { spread, ..now } }
    };
    now.into_iter().map(&mut better).collect()
}

fn print(rows: &[Row]) {
    println!("| work | log | beside it | ratio (spread) | p50 / p99 / p99.9 | CPU | a commit | in syncs |");
    println!("|---|---|---|---|---|---|---|---|");
    for row in rows {
        let Row { work, unit, log_per_s, bare_per_s, bare, latency_us: [p50, p99, p999], cpu_us, .. } = row;
        let (ratio, [low, high]) = (row.ratio(), row.spread);
        let (commit, in_syncs) = (row.commit_entries, row.in_syncs * 100.0);
        println!(
            "| {work} | {log_per_s:.0} {unit}/s | {bare}: {bare_per_s:.0} {unit}/s | {ratio:.2} ({low:.2}-{high:.2}) | \
             {p50} / {p99} / {p999} us | {cpu_us:.2} us | {commit:.1} | {in_syncs:.0}% |"
        );
    }
}
