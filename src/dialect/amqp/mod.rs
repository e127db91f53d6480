//! AMQP 0-9-1 with RabbitMQ's extensions.

pub mod error;
pub mod exchange;
mod mailbox;
pub mod topology;
pub mod wire;
