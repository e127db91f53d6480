//! What writers feel of retirement and cleaning: the latency of durable appends with neither, with journal files that are retired
//! all the time, and with compaction beside it. Prints a line for each.

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Parser;
use hdrhistogram::Histogram;
use trunkline::delivery::{Delivery, Kind, Target};
use trunkline::log::record::Record;
use trunkline::log::{Cleanup, LogSettings, LogStats, SegmentSettings, TopicName, TopicSettings};

const VALUE_BYTES: usize = 1024;
const KEYS: u64 = 1_000;

/// Measures durable appends beside retirement and cleaning
#[derive(Parser)]
struct Args {
    /// Where to write; on the disk to be measured
    #[arg(long)]
    dir: Option<PathBuf>,
    /// How long each is measured, in seconds
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Who append at once
    #[arg(long, default_value_t = 16)]
    writers: u64,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let args = Args::parse();
    let dir = args.dir.clone().unwrap_or_else(|| PathBuf::from("."));
    println!("{:<24} {:>9} {:>8} {:>8} {:>8} {:>8} {:>9}", "", "appends/s", "p50 us", "p99 us", "p99.9", "retired", "cleaned");
    for (name, retains, cleanup) in [
        ("no retirement", u64::MAX, Cleanup::Delete),
        ("retirement", 8 << 20, Cleanup::Delete),
        ("retirement, compaction", 8 << 20, Cleanup::Compact),
    ] {
        let scratch = tempfile::tempdir_in(&dir)?;
        let (latency, stats) = appends(scratch.path(), retains, cleanup, &args).await?;
        let at = |percentile| latency.value_at_quantile(percentile);
        println!(
            "{name:<24} {:>9} {:>8} {:>8} {:>8} {:>8} {:>7} M",
            latency.len() / args.seconds,
            at(0.5),
            at(0.99),
            at(0.999),
            stats.journal_retired,
            stats.cleaning.read_bytes >> 20,
        );
    }
    Ok(())
}

async fn appends(
    directory: &Path,
    journal_retain_bytes: u64,
    cleanup: Cleanup,
    args: &Args,
) -> Result<(Histogram<u64>, LogStats), Box<dyn Error + Send + Sync>> {
    let settings = LogSettings {
        directory: directory.to_owned(),
        journal_file_bytes: 4 << 20,
        journal_retain_bytes,
        maintenance_interval_ms: 20,
        cleaning_interval_ms: 100,
        segment_bytes: 16 << 20,
        ..LogSettings::default()
    };
    let delivery = Delivery::open(settings)?;
    let mut unit = delivery.begin()?;
    let segments = SegmentSettings { min_dirty_ppm: 1, ..SegmentSettings::default() };
    let topic = TopicSettings { cleanup, retention_ms: None, segments, ..TopicSettings::default() };
    let topic = unit.create_topic(&TopicName::new("bench")?, 1, topic)?;
    delivery.log().when_durable(unit.commit()).await?;
    let end = Instant::now() + Duration::from_secs(args.seconds);
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..args.writers {
        let (delivery, target) = (delivery.clone(), Target { topic: topic.clone(), partition: 0 });
        tasks.spawn(async move {
            let mut latency = Histogram::<u64>::new(3)?;
            let mut number = writer;
            while Instant::now() < end {
                let began = Instant::now();
                let barrier = {
                    let mut unit = delivery.begin()?;
                    unit.append(std::slice::from_ref(&target), &record(number), Kind::Plain);
                    unit.commit()
                };
                delivery.log().when_durable(barrier).await?;
                latency.record(u64::try_from(began.elapsed().as_micros())?)?;
                number += 7;
            }
            Ok::<_, Box<dyn Error + Send + Sync>>(latency)
        });
    }
    let mut latency = Histogram::new(3)?;
    while let Some(done) = tasks.join_next().await {
        latency.add(done??)?;
    }
    let stats = delivery.log().stats();
    tokio::task::spawn_blocking(move || delivery.close()).await??;
    Ok((latency, stats))
}

fn record(number: u64) -> Record {
    let key = Some(Bytes::from((number % KEYS).to_string()));
    Record { key, value: Some(Bytes::from(vec![b'x'; VALUE_BYTES])), headers: Vec::new(), timestamp_ms: 1_700_000_000_000 }
}
