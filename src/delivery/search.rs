//! Looking for records of a queue view by their value, without holding everybody up.
//!
//! What a record holds never changes, so what was looked at outside of the lock is true within it, whatever happened to the view
//! meanwhile. A unit therefore looks at a few records itself; where there are more it says so, they are looked at outside of it, and
//! the next unit reads no more than what has come since.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use smallvec::{SmallVec, smallvec};

use super::queue::{End, RunSet, Stretch};
use super::reader::RecordReader;
use crate::log::Topic;
use crate::log::record::Record;

/// After so many times a unit reads all itself: records may come faster than they are looked at.
const LEFT_MAX: u32 = 16;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// The end that the search begins at.
    pub from: End,
    /// How many records are looked at, at most.
    pub looked_at_max: u64,
    /// After how many it is over.
    pub found_max: u64,
}

/// Neighbours that were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// How many records were walked over before them.
    pub walked: u64,
    /// They, in the order of the view.
    pub stretch: Stretch,
}

/// Neighbours in the order in which they are walked.
#[derive(Debug, Clone)]
struct Walk {
    partition: u32,
    offsets: Range<u64>,
    is_rising: bool,
}

impl Walk {
    fn count(&self) -> u64 {
        self.offsets.end - self.offsets.start
    }

    /// The next of it, up to `count`, which it does without from then on.
    fn split_off(&mut self, count: u64) -> Walk {
        let Range { start, end } = self.offsets;
        let count = count.min(self.count());
        let (offsets, rest) =
            if self.is_rising { (start..start + count, start + count..end) } else { (end - count..end, start..end - count) };
        self.offsets = rest;
        Walk { offsets, ..*self }
    }

    /// Runs of rising order, in the order of the walk, each with how many are before it.
    fn along(&self, runs: impl Iterator<Item = Range<u64>>) -> Vec<(u64, Walk)> {
        let before = |run: &Range<u64>| if self.is_rising { run.start - self.offsets.start } else { self.offsets.end - run.end };
        let mut walks: Vec<_> = runs.map(|offsets| (before(&offsets), Walk { offsets, ..*self })).collect();
        if !self.is_rising {
            walks.reverse();
        }
        walks
    }
}

/// What is known of the records of one partition.
#[derive(Debug, Default)]
struct Known {
    looked_at: RunSet,
    equal: RunSet,
}

/// How much may still be read.
struct Budget {
    records: u64,
    bytes: u64,
}

impl Budget {
    /// What a unit reads itself, while everybody waits.
    const SMALL: Self = Budget { records: 512, bytes: 256 << 10 };
    /// What is read outside of units before others have their turn.
    const STEP: Self = Budget { records: 1024, bytes: 1 << 20 };
    const ALL: Self = Budget { records: u64::MAX, bytes: u64::MAX };

    fn is_spent(&self) -> bool {
        self.records == 0 || self.bytes == 0
    }

    fn spend(&mut self, record: Option<&Record>) {
        let bytes = record.and_then(|record| record.value.as_ref()).map_or(0, Bytes::len);
        self.records = self.records.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes as u64);
    }
}

/// A search for one value in one topic, and what is known of it.
#[derive(Debug)]
pub struct Search {
    topic: Arc<Topic>,
    value: Bytes,
    /// By partition.
    known: BTreeMap<u32, Known>,
    /// What a unit had to leave, and how many hits in it make the rest needless.
    wanted: VecDeque<Walk>,
    hits_wanted: u64,
    /// How often one had to.
    left: u32,
}

impl Search {
    /// A search for records with this value; one without counts as empty.
    pub fn new(topic: Arc<Topic>, value: &[u8]) -> Self {
        // A copy: a slice would keep alive what it was read with.
        let value = Bytes::copy_from_slice(value);
        Search { topic, value, known: BTreeMap::new(), wanted: VecDeque::new(), hits_wanted: 0, left: 0 }
    }

    /// Whether it is for this.
    pub fn is_for(&self, topic: &Topic, value: &[u8]) -> bool {
        self.topic.id() == topic.id() && self.value == value
    }

    /// The topic that is searched.
    pub(super) fn topic(&self) -> &Arc<Topic> {
        &self.topic
    }

    /// Looks at some of the records that a unit had to leave. False: that was all, or enough was found.
    pub fn look(&mut self, reader: &mut RecordReader) -> bool {
        let mut budget = Budget::STEP;
        while !budget.is_spent() {
            let Some(walk) = self.wanted.front_mut() else { return false };
            let Walk { partition, offsets, .. } = walk.split_off(1);
            if walk.count() == 0 {
                self.wanted.pop_front();
            }
            let found = self.topic.partition(partition).and_then(|partition| reader.record(&partition, offsets.start).ok());
            budget.spend(found.as_ref());
            if self.learn(partition, offsets.start, found.as_ref()) {
                self.hits_wanted = self.hits_wanted.saturating_sub(1);
                if self.hits_wanted == 0 {
                    self.wanted.clear();
                }
            }
        }
        !self.wanted.is_empty()
    }

