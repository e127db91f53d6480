//! The tables of state of queues and groups, read without a log: what they say, and whether it can be understood.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;

use super::group::{GroupRecord, OffsetKey};
use super::queue::{QueueState, StateOps};
use super::view::View;
use super::{CLEAN, PRODUCERS, QUEUES, group};
use crate::log::record::varint::Input;
use crate::log::{Change, Needs, TopicName};

/// What is kept of queues and groups, as its changes come by, oldest first.
#[derive(Debug, Default)]
pub struct KeptState {
    queues: BTreeMap<TopicName, (TopicName, QueueState)>,
    groups: BTreeMap<Arc<str>, HashMap<OffsetKey, u64>>,
    ended_in_order: Option<bool>,
}

impl KeptState {
    /// Takes a change of one of the tables; those of others are passed over.
    ///
    /// # Errors
    /// What cannot be understood.
    pub fn apply(&mut self, table: &str, key: &Bytes, change: &Change) -> Result<(), String> {
        if table == QUEUES.0 {
            self.apply_queue(key, change)
        } else if table == group::TABLE.0 {
            self.apply_group(key, change)
        } else if table == PRODUCERS.0 {
            match change {
                Change::Put(body) if body.len() == 8 => Ok(()),
                Change::Put(_) | Change::Operation(_) => Err("not a producer id".to_owned()),
                Change::Delete => Ok(()),
            }
        } else {
            Ok(())
        }
    }

    fn apply_queue(&mut self, key: &Bytes, change: &Change) -> Result<(), String> {
        if *key == CLEAN {
            self.ended_in_order = Some(*change == Change::Put(Bytes::from_static(b"clean")));
            return Ok(());
        }
        let name = TopicName::new(Bytes::copy_from_slice(key)).map_err(|error| error.to_string())?;
        match change {
            Change::Delete => {
                self.queues.remove(&name);
            }
            Change::Put(body) => {
                let (spec, state) = View::parse_put(body).ok_or_else(|| format!("queue {name}: not a put"))?;
                let state = QueueState::restore(state, false).map_err(|error| format!("queue {name}: {error}"))?;
                self.queues.insert(name, (spec.topic, state));
            }
            Change::Operation(body) => {
                let damaged = || format!("queue {name}: not a set of operations");
                let ops = StateOps::decode(&mut Input::new(body)).ok_or_else(damaged)?;
                if let Some((_, state)) = self.queues.get_mut(&name) {
                    for op in ops.iter() {
                        // A partition that was added since the put is known to the catalog alone.
                        let _ = state.apply(op);
                    }
                }
            }
        }
        Ok(())
    }

    fn apply_group(&mut self, key: &Bytes, change: &Change) -> Result<(), String> {
        let value = match change {
            Change::Put(body) => Some(body),
            Change::Delete => None,
            Change::Operation(_) => return Err("an operation in the table of groups".to_owned()),
        };
        match group::decode(key, value)? {
            GroupRecord::Offset { group, key, offset: Some(offset) } => {
                self.groups.entry(group).or_default().insert(key, offset);
            }
            GroupRecord::Offset { group, key, offset: None } => {
                if let Some(offsets) = self.groups.get_mut(&group) {
                    offsets.remove(&key);
                }
            }
            GroupRecord::Other => {}
        }
        Ok(())
    }

    /// Whether the last end was an orderly one; none: nothing says.
    pub fn ended_in_order(&self) -> Option<bool> {
        self.ended_in_order
    }

    /// The queue views by name, with the topics that they read.
    pub fn queues(&self) -> impl Iterator<Item = (&TopicName, &TopicName)> {
        self.queues.iter().map(|(name, (topic, _))| (name, topic))
    }

    /// What a queue view still needs of a partition.
    pub fn needs(&self, queue: &TopicName, partition: u32) -> Option<Needs> {
        let (_, state) = self.queues.get(queue)?;
        state.needed(partition).map(|needed| Needs { floor: needed.floor, except: needed.gone })
    }

    /// Committed offsets: group, topic, partition, offset; in order.
    pub fn committed(&self) -> Vec<(Arc<str>, TopicName, u32, u64)> {
        let of_group = |(group, offsets): (&Arc<str>, &HashMap<OffsetKey, u64>)| {
            let line = |(key, offset): (&OffsetKey, &u64)| (Arc::clone(group), key.topic.clone(), key.partition, *offset);
            offsets.iter().map(line).collect::<Vec<_>>()
        };
        let mut all: Vec<_> = self.groups.iter().flat_map(of_group).collect();
        all.sort_unstable();
        all
    }
}
