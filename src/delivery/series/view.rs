//! A series with its topic, and which changes of it are still to be written.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::{BufMut, Bytes};

use super::op::SeriesOp;
use super::state::SeriesState;
use crate::delivery::{SERIES, StartError};
use crate::log::record::varint::{Input, put_uvarint};
use crate::log::{Change, Log, Lsn, Topic, TopicName};

/// A series as delivery keeps it.
pub(in crate::delivery) struct SeriesView {
    pub topic: Arc<Topic>,
    pub state: SeriesState,
    /// Changes since the last entry of the journal.
    pub ops: Vec<SeriesOp>,
    /// Grows with every change that a reader could see.
    pub version: u64,
    /// When its whole state was last written; operations since then, if `changed`.
    pub put_at: Lsn,
    pub changed: bool,
}

impl SeriesView {
    /// `end`: that of the journal. It grows by more than versions do, so a series never has the versions of one before it.
    pub fn new(topic: Arc<Topic>, state: SeriesState, end: Lsn) -> Self {
        Self { topic, state, ops: Vec::new(), version: end.0, put_at: Lsn::NONE, changed: false }
    }

    /// Changes the state, and remembers to write it down.
    pub fn apply(&mut self, op: SeriesOp) {
        self.state.apply(&op);
        self.version += 1;
        if !self.ops.last_mut().is_some_and(|last| last.join(&op)) {
            self.ops.push(op);
        }
    }

    /// Learns of what retention took away meanwhile.
    pub fn catch_up(&mut self) {
        let log_start = self.topic.partition(0).map_or(0, |partition| partition.bounds().log_start);
        if self.state.advance_log_start(log_start) {
            self.version += 1;
        }
    }

    /// Everything, as one put.
    pub fn put(&self) -> Bytes {
        let mut body = vec![1];
        body.put_slice(&self.state.snapshot());
        body.into()
    }

    /// The changes since the last call, as one operation; none: nothing has changed.
    pub fn take_ops(&mut self) -> Option<Bytes> {
        if self.ops.is_empty() {
            return None;
        }
        let mut body = Vec::new();
        put_uvarint(&mut body, self.ops.len() as u64);
        self.ops.drain(..).for_each(|op| op.encode(&mut body));
        Some(body.into())
    }
}

/// Brings all series back to where they were.
pub(in crate::delivery) fn load(log: &Log) -> Result<HashMap<TopicName, SeriesView>, StartError> {
    let mut all: HashMap<TopicName, SeriesView> = HashMap::new();
    for (key, change) in log.read_table(SERIES)? {
        let Ok(name) = TopicName::new(key) else { continue };
        let damaged = || StartError::Damaged { queue: name.to_string(), reason: "its series cannot be read".to_owned() };
        match change {
            Change::Delete => drop(all.remove(&name)),
            Change::Operation(body) => {
                // An operation without a put before it belongs to a series that was dropped later.
                if let Some(view) = all.get_mut(&name) {
                    apply(view, &body).ok_or_else(damaged)?;
                }
            }
            Change::Put(body) => match log.topic(&name) {
                Some(topic) => {
                    let state = parse_put(&body).ok_or_else(damaged)?;
                    // The topic's own copy: a name that is kept must not keep the batch that it was read with.
                    all.insert(topic.name().clone(), SeriesView::new(topic, state, log.end()));
                }
                None => drop(all.remove(&name)),
            },
        }
    }
    all.values_mut().for_each(SeriesView::catch_up);
    Ok(all)
}

/// The state out of a put; `None` if it is damaged.
fn parse_put(body: &[u8]) -> Option<SeriesState> {
    let (version, state) = body.split_first()?;
    (*version == 1).then(|| SeriesState::restore(state))?
}

/// Does again what was done; `None` if the bytes are damaged.
fn apply(view: &mut SeriesView, body: &[u8]) -> Option<()> {
    let mut input = Input::new(body);
    for _ in 0..input.uvarint()? {
        view.state.apply(&SeriesOp::decode(&mut input)?);
    }
    view.changed = true;
    input.is_empty().then_some(())
}
