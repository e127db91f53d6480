//! Key, headers, properties and time of a record on their way from one dialect to another.

use lapin::types::{AMQPValue, FieldTable, LongString};
use lapin::{BasicProperties, ExchangeKind};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders, OwnedMessage, Timestamp};

use crate::clients::{Meeting, persistent, receive};
use crate::support::unique;

const TIME_MS: i64 = 1_700_000_000_123;

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(LongString::from(value))
}

fn headers_of(message: &OwnedMessage) -> Vec<(String, Option<Vec<u8>>)> {
    let Some(headers) = message.headers() else { return Vec::new() };
    headers.iter().map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
}

fn header(message: &OwnedMessage, key: &str) -> Option<String> {
    let found = headers_of(message).into_iter().find(|(name, _)| name == key)?;
    Some(String::from_utf8(found.1?).expect("text"))
}

fn kafka_headers() -> OwnedHeaders {
    OwnedHeaders::new()
        .insert(Header { key: "tenant", value: Some("a") })
        .insert(Header { key: "twice", value: Some("1") })
        .insert(Header { key: "nothing", value: None::<&[u8]> })
        .insert(Header { key: "twice", value: Some("2") })
}

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock");
    i64::try_from(since.as_millis()).expect("a time")
}

#[tokio::test]
async fn kafka_to_kafka_is_exact() {
    let meeting = Meeting::start().await;
    let name = unique("exact");
    let key: Vec<u8> = (0..=255).collect();
    meeting.produce_whole(&name, &key, Some(b"value"), kafka_headers(), TIME_MS).await;
    meeting.produce_whole(&name, b"tombstone", None, OwnedHeaders::new(), TIME_MS + 1).await;
    meeting.consume(&name, 2).await; // what the queue is done with is there to be read again
    for consumer in [meeting.assigned(&name), meeting.member(&name)] {
        let records = receive(&consumer, 2).await;
        assert_eq!((records[0].key(), records[0].payload()), (Some(&key[..]), Some(&b"value"[..])));
        assert_eq!(records[0].timestamp(), Timestamp::CreateTime(TIME_MS));
        let expected = [("tenant", Some("a")), ("twice", Some("1")), ("nothing", None), ("twice", Some("2"))];
        let expected: Vec<_> = expected.map(|(k, v)| (k.to_owned(), v.map(|v| v.as_bytes().to_vec()))).into();
        assert_eq!(headers_of(&records[0]), expected);
        assert_eq!((records[1].key(), records[1].payload()), (Some(&b"tombstone"[..]), None));
    }
}

#[tokio::test]
async fn amqp_to_amqp_is_exact() {
    let meeting = Meeting::start().await;
    let name = unique("exact");
    meeting.declare(&name).await;
    let mut nested = FieldTable::default();
    nested.insert("deep".into(), AMQPValue::Boolean(true));
    let mut headers = FieldTable::default();
    for (key, value) in [
        ("text", text("v\u{e4}lue")),
        ("byte", AMQPValue::ShortShortInt(-1)),
        ("long", AMQPValue::LongLongInt(i64::MIN)),
        ("double", AMQPValue::Double(1.5)),
        ("time", AMQPValue::Timestamp(1_700_000_000)),
        ("void", AMQPValue::Void),
        ("bytes", AMQPValue::ByteArray(vec![0, 255].into())),
        ("list", AMQPValue::FieldArray(vec![text("a"), AMQPValue::LongInt(2)].into())),
        ("table", AMQPValue::FieldTable(nested)),
        ("x-record-key", text("key")),
        ("amqp.type", text("not the property")),
    ] {
        headers.insert(key.into(), value);
    }
    let properties = BasicProperties::default()
        .with_content_type("application/json".into())
        .with_content_encoding("gzip".into())
        .with_headers(headers)
        .with_delivery_mode(2)
        .with_priority(9)
        .with_correlation_id("correlation".into())
        .with_reply_to("replies".into())
        .with_expiration("60000".into())
        .with_message_id("id".into())
        .with_timestamp(1_700_000_000)
        .with_type("type".into())
        .with_user_id("guest".into())
        .with_app_id("app".into())
        .with_cluster_id("cluster".into());
    let (exchange, key) = meeting.exchange(ExchangeKind::Topic, &name).await;
    meeting.publish(&exchange, key, b"body", properties.clone()).await;
    meeting.publish("", &name, b"", BasicProperties::default()).await;
    let got = meeting.consume(&name, 2).await;
    assert_eq!((got[0].exchange.as_str(), got[0].routing_key.as_str()), (exchange.as_str(), key));
    assert_eq!((&got[0].data[..], &got[0].properties), (&b"body"[..], &properties));
    assert_eq!((got[1].exchange.as_str(), got[1].routing_key.as_str()), ("", name.as_str()));
    assert_eq!((&got[1].data[..], &got[1].properties), (&b""[..], &BasicProperties::default()));
}

