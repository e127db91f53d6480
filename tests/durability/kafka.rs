//! Kafka under kills: producers that live through all of them, a reader that remembers every record it ever saw, and a full
//! reading of all partitions after each restart.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode;

use super::load::{Pace, number_of, payload, random};
use super::support::PATIENCE;

pub const TOPIC: &str = "kafka-records";
pub const PARTITIONS: i32 = 3;
/// Records on their way of one producer.
const WINDOW: usize = 12;

/// What lies where: partition and offset to payload.
type Records = BTreeMap<(i32, i64), Vec<u8>>;

/// What was promised and what was seen, over all kills.
#[derive(Default)]
pub struct Ledger {
    acknowledged: Mutex<Records>,
    seen: Mutex<Records>,
}

impl Ledger {
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    pub fn seen(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    fn note(records: &Mutex<Records>, at: (i32, i64), value: &[u8], by: &str) {
        let known = records.lock().unwrap().insert(at, value.to_vec());
        assert!(known.is_none_or(|known| known == value), "{by}: another record at {at:?}");
    }
}

pub async fn create_topic(address: &str) {
    let admin: AdminClient<_> = config(address).create().unwrap();
    let topic = NewTopic::new(TOPIC, PARTITIONS, TopicReplication::Fixed(1));
    let created = admin.create_topics([&topic], &AdminOptions::new()).await.unwrap();
    assert!(created.iter().all(Result::is_ok), "{created:?}");
}

/// Produces until the end, through all kills. With `idempotent`, nothing may come twice and nothing out of order; without,
/// what failed may or may not be there.
pub async fn produce(address: String, idempotent: bool, seed: u64, pace: Arc<Pace>, ledger: Arc<Ledger>) -> u64 {
    let name = if idempotent { "exact" } else { "plain" };
    let mut random = random(seed, u64::from(idempotent));
    let producer: FutureProducer = config(&address)
        .set("acks", "all")
        .set("enable.idempotence", idempotent.to_string())
        .set("message.timeout.ms", "60000")
        .set("linger.ms", "1")
        .set("retry.backoff.ms", "10")
        .create()
        .unwrap();
    let mut waiting = FuturesUnordered::new();
    let mut number = 0;
    while !pace.is_ending() || !waiting.is_empty() {
        while waiting.len() < WINDOW && !pace.is_ending() {
            let value = payload(&mut random, name, number, 600);
            let partition = i32::try_from(number % PARTITIONS as u64).unwrap();
            number += 1;
            let record: FutureRecord<'_, (), [u8]> = FutureRecord::to(TOPIC).partition(partition).payload(&value);
            let sent = producer.send_result(record).unwrap_or_else(|(error, _)| panic!("{name} producer: {error}"));
            waiting.push(async move { (value, sent.await) });
        }
        let Some((value, outcome)) = waiting.next().await else { continue };
        let delivery = outcome.expect("an outcome").unwrap_or_else(|(error, _)| panic!("{name} producer: {error}"));
        Ledger::note(&ledger.acknowledged, (delivery.partition, delivery.offset), &value, name);
        pace.count();
    }
    number
}

/// Reads all partitions from the start, through all kills, and remembers. An offset that it has reached and that is not there
/// any more ends it, as does another record at an offset.
pub fn read_live(address: &str, pace: &Pace, ledger: &Ledger) {
    let reader = reader(address, 0);
    while !pace.is_ending() {
        match reader.poll(Duration::from_millis(50)) {
            Some(Ok(message)) => {
                let at = (message.partition(), message.offset());
                Ledger::note(&ledger.seen, at, message.payload().unwrap_or_default(), "live reader");
            }
            Some(Err(error)) => assert!(is_of_a_kill(&error), "live reader: {error}"),
            None => {}
        }
    }
}

/// Reads everything there is and holds it against what was acknowledged and seen before.
pub fn verify(address: &str, ledger: &Ledger) -> Records {
    let acknowledged = ledger.acknowledged.lock().unwrap().clone();
    let seen = ledger.seen.lock().unwrap().clone();
    let found = read_all(address);
    for (what, records) in [("acknowledged", &acknowledged), ("read before", &seen)] {
        for (at, value) in records {
            match found.get(at) {
                Some(present) => assert_eq!(present, value, "{what} at {at:?}"),
                None => panic!("lost: {what} at {at:?}: {}", String::from_utf8_lossy(value)),
            }
        }
    }
    found
}

/// All that the idempotent producer sent must be there once, in order.
pub fn verify_exactly_once(found: &Records, sent: u64) {
    let mut numbers = Vec::new();
    for partition in 0..PARTITIONS {
        let of_partition = found.range((partition, 0)..(partition, i64::MAX)).filter(|(_, value)| value.starts_with(b"exact:"));
        let in_order: Vec<u64> = of_partition.map(|(_, value)| number_of(value)).collect();
        assert!(in_order.is_sorted(), "partition {partition} is out of order");
        numbers.extend(in_order);
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (0..sent).collect::<Vec<_>>(), "each exactly once");
}

fn read_all(address: &str) -> Records {
    let reader = reader(address, 0);
    let mut ends: BTreeMap<i32, i64> = BTreeMap::new();
    for partition in 0..PARTITIONS {
        let (start, end) = reader.fetch_watermarks(TOPIC, partition, PATIENCE).expect("watermarks");
        assert_eq!(start, 0, "nothing was to be removed");
        ends.insert(partition, end);
    }
    let mut next: BTreeMap<i32, i64> = ends.keys().map(|partition| (*partition, 0)).collect();
    let mut found = Records::new();
    let deadline = Instant::now() + PATIENCE;
    while ends.iter().any(|(partition, end)| next[partition] < *end) {
        assert!(Instant::now() < deadline, "reading ended at {next:?} before {ends:?}");
        match reader.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => {
                let (partition, offset) = (message.partition(), message.offset());
                assert_eq!(offset, next[&partition], "offsets are dense in partition {partition}");
                next.insert(partition, offset + 1);
                found.insert((partition, offset), message.payload().unwrap_or_default().to_vec());
            }
            Some(Err(error)) => assert!(is_of_a_kill(&error), "reading: {error}"),
            None => {}
        }
    }
    found
}

fn reader(address: &str, from: i64) -> BaseConsumer {
    let reader: BaseConsumer = config(address)
        .set("group.id", "never-committed")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .set("fetch.wait.max.ms", "20")
        .set("fetch.error.backoff.ms", "10")
        .set("check.crcs", "true")
        .create()
        .unwrap();
    let mut places = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        places.add_partition_offset(TOPIC, partition, Offset::Offset(from)).unwrap();
    }
    reader.assign(&places).unwrap();
    reader
}

/// What a client may say while its broker is dead.
fn is_of_a_kill(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::Resolve
        )
    )
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
