//! What removes records, when, and as what it is counted: each record once, under the reason that it went for.

use bytes::Bytes;

use super::disk::Disk;
use super::testing::{Place, compacted, name, settings};
use crate::log::record::{BatchHeader, Compression, Record, batch_of_one, sealed_for_tests};
use crate::log::*;

fn open(directory: &std::path::Path, topic: &TopicSettings) -> Place {
    Place::open(settings(directory, Disk::default()), topic)
}

fn kept() -> TopicSettings {
    TopicSettings { retention_ms: None, ..TopicSettings::default() }
}

impl Place {
    fn append_some(&self, count: usize, timestamp_ms: i64) {
        for number in 0..count {
            self.append(&[(number as u8, Some("x".repeat(50)))], Compression::None, timestamp_ms);
        }
    }

    fn write(&self, states: &[StateRecord]) {
        let mut entry = Entry::default();
        entry.add_state(states, |table| self.log.open_table(table).ok(), 0);
        let barrier = self.log.append(&entry).expect("it is taken");
        crate::log::simulation::wait_until_durable(&self.log, barrier);
    }

    /// Removals of this reason; there are none of any other, but for what only fills journal files.
    fn removed_only(&self, why: Removal) -> u64 {
        let stats = self.log.stats();
        let mut others = Removal::ALL.into_iter().filter(|other| *other != why && *other != Removal::Consumed);
        assert!(others.all(|other| stats.removed(other) == 0), "{:?}", stats.removed);
        stats.removed(why)
    }
}

#[test]
fn what_is_trimmed_is_counted_once_wherever_it_lies() {
    let directory = tempfile::tempdir().expect("a directory");
    let place = open(directory.path(), &kept());
    place.append_some(40, 7);
    let (log_start, record) = place.log.trim(&place.partition, 25);
    place.write(&[record]);
    assert_eq!((log_start, place.removed_only(Removal::Trimmed)), (25, 0), "it is there until its file is retired");
    place.retire_all();
    assert_eq!(place.removed_only(Removal::Trimmed), 25);
    place.append_some(60, 7);
    place.retire_all();
    let (_, record) = place.log.trim(&place.partition, 80);
    place.write(&[record]);
    place.log.expire_now().expect("it expires");
    place.log.expire_now().expect("it expires");
    let first = place.partition.with(|state| state.segments.first_offset()).expect("a segment");
    assert!((60..=80).contains(&first), "whole segments go: {first}");
    assert_eq!(place.removed_only(Removal::Trimmed), first);
    assert_eq!(place.read().len(), 20);
    place.log.close();
}

#[test]
fn what_goes_with_its_topic_is_counted_once_wherever_it_lies() {
    let directory = tempfile::tempdir().expect("a directory");
    let place = open(directory.path(), &kept());
    place.append_some(30, 7);
    place.retire_all();
    place.append_some(12, 7);
    let states = place.log.delete_topic(&name()).expect("it is there");
    place.write(&states);
    place.log.maintain().expect("it is maintained");
    place.log.expire_now().expect("it expires");
    assert_eq!(place.removed_only(Removal::Deleted), 42);
    place.log.close();
}

#[test]
fn age_and_size_count_what_each_of_them_removes() {
    for (why, settings) in [
        (Removal::Time, TopicSettings { retention_ms: Some(60_000), ..kept() }),
        (Removal::Size, TopicSettings { retention_bytes: Some(3_000), ..kept() }),
    ] {
        let directory = tempfile::tempdir().expect("a directory");
        let place = open(directory.path(), &settings);
        let now_ms = super::retire::now_ms();
        // What is old goes with its journal file, or later with its segment.
        place.append_some(50, if why == Removal::Time { now_ms - 120_000 } else { now_ms });
        place.retire_all();
        place.append_some(10, now_ms);
        place.log.expire_now().expect("it expires");
        let log_start = place.partition.bounds().log_start;
        assert!(log_start >= 20, "{log_start}");
        assert_eq!(place.removed_only(why), log_start);
        assert_eq!(place.read().len() as u64, 60 - log_start);
        place.log.close();
    }
}

/// A group that has read nothing yet.
struct Behind;

impl Keeper for Behind {
    fn checkpoint(&self, _before: Lsn) {}

    fn needs(&self, _partition: &Partition, holders: Holders) -> Needs {
        if holders == Holders::All { Needs::default() } else { Needs::nothing() }
    }
}

