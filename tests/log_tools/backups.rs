//! Backups of a gateway that is written to in all three dialects: a gateway starts on each, and clients find what was acknowledged.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lapin::options::{BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::FutureRecord;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::run::log_in;
use super::support::{self, Gateway, PATIENCE, within};
use super::written::{
    ACKNOWLEDGED, ELEMENTS, LIST, MESSAGES, POPPED, QUEUE, TOPIC, producer, serve, value, write_elements, write_messages,
};

/// Taken from the queue and not settled while backups are made.
const IN_FLIGHT: u64 = 5;

/// How many of its numbered values each writer knows to be written.
#[derive(Default)]
struct Acknowledged {
    records: AtomicU64,
    messages: AtomicU64,
    elements: AtomicU64,
    slowest_us: AtomicU64,
    ending: AtomicBool,
}

impl Acknowledged {
    fn now(&self) -> [u64; 3] {
        [&self.records, &self.messages, &self.elements].map(|count| count.load(Ordering::SeqCst))
    }

    fn note(&self, count: &AtomicU64, began: Instant) {
        count.fetch_add(1, Ordering::SeqCst);
        self.slowest_us.fetch_max(u64::try_from(began.elapsed().as_micros()).unwrap(), Ordering::Relaxed);
    }

    fn goes_on(&self) -> bool {
        !self.ending.load(Ordering::Relaxed)
    }
}

async fn channel(gateway: &Gateway) -> (Connection, Channel) {
    let connection = within("AMQP", Connection::connect(&gateway.amqp(), ConnectionProperties::default())).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    (connection, channel)
}

/// Writes numbered values in each dialect until told to end.
async fn keep_writing(gateway: &Gateway, acknowledged: &Arc<Acknowledged>) {
    let (producer, counts) = (producer(&gateway.kafka()), Arc::clone(acknowledged));
    tokio::spawn(async move {
        for number in 0.. {
            let (value, began) = (value(number), Instant::now());
            let record = FutureRecord::<(), _>::to(TOPIC).partition(0).payload(&value);
            producer.send(record, PATIENCE).await.unwrap();
            counts.note(&counts.records, began);
            if !counts.goes_on() {
                return;
            }
        }
    });
    let ((connection, channel), counts) = (channel(gateway).await, Arc::clone(acknowledged));
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    tokio::spawn(async move {
        for number in 0.. {
            let (body, began) = (format!("later {number}"), Instant::now());
            let properties = BasicProperties::default().with_delivery_mode(2);
            let published =
                channel.basic_publish("".into(), QUEUE.into(), BasicPublishOptions::default(), body.as_bytes(), properties);
            published.await.unwrap().await.unwrap();
            counts.note(&counts.messages, began);
            if !counts.goes_on() {
                return drop(connection);
            }
        }
    });
    let client = redis::Client::open(gateway.redis()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let counts = Arc::clone(acknowledged);
    tokio::spawn(async move {
        for number in 0.. {
            let began = Instant::now();
            let value = format!("later {number}");
            let _: u64 = redis::cmd("RPUSH").arg(LIST).arg(value).query_async(&mut connection).await.unwrap();
            counts.note(&counts.elements, began);
            if !counts.goes_on() {
                return;
            }
        }
    });
}

/// All values of the topic.
fn records(gateway: &Gateway) -> Vec<String> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", gateway.kafka()).set("group.id", "reader").set("enable.partition.eof", "true");
    let reader: BaseConsumer = config.create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(TOPIC, 0, Offset::Beginning).unwrap();
    reader.assign(&list).unwrap();
    let mut values = Vec::new();
    loop {
        match reader.poll(PATIENCE).expect("a record or the end") {
            Ok(message) => values.push(String::from_utf8(message.payload().unwrap_or_default().to_vec()).unwrap()),
            Err(KafkaError::PartitionEOF(_)) => return values,
            Err(error) => panic!("{error}"),
        }
    }
}

/// All messages of the queue, and whether each was delivered before.
async fn messages(gateway: &Gateway) -> Vec<(String, bool)> {
    let (_connection, channel) = channel(gateway).await;
    let mut found = Vec::new();
    while let Some(message) = channel.basic_get(QUEUE.into(), BasicGetOptions { no_ack: true }).await.unwrap() {
        found.push((String::from_utf8(message.delivery.data.clone()).unwrap(), message.delivery.redelivered));
    }
    found
}