#[tokio::test]
async fn a_kafka_record_is_a_message_with_its_key_headers_and_time() {
    let meeting = Meeting::start().await;
    let name = unique("orders");
    meeting.produce_whole(&name, b"k1", Some(b"value"), kafka_headers(), TIME_MS).await;
    meeting.produce_whole(&name, b"k2", None, OwnedHeaders::new(), TIME_MS).await;
    let got = meeting.consume(&name, 2).await;
    assert_eq!((got[0].exchange.as_str(), got[0].routing_key.as_str(), &got[0].data[..]), ("", name.as_str(), &b"value"[..]));
    assert_eq!(got[0].properties.delivery_mode(), &Some(2), "what comes from the log is persistent");
    assert_eq!(got[0].properties.timestamp(), &Some(1_700_000_000));
    let headers = got[0].properties.headers().clone().expect("headers");
    let headers = headers.inner();
    assert_eq!(headers.get("x-record-key"), Some(&text("k1")));
    assert_eq!(headers.get("timestamp_in_ms"), Some(&AMQPValue::LongLongInt(TIME_MS)));
    assert_eq!(headers.get("tenant"), Some(&text("a")));
    assert_eq!(headers.get("nothing"), Some(&AMQPValue::Void));
    assert_eq!(headers.get("twice"), Some(&AMQPValue::FieldArray(vec![text("1"), text("2")].into())));
    assert_eq!(headers.len(), 5);
    let tombstone = got[1].properties.headers().clone().expect("headers");
    assert_eq!(tombstone.inner().get("x-record-null"), Some(&AMQPValue::Boolean(true)));
    assert!(got[1].data.is_empty());
}

#[tokio::test]
async fn a_message_is_a_record_with_its_properties_as_headers() {
    let meeting = Meeting::start().await;
    let name = unique("orders");
    meeting.declare(&name).await;
    let mut headers = FieldTable::default();
    headers.insert("tenant".into(), text("a"));
    headers.insert("tries".into(), AMQPValue::LongInt(-3));
    headers.insert("nothing".into(), AMQPValue::Void);
    headers.insert("x-record-key".into(), text("k1"));
    let properties = persistent()
        .with_headers(headers)
        .with_content_type("text/plain".into())
        .with_correlation_id("c1".into())
        .with_message_id("m1".into())
        .with_timestamp(1_700_000_000);
    let (exchange, key) = meeting.exchange(ExchangeKind::Direct, &name).await;
    meeting.publish(&exchange, key, b"body", properties).await;
    let record = receive(&meeting.assigned(&name), 1).await.remove(0);
    assert_eq!((record.key(), record.payload()), (Some(&b"k1"[..]), Some(&b"body"[..])));
    assert_eq!(record.timestamp(), Timestamp::CreateTime(1_700_000_000_000));
    for (name, value) in [
        ("amqp.exchange", exchange.as_str()),
        ("amqp.routing-key", key),
        ("amqp.content-type", "text/plain"),
        ("amqp.correlation-id", "c1"),
        ("amqp.message-id", "m1"),
        ("tenant", "a"),
        ("tries", "-3"),
    ] {
        assert_eq!(header(&record, name).as_deref(), Some(value), "{name}");
    }
    assert!(headers_of(&record).contains(&("nothing".to_owned(), None)));
}

