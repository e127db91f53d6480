//! A queue view with its takers: who gets the next record, and which changes of its state are still to be written.
//!
//! A topic has a default view under its own name, and any number of named ones, each with its own state.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes};

use super::death::Attributes;
use super::flow::Flow;
use super::line::Line;
use super::queue::{
    Class, ID_BYTES_MAX, Kind, Mark, Overflow, QueueOptions, QueueState, SnapshotError, StateOp, StateOps, Taken, time_after,
};
use super::taker::{Mailbox, Position, TakerId};
use crate::log::record::varint::Input;
use crate::log::runs::RunSet;
use crate::log::{Bound, Log, Lsn, Partition, Topic, TopicError, TopicName};

/// Ids that a view remembers at most, where nothing else is said.
const IDS_MAX: usize = 100_000;
/// The version of a put.
const PUT_VERSION: u8 = 3;

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
    /// What else it does; most views do nothing else.
    pub options: Option<Box<QueueOptions>>,
}

impl QueueSpec {
    /// A view of all that a topic holds.
    pub fn new(topic: TopicName, durable: bool) -> Self {
        Self { topic, durable, start: Start::Earliest, options: None }
    }
}

/// A queue view.
pub(super) struct View {
    pub topic: Arc<Topic>,
    /// Its name, unless that is the topic's: it is the default one then, as nearly all are.
    own_name: Option<Box<TopicName>>,
    /// Whether its state is there after a restart.
    pub durable: bool,
    /// What else it does; most views do nothing else.
    pub options: Option<Box<QueueOptions>>,
    pub state: QueueState,
    /// Changes since the last entry of the journal that must survive.
    pub ops: StateOps,
    /// Grows with every change that a reader could see.
    pub version: u64,
    /// When its whole state was last written; operations since then, if `has_ops`; anything at all, if `changed`.
    pub put_at: Lsn,
    pub has_ops: bool,
    pub changed: bool,
    /// When it asked to be looked at.
    pub alarm_ms: Option<i64>,
    /// When somebody last used it, in milliseconds since 1970.
    pub used_ms: i64,
    /// None: nobody takes from it. Most views are idle.
    takers: Option<Box<Line>>,
    /// None: nothing has passed yet.
    flow: Option<Box<Flow>>,
}

impl View {
    pub fn new(log: &Log, topic: Arc<Topic>, spec: QueueSpec, now_ms: i64) -> Self {
        let mut state = QueueState::new(topic.partition_count());
        for partition in topic.partitions() {
            state.pass(partition.index(), 0, first_offset(log, &partition, spec.start));
        }
        let mut view = Self::with_state(topic, spec, state);
        view.used_ms = now_ms;
        view.catch_up();
        view.stamp_backlog(now_ms);
        view
    }

    /// What is there as the view begins has come to it now.
    fn stamp_backlog(&mut self, now_ms: i64) {
        let Some(ttl_ms) = self.options.as_ref().and_then(|options| options.ttl_ms) else { return };
        let deadline_ms = time_after(now_ms, ttl_ms).max(0).unsigned_abs();
        for partition in 0..self.state.partition_count() {
            let (first, end) = (self.state.floor(partition), self.state.end(partition));
            self.state.mark(Mark::Deadline, partition, first, end.saturating_sub(first), deadline_ms);
        }
    }

    /// Its name.
    pub fn name(&self) -> &TopicName {
        self.own_name.as_deref().unwrap_or_else(|| self.topic.name())
    }

    /// Whether it is a view of its topic beside the default one.
    pub fn is_named(&self) -> bool {
        self.own_name.is_some()
    }

    /// Gives it a name. A copy, where it has one of its own: the name may be a part of something larger.
    pub fn set_name(&mut self, name: &TopicName) {
        self.own_name = (name != self.topic.name()).then(|| Box::new(name.detached()));
    }

    pub fn with_state(topic: Arc<Topic>, spec: QueueSpec, state: QueueState) -> Self {
        Self {
            topic,
            own_name: None,
            durable: spec.durable,
            options: spec.options,
            state,
            ops: StateOps::default(),
            version: 0,
            put_at: Lsn::NONE,
            has_ops: false,
            changed: false,
            alarm_ms: None,
            used_ms: 0,
            takers: None,
            flow: None,
        }
    }

