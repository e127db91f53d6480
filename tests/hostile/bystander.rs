//! A normal client of each dialect, who must be served whatever others do, and what the gateway takes meanwhile.

use std::time::Duration;

use lapin::options::{BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;

use super::support::{Gateway, PATIENCE, unique, within};

/// Each dialect writes and reads on connections of its own, made now.
pub async fn all_are_served(gateway: &Gateway) {
    within("Kafka is served", kafka_is_served(gateway)).await;
    within("AMQP is served", amqp_is_served(gateway)).await;
    within("Redis is served", redis_is_served(gateway)).await;
}

async fn kafka_is_served(gateway: &Gateway) {
    let topic = unique("served");
    let delivery = kafka_producer(gateway).send(FutureRecord::<(), _>::to(&topic).payload("value"), PATIENCE).await;
    assert_eq!(delivery.expect("it is acknowledged").offset, 0);
    let address = gateway.kafka();
    let read = move || {
        let consumer: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", address).set("group.id", &topic).create().expect("a consumer");
        let mut places = TopicPartitionList::new();
        places.add_partition_offset(&topic, 0, Offset::Beginning).expect("a place");
        consumer.assign(&places).expect("it is assigned");
        let found = consumer.poll(PATIENCE).expect("a record").expect("no error");
        assert_eq!(found.payload(), Some(&b"value"[..]));
    };
    tokio::task::spawn_blocking(read).await.expect("no panic");
}

async fn amqp_is_served(gateway: &Gateway) {
    let (_connection, channel) = amqp(gateway).await;
    let queue = unique("served");
    amqp_publish(&channel, &queue, b"value").await;
    let got = channel.basic_get(queue.as_str().into(), BasicGetOptions { no_ack: true }).await.expect("an answer");
    assert_eq!(got.expect("a message").delivery.data, b"value");
}

async fn redis_is_served(gateway: &Gateway) {
    let mut connection = redis(gateway).await;
    let key = unique("served");
    let length: i64 = connection.rpush(&key, "value").await.expect("RPUSH");
    let popped: Option<String> = connection.lpop(&key, None).await.expect("LPOP");
    assert_eq!((length, popped.as_deref()), (1, Some("value")));
}

pub fn kafka_producer(gateway: &Gateway) -> FutureProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", gateway.kafka()).set("message.max.bytes", "50000000").set("linger.ms", "0");
    config.create().expect("a producer")
}

pub async fn amqp(gateway: &Gateway) -> (Connection, Channel) {
    let connection = Connection::connect(&gateway.amqp(), ConnectionProperties::default()).await.expect("a connection");
    let channel = connection.create_channel().await.expect("a channel");
    channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
    (connection, channel)
}

/// Declares a queue and publishes to it.
pub async fn amqp_publish(channel: &Channel, queue: &str, body: &[u8]) {
    channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), FieldTable::default()).await.expect("a queue");
    let persistent = BasicProperties::default().with_delivery_mode(2);
    let published = channel.basic_publish("".into(), queue.into(), BasicPublishOptions::default(), body, persistent).await;
    published.expect("it is sent").await.expect("it is confirmed");
}

pub async fn redis(gateway: &Gateway) -> MultiplexedConnection {
    let config = redis::AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
    let client = redis::Client::open(gateway.redis()).expect("a URL");
    client.get_multiplexed_async_connection_with_config(&config).await.expect("a connection")
}

/// The memory that the gateway has in use, in MiB.
pub fn memory_mib(gateway: &Gateway) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).expect("it is alive");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().expect("a number") / 1024
}

/// It is alive, served everyone, and nothing in it panicked.
pub async fn is_well(gateway: &Gateway) {
    all_are_served(gateway).await;
    let log = gateway.log();
    for bad in ["panicked", "poisoned"] {
        assert!(!log.contains(bad), "{bad}: {log}");
    }
}

/// Long enough for what a flood of requests does to memory to show.
pub const FLOOD: Duration = Duration::from_secs(2);
