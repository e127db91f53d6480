//! What each path answers.

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, StatusCode};
use axum::response::{Html, IntoResponse};
use axum::routing::{get, post};

use super::{Clock, Readiness, Sight, queues, topics};
use crate::telemetry::Telemetry;

const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
const INDEX: &str = "<!doctype html><html lang=en><meta charset=utf-8><title>Trunkline</title>\
<style>body{font:16px/1.6 system-ui,sans-serif;max-width:40em;margin:3em auto;padding:0 1em}</style>\
<h1>Trunkline</h1><p>Kafka, AMQP 0-9-1 and Redis clients on one partitioned, durable log.</p><ul>\
<li><a href=/metrics>/metrics</a>: for Prometheus</li>\
<li><a href=/api/topics>/api/topics</a>: topics and the views on them, as JSON; one of them at /api/topics/NAME</li>\
<li><a href=/healthz>/healthz</a>: 200 while the process runs</li>\
<li><a href=/readyz>/readyz</a>: 200 when clients are served, 503 and the reason when they are not</li></ul></html>\n";

#[derive(Clone)]
pub(super) struct Shown {
    pub telemetry: Telemetry,
    pub readiness: Readiness,
    pub sight: Sight,
    pub clock: Clock,
}

pub(super) fn router(shown: Shown, with_queues: bool) -> Router {
    let queues = if with_queues { Router::new().route("/api/queues/{verb}", post(queues::run)) } else { Router::new() };
    queues
        .route("/", get(|| async { Html(INDEX) }))
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route(topics::PATH, get(topics::list))
        .route("/api/topics/{*name}", get(topics::one))
        .with_state(shown)
}

async fn metrics(State(shown): State<Shown>) -> impl IntoResponse {
    let header: [(HeaderName, &str); 1] = [(CONTENT_TYPE, METRICS_TYPE)];
    (header, shown.telemetry.render())
}

async fn ready(State(shown): State<Shown>) -> impl IntoResponse {
    match (shown.readiness)() {
        Ok(state) => (StatusCode::OK, format!("ready\n{state}")),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::Admin;
    use crate::net::{ConnectionLimit, Listener, ShutdownTrigger};
    use std::net::SocketAddr;
    use std::sync::Arc;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn started(ready: Result<String, String>) -> (SocketAddr, ShutdownTrigger) {
        let listener = Listener::bind("http", "127.0.0.1:0").await.expect("bind");
        let (trigger, shutdown) = ShutdownTrigger::new();
        let address = listener.local();
        let admin = Admin::new(Telemetry::new(10), Arc::new(move || ready.clone()), Arc::new(|| None), Arc::new(|| 0));
        tokio::spawn(listener.serve(Arc::new(admin), ConnectionLimit::new(8), shutdown));
        (address, trigger)
    }

    async fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(address).await.expect("connect");
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("answer");
        answer
    }

    #[tokio::test]
    async fn each_path_answers() {
        let (address, _trigger) = started(Ok("the disk is nearly full\n".to_owned())).await;
        assert!(get(address, "/").await.contains("/metrics"));
        assert!(get(address, "/healthz").await.starts_with("HTTP/1.1 200"));
        assert!(get(address, "/readyz").await.ends_with("ready\nthe disk is nearly full\n"));
        let metrics = get(address, "/metrics").await;
        assert!(metrics.contains("version=0.0.4") && metrics.contains("trunkline_series_dropped 0"), "{metrics}");
        assert!(get(address, "/api/topics").await.starts_with("HTTP/1.1 503"), "the log is not open");
        assert!(get(address, "/nothing").await.starts_with("HTTP/1.1 404"));
    }

    #[tokio::test]
    async fn not_ready_says_why() {
        let (address, _trigger) = started(Err("the log is poisoned".to_owned())).await;
        let answer = get(address, "/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("the log is poisoned"), "{answer}");
        assert!(get(address, "/healthz").await.starts_with("HTTP/1.1 200"));
    }
}
