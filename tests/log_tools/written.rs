//! What clients of all three dialects write before the tools look at it.

use std::path::Path;
use std::process::Stdio;

use lapin::options::{BasicAckOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::run::copy_into;
use super::support::{self, Gateway, PATIENCE, within};

pub const TOPIC: &str = "tool-records";
pub const RECORDS: u64 = 900;
pub const GROUP: &str = "tool-group";
pub const COMMITTED: u64 = 250;
pub const QUEUE: &str = "tool-queue";
pub const MESSAGES: u64 = 40;
pub const ACKNOWLEDGED: u64 = 15;
pub const LIST: &str = "tool-list";
pub const ELEMENTS: u64 = 30;
pub const POPPED: u64 = 10;

/// The value of a record, long enough that the records fill several files of the journal.
pub fn value(number: u64) -> String {
    format!("record {number} {}", "x".repeat(8000))
}

/// A directory that a gateway has written and left.
pub struct Written(Gateway);

impl Written {
    pub async fn new() -> Self {
        let mut gateway = Gateway::builder()
            .set("log.journal_file_bytes", 1 << 20)
            .set("log.journal_retain_bytes", 4 << 20)
            .set("log.segment_bytes", 1 << 20)
            .start();
        write_records(&gateway).await;
        write_messages(&gateway).await;
        write_elements(&gateway).await;
        let directory = gateway.data_dir();
        support::wait_until("something moves to segments", || {
            support::files_below(&directory.join("topics")).iter().any(|(path, bytes)| {
                *bytes > 8
                    && path.extension().is_some_and(|extension| extension == "index")
                    && path.to_string_lossy().contains(TOPIC)
            })
        });
        tokio::task::block_in_place(|| gateway.terminate());
        Self(gateway)
    }

    pub fn directory(&self) -> &Path {
        // Lives as long as the gateway that made it.
        Box::leak(self.0.data_dir().into_boxed_path())
    }

    /// Starts a gateway on a directory and ends it; an error is what it said.
    pub fn start_on(&self, directory: &Path) -> Result<(), String> {
        let mut command = support::command();
        for listener in ["kafka", "amqp", "redis", "http"] {
            command.args([&format!("--{listener}"), "127.0.0.1:0"]);
        }
        let child = command.arg("--data-dir").arg(directory).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let ready = directory.join("listening.json");
        let _ = std::fs::remove_file(&ready);
        let pid = rustix::process::Pid::from_child(&child);
        let ended = std::thread::spawn(move || child.wait_with_output().unwrap());
        support::wait_until("it is ready or has ended", || ready.exists() || ended.is_finished());
        let was_ready = ready.exists();
        if !ended.is_finished() {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        }
        let output = ended.join().unwrap();
        if was_ready && output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    }
}

pub fn producer(address: &str) -> FutureProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address).set("acks", "all").set("linger.ms", "0");
    config.create().unwrap()
}

async fn write_records(gateway: &Gateway) {
    let producer = producer(&gateway.kafka());
    for number in 0..RECORDS {
        let value = value(number);
        let record = FutureRecord::to(TOPIC).partition(0).key("key").payload(&value);
        producer.send(record, PATIENCE).await.unwrap();
    }
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", gateway.kafka()).set("group.id", GROUP).create().unwrap();
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(TOPIC, 0, Offset::Offset(i64::try_from(COMMITTED).unwrap())).unwrap();
    tokio::task::block_in_place(|| consumer.commit(&offsets, CommitMode::Sync)).unwrap();
}

pub async fn write_messages(gateway: &Gateway) {
    let connection = within("AMQP", Connection::connect(&gateway.amqp(), ConnectionProperties::default())).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    channel.queue_declare(QUEUE.into(), QueueDeclareOptions::durable(), FieldTable::default()).await.unwrap();
    for number in 0..MESSAGES {
        let properties = BasicProperties::default().with_delivery_mode(2);
        let body = format!("message {number}");
        let published =
            channel.basic_publish("".into(), QUEUE.into(), BasicPublishOptions::default(), body.as_bytes(), properties);
        published.await.unwrap().await.unwrap();
    }
    for _ in 0..ACKNOWLEDGED {
        let message = channel.basic_get(QUEUE.into(), BasicGetOptions::default()).await.unwrap().unwrap();
        message.ack(BasicAckOptions::default()).await.unwrap();
    }
    // What was acknowledged is written when the channel has answered something that came later.
    channel.queue_declare(QUEUE.into(), QueueDeclareOptions::durable(), FieldTable::default()).await.unwrap();
    connection.close(200, "done".into()).await.unwrap();
}

pub async fn write_elements(gateway: &Gateway) {
    let client = redis::Client::open(gateway.redis()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    for number in 0..ELEMENTS {
        let value: &[u8] = if number == 0 { b"\xff\xfe not text" } else { b"element" };
        let _: u64 = redis::cmd("RPUSH").arg(LIST).arg(value).query_async(&mut connection).await.unwrap();
    }
    for _ in 0..POPPED {
        let _: Vec<u8> = redis::cmd("LPOP").arg(LIST).query_async(&mut connection).await.unwrap();
    }
}

/// A gateway that serves a copy of a directory.
pub fn serve(directory: &Path) -> Gateway {
    let mut gateway = Gateway::start();
    gateway.terminate();
    let own = gateway.data_dir();
    std::fs::remove_dir_all(&own).unwrap();
    copy_into(directory, &own);
    gateway.restart();
    gateway
}
