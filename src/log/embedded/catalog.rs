//! Which topics there are: names, identities, partitions. What it holds is also in the table `__topics`, one put a topic.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::alike::Alike;
use super::compacted::Held;
use super::files::partition_directory;
use super::handles::Handles;
use super::partition::{Partition, Shared};
use super::segment::Segments;
use crate::log::error::TopicError;
use crate::log::lsn::Durability;
use crate::log::name::TopicName;
use crate::log::producers::Producers;
use crate::log::state::{Change, PARTITIONS, StateRecord, TOPICS, Table};
use crate::log::topic::{Cleanup, Topic, TopicId, TopicSettings};
use crate::log::transactions::KeptTransactions;

/// The most partitions that one topic may have.
pub const PARTITIONS_MAX: u32 = 10_000;

/// What `__topics` holds for a name.
#[derive(Debug, Serialize, Deserialize)]
pub struct TopicPut {
    pub id: TopicId,
    pub partitions: Vec<u32>,
    pub settings: TopicSettings,
}

/// What `__partitions` holds for a partition's number (4 bytes, big-endian).
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct PartitionPut {
    pub log_start: u64,
    pub end: u64,
    #[serde(default)]
    pub broadcast: Vec<(u64, u64)>,
    #[serde(default)]
    pub producers: Producers,
    #[serde(default)]
    pub compacted_to: u64,
    #[serde(default)]
    pub horizon_ms: Option<i64>,
    #[serde(default)]
    pub held: Option<Held>,
    #[serde(default)]
    pub transactions: KeptTransactions,
}

/// The topics and partitions by name, identity and number.
#[derive(Debug)]
pub struct Catalog {
    root: PathBuf,
    shared: Arc<Shared>,
    topics_max: usize,
    /// For topics that do not say.
    durability: Durability,
    next_partition: u32,
    /// Grows with every topic or partition that comes or goes.
    version: u64,
    /// Topics that belong to the log itself.
    internal: usize,
    settings: Alike,
    by_name: Handles<TopicName, Topic>,
    by_id: Handles<TopicId, Topic>,
    partitions: Handles<u32, Partition>,
}

impl Catalog {
    /// Only the two tables that the log itself needs.
    pub fn new(root: PathBuf, shared: Arc<Shared>, durability: Durability, topics_max: usize) -> Self {
        let mut catalog = Self {
            root,
            shared,
            topics_max,
            durability,
            next_partition: 0,
            version: 0,
            internal: 0,
            settings: Alike::default(),
            by_name: Handles::new(Topic::name),
            by_id: Handles::new(Topic::id_ref),
            partitions: Handles::new(Partition::id_ref),
        };
        for (number, table) in [TOPICS, PARTITIONS].into_iter().enumerate() {
            let number = u32::try_from(number).unwrap_or(0);
            let id = TopicId(u128::from(number) + 1);
            catalog.install(TopicName::internal(table.0), id, &[number], table_settings());
        }
        catalog
    }

    /// The topic of a name.
    pub fn topic(&self, name: &TopicName) -> Option<Arc<Topic>> {
        self.by_name.get(name).cloned()
    }

    /// The topic of an identity.
    pub fn topic_by_id(&self, id: TopicId) -> Option<Arc<Topic>> {
        self.by_id.get(&id).cloned()
    }

    /// All topics.
    pub fn topics(&self) -> Vec<Arc<Topic>> {
        self.by_name.iter().cloned().collect()
    }

    /// Differs from what it was as soon as a topic or partition came or went.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// How many topics there are, internal ones left out.
    pub fn public_count(&self) -> usize {
        self.by_name.len() - self.internal
    }

    /// What all partitions have in common.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The partition of a number.
    pub fn partition(&self, number: u32) -> Option<Arc<Partition>> {
        self.partitions.get(&number).cloned()
    }

    /// A number is taken, or was once: what is left of its partition must not be taken for another's.
    pub fn note_number(&mut self, number: u32) {
        self.next_partition = self.next_partition.max(number.saturating_add(1));
    }

    /// All partitions.
    pub fn partitions(&self) -> Vec<Arc<Partition>> {
        self.partitions.iter().cloned().collect()
    }

