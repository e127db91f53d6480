//! The Kafka dialect as librdkafka meets it: produce, fetch, offsets, topics, idempotence, and what is refused.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod support;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use rdkafka::util::Timeout;
use rdkafka::{Offset, TopicPartitionList};
use support::{Gateway, PATIENCE, unique};

fn config(gateway: &Gateway) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", gateway.kafka());
    config
}

fn producer(gateway: &Gateway, settings: &[(&str, &str)]) -> FutureProducer {
    let mut config = config(gateway);
    for (key, value) in settings {
        config.set(*key, *value);
    }
    config.create().expect("a producer")
}

fn admin(gateway: &Gateway) -> AdminClient<DefaultClientContext> {
    config(gateway).create().expect("an admin client")
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE))
}

/// A consumer of one partition from an offset on.
fn reader(gateway: &Gateway, topic: &str, partition: i32, from: Offset) -> BaseConsumer {
    let consumer: BaseConsumer = config(gateway)
        .set("group.id", "unused")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .set("fetch.wait.max.ms", "100")
        .create()
        .expect("a consumer");
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(topic, partition, from).expect("an offset");
    consumer.assign(&assignment).expect("assigned");
    consumer
}

fn read(consumer: &BaseConsumer, count: usize) -> Vec<OwnedMessage> {
    (0..count).map(|_| consumer.poll(PATIENCE).expect("a record in time").expect("a record").detach()).collect()
}

async fn send(producer: &FutureProducer, topic: &str, key: &str, value: &str) -> i64 {
    let sent = producer.send(FutureRecord::to(topic).key(key).payload(value), Timeout::After(PATIENCE)).await;
    sent.expect("delivered").offset
}

async fn create(gateway: &Gateway, topic: &str, partitions: i32, config: &[(&str, &str)]) {
    let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    for (key, value) in config {
        new = new.set(key, value);
    }
    let made = admin(gateway).create_topics([&new], &options()).await.expect("answered");
    assert_eq!(made, [Ok(topic.to_owned())]);
}

#[tokio::test]
async fn a_record_comes_back_as_it_was_sent() {
    let gateway = Gateway::start();
    let topic = unique("orders");
    let headers = OwnedHeaders::new()
        .insert(Header { key: "a", value: Some("1") })
        .insert(Header { key: "a", value: Some("2") })
        .insert(Header::<&str> { key: "none", value: None });
    let record = FutureRecord::to(&topic).key("k").payload("v").headers(headers).timestamp(1_234_567);
    producer(&gateway, &[]).send(record, Timeout::After(PATIENCE)).await.expect("delivered");

    let records = read(&reader(&gateway, &topic, 0, Offset::Beginning), 1);
    let record = records.first().expect("one");
    assert_eq!((record.key(), record.payload(), record.offset()), (Some(&b"k"[..]), Some(&b"v"[..]), 0));
    assert_eq!(record.timestamp().to_millis(), Some(1_234_567));
    let headers: Vec<_> =
        record.headers().expect("headers").iter().map(|h| (h.key.to_owned(), h.value.map(<[u8]>::to_vec))).collect();
    assert_eq!(headers, [("a".into(), Some(b"1".to_vec())), ("a".into(), Some(b"2".to_vec())), ("none".into(), None)]);
}

#[tokio::test]
async fn every_compression_passes_through_in_order() {
    let gateway = Gateway::start();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = unique(codec);
        let producer = producer(&gateway, &[("compression.codec", codec), ("linger.ms", "20")]);
        let sends = (0..500).map(|n| {
            let (key, value) = (n.to_string(), format!("{n}-{}", "value ".repeat(50)));
            let (producer, topic) = (producer.clone(), topic.clone());
            tokio::spawn(async move { send(&producer, &topic, &key, &value).await })
        });
        for sent in sends.collect::<Vec<_>>() {
            sent.await.expect("no panic");
        }
        let records = read(&reader(&gateway, &topic, 0, Offset::Beginning), 500);
        let offsets: Vec<i64> = records.iter().map(OwnedMessage::offset).collect();
        assert_eq!(offsets, (0..500).collect::<Vec<_>>(), "{codec}");
        for record in &records {
            let key = String::from_utf8(record.key().expect("a key").to_vec()).expect("text");
            assert_eq!(record.payload(), Some(format!("{key}-{}", "value ".repeat(50)).as_bytes()), "{codec}");
        }
    }
}

