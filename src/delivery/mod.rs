//! What the three models of delivery mean, as views on one log.
//!
//! A *queue* gives a record to one taker, a *tail* gives every record from now on to everyone who listens, and a *group*
//! remembers a committed offset a partition. All changes go through a [`Unit`], which is one atomic entry of the journal.

mod alarms;
mod death;
mod flow;
pub mod group;
mod kept;
mod line;
mod observer;
mod partitioner;
pub mod queue;
mod queues;
mod reader;
mod search;
pub mod series;
mod settlement;
mod tail;
mod taker;
pub mod transaction;
mod unit;
mod view;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

pub use death::{Attributes, Burial, Death, Ended, Reason, Steward};
pub use flow::{Flow, Meter};
pub use kept::KeptState;
pub use observer::{GroupSnapshot, Observer, PartitionSnapshot, QueueSnapshot, TailSnapshot, TopicSnapshot};
pub use partitioner::{Placing, partition_of};
pub use queue::{Class, End, Kind, Overflow, QueueOptions, RunSet, Side, Stretch};
pub use reader::RecordReader;
pub use search::{Hit, Scope, Search};
pub use settlement::Settlement;
pub use tail::{Announcement, ByteSet, Form, LagLimits, Listener, Part, Pattern};
pub use taker::{Claim, Credit, Position, Serve, Taker, TakerId, TakerSpec};
pub use unit::{Appended, Asker, Moved, ProduceError, Room, Target, Unit};
pub use view::{QueueSpec, Start, view_name};

use crate::log::record::varint::Input;
use crate::log::{
    Change, Holders, Keeper, Log, LogSettings, Lsn, Needs, OpenError, Partition, ReadError, Refused, Signal, Table, TopicName,
};
use alarms::Alarms;
use queue::StateOps;
use queues::Queues;
use series::{SeriesView, Waiter, Want};
use tail::Tails;
use transaction::{TRANSACTIONS, Transactions};
use view::View;

/// The states of the queue views.
const QUEUES: Table = Table("__queues");
/// The states of the series.
const SERIES: Table = Table("__series");
/// Which producer ids are taken.
const PRODUCERS: Table = Table("__producers");
/// How often transactions are looked at for those whose time is over.
const TRANSACTIONS_CHECKED_EVERY: Duration = Duration::from_millis(200);
/// So many are ended in one step, as others wait for it.
const TRANSACTIONS_ENDED_AT_ONCE: usize = 16;
/// The key under which `__queues` says whether the last end was a clean one. No topic has an empty name.
const CLEAN: Bytes = Bytes::from_static(b"");

/// Who else than queue views holds records: groups, by their committed offsets.
pub trait Holder: Send + Sync {
    /// The lowest offset that is still needed of a partition; none: nobody has registered.
    fn floor(&self, topic: &TopicName, partition: u32) -> Option<u64>;
}

/// Everything that the one lock guards.
struct Views {
    queues: Queues,
    series: HashMap<TopicName, SeriesView>,
    /// Who waits for more of a series, by its name, the longest waiter first.
    waiters: HashMap<TopicName, Vec<(Arc<Waiter>, Want)>>,
    alarms: Alarms,
    /// Who waits to write to a topic until its queue views have room.
    rooms: HashMap<TopicName, Vec<Signal>>,
    /// Views and series with operations since they were last written as a whole, and some that have been written since.
    unsaved: Vec<TopicName>,
    unsaved_series: Vec<TopicName>,
    steward: Option<Arc<dyn Steward>>,
    tails: Tails,
    transactions: Transactions,
    memory: unit::Memory,
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
    #[error("the state of transactional id {0} is damaged")]
    Transaction(String),
    /// A table holds what this program did not write.
    #[error("the state of queue {queue} is damaged: {reason}")]
    Damaged {
        /// Whose state.
        queue: String,
        /// What is wrong.
        reason: String,
    },
}

