//! Messages as records and records as messages: the one place where wire types and core types meet.
//!
//! A message goes into the log with its exchange, routing key and raw property bytes in reserved headers, so that it comes out byte for
//! byte, and beside them as text for readers that know nothing of AMQP. `docs/mapping.md` has the table.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};

use super::wire::{Properties, Table, TableBuilder, Value};
use crate::delivery::Placing;
use crate::log::record::{Header, Record};

/// Exchange that the message was published to; absent for the default exchange.
pub const EXCHANGE: &[u8] = b"amqp.exchange";
/// Routing key of the message; its presence marks a record that was a message.
pub const ROUTING_KEY: &[u8] = b"amqp.routing-key";
/// Property flags and values as on the wire; absent if there are none.
pub const PROPERTIES: &[u8] = b"amqp.properties";
/// What every reserved header begins with.
const RESERVED: &[u8] = b"amqp.";
/// The message header that becomes, and is made from, the record's key.
pub const RECORD_KEY: &[u8] = b"x-record-key";
/// The message header that asks for a partition.
pub const RECORD_PARTITION: &[u8] = b"x-record-partition";
/// The message header that says what makes a message the same as another.
pub const DEDUPLICATION: &[u8] = b"x-deduplication-header";
/// The property `message-id` as a header.
const MESSAGE_ID: &[u8] = b"amqp.message-id";
/// The message header that says that a record has no value at all.
pub const RECORD_NULL: &[u8] = b"x-record-null";
/// The message header with a record's time in milliseconds.
pub const RECORD_TIME: &[u8] = b"timestamp_in_ms";

/// The header that says how often a message failed before.
const DELIVERY_COUNT: &[u8] = b"x-delivery-count";

const NO_PROPERTIES: &[u8] = &[0, 0];
const SECONDS_MAX: u64 = 253_402_300_799;
const PERSISTENT: u8 = 2;

/// A message as it was published.
#[derive(Debug, Clone)]
pub struct Message {
    pub exchange: Bytes,
    pub routing_key: Bytes,
    /// Property flags and values as on the wire.
    pub properties: Bytes,
    pub body: Bytes,
}

/// Fills a record from a message. `view` are the message's properties, decoded. Allocates only what the record keeps.
pub fn fill_record(record: &mut Record, message: &Message, view: &Properties<'_>, now_ms: i64) {
    record.key = None;
    record.value = Some(message.body.clone());
    record.headers.clear();
    record.timestamp_ms = record_time_ms(view.timestamp_s, now_ms);
    if !message.exchange.is_empty() {
        push(record, EXCHANGE, Some(message.exchange.clone()));
    }
    push(record, ROUTING_KEY, Some(message.routing_key.clone()));
    if message.properties != NO_PROPERTIES {
        push(record, PROPERTIES, Some(message.properties.clone()));
        for (name, value) in text_properties(view) {
            if let Some(value) = value {
                push(record, name, Some(message.properties.slice_ref(value)));
            }
        }
        push_application_headers(record, message, view);
    }
}

/// What the partition of a message is chosen by, where there are several: the partition that it asks for, its record's key, or the
/// routing key that it was published to an exchange with. On the default exchange that is the name of the queue, and says nothing.
pub fn placing<'r>(record: &'r Record, message: &'r Message, view: &Properties<'_>) -> Placing<'r> {
    let asked = view.headers.and_then(|headers| Table(headers).get(RECORD_PARTITION)?.integer());
    let routing_key = Some(&message.routing_key[..]).filter(|key| !message.exchange.is_empty() && !key.is_empty());
    Placing {
        given: asked.and_then(|partition| u32::try_from(partition).ok()),
        key: record.key.as_deref().or(routing_key),
        bytes: message.body.len(),
    }
}

/// What makes a record that was no message the same as another: the header that says so, or the property that its header stands for.
pub fn record_id(record: &Record) -> Option<Bytes> {
    let header = |name: &[u8]| record.headers.iter().find(|header| header.key == name).and_then(|header| header.value.clone());
    header(DEDUPLICATION).or_else(|| header(MESSAGE_ID))
}

/// The key by which a queue that keeps the order of each key knows a record: as for [`placing`].
pub fn order_key(record: &Record) -> Option<Bytes> {
    let header = |name: &[u8]| record.headers.iter().find(|header| header.key == name).and_then(|header| header.value.clone());
    let routing_key = || header(EXCHANGE).and_then(|_| header(ROUTING_KEY)).filter(|key| !key.is_empty());
    record.key.clone().or_else(routing_key)
}

fn push(record: &mut Record, name: &'static [u8], value: Option<Bytes>) {
    record.headers.push(Header { key: Bytes::from_static(name), value });
}

