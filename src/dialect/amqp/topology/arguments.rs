//! The arguments of queues and exchanges: which of RabbitMQ's are honoured, which change nothing here, and which are refused.
//!
//! Refusing is deliberate: an argument that promises something must not be swallowed.

use crate::delivery::Start;
use crate::dialect::amqp::error::{Fault, Named};
use crate::dialect::amqp::wire::{Table, Value};
use crate::log::Partitioner;

/// What becomes of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Treatment {
    /// It does what it says.
    Honoured,
    /// It tunes how RabbitMQ keeps a queue, which has no counterpart here.
    NoEffect,
    /// It is an error on the channel.
    Refused,
}

/// The topic that a queue is a view of, if not the one of its own name.
pub const TOPIC: &str = "x-topic";
/// Where a view begins: `earliest`, `latest`, an offset or a time.
pub const START: &str = "x-start";
/// How many partitions the queue's topic is made with.
pub const PARTITIONS: &str = "x-partitions";
/// Which of them a message goes to that asks for none.
pub const PARTITIONER: &str = "x-partitioner";

/// Queue arguments by name. Any other is kept and ignored, as RabbitMQ does.
pub const QUEUE_ARGUMENTS: &[(&str, Treatment)] = &[
    (TOPIC, Treatment::Honoured),
    (START, Treatment::Honoured),
    (PARTITIONS, Treatment::Honoured),
    (PARTITIONER, Treatment::Honoured),
    ("x-queue-type", Treatment::Honoured),
    ("x-queue-mode", Treatment::NoEffect),
    ("x-queue-version", Treatment::NoEffect),
    ("x-queue-master-locator", Treatment::NoEffect),
    ("x-queue-leader-locator", Treatment::NoEffect),
    ("x-quorum-initial-group-size", Treatment::NoEffect),
    ("x-quorum-target-group-size", Treatment::NoEffect),
    ("x-message-ttl", Treatment::Honoured),
    ("x-expires", Treatment::Honoured),
    ("x-max-length", Treatment::Honoured),
    ("x-max-length-bytes", Treatment::Honoured),
    ("x-overflow", Treatment::Honoured),
    ("x-dead-letter-exchange", Treatment::Honoured),
    ("x-dead-letter-routing-key", Treatment::Honoured),
    ("x-dead-letter-strategy", Treatment::Honoured),
    ("x-max-priority", Treatment::Honoured),
    ("x-single-active-consumer", Treatment::Honoured),
    ("x-delivery-limit", Treatment::Honoured),
    ("x-delayed-retry-type", Treatment::Honoured),
    ("x-delayed-retry-min", Treatment::Honoured),
    ("x-delayed-retry-max", Treatment::Honoured),
    ("x-consumer-timeout", Treatment::Honoured),
    ("x-message-deduplication", Treatment::Honoured),
    ("x-cache-size", Treatment::Honoured),
    ("x-cache-ttl", Treatment::Honoured),
    ("x-max-age", Treatment::Refused),
    ("x-stream-max-segment-size-bytes", Treatment::Refused),
];

/// Checks the arguments of a `queue.declare`.
pub fn check_queue(arguments: &[u8], named: &Named) -> Result<(), Fault> {
    for (name, value) in Table(arguments).entries().map_while(Result::ok) {
        let Some((known, treatment)) = QUEUE_ARGUMENTS.iter().find(|(known, _)| known.as_bytes() == name) else { continue };
        match treatment {
            Treatment::Refused => {
                return Err(Fault::UnsupportedArgument { named: named.clone(), argument: (*known).to_owned() });
            }
            Treatment::Honoured => check_honoured(known, value, named)?,
            Treatment::NoEffect => {}
        }
    }
    let has = |name: &str| Table(arguments).get(name.as_bytes()).is_some();
    let needs =
        |argument: &str, reason| Err(Fault::InvalidArgument { named: named.clone(), argument: argument.to_owned(), reason });
    if has("x-dead-letter-routing-key") && !has("x-dead-letter-exchange") {
        return needs("x-dead-letter-routing-key", "routing key given but no dead letter exchange");
    }
    for argument in [PARTITIONS, PARTITIONER] {
        if has(TOPIC) && has(argument) {
            return needs(argument, "the partitions are those of the other topic");
        }
    }
    if has("x-delayed-retry-max") && !has("x-delayed-retry-min") {
        return needs("x-delayed-retry-max", "a longest delay given but no first one");
    }
    Ok(())
}

