//! The four ways of moving a record, each behind one small trait, each through the field's own client library.
//!
//! A model connects, sends one payload at a time, hands out one payload at a time, and settles what was finished. It knows
//! neither the workload nor the verdict; who counts, paces and kills stands above it.

mod group;
mod list;
mod pubsub;
mod queue;

use std::fmt;
use std::future::Future;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use group::{Group, sweep};
pub use list::List;
pub use pubsub::Pubsub;
pub use queue::Queue;

use super::fault::Fault;
use super::ledger::Audience;
use super::plan::{Scenario, Targets, Tuning};

/// How long a client may take to connect, declare or subscribe.
pub const CONNECT_LIMIT: Duration = Duration::from_secs(30);

/// The delivery models, by the names of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ModelKind {
    /// AMQP queue: durable, persistent messages, publisher confirms, acknowledgements
    Queue,
    /// Redis list: RPUSH and BLPOP
    List,
    /// Redis pub/sub: PUBLISH and SUBSCRIBE
    Pubsub,
    /// Kafka consumer group: acks=all, idempotent producer, committed offsets
    Group,
}

/// What a model owes its users when nothing but a consumer fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// Every acknowledged record is finished at least once, whoever dies.
    AtLeastOnce,
    /// A record is handed out once; it is lost with the consumer that holds it, and only with it.
    AtMostOnce,
    /// Who listens gets it; nobody else ever will.
    WhoListens,
}

impl ModelKind {
    /// The name on the command line, in the table and in the JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::List => "list",
            Self::Pubsub => "pubsub",
            Self::Group => "group",
        }
    }

    /// To how many readers a record is owed.
    pub fn audience(self) -> Audience {
        match self {
            Self::Queue | Self::List | Self::Group => Audience::Shared,
            Self::Pubsub => Audience::Each,
        }
    }

    /// What must hold in every scenario.
    pub fn promise(self) -> Promise {
        match self {
            Self::Queue | Self::Group => Promise::AtLeastOnce,
            Self::List => Promise::AtMostOnce,
            Self::Pubsub => Promise::WhoListens,
        }
    }

    /// How long without any progress before what is still owed counts as lost. A group waits for its dead member's session
    /// (6 s) and the rebalance after it.
    pub fn patience(self, scenario: Scenario) -> Duration {
        match (self, scenario) {
            (Self::Queue | Self::Group, _) => Duration::from_secs(20),
            (Self::List | Self::Pubsub, Scenario::Steady) => Duration::from_secs(5),
            (Self::List | Self::Pubsub, Scenario::ConsumerKilled) => Duration::from_secs(2),
        }
    }
}

impl fmt::Display for ModelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a model needs to reach its broker: all of it travels to a worker process as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Scope {
    pub name: String,
    pub targets: Targets,
    pub tuning: Tuning,
}

/// One delivery model against one broker, under a name of its own.
pub trait Model: Send + Sync + Sized + 'static {
    type Sender: Sender;
    type Receiver: Receiver;

    /// Takes the scope; connects nothing.
    fn new(scope: Scope) -> Self;

    /// Makes the name: declares the queue, creates the topic.
    fn prepare(&self) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Connects a producer, numbered from 0.
    fn sender(&self, producer: u32) -> impl Future<Output = Result<Self::Sender, Fault>> + Send;

    /// Connects a consumer and returns when records would reach it.
    fn receiver(&self) -> impl Future<Output = Result<Self::Receiver, Fault>> + Send;

    /// Removes the name. Called once all clients of the run are gone.
    fn clean(&self) -> impl Future<Output = Result<(), Fault>> + Send;
}

/// A producer's connection.
pub trait Sender: Send + 'static {
    /// Resolves when the broker has answered for the record.
    type Receipt: Future<Output = Result<(), Fault>> + Send + 'static;

    /// Hands one record to the client library. Records reach the broker in the order of these calls.
    fn submit(&mut self, payload: Vec<u8>) -> impl Future<Output = Result<Self::Receipt, Fault>> + Send;
}

/// A consumer's connection.
pub trait Receiver: Send + 'static {
    /// The next payload, or `None` if none came for about `wait`.
    fn next(&mut self, wait: Duration) -> impl Future<Output = Result<Option<Vec<u8>>, Fault>> + Send;

    /// Tells the broker that everything handed out so far is finished.
    fn settle(&mut self) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Leaves in good order.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// Gives the step a time limit.
async fn within<T, E: Into<Fault>>(what: &'static str, step: impl Future<Output = Result<T, E>>) -> Result<T, Fault> {
    match tokio::time::timeout(CONNECT_LIMIT, step).await {
        Ok(outcome) => outcome.map_err(Into::into),
        Err(_) => Err(Fault::TooLate { what, limit: CONNECT_LIMIT }),
    }
}
