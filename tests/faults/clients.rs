//! One writer and one reader of each dialect, with what each says when it is refused.

use std::time::Duration;

use lapin::options::{BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, PublisherConfirm};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::support::{Gateway, PATIENCE, eventually, http_get, within};

pub const TOPIC: &str = "topic";
pub const QUEUE: &str = "queue";
pub const LIST: &str = "list";

/// The status of `/readyz` and what it says.
pub async fn readyz(gateway: &Gateway) -> (u16, String) {
    http_get(gateway.addresses().http, "/readyz").await
}

/// The value of a series, by its name and labels as they are shown.
pub async fn metric(gateway: &Gateway, series: &str) -> f64 {
    let (_, text) = http_get(gateway.addresses().http, "/metrics").await;
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {series} in:\n{text}"))
}

/// Waits until `/readyz` says this, whatever its status.
pub async fn until_ready_says(gateway: &Gateway, what: &str) {
    eventually(what, || async { readyz(gateway).await.1.contains(what).then_some(()) }).await;
}

pub async fn redis(gateway: &Gateway) -> redis::aio::MultiplexedConnection {
    let client = redis::Client::open(gateway.redis()).expect("a URL");
    let config = redis::AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
    client.get_multiplexed_async_connection_with_config(&config).await.expect("a connection")
}

pub async fn push(gateway: &Gateway, value: &[u8]) -> redis::RedisResult<u64> {
    redis::cmd("RPUSH").arg(LIST).arg(value).query_async(&mut redis(gateway).await).await
}

pub async fn elements(gateway: &Gateway) -> Vec<String> {
    redis::cmd("LRANGE").arg(LIST).arg(0).arg(-1).query_async(&mut redis(gateway).await).await.expect("it reads")
}

/// A producer that tries for so long.
pub fn producer(gateway: &Gateway, patience: Duration) -> FutureProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", gateway.kafka()).set("linger.ms", "0");
    config.set("message.timeout.ms", patience.as_millis().to_string()).create().expect("a producer")
}

pub async fn produce(producer: &FutureProducer, value: &str) -> Result<(), RDKafkaErrorCode> {
    let record = FutureRecord::to(TOPIC).partition(0).key("k").payload(value);
    match producer.send(record, PATIENCE).await {
        Ok(_) => Ok(()),
        Err((KafkaError::MessageProduction(code), _)) => Err(code),
        Err((error, _)) => panic!("{error}"),
    }
}

/// The values of the topic's first partition, up to its end.
pub fn records(gateway: &Gateway) -> Vec<String> {
    let reader: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", gateway.kafka())
        .set("group.id", "reader")
        .set("enable.partition.eof", "true")
        .set("enable.auto.commit", "false")
        .create()
        .expect("a consumer");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(TOPIC, 0, Offset::Beginning).expect("a place");
    reader.assign(&list).expect("assigned");
    let mut values = Vec::new();
    loop {
        match reader.poll(PATIENCE).expect("a record or the end") {
            Ok(message) => values.push(String::from_utf8_lossy(message.payload().unwrap_or_default()).into_owned()),
            Err(KafkaError::PartitionEOF(_)) => return values,
            Err(error) => panic!("{error}"),
        }
    }
}

pub async fn connect(url: &str) -> Connection {
    within("a connection", Connection::connect(url, ConnectionProperties::default())).await.expect("let in")
}

/// A channel that confirms, and the queue.
pub async fn open(connection: &Connection) -> lapin::Result<Channel> {
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    channel.queue_declare(QUEUE.into(), QueueDeclareOptions::durable(), FieldTable::default()).await?;
    Ok(channel)
}

/// Publishes a persistent message; what comes back is to be awaited for the confirm.
pub async fn publish(channel: &Channel, body: &str) -> lapin::Result<PublisherConfirm> {
    let properties = BasicProperties::default().with_delivery_mode(2);
    channel.basic_publish("".into(), QUEUE.into(), BasicPublishOptions::default(), body.as_bytes(), properties).await
}

/// Publishes on a connection of its own; why it was not confirmed, if it was not.
pub async fn publish_once(gateway: &Gateway, body: &str) -> Result<(), String> {
    let connection = connect(&gateway.amqp()).await;
    let confirmed = async { publish(&open(&connection).await?, body).await?.await };
    match confirmed.await {
        Ok(Confirmation::Ack(_)) => Ok(()),
        Ok(other) => Err(format!("{other:?}")),
        Err(error) => Err(error.to_string()),
    }
}

/// What the queue holds, taken and never settled.
pub async fn messages(gateway: &Gateway) -> Vec<String> {
    let connection = connect(&gateway.amqp()).await;
    let channel = connection.create_channel().await.expect("a channel");
    let mut bodies = Vec::new();
    while let Some(message) = channel.basic_get(QUEUE.into(), BasicGetOptions::default()).await.expect("it reads") {
        bodies.push(String::from_utf8_lossy(&message.delivery.data).into_owned());
    }
    bodies
}