#[tokio::test]
async fn a_kafka_producer_sets_properties_by_their_reserved_headers() {
    let meeting = Meeting::start().await;
    let name = unique("orders");
    let headers = OwnedHeaders::new()
        .insert(Header { key: "amqp.content-type", value: Some("application/json") })
        .insert(Header { key: "amqp.reply-to", value: Some("replies") })
        .insert(Header { key: "amqp.correlation-id", value: Some("c7") });
    meeting.produce_whole(&name, b"k", Some(b"{}"), headers, TIME_MS).await;
    let properties = meeting.consume(&name, 1).await.remove(0).properties;
    let text = |value: &Option<lapin::types::ShortString>| value.as_ref().map(|value| value.as_str().to_owned());
    assert_eq!(text(properties.content_type()).as_deref(), Some("application/json"));
    assert_eq!(text(properties.reply_to()).as_deref(), Some("replies"));
    assert_eq!(text(properties.correlation_id()).as_deref(), Some("c7"));
}

#[tokio::test]
async fn a_list_element_is_a_record_of_now_without_key_and_headers() {
    let meeting = Meeting::start().await;
    let name = unique("jobs");
    let began_ms = now_ms();
    let _: u64 = meeting.redis("RPUSH", &[name.as_bytes(), b"element"]).await;
    let record = receive(&meeting.assigned(&name), 1).await.remove(0);
    assert_eq!((record.key(), record.payload(), headers_of(&record)), (None, Some(&b"element"[..]), Vec::new()));
    let time_ms = record.timestamp().to_millis().expect("a time");
    assert!((began_ms..=now_ms()).contains(&time_ms), "{time_ms}");
    let message = meeting.consume(&name, 1).await.remove(0);
    assert_eq!(message.properties.delivery_mode(), &Some(2));
    assert_eq!(message.properties.timestamp(), &Some(u64::try_from(time_ms / 1000).unwrap()));
    assert_eq!(message.routing_key.as_str(), name);
}

#[tokio::test]
async fn redis_reads_the_value_of_any_record_and_no_value_as_empty() {
    let meeting = Meeting::start().await;
    let name = unique("jobs");
    meeting.produce_whole(&name, b"k", Some(b"from kafka"), kafka_headers(), TIME_MS).await;
    meeting.produce_whole(&name, b"k", None, OwnedHeaders::new(), TIME_MS).await;
    meeting.declare(&name).await;
    meeting.publish("", &name, b"from amqp", persistent().with_type("t".into())).await;
    let elements: Vec<Vec<u8>> = meeting.redis("LRANGE", &[name.as_bytes(), b"0", b"-1"]).await;
    assert_eq!(elements, [b"from kafka".to_vec(), Vec::new(), b"from amqp".to_vec()]);
    assert_eq!(meeting.redis::<String>("TYPE", &[name.as_bytes()]).await, "list");
}

#[tokio::test]
async fn a_record_that_went_through_a_queue_untouched_comes_back_to_kafka_as_it_was() {
    let meeting = Meeting::start().await;
    let name = unique("orders");
    meeting.produce_whole(&name, b"k1", Some(b"value"), kafka_headers(), TIME_MS).await;
    let before = receive(&meeting.assigned(&name), 1).await.remove(0);
    let taken = meeting.get(&name).await;
    assert_eq!(taken.delivery.data, b"value");
    let after = receive(&meeting.assigned(&name), 1).await.remove(0);
    assert_eq!((after.offset(), after.key(), after.timestamp()), (before.offset(), before.key(), before.timestamp()));
    assert_eq!(headers_of(&after), headers_of(&before));
}
