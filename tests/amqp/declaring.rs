//! Declaring and deleting: equivalence, passive, exclusive, auto-delete, server-named, and the errors of each.

use lapin::options::*;
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ExchangeKind};

use crate::broker::*;
use crate::support::until;

fn passive() -> QueueDeclareOptions {
    QueueDeclareOptions { passive: true, ..Default::default() }
}

async fn exchange(channel: &Channel, name: &str, kind: ExchangeKind, options: ExchangeDeclareOptions) -> lapin::Result<()> {
    channel.exchange_declare(name.into(), kind, options, FieldTable::default()).await
}

#[tokio::test]
async fn a_queue_that_is_not_there_is_not_found() {
    let broker = Broker::start().await;
    let (connection, channel) = broker.channel().await;
    let missing = "NOT_FOUND - no queue 'nope' in vhost '/'".to_owned();
    assert_eq!(reply(declare_with(&channel, "nope", passive()).await), (404, missing.clone()));
    let channel = connection.create_channel().await.unwrap();
    let options = BasicConsumeOptions::default();
    assert_eq!(reply(channel.basic_consume("nope".into(), "".into(), options, FieldTable::default()).await), (404, missing));
    let channel = connection.create_channel().await.unwrap();
    assert_eq!(channel.queue_delete("nope".into(), QueueDeleteOptions::default()).await.unwrap(), 0);
}

#[tokio::test]
async fn a_second_declaration_must_ask_for_the_same() {
    let broker = Broker::start().await;
    let (connection, channel) = broker.channel().await;
    declare(&channel, "q").await;
    declare(&channel, "q").await;
    let (code, text) = reply(declare_with(&channel, "q", QueueDeclareOptions::default()).await);
    let expected =
        "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q' in vhost '/': received 'false' but current is 'true'";
    assert_eq!((code, text.as_str()), (406, expected));
    let channel = connection.create_channel().await.unwrap();
    exchange(&channel, "e", ExchangeKind::Topic, ExchangeDeclareOptions::default()).await.unwrap();
    let (code, text) = reply(exchange(&channel, "e", ExchangeKind::Direct, ExchangeDeclareOptions::default()).await);
    let expected =
        "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'e' in vhost '/': received 'direct' but current is 'topic'";
    assert_eq!((code, text.as_str()), (406, expected));
}

#[tokio::test]
async fn names_of_the_broker_are_reserved() {
    let broker = Broker::start().await;
    let (connection, channel) = broker.channel().await;
    let (code, text) = reply(declare_with(&channel, "amq.mine", QueueDeclareOptions::default()).await);
    assert_eq!((code, text.as_str()), (403, "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'"));
    let channel = connection.create_channel().await.unwrap();
    assert_eq!(reply(declare_with(&channel, "__topics", QueueDeclareOptions::default()).await).0, 403);
    let channel = connection.create_channel().await.unwrap();
    assert_eq!(reply(declare_with(&channel, "__topics", passive()).await).0, 404);
}

#[tokio::test]
async fn a_server_names_a_queue_and_remembers_the_last() {
    let broker = Broker::start().await;
    let (_connection, channel) = broker.channel().await;
    let queue = declare_with(&channel, "", QueueDeclareOptions { exclusive: true, ..Default::default() }).await.unwrap();
    assert!(queue.name().as_str().starts_with("amq.gen-"), "{}", queue.name());
    channel
        .queue_bind("".into(), "amq.fanout".into(), "".into(), QueueBindOptions::default(), FieldTable::default())
        .await
        .unwrap();
    confirms(&channel).await;
    publish(&channel, "amq.fanout", "", b"m", persistent()).await;
    assert_eq!(drain(&channel, queue.name().as_str()).await, ["m"]);
}

