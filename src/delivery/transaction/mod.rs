//! Transactions: writes to many partitions, and offsets of groups, that count together or not at all.
//!
//! [`Transaction`] is the state of one transactional id as a pure state machine. [`Transactions`] keeps all of them, by name and
//! by producer, and knows whose time is over; the one lock of the views guards it. How a transaction ends is one entry of the
//! journal: markers, offsets and its own state together, so there is nothing to prepare and nothing to finish after a crash.

mod kept;
mod machine;
mod table;

pub use machine::{Begun, Ended, PendingOffset, Producer, State, Transaction};
pub(super) use table::Transactions;
pub use table::{TransactionListing, TransactionSettings};

use crate::log::Table;

/// The state of all transactional ids.
pub(super) const TRANSACTIONS: Table = Table("__transactions");

/// Everything that a transaction can answer other than yes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TransactionError {
    /// A transactional id is 1 to 32767 bytes long.
    #[error("not a legal transactional id")]
    InvalidName,
    /// There is no such transactional id.
    #[error("there is no such transactional id")]
    NotFound,
    /// The transactional id has another producer.
    #[error("the producer is not the one of the transactional id")]
    UnknownProducer,
    /// A newer instance of the producer has taken over, or its time was over.
    #[error("a newer instance has taken over, or the transaction ran out of time")]
    Fenced,
    /// There is nothing to write to, to commit or to abort; or it has ended the other way.
    #[error("the transaction is not in a state for this")]
    InvalidState,
    /// The timeout is none, or longer than allowed.
    #[error("the transaction timeout is out of bounds")]
    InvalidTimeout,
    /// As much exists as may exist.
    #[error("the limit on transactions is reached")]
    TooMany,
    /// The log takes no more.
    #[error("transactions are not available")]
    Unavailable,
}

#[cfg(test)]
mod properties;
