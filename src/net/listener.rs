//! One bound port, and the loop that accepts on it for a dialect it knows nothing about.
//!
//! Accepting never ends because of one bad connection: an error that the system gives (no file descriptors left) is waited
//! out. A client over the limit is told so in its own protocol and closed.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};
use tokio::task::{JoinError, JoinSet};
use tracing::{Instrument, debug, error, info_span, warn};

use super::{ConnectionLimit, Dialect, Incoming, Shutdown};

/// Connections that the system queues before we accept them.
const BACKLOG: u32 = 4096;
/// First and longest pause after the system refuses to accept.
const BACK_OFF_FIRST: Duration = Duration::from_millis(5);
const BACK_OFF_MAX: Duration = Duration::from_secs(1);
/// A refused client gets this long to take its refusal.
const REFUSAL_TIMEOUT: Duration = Duration::from_millis(200);

/// Why a listener could not be had. The text names the setting and the way out.
#[derive(Debug, Error)]
pub enum BindError {
    #[error(
        "{name}: {address} is already in use by another process. Stop that process, or choose another address \
         with `{name}.listen` (TRUNKLINE_{}__LISTEN, --{name}); port 0 takes any free one", name.to_uppercase()
    )]
    InUse { name: &'static str, address: String },
    #[error("{name}: no permission to listen on {address} (`{name}.listen`): choose a port of 1024 or above")]
    Denied { name: &'static str, address: String },
    #[error("{name}: {address} is no address of this machine (`{name}.listen`)")]
    NotLocal { name: &'static str, address: String },
    #[error("{name}: `{address}` names no host (`{name}.listen`): {source}")]
    Unresolved { name: &'static str, address: String, source: io::Error },
    #[error("{name}: cannot listen on {address} (`{name}.listen`): {source}")]
    Io { name: &'static str, address: String, source: io::Error },
}

/// A bound port that does not accept yet: all listeners are bound before the first client is served.
#[derive(Debug)]
pub struct Listener {
    name: &'static str,
    socket: TcpListener,
    local: SocketAddr,
}

impl Listener {
    /// Binds `address` (`host:port`). `name` is the section of the configuration that the address comes from.
    pub async fn bind(name: &'static str, address: &str) -> Result<Self, BindError> {
        let unresolved = |source| BindError::Unresolved { name, address: address.to_owned(), source };
        let mut last = None;
        for candidate in lookup_host(address).await.map_err(unresolved)? {
            match bind_one(candidate) {
                Ok(socket) => {
                    let local = socket.local_addr().map_err(|error| bind_error(name, address, error))?;
                    return Ok(Self { name, socket, local });
                }
                Err(error) => last = Some(error),
            }
        }
        let error = last.unwrap_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable));
        Err(bind_error(name, address, error))
    }

    /// The address in use, with the real port where 0 was asked for.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// The bound socket, for a server that accepts by itself.
    #[must_use]
    pub fn into_socket(self) -> TcpListener {
        self.socket
    }

    /// Accepts for `dialect` until shutdown, then closes the port and returns when every connection has ended.
    pub async fn serve<D: Dialect>(self, dialect: Arc<D>, limit: ConnectionLimit, mut shutdown: Shutdown) {
        let Self { name, socket, local } = self;
        let mut connections = JoinSet::new();
        let mut back_off = BACK_OFF_FIRST;
        loop {
            tokio::select! {
                biased;
                () = shutdown.requested() => break,
                Some(ended) = connections.join_next(), if !connections.is_empty() => report(name, ended),
                accepted = socket.accept() => match accepted {
                    Ok((stream, peer)) => {
                        back_off = BACK_OFF_FIRST;
                        admit(&mut connections, &dialect, &limit, Accepted { stream, peer, local }, &shutdown);
                    }
                    Err(error) => {
                        warn!(dialect = name, %error, "cannot accept a connection");
                        tokio::time::sleep(back_off).await;
                        back_off = (back_off * 2).min(BACK_OFF_MAX);
                    }
                },
            }
        }
        drop(socket);
        while connections.join_next().await.is_some() {}
    }
}

struct Accepted {
    stream: TcpStream,
    peer: SocketAddr,
    local: SocketAddr,
}

fn admit<D: Dialect>(
    connections: &mut JoinSet<()>,
    dialect: &Arc<D>,
    limit: &ConnectionLimit,
    accepted: Accepted,
    shutdown: &Shutdown,
) {
    let Accepted { stream, peer, local } = accepted;
    let Some(permit) = limit.admit() else {
        warn!(dialect = dialect.name(), %peer, limit = limit.total(), "connection refused: limits.connections reached");
        refuse(connections, stream, dialect.refusal());
        return;
    };
    // Failing to set an option on a socket that is already gone is the dialect's to notice.
    let _ = stream.set_nodelay(true);
    let id = limit.next_id();
    let span = info_span!("connection", dialect = dialect.name(), %peer, id);
    let connection = Incoming { stream, peer, local, id, shutdown: shutdown.clone() };
    let dialect = Arc::clone(dialect);
    connections.spawn(
        async move {
            debug!("connection open");
            dialect.serve(connection).await;
            debug!("connection closed");
            drop(permit);
        }
        .instrument(span),
    );
}

/// A connection whose task panicked is a fault of ours; the others go on.
fn report(dialect: &'static str, ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        error!(dialect, %error, "a connection's task did not end by itself");
    }
}

fn refuse(connections: &mut JoinSet<()>, mut stream: TcpStream, text: &'static [u8]) {
    if text.is_empty() {
        return;
    }
    connections.spawn(async move {
        let _ = tokio::time::timeout(REFUSAL_TIMEOUT, stream.write_all(text)).await;
    });
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn bind_error(name: &'static str, address: &str, source: io::Error) -> BindError {
    let address = address.to_owned();
    match source.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse { name, address },
        io::ErrorKind::PermissionDenied => BindError::Denied { name, address },
        io::ErrorKind::AddrNotAvailable => BindError::NotLocal { name, address },
        _ => BindError::Io { name, address, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::ShutdownTrigger;
    use tokio::io::AsyncReadExt;

    struct Echo;

    impl Dialect for Echo {
        fn name(&self) -> &'static str {
            "echo"
        }

        async fn serve(self: Arc<Self>, mut connection: Incoming) {
            let mut buffer = [0; 64];
            loop {
                tokio::select! {
                    () = connection.shutdown.requested() => return,
                    read = connection.stream.read(&mut buffer) => match read {
                        Ok(length) if length > 0 => {
                            connection.stream.write_all(&buffer[..length]).await.expect("echo");
                        }
                        _ => return,
                    },
                }
            }
        }

        fn refusal(&self) -> &'static [u8] {
            b"full"
        }
    }

    async fn started(connections: usize) -> (SocketAddr, ShutdownTrigger, tokio::task::JoinHandle<()>) {
        let listener = Listener::bind("echo", "127.0.0.1:0").await.expect("bind");
        let (trigger, shutdown) = ShutdownTrigger::new();
        let address = listener.local();
        let limit = ConnectionLimit::new(connections);
        (address, trigger, tokio::spawn(listener.serve(Arc::new(Echo), limit, shutdown)))
    }

    async fn says(stream: &mut TcpStream, text: &[u8]) -> Vec<u8> {
        stream.write_all(text).await.expect("write");
        let mut answer = vec![0; text.len()];
        stream.read_exact(&mut answer).await.expect("read");
        answer
    }

    #[tokio::test]
    async fn a_connection_over_the_limit_is_told_and_closed_and_the_rest_served() {
        let (address, _trigger, _serving) = started(1).await;
        let mut first = TcpStream::connect(address).await.expect("connect");
        assert_eq!(says(&mut first, b"one").await, b"one");
        let mut second = TcpStream::connect(address).await.expect("connect");
        let mut refusal = Vec::new();
        second.read_to_end(&mut refusal).await.expect("closed");
        assert_eq!(refusal, b"full");
        assert_eq!(says(&mut first, b"two").await, b"two");
    }

    #[tokio::test]
    async fn shutdown_closes_the_port_and_waits_for_connections() {
        let (address, trigger, serving) = started(10).await;
        let mut client = TcpStream::connect(address).await.expect("connect");
        assert_eq!(says(&mut client, b"hello").await, b"hello");
        trigger.request();
        serving.await.expect("ends");
        assert_eq!(client.read(&mut [0; 1]).await.expect("closed in order"), 0);
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn a_taken_port_names_the_listener_and_the_setting() {
        let first = Listener::bind("redis", "127.0.0.1:0").await.expect("bind");
        let error = Listener::bind("redis", &first.local().to_string()).await.expect_err("taken");
        let text = error.to_string();
        assert!(text.contains("redis.listen") && text.contains("TRUNKLINE_REDIS__LISTEN"), "{text}");
    }

    #[tokio::test]
    async fn a_name_that_resolves_to_nothing_is_named() {
        let error = Listener::bind("kafka", "no port here").await.expect_err("unresolved");
        assert!(matches!(error, BindError::Unresolved { .. }), "{error}");
    }
}
