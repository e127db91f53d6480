//! What Redis keeps apart stays apart, and the name spaces of virtual hosts and databases do not touch.

use lapin::options::*;
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};
use rdkafka::message::Message;

use crate::clients::{Meeting, hear, hears_nothing, query, receive, redis_connection};
use crate::support::unique;

#[tokio::test]
async fn a_list_and_a_channel_of_one_name_are_two_things() {
    let meeting = Meeting::start().await;
    let name = unique("both");
    let mut subscriber = meeting.subscriber(&name).await;
    let _: u64 = meeting.redis("RPUSH", &[name.as_bytes(), b"pushed"]).await;
    let receivers: u64 = meeting.redis("PUBLISH", &[name.as_bytes(), b"published"]).await;
    assert_eq!(receivers, 1);
    assert_eq!(hear(&mut subscriber, 1).await, [b"published".to_vec()]);
    assert!(hears_nothing(&mut subscriber).await);
    let elements: Vec<String> = meeting.redis("LRANGE", &[name.as_bytes(), b"0", b"-1"]).await;
    assert_eq!(elements, ["pushed"]);
    let _: u64 = meeting.redis("RPUSH", &[name.as_bytes(), b"second"]).await;
    let log = receive(&meeting.assigned(&name), 2).await;
    let log: Vec<_> = log.iter().map(|record| record.payload().unwrap()).collect();
    assert_eq!(log, [&b"pushed"[..], b"second"], "a name claimed by a key is not logged by PUBLISH");
}

#[tokio::test]
async fn what_was_published_first_is_for_queues_and_topics_but_not_for_the_list() {
    let meeting = Meeting::start().await;
    let name = unique("both");
    let _: u64 = meeting.redis("PUBLISH", &[name.as_bytes(), b"published"]).await;
    let _: u64 = meeting.redis("RPUSH", &[name.as_bytes(), b"pushed"]).await;
    let elements: Vec<String> = meeting.redis("LRANGE", &[name.as_bytes(), b"0", b"-1"]).await;
    assert_eq!(elements, ["pushed"]);
    let log = receive(&meeting.assigned(&name), 2).await;
    let log: Vec<_> = log.iter().map(|record| record.payload().unwrap()).collect();
    assert_eq!(log, [&b"published"[..], b"pushed"]);
    let messages = meeting.consume(&name, 2).await;
    let messages: Vec<_> = messages.iter().map(|message| &message.data[..]).collect();
    assert_eq!(messages, [&b"published"[..], b"pushed"]);
    assert_eq!(meeting.redis::<u64>("LLEN", &[name.as_bytes()]).await, 0, "the consumer took the element too");
}

#[tokio::test]
async fn what_other_dialects_write_reaches_list_and_channel() {
    let meeting = Meeting::start().await;
    let name = unique("both");
    let mut subscriber = meeting.subscriber(&name).await;
    meeting.produce(&name, "none", &[b"from kafka".to_vec()]).await;
    assert_eq!(hear(&mut subscriber, 1).await, [b"from kafka".to_vec()]);
    assert_eq!(meeting.redis::<String>("LPOP", &[name.as_bytes()]).await, "from kafka");
}

#[tokio::test]
async fn a_pattern_subscriber_hears_topics_and_queues() {
    let meeting = Meeting::start().await;
    let stem = unique("news");
    let client = redis::Client::open(meeting.gateway.redis()).expect("a URL");
    let mut subscriber = client.get_async_pubsub().await.expect("a connection");
    subscriber.psubscribe(format!("{stem}.*")).await.expect("subscribed");
    meeting.produce(&format!("{stem}.kafka"), "gzip", &[b"1".to_vec()]).await;
    let queue = format!("{stem}.amqp");
    meeting.declare(&queue).await;
    meeting.publish("", &queue, b"2", crate::clients::persistent()).await;
    assert_eq!(hear(&mut subscriber, 2).await, [b"1".to_vec(), b"2".to_vec()]);
}

#[tokio::test]
async fn virtual_hosts_and_databases_are_name_spaces_of_their_own() {
    let meeting = Meeting::start().await;
    let name = unique("same");
    let _: u64 = meeting.redis("RPUSH", &[name.as_bytes(), b"in zero"]).await;
    let uri = meeting.gateway.amqp().replace("%2f", "elsewhere");
    let elsewhere = Connection::connect(&uri, ConnectionProperties::default()).await.expect("connected");
    let channel = elsewhere.create_channel().await.expect("a channel");
    let queue = channel
        .queue_declare(name.as_str().into(), QueueDeclareOptions::default(), FieldTable::default())
        .await
        .expect("declared");
    assert_eq!(queue.message_count(), 0);
    let three = redis_connection(&meeting.gateway).await;
    let _: String = query(&three, "SELECT", &[b"3"]).await;
    assert_eq!(query::<u64>(&three, "LLEN", &[name.as_bytes()]).await, 0);
    let _: u64 = query(&three, "RPUSH", &[name.as_bytes(), b"in three"]).await;
    let elements: Vec<String> = meeting.redis("LRANGE", &[name.as_bytes(), b"0", b"-1"]).await;
    assert_eq!(elements, ["in zero"]);
    let log = receive(&meeting.assigned(&format!("3/{name}")), 1).await;
    assert_eq!(log[0].payload(), Some(&b"in three"[..]), "a database is a prefix of the topic's name");
}
