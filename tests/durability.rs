//! Kills the gateway at random moments under load from all three dialects and holds what is there afterwards against what was
//! acknowledged. `TRUNKLINE_TEST_KILLS` says how often, `TRUNKLINE_TEST_SEED` repeats the decisions of an earlier run.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

#[path = "durability/amqp.rs"]
mod amqp;
#[path = "durability/kafka.rs"]
mod kafka;
#[path = "durability/load.rs"]
mod load;
#[path = "durability/redis.rs"]
mod redis;
mod support;
#[path = "durability/transactions.rs"]
mod transactions;

use std::sync::{Arc, Mutex};
use std::time::Instant;

use load::Pace;
use rand::Rng;
use support::{Gateway, files_below, within};
use tokio::task::{JoinHandle, block_in_place};

const KILLS: u64 = 50;
/// A kill comes after so many acknowledgements of the dialects together.
const ACKNOWLEDGEMENTS: std::ops::Range<u64> = 20..1600;
const LIST_OWNERS: u64 = 3;
const HAND_OVER: &str = "redis-hand-over";

/// Everything that is known of what the gateway has promised.
struct World {
    gateway: Gateway,
    pace: Arc<Pace>,
    kafka: Arc<kafka::Ledger>,
    transactions: Arc<transactions::Ledger>,
    amqp: Arc<Mutex<amqp::Ledger>>,
    owners: Vec<redis::Owner>,
    hand_over: redis::HandOver,
    random: [rand::rngs::StdRng; 2],
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_kills_at_random_moments() {
    let kills = number_from("TRUNKLINE_TEST_KILLS").unwrap_or(KILLS);
    let seed = number_from("TRUNKLINE_TEST_SEED").unwrap_or_else(rand::random);
    eprintln!("TRUNKLINE_TEST_SEED={seed} TRUNKLINE_TEST_KILLS={kills}");
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
        // So small that journal files are retired to segments between the kills.
        let gateway = block_in_place(|| {
            Gateway::builder()
                .set("log.journal_file_bytes", 1 << 20)
                .set("log.journal_retain_bytes", 1 << 20)
                .set("log.memory_tail_bytes", 1 << 20)
                .set("log.segment_bytes", 1 << 20)
                .start()
        });
        kafka::create_topic(&gateway.kafka()).await;
        transactions::create_topic(&gateway.kafka()).await;
        amqp::declare(&gateway.amqp()).await;
        let owner = |number: u64| redis::Owner::new(&format!("redis-list-{number}"), load::random(seed, 10 + number));
        Self {
            gateway,
            pace: Pace::new(),
            kafka: Arc::default(),
            transactions: Arc::default(),
            amqp: Arc::default(),
            owners: (0..LIST_OWNERS).map(owner).collect(),
            hand_over: redis::HandOver::default(),
            random: [load::random(seed, 20), load::random(seed, 21)],
        }
    }

    /// Runs the loads whose connections end with the gateway, and kills it after so many acknowledgements.
    async fn round(&mut self, after: u64) {
        let (amqp_url, redis_url) = (self.gateway.amqp(), self.gateway.redis());
        let (pace, ledger, gateway) = (&self.pace, &self.amqp, &mut self.gateway);
        let [publisher, consumer] = &mut self.random;
        let owners = futures_util::future::join_all(self.owners.iter_mut().map(|owner| owner.work(&redis_url, pace)));
        let loads = async {
            tokio::join!(
                owners,
                redis::hand_over(&redis_url, HAND_OVER, pace, &mut self.hand_over),
                amqp::publish(&amqp_url, publisher, pace, ledger),
                amqp::consume(&amqp_url, consumer, pace, ledger),
            );
            // Nobody ends a load before the kill.
            std::future::pending().await
        };
        let kill = async {
            within("acknowledgements", pace.wait_for(after)).await;
            block_in_place(|| gateway.kill());
        };
        // A client may take long to notice; nobody waits for that.
        tokio::select! {
            () = loads => {}
            () = kill => {}
        }
        self.amqp.lock().unwrap().killed();
    }

