//! Kills the gateway at random moments under load from all three dialects and holds what is there afterwards against what was
//! acknowledged. `TRUNKLINE_TEST_KILLS` says how often, `TRUNKLINE_TEST_SEED` repeats the decisions of an earlier run.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

#[path = "durability/amqp.rs"]
mod amqp;
#[path = "durability/groups.rs"]
mod groups;
#[path = "durability/kafka.rs"]
mod kafka;
#[path = "durability/letters.rs"]
mod letters;
#[path = "durability/lists.rs"]
mod lists;
#[path = "durability/load.rs"]
mod load;
#[path = "durability/moves.rs"]
mod moves;
#[path = "durability/redis.rs"]
mod redis;
#[path = "durability/streams.rs"]
mod streams;
mod support;
#[path = "durability/transactions.rs"]
mod transactions;
#[path = "durability/units.rs"]
mod units;

use std::sync::{Arc, Mutex};
use std::time::Instant;

use lists::Lists;
use load::Pace;
use rand::Rng;
use streams::Stream;
use support::{Gateway, files_below, within};
use tokio::task::{JoinHandle, block_in_place};

const KILLS: u64 = 50;
/// A kill comes after so many acknowledgements of the dialects together.
const ACKNOWLEDGEMENTS: std::ops::Range<u64> = 20..1600;
const LIST_OWNERS: u64 = 3;
const STREAM_OWNERS: u64 = 2;
const HAND_OVER: &str = "redis-hand-over";

/// Everything that is known of what the gateway has promised.
struct World {
    gateway: Gateway,
    pace: Arc<Pace>,
    kafka: Arc<kafka::Ledger>,
    groups: Arc<groups::Ledger>,
    transactions: Arc<transactions::Ledger>,
    amqp: Arc<Mutex<amqp::Ledger>>,
    lists: Vec<redis::Owner<Lists>>,
    streams: Vec<redis::Owner<Stream>>,
    hand_over: redis::HandOver,
    random: [rand::rngs::StdRng; 3],
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_kills_at_random_moments() {
    let (kills, seed) = (number_from("TRUNKLINE_TEST_KILLS").unwrap_or(KILLS), seed());
    let mut world = World::start(seed).await;
    let lasting = Lasting::start(&world, seed);
    let mut random = load::random(seed, 1000);
    let began = Instant::now();
    for round in 0..kills {
        let after = random.random_range(ACKNOWLEDGEMENTS);
        world.round(after).await;
        let killed = Instant::now();
        block_in_place(|| world.gateway.restart());
        let (restart, verified) = (killed.elapsed(), Instant::now());
        world.verify(false).await;
        eprintln!(
            "kill {round} after {after} acknowledgements: started again in {restart:?}, verified in {:?}, at {:?}",
            verified.elapsed(),
            began.elapsed()
        );
    }
    let sent = lasting.end(&world.pace).await;
    world.verify_at_the_end(sent).await;
}

impl World {
    async fn start(seed: u64) -> Self {
        let gateway = block_in_place(small_gateway);
        kafka::create_topic(&gateway.kafka()).await;
        transactions::create_topic(&gateway.kafka()).await;
        amqp::declare(&gateway.amqp()).await;
        let lists =
            |number| redis::Owner::new(&format!("redis-list-{number}"), load::random(seed, 10 + number), Lists::default());
        let stream = |number| redis::Owner::new(&stream_name(number), load::random(seed, 30 + number), Stream::default());
        for number in 0..STREAM_OWNERS {
            streams::create(&mut redis::connect(&gateway.redis()).await, &stream_name(number)).await;
        }
        Self {
            gateway,
            pace: Pace::new(),
            kafka: Arc::default(),
            groups: Arc::default(),
            transactions: Arc::default(),
            amqp: Arc::default(),
            lists: (0..LIST_OWNERS).map(lists).collect(),
            streams: (0..STREAM_OWNERS).map(stream).collect(),
            hand_over: redis::HandOver::default(),
            random: [20, 21, 22].map(|load| load::random(seed, load)),
        }
    }

    /// Runs the loads whose connections end with the gateway, and kills it after so many acknowledgements.
    async fn round(&mut self, after: u64) {
        let (amqp_url, redis_url) = (self.gateway.amqp(), self.gateway.redis());
        let (pace, ledger, gateway) = (&self.pace, &self.amqp, &mut self.gateway);
        let [publisher, consumer, _] = &mut self.random;
        let lists = futures_util::future::join_all(self.lists.iter_mut().map(|owner| owner.work(&redis_url, pace)));
        let streams = futures_util::future::join_all(self.streams.iter_mut().map(|owner| owner.work(&redis_url, pace)));
        let loads = async {
            tokio::join!(
                lists,
                streams,
                redis::hand_over(&redis_url, HAND_OVER, pace, &mut self.hand_over),
                amqp::publish(&amqp_url, publisher, pace, ledger),
                amqp::consume(&amqp_url, consumer, pace, ledger),
            );
        };
        kill_under(Box::pin(loads), after, pace, gateway).await;
        self.amqp.lock().unwrap().killed();
    }

