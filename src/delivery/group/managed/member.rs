//! One member of a managed group: what it wants, what it is to hold, what it holds, and how it gets from one to the other.

use std::sync::Arc;

use super::assign::{Assignor, Place, Places};
use crate::delivery::group::request::InstanceName;
use crate::log::TopicName;

/// The epoch of a static member that has stepped out and may come back.
pub(super) const AWAY: i32 = -2;

/// How far a member is on its way to what it is to hold. The numbers are Kafka's, as they are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(i8)]
pub(super) enum Progress {
    /// It has all of the target of its epoch.
    #[default]
    Stable = 0,
    /// It still has to let go of something.
    Unrevoked = 1,
    /// It waits for something that others have to let go of.
    Unreleased = 2,
}

impl Progress {
    pub(super) fn from_number(number: i8) -> Option<Self> {
        [Self::Stable, Self::Unrevoked, Self::Unreleased].into_iter().find(|progress| *progress as i8 == number)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) about: About,
    pub(super) epoch: i32,
    pub(super) previous_epoch: i32,
    pub(super) progress: Progress,
    /// What it may work on.
    pub(super) assigned: Places,
    /// What it still has to let go of.
    pub(super) revoking: Places,
    /// What it is to hold in the end.
    pub(super) target: Places,
    /// When it counts as gone if it stays silent.
    pub(super) deadline_ms: u64,
    /// When it counts as gone if it does not let go of what it has to.
    pub(super) revoke_by_ms: Option<u64>,
}

/// What a member says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct About {
    pub(super) instance: Option<InstanceName>,
    pub(super) rack: Option<Arc<str>>,
    pub(super) client_id: Arc<str>,
    pub(super) client_host: Arc<str>,
    pub(super) rebalance_timeout_ms: u32,
    /// In order, each once.
    pub(super) topics: Arc<[TopicName]>,
    pub(super) pattern: Option<Arc<str>>,
    pub(super) assignor: Option<Assignor>,
}

impl Member {
    pub(super) fn new(about: About) -> Self {
        Self {
            about,
            epoch: 0,
            previous_epoch: 0,
            progress: Progress::Stable,
            assigned: Places::new(),
            revoking: Places::new(),
            target: Places::new(),
            deadline_ms: 0,
            revoke_by_ms: None,
        }
    }

    /// Everything that nobody else may have.
    pub(super) fn holds(&self) -> impl Iterator<Item = &Place> {
        self.assigned.iter().chain(&self.revoking)
    }

    pub(super) fn is_reconciled(&self, target_epoch: i32) -> bool {
        self.progress == Progress::Stable && self.epoch == target_epoch
    }

    /// The next step towards the target, given what the member says it has (`None`: as before) and what nobody else holds.
    /// What it has to give up comes first; the epoch grows when it has.
    pub(super) fn advance(&mut self, target_epoch: i32, owned: Option<&Places>, is_free: impl Fn(&Place) -> bool) {
        if self.is_reconciled(target_epoch) {
            return;
        }
        let mut epoch = self.epoch;
        if self.progress == Progress::Unrevoked {
            if still_has(owned, &self.revoking) {
                return;
            }
            epoch = target_epoch;
        }
        let kept: Places = self.assigned.intersection(&self.target).copied().collect();
        let revoking: Places = self.assigned.difference(&kept).copied().collect();
        if !revoking.is_empty() && still_has(owned, &revoking) {
            self.enter(epoch, Progress::Unrevoked);
            (self.assigned, self.revoking) = (kept, revoking);
            return;
        }
        let (given, withheld): (Places, Places) = self.target.difference(&kept).copied().partition(is_free);
        self.enter(target_epoch, if withheld.is_empty() { Progress::Stable } else { Progress::Unreleased });
        self.assigned = kept;
        self.assigned.extend(given);
        self.revoking.clear();
    }

    /// Members that share take over the target at once.
    pub(super) fn take_target(&mut self, target_epoch: i32) {
        self.enter(target_epoch, Progress::Stable);
        self.assigned.clone_from(&self.target);
    }

    fn enter(&mut self, epoch: i32, progress: Progress) {
        if epoch != self.epoch {
            self.previous_epoch = self.epoch;
            self.epoch = epoch;
        }
        self.progress = progress;
    }
}

/// A member that does not say has everything still.
fn still_has(owned: Option<&Places>, any_of: &Places) -> bool {
    owned.is_none_or(|owned| !owned.is_disjoint(any_of))
}
