//! Order by key for records of Kafka producers: several AMQP consumers share a topic's queue view, and no key is ever at two of them.

use std::collections::HashMap;

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::*;
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ConnectionProperties, Consumer};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rdkafka::producer::FutureRecord;

use crate::clients::Meeting;
use crate::support::{unique, within};

const KEYS: usize = 7;
const RECORDS: usize = 400;
const CONSUMERS: usize = 3;

/// A consumer and what it has not settled.
struct Worker {
    connection: Connection,
    _channel: Channel,
    deliveries: Consumer,
    held: Vec<(String, Delivery)>,
}

async fn worker(meeting: &Meeting, queue: &str) -> Worker {
    let connection = Connection::connect(&meeting.gateway.amqp(), ConnectionProperties::default()).await.expect("a connection");
    let channel = connection.create_channel().await.expect("a channel");
    channel.basic_qos(5, BasicQosOptions::default()).await.expect("a limit");
    let deliveries = channel
        .basic_consume(queue.into(), "".into(), BasicConsumeOptions::default(), FieldTable::default())
        .await
        .expect("a consumer");
    Worker { connection, _channel: channel, deliveries, held: Vec::new() }
}

async fn produce(meeting: &Meeting, topic: &str, random: &mut StdRng) -> HashMap<String, Vec<String>> {
    let producer = meeting.producer("lz4");
    let mut expected: HashMap<String, Vec<String>> = HashMap::new();
    let mut sent = Vec::new();
    for number in 0..RECORDS {
        let (key, value) = (format!("key{}", random.random_range(0..KEYS)), number.to_string());
        sent.push(producer.send_result(FutureRecord::to(topic).key(&key).payload(&value)).expect("queued"));
        expected.entry(key).or_default().push(value);
    }
    for delivered in sent {
        delivered.await.expect("an answer").expect("delivered");
    }
    expected
}

fn key_of(delivery: &Delivery) -> String {
    let headers = delivery.properties.headers().as_ref().expect("headers");
    match headers.inner().get("x-record-key").expect("a key") {
        AMQPValue::LongString(key) => key.to_string(),
        other => panic!("not a text: {other:?}"),
    }
}

#[tokio::test]
async fn records_of_a_kafka_key_are_at_one_consumer_at_a_time_and_in_order() {
    let meeting = Meeting::start().await;
    let (topic, queue) = (unique("topic"), unique("queue"));
    meeting.create_topic(&topic, 2).await;
    let mut arguments = FieldTable::default();
    arguments.insert("x-topic".into(), AMQPValue::LongString(topic.clone().into()));
    arguments.insert("x-order-by-key".into(), AMQPValue::Boolean(true));
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    meeting.channel.queue_declare(queue.as_str().into(), options, arguments).await.expect("declared");
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut expected = produce(&meeting, &topic, &mut random).await;
    let mut workers = Vec::new();
    for _ in 0..CONSUMERS {
        workers.push(worker(&meeting, &queue).await);
    }
    // By key: who has records of it. By key: what was delivered and may come again.
    let mut at: HashMap<String, (usize, usize)> = HashMap::new();
    let mut returned: HashMap<String, Vec<String>> = HashMap::new();
    let (mut done, mut together) = (0, 0);
    while done < RECORDS {
        if done == RECORDS / 2 && at.values().any(|(holder, _)| *holder == 0) {
            // It goes with all that it has, which comes back before what follows.
            let lost = workers.remove(0);
            for (key, delivery) in lost.held {
                returned.entry(key).or_default().push(String::from_utf8(delivery.data).expect("text"));
            }
            at.retain(|_, (holder, _)| *holder != 0);
            at.values_mut().for_each(|(holder, _)| *holder -= 1);
            lost.connection.close(200, "bye".into()).await.expect("closed");
            workers.push(worker(&meeting, &queue).await);
        }
        let (index, delivery) = within("a delivery", next(&mut workers)).await;
        let (key, value) = (key_of(&delivery), String::from_utf8(delivery.data.clone()).expect("text"));
        let (holder, count) = at.entry(key.clone()).or_insert((index, 0));
        assert_eq!(*holder, index, "{key} is at two consumers");
        *count += 1;
        together = together.max(at.len());
        let again = returned.get_mut(&key).filter(|again| !again.is_empty());
        let due = again.or(expected.get_mut(&key)).expect("a known key");
        assert_eq!(due.remove(0), value, "{key} is in order");
        workers[index].held.push((key, delivery));
        // Any of what it has is acknowledged now and then, so that it is never full for long.
        while workers[index].held.len() > 3 || (random.random_bool(0.6) && !workers[index].held.is_empty()) {
            let pick = random.random_range(0..workers[index].held.len());
            let (key, delivery) = workers[index].held.remove(pick);
            let held = at.get_mut(&key).expect("it is there");
            held.1 -= 1;
            if held.1 == 0 {
                at.remove(&key);
            }
            delivery.acker.ack(BasicAckOptions::default()).await.expect("acknowledged");
            done += 1;
        }
        if remaining(&expected, &returned) == 0 {
            break;
        }
    }
    assert!(together > 1, "keys run in parallel");
}

fn remaining(expected: &HashMap<String, Vec<String>>, returned: &HashMap<String, Vec<String>>) -> usize {
    expected.values().chain(returned.values()).map(Vec::len).sum()
}

/// The next delivery of any of them.
async fn next(workers: &mut [Worker]) -> (usize, Delivery) {
    let waiting = workers.iter_mut().enumerate().map(|(index, worker)| {
        Box::pin(async move { (index, worker.deliveries.next().await.expect("a delivery").expect("a delivery")) })
    });
    futures_util::future::select_all(waiting).await.0
}
