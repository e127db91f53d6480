//! Records that die: rejected, expired, dropped for want of room, failed too often; where they go and what their history says.

use lapin::message::BasicGetMessage;
use lapin::options::*;
use lapin::types::{AMQPValue, FieldArray, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation};

use crate::broker::*;
use crate::support::until;

type Arguments = [(&'static str, AMQPValue)];

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

fn number(value: i32) -> AMQPValue {
    AMQPValue::LongInt(value)
}

async fn queue(channel: &Channel, name: &str, arguments: &Arguments) {
    let options = QueueDeclareOptions { durable: true, ..Default::default() };
    let mut table = FieldTable::default();
    for (name, value) in arguments {
        table.insert((*name).into(), value.clone());
    }
    channel.queue_declare(name.into(), options, table).await.unwrap();
}

/// A queue whose dead letters go to the queue `dead`.
async fn mortal(channel: &Channel, name: &str, arguments: &Arguments) {
    let to_dead = [("x-dead-letter-exchange", text("")), ("x-dead-letter-routing-key", text("dead"))];
    let all: Vec<_> = to_dead.into_iter().chain(arguments.iter().cloned()).collect();
    queue(channel, name, &all).await;
    declare(channel, "dead").await;
    confirms(channel).await;
}

fn headers(message: &BasicGetMessage) -> FieldTable {
    message.delivery.properties.headers().clone().unwrap_or_default()
}

fn header(message: &BasicGetMessage, name: &str) -> Option<String> {
    headers(message).inner().get(&ShortString::from(name)).map(plain)
}

fn plain(value: &AMQPValue) -> String {
    match value {
        AMQPValue::LongString(text) => String::from_utf8_lossy(text.as_bytes()).into_owned(),
        AMQPValue::LongLongInt(number) => number.to_string(),
        AMQPValue::FieldArray(values) => values.as_slice().iter().map(plain).collect::<Vec<_>>().join(","),
        other => format!("{other:?}"),
    }
}

/// The entries of `x-death`, as queue, reason, count, exchange and routing keys.
fn deaths(message: &BasicGetMessage) -> Vec<String> {
    let table = headers(message);
    let Some(AMQPValue::FieldArray(entries)) = table.inner().get(&ShortString::from("x-death")) else { return Vec::new() };
    let entry = |value: &AMQPValue| {
        let AMQPValue::FieldTable(entry) = value else { panic!("not a table: {value:?}") };
        let field = |name: &str| entry.inner().get(&ShortString::from(name)).map(plain).unwrap_or_default();
        ["queue", "reason", "count", "exchange", "routing-keys"].map(field).join(" ")
    };
    entries.as_slice().iter().map(entry).collect()
}

/// Waits for a message.
async fn arrival(channel: &Channel, queue: &str) -> BasicGetMessage {
    let mut found = None;
    until("a message arrives", async || {
        found = get(channel, queue).await;
        found.is_some()
    })
    .await;
    found.unwrap()
}

fn body(message: &BasicGetMessage) -> String {
    String::from_utf8(message.delivery.data.clone()).unwrap()
}

#[tokio::test]
async fn a_rejected_message_goes_to_the_dead_letter_exchange_with_its_history() {
    let broker = Broker::start().await;
    let (_connection, channel) = broker.channel().await;
    mortal(&channel, "work", &[]).await;
    let bind = QueueBindOptions::default();
    channel.queue_bind("work".into(), "amq.topic".into(), "a.*".into(), bind, FieldTable::default()).await.unwrap();
    let mut table = FieldTable::default();
    table.insert("CC".into(), AMQPValue::FieldArray(FieldArray::from(vec![text("more")])));
    table.insert("mine".into(), text("kept"));
    publish(&channel, "amq.topic", "a.b", b"body", persistent().with_headers(table).with_message_id("7".into())).await;
    let message = get(&channel, "work").await.unwrap();
    message.delivery.acker.reject(BasicRejectOptions { requeue: false }).await.unwrap();

    let dead = arrival(&channel, "dead").await;
    assert_eq!((body(&dead), dead.delivery.exchange.as_str(), dead.delivery.routing_key.as_str()), ("body".into(), "", "dead"));
    assert_eq!(deaths(&dead), ["work rejected 1 amq.topic a.b,more"]);
    assert_eq!(header(&dead, "mine").as_deref(), Some("kept"));
    assert_eq!(header(&dead, "CC"), None, "a dead letter's own routing key takes its place");
    assert_eq!(dead.delivery.properties.message_id().as_ref().unwrap().as_str(), "7");
    for when in ["first", "last"] {
        let of = |what: &str| header(&dead, &format!("x-{when}-death-{what}")).unwrap();
        assert_eq!((of("reason"), of("queue"), of("exchange")), ("rejected".into(), "work".into(), "amq.topic".into()));
    }
    assert_eq!(ready(&channel, "work").await, 0);
}

#[tokio::test]
async fn the_same_death_again_is_counted_and_another_comes_first() {
    let broker = Broker::start().await;
    let (_connection, channel) = broker.channel().await;
    // Rejected here, sent back by time there.
    queue(&channel, "work", &[("x-dead-letter-exchange", text("")), ("x-dead-letter-routing-key", text("wait"))]).await;
    let wait = [("x-dead-letter-exchange", text("")), ("x-dead-letter-routing-key", text("work")), ("x-message-ttl", number(1))];
    queue(&channel, "wait", &wait).await;
    confirms(&channel).await;
    publish(&channel, "", "work", b"again", persistent()).await;
    for _ in 0..3 {
        let message = arrival(&channel, "work").await;
        message.delivery.acker.nack(BasicNackOptions { requeue: false, multiple: false }).await.unwrap();
    }
    let message = arrival(&channel, "work").await;
    assert_eq!(deaths(&message), ["wait expired 3  wait", "work rejected 3  work"]);
    assert_eq!(header(&message, "x-first-death-queue").as_deref(), Some("work"));
    assert_eq!(header(&message, "x-last-death-queue").as_deref(), Some("wait"));
}

#[tokio::test]
async fn what_goes_round_by_itself_is_dropped() {
    let broker = Broker::start().await;
    let (_connection, channel) = broker.channel().await;
    let to_b = [("x-dead-letter-exchange", text("")), ("x-dead-letter-routing-key", text("b")), ("x-message-ttl", number(1))];
    let to_a = [("x-dead-letter-exchange", text("")), ("x-dead-letter-routing-key", text("a")), ("x-message-ttl", number(1))];
    queue(&channel, "a", &to_b).await;
    queue(&channel, "b", &to_a).await;
    confirms(&channel).await;
    publish(&channel, "", "a", b"round", persistent()).await;
    until("it is gone", async || {
        let ended = |queue: &trunkline::delivery::QueueSnapshot| queue.ready == 0;
        broker.delivery.queues().iter().all(ended)
            && broker
                .delivery
                .log()
                .topic(&trunkline::log::TopicName::new("b").unwrap())
                .unwrap()
                .partition(0)
                .unwrap()
                .bounds()
                .end
                == 1
    })
    .await;
    assert_eq!((ready(&channel, "a").await, ready(&channel, "b").await), (0, 0));
}

#[tokio::test]
async fn messages_expire_at_their_own_time_wherever_they_stand() {
    let broker = Broker::start().await;
    let (_connection, channel) = broker.channel().await;
    mortal(&channel, "work", &[]).await;
    let lasting = |ms: &str| persistent().with_expiration(ms.into());
    publish(&channel, "", "work", b"long", lasting("600000")).await;
    publish(&channel, "", "work", b"short", lasting("20")).await;
    publish(&channel, "", "work", b"for ever", persistent()).await;
    let dead = arrival(&channel, "dead").await;
    assert_eq!((body(&dead), deaths(&dead)), ("short".into(), vec!["work expired 1  work".to_owned()]));
    assert_eq!(dead.delivery.properties.expiration(), &None);
    assert!(format!("{:?}", headers(&dead)).contains("original-expiration"));
    assert_eq!(drain(&channel, "work").await, ["long", "for ever"]);
}

#[tokio::test]
async fn a_deadline_is_kept_through_a_requeue_and_a_restart() {
    let broker = Broker::start().await;
    let (connection, channel) = broker.channel().await;
    mortal(&channel, "work", &[("x-message-ttl", number(300))]).await;
    publish(&channel, "", "work", b"taken", persistent()).await;
    publish(&channel, "", "work", b"left", persistent()).await;
    let taken = get(&channel, "work").await.unwrap();
    let left = arrival(&channel, "dead").await;
    assert_eq!(body(&left), "left", "what is in flight does not expire");
    left.delivery.acker.ack(BasicAckOptions::default()).await.unwrap();
    taken.delivery.acker.nack(BasicNackOptions { requeue: true, multiple: false }).await.unwrap();
    assert_eq!(body(&arrival(&channel, "dead").await), "taken");
    publish(&channel, "", "work", b"restarted", persistent()).await;
    channel.queue_purge("dead".into(), QueuePurgeOptions::default()).await.unwrap();
    drop((channel, connection));
    let broker = broker.restart().await;
    let (_connection, channel) = broker.channel().await;
    until("it dies", async || ready(&channel, "work").await == 0).await;
    assert!(drain(&channel, "dead").await.contains(&"restarted".to_owned()));
}

#[tokio::test]
async fn a_message_without_any_time_is_delivered_at_once_or_dies() {
    let broker = Broker::start().await;
    let (connection, channel) = broker.channel().await;
    mortal(&channel, "work", &[]).await;
    let now = || persistent().with_expiration("0".into());
    publish(&channel, "", "work", b"nobody", now()).await;
    assert_eq!(body(&arrival(&channel, "dead").await), "nobody");
    let reading = connection.create_channel().await.unwrap();
    let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
    let mut consumer = reading.basic_consume("work".into(), "".into(), options, FieldTable::default()).await.unwrap();
    publish(&channel, "", "work", b"somebody", now()).await;
    let delivery = futures_util::StreamExt::next(&mut consumer).await.unwrap().unwrap();
    assert_eq!(delivery.data, b"somebody");
    let bad = connection.create_channel().await.unwrap();
    confirms(&bad).await;
    let sent = bad.basic_publish("".into(), "work".into(), Default::default(), b"x", persistent().with_expiration("soon".into()));
    assert_eq!(reply(async { sent.await?.await }.await).0, 406);
}

#[tokio::test]
async fn a_message_that_fails_too_often_dies() {
    let broker = Broker::start().await;
    let (_connection, channel) = broker.channel().await;
    mortal(&channel, "work", &[("x-queue-type", text("quorum")), ("x-delivery-limit", number(2))]).await;
    publish(&channel, "", "work", b"poison", persistent()).await;
    for failures in 0..3 {
        let message = arrival(&channel, "work").await;
        assert_eq!(header(&message, "x-delivery-count"), (failures > 0).then(|| failures.to_string()));
        message.delivery.acker.reject(BasicRejectOptions { requeue: true }).await.unwrap();
    }
    let dead = arrival(&channel, "dead").await;
    assert_eq!(deaths(&dead), ["work delivery_limit 1  work"]);
    assert_eq!(ready(&channel, "work").await, 0);
}

#[tokio::test]
async fn the_oldest_make_room_or_the_newest_are_refused() {
    let broker = Broker::start().await;
    let (_connection, channel) = broker.channel().await;
    mortal(&channel, "rolling", &[("x-max-length", number(2))]).await;
    for text in ["1", "2", "3", "4"] {
        let confirmed = publish(&channel, "", "rolling", text.as_bytes(), persistent()).await;
        assert!(matches!(confirmed, Confirmation::Ack(_)));
    }
    assert_eq!(drain(&channel, "rolling").await, ["3", "4"]);
    assert_eq!(drain(&channel, "dead").await, ["1", "2"]);
    for (name, overflow, dead) in [("strict", "reject-publish", 0), ("burying", "reject-publish-dlx", 1)] {
        mortal(&channel, name, &[("x-max-length", number(1)), ("x-overflow", text(overflow))]).await;
        let first = publish(&channel, "", name, b"1", persistent()).await;
        let second = publish(&channel, "", name, b"2", persistent()).await;
        assert!(matches!((first, second), (Confirmation::Ack(_), Confirmation::Nack(_))), "{name}");
        assert_eq!(ready(&channel, "dead").await, dead, "{name}");
        assert_eq!(drain(&channel, name).await, ["1"]);
    }
    assert_eq!(deaths(&get(&channel, "dead").await.unwrap()), ["burying maxlen 1  burying"]);
}

#[tokio::test]
async fn publishers_wait_where_a_full_queue_says_so_and_go_on_in_order() {
    let broker = Broker::start().await;
    let (_connection, channel) = broker.channel().await;
    mortal(&channel, "work", &[("x-max-length", number(2)), ("x-overflow", text("block"))]).await;
    let (_publishing, sender) = broker.channel().await;
    confirms(&sender).await;
    let mut sent = Vec::new();
    for number in 0..6 {
        let options = BasicPublishOptions::default();
        let confirm = sender.basic_publish("".into(), "work".into(), options, number.to_string().as_bytes(), persistent()).await;
        sent.push(confirm.unwrap());
    }
    for confirm in sent.drain(..2) {
        assert!(matches!(confirm.await.unwrap(), Confirmation::Ack(_)));
    }
    let mut third = Box::pin(sent.remove(0));
    assert!(tokio::time::timeout(std::time::Duration::from_millis(100), &mut third).await.is_err(), "it waits for its confirm");
    assert_eq!(ready(&channel, "work").await, 2);
    // What is in flight makes room as what is done does.
    let held = arrival(&channel, "work").await;
    assert!(matches!(third.await.unwrap(), Confirmation::Ack(_)));
    for number in 1..6 {
        let message = arrival(&channel, "work").await;
        assert_eq!(body(&message), number.to_string());
        message.delivery.acker.ack(BasicAckOptions::default()).await.unwrap();
    }
    for confirm in sent {
        assert!(matches!(confirm.await.unwrap(), Confirmation::Ack(_)));
    }
    held.delivery.acker.nack(BasicNackOptions { requeue: true, multiple: false }).await.unwrap();
    assert_eq!((ready(&channel, "work").await, ready(&channel, "dead").await), (1, 0));
}

#[tokio::test]
async fn one_queue_that_is_full_does_not_keep_a_message_from_the_others() {
    let broker = Broker::start().await;
    let (_connection, channel) = broker.channel().await;
    queue(&channel, "full", &[("x-max-length", number(0)), ("x-overflow", text("reject-publish"))]).await;
    declare(&channel, "free").await;
    confirms(&channel).await;
    for queue in ["full", "free"] {
        let bind = QueueBindOptions::default();
        channel.queue_bind(queue.into(), "amq.fanout".into(), "".into(), bind, FieldTable::default()).await.unwrap();
    }
    let confirmed = publish(&channel, "amq.fanout", "", b"x", persistent()).await;
    assert!(matches!(confirmed, Confirmation::Nack(_)));
    assert_eq!((ready(&channel, "full").await, ready(&channel, "free").await), (0, 1));
}

#[tokio::test]
async fn a_failed_message_waits_longer_each_time_and_a_delayed_one_comes_when_it_is_time() {
    let broker = Broker::start().await;
    let (_connection, channel) = broker.channel().await;
    let retry = [("x-delayed-retry-min", number(150)), ("x-delayed-retry-max", number(250))];
    queue(&channel, "work", &retry).await;
    confirms(&channel).await;
    publish(&channel, "", "work", b"again", persistent()).await;
    publish(&channel, "", "work", b"other", persistent()).await;
    for least_ms in [150, 250, 250] {
        let message = arrival(&channel, "work").await;
        assert_eq!(body(&message), "again");
        let failed = tokio::time::Instant::now();
        message.delivery.acker.reject(BasicRejectOptions { requeue: true }).await.unwrap();
        assert_eq!(ready(&channel, "work").await, 1, "it is not ready yet");
        until("it is ready again", async || ready(&channel, "work").await == 2).await;
        assert!(failed.elapsed().as_millis() >= least_ms, "{:?}", failed.elapsed());
    }
    channel.queue_purge("work".into(), QueuePurgeOptions::default()).await.unwrap();
    let mut table = FieldTable::default();
    table.insert("x-delay".into(), number(150));
    let sent = tokio::time::Instant::now();
    publish(&channel, "", "work", b"later", BasicProperties::default().with_headers(table)).await;
    publish(&channel, "", "work", b"now", persistent()).await;
    assert_eq!(body(&get(&channel, "work").await.unwrap()), "now");
    assert_eq!(body(&arrival(&channel, "work").await), "later");
    assert!(sent.elapsed().as_millis() >= 150);
}

#[tokio::test]
async fn waits_double_where_the_queue_says_so() {
    let broker = Broker::start().await;
    let (_connection, channel) = broker.channel().await;
    let retry = [("x-delayed-retry-min", number(50)), ("x-delayed-retry-backoff", text("exponential"))];
    queue(&channel, "work", &retry).await;
    confirms(&channel).await;
    publish(&channel, "", "work", b"again", persistent()).await;
    for least_ms in [50, 100, 200, 400] {
        let message = arrival(&channel, "work").await;
        let failed = tokio::time::Instant::now();
        message.delivery.acker.reject(BasicRejectOptions { requeue: true }).await.unwrap();
        until("it is ready again", async || ready(&channel, "work").await == 1).await;
        assert!(failed.elapsed().as_millis() >= least_ms, "{:?}", failed.elapsed());
    }
    let mut table = FieldTable::default();
    table.insert("x-delayed-retry-backoff".into(), text("exponential"));
    let options = QueueDeclareOptions::default();
    assert_eq!(reply(channel.queue_declare("bad".into(), options, table).await).0, 406, "there is nothing to double");
}

#[tokio::test]
async fn views_of_one_topic_let_a_record_die_each_for_itself() {
    let broker = Broker::start().await;
    let (_connection, channel) = broker.channel().await;
    declare(&channel, "orders").await;
    mortal(&channel, "hasty", &[("x-topic", text("orders")), ("x-message-ttl", number(1))]).await;
    publish(&channel, "", "orders", b"one", persistent()).await;
    assert_eq!(body(&arrival(&channel, "dead").await), "one");
    assert_eq!((ready(&channel, "hasty").await, drain(&channel, "orders").await), (0, vec!["one".to_owned()]));
}

#[tokio::test]
async fn bytes_are_limited_like_messages() {
    let broker = Broker::start().await;
    let (_connection, channel) = broker.channel().await;
    mortal(&channel, "work", &[("x-max-length-bytes", number(10))]).await;
    for text in ["1234", "5678", "90"] {
        publish(&channel, "", "work", text.as_bytes(), persistent()).await;
    }
    assert_eq!(ready(&channel, "work").await, 3);
    publish(&channel, "", "work", b"x", persistent()).await;
    assert_eq!((ready(&channel, "work").await, drain(&channel, "dead").await), (3, vec!["1234".to_owned()]));
    assert_eq!(drain(&channel, "work").await, ["5678", "90", "x"]);
}

#[tokio::test]
async fn a_queue_that_nobody_uses_goes_and_one_that_is_used_stays() {
    let broker = Broker::start().await;
    let (connection, channel) = broker.channel().await;
    for name in ["idle", "consumed"] {
        queue(&channel, name, &[("x-expires", number(100))]).await;
    }
    let consumer = channel.basic_consume("consumed".into(), "".into(), Default::default(), FieldTable::default()).await.unwrap();
    let exists = async |name: &str| {
        let channel = connection.create_channel().await.unwrap();
        let options = QueueDeclareOptions { passive: true, ..Default::default() };
        declare_with(&channel, name, options).await.is_ok()
    };
    until("it goes", async || !exists("idle").await).await;
    assert!(exists("consumed").await);
    channel.basic_cancel(consumer.tag(), BasicCancelOptions::default()).await.unwrap();
    until("it goes when its consumer has gone", async || !exists("consumed").await).await;
}

#[tokio::test]
async fn what_is_published_twice_is_there_once() {
    let broker = Broker::start().await;
    let send = async |channel: &Channel, id: &str| {
        let confirmed = publish(channel, "", "once", id.as_bytes(), persistent().with_message_id(id.into())).await;
        assert!(matches!(confirmed, Confirmation::Ack(_)));
    };
    {
        let (_connection, channel) = broker.channel().await;
        queue(&channel, "once", &[("x-message-deduplication", AMQPValue::Boolean(true)), ("x-cache-size", number(2))]).await;
        confirms(&channel).await;
        for id in ["a", "a", "b", "a"] {
            send(&channel, id).await;
        }
        assert_eq!(drain(&channel, "once").await, ["a", "b"]);
    }
    let broker = broker.restart().await;
    let (_connection, channel) = broker.channel().await;
    confirms(&channel).await;
    for id in ["b", "c", "a"] {
        send(&channel, id).await;
    }
    assert_eq!(drain(&channel, "once").await, ["c", "a"], "the oldest of three was forgotten");
}

#[tokio::test]
async fn a_delivery_that_is_not_settled_in_time_is_somebody_elses() {
    let broker = Broker::start().await;
    let (connection, channel) = broker.channel().await;
    queue(&channel, "work", &[("x-consumer-timeout", number(1000))]).await;
    confirms(&channel).await;
    publish(&channel, "", "work", b"slow", persistent()).await;
    let slow = connection.create_channel().await.unwrap();
    let held = get(&slow, "work").await.unwrap();
    let again = arrival(&channel, "work").await;
    assert!(again.delivery.redelivered);
    // It must not settle what is another's by now.
    held.delivery.acker.ack(BasicAckOptions::default()).await.unwrap();
    until("the late one is told", async || !slow.status().connected()).await;
    assert_eq!(broker.delivery.queues().iter().map(|queue| queue.in_flight).sum::<u64>(), 1);
    again.delivery.acker.ack(BasicAckOptions::default()).await.unwrap();
    until("it is settled", async || broker.delivery.queues().iter().all(|queue| queue.in_flight == 0)).await;
    assert_eq!(ready(&channel, "work").await, 0);
}
