//! How Redis values become records and records become Redis values; `docs/mapping.md` has the table.
//!
//! A value pushed or published is a record's value, without key and headers. A record of any origin is read as its value. A stream
//! entry is a record with its fields as headers; fields `key` and `value` that come first are the record's key and value.

use bytes::Bytes;

use super::error::CommandError;
use crate::delivery::Placing;
use crate::delivery::series::Stamp;
use crate::log::TopicName;
use crate::log::record::{Header, Record};

/// A list element or a published payload as a record.
pub fn record(value: Bytes, timestamp_ms: i64) -> Record {
    Record { key: None, value: Some(value), headers: Vec::new(), timestamp_ms }
}

/// What stands in front of a field's name that means something to other readers of a record's headers.
const RESERVED: [&[u8]; 3] = [b"amqp.", b"record.", b"redis."];
const FIELD_PREFIX: &[u8] = b"redis.field.";
const KEY_FIELD: &[u8] = b"key";
const VALUE_FIELD: &[u8] = b"value";

/// The fields of a stream entry, names and values in turn, as a record. Its id is added as the first header.
pub fn entry(mut fields: &[Bytes], timestamp_ms: i64) -> Record {
    let mut record = Record { key: None, value: None, headers: Vec::new(), timestamp_ms };
    if let [name, key, rest @ ..] = fields
        && name == KEY_FIELD
    {
        record.key = Some(key.clone());
        fields = rest;
    }
    if let [name, value, rest @ ..] = fields
        && name == VALUE_FIELD
    {
        record.value = Some(value.clone());
        fields = rest;
    }
    let pairs = fields.chunks_exact(2).filter_map(|pair| pair.first().zip(pair.get(1)));
    record.headers = pairs.map(|(name, value)| Header { key: field_header(name), value: Some(value.clone()) }).collect();
    record
}

fn field_header(name: &Bytes) -> Bytes {
    if RESERVED.iter().any(|prefix| name.starts_with(prefix)) { Bytes::from([FIELD_PREFIX, name].concat()) } else { name.clone() }
}

/// The name of a field of an entry, and its value.
pub type Field<'r> = (&'r [u8], &'r [u8]);

/// The id that a record was written with, and its fields. A record that was no stream entry has a field `value`, whatever else.
pub fn fields(record: &Record) -> (Option<Stamp>, Vec<Field<'_>>) {
    let stamp = Stamp::of_record(record);
    let key = record.key.as_deref().map(|key| (KEY_FIELD, key));
    let value = match (&record.value, stamp) {
        (None, Some(_)) => None,
        (value, _) => Some((VALUE_FIELD, value.as_deref().unwrap_or_default())),
    };
    let headers = record.headers.iter().skip(usize::from(stamp.is_some())).map(|header| {
        let name = if stamp.is_some() { header.key.strip_prefix(FIELD_PREFIX) } else { None };
        (name.unwrap_or(&header.key), header.value.as_deref().unwrap_or_default())
    });
    (stamp, key.into_iter().chain(value).chain(headers).collect())
}

/// What the partition of a record is chosen by, where there are several.
pub fn placing(record: &Record) -> Placing<'_> {
    Placing { given: None, key: record.key.as_deref(), bytes: payload(record).len() }
}

/// What a Redis client reads of a record. A record without value reads as the empty string.
pub fn payload(record: &Record) -> &[u8] {
    record.value.as_deref().unwrap_or_default()
}

/// The topic of a key: the key itself in database 0, behind `N/` in database N.
///
/// # Errors
/// A key that is empty or too long; a name that belongs to the log itself has the wrong type for every command.
pub fn topic_of_key(database: u32, key: &Bytes) -> Result<TopicName, CommandError> {
    let name = if database == 0 {
        TopicName::new(key.clone())?
    } else {
        let mut name = prefix(database).into_bytes();
        name.extend_from_slice(key);
        TopicName::new(name)?
    };
    if name.is_internal() { Err(CommandError::WrongType) } else { Ok(name) }
}

/// The key that a topic is in this database, if it is one.
pub fn key_of_topic(database: u32, databases: u32, name: &TopicName) -> Option<Bytes> {
    if name.is_internal() {
        return None;
    }
    let owner = database_of(name.as_bytes(), databases);
    if owner != database {
        return None;
    }
    let prefix_bytes = if database == 0 { 0 } else { prefix(database).len() };
    let key = name.to_bytes();
    (key.len() >= prefix_bytes).then(|| key.slice(prefix_bytes..))
}

fn prefix(database: u32) -> String {
    format!("{database}/")
}

/// The database whose prefix a name has.
fn database_of(name: &[u8], databases: u32) -> u32 {
    let digits = name.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 || digits > 9 || name.get(digits) != Some(&b'/') || name.first() == Some(&b'0') {
        return 0;
    }
    let number = name.get(..digits).and_then(|d| std::str::from_utf8(d).ok()).and_then(|d| d.parse().ok());
    number.filter(|n| *n < databases).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_are_prefixes_of_names() {
        let key = Bytes::from_static(b"orders");
        let zero = topic_of_key(0, &key).expect("a name");
        let nine = topic_of_key(9, &key).expect("a name");
        assert_eq!((zero.as_bytes(), nine.as_bytes()), (&b"orders"[..], &b"9/orders"[..]));
        assert_eq!(key_of_topic(9, 16, &nine), Some(key.clone()));
        assert_eq!(key_of_topic(0, 16, &zero), Some(key));
        assert_eq!(key_of_topic(0, 16, &nine), None);
        assert_eq!(key_of_topic(9, 16, &zero), None);
        let path = TopicName::new("99/x").expect("a name");
        assert_eq!(key_of_topic(0, 16, &path), Some(Bytes::from_static(b"99/x")));
    }

    #[test]
    fn names_of_the_log_itself_are_no_keys() {
        assert_eq!(topic_of_key(0, &Bytes::from_static(b"__topics")), Err(CommandError::WrongType));
        assert_eq!(topic_of_key(0, &Bytes::new()), Err(CommandError::KeyName));
    }

    #[test]
    fn a_record_without_value_reads_as_the_empty_string() {
        assert_eq!(payload(&Record { key: None, value: None, headers: Vec::new(), timestamp_ms: 0 }), b"");
        assert_eq!(payload(&record(Bytes::from_static(b"v"), 5)), b"v");
    }

    #[test]
    fn the_fields_of_an_entry_come_back_as_they_were_whatever_their_names() {
        for names in [
            vec!["a"],
            vec!["key", "value", "a"],
            vec!["value", "key"],
            vec!["a", "key", "value", "a", "a"],
            vec!["key"],
            vec!["value", "value"],
            vec!["amqp.routing-key", "record.id", "redis.field.x", ""],
        ] {
            let fields: Vec<Bytes> =
                names.iter().flat_map(|name| [Bytes::from(*name), Bytes::from(format!("={name}"))]).collect();
            let stamp = Stamp { ms: 5, seq: 1 };
            let mut record = entry(&fields, 9);
            assert!(!record.headers.iter().any(|header| header.key.starts_with(b"amqp.")), "{names:?}");
            record.headers.insert(0, stamp.header());
            let (read, back) = super::fields(&record);
            let back: Vec<Bytes> =
                back.into_iter().flat_map(|(n, v)| [Bytes::copy_from_slice(n), Bytes::copy_from_slice(v)]).collect();
            assert_eq!((read, back), (Some(stamp), fields), "{names:?}");
        }
    }
}
