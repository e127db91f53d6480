//! One client of each kind on one gateway, and the handful of things that the tests do with them.

use std::time::Duration;

use futures_util::StreamExt;
use lapin::message::{BasicGetMessage, Delivery};
use lapin::options::*;
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ExchangeKind};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::message::{OwnedHeaders, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::util::Timeout;
use rdkafka::{Offset, TopicPartitionList};
use redis::aio::{MultiplexedConnection, PubSub};

use crate::support::{Gateway, PATIENCE, eventually, unique, within};

/// A gateway and clients of every dialect.
pub struct Meeting {
    pub gateway: Gateway,
    pub amqp: Connection,
    pub channel: Channel,
    pub redis: MultiplexedConnection,
}

impl Meeting {
    pub async fn start() -> Self {
        Self::on(Gateway::start()).await
    }

    /// Clients of a gateway that runs.
    pub async fn on(gateway: Gateway) -> Self {
        let amqp = Connection::connect(&gateway.amqp(), ConnectionProperties::default()).await.expect("an AMQP connection");
        let channel = amqp.create_channel().await.expect("a channel");
        channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
        let redis = redis_connection(&gateway).await;
        Self { gateway, amqp, channel, redis }
    }

    // ---- Kafka ----

    pub fn kafka(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.gateway.kafka());
        config
    }

    pub async fn create_topic(&self, topic: &str, partitions: i32) {
        let admin: AdminClient<DefaultClientContext> = self.kafka().create().expect("an admin client");
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        let made = admin.create_topics([&new], &AdminOptions::new()).await.expect("answered");
        assert_eq!(made, [Ok(topic.to_owned())]);
    }

    pub fn producer(&self, codec: &str) -> FutureProducer {
        self.kafka().set("compression.type", codec).set("linger.ms", "20").create().expect("a producer")
    }

    /// Produces all values as one batch, if they come fast enough, and waits until each is acknowledged.
    pub async fn produce(&self, topic: &str, codec: &str, values: &[Vec<u8>]) {
        let producer = self.producer(codec);
        let sent: Vec<_> = values
            .iter()
            .map(|value| producer.send_result(FutureRecord::<(), _>::to(topic).payload(value)).expect("queued"))
            .collect();
        for delivered in sent {
            delivered.await.expect("an answer").expect("delivered");
        }
    }

    /// Produces one record with everything a Kafka record has; partition 0.
    pub async fn produce_whole(&self, topic: &str, key: &[u8], value: Option<&[u8]>, headers: OwnedHeaders, timestamp_ms: i64) {
        let mut record = FutureRecord::to(topic).key(key).headers(headers).timestamp(timestamp_ms).partition(0);
        if let Some(value) = value {
            record = record.payload(value);
        }
        self.producer("none").send(record, Timeout::After(PATIENCE)).await.expect("delivered");
    }

    /// A member of a new group, from the beginning.
    pub fn member(&self, topic: &str) -> StreamConsumer {
        let consumer: StreamConsumer = self
            .kafka()
            .set("group.id", unique("group"))
            .set("auto.offset.reset", "earliest")
            .set("topic.metadata.refresh.interval.ms", "500")
            .create()
            .expect("a consumer");
        consumer.subscribe(&[topic]).expect("subscribed");
        consumer
    }

    /// A consumer of partition 0 from its start, without a group.
    pub fn assigned(&self, topic: &str) -> StreamConsumer {
        let consumer: StreamConsumer =
            self.kafka().set("group.id", "unused").set("fetch.wait.max.ms", "50").create().expect("a consumer");
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(topic, 0, Offset::Beginning).expect("an offset");
        consumer.assign(&assignment).expect("assigned");
        consumer
    }

    // ---- AMQP ----

    pub async fn declare(&self, queue: &str) {
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        self.channel.queue_declare(queue.into(), options, FieldTable::default()).await.expect("declared");
    }

    /// Messages that are ready in the queue.
    pub async fn depth(&self, queue: &str) -> u32 {
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        self.channel.queue_declare(queue.into(), options, FieldTable::default()).await.expect("declared").message_count()
    }

    /// An exchange of this kind with `queue` bound to it, and the key that routes there.
    pub async fn exchange(&self, kind: ExchangeKind, queue: &str) -> (String, &'static str) {
        let (binding, key) = match kind {
            ExchangeKind::Topic => ("some.*.#", "some.key.of.it"),
            ExchangeKind::Fanout => ("", "any"),
            _ => ("key", "key"),
        };
        let name = unique("exchange");
        self.channel
            .exchange_declare(name.as_str().into(), kind, ExchangeDeclareOptions::default(), FieldTable::default())
            .await
            .expect("declared");
        self.channel
            .queue_bind(queue.into(), name.as_str().into(), binding.into(), QueueBindOptions::default(), FieldTable::default())
            .await
            .expect("bound");
        (name, key)
    }

    /// Publishes one message and waits for its confirm. A message without a route fails the test.
    pub async fn publish(&self, exchange: &str, key: &str, body: &[u8], properties: BasicProperties) {
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let confirm =
            self.channel.basic_publish(exchange.into(), key.into(), options, body, properties).await.expect("published");
        match within("a confirm", confirm).await.expect("a confirm") {
            Confirmation::Ack(None) => {}
            other => panic!("not confirmed: {other:?}"),
        }
    }

    pub async fn get(&self, queue: &str) -> BasicGetMessage {
        let options = BasicGetOptions { no_ack: true };
        eventually("a message", || async { self.channel.basic_get(queue.into(), options).await.expect("answered") }).await
    }

    /// Consumes `count` messages, acknowledges each, and cancels.
    pub async fn consume(&self, queue: &str, count: usize) -> Vec<Delivery> {
        self.declare(queue).await;
        let channel = self.amqp.create_channel().await.expect("a channel");
        let consumer = channel.basic_consume(queue.into(), "".into(), BasicConsumeOptions::default(), FieldTable::default());
        let mut consumer = consumer.await.expect("a consumer");
        let mut got = Vec::new();
        while got.len() < count {
            let delivery = within("a delivery", consumer.next()).await.expect("an open consumer").expect("a delivery");
            delivery.acker.ack(BasicAckOptions::default()).await.expect("acknowledged");
            got.push(delivery);
        }
        channel.close(200, "done".into()).await.expect("closed");
        got
    }

    // ---- Redis ----

    pub async fn redis<T: redis::FromRedisValue>(&self, command: &str, arguments: &[&[u8]]) -> T {
        query(&self.redis, command, arguments).await
    }

    /// A subscriber of one channel.
    pub async fn subscriber(&self, name: &str) -> PubSub {
        let client = redis::Client::open(self.gateway.redis()).expect("a URL");
        let mut subscriber = client.get_async_pubsub().await.expect("a connection");
        subscriber.subscribe(name).await.expect("subscribed");
        subscriber
    }
}

