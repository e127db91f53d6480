//! The program as its user meets it: start, ready block, addresses, HTTP, signals and errors that name the way out.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod support;

use std::process::Stdio;
use std::time::Instant;

use rustix::process::Signal;
use support::{Gateway, command, http_get, wait_until};

/// Runs a gateway that must not start, and returns its exit code and what it complained about.
fn refused(arguments: &[&str]) -> (Option<i32>, String) {
    let mut child = command().args(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("runs");
    let mut status = None;
    let deadline = Instant::now() + support::PATIENCE;
    while status.is_none() && Instant::now() < deadline {
        status = child.try_wait().expect("waits");
        std::thread::yield_now();
    }
    let _ = child.kill();
    let output = child.wait_with_output().expect("ends");
    (status.and_then(|status| status.code()), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test]
async fn it_serves_http_and_says_that_it_is_ready() {
    let gateway = Gateway::start();
    let http = gateway.addresses().http;
    assert_eq!(http_get(http, "/healthz").await, (200, "ok\n".to_owned()));
    let (status, ready) = http_get(http, "/readyz").await;
    assert!(status == 200 && ready.starts_with("ready\n"), "{ready}");
    let (status, metrics) = http_get(http, "/metrics").await;
    assert_eq!(status, 200);
    assert!(metrics.contains("trunkline_build_info{version="), "{metrics}");
}

#[test]
fn sigterm_and_sigint_end_it_in_order() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut gateway = Gateway::start();
        gateway.signal(signal);
        let status = gateway.wait_for_end();
        assert_eq!(status.code(), Some(0), "{}", gateway.log());
        assert!(!gateway.data_dir().join("listening.json").exists());
    }
}

#[test]
fn it_starts_again_on_the_same_ports_after_a_crash() {
    let mut gateway = Gateway::start();
    let before = gateway.addresses();
    gateway.crash();
    assert_eq!(gateway.addresses(), before);
}

#[test]
fn a_second_gateway_on_the_same_data_names_the_holder() {
    let gateway = Gateway::start();
    let data = gateway.data_dir().display().to_string();
    let (code, error) = refused(&["--data-dir", &data, "--kafka", "", "--amqp", "", "--redis", "", "--http", ""]);
    assert_eq!(code, Some(1));
    assert!(error.contains(&format!("in use by process {}", gateway.pid())), "{error}");
}

#[test]
fn a_taken_port_names_the_listener() {
    let gateway = Gateway::start();
    let data = tempfile::tempdir().expect("directory");
    let data = data.path().display().to_string();
    let taken = gateway.addresses().redis.to_string();
    let (code, error) = refused(&["--data-dir", &data, "--kafka", "", "--amqp", "", "--redis", &taken, "--http", ""]);
    assert_eq!(code, Some(1));
    assert!(error.contains("redis.listen") && error.contains(&taken), "{error}");
}

#[test]
fn a_wrong_configuration_is_told_before_anything_starts() {
    let (code, error) = refused(&["--set", "kafka.lissen=127.0.0.1:1"]);
    assert_eq!(code, Some(2));
    assert!(error.contains("did you mean `kafka.listen`?"), "{error}");
}

#[test]
fn check_config_prints_every_key_with_its_source() {
    let output = command()
        .args(["check-config", "--redis", "127.0.0.1:7000"])
        .env("TRUNKLINE_AMQP__HEARTBEAT_S", "30")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let source = |key: &str| {
        let line = text.lines().find(|line| line.starts_with(&format!("{key} = "))).unwrap_or_else(|| panic!("{key} in {text}"));
        line.rsplit("# ").next().unwrap_or_default().to_owned()
    };
    assert_eq!(source("redis.listen"), "--redis");
    assert_eq!(source("amqp.heartbeat_s"), "TRUNKLINE_AMQP__HEARTBEAT_S");
    assert_eq!(source("kafka.listen"), "default");
}

#[test]
fn it_starts_at_once_on_an_empty_directory() {
    let started = Instant::now();
    let _gateway = Gateway::start();
    let took = started.elapsed();
    // The promise is 200 ms; an unoptimized build on a busy machine gets five times that.
    assert!(took.as_millis() < 1000, "{took:?}");
}

fn redis(gateway: &Gateway) -> redis::Connection {
    let client = redis::Client::open(gateway.redis()).expect("a URL");
    client.get_connection_with_timeout(support::PATIENCE).expect("a connection")
}

