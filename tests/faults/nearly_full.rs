//! A file system with little room: who writes is slowed down in each dialect, and who only reads is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, ClientContext, Statistics};

use super::clients::{LIST, TOPIC, connect, elements, metric, open, publish, push, readyz, redis, until_ready_says};
use super::machine::Mount;
use super::support::{Gateway, PATIENCE, eventually, within};

const DISK_BYTES: u64 = 96 << 20;
const REFUSE_BELOW_BYTES: u64 = 64 << 20;
/// What each dialect writes, in how many pieces.
const BYTES: usize = 2 << 20;
const PIECES: usize = 20;
/// At the most: all that is above the mark, within the time that the pace leaves for it.
const BYTES_PER_S_MAX: f64 = (DISK_BYTES - REFUSE_BELOW_BYTES) as f64 / 16.0;

/// A client that sees that it is throttled.
#[derive(Clone, Default)]
struct Throttled(Arc<AtomicBool>);

impl ClientContext for Throttled {
    fn stats(&self, statistics: Statistics) {
        let is_throttled =
            statistics.brokers.values().any(|broker| broker.throttle.as_ref().is_some_and(|window| window.max > 0));
        self.0.fetch_or(is_throttled, Ordering::Relaxed);
    }
}

/// How long it took, and how much of it the gateway says that it made somebody pause.
async fn timed(gateway: &Gateway, what: &str, work: impl Future<Output = ()>) {
    let paused = || metric(gateway, "trunkline_disk_paused_seconds_total");
    let (before, began) = (paused().await, Instant::now());
    within(what, work).await;
    let took = began.elapsed().as_secs_f64();
    // Nobody waits for what the last piece costs.
    let least = (BYTES - 2 * BYTES / PIECES) as f64 / BYTES_PER_S_MAX;
    assert!(took >= least, "{what}: {took} s for {BYTES} bytes, {least} s at least");
    assert!(paused().await - before >= least / 2.0, "{what} is counted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_little_room_writers_of_each_dialect_are_slowed_down_and_readers_are_not() {
    let Some(mount) = Mount::tmpfs("96m") else { return eprintln!("left out: mounting needs root") };
    let gateway = Gateway::builder()
        .within(mount.path())
        .set("log.journal_file_bytes", 2 << 20)
        .set("log.disk_slow_below_bytes", 2 * DISK_BYTES)
        .set("log.disk_refuse_below_bytes", REFUSE_BELOW_BYTES)
        .start();
    until_ready_says(&gateway, "is nearly full, and writing slowed down").await;
    let (status, said) = readyz(&gateway).await;
    assert_eq!(status, 200);
    assert!(said.contains(&format!("slow below {}, refused below {REFUSE_BELOW_BYTES}", 2 * DISK_BYTES)), "{said}");
    assert_eq!(metric(&gateway, "trunkline_disk_room").await, 1.0);
    assert_eq!(metric(&gateway, "trunkline_disk_slow_below_bytes").await, (2 * DISK_BYTES) as f64);
    assert_eq!(metric(&gateway, "trunkline_disk_refuse_below_bytes").await, REFUSE_BELOW_BYTES as f64);

    let piece = "x".repeat(BYTES / PIECES);
    let pushes = async {
        let mut connection = redis(&gateway).await;
        for _ in 0..PIECES {
            let _: u64 = redis::cmd("RPUSH").arg(LIST).arg(&piece).query_async(&mut connection).await.expect("pushed");
        }
    };
    timed(&gateway, "pushes", pushes).await;
    let context = Throttled::default();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", gateway.kafka()).set("linger.ms", "0").set("statistics.interval.ms", "100");
    let producer: FutureProducer<Throttled> = config.create_with_context(context.clone()).expect("a producer");
    let produces = async {
        for _ in 0..PIECES {
            let record = FutureRecord::<(), _>::to(TOPIC).partition(0).payload(&piece);
            producer.send(record, PATIENCE).await.expect("produced");
        }
    };
    timed(&gateway, "produces", produces).await;
    eventually("the client saw it", || async { context.0.load(Ordering::Relaxed).then_some(()) }).await;
    let connection = connect(&gateway.amqp()).await;
    let channel = open(&connection).await.expect("a channel");
    let publishes = async {
        for _ in 0..PIECES {
            publish(&channel, &piece).await.expect("sent").await.expect("confirmed");
        }
    };
    timed(&gateway, "publishes", publishes).await;

    let began = Instant::now();
    push(&gateway, piece.as_bytes()).await.expect("pushed");
    for _ in 0..PIECES {
        assert_eq!(elements(&gateway).await.len(), PIECES + 1);
    }
    assert!(began.elapsed() < Duration::from_secs(PIECES as u64), "readers wait for nothing");
}
