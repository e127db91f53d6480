//! Who is served from where, and who is woken: live readers by memory beside scans of old records, waiters by their partition.

use std::path::Path;
use std::sync::Arc;

use futures_util::FutureExt;

use super::disk::Disk;
use super::disk::simulated::Simulated;
use super::testing::{Place, settings};
use crate::log::record::Compression;
use crate::log::*;

const OLD: u64 = 40;
const LIVE: u64 = 10;

/// Records that are in segments, and behind them records that are in memory, with what reads them from a disk that counts.
fn old_and_live(disk: &Simulated, tail_bytes: usize) -> Place {
    let settings =
        LogSettings { memory_tail_bytes: tail_bytes, segment_bytes: 1 << 20, ..settings(Path::new("/log"), disk.disk()) };
    let place = Place::open(settings, &TopicSettings { retention_ms: None, ..TopicSettings::default() });
    for number in 0..OLD {
        place.append(&[(1, Some(format!("old {number} {}", "x".repeat(1_000))))], Compression::None, 7);
    }
    place.retire_all();
    for number in 0..LIVE {
        place.append(&[(2, Some(format!("live {number}")))], Compression::None, 7);
    }
    place
}

fn scan(place: &Place, from: u64, to: u64) -> Vec<u64> {
    let mut found = Vec::new();
    let mut at = from;
    while at < to {
        let batches = place.log.read(&place.partition, at, 4 << 10, Bound::Durable).expect("it is kept");
        found.extend(batches.iter().map(|batch| batch.base_offset));
        at = batches.last().expect("not the end").last_offset + 1;
    }
    found
}

#[test]
fn a_scan_of_old_records_takes_nothing_out_of_the_memory_tail() {
    let disk = Simulated::new(1);
    // Less than the old records take: a scan that filled it would push the live ones out.
    let place = old_and_live(&disk, 16 << 10);
    let (before, in_tail) = (disk.read_bytes(), place.log.stats().tail_bytes);
    for _ in 0..3 {
        assert_eq!(scan(&place, 0, OLD), (0..OLD).collect::<Vec<_>>());
    }
    assert!(disk.read_bytes() - before >= 3 * OLD * 1_000, "old records come from the disk");
    assert_eq!(place.log.stats().tail_bytes, in_tail, "a scan leaves the tail as it is");
    let before = disk.read_bytes();
    assert_eq!(scan(&place, OLD, OLD + LIVE), (OLD..OLD + LIVE).collect::<Vec<_>>());
    assert_eq!(disk.read_bytes(), before, "live records come from memory");
    place.log.close();
}

#[test]
fn a_large_body_comes_back_from_memory_from_the_journal_and_from_its_segment() {
    let disk = Simulated::new(3);
    let open = || {
        Place::open(settings(Path::new("/log"), disk.disk()), &TopicSettings { retention_ms: None, ..TopicSettings::default() })
    };
    let place = open();
    let large = "x".repeat(super::frame::SHARED_BYTES_MIN);
    let written = [(1, Some("small".to_owned())), (2, Some(large.clone())), (3, Some(large + "y")), (4, Some("last".to_owned()))];
    for record in &written {
        place.append(std::slice::from_ref(record), Compression::None, 7);
    }
    let expected: Vec<_> = (0..).zip(written).collect();
    let found = |place: &Place| place.read().into_iter().collect::<Vec<_>>();
    let before = disk.read_bytes();
    assert_eq!(found(&place), expected);
    assert_eq!(disk.read_bytes(), before, "from memory");
    place.log.close();
    let place = open();
    assert_eq!(found(&place), expected);
    place.retire_all();
    assert!(place.segment_bytes() > 2 * super::frame::SHARED_BYTES_MIN as u64);
    assert_eq!(found(&place), expected);
    place.log.close();
}

#[test]
fn who_reads_on_reads_each_byte_of_a_segment_about_once() {
    let disk = Simulated::new(2);
    let place = old_and_live(&disk, 16 << 10);
    let bytes = place.segment_bytes();
    let before = disk.read_bytes();
    scan(&place, 0, OLD);
    let read = disk.read_bytes() - before;
    // Beside the batches: a header where each read begins, and what a read was long enough to fetch of the batch behind it.
    assert!(read < bytes * 2, "{read} bytes read of {bytes}");
    place.log.close();
}

#[tokio::test]
async fn an_append_wakes_who_waits_for_its_partition_and_nobody_else() {
    let directory = tempfile::tempdir().expect("directory");
    let place = Place::open(settings(directory.path(), Disk::real()), &TopicSettings::default());
    let (topic, record) =
        place.log.create_topic(&TopicName::new("many").expect("a name"), 100, TopicSettings::default()).expect("a new topic");
    let mut entry = Entry::default();
    entry.add_state(&[record], |table| place.log.open_table(table).ok(), 0);
    place.log.append(&entry).expect("it is taken");
    let waiters: Vec<(Arc<Partition>, Signal)> =
        topic.partitions().iter().map(|partition| (Arc::clone(partition), Signal::default())).collect();
    for (partition, signal) in &waiters {
        partition.wake_beyond(0, signal);
    }
    let wanted = 42;
    let other = Place { log: place.log.clone(), partition: Arc::clone(&waiters[wanted].0) };
    for _ in 0..3 {
        other.append(&[(1, Some("for one".to_owned()))], Compression::None, 7);
    }
    waiters[wanted].1.notified().await;
    let woken = |(_, signal): &&(Arc<Partition>, Signal)| signal.notified().now_or_never().is_some();
    assert_eq!(waiters.iter().filter(woken).count(), 0, "one wake-up for three appends, and none for the 99 others");
    place.log.close();
}
