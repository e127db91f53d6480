//! How far long work has come: bytes done, rate and time left, on standard error. On a terminal a line that changes; elsewhere, as in
//! the log of a service, a line now and then.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use super::columns::size;

const SHOWN_EVERY: Duration = Duration::from_millis(200);
const LOGGED_EVERY: Duration = Duration::from_secs(30);

/// Counts bytes and shows them.
#[derive(Debug)]
pub(super) struct Meter {
    /// What is being done, as a verb in its -ing form.
    what: &'static str,
    total: u64,
    done: u64,
    began: Instant,
    shown: Option<Instant>,
    is_terminal: bool,
}

impl Meter {
    /// For work on about this many bytes; 0: nobody knows.
    pub(super) fn new(what: &'static str, total: u64) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        Self { what, total, done: 0, began: Instant::now(), shown: None, is_terminal }
    }

    /// More bytes are done.
    pub(super) fn add(&mut self, bytes: u64) {
        self.done += bytes;
        let every = if self.is_terminal { SHOWN_EVERY } else { LOGGED_EVERY };
        if self.shown.unwrap_or(self.began).elapsed() >= every {
            self.shown = Some(Instant::now());
            let (before, after) = if self.is_terminal { ("\r\x1b[K", "") } else { ("trunkline: ", "\n") };
            let said = text(self.done, self.total, self.began.elapsed());
            let mut out = std::io::stderr().lock();
            let _ = write!(out, "{before}{}: {said}{after}", self.what).and_then(|()| out.flush());
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if self.shown.is_some() && self.is_terminal {
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
