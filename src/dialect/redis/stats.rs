//! What the dialect counts for `INFO`: commands by name, errors by code, connections.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::error::CommandError;
use super::support;

/// Error codes counted apart; the rest is counted together, so that clients cannot grow the table.
const ERROR_CODES_MAX: usize = 64;

#[derive(Debug, Default)]
struct CommandStats {
    calls: AtomicU64,
    rejected: AtomicU64,
    failed: AtomicU64,
}

/// Counters since the start or the last `CONFIG RESETSTAT`.
#[derive(Debug)]
pub struct Stats {
    commands: Vec<CommandStats>,
    errors: Mutex<BTreeMap<String, u64>>,
    pub connections_received: AtomicU64,
    pub connections_rejected: AtomicU64,
    pub input_bytes: AtomicU64,
    pub output_bytes: AtomicU64,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            commands: support::COMMANDS.iter().map(|_| CommandStats::default()).collect(),
            errors: Mutex::default(),
            connections_received: AtomicU64::new(0),
            connections_rejected: AtomicU64::new(0),
            input_bytes: AtomicU64::new(0),
            output_bytes: AtomicU64::new(0),
        }
    }
}

impl Stats {
    /// A command was run.
    pub fn called(&self, command: usize) {
        if let Some(stats) = self.commands.get(command) {
            stats.calls.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A command answered an error; `rejected`: before it was run.
    pub fn failed(&self, command: Option<usize>, rejected: bool, error: &CommandError) {
        if let Some(stats) = command.and_then(|index| self.commands.get(index)) {
            let counter = if rejected { &stats.rejected } else { &stats.failed };
            counter.fetch_add(1, Ordering::Relaxed);
        }
        let mut errors = self.errors.lock();
        let code = error.code();
        if errors.len() < ERROR_CODES_MAX || errors.contains_key(&code) {
            *errors.entry(code).or_default() += 1;
        }
    }

    /// All commands run.
    pub fn commands_processed(&self) -> u64 {
        self.commands.iter().map(|stats| stats.calls.load(Ordering::Relaxed)).sum()
    }

    /// All errors answered.
    pub fn errors_total(&self) -> u64 {
        self.errors.lock().values().sum()
    }

    /// The lines of `INFO commandstats`.
    pub fn command_lines(&self) -> Vec<String> {
        let named = support::COMMANDS.iter().zip(&self.commands);
        named
            .filter_map(|(spec, stats)| {
                let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
                let (calls, rejected, failed) = (count(&stats.calls), count(&stats.rejected), count(&stats.failed));
                (calls + rejected > 0).then(|| {
                    format!(
                        "cmdstat_{}:calls={calls},usec=0,usec_per_call=0.00,rejected_calls={rejected},failed_calls={failed}",
                        spec.name
                    )
                })
            })
            .collect()
    }

    /// The lines of `INFO errorstats`.
    pub fn error_lines(&self) -> Vec<String> {
        self.errors.lock().iter().map(|(code, count)| format!("errorstat_{code}:count={count}")).collect()
    }

    /// `CONFIG RESETSTAT`.
    pub fn reset(&self) {
        for stats in &self.commands {
            for counter in [&stats.calls, &stats.rejected, &stats.failed] {
                counter.store(0, Ordering::Relaxed);
            }
        }
        self.errors.lock().clear();
        for counter in [&self.connections_received, &self.connections_rejected, &self.input_bytes, &self.output_bytes] {
            counter.store(0, Ordering::Relaxed);
        }
    }
}
