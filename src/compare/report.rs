//! What comes out: the report as data (its JSON is versioned by [`SCHEMA`]) and as a table, and whether each model kept what
//! it promises.

use std::fmt::Write;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::ledger::Tally;
use super::models::{ModelKind, Promise};
use super::plan::{Plan, Scenario, Targets};
use super::score::Outcome;

/// The version of the JSON: a change that a reader could stumble over gets a new number.
pub const SCHEMA: &str = "trunkline.compare/1";

/// One comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub schema: &'static str,
    /// The run's identity, in hex, as it stands in the names it used.
    pub run: String,
    pub scenario: Scenario,
    pub targets: Targets,
    pub workload: Workload,
    pub models: Vec<ModelReport>,
}

/// What was asked of every model.
#[derive(Clone, Debug, Serialize)]
pub struct Workload {
    pub records: u64,
    /// 0: as fast as acknowledgements came.
    pub rate_per_s: u64,
    pub size_bytes: usize,
    pub producers: u32,
    pub consumers: u32,
    pub window: usize,
    pub lot: usize,
    pub linger_ms: u32,
}

/// How one model did. Counts are records or deliveries, as the names say; see [`Tally`].
#[derive(Clone, Debug, Serialize)]
pub struct ModelReport {
    pub model: ModelKind,
    pub scenario: Scenario,
    /// A consumer was killed with a record in its hands.
    pub consumer_killed: bool,
    pub attempted: u64,
    pub sent: u64,
    pub refused: u64,
    pub delivered: u64,
    pub copies_a_record: f64,
    pub lost: u64,
    pub duplicated: u64,
    pub out_of_order: u64,
    pub corrupt: u64,
    pub foreign: u64,
    /// First copies, from the first send to the last first copy.
    pub records_per_s: f64,
    /// Of first copies; absent when nothing arrived.
    pub latency: Option<Latency>,
    /// What failed on the way, in the client libraries' words.
    pub faults: Vec<String>,
    /// Why the model did not keep what it promises; absent when it did.
    pub broken: Option<String>,
}

/// From the send to the consumer, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

impl Latency {
    /// Of a histogram in microseconds.
    pub fn of(histogram_us: &Histogram<u64>) -> Self {
        let ms = |us: u64| us as f64 / 1_000.0;
        Self {
            p50_ms: ms(histogram_us.value_at_quantile(0.5)),
            p99_ms: ms(histogram_us.value_at_quantile(0.99)),
            max_ms: ms(histogram_us.max()),
        }
    }
}

impl ModelReport {
    pub(super) fn new(model: ModelKind, scenario: Scenario, consumer_killed: bool, outcome: Outcome) -> Self {
        let Outcome { tally, latency, records_per_s, faults } = outcome;
        let broken = broken_promise(model.promise(), scenario, consumer_killed, &tally, &faults);
        Self {
            model,
            scenario,
            consumer_killed,
            attempted: tally.attempted,
            sent: tally.sent,
            refused: tally.refused,
            delivered: tally.delivered,
            copies_a_record: tally.copies_a_record(),
            lost: tally.lost,
            duplicated: tally.duplicated,
            out_of_order: tally.out_of_order,
            corrupt: tally.corrupt,
            foreign: tally.foreign,
            records_per_s,
            latency,
            faults,
            broken,
        }
    }

    /// The line that stays when the model is done.
    pub(super) fn last_word(&self) -> String {
        let verdict = self.broken.as_deref().unwrap_or("done");
        format!("{:<7} {verdict}", self.model)
    }

    fn row(&self) -> [String; 11] {
        let ms =
            |pick: fn(&Latency) -> f64| self.latency.as_ref().map_or("-".to_owned(), |latency| format!("{:.2}", pick(latency)));
        [
            self.model.name().to_owned(),
            grouped(self.sent),
            grouped(self.delivered),
            format!("{:.2}", self.copies_a_record),
            grouped(self.lost),
            grouped(self.duplicated),
            grouped(self.out_of_order),
            grouped(self.records_per_s.round() as u64),
            ms(|latency| latency.p50_ms),
            ms(|latency| latency.p99_ms),
            ms(|latency| latency.max_ms),
        ]
    }
}

/// Without a failure every model owes everything once and in order; with one, its promise says what it still owes.
fn broken_promise(promise: Promise, scenario: Scenario, killed: bool, tally: &Tally, faults: &[String]) -> Option<String> {
    if let Some(fault) = faults.first() {
        return Some(fault.clone());
    }
    let steady = scenario == Scenario::Steady;
    let checks = [
        (tally.sent == 0, "nothing was acknowledged"),
        (!steady && !killed, "no consumer held a record to be killed with"),
        (tally.corrupt > 0, "payloads were damaged"),
        (tally.foreign > 0, "records came that were never sent"),
        (tally.refused > 0, "records were refused"),
        (tally.lost > 0 && (steady || promise == Promise::AtLeastOnce), "acknowledged records were lost"),
        (tally.duplicated > 0 && (steady || promise != Promise::AtLeastOnce), "records were delivered again"),
        (tally.out_of_order > 0 && steady, "records came out of order"),
    ];
    checks.iter().find(|(wrong, _)| *wrong).map(|(_, what)| (*what).to_owned())
}

const HEADINGS: [&str; 11] =
    ["model", "sent", "delivered", "copies", "lost", "duplicated", "disorder", "records/s", "p50 ms", "p99 ms", "max ms"];

impl Report {
    pub(super) fn new(plan: &Plan, models: Vec<ModelReport>) -> Self {
        let tuning = plan.tuning;
        Self {
            schema: SCHEMA,
            run: format!("{:016x}", plan.run_id),
            scenario: plan.scenario,
            targets: plan.targets.clone(),
            workload: Workload {
                records: plan.records,
                rate_per_s: plan.rate_per_s,
                size_bytes: plan.size_bytes,
                producers: tuning.producers,
                consumers: tuning.consumers,
                window: tuning.window,
                lot: tuning.lot,
                linger_ms: tuning.linger_ms,
            },
            models,
        }
    }

    /// Every model ran and kept what it promises.
    pub fn holds(&self) -> bool {
        self.models.iter().all(|model| model.broken.is_none())
    }

    /// The report as JSON, see [`SCHEMA`].
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self)
    }

    /// The report for people: the workload in a line, a row a model, and what was not kept.
    pub fn table(&self) -> String {
        let rows: Vec<_> = std::iter::once(HEADINGS.map(str::to_owned)).chain(self.models.iter().map(ModelReport::row)).collect();
        let mut text = self.heading();
        for row in &rows {
            for (column, cell) in row.iter().enumerate() {
                let width = rows.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0);
                // Writing to a string cannot fail.
                let _ = if column == 0 { write!(text, "{cell:<width$}") } else { write!(text, "  {cell:>width$}") };
            }
            text.push('\n');
        }
        for model in &self.models {
            for note in model.broken.iter().chain(model.faults.iter().skip(1)) {
                let _ = writeln!(text, "{}: {note}", model.model);
            }
        }
        text
    }

    fn heading(&self) -> String {
        let Workload { records, rate_per_s, size_bytes, producers, consumers, .. } = &self.workload;
        let rate = if *rate_per_s == 0 { "unpaced".to_owned() } else { format!("{}/s", grouped(*rate_per_s)) };
        format!(
            "{}: {} records of {size_bytes} B, {rate}, {producers} producers, {consumers} consumers\n\n",
            self.scenario.name(),
            grouped(*records)
        )
    }
}

/// 1234567 as 1,234,567.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
