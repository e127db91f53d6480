//! Named queue views: several queues on one topic, each with its own place in it, through declarations, restarts and purges.

use lapin::Channel;
use lapin::options::{QueueDeclareOptions, QueueDeleteOptions, QueuePurgeOptions};
use lapin::types::{AMQPValue, FieldTable};

use crate::broker::*;

async fn view(channel: &Channel, name: &str, topic: &str, start: Option<AMQPValue>) -> lapin::Result<lapin::Queue> {
    let mut arguments = FieldTable::default();
    arguments.insert("x-topic".into(), AMQPValue::LongString(topic.into()));
    if let Some(start) = start {
        arguments.insert("x-start".into(), start);
    }
    let options = QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_declare(name.into(), options, arguments).await
}

fn text(value: &str) -> Option<AMQPValue> {
    Some(AMQPValue::LongString(value.into()))
}

async fn fill(channel: &Channel, key: &str, bodies: &[&str]) {
    for body in bodies {
        publish(channel, "", key, body.as_bytes(), persistent()).await;
    }
}

#[tokio::test]
async fn each_view_of_a_topic_has_its_own_state_and_comes_back() {
    let broker = Broker::start().await;
    let (connection, channel) = broker.channel().await;
    declare(&channel, "orders").await;
    confirms(&channel).await;
    fill(&channel, "orders", &["a", "b"]).await;
    view(&channel, "all", "orders", None).await.unwrap();
    view(&channel, "new", "orders", text("latest")).await.unwrap();
    view(&channel, "second", "orders", Some(AMQPValue::LongLongInt(1))).await.unwrap();
    fill(&channel, "orders", &["c"]).await;
    // A publish to a view's own name is one to its topic, and reaches every view once.
    fill(&channel, "new", &["d"]).await;
    assert_eq!(drain(&channel, "orders").await, ["a", "b", "c", "d"]);
    assert_eq!(drain(&channel, "new").await, ["c", "d"]);
    let first = get(&channel, "all").await.unwrap();
    first.delivery.acker.ack(Default::default()).await.unwrap();
    drop(connection);
    let broker = broker.restart().await;
    let (_connection, channel) = broker.channel().await;
    confirms(&channel).await;
    fill(&channel, "orders", &["e"]).await;
    assert_eq!(drain(&channel, "all").await, ["b", "c", "d", "e"]);
    assert_eq!(drain(&channel, "second").await, ["b", "c", "d", "e"]);
    assert_eq!(drain(&channel, "new").await, ["e"]);
    assert_eq!(drain(&channel, "orders").await, ["e"]);
}

#[tokio::test]
async fn purging_and_deleting_a_view_leaves_the_others() {
    let broker = Broker::start().await;
    let (_connection, channel) = broker.channel().await;
    declare(&channel, "orders").await;
    confirms(&channel).await;
    view(&channel, "audit", "orders", None).await.unwrap();
    view(&channel, "other", "orders", None).await.unwrap();
    fill(&channel, "orders", &["a", "b"]).await;
    assert_eq!(channel.queue_purge("audit".into(), QueuePurgeOptions::default()).await.unwrap(), 2);
    assert_eq!(channel.queue_delete("other".into(), QueueDeleteOptions::default()).await.unwrap(), 2);
    assert_eq!(ready(&channel, "audit").await, 0);
    assert_eq!(drain(&channel, "orders").await, ["a", "b"]);
    // Made again it knows nothing of its earlier life.
    view(&channel, "other", "orders", None).await.unwrap();
    assert_eq!(drain(&channel, "other").await, ["a", "b"]);
    // The topic's own queue takes the topic and all its views along.
    channel.queue_delete("orders".into(), QueueDeleteOptions::default()).await.unwrap();
    let options = QueueDeclareOptions { passive: true, ..Default::default() };
    assert_eq!(reply(declare_with(&channel, "audit", options).await).0, 404);
}

#[tokio::test]
async fn a_view_of_nothing_and_a_view_in_place_of_a_topic_are_refused() {
    let broker = Broker::start().await;
    let connection = broker.connect().await;
    for (name, topic, start, code) in [
        ("audit", "nowhere", None, 404),
        ("audit", "orders", text("somewhere"), 406),
        ("audit", "orders", Some(AMQPValue::LongLongInt(-1)), 406),
        ("orders", "audit", None, 406),
    ] {
        let channel = connection.create_channel().await.unwrap();
        declare(&channel, "orders").await;
        assert_eq!(reply(view(&channel, name, topic, start).await).0, code, "{name} on {topic}");
    }
    let channel = connection.create_channel().await.unwrap();
    view(&channel, "audit", "orders", None).await.unwrap();
    let (code, said) = reply(view(&channel, "audit", "orders", text("latest")).await);
    assert_eq!(code, 406);
    assert!(said.contains("inequivalent arg 'x-start'"), "{said}");
}

#[tokio::test]
async fn a_fanout_reaches_views_of_one_topic_once() {
    let broker = Broker::start().await;
    let (_connection, channel) = broker.channel().await;
    declare(&channel, "orders").await;
    view(&channel, "audit", "orders", None).await.unwrap();
    for queue in ["audit", "orders"] {
        let bound = channel.queue_bind(queue.into(), "amq.fanout".into(), "".into(), Default::default(), FieldTable::default());
        bound.await.unwrap();
    }
    confirms(&channel).await;
    publish(&channel, "amq.fanout", "", b"once", persistent()).await;
    assert_eq!(drain(&channel, "audit").await, ["once"]);
    assert_eq!(drain(&channel, "orders").await, ["once"]);
}
