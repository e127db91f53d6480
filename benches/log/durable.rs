//! Durable appends of small records by one writer and by many, and over many partitions.

use std::path::Path;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use trunkline::delivery::{Delivery, Kind, Target};
use trunkline::log::record::Record;
use trunkline::log::{LogSettings, Signal};

use crate::place::{Meter, Place, record};
use crate::{Args, Failure, Row, bare};

/// Sizes in bytes, and how many writers wait at once.
const DURABLE: [(usize, u64); 8] = [(100, 1), (1024, 1), (100, 8), (1024, 8), (100, 64), (1024, 64), (100, 512), (1024, 512)];
const MANY: &str = "1024 B, 64 writers, 1,000 partitions";

pub async fn rows(scratch: &Path, args: &Args) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    for (size_bytes, writers) in DURABLE {
        if args.wants(&work(size_bytes, writers)) {
            rows.push(row(scratch, size_bytes, writers, 1, args.row_time()).await?);
        }
    }
    if args.wants(MANY) {
        rows.push(partitions(scratch, args.row_time()).await?);
    }
    Ok(rows)
}

fn work(size_bytes: usize, writers: u64) -> String {
    format!("{size_bytes} B, {writers} writers")
}

/// A thousand partitions beside one, by as many writers.
async fn partitions(scratch: &Path, time: Duration) -> Result<Row, Failure> {
    let many = row(scratch, 1024, 64, 1_000, time).await?;
    let one = row(scratch, 1024, 64, 1, time).await?;
    let ratio = many.log_per_s / one.log_per_s;
    Ok(Row { work: MANY.to_owned(), bare_per_s: one.log_per_s, bare: "one partition", spread: [ratio; 2], ..many })
}

async fn row(scratch: &Path, size_bytes: usize, writers: u64, partitions: u32, time: Duration) -> Result<Row, Failure> {
    let place = Place::open(scratch, partitions, LogSettings::default()).await?;
    let meter = Meter::begin(&place)?;
    let latency = append_all(&place, size_bytes, writers, time).await?;
    let measured = meter.end(&place)?;
    place.close().await?;
    let each_bytes = usize::try_from(measured.written_bytes / measured.syncs)?;
    let bare_syncs_per_s = bare::overwrite(scratch, each_bytes, time.min(Duration::from_secs(2)))?;
    let records = latency.len() as f64;
    let log_per_s = records / measured.took.as_secs_f64();
    let bare_per_s = bare_syncs_per_s * records / measured.syncs as f64;
    Ok(Row {
        work: work(size_bytes, writers),
        unit: "records",
        log_per_s,
        bare_per_s,
        bare: "overwrite + fdatasync of as many bytes",
        latency_us: [0.5, 0.99, 0.999].map(|at| latency.value_at_quantile(at)),
        cpu_us: measured.cpu_s * 1e6 / records,
        commit_entries: measured.commit_entries,
        in_syncs: measured.in_syncs,
        spread: [log_per_s / bare_per_s; 2],
    })
}

async fn append_all(place: &Place, size_bytes: usize, writers: u64, time: Duration) -> Result<Histogram<u64>, Failure> {
    let record = record(size_bytes);
    let mut tasks = tokio::task::JoinSet::new();
    let until = Instant::now() + time;
    for writer in 0..writers {
        let (delivery, record) = (place.delivery.clone(), record.clone());
        let own = writer as usize % place.targets.len();
        let targets: Vec<Target> = place.targets.iter().skip(own).step_by(writers as usize).cloned().collect();
        tasks.spawn(async move { append_until(&delivery, &record, &targets, until).await });
    }
    let mut latency = Histogram::<u64>::new(3)?;
    while let Some(done) = tasks.join_next().await {
        for us in done?? {
            latency.record(us.into())?;
        }
    }
    Ok(latency)
}

async fn append_until(delivery: &Delivery, record: &Record, targets: &[Target], until: Instant) -> Result<Vec<u32>, Failure> {
    // A histogram for each of many writers is more than the caches hold: it took a tenth of all processor time.
    let (mut latencies_us, signal) = (Vec::new(), Signal::default());
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
        let log = delivery.log();
        if !log.press(barrier) {
            // As a connection waits: with one signal for as long as it lives.
            while !log.is_durable(barrier) {
                log.admit()?;
                log.wake_at(barrier, &signal);
                signal.notified().await;
            }
        }
        latencies_us.push(u32::try_from(began.elapsed().as_micros())?);
    }
    Ok(latencies_us)
}
