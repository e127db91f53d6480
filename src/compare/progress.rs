//! How a run goes, on standard error: one line a model, rewritten in place on a terminal, a plain line now and then elsewhere.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use tokio::task::JoinSet;

use super::models::ModelKind;
use super::report::{ModelReport, grouped};
use super::score::Score;

const TERMINAL_EVERY: Duration = Duration::from_millis(200);
const PLAIN_EVERY: Duration = Duration::from_secs(2);
const REWRITE: &str = "\r\x1b[2K";

/// The line of one model while it runs; it stops when this is dropped.
pub struct Progress {
    ticker: JoinSet<()>,
    terminal: bool,
}

impl Progress {
    /// Shows the score until [`Progress::finish`].
    pub fn start(kind: ModelKind, records: u64, score: Score) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let mut ticker = JoinSet::new();
        ticker.spawn(async move {
            let mut every = tokio::time::interval(if terminal { TERMINAL_EVERY } else { PLAIN_EVERY });
            loop {
                every.tick().await;
                show(terminal, &line(kind, records, &score), false);
            }
        });
        Self { ticker, terminal }
    }

    /// Leaves the last word on the line.
    pub async fn finish(mut self, report: &ModelReport) {
        // Waits for the end, so that no line of its own comes after this one.
        self.ticker.shutdown().await;
        show(self.terminal, &report.last_word(), true);
    }
}

fn line(kind: ModelKind, records: u64, score: &Score) -> String {
    let tally = score.glance().tally;
    format!(
        "{kind:<7} sent {}/{}  delivered {}  owed {}  duplicated {}",
        grouped(tally.sent),
        grouped(records),
        grouped(tally.delivered),
        grouped(tally.lost),
        grouped(tally.duplicated)
    )
}

fn show(terminal: bool, line: &str, last: bool) {
    let (before, after) = if terminal { (REWRITE, if last { "\n" } else { "" }) } else { ("", "\n") };
    // Progress that nobody can read is not worth a failure.
    let _ = std::io::stderr().write_all(format!("{before}{line}{after}").as_bytes());
}
