//! One round of a connection: the commands that arrived together, run in one atomic unit.
//!
//! The lock of the core is taken when a command first needs it and given back when the round ends. A round is synchronous;
//! it is never held across an await.

use std::time::{SystemTime, UNIX_EPOCH};

use super::error::CommandError;
use crate::delivery::{Delivery, Unit};
use crate::log::Barrier;

/// The unit of a round, opened when first used.
pub struct Round<'d> {
    delivery: &'d Delivery,
    unit: Option<Unit<'d>>,
    covers: Barrier,
    depends: bool,
    atomic: bool,
    now_ms: i64,
    /// Records and bytes of values written, and records written live only.
    pub written: Written,
}

/// Milliseconds since the epoch.
pub fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

/// What a round wrote, for the metrics.
#[derive(Debug, Default, Clone, Copy)]
pub struct Written {
    pub records: u64,
    pub bytes: u64,
    pub live_only: u64,
}

impl<'d> Round<'d> {
    pub fn new(delivery: &'d Delivery) -> Self {
        let now_ms = now_ms();
        let written = Written::default();
        Self { delivery, unit: None, covers: Barrier::NONE, depends: false, atomic: false, now_ms, written }
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

    /// The replies of this round wait for this position too.
    pub fn depend_on(&mut self, barrier: Barrier) {
        self.depends = true;
        self.covers = self.covers.and(barrier);
    }

    /// From here to [`Self::end_atomic`] everything belongs to one unit of its own.
    pub fn begin_atomic(&mut self) {
        self.commit();
        self.atomic = true;
    }

    /// Ends the transaction that [`Self::begin_atomic`] began, and commits it.
    pub fn end_atomic(&mut self) {
        self.atomic = false;
        self.commit();
    }

    /// Whether a transaction is being run.
    pub fn is_atomic(&self) -> bool {
        self.atomic
    }

    /// Lets those who wait on a view have what was put there before the next command runs; a transaction does so at its end.
    pub fn serve_waiting(&mut self) {
        if !self.atomic
            && let Some(unit) = &mut self.unit
        {
            unit.serve();
        }
    }

    fn commit(&mut self) {
        if let Some(unit) = self.unit.take() {
            let seen = if self.depends { unit.seen() } else { Barrier::NONE };
            let written = unit.commit();
            if self.depends {
                self.covers = self.covers.and(seen).and(written);
            }
        }
    }

    /// Ends the round: what its replies depend on.
    pub fn finish(mut self) -> (Barrier, Written) {
        self.commit();
        (self.covers, self.written)
    }
}
