//! Positions in the journal, and waiting until what lies before one is safe.
//!
//! Everything that leaves the process is held back by a [`Barrier`]: a reply, a confirm or a delivery goes out once the
//! journal is synced, or where less was asked for written, up to the positions that it names.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::thread::Thread;

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::error::Refused;
use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Mutex};

/// What wakes a connection. A connection has one and hands out clones.
pub type Signal = Arc<Notify>;

/// A position in the journal: how many bytes lie before it since the journal began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Lsn(pub u64);

impl Lsn {
    /// Before everything.
    pub const NONE: Self = Self(0);
    /// Behind everything that will ever be.
    pub const MAX: Self = Self(u64::MAX);
}

/// What must have happened to a record before it is acknowledged and read. Stronger is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Handed to the operating system, which writes it to disk when it sees fit: survives the end of the process, not of
    /// the machine.
    Os,
    /// As [`Self::Os`], and synced at least so often as configured.
    Interval,
    /// On disk.
    #[default]
    Fsync,
}

/// What the journal must have come to before something may leave the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Barrier {
    synced: Lsn,
    written: Lsn,
}

impl Barrier {
    /// Nothing is waited for.
    pub const NONE: Self = Self { synced: Lsn::NONE, written: Lsn::NONE };
    /// What never comes.
    pub const NEVER: Self = Self { synced: Lsn::MAX, written: Lsn::MAX };

    /// Everything before a position is as safe as asked.
    pub(crate) fn at(lsn: Lsn, durability: Durability) -> Self {
        match durability {
            Durability::Fsync => Self { synced: lsn, written: Lsn::NONE },
            Durability::Interval | Durability::Os => Self { synced: Lsn::NONE, written: lsn },
        }
    }

    /// The position that must be synced.
    #[cfg(test)]
    pub(crate) fn synced(self) -> Lsn {
        self.synced
    }

    /// Both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { synced: self.synced.max(other.synced), written: self.written.max(other.written) }
    }

    /// Whether waiting for this waits for the other, too.
    pub fn covers(self, other: Self) -> bool {
        self.and(other) == self
    }
}

/// How far the journal had come at one moment.
///
/// Whoever looks at several barriers and then waits for those that were not passed must look at one moment: what is passed
/// between two looks would be neither let out nor waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    synced: Lsn,
    written: Lsn,
}

impl Progress {
    /// Whether what waits for a barrier may leave.
    pub fn passes(self, barrier: Barrier) -> bool {
        barrier.synced <= self.synced && barrier.written <= self.written
    }
}

/// Up to where the journal is written and synced, who waits for more, and whether it failed.
#[derive(Debug, Default)]
pub struct Durable {
    synced: AtomicU64,
    written: AtomicU64,
    /// The farthest position that somebody waits to be synced up to.
    wanted: AtomicU64,
    /// How many the last sync has woken.
    woken: AtomicUsize,
    failed: AtomicBool,
    waiting: Mutex<Waiting>,
    /// Who writes the journal, to be woken when there is something to do.
    writer: OnceLock<Thread>,
    handed: Mutex<Handed>,
}

/// What another thread wakes in the place of the one who writes the journal, who goes on with the next write meanwhile.
#[derive(Debug, Default)]
struct Handed {
    due: Vec<(Barrier, Signal)>,
    /// Who wakes them, while somebody does.
    waker: Option<Thread>,
    is_ending: bool,
}

/// As many are handed to the waker at a time: each wake-up of a task on another core costs a third to half a microsecond, the
/// hand-off as much as some dozens of them.
const HANDED_MIN: usize = 96;

#[derive(Debug, Default)]
struct Waiting {
    signals: Vec<(Barrier, Signal)>,
    reason: Option<Arc<str>>,
}

impl Durable {
    /// Starts with everything before `synced` on disk.
    pub fn new(synced: Lsn) -> Self {
        Self { synced: AtomicU64::new(synced.0), written: AtomicU64::new(synced.0), ..Self::default() }
    }

