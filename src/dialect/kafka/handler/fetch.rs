//! Fetch (key 1), versions 4 to 17: record batches from offsets on, waiting for more if there is too little.
//!
//! 4 adds the isolation level, 5 the log start, 7 fetch sessions (KIP-227; none is ever opened: every response has session 0,
//! which clients understand), 9 leader epochs, 12 is flexible, 13 names topics by id, 15 moves the replica id. Nothing beyond
//! the durable offset is served, and to those who read what is committed nothing beyond the last stable offset.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::super::call::{Answer, Call, Reply};
use super::super::error::ErrorCode;
use super::super::mapping::{find_partition, find_topic, to_bound};
use super::super::wire::message::fetch::{FetchPartition, FetchRequest, FetchTopic};
use super::super::wire::{Uuid, WireError, decode};
use super::fetch_response::{self, Found, FoundTopic};
use crate::log::{Aborted, Barrier, Bound, Bounds, Log, Partition, ReadError, Signal, StoredBatch, Topic};

const NO_BOUNDS: Bounds = Bounds { log_start: 0, durable: 0, stable: 0, end: 0 };
/// No poll waits longer, in milliseconds.
const WAIT_MS_MAX: i32 = 600_000;

pub fn handle(call: &Call, body: Bytes) -> Result<Answer, WireError> {
    let request: FetchRequest = decode(body, call.version())?;
    if request.session_id != 0 {
        return Ok(Answer::Now(reply(call, ErrorCode::FetchSessionIdNotFound, &[])));
    }
    let poll = Poll::new(call, request);
    let found = poll.look();
    if poll.is_due(&found) {
        return Ok(Answer::Now(reply(call, ErrorCode::None, &found)));
    }
    let call = call.clone();
    Ok(Answer::Later(Box::pin(async move { Answer::Now(poll.wait(call, found).await) })))
}

fn reply(call: &Call, error: ErrorCode, topics: &[FoundTopic]) -> Reply {
    let found = || topics.iter().flat_map(|topic| &topic.partitions).flat_map(|partition| &partition.batches);
    let records = found().map(|batch| batch.last_offset - batch.base_offset + 1).sum();
    let bytes = found().map(StoredBatch::len).sum::<usize>();
    call.kafka().metrics.records_out(records, bytes as u64);
    let body = |out: &mut _| fetch_response::write(out, call.version(), error, topics);
    call.reply_with(fetch_response::FIRST_FLEXIBLE, bytes + fetch_response::room(topics), Barrier::NONE, body)
}

/// Batches, and the aborted transactions among them.
type Read = (Vec<StoredBatch>, Option<Vec<Aborted>>);

/// One partition that is asked for.
struct Wanted {
    index: i32,
    partition: Result<Arc<Partition>, ErrorCode>,
    offset: i64,
    bytes_max: usize,
}

struct WantedTopic {
    name: String,
    id: Uuid,
    topic: Option<Arc<Topic>>,
    partitions: Vec<Wanted>,
}

/// A request with its names looked up.
struct Poll {
    log: Log,
    topics: Vec<WantedTopic>,
    bound: Bound,
    bytes_min: usize,
    bytes_max: usize,
    deadline: Instant,
}

impl Poll {
    fn new(call: &Call, request: FetchRequest) -> Self {
        let log = call.log().clone();
        let topics = request.topics.into_iter().map(|topic| WantedTopic::find(&log, topic)).collect();
        let bytes_max = wire_bytes(request.max_bytes).min(call.kafka().settings.fetch_bytes_max);
        let wait_ms = u64::from(request.max_wait_ms.clamp(0, WAIT_MS_MAX).unsigned_abs());
        Self {
            log,
            topics,
            bound: to_bound(request.isolation_level),
            // More than is ever served cannot be waited for.
            bytes_min: wire_bytes(request.min_bytes).min(bytes_max),
            bytes_max,
            deadline: Instant::now() + Duration::from_millis(wait_ms),
        }
    }

    /// What there is now, within the bounds of the request, but at least one batch if there is any (KIP-74).
    fn look(&self) -> Vec<FoundTopic> {
        let mut room = self.bytes_max;
        let mut is_first = true;
        let mut look = |topic: &WantedTopic, wanted: &Wanted| {
            let found = self.look_at(topic, wanted, room, is_first);
            let bytes: usize = found.batches.iter().map(StoredBatch::len).sum();
            is_first &= bytes == 0;
            room = room.saturating_sub(bytes);
            found
        };
        let topic = |topic: &WantedTopic| FoundTopic {
            name: topic.name.clone(),
            id: topic.id,
            partitions: topic.partitions.iter().map(|wanted| look(topic, wanted)).collect(),
        };
        self.topics.iter().map(topic).collect()
    }

