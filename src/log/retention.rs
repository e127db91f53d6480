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
        self.and(Self { floor, except: RunSet::default() })
    }

    /// What either of two needs.
    pub fn and(self, other: Self) -> Self {
        let (low, high) = if self.floor <= other.floor { (self, other) } else { (other, self) };
        if high.floor == u64::MAX {
            return low;
        }
        let mut except = RunSet::default();
        // Below the higher floor only the lower one has a say; above, an exception must be one of both.
        for run in low.except.runs_in(low.floor..high.floor) {
            except.insert_range(run);
        }
        for run in high.except.iter() {
            for both in low.except.runs_in(run) {
                except.insert_range(both);
            }
        }
        Self { floor: low.floor, except }
    }

    /// How many offsets of the range are needed; some of them may have no record.
    pub fn count(&self, from: u64, to: u64) -> u64 {
        let from = from.max(self.floor);
        if from < to { self.except.gaps_in(from..to).map(|gap| gap.end - gap.start).sum() } else { 0 }
    }

    /// The first offset that is needed; `u64::MAX`: none is.
    pub fn first(&self) -> u64 {
        self.except.next_absent(self.floor)
    }

    /// Whether some offset of the range is needed.
    pub fn any(&self, from: u64, to: u64) -> bool {
        let from = from.max(self.floor);
        from < to && self.except.next_absent(from) < to
    }
}

/// Which views are asked what they need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holders {
    /// Those that hand records out one by one.
    Queues,
    /// All, those that remember an offset included.
    All,
}

/// The layer above, as the log sees it.
pub trait Keeper: Send + Sync {
    /// Writes a new put for every key that was last put, or changed by an operation, before `before` and has operations.
    fn checkpoint(&self, before: Lsn);

    /// What views need of a partition.
    fn needs(&self, partition: &Partition, holders: Holders) -> Needs;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn needs() -> impl Strategy<Value = Needs> {
        let except = proptest::collection::btree_set(0_u64..40, 0..20);
        (0_u64..40, except, any::<bool>()).prop_map(|(floor, except, is_nothing)| match is_nothing && floor < 4 {
            true => Needs::nothing(),
            false => Needs { floor, except: except.into_iter().filter(|offset| *offset > floor).collect() },
        })
    }

    proptest! {
        #[test]
        fn two_together_need_what_either_needs(one in needs(), other in needs()) {
            let both = one.clone().and(other.clone());
            for offset in 0..60 {
                let expected = one.any(offset, offset + 1) || other.any(offset, offset + 1);
                prop_assert_eq!(both.any(offset, offset + 1), expected, "{}", offset);
            }
        }
    }
}