#[tokio::test]
async fn every_way_of_acknowledging_delivers() {
    let gateway = Gateway::start();
    for acks in ["0", "1", "all"] {
        let topic = unique("acks");
        create(&gateway, &topic, 1, &[]).await;
        let producer = producer(&gateway, &[("acks", acks)]);
        for n in 0..20 {
            send(&producer, &topic, "k", &n.to_string()).await;
        }
        let records = read(&reader(&gateway, &topic, 0, Offset::Beginning), 20);
        let values: Vec<_> = records.iter().filter_map(Message::payload).map(<[u8]>::to_vec).collect();
        assert_eq!(values, (0..20).map(|n| n.to_string().into_bytes()).collect::<Vec<_>>(), "acks={acks}");
    }
}

#[tokio::test]
async fn an_idempotent_producer_is_served_and_its_records_come_once() {
    let gateway = Gateway::start();
    let topic = unique("idempotent");
    let producer = producer(&gateway, &[("enable.idempotence", "true")]);
    for n in 0..50 {
        assert_eq!(send(&producer, &topic, "k", &n.to_string()).await, n);
    }
}

#[tokio::test]
async fn a_waiting_reader_gets_a_record_as_soon_as_it_is_written() {
    let gateway = Gateway::start();
    let topic = unique("wait");
    create(&gateway, &topic, 1, &[]).await;
    let mut config = config(&gateway);
    config.set("group.id", "unused").set("fetch.wait.max.ms", "25000").set("socket.timeout.ms", "60000");
    let consumer: BaseConsumer = config.create().expect("a consumer");
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(&topic, 0, Offset::Beginning).expect("an offset");
    consumer.assign(&assignment).expect("assigned");
    assert!(consumer.poll(Duration::from_millis(300)).is_none());

    let started = std::time::Instant::now();
    send(&producer(&gateway, &[]), &topic, "k", "v").await;
    read(&consumer, 1);
    assert!(started.elapsed() < Duration::from_secs(20), "the poll was not woken");
}

#[tokio::test]
async fn offsets_are_found_by_place_and_by_time() {
    let gateway = Gateway::start();
    let topic = unique("times");
    let producer = producer(&gateway, &[]);
    for time in [1_000, 2_000, 3_000] {
        let record = FutureRecord::to(&topic).key("k").payload("v").timestamp(time);
        producer.send(record, Timeout::After(PATIENCE)).await.expect("delivered");
    }
    let consumer = reader(&gateway, &topic, 0, Offset::Beginning);
    assert_eq!(consumer.fetch_watermarks(&topic, 0, PATIENCE).expect("answered"), (0, 3));
    for (time, offset) in [(0, Offset::Offset(0)), (1_500, Offset::Offset(1)), (3_000, Offset::Offset(2)), (3_001, Offset::End)] {
        let mut times = TopicPartitionList::new();
        times.add_partition_offset(&topic, 0, Offset::Offset(time)).expect("a time");
        let found = consumer.offsets_for_times(times, PATIENCE).expect("answered");
        assert_eq!(found.elements().first().map(|element| element.offset()), Some(offset), "time {time}");
    }
}

