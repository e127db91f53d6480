//! One place to see what there is: topics, their partitions, and every view on them, as they stand.
//!
//! Metrics, HTTP and whoever else shows it ask here. Nothing is counted by looking at each record: a snapshot costs what the
//! partitions and views of a topic cost, whatever their backlog.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::flow::{Flow, Meter};
use super::group::{GroupLag, Groups};
use super::queue::{Class, FailureSpread};
use super::view::{View, view_name};
use super::{Delivery, Views};
use crate::log::{Bound, Log, Topic, TopicName};

/// A topic as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicSnapshot {
    /// Its name.
    pub name: TopicName,
    /// By index.
    pub partitions: Vec<PartitionSnapshot>,
    /// Records a second that were written to it of late.
    pub written_per_s: f64,
    /// The queue views that read it.
    pub queues: Vec<QueueSnapshot>,
    /// Who listens to it.
    pub tail: TailSnapshot,
    /// The groups that have committed an offset in it, by name.
    pub groups: Vec<GroupSnapshot>,
}

/// A partition as it stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PartitionSnapshot {
    /// Its index.
    pub index: u32,
    /// The first offset that is kept.
    pub log_start: u64,
    /// One past the last offset that no crash can take back.
    pub durable: u64,
    /// One past the last offset before which every transaction has its outcome: the last stable offset.
    pub stable: u64,
    /// The offset of the next record.
    pub end: u64,
    /// The size of what it keeps, in bytes.
    pub bytes: u64,
    /// Records a second that were written to it of late.
    pub written_per_s: f64,
}

/// A queue view as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueSnapshot {
    /// Its name.
    pub name: TopicName,
    /// The topic that it reads; its default view has the same name.
    pub topic: TopicName,
    /// Records that may be taken.
    pub ready: u64,
    /// Records taken and not settled.
    pub in_flight: u64,
    /// Records that wait for their time.
    pub delayed: u64,
    /// How long ago the oldest record was written that is not settled, in milliseconds; none: all are settled. Where it is not asked
    /// for, it is none.
    pub oldest_age_ms: Option<u64>,
    /// Its takers.
    pub takers: u32,
    /// How often the records that are ready or in flight came back as failed.
    pub failures: FailureSpread,
    /// What passes it.
    pub flow: Flow,
    /// The lowest offset of each partition that is not settled, where there is one.
    oldest: Vec<(u32, u64)>,
}

/// Who listens to a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TailSnapshot {
    /// To the name itself.
    pub listeners: u64,
    /// To the name or to a pattern that it matches, each subscription counted.
    pub receivers: u64,
}

/// A group in one topic.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupSnapshot {
    /// Its name.
    pub group: Arc<str>,
    /// Its members, whatever topics they read.
    pub members: u32,
    /// Records that it has passed since the start, by what it committed.
    pub passed: Meter,
    /// Durable records beyond its committed offsets, over all partitions.
    pub lag: u64,
    /// How long ago the oldest of them was written, in milliseconds; none: there are none.
    pub oldest_age_ms: Option<u64>,
    /// By partition: the next offset that it would read.
    pub committed: Vec<(u32, u64)>,
}

impl QueueSnapshot {
    /// Records that it is not done with.
    pub fn lag(&self) -> u64 {
        self.ready.saturating_add(self.in_flight).saturating_add(self.delayed)
    }

    /// What to call it: the topic, and behind a slash the view's own name if it has one.
    pub fn label(&self) -> String {
        let prefix = view_name(&self.topic, b"").map(|prefix| prefix.to_bytes()).unwrap_or_default();
        match self.name.as_bytes().strip_prefix(&prefix[..]) {
            Some(own) if !prefix.is_empty() => format!("{}/{}", self.topic, String::from_utf8_lossy(own)),
            Some(_) | None => self.topic.to_string(),
        }
    }
}

impl TopicSnapshot {
    /// Offsets that it keeps, over all partitions.
    pub fn records(&self) -> u64 {
        self.partitions.iter().map(|partition| partition.end - partition.log_start).sum()
    }

    /// The size of what it keeps, in bytes.
    pub fn bytes(&self) -> u64 {
        self.partitions.iter().map(|partition| partition.bytes).sum()
    }
}

/// Sees topics, views and groups. Clones see the same.
#[derive(Clone)]
pub struct Observer {
    delivery: Delivery,
    groups: Groups,
}

impl Observer {
    /// Sees what these hold.
    pub fn new(delivery: Delivery, groups: Groups) -> Self {
        Self { delivery, groups }
    }

    /// Whose log and views it sees.
    pub fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    /// The names of all topics but the log's own, in order.
    pub fn names(&self) -> Vec<TopicName> {
        let topics = self.delivery.log().topics();
        let mut names: Vec<_> = topics.iter().filter(|topic| !topic.is_internal()).map(|topic| topic.name().clone()).collect();
        names.sort_unstable();
        names
    }

