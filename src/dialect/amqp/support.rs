//! What of AMQP 0-9-1 and RabbitMQ's extensions is supported, as data. `docs/compat/amqp.md` is held against it by a test.

use crate::delivery::Settlement;

/// How far something is supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    Yes,
    /// Answered with an error, for the reason given.
    No(&'static str),
    /// Supported with the difference given.
    Partly(&'static str),
}

/// Methods that a client may send, and what becomes of them.
pub const METHODS: &[(&str, Support)] = &[
    ("connection.start-ok", Support::Partly("mechanisms PLAIN and AMQPLAIN")),
    ("connection.secure-ok", Support::No("no mechanism asks twice: 503")),
    ("connection.tune-ok", Support::Yes),
    ("connection.open", Support::Partly("every virtual host is there; it is a prefix of the topic names")),
    ("connection.close", Support::Yes),
    ("connection.close-ok", Support::Yes),
    ("connection.update-secret", Support::No("540")),
    ("channel.open", Support::Yes),
    ("channel.flow", Support::Partly("active=false is 540, as in RabbitMQ")),
    ("channel.close", Support::Yes),
    ("channel.close-ok", Support::Yes),
    ("access.request", Support::Yes),
    ("exchange.declare", Support::Partly("types direct, fanout, topic, headers; argument alternate-exchange")),
    ("exchange.delete", Support::Yes),
    ("exchange.bind", Support::Yes),
    ("exchange.unbind", Support::Yes),
    ("queue.declare", Support::Partly("arguments as listed below")),
    ("queue.bind", Support::Yes),
    ("queue.purge", Support::Yes),
    ("queue.delete", Support::Partly("a topic that another dialect made stays; the queue on it goes")),
    ("queue.unbind", Support::Yes),
    ("basic.qos", Support::Partly("prefetch_size other than 0 is 540; global applies to consumers that come later")),
    ("basic.consume", Support::Partly("no-local has no effect, as in RabbitMQ")),
    ("basic.cancel", Support::Yes),
    ("basic.publish", Support::Partly("immediate=true is 540, as in RabbitMQ")),
    ("basic.get", Support::Yes),
    ("basic.ack", Support::Yes),
    ("basic.nack", Support::Yes),
    ("basic.reject", Support::Yes),
    ("basic.recover", Support::Partly("requeue=false is 540, as in RabbitMQ")),
    ("basic.recover-async", Support::Partly("requeue=false is 540, as in RabbitMQ")),
    ("confirm.select", Support::Yes),
    ("tx.select", Support::Yes),
    ("tx.commit", Support::Partly("atomic over all queues, which RabbitMQ does not promise")),
    ("tx.rollback", Support::Yes),
];

/// `basic.nack` with requeue.
pub const NACKED: Settlement = Settlement::Released;
/// `basic.reject` with requeue.
pub const REJECTED: Settlement = Settlement::Failed;
/// `basic.nack` or `basic.reject` without requeue.
pub const DISCARDED: Settlement = Settlement::Rejected;
/// `basic.recover`.
pub const RECOVERED: Settlement = Settlement::Released;
/// A channel that was closed or a connection that was lost held it.
pub const ABANDONED: Settlement = Settlement::Failed;
/// A consumer ended before it was delivered.
pub const UNDELIVERED: Settlement = Settlement::Released;

/// What settles a delivery, and how. `docs/mapping.md` is held against it by a test.
pub const SETTLING: &[(&str, Settlement)] = &[
    ("`basic.ack`, or consumed without acknowledgement", Settlement::Accepted),
    ("`basic.nack` with requeue", NACKED),
    ("`basic.reject` with requeue", REJECTED),
    ("`basic.nack` or `basic.reject` without requeue", DISCARDED),
    ("`basic.recover`", RECOVERED),
    ("closed channel, lost connection", ABANDONED),
    ("consumer ended before the delivery", UNDELIVERED),
    ("not settled within `x-consumer-timeout`", Settlement::Failed),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::amqp::topology::arguments::QUEUE_ARGUMENTS;
    use crate::dialect::amqp::wire::method::{METHODS as WIRE_METHODS, protocol_name};

    const PAGE: &str = include_str!("../../../docs/compat/amqp.md");

    const MAPPING: &str = include_str!("../../../docs/mapping.md");

    #[test]
    fn the_mapping_says_what_settles_how() {
        for (verb, settlement) in SETTLING {
            let row = format!("| AMQP {verb} | {} |", format!("{settlement:?}").to_lowercase());
            assert!(MAPPING.contains(&row), "docs/mapping.md lacks: {row}");
        }
    }

    /// Methods that only a server sends.
    const FROM_SERVER: &[&str] = &[
        "connection.start",
        "connection.secure",
        "connection.tune",
        "connection.open-ok",
        "connection.blocked",
        "connection.unblocked",
        "connection.update-secret-ok",
        "channel.open-ok",
        "channel.flow-ok",
        "access.request-ok",
        "exchange.declare-ok",
        "exchange.delete-ok",
        "exchange.bind-ok",
        "exchange.unbind-ok",
        "queue.declare-ok",
        "queue.bind-ok",
        "queue.purge-ok",
        "queue.delete-ok",
        "queue.unbind-ok",
        "basic.qos-ok",
        "basic.consume-ok",
        "basic.cancel-ok",
        "basic.return",
        "basic.deliver",
        "basic.get-ok",
        "basic.get-empty",
        "basic.recover-ok",
        "confirm.select-ok",
        "tx.select-ok",
        "tx.commit-ok",
        "tx.rollback-ok",
    ];

    #[test]
    fn every_method_of_the_codec_is_listed() {
        for (_, _, name) in WIRE_METHODS {
            let name = protocol_name(name);
            let listed = METHODS.iter().any(|(listed, _)| *listed == name);
            assert!(listed != FROM_SERVER.contains(&name.as_str()), "{name}");
        }
    }

    #[test]
    fn the_page_says_what_the_table_says() {
        for (method, support) in METHODS {
            let row = match support {
                Support::Yes => format!("| `{method}` | yes | |"),
                Support::No(reason) => format!("| `{method}` | no | {reason} |"),
                Support::Partly(difference) => format!("| `{method}` | yes | {difference} |"),
            };
            assert!(PAGE.contains(&row), "docs/compat/amqp.md lacks: {row}");
        }
        for (argument, treatment) in QUEUE_ARGUMENTS {
            let row = format!("| `{argument}` | {} |", format!("{treatment:?}").to_lowercase());
            assert!(PAGE.contains(&row), "docs/compat/amqp.md lacks: {row}");
        }
    }
}
