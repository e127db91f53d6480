//! What the three models of delivery mean, as views on one log.
//!
//! A *queue* gives a record to one taker, a *tail* gives every record from now on to everyone who listens, and a *group*
//! remembers a committed offset a partition. All changes go through a [`Unit`], which is one atomic entry of the journal.

pub mod group;
pub mod queue;
mod reader;
mod tail;
mod taker;
mod unit;
mod view;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

pub use queue::{Class, End, Kind, RunSet, Side, Stretch};
pub use reader::RecordReader;
pub use tail::{Announcement, Listener, Matcher};
pub use taker::{Claim, Credit, Position, Serve, Taker, TakerId, TakerSpec};
pub use unit::{Appended, ProduceError, Target, Unit};
pub use view::QueueSpec;

use crate::log::record::varint::Input;
use crate::log::{Change, Keeper, Log, LogSettings, Lsn, Needs, OpenError, Partition, ReadError, Refused, Table, TopicName};
use queue::StateOps;
use tail::Tails;
use view::View;

/// The states of the queue views.
const QUEUES: Table = Table("__queues");
/// Which producer ids are taken.
const PRODUCERS: Table = Table("__producers");
/// The key under which `__queues` says whether the last end was a clean one. No topic has an empty name.
const CLEAN: Bytes = Bytes::from_static(b"");

/// Who else than queue views holds records: groups, by their committed offsets.
pub trait Holder: Send + Sync {
    /// The lowest offset that is still needed of a partition; none: nobody has registered.
    fn floor(&self, topic: &TopicName, partition: u32) -> Option<u64>;
}

/// Everything that the one lock guards.
struct Views {
    queues: HashMap<TopicName, View>,
    tails: Tails,
    next_taker: u64,
    next_producer_id: i64,
    producer_ids_taken: i64,
}

struct Inner {
    log: Log,
    views: Mutex<Views>,
    holders: RwLock<Vec<Arc<dyn Holder>>>,
}

/// A handle on the views and the log below them; clones share it.
#[derive(Clone)]
pub struct Delivery(Arc<Inner>);

/// Why delivery did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log did not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The tables of state could not be read.
    #[error("reading the state of the queues: {0}")]
    Read(#[from] ReadError),
    /// Nothing can be written.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// A table holds what this program did not write.
    #[error("the state of queue {queue} is damaged: {reason}")]
    Damaged {
        /// Whose state.
        queue: String,
        /// What is wrong.
        reason: String,
    },
}

/// A queue view as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueSnapshot {
    /// Its name.
    pub name: TopicName,
    /// Records that may be taken.
    pub ready: u64,
    /// Records taken and not settled.
    pub in_flight: u64,
    /// Its takers.
    pub takers: u32,
}

impl Delivery {
    /// Opens the log and brings the views back to where they were.
    pub fn open(settings: LogSettings) -> Result<Self, StartError> {
        let log = Log::open(settings)?;
        for table in [QUEUES, PRODUCERS] {
            log.open_table(table)?;
        }
        let taken = load_producer_ids(&log)?;
        let views = Views {
            queues: load_queues(&log)?,
            tails: Tails::default(),
            next_taker: 0,
            next_producer_id: taken,
            producer_ids_taken: taken,
        };
        let delivery = Self(Arc::new(Inner { log, views: Mutex::new(views), holders: RwLock::default() }));
        let keeper = Arc::downgrade(&delivery.0);
        delivery.0.log.set_keeper(Arc::new(ViewKeeper(keeper)));
        delivery.mark_clean(false)?;
        Ok(delivery)
    }

    /// The log below.
    pub fn log(&self) -> &Log {
        &self.0.log
    }

    /// Begins an atomic step, if the log accepts any.
    pub fn begin(&self) -> Result<Unit<'_>, Refused> {
        self.0.log.admit()?;
        Ok(Unit::new(&self.0.log, self.0.views.lock()))
    }

    /// A reader of single records, for one connection.
    pub fn reader(&self) -> RecordReader {
        RecordReader::new(self.0.log.clone())
    }

    /// What a table of keyed state holds, in the order of its last changes; the table is made if it is missing.
    pub fn state(&self, table: Table) -> Result<Vec<(Bytes, Bytes)>, StartError> {
        self.0.log.open_table(table)?;
        let mut order = Vec::new();
        let mut newest = HashMap::new();
        for (key, change) in self.0.log.read_table(table)? {
            if let Change::Put(body) = change {
                newest.insert(key.clone(), body);
                order.push(key);
            } else {
                newest.remove(&key);
            }
        }
        let mut held: Vec<_> = order.into_iter().rev().filter_map(|key| newest.remove_entry(&key)).collect();
        held.reverse();
        Ok(held)
    }

    /// Adds who holds records besides queue views.
    pub fn add_holder(&self, holder: Arc<dyn Holder>) {
        self.0.holders.write().push(holder);
    }

    /// All queue views as they stand.
    pub fn queues(&self) -> Vec<QueueSnapshot> {
        let views = self.0.views.lock();
        let snapshot = |(name, view): (&TopicName, &View)| QueueSnapshot {
            name: name.clone(),
            ready: view.state.ready(Class::All),
            in_flight: view.state.in_flight(),
            takers: view.taker_count(),
        };
        views.queues.iter().map(snapshot).collect()
    }

    /// Writes the state of all views, so that the next start has nothing to work out, and closes the log. Blocks.
    pub fn close(&self) -> Result<(), Refused> {
        self.0.checkpoint(Lsn(u64::MAX));
        let ended = self.mark_clean(true);
        self.0.log.close();
        ended
    }

    fn mark_clean(&self, is_clean: bool) -> Result<(), Refused> {
        let mut unit = self.begin()?;
        let value = if is_clean { "clean" } else { "running" };
        unit.put_state(QUEUES, CLEAN, Some(Bytes::from_static(value.as_bytes())));
        unit.commit();
        Ok(())
    }
}

