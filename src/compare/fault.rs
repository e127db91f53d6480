//! What can go wrong: [`Fault`] ends one model's run and stands in its report, [`CompareError`] ends the command.

use std::time::Duration;

use super::models::ModelKind;

/// A failure while one model ran: its client library's own words, or ours.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("AMQP: {0}")]
    Amqp(#[from] lapin::Error),
    #[error("Redis: {0}")]
    Redis(#[from] redis::RedisError),
    #[error("Kafka: {0}")]
    Kafka(#[from] rdkafka::error::KafkaError),
    #[error("the broker refused the record: {0}")]
    Refused(String),
    #[error("the subscription ended")]
    Ended,
    #[error("{what} took longer than {limit:?}")]
    TooLate { what: &'static str, limit: Duration },
    #[error("the worker process: {0}")]
    Worker(String),
    #[error("a task stopped: {0}")]
    Task(String),
}

/// Why the command as a whole did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    #[error("--{flag} {given}: {why}")]
    Argument { flag: &'static str, given: String, why: &'static str },
    #[error("the worker's task cannot be read: {0}")]
    Task(#[from] serde_json::Error),
    #[error("{model}: {fault}")]
    Worker { model: ModelKind, fault: Fault },
    #[error("cannot write the report: {0}")]
    Output(std::io::Error),
    #[error("interrupted; the names of this run were cleaned up")]
    Interrupted,
}
