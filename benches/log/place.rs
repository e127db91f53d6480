//! A log of its own for one row, and what it and the process counted meanwhile.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use trunkline::delivery::{Delivery, Target};
use trunkline::log::record::Record;
use trunkline::log::{LogSettings, LogStats, TopicName, TopicSettings};

use crate::{Failure, bare};

/// The clock of `/proc`, in ticks a second.
const TICKS_PER_S: f64 = 100.0;

pub struct Place {
    pub delivery: Delivery,
    pub targets: Vec<Target>,
    directory: tempfile::TempDir,
}

impl Place {
    pub async fn open(scratch: &Path, partitions: u32, settings: LogSettings) -> Result<Self, Failure> {
        let directory = tempfile::tempdir_in(scratch)?;
        let delivery = Delivery::open(LogSettings { directory: directory.path().to_path_buf(), ..settings })?;
        let mut unit = delivery.begin()?;
        let topic = TopicSettings { max_message_bytes: 16 << 20, retention_ms: None, ..TopicSettings::default() };
        let topic = unit.create_topic(&TopicName::new("bench")?, partitions, topic)?;
        delivery.log().when_durable(unit.commit()).await?;
        let targets = (0..partitions).map(|partition| Target { topic: Arc::clone(&topic), partition }).collect();
        Ok(Self { delivery, targets, directory })
    }

    /// Has the operating system forget what it keeps in memory of the segments.
    pub fn forget_cached(&self) -> Result<(), Failure> {
        let mut directories = vec![self.directory.path().to_path_buf()];
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(directory)? {
                let path = entry?.path();
                if path.is_dir() {
                    directories.push(path);
                } else if path.extension().is_some_and(|extension| extension == "log") {
                    bare::forget_cached(&File::open(path)?)?;
                }
            }
        }
        Ok(())
    }

    pub async fn close(self) -> Result<(), Failure> {
        let delivery = self.delivery;
        tokio::task::spawn_blocking(move || delivery.close()).await??;
        Ok(())
    }
}

pub fn record(size_bytes: usize) -> Record {
    let value = Some(Bytes::from(vec![b'x'; size_bytes]));
    Record { key: None, value, headers: Vec::new(), timestamp_ms: 1_700_000_000_000 }
}

/// What happened since it was begun.
pub struct Meter {
    began: Instant,
    cpu_s: f64,
    before: LogStats,
}

pub struct Measured {
    pub took: Duration,
    pub cpu_s: f64,
    pub written_bytes: u64,
    pub syncs: u64,
    pub commit_entries: f64,
    pub in_syncs: f64,
}

impl Meter {
    pub fn begin(place: &Place) -> Result<Self, Failure> {
        Ok(Self { before: place.delivery.log().stats(), cpu_s: cpu_s()?, began: Instant::now() })
    }

    pub fn end(self, place: &Place) -> Result<Measured, Failure> {
        let (took, cpu_s) = (self.began.elapsed(), cpu_s()? - self.cpu_s);
        let (before, after) = (self.before, place.delivery.log().stats());
        let syncs = (after.syncs - before.syncs).max(1);
        Ok(Measured {
            took,
            cpu_s,
            written_bytes: after.journal_written_bytes - before.journal_written_bytes,
            syncs,
            commit_entries: (after.entries - before.entries) as f64 / syncs as f64,
            in_syncs: (after.sync.sum_us - before.sync.sum_us) as f64 / 1e6 / took.as_secs_f64(),
        })
    }
}

/// What this process has used of the processor until now.
pub fn cpu_s() -> Result<f64, Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    let ticks = fields.map(|field| field.parse::<f64>()).sum::<Result<f64, _>>()?;
    Ok(ticks / TICKS_PER_S)
}
