//! Files as a crash leaves them half-way, and steps of two threads that meet at the wrong moment.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use bytes::Bytes;
use smallvec::smallvec;

use super::embedded::disk::Open;
use super::record::{BatchBuilder, Record};
use super::simulated::{Keep, Simulated};
use super::*;

/// Journal files so small that each entry gets its own.
fn open(directory: &Path) -> Log {
    open_on(directory, LogSettings::default().disk)
}

fn open_on(directory: &Path, disk: super::embedded::disk::Disk) -> Log {
    let directory = directory.to_owned();
    let settings = LogSettings { directory, disk, journal_file_bytes: 1, memory_tail_bytes: 0, ..simulation::at_rest() };
    Log::open(settings).expect("the log opens")
}

fn name() -> TopicName {
    TopicName::new("orders").expect("a legal name")
}

fn make_topic(log: &Log) -> Arc<Topic> {
    let settings = TopicSettings { retention_ms: None, ..TopicSettings::default() };
    let (topic, record) = log.create_topic(&name(), 1, settings).expect("a new topic");
    let mut entry = Entry::default();
    entry.add_state(&[record], |table| log.open_table(table).ok(), 0);
    log.append(&entry).expect("it is taken");
    topic
}

fn append(log: &Log, partition: &Arc<Partition>, value: &str) {
    let mut batch = BatchBuilder::new();
    let value = Some(Bytes::copy_from_slice(value.as_bytes()));
    batch.push(&Record { key: None, value, headers: Vec::new(), timestamp_ms: 7 });
    let base_offset = partition.reserve(1);
    let mut entry = Entry::default();
    entry.add(Write {
        targets: smallvec![Placement { partition: Arc::clone(partition), base_offset }],
        span: 1,
        batch: batch.finish(),
        max_timestamp_ms: 7,
        is_broadcast: false,
    });
    let barrier = log.append(&entry).expect("it is taken");
    simulation::wait_until_durable(log, barrier);
}

fn partition(log: &Log) -> Arc<Partition> {
    log.topic(&name()).and_then(|topic| topic.partition(0)).expect("a partition")
}

/// The first letters of all values, read with small reads.
fn values(log: &Log) -> String {
    let partition = partition(log);
    let mut found = String::new();
    while (found.len() as u64) < partition.bounds().end {
        let batches = log.read(&partition, found.len() as u64, 1, Bound::Durable).expect("it is kept");
        assert!(!batches.is_empty(), "nothing behind {found}");
        for record in batches.iter().flat_map(|batch| batch.records(log.limits()).expect("a batch")) {
            let (offset, record) = record.expect("a record");
            assert_eq!(offset, found.len() as u64, "offsets are dense");
            found.push(char::from(record.value.expect("a value")[0]));
        }
    }
    found
}

/// Retires more files than the tests have written. Each retirement adds one.
fn retire_some(log: &Log) {
    for _ in 0..20 {
        log.retire_oldest().expect("it retires");
    }
}

fn add_to(disk: &Simulated, path: &Path, bytes: &[u8]) {
    disk.disk().open(path, Open::Append).and_then(|file| file.append(bytes)).expect("a file");
}

/// What a power cut leaves while the oldest journal file is being retired, right before anything of it is in its segment.
fn cut_while_retiring(whole: &Simulated, segment: &Path) -> Simulated {
    let before = whole.disk().read(segment).expect("a segment");
    let mut left = None;
    for changes in 0..500 {
        let disk = whole.copy();
        let log = open_on(Path::new("/"), disk.disk());
        disk.cut_after(changes, Keep::Nothing);
        let retired = log.retire_oldest();
        let after = disk.cut(Keep::Nothing);
        log.close();
        let is_unchanged = after.disk().read(segment).expect("a segment") == before;
        match retired {
            Err(_) if is_unchanged => left = Some(after),
            _ => break,
        }
    }
    left.expect("it was cut")
}

#[test]
fn an_index_entry_without_its_batch_hides_nothing() {
    let (root, segment) = (Path::new("/"), PathBuf::from("/topics/orders-0/00000000000000000000.log"));
    let whole = Simulated::new(1);
    let log = open_on(root, whole.disk());
    make_topic(&log);
    for letter in ["a", "b", "c", "d"] {
        append(&log, &partition(&log), &letter.repeat(5_000));
    }
    append(&log, &partition(&log), "e");
    append(&log, &partition(&log), "f");
    // The oldest journal file is then the one that holds "f".
    while partition(&log).with(|state| state.segments.next_offset()) < 5 {
        log.retire_oldest().expect("it retires");
    }
    log.close();
    let left = cut_while_retiring(&whole, &segment);
    // What a crash may leave of the batch behind the index entry: nothing of it, or its beginning.
    for torn in [0, 70] {
        let disk = left.copy();
        let batch = disk.disk().read(&segment).expect("a segment");
        let mut beginning = batch[..torn].to_vec();
        // It says which offset it was to be.
        beginning.iter_mut().take(8).zip(5_u64.to_be_bytes()).for_each(|(byte, offset)| *byte = offset);
        add_to(&disk, &segment, &beginning);
        let position = u32::try_from(batch.len()).expect("small").to_be_bytes();
        add_to(&disk, &segment.with_extension("index"), &[9_u32.to_be_bytes(), position].concat());
        add_to(&disk, &segment.with_extension("timeindex"), &[&99_i64.to_be_bytes()[..], &9_u32.to_be_bytes()].concat());
        let log = open_on(root, disk.disk());
        assert_eq!(values(&log), "abcdef");
        append(&log, &partition(&log), &"g".repeat(5_000));
        append(&log, &partition(&log), "h");
        retire_some(&log);
        assert!(values(&log).ends_with("gh"), "{}", values(&log));
        assert_eq!(log.offset_for_time(&partition(&log), 8, Bound::Durable).expect("it reads"), None);
        log.close();
    }
}

