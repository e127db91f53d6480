//! Looking into a queue by index, without taking anything.
//!
//! The queue is walked as segments of neighbouring records, so that an index deep inside is reached over runs and not records.

use std::collections::btree_map;
use std::iter::Peekable;
use std::ops::Range;

use super::Class;
use super::front::FrontRun;
use super::state::QueueState;

/// Neighbouring records in queue order.
#[derive(Debug, Clone)]
struct Segment {
    partition: u32,
    offsets: Range<u64>,
    /// From the highest offset down, as things stand at the front.
    falling: bool,
}

impl QueueState {
    /// Partition and offset of up to `count` ready records from index `start` on, index 0 being the next to be taken.
    ///
    /// Over several partitions the fresh records are shown partition after partition, beginning with the one whose turn it is.
    pub fn range(&self, class: Class, start: u64, count: u64) -> Vec<(u32, u64)> {
        let (mut skip, mut left) = (start, count);
        let mut found = Vec::new();
        for segment in self.ranked_segments().chain(Placed::new(self, class)).chain(self.fresh_segments(class)) {
            if left == 0 {
                break;
            }
            let length = segment.offsets.end - segment.offsets.start;
            let skipped = skip.min(length);
            let used = (length - skipped).min(left);
            skip -= skipped;
            left -= used;
            let Segment { partition, offsets: Range { start, end }, falling } = segment;
            if falling {
                found.extend((end - skipped - used..end - skipped).rev().map(|offset| (partition, offset)));
            } else {
                found.extend((start + skipped..start + skipped + used).map(|offset| (partition, offset)));
            }
        }
        found
    }

    fn ranked_segments(&self) -> impl Iterator<Item = Segment> + '_ {
        let ranked = self.ranks.iter().flat_map(|ranks| ranks.segments());
        ranked.map(|(partition, offsets)| Segment { partition, offsets, falling: false })
    }

    fn fresh_segments(&self, class: Class) -> impl Iterator<Item = Segment> + '_ {
        self.cycle().flat_map(move |(partition, lane)| {
            let gaps = lane.passed_over(class).gaps_in(lane.cursor..lane.end);
            gaps.map(move |offsets| Segment { partition, offsets, falling: false })
        })
    }
}

type Waiting<'a> = Peekable<btree_map::Iter<'a, (i64, u32), u64>>;

/// Merges what was returned and what stands at the front, by place.
struct Placed<'a> {
    waiting: Vec<Waiting<'a>>,
    /// A partition, its current run, and the runs after that.
    fronts: Vec<(u32, FrontRun, Box<dyn Iterator<Item = FrontRun> + 'a>)>,
}

impl<'a> Placed<'a> {
    fn new(queue: &'a QueueState, class: Class) -> Self {
        let [plain, broadcast] = &queue.returned;
        let visible = [Some(plain), (class == Class::All).then_some(broadcast)];
        let waiting = visible.into_iter().flatten().map(|waiting| waiting.iter().peekable()).collect();
        let fronts = (0_u32..).zip(&queue.lanes).filter_map(|(partition, lane)| {
            let mut runs: Box<dyn Iterator<Item = FrontRun> + 'a> = Box::new(lane.front.iter_head_first());
            runs.next().map(|run| (partition, run, runs))
        });
        Placed { waiting, fronts: fronts.collect() }
    }

    /// The lowest place of what was returned and of what stands at the front, with the index of its source.
    fn lowest_places(&mut self) -> [Option<(i64, usize)>; 2] {
        let waiting = self.waiting.iter_mut().enumerate();
        let first_waiting = waiting.filter_map(|(i, source)| Some((source.peek()?.0, i))).min();
        let first_front = self.fronts.iter().enumerate().map(|(i, (_, run, _))| (run.lowest_place(), i)).min();
        [first_waiting.map(|(key, i)| (key.0, i)), first_front]
    }

    fn next_waiting(&mut self, index: usize) -> Option<Segment> {
        let ((_, partition), offset) = self.waiting.get_mut(index)?.next()?;
        Some(Segment { partition: *partition, offsets: *offset..*offset + 1, falling: false })
    }

    /// The current run of one partition: runs are taken from at their ends alone, so nothing else has a place inside one.
    fn next_front(&mut self, index: usize) -> Option<Segment> {
        let (partition, run, rest) = self.fronts.get_mut(index)?;
        let segment = Segment { partition: *partition, offsets: run.first..run.end(), falling: true };
        match rest.next() {
            Some(next) => *run = next,
            None => {
                drop(self.fronts.remove(index));
            }
        }
        Some(segment)
    }
}

impl Iterator for Placed<'_> {
    type Item = Segment;

    fn next(&mut self) -> Option<Segment> {
        match self.lowest_places() {
            [None, None] => None,
            [Some((_, waiting)), None] => self.next_waiting(waiting),
            [Some((place, waiting)), Some((lowest, _))] if place < lowest => self.next_waiting(waiting),
            [_, Some((_, front))] => self.next_front(front),
        }
    }
}
