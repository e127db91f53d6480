//! Produce (key 0), versions 3 to 13: one record batch a partition, kept byte for byte, all of a request in one step.
//!
//! 5 adds the log start, 8 messages for single records (KIP-467), 9 is flexible, 13 names topics by id (KIP-516).
//! acks=all answers when the batches are on disk, acks=1 at once, acks=0 not at all; an error closes the connection then.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::super::call::{Answer, Call};
use super::super::error::ErrorCode;
use super::super::mapping::{append_time_batch, find_partition, find_topic, wire_offset};
use super::super::wire::message::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceData, TopicProduceResponse,
};
use super::super::wire::{Uuid, WireError, decode};
use crate::delivery::Unit;
use crate::log::record::{BatchHeader, ValidBatch};
use crate::log::{Barrier, Partition, Refused, Topic};

const ACKS_NONE: i16 = 0;
const ACKS_LEADER: i16 = 1;
const ACKS_ALL: i16 = -1;
const NO_OFFSET: i64 = -1;
const NO_TIME: i64 = -1;

/// Why a partition's batch was not taken, for the client.
type Refusal = (ErrorCode, String);

pub fn handle(call: &Call, body: Bytes) -> Result<Answer, WireError> {
    let request: ProduceRequest = decode(body, call.version())?;
    let acks = request.acks;
    let prepared = prepare_all(call, request);
    let (mut response, after) = append_all(call, prepared);
    let pause = call.log().pause();
    // As a broker does whose client is over its quota: the response says how long nothing more is read.
    response.throttle_time_ms = pause.map_or(0, |pause| i32::try_from(pause.as_millis()).unwrap_or(i32::MAX));
    let reply = match acks {
        ACKS_NONE if has_failed(&response) => return Ok(Answer::Close("a batch without acknowledgement was refused")),
        ACKS_NONE => None,
        ACKS_ALL => Some(call.reply(&response, after)),
        _ => Some(call.reply(&response, Barrier::NONE)),
    };
    Ok(match (pause, reply) {
        (Some(pause), reply) => Answer::Paused(reply, pause),
        (None, Some(reply)) => Answer::Now(reply),
        (None, None) => Answer::Silent,
    })
}

fn has_failed(response: &ProduceResponse) -> bool {
    let mut partitions = response.responses.iter().flat_map(|topic| &topic.partition_responses);
    partitions.any(|partition| partition.error_code != ErrorCode::None.code())
}

/// A batch that may be appended, and where.
struct Prepared {
    topic: Arc<Topic>,
    partition: Arc<Partition>,
    batch: ValidBatch,
    is_append_time: bool,
}

struct PreparedTopic {
    name: String,
    id: Uuid,
    partitions: Vec<(i32, Result<Prepared, Refusal>)>,
}

/// Everything that needs no lock: names are looked up and batches are checked.
fn prepare_all(call: &Call, request: ProduceRequest) -> Vec<PreparedTopic> {
    let refusal = refusal_of_all(&request);
    let prepare_topic = |wanted: TopicProduceData| {
        let topic = match &refusal {
            Some(refusal) => Err(refusal.clone()),
            None => find(call, &wanted),
        };
        let prepare_one = |data: PartitionProduceData| {
            let index = data.index;
            (index, topic.clone().and_then(|topic| prepare(call, topic, data)))
        };
        let partitions = wanted.partition_data.into_iter().map(prepare_one).collect();
        PreparedTopic { name: wanted.name, id: wanted.topic_id, partitions }
    };
    request.topic_data.into_iter().map(prepare_topic).collect()
}

/// What is wrong with the request as a whole.
fn refusal_of_all(request: &ProduceRequest) -> Option<Refusal> {
    if !matches!(request.acks, ACKS_NONE | ACKS_LEADER | ACKS_ALL) {
        return Some((ErrorCode::InvalidRequiredAcks, format!("acks={} is not 0, 1 or all", request.acks)));
    }
    None
}

fn find(call: &Call, wanted: &TopicProduceData) -> Result<Arc<Topic>, Refusal> {
    let topic = find_topic(call.log(), &wanted.name, wanted.topic_id).map_err(|error| (error, "no such topic".to_owned()))?;
    if topic.is_internal() {
        return Err((ErrorCode::InvalidTopicException, "the topic belongs to the log itself".to_owned()));
    }
    Ok(topic)
}

