//! AMQP 0-9-1 as lapin sees it, against the dialect on a log of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "amqp/broker.rs"]
mod broker;
#[path = "amqp/consuming.rs"]
mod consuming;
#[path = "amqp/declaring.rs"]
mod declaring;
#[path = "amqp/dying.rs"]
mod dying;
#[path = "amqp/hostile.rs"]
mod hostile;
#[path = "amqp/publishing.rs"]
mod publishing;
#[path = "amqp/restart.rs"]
mod restart;
mod support;
#[path = "amqp/turns.rs"]
mod turns;
#[path = "amqp/views.rs"]
mod views;