#[tokio::test]
async fn an_exclusive_queue_is_locked_and_dies_with_its_connection() {
    let broker = Broker::start().await;
    let (owner, channel) = broker.channel().await;
    declare_with(&channel, "mine", QueueDeclareOptions { exclusive: true, ..Default::default() }).await.unwrap();
    let other = broker.connect().await;
    let channel = other.create_channel().await.unwrap();
    let (code, text) = reply(declare_with(&channel, "mine", passive()).await);
    assert_eq!(code, 405);
    assert!(text.starts_with("RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'mine' in vhost '/'"), "{text}");
    owner.close(200, "".into()).await.unwrap();
    until("the queue is gone", async || {
        let channel = other.create_channel().await.unwrap();
        declare_with(&channel, "mine", passive()).await.is_err_and(|error| reply::<()>(Err(error)).0 == 404)
    })
    .await;
}

#[tokio::test]
async fn an_auto_delete_queue_goes_with_its_last_consumer() {
    let broker = Broker::start().await;
    let (_connection, channel) = broker.channel().await;
    declare_with(&channel, "auto", QueueDeclareOptions { auto_delete: true, ..Default::default() }).await.unwrap();
    let mut held = Vec::new();
    for tag in ["one", "two"] {
        let consumer =
            channel.basic_consume("auto".into(), tag.into(), BasicConsumeOptions::default(), FieldTable::default()).await;
        held.push(consumer.unwrap());
    }
    channel.basic_cancel("one".into(), BasicCancelOptions::default()).await.unwrap();
    assert_eq!(declare_with(&channel, "auto", passive()).await.unwrap().consumer_count(), 1);
    channel.basic_cancel("two".into(), BasicCancelOptions::default()).await.unwrap();
    assert_eq!(reply(declare_with(&channel, "auto", passive()).await).0, 404);
}

#[tokio::test]
async fn deleting_looks_at_its_conditions() {
    let broker = Broker::start().await;
    let (connection, channel) = broker.channel().await;
    declare(&channel, "full").await;
    confirms(&channel).await;
    publish(&channel, "", "full", b"m", persistent()).await;
    let if_empty = QueueDeleteOptions { if_empty: true, ..Default::default() };
    let (code, text) = reply(channel.queue_delete("full".into(), if_empty).await);
    assert_eq!((code, text.as_str()), (406, "PRECONDITION_FAILED - queue 'full' in vhost '/' is not empty"));
    let channel = connection.create_channel().await.unwrap();
    channel.basic_consume("full".into(), "".into(), BasicConsumeOptions::default(), FieldTable::default()).await.unwrap();
    let if_unused = QueueDeleteOptions { if_unused: true, ..Default::default() };
    assert_eq!(reply(channel.queue_delete("full".into(), if_unused).await).0, 406);
    let channel = connection.create_channel().await.unwrap();
    assert_eq!(channel.queue_delete("full".into(), QueueDeleteOptions::default()).await.unwrap(), 1);
    declare(&channel, "full").await;
    assert_eq!(ready(&channel, "full").await, 0);
}

#[tokio::test]
async fn purging_counts_what_was_ready() {
    let broker = Broker::start().await;
    let (_connection, channel) = broker.channel().await;
    declare(&channel, "p").await;
    confirms(&channel).await;
    for _ in 0..3 {
        publish(&channel, "", "p", b"m", persistent()).await;
    }
    let held = get(&channel, "p").await.unwrap();
    assert_eq!(channel.queue_purge("p".into(), QueuePurgeOptions::default()).await.unwrap(), 2);
    held.delivery.acker.reject(BasicRejectOptions { requeue: true }).await.unwrap();
    assert_eq!(drain(&channel, "p").await, ["m"]);
}

