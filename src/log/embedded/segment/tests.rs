//! Segments over real files: when another begins, indexes that are missing or damaged, and what Kafka's own tool says of them.

use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;

use super::*;
use crate::log::embedded::aborted::decode_all;
use crate::log::embedded::disk::Disk;
use crate::log::embedded::disk::simulated::{Keep, Simulated};
use crate::log::record::{BatchBuilder, BatchHeader, Compression, Record, sealed_for_tests};

const IDENTITY: TopicId = TopicId(7);
const NEVER: Roll = Roll { bytes: u64::MAX, age_ms: None };

fn files(files_max: usize) -> OpenFiles {
    OpenFiles::new(Disk::default(), files_max)
}

fn segments(directory: &Path) -> Segments {
    Segments::empty(files(8), directory.join("orders-0"), IDENTITY)
}

fn reopened(directory: &Path) -> Segments {
    Segments::open(files(8), directory.join("orders-0"), IDENTITY, End::MayBeTorn(0)).expect("it opens")
}

/// A batch of records of 500 bytes.
fn batch(base_offset: u64, count: u32, timestamp_ms: i64, compression: Compression) -> StoredBatch {
    let mut batch = BatchBuilder::new();
    for number in 0..count {
        let key = Some(Bytes::from(format!("key-{number}")));
        let value = Some(Bytes::from(format!("{number:0500}")));
        batch.push(&Record { key, value, headers: Vec::new(), timestamp_ms: timestamp_ms + i64::from(number) });
    }
    StoredBatch::new(base_offset, count, batch.finish_compressed(compression).expect("it compresses"))
}

/// A hundred batches of three records each, a second apart.
fn hundred() -> Vec<StoredBatch> {
    (0..100).map(|number| batch(number * 3, 3, number as i64 * 1_000, Compression::None)).collect()
}

fn assert_reads_all(segments: &Segments) {
    for from in [0, 1, 2, 3, 50, 151, 298, 299] {
        let found = segments.read(from, 1).expect("it reads");
        assert_eq!(found.first().map(|batch| batch.base_offset), Some(from / 3 * 3), "offset {from}");
    }
    assert_eq!(segments.read(0, usize::MAX).expect("it reads").len(), 100);
    for number in [0, 1, 37, 99] {
        let found = segments.find_time(number * 1_000, 0).expect("it reads").expect("a batch");
        assert_eq!(found.base_offset, number as u64 * 3, "time {number} s");
    }
    assert!(segments.find_time(99_003, 0).expect("it reads").is_none());
}

#[test]
fn another_segment_begins_by_size_and_by_time() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut by_size = segments(&directory.path().join("size"));
    by_size.append(&hundred(), &[], Roll { bytes: 20_000, age_ms: None }).expect("it is written");
    assert!(by_size.list().iter().all(|segment| segment.bytes <= 20_000));
    assert!(by_size.list().len() >= 8);
    assert_reads_all(&by_size);
    assert_reads_all(&reopened(&directory.path().join("size")));
    let mut by_time = segments(&directory.path().join("time"));
    // Also over several appends.
    for some in hundred().chunks(7) {
        by_time.append(some, &[], Roll { bytes: u64::MAX, age_ms: Some(30_000) }).expect("it is written");
    }
    let bases: Vec<u64> = by_time.list().iter().map(|segment| segment.base_offset).collect();
    assert_eq!(bases, [0, 93, 186, 279], "a segment spans 30 s and no more");
    assert_reads_all(&by_time);
}

#[test]
fn what_is_sealed_is_not_added_to() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut segments = segments(directory.path());
    let all = hundred();
    segments.append(&all[..50], &[], NEVER).expect("it is written");
    segments.seal();
    segments.append(&all[50..], &[], NEVER).expect("it is written");
    assert_eq!(segments.list().len(), 2);
    assert_reads_all(&segments);
    assert_eq!(segments.list().iter().map(|segment| segment.record_count().expect("it reads")).sum::<u64>(), 300);
    assert_eq!(reopened(directory.path()).list()[0].record_count().expect("it reads"), 150);
}

