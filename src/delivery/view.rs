//! A queue view with its takers: who gets the next record, and which changes of its state are still to be written.
//!
//! A topic has a default view under its own name, and any number of named ones, each with its own state.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes};

use super::flow::Flow;
use super::queue::{Class, Kind, QueueState, SnapshotError, StateOps};
use super::taker::{Mailbox, Serve, TakerId};
use crate::log::runs::RunSet;
use crate::log::{Bound, Log, Lsn, Partition, Topic, TopicError, TopicName};

/// Where a queue view begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Start {
    /// At the oldest record that is kept.
    #[default]
    Earliest,
    /// With what is written from now on.
    Latest,
    /// At this offset of every partition, or the nearest that is there.
    Offset(u64),
    /// At the first record of this time or later, in milliseconds since 1970.
    Time(i64),
}

/// What a queue view is opened with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueSpec {
    /// The topic that it reads.
    pub topic: TopicName,
    /// Whether its state is there after a restart.
    pub durable: bool,
    /// Where it begins.
    pub start: Start,
}

impl QueueSpec {
    /// A view of all that a topic holds.
    pub fn new(topic: TopicName, durable: bool) -> Self {
        Self { topic, durable, start: Start::Earliest }
    }
}

/// A queue view.
pub(super) struct View {
    pub topic: Arc<Topic>,
    pub spec: QueueSpec,
    pub state: QueueState,
    /// Changes since the last entry of the journal that must survive.
    pub ops: StateOps,
    /// Grows with every change that a reader could see.
    pub version: u64,
    /// When its whole state was last written; operations since then, if `changed`.
    pub put_at: Lsn,
    pub changed: bool,
    takers: VecDeque<Arc<Mailbox>>,
    /// None: nothing has passed yet. Most views are idle.
    flow: Option<Box<Flow>>,
}

/// Who is served next, and how.
pub(super) struct Turn {
    pub mailbox: Arc<Mailbox>,
    pub serve: Serve,
    pub class: Class,
}

impl View {
    pub fn new(log: &Log, topic: Arc<Topic>, spec: QueueSpec) -> Self {
        let mut state = QueueState::new(topic.partition_count());
        for partition in topic.partitions() {
            state.pass(partition.index(), 0, first_offset(log, &partition, spec.start));
        }
        let mut view = Self::with_state(topic, spec, state);
        view.catch_up();
        view
    }

    pub fn with_state(topic: Arc<Topic>, spec: QueueSpec, state: QueueState) -> Self {
        Self {
            topic,
            spec,
            state,
            ops: StateOps::default(),
            version: 0,
            put_at: Lsn::NONE,
            changed: false,
            takers: VecDeque::new(),
            flow: None,
        }
    }

    /// Learns of what was written to its topic, and of partitions that were added.
    pub fn catch_up(&mut self) {
        self.state.add_partitions(self.topic.partition_count());
        for partition in self.topic.partitions() {
            let bounds = partition.bounds();
            let index = partition.index();
            let from = self.state.end(index).max(bounds.log_start);
            self.state.pass(index, 0, bounds.log_start);
            let broadcast = partition.broadcast();
            let mut at = from;
            for run in broadcast.runs_in(from..bounds.end) {
                self.state.extend(index, at, run.start - at, Kind::Plain);
                self.state.extend(index, run.start, run.end - run.start, Kind::Broadcast);
                at = run.end;
            }
            self.state.extend(index, at, bounds.end.saturating_sub(at), Kind::Plain);
            self.learn_transactions(&partition);
        }
        self.version += 1;
    }

    /// Passes over what is no record, and holds back what no transaction has decided on.
    fn learn_transactions(&mut self, partition: &Partition) {
        let index = partition.index();
        for run in partition.void_from(self.state.floor(index)).iter() {
            self.state.pass(index, run.start, run.end - run.start);
        }
        for run in partition.open_transactions().iter().flat_map(RunSet::iter) {
            self.state.hold(index, run);
        }
    }

    pub fn add_taker(&mut self, mailbox: Arc<Mailbox>) {
        self.takers.push_back(mailbox);
    }

    pub fn remove_taker(&mut self, id: TakerId) {
        self.takers.retain(|mailbox| mailbox.id != id);
    }

    pub fn taker_count(&self) -> u32 {
        u32::try_from(self.takers.len()).unwrap_or(u32::MAX)
    }

