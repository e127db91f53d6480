//! Records that leave a queue view without being accepted: why, and who knows where they go.
//!
//! A dead record is done in its view and appended where it goes in one unit, so that it can neither be lost nor doubled. Where
//! that is, only a dialect knows; the view keeps its answer to that as bytes.

use bytes::Bytes;

use super::unit::Target;
use crate::log::record::Record;
use crate::log::{Table, TopicName};

/// Why a record died.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A taker refused it.
    Rejected,
    /// Its time was over.
    Expired,
    /// The view was full.
    Overflow,
    /// It failed too often.
    DeliveryLimit,
}

/// The end of a record in a queue view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Death {
    /// The queue view.
    pub queue: TopicName,
    /// What its options say of dead records.
    pub route: Bytes,
    /// Why.
    pub reason: Reason,
    /// When, in milliseconds since 1970.
    pub time_ms: i64,
}

/// What a record asks of the queue views that it reaches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// It expires after so long, in milliseconds.
    pub ttl_ms: Option<u64>,
    /// It is not ready before so long, in milliseconds.
    pub delay_ms: Option<u64>,
    /// Its level, where records have levels.
    pub level: u8,
    /// What makes it the same as another, where ids are remembered.
    pub id: Option<Bytes>,
}

/// A dead record as it goes on.
#[derive(Debug)]
pub struct Burial {
    /// Where it goes.
    pub targets: Vec<Target>,
    /// The record to append.
    pub record: Record,
    /// What it asks there.
    pub attributes: Attributes,
}

/// What goes with a queue view that ends because nobody uses it.
#[derive(Debug, Default)]
pub struct Ended {
    /// Its topic goes too.
    pub with_topic: bool,
    /// Changes of keyed state: table, key, and the new value or none.
    pub states: Vec<(Table, Bytes, Option<Bytes>)>,
}

/// What a dialect decides for queue views. It is asked within a unit, under the lock of the views.
pub trait Steward: Send + Sync {
    /// Where a dead record goes on; none: nowhere.
    fn bury(&self, death: &Death, record: &Record) -> Option<Burial>;

    /// Where a dead record that lies in a queue view came from; none: it is no dead record, or that is gone.
    fn restore(&self, _queue: &TopicName, _record: &Record, _now_ms: i64) -> Option<Burial> {
        None
    }

    /// The key of a record where records of one key are one taker's at a time; none: it is anyone's.
    fn order_key(&self, record: &Record) -> Option<Bytes> {
        record.key.clone()
    }

    /// What makes a record that was written as part of a batch the same as another, where ids are remembered.
    fn record_id(&self, _record: &Record) -> Option<Bytes> {
        None
    }

    /// A queue view ends.
    fn end(&self, queue: &TopicName) -> Ended;
}
