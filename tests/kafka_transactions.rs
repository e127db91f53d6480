//! Transactions as librdkafka's clients see them: what is committed counts in every dialect at once, what is aborted in none, over
//! fencing, timeouts and kills of the gateway.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use redis::Commands;
use support::{Gateway, PATIENCE, eventually, unique, within};

const CALL: Duration = Duration::from_secs(20);

type Writer = ThreadedProducer<DefaultProducerContext>;

fn config(gateway: &Gateway) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", gateway.kafka()).set("broker.address.family", "v4").set("reconnect.backoff.max.ms", "200");
    config
}

async fn make_topic(gateway: &Gateway, partitions: i32) -> String {
    let topic = unique("transactions");
    let admin: AdminClient<DefaultClientContext> = config(gateway).create().unwrap();
    let new = NewTopic::new(&topic, partitions, TopicReplication::Fixed(1));
    let made = admin.create_topics([&new], &AdminOptions::new()).await.unwrap();
    assert!(made.iter().all(Result::is_ok), "{made:?}");
    topic
}

/// A producer that owns a transactional id.
fn writer(gateway: &Gateway, id: &str, timeout_ms: u32) -> Writer {
    let mut config = config(gateway);
    config.set("transactional.id", id).set("transaction.timeout.ms", timeout_ms.to_string()).set("linger.ms", "1");
    let writer: Writer = config.create().unwrap();
    writer.init_transactions(CALL).unwrap();
    writer
}

fn send(writer: &Writer, topic: &str, partition: i32, value: &str) {
    writer.send(BaseRecord::<(), str>::to(topic).partition(partition).payload(value)).map_err(|(error, _)| error).unwrap();
}

fn reader(gateway: &Gateway, group: &str, isolation: &str) -> BaseConsumer {
    let mut config = config(gateway);
    config.set("group.id", group).set("enable.auto.commit", "false").set("auto.offset.reset", "earliest");
    config.set("isolation.level", isolation).set("enable.partition.eof", "true").set("fetch.wait.max.ms", "50");
    config.create().unwrap()
}

/// All that a reader sees of a topic from the start up to the end that it is shown, sorted.
fn read_all(gateway: &Gateway, topic: &str, partitions: i32, isolation: &str) -> Vec<String> {
    let reader = reader(gateway, "reader", isolation);
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    reader.assign(&list).unwrap();
    let (mut values, mut ended) = (Vec::new(), BTreeSet::new());
    let deadline = Instant::now() + PATIENCE;
    while ended.len() < partitions as usize {
        assert!(Instant::now() < deadline, "reading came to no end");
        let Some(polled) = reader.poll(Duration::from_millis(200)) else { continue };
        match polled {
            Ok(message) => values.push(String::from_utf8(message.payload().unwrap_or_default().to_vec()).unwrap()),
            Err(KafkaError::PartitionEOF(partition)) => drop(ended.insert(partition)),
            Err(error) => panic!("{error}"),
        }
    }
    values.sort();
    values
}

