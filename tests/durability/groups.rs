//! A Kafka group under kills: a member that lives through all of them and commits as it reads. A committed offset never goes
//! back.

use std::sync::Mutex;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::kafka::{PARTITIONS, TOPIC, config};
use super::load::Pace;
use super::support::PATIENCE;

const GROUP: &str = "committing";
/// Records between two commits.
const COMMIT_EVERY: u64 = 25;

/// What was asked for and what was answered, by partition.
#[derive(Default)]
pub struct Ledger {
    commits: Mutex<[Commits; PARTITIONS as usize]>,
}

#[derive(Clone, Copy, Default)]
struct Commits {
    tried: i64,
    answered: i64,
    count: u64,
}

impl Ledger {
    /// How many were answered.
    pub fn answered(&self) -> u64 {
        self.commits.lock().unwrap().iter().map(|commits| commits.count).sum()
    }
}

/// Reads and commits until the end.
pub fn read(address: &str, pace: &Pace, ledger: &Ledger) {
    let member: BaseConsumer = member(address)
        .set("auto.offset.reset", "earliest")
        .set("session.timeout.ms", "30000")
        .set("heartbeat.interval.ms", "500")
        .create()
        .unwrap();
    member.subscribe(&[TOPIC]).unwrap();
    let mut read = 0;
    while !pace.is_ending() {
        // While its broker is dead it says so now and then.
        let Some(Ok(record)) = member.poll(Duration::from_millis(50)) else { continue };
        read += 1;
        if read % COMMIT_EVERY != 0 {
            continue;
        }
        let (partition, offset) = (record.partition(), record.offset() + 1);
        let mut at = TopicPartitionList::new();
        at.add_partition_offset(TOPIC, partition, Offset::Offset(offset)).unwrap();
        let index = partition as usize;
        {
            let mut commits = ledger.commits.lock().unwrap();
            commits[index].tried = commits[index].tried.max(offset);
        }
        if member.commit(&at, CommitMode::Sync).is_ok() {
            let mut commits = ledger.commits.lock().unwrap();
            assert!(offset >= commits[index].answered, "partition {partition} is read from {offset} on again");
            commits[index].answered = offset;
            commits[index].count += 1;
            pace.count();
        }
    }
}

/// What is committed is no less than what was answered, and no more than what was asked for.
pub fn verify(address: &str, ledger: &Ledger) {
    let reader: BaseConsumer = member(address).create().unwrap();
    let answered = *ledger.commits.lock().unwrap();
    let mut asked = TopicPartitionList::new();
    asked.add_partition_range(TOPIC, 0, PARTITIONS - 1);
    let held = reader.committed_offsets(asked, PATIENCE).unwrap();
    let tried = *ledger.commits.lock().unwrap();
    for (partition, (answered, tried)) in answered.iter().zip(&tried).enumerate() {
        let held = held.find_partition(TOPIC, partition as i32).unwrap().offset().to_raw().unwrap().max(0);
        let (least, most) = (answered.answered, tried.tried);
        assert!(
            (least..=most).contains(&held),
            "partition {partition}: {held} is committed, {least} was answered and {most} tried"
        );
    }
}

fn member(address: &str) -> ClientConfig {
    let mut config = config(address);
    config.set("group.id", GROUP).set("enable.auto.commit", "false").set("fetch.wait.max.ms", "20");
    config
}
