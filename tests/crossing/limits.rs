//! A queue with a length limit, for writers of every dialect: what its policy says, in each dialect's own words.

use std::time::Duration;

use lapin::message::BasicGetMessage;
use lapin::options::*;
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Confirmation};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::util::Timeout;
use redis::aio::MultiplexedConnection;

use crate::clients::Meeting;
use crate::support::{PATIENCE, unique, within};

/// A queue for so many records, whose dead letters go to a queue of their own.
async fn limited(meeting: &Meeting, most: i32, overflow: &str) -> (String, String) {
    let (queue, dead) = (unique("limited"), unique("dead"));
    meeting.declare(&dead).await;
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(most));
    arguments.insert("x-overflow".into(), AMQPValue::LongString(overflow.into()));
    arguments.insert("x-dead-letter-exchange".into(), AMQPValue::LongString("".into()));
    arguments.insert("x-dead-letter-routing-key".into(), AMQPValue::LongString(dead.clone().into()));
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    meeting.channel.queue_declare(queue.as_str().into(), options, arguments).await.expect("declared");
    (queue, dead)
}

async fn produce(producer: &FutureProducer, topic: &str, value: &str) -> Result<(), RDKafkaErrorCode> {
    let record: FutureRecord<'_, str, str> = FutureRecord::to(topic).payload(value);
    let sent = producer.send_result(record).expect("queued");
    match within("an answer", sent).await.expect("an answer") {
        Ok(_) => Ok(()),
        Err((KafkaError::MessageProduction(code), _)) => Err(code),
        Err((other, _)) => panic!("another error: {other}"),
    }
}

async fn push(redis: &mut MultiplexedConnection, name: &str, values: &[&str]) -> Result<i64, String> {
    let pushed = redis::cmd("RPUSH").arg(name).arg(values).query_async::<i64>(redis).await;
    pushed.map_err(|error| error.code().unwrap_or_default().to_owned())
}

async fn publish(meeting: &Meeting, queue: &str, body: &[u8]) -> Confirmation {
    let options = BasicPublishOptions::default();
    let properties = BasicProperties::default().with_delivery_mode(2);
    let sent = meeting.channel.basic_publish("".into(), queue.into(), options, body, properties).await.expect("published");
    within("a confirm", sent).await.expect("a confirm")
}

/// Body and reason of each dead letter, in order.
async fn deaths(meeting: &Meeting, dead: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for _ in 0..meeting.depth(dead).await {
        let BasicGetMessage { delivery, .. } = meeting.get(dead).await;
        let headers = delivery.properties.headers().clone().expect("headers");
        let reason = match headers.inner().get("x-last-death-reason") {
            Some(AMQPValue::LongString(reason)) => reason.to_string(),
            other => panic!("no reason: {other:?}"),
        };
        found.push((String::from_utf8(delivery.data).expect("text"), reason));
    }
    found
}

fn died(bodies: &[&str]) -> Vec<(String, String)> {
    bodies.iter().map(|body| ((*body).to_owned(), "maxlen".to_owned())).collect()
}

#[tokio::test]
async fn a_full_queue_refuses_every_writer_in_its_own_words_and_buries_what_it_refuses() {
    let mut meeting = Meeting::start().await;
    let (queue, dead) = limited(&meeting, 3, "reject-publish-dlx").await;
    let producer = meeting.producer("none");
    produce(&producer, &queue, "k1").await.expect("there is room");
    assert_eq!(push(&mut meeting.redis, &queue, &["r1"]).await, Ok(2));
    // All or none of what is pushed together.
    assert_eq!(push(&mut meeting.redis, &queue, &["r2", "r3"]).await, Err("OOM".to_owned()));
    assert!(matches!(publish(&meeting, &queue, b"a1").await, Confirmation::Ack(_)));
    assert!(matches!(publish(&meeting, &queue, b"a2").await, Confirmation::Nack(_)));
    assert_eq!(produce(&producer, &queue, "k2").await, Err(RDKafkaErrorCode::PolicyViolation));
    assert_eq!(push(&mut meeting.redis, &queue, &["r4"]).await, Err("OOM".to_owned()));
    let published = redis::cmd("PUBLISH").arg(&queue).arg("p1").query_async::<i64>(&mut meeting.redis).await;
    assert_eq!(published.expect_err("there is no room").code(), Some("OOM"));
    assert_eq!(meeting.depth(&queue).await, 3);
    assert_eq!(deaths(&meeting, &dead).await, died(&["r2", "r3", "a2", "k2", "r4", "p1"]));
    assert_eq!(meeting.get(&queue).await.delivery.data, b"k1");
    produce(&producer, &queue, "k3").await.expect("there is room again");
}

