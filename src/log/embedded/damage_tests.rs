//! A bit flipped at a random place in each kind of file: `verify` names it, nothing wrong is ever served, a start heals it or names
//! it with the way out, and `repair` is that way and throws nothing away.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::disk::Disk;
use super::files::{JOURNAL_HEADER_BYTES, decode_header};
use super::inspect::{Finding, Inspector, Severity, Watch};
use super::journal::FIRST_POSITION;
use super::scan::EntryScan;
use super::testing::{Place, compacted, name, settings};
use crate::log::record::{Compression, Outcome};
use crate::log::*;

/// `TRUNKLINE_TEST_FLIPS` tries more or fewer of each kind.
const FLIPS: u64 = 25;
const RECORDS: i64 = 90;

/// Time and value by offset.
type Rows = BTreeMap<u64, (i64, Option<Bytes>)>;

/// A directory in which most of a topic lies in segments, with what readers find in it.
struct Whole {
    directory: tempfile::TempDir,
    rows: Rows,
    aborted: Vec<Aborted>,
}

fn log_settings(directory: &Path) -> LogSettings {
    LogSettings { segment_bytes: 12_000, ..settings(directory, Disk::default()) }
}

fn topic_settings() -> TopicSettings {
    TopicSettings { retention_ms: None, ..TopicSettings::default() }
}

fn whole() -> Whole {
    let directory = tempfile::tempdir().expect("a directory");
    let place = Place::open(log_settings(directory.path()), &topic_settings());
    for number in 0..RECORDS {
        place.append(&[(1, Some(format!("{number:0300}")))], Compression::None, 1_000 + number);
        if number % 10 == 3 {
            let sequence = i32::try_from(number / 10).expect("small");
            place.append_in_transaction(10, sequence, (2, "in a transaction"));
            place.append(&[(1, Some("beside it".into()))], Compression::Lz4, 5_000 + number);
            place.end_transaction(10, if number % 20 == 3 { Outcome::Abort } else { Outcome::Commit });
        }
    }
    place.retire_all();
    for number in 0..5 {
        place.append(&[(1, Some(format!("in the journal {number}")))], Compression::None, 9_000 + number);
    }
    let (rows, error) = read(&place.log);
    assert!(error.is_none(), "{error:?}");
    let aborted = place.log.aborted(&place.partition, 0, u64::MAX).expect("it is known");
    assert!(aborted.len() > 3 && place.partition.with(|state| state.segments.list().len()) > 2);
    place.log.close();
    Whole { directory, rows, aborted }
}

/// Everything that readers find, and the error that ends it.
fn read(log: &Log) -> (Rows, Option<ReadError>) {
    let mut rows = Rows::new();
    let Some(partition) = log.topic(&name()).and_then(|topic| topic.partition(0)) else { return (rows, None) };
    let mut from = partition.bounds().log_start;
    while from < partition.bounds().durable {
        let batches = match log.read(&partition, from, 2_000, Bound::Durable) {
            Ok(batches) => batches,
            Err(error) => return (rows, Some(error)),
        };
        let Some(last) = batches.last() else { break };
        from = last.last_offset + 1;
        for found in batches.iter().flat_map(|batch| batch.records(&record::Limits::STORED).expect("a batch")) {
            let (offset, record) = found.expect("a record");
            rows.insert(offset, (record.timestamp_ms, record.value));
        }
    }
    (rows, None)
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("made");
    for entry in std::fs::read_dir(from).expect("a directory").map(|entry| entry.expect("an entry")) {
        let to = to.join(entry.file_name());
        match entry.file_type().expect("a type").is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(std::fs::copy(entry.path(), to).expect("copied")),
        }
    }
}

/// The files below a directory that have bytes, sorted.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry")) {
        match entry.metadata().expect("known") {
            known if known.is_dir() => found.extend(files(&entry.path())),
            known if known.len() > 0 => found.push(entry.path()),
            _ => {}
        }
    }
    found.sort();
    found
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Watch for Findings {
    fn found(&mut self, finding: Finding) {
        if finding.severity == Severity::Damage {
            self.0.push(finding);
        }
    }
}

fn damages(directory: &Path) -> Vec<Finding> {
    let mut findings = Findings::default();
    Inspector::open(directory, false).and_then(|inspector| inspector.verify(&mut findings)).expect("it reads");
    findings.0
}

/// Repairs until nothing is left that can be; true: something was kept beside.
fn repair(directory: &Path) -> bool {
    let mut kept = false;
    for round in 0..4 {
        let findings: Vec<Finding> = damages(directory).into_iter().filter(Finding::is_repairable).collect();
        if findings.is_empty() {
            return kept;
        }
        let side = directory.join(format!("repair-{round}"));
        Inspector::open(directory, false).and_then(|inspector| inspector.repair(&findings, &side)).expect("it repairs");
        let contents = std::fs::read_to_string(side.join("CONTENTS")).expect("a list");
        assert!(findings.iter().all(|finding| contents.contains(&finding.path.display().to_string())), "{contents}");
        kept |= files(&side).len() > 1;
    }
    panic!("repair does not come to an end: {:?}", damages(directory));
}

