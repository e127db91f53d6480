//! AMQP transactions under kills: each publishes a number to two queues, or moves numbers from one of them to a third. A number
//! is in the copy if and only if it is in one of the other two.

use std::collections::BTreeSet;
use std::sync::Mutex;

use futures_util::StreamExt;
use lapin::options::{BasicAckOptions, BasicPublishOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel};
use rand::Rng;
use rand::rngs::StdRng;

use super::amqp::{drain, open, take_from};
use super::load::{Pace, number_of, payload};
use super::support::within;

const IN: &str = "unit-in";
const COPY: &str = "unit-copy";
const OUT: &str = "unit-out";
/// The most numbers that one transaction moves.
const MOVED_MAX: u16 = 3;

/// What was answered since the queues were last emptied.
#[derive(Default)]
pub struct Ledger {
    next: u64,
    committed: BTreeSet<u64>,
    rolled_back: BTreeSet<u64>,
    moved: BTreeSet<u64>,
    pub count: u64,
}

pub async fn declare(url: &str) {
    let (_connection, channel) = open(url).await;
    for queue in [IN, COPY, OUT] {
        channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), FieldTable::default()).await.unwrap();
    }
}

/// Publishes in transactions until the connection breaks or the loads end.
pub async fn publish(url: &str, random: &mut StdRng, pace: &Pace, ledger: &Mutex<Ledger>) {
    let (_connection, channel) = open(url).await;
    if channel.tx_select().await.is_err() {
        return;
    }
    while !pace.is_ending() {
        let mut numbers = Vec::new();
        for _ in 0..random.random_range(1..5) {
            let number = ledger.lock().unwrap().number();
            let body = payload(random, "unit", number, 500);
            if !send(&channel, IN, &body).await || !send(&channel, COPY, &body).await {
                return;
            }
            numbers.push(number);
        }
        let is_commit = random.random_bool(0.7);
        let ended = if is_commit { channel.tx_commit().await } else { channel.tx_rollback().await };
        if ended.is_err() {
            return;
        }
        let mut ledger = ledger.lock().unwrap();
        ledger.count += 1;
        if is_commit {
            ledger.committed.extend(numbers)
        } else {
            ledger.rolled_back.extend(numbers)
        }
        pace.count();
    }
}

/// Moves in transactions until the connection breaks or the loads end.
pub async fn shift(url: &str, random: &mut StdRng, pace: &Pace, ledger: &Mutex<Ledger>) {
    let (_connection, channel) = open(url).await;
    let Ok(mut consumer) = take_from(&channel, IN, MOVED_MAX).await else { return };
    if channel.tx_select().await.is_err() {
        return;
    }
    while !pace.is_ending() {
        let mut taken = Vec::new();
        for _ in 0..random.random_range(1..=MOVED_MAX) {
            let Some(Ok(delivery)) = consumer.next().await else { return };
            taken.push(delivery);
        }
        // What is rolled back is still held, and done again.
        for is_commit in [random.random_bool(0.7), true] {
            for delivery in &taken {
                let is_sent = send(&channel, OUT, &delivery.data).await;
                // By its tag: the client's handle of a delivery acknowledges once, whatever becomes of the transaction.
                let acknowledged = channel.basic_ack(delivery.delivery_tag, BasicAckOptions::default());
                if !is_sent || acknowledged.await.is_err() {
                    return;
                }
            }
            let ended = if is_commit { channel.tx_commit().await } else { channel.tx_rollback().await };
            if ended.is_err() {
                return;
            }
            pace.count();
            if is_commit {
                let mut ledger = ledger.lock().unwrap();
                ledger.count += 1;
                ledger.moved.extend(taken.iter().map(|delivery| number_of(&delivery.data)));
                break;
            }
        }
    }
}

async fn send(channel: &Channel, queue: &str, body: &[u8]) -> bool {
    let properties = BasicProperties::default().with_delivery_mode(2);
    channel.basic_publish("".into(), queue.into(), BasicPublishOptions::default(), body, properties).await.is_ok()
}

impl Ledger {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

/// Takes everything out of the three queues, in a transaction, and holds it against what was promised.
pub async fn verify(url: &str, ledger: &Mutex<Ledger>) {
    let (connection, channel) = open(url).await;
    channel.tx_select().await.unwrap();
    let mut all = Vec::new();
    for queue in [IN, OUT, COPY] {
        let numbers: Vec<u64> = drain(&channel, queue).await.iter().map(|delivery| number_of(&delivery.data)).collect();
        let distinct: BTreeSet<u64> = numbers.iter().copied().collect();
        assert_eq!(distinct.len(), numbers.len(), "each once in {queue}: {numbers:?}");
        all.push(distinct);
    }
    channel.tx_commit().await.unwrap();
    within("closing", connection.close(200, "done".into())).await.unwrap();
    let [left, moved, copied] = &all[..] else { panic!("three queues") };
    let both: Vec<_> = left.intersection(moved).collect();
    assert!(both.is_empty(), "moved and still there: {both:?}");
    assert_eq!(&(left | moved), copied, "what a transaction wrote to two queues is in both or in none");
    let mut ledger = ledger.lock().unwrap();
    let lost: Vec<_> = ledger.committed.difference(copied).collect();
    assert!(lost.is_empty(), "committed and not there: {lost:?}");
    let back: Vec<_> = ledger.rolled_back.intersection(copied).collect();
    assert!(back.is_empty(), "rolled back and there: {back:?}");
    let undone: Vec<_> = ledger.moved.difference(moved).collect();
    assert!(undone.is_empty(), "moved and not there: {undone:?}");
    *ledger = Ledger { next: ledger.next, count: ledger.count, ..Ledger::default() };
}
