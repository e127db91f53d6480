//! `trunkline log import`: what `export` wrote, or JSON lines of one's own, as records of topics.
//!
//! Works on the log as the gateway does, so that queues and groups that are there hold what they need meanwhile.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::super::complain;
use super::line::{RecordLine, bytes as bytes_of};
use super::meter::Meter;
use super::portable::{Declaration, Piece, PlacedBatch, Reader};
use super::{Failure, Place, unless_closed};
use crate::delivery::group::{GroupSettings, Groups};
use crate::delivery::{Delivery, Kind, Target, Unit};
use crate::gateway::DataDir;
use crate::log::record::{BatchHeader, Limits, Record, RecordCursor, ValidBatch};
use crate::log::{LogSettings, Topic, TopicName, TopicSettings};

/// What is written as one atomic entry, in bytes.
const ENTRY_BYTES: usize = 1 << 20;
const TRANSACTIONAL_BIT: i16 = 0x10;
/// A batch's checksum and what it covers.
const CHECKSUM_AT: usize = 17;
const CHECKSUMMED_FROM: usize = 21;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    /// A file that `export` wrote, in either form, or - for standard input
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Give each record the offset that it had. Topics must be new, or end before it
    #[arg(long)]
    keep_offsets: bool,
    /// Make the data directory if there is none
    #[arg(long)]
    create: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let held = if args.create { DataDir::hold(&args.place.path()?).map_err(Failure::new)? } else { args.place.hold()?.0 };
    let (input, total) = open(&args.from)?;
    let mut reader = Reader::new(input).map_err(Failure::about(args.from.display()))?;
    let settings = LogSettings { directory: held.path().to_owned(), ..LogSettings::default() };
    let delivery = Delivery::open(settings).map_err(Failure::new)?;
    let groups = Groups::open(delivery.clone(), GroupSettings::default()).map_err(Failure::new)?;
    let mut import = Import {
        delivery: &delivery,
        keep_offsets: args.keep_offsets,
        topics: Vec::new(),
        known: HashMap::new(),
        records: 0,
        undone: 0,
    };
    let done = import.all(&mut reader, &mut Meter::new("importing", total));
    let (records, topics, undone) = (import.records, import.known.len(), import.undone);
    drop(groups);
    delivery.close().map_err(Failure::new)?;
    if let Err(reason) = done {
        let what = format!("{}: {reason}; {records} records before it are imported", args.from.display());
        return Err(Failure::new(what));
    }
    if undone > 0 {
        complain(&format_args!("{undone} lines or batches are left out: their transactions were aborted or have no outcome"));
    }
    unless_closed(writeln!(io::stdout(), "{records} records, topics: {topics}"))
}

fn open(from: &Path) -> Result<(Box<dyn BufRead>, u64), Failure> {
    if from == Path::new("-") {
        return Ok((Box::new(io::stdin().lock()), 0));
    }
    let file = File::open(from).map_err(Failure::about(from.display()))?;
    let total = file.metadata().map_or(0, |metadata| metadata.len());
    Ok((Box::new(BufReader::with_capacity(1 << 20, file)), total))
}

struct Import<'a> {
    delivery: &'a Delivery,
    keep_offsets: bool,
    /// In the order of their declarations.
    topics: Vec<Arc<Topic>>,
    known: HashMap<TopicName, Arc<Topic>>,
    records: u64,
    /// Lines and batches whose transaction was not committed.
    undone: u64,
}