    /// After a restart, while what lives through it goes on.
    async fn verify(&mut self, is_all: bool) {
        let (amqp_url, redis_url, address) = (self.gateway.amqp(), self.gateway.redis(), self.gateway.kafka());
        for owner in &mut self.lists {
            owner.verify(&redis_url).await;
        }
        for owner in &mut self.streams {
            owner.verify(&redis_url).await;
        }
        self.hand_over.verify(&redis_url, HAND_OVER).await;
        amqp::verify_redelivery(&amqp_url, &self.amqp).await;
        let (kafka, groups, transactions) = (&self.kafka, &self.groups, &self.transactions);
        block_in_place(|| {
            groups::verify(&address, groups);
            if is_all {
                transactions::verify_all(&address, transactions);
                kafka::verify_all(&address, kafka);
            } else {
                transactions::verify(&address, transactions);
                kafka::verify(&address, kafka, &mut self.random[2]);
            }
        });
    }

    /// Everything once more, before and after an end in order.
    async fn verify_at_the_end(&mut self, sent: u64) {
        self.verify(true).await;
        block_in_place(|| {
            assert!(self.gateway.terminate().success(), "{}", self.gateway.log());
            self.gateway.restart();
        });
        self.verify(true).await;
        kafka::verify_exactly_once(&self.kafka, sent);
        amqp::verify_all(&self.gateway.amqp(), &self.amqp).await;
        let segments = files_below(&self.gateway.data_dir().join("topics"));
        assert!(segments.iter().any(|(path, bytes)| path.extension().is_some_and(|kind| kind == "log") && *bytes > 0));
        assert_well(&self.gateway);
        eprintln!(
            "{} Kafka records acknowledged, {} read live, {sent} sent exactly once; {} transactions and {} offsets committed; \
             {} AMQP redeliveries; {} list and {} stream commands",
            self.kafka.acknowledged(),
            self.kafka.seen(),
            self.transactions.committed(),
            self.groups.answered(),
            self.amqp.lock().unwrap().redelivered,
            self.lists.iter().map(|owner| owner.answered).sum::<u64>(),
            self.streams.iter().map(|owner| owner.answered).sum::<u64>(),
        );
    }
}

/// The Kafka clients that live through all kills.
struct Lasting {
    exact: JoinHandle<u64>,
    plain: JoinHandle<u64>,
    others: [JoinHandle<()>; 3],
}

impl Lasting {
    fn start(world: &World, seed: u64) -> Self {
        let produce = |is_exact| {
            let (pace, ledger) = (Arc::clone(&world.pace), Arc::clone(&world.kafka));
            tokio::spawn(kafka::produce(world.gateway.kafka(), is_exact, seed, pace, ledger))
        };
        let (address, pace, ledger) = (world.gateway.kafka(), Arc::clone(&world.pace), Arc::clone(&world.kafka));
        let reader = tokio::task::spawn_blocking(move || kafka::read_live(&address, &pace, &ledger));
        let (address, pace, ledger) = (world.gateway.kafka(), Arc::clone(&world.pace), Arc::clone(&world.groups));
        let member = tokio::task::spawn_blocking(move || groups::read(&address, &pace, &ledger));
        let (address, pace, ledger) = (world.gateway.kafka(), Arc::clone(&world.pace), Arc::clone(&world.transactions));
        let transactions = tokio::task::spawn_blocking(move || transactions::write(&address, seed, &pace, &ledger));
        Self { exact: produce(true), plain: produce(false), others: [reader, member, transactions] }
    }

    /// Lets them finish, and tells how many records were to be there exactly once.
    async fn end(self, pace: &Pace) -> u64 {
        pace.end();
        let _plain = within("the plain producer", self.plain).await.expect("the plain producer");
        for (client, name) in self.others.into_iter().zip(["the live reader", "the group's member", "the transactional producer"])
        {
            within(name, client).await.expect(name);
        }
        within("the idempotent producer", self.exact).await.expect("the idempotent producer")
    }
}

/// A gateway whose files are so small that they are retired to segments between the kills.
fn small_gateway() -> Gateway {
    let small = 1 << 20;
    let sizes = ["journal_file_bytes", "journal_retain_bytes", "memory_tail_bytes", "segment_bytes"];
    sizes.iter().fold(Gateway::builder(), |builder, size| builder.set(&format!("log.{size}"), small)).start()
}

/// Kills the gateway after so many acknowledgements of loads that go on until then.
async fn kill_under(loads: impl Future<Output = ()>, after: u64, pace: &Pace, gateway: &mut Gateway) {
    pace.open();
    let kill = async {
        within("acknowledgements", pace.wait_for(after)).await;
        block_in_place(|| gateway.kill());
    };
    // A client may take long to notice; nobody waits for that. And nobody ends a load before the kill.
    tokio::select! {
        () = async { loads.await; std::future::pending().await } => {}
        () = kill => {}
    }
    pace.close();
}

fn assert_well(gateway: &Gateway) {
    let log = gateway.log();
    for bad in ["panicked", "poisoned"] {
        assert!(!log.contains(bad), "{bad}");
    }
}

fn stream_name(number: u64) -> String {
    format!("redis-stream-{number}")
}

fn seed() -> u64 {
    let seed = number_from("TRUNKLINE_TEST_SEED").unwrap_or_else(rand::random);
    eprintln!("TRUNKLINE_TEST_SEED={seed}");
    seed
}

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect(variable))
}
