//! Publish/subscribe: everyone who listens to a name gets every record from now on, and nothing is remembered.
//!
//! A listener has a mailbox with a byte limit. One that falls behind by more is cut off, never slowing the others.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::log::record::Record;
use crate::log::{Barrier, Signal, TopicName};

/// Says whether a pattern matches a name.
pub type Matcher = Arc<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// A record that was written to a name, for one listener.
#[derive(Debug, Clone)]
pub struct Announcement {
    /// The name it was written to.
    pub topic: TopicName,
    /// The pattern through which the listener gets it; none: it listens to the name itself.
    pub pattern: Option<Bytes>,
    /// The record, shared by all listeners.
    pub record: Arc<Record>,
    /// It may leave the process once this is durable.
    pub barrier: Barrier,
}

#[derive(Debug)]
struct Ear {
    signal: Signal,
    bytes_max: usize,
    bytes: AtomicUsize,
    overrun: AtomicBool,
    mailbox: Mutex<VecDeque<Announcement>>,
}

/// One connection that listens. Clones are the same listener.
#[derive(Debug, Clone)]
pub struct Listener(Arc<Ear>);

impl Listener {
    /// A listener that is notified by a signal and may fall behind by so many bytes.
    pub fn new(signal: Signal, bytes_max: usize) -> Self {
        Self(Arc::new(Ear {
            signal,
            bytes_max,
            bytes: AtomicUsize::new(0),
            overrun: AtomicBool::new(false),
            mailbox: Mutex::new(VecDeque::new()),
        }))
    }

    /// Moves what came to the end of `announcements`, oldest first.
    pub fn drain(&self, announcements: &mut Vec<Announcement>) {
        let mut mailbox = self.0.mailbox.lock();
        self.0.bytes.store(0, Ordering::Relaxed);
        announcements.extend(mailbox.drain(..));
    }

    /// Whether it fell behind by more than its limit; it gets nothing more.
    pub fn overrun(&self) -> bool {
        self.0.overrun.load(Ordering::Acquire)
    }

    fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    fn push(&self, announcement: Announcement) {
        let size = announcement.record.value.as_ref().map_or(0, Bytes::len) + announcement.topic.as_bytes().len() + 64;
        let held = self.0.bytes.fetch_add(size, Ordering::Relaxed) + size;
        if self.overrun() {
            return;
        }
        if held > self.0.bytes_max {
            self.0.overrun.store(true, Ordering::Release);
            self.0.mailbox.lock().clear();
            return;
        }
        self.0.mailbox.lock().push_back(announcement);
    }
}

struct Pattern {
    matches: Matcher,
    listeners: Vec<Listener>,
}

/// All listeners.
#[derive(Default)]
pub(super) struct Tails {
    names: HashMap<TopicName, Vec<Listener>>,
    patterns: BTreeMap<Bytes, Pattern>,
}

impl Tails {
    pub fn listen(&mut self, listener: &Listener, name: TopicName) {
        let listeners = self.names.entry(name).or_default();
        if !listeners.iter().any(|present| present.same(listener)) {
            listeners.push(listener.clone());
        }
    }

    pub fn unlisten(&mut self, listener: &Listener, name: &TopicName) {
        let Some(listeners) = self.names.get_mut(name) else { return };
        listeners.retain(|present| !present.same(listener));
        if listeners.is_empty() {
            self.names.remove(name);
        }
    }

    pub fn listen_pattern(&mut self, listener: &Listener, pattern: Bytes, matches: Matcher) {
        let entry = self.patterns.entry(pattern).or_insert_with(|| Pattern { matches, listeners: Vec::new() });
        if !entry.listeners.iter().any(|present| present.same(listener)) {
            entry.listeners.push(listener.clone());
        }
    }

    pub fn unlisten_pattern(&mut self, listener: &Listener, pattern: &Bytes) {
        let Some(entry) = self.patterns.get_mut(pattern) else { return };
        entry.listeners.retain(|present| !present.same(listener));
        if entry.listeners.is_empty() {
            self.patterns.remove(pattern);
        }
    }