impl Import<'_> {
    fn all<R: BufRead>(&mut self, reader: &mut Reader<R>, meter: &mut Meter) -> Result<(), String> {
        let (mut told, mut ended) = (0, false);
        loop {
            let mut unit = self.delivery.begin().map_err(|error| error.to_string())?;
            let mut bytes = 0;
            let more = loop {
                if bytes >= ENTRY_BYTES {
                    break true;
                }
                let Some(piece) = reader.next()? else { break false };
                let before = reader.bytes;
                let number = reader.count;
                self.records += self.piece(&mut unit, piece, &mut ended).map_err(|reason| format!("piece {number}: {reason}"))?;
                bytes += usize::try_from(before - told).unwrap_or(usize::MAX);
                meter.add(before - told);
                told = before;
            };
            unit.commit();
            if !more {
                break;
            }
        }
        if ended || self.topics.is_empty() { Ok(()) } else { Err("the end is missing: the file was cut".to_owned()) }
    }

    /// Does what a piece says and returns how many records it made.
    fn piece(&mut self, unit: &mut Unit<'_>, piece: Piece, ended: &mut bool) -> Result<u64, String> {
        match piece {
            Piece::Declare(declaration) => self.declare(unit, &declaration).map(|()| 0),
            Piece::Record(RecordLine { transaction: Some(_), .. }) | Piece::Batch(PlacedBatch { undone: Some(_), .. }) => {
                self.undone += 1;
                Ok(0)
            }
            Piece::Record(line) => self.record(unit, &line).map(|()| 1),
            Piece::Batch(placed) => {
                let topic = self.topics.get(placed.topic as usize).cloned().ok_or("a batch of a topic that was not declared")?;
                self.batch(unit, &topic, placed.partition, placed.base_offset, &placed.bytes)
            }
            Piece::End(_) => {
                *ended = true;
                Ok(0)
            }
        }
    }

    fn declare(&mut self, unit: &mut Unit<'_>, declaration: &Declaration) -> Result<(), String> {
        let name = name_of(&declaration.topic)?;
        let topic = match unit.topic(&name) {
            Some(topic) if topic.partition_count() >= declaration.partitions => topic,
            Some(topic) => {
                let (has, wants) = (topic.partition_count(), declaration.partitions);
                return Err(format!(
                    "the topic {name} has {has} partitions here and {wants} in the export: delete it, or add some"
                ));
            }
            None => {
                let made = unit.create_topic(&name, declaration.partitions, declaration.settings.clone());
                made.map_err(|error| format!("the topic {name}: {error}"))?
            }
        };
        self.topics.push(Arc::clone(&topic));
        self.known.insert(name, topic);
        Ok(())
    }

    fn record(&mut self, unit: &mut Unit<'_>, line: &RecordLine) -> Result<(), String> {
        let name = name_of(&line.topic)?;
        let topic = match self.known.get(&name).cloned().or_else(|| unit.topic(&name)) {
            Some(topic) => topic,
            None => unit
                .create_topic(&name, line.partition + 1, TopicSettings::default())
                .map_err(|error| format!("the topic {name}: {error}"))?,
        };
        self.known.insert(name, Arc::clone(&topic));
        let record = line.record(unit.now_ms())?;
        self.put_record(unit, &topic, line.partition, line.offset, record)
    }

    fn put_record(
        &self,
        unit: &mut Unit<'_>,
        topic: &Arc<Topic>,
        partition: u32,
        offset: Option<u64>,
        record: Record,
    ) -> Result<(), String> {
        if self.keep_offsets {
            let offset = offset.ok_or("the record has no offset to keep")?;
            skip_to(unit, topic, partition, offset)?;
        }
        let target = Target { topic: Arc::clone(topic), partition };
        match unit.append(&[target], &record, Kind::Plain).is_empty() {
            false => Ok(()),
            true => Err(format!("the topic {} has no partition {partition}", topic.name())),
        }
    }

    fn batch(
        &self,
        unit: &mut Unit<'_>,
        topic: &Arc<Topic>,
        partition: u32,
        base_offset: u64,
        batch: &Bytes,
    ) -> Result<u64, String> {
        let limits = Limits::STORED;
        if let Ok(valid) = ValidBatch::check(anonymous(batch).map_err(|error| error.to_string())?, &limits) {
            if self.keep_offsets {
                skip_to(unit, topic, partition, base_offset)?;
            }
            let records = u64::from(valid.header().record_count.unsigned_abs());
            unit.append_batch(topic, partition, &valid).map_err(|error| format!("the topic {}: {error}", topic.name()))?;
            return Ok(records);
        }
        // A batch that was compacted has gaps, which are not to be appended as they are.
        let mut made = 0;
        for found in RecordCursor::open(batch, base_offset, &limits).map_err(|error| error.to_string())? {
            let (offset, record) = found.map_err(|error| error.to_string())?;
            self.put_record(unit, topic, partition, Some(offset), record)?;
            made += 1;
        }
        Ok(made)
    }
}

fn skip_to(unit: &mut Unit<'_>, topic: &Arc<Topic>, partition: u32, offset: u64) -> Result<(), String> {
    let handle = topic.partition(partition).ok_or_else(|| format!("the topic {} has no partition {partition}", topic.name()))?;
    let end = handle.bounds().end;
    if end > offset {
        let name = topic.name();
        return Err(format!("{name}-{partition} ends at offset {end} already, so offset {offset} cannot be kept"));
    }
    if end < offset {
        unit.skip_to(&handle, offset);
    }
    Ok(())
}

/// A batch without its producer: sequences and transactions ended where it came from.
fn anonymous(batch: &Bytes) -> Result<Bytes, crate::log::record::BatchError> {
    let header = BatchHeader::parse(batch)?;
    if header.producer_id < 0 && !header.is_transactional() {
        return Ok(batch.clone());
    }
    let attributes = header.attributes & !TRANSACTIONAL_BIT;
    let header = BatchHeader { attributes, producer_id: -1, producer_epoch: -1, base_sequence: -1, ..header }.to_bytes();
    let mut bytes = BytesMut::from(&batch[..]);
    if let Some(front) = bytes.get_mut(..header.len()) {
        front.copy_from_slice(&header);
    }
    let crc = crc_fast::crc32_iscsi(bytes.get(CHECKSUMMED_FROM..).unwrap_or_default());
    if let Some(field) = bytes.get_mut(CHECKSUM_AT..CHECKSUMMED_FROM) {
        field.copy_from_slice(&crc.to_be_bytes());
    }
    Ok(bytes.freeze())
}

fn name_of(value: &serde_json::Value) -> Result<TopicName, String> {
    let name = TopicName::new(bytes_of(value)?).map_err(|error| error.to_string())?;
    if name.is_internal() {
        return Err(format!("the topic {name} belongs to the log itself"));
    }
    Ok(name)
}
