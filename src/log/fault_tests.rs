//! A disk that fails: what the log says then, what it still does, and that nothing damaged is ever served.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use smallvec::smallvec;

use super::embedded::disk::Open;
use super::record::{BatchBuilder, Record};
use super::simulated::{Fault, Keep, Simulated};
use super::*;

const FILE_BYTES: u64 = 4_000;

fn settings(disk: &Simulated) -> LogSettings {
    LogSettings { journal_file_bytes: FILE_BYTES, memory_tail_bytes: 0, ..simulation::on(disk) }
}

fn name() -> TopicName {
    TopicName::new("orders").expect("a legal name")
}

fn make_topic(log: &Log) {
    let settings = TopicSettings { retention_ms: None, ..TopicSettings::default() };
    let (_, record) = log.create_topic(&name(), 1, settings).expect("a new topic");
    let mut entry = Entry::default();
    entry.add_state(&[record], |table| log.open_table(table).ok(), 0);
    log.append(&entry).expect("it is taken");
}

fn partition(log: &Log) -> Arc<Partition> {
    log.topic(&name()).and_then(|topic| topic.partition(0)).expect("a partition")
}

fn append(log: &Log, value: u64) -> Result<Barrier, Refused> {
    append_sized(log, value, 300)
}

fn append_sized(log: &Log, value: u64, bytes: usize) -> Result<Barrier, Refused> {
    let mut batch = BatchBuilder::new();
    let bytes = [&value.to_be_bytes()[..], &vec![0; bytes]].concat();
    batch.push(&Record { key: None, value: Some(bytes.into()), headers: Vec::new(), timestamp_ms: 7 });
    let partition = partition(log);
    let base_offset = partition.reserve(1);
    let mut entry = Entry::default();
    entry.add(Write {
        targets: smallvec![Placement { partition, base_offset }],
        span: 1,
        batch: batch.finish(),
        max_timestamp_ms: 7,
        is_broadcast: false,
    });
    log.append(&entry)
}

fn wait(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::yield_now();
    }
}

fn settle(log: &Log, barrier: Barrier) {
    wait("it is durable", || log.is_durable(barrier));
}

/// All durable values, or why they cannot be read.
fn values(log: &Log) -> Result<Vec<u64>, ReadError> {
    let partition = partition(log);
    let (mut next, mut values) = (partition.bounds().log_start, Vec::new());
    while next < partition.bounds().durable {
        let batches = log.read(&partition, next, 1, Bound::Durable)?;
        if batches.is_empty() {
            break;
        }
        for found in batches.iter().flat_map(|batch| batch.records(log.limits()).expect("a batch")) {
            let (offset, record) = found.expect("a record");
            next = offset + 1;
            let value: Bytes = record.value.expect("a value");
            values.push(u64::from_be_bytes(value[..8].try_into().expect("8 bytes")));
        }
    }
    Ok(values)
}

fn flip(disk: &Simulated, path: &Path, random: &mut StdRng) -> u64 {
    let file = disk.disk().open(path, Open::Write).expect("it is there");
    let length = file.length().expect("it has one");
    let at = random.random_range(0..length);
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("it reads");
    file.write_all_at(&[byte[0] ^ (1 << random.random_range(0..8))], at).expect("it is written");
    at
}

/// A log of twenty records, most of which lie in segments, closed.
fn closed_log() -> Simulated {
    let disk = Simulated::new(1);
    let log = Log::open(settings(&disk)).expect("the log opens");
    make_topic(&log);
    for value in 0..20 {
        let barrier = append_sized(&log, value, 2_000).expect("it is taken");
        settle(&log, barrier);
    }
    while log.retire_oldest().expect("it retires") && log.stats().journal_files > 2 {}
    log.close();
    disk
}

#[test]
fn a_failed_sync_or_write_poisons_the_log_for_good() {
    for fault in [Fault::SyncError, Fault::WriteError] {
        let disk = Simulated::new(1);
        let log = Log::open(settings(&disk)).expect("the log opens");
        make_topic(&log);
        let kept = append(&log, 1).expect("it is taken");
        settle(&log, kept);
        disk.fail(fault, 0);
        let lost = append(&log, 2).expect("it is taken");
        wait("it is poisoned", || log.poisoned().is_some());
        assert!(!log.is_durable(lost), "{fault:?}");
        assert!(matches!(append(&log, 3), Err(Refused::Poisoned(_))), "{fault:?}");
        assert_eq!(values(&log).expect("it reads"), [1], "what was durable before is served");
        log.close();
        let after = disk.cut(Keep::Nothing);
        let log = Log::open(settings(&after)).expect("the log opens");
        assert_eq!(values(&log).expect("it reads"), [1]);
        log.close();
    }
}

