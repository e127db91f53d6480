//! AMQP under kills: confirmed persistent messages on a work queue and a fan-out, and a consumer that settles most of what it
//! is given and sits on the rest.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions, ExchangeDeclareOptions,
    QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer, ExchangeKind};
use rand::Rng;
use rand::rngs::StdRng;

use super::load::{Pace, number_of, payload};
use super::support::{PATIENCE, within};

const QUEUE: &str = "amqp-work";
const FAN_OUT: &str = "amqp-fan-out";
const COPIES: [&str; 2] = ["amqp-copy-1", "amqp-copy-2"];
/// Every so many messages go to the fan-out.
const FAN_OUT_EVERY: u64 = 12;
const PREFETCH: u16 = 60;
/// Deliveries that a consumer sits on at a time.
const HELD_MAX: usize = 25;
/// Acknowledged deliveries after which a confirmed publish on the same channel shows that they are on disk.
const MARK_EVERY: usize = 16;

/// What was promised and what was seen, over all kills.
#[derive(Default)]
pub struct Ledger {
    work: HashMap<u64, Message>,
    /// Confirmed on the fan-out.
    copied: HashSet<u64>,
    /// Delivered and not acknowledged when the gateway was killed.
    held: HashSet<u64>,
    next: u64,
    pub redelivered: u64,
}

#[derive(Default, Clone, Copy, PartialEq, Debug)]
struct Message {
    confirmed: bool,
    delivered: bool,
    acknowledged: bool,
    /// Acknowledged before something that is known to be on disk.
    settled: bool,
}

pub async fn declare(url: &str) {
    let (connection, channel) = open(url).await;
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(FAN_OUT.into(), ExchangeKind::Fanout, durable, FieldTable::default()).await.unwrap();
    for queue in [QUEUE, COPIES[0], COPIES[1]] {
        channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), FieldTable::default()).await.unwrap();
    }
    for queue in COPIES {
        let bound =
            channel.queue_bind(queue.into(), FAN_OUT.into(), "".into(), QueueBindOptions::default(), FieldTable::default());
        bound.await.unwrap();
    }
    within("closing", connection.close(200, "done".into())).await.unwrap();
}

/// Publishes until the connection breaks or the loads end.
pub async fn publish(url: &str, random: &mut StdRng, pace: &Pace, ledger: &Mutex<Ledger>) {
    let Some((_connection, channel)) = open_with_confirms(url).await else { return };
    while !pace.is_ending() {
        let mut waiting = Vec::new();
        for _ in 0..random.random_range(1..20) {
            let number = {
                let mut ledger = ledger.lock().unwrap();
                ledger.next += 1;
                ledger.next
            };
            let body = payload(random, "message", number, 1500);
            let is_copied = number.is_multiple_of(FAN_OUT_EVERY);
            if !is_copied {
                ledger.lock().unwrap().work.insert(number, Message::default());
            }
            match send(&channel, is_copied, &body).await {
                Ok(confirm) => waiting.push((number, is_copied, confirm)),
                Err(_) => return,
            }
        }
        for (number, is_copied, confirm) in waiting {
            match confirm.await {
                Ok(Confirmation::Ack(_)) => {}
                Ok(other) => panic!("message {number}: {other:?}"),
                Err(_) => return,
            }
            let mut ledger = ledger.lock().unwrap();
            match is_copied {
                true => drop(ledger.copied.insert(number)),
                false => ledger.work.entry(number).or_default().confirmed = true,
            }
            pace.count();
        }
    }
}

async fn send(
    channel: &Channel,
    is_copied: bool,
    body: &[u8],
) -> lapin::Result<impl Future<Output = lapin::Result<Confirmation>> + use<>> {
    let (exchange, key) = if is_copied { (FAN_OUT, "") } else { ("", QUEUE) };
    let persistent = BasicProperties::default().with_delivery_mode(2);
    channel.basic_publish(exchange.into(), key.into(), BasicPublishOptions::default(), body, persistent).await
}

/// Consumes until the connection breaks or the loads end.
pub async fn consume(url: &str, random: &mut StdRng, pace: &Pace, ledger: &Mutex<Ledger>) {
    let Some((_connection, channel)) = open_with_confirms(url).await else { return };
    let Ok(mut consumer) = take_from(&channel, QUEUE, PREFETCH).await else { return };
    let (mut held, mut unmarked) = (0, Vec::new());
    while !pace.is_ending() {
        let delivery = match tokio::time::timeout(std::time::Duration::from_millis(100), consumer.next()).await {
            Ok(Some(Ok(delivery))) => delivery,
            Ok(_) => return,
            Err(_) => continue,
        };
        let number = ledger.lock().unwrap().came(&delivery);
        if held < HELD_MAX && random.random_ratio(1, 5) {
            held += 1;
            continue;
        }
        ledger.lock().unwrap().work.entry(number).or_default().acknowledged = true;
        if delivery.ack(BasicAckOptions::default()).await.is_err() {
            return;
        }
        unmarked.push(number);
        if unmarked.len() >= MARK_EVERY && !mark(&channel, ledger, &mut unmarked).await {
            return;
        }
        pace.count();
    }
}

