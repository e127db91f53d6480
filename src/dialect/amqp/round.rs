//! One round of a connection: everything that was read together is done in one unit of work, which becomes one atomic entry.
//!
//! The unit and the topology are locked when the first frame needs them, in this order, and never across an await.

use parking_lot::{Mutex, MutexGuard};

use super::error::Fault;
use super::topology::Topology;
use crate::delivery::{Delivery, Position, Unit};
use crate::log::{Barrier, Table, TopicName};

/// The keyed state that holds durable declarations.
pub const TABLE: Table = Table("__amqp");

/// The unit of work and the topology, locked.
///
/// The topology goes first: a unit that ends asks it where dead records go.
pub struct Work<'a> {
    pub topology: MutexGuard<'a, Topology>,
    pub unit: Unit<'a>,
}

/// A round that may come to need no work at all.
pub struct Round<'a> {
    delivery: &'a Delivery,
    topology: &'a Mutex<Topology>,
    work: Option<Work<'a>>,
    accepted_of: Option<TopicName>,
    accepted: Vec<Position>,
}

impl<'a> Round<'a> {
    pub fn new(delivery: &'a Delivery, topology: &'a Mutex<Topology>) -> Self {
        Self { delivery, topology, work: None, accepted_of: None, accepted: Vec::new() }
    }

    /// The work of this round, begun if it is not yet; what was accepted before is done first.
    pub fn work(&mut self) -> Result<&mut Work<'a>, Fault> {
        if self.work.is_none() {
            let unit = self.delivery.begin()?;
            self.work = Some(Work { unit, topology: self.topology.lock() });
        }
        let Some(work) = &mut self.work else { return Err(Fault::Internal("no unit of work".to_owned())) };
        if let Some(view) = self.accepted_of.take() {
            work.unit.accept(&view, &self.accepted);
            self.accepted.clear();
        }
        Ok(work)
    }

    /// Accepts a record; several of one view in a row are accepted together.
    pub fn accept(&mut self, view: &TopicName, position: Position) -> Result<(), Fault> {
        if self.accepted_of.as_ref() != Some(view) {
            self.work()?;
            self.accepted_of = Some(view.clone());
        }
        self.accepted.push(position);
        Ok(())
    }

    /// Ends the round. The position that everything in it is durable at.
    pub fn finish(mut self) -> Barrier {
        if self.accepted_of.is_some() {
            // Begun by `accept` already.
            let _ = self.work();
        }
        let Some(mut work) = self.work else { return Barrier::NONE };
        for (key, value) in work.topology.take_changes() {
            work.unit.put_state(TABLE, key, value);
        }
        let Work { unit, topology, .. } = work;
        drop(topology);
        // A reply may tell of what somebody else has done and not synced yet.
        let seen = unit.seen();
        unit.commit().and(seen)
    }
}
