//! Publishing: every exchange type, returns, confirms, transactions, and what a message looks like on the other side.

use lapin::options::*;
use lapin::types::{AMQPValue, FieldArray, FieldTable, LongString};
use lapin::{BasicProperties, Channel, Confirmation, ExchangeKind};

use trunkline::dialect::amqp::Settings;

use crate::broker::*;

async fn bound(channel: &Channel, kind: ExchangeKind, bindings: &[(&str, &str)]) {
    channel.exchange_declare("x".into(), kind, ExchangeDeclareOptions::default(), FieldTable::default()).await.unwrap();
    for (queue, key) in bindings {
        declare(channel, queue).await;
        let (queue, key) = ((*queue).into(), (*key).into());
        channel.queue_bind(queue, "x".into(), key, QueueBindOptions::default(), FieldTable::default()).await.unwrap();
    }
}

#[tokio::test]
async fn a_message_comes_out_as_it_went_in() {
    let broker = Broker::start().await;
    let (_connection, channel) = broker.channel().await;
    declare(&channel, "orders").await;
    confirms(&channel).await;
    let mut headers = FieldTable::default();
    headers.insert("tenant".into(), AMQPValue::LongString("a".into()));
    headers.insert("n".into(), AMQPValue::LongLongInt(-5));
    headers.insert("deep".into(), AMQPValue::FieldArray(vec![AMQPValue::Boolean(true), AMQPValue::Void].into()));
    let properties = BasicProperties::default()
        .with_content_type("text/plain".into())
        .with_headers(headers)
        .with_delivery_mode(2)
        .with_priority(3)
        .with_correlation_id("c-1".into())
        .with_timestamp(1_700_000_000)
        .with_type("kind".into());
    let confirmation = publish(&channel, "", "orders", b"hello", properties.clone()).await;
    assert!(matches!(confirmation, Confirmation::Ack(None)));
    let message = get(&channel, "orders").await.unwrap();
    assert_eq!((&message.delivery.data[..], &message.delivery.properties), (&b"hello"[..], &properties));
    assert_eq!((message.delivery.exchange.as_str(), message.delivery.routing_key.as_str()), ("", "orders"));
    assert_eq!((message.delivery.redelivered, message.message_count), (false, 0));
}

#[tokio::test]
async fn bodies_of_every_size_survive() {
    let broker = Broker::start().await;
    let (_connection, channel) = broker.channel().await;
    declare(&channel, "sizes").await;
    confirms(&channel).await;
    for size in [0, 1, 131_063, 131_064, 131_065, 3_000_000] {
        let body: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        publish(&channel, "", "sizes", &body, persistent()).await;
        let message = get(&channel, "sizes").await.unwrap();
        assert!(message.delivery.data == body, "size {size}");
        message.delivery.acker.ack(BasicAckOptions::default()).await.unwrap();
    }
}

#[tokio::test]
async fn exchanges_route_by_their_type() {
    let broker = Broker::start().await;
    type Case = (ExchangeKind, &'static [(&'static str, &'static str)], &'static str, &'static [&'static str]);
    let cases: [Case; 3] = [
        (ExchangeKind::Direct, &[("a", "k"), ("b", "k"), ("c", "other")], "k", &["a", "b"]),
        (ExchangeKind::Fanout, &[("a", "1"), ("b", "2")], "whatever", &["a", "b"]),
        (ExchangeKind::Topic, &[("a", "*.red.#"), ("b", "#"), ("c", "blue.*"), ("a", "blue.red")], "blue.red", &["a", "b", "c"]),
    ];
    for (kind, bindings, key, reached) in cases {
        let connection = broker.connect_to(&format!("{kind:?}").to_lowercase()).await;
        let channel = connection.create_channel().await.unwrap();
        confirms(&channel).await;
        bound(&channel, kind, bindings).await;
        publish(&channel, "x", key, b"m", persistent()).await;
        let mut drained = Vec::new();
        for (queue, _) in bindings {
            let expected: &[&str] = if reached.contains(queue) { &["m"] } else { &[] };
            // A queue may stand in two bindings.
            if !drained.contains(queue) {
                assert_eq!(drain(&channel, queue).await, expected, "{queue}");
                drained.push(*queue);
            }
        }
    }
}

