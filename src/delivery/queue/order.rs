//! Looking into a queue by index, without taking anything.
//!
//! The queue is walked as stretches of neighbouring records, so that an index deep inside is reached over runs and not records.

use std::ops::Range;

use super::Class;
use super::place::Place;
use super::placed::PlacedRun;
use super::state::QueueState;

/// Neighbouring records in the order of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// The partition that they lie in.
    pub partition: u32,
    /// Their offsets.
    pub offsets: Range<u64>,
    /// Whether they come from the highest offset down.
    pub falling: bool,
}

impl Stretch {
    /// How many records.
    pub fn count(&self) -> u64 {
        self.offsets.end - self.offsets.start
    }

    /// The part from index `range.start` to `range.end`.
    fn part(&self, range: Range<u64>) -> Stretch {
        let Range { start, end } = self.offsets;
        let offsets = if self.falling { end - range.end..end - range.start } else { start + range.start..start + range.end };
        Stretch { partition: self.partition, offsets, falling: self.falling }
    }

    /// The offsets in their order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = u64> + use<> {
        let Range { start, end } = self.offsets;
        let falling = self.falling;
        (0..end - start).map(move |index| if falling { end - 1 - index } else { start + index })
    }
}

impl QueueState {
    /// Partition and offset of up to `count` ready records from index `start` on, as [`Self::stretches`] gives them.
    pub fn range(&self, class: Class, start: u64, count: u64) -> Vec<(u32, u64)> {
        let stretches = self.stretches(class, start, count);
        stretches.iter().flat_map(|stretch| stretch.iter().map(|offset| (stretch.partition, offset))).collect()
    }

    /// Up to `count` ready records from index `start` on, index 0 being the next to be taken.
    ///
    /// Over several partitions the fresh records are shown partition after partition, beginning with the one whose turn it is.
    pub fn stretches(&self, class: Class, start: u64, count: u64) -> Vec<Stretch> {
        let (mut skip, mut left) = (start, count);
        let mut found = Vec::new();
        for stretch in self
            .aside_stretches()
            .chain(self.ranked_stretches())
            .chain(InPlace::new(self, class))
            .chain(self.fresh_stretches(class))
        {
            if left == 0 {
                break;
            }
            let length = stretch.count();
            let skipped = skip.min(length);
            let used = (length - skipped).min(left);
            skip -= skipped;
            left -= used;
            if used > 0 {
                found.push(stretch.part(skipped..skipped + used));
            }
        }
        found
    }

    fn aside_stretches(&self) -> impl Iterator<Item = Stretch> + '_ {
        self.all_aside().map(|(partition, offset)| Stretch { partition, offsets: offset..offset + 1, falling: false })
    }

    fn ranked_stretches(&self) -> impl Iterator<Item = Stretch> + '_ {
        let ranked = self.ranks.iter().flat_map(|ranks| ranks.segments());
        ranked.map(|(partition, offsets)| Stretch { partition, offsets, falling: false })
    }

    fn fresh_stretches(&self, class: Class) -> impl Iterator<Item = Stretch> + '_ {
        self.cycle().flat_map(move |(partition, lane)| {
            let gaps = lane.passed_over(class).gaps_in(lane.cursor..lane.end);
            gaps.map(move |offsets| Stretch { partition, offsets, falling: false })
        })
    }
}

/// The rest of a run, and the runs after it.
struct Source<'a> {
    partition: u32,
    run: PlacedRun,
    rest: Box<dyn Iterator<Item = PlacedRun> + 'a>,
}

impl Source<'_> {
    fn key(&self) -> (Place, u32) {
        (self.run.low, self.partition)
    }
}

/// Merges by place what stands at explicit places, of all partitions and both kinds.
struct InPlace<'a>(Vec<Source<'a>>);

impl<'a> InPlace<'a> {
    fn new(queue: &'a QueueState, class: Class) -> Self {
        let lanes = (0_u32..).zip(&queue.lanes);
        let placed = lanes.flat_map(|(partition, lane)| lane.placed(class).map(move |placed| (partition, placed)));
        let sources = placed.filter_map(|(partition, placed)| {
            let mut rest: Box<dyn Iterator<Item = PlacedRun> + 'a> = Box::new(placed.iter());
            rest.next().map(|run| Source { partition, run, rest })
        });
        InPlace(sources.collect())
    }
}

impl Iterator for InPlace<'_> {
    type Item = Stretch;

    /// The lowest run, as far as nothing of another source comes between.
    fn next(&mut self) -> Option<Stretch> {
        let lowest = (0..self.0.len()).min_by_key(|index| self.0.get(*index).map(Source::key))?;
        let others = (0..self.0.len()).filter(|index| *index != lowest).filter_map(|index| self.0.get(index).map(Source::key));
        let limit = others.min();
        let source = self.0.get_mut(lowest)?;
        let (run, partition) = (source.run, source.partition);
        let used = match limit {
            // At equal places the lower partition comes first, and it is ours only if it is lower.
            Some((place, other)) => {
                let below = run.count_below(place);
                let ties = below < run.count && run.low.plus(below) == place && partition < other;
                below + u64::from(ties)
            }
            None => run.count,
        };
        let used = used.max(1);
        if used < run.count {
            source.run = run.slice(used..run.count);
        } else if let Some(next) = source.rest.next() {
            source.run = next;
        } else {
            drop(self.0.swap_remove(lowest));
        }
        let part = run.slice(0..used);
        Some(Stretch { partition, offsets: part.first..part.end(), falling: part.falling })
    }
}