fn committed(gateway: &Gateway, topic: &str) -> Vec<String> {
    read_all(gateway, topic, 1, "read_committed")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_of_what_is_committed_see_a_transaction_as_a_whole_or_not_at_all() {
    let gateway = Gateway::start();
    let topic = make_topic(&gateway, 3).await;
    tokio::task::spawn_blocking(move || {
        let writer = writer(&gateway, "whole", 60_000);
        writer.begin_transaction().unwrap();
        for partition in 0..3 {
            send(&writer, &topic, partition, &format!("a{partition}"));
        }
        writer.flush(CALL).unwrap();
        assert_eq!(read_all(&gateway, &topic, 3, "read_committed"), [""; 0]);
        assert_eq!(read_all(&gateway, &topic, 3, "read_uncommitted"), ["a0", "a1", "a2"]);
        writer.commit_transaction(CALL).unwrap();
        assert_eq!(read_all(&gateway, &topic, 3, "read_committed"), ["a0", "a1", "a2"]);

        writer.begin_transaction().unwrap();
        send(&writer, &topic, 0, "never");
        writer.flush(CALL).unwrap();
        writer.abort_transaction(CALL).unwrap();
        writer.begin_transaction().unwrap();
        send(&writer, &topic, 0, "b0");
        writer.commit_transaction(CALL).unwrap();
        assert_eq!(read_all(&gateway, &topic, 3, "read_committed"), ["a0", "a1", "a2", "b0"]);
        assert_eq!(read_all(&gateway, &topic, 3, "read_uncommitted"), ["a0", "a1", "a2", "b0", "never"]);
        let reader = reader(&gateway, "marks", "read_committed");
        // Three records, three markers: the log is longer than what is read.
        assert_eq!(reader.fetch_watermarks(&topic, 0, CALL).unwrap(), (0, 6));
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_instance_fences_the_older_and_aborts_what_it_left_open() {
    let gateway = Gateway::start();
    let topic = make_topic(&gateway, 1).await;
    tokio::task::spawn_blocking(move || {
        let old = writer(&gateway, "fenced", 60_000);
        old.begin_transaction().unwrap();
        send(&old, &topic, 0, "old");
        old.flush(CALL).unwrap();
        let new = writer(&gateway, "fenced", 60_000);
        let refused = old.commit_transaction(CALL).unwrap_err();
        assert!(matches!(&refused, KafkaError::Transaction(error) if error.is_fatal()), "{refused}");
        new.begin_transaction().unwrap();
        send(&new, &topic, 0, "new");
        new.commit_transaction(CALL).unwrap();
        assert_eq!(committed(&gateway, &topic), ["new"]);
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_runs_out_of_time_is_aborted_and_holds_up_nobody() {
    let gateway = Gateway::start();
    let topic = make_topic(&gateway, 1).await;
    let slow = {
        let (gateway_config, topic) = (config(&gateway), topic.clone());
        tokio::task::spawn_blocking(move || {
            let mut config = gateway_config;
            config.set("transactional.id", "slow").set("transaction.timeout.ms", "1000").set("linger.ms", "1");
            config.set("message.timeout.ms", "1000");
            let writer: Writer = config.create().unwrap();
            writer.init_transactions(CALL).unwrap();
            writer.begin_transaction().unwrap();
            send(&writer, &topic, 0, "late");
            writer.flush(CALL).unwrap();
            writer
        })
        .await
        .unwrap()
    };
    tokio::task::block_in_place(|| {
        let plain: Writer = config(&gateway).create().unwrap();
        send(&plain, &topic, 0, "plain");
        plain.flush(CALL).unwrap();
    });
    eventually("the abort", async || {
        let seen = tokio::task::block_in_place(|| committed(&gateway, &topic));
        (seen == ["plain"]).then_some(())
    })
    .await;
    let late = tokio::task::block_in_place(|| slow.commit_transaction(CALL));
    assert!(late.is_err(), "a commit after the abort");
    assert_eq!(tokio::task::block_in_place(|| committed(&gateway, &topic)), ["plain"]);
}

/// Takes from one topic and writes to another, offsets in the same transaction.
struct Worker {
    reader: BaseConsumer,
    writer: Writer,
}

impl Worker {
    fn start(gateway: &Gateway, from: &str) -> Self {
        let reader = reader(gateway, "workers", "read_committed");
        reader.subscribe(&[from]).unwrap();
        Self { reader, writer: writer(gateway, "worker", 60_000) }
    }

    /// Works on one record, and ends as asked. False: there is none left.
    fn work(&self, from: &str, to: &str, commits: bool) -> Result<bool, KafkaError> {
        let deadline = Instant::now() + PATIENCE;
        let message = loop {
            match self.reader.poll(Duration::from_millis(200)) {
                Some(Ok(message)) => break message,
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(false),
                Some(Err(error)) => return Err(error),
                None => assert!(Instant::now() < deadline, "nothing came"),
            }
        };
        let value = String::from_utf8(message.payload().unwrap().to_vec()).unwrap();
        self.writer.begin_transaction()?;
        self.writer.send(BaseRecord::<(), str>::to(to).payload(&format!("{value}!"))).map_err(|(error, _)| error)?;
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(from, message.partition(), Offset::Offset(message.offset() + 1))?;
        let group = self.reader.group_metadata().expect("a member");
        self.writer.send_offsets_to_transaction(&offsets, &group, CALL)?;
        match commits {
            true => self.writer.commit_transaction(CALL)?,
            false => self.writer.abort_transaction(CALL)?,
        }
        Ok(true)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consume_transform_produce_does_each_record_exactly_once() {
    let gateway = Gateway::start();
    let (from, to) = (make_topic(&gateway, 1).await, make_topic(&gateway, 1).await);
    tokio::task::spawn_blocking(move || {
        let plain: Writer = config(&gateway).create().unwrap();
        for number in 0..6 {
            send(&plain, &from, 0, &number.to_string());
        }
        plain.flush(CALL).unwrap();
        // Each worker commits two records, and leaves a third one aborted behind.
        for _ in 0..3 {
            let worker = Worker::start(&gateway, &from);
            for commits in [true, true, false] {
                if !worker.work(&from, &to, commits).unwrap() {
                    break;
                }
            }
            worker.reader.unsubscribe();
        }
        assert_eq!(committed(&gateway, &to), ["0!", "1!", "2!", "3!", "4!", "5!"]);
        let mut list = TopicPartitionList::new();
        list.add_partition(&from, 0);
        let offsets = reader(&gateway, "workers", "read_committed").committed_offsets(list, CALL).unwrap();
        assert_eq!(offsets.find_partition(&from, 0).unwrap().offset(), Offset::Offset(6));
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_lives_through_kills_of_the_gateway() {
    let mut gateway = Gateway::start();
    let topic = make_topic(&gateway, 2).await;
    tokio::task::spawn_blocking(move || {
        let survivor = writer(&gateway, "survivor", 60_000);
        let mut expected = Vec::new();
        for round in 0..4 {
            survivor.begin_transaction().unwrap();
            for part in 0..2 {
                send(&survivor, &topic, part, &format!("{round}-{part}-before"));
            }
            survivor.flush(CALL).unwrap();
            gateway.kill();
            gateway.restart();
            assert_eq!(read_all(&gateway, &topic, 2, "read_committed"), expected, "nothing before its commit");
            for part in 0..2 {
                send(&survivor, &topic, part, &format!("{round}-{part}-behind"));
            }
            if round % 2 == 0 {
                survivor.commit_transaction(PATIENCE).unwrap();
                expected.extend((0..2).flat_map(|part| [format!("{round}-{part}-before"), format!("{round}-{part}-behind")]));
                expected.sort();
            } else {
                survivor.abort_transaction(PATIENCE).unwrap();
            }
            gateway.kill();
            gateway.restart();
            assert_eq!(read_all(&gateway, &topic, 2, "read_committed"), expected);
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_the_same_name_has_what_is_committed() {
    let gateway = Gateway::start();
    let topic = make_topic(&gateway, 1).await;
    tokio::task::spawn_blocking(move || {
        let client = redis::Client::open(gateway.redis()).unwrap();
        let mut list = client.get_connection().unwrap();
        let mut waiter = client.get_connection().unwrap();
        let length = |list: &mut redis::Connection| -> u64 { list.llen(&topic).unwrap() };
        let _: u64 = list.rpush(&topic, "first").unwrap();
        let writer = writer(&gateway, "lists", 60_000);
        writer.begin_transaction().unwrap();
        send(&writer, &topic, 0, "inside");
        writer.flush(CALL).unwrap();
        let _: u64 = list.rpush(&topic, "last").unwrap();
        assert_eq!(length(&mut list), 2);
        let _: String = list.lpop(&topic, None).unwrap();
        let _: String = list.lpop(&topic, None).unwrap();
        let name = topic.clone();
        let waiting = std::thread::spawn(move || -> (String, String) { waiter.blpop(&name, 20.0).unwrap() });
        writer.commit_transaction(CALL).unwrap();
        assert_eq!(waiting.join().unwrap().1, "inside");

        writer.begin_transaction().unwrap();
        send(&writer, &topic, 0, "never");
        writer.flush(CALL).unwrap();
        writer.abort_transaction(CALL).unwrap();
        assert_eq!(length(&mut list), 0);
        let none: Option<String> = list.lpop(&topic, None).unwrap();
        assert_eq!(none, None);
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_stable_offsets_are_told_to_who_asks_for_them() {
    let gateway = Gateway::start();
    let topic = make_topic(&gateway, 1).await;
    tokio::task::spawn_blocking(move || {
        let member = reader(&gateway, "stable", "read_committed");
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&topic, 0, Offset::Offset(3)).unwrap();
        member.commit(&list, CommitMode::Sync).unwrap();
        let writer = writer(&gateway, "stable", 60_000);
        writer.begin_transaction().unwrap();
        let mut later = TopicPartitionList::new();
        later.add_partition_offset(&topic, 0, Offset::Offset(5)).unwrap();
        writer.send_offsets_to_transaction(&later, &member.group_metadata().unwrap(), CALL).unwrap();
        let asked = |isolation| {
            let mut list = TopicPartitionList::new();
            list.add_partition(&topic, 0);
            let reader = reader(&gateway, "stable", isolation);
            reader.committed_offsets(list, Duration::from_secs(2)).map(|all| all.find_partition(&topic, 0).unwrap().offset())
        };
        assert_eq!(asked("read_uncommitted").unwrap(), Offset::Offset(3));
        assert!(asked("read_committed").is_err(), "it asks again until the outcome is known");
        writer.commit_transaction(CALL).unwrap();
        assert_eq!(asked("read_committed").unwrap(), Offset::Offset(5));
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_of_the_same_name_gives_what_is_committed() {
    let gateway = Gateway::start();
    let topic = make_topic(&gateway, 1).await;
    let connection = lapin::Connection::connect(&gateway.amqp(), lapin::ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let declared = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(topic.as_str().into(), declared, FieldTable::default()).await.unwrap();
    let consumer = channel.basic_consume(topic.as_str().into(), "".into(), BasicConsumeOptions::default(), FieldTable::default());
    let mut consumer = consumer.await.unwrap();
    let writing = tokio::task::spawn_blocking(move || {
        let writer = writer(&gateway, "queues", 60_000);
        for (value, commits) in [("never", false), ("first", true), ("never", false), ("last", true)] {
            writer.begin_transaction().unwrap();
            send(&writer, &topic, 0, value);
            writer.flush(CALL).unwrap();
            match commits {
                true => writer.commit_transaction(CALL).unwrap(),
                false => writer.abort_transaction(CALL).unwrap(),
            }
        }
        gateway
    });
    for expected in ["first", "last"] {
        let delivery = within("a delivery", consumer.next()).await.unwrap().unwrap();
        assert_eq!(delivery.data, expected.as_bytes());
        delivery.acker.ack(BasicAckOptions::default()).await.unwrap();
    }
    let _gateway = writing.await.unwrap();
}

type Stream = Vec<(String, Vec<String>)>;

fn redis_of(gateway: &Gateway) -> redis::Connection {
    redis::Client::open(gateway.redis()).unwrap().get_connection().unwrap()
}

/// The values of a stream's entries; their ids must rise.
fn entries(redis: &mut redis::Connection, topic: &str) -> Vec<String> {
    let all: Stream = redis::cmd("XRANGE").arg(&[topic, "-", "+"]).query(redis).unwrap();
    let id = |id: &str| id.split_once('-').map(|(ms, seq)| (ms.parse::<u64>().unwrap(), seq.parse::<u64>().unwrap())).unwrap();
    assert!(all.is_sorted_by(|(one, _), (next, _)| id(one) < id(next)), "{all:?}");
    all.into_iter().map(|(_, fields)| fields.last().unwrap().clone()).collect()
}

#[tokio::test]
async fn a_stream_has_what_was_committed_behind_what_was_added_meanwhile_and_nothing_aborted() {
    let mut gateway = Gateway::start();
    let topic = make_topic(&gateway, 1).await;
    let mut redis = redis_of(&gateway);
    let add = |redis: &mut redis::Connection, value: &str| -> String {
        redis::cmd("XADD").arg(&[&topic, "*", "value", value]).query(redis).unwrap()
    };
    // What a transaction wrote before there was a stream counts too when it is committed.
    let (early, late) = (writer(&gateway, "early", 60_000), writer(&gateway, "late", 60_000));
    early.begin_transaction().unwrap();
    send(&early, &topic, 0, "early");
    early.flush(CALL).unwrap();
    assert_eq!(entries(&mut redis, &topic), [""; 0]);
    let _: () = redis::cmd("XGROUP").arg(&["CREATE", &topic, "g", "$"]).query(&mut redis).unwrap();
    late.begin_transaction().unwrap();
    send(&late, &topic, 0, "late 1");
    late.flush(CALL).unwrap();
    add(&mut redis, "plain 1");
    send(&late, &topic, 0, "late 2");
    late.flush(CALL).unwrap();
    let last = add(&mut redis, "plain 2");
    assert_eq!(entries(&mut redis, &topic), ["plain 1", "plain 2"]);
    late.commit_transaction(CALL).unwrap();
    assert_eq!(entries(&mut redis, &topic), ["plain 1", "plain 2", "late 1", "late 2"]);
    let behind: Vec<(String, Stream)> = redis::cmd("XREAD").arg(&["STREAMS", &topic, &last]).query(&mut redis).unwrap();
    assert_eq!(behind[0].1.len(), 2, "who has read up to an id misses nothing");
    late.begin_transaction().unwrap();
    send(&late, &topic, 0, "aborted");
    late.flush(CALL).unwrap();
    late.abort_transaction(CALL).unwrap();
    let waiting = {
        let (mut redis, topic) = (redis_of(&gateway), topic.clone());
        let _: () = redis.set_read_timeout(Some(CALL)).unwrap();
        std::thread::spawn(move || -> Vec<(String, Stream)> {
            redis::cmd("XREAD").arg(&["BLOCK", "0", "STREAMS", &topic, "$"]).query(&mut redis).unwrap()
        })
    };
    let blocked =
        || redis::cmd("INFO").arg("clients").query::<String>(&mut redis_of(&gateway)).unwrap().contains("blocked_clients:1");
    support::wait_until("it blocks", blocked);
    early.commit_transaction(CALL).unwrap();
    assert_eq!(waiting.join().unwrap()[0].1[0].1, ["value", "early"]);
    let all = ["plain 1", "plain 2", "late 1", "late 2", "early"];
    assert_eq!(entries(&mut redis, &topic), all);
    let read = ["GROUP", "g", "me", "STREAMS", &topic, ">"];
    let given: Vec<(String, Stream)> = redis::cmd("XREADGROUP").arg(&read).query(&mut redis).unwrap();
    assert!(given[0].1.iter().map(|(_, fields)| fields.last().unwrap().as_str()).eq(all));
    drop((early, late));
    gateway.crash();
    let mut redis = redis_of(&gateway);
    assert_eq!(entries(&mut redis, &topic), all);
    let pending: (u64, String, String, Vec<(String, String)>) =
        redis::cmd("XPENDING").arg(&[&topic, "g"]).query(&mut redis).unwrap();
    assert_eq!(pending.0, 5);
    let removed: u64 = redis::cmd("XDEL").arg(&[&topic, &pending.2]).query(&mut redis).unwrap();
    assert_eq!((removed, entries(&mut redis, &topic)), (1, all[..4].iter().map(|value| (*value).to_owned()).collect()));
}