/// Which files of a kind there are, and which of their bytes mean nothing.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    of_kind: fn(&Path) -> bool,
    means_nothing: fn(&Path, u64) -> bool,
    /// A start heals it, or does without: nothing is missing afterwards.
    is_healed: bool,
}

fn is_in(path: &Path, directory: &str) -> bool {
    path.parent().is_some_and(|parent| parent.ends_with(directory))
}

fn has_extension(path: &Path, wanted: &str) -> bool {
    path.extension().is_some_and(|extension| extension == wanted)
}

/// Zeros between entries and behind the last, what is reserved in the header; and the last entry, which may be a torn tail.
fn is_idle_in_journal(path: &Path, byte: u64) -> bool {
    let start = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok()).expect("a position");
    let mut scan = EntryScan::open(&Disk::default(), path, start).expect("it opens");
    assert!(start >= FIRST_POSITION && matches!(decode_header(scan.header()), super::files::Header::Start(..)));
    let mut entries = Vec::new();
    while let Some(frame) = scan.entry().expect("it reads") {
        let from = scan.byte_of(frame.position);
        let length =
            std::fs::read(path).expect("it reads")[from as usize..][..4].first_chunk().map(|raw| u32::from_le_bytes(*raw));
        entries.push(from..from + 8 + u64::from(length.expect("a length")));
    }
    let newest = std::fs::read_dir(path.parent().expect("one")).expect("a directory").map(|entry| entry.expect("one").path());
    if newest.filter(|other| has_extension(other, "journal")).max().as_deref() == Some(path) {
        entries.pop();
    }
    byte >= 36 && (byte < JOURNAL_HEADER_BYTES || !entries.iter().any(|entry| entry.contains(&byte)))
}

const KINDS: [Kind; 7] = [
    Kind { name: "journal", of_kind: |path| has_extension(path, "journal"), means_nothing: is_idle_in_journal, is_healed: false },
    Kind {
        name: "segment",
        of_kind: |path| is_in(path, "orders-0") && has_extension(path, "log"),
        means_nothing: |_, _| false,
        is_healed: false,
    },
    Kind {
        name: "table",
        of_kind: |path| (is_in(path, "__topics-0") || is_in(path, "__partitions-0")) && has_extension(path, "log"),
        means_nothing: |_, _| false,
        is_healed: false,
    },
    Kind {
        name: "index",
        of_kind: |path| is_in(path, "orders-0") && has_extension(path, "index"),
        means_nothing: |_, _| false,
        is_healed: true,
    },
    Kind {
        name: "time index",
        of_kind: |path| is_in(path, "orders-0") && has_extension(path, "timeindex"),
        means_nothing: |_, _| false,
        is_healed: true,
    },
    Kind {
        name: "index of aborted transactions",
        of_kind: |path| has_extension(path, "txnindex"),
        means_nothing: |_, _| false,
        is_healed: true,
    },
    Kind {
        name: "metadata",
        of_kind: |path| path.ends_with("orders-0/partition.metadata"),
        means_nothing: |_, _| false,
        is_healed: false,
    },
];

impl Whole {
    /// What is there is what was written; complete, unless an error names the file.
    fn check(&self, log: &Log, path: &Path, kind: &Kind) {
        let (rows, error) = read(log);
        for (offset, row) in &rows {
            assert_eq!(Some(row), self.rows.get(offset), "offset {offset}");
        }
        if let Some(error) = &error {
            let file = path.file_name().expect("a name").to_string_lossy().into_owned();
            assert!(error.to_string().contains(&file) && error.to_string().contains("trunkline log repair"), "{error}");
        }
        assert!(error.is_some() || rows.len() >= self.rows.len() - 1, "{} of {}", rows.len(), self.rows.len());
        if !kind.is_healed {
            return;
        }
        assert_eq!((&rows, error.is_none()), (&self.rows, true));
        let partition = log.topic(&name()).and_then(|topic| topic.partition(0)).expect("a partition");
        assert_eq!(log.aborted(&partition, 0, u64::MAX).expect("it is known"), self.aborted);
        for (timestamp_ms, _) in self.rows.values() {
            let expected = self.rows.iter().find(|(_, row)| row.0 >= *timestamp_ms).map(|(offset, row)| (*offset, row.0));
            let found = log.offset_for_time(&partition, *timestamp_ms, Bound::Durable).expect("it reads");
            assert_eq!(found, expected, "time {timestamp_ms}");
        }
    }

