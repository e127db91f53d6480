//! A broker that speaks AMQP on a free port, and what tests do with it.

use std::net::SocketAddr;
use std::sync::Arc;

use lapin::message::BasicGetMessage;
use lapin::options::{BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use tempfile::TempDir;
use trunkline::delivery::Delivery;
use trunkline::dialect::amqp::{Amqp, Settings};
use trunkline::log::LogSettings;
use trunkline::net::{ConnectionLimit, Listener, Shutdown};
use trunkline::security::Open;
use trunkline::telemetry::DialectMetrics;

pub use crate::support::PATIENCE;

pub struct Broker {
    pub address: SocketAddr,
    pub delivery: Delivery,
    directory: TempDir,
    serving: tokio::task::JoinHandle<()>,
    timers: tokio::task::JoinHandle<()>,
}

impl Broker {
    pub async fn start() -> Self {
        Self::start_with(Settings::default()).await
    }

    pub async fn start_with(settings: Settings) -> Self {
        Self::on(tempfile::tempdir().unwrap(), settings).await
    }

    pub async fn on(directory: TempDir, settings: Settings) -> Self {
        let log = LogSettings { directory: directory.path().to_owned(), ..LogSettings::default() };
        let delivery = Delivery::open(log).unwrap();
        let amqp = Amqp::open(delivery.clone(), settings, Arc::new(Open), DialectMetrics::new("amqp")).unwrap();
        let listener = Listener::bind("amqp", "127.0.0.1:0").await.unwrap();
        let address = listener.local();
        let serving = tokio::spawn(listener.serve(Arc::new(amqp), ConnectionLimit::new(1000), Shutdown::never()));
        let timed = delivery.clone();
        let timers = tokio::spawn(async move { timed.run_timers(std::future::pending()).await });
        Self { address, delivery, directory, serving, timers }
    }

    /// Ends in order and starts again on the same directory.
    pub async fn restart(self) -> Self {
        self.serving.abort();
        let _ = self.serving.await;
        self.timers.abort();
        let _ = self.timers.await;
        let delivery = self.delivery;
        tokio::task::spawn_blocking(move || delivery.close()).await.unwrap().unwrap();
        Self::on(self.directory, Settings::default()).await
    }

    pub async fn connect(&self) -> Connection {
        self.connect_to("%2f").await
    }

    pub async fn connect_to(&self, vhost: &str) -> Connection {
        let uri = format!("amqp://guest:guest@{}/{vhost}", self.address);
        Connection::connect(&uri, ConnectionProperties::default()).await.unwrap()
    }

    pub async fn channel(&self) -> (Connection, Channel) {
        let connection = self.connect().await;
        let channel = connection.create_channel().await.unwrap();
        (connection, channel)
    }
}

/// Declares a durable queue.
pub async fn declare(channel: &Channel, name: &str) {
    declare_with(channel, name, QueueDeclareOptions { durable: true, ..Default::default() }).await.unwrap();
}

pub async fn declare_with(channel: &Channel, name: &str, options: QueueDeclareOptions) -> lapin::Result<lapin::Queue> {
    channel.queue_declare(name.into(), options, FieldTable::default()).await
}

pub async fn confirms(channel: &Channel) {
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
}

pub fn persistent() -> BasicProperties {
    BasicProperties::default().with_delivery_mode(2)
}

/// Publishes and waits for the confirm.
pub async fn publish(channel: &Channel, exchange: &str, key: &str, body: &[u8], properties: BasicProperties) -> Confirmation {
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    channel.basic_publish(exchange.into(), key.into(), options, body, properties).await.unwrap().await.unwrap()
}

pub async fn get(channel: &Channel, queue: &str) -> Option<BasicGetMessage> {
    channel.basic_get(queue.into(), BasicGetOptions::default()).await.unwrap()
}

/// Gets and accepts everything that is in a queue.
pub async fn drain(channel: &Channel, queue: &str) -> Vec<String> {
    let mut bodies = Vec::new();
    while let Some(message) = channel.basic_get(queue.into(), BasicGetOptions { no_ack: true }).await.unwrap() {
        bodies.push(String::from_utf8(message.delivery.data).unwrap());
    }
    bodies
}

/// Messages that are ready, by passive declaration.
pub async fn ready(channel: &Channel, queue: &str) -> u32 {
    let options = QueueDeclareOptions { passive: true, ..Default::default() };
    declare_with(channel, queue, options).await.unwrap().message_count()
}

/// The reply code and text of an error.
pub fn reply<T: std::fmt::Debug>(result: lapin::Result<T>) -> (u16, String) {
    match result.unwrap_err().kind() {
        lapin::ErrorKind::ProtocolError(error) => (error.get_id(), error.get_message().to_string()),
        other => panic!("not an answer of the broker: {other:?}"),
    }
}
