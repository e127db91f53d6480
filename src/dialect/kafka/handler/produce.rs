//! Produce (key 0), versions 3 to 13: one record batch a partition, kept byte for byte, all of a request in one step.
//!
//! 5 adds the log start, 8 messages for single records (KIP-467), 9 is flexible, 13 names topics by id (KIP-516).
//! acks=all answers when the batches are on disk, acks=1 at once, acks=0 not at all; an error closes the connection then.

use std::sync::Arc;

use bytes::Bytes;

use super::super::call::{Answer, Call};
use super::super::error::ErrorCode;
use super::super::mapping::{append_time_batch, find_topic, wire_offset};
use super::super::wire::message::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceData, TopicProduceResponse,
};
use super::super::wire::{WireError, decode};
use crate::delivery::Unit;
use crate::log::record::{BatchHeader, validate_batch};
use crate::log::{Lsn, Refused, Topic};

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
    let mut round = Round { call, unit: None, records: 0, bytes: 0, is_failed: false, seen: Lsn::NONE };
    let refusal = refusal_of_all(&request);
    let responses = request.topic_data.into_iter().map(|topic| round.topic(topic, refusal.as_ref())).collect();
    let (is_failed, seen) = (round.is_failed, round.seen);
    let written = round.finish();
    match acks {
        ACKS_NONE if is_failed => Ok(Answer::Close("a batch without acknowledgement was refused")),
        ACKS_NONE => Ok(Answer::Silent),
        _ => {
            let after = if acks == ACKS_ALL { written.max(seen) } else { Lsn::NONE };
            let response = ProduceResponse { responses, ..ProduceResponse::default() };
            Ok(Answer::Now(call.reply(&response, after)))
        }
    }
}

/// What is wrong with the request as a whole.
fn refusal_of_all(request: &ProduceRequest) -> Option<Refusal> {
    if !matches!(request.acks, ACKS_NONE | ACKS_LEADER | ACKS_ALL) {
        return Some((ErrorCode::InvalidRequiredAcks, format!("acks={} is not 0, 1 or all", request.acks)));
    }
    request.transactional_id.as_ref().map(|_| (ErrorCode::InvalidTxnState, "transactions are not supported".to_owned()))
}

/// The atomic step of one request.
struct Round<'a> {
    call: &'a Call,
    /// Begun with the first batch.
    unit: Option<Unit<'a>>,
    records: u64,
    bytes: u64,
    is_failed: bool,
    /// Covers batches that were there before.
    seen: Lsn,
}

impl<'a> Round<'a> {
    fn topic(&mut self, wanted: TopicProduceData, refusal: Option<&Refusal>) -> TopicProduceResponse {
        let topic = match refusal {
            Some(refusal) => Err(refusal.clone()),
            None => self.find(&wanted),
        };
        let partition = |data: PartitionProduceData| self.partition(&topic, data);
        let partition_responses = wanted.partition_data.into_iter().map(partition).collect();
        TopicProduceResponse { name: wanted.name, topic_id: wanted.topic_id, partition_responses }
    }

    fn find(&self, wanted: &TopicProduceData) -> Result<Arc<Topic>, Refusal> {
        let topic =
            find_topic(self.call.log(), &wanted.name, wanted.topic_id).map_err(|error| (error, "no such topic".to_owned()))?;
        if topic.is_internal() {
            return Err((ErrorCode::InvalidTopicException, "the topic belongs to the log itself".to_owned()));
        }
        Ok(topic)
    }

    fn partition(&mut self, topic: &Result<Arc<Topic>, Refusal>, data: PartitionProduceData) -> PartitionProduceResponse {
        let index = data.index;
        let appended = topic.clone().and_then(|topic| self.append(&topic, data));
        let mut response =
            PartitionProduceResponse { index, base_offset: NO_OFFSET, log_append_time_ms: NO_TIME, ..Default::default() };
        match appended {
            Ok((base_offset, log_append_time_ms, log_start)) => {
                response.base_offset = wire_offset(base_offset);
                response.log_append_time_ms = log_append_time_ms;
                response.log_start_offset = wire_offset(log_start);
            }
            Err((error, message)) => {
                self.is_failed = true;
                response.error_code = error.code();
                response.error_message = Some(message);
            }
        }
        response
    }

    /// The base offset, the time of the append where the topic wants it, and the log start.
    fn append(&mut self, topic: &Arc<Topic>, data: PartitionProduceData) -> Result<(u64, i64, u64), Refusal> {
        let index = u32::try_from(data.index).ok();
        let partition = index.and_then(|index| topic.partition(index));
        let (Some(index), Some(partition)) = (index, partition) else {
            return Err((ErrorCode::UnknownTopicOrPartition, "no such partition".to_owned()));
        };
        let batch = data.records.unwrap_or_default();
        let header = check(&batch)?;
        let limits = *self.call.log().limits();
        let refused = |refused: Refused| (ErrorCode::from(&refused), refused.to_string());
        let unit = self.begin().map_err(refused)?;
        let (batch, append_time) = if topic.settings().log_append_time {
            validate_batch(&batch, &limits).map_err(|error| (ErrorCode::from(&error), error.to_string()))?;
            (append_time_batch(&batch, unit.now_ms()), unit.now_ms())
        } else {
            (batch, NO_TIME)
        };
        let appended = unit.append_batch(topic, index, &batch).map_err(|error| (ErrorCode::from(&error), error.to_string()))?;
        if appended.is_duplicate {
            self.seen = unit.seen();
        } else {
            self.records += u64::from(header.record_count.unsigned_abs());
            self.bytes += batch.len() as u64;
        }
        Ok((appended.base_offset, append_time, partition.bounds().log_start))
    }

    fn begin(&mut self) -> Result<&mut Unit<'a>, Refused> {
        match &mut self.unit {
            Some(unit) => Ok(unit),
            none => Ok(none.insert(self.call.client.kafka.delivery.begin()?)),
        }
    }

    fn finish(self) -> Lsn {
        self.call.kafka().metrics.records_in(self.records, self.bytes);
        self.unit.map_or(Lsn::NONE, Unit::commit)
    }
}

/// What the core does not ask of a batch: what it says of transactions and of its producer.
fn check(batch: &Bytes) -> Result<BatchHeader, Refusal> {
    let refuse = |error: ErrorCode, message: &str| Err((error, message.to_owned()));
    if batch.is_empty() {
        return refuse(ErrorCode::InvalidRecord, "a partition without a record batch");
    }
    let header = BatchHeader::parse(batch).map_err(|error| (ErrorCode::from(&error), error.to_string()))?;
    if header.is_transactional() {
        return refuse(ErrorCode::InvalidTxnState, "transactions are not supported");
    }
    if header.is_control() {
        return refuse(ErrorCode::InvalidRecord, "control batches are not a client's to write");
    }
    if header.producer_id >= 0 && (header.producer_epoch < 0 || header.base_sequence < 0) {
        return refuse(ErrorCode::InvalidRecord, "a batch of an idempotent producer needs epoch and sequence");
    }
    Ok(header)
}
