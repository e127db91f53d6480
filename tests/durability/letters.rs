//! AMQP messages that die and messages that wait, under kills: rejected, expired, failed too often, delayed. Each is in its
//! queue or in that of the dead, never in both, never in none until somebody acknowledged it, and never there before its time.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicGetOptions, BasicPublishOptions, BasicRejectOptions, ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation};
use rand::Rng;
use rand::rngs::StdRng;

use super::amqp::{open, open_with_confirms, take_from};
use super::load::{Pace, number_of, payload};
use super::support::{PATIENCE, within};

const QUEUE: &str = "letters";
const DEAD: &str = "dead-letters";
/// Takes what is published only to have it confirmed.
const MARKS: &str = "letter-marks";
const PREFETCH: u16 = 60;
const FAILURES_MAX: u64 = 2;
const HELD_MAX: usize = 20;
/// Answers after which a confirmed publish on the same channel shows that they are on disk.
const MARK_EVERY: usize = 16;
/// What rounding of times may take away, in milliseconds.
const EARLY_MS: u64 = 2;

/// All letters that may be somewhere.
#[derive(Default)]
pub struct Ledger {
    letters: HashMap<u64, Letter>,
    next: u64,
    pub died: u64,
}

#[derive(Clone, Debug, Default)]
struct Letter {
    confirmed: bool,
    may_expire: bool,
    not_before: Option<Instant>,
    answer: Option<Answer>,
    /// The answer is on disk.
    settled: bool,
    failures: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Acknowledged,
    Rejected,
}

pub async fn declare(url: &str) {
    let (_connection, channel) = open(url).await;
    let mut dying = FieldTable::default();
    dying.insert("x-dead-letter-exchange".into(), AMQPValue::LongString("".into()));
    dying.insert("x-dead-letter-routing-key".into(), AMQPValue::LongString(DEAD.into()));
    dying.insert("x-delivery-limit".into(), AMQPValue::LongInt(FAILURES_MAX as i32));
    for (queue, arguments) in [(QUEUE, dying), (DEAD, FieldTable::default()), (MARKS, FieldTable::default())] {
        channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), arguments).await.unwrap();
    }
}

/// Publishes until the connection breaks or the loads end: some may expire, some wait.
pub async fn publish(url: &str, random: &mut StdRng, pace: &Pace, ledger: &Mutex<Ledger>) {
    let Some((_connection, channel)) = open_with_confirms(url).await else { return };
    while !pace.is_ending() {
        let mut waiting = Vec::new();
        for _ in 0..random.random_range(1..16) {
            let (number, properties) = ledger.lock().unwrap().write(random);
            let body = payload(random, "letter", number, 800);
            match channel.basic_publish("".into(), QUEUE.into(), BasicPublishOptions::default(), &body, properties).await {
                Ok(confirm) => waiting.push((number, confirm)),
                Err(_) => return,
            }
        }
        for (number, confirm) in waiting {
            match confirm.await {
                Ok(Confirmation::Ack(_)) => ledger.lock().unwrap().of(number).confirmed = true,
                Ok(other) => panic!("letter {number}: {other:?}"),
                Err(_) => return,
            }
            pace.count();
        }
    }
}

/// Consumes until the connection breaks or the loads end: acknowledges, rejects, lets fail, or sits on what comes.
pub async fn consume(url: &str, random: &mut StdRng, pace: &Pace, ledger: &Mutex<Ledger>) {
    let Some((_connection, channel)) = open_with_confirms(url).await else { return };
    let Ok(mut consumer) = take_from(&channel, QUEUE, PREFETCH).await else { return };
    let (mut held, mut unmarked) = (0, Vec::new());
    while !pace.is_ending() {
        let Some(Ok(delivery)) = consumer.next().await else { return };
        let number = number_of(&delivery.data);
        ledger.lock().unwrap().came(number);
        let answered = match random.random_range(0..10) {
            0..4 => {
                ledger.lock().unwrap().of(number).answer = Some(Answer::Acknowledged);
                unmarked.push(number);
                delivery.ack(BasicAckOptions::default()).await
            }
            4..7 => {
                ledger.lock().unwrap().of(number).answer = Some(Answer::Rejected);
                unmarked.push(number);
                delivery.reject(BasicRejectOptions { requeue: false }).await
            }
            7 if held < HELD_MAX => {
                held += 1;
                continue;
            }
            _ => {
                ledger.lock().unwrap().of(number).failures += 1;
                delivery.reject(BasicRejectOptions { requeue: true }).await
            }
        };
        if answered.is_err() {
            return;
        }
        if unmarked.len() >= MARK_EVERY {
            if !mark(&channel).await {
                return;
            }
            for number in unmarked.drain(..) {
                ledger.lock().unwrap().of(number).settled = true;
            }
        }
        pace.count();
    }
}

