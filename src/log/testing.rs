//! A partition and the journal's position without a journal, for tests of who waits for them.

use std::sync::Arc;

use super::embedded::Partition;
use super::error::Refused;
use super::lsn::{Barrier, Durability, Durable, Lsn, Signal};
use super::name::TopicName;

/// The journal comes as far as it is told to.
pub(crate) struct Tide {
    durable: Arc<Durable>,
    partition: Arc<Partition>,
}

impl Tide {
    pub fn new() -> Self {
        let durable = Arc::new(Durable::new(Lsn::NONE));
        let partition = Arc::new(Partition::without_files(TopicName::internal("tide"), Arc::clone(&durable)));
        Self { durable, partition }
    }

    pub fn partition(&self) -> &Arc<Partition> {
        &self.partition
    }

    pub fn sync(&self, to: u64) {
        self.durable.advance(Lsn(to));
    }

    pub fn fail(&self) {
        self.durable.fail("the disk is gone");
    }

    pub fn is_synced(&self, position: u64) -> bool {
        self.durable.is_durable(barrier(position))
    }

    pub async fn when_synced(&self, position: u64) -> Result<(), Refused> {
        self.durable.when_durable(barrier(position)).await
    }

    /// Appends a record whose entry ends at a position.
    pub fn append(&self, position: u64) {
        self.partition.place_empty(barrier(position));
    }

    pub fn durable_offset(&self) -> u64 {
        self.partition.bounds().durable
    }

    pub fn wake_beyond(&self, offset: u64, signal: &Signal) {
        self.partition.wake_beyond(offset, signal);
    }
}

fn barrier(position: u64) -> Barrier {
    Barrier::at(Lsn(position), Durability::Fsync)
}
