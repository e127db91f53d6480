//! What an operator does to queues over HTTP: look into them, empty them, set them back, move records, send dead letters back.

use lapin::message::BasicGetMessage;
use lapin::options::*;
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel};
use serde_json::{Value, json};

use crate::clients::Meeting;
use crate::support::{Gateway, http_get, http_post};

async fn operated() -> Meeting {
    Meeting::on(Gateway::builder().set("http.queues", true).start()).await
}

async fn ask(meeting: &Meeting, verb: &str, arguments: Value) -> (u16, Value) {
    let (status, body) =
        http_post(meeting.gateway.addresses().http, &format!("/api/queues/{verb}"), &arguments.to_string()).await;
    (status, serde_json::from_str(&body).unwrap_or(Value::Null))
}

async fn queue(channel: &Channel, name: &str, arguments: &[(&'static str, &str)]) {
    let mut table = FieldTable::default();
    for (argument, value) in arguments {
        table.insert((*argument).into(), AMQPValue::LongString((*value).into()));
    }
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(name.into(), options, table).await.expect("declared");
}

async fn take(meeting: &Meeting, queue: &str) -> BasicGetMessage {
    let message = meeting.channel.basic_get(queue.into(), BasicGetOptions::default()).await.expect("answered");
    message.expect("there is one")
}

fn persistent() -> BasicProperties {
    BasicProperties::default().with_delivery_mode(2)
}

#[tokio::test]
async fn dead_letters_go_back_where_they_came_from_once_whatever_happens() {
    let meeting = operated().await;
    queue(&meeting.channel, "work", &[("x-dead-letter-exchange", ""), ("x-dead-letter-routing-key", "dead")]).await;
    queue(&meeting.channel, "dead", &[]).await;
    let bind = QueueBindOptions::default();
    meeting
        .channel
        .queue_bind("work".into(), "amq.topic".into(), "a.*".into(), bind, FieldTable::default())
        .await
        .expect("bound");
    for body in [&b"one"[..], b"two", b"three"] {
        meeting.publish("amq.topic", "a.b", body, persistent()).await;
        take(&meeting, "work").await.delivery.acker.reject(BasicRejectOptions { requeue: false }).await.expect("rejected");
    }
    // One that never died stays where it is.
    meeting.publish("", "dead", b"other", persistent()).await;
    let (status, moved) = ask(&meeting, "redrive", json!({ "topic": "dead", "count": 1 })).await;
    assert_eq!((status, &moved["moved"], &moved["kept"]), (200, &json!(1), &json!(0)), "{moved}");
    assert_eq!((meeting.depth("work").await, meeting.depth("dead").await), (1, 3));
    let (_, moved) = ask(&meeting, "redrive", json!({ "topic": "dead" })).await;
    assert_eq!((&moved["moved"], &moved["kept"]), (&json!(2), &json!(1)), "{moved}");

    let Meeting { mut gateway, .. } = meeting;
    gateway.crash();
    let meeting = Meeting::on(gateway).await;
    assert_eq!((meeting.depth("work").await, meeting.depth("dead").await), (3, 1));
    let BasicGetMessage { delivery, .. } = take(&meeting, "work").await;
    assert_eq!(
        (&delivery.data[..], delivery.exchange.as_str(), delivery.routing_key.as_str()),
        (&b"one"[..], "amq.topic", "a.b")
    );
    assert!(delivery.properties.headers().as_ref().is_some_and(|headers| headers.inner().contains_key("x-death")));
    assert_eq!(meeting.get("dead").await.delivery.data, b"other");
}

#[tokio::test]
async fn records_are_moved_looked_at_and_purged_in_one_view_alone() {
    let mut meeting = operated().await;
    queue(&meeting.channel, "from", &[]).await;
    queue(&meeting.channel, "to", &[]).await;
    queue(&meeting.channel, "audit", &[("x-topic", "from")]).await;
    redis::cmd("RPUSH").arg("from").arg(&["a", "b", "c"]).exec_async(&mut meeting.redis).await.expect("pushed");
    let (_, shown) = ask(&meeting, "peek", json!({ "topic": "from", "start": 1, "count": 5 })).await;
    let values: Vec<_> = shown["records"].as_array().expect("records").iter().map(|record| &record["value"]).collect();
    assert_eq!(values, [&json!("b"), &json!("c")]);
    let (_, moved) = ask(&meeting, "move", json!({ "topic": "from", "to": "to", "count": 2 })).await;
    assert_eq!(moved, json!({ "moved": 2, "kept": 0, "target_full": false }));
    let found: Vec<String> = redis::cmd("LRANGE").arg("to").arg(0).arg(-1).query_async(&mut meeting.redis).await.expect("a list");
    assert_eq!(found, ["a", "b"]);
    assert_eq!((meeting.depth("from").await, meeting.depth("audit").await), (1, 3), "the other view has all of them");
    assert_eq!(ask(&meeting, "purge", json!({ "topic": "from", "view": "audit" })).await, (200, json!({ "purged": 3 })));
    assert_eq!((meeting.depth("from").await, meeting.depth("audit").await), (1, 0));
}

#[tokio::test]
async fn a_view_is_set_back_and_its_records_come_again() {
    let mut meeting = operated().await;
    queue(&meeting.channel, "log", &[]).await;
    queue(&meeting.channel, "audit", &[("x-topic", "log")]).await;
    redis::cmd("RPUSH").arg("log").arg(&["a", "b", "c"]).exec_async(&mut meeting.redis).await.expect("pushed");
    for value in ["a", "b", "c"] {
        assert_eq!(meeting.get("audit").await.delivery.data, value.as_bytes());
    }
    let seek = |to: Value| json!({ "topic": "log", "view": "audit", "to": to });
    assert_eq!(ask(&meeting, "seek", seek(json!({ "offset": 1 }))).await, (200, json!({ "ready": 2 })));
    let held = take(&meeting, "audit").await;
    assert_eq!(held.delivery.data, b"b");
    assert_eq!(ask(&meeting, "seek", seek(json!("earliest"))).await.0, 409, "a record is in flight");
    held.delivery.acker.ack(BasicAckOptions::default()).await.expect("acknowledged");
    assert_eq!(meeting.get("audit").await.delivery.data, b"c");
    for (to, ready) in [(json!("earliest"), 3), (json!("latest"), 0), (json!({ "time_ms": 0 }), 3)] {
        assert_eq!(ask(&meeting, "seek", seek(to)).await, (200, json!({ "ready": ready })));
    }
    assert_eq!(meeting.depth("log").await, 3, "the default view is as it was");
}

#[tokio::test]
async fn what_is_not_asked_for_properly_changes_nothing() {
    let meeting = operated().await;
    queue(&meeting.channel, "q", &[]).await;
    let asked = [
        ("purge", json!({ "topic": "missing" }), 404),
        ("purge", json!({ "topic": "q", "view": "missing" }), 404),
        ("purge", json!({ "topic": "q", "vew": "typo" }), 400),
        ("purge", json!({}), 400),
        ("seek", json!({ "topic": "q", "to": "sometime" }), 400),
        ("move", json!({ "topic": "q" }), 400),
        ("move", json!({ "topic": "q", "to": "missing" }), 404),
        ("move", json!({ "topic": "q", "to": "__queues" }), 404),
        ("explode", json!({ "topic": "q" }), 404),
    ];
    for (verb, arguments, status) in asked {
        assert_eq!(ask(&meeting, verb, arguments.clone()).await.0, status, "{verb} {arguments}");
    }
    assert_eq!(http_get(meeting.gateway.addresses().http, "/api/queues/purge").await.0, 405);
    let plain = Meeting::start().await;
    queue(&plain.channel, "q", &[]).await;
    assert_eq!(ask(&plain, "purge", json!({ "topic": "q" })).await.0, 404, "off unless configured");
}
