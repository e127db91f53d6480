//! One place to see it: what `/api/topics` and `/metrics` say of a topic that several dialects read and write.

use lapin::options::BasicGetOptions;
use lapin::types::{AMQPValue, FieldTable};
use rdkafka::consumer::{CommitMode, Consumer};
use serde_json::{Value, json};

use crate::clients::{Meeting, persistent, receive};
use crate::support::{eventually, http_get, unique};

async fn api(meeting: &Meeting, path: &str) -> (u16, Value) {
    let (status, body) = http_get(meeting.gateway.addresses().http, path).await;
    (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}")))
}

#[tokio::test]
async fn every_view_on_a_topic_is_seen_in_one_place() {
    let meeting = Meeting::start().await;
    let topic = unique("seen");
    meeting.declare(&topic).await;
    for number in 0..5 {
        meeting.publish("", &topic, format!("record {number}").as_bytes(), persistent()).await;
    }
    // Two are in flight, one of them failed once before.
    let unsettled = BasicGetOptions { no_ack: false };
    let first = meeting.channel.basic_get(topic.as_str().into(), unsettled).await.expect("answered").expect("a message");
    let reject = lapin::options::BasicRejectOptions { requeue: true };
    first.delivery.acker.reject(reject).await.expect("rejected");
    let held = eventually("two messages", || async {
        let one = meeting.channel.basic_get(topic.as_str().into(), unsettled).await.expect("answered")?;
        let other = meeting.channel.basic_get(topic.as_str().into(), unsettled).await.expect("answered")?;
        Some((one, other))
    })
    .await;
    let member = meeting.member(&topic);
    receive(&member, 5).await;
    member.commit_consumer_state(CommitMode::Sync).expect("committed");
    meeting.publish("", &topic, b"one more", persistent()).await;
    let mut in_an_hour = FieldTable::default();
    in_an_hour.insert("x-delay".into(), AMQPValue::LongInt(3_600_000));
    meeting.publish("", &topic, b"much later", persistent().with_headers(in_an_hour)).await;
    let _subscriber = meeting.subscriber(&topic).await;

    let (status, seen) = api(&meeting, &format!("/api/topics/{topic}")).await;
    assert_eq!(status, 200, "{seen}");
    let partition = &seen["partitions"][0];
    assert_eq!((&seen["records"], &seen["partition_count"]), (&json!(7), &json!(1)));
    for (bound, offset) in [("log_start", 0), ("durable", 7), ("stable", 7), ("end", 7)] {
        assert_eq!(partition[bound], json!(offset), "{bound}");
    }
    assert!(seen["written_per_s"].as_f64().is_some_and(|rate| rate > 0.0), "{seen}");
    assert!(seen["bytes"].as_u64().is_some_and(|bytes| bytes > 100), "{seen}");
    let queue = &seen["queues"][0];
    assert_eq!([&queue["name"], &queue["ready"], &queue["in_flight"]], [&json!(topic), &json!(4), &json!(2)]);
    assert_eq!([&queue["delayed"], &queue["lag"], &queue["takers"]], [&json!(1), &json!(7), &json!(0)]);
    assert_eq!([&queue["failed_deliveries"]["0"], &queue["failed_deliveries"]["1"]], [&json!(5), &json!(1)]);
    assert_eq!([&queue["taken"], &queue["settled"]], [&json!(3), &json!(0)]);
    assert!(queue["taken_per_s"].as_f64().is_some_and(|rate| rate > 0.0), "{queue}");
    assert!(queue["oldest_age_ms"].as_u64().is_some(), "{queue}");
    assert_eq!([&seen["tail"]["listeners"], &seen["groups"][0]["lag"]], [&json!(1), &json!(2)]);
    assert_eq!(seen["groups"][0]["members"], json!(1));
    assert!(seen["groups"][0]["oldest_age_ms"].as_u64().is_some(), "{seen}");
    assert_eq!(seen["groups"][0]["committed"][0], json!({ "partition": 0, "offset": 5 }));

    let (_, metrics) = http_get(meeting.gateway.addresses().http, "/metrics").await;
    for (family, value) in [("ready", 4), ("in_flight", 2), ("taken_total", 3), ("settled_total", 0), ("delayed", 1)] {
        let line = format!("trunkline_queue_{family}{{topic=\"{topic}\"}} {value}");
        assert!(metrics.contains(&line), "{line} in {metrics}");
    }
    assert!(metrics.contains(&format!("trunkline_queue_oldest_age_seconds{{topic=\"{topic}\"}} ")), "{metrics}");
    for line in [
        format!("trunkline_queue_failures{{failures=\"1\",topic=\"{topic}\"}} 1"),
        format!("trunkline_topic_written_total{{topic=\"{topic}\"}} 7"),
        format!(
            "trunkline_group_members{{group=\"{}\",topic=\"{topic}\"}} 1",
            seen["groups"][0]["group"].as_str().expect("a name")
        ),
    ] {
        assert!(metrics.contains(&line), "{line} in {metrics}");
    }
    drop(held);
}

#[tokio::test]
async fn topics_are_listed_a_page_at_a_time_and_any_name_can_be_asked_for() {
    let meeting = Meeting::start().await;
    for name in [&b"list/a b"[..], b"list/\xff", b"list/c", b"other"] {
        let _: u64 = meeting.redis("RPUSH", &[name, b"element"]).await;
    }
    let (_, first) = api(&meeting, "/api/topics?prefix=list/&limit=2").await;
    let names = |page: &Value| page["topics"].as_array().expect("a list").iter().map(|t| t["name"].clone()).collect::<Vec<_>>();
    assert_eq!((names(&first), &first["more"]), (vec![json!("list/a b"), json!("list/c")], &json!(true)));
    let (_, rest) = api(&meeting, "/api/topics?prefix=list/&limit=2&after=list/c").await;
    assert_eq!((names(&rest), &rest["more"]), (vec![json!("list/\u{fffd}")], &json!(false)));
    let path = rest["topics"][0]["path"].as_str().expect("a path");
    let (status, one) = api(&meeting, path).await;
    assert_eq!((status, &one["queues"][0]["ready"]), (200, &json!(1)));
    assert_eq!(api(&meeting, "/api/topics/nothing").await.0, 404);
}
