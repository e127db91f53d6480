//! What is removed and what stays, seen by a Kafka client of a gateway with small files: compaction, age, size, and the keys
//! that say so.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod support;

use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Write};
use std::net::TcpStream;

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties};
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Message, OwnedMessage};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, FutureProducer, FutureRecord, Producer, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use support::{Gateway, PATIENCE, files_below, unique, wait_until, within};

const MIB: u64 = 1 << 20;

fn gateway() -> Gateway {
    Gateway::builder()
        .set("log.journal_file_bytes", MIB)
        .set("log.journal_retain_bytes", MIB)
        .set("log.retention_check_interval_ms", 50)
        .set("log.cleaning_check_interval_ms", 50)
        .start()
}

fn config(gateway: &Gateway) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", gateway.kafka());
    config
}

fn admin(gateway: &Gateway) -> AdminClient<DefaultClientContext> {
    config(gateway).create().expect("a client")
}

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE))
}

async fn create(gateway: &Gateway, topic: &str, settings: &[(&str, &str)]) {
    let new = settings.iter().fold(NewTopic::new(topic, 1, TopicReplication::Fixed(1)), |new, (key, value)| new.set(key, value));
    let made = admin(gateway).create_topics([&new], &options()).await.expect("answered");
    assert_eq!(made, [Ok(topic.to_owned())]);
}

/// Values of 1,000 bytes that begin with their number; the key is the number modulo `keys`.
fn produce(gateway: &Gateway, topic: &str, numbers: std::ops::Range<u32>, keys: u32, compression: &str) {
    let producer: ThreadedProducer<DefaultProducerContext> =
        config(gateway).set("compression.type", compression).set("enable.idempotence", "true").create().expect("a client");
    for number in numbers {
        let (key, value) = ((number % keys).to_string(), format!("{number:<1000}"));
        producer.send(BaseRecord::to(topic).partition(0).key(&key).payload(&value)).expect("there is room");
    }
    producer.flush(PATIENCE).expect("acknowledged");
}

fn bounds(gateway: &Gateway, topic: &str) -> (i64, i64) {
    let consumer: BaseConsumer = config(gateway).create().expect("a client");
    consumer.fetch_watermarks(topic, 0, PATIENCE).expect("answered")
}

/// Everything from the first offset on, up to the record at `last`.
fn read_to(gateway: &Gateway, topic: &str, last: i64) -> Vec<OwnedMessage> {
    let consumer: BaseConsumer = config(gateway)
        .set("group.id", unique("reader"))
        .set("enable.auto.commit", "false")
        .set("check.crcs", "true")
        .create()
        .expect("a client");
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(topic, 0, Offset::Beginning).expect("legal");
    consumer.assign(&partitions).expect("assigned");
    let mut found = Vec::new();
    while found.last().is_none_or(|record: &OwnedMessage| record.offset() < last) {
        found.push(consumer.poll(PATIENCE).expect("a record").expect("read").detach());
    }
    found
}

fn text(bytes: Option<&[u8]>) -> String {
    String::from_utf8_lossy(bytes.unwrap_or_default()).trim_end().to_owned()
}

fn newest(records: &[OwnedMessage]) -> BTreeMap<String, String> {
    records.iter().map(|record| (text(record.key()), text(record.payload()))).collect()
}

fn metric(gateway: &Gateway, line: &str) -> f64 {
    let mut stream = TcpStream::connect(gateway.addresses().http).expect("connected");
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").expect("sent");
    let mut body = String::new();
    stream.read_to_string(&mut body).expect("answered");
    let found = body.lines().find_map(|found| found.strip_prefix(line)).unwrap_or_default();
    found.trim().parse().unwrap_or_default()
}

#[tokio::test]
async fn a_compacted_topic_keeps_the_newest_of_each_key_at_its_offset_and_over_a_crash() {
    for compression in ["none", "snappy", "zstd"] {
        let mut gateway = gateway();
        let topic = unique("compacted");
        create(&gateway, &topic, &[("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0.1")]).await;
        let count = if compression == "none" { 5_000 } else { 40_000 };
        produce(&gateway, &topic, 0..count, 50, compression);
        // What fills the journal so that all of it moves to segments.
        let filler = unique("filler");
        create(&gateway, &filler, &[]).await;
        produce(&gateway, &filler, 0..4_000, 1, "none");
        wait_until("something is compacted", || {
            metric(&gateway, "trunkline_log_removed_records_total{reason=\"compacted\"}") > 1_000.0
        });
        let last = i64::from(count) - 1;
        let expected: BTreeMap<String, String> =
            (count - 50..count).map(|number| ((number % 50).to_string(), number.to_string())).collect();
        for _ in 0..2 {
            let records = read_to(&gateway, &topic, last);
            assert_eq!(newest(&records), expected, "{compression}");
            assert!(records.len() < count as usize - 1_000, "{} of {count} records are left", records.len());
            assert!(records.iter().all(|record| text(record.payload()) == record.offset().to_string()), "offsets stay");
            assert_eq!(bounds(&gateway, &topic), (0, last + 1), "the start of the log stays, too");
            gateway.crash();
        }
    }
}

