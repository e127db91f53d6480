//! How fast cleaning may go, so that clients do not feel it. Time is passed in.

use std::time::{Duration, Instant};

/// Shorter pauses are not worth a system call.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// What was not used is not saved up beyond this.
const SAVED_MAX: Duration = Duration::from_millis(100);

/// A bound on bytes a second.
#[derive(Debug)]
pub struct Pace {
    bytes_per_s: u64,
    /// When the bytes so far may have been moved.
    due: Instant,
}

impl Pace {
    /// So many bytes a second.
    pub fn new(bytes_per_s: u64, now: Instant) -> Self {
        Self { bytes_per_s: bytes_per_s.max(1), due: now }
    }

    /// So many bytes were moved: how long to wait before more are.
    pub fn moved(&mut self, bytes: u64, now: Instant) -> Duration {
        let floor = now.checked_sub(SAVED_MAX).unwrap_or(now);
        self.due = self.due.max(floor) + Duration::from_secs_f64(bytes as f64 / self.bytes_per_s as f64);
        let pause = self.due.saturating_duration_since(now);
        if pause < PAUSE_MIN { Duration::ZERO } else { pause }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pauses_make_up_for_what_was_moved_too_fast() {
        let start = Instant::now();
        let mut now = start;
        let mut pace = Pace::new(1_000_000, now);
        for _ in 0..1_000 {
            now += pace.moved(10_000, now);
        }
        let took = now.duration_since(start);
        assert!(took >= Duration::from_millis(9_800) && took <= Duration::from_millis(10_100), "{took:?}");
        now += Duration::from_secs(60);
        assert_eq!(pace.moved(10_000, now), Duration::ZERO);
        assert!(pace.moved(10_000_000, now) > Duration::from_secs(9), "what was not used long ago is not saved up");
    }
}
