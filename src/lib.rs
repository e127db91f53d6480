//! Trunkline: a gateway for Kafka, AMQP 0-9-1 and Redis clients on one partitioned, durable log.
//!
//! Read from the bottom up: [`log`] keeps records, [`delivery`] gives the three ways of reading them, [`dialect`] speaks the
//! wire protocols, and [`gateway`] puts it all together.

pub mod admin;
pub mod cli;
pub mod compare;
pub mod config;
pub mod delivery;
pub mod dialect;
pub mod gateway;
pub mod log;
pub mod net;
pub mod security;
mod sync;
pub mod telemetry;
