//! Large batches: appended with each durability, read from memory, and scanned from segments.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use trunkline::log::record::{BatchBuilder, Limits, ValidBatch};
use trunkline::log::{Bound, Durability, LogSettings};

use crate::bare::{self, megabytes};
use crate::place::{Measured, Meter, Place, cpu_s, record};
use crate::{Args, Failure, Row};

/// The size of a large batch, in bytes.
const LARGE_BYTES: usize = 1 << 20;
/// So many batches lie in the memory tail when it is read.
const TAIL_BATCHES: u64 = 32;
const TAIL_ROUNDS: u32 = 20;
const OS: &str = "1 MB batches, os";
const FSYNC: &str = "1 MB batches, fsync";
const TAIL: &str = "reads of the tail";
const CACHED: &str = "scan of segments, cached";
const DISK: &str = "scan of segments, from disk";

pub async fn rows(scratch: &Path, args: &Args) -> Result<Vec<Row>, Failure> {
    let batch = large_batch()?;
    let count = args.large_mb * (1 << 20) / batch.bytes().len() as u64;
    let mut rows = Vec::new();
    if args.wants(OS) {
        let bare_per_s = bare::plain_write(scratch, batch.bytes(), count, false)?;
        let place = Place::open(scratch, 1, settings(Durability::Os)).await?;
        let measured = append_large(&place, &batch, count, 1).await?;
        let per_s = megabytes(count * batch.bytes().len() as u64, measured.took);
        let bare = "sequential write to a file written before";
        rows.push(Row { commit_entries: 0.0, ..row(OS, (per_s, &measured), (bare_per_s, bare), count, &batch) });
        place.close().await?;
    }
    if [FSYNC, TAIL, CACHED, DISK].iter().any(|work| args.wants(work)) {
        let bare_per_s = bare::plain_write(scratch, batch.bytes(), count, true)?;
        let place = Place::open(scratch, 1, settings(Durability::Fsync)).await?;
        let measured = append_large(&place, &batch, count, 8).await?;
        let per_s = megabytes(count * batch.bytes().len() as u64, measured.took);
        rows.push(row(FSYNC, (per_s, &measured), (bare_per_s, "the same, each synced"), count, &batch));
        rows.extend(reads(scratch, &place, count, args)?);
        place.close().await?;
    }
    Ok(rows)
}

fn settings(durability: Durability) -> LogSettings {
    LogSettings { durability, memory_tail_bytes: 64 << 20, ..LogSettings::default() }
}

fn row(work: &str, log: (f64, &Measured), bare: (f64, &'static str), count: u64, batch: &ValidBatch) -> Row {
    let (log_per_s, measured) = log;
    let written_mb = (count * batch.bytes().len() as u64) as f64 / f64::from(1 << 20);
    Row {
        work: work.to_owned(),
        unit: "MB",
        log_per_s,
        bare_per_s: bare.0,
        bare: bare.1,
        latency_us: [0; 3],
        cpu_us: measured.cpu_s * 1e6 / written_mb,
        commit_entries: measured.commit_entries,
        in_syncs: measured.in_syncs,
        spread: [log_per_s / bare.0; 2],
    }
}

fn large_batch() -> Result<ValidBatch, Failure> {
    let mut builder = BatchBuilder::new();
    while builder.size_bytes() < LARGE_BYTES {
        builder.push(&record(1_000));
    }
    Ok(ValidBatch::check(builder.finish(), &Limits::default())?)
}

/// Appends with so many batches on their way at a time.
async fn append_large(place: &Place, batch: &ValidBatch, count: u64, window: u64) -> Result<Measured, Failure> {
    let meter = Meter::begin(place)?;
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
    meter.end(place)
}

fn reads(scratch: &Path, place: &Place, count: u64, args: &Args) -> Result<Vec<Row>, Failure> {
    while place.delivery.log().retire_oldest()? {}
    let partition = place.targets[0].topic.partition(0).ok_or("a partition")?;
    let bounds = partition.bounds();
    // What is still in the journal's last file is in memory, what lies before it in segments.
    let tail_from = bounds.durable - bounds.durable.min(TAIL_BATCHES * (bounds.durable / count));
    let mut rows = Vec::new();
    if args.wants(TAIL) {
        let bare = (bare::copy_memory(LARGE_BYTES), "copy in memory");
        rows.push(read_row(place, TAIL, (tail_from, bounds.durable), TAIL_ROUNDS, bare)?);
    }
    if args.wants(CACHED) {
        let bare = (bare::plain_read(scratch, count, LARGE_BYTES, false)?, "plain file read");
        rows.push(read_row(place, CACHED, (bounds.log_start, tail_from), 1, bare)?);
    }
    if args.wants(DISK) {
        let bare = (bare::plain_read(scratch, count, LARGE_BYTES, true)?, "plain file read, from disk");
        place.forget_cached()?;
        rows.push(read_row(place, DISK, (bounds.log_start, tail_from), 1, bare)?);
    }
    Ok(rows)
}

fn read_row(place: &Place, work: &str, (from, to): (u64, u64), rounds: u32, bare: (f64, &'static str)) -> Result<Row, Failure> {
    let partition = place.targets[0].topic.partition(0).ok_or("a partition")?;
    let mut out = BytesMut::with_capacity(2 * LARGE_BYTES);
    let mut bytes = 0;
    let (before_s, began) = (cpu_s()?, Instant::now());
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
    let log_per_s = megabytes(bytes, began.elapsed());
    Ok(Row {
        work: work.to_owned(),
        unit: "MB",
        log_per_s,
        bare_per_s: bare.0,
        bare: bare.1,
        latency_us: [0; 3],
        cpu_us: (cpu_s()? - before_s) * 1e6 / (bytes as f64 / f64::from(1 << 20)),
        commit_entries: 0.0,
        in_syncs: 0.0,
        spread: [log_per_s / bare.0; 2],
    })
}