/// The next `count` deliveries to a consumer of the queue of that name, on a channel of its own. They are not acknowledged.
async fn take(amqp: &Connection, queue: &str, count: usize) -> (Channel, Vec<Delivery>) {
    let channel = amqp.create_channel().await.expect("a channel");
    let consumer = channel.basic_consume(queue.into(), "".into(), BasicConsumeOptions::default(), FieldTable::default());
    let mut consumer = consumer.await.expect("a consumer");
    let mut taken = Vec::new();
    while taken.len() < count {
        taken.push(within("a delivery", consumer.next()).await.expect("an open consumer").expect("a delivery"));
    }
    (channel, taken)
}

fn body(delivery: &Delivery) -> String {
    text(Some(&delivery.data))
}

#[tokio::test]
async fn compaction_leaves_what_a_queue_holds_until_it_is_acknowledged() {
    const KEYS: u32 = 20;
    let gateway = gateway();
    let topic = unique("held");
    create(&gateway, &topic, &[("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0.1")]).await;
    let amqp = Connection::connect(&gateway.amqp(), ConnectionProperties::default()).await.expect("a connection");
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let channel = amqp.create_channel().await.expect("a channel");
    channel.queue_declare(topic.as_str().into(), options, FieldTable::default()).await.expect("declared");

    let count = 2_000;
    produce(&gateway, &topic, 0..count, KEYS, "none");
    let (holding, taken) = take(&amqp, &topic, count as usize).await;
    for delivery in taken.iter().skip(KEYS as usize) {
        delivery.acker.ack(BasicAckOptions::default()).await.expect("acknowledged");
    }
    let filler = unique("filler");
    create(&gateway, &filler, &[]).await;
    produce(&gateway, &filler, 0..4_000, 1, "none");
    let left = |first: std::ops::Range<u32>| {
        let found: Vec<u32> = read_to(&gateway, &topic, i64::from(count) - 1)
            .iter()
            .map(|record| text(record.payload()).parse().expect("a number"))
            .collect();
        found == first.chain(count - KEYS..count).collect::<Vec<_>>()
    };
    wait_until("all is compacted but what is held, and what is newest", || left(0..KEYS));

    holding.close(200, "given up".into()).await.expect("closed");
    let (again, taken) = take(&amqp, &topic, KEYS as usize).await;
    for (number, delivery) in taken.iter().enumerate() {
        assert!(delivery.redelivered);
        assert_eq!(body(delivery), number.to_string());
    }
    assert!(left(0..KEYS), "what came back is held again");
    for delivery in &taken {
        delivery.acker.ack(BasicAckOptions::default()).await.expect("acknowledged");
    }
    wait_until("a later pass takes what was acknowledged", || left(0..0));
    again.close(200, "done".into()).await.expect("closed");
}

#[tokio::test]
async fn age_and_size_remove_what_is_in_the_journal_and_in_segments() {
    let gateway = gateway();
    let (by_age, by_size) = (unique("age"), unique("size"));
    create(&gateway, &by_age, &[("retention.ms", "300")]).await;
    create(&gateway, &by_size, &[("retention.bytes", "2000000"), ("segment.bytes", "1048576"), ("file.delete.delay.ms", "0")])
        .await;
    produce(&gateway, &by_age, 0..10, 1, "none");
    wait_until("everything is too old", || bounds(&gateway, &by_age) == (10, 10));
    produce(&gateway, &by_size, 0..6_000, 1, "none");
    wait_until("the size is kept", || bounds(&gateway, &by_size).0 > 3_000);
    let (first, end) = bounds(&gateway, &by_size);
    assert_eq!(end, 6_000);
    let records = read_to(&gateway, &by_size, end - 1);
    assert_eq!(records.first().map(Message::offset), Some(first));
    assert!(records.len() >= 1_900, "no more goes than must: {} records are left", records.len());
    assert!(metric(&gateway, "trunkline_log_removed_records_total{reason=\"retention_time\"}") >= 10.0);
    assert!(metric(&gateway, "trunkline_log_removed_records_total{reason=\"retention_size\"}") >= 3_000.0);
    wait_until("the files are gone", || {
        let files = files_below(&gateway.data_dir().join("topics").join(format!("{by_size}-0")));
        files.iter().map(|(_, bytes)| *bytes).sum::<u64>() < 3 * MIB
    });
}