    /// The names of up to `most` topics, those first that a view is furthest behind in, and how many queue views are left out so.
    ///
    /// This looks at every view once, and at none closely.
    pub fn deepest(&self, most: usize) -> (Vec<TopicName>, usize) {
        let mut depths: HashMap<TopicName, (u64, usize)> = HashMap::new();
        let mut note = |topic: TopicName, depth: u64, views: usize| {
            let entry = depths.entry(topic).or_default();
            *entry = (entry.0.max(depth), entry.1 + views);
        };
        let views = self.delivery.0.views.lock();
        for view in views.queues.iter().map(|(_, view)| view) {
            note(view.topic.name().clone(), view.state.ready(Class::All).saturating_add(view.state.in_flight()), 1);
        }
        drop(views);
        self.groups.snapshot().into_iter().for_each(|lag| note(lag.key.topic, lag.lag, 0));
        for topic in self.delivery.log().topics().iter().filter(|topic| !topic.is_internal()).take(most) {
            note(topic.name().clone(), 0, 0);
        }
        let mut ranked: Vec<_> = depths.into_iter().collect();
        ranked.sort_unstable_by(|(a, (deep, _)), (b, (deeper, _))| deeper.cmp(deep).then_with(|| a.cmp(b)));
        let left_out = ranked.iter().skip(most).map(|(_, (_, views))| views).sum();
        ranked.truncate(most);
        (ranked.into_iter().map(|(name, _)| name).collect(), left_out)
    }

    /// One topic with all its views, at a time in milliseconds since 1970.
    ///
    /// To find out how old the oldest record of a view is, it reads one batch of each partition where the record has left the journal.
    pub fn topic(&self, name: &TopicName, now_ms: i64) -> Option<TopicSnapshot> {
        let topic = self.delivery.log().topic(name)?;
        let lags = self.groups.snapshot_of(name);
        let views = self.delivery.0.views.lock();
        let names = std::iter::once(name).chain(views.queues.named_views_of(name));
        let mut queues: Vec<_> = names.filter_map(|name| Some(of_view(name, views.queues.get(name)?))).collect();
        let tail = TailSnapshot { listeners: views.tails.listeners(name), receivers: views.tails.receivers(name) };
        drop(views);
        let clock = Clock { log: self.delivery.log(), topic: &topic, now_ms };
        queues.iter_mut().for_each(|queue| queue.oldest_age_ms = clock.age_ms(&queue.oldest));
        let partitions = of_partitions(&topic, now_ms);
        let written_per_s = partitions.iter().map(|partition| partition.written_per_s).sum();
        Some(TopicSnapshot {
            name: name.clone(),
            groups: by_group(lags, &clock, &self.groups),
            partitions,
            written_per_s,
            queues,
            tail,
        })
    }
}

/// Tells the age of records of a topic.
struct Clock<'a> {
    log: &'a Log,
    topic: &'a Topic,
    now_ms: i64,
}

impl Clock<'_> {
    /// The age of the oldest of some records, each with its partition, in milliseconds.
    fn age_ms(&self, of: &[(u32, u64)]) -> Option<u64> {
        let times = of.iter().filter_map(|(partition, offset)| time_of(self.log, self.topic, *partition, *offset));
        Some(u64::try_from(self.now_ms.saturating_sub(times.min()?)).unwrap_or(0))
    }
}

/// All queue views as they stand.
pub(super) fn queues(views: &Views) -> Vec<QueueSnapshot> {
    views.queues.iter().map(|(name, view)| of_view(name, view)).collect()
}

fn of_partitions(topic: &Topic, now_ms: i64) -> Vec<PartitionSnapshot> {
    let of_partition = |partition: &Arc<crate::log::Partition>| {
        let bounds = partition.bounds();
        PartitionSnapshot {
            index: partition.index(),
            log_start: bounds.log_start,
            durable: bounds.durable,
            stable: bounds.stable,
            end: bounds.end,
            bytes: partition.bytes(),
            written_per_s: partition.written_per_s(now_ms),
        }
    };
    topic.partitions().iter().map(of_partition).collect()
}

fn of_view(name: &TopicName, view: &View) -> QueueSnapshot {
    let state = &view.state;
    let oldest = (0..state.partition_count()).map(|partition| (partition, state.floor(partition)));
    QueueSnapshot {
        name: name.clone(),
        topic: view.topic.name().clone(),
        ready: state.ready(Class::All),
        in_flight: state.in_flight(),
        delayed: state.waiting(),
        oldest_age_ms: None,
        takers: view.taker_count(),
        failures: state.failures(),
        flow: view.flow(),
        oldest: oldest.filter(|(partition, floor)| *floor < state.end(*partition)).collect(),
    }
}

fn by_group(lags: Vec<GroupLag>, clock: &Clock<'_>, table: &Groups) -> Vec<GroupSnapshot> {
    let mut groups: BTreeMap<Arc<str>, GroupSnapshot> = BTreeMap::new();
    for GroupLag { group, key, committed, lag } in lags {
        let new = || {
            let (members, passed) = table.activity(&group, clock.topic.name());
            GroupSnapshot { group: Arc::clone(&group), members, passed, lag: 0, oldest_age_ms: None, committed: Vec::new() }
        };
        let entry = groups.entry(Arc::clone(&group)).or_insert_with(new);
        entry.lag += lag;
        entry.committed.push((key.partition, committed));
        if lag > 0 {
            entry.oldest_age_ms = entry.oldest_age_ms.max(clock.age_ms(&[(key.partition, committed)]));
        }
    }
    groups.into_values().collect()
}

fn time_of(log: &Log, topic: &Topic, partition: u32, offset: u64) -> Option<i64> {
    let partition = topic.partition(partition)?;
    partition.recent_time_of(offset).or_else(|| {
        let batch = log.read(&partition, offset, 1, Bound::End).ok()?.into_iter().next()?;
        Some(batch.max_timestamp_ms())
    })
}
