//! A real gateway on a disk that fails: fdatasync failed from outside, and a file system that is full.
//!
//! What needs a tool or right that is not there is left out with a line that says so.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::unwrap_used)]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{FutureProducer, FutureRecord};
use support::{Gateway, http_get, wait_until};

fn redis(gateway: &Gateway) -> redis::Connection {
    let client = redis::Client::open(gateway.redis()).expect("a URL");
    client.get_connection_with_timeout(support::PATIENCE).expect("a connection")
}

fn push(gateway: &Gateway, value: &[u8]) -> redis::RedisResult<u64> {
    redis::cmd("RPUSH").arg("orders").arg(value).query(&mut redis(gateway))
}

fn readyz(gateway: &Gateway) -> (u16, String) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(http_get(gateway.addresses().http, "/readyz"))
}

/// Has system calls of a process failed until it is dropped.
struct Tracer(Child);

impl Tracer {
    fn inject(pid: u32, what: &str) -> Option<Self> {
        let calls = what.split(':').next().unwrap_or_default();
        let arguments = ["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={calls}"), "-e", &format!("inject={what}"), "-p"];
        let child = Command::new("strace").args(arguments).arg(pid.to_string()).stderr(Stdio::null()).spawn().ok()?;
        let mut tracer = Self(child);
        let is_traced = || {
            let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it runs").flatten();
            let traced = |status: String| status.lines().any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0"));
            tasks.map(|task| std::fs::read_to_string(task.path().join("status")).unwrap_or_default()).all(traced)
        };
        let mut has_ended = false;
        wait_until("strace holds every thread", || {
            has_ended = tracer.0.try_wait().expect("waits").is_some();
            has_ended || is_traced()
        });
        (!has_ended).then_some(tracer)
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_failed_sync_is_told_to_every_writer_and_on_readyz_and_nothing_acknowledged_is_lost() {
    let mut gateway = Gateway::start();
    push(&gateway, b"kept").expect("pushed");
    let Some(tracer) = Tracer::inject(gateway.pid(), "fdatasync,fsync:error=EIO") else {
        return eprintln!("left out: strace cannot be used here");
    };
    let told = push(&gateway, b"lost").expect_err("it is not on disk");
    drop(tracer);
    wait_until("readyz says so", || readyz(&gateway).0 == 503);
    let (_, reason) = readyz(&gateway);
    assert!(reason.contains("writing the journal") && reason.contains("Input/output error"), "{reason}");
    // A sync that succeeds now proves nothing.
    let refused = push(&gateway, b"later").expect_err("the log is poisoned");
    assert!(refused.to_string().contains("MISCONF") || told.to_string().contains("MISCONF"), "{told}; {refused}");
    gateway.crash();
    assert_eq!(readyz(&gateway).0, 200);
    let values: Vec<String> = redis::cmd("LRANGE").arg("orders").arg(0).arg(-1).query(&mut redis(&gateway)).expect("read");
    assert_eq!(values.first().map(String::as_str), Some("kept"));
}

/// A file system of its own, for as long as it is kept.
struct Mount(tempfile::TempDir);

impl Mount {
    fn tmpfs(size: &str) -> Option<Self> {
        let directory = tempfile::tempdir().expect("a directory");
        let options = format!("size={size}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(directory.path()).output().ok()?;
        mounted.status.success().then(|| Self(directory))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all the room but so many bytes.
    fn fill(&self, but_bytes: u64) -> PathBuf {
        let path = self.path().join("ballast");
        let space = rustix::fs::statvfs(self.path()).expect("it is mounted");
        let bytes = (space.f_bavail * space.f_frsize).saturating_sub(but_bytes);
        std::fs::write(&path, vec![1; usize::try_from(bytes).expect("small")]).expect("there is room");
        path
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

#[test]
fn a_full_disk_is_told_in_each_dialect_and_writing_goes_on_when_there_is_room() {
    let Some(mount) = Mount::tmpfs("96m") else {
        return eprintln!("left out: mounting needs root");
    };
    const MARK: u64 = 8 << 20;
    let gateway = Gateway::builder()
        .within(mount.path())
        .set("log.journal_file_bytes", 4 << 20)
        .set("log.disk_slow_below_bytes", MARK)
        .set("log.disk_refuse_below_bytes", MARK)
        .start();
    push(&gateway, b"first").expect("pushed");
    push(&gateway, b"second").expect("pushed");
    let ballast = mount.fill(MARK / 2);
    wait_until("it is seen", || readyz(&gateway).1.contains("is full"));
    assert_eq!(readyz(&gateway).0, 200, "readers are served");
    let refused = push(&gateway, b"refused").expect_err("there is no room");
    assert!(refused.to_string().contains("OOM"), "{refused}");
    assert_eq!(produce(&gateway), Err(RDKafkaErrorCode::MessageTimedOut), "a producer tries until its own limit");
    assert!(publish(&gateway).to_string().contains("RESOURCE"), "{}", publish(&gateway));
    let popped: String = redis::cmd("LPOP").arg("orders").query(&mut redis(&gateway)).expect("what makes room is taken");
    assert_eq!(popped, "first");
    std::fs::remove_file(ballast).expect("removed");
    wait_until("there is room again", || push(&gateway, b"third").is_ok());
    assert_eq!(produce(&gateway), Ok(()));
    let values: Vec<String> = redis::cmd("LRANGE").arg("orders").arg(0).arg(-1).query(&mut redis(&gateway)).expect("read");
    assert_eq!(values[..2], ["second", "third"]);
    drop(gateway);
}

fn produce(gateway: &Gateway) -> Result<(), RDKafkaErrorCode> {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", gateway.kafka())
        .set("message.timeout.ms", "3000")
        .create()
        .expect("a producer");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let record = FutureRecord::to("orders").key("k").payload("from-kafka");
    let sent = runtime.block_on(producer.send(record, Duration::from_secs(5)));
    match sent {
        Ok(_) => Ok(()),
        Err((KafkaError::MessageProduction(code), _)) => Err(code),
        Err((error, _)) => panic!("{error}"),
    }
}

/// What closes the connection of a publisher.
fn publish(gateway: &Gateway) -> lapin::Error {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let connection =
            lapin::Connection::connect(&gateway.amqp(), lapin::ConnectionProperties::default()).await.expect("let in");
        let channel = connection.create_channel().await.expect("a channel");
        channel.confirm_select(lapin::options::ConfirmSelectOptions::default()).await.expect("confirms");
        let options = lapin::options::BasicPublishOptions::default();
        let properties = lapin::BasicProperties::default().with_delivery_mode(2);
        let published = channel.basic_publish("".into(), "orders".into(), options, b"x", properties).await;
        match published {
            Ok(confirm) => confirm.await.expect_err("there is no room"),
            Err(error) => error,
        }
    })
}
