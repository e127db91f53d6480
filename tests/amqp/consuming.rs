//! Consuming: order, prefetch, acknowledgements of all kinds, cancels, and what comes back from a lost connection.

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::*;
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};

use crate::broker::*;
use crate::support::until;

async fn consume(channel: &Channel, queue: &str, options: BasicConsumeOptions) -> Consumer {
    channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await.unwrap()
}

async fn next(consumer: &mut Consumer) -> Delivery {
    tokio::time::timeout(PATIENCE, consumer.next()).await.expect("a delivery in time").expect("a delivery").unwrap()
}

async fn filled(channel: &Channel, queue: &str, count: usize) {
    declare(channel, queue).await;
    confirms(channel).await;
    for number in 0..count {
        publish(channel, "", queue, number.to_string().as_bytes(), persistent()).await;
    }
}

fn text(delivery: &Delivery) -> String {
    String::from_utf8(delivery.data.clone()).unwrap()
}

#[tokio::test]
async fn what_is_there_and_what_comes_is_delivered_in_order() {
    let broker = Broker::start().await;
    let (connection, channel) = broker.channel().await;
    filled(&channel, "q", 3).await;
    let reading = connection.create_channel().await.unwrap();
    let mut consumer = consume(&reading, "q", BasicConsumeOptions::default()).await;
    for number in 0..6 {
        if number >= 3 {
            publish(&channel, "", "q", number.to_string().as_bytes(), persistent()).await;
        }
        let delivery = next(&mut consumer).await;
        assert_eq!((text(&delivery), delivery.delivery_tag, delivery.redelivered), (number.to_string(), number + 1, false));
        delivery.acker.ack(BasicAckOptions::default()).await.unwrap();
    }
    until("all is accepted", async || broker.delivery.queues().iter().all(|queue| queue.in_flight == 0)).await;
    assert_eq!(ready(&channel, "q").await, 0);
}

#[tokio::test]
async fn prefetch_bounds_what_is_unsettled() {
    let broker = Broker::start().await;
    let (_connection, channel) = broker.channel().await;
    filled(&channel, "q", 10).await;
    channel.basic_qos(3, BasicQosOptions::default()).await.unwrap();
    let mut consumer = consume(&channel, "q", BasicConsumeOptions::default()).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(next(&mut consumer).await);
    }
    assert_eq!(ready(&channel, "q").await, 7);
    let last = held.pop().unwrap();
    last.acker.ack(BasicAckOptions { multiple: true }).await.unwrap();
    for number in 3..6 {
        assert_eq!(text(&next(&mut consumer).await), number.to_string());
    }
    assert_eq!(ready(&channel, "q").await, 4);
}

#[tokio::test]
async fn a_global_prefetch_is_shared_by_the_consumers_of_a_channel() {
    let broker = Broker::start().await;
    let (_connection, channel) = broker.channel().await;
    filled(&channel, "a", 5).await;
    filled(&channel, "b", 5).await;
    channel.basic_qos(4, BasicQosOptions { global: true }).await.unwrap();
    let mut first = consume(&channel, "a", BasicConsumeOptions::default()).await;
    let mut second = consume(&channel, "b", BasicConsumeOptions::default()).await;
    for _ in 0..4 {
        next(&mut first).await;
    }
    assert_eq!((ready(&channel, "a").await, ready(&channel, "b").await), (1, 5));
    channel.basic_ack(2, BasicAckOptions { multiple: true }).await.unwrap();
    let mut got = Vec::new();
    for _ in 0..2 {
        got.push(
            tokio::select! { delivery = next(&mut first) => text(&delivery), delivery = next(&mut second) => text(&delivery) },
        );
    }
    assert_eq!(ready(&channel, "a").await + ready(&channel, "b").await, 4);
}

#[tokio::test]
async fn returned_messages_take_their_place_and_are_marked() {
    let broker = Broker::start().await;
    let (_connection, channel) = broker.channel().await;
    filled(&channel, "q", 4).await;
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(get(&channel, "q").await.unwrap());
    }
    held[1].delivery.acker.nack(BasicNackOptions { requeue: true, multiple: true }).await.unwrap();
    held[2].delivery.acker.reject(BasicRejectOptions { requeue: false }).await.unwrap();
    held[3].delivery.acker.reject(BasicRejectOptions { requeue: true }).await.unwrap();
    let mut again = Vec::new();
    while let Some(message) = get(&channel, "q").await {
        assert!(message.delivery.redelivered);
        again.push(text(&message.delivery));
    }
    assert_eq!(again, ["0", "1", "3"]);
    channel.basic_recover(BasicRecoverOptions { requeue: true }).await.unwrap();
    assert_eq!(drain(&channel, "q").await, ["0", "1", "3"]);
}

#[tokio::test]
async fn an_unknown_delivery_tag_closes_the_channel() {
    let broker = Broker::start().await;
    let (connection, channel) = broker.channel().await;
    filled(&channel, "q", 1).await;
    get(&channel, "q").await.unwrap();
    for _ in 0..2 {
        channel.basic_ack(1, BasicAckOptions::default()).await.unwrap();
    }
    until("the channel is closed", async || !channel.status().connected()).await;
    assert!(connection.status().connected());
}

