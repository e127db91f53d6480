//! Values asked for at a scrape, gathered by family and written in Prometheus' text format 0.0.4.
//!
//! A family that has a series for each topic shows no more than the cap; how many were left out is a metric of its own.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Write as _};

use super::table::{self, Kind};

/// The series of one scrape.
#[derive(Debug)]
pub struct Samples {
    families: BTreeMap<&'static str, Vec<String>>,
    series_max: usize,
    dropped: u64,
}

/// A histogram as somebody else counted it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HistogramSnapshot {
    /// Upper bound of a bucket and how many observations fell into it (not into those below), bounds ascending.
    pub buckets: Vec<(f64, u64)>,
    /// All observations, those above the last bound included.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
}

impl Samples {
    pub(super) fn new(series_max: usize) -> Self {
        Self { families: BTreeMap::new(), series_max, dropped: 0 }
    }

    /// How many series a family shows at most.
    pub fn series_max(&self) -> usize {
        self.series_max
    }

    /// Adds the value of a gauge. A name that is not in [`super::METRICS`] is left out.
    pub fn gauge(&mut self, name: &'static str, labels: &[(&str, &str)], value: f64) {
        self.push(name, labels, value);
    }

    /// Adds the value of a counter.
    pub fn counter(&mut self, name: &'static str, labels: &[(&str, &str)], value: f64) {
        self.push(name, labels, value);
    }

    /// So many series were not even asked for, because of the cap.
    pub fn left_out(&mut self, series: u64) {
        self.dropped += series;
    }

    /// Adds a histogram without labels.
    pub fn histogram(&mut self, name: &'static str, histogram: &HistogramSnapshot) {
        let mut below = 0;
        let mut lines = String::new();
        for (bound, count) in &histogram.buckets {
            below += count;
            let _ = writeln!(lines, "{name}_bucket{{le=\"{bound}\"}} {below}");
        }
        let HistogramSnapshot { count, sum, .. } = histogram;
        let _ = write!(lines, "{name}_bucket{{le=\"+Inf\"}} {count}\n{name}_sum {sum}\n{name}_count {count}");
        self.families.entry(name).or_default().push(lines);
    }

    fn push(&mut self, name: &'static str, labels: &[(&str, &str)], value: f64) {
        let family = self.families.entry(name).or_default();
        if !labels.is_empty() && family.len() >= self.series_max {
            self.dropped += 1;
            return;
        }
        family.push(format!("{name}{} {value}", Labels(labels)));
    }
}

impl Display for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dropped = format!("trunkline_series_dropped {}", self.dropped);
        let own = std::iter::once(("trunkline_series_dropped", std::slice::from_ref(&dropped)));
        let pulled = self.families.iter().map(|(name, lines)| (*name, lines.as_slice()));
        for (name, lines) in pulled.chain(own) {
            let Some(metric) = table::find(name) else {
                debug_assert!(false, "{name} is not in METRICS");
                continue;
            };
            writeln!(f, "# HELP {name} {}\n# TYPE {name} {}", metric.help, metric.kind.word())?;
            for line in lines {
                writeln!(f, "{line}")?;
            }
            f.write_char('\n')?;
            debug_assert!(metric.kind != Kind::Histogram || lines.len() == 1);
        }
        Ok(())
    }
}

struct Labels<'a>(&'a [(&'a str, &'a str)]);

impl Display for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.0.iter().enumerate() {
            write!(f, "{}{name}=\"", if index == 0 { '{' } else { ',' })?;
            for character in value.chars() {
                match character {
                    '\\' => f.write_str("\\\\")?,
                    '"' => f.write_str("\\\"")?,
                    '\n' => f.write_str("\\n")?,
                    other => f.write_char(other)?,
                }
            }
            f.write_char('"')?;
        }
        if self.0.is_empty() { Ok(()) } else { f.write_char('}') }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_beyond_the_cap_are_counted_and_left_out() {
        let mut samples = Samples::new(2);
        for topic in ["a", "b", "c"] {
            samples.gauge("trunkline_queue_ready", &[("topic", topic)], 1.0);
        }
        let text = samples.to_string();
        assert!(text.contains("topic=\"b\"") && !text.contains("topic=\"c\""), "{text}");
        assert!(text.contains("trunkline_series_dropped 1"), "{text}");
    }

    #[test]
    fn buckets_are_cumulative_and_end_in_infinity() {
        let mut samples = Samples::new(2);
        let histogram = HistogramSnapshot { buckets: vec![(0.001, 2), (0.01, 3)], count: 6, sum: 0.5 };
        samples.histogram("trunkline_log_fsync_seconds", &histogram);
        let text = samples.to_string();
        assert!(text.contains("trunkline_log_fsync_seconds_bucket{le=\"0.01\"} 5\n"), "{text}");
        assert!(text.contains("trunkline_log_fsync_seconds_bucket{le=\"+Inf\"} 6\n"), "{text}");
        assert!(text.contains("trunkline_log_fsync_seconds_sum 0.5\n"), "{text}");
    }

    #[test]
    fn label_values_are_escaped() {
        assert_eq!(Labels(&[("t", "a\\b\"c\nd")]).to_string(), "{t=\"a\\\\b\\\"c\\nd\"}");
        assert_eq!(Labels(&[]).to_string(), "");
    }
}
