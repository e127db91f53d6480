//! Cleaning over real files against a naive model: what a reader must still find, what must be gone, and crashes at every step.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::log::embedded::disk::Disk;
use crate::log::embedded::testing::{Place, Stops, Written, compacted, settings};
use crate::log::record::{Compression, Outcome};
use crate::log::*;

/// The newest value of each key.
fn newest(found: &BTreeMap<u64, Written>) -> BTreeMap<u8, String> {
    let mut newest = BTreeMap::new();
    for (key, value) in found.values() {
        match value {
            Some(value) => drop(newest.insert(*key, value.clone())),
            None => drop(newest.remove(key)),
        }
    }
    newest
}

#[test]
fn the_newest_of_each_key_stays_at_its_offset() {
    let directory = tempfile::tempdir().expect("a directory");
    let place = Place::open(settings(directory.path(), Disk::default()), &compacted());
    for round in 0..50 {
        let records: Vec<Written> = (0..4).map(|key| (key, Some(format!("{key}-{round}")))).collect();
        place.append(&records, Compression::ALL[round % 5], 1_000 + round as i64);
    }
    place.retire_all();
    let before = place.segment_bytes();
    place.log.clean_now().expect("it cleans");
    let expected: BTreeMap<u64, Written> = (0..4).map(|key| (196 + u64::from(key), (key, Some(format!("{key}-49"))))).collect();
    assert_eq!(place.read(), expected);
    assert!(place.segment_bytes() * 10 < before, "{} of {before}", place.segment_bytes());
    let stats = place.log.stats();
    assert_eq!(stats.removed(Removal::Compacted), 196);
    assert!(stats.cleaning.freed_bytes > 0 && stats.cleaning.read_bytes >= before);
    assert_eq!(place.partition.bounds().log_start, 0, "what compaction leaves out does not move the log's start");
    place.log.close();
    let place = Place::open(settings(directory.path(), Disk::default()), &compacted());
    assert_eq!(place.read(), expected);
    assert_eq!(place.partition.bounds().log_start, 0);
    place.log.close();
}

#[test]
fn a_deletion_stays_until_its_time_and_what_it_deletes_is_gone_before() {
    let directory = tempfile::tempdir().expect("a directory");
    let place = Place::open(settings(directory.path(), Disk::default()), &compacted());
    place.append(&[(1, Some("a".into())), (2, Some("b".into()))], Compression::Zstd, 7);
    place.append(&[(1, None), (3, Some("c".into()))], Compression::Lz4, 8);
    place.retire_all();
    place.log.clean_now().expect("it cleans");
    let marked = BTreeMap::from([(1, (2, Some("b".into()))), (2, (1, None)), (3, (3, Some("c".into())))]);
    assert_eq!(place.read(), marked);
    // The time to see it was 0 ms.
    while place.read().contains_key(&2) {
        place.log.clean_now().expect("it cleans");
    }
    assert_eq!(place.read(), BTreeMap::from([(1, (2, Some("b".into()))), (3, (3, Some("c".into())))]));
    place.log.close();
}

#[test]
fn what_a_view_holds_is_never_compacted() {
    let directory = tempfile::tempdir().expect("a directory");
    let place = Place::open(settings(directory.path(), Disk::default()), &compacted());
    for round in 0..40 {
        place.append(&[(round % 4, Some(round.to_string()))], Compression::None, 7);
    }
    place.retire_all();
    let mut needs = Needs { floor: 3, except: runs::RunSet::new() };
    needs.except.insert_range(4..30);
    place.hold(needs);
    place.log.clean_now().expect("it cleans");
    let left: Vec<u64> = place.read().into_keys().collect();
    assert_eq!(left, std::iter::once(3).chain(30..40).collect::<Vec<_>>());
    place.log.close();
}

#[test]
fn what_a_view_let_go_of_goes_in_few_passes_and_after_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let place = Place::open(settings(directory.path(), Disk::default()), &compacted());
    for round in 0..80 {
        place.append(&[(round % 4, Some(round.to_string()))], Compression::None, 7);
    }
    place.retire_all();
    let holds_from = |place: &Place, from: u64| {
        let mut needs = Needs { floor: from, except: runs::RunSet::new() };
        needs.except.insert_range(60..80);
        place.hold(if from < 60 { needs } else { Needs::nothing() });
    };
    let offsets = |place: &Place| place.read().into_keys().collect::<Vec<_>>();
    holds_from(&place, 0);
    place.log.clean_now().expect("it cleans");
    assert_eq!(offsets(&place), (0..60).chain(76..80).collect::<Vec<_>>());
    for from in 1..30 {
        holds_from(&place, from);
        place.log.clean_now().expect("it cleans");
    }
    assert_eq!(place.log.stats().cleaning.runs, 1, "little was let go of");
    place.log.close();
    let place = Place::open(settings(directory.path(), Disk::default()), &compacted());
    for from in 30..60 {
        holds_from(&place, from);
        place.log.clean_now().expect("it cleans");
        place.log.clean_now().expect("it cleans");
        assert!(offsets(&place).iter().all(|offset| *offset >= 30), "half of it was let go of");
        assert!((from..60).all(|offset| offsets(&place).contains(&offset)));
    }
    assert!((2..8).contains(&place.log.stats().cleaning.runs), "{}", place.log.stats().cleaning.runs);
    holds_from(&place, 60);
    place.log.clean_now().expect("it cleans");
    assert_eq!(offsets(&place), (76..80).collect::<Vec<_>>());
    place.log.close();
}

