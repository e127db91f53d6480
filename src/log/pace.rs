//! How many records a second are written to a partition, in twelve bytes: counted as they come, read at any time. Time is passed in.

/// The time over which a rate is taken, in milliseconds. Windows begin at its multiples.
const WINDOW_MS: u64 = 5_000;

/// What was written of late.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pace {
    /// The number of the window that is counted.
    window: u32,
    count: u32,
    /// What came in the window before.
    before: u32,
}

impl Pace {
    /// So many records come.
    pub fn add(&mut self, records: u32, now_ms: i64) {
        self.roll(now_ms);
        self.count = self.count.saturating_add(records);
    }

    /// Records a second: this window's, and of the one before as much as still lies within a window's length.
    pub fn per_s(&self, now_ms: i64) -> f64 {
        let mut rolled = *self;
        rolled.roll(now_ms);
        let elapsed = (now_ms.max(0).unsigned_abs() % WINDOW_MS) as f64 / WINDOW_MS as f64;
        (f64::from(rolled.count) + f64::from(rolled.before) * (1.0 - elapsed)) * 1000.0 / WINDOW_MS as f64
    }

    fn roll(&mut self, now_ms: i64) {
        let window = u32::try_from(now_ms.max(0).unsigned_abs() / WINDOW_MS).unwrap_or(u32::MAX);
        // A clock that goes back goes on counting where it was.
        if window > self.window {
            self.before = if window - self.window == 1 { self.count } else { 0 };
            (self.window, self.count) = (window, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_flow_has_its_rate_at_any_time_and_fades_when_it_ends() {
        let mut pace = Pace::default();
        let begin_ms = 1_700_000_001_234;
        for step in 0..200 {
            pace.add(10, begin_ms + step * 100);
            let rate = pace.per_s(begin_ms + step * 100);
            assert!(step < 100 || (rate - 100.0).abs() <= 4.0, "{rate} a second at step {step}");
        }
        let end_ms = begin_ms + 200 * 100;
        assert!((20.0..80.0).contains(&pace.per_s(end_ms + 3_000)));
        assert_eq!(pace.per_s(end_ms + 10_000), 0.0);
    }

    #[test]
    fn a_clock_that_goes_back_does_no_harm() {
        let mut pace = Pace::default();
        pace.add(5, 1_000_000);
        pace.add(5, 10);
        assert_eq!(pace.per_s(1_000_000), 2.0);
        assert_eq!(pace.per_s(-1), 2.0);
    }
}