#[test]
fn a_slow_sync_delays_and_loses_nothing() {
    let disk = Simulated::new(1);
    let log = Log::open(settings(&disk)).expect("the log opens");
    make_topic(&log);
    let before = append(&log, 1).expect("it is taken");
    settle(&log, before);
    disk.fail(Fault::SlowSync(Duration::from_millis(50)), 0);
    let began = Instant::now();
    let barrier = append(&log, 2).expect("it is taken");
    settle(&log, barrier);
    assert!(began.elapsed() >= Duration::from_millis(50));
    log.close();
    let after = disk.cut(Keep::Nothing);
    let log = Log::open(settings(&after)).expect("the log opens");
    assert_eq!(values(&log).expect("it reads"), [1, 2]);
    log.close();
}

#[test]
fn a_write_that_finds_no_room_is_done_again() {
    let disk = Simulated::new(1);
    let log = Log::open(settings(&disk)).expect("the log opens");
    make_topic(&log);
    let before = append(&log, 1).expect("it is taken");
    settle(&log, before);
    disk.fail(Fault::NoSpace, 0);
    let barrier = append(&log, 2).expect("it is taken");
    settle(&log, barrier);
    assert_eq!(values(&log).expect("it reads"), [1, 2]);
    assert_eq!(log.admit_records(), Ok(()));
    log.close();
}

#[test]
fn a_full_disk_refuses_records_serves_readers_and_goes_on_once_there_is_room() {
    let disk = Simulated::new(1);
    let log = Log::open(settings(&disk)).expect("the log opens");
    make_topic(&log);
    // No room for another journal file, and none for a file to grow.
    disk.limit(disk.used_bytes());
    let mut barriers = Vec::new();
    wait("the disk is full", || {
        if log.admit_records().is_err() {
            return true;
        }
        let value = barriers.len() as u64;
        barriers.push(append(&log, value).expect("it is taken"));
        let last = barriers[barriers.len() - 1];
        wait("it is durable or waits for room", || log.is_durable(last) || log.room().0 == Room::Full);
        false
    });
    assert_eq!(log.admit_records(), Err(Refused::DiskFull));
    assert!(log.poisoned().is_none(), "nothing was acknowledged that is not there");
    assert!(log.stats().disk_refused > 0);
    let waiting = barriers[barriers.len() - 1];
    assert!(!log.is_durable(waiting));
    assert_eq!(values(&log).expect("readers go on").len(), barriers.len() - 1);
    // A crash just now loses nothing that was acknowledged.
    let crashed = disk.copy();
    disk.limit(u64::MAX);
    settle(&log, waiting);
    assert_eq!(log.admit_records(), Ok(()));
    let last = append(&log, barriers.len() as u64).expect("it is taken");
    settle(&log, last);
    let all: Vec<u64> = (0..=barriers.len() as u64).collect();
    assert_eq!(values(&log).expect("it reads"), all);
    log.close();
    let log = Log::open(settings(&disk.cut(Keep::Nothing))).expect("the log opens");
    assert_eq!(values(&log).expect("it reads"), all);
    log.close();
    let log = Log::open(settings(&crashed)).expect("the log opens");
    assert!(values(&log).expect("it reads").len() + 2 >= all.len());
    log.close();
}

#[test]
fn a_log_that_waits_for_room_can_be_closed() {
    let disk = Simulated::new(1);
    let log = Log::open(settings(&disk)).expect("the log opens");
    make_topic(&log);
    settle(&log, log.barrier());
    disk.limit(disk.used_bytes());
    while log.admit_records().is_ok() {
        let barrier = append(&log, 1).expect("it is taken");
        wait("it is durable or waits for room", || log.is_durable(barrier) || log.room().0 == Room::Full);
    }
    log.close();
    assert!(log.poisoned().is_some(), "those who wait are told");
}

#[test]
fn watermarks_refuse_records_and_let_go_of_them_with_room() {
    let disk = Simulated::new(1);
    let log = Log::open(LogSettings {
        watermarks: Watermarks { slow_below_bytes: 20_000, refuse_below_bytes: 10_000 },
        maintenance_interval_ms: 1,
        ..settings(&disk)
    })
    .expect("the log opens");
    make_topic(&log);
    settle(&log, log.barrier());
    for (room_bytes, room) in [(15_000, Room::Low), (9_000, Room::Full), (11_000, Room::Full), (u64::MAX >> 1, Room::Ample)] {
        disk.limit(disk.used_bytes() + room_bytes);
        wait("the watermark is seen", || log.room().0 == room);
        assert_eq!(log.admit_records().is_err(), room == Room::Full, "{room:?}");
        // What frees room is taken all the same.
        let barrier = append(&log, 1).expect("it is taken");
        settle(&log, barrier);
    }
    log.close();
}