pub async fn redis_connection(gateway: &Gateway) -> MultiplexedConnection {
    let config = redis::AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
    let client = redis::Client::open(gateway.redis()).expect("a URL");
    client.get_multiplexed_async_connection_with_config(&config).await.expect("a connection")
}

pub async fn query<T: redis::FromRedisValue>(redis: &MultiplexedConnection, command: &str, arguments: &[&[u8]]) -> T {
    let mut command = redis::cmd(command);
    for argument in arguments {
        command.arg(argument);
    }
    command.query_async(&mut redis.clone()).await.expect("answered")
}

/// The next `count` records of a Kafka consumer.
pub async fn receive(consumer: &StreamConsumer, count: usize) -> Vec<OwnedMessage> {
    let mut got = Vec::new();
    while got.len() < count {
        got.push(within("a record", consumer.recv()).await.expect("a record").detach());
    }
    got
}

/// The next `count` payloads of a subscriber.
pub async fn hear(subscriber: &mut PubSub, count: usize) -> Vec<Vec<u8>> {
    let mut messages = subscriber.on_message();
    let mut got = Vec::new();
    while got.len() < count {
        let message = within("a message", messages.next()).await.expect("an open subscription");
        got.push(message.get_payload().expect("bytes"));
    }
    got
}

/// Whether nothing comes for a while: for the few things that must not happen.
pub async fn hears_nothing(subscriber: &mut PubSub) -> bool {
    tokio::time::timeout(Duration::from_millis(200), subscriber.on_message().next()).await.is_err()
}

pub fn persistent() -> BasicProperties {
    BasicProperties::default().with_delivery_mode(2)
}
