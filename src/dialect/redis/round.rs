//! One round of a connection: the commands that arrived together, run in one atomic unit.
//!
//! The lock of the core is taken when a command first needs it and given back when the round ends. A round is synchronous;
//! it is never held across an await.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::error::CommandError;
use crate::delivery::{Delivery, Position, RecordReader, Unit};
use crate::log::record::Record;
use crate::log::{Lsn, Topic};

/// The unit of a round, opened when first used.
pub struct Round<'d> {
    delivery: &'d Delivery,
    unit: Option<Unit<'d>>,
    committed: Lsn,
    depends: bool,
    atomic: bool,
    now_ms: i64,
    /// What this unit appended, kept while a later command of the same transaction may have to read it back.
    appended: Vec<(Bytes, Position, Record)>,
}

impl<'d> Round<'d> {
    pub fn new(delivery: &'d Delivery) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now_ms = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        let appended = Vec::new();
        Self { delivery, unit: None, committed: Lsn::NONE, depends: false, atomic: false, now_ms, appended }
    }

    /// The time of the round, in milliseconds since the epoch.
    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// The unit, for what does not make the replies wait for the disk.
    pub fn unit(&mut self) -> Result<&mut Unit<'d>, CommandError> {
        if self.unit.is_none() {
            self.unit = Some(self.delivery.begin()?);
        }
        self.unit.as_mut().ok_or(CommandError::ShuttingDown)
    }

    /// The unit, for what reads or changes state that a crash must not take back once it was answered.
    pub fn durable_unit(&mut self) -> Result<&mut Unit<'d>, CommandError> {
        self.depends = true;
        self.unit()
    }

    /// From here to [`Self::end_atomic`] everything belongs to one unit.
    pub fn begin_atomic(&mut self) {
        self.split();
        self.atomic = true;
    }

    pub fn end_atomic(&mut self) {
        self.atomic = false;
        self.appended.clear();
    }

    /// Whether a transaction is being run.
    pub fn is_atomic(&self) -> bool {
        self.atomic
    }

    /// Ends the unit so that those who wait are served before the next command. Does nothing inside a transaction.
    pub fn split(&mut self) {
        if !self.atomic
            && let Some(unit) = self.unit.take()
        {
            self.committed = self.committed.max(unit.commit());
        }
    }

    /// Keeps what a transaction appended, so that it can read it back.
    pub fn remember(&mut self, topic: &Topic, position: Position, record: &Record) {
        if self.atomic {
            self.appended.push((topic.name().to_bytes(), position, record.clone()));
        }
    }

    /// The record at a position that this round has just taken off a view.
    pub fn record(&mut self, reader: &mut RecordReader, topic: &Topic, at: Position) -> Result<Record, CommandError> {
        let own = |(name, position, _): &&(Bytes, Position, Record)| *position == at && *name == topic.name().as_bytes();
        if let Some((_, _, record)) = self.appended.iter().rev().find(own) {
            return Ok(record.clone());
        }
        let partition = topic.partition(at.partition).ok_or(CommandError::NoSuchKey)?;
        reader.record(&partition, at.offset).map_err(|error| CommandError::Unreadable(error.to_string()))
    }

    /// Ends the round: what its replies depend on.
    pub fn finish(mut self) -> Lsn {
        self.atomic = false;
        self.split();
        if self.depends { self.committed } else { Lsn::NONE }
    }
}
