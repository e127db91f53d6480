//! Publish/subscribe: everyone who listens to a name gets every record from now on, and nothing is remembered.
//!
//! [`Tails`] knows who listens to what; a [`Listener`] has a mailbox with limits. An [`Announcement`] is shared by all who get it.

mod announcement;
mod index;
mod listener;
mod pattern;

use std::cell::RefCell;
use std::sync::Arc;

use bytes::Bytes;
use hashbrown::HashMap;
use smallvec::SmallVec;

pub use announcement::{Announcement, Form};
pub use listener::{LagLimits, Listener};
pub use pattern::{ByteSet, Part, Pattern};

use crate::log::record::Record;
use crate::log::{Barrier, Signal, TopicName};
use index::{PatternId, PatternIndex};

/// Who listens, by identity, and as which of all subscriptions they began to.
type Audience = HashMap<usize, (Listener, u64)>;

struct Subscribed {
    text: Bytes,
    audience: Audience,
}

/// What is to be announced: resolved when it was written, handed out when its position is known.
#[derive(Debug)]
pub(super) struct Heard {
    pub topic: TopicName,
    pub record: Arc<Record>,
    patterns: SmallVec<[PatternId; 4]>,
    /// Who subscribed later does not get it.
    before: u64,
}

/// All listeners.
#[derive(Default)]
pub(super) struct Tails {
    names: HashMap<TopicName, Audience>,
    patterns: HashMap<PatternId, Subscribed>,
    by_text: HashMap<Bytes, PatternId>,
    index: PatternIndex,
    /// Subscriptions ever made.
    subscriptions: u64,
    /// The patterns that match the name that was asked for last: a record is counted and then announced.
    recent: RefCell<Option<(TopicName, SmallVec<[PatternId; 4]>)>>,
}

impl Tails {
    pub fn listen(&mut self, listener: &Listener, name: TopicName) {
        self.subscriptions += 1;
        let audience = self.names.entry(name).or_default();
        audience.entry(listener.address()).or_insert_with(|| (listener.clone(), self.subscriptions));
    }

    pub fn unlisten(&mut self, listener: &Listener, name: &TopicName) {
        let Some(audience) = self.names.get_mut(name) else { return };
        audience.remove(&listener.address());
        if audience.is_empty() {
            self.names.remove(name);
        }
    }

    /// `text` identifies the pattern.
    pub fn listen_pattern(&mut self, listener: &Listener, text: Bytes, pattern: impl FnOnce() -> Pattern) {
        self.subscriptions += 1;
        let id = *self.by_text.entry(text.clone()).or_insert_with(|| {
            self.recent.take();
            self.index.insert(pattern())
        });
        let subscribed = self.patterns.entry(id).or_insert_with(|| Subscribed { text, audience: Audience::default() });
        subscribed.audience.entry(listener.address()).or_insert_with(|| (listener.clone(), self.subscriptions));
    }

    pub fn unlisten_pattern(&mut self, listener: &Listener, text: &Bytes) {
        let Some(id) = self.by_text.get(text).copied() else { return };
        let Some(subscribed) = self.patterns.get_mut(&id) else { return };
        subscribed.audience.remove(&listener.address());
        if subscribed.audience.is_empty() {
            self.patterns.remove(&id);
            self.by_text.remove(text);
            self.index.remove(id);
            self.recent.take();
        }
    }

    /// How many would get what is written to a name, once a matching pattern.
    pub fn receivers(&self, name: &TopicName) -> u64 {
        if self.is_silent() {
            return 0;
        }
        let direct = self.names.get(name).map_or(0, Audience::len);
        let by_pattern = |id: &PatternId| self.patterns.get(id).map_or(0, |subscribed| subscribed.audience.len());
        let matching: usize = self.matching(name).iter().map(by_pattern).sum();
        (direct + matching) as u64
    }

    /// Names that are listened to directly, and by how many.
    pub fn names(&self) -> Vec<(TopicName, u64)> {
        self.names.iter().map(|(name, audience)| (name.clone(), audience.len() as u64)).collect()
    }

    /// How many listen to a name directly.
    pub fn listeners(&self, name: &TopicName) -> u64 {
        self.names.get(name).map_or(0, |audience| audience.len() as u64)
    }

    /// How many patterns are listened to.
    pub fn pattern_count(&self) -> u64 {
        self.patterns.len() as u64
    }

