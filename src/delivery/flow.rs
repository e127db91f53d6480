//! How many records pass, in all and a second: counted as they do, read at any time. Time is passed in.

/// The time over which a rate is taken, in milliseconds.
const WINDOW_MS: i64 = 5_000;

/// What passes one place.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Meter {
    total: u64,
    /// When the window began, and what passed since.
    begun_ms: i64,
    count: u64,
    /// What passed in the window before.
    before: u64,
}

impl Meter {
    /// So many records passed.
    pub fn add(&mut self, records: u64, now_ms: i64) {
        self.roll(now_ms);
        self.count += records;
        self.total += records;
    }

    /// Everything that ever passed.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Records a second of late: this window's, and of the one before as much as still lies within a window's length.
    pub fn per_s(&self, now_ms: i64) -> f64 {
        let mut rolled = *self;
        rolled.roll(now_ms);
        let elapsed = (now_ms - rolled.begun_ms).clamp(0, WINDOW_MS) as f64 / WINDOW_MS as f64;
        (rolled.count as f64 + rolled.before as f64 * (1.0 - elapsed)) / (WINDOW_MS as f64 / 1000.0)
    }

    fn roll(&mut self, now_ms: i64) {
        let elapsed_ms = now_ms.saturating_sub(self.begun_ms);
        if elapsed_ms < WINDOW_MS {
            return;
        }
        let follows = elapsed_ms < 2 * WINDOW_MS;
        self.before = if follows { self.count } else { 0 };
        self.count = 0;
        self.begun_ms = if follows { self.begun_ms + WINDOW_MS } else { now_ms };
    }
}

/// What passes a queue view.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Flow {
    /// Handed to a taker, each time.
    pub taken: Meter,
    /// Done for good.
    pub settled: Meter,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_flow_has_its_rate_at_any_time_and_fades_when_it_ends() {
        let mut meter = Meter::default();
        let begin_ms = 1_700_000_000_000;
        for step in 0..200 {
            meter.add(10, begin_ms + step * 100);
            let rate = meter.per_s(begin_ms + step * 100);
            assert!(step < 60 || (rate - 100.0).abs() <= 4.0, "{rate} a second at step {step}");
        }
        let end_ms = begin_ms + 200 * 100;
        assert!(meter.per_s(end_ms + 2_500) < 80.0 && meter.per_s(end_ms + 2_500) > 20.0);
        assert_eq!(meter.per_s(end_ms + 10_000), 0.0);
        assert_eq!(meter.total(), 2_000);
    }

    #[test]
    fn a_clock_that_goes_back_does_no_harm() {
        let mut meter = Meter::default();
        meter.add(5, 1_000_000);
        meter.add(5, 10);
        assert_eq!(meter.total(), 10);
        assert!(meter.per_s(0) >= 0.0);
    }
}