impl Delivery {
    /// Opens the log and brings the views back to where they were.
    pub fn open(settings: LogSettings) -> Result<Self, StartError> {
        let log = Log::open(settings)?;
        for table in [QUEUES, SERIES, PRODUCERS, TRANSACTIONS] {
            log.open_table(table)?;
        }
        let taken = load_producer_ids(&log)?;
        let mut views = Views {
            queues: load_queues(&log)?,
            series: series::load(&log)?,
            waiters: HashMap::new(),
            alarms: Alarms::default(),
            rooms: HashMap::new(),
            unsaved: Vec::new(),
            unsaved_series: Vec::new(),
            steward: None,
            tails: Tails::default(),
            transactions: load_transactions(&log)?,
            memory: unit::Memory::default(),
            next_taker: 0,
            next_producer_id: taken,
            producer_ids_taken: taken,
        };
        views.unsaved = views.queues.iter().filter(|(_, view)| view.has_ops).map(|(name, _)| name.clone()).collect();
        views.unsaved_series = views.series.iter().filter(|(_, view)| view.changed).map(|(name, _)| name.clone()).collect();
        let names: Vec<_> = views.queues.names().cloned().collect();
        for name in &names {
            views.used(name, unit::now_ms());
        }
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

    /// Aborts transactions whose time is over, until `shutdown` completes. Without it none ever is.
    pub async fn run_transactions(&self, shutdown: impl Future<Output = ()>) {
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => return,
                () = tokio::time::sleep(TRANSACTIONS_CHECKED_EVERY) => {}
            }
            while self.begin().is_ok_and(|mut unit| unit.run_out_transactions(TRANSACTIONS_ENDED_AT_ONCE)) {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Whether an open transaction commits this offset for the group.
    pub fn is_offset_pending(&self, group: &str, key: &group::OffsetKey) -> bool {
        self.0.views.lock().transactions.is_pending(group, key)
    }

    /// Begins an atomic step that is to write records or make topics, if there is room for them.
    pub fn begin_records(&self) -> Result<Unit<'_>, Refused> {
        self.0.log.admit_records()?;
        self.begin()
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
        self.0.log.each_change(table, |key, change| {
            if let Change::Put(body) = change {
                newest.insert(key.clone(), body);
                order.push(key);
            } else {
                newest.remove(&key);
            }
            Ok::<_, StartError>(())
        })?;
        let mut held: Vec<_> = order.into_iter().rev().filter_map(|key| newest.remove_entry(&key)).collect();
        held.reverse();
        Ok(held)
    }

    /// Who decides from now on where dead records go.
    pub fn set_steward(&self, steward: Arc<dyn Steward>) {
        self.0.views.lock().steward = Some(steward);
    }

    /// Adds who holds records besides queue views.
    pub fn add_holder(&self, holder: Arc<dyn Holder>) {
        self.0.holders.write().push(holder);
    }

    /// All queue views as they stand, in no order.
    pub fn queues(&self) -> Vec<QueueSnapshot> {
        observer::queues(&self.0.views.lock())
    }

    /// Writes the state of all views, so that the next start has nothing to work out, and closes the log. Blocks.
    pub fn close(&self) -> Result<(), Refused> {
        self.0.checkpoint(Lsn::MAX);
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

impl Views {
    /// Queue views with operations since their last put, which is older than `before`; looks at no others. Before the end those
    /// that have changed in any way: who has had a record before is no operation, and can be kept then.
    fn unsaved_queues(&mut self, before: Lsn) -> Vec<TopicName> {
        let queues = &self.queues;
        if before == Lsn::MAX {
            let changed = queues.iter().filter(|(_, view)| view.changed && view.durable);
            return changed.map(|(name, _)| name.clone()).collect();
        }
        self.unsaved.retain(|name| queues.get(name).is_some_and(|view| view.has_ops && view.durable));
        self.unsaved.iter().filter(|name| queues.get(name).is_some_and(|view| view.put_at < before)).cloned().collect()
    }

    /// The same of series.
    fn unsaved_series(&mut self, before: Lsn) -> Vec<TopicName> {
        let series = &self.series;
        self.unsaved_series.retain(|name| series.get(name).is_some_and(|view| view.changed));
        self.unsaved_series.iter().filter(|name| series.get(*name).is_some_and(|view| view.put_at < before)).cloned().collect()
    }
}

impl Inner {
    /// Writes a put for every view that changed since its last one, which is older than `before`.
    fn checkpoint(&self, before: Lsn) {
        let mut views = self.views.lock();
        let due = views.unsaved_queues(before);
        for names in due.chunks(256) {
            let mut unit = Unit::new(&self.log, views);
            for name in names {
                unit.put_queue(name);
            }
            unit.commit();
            views = self.views.lock();
        }
        let due = views.unsaved_series(before);
        for names in due.chunks(256) {
            let mut unit = Unit::new(&self.log, views);
            names.iter().for_each(|name| unit.put_series(name));
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

    fn needs(&self, partition: &Partition, holders: Holders) -> Needs {
        let Some(inner) = self.0.upgrade() else { return Needs::default() };
        let of_view = |view: &View| {
            let needed = view.state.needed(partition.index());
            needed.map_or_else(Needs::default, |needed| Needs { floor: needed.floor, except: needed.gone })
        };
        let views = inner.views.lock();
        let mut needs = views.queues.of_topic(partition.topic_name()).map(of_view).fold(Needs::nothing(), Needs::and);
        if let Some(view) = views.series.get(partition.topic_name()).filter(|_| partition.index() == 0) {
            let (floor, except) = view.state.needed(partition.open_transactions().iter());
            needs = needs.and(Needs { floor, except });
        }
        drop(views);
        for holder in inner.holders.read().iter().filter(|_| holders == Holders::All) {
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

fn load_queues(log: &Log) -> Result<Queues, StartError> {
    let mut queues = Queues::default();
    let mut is_recovered = false;
    log.each_change(QUEUES, |key, change| {
        if key == CLEAN {
            is_recovered = change != Change::Put(Bytes::from_static(b"clean"));
            return Ok(());
        }
        let Ok(name) = TopicName::new(key) else { return Ok(()) };
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
                let (spec, state) = View::parse_put(&body).ok_or_else(|| damaged("not a put".to_owned()))?;
                match log.topic(&spec.topic) {
                    Some(topic) => {
                        let view = View::restore(topic, spec, state).map_err(|error| damaged(error.to_string()))?;
                        queues.insert(&name, view);
                    }
                    None => {
                        queues.remove(&name);
                    }
                }
            }
        }
        Ok::<_, StartError>(())
    })?;
    if is_recovered {
        queues.each(|view| view.state.mark_recovered());
    }
    Ok(queues)
}

fn load_transactions(log: &Log) -> Result<Transactions, StartError> {
    let mut newest = HashMap::new();
    for (name, change) in log.read_table(TRANSACTIONS)? {
        newest.insert(name, change);
    }
    let mut transactions = Transactions::default();
    for (name, change) in newest {
        let Change::Put(body) = change else { continue };
        if !transactions.restore(&name, &body) {
            return Err(StartError::Transaction(String::from_utf8_lossy(&name).into_owned()));
        }
    }
    Ok(transactions)
}

/// Does again what was done to a view.
fn apply(view: &mut View, body: &[u8]) -> Result<(), String> {
    let ops = StateOps::decode(&mut Input::new(body)).ok_or("not a set of operations")?;
    for op in ops.iter() {
        view.state.apply(op).map_err(|error| error.to_string())?;
    }
    (view.has_ops, view.changed) = (true, true);
    Ok(())
}

#[cfg(test)]
mod aging_tests;
#[cfg(test)]
mod edit_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod observer_tests;
#[cfg(test)]
mod search_tests;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod transaction_tests;
#[cfg(test)]
mod view_model_tests;
