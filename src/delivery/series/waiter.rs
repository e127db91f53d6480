//! Who waits for more of a series.
//!
//! A waiter may wait on any number of names. The first that has something for it answers, within the unit that brought it, so those who
//! wait longest are answered first, whoever they are.

use parking_lot::Mutex;

use super::stamp::Stamp;
use super::state::Span;
use crate::delivery::unit::Asker;
use crate::log::{Signal, TopicName};

/// What is waited for in one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// Records behind this.
    After(Stamp),
    /// Records that the cohort has handed to nobody yet.
    Next {
        /// For whom.
        asker: Asker,
        /// Whether they are held until they are settled.
        keep: bool,
    },
}

/// What there was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Records to read.
    Spans(Vec<Span>),
    /// Records that were handed out, and their offsets.
    Given(Vec<(Stamp, u64)>),
    /// What was waited on is no more.
    Gone(Missing),
}

/// What is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// The series.
    Series,
    /// The cohort.
    Cohort,
}

/// One who waits, until there is an answer.
#[derive(Debug)]
pub struct Waiter {
    /// Notified when the answer may be told.
    pub(in crate::delivery) signal: Signal,
    /// How many records it is given at most.
    pub(in crate::delivery) count_max: u64,
    answer: Mutex<Option<(TopicName, Answer)>>,
}

impl Waiter {
    /// One that gets at most so many records.
    pub fn new(signal: Signal, count_max: u64) -> Self {
        Waiter { signal, count_max, answer: Mutex::default() }
    }

    /// The answer, and the name that it came from. Whoever asks holds a unit, and waits with what it tells until that is durable.
    pub fn answer(&self) -> Option<(TopicName, Answer)> {
        self.answer.lock().clone()
    }

    pub(in crate::delivery) fn is_answered(&self) -> bool {
        self.answer.lock().is_some()
    }

    pub(in crate::delivery) fn set_answer(&self, name: &TopicName, answer: Answer) {
        *self.answer.lock() = Some((name.clone(), answer));
    }
}
