//! The one place where it is all put together, and taken down in order.
//!
//! Up: data directory, listeners, HTTP, log, ready. Down: ports closed, connections asked to finish, the log checkpointed, HTTP,
//! the directory released. All ports are bound before the log is opened, so that a start succeeds whole or not at all.

mod core_metrics;
mod data_dir;
mod dialects;
mod ready;
mod settings;
mod side;
mod vitals;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::config::Config;
use crate::delivery::group::Groups;
use crate::delivery::{Delivery, Observer, StartError};
use crate::log::Refused;
use crate::net::{BindError, ConnectionLimit, Dialect, Listener, Shutdown, ShutdownTrigger, raise_open_files_limit};
use crate::security::UserError;
use crate::telemetry::Telemetry;

pub use data_dir::{DataDir, DataDirError};
use dialects::Dialects;
pub use ready::Addresses;
use side::{Side, Stage};

/// Why the gateway could not start or end in order.
#[derive(Debug, Error)]
pub enum GatewayError {
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    User(#[from] UserError),
    #[error(transparent)]
    Start(#[from] StartError),
    /// The log could not write where its views stand. Nothing acknowledged is lost: the next start works it out.
    #[error("the log did not end in order: {0}")]
    End(Refused),
    #[error("opening the log was cut short")]
    Interrupted,
}

/// A gateway whose log is open and whose listeners are bound. It serves once [`Gateway::run`] is awaited.
pub struct Gateway {
    config: Config,
    data_dir: DataDir,
    delivery: Delivery,
    groups: Groups,
    dialects: Dialects,
    listeners: Listeners,
    side: Side,
    addresses: Addresses,
}

/// The bound ports of the dialects.
struct Listeners {
    kafka: Option<Listener>,
    amqp: Option<Listener>,
    redis: Option<Listener>,
}

impl Gateway {
    /// Takes the data directory, binds every listener, and recovers the log. Only HTTP answers while it does.
    pub async fn open(config: Config) -> Result<Self, GatewayError> {
        let data_dir = DataDir::hold(&config.data_dir)?;
        let listeners = Listeners::bind(&config).await?;
        let http = bind("http", &config.http.listen).await?;
        let addresses = listeners.addresses(http.as_ref());
        let telemetry = Telemetry::new(usize::try_from(config.telemetry.series_max).unwrap_or(usize::MAX));
        vitals::register(&telemetry);
        let side = Side::start(http, telemetry.clone(), config.http.queues);

        let delivery = open_delivery(&config, data_dir.path()).await?;
        let groups = Groups::open(delivery.clone(), settings::groups(&config))?;
        let observer = Observer::new(delivery.clone(), groups.clone());
        core_metrics::register(&telemetry, observer.clone());
        let dialects = Dialects::open(&config, &delivery, &groups, &telemetry)?;
        side.enter(Stage::Serving(observer));
        data_dir.publish(&addresses)?;
        Ok(Self { config, data_dir, delivery, groups, dialects, listeners, side, addresses })
    }

    /// Where clients connect.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// What to tell whoever started the gateway.
    #[must_use]
    pub fn ready_block(&self) -> String {
        ready::block(&self.addresses, self.data_dir.path())
    }

    /// Serves until `shutdown` is requested, then ends in order within the configured time.
    pub async fn run(self, mut shutdown: Shutdown) -> Result<(), GatewayError> {
        let Self { config, data_dir, delivery, groups, dialects, listeners, side, .. } = self;
        let (stop, stopped) = ShutdownTrigger::new();
        let mut serving = Serving { tasks: JoinSet::new(), limit: connection_limit(&config), shutdown: stopped.clone() };
        serving.start(listeners.kafka, dialects.kafka);
        serving.start(listeners.amqp, dialects.amqp);
        serving.start(listeners.redis, dialects.redis);
        let (timed, mut due_stopped) = (delivery.clone(), stopped.clone());
        serving.tasks.spawn(async move { timed.run_timers(due_stopped.requested()).await });
        let (mut timers_stopped, mut transactions_stopped) = (stopped.clone(), stopped);
        serving.tasks.spawn(async move { groups.run_timers(timers_stopped.requested()).await });
        let transactions = delivery.clone();
        serving.tasks.spawn(async move { transactions.run_transactions(transactions_stopped.requested()).await });

        shutdown.requested().await;
        info!("shutting down: no new connections");
        side.enter(Stage::Stopping);
        stop.request();
        finish(&mut serving.tasks, Duration::from_millis(config.shutdown.grace_ms)).await;
        let closed = close(delivery).await;
        side.end().await;
        data_dir.release();
        info!("shut down");
        closed
    }
}

impl Listeners {
    async fn bind(config: &Config) -> Result<Self, BindError> {
        Ok(Self {
            kafka: bind("kafka", &config.kafka.listen).await?,
            amqp: bind("amqp", &config.amqp.listen).await?,
            redis: bind("redis", &config.redis.listen).await?,
        })
    }

    fn addresses(&self, http: Option<&Listener>) -> Addresses {
        let local = |listener: &Option<Listener>| listener.as_ref().map(Listener::local);
        Addresses {
            kafka: local(&self.kafka),
            amqp: local(&self.amqp),
            redis: local(&self.redis),
            http: http.map(Listener::local),
        }
    }
}

/// The listeners that run, and what each of them is given.
struct Serving {
    tasks: JoinSet<()>,
    limit: ConnectionLimit,
    shutdown: Shutdown,
}

impl Serving {
    fn start<D: Dialect>(&mut self, listener: Option<Listener>, dialect: D) {
        if let Some(listener) = listener {
            self.tasks.spawn(listener.serve(Arc::new(dialect), self.limit.clone(), self.shutdown.clone()));
        }
    }
}

async fn bind(name: &'static str, address: &str) -> Result<Option<Listener>, BindError> {
    if address.is_empty() { Ok(None) } else { Listener::bind(name, address).await.map(Some) }
}

async fn open_delivery(config: &Config, directory: &Path) -> Result<Delivery, GatewayError> {
    let settings = settings::log(config, directory);
    let opened = tokio::task::spawn_blocking(move || Delivery::open(settings)).await;
    Ok(opened.map_err(|_| GatewayError::Interrupted)??)
}

async fn close(delivery: Delivery) -> Result<(), GatewayError> {
    let closed = tokio::task::spawn_blocking(move || delivery.close()).await;
    closed.map_err(|_| GatewayError::Interrupted)?.map_err(GatewayError::End)
}

fn connection_limit(config: &Config) -> ConnectionLimit {
    let wanted = usize::try_from(config.limits.connections).unwrap_or(usize::MAX);
    let files = raise_open_files_limit(wanted);
    if files < u64::from(config.limits.connections) {
        warn!(files, connections = wanted, "the system allows fewer open files than limits.connections (ulimit -n)");
    }
    ConnectionLimit::new(wanted)
}

/// Waits until all tasks have ended, at most `grace`; what is left is cut.
async fn finish(tasks: &mut JoinSet<()>, grace: Duration) {
    let all = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(grace, all).await.is_err() {
        warn!(grace_ms = grace.as_millis(), "connections did not finish in time and are cut");
        tasks.shutdown().await;
    }
}
