//! One who listens: a mailbox with limits. Who falls behind by more is cut off, and slows nobody.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::announcement::Announcement;
use crate::log::Signal;
use crate::sync::{AtomicU64, AtomicUsize, Mutex};

/// How far listeners may fall behind. They may change while listeners use them; 0 is no limit.
#[derive(Debug)]
pub struct LagLimits {
    hard_bytes: AtomicUsize,
    soft_bytes: AtomicUsize,
    soft_ms: AtomicU64,
}

impl LagLimits {
    /// Never by more than `hard_bytes`, and by more than `soft_bytes` for no longer than `soft_ms`.
    pub fn new(hard_bytes: usize, soft_bytes: usize, soft_ms: u64) -> Arc<Self> {
        let [hard_bytes, soft_bytes] = [hard_bytes, soft_bytes].map(AtomicUsize::new);
        Arc::new(Self { hard_bytes, soft_bytes, soft_ms: AtomicU64::new(soft_ms) })
    }

    /// Changes them for all who use them.
    pub fn set(&self, hard_bytes: usize, soft_bytes: usize, soft_ms: u64) {
        self.hard_bytes.store(hard_bytes, Ordering::Relaxed);
        self.soft_bytes.store(soft_bytes, Ordering::Relaxed);
        self.soft_ms.store(soft_ms, Ordering::Relaxed);
    }

    fn is_over_hard(&self, bytes: usize) -> bool {
        let limit = self.hard_bytes.load(Ordering::Relaxed);
        limit > 0 && bytes > limit
    }

    fn is_over_soft(&self, bytes: usize) -> bool {
        let limit = self.soft_bytes.load(Ordering::Relaxed);
        limit > 0 && bytes > limit
    }
}

#[derive(Debug, Default)]
struct Mailbox {
    waiting: VecDeque<Arc<Announcement>>,
    bytes: usize,
    /// What was taken out and has not left yet, in bytes.
    unsent_bytes: usize,
    /// Since when it has been further behind than the soft limit, in milliseconds since 1970.
    behind_since_ms: Option<i64>,
    is_cut: bool,
}

impl Mailbox {
    /// Looks whether it is too far behind by now.
    fn judge(&mut self, limits: &LagLimits, now_ms: i64) {
        let behind = self.bytes + self.unsent_bytes;
        if limits.is_over_soft(behind) {
            let since = *self.behind_since_ms.get_or_insert(now_ms);
            let is_late = now_ms.saturating_sub(since).unsigned_abs() >= limits.soft_ms.load(Ordering::Relaxed);
            self.is_cut |= is_late && now_ms >= since;
        } else {
            self.behind_since_ms = None;
        }
        self.is_cut |= limits.is_over_hard(behind);
        if self.is_cut {
            self.waiting = VecDeque::new();
            self.bytes = 0;
        }
    }
}

#[derive(Debug)]
struct Ear {
    signal: Signal,
    limits: Arc<LagLimits>,
    mailbox: Mutex<Mailbox>,
}

/// One connection that listens. Clones are the same listener.
#[derive(Debug, Clone)]
pub struct Listener(Arc<Ear>);

impl Listener {
    /// A listener that is notified by a signal and may fall behind within limits.
    pub fn new(signal: Signal, limits: Arc<LagLimits>) -> Self {
        Self(Arc::new(Ear { signal, limits, mailbox: Mutex::default() }))
    }

    /// Moves what came to the end of `announcements`, oldest first, until it is `bytes_max` or more. True: there is more.
    pub fn take(&self, bytes_max: usize, announcements: &mut Vec<Arc<Announcement>>) -> bool {
        let mut mailbox = self.0.mailbox.lock();
        let mut taken = 0;
        while taken < bytes_max
            && let Some(announcement) = mailbox.waiting.pop_front()
        {
            let bytes = announcement.size_bytes();
            taken += bytes;
            mailbox.bytes -= bytes;
            mailbox.unsent_bytes += bytes;
            announcements.push(announcement);
        }
        if mailbox.waiting.is_empty() {
            mailbox.waiting.shrink_to(16);
        }
        !mailbox.waiting.is_empty()
    }

