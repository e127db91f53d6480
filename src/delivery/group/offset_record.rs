//! The bytes of one committed offset in the state table `__consumer_offsets`: Kafka's own key (version 1) and value
//! (version 4, the topic's id in tagged field 0), so that Kafka's tools can show them.
//!
//! Reads only what it wrote; anything else is [`None`], for the caller to report and leave alone.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::offsets::{Committed, OffsetKey};
use crate::log::{TopicId, TopicName};

const KEY_VERSION: i16 = 1;
const VALUE_VERSION: i16 = 4;
const TOPIC_ID_TAG: u64 = 0;
const TOPIC_ID_BYTES: usize = 16;

/// Group, topic and partition. Group and topic names are at most 32767 bytes, see [`super::Groups`].
pub(super) fn encode_key(group: &str, key: &OffsetKey) -> Bytes {
    let mut out = BytesMut::with_capacity(10 + group.len() + key.topic.as_bytes().len());
    out.put_i16(KEY_VERSION);
    put_short(&mut out, group.as_bytes());
    put_short(&mut out, key.topic.as_bytes());
    out.put_u32(key.partition);
    out.freeze()
}

pub(super) fn decode_key(mut bytes: Bytes) -> Option<(Arc<str>, OffsetKey)> {
    if bytes.try_get_i16().ok()? != KEY_VERSION {
        return None;
    }
    let group = take_short(&mut bytes)?;
    let topic = TopicName::new(take_short(&mut bytes)?).ok()?;
    let partition = bytes.try_get_u32().ok()?;
    let group = Arc::from(std::str::from_utf8(&group).ok()?);
    bytes.is_empty().then_some((group, OffsetKey { topic, partition }))
}

pub(super) fn encode_value(value: &Committed) -> Bytes {
    let mut out = BytesMut::with_capacity(48 + value.metadata.len());
    out.put_i16(VALUE_VERSION);
    out.put_u64(value.offset);
    out.put_i32(value.leader_epoch);
    put_varint(&mut out, value.metadata.len() as u64 + 1);
    out.put_slice(value.metadata.as_bytes());
    out.put_i64(value.committed_at_ms);
    put_varint(&mut out, 1);
    put_varint(&mut out, TOPIC_ID_TAG);
    put_varint(&mut out, TOPIC_ID_BYTES as u64);
    out.put_u128(value.topic_id.0);
    out.freeze()
}

pub(super) fn decode_value(mut bytes: Bytes) -> Option<Committed> {
    if bytes.try_get_i16().ok()? != VALUE_VERSION {
        return None;
    }
    let offset = bytes.try_get_u64().ok()?;
    let leader_epoch = bytes.try_get_i32().ok()?;
    let length = usize::try_from(take_varint(&mut bytes)?.checked_sub(1)?).ok()?;
    let metadata = take(&mut bytes, length)?;
    let metadata = Arc::from(std::str::from_utf8(&metadata).ok()?);
    let committed_at_ms = bytes.try_get_i64().ok()?;
    let topic_id = take_topic_id(&mut bytes)?;
    Some(Committed { offset, leader_epoch, metadata, committed_at_ms, topic_id })
}

fn take_topic_id(bytes: &mut Bytes) -> Option<TopicId> {
    for _ in 0..take_varint(bytes)? {
        let tag = take_varint(bytes)?;
        let length = usize::try_from(take_varint(bytes)?).ok()?;
        let mut field = take(bytes, length)?;
        if tag == TOPIC_ID_TAG && field.len() == TOPIC_ID_BYTES {
            return Some(TopicId(field.get_u128()));
        }
    }
    None
}

pub(super) fn put_short(out: &mut BytesMut, bytes: &[u8]) {
    out.put_u16(u16::try_from(bytes.len()).unwrap_or(u16::MAX));
    out.put_slice(bytes);
}

pub(super) fn take_short(bytes: &mut Bytes) -> Option<Bytes> {
    let length = usize::from(bytes.try_get_u16().ok()?);
    take(bytes, length)
}

pub(super) fn take(bytes: &mut Bytes, length: usize) -> Option<Bytes> {
    (length <= bytes.len()).then(|| bytes.split_to(length))
}

pub(super) fn put_varint(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

pub(super) fn take_varint(bytes: &mut Bytes) -> Option<u64> {
    let mut value = 0;
    for shift in (0..35).step_by(7) {
        let byte = bytes.try_get_u8().ok()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> OffsetKey {
        OffsetKey { topic: TopicName::new(&b"orders"[..]).unwrap(), partition: 7 }
    }

    fn committed(metadata: &str) -> Committed {
        Committed {
            offset: 42,
            leader_epoch: -1,
            metadata: metadata.into(),
            committed_at_ms: 1_700_000_000_000,
            topic_id: TopicId(9),
        }
    }

    #[test]
    fn a_key_comes_back_as_it_went() {
        assert_eq!(decode_key(encode_key("billing", &key())), Some(("billing".into(), key())));
    }

    #[test]
    fn a_key_has_the_layout_of_kafka() {
        let expected = b"\x00\x01\x00\x07billing\x00\x06orders\x00\x00\x00\x07";
        assert_eq!(&encode_key("billing", &key())[..], expected);
    }

    #[test]
    fn a_value_comes_back_as_it_went() {
        for metadata in ["", "checkpoint", &"m".repeat(4096)] {
            assert_eq!(decode_value(encode_value(&committed(metadata))), Some(committed(metadata)));
        }
    }

    #[test]
    fn a_cut_record_is_refused() {
        let (key, value) = (encode_key("billing", &key()), encode_value(&committed("m")));
        for length in 0..key.len() {
            assert_eq!(decode_key(key.slice(..length)), None);
        }
        for length in 0..value.len() {
            assert_eq!(decode_value(value.slice(..length)), None);
        }
    }
}
