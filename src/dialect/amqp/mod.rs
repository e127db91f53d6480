//! AMQP 0-9-1 with RabbitMQ's extensions: exchanges route before the append, queues are views on the log.
//!
//! Reading order: [`wire`] (frames), [`topology`] and [`exchange`] (what is declared, and routing), `session` with `handler/` (what the
//! methods do), `connection` (the socket). Knows no other dialect and no engine of the log.

mod advance;
mod blocked;
mod channel;
mod connection;
mod consumer;
mod content;
mod dead_letters;
pub mod error;
pub mod exchange;
mod handler;
mod handshake;
pub mod mapping;
mod outbox;
mod round;
mod routes;
mod session;
pub mod support;
pub mod topology;
mod unsettled;
pub mod wire;

use std::sync::Arc;

use parking_lot::Mutex;

use crate::delivery::{Delivery, StartError};
use crate::net::{Dialect, Incoming};
use crate::security::Authenticator;
use crate::telemetry::DialectMetrics;
use connection::Connection;
use dead_letters::DeadLetters;
use handshake::{Handshake, HandshakeError};
use session::{Session, Shared};
use topology::{ConnectionId, Topology};

/// Whether a record of the dialect's own state decodes; what other tables hold passes.
///
/// # Errors
/// What is wrong with it.
pub fn check_state(table: &str, key: &[u8], value: &[u8]) -> Result<(), String> {
    if table != round::TABLE.0 {
        return Ok(());
    }
    topology::stored::Stored::decode(key, value).map(drop).map_err(|error| format!("a declaration: {error}"))
}

/// Who made the topics that are made here.
const ORIGIN: &str = "amqp";

/// What may be configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Proposed to clients, in seconds; 0: no heartbeats.
    pub heartbeat_s: u16,
    /// The largest frame proposed to clients, in bytes.
    pub frame_max_bytes: u32,
    /// The highest channel number of a connection.
    pub channel_max: u16,
    /// The largest body, in bytes.
    pub max_message_bytes: u64,
    /// What may wait for a client to read it, in bytes.
    pub output_bytes_max: usize,
    /// Replies of a connection that may wait for the log.
    pub waiting_replies_max: usize,
    /// Publishes of a connection that may wait for their confirm.
    pub unconfirmed_max: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            heartbeat_s: 60,
            frame_max_bytes: 131_072,
            channel_max: 2047,
            max_message_bytes: 16 << 20,
            output_bytes_max: 1 << 20,
            waiting_replies_max: 4096,
            unconfirmed_max: 65_536,
        }
    }
}

/// The dialect.
pub struct Amqp {
    shared: Shared,
    users: Arc<dyn Authenticator>,
}

impl Amqp {
    /// Loads what was declared durably, and is ready to serve.
    pub fn open(
        delivery: Delivery,
        settings: Settings,
        users: Arc<dyn Authenticator>,
        metrics: DialectMetrics,
    ) -> Result<Self, StartError> {
        let log = delivery.log().clone();
        let topology = Topology::load(delivery.state(round::TABLE)?, |vhost, name, arguments| {
            let place = routes::place_in(&routes::prefix_of(vhost)?, name, arguments)?;
            log.topic(&place.topic).map(|topic| place.sharing_name_of(&topic))
        });
        let topology = Arc::new(Mutex::new(topology));
        delivery.set_steward(Arc::new(DeadLetters::new(Arc::clone(&topology), log)));
        Ok(Self { shared: Shared { settings, delivery, topology, metrics }, users })
    }

    async fn serve_connection(&self, mut connection: Incoming) {
        let _open = self.shared.metrics.connection_opened();
        let handshake = Handshake::new(&mut connection.stream, &self.shared.settings, &self.users);
        let mut shutdown = connection.shutdown.clone();
        let opened = tokio::select! {
            opened = handshake.run() => opened,
            () = shutdown.requested() => return,
        };
        let (opened, input) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                if matches!(error, HandshakeError::Protocol | HandshakeError::Fault(_)) {
                    self.shared.metrics.protocol_error();
                }
                tracing::debug!(%error, "no connection");
                return;
            }
        };
        tracing::debug!(user = opened.user, "connection open");
        let heartbeat_s = opened.heartbeat_s;
        let session = Session::new(ConnectionId(connection.id), opened, &self.shared);
        let ended = Connection::new(session, input, heartbeat_s).run(connection.stream, connection.shutdown).await;
        tracing::debug!(%ended, "connection over");
    }
}

impl Dialect for Amqp {
    fn name(&self) -> &'static str {
        ORIGIN
    }

    async fn serve(self: Arc<Self>, connection: Incoming) {
        self.serve_connection(connection).await;
    }
}
