//! The Redis dialect: lists are queue views, channels are tails, and every write is a record of the log.
//!
//! Read [`wire`] for the protocol, [`connection`] for how bytes become commands and replies, [`command`] for what the commands do,
//! [`support`] for what is supported, and [`mapping`] for how values become records.

pub mod clients;
pub mod command;
pub mod connection;
pub mod error;
pub mod glob;
pub mod mapping;
pub mod outbox;
pub mod output_limits;
pub mod parameters;
pub mod round;
pub mod server;
pub mod session;
pub mod stats;
pub mod support;
pub mod wire;

use std::sync::Arc;

use crate::delivery::Delivery;
use crate::net::{Dialect, Incoming};
use crate::security::Authenticator;
use crate::telemetry::DialectMetrics;

use server::Server;

/// The version of Redis whose behaviour is followed, as clients see it.
pub const REDIS_VERSION: &str = "7.0.15";

/// The origin of topics that this dialect makes.
pub const ORIGIN: &str = "redis";

/// The limits of the dialect.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Connections at a time.
    pub clients_max: usize,
    /// Numbered databases; those other than 0 are prefixes of topic names.
    pub databases: u32,
    /// The largest argument of a command, in bytes.
    pub bulk_bytes_max: usize,
    /// Topics that channels get by themselves; channels beyond are live only.
    pub automatic_topics_max: usize,
    /// What may wait for a slow subscriber before it is cut off, in bytes.
    pub subscriber_bytes_max: usize,
    /// Replies that may wait for a client before no more commands are read from it, in bytes.
    pub output_bytes_max: usize,
    /// What a blocked client may send ahead, in bytes.
    pub input_bytes_max: usize,
    /// What of one command may be there before the rest of it, in bytes: Redis's `client-query-buffer-limit`.
    pub query_bytes_max: usize,
    /// Commands in one transaction, and keys under watch.
    pub transaction_commands_max: usize,
    /// Arguments of the commands in one transaction, in bytes.
    pub transaction_bytes_max: usize,
    /// Channels and patterns of one connection.
    pub subscriptions_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            clients_max: 10_000,
            databases: 16,
            bulk_bytes_max: 512 * 1024 * 1024,
            automatic_topics_max: 10_000,
            subscriber_bytes_max: 32 * 1024 * 1024,
            output_bytes_max: 1024 * 1024,
            input_bytes_max: 1024 * 1024,
            query_bytes_max: 1024 * 1024 * 1024,
            transaction_commands_max: 1024 * 1024,
            transaction_bytes_max: 512 * 1024 * 1024,
            subscriptions_max: 1024 * 1024,
        }
    }
}

/// The dialect, ready to serve connections.
pub struct Redis {
    server: Arc<Server>,
}

impl Redis {
    pub fn new(delivery: Delivery, settings: Settings, users: Arc<dyn Authenticator>, metrics: DialectMetrics) -> Self {
        Self { server: Arc::new(Server::new(delivery, settings, users, metrics)) }
    }
}

impl Dialect for Redis {
    fn name(&self) -> &'static str {
        ORIGIN
    }

    async fn serve(self: Arc<Self>, incoming: Incoming) {
        connection::serve(Arc::clone(&self.server), incoming).await;
    }

    fn refusal(&self) -> &'static [u8] {
        b"-ERR max number of clients reached\r\n"
    }
}