    /// Says how much of what was taken has not left yet, in bytes.
    pub fn note_unsent(&self, bytes: usize, now_ms: i64) {
        let mut mailbox = self.0.mailbox.lock();
        mailbox.unsent_bytes = bytes;
        mailbox.judge(&self.0.limits, now_ms);
    }

    /// How far it is behind, in bytes.
    pub fn behind_bytes(&self) -> usize {
        let mailbox = self.0.mailbox.lock();
        mailbox.bytes + mailbox.unsent_bytes
    }

    /// Whether it fell too far behind; it gets nothing more.
    pub fn is_cut(&self) -> bool {
        self.0.mailbox.lock().is_cut
    }

    /// When it will be cut off if it does not catch up, in milliseconds since 1970.
    pub fn cut_at_ms(&self) -> Option<i64> {
        let since_ms = self.0.mailbox.lock().behind_since_ms?;
        let soft_ms = self.0.limits.soft_ms.load(Ordering::Relaxed);
        Some(since_ms.saturating_add(i64::try_from(soft_ms).unwrap_or(i64::MAX)))
    }

    pub(super) fn signal(&self) -> &Signal {
        &self.0.signal
    }

    /// Identifies it among the living.
    pub(super) fn address(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// Puts an announcement into the mailbox. True: it must be woken, because it does not know of any yet, or is cut off.
    pub(super) fn push(&self, announcement: &Arc<Announcement>, now_ms: i64) -> bool {
        let mut mailbox = self.0.mailbox.lock();
        if mailbox.is_cut {
            return false;
        }
        let was_empty = mailbox.waiting.is_empty();
        mailbox.bytes += announcement.size_bytes();
        mailbox.waiting.push_back(Arc::clone(announcement));
        mailbox.judge(&self.0.limits, now_ms);
        was_empty || mailbox.is_cut
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::record::Record;
    use crate::log::{Barrier, TopicName};

    fn announcement(bytes: usize) -> Arc<Announcement> {
        let record = Record { key: None, value: Some(vec![0; bytes].into()), headers: Vec::new(), timestamp_ms: 0 };
        Arc::new(Announcement::new(TopicName::new("t").expect("a legal name"), None, Arc::new(record), Barrier::NONE))
    }

    #[test]
    fn what_was_taken_counts_until_it_has_left() {
        let listener = Listener::new(Signal::default(), LagLimits::new(1000, 0, 0));
        let mut got = Vec::new();
        for _ in 0..3 {
            listener.push(&announcement(235), 0);
            assert!(!listener.take(usize::MAX, &mut got));
        }
        assert_eq!((listener.behind_bytes(), listener.is_cut()), (900, false));
        listener.note_unsent(300, 0);
        listener.push(&announcement(235), 0);
        assert!(!listener.is_cut());
        listener.note_unsent(900, 0);
        assert!(listener.is_cut());
    }

    #[test]
    fn the_soft_limit_cuts_who_stays_behind_and_forgives_who_catches_up() {
        let listener = Listener::new(Signal::default(), LagLimits::new(0, 500, 60));
        listener.push(&announcement(535), 1000);
        assert_eq!(listener.cut_at_ms(), Some(1060));
        listener.take(usize::MAX, &mut Vec::new());
        listener.note_unsent(0, 1059);
        assert_eq!(listener.cut_at_ms(), None);
        listener.push(&announcement(535), 2000);
        listener.note_unsent(0, 2059);
        assert!(!listener.is_cut());
        listener.push(&announcement(1), 2060);
        assert!(listener.is_cut());
    }

    #[test]
    fn it_is_woken_for_the_first_it_does_not_know_of() {
        let listener = Listener::new(Signal::default(), LagLimits::new(0, 0, 0));
        let pushed = [(); 3].map(|()| listener.push(&announcement(10), 0));
        assert_eq!(pushed, [true, false, false]);
        let mut got = Vec::new();
        assert!(listener.take(1, &mut got), "there are two more");
        assert!(!listener.push(&announcement(10), 0));
        assert!(!listener.take(usize::MAX, &mut got));
        assert!(listener.push(&announcement(10), 0));
        assert_eq!(got.len(), 4);
    }
}