#[tokio::test]
async fn reading_from_an_offset_starts_there_even_inside_a_batch() {
    let gateway = Gateway::start();
    let topic = unique("inside");
    let producer = producer(&gateway, &[("linger.ms", "50"), ("compression.codec", "zstd")]);
    let sends: Vec<_> = (0..100)
        .map(|n: i32| {
            let (producer, topic) = (producer.clone(), topic.clone());
            tokio::spawn(async move { send(&producer, &topic, "k", &n.to_string()).await })
        })
        .collect();
    for sent in sends {
        sent.await.expect("no panic");
    }
    let records = read(&reader(&gateway, &topic, 0, Offset::Offset(57)), 43);
    assert_eq!(records.iter().map(OwnedMessage::offset).collect::<Vec<_>>(), (57..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_offset_beyond_the_end_is_out_of_range() {
    let gateway = Gateway::start();
    let topic = unique("range");
    send(&producer(&gateway, &[]), &topic, "k", "v").await;
    let consumer = reader(&gateway, &topic, 0, Offset::Offset(77));
    let error = consumer.poll(PATIENCE).expect("answered").expect_err("out of range");
    assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::AutoOffsetReset));
}

#[tokio::test]
async fn topics_are_made_described_grown_and_deleted() {
    let gateway = Gateway::start();
    let (admin, topic) = (admin(&gateway), unique("life"));
    create(&gateway, &topic, 3, &[("retention.ms", "60000")]).await;

    let consumer = reader(&gateway, &topic, 0, Offset::Beginning);
    let partitions = |topic: &str| {
        let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).expect("answered");
        metadata.topics().first().map_or(0, |topic| topic.partitions().len())
    };
    assert_eq!(partitions(&topic), 3);

    let described = admin.describe_configs([&ResourceSpecifier::Topic(&topic)], &options()).await.expect("answered");
    let described = described.into_iter().next().expect("one").expect("described");
    let values: HashMap<_, _> = described.entries.iter().map(|entry| (entry.name.as_str(), entry.value.as_deref())).collect();
    assert_eq!(values.get("retention.ms"), Some(&Some("60000")));
    assert_eq!(values.get("cleanup.policy"), Some(&Some("delete")));

    let change = AlterConfig::new(ResourceSpecifier::Topic(&topic)).set("retention.bytes", "1000000");
    admin.alter_configs([&change], &options()).await.expect("answered").into_iter().for_each(|one| drop(one.expect("altered")));
    let described = admin.describe_configs([&ResourceSpecifier::Topic(&topic)], &options()).await.expect("answered");
    let described = described.into_iter().next().expect("one").expect("described");
    let entry = |name: &str| described.entries.iter().find(|entry| entry.name == name).and_then(|entry| entry.value.clone());
    assert_eq!(entry("retention.bytes").as_deref(), Some("1000000"));
    assert_eq!(entry("retention.ms").as_deref(), Some("604800000"), "the old form of the request replaces everything");

    let grown = admin.create_partitions([&NewPartitions::new(&topic, 5)], &options()).await.expect("answered");
    assert_eq!(grown, [Ok(topic.clone())]);
    assert_eq!(partitions(&topic), 5);

    assert_eq!(admin.delete_topics(&[&topic], &options()).await.expect("answered"), [Ok(topic.clone())]);
    let all = consumer.fetch_metadata(None, PATIENCE).expect("answered");
    assert!(all.topics().iter().all(|other| other.name() != topic));
}

#[tokio::test]
async fn what_cannot_be_made_says_why() {
    let gateway = Gateway::start();
    let (admin, taken) = (admin(&gateway), unique("taken"));
    create(&gateway, &taken, 1, &[]).await;
    let refusals = [
        (NewTopic::new(&taken, 1, TopicReplication::Fixed(1)), RDKafkaErrorCode::TopicAlreadyExists),
        (NewTopic::new("a b", 1, TopicReplication::Fixed(1)), RDKafkaErrorCode::InvalidTopic),
        (NewTopic::new("__mine", 1, TopicReplication::Fixed(1)), RDKafkaErrorCode::InvalidTopic),
        (NewTopic::new("many", 50_000, TopicReplication::Fixed(1)), RDKafkaErrorCode::InvalidPartitions),
        (NewTopic::new("copies", 1, TopicReplication::Fixed(3)), RDKafkaErrorCode::InvalidReplicationFactor),
        (NewTopic::new("odd", 1, TopicReplication::Fixed(1)).set("no.such", "1"), RDKafkaErrorCode::InvalidConfig),
    ];
    for (new, code) in refusals {
        let made = admin.create_topics([&new], &options()).await.expect("answered");
        assert_eq!(made.first().expect("one").as_ref().expect_err("refused").1, code, "{}", new.name);
    }
    let deleted = admin.delete_topics(&["never-made"], &options()).await.expect("answered");
    assert_eq!(deleted.first().expect("one").as_ref().expect_err("refused").1, RDKafkaErrorCode::UnknownTopicOrPartition);
}

#[tokio::test]
async fn a_batch_larger_than_the_topic_allows_is_refused() {
    let gateway = Gateway::start();
    let topic = unique("small");
    create(&gateway, &topic, 1, &[("max.message.bytes", "2000")]).await;
    let producer = producer(&gateway, &[]);
    let (error, _) = producer
        .send(FutureRecord::to(&topic).key("k").payload(&"x".repeat(5000)), Timeout::After(PATIENCE))
        .await
        .expect_err("refused");
    assert_eq!(error, KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge));
    send(&producer, &topic, "k", "fits").await;
}

#[tokio::test]
async fn a_topic_may_carry_the_time_of_the_append() {
    let gateway = Gateway::start();
    let topic = unique("appended");
    create(&gateway, &topic, 1, &[("message.timestamp.type", "LogAppendTime")]).await;
    let record = FutureRecord::to(&topic).key("k").payload("v").timestamp(1_000);
    producer(&gateway, &[]).send(record, Timeout::After(PATIENCE)).await.expect("delivered");
    let records = read(&reader(&gateway, &topic, 0, Offset::Beginning), 1);
    assert!(records.first().and_then(|record| record.timestamp().to_millis()) > Some(1_600_000_000_000));
}