    /// Makes a topic, and the record that makes it durable.
    pub fn create(
        &mut self,
        name: &TopicName,
        partitions: u32,
        settings: TopicSettings,
    ) -> Result<(Arc<Topic>, StateRecord), TopicError> {
        if self.by_name.get(name).is_some() {
            return Err(TopicError::Exists);
        }
        if partitions == 0 || partitions > PARTITIONS_MAX {
            return Err(TopicError::InvalidPartitions);
        }
        if self.by_name.len() >= self.topics_max && !name.is_internal() {
            return Err(TopicError::TooMany);
        }
        let numbers: Vec<u32> = (self.next_partition..).take(partitions as usize).collect();
        let topic = self.install(name.clone(), TopicId(rand::random()), &numbers, settings);
        let record = Self::put_of(&topic);
        Ok((topic, record))
    }

    /// Adds partitions up to a total.
    pub fn add_partitions(&mut self, name: &TopicName, total: u32) -> Result<StateRecord, TopicError> {
        let topic = self.topic(name).ok_or(TopicError::Unknown)?;
        let present = topic.partition_count();
        if total <= present || total > PARTITIONS_MAX {
            return Err(TopicError::InvalidPartitions);
        }
        let numbers: Vec<u32> = (self.next_partition..).take((total - present) as usize).collect();
        let durability = self.durability_of(&topic.settings());
        let more = self.install_partitions(topic.name(), present, &numbers, durability);
        topic.add_partitions(more);
        Ok(Self::put_of(&topic))
    }

    /// Changes a topic's settings.
    pub fn change(&mut self, name: &TopicName, settings: TopicSettings) -> Result<StateRecord, TopicError> {
        let topic = self.topic(name).ok_or(TopicError::Unknown)?;
        self.change_settings(&topic, settings);
        Ok(Self::put_of(&topic))
    }

    fn change_settings(&mut self, topic: &Topic, settings: TopicSettings) {
        for partition in topic.partitions() {
            partition.set_durability(self.durability_of(&settings));
            partition.note_change();
        }
        topic.change_settings(self.settings.share(settings));
    }

    fn durability_of(&self, settings: &TopicSettings) -> Durability {
        settings.durability.unwrap_or(self.durability)
    }

    /// Takes a topic out. Its files are the caller's to remove once the record is durable.
    pub fn delete(&mut self, name: &TopicName) -> Result<(Arc<Topic>, Vec<StateRecord>), TopicError> {
        let topic = self.remove(name).ok_or(TopicError::Unknown)?;
        let mut records = vec![StateRecord { table: TOPICS, key: name.to_bytes(), change: Change::Delete }];
        let tables = self.partitions.get(&1).cloned();
        for partition in topic.partitions() {
            let key = partition_key(partition.id());
            let known = tables
                .as_ref()
                .is_some_and(|table| table.with(|state| state.latest().is_some_and(|latest| latest.contains_key(&key[..]))));
            if known {
                records.push(StateRecord { table: PARTITIONS, key, change: Change::Delete });
            }
        }
        Ok((topic, records))
    }

    /// Does what a record of `__topics` says.
    pub fn apply(&mut self, key: &Bytes, change: &Change) -> Result<(), String> {
        let name = TopicName::new(key.clone()).map_err(|error| error.to_string())?;
        match change {
            Change::Delete => {
                self.remove(&name);
            }
            Change::Operation(_) => return Err("an operation in the catalog".to_owned()),
            Change::Put(body) => {
                let put: TopicPut = serde_json::from_slice(body).map_err(|error| error.to_string())?;
                match self.topic(&name).filter(|topic| topic.id() == put.id) {
                    Some(topic) => {
                        let durability = self.durability_of(&put.settings);
                        self.change_settings(&topic, put.settings);
                        let present = topic.partition_count();
                        let more = put.partitions.get(present as usize..).unwrap_or_default();
                        let more = self.install_partitions(topic.name(), present, more, durability);
                        topic.add_partitions(more);
                    }
                    None => {
                        self.remove(&name);
                        self.install(name, put.id, &put.partitions, put.settings);
                    }
                }
            }
        }
        Ok(())
    }

    fn remove(&mut self, name: &TopicName) -> Option<Arc<Topic>> {
        let topic = self.by_name.remove(name)?;
        self.version += 1;
        self.internal -= usize::from(topic.is_internal());
        topic.mark_deleted();
        self.by_id.remove(&topic.id());
        for partition in topic.partitions() {
            self.partitions.remove(&partition.id());
        }
        Some(topic)
    }

