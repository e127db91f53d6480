//! The Kafka dialect: what Kafka clients say, and what it means for [`crate::delivery`].

pub mod wire;