#[test]
fn who_waits_for_room_is_woken_by_room_and_by_the_end_of_the_log() {
    let disk = Simulated::new(1);
    let watermarks = Watermarks { slow_below_bytes: 10_000, refuse_below_bytes: 10_000 };
    let log = Log::open(LogSettings { watermarks, maintenance_interval_ms: 1, ..settings(&disk) }).expect("the log opens");
    make_topic(&log);
    settle(&log, log.barrier());
    let is_woken = |signal: &Signal| futures_util::FutureExt::now_or_never(signal.notified()).is_some();
    let fill = || {
        disk.limit(disk.used_bytes() + 9_000);
        wait("the disk is full", || log.room().0 == Room::Full);
    };
    let signal = Signal::default();
    fill();
    log.wake_at_room(&signal);
    assert!(!is_woken(&signal));
    disk.limit(u64::MAX >> 1);
    wait("it is woken by room", || is_woken(&signal));
    fill();
    log.wake_at_room(&signal);
    disk.fail(Fault::SyncError, 0);
    append(&log, 1).expect("it is taken");
    wait("it is woken by the end", || is_woken(&signal));
    assert!(log.poisoned().is_some());
    log.wake_at_room(&signal);
    assert!(is_woken(&signal), "nobody waits for what never comes");
    log.close();
}

#[test]
fn under_a_writer_faster_than_the_disk_memory_stays_flat() {
    let disk = Simulated::new(1);
    let tail_bytes = 100_000;
    let log = Log::open(LogSettings { memory_tail_bytes: tail_bytes, ..settings(&disk) }).expect("the log opens");
    make_topic(&log);
    let mut most = 0;
    for value in 0..5_000 {
        if value % 500 == 0 {
            disk.fail(Fault::SlowSync(Duration::from_millis(5)), 0);
        }
        append(&log, value).expect("it is taken");
        most = most.max(log.stats().tail_bytes);
    }
    settle(&log, log.barrier());
    // One piece more than the budget: what is being written is kept until it is.
    assert!(most <= tail_bytes as u64 + (1 << 20), "{most}");
    log.close();
}

#[test]
fn a_flipped_bit_in_a_segment_is_named_and_never_served() {
    let whole = closed_log();
    let mut random = StdRng::seed_from_u64(7);
    let mut named = 0;
    for _ in 0..300 {
        let disk = whole.copy();
        let logs: Vec<PathBuf> =
            disk.files().into_iter().filter(|path| path.to_string_lossy().contains("orders-0/") && is_log(path)).collect();
        let path = &logs[random.random_range(0..logs.len())];
        let at = flip(&disk, path, &mut random);
        let Ok(log) = Log::open(settings(&disk)) else {
            named += 1;
            continue;
        };
        match values(&log) {
            // Base offset and leader epoch are outside of the checksum, as Kafka has it. The values are what was written.
            Ok(found) => assert!(found.iter().all(|value| *value < 20), "byte {at} of {}: {found:?}", path.display()),
            Err(error) => {
                named += 1;
                assert!(error.to_string().contains("orders"), "{error}");
            }
        }
        log.close();
    }
    assert!(named > 150, "{named} of 300");
}

fn is_log(path: &Path) -> bool {
    path.extension().is_some_and(|kind| kind == "log")
}

#[test]
fn a_flipped_bit_in_the_journal_stops_the_start_or_is_in_what_nobody_was_told_of() {
    let whole = closed_log();
    let mut random = StdRng::seed_from_u64(8);
    let mut refused = 0;
    for _ in 0..300 {
        let disk = whole.copy();
        let is_journal = |path: &PathBuf| path.extension().is_some_and(|kind| kind == "journal");
        let journals: Vec<PathBuf> = disk.files().into_iter().filter(is_journal).collect();
        let path = &journals[random.random_range(0..journals.len())];
        let at = flip(&disk, path, &mut random);
        match Log::open(settings(&disk)) {
            Ok(log) => {
                let found = values(&log).expect("it reads");
                // The last entry is not known to have been synced: it may be a torn tail.
                let expected: Vec<u64> = (0..found.len() as u64).collect();
                assert!(found == expected && found.len() >= 19, "byte {at} of {}: {found:?}", path.display());
                log.close();
            }
            Err(OpenError::Damaged { path: named, .. }) => {
                refused += 1;
                // Or the file before it, where it is the place of the next that cannot be told any more.
                assert!(journals.contains(&named), "{}", named.display());
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(refused > 50, "{refused} of 300");
}
