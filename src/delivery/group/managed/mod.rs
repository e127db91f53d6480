//! Groups that assign by themselves (KIP-848): members say what they want and what they hold, in one kind of request, and the
//! group works out who is to hold what and brings each member there step by step. A partition is given to its new owner only
//! when the old one has let go of it. Groups whose members share partitions (KIP-932) are the same without owners.
//!
//! [`Managed`] is one group as a pure state machine: time and the catalog of topics come in from outside.

mod assign;
mod beat;
mod catalog;
mod describe;
mod keep;
mod machine;
mod member;
mod offsets;
mod pattern;
mod record;
mod target;

pub use assign::{Assignor, Place, Places};
pub use beat::{Beat, BeatAnswer, Intent};
pub use catalog::Catalog;
pub use describe::{ManagedDescription, ManagedMember};
pub use machine::{Managed, Sharing};
pub(super) use record::{KeptParts, decode, forget_keys};

#[cfg(test)]
mod persistence;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod scenarios;
