//! Hostile input on each of the listeners: an error of the protocol or a closed connection, memory within limits, and everyone
//! else served. `TRUNKLINE_TEST_SEED` repeats the random bytes of an earlier run.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

#[path = "hostile/bystander.rs"]
mod bystander;
#[path = "hostile/raw.rs"]
mod raw;
mod support;

use std::net::SocketAddr;
use std::time::Instant;

use bystander::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use raw::*;
use rdkafka::error::KafkaError;
use rdkafka::producer::FutureRecord;
use rdkafka::types::RDKafkaErrorCode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::{Gateway, PATIENCE, within};
use tokio::net::TcpStream;

/// What the gateway may take for hostile clients over what it takes for normal ones, in MiB.
const MEMORY_MIB: u64 = 300;

async fn start(settings: &[(&str, u64)]) -> (Gateway, u64) {
    let builder = settings.iter().fold(Gateway::builder(), |builder, (key, value)| builder.set(key, value));
    let gateway = tokio::task::spawn_blocking(|| builder.start()).await.unwrap();
    all_are_served(&gateway).await;
    let memory = memory_mib(&gateway);
    (gateway, memory)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_bytes_end_their_connection_and_nothing_else() {
    let (gateway, before) = start(&[("amqp.frame_max_bytes", 1 << 20)]).await;
    let seed = std::env::var("TRUNKLINE_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(rand::random);
    eprintln!("TRUNKLINE_TEST_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let addresses = gateway.addresses();
    let mut count = 0;
    for (address, prefix, inputs) in [
        (addresses.kafka, vec![], kafka_inputs()),
        (addresses.amqp, amqp_handshake(), amqp_inputs()),
        (addresses.redis, vec![], redis_inputs()),
    ] {
        let random_inputs: Vec<_> = (0..40).map(|_| random_bytes(&mut random)).collect();
        let after_prefix = random_inputs.iter().map(|bytes| [&prefix[..], bytes].concat());
        for input in after_prefix.chain(random_inputs.clone()).chain(inputs) {
            send_and_read_to_the_end(address, &input).await;
            count += 1;
        }
    }
    let after = memory_mib(&gateway);
    eprintln!("{count} inputs; memory {before} MiB before, {after} MiB after");
    assert!(after < before + MEMORY_MIB, "{after} MiB");
    is_well(&gateway).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claimed_lengths_are_not_allocated_while_connections_stay_open() {
    let (gateway, before) = start(&[]).await;
    let addresses = gateway.addresses();
    let mut open = Vec::new();
    for _ in 0..100 {
        let kafka = [&(100_i32 << 20).to_be_bytes()[..], b"half a request"].concat();
        open.push(send_and_never_read(addresses.kafka, &kafka).await);
        open.push(send_and_never_read(addresses.redis, b"*1\r\n$536870912\r\nhalf an argument").await);
        open.push(send_and_never_read(addresses.redis, b"*1048576\r\n$1\r\nx\r\n").await);
        open.push(send_and_never_read(addresses.amqp, AMQP_HEADER).await);
        open.push(send_and_never_read(addresses.amqp, &AMQP_HEADER[..5]).await);
    }
    all_are_served(&gateway).await;
    let after = memory_mib(&gateway);
    eprintln!("{} half requests; memory {before} MiB before, {after} MiB with them", open.len());
    assert!(after < before + 50, "{after} MiB");
    is_well(&gateway).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_keep_nobody_from_being_served() {
    let idle = raise_limit(10_000);
    let (gateway, before) = start(&[("limits.connections", 20_000)]).await;
    let addresses = gateway.addresses();
    let mut open = Vec::with_capacity(idle);
    for address in [addresses.kafka, addresses.amqp, addresses.redis].into_iter().cycle().take(idle) {
        open.push(within("an idle connection", TcpStream::connect(address)).await.expect("it is taken"));
    }
    let began = Instant::now();
    all_are_served(&gateway).await;
    let (served, after) = (began.elapsed(), memory_mib(&gateway));
    eprintln!("{idle} idle connections; memory {before} MiB before, {after} MiB with them; others served in {served:?}");
    assert!(after < before + MEMORY_MIB, "{after} MiB");
    drop(open);
    is_well(&gateway).await;
}

/// How many connections this process may hold open, at most so many.
fn raise_limit(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let room = limit.maximum.unwrap_or(u64::MAX);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(room.min(wanted as u64 + 1_000)), maximum: limit.maximum });
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    wanted.min(usize::try_from(allowed).unwrap_or(usize::MAX).saturating_sub(500))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_never_read_are_held_within_limits() {
    let (gateway, before) = start(&[]).await;
    let addresses = gateway.addresses();
    let body = vec![b'x'; 500_000];
    let producer = kafka_producer(&gateway);
    let (_connection, channel) = amqp(&gateway).await;
    let mut pusher = redis(&gateway).await;
    for _ in 0..40 {
        let record = FutureRecord::<(), _>::to("never-read-topic").payload(&body);
        within("a produced record", producer.send(record, PATIENCE)).await.expect("it is acknowledged");
        within("a publish", amqp_publish(&channel, "never-read-queue", &body)).await;
        let push = redis::cmd("RPUSH").arg("never-read-list").arg(&body[..100_000]).to_owned();
        let _: i64 = within("a push", push.query_async(&mut pusher)).await.expect("RPUSH");
    }
    let mut open = Vec::new();
    let range = redis_command(&[b"LRANGE", b"never-read-list", b"0", b"-1"]).repeat(2_000);
    let consume = [amqp_handshake(), amqp_consume("never-read-queue")].concat();
    for _ in 0..8 {
        open.push(send_and_never_read(addresses.kafka, &kafka_fetch("never-read-topic").repeat(2_000)).await);
        open.push(send_and_never_read(addresses.redis, &range).await);
        open.push(send_and_never_read(addresses.amqp, &consume).await);
        open.push(send_and_never_read(addresses.redis, &redis_command(&[b"SUBSCRIBE", b"never-read-channel"])).await);
    }
    for _ in 0..400 {
        let publish = redis::cmd("PUBLISH").arg("never-read-channel").arg(&body[..200_000]).to_owned();
        let _: i64 = within("a publish", publish.query_async(&mut pusher)).await.expect("PUBLISH");
    }
    let most = watch(&gateway).await;
    eprintln!("{} clients that never read; memory {before} MiB before, at most {most} MiB with them", open.len());
    assert!(most < before + 2 * MEMORY_MIB, "{most} MiB");
    all_are_served(&gateway).await;
    drop(open);
    is_well(&gateway).await;
}

/// The most memory that is in use for a while.
async fn watch(gateway: &Gateway) -> u64 {
    let (began, mut most) = (Instant::now(), 0);
    while began.elapsed() < FLOOD {
        most = most.max(memory_mib(gateway));
        tokio::task::yield_now().await;
    }
    most
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_over_a_limit_gets_the_error_of_its_protocol() {
    let (gateway, _) = start(&[("amqp.max_message_bytes", 1 << 20), ("redis.max_bulk_bytes", 1 << 20)]).await;
    let body = vec![b'x'; 2 << 20];
    let producer = kafka_producer(&gateway);
    let refused = producer.send(FutureRecord::<(), _>::to("limited").payload(&body), PATIENCE).await;
    let (error, _) = refused.expect_err("it is too large");
    assert!(matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge)), "{error:?}");

    let (connection, channel) = amqp(&gateway).await;
    let publish = channel.basic_publish("".into(), "limited".into(), Default::default(), &body, Default::default());
    let outcome = match publish.await {
        Ok(confirm) => confirm.await.map(drop),
        Err(error) => Err(error),
    };
    let error = outcome.expect_err("it is too large").to_string();
    assert!(error.contains("PRECONDITION") || error.contains("406") || error.contains("CONTENT"), "{error}");
    assert!(connection.status().connected(), "the channel alone is closed");

    let publish = redis_command(&[b"PUBLISH", b"limited", &body]);
    let answer = send_and_read_to_the_end(gateway.addresses().redis, &publish).await;
    assert_eq!(String::from_utf8_lossy(&answer), "-ERR Protocol error: invalid bulk length\r\n");
    is_well(&gateway).await;
}

/// A port that is flooded with connections that end at once goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_come_and_go_leave_nothing_behind() {
    let (gateway, before) = start(&[]).await;
    let addresses = gateway.addresses();
    for round in 0..1_000 {
        let address: SocketAddr = [addresses.kafka, addresses.amqp, addresses.redis][round % 3];
        drop(TcpStream::connect(address).await.expect("it is taken"));
    }
    let after = memory_mib(&gateway);
    assert!(after < before + 50, "{after} MiB after {before}");
    is_well(&gateway).await;
}
