//! Writing records: one body for any number of targets.

use std::sync::Arc;

use bytes::Bytes;
use smallvec::{SmallVec, smallvec};
use thiserror::Error;

use super::{Open, Target, Unit};
use crate::delivery::death::Attributes;
use crate::delivery::partitioner::{Placing, partition_of};
use crate::delivery::queue::{Class, End, Kind, Taken};
use crate::delivery::taker::Position;
use crate::delivery::transaction::{Producer, TransactionError};
use crate::delivery::view::View;
use crate::log::record::{BatchError, BatchHeader, Record, RecordCursor, ValidBatch};
use crate::log::{Bound, Entry, Log, Partition, Placement, SequenceError, Topic, TopicName, Verdict, Write};

/// A batch is closed at this size, so that reading one record of it stays cheap, in bytes.
const BATCH_BYTES: usize = 64 << 10;

/// Where a batch lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The offset of its first record.
    pub base_offset: u64,
    /// Whether it was there before, from an earlier try of its producer.
    pub is_duplicate: bool,
}

/// Why a batch was refused. Nothing of it was written.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum ProduceError {
    /// Not a record batch, or a damaged one.
    #[error(transparent)]
    Invalid(#[from] BatchError),
    /// Larger than the topic allows.
    #[error("a batch of {bytes} bytes is more than the topic's limit of {limit_bytes}")]
    TooLarge {
        /// Its size, in bytes.
        bytes: usize,
        /// The limit, in bytes.
        limit_bytes: usize,
    },
    /// It does not follow what its producer wrote before.
    #[error(transparent)]
    Sequence(#[from] SequenceError),
    /// It is no part of an open transaction of its producer.
    #[error(transparent)]
    Transaction(#[from] TransactionError),
    /// There is no such partition.
    #[error("no such partition")]
    UnknownPartition,
    /// Records without a key cannot be compacted.
    #[error("a record without a key in a compacted topic")]
    KeyMissing,
}

impl Unit<'_> {
    /// Writes one record to all targets at once and returns its offset in each.
    pub fn append(&mut self, targets: &[Target], record: &Record, kind: Kind) -> SmallVec<[u64; 1]> {
        self.append_with(targets, record, kind, &Attributes::default())
    }

    /// Writes one record that asks something of the queue views that it reaches.
    pub fn append_with(
        &mut self,
        targets: &[Target],
        record: &Record,
        kind: Kind,
        attributes: &Attributes,
    ) -> SmallVec<[u64; 1]> {
        let is_new = |target: &&Target| !self.is_known(target.topic.name(), attributes);
        let targets: SmallVec<[&Target; 1]> = targets.iter().filter(is_new).collect();
        let partitions: SmallVec<[Arc<Partition>; 1]> =
            targets.iter().filter_map(|target| Self::live_partition(&target.topic, target.partition)).collect();
        if partitions.is_empty() {
            return SmallVec::new();
        }
        if !self.open.as_ref().is_some_and(|open| open.takes(&partitions, kind)) {
            self.close_batch();
        }
        let offsets: SmallVec<[u64; 1]> = partitions.iter().map(|partition| partition.reserve(1)).collect();
        let open = self.open.get_or_insert_with(|| Open {
            targets: placements(&partitions, &offsets),
            builder: self.entry.begin_batch(),
            kind,
            max_timestamp_ms: record.timestamp_ms,
        });
        open.builder.push(record);
        open.max_timestamp_ms = open.max_timestamp_ms.max(record.timestamp_ms);
        let bytes = (record.key.as_ref().map_or(0, Bytes::len) + record.value.as_ref().map_or(0, Bytes::len)) as u64;
        for (partition, offset) in partitions.iter().zip(&offsets) {
            self.appended(partition, *offset, 1, bytes, kind, attributes);
            self.series_appended(partition, *offset, 1, kind);
        }
        if kind != Kind::Queued && self.stamp.is_none() {
            for target in targets {
                self.hear(target.topic.name(), record);
            }
        }
        offsets
    }

    /// Writes a record and places it at the head of the queue view of the topic's name.
    pub fn append_front(&mut self, topic: &Arc<Topic>, record: &Record) -> Option<u64> {
        let target = Target { topic: Arc::clone(topic), partition: 0 };
        let offset = self.append(&[target], record, Kind::Queued).first().copied()?;
        if let Some(view) = self.views.queues.get_mut(topic.name()) {
            if view.state.place_front(0, offset, 1) {
                view.ops.front(0, offset, 1);
            }
            view.version += 1;
            self.changed.push(topic.name().clone());
        }
        Some(offset)
    }

    /// Writes one record batch as its producer sent it.
    pub fn append_batch(&mut self, topic: &Arc<Topic>, partition: u32, batch: &ValidBatch) -> Result<Appended, ProduceError> {
        let partition = Self::live_partition(topic, partition).ok_or(ProduceError::UnknownPartition)?;
        let (bytes, header) = (batch.bytes(), batch.header());
        let limit_bytes = topic.max_message_bytes();
        if bytes.len() > limit_bytes {
            return Err(ProduceError::TooLarge { bytes: bytes.len(), limit_bytes });
        }
        if !batch.has_keys() && topic.is_compacted() {
            return Err(ProduceError::KeyMissing);
        }
        let is_transactional = header.is_transactional();
        if is_transactional {
            let producer = Producer { id: header.producer_id, epoch: header.producer_epoch };
            self.check_transaction(topic, partition.index(), producer)?;
        }
        self.close_batch();
        let (verdict, base_offset) = self.log.reserve(&partition, header, self.now_ms)?;
        if matches!(verdict, Verdict::Duplicate(_)) {
            return Ok(Appended { base_offset, is_duplicate: true });
        }
        let span = span_of(header);
        self.entry.add(Write {
            targets: smallvec![Placement { partition: Arc::clone(&partition), base_offset }],
            span,
            batch: bytes.clone(),
            max_timestamp_ms: header.max_timestamp,
            is_broadcast: false,
        });
        // Records of one batch count as equally large.
        let each = (bytes.len() as u64).div_ceil(u64::from(span));
        self.appended(&partition, base_offset, span, each, Kind::Plain, &Attributes::default());
        // What may still be aborted comes to a series when it is committed.
        let kind = if is_transactional { Kind::Broadcast } else { Kind::Plain };
        self.series_appended(&partition, base_offset, u64::from(span), kind);
        if is_transactional {
            // Nobody takes or hears it before its transaction is committed.
            self.views.queues.each_of_topic(topic.name(), |_, view| {
                view.state.hold(partition.index(), base_offset..base_offset + u64::from(span));
            });
        } else {
            self.see_batch(&partition, bytes, base_offset);
            if self.receivers(topic.name()) > 0 {
                self.hear_batch(topic.name(), bytes, base_offset);
            }
        }
        Ok(Appended { base_offset, is_duplicate: false })
    }

    /// Queue views that remember ids pass over those records of a batch that they have seen before. The batch is kept as it is.
    fn see_batch(&mut self, partition: &Partition, batch: &Bytes, base_offset: u64) {
        let name = partition.topic_name();
        if !self.remembers_ids() || !self.views.queues.of_topic(name).any(View::remembers_ids) {
            return;
        }
        let Some(steward) = self.views.steward.clone() else { return };
        let Ok(records) = RecordCursor::open(batch, base_offset, self.log.limits()) else { return };
        let (now_ms, changed) = (self.now_ms, &mut self.changed);
        for (offset, record) in records.flatten() {
            let Some(id) = steward.record_id(&record) else { continue };
            let at = Position { partition: partition.index(), offset };
            self.views.queues.each_of_topic(name, |name, view| {
                if view.see(at, &id, now_ms) && changed.last() != Some(name) {
                    changed.push(name.clone());
                }
            });
        }
    }

    /// The records of a batch were refused because there is no room for them, and die of it.
    pub fn refuse_batch(&mut self, topic: &Topic, batch: &ValidBatch) {
        let Ok(records) = RecordCursor::open(batch.bytes(), 0, self.log.limits()) else { return };
        let count = u64::from(batch.header().record_count.unsigned_abs());
        for (_, record) in records.flatten() {
            self.refuse(topic.name(), &record, count);
        }
    }

    /// Moves the record at one end of a queue view to an end of another topic's, and returns it.
    pub fn move_record(&mut self, from: &TopicName, from_end: End, class: Class, to: &Arc<Topic>, to_end: End) -> Option<Record> {
        self.move_one(from, from_end, class, to, to_end).map(|(_, record)| record)
    }

    /// The same; says where the record lay, too.
    pub(super) fn move_one(
        &mut self,
        from: &TopicName,
        from_end: End,
        class: Class,
        to: &Arc<Topic>,
        to_end: End,
    ) -> Option<(Position, Record)> {
        let Taken { partition, offset, .. } = self.take_from(from, from_end, class, None)?;
        let topic = Arc::clone(&self.views.queues.get(from)?.topic);
        let found = Self::partition(&topic, partition).and_then(|partition| self.read(&partition, offset));
        let Some(record) = found else {
            // What cannot be read stays where it is.
            if let Some(view) = self.views.queues.get_mut(from) {
                view.state.release(partition, offset, false);
            }
            return None;
        };
        let at = Position { partition, offset };
        self.accept(from, &[at]);
        let record = Record { timestamp_ms: self.now_ms, ..record };
        match to_end {
            End::Head => {
                self.append_front(to, &record);
            }
            End::Tail => {
                let bytes = record.value.as_ref().map_or(0, Bytes::len);
                let partition = partition_of(to, &Placing { given: None, key: record.key.as_deref(), bytes });
                self.append(&[Target { topic: Arc::clone(to), partition }], &record, Kind::Queued);
            }
        }
        Some((at, record))
    }

    /// A record that was appended, even in this unit.
    pub fn read(&mut self, partition: &Arc<Partition>, offset: u64) -> Option<Record> {
        self.close_batch();
        read(self.log, &self.entry, &mut self.reading, partition, offset)
    }

    /// No more records join the batch that was begun.
    pub(super) fn close_batch(&mut self) {
        let Some(open) = self.open.take() else { return };
        let span = u32::try_from(open.builder.len()).unwrap_or(u32::MAX);
        let batch = self.entry.end_batch(open.builder);
        self.entry.add(Write {
            targets: open.targets,
            span,
            batch,
            max_timestamp_ms: open.max_timestamp_ms,
            is_broadcast: open.kind == Kind::Broadcast,
        });
    }

    /// Tells the queue views of a topic that records were appended.
    fn appended(&mut self, partition: &Partition, base_offset: u64, span: u32, bytes: u64, kind: Kind, attributes: &Attributes) {
        let (now_ms, stirred, changed) = (self.now_ms, &mut self.stirred, &mut self.changed);
        let (at, count) = (Position { partition: partition.index(), offset: base_offset }, u64::from(span));
        self.views.queues.each_of_topic(partition.topic_name(), |name, view| {
            view.state.extend(at.partition, at.offset, count, kind);
            view.version += 1;
            if view.stamp(at, count, bytes, attributes, now_ms) && changed.last() != Some(name) {
                changed.push(name.clone());
            }
            if stirred.last() != Some(name) {
                stirred.push(name.clone());
            }
        });
    }

    fn hear(&mut self, name: &TopicName, record: &Record) {
        let heard = self.views.tails.hear(name, || Arc::new(record.clone()));
        self.heard.extend(heard.map(|heard| (heard, false)));
    }

    pub(super) fn hear_batch(&mut self, name: &TopicName, batch: &Bytes, base_offset: u64) {
        let Ok(records) = RecordCursor::open(batch, base_offset, self.log.limits()) else { return };
        for (_, record) in records.flatten() {
            let heard = self.views.tails.hear(name, || Arc::new(record));
            self.heard.extend(heard.map(|heard| (heard, false)));
        }
    }
}

/// Reads a record of the log, or of an entry that is not in it yet, and keeps the batch.
pub(super) fn read(
    log: &Log,
    entry: &Entry,
    reading: &mut Option<(u32, RecordCursor)>,
    partition: &Partition,
    offset: u64,
) -> Option<Record> {
    let kept = reading.take().filter(|(id, cursor)| *id == partition.id() && cursor.covers(offset));
    let mut cursor = match kept {
        Some((_, cursor)) => cursor,
        None => match entry.batch_of(partition, offset) {
            Some((base_offset, batch)) => RecordCursor::open(&batch, base_offset, log.limits()).ok()?,
            None => log.read(partition, offset, 1, Bound::End).ok()?.first()?.records(log.limits()).ok()?,
        },
    };
    let found = cursor.record_at(offset).ok().flatten();
    *reading = Some((partition.id(), cursor));
    found
}

impl Open {
    /// Whether a record for these targets may join.
    fn takes(&self, partitions: &[Arc<Partition>], kind: Kind) -> bool {
        kind == self.kind
            && self.builder.size_bytes() < BATCH_BYTES
            && partitions.len() == self.targets.len()
            && partitions.iter().zip(&self.targets).all(|(new, open)| Arc::ptr_eq(new, &open.partition))
    }
}

fn placements(partitions: &[Arc<Partition>], offsets: &[u64]) -> SmallVec<[Placement; 1]> {
    let place = |(partition, base_offset): (&Arc<Partition>, &u64)| Placement {
        partition: Arc::clone(partition),
        base_offset: *base_offset,
    };
    partitions.iter().zip(offsets).map(place).collect()
}

fn span_of(header: &BatchHeader) -> u32 {
    header.last_offset_delta.unsigned_abs() + 1
}
