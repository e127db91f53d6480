//! `trunkline log` on directories that a real gateway wrote in all three dialects: what it lists, and what it says and does when
//! files are damaged. Every damage is made to a copy, so one gateway serves all tests of a kind.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

#[path = "log_tools/backups.rs"]
mod backups;
#[path = "log_tools/run.rs"]
mod run;
mod support;
#[path = "log_tools/transactions.rs"]
mod transactions;
#[path = "log_tools/written.rs"]
mod written;

use std::path::{Path, PathBuf};

use run::{copy, flip, log, log_in};
use serde_json::Value;
use written::Written;

/// The bytes of a journal file's header.
const HEADER_BYTES: usize = 64;

/// The journal files of a directory, oldest first.
fn journals(directory: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(directory.join("journal"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "journal"))
        .collect();
    found.sort();
    found
}

/// The first segment file with this extension of a topic's partition that is longer than `bytes`.
fn segment_file(directory: &Path, partition: &str, extension: &str, bytes: u64) -> PathBuf {
    let mut found: Vec<PathBuf> = std::fs::read_dir(directory.join("topics").join(partition))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .filter(|path| path.metadata().unwrap().len() > bytes)
        .collect();
    found.sort();
    found.into_iter().next().expect("a segment")
}

/// Byte positions at which the entries of the oldest journal file begin and end.
fn entries(directory: &Path) -> Vec<(usize, usize)> {
    let lines = log_in(directory, &["dump", "--journal", "--json"]).assert_code(0).json_lines();
    let first = lines[0]["file"].clone();
    let of_first = lines.iter().filter(|line| line["file"] == first);
    let at = |line: &Value| {
        let number = |name: &str| line[name].as_u64().unwrap();
        let from = number("byte") as usize;
        (from, from + (number("next") - number("position")) as usize)
    };
    of_first.map(at).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_listed_is_what_clients_wrote() {
    let written = Written::new().await;
    let directory = written.directory();
    let listed = log_in(directory, &["ls", "--json"]).assert_code(0).json();
    let partitions = listed["partitions"].as_array().unwrap();
    let of = |name: &str| partitions.iter().find(|line| line["topic"] == name).unwrap_or_else(|| panic!("{name}: {listed}"));
    assert_eq!(of(written::TOPIC)["end"], written::RECORDS, "{listed}");
    assert_eq!(of(written::QUEUE)["end"], written::MESSAGES);
    assert_eq!(of(written::LIST)["end"], written::ELEMENTS);
    assert!(of(written::TOPIC)["segments"].as_u64().unwrap() > 0, "{listed}");
    let queues = listed["queues"].as_array().unwrap();
    let queue = |name: &str| queues.iter().find(|line| line["queue"] == name).unwrap_or_else(|| panic!("{name}: {listed}"));
    assert_eq!(queue(written::QUEUE)["unsettled"], written::MESSAGES - written::ACKNOWLEDGED);
    assert_eq!(queue(written::LIST)["unsettled"], written::ELEMENTS - written::POPPED);
    let groups = listed["groups"].as_array().unwrap();
    assert!(groups.iter().any(|line| line["group"] == written::GROUP && line["committed"] == written::COMMITTED), "{listed}");
    let text = log_in(directory, &["ls"]).assert_code(0).stdout;
    assert!(text.contains("TOPIC") && text.contains(written::TOPIC) && text.contains("GROUP"), "{text}");

    // A range of records, by offset.
    let lines = log_in(directory, &["dump", "--topic", written::TOPIC, "--from", "10", "--to", "13", "--json"]);
    let lines = lines.assert_code(0).json_lines();
    let values: Vec<_> = lines.iter().map(|line| (line["offset"].as_u64().unwrap(), line["value"].clone())).collect();
    let expected: Vec<_> = (10..13).map(|number| (number, Value::from(written::value(number)))).collect();
    assert_eq!(values, expected);
    let missing = log_in(directory, &["dump", "--topic", "nothing"]).assert_code(2).stderr;
    assert!(missing.contains("no topic nothing"), "{missing}");

    let missing = log_in(directory, &["dump", "--topic", written::TOPIC, "--partition", "7"]).assert_code(2).stderr;
    assert!(missing.contains("has a partition 7"), "{missing}");
    let above = log_in(directory.parent().unwrap(), &["ls"]).assert_code(2).stderr;
    assert!(above.contains(&format!("{} does", directory.display())), "{above}");

    let whole = log_in(directory, &["verify"]).assert_code(0).stdout;
    assert!(whole.contains("whole;"), "{whole}");
    let nowhere = log(&["verify", "--data-dir", "/nowhere/at/all"]).assert_code(2).stderr;
    assert!(nowhere.contains("holds no log") && nowhere.contains("--data-dir"), "{nowhere}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_journal_is_named_taken_out_and_starts_again() {
    let written = Written::new().await;
    let journal = |directory: &Path| journals(directory)[0].clone();
    let places = entries(written.directory());
    let (from, to) = places[places.len() / 2];

    // A flipped bit anywhere in an entry, in the body, the targets, the checksum.
    for byte in [from, from + 5, from + 30, (from + to) / 2] {
        let damaged = copy(written.directory());
        flip(&journal(damaged.path()), byte);
        let found = log_in(damaged.path(), &["verify", "--json"]).assert_code(3).json_lines();
        let first = found.iter().find(|line| line["severity"] == "damage").unwrap();
        assert_eq!(first["byte"], from, "{found:?}");
        assert_eq!(first["path"], journal(damaged.path()).to_str().unwrap());
        assert!(first["way_out"].as_str().unwrap().contains("repair"), "{first}");
        let refused = written.start_on(damaged.path()).expect_err("damage is refused");
        assert!(refused.contains("damaged: "), "{refused}");

        // Looking changes nothing.
        let before = std::fs::read(journal(damaged.path())).unwrap();
        let planned = log_in(damaged.path(), &["repair"]).assert_code(3);
        assert!(planned.stderr.contains("--apply"), "{}", planned.stderr);
        assert_eq!(std::fs::read(journal(damaged.path())).unwrap(), before);

        let side = damaged.path().join("aside");
        let done = log_in(damaged.path(), &["repair", "--apply", "--side", side.to_str().unwrap()]).assert_code(0).stdout;
        assert!(done.contains("done: "), "{done}");
        let kept = support::files_below(&side);
        assert!(kept.iter().any(|(_, bytes)| *bytes == (to - from) as u64), "{kept:?}");
        assert!(std::fs::read_to_string(side.join("CONTENTS")).unwrap().contains(&format!("byte {from}")));
        log_in(damaged.path(), &["verify"]).assert_code(0);
        written.start_on(damaged.path()).expect("starts again");
    }

    // The header.
    let damaged = copy(written.directory());
    flip(&journal(damaged.path()), 3);
    let found = log_in(damaged.path(), &["verify"]).assert_code(3).stdout;
    assert!(found.contains("at byte 0: the header"), "{found}");
    log_in(damaged.path(), &["repair", "--apply"]).assert_code(0);
    written.start_on(damaged.path()).expect("starts again");

    // A file in the middle cut off, and one that is missing.
    for cut in [true, false] {
        let damaged = copy(written.directory());
        let file = journals(damaged.path())[if cut { 0 } else { 1 }].clone();
        assert!(journals(damaged.path()).len() > 2, "the journal has a middle");
        if cut {
            std::fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(from as u64 + 3).unwrap();
        } else {
            std::fs::remove_file(&file).unwrap();
        }
        let found = log_in(damaged.path(), &["verify"]).assert_code(3).stdout;
        assert!(found.contains("damage: "), "{found}");
        assert!(written.start_on(damaged.path()).is_err());
        log_in(damaged.path(), &["repair", "--apply"]).assert_code(0);
        written.start_on(damaged.path()).expect("starts again");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_segment_is_named_and_written_anew_without_what_is_bad() {
    let written = Written::new().await;
    let partition = format!("{}-0", written::TOPIC);
    let all = log_in(written.directory(), &["dump", "--topic", written::TOPIC, "--json"]).assert_code(0).json_lines();
    for byte in [8, 20, 70] {
        let damaged = copy(written.directory());
        let file = segment_file(damaged.path(), &partition, "log", 200);
        flip(&file, byte);
        let found = log_in(damaged.path(), &["verify", "--json"]).assert_code(3).json_lines();
        let first = found.iter().find(|line| line["severity"] == "damage").unwrap();
        assert_eq!((&first["byte"], first["path"].as_str().unwrap()), (&Value::from(0), file.to_str().unwrap()), "{found:?}");
        let out = damaged.path().join("exported");
        let told = log_in(damaged.path(), &["export", "--to", out.to_str().unwrap()]).assert_code(3).stderr;
        assert!(told.contains("there is no export") && told.contains("`trunkline log repair`"), "{told}");
        assert!(!out.exists());
        let side = damaged.path().join("aside");
        log_in(damaged.path(), &["repair", "--apply", "--side", side.to_str().unwrap()]).assert_code(0);
        assert!(side.join("topics").join(&partition).join(file.file_name().unwrap()).exists());
        let left = log_in(damaged.path(), &["dump", "--topic", written::TOPIC, "--json"]).assert_code(0).json_lines();
        assert!(left.len() < all.len() && left.len() > all.len() / 2, "{} of {} are left", left.len(), all.len());
        assert!(left.iter().all(|line| all.contains(line)), "nothing is there that was not");
        written.start_on(damaged.path()).expect("starts again");
    }

    // Indexes that are missing, wrong, or longer than their segment.
    let indexed = segment_file(written.directory(), &partition, "index", 8);
    let name = indexed.file_name().unwrap().to_owned();
    let damages: [&dyn Fn(&Path); 3] = [&|path| std::fs::remove_file(path).unwrap(), &|path| flip(path, 7), &|path| {
        let log = path.with_extension("log");
        let bytes = std::fs::read(path).unwrap();
        let last: [u8; 4] = bytes[bytes.len() - 4..].try_into().unwrap();
        std::fs::OpenOptions::new().write(true).open(log).unwrap().set_len(u64::from(u32::from_be_bytes(last))).unwrap();
    }];
    for (number, damage) in damages.iter().enumerate() {
        let damaged = copy(written.directory());
        let path = damaged.path().join("topics").join(&partition).join(&name);
        damage(&path);
        let found = log_in(damaged.path(), &["verify"]).assert_code(3).stdout;
        // A batch that was cut is missed by the index that is looked at first, if it brought a newer time.
        let times = path.with_extension("timeindex");
        let is_named = found.contains(path.to_str().unwrap()) || (number == 2 && found.contains(times.to_str().unwrap()));
        assert!(is_named, "damage {number}: {found}");
        log_in(damaged.path(), &["repair", "--apply"]).assert_code(0);
        log_in(damaged.path(), &["verify"]).assert_code(0);
    }

    // What says whose directory it is.
    let damaged = copy(written.directory());
    std::fs::remove_file(damaged.path().join("topics").join(&partition).join("partition.metadata")).unwrap();
    let found = log_in(damaged.path(), &["verify"]).assert_code(3).stdout;
    assert!(found.contains("partition.metadata") && found.contains("does not say which topic"), "{found}");
    let refused = written.start_on(damaged.path()).expect_err("whose directory it is cannot be told");
    assert!(refused.contains("partition.metadata") && refused.contains("trunkline log repair"), "{refused}");
    log_in(damaged.path(), &["repair", "--apply"]).assert_code(0);
    let left = log_in(damaged.path(), &["dump", "--topic", written::TOPIC, "--json"]).assert_code(0).json_lines();
    assert_eq!(left, all);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_files_are_noticed_whatever_is_left() {
    let written = Written::new().await;
    // The catalog is missing: nobody knows of what is there, and nothing is removed because of that.
    let damaged = copy(written.directory());
    std::fs::remove_dir_all(damaged.path().join("topics/__topics-0")).unwrap();
    let found = log_in(damaged.path(), &["verify"]).assert_code(3).stdout;
    assert!(found.contains("no topic of the catalog"), "{found}");
    let refused = written.start_on(damaged.path()).expect_err("acknowledged records belong to nobody");
    assert!(refused.contains("no topic of the catalog") && refused.contains("trunkline log repair"), "{refused}");
    let side = damaged.path().join("aside");
    log_in(damaged.path(), &["repair", "--apply", "--side", side.to_str().unwrap()]).assert_code(0);
    assert!(side.join(format!("topics/{}-0/partition.metadata", written::TOPIC)).exists(), "it is kept");
    written.start_on(damaged.path()).expect("starts without them");

    let damaged = copy(written.directory());
    std::fs::remove_file(&journals(damaged.path())[0]).unwrap();
    let found = log_in(damaged.path(), &["verify"]).assert_code(3).stdout;
    assert!(found.contains("retired up to") && found.contains("a file is missing"), "{found}");
    let refused = written.start_on(damaged.path()).expect_err("a missing file is damage");
    assert!(refused.contains("a file is missing"), "{refused}");
    log_in(damaged.path(), &["repair", "--apply"]).assert_code(0);
    written.start_on(damaged.path()).expect("starts again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_tail_is_no_damage() {
    let written = Written::new().await;
    let torn = copy(written.directory());
    let newest = journals(torn.path()).pop().unwrap();
    // Behind the last whole entry lies the beginning of another.
    let lines = log_in(torn.path(), &["dump", "--journal", "--json"]).assert_code(0).json_lines();
    let last = lines.last().unwrap();
    let number = |name: &str| last[name].as_u64().unwrap();
    let (from, next) = (number("byte"), number("next"));
    let to = from + next - number("position");
    let mut bytes = std::fs::read(&newest).unwrap();
    bytes.truncate(to as usize);
    let mut entry = bytes[from as usize..to as usize].to_vec();
    // Its mark is that of the next position.
    let mark = u64::from_le_bytes(entry[8..16].try_into().unwrap()) ^ number("position") ^ next;
    entry[8..16].copy_from_slice(&mark.to_le_bytes());
    entry.truncate(entry.len() / 2);
    bytes.extend_from_slice(&entry);
    std::fs::write(&newest, bytes).unwrap();
    let found = log_in(torn.path(), &["verify"]).assert_code(0).stdout;
    assert!(found.contains("note: ") && found.contains(&format!("at byte {to}")), "{found}");
    written.start_on(torn.path()).expect("starts");
    assert!(HEADER_BYTES as u64 <= to);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exports_of_both_forms_come_back() {
    let written = Written::new().await;
    let place = tempfile::tempdir().unwrap();
    let dump = |directory: &Path| {
        let mut lines = log_in(directory, &["dump", "--json"]).assert_code(0).json_lines();
        lines.sort_by_key(|line| (line["topic"].to_string(), line["partition"].as_u64(), line["offset"].as_u64()));
        lines
    };
    let all = dump(written.directory());
    for form in ["jsonl", "batches"] {
        let file = place.path().join(form);
        let file = file.to_str().unwrap();
        log_in(written.directory(), &["export", "--to", file, "--format", form]).assert_code(0);
        let twice = log_in(written.directory(), &["export", "--to", file, "--format", form]).assert_code(2).stderr;
        assert!(twice.contains("exists"), "{twice}");

        let target = place.path().join(format!("{form}-kept"));
        let fresh = log_in(&target, &["import", "--from", file]).assert_code(2).stderr;
        assert!(fresh.contains("holds no log"), "{fresh}");
        log_in(&target, &["import", "--from", file, "--create", "--keep-offsets"]).assert_code(0);
        assert_eq!(dump(&target), all, "{form}");
        log_in(&target, &["verify"]).assert_code(0);
        written.start_on(&target).expect("a gateway starts on it");
        let again = log_in(&target, &["import", "--from", file, "--keep-offsets"]).assert_code(1).stderr;
        assert!(again.contains("cannot be kept"), "{again}");

        // A file that was cut is told from a whole one.
        let bytes = std::fs::read(file).unwrap();
        let cut = place.path().join(format!("{form}-cut"));
        std::fs::write(&cut, &bytes[..bytes.len() - 30]).unwrap();
        let target = place.path().join(format!("{form}-of-cut"));
        log_in(&target, &["import", "--from", cut.to_str().unwrap(), "--create"]).assert_code(1);
    }
    // Only what the queue still needs.
    let file = place.path().join("unsettled");
    let arguments = ["export", "--topic", written::QUEUE, "--unsettled", "--to", file.to_str().unwrap()];
    let told = log_in(written.directory(), &arguments).assert_code(0).stderr;
    let left = written::MESSAGES - written::ACKNOWLEDGED;
    assert!(told.contains(&format!("{left} records")), "{told}");
}
