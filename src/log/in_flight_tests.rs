//! Producers that are faster than the disk: what is in flight stays within its budget, and nothing of it is lost.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use smallvec::smallvec;

use super::record::{BatchBuilder, Record};
use super::simulated::{Fault, Simulated};
use super::*;

const BUDGET_BYTES: u64 = 64 << 10;
const PRODUCERS: usize = 4;
const RECORDS_EACH: u64 = 300;
const RECORD_BYTES: usize = 4_000;

fn append(log: &Log, topic: &Topic, durability: Durability) -> Barrier {
    let mut batch = BatchBuilder::new();
    batch.push(&Record { key: None, value: Some(vec![7; RECORD_BYTES].into()), headers: Vec::new(), timestamp_ms: 7 });
    let partition = topic.partition(0).expect("a partition");
    let _turn = log.turn();
    let base_offset = partition.reserve(1);
    let mut entry = Entry::default();
    entry.require(durability);
    let targets = smallvec![Placement { partition, base_offset }];
    entry.add(Write { targets, span: 1, batch: batch.finish(), max_timestamp_ms: 7, is_broadcast: false });
    log.append(&entry).expect("it is taken")
}

#[test]
fn a_producer_faster_than_the_disk_waits_and_what_is_in_flight_stays_within_its_budget() {
    for durability in [Durability::Fsync, Durability::Os] {
        let disk = Simulated::new(1);
        (0..10_000).for_each(|_| disk.fail(Fault::SlowSync(Duration::from_millis(2)), 0));
        let log = Log::open(LogSettings {
            directory: PathBuf::from("/"),
            disk: disk.disk(),
            in_flight_bytes_max: BUDGET_BYTES,
            memory_tail_bytes: BUDGET_BYTES as usize,
            durability,
            ..LogSettings::default()
        })
        .expect("the log opens");
        let name = TopicName::new("orders").expect("a legal name");
        let (topic, record) = log.create_topic(&name, 1, TopicSettings::default()).expect("a new topic");
        let mut entry = Entry::default();
        entry.add_state(&[record], |table| log.open_table(table).ok(), 0);
        log.append(&entry).expect("it is taken");

        let produce = || {
            let mut most = 0;
            let mut last = Barrier::NONE;
            for _ in 0..RECORDS_EACH {
                last = append(&log, &topic, durability);
                most = most.max(log.stats().in_flight_bytes);
            }
            (most, last)
        };
        let told: Vec<_> = std::thread::scope(|scope| {
            let producers: Vec<_> = (0..PRODUCERS).map(|_| scope.spawn(produce)).collect();
            producers.into_iter().map(|producer| producer.join().expect("no panic")).collect()
        });
        let began = Instant::now();
        while !told.iter().all(|(_, last)| log.is_durable(*last)) {
            assert!(began.elapsed() < Duration::from_secs(20), "all is written");
            std::thread::yield_now();
        }
        let stats = log.stats();
        let most = told.iter().map(|(most, _)| *most).max().unwrap_or(0);
        // The one that is let in when there is room may be larger than the room.
        assert!(most <= BUDGET_BYTES + RECORD_BYTES as u64 + 200, "{durability:?}: {most} bytes in flight");
        assert!(durability != Durability::Fsync || stats.held_back > 0, "nobody had to wait");
        assert_eq!(topic.partition(0).map(|partition| partition.bounds().end), Some(PRODUCERS as u64 * RECORDS_EACH));
        assert!(stats.tail_bytes <= 3 * BUDGET_BYTES, "{} bytes in the tail", stats.tail_bytes);
        log.close();
    }
}