    /// Who gets a record that is written to a name now. The record is asked for if there is anyone.
    pub fn hear(&self, name: &TopicName, record: impl FnOnce() -> Arc<Record>) -> Option<Heard> {
        if self.is_silent() {
            return None;
        }
        let patterns = self.matching(name);
        if patterns.is_empty() && !self.names.contains_key(name) {
            return None;
        }
        Some(Heard { topic: name.clone(), record: record(), patterns, before: self.subscriptions })
    }

    /// Hands a record to everyone who gets it, and calls `wake` for those who do not know yet that something came.
    pub fn announce(&self, heard: Heard, barrier: Barrier, now_ms: i64, mut wake: impl FnMut(&Signal)) {
        let Heard { topic, record, patterns, before } = heard;
        let mut hand = |audience: &Audience, text: Option<&Bytes>| {
            let announcement = Arc::new(Announcement::new(topic.clone(), text.cloned(), Arc::clone(&record), barrier));
            for (listener, _) in audience.values().filter(|(_, since)| *since <= before) {
                if listener.push(&announcement, now_ms) {
                    wake(listener.signal());
                }
            }
        };
        if let Some(audience) = self.names.get(&topic) {
            hand(audience, None);
        }
        for subscribed in patterns.iter().filter_map(|id| self.patterns.get(id)) {
            hand(&subscribed.audience, Some(&subscribed.text));
        }
    }

    fn is_silent(&self) -> bool {
        self.names.is_empty() && self.patterns.is_empty()
    }

    fn matching(&self, name: &TopicName) -> SmallVec<[PatternId; 4]> {
        let mut recent = self.recent.borrow_mut();
        if let Some((_, patterns)) = recent.as_ref().filter(|(of, _)| of == name) {
            return patterns.clone();
        }
        let mut patterns = SmallVec::new();
        self.index.matching(name.as_bytes(), |id| patterns.push(id));
        *recent = Some((name.clone(), patterns.clone()));
        patterns
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

    fn beginning_with(letter: u8) -> impl FnOnce() -> Pattern {
        move || Pattern::new([Part::Byte(letter), Part::AnyRun])
    }

    fn listener() -> Listener {
        Listener::new(Signal::default(), LagLimits::new(0, 0, 0))
    }

    fn announce(tails: &Tails, to: &TopicName, value: &'static str) {
        if let Some(heard) = tails.hear(to, || record(value)) {
            tails.announce(heard, Barrier::NONE, 0, |_| {});
        }
    }

    fn patterns_of(listener: &Listener) -> Vec<Option<Bytes>> {
        let mut got = Vec::new();
        listener.take(usize::MAX, &mut got);
        got.iter().map(|one| one.pattern.clone()).collect()
    }

    #[test]
    fn a_listener_gets_a_record_once_a_name_and_once_a_matching_pattern() {
        let mut tails = Tails::default();
        let listener = listener();
        let text = Bytes::from("n*");
        tails.listen(&listener, name("news"));
        tails.listen(&listener, name("news"));
        tails.listen_pattern(&listener, text.clone(), beginning_with(b'n'));
        assert_eq!(tails.receivers(&name("news")), 2);
        announce(&tails, &name("news"), "a");
        assert_eq!(patterns_of(&listener), [None, Some(text.clone())]);
        tails.unlisten(&listener, &name("news"));
        announce(&tails, &name("news"), "b");
        assert_eq!(patterns_of(&listener), [Some(text.clone())]);
        tails.unlisten_pattern(&listener, &text);
        assert!(tails.hear(&name("news"), || record("c")).is_none());
    }

    #[test]
    fn who_subscribes_after_a_record_was_written_does_not_get_it() {
        let mut tails = Tails::default();
        let (early, late) = (listener(), listener());
        tails.listen(&early, name("news"));
        let heard = tails.hear(&name("news"), || record("a")).expect("somebody listens");
        tails.listen(&late, name("news"));
        tails.announce(heard, Barrier::NONE, 0, |_| {});
        assert_eq!((patterns_of(&early).len(), patterns_of(&late).len()), (1, 0));
    }

    #[test]
    fn a_listener_that_falls_behind_is_cut_and_the_others_are_not() {
        let mut tails = Tails::default();
        let limits = LagLimits::new(200, 0, 0);
        let (slow, quick) = (Listener::new(Signal::default(), Arc::clone(&limits)), Listener::new(Signal::default(), limits));
        tails.listen(&slow, name("news"));
        tails.listen(&quick, name("news"));
        let mut got = Vec::new();
        for _ in 0..10 {
            announce(&tails, &name("news"), "0123456789");
            quick.take(usize::MAX, &mut got);
            quick.note_unsent(0, 0);
        }
        assert!(slow.is_cut() && !quick.is_cut());
        assert_eq!(got.len(), 10);
    }
}
