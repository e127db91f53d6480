//! How far a partition was compacted, and where compaction has left something because a view held it.
//!
//! Both are written down with the partition: a start goes on where the last pass ended.

use serde::{Deserialize, Serialize};

use crate::log::retention::Needs;

/// How far a partition was compacted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Before this there is one record of a key at most, or a view held another.
    pub to: u64,
    /// When the earliest of the deletions before it may go, in milliseconds; none: there are none.
    pub horizon_ms: Option<i64>,
    /// Where the records lie that only a view held; none: there are none.
    pub held: Option<Held>,
}

/// A stretch with records that compaction would have removed, had no view held them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The first of them, or what a view held before it.
    pub from: u64,
    /// One past the last of them.
    pub to: u64,
    /// How many offsets of the stretch views needed then.
    pub needed: u64,
}

impl Held {
    /// Whether views have let go of half of it: what they let go of one by one costs few passes.
    pub fn is_let_go(&self, needs: &Needs) -> bool {
        needs.count(self.from, self.to).saturating_mul(2) <= self.needed
    }
}
