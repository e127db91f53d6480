//! Writes the response to Fetch in place, so that record batches are copied once: from where they are kept into the frame.
//! The same bytes as the message of the codec would give; a test holds that.

use bytes::BytesMut;

use super::super::error::ErrorCode;
use super::super::mapping::wire_offset;
use super::super::wire::message::fetch::FetchResponse;
use super::super::wire::{Message, Uuid, Writer};
use crate::log::{Aborted, Bounds, StoredBatch};

pub const FIRST_FLEXIBLE: i16 = FetchResponse::FLEXIBLE;
const NO_SESSION: i32 = 0;
const NO_REPLICA: i32 = -1;
/// More than a partition takes without its batches and a topic without its name, in bytes.
const PARTITION_BYTES: usize = 64;
const TOPIC_BYTES: usize = 32;
const ABORTED_BYTES: usize = 17;

/// What was found of one partition.
#[derive(Debug)]
pub struct Found {
    pub index: i32,
    pub error: ErrorCode,
    pub bounds: Bounds,
    /// Aborted transactions among the batches; none: the reader does not ask.
    pub aborted: Option<Vec<Aborted>>,
    pub batches: Vec<StoredBatch>,
}

/// What was found of one topic.
#[derive(Debug)]
pub struct FoundTopic {
    pub name: String,
    pub id: Uuid,
    pub partitions: Vec<Found>,
}

/// Room for a response without its batches, in bytes.
pub fn room(topics: &[FoundTopic]) -> usize {
    let partition = |found: &Found| PARTITION_BYTES + found.aborted.as_ref().map_or(0, |all| all.len() * ABORTED_BYTES);
    let topic = |topic: &FoundTopic| TOPIC_BYTES + topic.name.len() + topic.partitions.iter().map(partition).sum::<usize>();
    topics.iter().map(topic).sum::<usize>() + PARTITION_BYTES
}

pub fn write(out: &mut BytesMut, version: i16, error: ErrorCode, topics: &[FoundTopic]) {
    let w = &mut Writer::new(out, version >= FIRST_FLEXIBLE);
    w.i32(0);
    if version >= 7 {
        w.i16(error.code());
        w.i32(NO_SESSION);
    }
    w.array(topics, |w, topic| {
        if version >= 13 {
            w.uuid(topic.id);
        } else {
            w.string(&topic.name);
        }
        w.array(&topic.partitions, |w, found| write_partition(w, version, found));
        w.no_tags();
    });
    w.no_tags();
}

fn write_partition(w: &mut Writer<'_>, version: i16, found: &Found) {
    let is_known = matches!(found.error, ErrorCode::None | ErrorCode::OffsetOutOfRange);
    let bound = |offset| if is_known { wire_offset(offset) } else { -1 };
    w.i32(found.index);
    w.i16(found.error.code());
    w.i64(bound(found.bounds.durable));
    w.i64(bound(found.bounds.stable));
    if version >= 5 {
        w.i64(bound(found.bounds.log_start));
    }
    w.nullable_array(found.aborted.as_deref(), |w, aborted| {
        w.i64(aborted.producer_id);
        w.i64(wire_offset(aborted.first_offset));
        w.no_tags();
    });
    if version >= 11 {
        w.i32(NO_REPLICA);
    }
    // Never null: librdkafka fails on a length of -1.
    w.length(Some(found.batches.iter().map(StoredBatch::len).sum()));
    for batch in &found.batches {
        batch.put_into(w.out());
    }
    w.no_tags();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::kafka::wire::encode;
    use crate::dialect::kafka::wire::message::fetch::{FetchableTopicResponse, PartitionData};
    use bytes::Bytes;

    fn found(error: ErrorCode) -> Found {
        Found {
            index: 3,
            error,
            bounds: Bounds { log_start: 5, durable: 9, stable: 7, end: 11 },
            aborted: None,
            batches: Vec::new(),
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_codec() {
        for version in FetchResponse::MIN..=FetchResponse::MAX {
            let topics = [FoundTopic { name: "orders".into(), id: Uuid(7), partitions: vec![found(ErrorCode::None)] }];
            let mut in_place = BytesMut::new();
            write(&mut in_place, version, ErrorCode::None, &topics);
            let partition = PartitionData {
                partition_index: 3,
                high_watermark: 9,
                last_stable_offset: 7,
                log_start_offset: 5,
                aborted_transactions: None,
                records: Some(Bytes::new()),
                ..PartitionData::default()
            };
            let topic = FetchableTopicResponse { topic: "orders".into(), topic_id: Uuid(7), partitions: vec![partition] };
            let mut by_codec = BytesMut::new();
            encode(&FetchResponse { responses: vec![topic], ..FetchResponse::default() }, &mut by_codec, version);
            assert_eq!(in_place, by_codec, "version {version}");
        }
    }
}
