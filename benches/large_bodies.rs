//! Where a large body should go: a model of both ways on the bare device, to decide (`docs/adr/0020-large-bodies.md`).
//!
//! *Twice*: the body is written over a journal file full of zeros and synced, which acknowledges it; another thread moves what a
//! full journal file held to a fresh segment file and syncs that. *Reference*: the body is added to a segment file and synced, then
//! a reference of 128 bytes is written over the journal and synced, which acknowledges it. Writers wait for their acknowledgement; all
//! that is due when one of the two syncs begins is synced together. Counted until everything lies in segments.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use clap::Parser;
use hdrhistogram::Histogram;

type Failure = Box<dyn Error + Send + Sync>;

const SIZES: [usize; 4] = [64 << 10, 256 << 10, 1 << 20, 4 << 20];
/// How many bodies are due at a time.
const DUE: [usize; 2] = [1, 8];
const JOURNAL_BYTES: u64 = 32 << 20;
/// What is moved between two syncs of a segment.
const MOVED_BYTES: usize = 16 << 20;
const REFERENCE_BYTES: usize = 128;

/// Measures large bodies written twice, and once with a reference
#[derive(Parser)]
struct Args {
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// Written for each row, in megabytes
    #[arg(long, default_value_t = 128)]
    mb: u64,
    #[arg(long, default_value_t = 7)]
    rounds: u32,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Default)]
struct Cost {
    /// Until the last is acknowledged, and until all lies in segments.
    acknowledged_mb_per_s: f64,
    settled_mb_per_s: f64,
    p50_us: u64,
    p99_us: u64,
}

fn main() -> Result<(), Failure> {
    let args = Args::parse();
    let scratch = tempfile::tempdir_in(&args.dir)?;
    let bytes = args.mb << 20;
    println!(
        "| body | at a time | twice: acknowledged, settled, p50 / p99 | reference: settled, p50 / p99 | reference to twice: acknowledged, settled (range) |"
    );
    println!("|---|---|---|---|---|");
    for each_bytes in SIZES {
        for due in DUE {
            let mut rounds = Vec::new();
            for _ in 0..args.rounds.max(1) {
                rounds.push((twice(scratch.path(), each_bytes, due, bytes)?, reference(scratch.path(), each_bytes, due, bytes)?));
            }
            print_row(each_bytes, due, &mut rounds);
        }
    }
    Ok(())
}

/// The round in the middle by the ratio of both ways, as other work hits both ways of a round alike.
fn print_row(each_bytes: usize, due: usize, rounds: &mut [(Cost, Cost)]) {
    let ratio = |(twice, reference): &(Cost, Cost)| reference.settled_mb_per_s / twice.settled_mb_per_s;
    rounds.sort_by(|one, other| ratio(one).total_cmp(&ratio(other)));
    let (low, high) = (ratio(&rounds[0]), ratio(&rounds[rounds.len() - 1]));
    let middle = rounds[rounds.len() / 2];
    let (twice, reference) = middle;
    println!(
        "| {} K | {due} | {:.0}, {:.0} MB/s, {} / {} us | {:.0} MB/s, {} / {} us | {:.2}, **{:.2}** ({low:.2}-{high:.2}) |",
        each_bytes >> 10,
        twice.acknowledged_mb_per_s,
        twice.settled_mb_per_s,
        twice.p50_us,
        twice.p99_us,
        reference.settled_mb_per_s,
        reference.p50_us,
        reference.p99_us,
        reference.acknowledged_mb_per_s / twice.acknowledged_mb_per_s,
        ratio(&middle),
    );
}