#[test]
fn indexes_that_are_missing_cut_or_damaged_are_built_anew() {
    type Harm = fn(&Path);
    let cut = |path: &Path| {
        let bytes = std::fs::read(path).expect("a file");
        std::fs::write(path, &bytes[..bytes.len() / 2 + 1]).expect("a file");
    };
    let harms: [(&str, Harm); 4] = [
        ("removed", |path| std::fs::remove_file(path).expect("a file")),
        ("emptied", |path| std::fs::write(path, []).expect("a file")),
        ("cut", cut),
        ("overwritten", |path| std::fs::write(path, [0x77; 240]).expect("a file")),
    ];
    for (name, harm) in harms {
        for extensions in [&["index"][..], &["timeindex"], &["index", "timeindex"]] {
            for is_last in [true, false] {
                let directory = tempfile::tempdir().expect("a directory");
                let mut made = segments(directory.path());
                let bytes = if is_last { u64::MAX } else { 100_000 };
                made.append(&hundred(), &[], Roll { bytes, age_ms: None }).expect("it is written");
                let whole = extensions.iter().map(|extension| made.list()[0].paths()[0].with_extension(extension));
                let whole: Vec<(PathBuf, Vec<u8>)> =
                    whole.map(|path| (path.clone(), std::fs::read(path).expect("a file"))).collect();
                whole.iter().for_each(|(path, _)| harm(path));
                assert_reads_all(&reopened(directory.path()));
                for (path, bytes) in whole.iter().filter(|_| is_last) {
                    assert_eq!(&std::fs::read(path).expect("a file"), bytes, "{name} {extensions:?}");
                }
            }
        }
    }
}

#[test]
fn an_index_that_is_damaged_while_it_is_used_hides_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut segments = segments(directory.path());
    segments.append(&hundred(), &[], NEVER).expect("it is written");
    let path = segments.list()[0].paths()[1].to_owned();
    let length = std::fs::read(&path).expect("a file").len();
    std::fs::write(&path, vec![1; length]).expect("a file");
    assert_reads_all(&segments);
}

#[test]
fn a_flipped_bit_is_named_and_never_served() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut segments = segments(directory.path());
    segments.append(&hundred(), &[], NEVER).expect("it is written");
    let path = segments.list()[0].paths()[0].to_owned();
    let whole = std::fs::read(&path).expect("a file");
    let batch = whole.len() / 100;
    // Each bit of what the batch's own checksum does not cover, and some of the rest.
    for (at, bit) in (0..21).flat_map(|at| (0..8).map(move |bit| (at, bit))).chain((21..batch).step_by(3).map(|at| (at, 2))) {
        let mut bytes = whole.clone();
        bytes[50 * batch + at] ^= 1 << bit;
        std::fs::write(&path, bytes).expect("a file");
        let error = segments.read(0, usize::MAX).expect_err("damage").to_string();
        assert!(error.contains("00000000000000000000.log holds no record batch at byte"), "{error}");
        assert_eq!(segments.read(0, 1).expect("what lies before is read").len(), 1);
    }
}

#[test]
fn damage_in_a_segment_that_is_not_the_newest_is_not_passed_over() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut made = segments(directory.path());
    made.append(&hundred(), &[], Roll { bytes: 60_000, age_ms: None }).expect("it is written");
    let first = &made.list()[0];
    let (path, end) = (first.paths()[0].to_owned(), first.next_offset);
    let mut bytes = std::fs::read(&path).expect("a file");
    let at = bytes.len() - 10;
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).expect("a file");
    let segments = reopened(directory.path());
    assert!(segments.read(end - 1, 1).is_err());
    assert_eq!(segments.read(end, 1).expect("it reads").first().map(|batch| batch.base_offset), Some(end));
}

/// A batch as a transaction has it; `marker` ends one.
fn in_transaction(base_offset: u64, marker: Option<bool>) -> StoredBatch {
    let mut batch = BatchBuilder::new();
    let record = match marker {
        Some(commits) => Record {
            key: Some(Bytes::from(vec![0, 0, 0, u8::from(commits)])),
            value: Some(Bytes::from_static(&[0; 6])),
            headers: Vec::new(),
            timestamp_ms: 5_000,
        },
        None => Record {
            key: Some(Bytes::from_static(b"k")),
            value: Some(Bytes::from_static(b"v")),
            headers: Vec::new(),
            timestamp_ms: 5_000,
        },
    };
    batch.push(&record);
    let bytes = batch.finish();
    let mut header = BatchHeader::parse(&bytes).expect("a batch");
    header.attributes |= if marker.is_some() { 0x30 } else { 0x10 };
    header.producer_id = 4_711;
    header.producer_epoch = 0;
    header.base_sequence = if marker.is_some() { -1 } else { 0 };
    StoredBatch::new(base_offset, 1, sealed_for_tests(&bytes, header))
}

/// The folder of Kafka's jars, if it was fetched (`tests/clients/install java`).
fn jars() -> Option<PathBuf> {
    let cache = std::env::var_os("TRUNKLINE_TEST_CACHE").map(PathBuf::from);
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients");
    [cache, Some(default)].into_iter().flatten().map(|cache| cache.join("java")).find(|jars| jars.is_dir())
}