#[test]
fn young_records_wait_for_the_minimum_lag() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut topic = compacted();
    topic.segments.min_compaction_lag_ms = 3_600_000;
    let place = Place::open(settings(directory.path(), Disk::default()), &topic);
    let now_ms = crate::log::embedded::retire::now_ms();
    for (count, timestamp_ms) in [(60, now_ms - 7_200_000), (60, now_ms)] {
        for _ in 0..count {
            place.append(&[(1, Some("x".repeat(40)))], Compression::None, timestamp_ms);
        }
        place.retire_all();
        place.partition.with(|state| {
            let mut segments = crate::log::embedded::segment::Segments::clone(&state.segments);
            segments.seal();
            state.segments = Arc::new(segments);
        });
    }
    place.log.clean_now().expect("it cleans");
    let left: Vec<u64> = place.read().into_keys().collect();
    assert_eq!(left, (59..120).collect::<Vec<_>>());
    place.log.close();
}

#[test]
fn a_small_map_of_keys_takes_more_passes_and_comes_to_the_same_end() {
    let directory = tempfile::tempdir().expect("a directory");
    let small = LogSettings { compaction_memory_bytes: 32 * 10, ..settings(directory.path(), Disk::default()) };
    let place = Place::open(small, &compacted());
    for round in 0..3 {
        for keys in (0..100_u8).collect::<Vec<_>>().chunks(7) {
            let records: Vec<Written> = keys.iter().map(|key| (*key, Some(format!("{round}")))).collect();
            place.append(&records, Compression::Gzip, 7);
        }
    }
    place.retire_all();
    let mut passes = 0;
    while place.read().len() > 100 {
        place.log.clean_now().expect("it cleans");
        passes += 1;
        assert!(passes < 100, "{} records are left", place.read().len());
    }
    assert!(passes > 2);
    assert_eq!(place.read().into_keys().collect::<Vec<_>>(), (200..300).collect::<Vec<_>>());
    place.log.close();
}

#[test]
fn random_writes_retirements_passes_and_restarts_keep_what_a_map_keeps() {
    for seed in 0..20 {
        let mut random = StdRng::seed_from_u64(seed);
        let directory = tempfile::tempdir().expect("a directory");
        let mut place = Place::open(settings(directory.path(), Disk::default()), &compacted());
        let mut model: BTreeMap<u64, Written> = BTreeMap::new();
        let mut next = 0;
        for step in 0..40 {
            match random.random_range(0..10) {
                0 | 1 => place.retire_all(),
                2 | 3 => place.log.clean_now().expect("it cleans"),
                4 => {
                    place.log.close();
                    place = Place::open(settings(directory.path(), Disk::default()), &compacted());
                }
                _ => {
                    let count = random.random_range(1..6);
                    let records: Vec<Written> = (0..count)
                        .map(|_| (random.random_range(0..8), random.random_bool(0.8).then(|| format!("{seed}-{step}"))))
                        .collect();
                    place.append(&records, Compression::ALL[random.random_range(0..5)], 7);
                    model.extend((next..).zip(records));
                    next = model.last_key_value().map_or(0, |(last, _)| last + 1);
                }
            }
        }
        while place.partition.bounds().durable < next {
            std::thread::yield_now();
        }
        let found = place.read();
        assert_eq!(newest(&found), newest(&model), "seed {seed}");
        assert!(found.iter().all(|(offset, written)| model.get(offset) == Some(written)), "seed {seed}");
        place.log.close();
    }
}

#[test]
fn a_crash_at_any_step_of_a_swap_leaves_the_old_segments_or_the_new_one() {
    let mut steps = 0;
    let mut were_old = 0;
    loop {
        let directory = tempfile::tempdir().expect("a directory");
        let left = Arc::new(AtomicI64::new(i64::MAX));
        let disk = Disk::new(Stops { disk: Disk::default(), left: Arc::clone(&left) });
        let place = Place::open(settings(directory.path(), disk), &compacted());
        for round in 0..60_u8 {
            place.append(&[(round % 3, Some(format!("{round}").repeat(20)))], Compression::None, 7);
        }
        place.retire_all();
        let before = place.read();
        left.store(steps, Ordering::Relaxed);
        let cleaned = place.log.clean_now();
        left.store(if cleaned.is_ok() { i64::MAX } else { 0 }, Ordering::Relaxed);
        place.log.close();
        let place = Place::open(settings(directory.path(), Disk::default()), &compacted());
        let found = place.read();
        assert_eq!(newest(&found), newest(&before), "stopped after {steps} changes");
        assert!(found.iter().all(|(offset, written)| before.get(offset) == Some(written)));
        were_old += i32::from(found == before);
        let names = std::fs::read_dir(directory.path().join("topics/orders-0")).expect("a directory");
        for name in names.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")) {
            assert!(!name.contains("swap") && !name.contains("cleaned"), "{name} is left");
        }
        // It goes on from there.
        place.log.clean_now().expect("it cleans");
        assert_eq!(place.read().len(), 3);
        place.log.close();
        if cleaned.is_ok() {
            break;
        }
        steps += 1;
    }
    assert!(steps > 10 && were_old > 0, "{steps} steps, {were_old} of them changed nothing");
}