#[tokio::test]
async fn two_consumers_share_and_take_every_message_once() {
    let broker = Broker::start().await;
    let (connection, channel) = broker.channel().await;
    declare(&channel, "q").await;
    confirms(&channel).await;
    let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
    let other = broker.connect().await.create_channel().await.unwrap();
    let mut first = consume(&connection.create_channel().await.unwrap(), "q", options).await;
    let mut second = consume(&other, "q", options).await;
    for number in 0..100 {
        publish(&channel, "", "q", number.to_string().as_bytes(), persistent()).await;
    }
    let (mut bodies, mut of_first) = (Vec::new(), 0);
    while bodies.len() < 100 {
        tokio::select! {
            delivery = next(&mut first) => { of_first += 1; bodies.push(text(&delivery)); }
            delivery = next(&mut second) => bodies.push(text(&delivery)),
        }
    }
    bodies.sort_by_key(|body| body.parse::<u32>().unwrap());
    assert_eq!(bodies, (0..100).map(|number| number.to_string()).collect::<Vec<_>>());
    assert_eq!(of_first, 50);
}

#[tokio::test]
async fn a_cancelled_consumer_gives_back_what_it_was_not_delivered() {
    let broker = Broker::start().await;
    let (_connection, channel) = broker.channel().await;
    filled(&channel, "q", 5).await;
    channel.basic_qos(2, BasicQosOptions::default()).await.unwrap();
    let options = BasicConsumeOptions::default();
    let mut consumer = channel.basic_consume("q".into(), "tag".into(), options, FieldTable::default()).await.unwrap();
    let first = next(&mut consumer).await;
    channel.basic_cancel("tag".into(), BasicCancelOptions::default()).await.unwrap();
    assert_eq!(ready(&channel, "q").await, 3);
    first.acker.ack(BasicAckOptions::default()).await.unwrap();
    channel.close(200, "".into()).await.unwrap();
    until("the other is back", async || broker.delivery.queues().iter().all(|queue| queue.in_flight == 0)).await;
    assert_eq!(drain(&broker.channel().await.1, "q").await, ["1", "2", "3", "4"]);
}

#[tokio::test]
async fn a_lost_connection_gives_everything_back_marked() {
    let broker = Broker::start().await;
    let (connection, channel) = broker.channel().await;
    filled(&channel, "q", 3).await;
    get(&channel, "q").await.unwrap();
    let mut consumer = consume(&channel, "q", BasicConsumeOptions::default()).await;
    next(&mut consumer).await;
    connection.close(200, "".into()).await.unwrap();
    until("all is back", async || broker.delivery.queues().iter().all(|queue| queue.in_flight == 0)).await;
    let (_connection, channel) = broker.channel().await;
    let message = get(&channel, "q").await.unwrap();
    assert_eq!((text(&message.delivery), message.delivery.redelivered, message.message_count), ("0".to_owned(), true, 2));
}

#[tokio::test]
async fn a_deleted_queue_cancels_its_consumers() {
    let broker = Broker::start().await;
    let (_connection, channel) = broker.channel().await;
    declare(&channel, "q").await;
    let mut consumer = consume(&channel, "q", BasicConsumeOptions::default()).await;
    let other = broker.connect().await.create_channel().await.unwrap();
    other.queue_delete("q".into(), QueueDeleteOptions::default()).await.unwrap();
    assert!(tokio::time::timeout(PATIENCE, consumer.next()).await.unwrap().is_none());
    assert!(channel.status().connected());
}

#[tokio::test]
async fn an_exclusive_consumer_is_alone() {
    let broker = Broker::start().await;
    let (connection, channel) = broker.channel().await;
    declare(&channel, "q").await;
    let _held = consume(&channel, "q", BasicConsumeOptions { exclusive: true, ..Default::default() }).await;
    let other = connection.create_channel().await.unwrap();
    let refused = other.basic_consume("q".into(), "".into(), BasicConsumeOptions::default(), FieldTable::default()).await;
    assert_eq!(reply(refused), (403, "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use".to_owned()));
}

#[tokio::test]
async fn a_large_backlog_flows_through_one_consumer() {
    let broker = Broker::start().await;
    let (connection, channel) = broker.channel().await;
    declare(&channel, "q").await;
    confirms(&channel).await;
    let mut waiting = Vec::new();
    for _ in 0..5000 {
        waiting.push(
            channel.basic_publish("".into(), "q".into(), BasicPublishOptions::default(), &[7; 1000], persistent()).await.unwrap(),
        );
    }
    for confirm in waiting {
        confirm.await.unwrap();
    }
    let reading = connection.create_channel().await.unwrap();
    let mut consumer = consume(&reading, "q", BasicConsumeOptions::default()).await;
    for number in 1..=5000 {
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.delivery_tag, number);
        if number % 100 == 0 {
            delivery.acker.ack(BasicAckOptions { multiple: true }).await.unwrap();
        }
    }
    until("all is accepted", async || broker.delivery.queues().iter().all(|queue| queue.in_flight == 0)).await;
}

#[tokio::test]
async fn a_reply_finds_the_consumer_that_asked() {
    let broker = Broker::start().await;
    let (_connection, asking) = broker.channel().await;
    let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
    let mut replies = consume(&asking, "amq.rabbitmq.reply-to", options).await;
    let (_other, answering) = broker.channel().await;
    declare(&answering, "requests").await;
    confirms(&asking).await;
    confirms(&answering).await;
    let request = persistent().with_reply_to("amq.rabbitmq.reply-to".into()).with_correlation_id("7".into());
    publish(&asking, "", "requests", b"question", request).await;
    let asked = get(&answering, "requests").await.unwrap().delivery;
    let reply_to = asked.properties.reply_to().clone().unwrap();
    assert!(reply_to.as_str().starts_with("amq.rabbitmq.reply-to."), "{reply_to}");
    publish(&answering, "", reply_to.as_str(), b"answer", asked.properties.clone()).await;
    let reply = next(&mut replies).await;
    assert_eq!((text(&reply), reply.properties.correlation_id().clone().unwrap().as_str()), ("answer".to_owned(), "7"));
}
