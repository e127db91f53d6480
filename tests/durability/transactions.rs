//! Kafka's transactions under kills: a producer that lives through all of them, commits and aborts in turn records together with
//! a group's offset, and after each restart a reading of what was committed since.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::kafka::config;
use super::load::{Pace, number_of, payload, random};
use super::support::PATIENCE;

const TOPIC: &str = "transactions";
const PARTITIONS: i32 = 2;

type Writer = ThreadedProducer<DefaultProducerContext>;

/// Whose offset a transaction commits: one past its own number.
const GROUP: &str = "of-transactions";

/// Which transactions were answered, and how; what was found of them.
#[derive(Default)]
pub struct Ledger {
    committed: Mutex<BTreeSet<u64>>,
    aborted: Mutex<BTreeSet<u64>>,
    found: Mutex<Found>,
}

/// How many records of each transaction are there, and up to where that was read.
#[derive(Default)]
struct Found {
    records: BTreeMap<u64, i32>,
    next: [i64; PARTITIONS as usize],
}

impl Ledger {
    pub fn committed(&self) -> usize {
        self.committed.lock().unwrap().len()
    }
}

pub async fn create_topic(address: &str) {
    let admin: AdminClient<DefaultClientContext> = config(address).create().unwrap();
    let topic = NewTopic::new(TOPIC, PARTITIONS, TopicReplication::Fixed(1));
    let created = admin.create_topics([&topic], &AdminOptions::new()).await.unwrap();
    assert!(created.iter().all(Result::is_ok), "{created:?}");
}

/// Transactions of a record in each partition until the end, through all kills; every third is aborted.
pub fn write(address: &str, seed: u64, pace: &Pace, ledger: &Arc<Ledger>) {
    let mut random = random(seed, 40);
    let writer: Writer = config(address)
        .set("transactional.id", "survivor")
        .set("transaction.timeout.ms", "600000")
        .set("linger.ms", "0")
        .set("retry.backoff.ms", "10")
        .create()
        .unwrap();
    again(|| writer.init_transactions(PATIENCE));
    let group = member(address).group_metadata().unwrap();
    let mut number = 0;
    loop {
        tokio::runtime::Handle::current().block_on(pace.opened());
        if pace.is_ending() {
            return;
        }
        writer.begin_transaction().unwrap();
        let mut offset = TopicPartitionList::new();
        offset.add_partition_offset(TOPIC, 0, Offset::Offset(number as i64 + 1)).unwrap();
        again(|| writer.send_offsets_to_transaction(&offset, &group, PATIENCE));
        for partition in 0..PARTITIONS {
            let value = payload(&mut random, "transaction", number, 600);
            let record: BaseRecord<'_, (), [u8]> = BaseRecord::to(TOPIC).partition(partition).payload(&value);
            writer.send(record).map_err(|(error, _)| error).unwrap();
        }
        if number % 3 == 2 {
            again(|| writer.flush(PATIENCE));
            again(|| writer.abort_transaction(PATIENCE));
            ledger.aborted.lock().unwrap().insert(number);
        } else {
            again(|| writer.commit_transaction(PATIENCE));
            ledger.committed.lock().unwrap().insert(number);
        }
        pace.count();
        number += 1;
    }
}

/// What a kill interrupts is asked again; anything else is a fault.
fn again(mut attempt: impl FnMut() -> KafkaResult<()>) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match attempt() {
            Ok(()) => return,
            Err(KafkaError::Transaction(error)) if error.is_retriable() && Instant::now() < deadline => {}
            Err(error) => panic!("the transactional producer: {error}"),
        }
    }
}

/// Reads what was committed since the last time and holds it against the answers.
pub fn verify(address: &str, ledger: &Ledger) {
    let mut found = ledger.found.lock().unwrap();
    verify_with(address, ledger, &mut found);
}

/// The same from the start. No other transactions are there.
pub fn verify_all(address: &str, ledger: &Ledger) {
    let mut found = Found::default();
    verify_with(address, ledger, &mut found);
    assert!(found.records.keys().eq(ledger.committed.lock().unwrap().iter()), "nothing but what was committed");
}

/// Each committed transaction is there whole and once, with its offset; none that was aborted is there.
fn verify_with(address: &str, ledger: &Ledger, found: &mut Found) {
    let committed = ledger.committed.lock().unwrap().clone();
    let aborted = ledger.aborted.lock().unwrap().clone();
    let before = offset(address);
    read_committed(address, found);
    let behind = offset(address);
    for number in &committed {
        assert_eq!(found.records.get(number).copied(), Some(PARTITIONS), "transaction {number} was committed");
    }
    for number in &aborted {
        assert_eq!(found.records.get(number), None, "transaction {number} was aborted");
    }
    let newest = found.records.keys().next_back().map_or(0, |number| number + 1);
    assert!(before <= newest && newest <= behind, "offset {before}, then {behind}, with records of {newest} transactions");
}

/// The offset that the transactions committed.
fn offset(address: &str) -> u64 {
    let mut asked = TopicPartitionList::new();
    asked.add_partition(TOPIC, 0);
    let held = member(address).committed_offsets(asked, PATIENCE).unwrap();
    held.elements()[0].offset().to_raw().and_then(|raw| u64::try_from(raw).ok()).unwrap_or(0)
}

fn member(address: &str) -> BaseConsumer {
    config(address).set("group.id", GROUP).create().unwrap()
}

fn read_committed(address: &str, found: &mut Found) {
    let reader: BaseConsumer = config(address)
        .set("group.id", "never-committed")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .set("fetch.wait.max.ms", "20")
        .create()
        .unwrap();
    let mut places = TopicPartitionList::new();
    for (partition, next) in (0..).zip(found.next) {
        places.add_partition_offset(TOPIC, partition, Offset::Offset(next)).unwrap();
    }
    reader.assign(&places).unwrap();
    let mut ended = BTreeSet::new();
    let deadline = Instant::now() + PATIENCE;
    while ended.len() < PARTITIONS as usize {
        assert!(Instant::now() < deadline, "reading what is committed came to no end");
        match reader.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => {
                found.next[message.partition() as usize] = message.offset() + 1;
                *found.records.entry(number_of(message.payload().unwrap_or_default())).or_default() += 1;
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(ended.insert(partition)),
            Some(Err(_)) | None => {}
        }
    }
}