/// The time of a record: the message's own if it has a plausible one in seconds, or else now.
fn record_time_ms(timestamp_s: Option<u64>, now_ms: i64) -> i64 {
    timestamp_s.filter(|seconds| *seconds <= SECONDS_MAX).and_then(|seconds| i64::try_from(seconds * 1000).ok()).unwrap_or(now_ms)
}

fn text_properties<'a>(view: &Properties<'a>) -> [(&'static [u8], Option<&'a [u8]>); 9] {
    [
        (b"amqp.content-type", view.content_type),
        (b"amqp.content-encoding", view.content_encoding),
        (b"amqp.correlation-id", view.correlation_id),
        (b"amqp.reply-to", view.reply_to),
        (b"amqp.expiration", view.expiration),
        (b"amqp.message-id", view.message_id),
        (b"amqp.type", view.kind),
        (b"amqp.user-id", view.user_id),
        (b"amqp.app-id", view.app_id),
    ]
}

fn push_application_headers(record: &mut Record, message: &Message, view: &Properties<'_>) {
    let Some(table) = view.headers else { return };
    for (name, value) in Table(table).entries().map_while(Result::ok) {
        if name.starts_with(RESERVED) || std::str::from_utf8(name).is_err() {
            continue;
        }
        let shared = |bytes| message.properties.slice_ref(bytes);
        if name == RECORD_KEY
            && let Some(key) = value.text()
        {
            record.key = Some(shared(key));
            continue;
        }
        let text = match value {
            Value::Text(bytes) | Value::Bytes(bytes) => Some(shared(bytes)),
            Value::Void => None,
            Value::Array(_) | Value::Table(_) => continue,
            scalar => Some(Bytes::from(scalar_text(scalar))),
        };
        record.headers.push(Header { key: shared(name), value: text });
    }
}

fn scalar_text(value: Value<'_>) -> String {
    match value {
        Value::Bool(flag) => flag.to_string(),
        Value::F32(number) => number.to_string(),
        Value::F64(number) => number.to_string(),
        Value::Decimal(scale, unscaled) => format!("{unscaled}e-{scale}"),
        Value::Timestamp(seconds) => seconds.to_string(),
        other => other.integer().map(|number| number.to_string()).unwrap_or_default(),
    }
}

/// A record as a consumer gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing<'r> {
    pub exchange: &'r [u8],
    pub routing_key: Cow<'r, [u8]>,
    /// Property flags and values as on the wire.
    pub properties: Cow<'r, [u8]>,
    pub body: &'r [u8],
}

/// A record as a message: exactly the one that was published, or made from key, headers and time if it came from elsewhere. `queue` is
/// the name of the queue that it is delivered from.
pub fn to_message<'r>(record: &'r Record, queue: &'r [u8]) -> Outgoing<'r> {
    let body = record.value.as_deref().unwrap_or_default();
    published(record, body).unwrap_or_else(|| Outgoing {
        exchange: b"",
        routing_key: Cow::Borrowed(queue),
        properties: Cow::Owned(made_properties(record).into()),
        body,
    })
}

fn published<'r>(record: &'r Record, body: &'r [u8]) -> Option<Outgoing<'r>> {
    let (mut exchange, mut routing_key, mut properties) = (&b""[..], None, NO_PROPERTIES);
    // What we wrote stands in front.
    for header in record.headers.iter().take(3) {
        let value = header.value.as_deref().unwrap_or_default();
        match &header.key[..] {
            EXCHANGE => exchange = value,
            ROUTING_KEY => routing_key = Some(value),
            PROPERTIES => properties = value,
            _ => break,
        }
    }
    let routing_key = routing_key.filter(|key| key.len() <= 255 && exchange.len() <= 255)?;
    // Anyone may write such headers: what is not well formed must not reach a client.
    Properties::decode(properties).ok()?;
    Some(Outgoing { exchange, routing_key: Cow::Borrowed(routing_key), properties: Cow::Borrowed(properties), body })
}

fn made_properties(record: &Record) -> BytesMut {
    let mut properties = Properties { delivery_mode: Some(PERSISTENT), ..Properties::default() };
    properties.timestamp_s = u64::try_from(record.timestamp_ms).ok().map(|time_ms| time_ms / 1000);
    let headers = made_headers(record, &mut properties);
    properties.headers = Some(&headers);
    let mut out = BytesMut::new();
    properties.encode(&mut out);
    out
}

