//! A real gateway on a disk that fails: syncs and writes failed from outside, and a file system that is full. What clients of each
//! dialect see, and that nothing acknowledged is lost.
//!
//! What needs a tool or right that is not there is left out with a line that says so.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::unwrap_used)]

mod support;

#[path = "faults/clients.rs"]
mod clients;
#[path = "faults/failed.rs"]
mod failed;
#[path = "faults/full.rs"]
mod full;
#[path = "faults/machine.rs"]
mod machine;
#[path = "faults/nearly_full.rs"]
mod nearly_full;