    fn install(&mut self, name: TopicName, id: TopicId, numbers: &[u32], settings: TopicSettings) -> Arc<Topic> {
        // A copy: what it was read out of must not live as long as the topic.
        let name = name.detached();
        let durability = self.durability_of(&settings);
        let partitions = self.install_partitions(&name, 0, numbers, durability);
        let topic = Arc::new(Topic::new(name, id, partitions, self.settings.share(settings)));
        self.internal += usize::from(topic.is_internal());
        self.by_name.insert(Arc::clone(&topic));
        self.by_id.insert(Arc::clone(&topic));
        topic
    }

    fn install_partitions(
        &mut self,
        name: &TopicName,
        first_index: u32,
        numbers: &[u32],
        durability: Durability,
    ) -> Vec<Arc<Partition>> {
        let mut made = Vec::with_capacity(numbers.len());
        self.version += 1;
        for (index, number) in (first_index..).zip(numbers.iter().copied()) {
            let partition = Arc::new(Partition::new(number, index, name.clone(), Arc::clone(&self.shared), durability));
            self.next_partition = self.next_partition.max(number + 1);
            self.partitions.insert(Arc::clone(&partition));
            made.push(partition);
        }
        made
    }

    /// Where a partition's segments lie, or would.
    pub fn directory_of(&self, partition: &Partition) -> PathBuf {
        partition_directory(&self.root, &partition.topic_name().to_file_stem(), partition.index())
    }

    /// The segments that a partition has, or the place for them where it has none.
    pub fn segments_of(&self, topic: &Topic, partition: &Partition) -> Segments {
        let present = partition.with(|state| Arc::clone(&state.segments));
        if present.list().is_empty() {
            Segments::empty(self.shared.files.clone(), self.directory_of(partition), topic.id())
        } else {
            Segments::clone(&present)
        }
    }

    fn put_of(topic: &Topic) -> StateRecord {
        let put = TopicPut {
            id: topic.id(),
            partitions: topic.partitions().iter().map(|partition| partition.id()).collect(),
            settings: TopicSettings::clone(&topic.settings()),
        };
        let body = serde_json::to_vec(&put).unwrap_or_default();
        StateRecord { table: TOPICS, key: topic.name().to_bytes(), change: Change::Put(body.into()) }
    }
}

/// The settings of a table of state.
pub fn table_settings() -> TopicSettings {
    TopicSettings { cleanup: Cleanup::Compact, retention_ms: None, max_message_bytes: 128 << 20, ..TopicSettings::default() }
}

/// The topic that a table is kept in.
pub fn table_name(table: Table) -> TopicName {
    TopicName::internal(table.0)
}

/// The key of a partition in `__partitions`.
pub fn partition_key(number: u32) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

/// The key of `__partitions` that says up to which position the journal was retired. No partition has it.
pub const RETIRED_KEY: Bytes = Bytes::new();

/// The record that says so: without a file that begins there or before, something is missing.
pub fn retired_put(position: u64) -> StateRecord {
    let change = Change::Put(Bytes::copy_from_slice(&position.to_be_bytes()));
    StateRecord { table: PARTITIONS, key: RETIRED_KEY, change }
}

/// The position in such a record.
pub fn retired_to(change: &Change) -> Option<u64> {
    match change {
        Change::Put(body) => body.as_ref().try_into().ok().map(u64::from_be_bytes),
        Change::Operation(_) | Change::Delete => None,
    }
}

/// The record that keeps what cannot be read off a partition's files.
pub fn partition_put(partition: &Partition) -> StateRecord {
    let put = partition.with(|state| PartitionPut {
        log_start: state.log_start,
        end: state.end,
        broadcast: state.broadcast.iter().map(|run| (run.start, run.end)).collect(),
        producers: state.rare().map(|rare| rare.producers.clone()).unwrap_or_default(),
        compacted_to: state.compacted().to,
        horizon_ms: state.compacted().horizon_ms,
        held: state.compacted().held,
        transactions: state.rare().map(|rare| rare.transactions.keep()).unwrap_or_default(),
    });
    let body = serde_json::to_vec(&put).unwrap_or_default();
    StateRecord { table: PARTITIONS, key: partition_key(partition.id()), change: Change::Put(body.into()) }
}