    /// Begins anew somewhere else: everything from there on is ready, as if it had never been taken.
    pub fn seek(&mut self, log: &Log, start: Start, now_ms: i64) {
        let mut state = QueueState::new(self.topic.partition_count());
        for partition in self.topic.partitions() {
            state.pass(partition.index(), 0, first_offset(log, &partition, start));
        }
        state.keep_seen(&mut self.state);
        self.state = state;
        self.ops.clear();
        self.catch_up();
        self.stamp_backlog(now_ms);
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

    /// When something is due, in milliseconds since 1970.
    pub fn next_due(&self) -> Option<i64> {
        self.state.next_due().into_iter().chain(self.idle_end()).min()
    }

    /// Whether records that come to it change nothing beside its state: nobody takes them, nothing is due, and it has no limits.
    pub fn is_quiet(&self) -> bool {
        self.takers.is_none() && self.options.is_none() && self.state.next_due().is_none()
    }

    /// When it goes if nobody uses it, in milliseconds since 1970.
    pub fn idle_end(&self) -> Option<i64> {
        let idle_ms = self.options.as_ref()?.idle_ms.filter(|_| self.taker_count() == 0)?;
        Some(self.used_ms.saturating_add_unsigned(idle_ms))
    }

    /// Where its dead records go.
    pub fn dead_route(&self) -> Option<&Bytes> {
        self.options.as_ref()?.dead_route.as_ref()
    }

    /// Whether it holds more than it may.
    pub fn has_too_much(&self) -> bool {
        let Some(options) = &self.options else { return false };
        options.records_max.is_some_and(|most| self.state.ready(Class::All) > most)
            || options.bytes_max.is_some_and(|most| self.state.ready(Class::All) > 0 && self.state.held_bytes() > most)
    }

    /// For how long a record is its taker's, in milliseconds; none: for ever.
    pub fn lease_ms(&self) -> Option<u64> {
        self.options.as_ref()?.lease_ms
    }

    /// A record came back as failed: it is ready again, waits, or has failed too often and is done.
    pub fn failed(&mut self, at: Position, now_ms: i64) -> Option<Taken> {
        let Position { partition, offset } = at;
        let failures = self.state.delivered(partition, offset);
        let options = self.options.as_ref();
        if options.and_then(|options| options.failures_max).is_some_and(|most| failures > most) {
            let taken = self.state.discard(partition, offset)?;
            self.ops.accept(partition, offset);
            return Some(taken);
        }
        self.ops.failed(partition, offset, failures);
        if let Some(wait_ms) = options.and_then(|options| options.retry_ms(failures)) {
            let time_ms = time_after(now_ms, wait_ms);
            self.mark(Mark::Wait, at, 1, time_ms.max(0).unsigned_abs());
        }
        None
    }

    pub fn overflow(&self) -> Overflow {
        self.options.as_ref().map_or(Overflow::DropOldest, |options| options.overflow)
    }

    /// Whether there are times when it refuses records.
    pub fn may_refuse(&self) -> bool {
        self.overflow() != Overflow::DropOldest
    }

    /// Whether it remembers the ids of records.
    pub fn remembers_ids(&self) -> bool {
        self.options.as_ref().is_some_and(|options| options.ids_ms.is_some())
    }

    /// Whether it has no room for so many more records. Where writers wait, what is written at once goes in as a whole when there
    /// is room for any of it, or it might never.
    pub fn is_full_for(&self, records: u64) -> bool {
        let Some(options) = self.options.as_ref().filter(|options| options.overflow != Overflow::DropOldest) else {
            return false;
        };
        let records = if options.overflow == Overflow::Wait { 1 } else { records };
        options.records_max.is_some_and(|most| self.state.ready(Class::All).saturating_add(records) > most)
            || options.bytes_max.is_some_and(|most| self.state.held_bytes() >= most)
    }

    /// Whether the records of one key are one taker's at a time.
    pub fn orders_by_key(&self) -> bool {
        self.options.as_ref().is_some_and(|options| options.by_key)
    }

    /// Whether a record is one that retention has removed, which is nothing any more then.
    pub fn has_lost(&mut self, partition: u32, offset: u64) -> bool {
        let log_start = self.topic.partition(partition).map_or(0, |partition| partition.bounds().log_start);
        if offset < log_start {
            self.state.advance_log_start(partition, log_start);
        }
        offset < log_start
    }

    fn mark(&mut self, mark: Mark, at: Position, count: u64, value: u64) {
        self.state.mark(mark, at.partition, at.offset, count, value);
        self.ops.mark(mark, at.partition, at.offset, count, value);
    }

    /// A record was written with an id: it is done if the id was there before. False if ids are not remembered.
    pub fn see(&mut self, at: Position, id: &Bytes, now_ms: i64) -> bool {
        if !self.remembers_ids() {
            return false;
        }
        if self.state.knows(id, now_ms) {
            self.state.pass(at.partition, at.offset, 1);
            self.ops.accept(at.partition, at.offset);
        } else {
            self.remember(&Attributes { id: Some(id.clone()), ..Attributes::default() }, now_ms);
        }
        true
    }

    /// Remembers a record's id, if ids are remembered.
    fn remember(&mut self, attributes: &Attributes, now_ms: i64) {
        let Some(id) = attributes.id.as_ref().filter(|id| id.len() <= ID_BYTES_MAX) else { return };
        let Some((ids_ms, most)) = self.options.as_ref().and_then(|options| Some((options.ids_ms?, options.ids_max))) else {
            return;
        };
        let most = most.and_then(|most| usize::try_from(most).ok()).unwrap_or(IDS_MAX);
        // A copy: a slice would keep a whole body alive.
        let (id, until_ms) = (Bytes::copy_from_slice(id), now_ms.saturating_add_unsigned(ids_ms));
        self.state.remember(id.clone(), until_ms, now_ms, most);
        self.ops.push(StateOp::Seen { id, until_ms });
    }

    /// Gives records that were just appended what they and the view's options ask for; `bytes` is the size of each. False if that is
    /// nothing.
    pub fn stamp(&mut self, at: Position, count: u64, bytes: u64, attributes: &Attributes, now_ms: i64) -> bool {
        let before = self.ops.len();
        let options = self.options.as_deref();
        let (of_view, weighs) = options.map_or((None, false), |options| (options.ttl_ms, options.bytes_max.is_some()));
        let level = options.and_then(|options| options.level_max).map_or(0, |most| attributes.level.min(most));
        self.remember(attributes, now_ms);
        if weighs {
            self.mark(Mark::Weight, at, count, bytes);
        }
        if level > 0 {
            self.mark(Mark::Level, at, count, level.into());
        }
        let delay_ms = attributes.delay_ms.unwrap_or(0);
        if delay_ms > 0 {
            self.mark(Mark::Wait, at, count, time_after(now_ms, delay_ms).max(0).unsigned_abs());
        }
        if let Some(ttl_ms) = attributes.ttl_ms.into_iter().chain(of_view).min() {
            let time_ms = time_after(now_ms.saturating_add_unsigned(delay_ms), ttl_ms);
            self.mark(Mark::Deadline, at, count, time_ms.max(0).unsigned_abs());
        }
        self.ops.len() > before || weighs
    }

    pub fn add_taker(&mut self, mailbox: Arc<Mailbox>, now_ms: i64) {
        self.used_ms = now_ms;
        self.takers.get_or_insert_default().add(mailbox);
    }

    /// Takes a taker out of the line. If it was the only one that was served, another is.
    pub fn remove_taker(&mut self, id: TakerId, now_ms: i64) {
        self.used_ms = now_ms;
        if let Some(takers) = &mut self.takers {
            takers.remove(id);
        }
        self.takers.take_if(|takers| takers.is_empty());
    }

    /// A taker may have credit again.
    pub fn resume_taker(&mut self, id: TakerId) {
        if let Some(takers) = &mut self.takers {
            takers.resume(id);
        }
    }

    pub fn taker_count(&self) -> u32 {
        self.takers.as_ref().map_or(0, |takers| u32::try_from(takers.len()).unwrap_or(u32::MAX))
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
        if let Some(mut takers) = self.takers.take() {
            takers.cancel();
        }
    }

    /// The taker whose turn it is, with its credit spent. It goes to the back of the line. `passed` are those who found nothing that
    /// they may have.
    pub fn next_turn(&mut self, passed: &[TakerId]) -> Option<Arc<Mailbox>> {
        let takers = self.takers.as_mut()?;
        let [all, queued] = [Class::All, Class::Queued].map(|class| self.state.ready(class) > 0);
        if !all {
            return None;
        }
        let is_single = self.options.as_ref().is_some_and(|options| options.single_taker);
        let by_key = self.options.as_ref().is_some_and(|options| options.by_key);
        let (state, sees) = (&self.state, |class| if class == Class::All { all } else { queued });
        let finds = |id: TakerId, class| !by_key || !passed.contains(&id) && state.may_serve(id.into(), class);
        takers.next(is_single, |mailbox| sees(mailbox.spec.class) && finds(mailbox.id, mailbox.spec.class))
    }

    /// Everything that must survive, as one put.
    pub fn put(&self) -> Bytes {
        let topic = self.topic.name().as_bytes();
        let mut body = Vec::with_capacity(32 + topic.len());
        body.put_u8(PUT_VERSION);
        body.put_u32(u32::try_from(topic.len()).unwrap_or(u32::MAX));
        body.put_slice(topic);
        body.put_u8(u8::from(self.options.is_some()));
        if let Some(options) = &self.options {
            options.encode(&mut body);
        }
        body.put_slice(&self.state.snapshot());
        body.into()
    }

    /// What it was opened with and its state, out of a put.
    pub fn parse_put(mut body: &[u8]) -> Option<(QueueSpec, &[u8])> {
        if body.len() < 5 || body.get_u8() != PUT_VERSION {
            return None;
        }
        let length = body.get_u32() as usize;
        let name = TopicName::new(Bytes::copy_from_slice(body.get(..length)?)).ok()?;
        let mut input = Input::new(body.get(length..)?);
        let options = match input.byte()? {
            0 => None,
            _ => Some(Box::new(QueueOptions::decode(&mut input)?)),
        };
        Some((QueueSpec { options, ..QueueSpec::new(name, true) }, input.rest()))
    }

    /// A view as a put describes it.
    pub fn restore(topic: Arc<Topic>, spec: QueueSpec, state: &[u8]) -> Result<Self, SnapshotError> {
        let state = QueueState::restore(state, false)?;
        let mut view = Self::with_state(topic, spec, state);
        view.catch_up();
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