#[tokio::test]
async fn exchanges_can_be_bound_unbound_and_deleted() {
    let broker = Broker::start().await;
    let (connection, channel) = broker.channel().await;
    confirms(&channel).await;
    exchange(&channel, "from", ExchangeKind::Topic, ExchangeDeclareOptions::default()).await.unwrap();
    exchange(&channel, "to", ExchangeKind::Fanout, ExchangeDeclareOptions { internal: true, ..Default::default() })
        .await
        .unwrap();
    declare(&channel, "end").await;
    channel.queue_bind("end".into(), "to".into(), "".into(), QueueBindOptions::default(), FieldTable::default()).await.unwrap();
    let bind = ExchangeBindOptions::default();
    channel.exchange_bind("to".into(), "from".into(), "a.#".into(), bind, FieldTable::default()).await.unwrap();
    publish(&channel, "from", "a.b", b"1", persistent()).await;
    let unbind = ExchangeUnbindOptions::default();
    channel.exchange_unbind("to".into(), "from".into(), "a.#".into(), unbind, FieldTable::default()).await.unwrap();
    publish(&channel, "from", "a.b", b"2", persistent()).await;
    assert_eq!(drain(&channel, "end").await, ["1"]);
    let sent = channel.basic_publish("to".into(), "".into(), BasicPublishOptions::default(), b"", persistent()).await.unwrap();
    assert_eq!(reply(sent.await), (403, "ACCESS_REFUSED - cannot publish to internal exchange 'to' in vhost '/'".to_owned()));
    let channel = connection.create_channel().await.unwrap();
    let if_unused = ExchangeDeleteOptions { if_unused: true, ..Default::default() };
    assert_eq!(reply(channel.exchange_delete("to".into(), if_unused).await).0, 406);
    let channel = connection.create_channel().await.unwrap();
    channel.exchange_delete("to".into(), ExchangeDeleteOptions::default()).await.unwrap();
    assert_eq!(
        reply(
            exchange(&channel, "to", ExchangeKind::Fanout, ExchangeDeclareOptions { passive: true, ..Default::default() }).await
        )
        .0,
        404
    );
}

#[tokio::test]
async fn what_is_not_supported_says_so() {
    let broker = Broker::start().await;
    let (connection, channel) = broker.channel().await;
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-age".into(), AMQPValue::LongString("1h".into()));
    let refused = channel.queue_declare("q".into(), QueueDeclareOptions::default(), arguments).await;
    assert_eq!(reply(refused).0, 406);
    let channel = connection.create_channel().await.unwrap();
    let unknown =
        exchange(&channel, "e", ExchangeKind::Custom("x-delayed-message".into()), ExchangeDeclareOptions::default()).await;
    assert_eq!(reply(unknown), (503, "COMMAND_INVALID - unknown exchange type 'x-delayed-message'".to_owned()));
    assert!(!connection.status().connected());
}

#[tokio::test]
async fn a_name_made_elsewhere_is_a_queue() {
    use trunkline::delivery::{Kind, Target};
    use trunkline::log::record::Record;
    use trunkline::log::{TopicName, TopicSettings};
    let broker = Broker::start().await;
    {
        let mut unit = broker.delivery.begin().unwrap();
        let topic = unit.create_topic(&TopicName::new("made-elsewhere").unwrap(), 1, TopicSettings::default()).unwrap();
        let record =
            Record { value: Some("v".into()), key: Some("k".into()), headers: Vec::new(), timestamp_ms: 1_700_000_000_123 };
        unit.append(&[Target { topic, partition: 0 }], &record, Kind::Plain);
        unit.commit();
    }
    let (_connection, channel) = broker.channel().await;
    confirms(&channel).await;
    publish(&channel, "", "made-elsewhere", b"w", persistent()).await;
    let message = get(&channel, "made-elsewhere").await.unwrap();
    assert_eq!((&message.delivery.data[..], message.delivery.routing_key.as_str()), (&b"v"[..], "made-elsewhere"));
    let headers = message.delivery.properties.headers().clone().unwrap();
    assert_eq!(headers.inner().get("x-record-key"), Some(&AMQPValue::LongString("k".into())));
    declare(&channel, "made-elsewhere").await;
    assert_eq!(drain(&channel, "made-elsewhere").await, ["w"]);
    channel.queue_delete("made-elsewhere".into(), QueueDeleteOptions::default()).await.unwrap();
    assert!(broker.delivery.log().topic(&TopicName::new("made-elsewhere").unwrap()).is_some());
}
