//! Stream entries as Kafka and AMQP read them, and their records as stream entries.

use lapin::types::{AMQPValue, ShortString};
use rdkafka::message::{Headers, Message, OwnedHeaders};

use crate::clients::{Meeting, persistent, receive};
use crate::support::unique;

type Entry = (String, Vec<String>);

#[tokio::test]
async fn an_entry_is_a_record_with_key_value_and_headers() {
    let meeting = Meeting::start().await;
    let name = unique("stream");
    let entry: [&[u8]; 8] = [name.as_bytes(), b"5-1", b"key", b"k", b"value", b"body", b"trace", b"t"];
    let id: String = meeting.redis("XADD", &entry).await;
    assert_eq!(id, "5-1");
    let record = receive(&meeting.assigned(&name), 1).await.remove(0);
    assert_eq!((record.key(), record.payload()), (Some(&b"k"[..]), Some(&b"body"[..])));
    let headers: Vec<_> = record.headers().unwrap().iter().map(|header| (header.key, header.value.unwrap())).collect();
    assert_eq!(headers, [("record.id", &b"5-1"[..]), ("trace", b"t")]);
    let message = meeting.consume(&name, 1).await.remove(0);
    assert_eq!(message.data, b"body");
    let headers = message.properties.headers().clone().unwrap();
    assert_eq!(headers.inner().get(&ShortString::from("trace")), Some(&AMQPValue::LongString("t".into())));
    let left: Vec<Entry> = meeting.redis("XRANGE", &[name.as_bytes(), b"-", b"+"]).await;
    let fields: Vec<String> = ["key", "k", "value", "body", "trace", "t"].map(str::to_owned).to_vec();
    assert_eq!(left, [("5-1".to_owned(), fields)], "a consumer takes nothing from a stream");
}

#[tokio::test]
async fn records_of_other_dialects_are_entries_and_can_be_waited_for() {
    let meeting = Meeting::start().await;
    let name = unique("stream");
    meeting.create_topic(&name, 1).await;
    let headers = OwnedHeaders::new().insert(rdkafka::message::Header { key: "h", value: Some("1") });
    meeting.produce_whole(&name, b"k", Some(b"first"), headers, 1_000).await;
    let first: Vec<(String, Vec<Entry>)> = meeting.redis("XREAD", &[b"STREAMS", name.as_bytes(), b"0"]).await;
    let fields: Vec<String> = ["key", "k", "value", "first", "h", "1"].map(str::to_owned).to_vec();
    assert_eq!(first, [(name.clone(), vec![("0-1".to_owned(), fields)])]);
    let _: () = meeting.redis("XGROUP", &[b"CREATE", name.as_bytes(), b"g", b"$"]).await;
    let read: [&[u8]; 8] = [b"GROUP", b"g", b"me", b"BLOCK", b"0", b"STREAMS", name.as_bytes(), b">"];
    let waiting = meeting.redis::<Vec<(String, Vec<Entry>)>>("XREADGROUP", &read);
    let publish = meeting.publish("", &name, b"second", persistent());
    let (got, ()) = tokio::join!(waiting, async {
        meeting.declare(&name).await;
        publish.await;
    });
    assert_eq!(got[0].1[0].1[..2], ["value".to_owned(), "second".to_owned()]);
    let len: u64 = meeting.redis("XLEN", &[name.as_bytes()]).await;
    assert_eq!(len, 2);
}