    /// After a restart, while the lasting producers go on.
    async fn verify(&mut self, is_end: bool) {
        let (amqp_url, redis_url, address) = (self.gateway.amqp(), self.gateway.redis(), self.gateway.kafka());
        for owner in &mut self.owners {
            owner.verify(&redis_url).await;
        }
        self.hand_over.verify(&redis_url, HAND_OVER).await;
        amqp::verify_redelivery(&amqp_url, &self.amqp).await;
        let (ledger, transactions) = (Arc::clone(&self.kafka), Arc::clone(&self.transactions));
        let verify = move || {
            transactions::verify(&address, &transactions, is_end);
            kafka::verify(&address, &ledger);
        };
        tokio::task::spawn_blocking(verify).await.expect("Kafka's records");
    }

    /// Everything once more, before and after an end in order.
    async fn verify_at_the_end(&mut self, sent: u64) {
        self.verify(true).await;
        block_in_place(|| {
            assert!(self.gateway.terminate().success(), "{}", self.gateway.log());
            self.gateway.restart();
        });
        self.verify(true).await;
        let (address, ledger) = (self.gateway.kafka(), Arc::clone(&self.kafka));
        let found = tokio::task::spawn_blocking(move || kafka::verify(&address, &ledger)).await.expect("Kafka's records");
        kafka::verify_exactly_once(&found, sent);
        amqp::verify_all(&self.gateway.amqp(), &self.amqp).await;
        let segments = files_below(&self.gateway.data_dir().join("topics"));
        assert!(segments.iter().any(|(path, bytes)| path.extension().is_some_and(|kind| kind == "log") && *bytes > 0));
        let log = self.gateway.log();
        for bad in ["panicked", "poisoned"] {
            assert!(!log.contains(bad), "{bad}");
        }
        let lists: u64 = self.owners.iter().map(|owner| owner.answered).sum();
        eprintln!(
            "{} Kafka records acknowledged, {} read live, {sent} sent exactly once; {} transactions committed; {} AMQP redeliveries; {lists} list commands",
            self.kafka.acknowledged(),
            self.kafka.seen(),
            self.transactions.committed(),
            self.amqp.lock().unwrap().redelivered,
        );
    }
}

/// The Kafka clients that live through all kills.
struct Lasting {
    exact: JoinHandle<u64>,
    plain: JoinHandle<u64>,
    reader: JoinHandle<()>,
    transactions: JoinHandle<()>,
}

impl Lasting {
    fn start(world: &World, seed: u64) -> Self {
        let produce = |is_exact| {
            let (pace, ledger) = (Arc::clone(&world.pace), Arc::clone(&world.kafka));
            tokio::spawn(kafka::produce(world.gateway.kafka(), is_exact, seed, pace, ledger))
        };
        let (address, pace, ledger) = (world.gateway.kafka(), Arc::clone(&world.pace), Arc::clone(&world.kafka));
        let reader = tokio::task::spawn_blocking(move || kafka::read_live(&address, &pace, &ledger));
        let (address, pace, ledger) = (world.gateway.kafka(), Arc::clone(&world.pace), Arc::clone(&world.transactions));
        let transactions = tokio::task::spawn_blocking(move || transactions::write(&address, seed, &pace, &ledger));
        Self { exact: produce(true), plain: produce(false), reader, transactions }
    }

    /// Lets them finish, and tells how many records were to be there exactly once.
    async fn end(self, pace: &Pace) -> u64 {
        pace.end();
        let _plain = within("the plain producer", self.plain).await.expect("the plain producer");
        within("the transactional producer", self.transactions).await.expect("the transactional producer");
        within("the live reader", self.reader).await.expect("the live reader");
        within("the idempotent producer", self.exact).await.expect("the idempotent producer")
    }
}

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect(variable))
}
