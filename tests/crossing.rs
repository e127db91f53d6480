//! Where the dialects meet: every writer by every reader, with each field's own client library against a running gateway.
//!
//! What arrives of a record in another dialect is the table of `docs/mapping.md`; inside one dialect it is exact.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::unwrap_used)]

mod support;

#[path = "crossing/apart.rs"]
mod apart;
#[path = "crossing/clients.rs"]
mod clients;
#[path = "crossing/envelope.rs"]
mod envelope;
#[path = "crossing/keys.rs"]
mod keys;
#[path = "crossing/limits.rs"]
mod limits;
#[path = "crossing/operating.rs"]
mod operating;
#[path = "crossing/partitions.rs"]
mod partitions;
#[path = "crossing/seen.rs"]
mod seen;
#[path = "crossing/shared.rs"]
mod shared;
#[path = "crossing/streams.rs"]
mod streams;
#[path = "crossing/table.rs"]
mod table;
