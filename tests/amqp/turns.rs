//! Who gets which message first: priorities of messages and of consumers, and a single active consumer.

use futures_util::StreamExt;
use lapin::options::*;
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, Consumer};

use crate::broker::*;

async fn queue(channel: &Channel, name: &str, argument: &'static str, value: AMQPValue) -> lapin::Result<lapin::Queue> {
    let mut arguments = FieldTable::default();
    arguments.insert(argument.into(), value);
    let options = QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_declare(name.into(), options, arguments).await
}

async fn consume(channel: &Channel, queue: &str, priority: i32) -> Consumer {
    let mut arguments = FieldTable::default();
    arguments.insert("x-priority".into(), AMQPValue::LongInt(priority));
    channel.basic_consume(queue.into(), "".into(), BasicConsumeOptions::default(), arguments).await.unwrap()
}

async fn body(consumer: &mut Consumer) -> String {
    let delivery = tokio::time::timeout(PATIENCE, consumer.next()).await.expect("in time").expect("a delivery").unwrap();
    delivery.acker.ack(BasicAckOptions::default()).await.unwrap();
    String::from_utf8(delivery.data).unwrap()
}

#[tokio::test]
async fn messages_come_by_priority_even_returned_and_after_a_restart() {
    let broker = Broker::start().await;
    {
        let (_connection, channel) = broker.channel().await;
        queue(&channel, "work", "x-max-priority", AMQPValue::ShortShortUInt(5)).await.unwrap();
        confirms(&channel).await;
        for (text, priority) in [("low", 0), ("none", 0), ("mid", 3), ("top", 5), ("above", 200), ("mid2", 3)] {
            let properties = if text == "none" { persistent() } else { persistent().with_priority(priority) };
            publish(&channel, "", "work", text.as_bytes(), properties).await;
        }
        let first = get(&channel, "work").await.unwrap();
        assert_eq!(first.delivery.data, b"top");
        get(&channel, "work").await.unwrap();
        first.delivery.acker.nack(BasicNackOptions { requeue: true, multiple: false }).await.unwrap();
        assert_eq!(get(&channel, "work").await.unwrap().delivery.data, b"top");
    }
    let broker = broker.restart().await;
    let (_connection, channel) = broker.channel().await;
    assert_eq!(drain(&channel, "work").await, ["top", "above", "mid", "mid2", "low", "none"]);
    assert_eq!(reply(queue(&channel, "bad", "x-max-priority", AMQPValue::LongInt(256)).await).0, 406);
}

#[tokio::test]
async fn consumers_of_a_higher_priority_are_served_first_while_they_may_have_more() {
    let broker = Broker::start().await;
    let (connection, channel) = broker.channel().await;
    declare(&channel, "work").await;
    confirms(&channel).await;
    let (low, high) = (connection.create_channel().await.unwrap(), connection.create_channel().await.unwrap());
    for channel in [&low, &high] {
        channel.basic_qos(2, BasicQosOptions::default()).await.unwrap();
    }
    let mut second = consume(&low, "work", 0).await;
    let mut first = consume(&high, "work", 7).await;
    for text in ["1", "2", "3"] {
        publish(&channel, "", "work", text.as_bytes(), persistent()).await;
    }
    let mut held = Vec::new();
    for _ in 0..2 {
        held.push(first.next().await.unwrap().unwrap());
    }
    assert_eq!(held.iter().map(|delivery| delivery.data.clone()).collect::<Vec<_>>(), [b"1", b"2"]);
    assert_eq!(body(&mut second).await, "3");
}

#[tokio::test]
async fn one_consumer_at_a_time_is_active_and_the_next_takes_over() {
    let broker = Broker::start().await;
    let (connection, channel) = broker.channel().await;
    queue(&channel, "work", "x-single-active-consumer", AMQPValue::Boolean(true)).await.unwrap();
    confirms(&channel).await;
    let mut channels = Vec::new();
    let mut consumers = Vec::new();
    for _ in 0..2 {
        let channel = connection.create_channel().await.unwrap();
        channel.basic_qos(1, BasicQosOptions::default()).await.unwrap();
        consumers.push(consume(&channel, "work", 0).await);
        channels.push(channel);
    }
    for text in ["1", "2", "3"] {
        publish(&channel, "", "work", text.as_bytes(), persistent()).await;
    }
    let held = consumers[0].next().await.unwrap().unwrap();
    assert_eq!((held.data.as_slice(), ready(&channel, "work").await), (&b"1"[..], 2), "the other gets nothing");
    channels[0].close(200, "bye".into()).await.unwrap();
    for text in ["1", "2", "3"] {
        assert_eq!(body(&mut consumers[1]).await, text);
    }
}

