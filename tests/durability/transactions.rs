//! Kafka's transactions under kills: a producer that lives through all of them, commits and aborts in turn, and a reading of what
//! is committed after each restart.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::load::{Pace, number_of, payload, random};
use super::support::PATIENCE;

const TOPIC: &str = "transactions";
const PARTITIONS: i32 = 2;

type Writer = ThreadedProducer<DefaultProducerContext>;

/// Which transactions were answered, and how.
#[derive(Default)]
pub struct Ledger {
    committed: Mutex<BTreeSet<u64>>,
    aborted: Mutex<BTreeSet<u64>>,
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
    let mut number = 0;
    while !pace.is_ending() {
        writer.begin_transaction().unwrap();
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

/// Reads what is committed and holds it against the answers: each committed transaction is there whole and once, none that was
/// aborted is there. At the end there are no others.
pub fn verify(address: &str, ledger: &Ledger, is_end: bool) {
    let committed = ledger.committed.lock().unwrap().clone();
    let aborted = ledger.aborted.lock().unwrap().clone();
    let found = read_committed(address);
    for number in &committed {
        assert_eq!(found.get(number).copied(), Some(PARTITIONS), "transaction {number} was committed");
    }
    for number in &aborted {
        assert_eq!(found.get(number), None, "transaction {number} was aborted");
    }
    if is_end {
        assert!(found.keys().eq(committed.iter()), "nothing but what was committed");
    }
}

/// How many records of each transaction are there.
fn read_committed(address: &str) -> BTreeMap<u64, i32> {
    let reader: BaseConsumer = config(address)
        .set("group.id", "never-committed")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .set("fetch.wait.max.ms", "20")
        .create()
        .unwrap();
    let mut places = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        places.add_partition_offset(TOPIC, partition, Offset::Beginning).unwrap();
    }
    reader.assign(&places).unwrap();
    let (mut found, mut ended) = (BTreeMap::new(), BTreeSet::new());
    let deadline = Instant::now() + PATIENCE;
    while ended.len() < PARTITIONS as usize {
        assert!(Instant::now() < deadline, "reading what is committed came to no end");
        match reader.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => *found.entry(number_of(message.payload().unwrap_or_default())).or_default() += 1,
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(ended.insert(partition)),
            Some(Err(_)) | None => {}
        }
    }
    found
}

fn config(address: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", address)
        .set("reconnect.backoff.ms", "5")
        .set("reconnect.backoff.max.ms", "50")
        .set("log_level", "0");
    config
}
