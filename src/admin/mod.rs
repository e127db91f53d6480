//! The HTTP side: metrics, topics, health and readiness, for operators and their machines. It reads, and changes nothing but queues,
//! if it may.
//!
//! HTTP is served through the same listener as the dialects, with a limit of its own: a gateway whose connections are all taken
//! can still be asked how it is.

mod queues;
mod routes;
mod topics;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tracing::debug;

use crate::delivery::Observer;
use crate::net::{Dialect, Incoming};
use crate::telemetry::Telemetry;
use routes::Shown;

/// Open HTTP connections at once.
pub const CONNECTIONS_MAX: usize = 256;
/// A client that has not sent its request by then is disconnected.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// Whether the gateway can serve, and if not, why.
pub type Readiness = Arc<dyn Fn() -> Result<String, String> + Send + Sync>;

/// Who sees the topics, once the log is open.
pub type Sight = Arc<dyn Fn() -> Option<Observer> + Send + Sync>;
/// The time, in milliseconds since 1970.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// What the HTTP listener serves.
#[derive(Clone)]
pub struct Admin {
    router: Router,
    shown: Shown,
}

impl Admin {
    /// Shows `telemetry`, and what `readiness` says and `sight` sees at the time of the request.
    #[must_use]
    pub fn new(telemetry: Telemetry, readiness: Readiness, sight: Sight, clock: Clock) -> Self {
        let shown = Shown { telemetry, readiness, sight, clock };
        Self { router: routes::router(shown.clone(), false), shown }
    }

    /// Looks into queues and changes them, too.
    #[must_use]
    pub fn with_queues(mut self) -> Self {
        self.router = routes::router(self.shown.clone(), true);
        self
    }
}

impl Dialect for Admin {
    fn name(&self) -> &'static str {
        "http"
    }

    async fn serve(self: Arc<Self>, connection: Incoming) {
        let Incoming { stream, mut shutdown, .. } = connection;
        let service = TowerToHyperService::new(self.router.clone());
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .max_buf_size(BUFFER_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service);
        tokio::pin!(served);
        let result = tokio::select! {
            result = &mut served => result,
            () = shutdown.requested() => {
                served.as_mut().graceful_shutdown();
                served.await
            }
        };
        if let Err(error) = result {
            debug!(%error, "HTTP connection ended early");
        }
    }

    fn refusal(&self) -> &'static [u8] {
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    }
}
