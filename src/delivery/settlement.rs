//! What becomes of a record in flight: the four ways in which any dialect's verb can settle it.

use super::taker::Position;
use super::unit::Unit;
use crate::log::TopicName;

/// How a record in flight is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    /// It is done.
    Accepted,
    /// It goes back to its place; nobody has tried it in vain.
    Released,
    /// It was tried in vain: it goes back to its place, at once or after a wait, or dies of one failure too many.
    Failed,
    /// It is done, and goes where dead records go.
    Rejected,
}

impl Unit<'_> {
    /// Settles records in flight.
    pub fn settle(&mut self, name: &TopicName, at: &[Position], settlement: Settlement) {
        match settlement {
            Settlement::Accepted => self.accept(name, at),
            Settlement::Released => self.release(name, at, false),
            Settlement::Failed => self.release(name, at, true),
            Settlement::Rejected => self.reject(name, at),
        }
    }
}
