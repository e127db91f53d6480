//! How many connections there may be at once, over all listeners together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A cap on open connections. Clones share one count.
#[derive(Clone, Debug)]
pub struct ConnectionLimit {
    room: Arc<Semaphore>,
    next_id: Arc<AtomicU64>,
    total: usize,
}

impl ConnectionLimit {
    /// At most `connections` at once.
    #[must_use]
    pub fn new(connections: usize) -> Self {
        let total = connections.min(Semaphore::MAX_PERMITS);
        Self { room: Arc::new(Semaphore::new(total)), next_id: Arc::new(AtomicU64::new(1)), total }
    }

    /// The cap.
    #[must_use]
    pub fn total(&self) -> usize {
        self.total
    }

    /// How many connections are open now.
    #[must_use]
    pub fn open(&self) -> usize {
        self.total.saturating_sub(self.room.available_permits())
    }

    /// Room for one connection until the permit is dropped; `None` when there is none.
    pub(super) fn admit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.room).try_acquire_owned().ok()
    }

    pub(super) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }
}

/// Asks the system for as many open files as `connections` and the log need, and returns how many it grants.
///
/// The soft limit is raised no further than the hard limit; the caller compares and warns.
pub fn raise_open_files_limit(connections: usize) -> u64 {
    const FOR_THE_LOG: u64 = 1024;
    let wanted = u64::try_from(connections).unwrap_or(u64::MAX).saturating_add(FOR_THE_LOG);
    let mut limit = getrlimit(Resource::Nofile);
    let granted = limit.current.unwrap_or(u64::MAX);
    if granted >= wanted {
        return granted;
    }
    let raised = limit.maximum.map_or(wanted, |hard| wanted.min(hard));
    limit.current = Some(raised);
    match setrlimit(Resource::Nofile, limit) {
        Ok(()) => raised,
        Err(_) => granted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permit_comes_back_when_it_is_dropped() {
        let limit = ConnectionLimit::new(1);
        let first = limit.admit();
        assert!(first.is_some());
        assert!(limit.admit().is_none());
        assert_eq!(limit.open(), 1);
        drop(first);
        assert!(limit.admit().is_some());
    }

    #[test]
    fn ids_start_at_one_and_never_repeat() {
        let limit = ConnectionLimit::new(1);
        let another = limit.clone();
        assert_eq!((limit.next_id(), another.next_id(), limit.next_id()), (1, 2, 3));
    }
}
