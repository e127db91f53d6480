//! A file system that is full: who writes is refused or waits, as its dialect has it; who reads and settles goes on; and everything
//! goes on when there is room.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::{Stream, StreamExt};
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Confirmation, Event};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::clients::{
    LIST, QUEUE, TOPIC, connect, elements, messages, metric, open, produce, producer, publish, publish_once, push, readyz,
    records, redis, until_ready_says,
};
use super::machine::Mount;
use super::support::{Gateway, PATIENCE, eventually, wait_until, within};

/// With less than this available records are refused, in bytes.
const MARK: u64 = 8 << 20;
const LEFT_OUT: &str = "left out: mounting needs root";

/// A gateway on a small disk of its own.
fn on_a_small_disk() -> Option<(Mount, Gateway)> {
    let mount = Mount::tmpfs("96m")?;
    let gateway = Gateway::builder()
        .within(mount.path())
        .set("log.journal_file_bytes", 4 << 20)
        .set("log.disk_slow_below_bytes", MARK)
        .set("log.disk_refuse_below_bytes", MARK)
        .start();
    Some((mount, gateway))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_told_in_each_dialect_and_writing_goes_on_when_there_is_room() {
    let Some((mount, mut gateway)) = on_a_small_disk() else { return eprintln!("{LEFT_OUT}") };
    let patient = producer(&gateway, PATIENCE);
    for value in ["1", "2"] {
        push(&gateway, value.as_bytes()).await.expect("pushed");
        produce(&patient, value).await.expect("produced");
        publish_once(&gateway, value).await.expect("published");
    }
    let mut queued = redis(&gateway).await;
    let _: () = redis::cmd("MULTI").query_async(&mut queued).await.expect("begun");
    let _: () = redis::cmd("RPUSH").arg(LIST).arg("never").query_async(&mut queued).await.expect("queued");

    let ballast = mount.fill(MARK / 2);
    until_ready_says(&gateway, "the disk is full, and records are refused").await;
    assert_eq!(readyz(&gateway).await.0, 200, "readers are served");
    redis_refuses_what_grows_and_does_the_rest(&gateway, &mut queued).await;
    kafka_refuses_what_grows_and_does_the_rest(&gateway).await;
    // Those who are patient wait.
    let waits = tokio::spawn(async move { produce(&patient, "3").await });
    let connection = connect(&gateway.amqp()).await;
    let channel = open(&connection).await.expect("declaring a queue that is there is no record");
    let confirm = publish(&channel, "3").await.expect("it is sent");
    assert!(metric(&gateway, "trunkline_disk_refused_total").await > 0.0);
    assert_eq!(metric(&gateway, "trunkline_disk_room").await, 2.0);

    std::fs::remove_file(ballast).expect("removed");
    eventually("there is room again", || async { push(&gateway, b"3").await.ok() }).await;
    assert_eq!(within("the producer's record is taken", waits).await.expect("no panic"), Ok(()));
    assert!(matches!(within("the confirm", confirm).await.expect("confirmed"), Confirmation::Ack(_)));
    gateway.crash();
    assert_eq!(elements(&gateway).await, ["2", "3"]);
    assert_eq!(records(&gateway), ["1", "2", "3"]);
    assert_eq!(messages(&gateway).await, ["1", "2", "3"]);
}

async fn redis_refuses_what_grows_and_does_the_rest(gateway: &Gateway, queued: &mut redis::aio::MultiplexedConnection) {
    let mut connection = redis(gateway).await;
    for command in [["RPUSH", LIST, "x"], ["PUBLISH", "news", "x"], ["PUBLISH", TOPIC, "x"]] {
        let mut asked = redis::cmd(command[0]);
        let refused = asked.arg(&command[1..]).query_async::<u64>(&mut connection).await.expect_err("there is no room");
        assert_eq!(refused.code(), Some("OOM"), "{command:?}: {refused}");
    }
    let refused = redis::cmd("EXEC").query_async::<()>(queued).await.expect_err("there is no room");
    let text = refused.to_string();
    assert!(refused.code() == Some("EXECABORT") && text.contains("OOM"), "{text}");
    let popped: String = redis::cmd("LPOP").arg(LIST).query_async(&mut connection).await.expect("what makes room is taken");
    assert_eq!(popped, "1");
    assert_eq!(elements(gateway).await, ["2"]);
}

async fn kafka_refuses_what_grows_and_does_the_rest(gateway: &Gateway) {
    let impatient = producer(gateway, Duration::from_secs(3));
    assert_eq!(produce(&impatient, "x").await, Err(RDKafkaErrorCode::MessageTimedOut), "a producer tries until its own limit");
    let mut config = ClientConfig::new();
    let admin: AdminClient<DefaultClientContext> = config.set("bootstrap.servers", gateway.kafka()).create().expect("an admin");
    let options = AdminOptions::new();
    let new = NewTopic::new("another", 1, TopicReplication::Fixed(1));
    let made = admin.create_topics([&new], &options).await.expect("an answer");
    assert_eq!(made, [Err(("another".to_owned(), RDKafkaErrorCode::KafkaStorageError))]);
    let grown = admin.create_partitions(&[NewPartitions::new(TOPIC, 2)], &options).await.expect("an answer");
    assert_eq!(grown, [Err((TOPIC.to_owned(), RDKafkaErrorCode::KafkaStorageError))]);
    // A way to make room.
    let shorter = AlterConfig::new(ResourceSpecifier::Topic(TOPIC)).set("retention.ms", "86400000");
    let changed = admin.alter_configs([&shorter], &options).await.expect("an answer");
    assert!(changed.iter().all(Result::is_ok), "{changed:?}");
    assert_eq!(tokio::task::block_in_place(|| records(gateway)), ["1", "2"]);
    let member: BaseConsumer = config.set("group.id", "members").create().expect("a consumer");
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(TOPIC, 0, Offset::Offset(1)).expect("a place");
    tokio::task::block_in_place(|| member.commit(&offsets, CommitMode::Sync)).expect("offsets are committed");
}

/// The next that a connection is told of being blocked.
async fn notice(events: &mut (impl Stream<Item = Event> + Unpin)) -> Event {
    let told = async {
        loop {
            let event = events.next().await.expect("the connection lives");
            if matches!(event, Event::ConnectionBlocked(_) | Event::ConnectionUnblocked) {
                return event;
            }
        }
    };
    within("a notice", told).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_publish_to_a_full_disk_are_blocked_and_told_so_while_consumers_go_on() {
    let Some((mount, gateway)) = on_a_small_disk() else { return eprintln!("{LEFT_OUT}") };
    let url = format!("{}?heartbeat=1", gateway.amqp());
    let (publisher, consumer) = (connect(&url).await, connect(&url).await);
    let mut events = Box::pin(publisher.events_listener());
    let channel = open(&publisher).await.expect("a channel");
    for number in 0..5 {
        publish(&channel, &number.to_string()).await.expect("sent").await.expect("confirmed");
    }
    let taking = consumer.create_channel().await.expect("a channel");
    taking.basic_qos(1, BasicQosOptions::default()).await.expect("a limit");
    let consume = taking.basic_consume(QUEUE.into(), "taker".into(), BasicConsumeOptions::default(), FieldTable::default());
    let mut deliveries = consume.await.expect("it consumes");

    // A transaction that has begun to publish.
    let third = connect(&url).await;
    let ledger = third.create_channel().await.expect("a channel");
    ledger.tx_select().await.expect("a transaction");
    let properties = BasicProperties::default().with_delivery_mode(2);
    let published = ledger.basic_publish("".into(), "ledger".into(), BasicPublishOptions::default(), b"entry", properties);
    drop(published.await.expect("it is sent"));
    let count = |channel: Channel| async move {
        let declared = channel.queue_declare("ledger".into(), QueueDeclareOptions::durable(), FieldTable::default()).await;
        declared.expect("the queue").message_count()
    };
    assert_eq!(count(ledger.clone()).await, 0);

    let ballast = mount.fill(MARK / 2);
    until_ready_says(&gateway, "is full").await;
    let committing = ledger.clone();
    let committed = tokio::spawn(async move { committing.tx_commit().await });
    // A client that is told early enough sends the rest only when it may.
    let publishing = tokio::spawn(async move {
        let mut waiting = Vec::new();
        for number in 5..8 {
            waiting.push(publish(&channel, &number.to_string()).await.expect("it is sent sooner or later"));
        }
        waiting
    });
    let Event::ConnectionBlocked(reason) = notice(&mut events).await else { panic!("no notice") };
    let blocked_at = Instant::now();
    assert_eq!(reason, "low on disk");
    let blocked = || metric(&gateway, "trunkline_connections_blocked{dialect=\"amqp\"}");
    eventually("both wait", || async { (blocked().await == 2.0).then_some(()) }).await;
    for number in 0..5 {
        let delivery = within("a delivery", deliveries.next()).await.expect("one more").expect("a delivery");
        assert_eq!(delivery.data, number.to_string().as_bytes());
        delivery.ack(BasicAckOptions::default()).await.expect("acknowledged");
    }
    // Nothing is read from the one, nothing is to be said to the other, for longer than either side would take for death.
    tokio::task::block_in_place(|| wait_until("heartbeats pass", || blocked_at.elapsed() > Duration::from_secs(4)));
    assert!(publisher.status().connected() && publisher.status().blocked() && consumer.status().connected());
    assert!(!committed.is_finished());

    std::fs::remove_file(ballast).expect("removed");
    assert!(matches!(notice(&mut events).await, Event::ConnectionUnblocked));
    for confirm in within("the rest", publishing).await.expect("no panic") {
        assert!(matches!(within("a confirm", confirm).await.expect("confirmed"), Confirmation::Ack(_)));
    }
    for number in 5..8 {
        let delivery = within("a delivery", deliveries.next()).await.expect("one more").expect("a delivery");
        assert_eq!(delivery.data, number.to_string().as_bytes());
        delivery.ack(BasicAckOptions::default()).await.expect("acknowledged");
    }
    within("the commit", committed).await.expect("no panic").expect("committed");
    assert_eq!(count(ledger).await, 1);
    assert_eq!(blocked().await, 0.0);
}

/// Without marks, a write finds no room sooner or later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_taken_when_the_last_room_was_gone_is_answered_when_there_is_some() {
    let Some(mount) = Mount::tmpfs("64m") else { return eprintln!("{LEFT_OUT}") };
    let mut gateway = Gateway::builder()
        .within(mount.path())
        .set("log.journal_file_bytes", 4 << 20)
        .set("log.disk_slow_below_bytes", 0)
        .set("log.disk_refuse_below_bytes", 0)
        .start();
    let patient = producer(&gateway, PATIENCE);
    produce(&patient, "1").await.expect("produced");
    let ballast = mount.fill(0);
    let mut connection = redis(&gateway).await;
    let (is_full, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (stop, pushed) = (Arc::clone(&is_full), Arc::clone(&seen));
    let pushes = tokio::spawn(async move {
        let value = vec![b'x'; 64 << 10];
        while !stop.load(Ordering::SeqCst) {
            let length = redis::cmd("RPUSH").arg(LIST).arg(&value).query_async(&mut connection).await.expect("it has its place");
            pushed.store(length, Ordering::SeqCst);
        }
    });
    until_ready_says(&gateway, "is full").await;
    is_full.store(true, Ordering::SeqCst);
    let answered = seen.load(Ordering::SeqCst);
    assert_eq!(readyz(&gateway).await.0, 200);
    assert_eq!(tokio::task::block_in_place(|| records(&gateway)), ["1"], "readers are served");
    let waits = tokio::spawn(async move { produce(&patient, "2").await });
    assert!(!pushes.is_finished() && seen.load(Ordering::SeqCst) == answered, "what was taken is not answered yet");
    std::fs::remove_file(ballast).expect("removed");
    within("the push that waited", pushes).await.expect("it is answered");
    assert_eq!(seen.load(Ordering::SeqCst), answered + 1);
    assert_eq!(within("the producer's record is taken", waits).await.expect("no panic"), Ok(()));
    gateway.crash();
    assert_eq!(elements(&gateway).await.len() as u64, answered + 1);
    assert_eq!(tokio::task::block_in_place(|| records(&gateway)), ["1", "2"]);
}
