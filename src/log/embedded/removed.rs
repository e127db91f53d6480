//! What was removed and why, and the files that wait to be deleted.
//!
//! A removed file is renamed first and deleted a while later, as its topic says: until then somebody who removed by mistake can
//! put it back. A start deletes what still waits.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::disk::Disk;
use super::segment::{Segment, Segments};
use crate::log::lsn::Lsn;
use crate::log::stats::Removal;
use crate::log::topic::Topic;

/// Counters of removed records, and files on their way out.
#[derive(Debug, Default)]
pub struct Removed {
    records: [AtomicU64; Removal::ALL.len()],
    /// Segments of deleted topics, and what must be durable before they go.
    topics: Mutex<Vec<DeletedPartition>>,
    waiting: Mutex<Vec<Waiting>>,
}

#[derive(Debug)]
struct DeletedPartition {
    after: Lsn,
    segments: Arc<Segments>,
    delay_ms: u64,
}

#[derive(Debug)]
struct Waiting {
    due_ms: i64,
    path: PathBuf,
    is_directory: bool,
}

impl Removed {
    /// Counts records that are gone.
    pub fn count(&self, why: Removal, records: u64) {
        if let Some(counter) = self.records.get(why as usize) {
            counter.fetch_add(records, Ordering::Relaxed);
        }
    }

    /// The counters as they stand.
    pub fn counts(&self) -> [u64; Removal::ALL.len()] {
        self.records.each_ref().map(|counter| counter.load(Ordering::Relaxed))
    }

    /// How many files and directories wait to be deleted.
    pub fn waiting(&self) -> u64 {
        self.waiting.lock().len() as u64
    }

    /// A topic is deleted by an entry that will be written at `end` or later.
    pub fn topic(&self, topic: &Topic, end: Lsn) {
        let delay_ms = topic.settings().segments.file_delete_delay_ms;
        let mut topics = self.topics.lock();
        for partition in topic.partitions() {
            let (in_journal, segments) = partition.with(|state| {
                let in_journal: u64 = state.refs.iter().map(|batch| u64::from(batch.span)).sum();
                (in_journal, Arc::clone(&state.segments))
            });
            self.count(Removal::Deleted, in_journal);
            if !segments.list().is_empty() {
                topics.push(DeletedPartition { after: Lsn(end.0 + 1), segments, delay_ms });
            }
        }
    }

    /// Takes the files of segments that nobody looks for any more out of the way.
    pub fn files(&self, disk: &Disk, segments: &[Segment], delay_ms: u64, now_ms: i64) -> io::Result<()> {
        for path in segments.iter().flat_map(Segment::paths) {
            if !disk.exists(path) {
                continue;
            }
            let mut name = path.file_name().unwrap_or_default().to_owned();
            name.push(".deleted");
            let renamed = path.with_file_name(name);
            disk.rename(path, &renamed)?;
            self.wait(renamed, false, delay_ms, now_ms);
        }
        Ok(())
    }

    fn wait(&self, path: PathBuf, is_directory: bool, delay_ms: u64, now_ms: i64) {
        let due_ms = now_ms.saturating_add_unsigned(delay_ms);
        self.waiting.lock().push(Waiting { due_ms, path, is_directory });
    }

    /// Takes the files of deleted topics out of the way, and deletes what has waited long enough.
    pub fn delete_due(&self, disk: &Disk, synced: Lsn, now_ms: i64) -> io::Result<()> {
        let due: Vec<_> = self.topics.lock().extract_if(.., |topic| topic.after <= synced).collect();
        let mut parent = None;
        for DeletedPartition { segments, delay_ms, .. } in due {
            // A new topic of that name may have taken the directory over, and removed what was in it.
            if segments.is_own() {
                self.count(Removal::Deleted, segments.list().iter().filter_map(|segment| segment.record_count().ok()).sum());
                let renamed = segments.directory_of_deleted();
                disk.rename(segments.directory(), &renamed)?;
                parent = renamed.parent().map(Path::to_owned);
                self.wait(renamed, true, delay_ms, now_ms);
            }
        }
        // The journal is about to forget that they were deleted.
        parent.map_or(Ok(()), |parent| disk.sync_directory(&parent))?;
        let due: Vec<_> = self.waiting.lock().extract_if(.., |waiting| waiting.due_ms <= now_ms).collect();
        for Waiting { path, is_directory, .. } in due {
            if is_directory { disk.clear_directory(&path)? } else { disk.clear_file(&path)? }
        }
        Ok(())
    }
}
