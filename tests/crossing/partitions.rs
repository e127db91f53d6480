//! Topics with several partitions: where records go that come without one.

use std::collections::{BTreeMap, BTreeSet};

use lapin::ExchangeKind;
use lapin::options::QueueDeclareOptions;
use lapin::types::{AMQPValue, FieldTable};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::message::{Message, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::util::Timeout;

use crate::clients::{Meeting, persistent, receive};
use crate::support::{PATIENCE, unique};

const PARTITIONS: i32 = 5;

async fn create_topic(meeting: &Meeting, topic: &str, partitioner: &str) {
    let admin: AdminClient<DefaultClientContext> = meeting.kafka().create().expect("an admin client");
    let new = NewTopic::new(topic, PARTITIONS, TopicReplication::Fixed(1)).set("partitioner", partitioner);
    let made = admin.create_topics([&new], &AdminOptions::new()).await.expect("answered");
    assert_eq!(made, [Ok(topic.to_owned())]);
}

fn header(name: &'static str, value: AMQPValue) -> FieldTable {
    let mut headers = FieldTable::default();
    headers.insert(name.into(), value);
    headers
}

fn value(record: &OwnedMessage) -> String {
    String::from_utf8_lossy(record.payload().expect("a value")).into_owned()
}

/// The values of each partition, in the order in which it was read.
fn by_partition(records: &[OwnedMessage]) -> BTreeMap<i32, Vec<String>> {
    let mut partitions: BTreeMap<i32, Vec<String>> = BTreeMap::new();
    for record in records {
        partitions.entry(record.partition()).or_default().push(value(record));
    }
    partitions
}

/// librdkafka's `murmur2_random` is what the Java client does.
#[tokio::test]
async fn a_key_has_one_partition_in_every_dialect_and_is_read_in_order() {
    let meeting = Meeting::start().await;
    let topic = unique("keyed");
    create_topic(&meeting, &topic, "key").await;
    meeting.declare(&topic).await;
    let (exchange, routing_key) = meeting.exchange(ExchangeKind::Direct, &topic).await;
    let producer: FutureProducer = meeting.kafka().set("partitioner", "murmur2_random").create().expect("a producer");

    let keys: Vec<String> = (0..20).map(|number| format!("customer-{number}")).chain([routing_key.to_owned()]).collect();
    for round in 0..3 {
        for key in &keys {
            let body = format!("{key} {round} kafka");
            let record = FutureRecord::to(&topic).key(key).payload(&body);
            producer.send(record, Timeout::After(PATIENCE)).await.expect("delivered");
            let body = format!("{key} {round} amqp");
            let headers = header("x-record-key", AMQPValue::LongString(key.as_str().into()));
            meeting.publish("", &topic, body.as_bytes(), persistent().with_headers(headers)).await;
            let body = format!("{key} {round} redis");
            let _: u64 = meeting.redis("TRUNKLINE.RPUSH", &[topic.as_bytes(), key.as_bytes(), body.as_bytes()]).await;
        }
        // A message without a key that went through an exchange has its routing key.
        let body = format!("{routing_key} {round} routed");
        meeting.publish(&exchange, routing_key, body.as_bytes(), persistent()).await;
    }

    let total = 3 * (3 * keys.len() + 1);
    let partitions = by_partition(&receive(&meeting.member(&topic), total).await);
    assert!(partitions.len() > 1, "the keys are spread");
    for key in &keys {
        let held: Vec<_> = partitions.values().filter(|values| values.iter().any(|v| is_of(v, key))).collect();
        assert_eq!(held.len(), 1, "{key} is in one partition");
        let rounds: Vec<&str> = held[0].iter().filter(|v| is_of(v, key)).filter_map(|v| v.split(' ').nth(1)).collect();
        assert!(rounds.is_sorted() && rounds.len() >= 9, "{key} is read in the order of its writes: {rounds:?}");
    }
}

fn is_of(value: &str, key: &str) -> bool {
    value.split(' ').next() == Some(key)
}

#[tokio::test]
async fn records_without_a_key_go_where_the_topic_says() {
    let meeting = Meeting::start().await;
    for (partitioner, expected) in [("round-robin", 0..PARTITIONS), ("given", 0..1), ("key", 0..1)] {
        let topic = unique(partitioner);
        create_topic(&meeting, &topic, partitioner).await;
        for number in 0..10 {
            let value = number.to_string();
            if number % 2 == 0 {
                meeting.publish("", &topic, value.as_bytes(), persistent()).await;
            } else {
                let _: u64 = meeting.redis("RPUSH", &[topic.as_bytes(), value.as_bytes()]).await;
            }
        }
        let partitions = by_partition(&receive(&meeting.member(&topic), 10).await);
        let used: BTreeSet<i32> = partitions.keys().copied().collect();
        assert_eq!(used, expected.collect(), "{partitioner}: {partitions:?}");
    }
}

/// AMQP has no topics to configure: a queue says how many partitions it is to have, and which of them its messages go to.
#[tokio::test]
async fn a_queue_may_be_declared_with_partitions() {
    let meeting = Meeting::start().await;
    let topic = unique("declared");
    let arguments = |count: i32, partitioner: &'static str| {
        let mut arguments = header("x-partitions", AMQPValue::LongInt(count));
        arguments.insert("x-partitioner".into(), AMQPValue::LongString(partitioner.into()));
        arguments
    };
    let options = QueueDeclareOptions { durable: true, ..Default::default() };
    let declare = async |queue: &str, arguments| {
        // A refusal closes the channel.
        let channel = meeting.amqp.create_channel().await.expect("a channel");
        channel.queue_declare(queue.into(), options, arguments).await
    };
    declare(&topic, arguments(PARTITIONS, "round-robin")).await.expect("declared");
    for number in 0..10 {
        meeting.publish("", &topic, number.to_string().as_bytes(), persistent()).await;
    }
    let partitions = by_partition(&receive(&meeting.member(&topic), 10).await);
    assert_eq!(partitions.keys().copied().collect::<Vec<_>>(), (0..PARTITIONS).collect::<Vec<_>>());
    declare(&topic, arguments(PARTITIONS, "round-robin")).await.expect("the same again");
    for (count, partitioner) in [(PARTITIONS + 1, "round-robin"), (PARTITIONS, "key"), (0, "key"), (PARTITIONS, "by-moonlight")] {
        declare(&topic, arguments(count, partitioner)).await.expect_err("it is another queue, or none");
    }

    let made_by_kafka = unique("declared");
    create_topic(&meeting, &made_by_kafka, "sticky").await;
    declare(&made_by_kafka, arguments(PARTITIONS, "random")).await.expect_err("the topic has another");
    declare(&made_by_kafka, arguments(PARTITIONS, "sticky")).await.expect("as it is");
}

#[tokio::test]
async fn a_message_may_ask_for_a_partition() {
    let meeting = Meeting::start().await;
    let topic = unique("given");
    create_topic(&meeting, &topic, "key").await;
    for asked in [3, 4, 99] {
        let headers = header("x-record-partition", AMQPValue::LongInt(asked));
        meeting.publish("", &topic, asked.to_string().as_bytes(), persistent().with_headers(headers)).await;
    }
    let partitions = by_partition(&receive(&meeting.member(&topic), 3).await);
    assert_eq!((partitions.get(&3), partitions.get(&4)), (Some(&vec!["3".to_owned()]), Some(&vec!["4".to_owned()])));
    assert_eq!(partitions.get(&0), Some(&vec!["99".to_owned()]), "one that is not there counts as none");
}