#[test]
fn what_was_acknowledged_is_there_after_a_crash_and_after_an_end() {
    let mut gateway = Gateway::start();
    let _: u64 = redis::cmd("RPUSH").arg("kept").arg("a").query(&mut redis(&gateway)).expect("pushed");
    gateway.crash();
    let _: u64 = redis::cmd("RPUSH").arg("kept").arg("b").query(&mut redis(&gateway)).expect("pushed");
    assert_eq!(gateway.terminate().code(), Some(0), "{}", gateway.log());
    gateway.restart();
    let kept: Vec<String> = redis::cmd("LRANGE").arg("kept").arg(0).arg(-1).query(&mut redis(&gateway)).expect("read");
    assert_eq!(kept, ["a", "b"]);
}

#[test]
fn a_client_that_waits_does_not_hold_up_the_end() {
    let mut gateway = Gateway::builder().set("shutdown.grace_ms", 20_000).start();
    let mut waiting = redis(&gateway);
    let waiter = std::thread::spawn(move || redis::cmd("BLPOP").arg("nothing").arg(0).query::<Option<Vec<String>>>(&mut waiting));
    let takers = || async { http_get(gateway.addresses().http, "/metrics").await.1 };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    wait_until("the client waits", || runtime.block_on(takers()).contains("trunkline_queue_takers{topic=\"nothing\"} 1"));
    let asked = Instant::now();
    assert_eq!(gateway.terminate().code(), Some(0), "{}", gateway.log());
    assert!(asked.elapsed().as_secs() < 10, "{:?}", asked.elapsed());
    let popped = waiter.join().expect("ends");
    assert!(!matches!(popped, Ok(Some(_))), "nothing was pushed: {popped:?}");
}

#[test]
fn users_are_asked_for_in_every_dialect() {
    let gateway = Gateway::builder().set("security.users.ann", "secret").start();
    let refused: redis::RedisResult<String> = redis::cmd("RPUSH").arg("k").arg("v").query(&mut redis(&gateway));
    let refused = refused.expect_err("no password");
    assert_eq!(refused.code(), Some("NOAUTH"), "{refused}");
    let url = format!("redis://ann:secret@{}/", gateway.addresses().redis);
    let client = redis::Client::open(url).expect("a URL");
    let mut connection = client.get_connection_with_timeout(support::PATIENCE).expect("let in");
    let pushed: u64 = redis::cmd("RPUSH").arg("k").arg("v").query(&mut connection).expect("pushed");
    assert_eq!(pushed, 1);
}

#[tokio::test]
async fn a_wrong_password_is_refused_by_amqp() {
    let gateway = Gateway::builder().set("security.users.ann", "secret").start();
    let uri = |user: &str| format!("amqp://{user}@{}/%2f", gateway.addresses().amqp);
    let connect = |uri: String| async move { lapin::Connection::connect(&uri, lapin::ConnectionProperties::default()).await };
    assert!(connect(uri("ann:wrong")).await.is_err());
    assert!(connect(uri("guest:guest")).await.is_err());
    connect(uri("ann:secret")).await.expect("let in");
}

#[test]
fn logs_can_be_json_with_peer_and_dialect() {
    let gateway = Gateway::builder().set("telemetry.log_format", "json").set("telemetry.log_level", "debug").start();
    let _: String = redis::cmd("PING").query(&mut redis(&gateway)).expect("answered");
    let spanned = || {
        let log = gateway.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        lines.map(|line| line["span"].clone()).find(|span| span["dialect"] == "redis")
    };
    wait_until("a line of the connection", || spanned().is_some_and(|span| span["peer"].is_string()));
}

#[test]
fn a_client_over_the_limit_is_told_in_its_own_words() {
    let gateway = Gateway::builder().set("limits.connections", 1).start();
    let mut first = redis(&gateway);
    let mut second = std::net::TcpStream::connect(gateway.addresses().redis).expect("a connection");
    let mut told = String::new();
    std::io::Read::read_to_string(&mut second, &mut told).expect("closed");
    assert_eq!(told, "-ERR max number of clients reached\r\n");
    let answer: String = redis::cmd("PING").query(&mut first).expect("answered");
    assert_eq!(answer, "PONG");
}

#[test]
fn a_hashed_password_is_one_that_users_take() {
    let mut child = command().arg("hash-password").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("runs");
    std::io::Write::write_all(&mut child.stdin.take().expect("its input"), b"secret\n").expect("written");
    let output = child.wait_with_output().expect("ends");
    let hash = String::from_utf8(output.stdout).expect("text");
    let gateway = Gateway::builder().set("security.users.ann", hash.trim()).start();
    let client = redis::Client::open(format!("redis://ann:secret@{}/", gateway.addresses().redis)).expect("a URL");
    client.get_connection_with_timeout(support::PATIENCE).expect("let in");
}
