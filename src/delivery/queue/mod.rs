//! Point-to-point: what is ready, in flight and done in a queue view of a topic.
//!
//! [`QueueState`] is a pure state machine. Positions go in and out; it has no clock, does no I/O, knows no taker and never sees a
//! record. What must survive a crash is a [`StateOp`] or stands in a snapshot; claims are neither, so they end with the process.

mod arrange;
mod due;
mod keys;
mod lane;
mod marks;
mod op;
mod options;
mod order;
mod place;
mod placed;
mod ranks;
mod runmap;
mod seen;
mod seldom;
mod snapshot;
mod state;
mod timers;
mod traces;

pub use crate::log::runs::RunSet;
pub(in crate::delivery) use due::time_after;
pub use keys::{Holder, Key};
pub use op::{Mark, StateOp, StateOps};
pub use options::{Overflow, QueueOptions};
pub use order::Stretch;
pub use place::{Place, Side};
pub use seen::ID_BYTES_MAX;
pub use snapshot::SnapshotError;
pub use state::{Needed, QueueState, Taken, UnknownPartition};
pub use traces::FailureSpread;

#[cfg(test)]
mod held_tests;
#[cfg(test)]
mod order_tests;
#[cfg(test)]
mod run_tests;
#[cfg(test)]
mod size_tests;
#[cfg(test)]
mod tests;

/// How a record was written, which decides who is to see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Every view sees it.
    Plain,
    /// Tails pass over it.
    Queued,
    /// Queue views of class [`Class::Queued`] pass over it.
    Broadcast,
}

/// Which records a reader of a queue view sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// All of them.
    All,
    /// Not those of [`Kind::Broadcast`].
    Queued,
}

/// An end of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// Where the next record is taken from by default.
    Head,
    /// Where appended records arrive.
    Tail,
}
