//! The wire protocols, one folder each. A dialect translates between its clients and [`crate::delivery`] and knows no other dialect.

pub mod amqp;
pub mod kafka;
pub mod redis;
