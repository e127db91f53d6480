//! Records as JSON, one line each, in a form that can be read back: text where it is UTF-8, hexadecimal where it is not.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::outcomes::Undone;
use crate::log::record::{Header, Record};

/// A record and its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecordLine {
    pub(super) topic: Value,
    #[serde(default)]
    pub(super) partition: u32,
    /// Where it lay; not needed to import it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) offset: Option<u64>,
    /// Milliseconds since 1970 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) timestamp: Option<i64>,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub(super) key: Value,
    /// Null is a tombstone.
    #[serde(default)]
    pub(super) value: Value,
    /// Name and value, in order; names may repeat.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) headers: Vec<(Value, Value)>,
    /// Why it does not count, if it does not: it is not imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) transaction: Option<Undone>,
}

impl RecordLine {
    pub(super) fn new(topic: &[u8], partition: u32, offset: u64, record: &Record) -> Self {
        let optional = |bytes: &Option<Bytes>| bytes.as_ref().map_or(Value::Null, |bytes| text(bytes));
        Self {
            topic: text(topic),
            partition,
            offset: Some(offset),
            timestamp: Some(record.timestamp_ms),
            key: optional(&record.key),
            value: optional(&record.value),
            headers: record.headers.iter().map(|header| (text(&header.key), optional(&header.value))).collect(),
            transaction: None,
        }
    }

    /// The record, with `now_ms` as its time if it has none.
    pub(super) fn record(&self, now_ms: i64) -> Result<Record, String> {
        let optional = |value: &Value| if value.is_null() { Ok(None) } else { bytes(value).map(Some) };
        let header = |(key, value): &(Value, Value)| Ok(Header { key: bytes(key)?, value: optional(value)? });
        Ok(Record {
            key: optional(&self.key)?,
            value: optional(&self.value)?,
            headers: self.headers.iter().map(header).collect::<Result<_, String>>()?,
            timestamp_ms: self.timestamp.unwrap_or(now_ms),
        })
    }
}

/// Bytes as JSON: a string, or `{"hex": ...}` where they are no text.
pub(super) fn text(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => Value::from(text),
        Err(_) => json!({ "hex": bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() }),
    }
}

/// What [`text`] made of bytes, as bytes.
pub(super) fn bytes(value: &Value) -> Result<Bytes, String> {
    match value {
        Value::String(text) => Ok(Bytes::copy_from_slice(text.as_bytes())),
        Value::Object(fields) if fields.len() == 1 => {
            let digits = fields.get("hex").and_then(Value::as_str).ok_or("bytes are a string or {\"hex\": \"...\"}")?;
            let pairs = digits.as_bytes().chunks(2).map(|pair| {
                let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
                u8::from_str_radix(pair, 16).ok()
            });
            pairs.collect::<Option<Vec<u8>>>().map(Bytes::from).ok_or_else(|| format!("{digits} is not hexadecimal"))
        }
        other => Err(format!("{other} is neither a string nor {{\"hex\": \"...\"}}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_as_it_went() {
        let header = |key: &'static [u8], value: Option<&'static [u8]>| Header {
            key: Bytes::from_static(key),
            value: value.map(Bytes::from_static),
        };
        let records = [
            Record { value: Some("text \"quoted\" \u{1F600}".into()), timestamp_ms: 7, ..Record::default() },
            Record { key: Some(vec![0xff, 0, 1].into()), value: None, timestamp_ms: -1, headers: Vec::new() },
            Record {
                key: Some("".into()),
                value: Some("".into()),
                timestamp_ms: 1,
                headers: vec![header(b"a", Some(b"\xfe")), header(b"a", None)],
            },
        ];
        for record in records {
            let line = serde_json::to_string(&RecordLine::new(b"t", 3, 9, &record)).expect("a line");
            assert!(!line.contains('\n'), "{line}");
            let read: RecordLine = serde_json::from_str(&line).expect("a record line");
            assert_eq!(read.record(0), Ok(record), "{line}");
        }
    }

    #[test]
    fn what_is_not_bytes_is_refused() {
        for wrong in [json!(7), json!({ "hex": "0" }), json!({ "hex": "zz" }), json!({ "hex": "00", "x": 1 }), json!([1])] {
            assert!(bytes(&wrong).is_err(), "{wrong}");
        }
    }
}
