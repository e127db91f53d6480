//! Changing the order of a queue view, and what stands in it, within a unit.
//!
//! What is new is a record like any other, appended to the log, and a place for it in the view, in the same entry.

use std::sync::Arc;

use super::{Target, Unit};
use crate::delivery::queue::{Class, End, Kind, RunSet, Side, StateOp, Stretch};
use crate::delivery::search::{Hit, Scope, Search};
use crate::delivery::taker::Position;
use crate::log::TopicName;
use crate::log::record::Record;

impl Unit<'_> {
    /// The stretches that hold `count` records from the one at `start` on, in the order of the queue view.
    pub fn stretches(&self, name: &TopicName, class: Class, start: u64, count: u64) -> Vec<Stretch> {
        self.views.queues.get(name).map_or_else(Vec::new, |view| view.state.stretches(class, start, count))
    }

    /// The record at an end, which stays there.
    pub fn peek(&self, name: &TopicName, end: End, class: Class) -> Option<Position> {
        let (partition, offset) = self.views.queues.get(name)?.state.peek(end, class)?;
        Some(Position { partition, offset })
    }

    /// Finds ready records by their value, beginning at an end. `None`: too many are to be read for that; [`Search::look`] reads them
    /// outside of the unit, and then this is asked again. `entirely`: they are read here, however many.
    pub fn find(
        &mut self,
        name: &TopicName,
        class: Class,
        search: &mut Search,
        scope: &Scope,
        entirely: bool,
    ) -> Option<Vec<Hit>> {
        let len = self.ready(name, class);
        let looked_at = scope.looked_at_max.min(len);
        let first = if scope.from == End::Head { 0 } else { len - looked_at };
        let stretches = self.stretches(name, class, first, looked_at);
        let topic = Arc::clone(search.topic());
        search.find(stretches, scope, entirely, |partition, offset| self.read(&topic.partition(partition)?, offset))
    }

    /// Writes a record that stands on one side of another from now on. `None`: there is no such record, and nothing is written.
    pub fn insert_beside(&mut self, name: &TopicName, beside: Position, side: Side, record: &Record) -> Option<u64> {
        let view = self.views.queues.get_mut(name)?;
        let (place, moved) = view.state.place_beside(beside.partition, beside.offset, side)?;
        moved.into_iter().for_each(|(offset, place)| view.ops.place(beside.partition, offset, place));
        let offset = self.append_to(name, beside.partition, record)?;
        let view = self.views.queues.get_mut(name)?;
        if view.state.place(beside.partition, offset, place) {
            view.ops.place(beside.partition, offset, place);
        }
        self.touched(name);
        Some(offset)
    }

    /// Writes a record that stands where another did, which is done. `None`: there is no such record, and nothing is written.
    pub fn replace(&mut self, name: &TopicName, old: Position, record: &Record) -> Option<u64> {
        let place = self.views.queues.get(name)?.state.place_of(old.partition, old.offset)?;
        let offset = self.append_to(name, old.partition, record)?;
        self.remove(name, &[(old.partition, RunSet::from_iter([old.offset]))]);
        let view = self.views.queues.get_mut(name)?;
        if view.state.place(old.partition, offset, place) {
            view.ops.place(old.partition, offset, place);
        }
        Some(offset)
    }

    /// Settles records that are ready for good, wherever they stand.
    pub fn remove(&mut self, name: &TopicName, of_partitions: &[(u32, RunSet)]) {
        let Some(view) = self.views.queues.get_mut(name) else { return };
        for (partition, runs) in of_partitions {
            let accept = StateOp::Accept { partition: *partition, runs: runs.clone() };
            if view.state.apply(&accept).is_ok() {
                view.ops.push(accept);
            }
        }
        self.touched(name);
    }

    fn append_to(&mut self, name: &TopicName, partition: u32, record: &Record) -> Option<u64> {
        let topic = Arc::clone(&self.views.queues.get(name)?.topic);
        self.append(&[Target { topic, partition }], record, Kind::Queued).first().copied()
    }
}
