//! Dead letters: where a record that died in a queue goes, and its history as RabbitMQ writes it.
//!
//! The queue view keeps a [`Rule`] as bytes; when a record dies it comes back here with the record, and the exchange decides. History
//! is `x-death`, one entry a queue and reason, the newest first, and the headers for the first and the last death. A record
//! that would come back to a queue by itself, without a rejection since it was last there, is dropped, as in RabbitMQ.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;

use super::exchange::QueueId;
use super::mapping::{Message, Outgoing, fill_record, order_key, placing, record_id, to_message};
use super::round::TABLE;
use super::routes::{more_keys, name_in, prefix_of};
use super::topology::Topology;
use super::wire::field::{Reader, Writer};
use super::wire::table::array_values;
use super::wire::{Properties, Table, TableBuilder, Value, WireError};
use crate::delivery::{Attributes, Burial, Death, Ended, Reason, Steward, Target, partition_of};
use crate::log::record::Record;
use crate::log::{Log, TopicName};

const X_DEATH: &[u8] = b"x-death";
const CC: &[u8] = b"CC";
const REJECTED: &[u8] = b"rejected";

/// What a queue's arguments say of dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub vhost: Bytes,
    pub queue: Bytes,
    pub exchange: Bytes,
    /// The routing key in place of the message's own.
    pub key: Option<Bytes>,
}

impl Rule {
    /// As a queue view keeps it.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        let mut writer = Writer::new(&mut out);
        writer.bit(self.key.is_some());
        for field in [&self.vhost, &self.queue, &self.exchange].into_iter().chain(&self.key) {
            writer.longstr(field);
        }
        writer.finish();
        out.freeze()
    }

    fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let has_key = reader.bit()?;
        let mut field = || reader.longstr().map(Bytes::copy_from_slice);
        Ok(Self { vhost: field()?, queue: field()?, exchange: field()?, key: has_key.then(field).transpose()? })
    }
}

/// One entry of the history.
struct Entry<'a> {
    queue: &'a [u8],
    reason: &'a [u8],
    /// The bytes of a table.
    table: std::borrow::Cow<'a, [u8]>,
}

/// Knows where dead letters go.
pub struct DeadLetters {
    topology: Arc<Mutex<Topology>>,
    log: Log,
}

impl DeadLetters {
    pub fn new(topology: Arc<Mutex<Topology>>, log: Log) -> Self {
        Self { topology, log }
    }

    /// The targets of a message from an exchange, without those where it would go round in circles.
    fn targets(&self, rule: &Rule, message: &Message, headers: Table<'_>, history: &[Entry<'_>]) -> Vec<Target> {
        let keys = || std::iter::once(&message.routing_key[..]).chain(more_keys(headers));
        let mut topology = self.topology.lock();
        let mut routed: Vec<QueueId> = Vec::new();
        let mut targets = Vec::new();
        if message.exchange.is_empty() {
            for key in keys() {
                match topology.queue_id(&rule.vhost, key) {
                    Some(id) => routed.push(id),
                    None if !is_circle(history, key) => self.add_by_name(&rule.vhost, key, &mut targets),
                    None => {}
                }
            }
        } else if let Some(exchange) = topology.exchange_id(&rule.vhost, &message.exchange) {
            topology.route(exchange, keys(), headers.0, &mut routed);
        }
        for queue in routed.iter().filter_map(|id| topology.queue(*id)) {
            if !is_circle(history, &queue.name)
                && let Some(topic) = self.log.topic(&queue.place.topic)
            {
                add(&mut targets, Target { topic, partition: 0 });
            }
        }
        targets
    }

    fn add_by_name(&self, vhost: &[u8], key: &[u8], targets: &mut Vec<Target>) {
        let topic = prefix_of(vhost).and_then(|prefix| name_in(&prefix, key)).and_then(|name| self.log.topic(&name));
        if let Some(topic) = topic {
            add(targets, Target { topic, partition: 0 });
        }
    }
}

fn add(targets: &mut Vec<Target>, target: Target) {
    if !targets.iter().any(|other| Arc::ptr_eq(&other.topic, &target.topic)) {
        targets.push(target);
    }
}

