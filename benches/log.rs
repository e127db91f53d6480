//! The log alone, beside the bare device and the memory of the same machine in the same run.
//!
//! Every row is a ratio: what the log does, and what a plain program does with the same bytes. Durable appends: that many
//! writers, each waiting for its record before it appends the next, beside one thread that overwrites a file full of zeros
//! and syncs as many bytes at a time as the log's commits had on average. Prints a table, or JSON for `scripts/figures`.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use clap::Parser;
use hdrhistogram::Histogram;
use trunkline::delivery::{Delivery, Kind, Target};
use trunkline::log::record::{BatchBuilder, Limits, Record, ValidBatch};
use trunkline::log::{Bound, Durability, LogSettings, TopicName, TopicSettings};

type Failure = Box<dyn Error + Send + Sync>;

/// Sizes in bytes, and how many writers wait at once.
const DURABLE: [(usize, u64); 8] = [(100, 1), (1024, 1), (100, 8), (1024, 8), (100, 64), (1024, 64), (100, 512), (1024, 512)];
/// The size of a large batch, in bytes.
const LARGE_BYTES: usize = 1 << 20;
/// Where the probe of the device wraps around, in bytes.
const PROBE_BYTES: u64 = 64 << 20;

/// Measures the log beside the bare device and memory
#[derive(Parser)]
struct Args {
    /// Where to write; on the disk to be measured
    #[arg(long)]
    dir: Option<PathBuf>,
    /// How long each durable row takes, in milliseconds
    #[arg(long, default_value_t = 2_000)]
    row_ms: u64,
    /// Large batches written and read, in megabytes
    #[arg(long, default_value_t = 1_024)]
    large_mb: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
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
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let args = Args::parse();
    let scratch = match &args.dir {
        Some(dir) => tempfile::tempdir_in(dir)?,
        None => tempfile::tempdir_in(".")?,
    };
    let mut rows = Vec::new();
    for (size_bytes, writers) in DURABLE {
        rows.push(durable(scratch.path(), size_bytes, writers, 1, Duration::from_millis(args.row_ms)).await?);
    }
    rows.push(partitions(scratch.path(), Duration::from_millis(args.row_ms)).await?);
    rows.extend(large(scratch.path(), args.large_mb).await?);
    if args.json {
        serde_json::to_writer(std::io::stdout(), &serde_json::json!({ "rows": rows }))?;
        return Ok(());
    }
    println!("| work | log | beside it | ratio | p50 / p99 / p99.9 |\n|---|---|---|---|---|");
    for row in rows {
        let Row { work, unit, log_per_s, bare_per_s, bare, latency_us: [p50, p99, p999] } = row;
        let ratio = log_per_s / bare_per_s;
        println!(
            "| {work} | {log_per_s:.0} {unit}/s | {bare}: {bare_per_s:.0} {unit}/s | {ratio:.2} | {p50} / {p99} / {p999} us |"
        );
    }
    Ok(())
}

fn record(size_bytes: usize) -> Record {
    let value = Some(Bytes::from(vec![b'x'; size_bytes]));
    Record { key: None, value, headers: Vec::new(), timestamp_ms: 1_700_000_000_000 }
}

struct Place {
    delivery: Delivery,
    targets: Vec<Target>,
    _directory: tempfile::TempDir,
}

impl Place {
    async fn open(scratch: &Path, partitions: u32, settings: LogSettings) -> Result<Self, Failure> {
        let directory = tempfile::tempdir_in(scratch)?;
        let delivery = Delivery::open(LogSettings { directory: directory.path().to_path_buf(), ..settings })?;
        let mut unit = delivery.begin()?;
        let topic = TopicSettings { max_message_bytes: 16 << 20, retention_ms: None, ..TopicSettings::default() };
        let topic = unit.create_topic(&TopicName::new("bench")?, partitions, topic)?;
        delivery.log().when_durable(unit.commit()).await?;
        let targets = (0..partitions).map(|partition| Target { topic: Arc::clone(&topic), partition }).collect();
        Ok(Self { delivery, targets, _directory: directory })
    }

    async fn close(self) -> Result<(), Failure> {
        let delivery = self.delivery;
        tokio::task::spawn_blocking(move || delivery.close()).await??;
        Ok(())
    }
}

async fn durable(scratch: &Path, size_bytes: usize, writers: u64, partitions: u32, time: Duration) -> Result<Row, Failure> {
    let place = Place::open(scratch, partitions, LogSettings::default()).await?;
    let before = place.delivery.log().stats();
    let (records, took, latency) = append_all(&place, size_bytes, writers, time).await?;
    let after = place.delivery.log().stats();
    let bytes = after.journal_written_bytes - before.journal_written_bytes;
    let syncs = (after.syncs - before.syncs).max(1);
    place.close().await?;
    let each_bytes = usize::try_from(bytes / syncs)?;
    let bare_syncs_per_s = overwrite(scratch, each_bytes, time.min(Duration::from_secs(2)))?;
    let records_a_sync = records as f64 / syncs as f64;
    Ok(Row {
        work: format!("{size_bytes} B, {writers} writers"),
        unit: "records",
        log_per_s: records as f64 / took.as_secs_f64(),
        bare_per_s: bare_syncs_per_s * records_a_sync,
        bare: "overwrite + fdatasync of as many bytes",
        latency_us: [0.5, 0.99, 0.999].map(|at| latency.value_at_quantile(at)),
    })
}

