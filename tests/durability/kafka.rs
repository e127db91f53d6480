//! Kafka under kills: producers that live through all of them, a reader that remembers every record it ever saw, and after each
//! restart a reading of all that is new and of a stretch of what is not; at the end of everything.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use rand::Rng;
use rand::rngs::StdRng;
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

/// So many records of a partition that were verified before are read again after each kill.
const STRETCH: i64 = 150;

/// What is remembered of a record: whose it is, and a hash of its whole value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Print {
    is_exact: bool,
    number: u64,
    hash: u64,
}

impl Print {
    fn of(value: &[u8]) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write(value);
        Self { is_exact: value.starts_with(b"exact:"), number: number_of(value), hash: hasher.finish() }
    }
}

/// What was promised over all kills: a record that was acknowledged, or seen by anyone, is there for good.
#[derive(Default)]
pub struct Ledger {
    /// By partition and offset.
    promised: Mutex<BTreeMap<(i32, i64), Print>>,
    acknowledged: AtomicU64,
    seen: AtomicU64,
    /// Up to where each partition was verified.
    verified: Mutex<[i64; PARTITIONS as usize]>,
}

impl Ledger {
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    pub fn seen(&self) -> u64 {
        self.seen.load(Ordering::SeqCst)
    }

    fn note(&self, at: (i32, i64), value: &[u8], by: &str) {
        let print = Print::of(value);
        let known = self.promised.lock().unwrap().insert(at, print);
        assert!(known.is_none_or(|known| known == print), "{by}: another record at {at:?}: {print:?} for {known:?}");
    }

    /// One past the last offset of a partition that was promised.
    fn promised_end(&self, partition: i32) -> i64 {
        let promised = self.promised.lock().unwrap();
        promised.range((partition, 0)..(partition, i64::MAX)).next_back().map_or(0, |((_, offset), _)| offset + 1)
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
        if waiting.is_empty() {
            pace.opened().await;
        }
        while waiting.len() < WINDOW && pace.is_open() {
            let value = payload(&mut random, name, number, 600);
            let partition = i32::try_from(number % PARTITIONS as u64).unwrap();
            number += 1;
            let record: FutureRecord<'_, (), [u8]> = FutureRecord::to(TOPIC).partition(partition).payload(&value);
            let sent = producer.send_result(record).unwrap_or_else(|(error, _)| panic!("{name} producer: {error}"));
            waiting.push(async move { (value, sent.await) });
        }
        let Some((value, outcome)) = waiting.next().await else { continue };
        let delivery = outcome.expect("an outcome").unwrap_or_else(|(error, _)| panic!("{name} producer: {error}"));
        ledger.note((delivery.partition, delivery.offset), &value, name);
        ledger.acknowledged.fetch_add(1, Ordering::SeqCst);
        pace.count();
    }
    number
}

/// Reads all partitions from the start, through all kills, and remembers. An offset that it has reached and that is not there
/// any more ends it, as does another record at an offset.
pub fn read_live(address: &str, pace: &Pace, ledger: &Ledger) {
    let reader = reader(address, [0; PARTITIONS as usize]);
    while !pace.is_ending() {
        match reader.poll(Duration::from_millis(50)) {
            Some(Ok(message)) => {
                let at = (message.partition(), message.offset());
                ledger.note(at, message.payload().unwrap_or_default(), "live reader");
                ledger.seen.fetch_add(1, Ordering::SeqCst);
            }
            Some(Err(error)) => assert!(is_of_a_kill(&error), "live reader: {error}"),
            None => {}
        }
    }
}

/// Reads what is new since the last time and a stretch of what is older, and holds it against what was promised.
pub fn verify(address: &str, ledger: &Ledger, random: &mut StdRng) {
    let verified = *ledger.verified.lock().unwrap();
    let ends = read(address, ledger, verified, None);
    let from = verified.map(|end| random.random_range(0..=(end - STRETCH).max(0)));
    let to: Vec<i64> = from.iter().zip(&ends).map(|(from, end)| (from + STRETCH).min(*end)).collect();
    read(address, ledger, from, Some(to));
    *ledger.verified.lock().unwrap() = ends.try_into().unwrap();
}

/// The same with everything there is.
pub fn verify_all(address: &str, ledger: &Ledger) {
    read(address, ledger, [0; PARTITIONS as usize], None);
}

/// All that the idempotent producer sent must be there once, in order.
pub fn verify_exactly_once(ledger: &Ledger, sent: u64) {
    let mut numbers = Vec::new();
    let promised = ledger.promised.lock().unwrap();
    for partition in 0..PARTITIONS {
        let of_partition = promised.range((partition, 0)..(partition, i64::MAX)).filter(|(_, print)| print.is_exact);
        let in_order: Vec<u64> = of_partition.map(|(_, print)| print.number).collect();
        assert!(in_order.is_sorted(), "partition {partition} is out of order");
        numbers.extend(in_order);
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (0..sent).collect::<Vec<_>>(), "each exactly once");
}

/// Reads each partition from an offset to another, or to its end, which must not lie before what was promised. Every record must
/// be the one that was promised, if one was, and is from now on.
fn read(address: &str, ledger: &Ledger, from: [i64; PARTITIONS as usize], to: Option<Vec<i64>>) -> Vec<i64> {
    let reader = reader(address, from);
    let promised: Vec<i64> = (0..PARTITIONS).map(|partition| ledger.promised_end(partition)).collect();
    let end = |(partition, promised): (i32, &i64)| {
        let (start, end) = reader.fetch_watermarks(TOPIC, partition, PATIENCE).expect("watermarks");
        assert_eq!(start, 0, "nothing was to be removed");
        assert!(end >= *promised, "lost: partition {partition} ends at {end}, {promised} were promised");
        end
    };
    let ends = to.unwrap_or_else(|| (0..).zip(&promised).map(end).collect());
    let mut next = from;
    let deadline = Instant::now() + PATIENCE;
    while next.iter().zip(&ends).any(|(next, end)| next < end) {
        assert!(Instant::now() < deadline, "reading ended at {next:?} before {ends:?}");
        match reader.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => {
                let (partition, offset) = (message.partition(), message.offset());
                let next = &mut next[partition as usize];
                assert_eq!(offset, *next, "offsets are dense in partition {partition}");
                *next = offset + 1;
                ledger.note((partition, offset), message.payload().unwrap_or_default(), "reading");
            }
            Some(Err(error)) => assert!(is_of_a_kill(&error), "reading: {error}"),
            None => {}
        }
    }
    ends
}

fn reader(address: &str, from: [i64; PARTITIONS as usize]) -> BaseConsumer {
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
    for (partition, offset) in (0..).zip(from) {
        places.add_partition_offset(TOPIC, partition, Offset::Offset(offset)).unwrap();
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

pub fn config(address: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", address)
        .set("reconnect.backoff.ms", "5")
        .set("reconnect.backoff.max.ms", "50")
        .set("log_level", "0");
    config
}