fn check_honoured(name: &str, value: Value<'_>, named: &Named) -> Result<(), Fault> {
    let invalid = |reason| Err(Fault::InvalidArgument { named: named.clone(), argument: name.to_owned(), reason });
    match (name, value) {
        ("x-queue-type", Value::Text(b"classic" | b"quorum")) => Ok(()),
        ("x-queue-type", Value::Text(b"stream")) => {
            invalid("streams are not supported: every queue's topic can be read again from Kafka")
        }
        ("x-queue-type", _) => invalid("unsupported queue type"),
        ("x-message-ttl" | "x-max-length" | "x-max-length-bytes", value) if !is_count(value, 0) => {
            invalid("expected a number that is not negative")
        }
        (
            "x-expires" | "x-consumer-timeout" | "x-cache-size" | "x-cache-ttl" | "x-delayed-retry-min" | "x-delayed-retry-max",
            value,
        ) if !is_count(value, 1) => invalid("expected a number above 0"),
        ("x-max-priority", value) if !value.integer().is_some_and(|most| (0..=255).contains(&most)) => {
            invalid("expected a number from 0 to 255")
        }
        ("x-single-active-consumer" | "x-message-deduplication", value) if !matches!(value, Value::Bool(_)) => {
            invalid("expected a boolean")
        }
        ("x-delivery-limit", value) if value.integer().is_none() => invalid("expected a number"),
        ("x-dead-letter-exchange" | "x-dead-letter-routing-key", value) if value.text().is_none() => invalid("expected a text"),
        ("x-dead-letter-strategy", Value::Text(b"at-most-once" | b"at-least-once")) => Ok(()),
        ("x-dead-letter-strategy", _) => invalid("unknown strategy"),
        ("x-overflow", Value::Text(b"drop-head" | b"reject-publish" | b"reject-publish-dlx")) => Ok(()),
        ("x-overflow", _) => invalid("unknown overflow behaviour"),
        ("x-delayed-retry-type", Value::Text(b"failed")) => Ok(()),
        ("x-delayed-retry-type", _) => invalid("only failed deliveries can be delayed"),
        (TOPIC, value) if value.text().is_none() => invalid("expected the name of a topic"),
        (PARTITIONS, value) if !is_count(value, 1) => invalid("expected a number above 0"),
        (PARTITIONER, value) if value.text().and_then(Partitioner::named).is_none() => {
            invalid("expected key, given, round-robin, sticky or random")
        }
        (START, value) if start_of(value).is_none() => invalid("expected earliest, latest, an offset or a time"),
        _ => Ok(()),
    }
}

fn is_count(value: Value<'_>, least: i64) -> bool {
    value.integer().is_some_and(|number| number >= least)
}

/// Where a view begins that is declared with these arguments.
pub fn start(arguments: &[u8]) -> Start {
    Table(arguments).get(START.as_bytes()).and_then(start_of).unwrap_or_default()
}

/// How many partitions a queue's topic is to have, and which partitioner, as far as these arguments say.
pub fn partitioning(arguments: &[u8]) -> (Option<u32>, Option<Partitioner>) {
    let table = Table(arguments);
    let count = table.get(PARTITIONS.as_bytes()).and_then(|value| value.integer());
    // More than there can be is refused when the topic is made.
    let count = count.map(|count| u32::try_from(count).unwrap_or(u32::MAX));
    (count, table.get(PARTITIONER.as_bytes()).and_then(|value| value.text()).and_then(Partitioner::named))
}

fn start_of(value: Value<'_>) -> Option<Start> {
    match value {
        Value::Text(b"earliest") => Some(Start::Earliest),
        Value::Text(b"latest") => Some(Start::Latest),
        Value::Timestamp(seconds) => i64::try_from(seconds.checked_mul(1000)?).ok().map(Start::Time),
        other => u64::try_from(other.integer()?).ok().map(Start::Offset),
    }
}

/// Compares all arguments of a queue that do something.
pub fn check_same_queue(declared: &[u8], current: &[u8], named: &Named) -> Result<(), Fault> {
    let names = QUEUE_ARGUMENTS.iter().filter(|(_, treatment)| *treatment == Treatment::Honoured).map(|(name, _)| *name);
    check_equivalent(names, declared, current, named)
}

/// Compares the arguments that matter between a declaration and what is there.
pub fn check_equivalent(
    names: impl IntoIterator<Item = &'static str>,
    declared: &[u8],
    current: &[u8],
    named: &Named,
) -> Result<(), Fault> {
    for name in names {
        let (declared, current) = (Table(declared).get(name.as_bytes()), Table(current).get(name.as_bytes()));
        if declared != current {
            return Err(Fault::Inequivalent {
                named: named.clone(),
                argument: name.to_owned(),
                received: describe(declared),
                current: describe(current),
            });
        }
    }
    Ok(())
}

fn describe(value: Option<Value<'_>>) -> String {
    match value {
        None => "none".to_owned(),
        Some(value) => format!("the value '{}' of type '{}'", display(value), value.type_name()),
    }
}

fn display(value: Value<'_>) -> String {
    match (value.integer(), value.text()) {
        (Some(integer), _) => integer.to_string(),
        (_, Some(text)) => String::from_utf8_lossy(text).into_owned(),
        _ => match value {
            Value::Bool(flag) => flag.to_string(),
            other => other.type_name().to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::amqp::wire::TableBuilder;

    #[test]
    fn what_is_not_done_is_refused_not_swallowed() {
        let named = Named::queue(b"q", b"/");
        let arguments = TableBuilder::new().entry(b"x-max-age", Value::Text(b"1h")).finish();
        let fault = check_queue(&arguments, &named).unwrap_err();
        assert_eq!(fault.text(), "PRECONDITION_FAILED - arg 'x-max-age' for queue 'q' in vhost '/' is not supported");
        let arguments = TableBuilder::new().entry(b"x-queue-type", Value::Text(b"quorum")).entry(b"mine", Value::Void).finish();
        check_queue(&arguments, &named).unwrap();
        let arguments = TableBuilder::new().entry(b"x-queue-type", Value::Text(b"stream")).finish();
        check_queue(&arguments, &named).unwrap_err();
    }

    #[test]
    fn differences_are_told_as_rabbitmq_does() {
        let arguments = TableBuilder::new().entry(b"alternate-exchange", Value::Text(b"other")).finish();
        let named = Named::exchange(b"e", b"/");
        let fault = check_equivalent(["alternate-exchange"], &arguments, b"", &named).unwrap_err();
        assert_eq!(
            fault.to_string(),
            "inequivalent arg 'alternate-exchange' for exchange 'e' in vhost '/': received the value 'other' of type 'longstr' but \
             current is none"
        );
    }
}
