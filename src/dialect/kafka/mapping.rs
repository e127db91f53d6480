//! Where Kafka's words become the core's. Topics, partitions, offsets, keys, values, headers and timestamps are the core's own
//! words and pass as they are; record batches are kept byte for byte. What is left are names, ids and numbers.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::error::ErrorCode;
use super::wire::Uuid;
use crate::delivery::group::{Caller, InstanceName};
use crate::delivery::transaction::{Producer, State, TransactionError};
use crate::log::record::{BATCH_HEADER_BYTES, BatchHeader};
use crate::log::{Bound, Log, Partition, Topic, TopicId, TopicName};

/// The longest name that Kafka gives a topic, in bytes.
const NAME_BYTES_MAX: usize = 249;
/// The bit of a batch's attributes that says that its time is that of its append.
const APPEND_TIME: i16 = 1 << 3;
/// A batch's checksum covers what follows it.
const CHECKSUMMED_FROM: usize = 21;

/// The topic of a name as a client writes it; none: no topic can have it.
pub fn topic_name(name: &str) -> Option<TopicName> {
    TopicName::new(name.to_owned().into_bytes()).ok()
}

/// Whether Kafka would make a topic of this name. Names of other dialects may be any bytes; those that are text are shown and
/// may be written and read, but not made from here.
pub fn is_legal_new_name(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && name != "."
        && name != ".."
        && !name.starts_with("__")
        && name.bytes().all(legal)
}

/// How a topic is named in a request: by its name in old versions, by its id in new ones.
pub fn find_topic(log: &Log, name: &str, id: Uuid) -> Result<Arc<Topic>, ErrorCode> {
    if id == Uuid::ZERO {
        topic_name(name).and_then(|name| log.topic(&name)).ok_or(ErrorCode::UnknownTopicOrPartition)
    } else {
        log.topic_by_id(TopicId(id.0)).ok_or(ErrorCode::UnknownTopicId)
    }
}

/// The partition of an index as the wire has it.
pub fn find_partition(topic: &Topic, index: i32) -> Result<Arc<Partition>, ErrorCode> {
    u32::try_from(index).ok().and_then(|index| topic.partition(index)).ok_or(ErrorCode::UnknownTopicOrPartition)
}

/// The batch with the time of its append in place of its producer's times; it must be a valid one.
pub fn append_time_batch(batch: &Bytes, now_ms: i64) -> Bytes {
    let Ok(mut header) = BatchHeader::parse(batch) else { return batch.clone() };
    header.attributes |= APPEND_TIME;
    header.max_timestamp = now_ms;
    let mut stamped = BytesMut::with_capacity(batch.len());
    stamped.extend_from_slice(&header.to_bytes());
    stamped.extend_from_slice(batch.get(BATCH_HEADER_BYTES..).unwrap_or_default());
    header.crc = crc_fast::crc32_iscsi(stamped.get(CHECKSUMMED_FROM..).unwrap_or_default());
    if let Some(head) = stamped.get_mut(..BATCH_HEADER_BYTES) {
        head.copy_from_slice(&header.to_bytes());
    }
    stamped.freeze()
}

/// Up to where a reader of this isolation level may look: 0 reads what is not committed, 1 only what is.
pub fn to_bound(isolation_level: i8) -> Bound {
    if isolation_level == 1 { Bound::Stable } else { Bound::Durable }
}

/// An offset as the wire has it.
pub fn wire_offset(offset: u64) -> i64 {
    i64::try_from(offset).unwrap_or(i64::MAX)
}

/// A number of things as the wire has it.
pub fn wire_count(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// A topic's id as the wire has it.
pub fn wire_id(topic: &Topic) -> Uuid {
    Uuid(topic.id().0)
}

/// A producer as requests about its transaction name it.
pub fn to_producer(id: i64, epoch: i16) -> Producer {
    Producer { id, epoch }
}

/// Who sends a request to its group. A Kafka generation is an epoch.
pub fn to_caller(member_id: String, group_instance_id: Option<String>, generation_id: i32) -> Caller {
    Caller { member_id: Arc::from(member_id), instance: to_instance(group_instance_id), epoch: generation_id }
}

/// A producer that was fenced is told so in a way that its version understands (KIP-588).
pub fn transaction_error(error: &TransactionError, knows_fenced: bool) -> ErrorCode {
    match error {
        TransactionError::Fenced if !knows_fenced => ErrorCode::InvalidProducerEpoch,
        error => error.into(),
    }
}

/// Kafka's names of what a transactional id is doing.
pub fn state_name(state: State) -> &'static str {
    match state {
        State::Empty => "Empty",
        State::Ongoing => "Ongoing",
        State::CompleteCommit => "CompleteCommit",
        State::CompleteAbort => "CompleteAbort",
    }
}

/// The instance name of a static member; old clients send an empty one for none.
pub fn to_instance(group_instance_id: Option<String>) -> Option<InstanceName> {
    group_instance_id.filter(|id| !id.is_empty()).map(Arc::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::record::{BatchBuilder, Limits, Record, records, validate_batch};

    #[test]
    fn a_batch_with_the_time_of_its_append_is_valid_and_has_that_time() {
        let mut batch = BatchBuilder::new();
        for timestamp_ms in [100, 900, 300] {
            batch.push(&Record { key: None, value: Some(Bytes::from_static(b"v")), headers: Vec::new(), timestamp_ms });
        }
        let stamped = append_time_batch(&batch.finish(), 5_000);
        validate_batch(&stamped, &Limits::default()).expect("valid");
        for record in records(&stamped, 0, &Limits::default()).expect("opens") {
            assert_eq!(record.expect("a record").1.timestamp_ms, 5_000);
        }
    }

    #[test]
    fn only_names_that_kafka_allows_can_be_made() {
        for name in ["orders", "a.b_c-D9", "_x", &"n".repeat(249)] {
            assert!(is_legal_new_name(name), "{name}");
        }
        for name in ["", ".", "..", "a b", "a/b", "caf\u{e9}", "__consumer_offsets", &"n".repeat(250)] {
            assert!(!is_legal_new_name(name), "{name}");
        }
    }
}