    /// Everything before this is on disk.
    pub fn synced(&self) -> Lsn {
        Lsn(self.synced.load(Ordering::Acquire))
    }

    /// Everything before this was handed to the operating system.
    pub fn written(&self) -> Lsn {
        Lsn(self.written.load(Ordering::Acquire))
    }

    /// Recovery has found everything before this, and nothing behind it.
    pub fn start_at(&self, lsn: Lsn) {
        self.written.store(lsn.0, Ordering::Release);
        self.synced.store(lsn.0, Ordering::Release);
    }

    /// How far it has come.
    pub fn progress(&self) -> Progress {
        Progress { synced: self.synced(), written: self.written() }
    }

    /// Whether something may leave.
    pub fn is_durable(&self, barrier: Barrier) -> bool {
        self.progress().passes(barrier)
    }

    /// Whether somebody waits for a sync that has not been.
    pub fn wants_sync(&self) -> bool {
        self.wanted.load(Ordering::Acquire) > self.synced.load(Ordering::Acquire)
    }

    /// Whether several wait for the disk at a time: somebody does now, or more than one did until the last sync.
    pub fn is_crowded(&self) -> bool {
        self.woken.load(Ordering::Relaxed) > 1 || !self.waiting.lock().signals.is_empty()
    }

    /// Why nothing becomes durable any more, if that is so.
    pub fn failure(&self) -> Option<Arc<str>> {
        if !self.failed.load(Ordering::Acquire) {
            return None;
        }
        self.waiting.lock().reason.clone()
    }

    /// The calling thread is the one that writes the journal.
    pub fn set_writer(&self) {
        let _ = self.writer.set(std::thread::current());
    }

    /// Wakes the writer; it looks for what there is to do.
    pub fn wake_writer(&self) {
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }

    /// Has everything before a position synced, even what did not ask for it.
    pub fn want_sync(&self, lsn: Lsn) {
        // What nobody can reach is not worth a sync.
        if lsn < Lsn::MAX && self.wanted.fetch_max(lsn.0, Ordering::AcqRel) < lsn.0 {
            self.wake_writer();
        }
    }

    /// Notifies the signal once, when the barrier is passed or the journal has failed; at once if that is so already.
    pub fn wake_at(&self, barrier: Barrier, signal: &Signal) {
        if !self.is_durable(barrier) {
            let mut waiting = self.waiting.lock();
            // Looked at again under the lock: `advance` stores first and then takes it.
            if !self.is_durable(barrier) && waiting.reason.is_none() {
                waiting.signals.push((barrier, Arc::clone(signal)));
                drop(waiting);
                self.want_sync(barrier.synced);
                return;
            }
        }
        signal.notify_one();
    }

    /// Waits until the barrier is passed.
    pub async fn when_durable(&self, barrier: Barrier) -> Result<(), Refused> {
        while !self.is_durable(barrier) {
            if let Some(reason) = self.failure() {
                return Err(Refused::Poisoned(reason));
            }
            let signal = Signal::default();
            self.wake_at(barrier, &signal);
            signal.notified().await;
        }
        Ok(())
    }

    /// Everything before `to` was handed to the operating system: wakes who waited for no more than that.
    pub fn wrote(&self, to: Lsn) {
        self.written.store(to.0, Ordering::Release);
        self.wake_due();
    }

    /// As [`Self::wrote`], where a sync follows and nobody waits for less.
    pub fn wrote_silently(&self, to: Lsn) {
        self.written.store(to.0, Ordering::Release);
    }

    /// Everything before `to` is on disk: wakes who waited for it.
    pub fn advance(&self, to: Lsn) {
        self.written.fetch_max(to.0, Ordering::AcqRel);
        self.synced.store(to.0, Ordering::Release);
        let woken = self.wake_due();
        self.woken.store(woken, Ordering::Relaxed);
    }