/// Publishes and waits for the confirm: what was done before it on the same channel is then on disk too.
async fn mark(channel: &Channel) -> bool {
    let properties = BasicProperties::default().with_delivery_mode(2);
    match channel.basic_publish("".into(), MARKS.into(), BasicPublishOptions::default(), b"mark", properties).await {
        Ok(confirm) => matches!(confirm.await, Ok(Confirmation::Ack(_))),
        Err(_) => false,
    }
}

impl Ledger {
    fn of(&mut self, number: u64) -> &mut Letter {
        self.letters.get_mut(&number).unwrap_or_else(|| panic!("letter {number} came again after it was done with for good"))
    }

    /// A new letter: its number and properties.
    fn write(&mut self, random: &mut StdRng) -> (u64, BasicProperties) {
        self.next += 1;
        let (mut letter, mut properties) = (Letter::default(), BasicProperties::default().with_delivery_mode(2));
        match random.random_range(0..10) {
            0..2 => {
                letter.may_expire = true;
                properties = properties.with_expiration(random.random_range(0..300).to_string().into());
            }
            2..4 => {
                let delay_ms = random.random_range(1..400);
                letter.not_before = Some(Instant::now() + Duration::from_millis(delay_ms - delay_ms.min(EARLY_MS)));
                let mut headers = FieldTable::default();
                headers.insert("x-delay".into(), AMQPValue::LongInt(delay_ms as i32));
                properties = properties.with_headers(headers);
            }
            _ => {}
        }
        self.letters.insert(self.next, letter);
        (self.next, properties)
    }

    /// A letter came out of its queue.
    fn came(&mut self, number: u64) {
        let letter = self.of(number);
        assert!(letter.not_before.is_none_or(|time| time <= Instant::now()), "letter {number} came before its time: {letter:?}");
        assert!(!letter.settled, "letter {number} came again, its answer was on disk: {letter:?}");
        // What a kill took back may be answered otherwise now.
        letter.answer = None;
    }

    /// Which letters must be somewhere and were not found.
    fn missing(&self, found: &HashMap<u64, bool>) -> Vec<(u64, Letter)> {
        let is_due = |letter: &Letter| letter.confirmed && letter.answer != Some(Answer::Acknowledged);
        let missing = self.letters.iter().filter(|(number, letter)| is_due(letter) && !found.contains_key(number));
        missing.map(|(number, letter)| (*number, letter.clone())).collect()
    }

    /// A letter is in one of the two queues.
    fn found(&mut self, number: u64, is_dead: bool) {
        if !is_dead {
            return self.came(number);
        }
        self.died += 1;
        let letter = self.of(number);
        let may_die = letter.may_expire || letter.answer == Some(Answer::Rejected) || letter.failures > FAILURES_MAX;
        assert!(may_die, "letter {number} is dead for no reason: {letter:?}");
        assert!(!letter.settled || letter.answer == Some(Answer::Rejected), "letter {number} came again: {letter:?}");
    }
}

/// Takes everything out of both queues and holds it against what was promised. None of it may ever come again.
pub async fn verify(url: &str, ledger: &Mutex<Ledger>) {
    let (connection, channel) = open(url).await;
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let mut found = HashMap::new();
    let deadline = Instant::now() + PATIENCE;
    loop {
        // What moves meanwhile moves this way.
        for (queue, is_dead) in [(QUEUE, false), (DEAD, true)] {
            while let Some(message) = channel.basic_get(queue.into(), BasicGetOptions::default()).await.unwrap() {
                let number = number_of(&message.delivery.data);
                ledger.lock().unwrap().found(number, is_dead);
                let other = found.insert(number, is_dead);
                assert!(other.is_none(), "letter {number} is there twice, dead: {other:?} and {is_dead}");
                message.delivery.ack(BasicAckOptions::default()).await.unwrap();
            }
        }
        let missing = ledger.lock().unwrap().missing(&found);
        if missing.is_empty() {
            break;
        }
        assert!(Instant::now() < deadline, "lost: {missing:?}");
        // It waits for its time.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(mark(&channel).await);
    // One that was not confirmed may be there and wait; whatever else was not found is not there.
    let may_wait =
        |number: &u64, letter: &mut Letter| !found.contains_key(number) && !letter.confirmed && letter.not_before.is_some();
    ledger.lock().unwrap().letters.retain(may_wait);
    within("closing", connection.close(200, "done".into())).await.unwrap();
}