impl Steward for DeadLetters {
    fn bury(&self, death: &Death, record: &Record) -> Option<Burial> {
        let rule = Rule::decode(&death.route).ok()?;
        let dead = to_message(record, &rule.queue);
        let view = Properties::decode(&dead.properties).ok()?;
        let old = Table(view.headers.unwrap_or_default());
        let history = history(&rule, death, &dead, &view, old);
        let headers = headers(&rule, death, &dead, old, &history);
        let mut properties = BytesMut::new();
        Properties { headers: Some(&headers), expiration: None, ..view }.encode(&mut properties);
        let message = Message {
            exchange: rule.exchange.clone(),
            routing_key: rule.key.clone().unwrap_or_else(|| Bytes::copy_from_slice(&dead.routing_key)),
            properties: properties.freeze(),
            body: record.value.clone().unwrap_or_default(),
        };
        let targets = self.targets(&rule, &message, Table(&headers), &history);
        if targets.is_empty() {
            tracing::debug!(queue = %death.queue, reason = ?death.reason, "a dead letter goes nowhere");
            return None;
        }
        written(&message, targets, death.time_ms)
    }

    fn restore(&self, view: &TopicName, record: &Record, now_ms: i64) -> Option<Burial> {
        let dead = to_message(record, b"");
        let properties = Properties::decode(&dead.properties).ok()?;
        let Some(Value::Array(entries)) = Table(properties.headers?).get(X_DEATH) else { return None };
        let Some(Value::Table(last)) = array_values(entries).next() else { return None };
        let last = Table(last);
        let topic = {
            let topology = self.topology.lock();
            let (_, lies_in) = topology.queues().find(|(_, queue)| queue.place.view() == view)?;
            let came_from = topology.queue(topology.queue_id(&lies_in.vhost, last.get(b"queue")?.text()?)?)?;
            self.log.topic(&came_from.place.topic)?
        };
        let Some(Value::Array(keys)) = last.get(b"routing-keys") else { return None };
        // Its route is that by which it first came, and its history stays with it.
        let message = Message {
            exchange: Bytes::copy_from_slice(last.get(b"exchange")?.text()?),
            routing_key: Bytes::copy_from_slice(array_values(keys).next()?.text()?),
            properties: Bytes::copy_from_slice(&dead.properties),
            body: record.value.clone().unwrap_or_default(),
        };
        written(&message, vec![Target { topic, partition: 0 }], now_ms)
    }

    fn record_id(&self, record: &Record) -> Option<Bytes> {
        record_id(record)
    }

    fn order_key(&self, record: &Record) -> Option<Bytes> {
        order_key(record)
    }

    fn end(&self, view: &TopicName) -> Ended {
        let mut topology = self.topology.lock();
        let ids: Vec<_> = topology.queues().filter(|(_, queue)| queue.place.view() == view).map(|(id, _)| id).collect();
        let removed: Vec<_> = ids.into_iter().filter_map(|id| topology.remove_queue(id)).collect();
        let states = topology.take_changes().into_iter().map(|(key, value)| (TABLE, key, value)).collect();
        Ended { with_topic: removed.iter().any(|queue| !queue.foreign), states }
    }
}

/// A message as the record that its targets get.
fn written(message: &Message, mut targets: Vec<Target>, now_ms: i64) -> Option<Burial> {
    let mut record = Record { key: None, value: None, headers: Vec::new(), timestamp_ms: 0 };
    let view = Properties::decode(&message.properties).ok()?;
    fill_record(&mut record, message, &view, now_ms);
    for target in &mut targets {
        target.partition = partition_of(&target.topic, &placing(&record, message, &view));
    }
    let attributes = Attributes { level: view.priority.unwrap_or(0), ..Attributes::default() };
    Some(Burial { targets, record, attributes })
}

fn reason_name(reason: Reason) -> &'static [u8] {
    match reason {
        Reason::Rejected => REJECTED,
        Reason::Expired => b"expired",
        Reason::Overflow => b"maxlen",
        Reason::DeliveryLimit => b"delivery_limit",
    }
}