    fn wake_due(&self) -> usize {
        let progress = self.progress();
        let mut due: Vec<_> = self.waiting.lock().signals.extract_if(.., |(barrier, _)| progress.passes(*barrier)).collect();
        let count = due.len();
        if count < HANDED_MIN || !self.hand_over(&mut due) {
            due.iter().for_each(|(_, signal)| signal.notify_one());
        }
        count
    }

    /// Whether somebody will wake them.
    fn hand_over(&self, due: &mut Vec<(Barrier, Signal)>) -> bool {
        let mut handed = self.handed.lock();
        let Some(waker) = handed.waker.clone() else { return false };
        handed.due.append(due);
        drop(handed);
        waker.unpark();
        true
    }

    /// Wakes those whom the writer hands over, until [`Self::end_waker`] is called. Runs on a thread of its own.
    pub fn run_waker(&self) {
        self.handed.lock().waker = Some(std::thread::current());
        loop {
            let due = {
                let mut handed = self.handed.lock();
                if handed.is_ending && handed.due.is_empty() {
                    handed.waker = None;
                    return;
                }
                std::mem::take(&mut handed.due)
            };
            if due.is_empty() {
                std::thread::park();
            }
            due.iter().for_each(|(_, signal)| signal.notify_one());
        }
    }

    /// Lets [`Self::run_waker`] end once everyone was woken.
    pub fn end_waker(&self) {
        let mut handed = self.handed.lock();
        handed.is_ending = true;
        if let Some(waker) = &handed.waker {
            waker.unpark();
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

    fn synced(lsn: u64) -> Barrier {
        Barrier::at(Lsn(lsn), Durability::Fsync)
    }

    #[tokio::test]
    async fn waiters_wake_in_the_sync_that_covers_them() {
        let durable = Arc::new(Durable::new(Lsn(8)));
        let near = tokio::spawn({
            let durable = Arc::clone(&durable);
            async move { durable.when_durable(synced(16)).await }
        });
        let far = tokio::spawn({
            let durable = Arc::clone(&durable);
            async move { durable.when_durable(synced(99)).await }
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
    async fn many_are_woken_by_another_thread_and_nobody_is_forgotten() {
        let durable = Arc::new(Durable::new(Lsn(8)));
        let waker = std::thread::spawn({
            let durable = Arc::clone(&durable);
            move || durable.run_waker()
        });
        while durable.handed.lock().waker.is_none() {
            tokio::task::yield_now().await;
        }
        for round in 1..=20 {
            let to = 8 + round * 8;
            let signals: Vec<Signal> = (0..HANDED_MIN * 2).map(|_| Signal::default()).collect();
            signals.iter().for_each(|signal| durable.wake_at(synced(to), signal));
            durable.advance(Lsn(to));
            for signal in signals {
                signal.notified().await;
            }
        }
        durable.end_waker();
        waker.join().expect("no panic");
        let late: Vec<Signal> = (0..HANDED_MIN).map(|_| Signal::default()).collect();
        late.iter().for_each(|signal| durable.wake_at(synced(1_000), signal));
        durable.advance(Lsn(1_000));
        for signal in late {
            signal.notified().await;
        }
    }

    #[tokio::test]
    async fn what_is_durable_already_never_waits() {
        let durable = Durable::new(Lsn(8));
        assert_eq!(durable.when_durable(Barrier::NONE).await, Ok(()));
        assert_eq!(durable.when_durable(synced(8)).await, Ok(()));
    }

    #[test]
    fn who_asks_for_less_does_not_wait_for_the_disk() {
        let durable = Durable::new(Lsn(8));
        let weak = Barrier::at(Lsn(16), Durability::Os);
        durable.wrote(Lsn(16));
        assert!(durable.is_durable(weak));
        assert!(!durable.is_durable(synced(16)));
        assert!(!durable.is_durable(weak.and(synced(9))));
        assert!(weak.and(synced(9)).covers(synced(9)) && !weak.covers(synced(9)));
        durable.advance(Lsn(16));
        assert!(durable.is_durable(weak.and(synced(9))));
    }
}
