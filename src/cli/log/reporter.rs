//! Looks on while a directory is read: shows progress, reads the tables of state, and keeps what is found wrong.

use bytes::Bytes;

use super::super::complain;
use super::meter::Meter;
use super::places;
use crate::delivery::KeptState;
use crate::dialect::amqp;
use crate::log::Change;
use crate::log::inspect::{Finding, Severity, Watch};

/// No more findings are kept; the others are counted.
const FINDINGS_MAX: usize = 10_000;

/// What was seen so far.
#[derive(Debug)]
pub(super) struct Reporter {
    pub(super) kept: KeptState,
    pub(super) findings: Vec<Finding>,
    /// Findings that were not kept.
    pub(super) further: u64,
    meter: Meter,
}

impl Reporter {
    /// For work (a verb in its -ing form) on about this many bytes.
    pub(super) fn new(what: &'static str, total: u64) -> Self {
        Self { kept: KeptState::default(), findings: Vec::new(), further: 0, meter: Meter::new(what, total) }
    }

    pub(super) fn damages(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity == Severity::Damage)
    }

    /// Says on standard error that what is shown is not all, if it is damaged.
    pub(super) fn warn(&self) {
        let damages = self.damages().count();
        if let Some(first) = self.damages().next() {
            complain(&format_args!(
                "what is shown is not all: {} at byte {}: {}; {} in all: see `trunkline log verify`",
                first.path.display(),
                first.byte,
                first.what,
                places(damages)
            ));
        }
    }
}

impl Watch for Reporter {
    fn progress(&mut self, bytes: u64) {
        self.meter.add(bytes);
    }

    fn state(&mut self, table: &str, key: &Bytes, change: &Change) -> Result<(), String> {
        if let Change::Put(value) = change {
            amqp::check_state(table, key, value)?;
        }
        self.kept.apply(table, key, change)
    }

    fn found(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        } else {
            self.further += 1;
        }
    }
}