/// Whether a message was in the queue before and has come away from there without a rejection ever since.
fn is_circle(history: &[Entry<'_>], queue: &[u8]) -> bool {
    let last = history.iter().position(|entry| entry.queue == queue);
    last.is_some_and(|at| history.iter().take(at + 1).all(|entry| entry.reason != REJECTED))
}

/// The deaths of a message, this one first.
fn history<'a>(rule: &'a Rule, death: &Death, dead: &Outgoing<'_>, view: &Properties<'_>, headers: Table<'a>) -> Vec<Entry<'a>> {
    let reason = reason_name(death.reason);
    let mut all = Vec::new();
    if let Some(Value::Array(entries)) = headers.get(X_DEATH) {
        all.extend(array_values(entries).filter_map(entry_of));
    }
    let known = all.iter().position(|entry| entry.queue == rule.queue && entry.reason == reason);
    let table = match known.map(|at| all.remove(at)) {
        Some(entry) => counted_again(&entry.table),
        None => first_entry(rule, death, dead, view, headers),
    };
    all.insert(0, Entry { queue: &rule.queue, reason, table: table.to_vec().into() });
    all
}

fn entry_of(value: Value<'_>) -> Option<Entry<'_>> {
    let Value::Table(bytes) = value else { return None };
    let table = Table(bytes);
    Some(Entry { queue: table.get(b"queue")?.text()?, reason: table.get(b"reason")?.text()?, table: bytes.into() })
}

fn counted_again(entry: &[u8]) -> BytesMut {
    let mut table = TableBuilder::new();
    for (name, value) in Table(entry).entries().map_while(Result::ok) {
        match (name, value.integer()) {
            (b"count", Some(count)) => table.push(name, Value::I64(count.saturating_add(1))),
            _ => table.push(name, value),
        }
    }
    table.finish()
}

fn first_entry(rule: &Rule, death: &Death, dead: &Outgoing<'_>, view: &Properties<'_>, headers: Table<'_>) -> BytesMut {
    let mut keys = BytesMut::new();
    Value::Text(&dead.routing_key).write(&mut keys);
    if let Some(Value::Array(more)) = headers.get(CC) {
        array_values(more).filter_map(|key| key.text()).for_each(|key| Value::Text(key).write(&mut keys));
    }
    let mut table = TableBuilder::new();
    table.push(b"count", Value::I64(1));
    table.push(b"reason", Value::Text(reason_name(death.reason)));
    table.push(b"queue", Value::Text(&rule.queue));
    table.push(b"time", Value::Timestamp(u64::try_from(death.time_ms / 1000).unwrap_or(0)));
    table.push(b"exchange", Value::Text(dead.exchange));
    table.push(b"routing-keys", Value::Array(&keys));
    if let Some(expiration) = view.expiration {
        table.push(b"original-expiration", Value::Text(expiration));
    }
    table.finish()
}

/// The headers of a dead letter: those it had, and its history.
fn headers(rule: &Rule, death: &Death, dead: &Outgoing<'_>, old: Table<'_>, history: &[Entry<'_>]) -> BytesMut {
    const FIRST: [&[u8]; 3] = [b"x-first-death-reason", b"x-first-death-queue", b"x-first-death-exchange"];
    const LAST: [&[u8]; 3] = [b"x-last-death-reason", b"x-last-death-queue", b"x-last-death-exchange"];
    let mut table = TableBuilder::new();
    for (name, value) in old.entries().map_while(Result::ok) {
        let is_route = rule.key.is_some() && name == CC;
        if name != X_DEATH && !LAST.contains(&name) && !is_route {
            table.push(name, value);
        }
    }
    let mut entries = BytesMut::new();
    history.iter().for_each(|entry| Value::Table(&entry.table).write(&mut entries));
    table.push(X_DEATH, Value::Array(&entries));
    let values = [reason_name(death.reason), &rule.queue, dead.exchange];
    let is_first = old.get(FIRST[0]).is_none();
    for (name, value) in FIRST.into_iter().zip(values).filter(|_| is_first).chain(LAST.into_iter().zip(values)) {
        table.push(name, Value::Text(value));
    }
    table.finish()
}