#[tokio::test]
async fn headers_exchanges_route_by_headers() {
    let broker = Broker::start().await;
    let (_connection, channel) = broker.channel().await;
    confirms(&channel).await;
    declare(&channel, "all").await;
    declare(&channel, "any").await;
    for queue in ["all", "any"] {
        let mut arguments = FieldTable::default();
        arguments.insert("x-match".into(), AMQPValue::LongString(queue.into()));
        arguments.insert("a".into(), AMQPValue::LongString("1".into()));
        arguments.insert("b".into(), AMQPValue::LongInt(2));
        channel.queue_bind(queue.into(), "amq.headers".into(), "".into(), QueueBindOptions::default(), arguments).await.unwrap();
    }
    let mut headers = FieldTable::default();
    headers.insert("a".into(), AMQPValue::LongString("1".into()));
    publish(&channel, "amq.headers", "", b"one", persistent().with_headers(headers.clone())).await;
    headers.insert("b".into(), AMQPValue::LongLongInt(2));
    publish(&channel, "amq.headers", "", b"both", persistent().with_headers(headers)).await;
    assert_eq!(drain(&channel, "any").await, ["one", "both"]);
    assert_eq!(drain(&channel, "all").await, ["both"]);
}

#[tokio::test]
async fn a_body_for_many_queues_is_one_append() {
    let broker = Broker::start().await;
    let (_connection, channel) = broker.channel().await;
    confirms(&channel).await;
    let names: Vec<String> = (0..100).map(|number| format!("fan-{number}")).collect();
    let bindings: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
    bound(&channel, ExchangeKind::Fanout, &bindings).await;
    let before = broker.delivery.log().end();
    publish(&channel, "x", "", &[b'b'; 100_000], persistent()).await;
    let written = broker.delivery.log().end().0 - before.0;
    assert!(written < 120_000, "{written} bytes");
    for name in &names {
        assert_eq!(ready(&channel, name).await, 1);
    }
}

#[tokio::test]
async fn an_unroutable_mandatory_message_is_returned_and_then_confirmed() {
    let broker = Broker::start().await;
    let (_connection, channel) = broker.channel().await;
    confirms(&channel).await;
    let confirmation = publish(&channel, "amq.direct", "nowhere", b"lost", persistent()).await;
    let Confirmation::Ack(Some(returned)) = confirmation else { panic!("not returned: {confirmation:?}") };
    assert_eq!((returned.reply_code, returned.reply_text.as_str()), (312, "NO_ROUTE"));
    assert_eq!((&returned.delivery.data[..], returned.delivery.routing_key.as_str()), (&b"lost"[..], "nowhere"));
}

#[tokio::test]
async fn many_publishes_in_flight_are_all_confirmed_and_in_order() {
    let broker = Broker::start().await;
    let (_connection, channel) = broker.channel().await;
    declare(&channel, "many").await;
    confirms(&channel).await;
    let mut waiting = Vec::new();
    for number in 0..2000 {
        let body = number.to_string();
        let properties = if number % 3 == 0 { BasicProperties::default() } else { persistent() };
        let options = BasicPublishOptions::default();
        waiting.push(channel.basic_publish("".into(), "many".into(), options, body.as_bytes(), properties).await.unwrap());
    }
    for confirm in waiting {
        assert!(matches!(confirm.await.unwrap(), Confirmation::Ack(None)));
    }
    let expected: Vec<String> = (0..2000).map(|number| number.to_string()).collect();
    assert_eq!(drain(&channel, "many").await, expected);
}

#[tokio::test]
async fn copies_go_to_the_queues_that_the_headers_name() {
    let broker = Broker::start().await;
    let (_connection, channel) = broker.channel().await;
    confirms(&channel).await;
    for queue in ["main", "copy", "blind"] {
        declare(&channel, queue).await;
    }
    let list = |name: &str| AMQPValue::FieldArray(FieldArray::from(vec![AMQPValue::LongString(LongString::from(name))]));
    let mut headers = FieldTable::default();
    headers.insert("CC".into(), list("copy"));
    headers.insert("BCC".into(), list("blind"));
    publish(&channel, "", "main", b"m", persistent().with_headers(headers)).await;
    for queue in ["main", "copy", "blind"] {
        let message = get(&channel, queue).await.unwrap();
        let headers = message.delivery.properties.headers().clone().unwrap();
        let has = |name: &str| headers.inner().keys().any(|key| key.as_str() == name);
        assert_eq!((has("CC"), has("BCC")), (true, false), "{queue}");
    }
}

