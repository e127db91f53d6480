//! The journal beside the bare device: append and wait until durable, against append and fdatasync, in one run.
//!
//! The bare side is one thread on one file, one sync after the other. The journal's side is that many tasks, each appending its
//! next record only when the one before it is on disk. Prints one JSON object; the load program of `scripts/figures`.

use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use bytes::Bytes;
use clap::Parser;
use trunkline::delivery::{Delivery, Kind, Target};
use trunkline::log::record::Record;
use trunkline::log::{LogSettings, TopicName, TopicSettings};

/// Sizes in bytes, and how many writers wait at once.
const WORK: [(usize, u64); 6] = [(100, 1), (1024, 1), (1024, 64), (1024, 256), (65_536, 1), (65_536, 16)];

/// Measures appends a second through the journal and on a bare file, as JSON
#[derive(Parser)]
struct Args {
    /// Where to write; on the disk to be measured
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Syncs on the bare side, and records of each writer
    #[arg(long, default_value_t = 2_000)]
    count: u64,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(serde::Serialize)]
struct Row {
    size_bytes: usize,
    writers: u64,
    bare_per_s: f64,
    journal_per_s: f64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let args = Args::parse();
    let scratch = match &args.dir {
        Some(dir) => tempfile::tempdir_in(dir)?,
        None => tempfile::tempdir_in(".")?,
    };
    let mut rows = Vec::new();
    for (size_bytes, writers) in WORK {
        // Large records: as many bytes, not as many syncs.
        let count = if size_bytes > 4_096 { args.count / 4 + 1 } else { args.count };
        let bare_per_s = bare(scratch.path(), size_bytes, count)?;
        let each = (count * 16 / writers.max(16)).max(1);
        let journal_per_s = journal(scratch.path(), size_bytes, writers, each).await?;
        rows.push(Row { size_bytes, writers, bare_per_s, journal_per_s });
    }
    serde_json::to_writer(std::io::stdout(), &serde_json::json!({ "rows": rows }))?;
    Ok(())
}

fn bare(directory: &Path, size_bytes: usize, count: u64) -> Result<f64, Box<dyn Error + Send + Sync>> {
    let path = directory.join("bare");
    let mut file = File::create(&path)?;
    let body = vec![b'x'; size_bytes];
    let began = Instant::now();
    for _ in 0..count {
        file.write_all(&body)?;
        file.sync_data()?;
    }
    let took = began.elapsed();
    std::fs::remove_file(path)?;
    Ok(count as f64 / took.as_secs_f64())
}

async fn journal(directory: &Path, size_bytes: usize, writers: u64, each: u64) -> Result<f64, Box<dyn Error + Send + Sync>> {
    let directory = tempfile::tempdir_in(directory)?;
    let delivery = Delivery::open(LogSettings { directory: directory.path().to_path_buf(), ..LogSettings::default() })?;
    let mut unit = delivery.begin()?;
    let topic = unit.create_topic(&TopicName::new("bench")?, 1, TopicSettings::default())?;
    delivery.log().when_durable(unit.commit()).await?;
    let record = Record {
        key: None,
        value: Some(Bytes::from(vec![b'x'; size_bytes])),
        headers: Vec::new(),
        timestamp_ms: 1_700_000_000_000,
    };
    let target = Target { topic, partition: 0 };
    let mut tasks = tokio::task::JoinSet::new();
    let began = Instant::now();
    for _ in 0..writers {
        let (delivery, record, target) = (delivery.clone(), record.clone(), target.clone());
        tasks.spawn(async move { append_one_by_one(&delivery, &record, target, each).await });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    let took = began.elapsed();
    tokio::task::spawn_blocking(move || delivery.close()).await??;
    Ok((writers * each) as f64 / took.as_secs_f64())
}

async fn append_one_by_one(
    delivery: &Delivery,
    record: &Record,
    target: Target,
    count: u64,
) -> Result<(), trunkline::log::Refused> {
    let targets = [target];
    for _ in 0..count {
        let lsn = {
            let mut unit = delivery.begin()?;
            unit.append(&targets, record, Kind::Plain);
            unit.commit()
        };
        delivery.log().when_durable(lsn).await?;
    }
    Ok(())
}