#[test]
fn an_end_that_no_crash_can_have_torn_stops_the_start() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = open(directory.path());
    make_topic(&log);
    append(&log, &partition(&log), "a");
    append(&log, &partition(&log), "b");
    retire_some(&log);
    log.close();
    drop(log);
    let segment = directory.path().join("topics/orders-0/00000000000000000000.log");
    let length = std::fs::metadata(&segment).expect("a segment").len();
    OpenOptions::new().write(true).open(&segment).and_then(|file| file.set_len(length - 1)).expect("it is cut");
    let settings = LogSettings { directory: directory.path().to_owned(), ..LogSettings::default() };
    let error = Log::open(settings).err().expect("acknowledged records are missing").to_string();
    assert!(error.contains("topics/orders-0"), "{error}");
    assert_eq!(std::fs::metadata(&segment).expect("a segment").len(), length - 1, "nothing is changed");
}

#[test]
fn what_is_reserved_and_not_written_is_no_part_of_what_a_retirement_writes_down() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = open(directory.path());
    make_topic(&log);
    append(&log, &partition(&log), "a");
    append(&log, &partition(&log), "b");
    let turn = log.turn();
    partition(&log).reserve(5);
    let (sender, retired) = channel();
    let other = log.clone();
    let thread = std::thread::spawn(move || {
        retire_some(&other);
        sender.send(()).expect("somebody waits");
    });
    assert_eq!(retired.recv_timeout(Duration::from_millis(50)), Err(RecvTimeoutError::Timeout));
    drop(turn);
    thread.join().expect("no panic");
    log.close();
}

#[test]
fn reading_a_deleted_topic_whose_journal_file_is_gone_ends() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = open(directory.path());
    make_topic(&log);
    append(&log, &partition(&log), "a");
    let partition = partition(&log);
    let mut entry = Entry::default();
    entry.add_state(&log.delete_topic(&name()).expect("it is there"), |table| log.open_table(table).ok(), 0);
    let barrier = log.append(&entry).expect("it is taken");
    simulation::wait_until_durable(&log, barrier);
    retire_some(&log);
    assert!(log.read(&partition, 0, 1, Bound::Durable).is_err());
    log.close();
}

#[test]
fn a_deletion_is_kept_as_long_as_segments_hold_what_it_deletes() {
    let table = Table("__test");
    let directory = tempfile::tempdir().expect("a directory");
    let log = open(directory.path());
    log.open_table(table).expect("it is taken");
    let write = |changes: Vec<(u32, Change)>| {
        let record =
            |(key, change): (u32, Change)| StateRecord { table, key: Bytes::copy_from_slice(&key.to_be_bytes()), change };
        let records: Vec<_> = changes.into_iter().map(record).collect();
        let mut entry = Entry::default();
        entry.add_state(&records, |table| log.open_table(table).ok(), 0);
        let barrier = log.append(&entry).expect("it is taken");
        simulation::wait_until_durable(&log, barrier);
    };
    let put = |letter: u8| Change::Put(Bytes::from(vec![letter; 2_000]));
    write((0..1_500).map(|key| (key, put(b'a'))).collect());
    write(vec![(5_000, put(b'a'))]);
    write(vec![(6_000, put(b'a'))]);
    write((0..1_500).map(|key| if key == 7 { (key, Change::Delete) } else { (key, put(b'b')) }).collect());
    write(vec![(7_000, put(b'a'))]);
    retire_some(&log);
    log.close();
    let log = open(directory.path());
    let mut held = std::collections::HashMap::new();
    for (key, change) in log.read_table(table).expect("it reads") {
        match change {
            Change::Put(body) => drop(held.insert(key, body[0])),
            Change::Operation(_) => {}
            Change::Delete => drop(held.remove(&key)),
        }
    }
    assert_eq!(held.len(), 1_499 + 3);
    assert!(!held.contains_key(&7_u32.to_be_bytes()[..]), "a deleted key is back");
    assert!((0_u32..1_500).filter(|key| *key != 7).all(|key| held[&key.to_be_bytes()[..]] == b'b'));
    let bytes: u64 = log.topic(&TopicName::internal(table.0)).and_then(|topic| topic.partition(0)).map_or(0, |p| p.bytes());
    assert!(bytes < 4 * 1_500 * 2_100, "replaced values go: {bytes}");
    log.close();
}
