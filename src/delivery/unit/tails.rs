//! Listening within a unit.

use std::sync::Arc;

use bytes::Bytes;

use super::Unit;
use crate::delivery::tail::{Listener, Pattern};
use crate::log::TopicName;
use crate::log::record::Record;

impl Unit<'_> {
    /// From now on the listener gets what is written to the name.
    pub fn listen(&mut self, listener: &Listener, name: TopicName) {
        self.views.tails.listen(listener, name);
    }

    /// It no longer does.
    pub fn unlisten(&mut self, listener: &Listener, name: &TopicName) {
        self.views.tails.unlisten(listener, name);
    }

    /// From now on the listener gets what is written to names that match. `text` identifies the pattern, which
    /// is asked for if nobody has listened to it yet.
    pub fn listen_pattern(&mut self, listener: &Listener, text: Bytes, pattern: impl FnOnce() -> Pattern) {
        self.views.tails.listen_pattern(listener, text, pattern);
    }

    /// It no longer does.
    pub fn unlisten_pattern(&mut self, listener: &Listener, text: &Bytes) {
        self.views.tails.unlisten_pattern(listener, text);
    }

    /// Hands a record to who listens, without writing it, and returns how many got it.
    pub fn announce(&mut self, name: &TopicName, record: &Record) -> u64 {
        let receivers = self.receivers(name);
        if receivers > 0 {
            let heard = self.views.tails.hear(name, || Arc::new(record.clone()));
            self.heard.extend(heard.map(|heard| (heard, true)));
        }
        receivers
    }

    /// How many would get what is written to a name, once a matching pattern.
    pub fn receivers(&self, name: &TopicName) -> u64 {
        self.views.tails.receivers(name)
    }

    /// Names that are listened to directly, and by how many.
    pub fn live_names(&self) -> Vec<(TopicName, u64)> {
        self.views.tails.names()
    }

    /// How many listen to a name directly.
    pub fn listeners(&self, name: &TopicName) -> u64 {
        self.views.tails.listeners(name)
    }

    /// How many patterns are listened to.
    pub fn pattern_count(&self) -> u64 {
        self.views.tails.pattern_count()
    }
}