fn later(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|number| format!("later {number}"))
}

/// A gateway starts on a backup and serves, in order and each once, at least what was acknowledged before.
async fn assert_serves(backup: &Path, [records_least, messages_least, elements_least]: [u64; 3]) {
    let gateway = tokio::task::block_in_place(|| serve(backup));
    let found = tokio::task::block_in_place(|| records(&gateway));
    assert!(found.len() as u64 >= records_least, "{} of {records_least} records", found.len());
    assert!(found.iter().zip(0..).all(|(found, number)| *found == value(number)));

    let found = messages(&gateway).await;
    let kept = (MESSAGES - ACKNOWLEDGED) as usize;
    assert!(found.len() as u64 >= kept as u64 + messages_least, "{} of {messages_least} messages", found.len());
    let expected = (ACKNOWLEDGED..MESSAGES).map(|number| format!("message {number}")).chain(later(found.len() - kept));
    assert!(found.iter().map(|(body, _)| body).eq(expected.collect::<Vec<_>>().iter()), "{found:?}");
    let again: Vec<_> = found.iter().filter(|(_, redelivered)| *redelivered).map(|(body, _)| body.clone()).collect();
    assert!(found[..IN_FLIGHT as usize].iter().all(|(_, redelivered)| *redelivered), "those in flight are marked: {again:?}");

    let client = redis::Client::open(gateway.redis()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let found: Vec<Vec<u8>> = redis::cmd("LRANGE").arg(LIST).arg(0).arg(-1).query_async(&mut connection).await.unwrap();
    let kept = (ELEMENTS - POPPED) as usize;
    assert!(found.len() as u64 >= kept as u64 + elements_least, "{} of {elements_least} elements", found.len());
    assert!(found[..kept].iter().all(|element| element == b"element"));
    assert!(found[kept..].iter().map(|element| String::from_utf8_lossy(element).into_owned()).eq(later(found.len() - kept)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_has_all_that_was_acknowledged_before_it() {
    let gateway = Gateway::builder()
        .set("log.journal_file_bytes", 1 << 20)
        .set("log.journal_retain_bytes", 4 << 20)
        .set("log.segment_bytes", 1 << 20)
        .start();
    write_messages(&gateway).await;
    write_elements(&gateway).await;
    let (_holder, holding) = channel(&gateway).await;
    for _ in 0..IN_FLIGHT {
        holding.basic_get(QUEUE.into(), BasicGetOptions::default()).await.unwrap().expect("a message");
    }
    let acknowledged = Arc::new(Acknowledged::default());
    keep_writing(&gateway, &acknowledged).await;

    let place = tempfile::tempdir().unwrap();
    for (round, link) in [false, true].into_iter().enumerate() {
        let from = acknowledged.now();
        let reached = || async {
            let now = acknowledged.now();
            let is_further = now[0] >= from[0] + 400 && now[1] > from[1] && now[2] > from[2];
            is_further.then_some(now)
        };
        let before = support::eventually("more is acknowledged", reached).await;
        let to = place.path().join(format!("backup-{round}"));
        let mut arguments = vec!["backup", "--to", to.to_str().unwrap()];
        arguments.extend(link.then_some("--link"));
        let done = log_in(&gateway.data_dir(), &arguments).assert_code(0);
        assert!(done.stdout.contains("nothing is damaged"), "{}", done.stdout);
        log_in(&to, &["verify"]).assert_code(0);
        assert_serves(&to, before).await;
    }
    let held = log_in(&gateway.data_dir(), &["repair", "--apply"]).assert_code(1).stderr;
    assert!(held.contains(&format!("process {}", gateway.pid())), "{held}");
    let read = log_in(&gateway.data_dir(), &["ls"]).assert_code(0).stderr;
    assert!(read.contains("may be moving"), "{read}");
    let read = log_in(&gateway.data_dir(), &["verify"]).assert_code(0);
    assert!(read.stdout.contains("whole"), "{}", read.stdout);
    acknowledged.ending.store(true, Ordering::Relaxed);
    // A backup takes as long as it takes; a writer waits for the disk and for nothing else.
    let slowest = Duration::from_micros(acknowledged.slowest_us.load(Ordering::Relaxed));
    assert!(slowest < Duration::from_secs(5), "a writer waited for {slowest:?}");
}
