//! Exports of topics that transactions wrote to: what was aborted or never ended is told apart.

use std::path::Path;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::Value;

use super::run::log_in;
use super::support::{Gateway, PATIENCE};
use super::written::serve;

const TOPIC: &str = "transfers";
const CALL: Duration = Duration::from_secs(20);

type Writer = ThreadedProducer<DefaultProducerContext>;

fn writer(gateway: &Gateway, id: Option<&str>) -> Writer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", gateway.kafka()).set("linger.ms", "0").set("compression.type", "lz4");
    if let Some(id) = id {
        config.set("transactional.id", id);
    }
    let writer: Writer = config.create().unwrap();
    if id.is_some() {
        writer.init_transactions(CALL).unwrap();
    }
    writer
}

fn send(writer: &Writer, values: &[&str]) {
    for value in values {
        writer.send(BaseRecord::<(), str>::to(TOPIC).partition(0).payload(value)).map_err(|(error, _)| error).unwrap();
    }
    writer.flush(CALL).unwrap();
}

/// What a reader that asks for everything sees, whatever became of it.
fn read_uncommitted(gateway: &Gateway) -> Vec<String> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", gateway.kafka()).set("group.id", "reader").set("enable.partition.eof", "true");
    let reader: BaseConsumer = config.set("isolation.level", "read_uncommitted").create().unwrap();
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

#[test]
fn exports_tell_what_was_aborted_and_imports_restore_what_was_committed() {
    let mut gateway = Gateway::start();
    let (plain, first, second) = (writer(&gateway, None), writer(&gateway, Some("a")), writer(&gateway, Some("b")));
    send(&plain, &["plain 1"]);
    first.begin_transaction().unwrap();
    second.begin_transaction().unwrap();
    send(&first, &["aborted 1"]);
    send(&second, &["committed 1"]);
    send(&first, &["aborted 2"]);
    first.abort_transaction(CALL).unwrap();
    send(&plain, &["plain 2"]);
    send(&second, &["committed 2"]);
    second.commit_transaction(CALL).unwrap();
    first.begin_transaction().unwrap();
    send(&first, &["committed 3"]);
    first.commit_transaction(CALL).unwrap();
    second.begin_transaction().unwrap();
    send(&second, &["open 1"]);
    send(&plain, &["plain 3"]);
    // Neither a commit nor an abort comes in between.
    gateway.kill();
    drop((plain, first, second));
    let committed = ["plain 1", "committed 1", "plain 2", "committed 2", "committed 3", "plain 3"];

    let place = tempfile::tempdir().unwrap();
    let file = |name: &str| place.path().join(name);
    let export = |name: &str, arguments: &[&str]| {
        let to = file(name);
        let all = [&["export", "--topic", TOPIC, "--to", to.to_str().unwrap()], arguments].concat();
        log_in(&gateway.data_dir(), &all).assert_code(0).stderr
    };
    let told = export("committed.jsonl", &[]);
    assert!(told.contains("6 records") && told.contains("3 records of transactions") && told.contains("--isolation"), "{told}");
    assert_eq!(marked(&file("committed.jsonl")), committed.map(|value| (value.to_owned(), Value::Null)));
    let told = export("all.jsonl", &["--isolation", "read_uncommitted"]);
    assert!(told.contains("9 records") && told.contains("3 records of transactions"), "{told}");
    let undone = [("aborted 1", "aborted"), ("aborted 2", "aborted"), ("open 1", "open")];
    let found: Vec<_> = marked(&file("all.jsonl")).into_iter().filter(|(_, mark)| !mark.is_null()).collect();
    assert_eq!(found, undone.map(|(value, mark)| (value.to_owned(), Value::from(mark))));
    export("committed.batches", &["--format", "batches"]);
    export("all.batches", &["--format", "batches", "--isolation", "read_uncommitted"]);

    for name in ["committed.jsonl", "all.jsonl", "committed.batches", "all.batches"] {
        for keep in [None, Some("--keep-offsets")] {
            let target = place.path().join(format!("{name}-{}", keep.is_some()));
            let from = file(name);
            let mut arguments = vec!["import", "--create", "--from", from.to_str().unwrap()];
            arguments.extend(keep);
            let told = log_in(&target, &arguments).assert_code(0);
            assert!(told.stdout.contains("6 records"), "{}", told.stdout);
            assert_eq!(told.stderr.contains("left out"), name.starts_with("all"), "{}", told.stderr);
            assert_eq!(read_uncommitted(&serve(&target)), committed, "{name} {keep:?}");
        }
    }
}

/// The records of an export in lines: what they say and how they are marked.
fn marked(path: &Path) -> Vec<(String, Value)> {
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let records = lines.filter(|line| line.get("value").is_some());
    records.map(|line| (line["value"].as_str().unwrap().to_owned(), line["transaction"].clone())).collect()
}
