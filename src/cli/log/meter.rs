//! How far long work has come: bytes done, rate and time left, on standard error while that is a terminal.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use super::columns::size;

const SHOWN_EVERY: Duration = Duration::from_millis(200);

/// Counts bytes and shows them.
#[derive(Debug)]
pub(super) struct Meter {
    total: u64,
    done: u64,
    began: Instant,
    shown: Option<Instant>,
    is_shown: bool,
}

impl Meter {
    /// For work on about this many bytes.
    pub(super) fn new(total: u64) -> Self {
        let is_shown = std::io::stderr().is_terminal();
        Self { total, done: 0, began: Instant::now(), shown: None, is_shown }
    }

    /// More bytes are done.
    pub(super) fn add(&mut self, bytes: u64) {
        self.done += bytes;
        if self.is_shown && self.shown.map_or(self.began, |shown| shown).elapsed() >= SHOWN_EVERY {
            self.shown = Some(Instant::now());
            let mut out = std::io::stderr().lock();
            let _ = write!(out, "\r\x1b[K{}", text(self.done, self.total, self.began.elapsed())).and_then(|()| out.flush());
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if self.shown.is_some() {
            let _ = write!(std::io::stderr().lock(), "\r\x1b[K");
        }
    }
}

fn text(done: u64, total: u64, elapsed: Duration) -> String {
    let rate = done as f64 / elapsed.as_secs_f64().max(0.001);
    let left = total.saturating_sub(done) as f64 / rate.max(1.0);
    if total > done {
        format!("{} of {}, {}/s, {left:.0} s left", size(done), size(total), size(rate as u64))
    } else {
        format!("{}, {}/s", size(done), size(rate as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_and_time_left_are_told() {
        assert_eq!(text(1 << 20, 3 << 20, Duration::from_secs(1)), "1.0 MiB of 3.0 MiB, 1.0 MiB/s, 2 s left");
        assert_eq!(text(2048, 0, Duration::from_secs(2)), "2.0 KiB, 1.0 KiB/s");
    }
}
