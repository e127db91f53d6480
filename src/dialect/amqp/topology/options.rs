//! What a queue's arguments ask of its view, in the words of the core.

use bytes::Bytes;

use super::arguments::{BACKOFF, ORDER_BY_KEY};
use crate::delivery::{Overflow, QueueOptions};
use crate::dialect::amqp::dead_letters::Rule;
use crate::dialect::amqp::wire::{Table, Value};

/// How long ids are remembered if nothing else is said, in milliseconds.
const DEDUPLICATION_MS: u64 = 120_000;
/// How often a message of a quorum queue may fail if nothing else is said, as in RabbitMQ 4.
const QUORUM_DELIVERY_LIMIT: u32 = 20;

/// The options of a queue with these arguments, which were checked before; none: it is a plain one.
pub fn options(vhost: &Bytes, name: &Bytes, arguments: &[u8]) -> Option<Box<QueueOptions>> {
    let table = Table(arguments);
    if table.is_empty() {
        return None;
    }
    let number = |argument: &str| table.get(argument.as_bytes()).and_then(|value| u64::try_from(value.integer()?).ok());
    let text = |argument: &str| table.get(argument.as_bytes()).and_then(|value| value.text()).map(Bytes::copy_from_slice);
    let dead_route = text("x-dead-letter-exchange").map(|exchange| {
        let key = text("x-dead-letter-routing-key");
        Rule { vhost: vhost.clone(), queue: name.clone(), exchange, key }.encode()
    });
    let options = QueueOptions {
        ttl_ms: number("x-message-ttl"),
        idle_ms: number("x-expires"),
        records_max: number("x-max-length"),
        bytes_max: number("x-max-length-bytes"),
        level_max: number("x-max-priority").map(|most| u8::try_from(most).unwrap_or(u8::MAX)),
        lease_ms: number("x-consumer-timeout"),
        ids_ms: (table.get(b"x-message-deduplication") == Some(Value::Bool(true)))
            .then(|| number("x-cache-ttl").unwrap_or(DEDUPLICATION_MS)),
        ids_max: number("x-cache-size"),
        single_taker: table.get(b"x-single-active-consumer") == Some(Value::Bool(true)),
        by_key: table.get(ORDER_BY_KEY.as_bytes()) == Some(Value::Bool(true)),
        retry_doubles: table.get(BACKOFF.as_bytes()) == Some(Value::Text(b"exponential")),
        failures_max: delivery_limit(table),
        retry_min_ms: number("x-delayed-retry-min"),
        retry_max_ms: number("x-delayed-retry-max"),
        overflow: match table.get(b"x-overflow") {
            Some(Value::Text(b"reject-publish")) => Overflow::Refuse,
            Some(Value::Text(b"reject-publish-dlx")) => Overflow::RefuseAndBury,
            Some(Value::Text(b"block")) => Overflow::Wait,
            _ => Overflow::DropOldest,
        },
        dead_route,
    };
    (!options.is_plain()).then(|| Box::new(options))
}

/// A negative limit is none.
fn delivery_limit(table: Table<'_>) -> Option<u32> {
    let is_quorum = table.get(b"x-queue-type") == Some(Value::Text(b"quorum"));
    match table.get(b"x-delivery-limit").and_then(|limit| limit.integer()) {
        Some(limit) => u64::try_from(limit).ok().map(|limit| u32::try_from(limit).unwrap_or(u32::MAX)),
        None => is_quorum.then_some(QUORUM_DELIVERY_LIMIT),
    }
}
