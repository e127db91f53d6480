//! Positions in the journal, and waiting until what lies before one is on disk.
//!
//! Everything that leaves the process is gated by an [`Lsn`]: a reply, a confirm or a delivery goes out once the journal
//! is durable up to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::error::Refused;

/// What wakes a connection. A connection has one and hands out clones.
pub type Signal = Arc<Notify>;

/// A position in the journal. What was written before it is durable once the journal is synced up to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Lsn(pub u64);

impl Lsn {
    /// Before everything: always durable.
    pub const NONE: Self = Self(0);
}

/// Up to where the journal is durable, who waits for more, and whether it failed.
#[derive(Debug, Default)]
pub struct Durable {
    synced: AtomicU64,
    failed: AtomicBool,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    signals: Vec<(Lsn, Signal)>,
    reason: Option<Arc<str>>,
}

impl Durable {
    /// Starts with everything before `synced` on disk.
    pub fn new(synced: Lsn) -> Self {
        Self { synced: AtomicU64::new(synced.0), ..Self::default() }
    }

    /// Everything before this is on disk.
    pub fn synced(&self) -> Lsn {
        Lsn(self.synced.load(Ordering::Acquire))
    }

    /// Whether everything before `lsn` is on disk.
    pub fn is_durable(&self, lsn: Lsn) -> bool {
        lsn <= self.synced()
    }

    /// Why nothing becomes durable any more, if that is so.
    pub fn failure(&self) -> Option<Arc<str>> {
        if !self.failed.load(Ordering::Acquire) {
            return None;
        }
        self.waiting.lock().reason.clone()
    }

    /// Notifies the signal once, when `lsn` is durable or the journal has failed; at once if that is so already.
    pub fn wake_at(&self, lsn: Lsn, signal: &Signal) {
        if !self.is_durable(lsn) {
            let mut waiting = self.waiting.lock();
            // Looked at again under the lock: `advance` stores first and then takes it.
            if !self.is_durable(lsn) && waiting.reason.is_none() {
                waiting.signals.push((lsn, Arc::clone(signal)));
                return;
            }
        }
        signal.notify_one();
    }

    /// Waits until `lsn` is durable.
    pub async fn when_durable(&self, lsn: Lsn) -> Result<(), Refused> {
        while !self.is_durable(lsn) {
            if let Some(reason) = self.failure() {
                return Err(Refused::Poisoned(reason));
            }
            let signal = Signal::default();
            self.wake_at(lsn, &signal);
            signal.notified().await;
        }
        Ok(())
    }

    /// Everything before `to` is on disk: wakes who waited for it.
    pub fn advance(&self, to: Lsn) {
        self.synced.store(to.0, Ordering::Release);
        let mut due = Vec::new();
        self.waiting.lock().signals.retain(|(lsn, signal)| {
            let stays = *lsn > to;
            if !stays {
                due.push(Arc::clone(signal));
            }
            stays
        });
        for signal in due {
            signal.notify_one();
        }
    }

    /// Nothing will become durable any more: wakes everyone. The first reason stays.
    pub fn fail(&self, reason: &str) {
        let mut waiting = self.waiting.lock();
        waiting.reason.get_or_insert_with(|| reason.into());
        self.failed.store(true, Ordering::Release);
        for (_, signal) in waiting.signals.drain(..) {
            signal.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiters_wake_in_the_sync_that_covers_them() {
        let durable = Arc::new(Durable::new(Lsn(8)));
        let near = tokio::spawn({
            let durable = Arc::clone(&durable);
            async move { durable.when_durable(Lsn(16)).await }
        });
        let far = tokio::spawn({
            let durable = Arc::clone(&durable);
            async move { durable.when_durable(Lsn(99)).await }
        });
        while durable.waiting.lock().signals.len() < 2 {
            tokio::task::yield_now().await;
        }
        durable.advance(Lsn(16));
        assert_eq!(near.await.expect("no panic"), Ok(()));
        assert_eq!(durable.waiting.lock().signals.len(), 1);
        durable.fail("disk on fire");
        assert_eq!(far.await.expect("no panic"), Err(Refused::Poisoned("disk on fire".into())));
    }

    #[tokio::test]
    async fn what_is_durable_already_never_waits() {
        let durable = Durable::new(Lsn(8));
        assert_eq!(durable.when_durable(Lsn::NONE).await, Ok(()));
        assert_eq!(durable.when_durable(Lsn(8)).await, Ok(()));
    }
}
