//! The bytes of one transactional id in the state table `__transactions`. The key is the id itself.
//!
//! Reads only what it wrote; anything else is `None`, for the caller to report.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::{BufMut, Bytes};

use super::machine::{Producer, State, Transaction};
use crate::delivery::group::{Committed, OffsetKey};
use crate::log::record::varint::{Input, put_uvarint, put_varint};
use crate::log::{TopicId, TopicName};

const VERSION: u8 = 1;

pub(super) fn encode(transaction: &Transaction) -> Bytes {
    let mut out = vec![VERSION];
    out.push(match transaction.state {
        State::Empty => 0,
        State::Ongoing => 1,
        State::CompleteCommit => 2,
        State::CompleteAbort => 3,
    });
    put_producer(&mut out, transaction.producer);
    out.push(u8::from(transaction.previous.is_some()));
    if let Some(previous) = transaction.previous {
        put_producer(&mut out, previous);
    }
    for number in [transaction.timeout_ms, transaction.started_ms, transaction.used_ms] {
        put_varint(&mut out, number);
    }
    put_uvarint(&mut out, transaction.partitions.len() as u64);
    for (topic, partition) in &transaction.partitions {
        out.put_u128(topic.0);
        put_uvarint(&mut out, u64::from(*partition));
    }
    put_uvarint(&mut out, transaction.offsets.len() as u64);
    for ((group, key), committed) in &transaction.offsets {
        put_bytes(&mut out, group.as_bytes());
        put_bytes(&mut out, key.topic.as_bytes());
        put_uvarint(&mut out, u64::from(key.partition));
        put_uvarint(&mut out, committed.offset);
        put_varint(&mut out, i64::from(committed.leader_epoch));
        put_bytes(&mut out, committed.metadata.as_bytes());
        put_varint(&mut out, committed.committed_at_ms);
        out.put_u128(committed.topic_id.0);
    }
    out.into()
}

pub(super) fn decode(bytes: &[u8]) -> Option<Transaction> {
    let mut input = Input::new(bytes);
    if input.byte()? != VERSION {
        return None;
    }
    let state = match input.byte()? {
        0 => State::Empty,
        1 => State::Ongoing,
        2 => State::CompleteCommit,
        3 => State::CompleteAbort,
        _ => return None,
    };
    let producer = producer(&mut input)?;
    let previous = match input.byte()? {
        0 => None,
        1 => Some(self::producer(&mut input)?),
        _ => return None,
    };
    let (timeout_ms, started_ms, used_ms) = (input.varlong()?, input.varlong()?, input.varlong()?);
    let mut partitions = BTreeSet::new();
    for _ in 0..input.uvarint()? {
        partitions.insert((topic_id(&mut input)?, u32::try_from(input.uvarint()?).ok()?));
    }
    let mut offsets = BTreeMap::new();
    for _ in 0..input.uvarint()? {
        let (key, committed) = offset(&mut input)?;
        offsets.insert(key, committed);
    }
    let whole = Transaction { producer, previous, timeout_ms, state, partitions, offsets, started_ms, used_ms };
    input.is_empty().then_some(whole)
}

fn put_producer(out: &mut Vec<u8>, producer: Producer) {
    put_varint(out, producer.id);
    put_varint(out, i64::from(producer.epoch));
}

fn producer(input: &mut Input<'_>) -> Option<Producer> {
    Some(Producer { id: input.varlong()?, epoch: i16::try_from(input.varlong()?).ok()? })
}

fn topic_id(input: &mut Input<'_>) -> Option<TopicId> {
    Some(TopicId(u128::from_be_bytes(input.array()?)))
}

fn offset(input: &mut Input<'_>) -> Option<((Arc<str>, OffsetKey), Committed)> {
    let group = text(input)?;
    let topic = TopicName::new(Bytes::copy_from_slice(take_bytes(input)?)).ok()?;
    let partition = u32::try_from(input.uvarint()?).ok()?;
    let offset = input.uvarint()?;
    let leader_epoch = i32::try_from(input.varlong()?).ok()?;
    let metadata = text(input)?;
    let committed_at_ms = input.varlong()?;
    let topic_id = topic_id(input)?;
    let committed = Committed { offset, leader_epoch, metadata, committed_at_ms, topic_id };
    Some(((group, OffsetKey { topic, partition }), committed))
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_uvarint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn take_bytes<'a>(input: &mut Input<'a>) -> Option<&'a [u8]> {
    let length = usize::try_from(input.uvarint()?).ok()?;
    input.take(length)
}

fn text(input: &mut Input<'_>) -> Option<Arc<str>> {
    Some(Arc::from(std::str::from_utf8(take_bytes(input)?).ok()?))
}