    /// A record was looked at; none: it is not there. Whether it is one of those.
    fn learn(&mut self, partition: u32, offset: u64, record: Option<&Record>) -> bool {
        let is_equal = record.is_some_and(|record| record.value.as_deref().unwrap_or_default() == self.value);
        let known = self.known.entry(partition).or_default();
        known.looked_at.insert(offset);
        if is_equal {
            known.equal.insert(offset);
        }
        is_equal
    }

    /// Cuts a walk where what is known begins or ends.
    fn pieces(&self, walk: &Walk) -> SmallVec<[(Walk, IsKnown); 1]> {
        let Some(known) = self.known.get(&walk.partition) else { return smallvec![(walk.clone(), false)] };
        match known.looked_at.runs_in(walk.offsets.clone()).next() {
            None => return smallvec![(walk.clone(), false)],
            Some(run) if run == walk.offsets => return smallvec![(walk.clone(), true)],
            Some(_) => {}
        }
        let looked_at = walk.along(known.looked_at.runs_in(walk.offsets.clone())).into_iter().map(|piece| (piece, true));
        let others = walk.along(known.looked_at.gaps_in(walk.offsets.clone())).into_iter().map(|piece| (piece, false));
        let mut pieces: Vec<_> = looked_at.chain(others).collect();
        pieces.sort_unstable_by_key(|((before, _), _)| *before);
        pieces.into_iter().map(|((_, piece), is_known)| (piece, is_known)).collect()
    }

    /// Finds what there is in stretches that begin or end where the view does. `None`: there is too much to read, which is remembered.
    /// `entirely`: it is read all the same.
    pub(super) fn find(
        &mut self,
        stretches: Vec<Stretch>,
        scope: &Scope,
        entirely: bool,
        mut read: impl FnMut(u32, u64) -> Option<Record>,
    ) -> Option<Vec<Hit>> {
        let mut gathered = Gathered { from: scope.from, left: scope.found_max, walked: 0, hits: Vec::new() };
        let mut budget = if entirely || self.left >= LEFT_MAX { Budget::ALL } else { Budget::SMALL };
        self.wanted.clear();
        for walk in walks(stretches, scope.from) {
            for (mut rest, is_known) in self.pieces(&walk) {
                while rest.count() > 0 && gathered.left > 0 {
                    if !is_known && (budget.is_spent() || !self.wanted.is_empty()) {
                        self.wanted.push_back(rest);
                        break;
                    }
                    let part = rest.split_off(if is_known { u64::MAX } else { 1 });
                    if !is_known {
                        let record = read(part.partition, part.offsets.start);
                        budget.spend(record.as_ref());
                        self.learn(part.partition, part.offsets.start, record.as_ref());
                    }
                    if let Some(known) = self.known.get(&part.partition) {
                        gathered.add(&part, &known.equal);
                    }
                }
            }
        }
        self.hits_wanted = gathered.left;
        self.left += u32::from(!self.wanted.is_empty());
        self.wanted.is_empty().then_some(gathered.hits)
    }
}

type IsKnown = bool;

/// Stretches in the order of the view as walks from one of its ends.
fn walks(mut stretches: Vec<Stretch>, from: End) -> impl Iterator<Item = Walk> {
    if from == End::Tail {
        stretches.reverse();
    }
    // From the tail, what falls rises.
    let walk =
        move |Stretch { partition, offsets, falling }| Walk { partition, offsets, is_rising: falling == (from == End::Tail) };
    stretches.into_iter().map(walk)
}

/// What was found so far.
struct Gathered {
    from: End,
    /// How many more are wanted.
    left: u64,
    walked: u64,
    hits: Vec<Hit>,
}

impl Gathered {
    /// Adds what is equal in the next part of the walk.
    fn add(&mut self, part: &Walk, equal: &RunSet) {
        for (before, mut run) in part.along(equal.runs_in(part.offsets.clone())) {
            if self.left == 0 {
                break;
            }
            let Walk { partition, offsets, is_rising } = run.split_off(self.left);
            let falling = is_rising == (self.from == End::Tail);
            self.left -= offsets.end - offsets.start;
            self.hits.push(Hit { walked: self.walked + before, stretch: Stretch { partition, offsets, falling } });
        }
        self.walked += part.count();
    }
}