#[tokio::test]
async fn records_before_an_offset_can_be_deleted() {
    let gateway = Gateway::start();
    let topic = unique("trim");
    let producer = producer(&gateway, &[]);
    for n in 0..10 {
        send(&producer, &topic, "k", &n.to_string()).await;
    }
    let mut upto = TopicPartitionList::new();
    upto.add_partition_offset(&topic, 0, Offset::Offset(4)).expect("an offset");
    admin(&gateway).delete_records(&upto, &options()).await.expect("answered");
    let consumer = reader(&gateway, &topic, 0, Offset::Beginning);
    assert_eq!(consumer.fetch_watermarks(&topic, 0, PATIENCE).expect("answered"), (4, 10));
    assert_eq!(read(&consumer, 1).first().map(OwnedMessage::offset), Some(4));
}

#[tokio::test]
async fn acknowledged_records_and_topics_are_there_after_a_crash() {
    let mut gateway = Gateway::start();
    let topic = unique("crash");
    create(&gateway, &topic, 2, &[]).await;
    let producer = producer(&gateway, &[("acks", "all"), ("enable.idempotence", "true")]);
    for n in 0..100 {
        let record = FutureRecord::to(&topic).key("k").payload("v").partition(n % 2);
        producer.send(record, Timeout::After(PATIENCE)).await.expect("delivered");
    }
    gateway.crash();
    for partition in 0..2 {
        let consumer = reader(&gateway, &topic, partition, Offset::Beginning);
        assert_eq!(consumer.fetch_watermarks(&topic, partition, PATIENCE).expect("answered"), (0, 50));
        assert_eq!(read(&consumer, 50).last().map(OwnedMessage::offset), Some(49));
    }
    // The producer goes on where it was: its sequence numbers were kept.
    for n in 0..20 {
        let record = FutureRecord::to(&topic).key("k").payload("v").partition(n % 2);
        producer.send(record, Timeout::After(PATIENCE)).await.expect("delivered");
    }
    drop(producer.flush(Timeout::After(PATIENCE)));
    let consumer = reader(&gateway, &topic, 0, Offset::Beginning);
    assert_eq!(consumer.fetch_watermarks(&topic, 0, PATIENCE).expect("answered"), (0, 60));
}

#[tokio::test]
async fn hostile_frames_close_their_connection_and_nothing_else() {
    let gateway = Gateway::start();
    let hostile: [&[u8]; 6] = [
        &[0x7f, 0xff, 0xff, 0xff],
        &[0xff, 0xff, 0xff, 0xff],
        &[0, 0, 0, 4, 0, 3, 0, 12],
        // Metadata version 12 that claims four billion topics.
        &[0, 0, 0, 16, 0, 3, 0, 12, 0, 0, 0, 1, 0xff, 0xff, 0, 0xff, 0xff, 0xff, 0xff, 0x0f],
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        &[0, 0, 0, 10, 0x03, 0xe7, 0, 0, 0, 0, 0, 1, 0xff, 0xff],
    ];
    for bytes in hostile {
        let mut stream = TcpStream::connect(gateway.addresses().kafka).expect("connects");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.write_all(bytes).expect("written");
        let mut answer = Vec::new();
        assert_eq!(stream.read_to_end(&mut answer).unwrap_or(0), 0, "{bytes:?}");
    }
    send(&producer(&gateway, &[]), &unique("after"), "k", "v").await;
}

/// One request without a client id, and the error code that its response begins with; none: the connection was closed.
fn ask(stream: &mut TcpStream, api_key: u8, version: u8, body: &[u8]) -> Option<i16> {
    let request = [&[0, api_key, 0, version, 0, 0, 0, 1, 0xff, 0xff][..], body].concat();
    let length = u32::try_from(request.len()).expect("short").to_be_bytes();
    stream.write_all(&[&length[..], &request].concat()).expect("written");
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut response = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut response).expect("whole");
    response.get(4..6).map(|code| i16::from_be_bytes(code.try_into().expect("two bytes")))
}