#[tokio::test]
async fn a_record_with_a_known_id_is_there_once_whoever_wrote_it() {
    let meeting = Meeting::start().await;
    let queue = unique("once");
    let mut arguments = FieldTable::default();
    arguments.insert("x-message-deduplication".into(), AMQPValue::Boolean(true));
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    meeting.channel.queue_declare(queue.as_str().into(), options, arguments).await.expect("declared");
    let producer = meeting.producer("zstd");
    let mut sent = Vec::new();
    for (value, id) in [("k1", "a"), ("k2", "b"), ("k3", "a"), ("k4", "")] {
        let header = Header { key: "x-deduplication-header", value: Some(id).filter(|id| !id.is_empty()) };
        let record: FutureRecord<'_, str, str> =
            FutureRecord::to(&queue).payload(value).headers(OwnedHeaders::new().insert(header));
        sent.push(producer.send_result(record).expect("queued"));
    }
    for answer in sent {
        within("an answer", answer).await.expect("an answer").expect("delivered");
    }
    let properties = |id: &str| BasicProperties::default().with_delivery_mode(2).with_message_id(id.into());
    meeting.publish("", &queue, b"a1", properties("b")).await;
    meeting.publish("", &queue, b"a2", properties("c")).await;
    let record: FutureRecord<'_, str, str> = FutureRecord::to(&queue)
        .payload("k5")
        .headers(OwnedHeaders::new().insert(Header { key: "amqp.message-id", value: Some("c") }));
    producer.send(record, Timeout::After(PATIENCE)).await.expect("delivered");
    assert_eq!(meeting.depth(&queue).await, 4);
    for value in ["k1", "k2", "k4", "a2"] {
        assert_eq!(meeting.get(&queue).await.delivery.data, value.as_bytes());
    }
}

#[tokio::test]
async fn the_oldest_make_room_for_writers_of_every_dialect() {
    let mut meeting = Meeting::start().await;
    let (queue, dead) = limited(&meeting, 2, "drop-head").await;
    meeting.produce(&queue, "lz4", &["k1", "k2", "k3"].map(|value| value.as_bytes().to_vec())).await;
    assert_eq!(push(&mut meeting.redis, &queue, &["r1"]).await.map(|_| ()), Ok(()));
    assert!(matches!(publish(&meeting, &queue, b"a1").await, Confirmation::Ack(_)));
    assert_eq!(meeting.depth(&queue).await, 2);
    assert_eq!(deaths(&meeting, &dead).await, died(&["k1", "k2", "k3"]));
    assert_eq!(meeting.get(&queue).await.delivery.data, b"r1");
}

#[tokio::test]
async fn writers_wait_for_room_where_the_queue_says_so() {
    let mut meeting = Meeting::start().await;
    let (queue, dead) = limited(&meeting, 1, "block").await;
    let impatient: FutureProducer = meeting
        .kafka()
        .set("request.timeout.ms", "200")
        .set("message.timeout.ms", "900")
        .set("acks", "all")
        .create()
        .expect("a producer");
    produce(&impatient, &queue, "k1").await.expect("there is room");
    // An error that may be tried again, until the producer gives up by itself.
    assert_eq!(produce(&impatient, &queue, "k2").await, Err(RDKafkaErrorCode::MessageTimedOut));
    assert_eq!(push(&mut meeting.redis, &queue, &["r1"]).await, Err("OOM".to_owned()), "Redis's writers do not wait");
    let waiting = meeting.producer("none");
    let mut sent = Box::pin(produce(&waiting, &queue, "k3"));
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut sent).await.is_err(), "it is held up");
    assert_eq!(meeting.get(&queue).await.delivery.data, b"k1");
    within("room", sent).await.expect("there is room");
    assert_eq!(meeting.get(&queue).await.delivery.data, b"k3");
    assert_eq!((meeting.depth(&queue).await, meeting.depth(&dead).await), (0, 0), "nothing is lost, nothing is twice");
}
