//! What survives a cut or a damaged journal, and what a reader may see.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use smallvec::smallvec;

use super::embedded::disk::Open;
use super::record::{BatchBuilder, Record};
use super::simulated::Simulated;
use super::*;

fn settings(directory: &Path) -> LogSettings {
    LogSettings { directory: directory.to_owned(), journal_retain_bytes: u64::MAX, ..LogSettings::default() }
}

fn open(directory: &Path) -> Log {
    Log::open(settings(directory)).expect("the log opens")
}

fn name() -> TopicName {
    TopicName::new("orders").expect("a legal name")
}

fn make_topic(log: &Log) -> Arc<Topic> {
    let (topic, record) = log.create_topic(&name(), 1, TopicSettings::default()).expect("a new topic");
    let mut entry = Entry::default();
    entry.add_state(&[record], |table| log.open_table(table).ok(), 0);
    log.append(&entry).expect("it is taken");
    topic
}

/// Appends values as one batch and waits until they are on disk.
fn append(log: &Log, topic: &Topic, values: &[&str]) -> Barrier {
    let partition = topic.partition(0).expect("a partition");
    let mut batch = BatchBuilder::new();
    for value in values {
        let value = Some(Bytes::copy_from_slice(value.as_bytes()));
        batch.push(&Record { key: None, value, headers: Vec::new(), timestamp_ms: 7 });
    }
    let span = u32::try_from(values.len()).expect("a few");
    let base_offset = partition.reserve(span);
    let mut entry = Entry::default();
    entry.add(Write {
        targets: smallvec![Placement { partition, base_offset }],
        span,
        batch: batch.finish(),
        max_timestamp_ms: 7,
        is_broadcast: false,
    });
    let barrier = log.append(&entry).expect("it is taken");
    simulation::wait_until_durable(log, barrier);
    barrier
}

fn values(log: &Log) -> Vec<String> {
    let Some(partition) = log.topic(&name()).and_then(|topic| topic.partition(0)) else { return Vec::new() };
    let mut from = partition.bounds().log_start;
    let mut found = Vec::new();
    while from < partition.bounds().durable {
        for batch in log.read(&partition, from, 1 << 20, Bound::Durable).expect("it is kept") {
            for record in batch.records(log.limits()).expect("a batch") {
                let (offset, record) = record.expect("a record");
                assert_eq!(offset, from, "offsets are dense");
                from += 1;
                found.push(String::from_utf8_lossy(&record.value.expect("a value")).into_owned());
            }
        }
    }
    found
}

fn journal_file(directory: &Path) -> PathBuf {
    let mut files: Vec<_> =
        std::fs::read_dir(directory.join("journal")).expect("a directory").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files.pop().expect("a file")
}

/// A log of three entries, closed; the journal's bytes and where each of the entries ends in them.
fn three_entries() -> (Vec<u8>, Vec<usize>) {
    let directory = tempfile::tempdir().expect("a directory");
    let log = open(directory.path());
    let topic = make_topic(&log);
    let ends = ["one", "two", "three"].map(|value| append(&log, &topic, &[value, value]));
    log.close();
    let mut bytes = std::fs::read(journal_file(directory.path())).expect("a journal");
    // Behind them are the zeros that the file was made of.
    bytes.truncate(usize::try_from(log.end().0 - 8 + 64).expect("small"));
    (bytes, ends.map(|end| usize::try_from(end.synced().0 - 8 + 64).expect("small")).to_vec())
}

/// A log on a disk in memory, which costs no sync.
fn open_on(disk: &Simulated) -> Result<Log, OpenError> {
    Log::open(LogSettings { disk: disk.disk(), ..settings(Path::new("/")) })
}

/// What a start makes of a journal that is these bytes.
fn open_with(bytes: &[u8]) -> (Simulated, Result<Log, OpenError>) {
    let disk = Simulated::new(1);
    disk.disk().create_directory(Path::new("/journal")).expect("made");
    let file = disk.disk().open(Path::new("/journal/00000000000000000008.journal"), Open::CreateNew).expect("made");
    file.write_all_at(bytes, 0).expect("written");
    let log = open_on(&disk);
    (disk, log)
}