/// Publishes and waits for the confirm: the acknowledgements before it, on the same channel, are then on disk too.
async fn mark(channel: &Channel, ledger: &Mutex<Ledger>, unmarked: &mut Vec<u64>) -> bool {
    let number = {
        let mut ledger = ledger.lock().unwrap();
        ledger.next += 1;
        let number = ledger.next;
        ledger.work.insert(number, Message::default());
        number
    };
    let Ok(confirm) = send(channel, false, format!("message:{number}:").as_bytes()).await else { return false };
    let Ok(Confirmation::Ack(_)) = confirm.await else { return false };
    let mut ledger = ledger.lock().unwrap();
    ledger.work.entry(number).or_default().confirmed = true;
    for number in unmarked.drain(..) {
        ledger.work.entry(number).or_default().settled = true;
    }
    true
}

impl Ledger {
    /// A delivery of the work queue.
    fn came(&mut self, delivery: &Delivery) -> u64 {
        let number = number_of(&delivery.data);
        let message = self.work.entry(number).or_default();
        assert!(!message.settled, "message {number} came again after its acknowledgement was on disk");
        assert!(
            delivery.redelivered || !message.delivered,
            "message {number} came again and was not marked redelivered: {message:?}"
        );
        self.redelivered += u64::from(delivery.redelivered);
        message.delivered = true;
        self.held.remove(&number);
        number
    }

    /// The gateway was killed: what was delivered and not acknowledged must come again.
    pub fn killed(&mut self) {
        let held = self.work.iter().filter(|(_, message)| message.delivered && !message.acknowledged);
        self.held = held.map(|(number, _)| *number).collect();
    }
}

/// After a restart: everything that was held comes again, marked, before anything new is asked for.
pub async fn verify_redelivery(url: &str, ledger: &Mutex<Ledger>) {
    if ledger.lock().unwrap().held.is_empty() {
        return;
    }
    let (connection, channel) = open(url).await;
    let mut consumer = take_from(&channel, QUEUE, 0).await.unwrap();
    while !ledger.lock().unwrap().held.is_empty() {
        let next = tokio::time::timeout(PATIENCE, consumer.next()).await;
        let delivery = match next {
            Ok(Some(delivery)) => delivery.unwrap(),
            _ => panic!("never came again: {:?}", ledger.lock().unwrap().held),
        };
        ledger.lock().unwrap().came(&delivery);
    }
    // Goes without a word to what it holds, as a client does that crashes.
    within("closing", connection.close(200, "done".into())).await.unwrap();
}

/// Takes everything: each message that was confirmed and never acknowledged must be there, and the copies must be the same.
pub async fn verify_all(url: &str, ledger: &Arc<Mutex<Ledger>>) {
    let (connection, channel) = open(url).await;
    for number in drain(&channel, QUEUE).await {
        let mut ledger = ledger.lock().unwrap();
        ledger.came(&number);
        ledger.work.entry(number_of(&number.data)).or_default().acknowledged = true;
    }
    let lost: Vec<_> = {
        let ledger = ledger.lock().unwrap();
        ledger.work.iter().filter(|(_, m)| m.confirmed && !m.acknowledged).map(|(number, _)| *number).collect()
    };
    assert!(lost.is_empty(), "confirmed, never acknowledged and not there: {lost:?}");
    let mut copies = Vec::new();
    for queue in COPIES {
        copies.push(drain(&channel, queue).await.iter().map(|delivery| number_of(&delivery.data)).collect::<Vec<_>>());
    }
    assert_eq!(copies[0], copies[1], "a fan-out is there in all its queues or in none");
    let present: HashSet<u64> = copies[0].iter().copied().collect();
    assert_eq!(present.len(), copies[0].len(), "each once");
    let lost: Vec<_> = ledger.lock().unwrap().copied.difference(&present).copied().collect();
    assert!(lost.is_empty(), "confirmed on the fan-out and not there: {lost:?}");
    within("closing", connection.close(200, "done".into())).await.unwrap();
}

pub async fn drain(channel: &Channel, queue: &str) -> Vec<Delivery> {
    let passive = QueueDeclareOptions { passive: true, durable: true, ..QueueDeclareOptions::default() };
    let count = channel.queue_declare(queue.into(), passive, FieldTable::default()).await.unwrap().message_count();
    let mut consumer = take_from(channel, queue, 0).await.unwrap();
    let mut found = Vec::new();
    for _ in 0..count {
        let next = within(&format!("message {} of {count} of {queue}", found.len()), consumer.next()).await;
        let delivery = next.expect("a message").unwrap();
        delivery.ack(BasicAckOptions::default()).await.unwrap();
        found.push(delivery);
    }
    found
}

pub async fn take_from(channel: &Channel, queue: &str, prefetch: u16) -> lapin::Result<Consumer> {
    channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
    channel.basic_consume(queue.into(), "".into(), BasicConsumeOptions::default(), FieldTable::default()).await
}

pub async fn open(url: &str) -> (Connection, Channel) {
    let connection = within("an AMQP connection", Connection::connect(url, ConnectionProperties::default())).await.unwrap();
    let channel = within("a channel", connection.create_channel()).await.unwrap();
    (connection, channel)
}

/// The same, where publishes are confirmed; none if the gateway is killed meanwhile.
pub async fn open_with_confirms(url: &str) -> Option<(Connection, Channel)> {
    let (connection, channel) = open(url).await;
    channel.confirm_select(ConfirmSelectOptions::default()).await.ok()?;
    Some((connection, channel))
}
