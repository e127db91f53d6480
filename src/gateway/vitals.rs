//! What a scrape learns of the process itself: memory, processor time, start and version.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::telemetry::{Samples, Telemetry};

/// Milliseconds since 1970.
pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

pub(super) fn register(telemetry: &Telemetry) {
    let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    telemetry.pull(Box::new(move |samples| {
        samples.gauge("trunkline_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
        samples.gauge("trunkline_start_time_seconds", &[], started);
        process(samples);
    }));
}

fn process(samples: &mut Samples) {
    if let Some(pages) = std::fs::read_to_string("/proc/self/statm").ok().as_deref().and_then(resident_pages) {
        let bytes = pages * rustix::param::page_size() as f64;
        samples.gauge("trunkline_resident_memory_bytes", &[], bytes);
    }
    if let Some(ticks) = std::fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(cpu_ticks) {
        let seconds = ticks / rustix::param::clock_ticks_per_second() as f64;
        samples.counter("trunkline_cpu_seconds_total", &[], seconds);
    }
}

/// The second field of `/proc/PID/statm`.
fn resident_pages(statm: &str) -> Option<f64> {
    statm.split(' ').nth(1)?.parse().ok()
}

/// User and system time, fields 14 and 15 of `/proc/PID/stat`. The second field is a name in brackets that may hold anything.
fn cpu_ticks(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let stat = "7 (a ) b) S 1 2 3 4 5 6 7 8 9 10 100 23 0 0";
        assert_eq!(cpu_ticks(stat), Some(123.0));
        assert_eq!(resident_pages("10 20 30"), Some(20.0));
    }

    #[test]
    fn this_process_has_vitals() {
        let telemetry = Telemetry::new(10);
        register(&telemetry);
        let text = telemetry.render();
        assert!(text.contains("\ntrunkline_resident_memory_bytes "), "{text}");
        assert!(text.contains("\ntrunkline_cpu_seconds_total "), "{text}");
    }
}