#[test]
fn a_journal_cut_anywhere_keeps_every_entry_before_the_cut_and_goes_on() {
    let (bytes, ends) = three_entries();
    for cut in ends[0]..bytes.len() {
        let (disk, log) = open_with(&bytes[..cut]);
        let log = log.expect("a torn tail is cut");
        let found = values(&log);
        let whole = ends.iter().filter(|end| **end <= cut).count();
        // An entry may lose its padding: fewer than 8 bytes.
        let padding = ends.get(whole).is_some_and(|end| end - cut < 8 && found.len() == 2 * (whole + 1));
        let expected = ["one", "one", "two", "two", "three", "three"];
        assert_eq!(found, expected[..2 * (whole + usize::from(padding))], "cut at {cut}");
        append(&log, &log.topic(&name()).expect("the topic"), &["after"]);
        log.close();
        drop(log);
        let log = open_on(&disk).expect("the log opens");
        assert_eq!(values(&log).last().map(String::as_str), Some("after"));
        log.close();
    }
}

#[test]
fn a_flipped_bit_in_what_was_synced_stops_the_start_and_names_the_place() {
    let (bytes, ends) = three_entries();
    for at in (64..ends[1]).step_by(3) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        let (_, log) = open_with(&damaged);
        match log {
            // Padding between entries is covered by no checksum and holds nothing.
            Ok(log) => {
                assert_eq!(values(&log).len(), 6, "byte {at}");
                log.close();
            }
            Err(OpenError::Damaged { path, byte, reason }) => {
                assert!(path.ends_with("00000000000000000008.journal"));
                assert!(byte <= at as u64, "{byte} for {at}: {reason}");
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_journal_of_another_version_is_refused() {
    let (bytes, _) = three_entries();
    let mut other = bytes;
    other[8] = 9;
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &other[..32]) as u32;
    other[32..36].copy_from_slice(&crc.to_le_bytes());
    let (_, log) = open_with(&other);
    assert!(matches!(log, Err(OpenError::Version { found: 9, .. })));
}

#[test]
fn many_writers_share_a_sync() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = open(directory.path());
    let topic = make_topic(&log);
    let appends = parking_lot::Mutex::new(());
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..20 {
                    let partition = topic.partition(0).expect("a partition");
                    let mut batch = BatchBuilder::new();
                    batch.push(&Record { key: None, value: None, headers: Vec::new(), timestamp_ms: 0 });
                    let turn = appends.lock();
                    let base_offset = partition.reserve(1);
                    let mut entry = Entry::default();
                    entry.add(Write {
                        targets: smallvec![Placement { partition, base_offset }],
                        span: 1,
                        batch: batch.finish(),
                        max_timestamp_ms: 0,
                        is_broadcast: false,
                    });
                    let barrier = log.append(&entry).expect("it is taken");
                    drop(turn);
                    simulation::wait_until_durable(&log, barrier);
                }
            });
        }
    });
    let stats = log.stats();
    assert!(stats.entries >= 320);
    assert!(stats.syncs < stats.entries, "{} syncs for {} entries", stats.syncs, stats.entries);
    assert_eq!(topic.partition(0).expect("a partition").bounds().durable, 320);
    log.close();
}

#[test]
fn batches_are_found_by_time_in_the_journal_and_in_segments() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = Log::open(LogSettings { journal_file_bytes: 1, ..settings(directory.path()) }).expect("the log opens");
    let topic = make_topic(&log);
    append(&log, &topic, &["a", "b"]);
    append(&log, &topic, &["c"]);
    let partition = topic.partition(0).expect("a partition");
    for _ in 0..2 {
        assert_eq!(log.offset_for_time(&partition, 7, Bound::Durable).expect("it reads"), Some((0, 7)));
        assert_eq!(log.offset_for_time(&partition, 8, Bound::Durable).expect("it reads"), None);
        for _ in 0..4 {
            log.retire_oldest().expect("it retires");
        }
    }
    assert_eq!(values(&log), ["a", "b", "c"]);
    log.close();
}

#[test]
fn random_entries_never_panic_the_replay() {
    let (bytes, _) = three_entries();
    let entries = &bytes[64..];
    assert!(replay_any(entries).expect("it replays") > 8);
    for at in 0..entries.len() {
        let mut damaged = entries.to_vec();
        damaged[at] ^= 0xff;
        let _ = replay_any(&damaged);
    }
}