/// The journal's file is written over again and again, as retired files are.
fn twice(scratch: &Path, each_bytes: usize, due: usize, total_bytes: u64) -> Result<Cost, Failure> {
    let journal = zeros(&scratch.join("journal"), JOURNAL_BYTES)?;
    let segment = fresh(&scratch.join("segment"))?;
    let (retire, retired) = sync_channel::<u64>(64);
    let mover = std::thread::spawn(move || move_all(&retired, &segment, each_bytes));
    let body = vec![b'x'; each_bytes * due];
    let mut meter = Meter::begin()?;
    let (mut at, mut unretired_bytes) = (0, 0);
    for _ in 0..total_bytes / body.len() as u64 {
        if at + body.len() as u64 > JOURNAL_BYTES {
            at = 0;
        }
        meter.acknowledge(|| {
            journal.write_all_at(&body, at)?;
            Ok(journal.sync_data()?)
        })?;
        at += body.len() as u64;
        unretired_bytes += body.len() as u64;
        if unretired_bytes >= JOURNAL_BYTES {
            retire.send(std::mem::take(&mut unretired_bytes))?;
        }
    }
    retire.send(unretired_bytes)?;
    drop(retire);
    let acknowledged = meter.began.elapsed();
    mover.join().map_err(|_| "the mover panicked")??;
    Ok(meter.end(total_bytes, acknowledged))
}

fn move_all(retired: &Receiver<u64>, segment: &File, each_bytes: usize) -> Result<(), Failure> {
    let body = vec![b'x'; each_bytes.max(1 << 20)];
    let (mut at, mut unsynced_bytes) = (0, 0);
    for mut left in retired.iter() {
        while left > 0 {
            let step = left.min(body.len() as u64) as usize;
            segment.write_all_at(&body[..step], at)?;
            at += step as u64;
            left -= step as u64;
            unsynced_bytes += step;
            if unsynced_bytes >= MOVED_BYTES {
                segment.sync_data()?;
                unsynced_bytes = 0;
            }
        }
        segment.sync_data()?;
    }
    Ok(())
}

fn reference(scratch: &Path, each_bytes: usize, due: usize, total_bytes: u64) -> Result<Cost, Failure> {
    let journal = zeros(&scratch.join("journal"), JOURNAL_BYTES)?;
    let segment = fresh(&scratch.join("segment"))?;
    let (body, entry) = (vec![b'x'; each_bytes * due], vec![b'x'; REFERENCE_BYTES * due]);
    let mut meter = Meter::begin()?;
    for number in 0..total_bytes / body.len() as u64 {
        meter.acknowledge(|| {
            segment.write_all_at(&body, number * body.len() as u64)?;
            segment.sync_data()?;
            journal.write_all_at(&entry, number * entry.len() as u64 % (JOURNAL_BYTES / 2))?;
            Ok(journal.sync_data()?)
        })?;
    }
    let acknowledged = meter.began.elapsed();
    Ok(meter.end(total_bytes, acknowledged))
}

struct Meter {
    began: Instant,
    latency: Histogram<u64>,
}

impl Meter {
    fn begin() -> Result<Self, Failure> {
        Ok(Self { latency: Histogram::new(3)?, began: Instant::now() })
    }

    fn acknowledge(&mut self, write: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
        let began = Instant::now();
        write()?;
        Ok(self.latency.record(u64::try_from(began.elapsed().as_micros())?)?)
    }

    fn end(self, bytes: u64, acknowledged: Duration) -> Cost {
        let per_s = |time: Duration| bytes as f64 / f64::from(1 << 20) / time.as_secs_f64();
        Cost {
            acknowledged_mb_per_s: per_s(acknowledged),
            settled_mb_per_s: per_s(self.began.elapsed()),
            p50_us: self.latency.value_at_quantile(0.5),
            p99_us: self.latency.value_at_quantile(0.99),
        }
    }
}

fn fresh(path: &Path) -> Result<File, Failure> {
    Ok(OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?)
}

fn zeros(path: &Path, bytes: u64) -> Result<File, Failure> {
    let file = fresh(path)?;
    let chunk = vec![0; 1 << 20];
    for at in (0..bytes).step_by(chunk.len()) {
        file.write_all_at(&chunk, at)?;
    }
    file.sync_all()?;
    Ok(file)
}