impl Inner {
    /// Writes a put for every view that changed since its last one, which is older than `before`.
    fn checkpoint(&self, before: Lsn) {
        let mut views = self.views.lock();
        let due: Vec<TopicName> = views
            .queues
            .iter()
            .filter(|(_, view)| view.changed && view.spec.durable && view.put_at < before)
            .map(|(name, _)| name.clone())
            .collect();
        for names in due.chunks(256) {
            let mut unit = Unit::new(&self.log, views);
            for name in names {
                unit.put_queue(name);
            }
            unit.commit();
            views = self.views.lock();
        }
    }
}

struct ViewKeeper(std::sync::Weak<Inner>);

impl Keeper for ViewKeeper {
    fn checkpoint(&self, before: Lsn) {
        if let Some(inner) = self.0.upgrade() {
            inner.checkpoint(before);
        }
    }

    fn needs(&self, partition: &Partition) -> Needs {
        let Some(inner) = self.0.upgrade() else { return Needs::default() };
        let mut needs = match inner.views.lock().queues.get(partition.topic_name()) {
            Some(view) => {
                let needed = view.state.needed(partition.index());
                needed.map_or_else(Needs::default, |needed| Needs { floor: needed.floor, except: needed.gone })
            }
            None => Needs::nothing(),
        };
        for holder in inner.holders.read().iter() {
            if let Some(floor) = holder.floor(partition.topic_name(), partition.index()) {
                needs = needs.and_from(floor);
            }
        }
        needs
    }
}

fn load_producer_ids(log: &Log) -> Result<i64, StartError> {
    let changes = log.read_table(PRODUCERS)?;
    let taken = changes.iter().filter_map(|(_, change)| match change {
        Change::Put(body) => body.first_chunk::<8>().map(|raw| i64::from_be_bytes(*raw)),
        Change::Operation(_) | Change::Delete => None,
    });
    Ok(taken.max().unwrap_or(0))
}

fn load_queues(log: &Log) -> Result<HashMap<TopicName, View>, StartError> {
    let changes = log.read_table(QUEUES)?;
    let marks = changes.iter().filter(|(key, _)| *key == CLEAN);
    let is_recovered = marks.last().is_some_and(|(_, change)| *change != Change::Put(Bytes::from_static(b"clean")));
    let mut queues = HashMap::new();
    for (key, change) in changes.into_iter().filter(|(key, _)| *key != CLEAN) {
        let Ok(name) = TopicName::new(key) else { continue };
        let damaged = |reason: String| StartError::Damaged { queue: name.to_string(), reason };
        match change {
            Change::Delete => {
                queues.remove(&name);
            }
            Change::Operation(body) => {
                // An operation without a put before it belongs to a view that was dropped later.
                if let Some(view) = queues.get_mut(&name) {
                    apply(view, &body).map_err(damaged)?;
                }
            }
            Change::Put(body) => {
                let (topic, state) = View::parse_put(&body).ok_or_else(|| damaged("not a put".to_owned()))?;
                match log.topic(&topic) {
                    Some(topic) => {
                        let view = View::restore(topic, state, is_recovered).map_err(|error| damaged(error.to_string()))?;
                        queues.insert(name, view);
                    }
                    None => {
                        queues.remove(&name);
                    }
                }
            }
        }
    }
    Ok(queues)
}

/// Does again what was done to a view.
fn apply(view: &mut View, body: &[u8]) -> Result<(), String> {
    let ops = StateOps::decode(&mut Input::new(body)).ok_or("not a set of operations")?;
    for op in ops.iter() {
        view.state.apply(op).map_err(|error| error.to_string())?;
    }
    view.changed = true;
    Ok(())
}

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;