    fn flip(&self, kind: &Kind, random: &mut StdRng) {
        let place = tempfile::tempdir().expect("a directory");
        copy(self.directory.path(), place.path());
        let all: Vec<PathBuf> = files(place.path()).into_iter().filter(|path| (kind.of_kind)(path)).collect();
        let path = &all[random.random_range(0..all.len())];
        let mut bytes = std::fs::read(path).expect("it reads");
        let byte = random.random_range(0..bytes.len());
        let means_nothing = (kind.means_nothing)(path, byte as u64);
        bytes[byte] ^= 1 << random.random_range(0..8);
        std::fs::write(path, &bytes).expect("written");
        let at = format!("byte {byte} of {}", path.display());

        let found = damages(place.path());
        // It may be the end of the file before that can no longer be told.
        let named =
            |finding: &Finding| finding.path == *path || kind.name == "journal" && has_extension(&finding.path, "journal");
        assert!(means_nothing || found.iter().any(named), "{at}: {found:?}");
        match Log::open(log_settings(place.path())) {
            Ok(log) => {
                self.check(&log, path, kind);
                log.close();
            }
            Err(error) => {
                let (error, parent) = (error.to_string(), path.parent().expect("one").display().to_string());
                assert!(error.contains(&parent) && error.contains("trunkline log repair"), "{at}: {error}");
                assert!(!kind.is_healed && !found.is_empty(), "{at}: {error}");
            }
        }

        let kept = repair(place.path());
        let log = Log::open(log_settings(place.path())).unwrap_or_else(|error| panic!("{at}: {error}"));
        let (rows, error) = read(&log);
        assert!(error.is_none(), "{at}: {error:?}");
        assert!(rows.iter().all(|(offset, row)| self.rows.get(offset) == Some(row)), "{at}");
        assert!(kept || means_nothing || kind.is_healed || rows.len() + 1 >= self.rows.len(), "{at}: {} are left", rows.len());
        assert!(!kind.is_healed || rows == self.rows, "{at}");
        log.close();
    }
}

#[test]
fn a_flipped_bit_in_any_kind_of_file_is_found_named_and_never_served() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number("TRUNKLINE_TEST_SEED").unwrap_or_else(rand::random);
    let whole = whole();
    for kind in &KINDS {
        for seed in (0..number("TRUNKLINE_TEST_FLIPS").unwrap_or(FLIPS)).map(|flip| first.wrapping_add(flip)) {
            let flip = || whole.flip(kind, &mut StdRng::seed_from_u64(seed));
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(flip));
            assert!(outcome.is_ok(), "{}: run it again with TRUNKLINE_TEST_SEED={seed} TRUNKLINE_TEST_FLIPS=1", kind.name);
        }
    }
}

/// A directory in which half of the records of a topic were compacted away, each with another neighbour.
fn with_gaps() -> Whole {
    let directory = tempfile::tempdir().expect("a directory");
    let place = Place::open(log_settings(directory.path()), &compacted());
    for number in 0..40_u8 {
        let key = if number % 4 < 2 { number } else { 200 };
        place.append(&[(key, Some(format!("{number:030}")))], Compression::None, 1_000 + i64::from(number));
        if number % 8 == 1 {
            place.append(
                &[(key, Some("new".into())), (201, None), (number + 100, Some("b".repeat(90)))],
                Compression::Lz4,
                3_000,
            );
        }
    }
    place.retire_all();
    place.log.clean_now().expect("it cleans");
    let (rows, error) = read(&place.log);
    assert!(error.is_none() && rows.len() < 40, "{error:?}");
    place.log.close();
    Whole { directory, rows, aborted: Vec::new() }
}

/// Damages each byte of a file in turn, and makes it whole again.
fn each_damage(path: &Path, mut look: impl FnMut(usize)) {
    let bytes = std::fs::read(path).expect("it reads");
    for byte in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[byte] ^= 1 << rand::random_range(0..8);
        std::fs::write(path, &damaged).expect("written");
        look(byte);
    }
    std::fs::write(path, &bytes).expect("written");
}

#[test]
fn a_bit_flipped_in_any_byte_of_a_segment_with_gaps_is_named_and_never_served() {
    let whole = with_gaps();
    let segment = KINDS[1];
    let all: Vec<PathBuf> = files(whole.directory.path()).into_iter().filter(|path| (segment.of_kind)(path)).collect();
    for path in &all {
        each_damage(path, |byte| {
            let found = damages(whole.directory.path());
            assert!(found.iter().any(|finding| finding.path == *path), "byte {byte}: {found:?}");
        });
        assert!(damages(whole.directory.path()).is_empty());
    }
    // While it is used.
    let log = Log::open(log_settings(whole.directory.path())).expect("it opens");
    assert_eq!(read(&log).0, whole.rows);
    for path in &all {
        each_damage(path, |byte| {
            whole.check(&log, path, &segment);
            assert!(read(&log).1.is_some(), "byte {byte}");
        });
    }
    assert_eq!(read(&log).0, whole.rows, "nothing of it is remembered");
    log.close();
}

#[test]
fn missing_indexes_are_built_anew() {
    let whole = whole();
    for kind in KINDS.iter().filter(|kind| kind.is_healed) {
        let all = files(whole.directory.path()).into_iter().filter(|path| (kind.of_kind)(path));
        for path in all {
            let bytes = std::fs::read(&path).expect("it reads");
            std::fs::remove_file(&path).expect("it goes");
            assert!(damages(whole.directory.path()).iter().any(|finding| finding.path == path), "{}", path.display());
            let log = Log::open(log_settings(whole.directory.path())).expect("it opens");
            whole.check(&log, &path, kind);
            log.close();
            assert_eq!(std::fs::read(&path).expect("it is there again"), bytes, "{}", path.display());
        }
    }
}