/// A queue in which messages of one key wait for each other, bound to all keys, and a channel with confirms.
async fn by_key(broker: &Broker) -> (Connection, Channel) {
    let (connection, channel) = broker.channel().await;
    queue(&channel, "work", "x-order-by-key", AMQPValue::Boolean(true)).await.unwrap();
    let (topic, all) = ("amq.topic".into(), "#".into());
    channel.queue_bind("work".into(), topic, all, QueueBindOptions::default(), FieldTable::default()).await.unwrap();
    confirms(&channel).await;
    (connection, channel)
}

#[tokio::test]
async fn messages_of_one_key_are_one_consumers_at_a_time_and_others_go_on() {
    let broker = Broker::start().await;
    let (connection, channel) = by_key(&broker).await;
    let mut consumers = Vec::new();
    for prefetch in [1, 3] {
        let channel = connection.create_channel().await.unwrap();
        channel.basic_qos(prefetch, BasicQosOptions::default()).await.unwrap();
        consumers.push((consume(&channel, "work", 0).await, channel));
    }
    publish(&channel, "amq.topic", "a", b"a1", persistent()).await;
    let first = consumers[0].0.next().await.unwrap().unwrap();
    for text in ["a2", "b1", "a3", "b2", "c1", "a4"] {
        publish(&channel, "amq.topic", &text[..1], text.as_bytes(), persistent()).await;
    }
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(consumers[1].0.next().await.unwrap().unwrap());
    }
    assert_eq!(held.iter().map(|delivery| &delivery.data[..]).collect::<Vec<_>>(), [b"b1", b"b2", b"c1"]);
    // What waits for its key is there, and nobody's to get.
    assert_eq!(ready(&channel, "work").await, 3);
    assert!(get(&channel, "work").await.is_none());
    // Acknowledged out of order: the key stays with its consumer until nothing of it is in flight.
    held.remove(1).acker.ack(BasicAckOptions::default()).await.unwrap();
    assert!(get(&channel, "work").await.is_none());
    publish(&channel, "amq.topic", "b", b"b3", persistent()).await;
    let third = consumers[1].0.next().await.unwrap().unwrap();
    assert_eq!((&third.data[..], third.redelivered), (&b"b3"[..], false));
    // What comes back of a key comes before what follows it; the other consumer is full.
    first.acker.nack(BasicNackOptions { requeue: true, multiple: false }).await.unwrap();
    let again = consumers[0].0.next().await.unwrap().unwrap();
    assert_eq!((&again.data[..], again.redelivered), (&b"a1"[..], true));
    // A consumer that goes takes its key along no longer.
    consumers[0].1.close(200, "bye".into()).await.unwrap();
    for delivery in held.into_iter().chain([third]) {
        delivery.acker.ack(BasicAckOptions::default()).await.unwrap();
    }
    for text in ["a1", "a2", "a3", "a4"] {
        assert_eq!(body(&mut consumers[1].0).await, text);
    }
    assert_eq!(reply(queue(&channel, "bad", "x-order-by-key", AMQPValue::LongInt(1)).await).0, 406);
}

#[tokio::test]
async fn a_get_without_a_name_holds_a_key_until_it_is_settled() {
    let broker = Broker::start().await;
    let (_connection, channel) = by_key(&broker).await;
    for text in ["a1", "a2", "b1", "-1", "-2"] {
        let exchange = if text.starts_with('-') { "" } else { "amq.topic" };
        let key = if exchange.is_empty() { "work" } else { &text[..1] };
        publish(&channel, exchange, key, text.as_bytes(), persistent()).await;
    }
    let mut held = Vec::new();
    while let Some(message) = get(&channel, "work").await {
        held.push(message.delivery);
    }
    // What has no key waits for nobody.
    assert_eq!(held.iter().map(|delivery| &delivery.data[..]).collect::<Vec<_>>(), [b"a1", b"b1", b"-1", b"-2"]);
    held[0].acker.ack(BasicAckOptions::default()).await.unwrap();
    assert_eq!(get(&channel, "work").await.unwrap().delivery.data, b"a2");
}
