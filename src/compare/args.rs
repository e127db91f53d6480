//! The command line of `trunkline compare`. Values are checked in [`super::plan`].

use std::path::PathBuf;

use super::models::ModelKind;
use super::plan::Scenario;

/// Send one workload through an AMQP queue, a Redis list, Redis pub/sub and a Kafka consumer group, and compare.
///
/// Every record carries its producer, a sequence number, its send time and a checksum, so that at the end each one has a
/// verdict: lost, delivered once, duplicated, out of order, how late. Point it at Trunkline (the defaults), or at any
/// Kafka, RabbitMQ and Redis. All names of a run are new ones and are removed when it ends.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Kafka bootstrap address, host:port
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9092")]
    pub kafka: String,
    /// AMQP 0-9-1 URL; the virtual host "/" is written %2f
    #[arg(long, value_name = "URL", default_value = "amqp://guest:guest@127.0.0.1:5672/%2f")]
    pub amqp: String,
    /// Redis URL
    #[arg(long, value_name = "URL", default_value = "redis://127.0.0.1:6379/")]
    pub redis: String,
    /// Which models to run, in this order
    #[arg(long, value_enum, value_delimiter = ',', default_value = "queue,list,pubsub,group")]
    pub models: Vec<ModelKind>,
    /// What happens while the records flow
    #[arg(long, value_enum, default_value_t = Scenario::Steady)]
    pub scenario: Scenario,
    /// Records to send under each model, over all producers
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub records: u64,
    /// Records a second over all producers; 0 sends as fast as the acknowledgements allow
    #[arg(long, value_name = "PER_SECOND", default_value_t = 2_000)]
    pub rate: u64,
    /// Payload size in bytes (at least 40)
    #[arg(long, value_name = "BYTES", default_value_t = 100)]
    pub size: usize,
    /// Producers, a connection each
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub producers: u32,
    /// Consumers, a connection each; under pub/sub every one of them is owed every record
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub consumers: u32,
    /// Records that a producer may have unacknowledged
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub window: usize,
    /// Records that a consumer finishes before it acknowledges or commits them together
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub lot: usize,
    /// How long the Kafka producer gathers a batch, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 1)]
    pub linger_ms: u32,
    /// Also write the report as JSON to this file; "-" prints it instead of the table
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// The task of a worker process that is going to be killed; set by the command itself
    #[arg(long, hide = true, value_name = "JSON")]
    pub victim: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  trunkline compare                                   four models against a Trunkline on this machine
  trunkline compare --scenario consumer-killed        one consumer process is killed with records in its hands
  trunkline compare --models queue,list --rate 0      as fast as acknowledgements come
  trunkline compare --amqp amqp://guest:guest@127.0.0.1:5673/%2f --models queue
                                                      the same workload against a RabbitMQ

Columns:
  sent        records that the broker acknowledged
  delivered   deliveries that a consumer finished, all copies counted
  copies      deliveries for each acknowledged record; with N pub/sub consumers N is right
  lost        acknowledged, and owed to a consumer that never finished it
  duplicated  deliveries beyond the first to the same reader
  disorder    first copies that came after a later record of the same producer, seen by one consumer
  p50 ... max from the send (or from when the rate wanted it sent) to the consumer, in milliseconds, first copies";