#[test]
fn a_group_that_is_behind_holds_what_waits_to_be_consumed_and_not_what_newer_records_replace() {
    for (settings, left) in [(TopicSettings::consumed("test", true, 1 << 20), 60), (compacted(), 1)] {
        let directory = tempfile::tempdir().expect("a directory");
        let place = open(directory.path(), &settings);
        place.log.set_keeper(std::sync::Arc::new(Behind));
        (0..60).for_each(|_| place.append(&[(1, Some("x".repeat(50)))], Compression::None, 7));
        place.retire_all();
        place.log.clean_now().expect("it cleans");
        assert_eq!(place.read().len(), left);
        place.log.close();
    }
}

#[test]
fn what_is_too_old_to_stay_uncompacted_is_compacted_however_little_it_is() {
    for (max_compaction_lag_ms, left) in [(None, 41), (Some(3_600_000), 41), (Some(1_000), 1)] {
        let directory = tempfile::tempdir().expect("a directory");
        let mut topic = compacted();
        topic.segments.min_dirty_ppm = 1_000_000;
        topic.segments.max_compaction_lag_ms = max_compaction_lag_ms;
        let place = open(directory.path(), &topic);
        let write = |count| {
            let stamp_ms = super::retire::now_ms() - 60_000;
            (0..count).for_each(|_| place.append(&[(1, Some("x".repeat(50)))], Compression::None, stamp_ms));
            place.retire_all();
        };
        write(60);
        place.log.clean_now().expect("it cleans");
        assert_eq!(place.read().len(), 1, "all of it was dirty");
        write(40);
        place.log.clean_now().expect("it cleans");
        assert_eq!(place.read().len(), left, "{max_compaction_lag_ms:?}");
        assert_eq!(place.removed_only(Removal::Compacted), 100 - left as u64);
        place.log.close();
    }
}

#[test]
fn a_batch_that_was_compacted_away_is_still_known_when_it_comes_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let place = open(directory.path(), &compacted());
    let now_ms = super::retire::now_ms();
    let record = Record { key: Some(Bytes::from_static(b"k")), value: Some(Bytes::from_static(b"v")), ..Record::default() };
    let batch = batch_of_one(&record);
    let mut header = BatchHeader::parse(&batch).expect("a batch");
    (header.producer_id, header.producer_epoch, header.base_sequence) = (5, 0, 0);
    let (verdict, offset) = place.log.reserve(&place.partition, &header, now_ms).expect("in order");
    assert_eq!((verdict, offset), (Verdict::New, 0));
    place.place(sealed_for_tests(&batch, header), offset, 1, 0);
    place.append(&[(b'k', Some("newer".into()))], Compression::None, 7);
    place.retire_all();
    place.log.clean_now().expect("it cleans");
    assert_eq!(place.read().into_keys().collect::<Vec<_>>(), [1]);
    let assert_known = |place: &Place| {
        let again = place.log.reserve(&place.partition, &header, now_ms).expect("it is known");
        assert_eq!(again, (Verdict::Duplicate(0), 0));
    };
    assert_known(&place);
    place.log.close();
    let place = open(directory.path(), &compacted());
    assert_known(&place);
    place.log.close();
}

#[test]
fn cleaning_keeps_its_pace_and_says_what_it_cost() {
    let directory = tempfile::tempdir().expect("a directory");
    let slow = LogSettings { cleaning_bytes_per_s: 200_000, ..settings(directory.path(), Disk::default()) };
    let place = Place::open(slow, &compacted());
    (0..300).for_each(|number| place.append(&[(1, Some(format!("{number:0200}")))], Compression::None, 7));
    place.retire_all();
    let began = std::time::Instant::now();
    place.log.clean_now().expect("it cleans");
    let (took, cost) = (began.elapsed(), place.log.stats().cleaning);
    let moved = cost.read_bytes + cost.written_bytes;
    assert!(cost.runs == 1 && moved > 100_000 && cost.freed_bytes > 50_000, "{cost:?}");
    let least_s = moved as f64 / 200_000.0 - 0.2;
    assert!(took.as_secs_f64() >= least_s, "{took:?} for {moved} bytes");
    assert!(cost.busy_us as f64 >= least_s * 1e6, "{cost:?}");
    place.log.close();
}