async fn append_all(
    place: &Place,
    size_bytes: usize,
    writers: u64,
    time: Duration,
) -> Result<(u64, Duration, Histogram<u64>), Failure> {
    let record = record(size_bytes);
    let mut tasks = tokio::task::JoinSet::new();
    let began = Instant::now();
    let until = began + time;
    for writer in 0..writers {
        let (delivery, record) = (place.delivery.clone(), record.clone());
        let own = writer as usize % place.targets.len();
        let targets: Vec<Target> = place.targets.iter().skip(own).step_by(writers as usize).cloned().collect();
        tasks.spawn(async move { append_until(&delivery, &record, &targets, until).await });
    }
    let mut latency = Histogram::<u64>::new(3)?;
    while let Some(done) = tasks.join_next().await {
        latency.add(done??)?;
    }
    Ok((latency.len(), began.elapsed(), latency))
}

async fn append_until(
    delivery: &Delivery,
    record: &Record,
    targets: &[Target],
    until: Instant,
) -> Result<Histogram<u64>, Failure> {
    let mut latency = Histogram::<u64>::new(3)?;
    for target in targets.iter().cycle() {
        let began = Instant::now();
        if began >= until {
            break;
        }
        let barrier = {
            let mut unit = delivery.begin()?;
            unit.append(std::slice::from_ref(target), record, Kind::Plain);
            unit.commit()
        };
        if !delivery.log().press(barrier) {
            delivery.log().when_durable(barrier).await?;
        }
        latency.record(u64::try_from(began.elapsed().as_micros())?)?;
    }
    Ok(latency)
}

/// Syncs a second of so many bytes each, written over a file full of zeros.
fn overwrite(scratch: &Path, each_bytes: usize, time: Duration) -> Result<f64, Failure> {
    let path = scratch.join("probe");
    let file = zeros(&path, PROBE_BYTES)?;
    let body = vec![b'x'; each_bytes.max(1)];
    let (mut at, mut syncs) = (0, 0_u64);
    let began = Instant::now();
    while began.elapsed() < time {
        if at + body.len() as u64 > PROBE_BYTES {
            at = 0;
        }
        file.write_all_at(&body, at)?;
        file.sync_data()?;
        at += body.len() as u64;
        syncs += 1;
    }
    let took = began.elapsed();
    std::fs::remove_file(path)?;
    Ok(syncs as f64 / took.as_secs_f64())
}

fn zeros(path: &Path, bytes: u64) -> Result<File, Failure> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
    let chunk = vec![0; 1 << 20];
    for at in (0..bytes).step_by(chunk.len()) {
        file.write_all_at(&chunk, at)?;
    }
    file.sync_all()?;
    Ok(file)
}

/// A thousand partitions beside one, by as many writers.
async fn partitions(scratch: &Path, time: Duration) -> Result<Row, Failure> {
    let many = durable(scratch, 1024, 64, 1_000, time).await?;
    let one = durable(scratch, 1024, 64, 1, time).await?;
    let work = "1024 B, 64 writers, 1,000 partitions".to_owned();
    Ok(Row { work, bare_per_s: one.log_per_s, bare: "one partition", ..many })
}

/// Large batches: appended with each durability, read from memory, and scanned from segments.
async fn large(scratch: &Path, megabytes: u64) -> Result<Vec<Row>, Failure> {
    let batch = large_batch()?;
    let count = megabytes * (1 << 20) / batch.bytes().len() as u64;
    let plain = plain_write(scratch, batch.bytes(), count, false)?;
    let synced = plain_write(scratch, batch.bytes(), count, true)?;
    let mut rows = Vec::new();
    for (durability, bare_per_s, bare) in [
        (Durability::Os, plain, "sequential write to a file written before"),
        (Durability::Fsync, synced, "the same, each synced"),
    ] {
        let settings = LogSettings { durability, memory_tail_bytes: 64 << 20, ..LogSettings::default() };
        let place = Place::open(scratch, 1, settings).await?;
        let per_s = append_large(&place, &batch, count, if durability == Durability::Os { 1 } else { 8 }).await?;
        let work = format!("1 MB batches, {durability:?}").to_lowercase();
        rows.push(Row { work, unit: "MB", log_per_s: per_s, bare_per_s, bare, latency_us: [0; 3] });
        if durability == Durability::Fsync {
            rows.extend(reads(scratch, &place, count)?);
        }
        place.close().await?;
    }
    Ok(rows)
}