fn made_headers<'r>(record: &'r Record, properties: &mut Properties<'r>) -> BytesMut {
    let mut table = TableBuilder::new();
    if let Some(key) = &record.key {
        table.push(RECORD_KEY, Value::Text(key));
    }
    if record.value.is_none() {
        table.push(RECORD_NULL, Value::Bool(true));
    }
    if record.timestamp_ms >= 0 {
        table.push(RECORD_TIME, Value::I64(record.timestamp_ms));
    }
    for (at, header) in record.headers.iter().enumerate() {
        let taken = |other: &Header| other.key == header.key;
        let is_repeat = record.headers.iter().take(at).any(taken);
        if header.key.len() > 255 || is_repeat || set_property(properties, header) {
            continue;
        }
        let rest = record.headers.get(at + 1..).unwrap_or_default();
        if rest.iter().any(taken) {
            let mut all = BytesMut::new();
            record.headers.iter().filter(|other| taken(other)).for_each(|other| header_value(other).write(&mut all));
            table.push(&header.key, Value::Array(&all));
        } else {
            table.push(&header.key, header_value(header));
        }
    }
    table.finish()
}

fn header_value(header: &Header) -> Value<'_> {
    header.value.as_deref().map_or(Value::Void, Value::Text)
}

/// Takes a header under a property's reserved name as that property.
fn set_property<'r>(properties: &mut Properties<'r>, header: &'r Header) -> bool {
    let Some(value) = header.value.as_deref().filter(|value| value.len() <= 255) else { return false };
    let slot = match &header.key[..] {
        b"amqp.content-type" => &mut properties.content_type,
        b"amqp.content-encoding" => &mut properties.content_encoding,
        b"amqp.correlation-id" => &mut properties.correlation_id,
        b"amqp.reply-to" => &mut properties.reply_to,
        b"amqp.expiration" => &mut properties.expiration,
        b"amqp.message-id" => &mut properties.message_id,
        b"amqp.type" => &mut properties.kind,
        b"amqp.app-id" => &mut properties.app_id,
        _ => return false,
    };
    *slot = Some(value);
    true
}

/// The property bytes with how often the message failed before, as quorum queues tell it.
pub fn with_delivery_count(properties: &[u8], count: u32) -> BytesMut {
    let mut out = BytesMut::new();
    let Ok(view) = Properties::decode(properties) else { return BytesMut::from(properties) };
    let mut headers = TableBuilder::new();
    for (name, value) in Table(view.headers.unwrap_or_default()).entries().map_while(Result::ok) {
        if name != DELIVERY_COUNT {
            headers.push(name, value);
        }
    }
    headers.push(DELIVERY_COUNT, Value::I64(count.into()));
    let headers = headers.finish();
    Properties { headers: Some(&headers), ..view }.encode(&mut out);
    out
}