    fn look_at(&self, topic: &WantedTopic, wanted: &Wanted, room: usize, is_first: bool) -> Found {
        let is_committed = self.bound == Bound::Stable;
        let found =
            |error, bounds, batches| Found { index: wanted.index, error, bounds, aborted: is_committed.then(Vec::new), batches };
        let partition = match &wanted.partition {
            Ok(partition) => partition,
            Err(error) => return found(*error, NO_BOUNDS, Vec::new()),
        };
        if topic.topic.as_ref().is_some_and(|topic| topic.is_deleted()) {
            return found(ErrorCode::UnknownTopicOrPartition, NO_BOUNDS, Vec::new());
        }
        let bounds = partition.bounds();
        let Some(from) = u64::try_from(wanted.offset).ok().filter(|from| (bounds.log_start..=bounds.end).contains(from)) else {
            return found(ErrorCode::OffsetOutOfRange, bounds, Vec::new());
        };
        // What was appended and is not durable yet is neither out of range nor there.
        if from >= bounds.of(self.bound) || (room == 0 && !is_first) {
            return found(ErrorCode::None, bounds, Vec::new());
        }
        let bytes_max = wanted.bytes_max.min(room);
        match self.read(partition, from, bytes_max) {
            Ok((mut batches, aborted)) => {
                if !is_first && batches.first().is_some_and(|batch| batch.len() > bytes_max) {
                    batches.clear();
                }
                Found { aborted, ..found(ErrorCode::None, bounds, batches) }
            }
            Err(error) => {
                tracing::debug!(partition = partition.index(), topic = %partition.topic_name(), %error, "fetch");
                found((&error).into(), bounds, Vec::new())
            }
        }
    }

    /// Batches, and for those who read what is committed the aborted transactions among them.
    fn read(&self, partition: &Partition, from: u64, bytes_max: usize) -> Result<Read, ReadError> {
        let batches = self.log.read(partition, from, bytes_max, self.bound)?;
        let aborted = match (self.bound, batches.last()) {
            (Bound::Stable, Some(last)) => Some(self.log.aborted(partition, from, last.last_offset + 1)?),
            (Bound::Stable, None) => Some(Vec::new()),
            (Bound::Durable | Bound::End, _) => None,
        };
        Ok((batches, aborted))
    }

    /// Whether there is enough to answer, or no use in waiting.
    fn is_due(&self, found: &[FoundTopic]) -> bool {
        let partitions = || found.iter().flat_map(|topic| &topic.partitions);
        let bytes: usize = partitions().flat_map(|partition| &partition.batches).map(StoredBatch::len).sum();
        bytes >= self.bytes_min
            || partitions().next().is_none()
            || partitions().any(|partition| partition.error != ErrorCode::None)
            || self.deadline <= Instant::now()
    }

    async fn wait(self, call: Call, mut found: Vec<FoundTopic>) -> Reply {
        let signal = Signal::default();
        while !self.is_due(&found) {
            self.ask(&found, &signal);
            if tokio::time::timeout_at(self.deadline, signal.notified()).await.is_err() {
                found = self.look();
                break;
            }
            found = self.look();
        }
        reply(&call, ErrorCode::None, &found)
    }

    /// Asks every partition to say when there is more than was seen.
    fn ask(&self, found: &[FoundTopic], signal: &Signal) {
        let wanted = self.topics.iter().flat_map(|topic| &topic.partitions);
        let found = found.iter().flat_map(|topic| &topic.partitions);
        for (wanted, found) in wanted.zip(found) {
            if let Ok(partition) = &wanted.partition {
                partition.wake_beyond(found.bounds.durable, signal);
            }
        }
    }
}

impl WantedTopic {
    fn find(log: &Log, wanted: FetchTopic) -> Self {
        let topic = find_topic(log, &wanted.topic, wanted.topic_id);
        let find = |partition: FetchPartition| Wanted {
            index: partition.partition,
            partition: match &topic {
                Err(error) => Err(*error),
                Ok(_) if partition.current_leader_epoch > 0 => Err(ErrorCode::UnknownLeaderEpoch),
                Ok(topic) => find_partition(topic, partition.partition),
            },
            offset: partition.fetch_offset,
            bytes_max: wire_bytes(partition.partition_max_bytes),
        };
        let partitions = wanted.partitions.into_iter().map(find).collect();
        Self { name: wanted.topic, id: wanted.topic_id, topic: topic.ok(), partitions }
    }
}

fn wire_bytes(bytes: i32) -> usize {
    usize::try_from(bytes).unwrap_or(0)
}
