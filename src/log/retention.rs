//! What the log asks of the layer above before it lets records go.

use super::embedded::Partition;
use super::lsn::Lsn;
use super::runs::RunSet;

/// What views still need of a partition.
#[derive(Debug, Clone, Default)]
pub struct Needs {
    /// Nothing before this is needed; `u64::MAX`: nothing at all.
    pub floor: u64,
    /// Offsets from the floor on that are not needed.
    pub except: RunSet,
}

impl Needs {
    /// No view needs anything.
    pub fn nothing() -> Self {
        Self { floor: u64::MAX, except: RunSet::default() }
    }

    /// Also needs everything from an offset on.
    pub fn and_from(self, floor: u64) -> Self {
        if self.floor == u64::MAX {
            return Self { floor, except: RunSet::default() };
        }
        let mut except = self.except;
        if floor > self.floor {
            // Between the two floors the exceptions hold; above, everything is needed.
            let last = except.last().map_or(0, |last| last + 1);
            except.remove_range(floor..last.max(floor));
            return Self { floor: self.floor, except };
        }
        // Between the two floors everything is needed, and so it is above.
        Self { floor, except: RunSet::default() }
    }

    /// Whether some offset of the range is needed.
    pub fn any(&self, from: u64, to: u64) -> bool {
        let from = from.max(self.floor);
        from < to && self.except.next_absent(from) < to
    }
}

/// The layer above, as the log sees it.
pub trait Keeper: Send + Sync {
    /// Writes a new put for every key that was last put, or changed by an operation, before `before` and has operations.
    fn checkpoint(&self, before: Lsn);

    /// What views need of a partition.
    fn needs(&self, partition: &Partition) -> Needs;
}