    /// What has passed.
    pub fn flow(&self) -> Flow {
        self.flow.as_deref().copied().unwrap_or_default()
    }

    /// Records were handed to takers.
    pub fn count_taken(&mut self, records: u64, now_ms: i64) {
        self.flow.get_or_insert_default().taken.add(records, now_ms);
    }

    /// Records are done.
    pub fn count_settled(&mut self, records: u64, now_ms: i64) {
        self.flow.get_or_insert_default().settled.add(records, now_ms);
    }

    pub fn cancel_takers(&mut self) {
        for mailbox in self.takers.drain(..) {
            mailbox.cancel();
        }
    }

    /// The taker whose turn it is, with its credit spent. It goes to the back of the line.
    pub fn next_turn(&mut self) -> Option<Turn> {
        let ready = (self.state.ready(Class::All), self.state.ready(Class::Queued));
        if ready.0 == 0 {
            return None;
        }
        let sees = |class: Class| match class {
            Class::All => true,
            Class::Queued => ready.1 > 0,
        };
        let index = self.takers.iter().position(|mailbox| sees(mailbox.spec.class) && mailbox.spend())?;
        let mailbox = self.takers.remove(index)?;
        self.takers.push_back(Arc::clone(&mailbox));
        let (serve, class) = (mailbox.spec.serve.clone(), mailbox.spec.class);
        Some(Turn { mailbox, serve, class })
    }

    /// Everything that must survive, as one put.
    pub fn put(&self) -> Bytes {
        let topic = self.spec.topic.as_bytes();
        let mut body = Vec::with_capacity(16 + topic.len());
        body.put_u8(1);
        body.put_u32(u32::try_from(topic.len()).unwrap_or(u32::MAX));
        body.put_slice(topic);
        body.put_slice(&self.state.snapshot());
        body.into()
    }

    /// The topic's name and the state, out of a put.
    pub fn parse_put(mut body: &[u8]) -> Option<(TopicName, &[u8])> {
        if body.len() < 5 || body.get_u8() != 1 {
            return None;
        }
        let length = body.get_u32() as usize;
        let name = TopicName::new(Bytes::copy_from_slice(body.get(..length)?)).ok()?;
        Some((name, body.get(length..)?))
    }

    /// A view as a put describes it. `is_recovered`: what it held may have been delivered before.
    pub fn restore(topic: Arc<Topic>, state: &[u8], is_recovered: bool) -> Result<Self, SnapshotError> {
        let state = QueueState::restore(state, is_recovered)?;
        let spec = QueueSpec::new(topic.name().clone(), true);
        let mut view = Self::with_state(topic, spec, state);
        view.catch_up();
        if is_recovered {
            view.state.mark_recovered();
        }
        Ok(view)
    }
}

/// The name of the queue view `name` of a topic, beside the default one. It is no topic's: it lies among the log's own names.
pub fn view_name(topic: &TopicName, name: &[u8]) -> Result<TopicName, TopicError> {
    let length = topic.as_bytes().len().to_string();
    TopicName::new([VIEWS, length.as_bytes(), b"/", topic.as_bytes(), b"/", name].concat())
}

/// What the names of all named queue views begin with.
const VIEWS: &[u8] = b"__view/";

fn first_offset(log: &Log, partition: &Partition, start: Start) -> u64 {
    let bounds = partition.bounds();
    match start {
        Start::Earliest => bounds.log_start,
        Start::Latest => bounds.end,
        Start::Offset(offset) => offset.clamp(bounds.log_start, bounds.end),
        Start::Time(time_ms) => match log.offset_for_time(partition, time_ms, Bound::Durable) {
            Ok(Some((offset, _))) => offset,
            // What is not durable yet is newer than all that can be searched.
            Ok(None) => bounds.durable,
            Err(error) => {
                let (topic, partition) = (partition.topic_name(), partition.index());
                tracing::warn!(%topic, partition, %error, "times cannot be searched: a queue view begins at the log start");
                bounds.log_start
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_of_topics_with_odd_names_have_names_of_their_own() {
        let topic = |name: &str| TopicName::new(name.to_owned()).expect("a legal name");
        let name = |of: &str, view: &str| view_name(&topic(of), view.as_bytes()).expect("a legal name");
        assert_eq!(name("orders", "audit"), topic("__view/6/orders/audit"));
        assert_ne!(name("a/b", "c"), name("a", "b/c"));
        assert!(name("a", "").is_internal());
    }
}
