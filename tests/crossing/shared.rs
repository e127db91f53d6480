//! One name, several dialects at once: competition, counts that agree, fan-out with one body.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use lapin::options::*;
use lapin::types::FieldTable;
use rdkafka::message::Message;
use rdkafka::producer::FutureRecord;
use rdkafka::util::Timeout;
use tokio::sync::mpsc;

use crate::clients::{Meeting, persistent, query, receive, redis_connection};
use crate::support::{PATIENCE, eventually, http_get, unique, within};

/// Who took a record, and which.
type Taken = (&'static str, String);

/// Takes with BLPOP until told to stop.
async fn pop(meeting: &Meeting, name: String, taken: mpsc::UnboundedSender<Taken>, stop: Arc<AtomicBool>) {
    let redis = redis_connection(&meeting.gateway).await;
    tokio::spawn(async move {
        while !stop.load(Ordering::Relaxed) {
            let popped: Option<(String, String)> = query(&redis, "BLPOP", &[name.as_bytes(), b"0.2"]).await;
            if let Some((_, value)) = popped {
                let _ = taken.send(("redis", value));
            }
        }
    });
}

/// Consumes with acknowledgements and a small prefetch until the connection closes.
async fn consume(meeting: &Meeting, name: &str, taken: mpsc::UnboundedSender<Taken>) {
    let channel = meeting.amqp.create_channel().await.expect("a channel");
    channel.basic_qos(4, BasicQosOptions::default()).await.expect("a prefetch");
    let consumer = channel.basic_consume(name.into(), "".into(), BasicConsumeOptions::default(), FieldTable::default());
    let mut consumer = consumer.await.expect("a consumer");
    tokio::spawn(async move {
        while let Some(Ok(delivery)) = consumer.next().await {
            let _ = taken.send(("amqp", String::from_utf8(delivery.data.clone()).expect("text")));
            if delivery.acker.ack(BasicAckOptions::default()).await.is_err() {
                return;
            }
        }
        drop(channel);
    });
}

#[tokio::test]
async fn consumers_and_blocked_pops_share_every_record_once() {
    let meeting = Meeting::start().await;
    let name = unique("work");
    meeting.declare(&name).await;
    let (sender, mut taken) = mpsc::unbounded_channel();
    let stop = Arc::new(AtomicBool::new(false));
    for _ in 0..3 {
        pop(&meeting, name.clone(), sender.clone(), Arc::clone(&stop)).await;
        consume(&meeting, &name, sender.clone()).await;
    }
    let values: Vec<Vec<u8>> = (0..900).map(|n| n.to_string().into_bytes()).collect();
    let (produced, rest) = values.split_at(300);
    let (pushed, published) = rest.split_at(300);
    let push = async {
        for value in pushed {
            let _: u64 = meeting.redis("RPUSH", &[name.as_bytes(), value]).await;
        }
    };
    let publish = async {
        for value in published {
            meeting.publish("", &name, value, persistent()).await;
        }
    };
    tokio::join!(meeting.produce(&name, "lz4", produced), push, publish);

    let mut seen = HashSet::new();
    let mut takers = HashSet::new();
    while seen.len() < values.len() {
        let (who, value) = within("every record taken", taken.recv()).await.expect("takers");
        assert!(seen.insert(value.clone()), "{value} came twice");
        takers.insert(who);
    }
    stop.store(true, Ordering::Relaxed);
    assert_eq!(takers.len(), 2, "both dialects got a share: {takers:?}");
    assert!(tokio::time::timeout(Duration::from_millis(200), taken.recv()).await.is_err(), "nothing comes twice");
    eventually("the queue is empty", || async { (meeting.depth(&name).await == 0).then_some(()) }).await;
    let log = receive(&meeting.assigned(&name), values.len()).await;
    let log: HashSet<_> = log.iter().map(|record| String::from_utf8(record.payload().unwrap().to_vec()).unwrap()).collect();
    assert_eq!(log, seen, "the log still has all that the queue is done with");
}

#[tokio::test]
async fn counts_agree_in_every_dialect() {
    let meeting = Meeting::start().await;
    let name = unique("work");
    let values: Vec<Vec<u8>> = (0..4).map(|n| n.to_string().into_bytes()).collect();
    meeting.produce(&name, "zstd", &values).await;
    meeting.declare(&name).await;
    let length = async || -> u32 { meeting.redis("LLEN", &[name.as_bytes()]).await };
    assert_eq!((length().await, meeting.depth(&name).await), (4, 4));
    let _: Vec<u8> = meeting.redis("RPOP", &[name.as_bytes()]).await;
    assert_eq!((length().await, meeting.depth(&name).await), (3, 3));
    let held =
        meeting.channel.basic_get(name.as_str().into(), BasicGetOptions::default()).await.expect("answered").expect("a message");
    assert_eq!(held.delivery.data, b"0");
    assert_eq!((length().await, meeting.depth(&name).await), (2, 2), "what is in flight is in neither count");
    held.delivery.acker.nack(BasicNackOptions { requeue: true, ..BasicNackOptions::default() }).await.expect("sent");
    eventually("it is back", || async { (meeting.depth(&name).await == 3).then_some(()) }).await;
    let elements: Vec<String> = meeting.redis("LRANGE", &[name.as_bytes(), b"0", b"-1"]).await;
    assert_eq!(elements, ["0", "1", "2"], "in its published place");
}

#[tokio::test]
async fn an_unacknowledged_message_goes_to_a_blocked_pop_when_its_consumer_dies() {
    let meeting = Meeting::start().await;
    let name = unique("work");
    meeting.declare(&name).await;
    let _: u64 = meeting.redis("RPUSH", &[name.as_bytes(), b"job"]).await;
    let dying =
        lapin::Connection::connect(&meeting.gateway.amqp(), lapin::ConnectionProperties::default()).await.expect("connected");
    let channel = dying.create_channel().await.expect("a channel");
    channel.basic_get(name.as_str().into(), BasicGetOptions::default()).await.expect("answered").expect("a message");
    let (sender, mut taken) = mpsc::unbounded_channel();
    pop(&meeting, name.clone(), sender, Arc::new(AtomicBool::new(false))).await;
    dying.close(200, "gone".into()).await.expect("closed");
    assert_eq!(within("the message", taken.recv()).await.expect("a taker"), ("redis", "job".to_owned()));
}

#[tokio::test]
async fn a_queue_over_several_partitions_keeps_the_order_of_each() {
    let meeting = Meeting::start().await;
    let name = unique("parts");
    meeting.create_topic(&name, 3).await;
    let producer = meeting.producer("none");
    for n in 0..30 {
        let value = format!("{}:{n:02}", n % 3);
        let record = FutureRecord::<(), _>::to(&name).payload(&value).partition(n % 3);
        producer.send(record, Timeout::After(PATIENCE)).await.expect("delivered");
    }
    assert_eq!(meeting.redis::<u64>("LLEN", &[name.as_bytes()]).await, 30);
    let mut taken: Vec<String> = Vec::new();
    for _ in 0..15 {
        taken.push(meeting.redis("LPOP", &[name.as_bytes()]).await);
    }
    let messages = meeting.consume(&name, 15).await;
    taken.extend(messages.into_iter().map(|message| String::from_utf8(message.data).expect("text")));
    for partition in 0..3 {
        let of_one: Vec<_> = taken.iter().filter(|value| value.starts_with(&format!("{partition}:"))).collect();
        assert_eq!(of_one.len(), 10);
        assert!(of_one.is_sorted(), "partition {partition}: {of_one:?}");
    }
}

/// Bytes written to the journal since the start.
async fn journal_bytes(meeting: &Meeting) -> u64 {
    let (_, page) = http_get(meeting.gateway.addresses().http, "/metrics").await;
    let line = page.lines().find(|line| line.starts_with("trunkline_log_journal_written_bytes_total ")).expect("the metric");
    line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()).expect("a number") as u64
}

