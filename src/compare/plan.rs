//! The workload, checked: what every model's run shares. Knows no client library.

use serde::{Deserialize, Serialize};

use super::args::Args;
use super::fault::CompareError;
use super::models::ModelKind;
use super::payload::MIN_SIZE_BYTES;

const MAX_SIZE_BYTES: usize = 1 << 20;
const MAX_WORKERS: u32 = 256;
const MAX_RECORDS: u64 = 100_000_000;

/// What happens while the records flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// Nothing: producers and consumers work to the end
    Steady,
    /// One consumer process gets SIGKILL while it holds records unacknowledged; a new one takes its place
    ConsumerKilled,
}

impl Scenario {
    /// The name on the command line and in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::ConsumerKilled => "consumer-killed",
        }
    }
}

/// Where the brokers are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Targets {
    pub kafka: String,
    pub amqp: String,
    pub redis: String,
}

/// How clients are set, the same in this process and in a worker's.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Tuning {
    pub producers: u32,
    pub consumers: u32,
    pub window: usize,
    pub lot: usize,
    pub linger_ms: u32,
}

/// One comparison, as asked for and found sound.
#[derive(Clone, Debug)]
pub struct Plan {
    pub run_id: u64,
    pub targets: Targets,
    pub tuning: Tuning,
    pub models: Vec<ModelKind>,
    pub scenario: Scenario,
    pub records: u64,
    pub rate_per_s: u64,
    pub size_bytes: usize,
}

impl Plan {
    /// Checks the arguments and gives the run its identity.
    ///
    /// # Errors
    /// [`CompareError::Argument`] names the flag and what it allows.
    pub fn from_args(args: &Args) -> Result<Self, CompareError> {
        require("records", &args.records, (1..=MAX_RECORDS).contains(&args.records), "must be 1 to 100000000")?;
        require("size", &args.size, (MIN_SIZE_BYTES..=MAX_SIZE_BYTES).contains(&args.size), "must be 40 to 1048576 bytes")?;
        require("producers", &args.producers, (1..=MAX_WORKERS).contains(&args.producers), "must be 1 to 256")?;
        require("consumers", &args.consumers, (1..=MAX_WORKERS).contains(&args.consumers), "must be 1 to 256")?;
        require("window", &args.window, (1..=100_000).contains(&args.window), "must be 1 to 100000")?;
        require("lot", &args.lot, (1..=10_000).contains(&args.lot), "must be 1 to 10000")?;
        require("linger-ms", &args.linger_ms, args.linger_ms <= 10_000, "must be 0 to 10000")?;
        Ok(Self {
            run_id: rand::random(),
            targets: Targets { kafka: args.kafka.clone(), amqp: args.amqp.clone(), redis: args.redis.clone() },
            tuning: Tuning {
                producers: args.producers,
                consumers: args.consumers,
                window: args.window,
                lot: args.lot,
                linger_ms: args.linger_ms,
            },
            models: args.models.clone(),
            scenario: args.scenario,
            records: args.records,
            rate_per_s: args.rate,
            size_bytes: args.size,
        })
    }

    /// The name that one model uses in this run: a queue, a key, a channel, or a topic with its group.
    pub fn name_for(&self, kind: ModelKind) -> String {
        format!("compare-{:016x}-{}", self.run_id, kind.name())
    }

    /// How many records the producer sends; the first ones take the remainder.
    pub fn share(&self, producer: u32) -> u64 {
        let producers = u64::from(self.tuning.producers);
        self.records / producers + u64::from(u64::from(producer) < self.records % producers)
    }

    /// Which of its records the victim dies with: early in its share, and in the middle of a lot.
    pub fn hold_at(&self, kind: ModelKind) -> u64 {
        let readers = match kind.audience() {
            super::ledger::Audience::Shared => u64::from(self.tuning.consumers),
            super::ledger::Audience::Each => 1,
        };
        let lot = self.tuning.lot as u64;
        let early = self.records / (4 * readers);
        (early - early % lot + lot / 2 + 1).min(self.records)
    }
}

fn require(flag: &'static str, given: &impl ToString, sound: bool, why: &'static str) -> Result<(), CompareError> {
    if sound { Ok(()) } else { Err(CompareError::Argument { flag, given: given.to_string(), why }) }
}