#[test]
fn where_there_are_users_a_client_has_to_be_one() {
    const HANDSHAKE: u8 = 17;
    const AUTHENTICATE: u8 = 36;
    const METADATA: u8 = 3;
    let gateway = Gateway::builder().set("security.users.ann", "secret").start();
    let connect = || {
        let stream = TcpStream::connect(gateway.addresses().kafka).expect("connects");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream
    };
    let no_topics = [0, 0, 0, 0];

    let mut stranger = connect();
    assert_eq!(ask(&mut stranger, METADATA, 1, &no_topics), None, "nothing is answered before a login");
    let mut guest = connect();
    assert_eq!(ask(&mut guest, HANDSHAKE, 1, b"\0\x05OTHER"), Some(33), "UNSUPPORTED_SASL_MECHANISM");
    assert_eq!(ask(&mut guest, AUTHENTICATE, 0, b"\0\0\0\x0b\0ann\0secret"), Some(34), "ILLEGAL_SASL_STATE");
    assert_eq!(ask(&mut guest, HANDSHAKE, 1, b"\0\x05PLAIN"), Some(0));
    assert_eq!(ask(&mut guest, AUTHENTICATE, 0, b"\0\0\0\x0a\0ann\0guess"), Some(58), "SASL_AUTHENTICATION_FAILED");
    assert_eq!(ask(&mut guest, METADATA, 1, &no_topics), None);

    let mut ann = connect();
    assert_eq!(ask(&mut ann, HANDSHAKE, 1, b"\0\x05PLAIN"), Some(0));
    assert_eq!(ask(&mut ann, AUTHENTICATE, 0, b"\0\0\0\x0b\0ann\0secret"), Some(0));
    assert!(ask(&mut ann, METADATA, 1, &no_topics).is_some());
}

#[tokio::test]
async fn requests_behind_a_long_poll_wait_for_it_and_are_answered_in_order() {
    let gateway = Gateway::start();
    let mut stream = TcpStream::connect(gateway.addresses().kafka).expect("connects");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    // Metadata version 4 makes the topic; Fetch version 4 finds nothing in it for 200 ms; ApiVersions version 0 is behind it.
    let mut fetch = vec![0, 1, 0, 4, 0, 0, 0, 2, 0xff, 0xff];
    fetch.extend([-1i32, 200, 1, 1 << 20].iter().flat_map(|n| n.to_be_bytes()));
    fetch.extend([0, 0, 0, 0, 1, 0, 5]);
    fetch.extend(b"order");
    fetch.extend([0, 0, 0, 1, 0, 0, 0, 0]);
    fetch.extend(0i64.to_be_bytes());
    fetch.extend((1i32 << 20).to_be_bytes());
    let framed = |body: &[u8]| [&u32::try_from(body.len()).expect("short").to_be_bytes()[..], body].concat();
    let metadata = [&[0, 3, 0, 4, 0, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 1, 0, 5][..], b"order", &[1]].concat();
    let versions = [0, 18, 0, 0, 0, 0, 0, 3, 0xff, 0xff];
    stream.write_all(&[framed(&metadata), framed(&fetch), framed(&versions)].concat()).expect("written");
    (1..=3).for_each(|due| assert_answered(&mut stream, due));
}

/// Reads one response, which must be to the request of that number.
fn assert_answered(stream: &mut TcpStream, due: u32) {
    let mut head = [0; 8];
    stream.read_exact(&mut head).expect("answered");
    let (length, id) = head.split_at(4);
    assert_eq!(id, u32::to_be_bytes(due));
    let length = u32::from_be_bytes(length.try_into().expect("four bytes"));
    let mut rest = vec![0; length as usize - 4];
    stream.read_exact(&mut rest).expect("whole");
}

#[tokio::test]
async fn more_responses_than_are_written_at_a_time_all_come() {
    let gateway = Gateway::start();
    create(&gateway, "wide", 500, &[]).await;
    let mut stream = TcpStream::connect(gateway.addresses().kafka).expect("connects");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    // Metadata version 4: some 13 KB each.
    let request =
        |id: u32| [&[0, 0, 0, 21, 0, 3, 0, 4][..], &id.to_be_bytes(), &[0xff, 0xff, 0, 0, 0, 1, 0, 4], b"wide", &[0]].concat();
    for round in 0..10 {
        let ids = round * 60..(round + 1) * 60;
        stream.write_all(&ids.clone().flat_map(request).collect::<Vec<_>>()).expect("written");
        ids.for_each(|id| assert_answered(&mut stream, id));
    }
}

#[tokio::test]
async fn an_unknown_version_of_api_versions_gets_the_list() {
    let gateway = Gateway::start();
    let mut stream = TcpStream::connect(gateway.addresses().kafka).expect("connects");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.write_all(&[0, 0, 0, 10, 0, 18, 0, 99, 0, 0, 0, 7, 0xff, 0xff]).expect("written");
    let mut head = [0; 14];
    stream.read_exact(&mut head).expect("answered");
    assert_eq!(head.get(4..10), Some(&[0, 0, 0, 7, 0, 35][..]), "correlation id and UNSUPPORTED_VERSION");
    assert!(head.get(10..).is_some_and(|count| count > &[0, 0, 0, 10][..]), "a list of keys");
}
