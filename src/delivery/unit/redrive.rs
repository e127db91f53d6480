//! Moving records from one queue view to other topics by an operator's wish, a part at a time: each part is one entry, in which a
//! record is done here and written there.

use std::sync::Arc;

use super::{Room, Target, Unit};
use crate::delivery::death::{Attributes, Burial};
use crate::delivery::partitioner::{Placing, partition_of};
use crate::delivery::queue::{Class, Kind, RunSet};
use crate::log::record::Record;
use crate::log::{Topic, TopicName};

/// How far a part of a move came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    /// Records that went.
    pub moved: u64,
    /// Records that stay where they are.
    pub kept: u64,
    /// A queue view that they go to is full.
    pub is_full: bool,
}

impl Unit<'_> {
    /// Sends back where they came from the dead ones among `count` ready records from the one at `start` on.
    pub fn redrive(&mut self, name: &TopicName, start: u64, count: u64) -> Moved {
        let steward = self.views.steward.clone();
        let now_ms = self.now_ms;
        self.move_each(name, start, count, |record| steward.as_ref()?.restore(name, record, now_ms))
    }

    /// Moves `count` ready records from the one at `start` on to a topic.
    pub fn move_records(&mut self, name: &TopicName, to: &Arc<Topic>, start: u64, count: u64) -> Moved {
        let now_ms = self.now_ms;
        self.move_each(name, start, count, |record| {
            let bytes = record.value.as_ref().map_or(0, bytes::Bytes::len);
            let partition = partition_of(to, &Placing { given: None, key: record.key.as_deref(), bytes });
            let targets = vec![Target { topic: Arc::clone(to), partition }];
            let record = Record { timestamp_ms: now_ms, ..record.clone() };
            Some(Burial { targets, record, attributes: Attributes::default() })
        })
    }

    fn move_each(&mut self, name: &TopicName, start: u64, count: u64, to: impl Fn(&Record) -> Option<Burial>) -> Moved {
        let mut done = Moved::default();
        let Some(topic) = self.views.queues.get(name).map(|view| Arc::clone(&view.topic)) else { return done };
        for at in self.range(name, Class::All, start, count) {
            let record = topic.partition(at.partition).and_then(|partition| self.read(&partition, at.offset));
            let Some(Burial { targets, record, attributes }) = record.and_then(|record| to(&record)) else {
                done.kept += 1;
                continue;
            };
            if targets.iter().any(|target| self.room(target.topic.name(), 1) != Room::Enough) {
                done.is_full = true;
                break;
            }
            self.remove(name, &[(at.partition, RunSet::from_iter([at.offset]))]);
            self.append_with(&targets, &record, Kind::Plain, &attributes);
            done.moved += 1;
        }
        done
    }
}