#[tokio::test]
async fn a_fan_out_to_a_hundred_queues_writes_one_body() {
    let meeting = Meeting::start().await;
    let queues: Vec<String> = (0..100).map(|_| unique("fan")).collect();
    let exchange = unique("fan-out");
    let kind = lapin::ExchangeKind::Fanout;
    meeting
        .channel
        .exchange_declare(exchange.as_str().into(), kind, ExchangeDeclareOptions::default(), FieldTable::default())
        .await
        .expect("declared");
    for queue in &queues {
        meeting.declare(queue).await;
        let bind = QueueBindOptions::default();
        meeting
            .channel
            .queue_bind(queue.as_str().into(), exchange.as_str().into(), "".into(), bind, FieldTable::default())
            .await
            .expect("bound");
    }
    let body: Vec<u8> = (0..200_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let before = journal_bytes(&meeting).await;
    meeting.publish(&exchange, "", &body, persistent()).await;
    let written = journal_bytes(&meeting).await - before;
    println!("{} bytes to {} queues: {written} bytes in the journal", body.len(), queues.len());
    assert!(written > body.len() as u64, "the body is there");
    assert!(written < body.len() as u64 + 20_000, "{written} bytes for one body of {}", body.len());

    let popped: Vec<u8> = meeting.redis("LPOP", &[queues[0].as_bytes()]).await;
    assert!(popped == body, "as a list");
    assert!(receive(&meeting.assigned(&queues[1]), 1).await[0].payload() == Some(&body[..]), "as a topic");
    for queue in &queues[1..] {
        assert!(meeting.get(queue).await.delivery.data == body, "as a queue");
    }
}
