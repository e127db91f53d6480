//! Sockets in, connections out: listeners, the limit on connections and the signal to stop.
//!
//! A [`Dialect`] is handed one accepted [`Incoming`] at a time and owns it until its future ends. Nothing here knows a
//! protocol; what a refused client is told comes from the dialect itself.

mod limit;
mod listener;
mod shutdown;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpStream;

pub use limit::{ConnectionLimit, raise_open_files_limit};
pub use listener::{BindError, Listener};
pub use shutdown::{Shutdown, ShutdownTrigger};

/// One accepted connection with what its task needs to know about it.
#[derive(Debug)]
pub struct Incoming {
    /// The socket, with `TCP_NODELAY` set.
    pub stream: TcpStream,
    /// The client's address.
    pub peer: SocketAddr,
    /// The address that the client reached us at.
    pub local: SocketAddr,
    /// Unique in this process, over all listeners. Starts at 1.
    pub id: u64,
    /// Says when the process wants to end; the dialect then finishes what is in flight and returns.
    pub shutdown: Shutdown,
}

/// A wire protocol as the listener sees it.
pub trait Dialect: Send + Sync + 'static {
    /// The dialect's word in configuration, logs and metrics: `kafka`, `amqp` or `redis`.
    fn name(&self) -> &'static str;

    /// Serves one connection until the client leaves, breaks the protocol or shutdown is requested.
    fn serve(self: Arc<Self>, connection: Incoming) -> impl Future<Output = ()> + Send;

    /// What a client is sent before its connection is closed because the gateway has no room for it. Empty: nothing.
    fn refusal(&self) -> &'static [u8] {
        b""
    }
}