fn prepare(call: &Call, topic: Arc<Topic>, data: PartitionProduceData) -> Result<Prepared, Refusal> {
    let partition = find_partition(&topic, data.index).map_err(|error| (error, "no such partition".to_owned()))?;
    let bytes = data.records.unwrap_or_default();
    check(&bytes)?;
    let checked =
        |bytes| ValidBatch::check(bytes, call.log().limits()).map_err(|error| (ErrorCode::from(&error), error.to_string()));
    let mut batch = checked(bytes)?;
    let is_append_time = topic.has_append_time();
    if is_append_time {
        batch = checked(append_time_batch(batch.bytes(), now_ms()))?;
    }
    Ok(Prepared { topic, partition, batch, is_append_time })
}

/// Appends what was prepared, all in one step. What the response depends on waits for the returned position.
fn append_all(call: &Call, prepared: Vec<PreparedTopic>) -> (ProduceResponse, Barrier) {
    let is_any = prepared.iter().flat_map(|topic| &topic.partitions).any(|(_, prepared)| prepared.is_ok());
    let mut round = Round { unit: is_any.then(|| call.delivery().begin_records()), records: 0, bytes: 0, seen: Barrier::NONE };
    let mut responses = Vec::with_capacity(prepared.len());
    for topic in prepared {
        let append = |(index, prepared): (i32, Result<Prepared, Refusal>)| {
            response(index, prepared.and_then(|prepared| round.append(&prepared)))
        };
        let partition_responses = topic.partitions.into_iter().map(append).collect();
        responses.push(TopicProduceResponse { name: topic.name, topic_id: topic.id, partition_responses });
    }
    call.kafka().metrics.records_in(round.records, round.bytes);
    let written = round.unit.and_then(Result::ok).map_or(Barrier::NONE, Unit::commit);
    (ProduceResponse { responses, ..ProduceResponse::default() }, written.and(round.seen))
}

/// The atomic step of one request.
struct Round<'a> {
    /// None: there is nothing to append.
    unit: Option<Result<Unit<'a>, Refused>>,
    records: u64,
    bytes: u64,
    /// Covers batches that were there before.
    seen: Barrier,
}

struct Placed {
    base_offset: u64,
    append_time_ms: i64,
    log_start: u64,
}

impl Round<'_> {
    fn append(&mut self, prepared: &Prepared) -> Result<Placed, Refusal> {
        let unit = match &mut self.unit {
            Some(Ok(unit)) => unit,
            Some(Err(refused)) => return Err(((&*refused).into(), refused.to_string())),
            None => return Err((ErrorCode::InvalidRequest, "nothing to append".to_owned())),
        };
        let appended = unit
            .append_batch(&prepared.topic, prepared.partition.index(), &prepared.batch)
            .map_err(|error| (ErrorCode::from(&error), error.to_string()))?;
        let header = prepared.batch.header();
        if appended.is_duplicate {
            self.seen = unit.seen();
        } else {
            self.records += u64::from(header.record_count.unsigned_abs());
            self.bytes += prepared.batch.bytes().len() as u64;
        }
        Ok(Placed {
            base_offset: appended.base_offset,
            append_time_ms: if prepared.is_append_time { header.max_timestamp } else { NO_TIME },
            log_start: prepared.partition.bounds().log_start,
        })
    }
}

fn response(index: i32, placed: Result<Placed, Refusal>) -> PartitionProduceResponse {
    let blank = PartitionProduceResponse { index, base_offset: NO_OFFSET, log_append_time_ms: NO_TIME, ..Default::default() };
    match placed {
        Ok(placed) => PartitionProduceResponse {
            base_offset: wire_offset(placed.base_offset),
            log_append_time_ms: placed.append_time_ms,
            log_start_offset: wire_offset(placed.log_start),
            ..blank
        },
        Err((error, message)) => PartitionProduceResponse { error_code: error.code(), error_message: Some(message), ..blank },
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// What the core does not ask of a batch: what it says of transactions and of its producer.
fn check(batch: &Bytes) -> Result<(), Refusal> {
    let refuse = |error: ErrorCode, message: &str| Err((error, message.to_owned()));
    if batch.is_empty() {
        return refuse(ErrorCode::InvalidRecord, "a partition without a record batch");
    }
    let header = BatchHeader::parse(batch).map_err(|error| (ErrorCode::from(&error), error.to_string()))?;
    if header.is_control() {
        return refuse(ErrorCode::InvalidRecord, "control batches are not a client's to write");
    }
    if header.is_transactional() && header.producer_id < 0 {
        return refuse(ErrorCode::InvalidRecord, "a transactional batch needs a producer id");
    }
    if header.producer_id >= 0 && (header.producer_epoch < 0 || header.base_sequence < 0) {
        return refuse(ErrorCode::InvalidRecord, "a batch of an idempotent producer needs epoch and sequence");
    }
    Ok(())
}