#[tokio::test]
async fn the_files_of_a_removed_segment_stay_until_their_delay_is_over() {
    let gateway = gateway();
    let topic = unique("kept");
    let delay = ("file.delete.delay.ms", "3600000");
    create(&gateway, &topic, &[("segment.bytes", "1048576"), delay]).await;
    produce(&gateway, &topic, 0..6_000, 1, "none");
    let ends_with = |extension: &str| {
        let files = files_below(&gateway.data_dir().join("topics"));
        let of_topic = files.iter().filter(|(path, _)| path.to_string_lossy().contains(&topic));
        of_topic.filter(|(path, _)| path.extension().is_some_and(|found| found == extension)).count()
    };
    wait_until("there are segments", || ends_with("log") >= 3);
    let change = AlterConfig::new(ResourceSpecifier::Topic(&topic)).set("retention.bytes", "1000000").set(delay.0, delay.1);
    admin(&gateway).alter_configs([&change], &options()).await.expect("answered");
    wait_until("segments are removed", || ends_with("deleted") >= 6);
    assert!(metric(&gateway, "trunkline_log_deleted_files_waiting") >= 6.0);
}

#[tokio::test]
async fn the_keys_of_segments_are_set_shown_and_changed() {
    let gateway = gateway();
    let topic = unique("keys");
    let keys = [
        ("cleanup.policy", "compact,delete"),
        ("delete.retention.ms", "1000"),
        ("file.delete.delay.ms", "2000"),
        ("max.compaction.lag.ms", "3000"),
        ("min.cleanable.dirty.ratio", "0.25"),
        ("min.compaction.lag.ms", "4000"),
        ("retention.bytes", "5000000"),
        ("retention.ms", "6000000"),
        ("segment.bytes", "7000000"),
        ("segment.ms", "8000000"),
    ];
    create(&gateway, &topic, &keys).await;
    let admin = admin(&gateway);
    let shown = async || {
        let described = admin.describe_configs([&ResourceSpecifier::Topic(&topic)], &options()).await.expect("answered");
        let described = described.into_iter().next().expect("one").expect("described");
        described.entries.into_iter().map(|entry| (entry.name, entry.value.unwrap_or_default())).collect::<HashMap<_, _>>()
    };
    let before = shown().await;
    for (key, value) in keys {
        assert_eq!(before.get(key).map(String::as_str), Some(value), "{key}");
    }
    let change = AlterConfig::new(ResourceSpecifier::Topic(&topic)).set("segment.ms", "9000").set("cleanup.policy", "compact");
    admin.alter_configs([&change], &options()).await.expect("answered").into_iter().for_each(|one| drop(one.expect("altered")));
    let after = shown().await;
    assert_eq!(after.get("segment.ms").map(String::as_str), Some("9000"));
    assert_eq!(after.get("cleanup.policy").map(String::as_str), Some("compact"));
    assert_eq!(after.get("segment.bytes").map(String::as_str), Some("536870912"), "back to the configured size");
    let wrong = AlterConfig::new(ResourceSpecifier::Topic(&topic)).set("segment.bytes", "10");
    // The client keeps the error of a single topic to itself.
    let _ = admin.alter_configs([&wrong], &options()).await;
    assert_eq!(shown().await, after, "nothing of a refused change is taken");
}

#[tokio::test]
async fn a_record_without_a_key_is_refused_by_a_compacted_topic() {
    let gateway = gateway();
    let topic = unique("keyed");
    create(&gateway, &topic, &[("cleanup.policy", "compact")]).await;
    let producer: FutureProducer = config(&gateway).create().expect("a client");
    let refused = producer.send(FutureRecord::<(), str>::to(&topic).payload("no key"), PATIENCE).await.expect_err("refused").0;
    assert_eq!(refused.rdkafka_error_code(), Some(RDKafkaErrorCode::InvalidRecord));
    producer.send(FutureRecord::to(&topic).key("key").payload("value"), PATIENCE).await.expect("taken");
}