#[test]
fn kafkas_own_tool_reads_every_file() {
    // Without the jars there is nothing to ask; `tests/clients/install` fetches them.
    let Some(jars) = jars() else {
        return;
    };
    let directory = tempfile::tempdir().expect("a directory");
    let mut segments = segments(directory.path());
    let (mut batches, mut aborted) = (Vec::new(), Vec::new());
    let mut next = 0;
    for number in 0..60 {
        batches.push(batch(next, 20, 10_000 + number as i64 * 1_000, Compression::ALL[number % 5]));
        next += 20;
        if number % 10 == 9 {
            batches.push(in_transaction(next, None));
            let commits = number % 20 == 9;
            batches.push(in_transaction(next + 1, Some(commits)));
            let (first_offset, last_offset, last_stable_offset) = (next, next + 1, next + 2);
            aborted.extend((!commits).then_some(Aborted { producer_id: 4_711, first_offset, last_offset, last_stable_offset }));
            next += 2;
        }
    }
    segments.append(&batches, &aborted, Roll { bytes: 40_000, age_ms: None }).expect("it is written");
    assert!(segments.list().len() > 3);
    let paths = segments.list().iter().flat_map(Segment::paths);
    let paths: Vec<String> = paths.filter(|path| path.exists()).map(|path| path.display().to_string()).collect();
    let output = Command::new("java")
        .args(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", &format!("{}/*", jars.display())])
        .args(["kafka.tools.DumpLogSegments", "--deep-iteration", "--print-data-log", "--files", &paths.join(",")])
        .output()
        .expect("java runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{errors}");
    for complaint in ["ismatch", "Found timestamp", "out of order", "corrupt", "isvalid: false"] {
        let lines: Vec<&str> = text.lines().filter(|line| line.contains(complaint)).take(5).collect();
        assert!(lines.is_empty(), "{lines:#?}");
    }
    assert_eq!(text.lines().filter(|line| line.starts_with("baseOffset:")).count(), batches.len());
    assert_eq!(text.matches("| offset:").count(), 60 * 20 + 2 * 6);
    let indexes = segments.list().iter().filter(|segment| segment.has_aborted).map(|segment| segment.paths()[3]);
    let found: Vec<Aborted> =
        indexes.flat_map(|path| decode_all(&std::fs::read(path).expect("a file")).expect("entries")).collect();
    assert_eq!(found, aborted);
    for part in [
        "version: 0 producerId: 4711",
        "partitionLeaderEpoch: -",
        "compresscodec: gzip",
        "compresscodec: snappy",
        "compresscodec: lz4",
        "compresscodec: zstd",
        "isTransactional: true isControl: true",
        "endTxnMarker: COMMIT",
        "endTxnMarker: ABORT",
        "key: key-19 payload: 0",
    ] {
        assert!(text.contains(part), "{part} is not in what the tool says");
    }
}

/// A hundred batches: twenty are on disk, and the power went while the others were written. What is kept of those.
fn torn(seed: u64) -> Simulated {
    let simulated = Simulated::new(seed);
    let mut segments = Segments::empty(OpenFiles::new(simulated.disk(), 8), PathBuf::from("/orders-0"), IDENTITY);
    segments.append(&hundred()[..20], &[], NEVER).expect("it is written");
    // Before any of them is synced.
    simulated.cut_after(4 + seed as u32 % 4, Keep::Some);
    segments.append(&hundred()[20..], &[], NEVER).expect_err("the power is off");
    simulated.cut(Keep::Some)
}

fn opened(simulated: &Simulated, end: End) -> io::Result<Segments> {
    Segments::open(OpenFiles::new(simulated.disk(), 8), PathBuf::from("/orders-0"), IDENTITY, end)
}

#[test]
fn what_was_written_and_not_synced_counts_up_to_the_first_hole_whatever_the_indexes_say() {
    let mut counts = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let left = torn(seed);
        let looked = opened(&left, End::Unknown).expect("it opens");
        let found = opened(&left, End::MayBeTorn(60)).expect("it opens").read(0, usize::MAX).expect("all of it is whole");
        // But for base offset and leader epoch.
        assert!(
            found.iter().zip(hundred()).all(|(found, batch)| found.body().slice(16..) == batch.body().slice(16..)),
            "seed {seed}"
        );
        assert_eq!(looked.next_offset(), found.len() as u64 * 3, "who only looks sees the same");
        counts.insert(found.len());
    }
    assert!(counts.len() > 1 && counts.first() == Some(&20), "{counts:?}");
}

#[test]
fn what_counted_after_a_crash_counts_after_the_next_and_what_was_cut_stays_away() {
    for seed in 0..200 {
        let left = torn(seed);
        let next = opened(&left, End::MayBeTorn(60)).expect("it opens").next_offset();
        let again = left.cut([Keep::Nothing, Keep::Some, Keep::All][seed as usize % 3]);
        // By now the journal has nothing of it.
        assert_eq!(opened(&again, End::Last).expect("nothing is damaged").next_offset(), next, "seed {seed}");
    }
}
