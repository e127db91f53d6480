//! Topics within a unit: made and changed in the same entry as what is written to them.

use std::sync::Arc;

use bytes::Bytes;

use super::Unit;
use crate::delivery::PRODUCERS;
use crate::log::{Partition, Topic, TopicError, TopicName, TopicSettings};

/// So many producer ids are taken at a time, so that not each costs a write.
const PRODUCER_ID_BLOCK: i64 = 1000;

impl Unit<'_> {
    /// The topic of a name.
    pub fn topic(&self, name: &TopicName) -> Option<Arc<Topic>> {
        self.log.topic(name)
    }

    /// Makes a topic.
    pub fn create_topic(&mut self, name: &TopicName, partitions: u32, settings: TopicSettings) -> Result<Arc<Topic>, TopicError> {
        let (topic, record) = self.log.create_topic(name, partitions, settings)?;
        self.states.push(record);
        Ok(topic)
    }

    /// Deletes a topic with its records and all its queue views.
    pub fn delete_topic(&mut self, name: &TopicName) -> Result<(), TopicError> {
        self.close_batch();
        let records = self.log.delete_topic(name)?;
        self.states.extend(records);
        for view in self.named_views_of(name) {
            self.drop_queue(&view);
        }
        self.drop_queue(name);
        self.drop_series(name);
        Ok(())
    }

    /// Adds partitions up to a total.
    pub fn add_partitions(&mut self, name: &TopicName, total: u32) -> Result<(), TopicError> {
        let record = self.log.add_partitions(name, total)?;
        self.states.push(record);
        self.views.queues.each_of_topic(name, |_, view| view.catch_up());
        Ok(())
    }

    /// Changes a topic's settings.
    pub fn set_topic_settings(&mut self, name: &TopicName, settings: TopicSettings) -> Result<(), TopicError> {
        let record = self.log.change_topic(name, settings)?;
        self.states.push(record);
        Ok(())
    }

    /// Forgets the records of a partition before an offset, in all views, and returns the new log start.
    pub fn trim(&mut self, topic: &Arc<Topic>, partition: &Partition, to: u64) -> u64 {
        let (log_start, record) = self.log.trim(partition, to);
        self.states.push(record);
        let stirred = &mut self.stirred;
        self.views.queues.each_of_topic(topic.name(), |name, view| {
            // Keys of what was in flight are free again.
            if view.orders_by_key() {
                stirred.push(name.clone());
            }
            view.state.advance_log_start(partition.index(), log_start);
            view.version += 1;
        });
        if let Some(view) = self.views.series.get_mut(topic.name()) {
            view.catch_up();
        }
        log_start
    }

    /// Leaves out the offsets of a partition before one, in all views: the next record gets that offset.
    pub fn skip_to(&mut self, partition: &Partition, offset: u64) {
        self.close_batch();
        let end = partition.bounds().end;
        let record = self.log.skip_to(partition, offset);
        self.states.push(record);
        self.views.queues.each_of_topic(partition.topic_name(), |_, view| {
            view.state.pass(partition.index(), end, offset.saturating_sub(end));
            view.version += 1;
        });
    }

    /// An id for a producer that no other ever had.
    pub fn next_producer_id(&mut self) -> i64 {
        let views = &mut *self.views;
        let id = views.next_producer_id;
        views.next_producer_id += 1;
        if id >= views.producer_ids_taken {
            views.producer_ids_taken = id + PRODUCER_ID_BLOCK;
            let taken = Bytes::copy_from_slice(&views.producer_ids_taken.to_be_bytes());
            self.put_state(PRODUCERS, Bytes::from_static(b"taken"), Some(taken));
        }
        id
    }
}