    /// Whether somebody would get what is written to a name.
    pub fn hears(&self, name: &TopicName) -> bool {
        self.names.contains_key(name) || self.patterns.values().any(|pattern| (pattern.matches)(name.as_bytes()))
    }

    /// How many would get what is written to a name, once a matching pattern.
    pub fn receivers(&self, name: &TopicName) -> u64 {
        let direct = self.names.get(name).map_or(0, Vec::len);
        let matching = self.matching(name).map(|(_, pattern)| pattern.listeners.len());
        (direct + matching.sum::<usize>()) as u64
    }

    /// Names that are listened to directly, and by how many.
    pub fn names(&self) -> Vec<(TopicName, u64)> {
        self.names.iter().map(|(name, listeners)| (name.clone(), listeners.len() as u64)).collect()
    }

    /// How many patterns are listened to.
    pub fn pattern_count(&self) -> u64 {
        self.patterns.len() as u64
    }

    /// Hands a record to everyone who listens, and calls `wake` for each of them.
    pub fn announce(&self, name: &TopicName, record: &Arc<Record>, barrier: Barrier, mut wake: impl FnMut(&Signal)) {
        let mut hand = |listener: &Listener, pattern: Option<&Bytes>| {
            let announcement =
                Announcement { topic: name.clone(), pattern: pattern.cloned(), record: Arc::clone(record), barrier };
            listener.push(announcement);
            wake(&listener.0.signal);
        };
        for listener in self.names.get(name).into_iter().flatten() {
            hand(listener, None);
        }
        for (text, pattern) in self.matching(name) {
            for listener in &pattern.listeners {
                hand(listener, Some(text));
            }
        }
    }

    fn matching(&self, name: &TopicName) -> impl Iterator<Item = (&Bytes, &Pattern)> {
        self.patterns.iter().filter(|(_, pattern)| (pattern.matches)(name.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(value: &'static str) -> Arc<Record> {
        Arc::new(Record { key: None, value: Some(Bytes::from(value)), headers: Vec::new(), timestamp_ms: 0 })
    }

    fn name(text: &'static str) -> TopicName {
        TopicName::new(text).expect("a legal name")
    }

    #[test]
    fn a_listener_gets_a_record_once_a_name_and_once_a_matching_pattern() {
        let mut tails = Tails::default();
        let listener = Listener::new(Signal::default(), 1000);
        tails.listen(&listener, name("news"));
        tails.listen(&listener, name("news"));
        tails.listen_pattern(&listener, Bytes::from("n*"), Arc::new(|name| name.starts_with(b"n")));
        assert_eq!(tails.receivers(&name("news")), 2);
        tails.announce(&name("news"), &record("a"), Barrier::NONE, |_| {});
        let mut got = Vec::new();
        listener.drain(&mut got);
        assert_eq!(got.iter().map(|one| one.pattern.clone()).collect::<Vec<_>>(), [None, Some(Bytes::from("n*"))]);
        tails.unlisten(&listener, &name("news"));
        tails.unlisten_pattern(&listener, &Bytes::from("n*"));
        assert!(!tails.hears(&name("news")));
    }

    #[test]
    fn a_listener_that_falls_behind_is_cut_and_the_others_are_not() {
        let mut tails = Tails::default();
        let (slow, quick) = (Listener::new(Signal::default(), 200), Listener::new(Signal::default(), 200));
        tails.listen(&slow, name("news"));
        tails.listen(&quick, name("news"));
        let mut got = Vec::new();
        for _ in 0..10 {
            tails.announce(&name("news"), &record("0123456789"), Barrier::NONE, |_| {});
            quick.drain(&mut got);
        }
        assert!(slow.overrun());
        assert!(!quick.overrun());
        assert_eq!(got.len(), 10);
    }
}