/// The property bytes without one of their headers; unchanged if it is not there.
pub fn without_header(properties: &Bytes, view: &Properties<'_>, name: &[u8]) -> Bytes {
    let Some(table) = view.headers.map(Table).filter(|table| table.get(name).is_some()) else { return properties.clone() };
    let mut rest = TableBuilder::new();
    for (key, value) in table.entries().map_while(Result::ok).filter(|(key, _)| *key != name) {
        rest.push(key, value);
    }
    let rest = rest.finish();
    let mut out = BytesMut::new();
    Properties { headers: Some(&rest), ..*view }.encode(&mut out);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record_of(message: &Message) -> Record {
        let mut record = Record { key: None, value: None, headers: Vec::new(), timestamp_ms: 0 };
        fill_record(&mut record, message, &Properties::decode(&message.properties).unwrap(), 1_000);
        record
    }

    fn header<'r>(record: &'r Record, name: &str) -> Option<&'r [u8]> {
        record.headers.iter().find(|header| header.key == name.as_bytes()).and_then(|header| header.value.as_deref())
    }

    fn encoded(properties: Properties<'_>) -> Bytes {
        let mut out = BytesMut::new();
        properties.encode(&mut out);
        out.freeze()
    }

    #[test]
    fn a_message_is_readable_as_a_record() {
        let headers = TableBuilder::new()
            .entry(b"tenant", Value::Text(b"a"))
            .entry(b"tries", Value::I32(-3))
            .entry(b"nothing", Value::Void)
            .entry(b"deep", Value::Table(b""))
            .entry(RECORD_KEY, Value::Text(b"k1"))
            .finish();
        let properties = Properties {
            content_type: Some(b"text/plain"),
            headers: Some(&headers),
            timestamp_s: Some(1_700_000_000),
            ..Properties::default()
        };
        let message = Message {
            exchange: Bytes::from_static(b"logs"),
            routing_key: Bytes::from_static(b"a.b"),
            properties: encoded(properties),
            body: Bytes::from_static(b"body"),
        };
        let record = record_of(&message);
        assert_eq!(record.key.as_deref(), Some(&b"k1"[..]));
        assert_eq!(record.timestamp_ms, 1_700_000_000_000);
        assert_eq!(header(&record, "amqp.exchange"), Some(&b"logs"[..]));
        assert_eq!(header(&record, "amqp.content-type"), Some(&b"text/plain"[..]));
        assert_eq!(header(&record, "tenant"), Some(&b"a"[..]));
        assert_eq!(header(&record, "tries"), Some(&b"-3"[..]));
        assert!(record.headers.iter().any(|header| header.key == "nothing" && header.value.is_none()));
        assert!(!record.headers.iter().any(|header| header.key == "deep"));
    }

    #[test]
    fn a_record_from_elsewhere_becomes_a_message_of_its_queue() {
        let h = |key: &'static str, value: Option<&'static str>| Header {
            key: Bytes::from_static(key.as_bytes()),
            value: value.map(|value| Bytes::from_static(value.as_bytes())),
        };
        let record = Record {
            key: Some(Bytes::from_static(b"k")),
            value: None,
            headers: vec![
                h("a", Some("1")),
                h("n", None),
                h("twice", Some("x")),
                h("twice", Some("y")),
                h("amqp.content-type", Some("text/plain")),
            ],
            timestamp_ms: 1_700_000_000_123,
        };
        let message = to_message(&record, b"orders");
        assert_eq!((message.exchange, &message.routing_key[..], message.body), (&b""[..], &b"orders"[..], &b""[..]));
        let properties = Properties::decode(&message.properties).unwrap();
        assert_eq!((properties.content_type, properties.delivery_mode), (Some(&b"text/plain"[..]), Some(2)));
        assert_eq!(properties.timestamp_s, Some(1_700_000_000));
        let table = Table(properties.headers.unwrap());
        assert_eq!(table.get(RECORD_KEY), Some(Value::Text(b"k")));
        assert_eq!(table.get(RECORD_NULL), Some(Value::Bool(true)));
        assert_eq!(table.get(RECORD_TIME), Some(Value::I64(1_700_000_000_123)));
        assert_eq!((table.get(b"a"), table.get(b"n")), (Some(Value::Text(b"1")), Some(Value::Void)));
        assert_eq!(table.get(b"twice"), Some(Value::Array(b"S\0\0\0\x01xS\0\0\0\x01y")));
        assert_eq!(table.entries().count(), 6);
    }

    #[test]
    fn forged_properties_do_not_reach_a_client() {
        let h = |key: &'static [u8], value: &'static [u8]| Header {
            key: Bytes::from_static(key),
            value: Some(Bytes::from_static(value)),
        };
        let record = Record {
            key: None,
            value: Some(Bytes::from_static(b"v")),
            headers: vec![h(ROUTING_KEY, b"k"), h(PROPERTIES, &[0x20, 0, 0xff, 0xff, 0xff, 0xff])],
            timestamp_ms: -1,
        };
        let message = to_message(&record, b"q");
        assert_eq!(&message.routing_key[..], b"q");
        Properties::decode(&message.properties).unwrap();
    }

    #[test]
    fn a_header_can_be_taken_out() {
        let headers = TableBuilder::new().entry(b"CC", Value::Array(b"")).entry(b"BCC", Value::Array(b"")).finish();
        let properties = encoded(Properties { headers: Some(&headers), priority: Some(1), ..Properties::default() });
        let view = Properties::decode(&properties).unwrap();
        let rest = without_header(&properties, &view, b"BCC");
        let rest = Properties::decode(&rest).unwrap();
        assert_eq!((rest.priority, Table(rest.headers.unwrap()).entries().count()), (Some(1), 1));
        assert_eq!(without_header(&properties, &view, b"other"), properties);
    }

    proptest! {
        #[test]
        fn a_message_comes_back_byte_for_byte(
            exchange in proptest::collection::vec(any::<u8>(), 0..20),
            routing_key in proptest::collection::vec(any::<u8>(), 0..255),
            names in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..12), 0..6),
            flags in any::<(bool, bool, bool)>(),
            body in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let mut table = TableBuilder::new();
            for (at, name) in names.iter().enumerate() {
                table.push(name, [Value::Text(name), Value::I64(at as i64), Value::Void, Value::Array(b"t\x01"), Value::F32(0.5)][at % 5]);
            }
            let table = table.finish();
            let properties = encoded(Properties {
                headers: flags.0.then_some(&table),
                message_id: flags.1.then_some(b"id"),
                timestamp_s: flags.2.then_some(u64::MAX),
                ..Properties::default()
            });
            let message = Message { exchange: exchange.clone().into(), routing_key: routing_key.clone().into(), properties: properties.clone(), body: body.clone().into() };
            let record = record_of(&message);
            let back = to_message(&record, b"queue");
            prop_assert_eq!(back.exchange, &exchange[..]);
            prop_assert_eq!(&back.routing_key[..], &routing_key[..]);
            prop_assert_eq!(&back.properties[..], &properties[..]);
            prop_assert_eq!(back.body, &body[..]);
        }
    }
}
