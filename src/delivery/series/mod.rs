//! The series order of a topic: every record has a stamp, a time and a number that rise together, and is found by it.
//!
//! A series is read again and again and never taken from; a record leaves it by being removed or trimmed. A *cohort* is a named view
//! of a series: it remembers how far it has handed records out, to which of its members, and which are not settled yet.
//! [`SeriesState`] is a pure state machine: time is passed in, and a record's stamp is asked for where it is not known.

mod cohort;
mod layout;
mod op;
mod snapshot;
mod stamp;
mod state;
mod view;
mod waiter;

pub use cohort::{Cohort, Held, Member};
pub use op::SeriesOp;
pub use stamp::{STAMP_HEADER, Stamp};
pub use state::{SeriesState, Span, Trim};
pub(super) use view::{SeriesView, load};
pub use waiter::{Answer, Missing, Waiter, Want};

#[cfg(test)]
mod tests;