#[tokio::test]
async fn a_transaction_is_seen_at_commit_and_not_before() {
    let broker = Broker::start().await;
    let (connection, channel) = broker.channel().await;
    let other = connection.create_channel().await.unwrap();
    declare(&channel, "tx").await;
    channel.tx_select().await.unwrap();
    for body in [b"1", b"2"] {
        drop(channel.basic_publish("".into(), "tx".into(), BasicPublishOptions::default(), body, persistent()).await.unwrap());
    }
    channel.tx_rollback().await.unwrap();
    assert_eq!(ready(&other, "tx").await, 0);
    drop(channel.basic_publish("".into(), "tx".into(), BasicPublishOptions::default(), b"3", persistent()).await.unwrap());
    channel.tx_commit().await.unwrap();
    assert_eq!(ready(&other, "tx").await, 1);
    let message = get(&channel, "tx").await.unwrap();
    message.delivery.acker.ack(BasicAckOptions::default()).await.unwrap();
    channel.tx_rollback().await.unwrap();
    channel.basic_ack(message.delivery.delivery_tag, BasicAckOptions::default()).await.unwrap();
    channel.tx_commit().await.unwrap();
    channel.close(200, "".into()).await.unwrap();
    assert_eq!(ready(&other, "tx").await, 0);
}

#[tokio::test]
async fn a_transaction_with_a_fault_in_it_leaves_nothing() {
    let broker = Broker::start().await;
    let (connection, channel) = broker.channel().await;
    let other = connection.create_channel().await.unwrap();
    declare(&channel, "tx").await;
    channel.tx_select().await.unwrap();
    drop(channel.basic_publish("".into(), "tx".into(), BasicPublishOptions::default(), b"good", persistent()).await.unwrap());
    let foreign = persistent().with_user_id("somebody".into());
    drop(channel.basic_publish("".into(), "tx".into(), BasicPublishOptions::default(), b"bad", foreign).await.unwrap());
    assert_eq!(reply(channel.tx_commit().await).0, 406);
    assert_eq!(ready(&other, "tx").await, 0);
}

#[tokio::test]
async fn what_cannot_be_published_closes_the_channel() {
    let broker = Broker::start().await;
    let (connection, channel) = broker.channel().await;
    confirms(&channel).await;
    let sent = channel.basic_publish("none".into(), "".into(), BasicPublishOptions::default(), b"", persistent()).await.unwrap();
    assert_eq!(reply(sent.await), (404, "NOT_FOUND - no exchange 'none' in vhost '/'".to_owned()));
    let channel = connection.create_channel().await.unwrap();
    confirms(&channel).await;
    let properties = persistent().with_user_id("somebody".into());
    let sent = channel.basic_publish("".into(), "q".into(), BasicPublishOptions::default(), b"", properties).await.unwrap();
    assert_eq!(reply(sent.await).0, 406);
    assert!(connection.status().connected());
}

/// On a disk that is done at once, a sync may end between any two looks at what waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_confirm_waits_for_the_next_heartbeat() {
    let memory = std::path::Path::new("/dev/shm");
    let directory = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    let broker = Broker::on(directory.unwrap(), Settings::default()).await;
    let mut publishers = tokio::task::JoinSet::new();
    for publisher in 0..4 {
        let (connection, channel) = broker.channel().await;
        publishers.spawn(async move {
            let queue = format!("q{publisher}");
            declare(&channel, &queue).await;
            confirms(&channel).await;
            for _ in 0..2000 {
                publish(&channel, "", &queue, b"m", persistent()).await;
            }
            drop(connection);
        });
    }
    let all = async { while publishers.join_next().await.is_some_and(|done| done.is_ok()) {} };
    tokio::time::timeout(std::time::Duration::from_secs(20), all).await.expect("a heartbeat comes every 60 seconds");
}