#[test]
fn one_old_record_that_is_held_pins_nothing_behind_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let topic = TopicSettings::consumed("test", true, 1 << 20);
    let place = Place::open(settings(directory.path(), Disk::default()), &topic);
    for round in 0..400_u32 {
        place.append(&[(1, Some(format!("{round:0100}")))], Compression::None, 7);
    }
    place.hold(Needs { floor: 0, except: runs::RunSet::new() });
    place.retire_all();
    let before = place.segment_bytes();
    // All but the first and one in the middle are acknowledged.
    let mut needs = Needs { floor: 0, except: runs::RunSet::new() };
    needs.except.insert_range(1..200);
    needs.except.insert_range(201..400);
    place.hold(needs);
    place.log.expire_now().expect("it expires");
    assert_eq!(place.segment_bytes(), before, "segments only go from the front");
    place.log.clean_now().expect("it cleans");
    assert_eq!(place.read().into_keys().collect::<Vec<_>>(), [0, 200]);
    let after = place.segment_bytes();
    assert!(after < 400 && before > 60_000, "{after} of {before}");
    let on_disk: u64 = std::fs::read_dir(directory.path().join("topics/orders-0"))
        .expect("a directory")
        .map(|entry| entry.and_then(|entry| entry.metadata()).expect("an entry").len())
        .sum();
    assert!(on_disk < 1_000, "{on_disk} bytes are on disk");
    assert_eq!(place.log.stats().removed(Removal::Consumed), 398);
    let cleaned = place.log.stats().cleaning.runs;
    place.log.clean_now().expect("it cleans");
    assert_eq!(place.log.stats().cleaning.runs, cleaned, "what is clean is not cleaned again");
    place.log.close();
    let place = Place::open(settings(directory.path(), Disk::default()), &topic);
    assert_eq!(place.read().into_keys().collect::<Vec<_>>(), [0, 200]);
    place.log.close();
}

#[test]
fn who_reads_while_segments_are_swapped_reads_on() {
    let directory = tempfile::tempdir().expect("a directory");
    let place = Place::open(settings(directory.path(), Disk::default()), &compacted());
    for round in 0..60_u8 {
        place.append(&[(round % 3, Some(format!("{round}").repeat(20)))], Compression::None, 7);
    }
    place.retire_all();
    let before = place.read();
    let old = place.partition.with(|state| Arc::clone(&state.segments));
    place.log.clean_now().expect("it cleans");
    let batches = old.read(0, usize::MAX).expect("the old files are there for who knows them");
    assert_eq!(batches.len(), before.len());
    assert_eq!(place.read().len(), 3);
    place.log.close();
}

#[test]
fn aborted_records_go_and_replace_nothing_and_open_transactions_are_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let place = Place::open(settings(directory.path(), Disk::default()), &compacted());
    place.append(&[(1, Some("first".into()))], Compression::None, 7);
    place.append_in_transaction(10, 0, (1, "aborted"));
    place.end_transaction(10, Outcome::Abort);
    place.append_in_transaction(10, 1, (2, "committed"));
    place.end_transaction(10, Outcome::Commit);
    place.append_in_transaction(11, 0, (2, "open"));
    place.append(&[(1, Some("behind".into()))], Compression::None, 7);
    place.retire_all();
    place.log.clean_now().expect("it cleans");
    let data = |place: &Place| {
        let values = place.read().into_values().filter_map(|(_, value)| value).filter(|value| !value.starts_with('\0'));
        values.collect::<Vec<_>>()
    };
    assert_eq!(data(&place), ["first", "committed", "open", "behind"]);
    place.end_transaction(11, Outcome::Commit);
    place.retire_all();
    place.log.clean_now().expect("it cleans");
    assert_eq!(data(&place), ["open", "behind"]);
    // What ended a transaction of which nothing is left goes when its time is over.
    while place.read().len() > 3 {
        place.log.clean_now().expect("it cleans");
    }
    assert_eq!(data(&place), ["open", "behind"]);
    assert_eq!(place.log.aborted(&place.partition, 0, 100).expect("it reads"), []);
    place.log.close();
}