fn large_batch() -> Result<ValidBatch, Failure> {
    let mut builder = BatchBuilder::new();
    while builder.size_bytes() < LARGE_BYTES {
        builder.push(&record(1_000));
    }
    Ok(ValidBatch::check(builder.finish(), &Limits::default())?)
}

/// Megabytes a second.
fn plain_write(scratch: &Path, body: &[u8], count: u64, is_synced: bool) -> Result<f64, Failure> {
    let path = scratch.join("probe");
    let file = zeros(&path, PROBE_BYTES)?;
    let places = PROBE_BYTES / body.len() as u64;
    let began = Instant::now();
    for number in 0..count {
        file.write_all_at(body, number % places * body.len() as u64)?;
        if is_synced {
            file.sync_data()?;
        }
    }
    let took = began.elapsed();
    std::fs::remove_file(path)?;
    Ok(megabytes(count * body.len() as u64, took))
}

fn megabytes(bytes: u64, time: Duration) -> f64 {
    bytes as f64 / f64::from(1 << 20) / time.as_secs_f64()
}

/// Appends with so many batches on their way at a time.
async fn append_large(place: &Place, batch: &ValidBatch, count: u64, window: u64) -> Result<f64, Failure> {
    let began = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..window {
        let (delivery, batch) = (place.delivery.clone(), batch.clone());
        let topic = Arc::clone(&place.targets[0].topic);
        let own = count / window + u64::from(writer < count % window);
        tasks.spawn(async move {
            for _ in 0..own {
                let barrier = {
                    let mut unit = delivery.begin()?;
                    unit.append_batch(&topic, 0, &batch)?;
                    unit.commit()
                };
                if !delivery.log().press(barrier) {
                    delivery.log().when_durable(barrier).await?;
                }
            }
            Ok::<_, Failure>(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(megabytes(count * batch.bytes().len() as u64, began.elapsed()))
}

fn reads(scratch: &Path, place: &Place, count: u64) -> Result<Vec<Row>, Failure> {
    while place.delivery.log().retire_oldest()? {}
    let partition = place.targets[0].topic.partition(0).ok_or("a partition")?;
    let bounds = partition.bounds();
    // What is still in the journal's last file is in memory, what lies before it in segments.
    let span = bounds.durable / count;
    let tail_from = bounds.durable - bounds.durable.min(32 * span);
    let copy = copy_memory();
    let tail = read_all(place, tail_from, bounds.durable, 20)?;
    let bare = plain_read(scratch, count)?;
    let cold = read_all(place, bounds.log_start, tail_from, 1)?;
    let row = |work: &str, log_per_s, bare_per_s, bare| Row {
        work: work.to_owned(),
        unit: "MB",
        log_per_s,
        bare_per_s,
        bare,
        latency_us: [0; 3],
    };
    Ok(vec![row("reads of the tail", tail, copy, "copy in memory"), row("scan of segments", cold, bare, "plain file read")])
}

fn read_all(place: &Place, from: u64, to: u64, rounds: u32) -> Result<f64, Failure> {
    let partition = place.targets[0].topic.partition(0).ok_or("a partition")?;
    let mut out = BytesMut::with_capacity(2 * LARGE_BYTES);
    let mut bytes = 0;
    let began = Instant::now();
    for _ in 0..rounds {
        let mut at = from;
        while at < to {
            for batch in place.delivery.log().read(&partition, at, LARGE_BYTES, Bound::Durable)? {
                out.clear();
                batch.put_into(&mut out);
                bytes += out.len() as u64;
                at = batch.last_offset + 1;
            }
        }
    }
    Ok(megabytes(bytes, began.elapsed()))
}

fn copy_memory() -> f64 {
    let (body, mut out) = (vec![b'x'; LARGE_BYTES], Vec::with_capacity(LARGE_BYTES));
    let began = Instant::now();
    let mut bytes = 0;
    while began.elapsed() < Duration::from_millis(500) {
        out.clear();
        out.extend_from_slice(std::hint::black_box(&body));
        bytes += std::hint::black_box(&out).len() as u64;
    }
    megabytes(bytes, began.elapsed())
}

fn plain_read(scratch: &Path, count: u64) -> Result<f64, Failure> {
    let path = scratch.join("probe");
    let bytes = count * LARGE_BYTES as u64;
    let file = zeros(&path, bytes)?;
    let mut out = vec![0; LARGE_BYTES];
    let began = Instant::now();
    for at in (0..bytes).step_by(LARGE_BYTES) {
        file.read_exact_at(&mut out, at)?;
        std::hint::black_box(&out);
    }
    let took = began.elapsed();
    std::fs::remove_file(path)?;
    Ok(megabytes(bytes, took))
}
