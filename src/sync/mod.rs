//! Locks and atomics of what wakes and hands over. In tests each operation is a point where a test may let another task run.
//!
//! Only the few types use these whose interleavings are tested: see [`interleaved`] and its tests. Elsewhere the plain ones do.

#[cfg(test)]
mod interleaved;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use interleaved::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Mutex};
#[cfg(not(test))]
pub(crate) use parking_lot::Mutex;
#[cfg(not(test))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize};
