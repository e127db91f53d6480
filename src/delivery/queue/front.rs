//! The records that were placed at the head of a queue, in one partition.
//!
//! Every placing gets the next lower *place*: -1, -2, and so on. Records placed one after the other have neighbouring offsets and
//! neighbouring places, so they form one run, however many they are. Runs rise in offset and fall in place.

use std::collections::VecDeque;
use std::ops::Range;

/// Records `first`, `first + 1`, ... at places `top`, `top - 1`, ...
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrontRun {
    pub first: u64,
    pub count: u64,
    pub top: i64,
}

impl FrontRun {
    pub fn end(&self) -> u64 {
        self.first + self.count
    }

    pub fn place_of(&self, offset: u64) -> i64 {
        self.top - (offset - self.first) as i64
    }

    /// The lowest place, that of the last record: it is the nearest to the head.
    pub fn lowest_place(&self) -> i64 {
        self.top - (self.count as i64 - 1)
    }

    fn part(&self, range: Range<u64>) -> Option<FrontRun> {
        let (first, end) = (range.start.max(self.first), range.end.min(self.end()));
        (first < end).then(|| FrontRun { first, count: end - first, top: self.place_of(first) })
    }
}

/// The runs of one partition.
#[derive(Debug, Clone, Default)]
pub(super) struct FrontRuns {
    runs: VecDeque<FrontRun>,
    count: u64,
}

impl FrontRuns {
    /// Records placed here and not taken.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Adds a run above all others in offset and below all in place; false if it is not.
    pub fn push(&mut self, run: FrontRun) -> bool {
        match self.runs.back_mut() {
            Some(last) if last.end() > run.first || last.lowest_place() <= run.top => return false,
            Some(last) if last.end() == run.first && last.lowest_place() - 1 == run.top => last.count += run.count,
            Some(_) | None => self.runs.push_back(run),
        }
        self.count += run.count;
        true
    }

    /// Offset and place of the record nearest to the head.
    pub fn head(&self) -> Option<(u64, i64)> {
        self.runs.back().map(|run| (run.end() - 1, run.lowest_place()))
    }

    /// Offset and place of the record nearest to the tail.
    pub fn tail(&self) -> Option<(u64, i64)> {
        self.runs.front().map(|run| (run.first, run.top))
    }

    /// The place of a record, if it is here.
    pub fn place_of(&self, offset: u64) -> Option<i64> {
        let run = self.runs.get(self.index_of(offset))?;
        (run.first <= offset).then(|| run.place_of(offset))
    }

    /// The first run that ends beyond `offset`.
    fn index_of(&self, offset: u64) -> usize {
        self.runs.partition_point(|run| run.end() <= offset)
    }

    /// Takes one record out.
    pub fn remove(&mut self, offset: u64) {
        match self.runs.back_mut() {
            Some(last) if last.count > 1 && last.end() - 1 == offset => {
                last.count -= 1;
                self.count -= 1;
            }
            Some(_) => self.remove_range(offset..offset + 1),
            None => {}
        }
    }

    /// Takes out what lies in `range`.
    pub fn remove_range(&mut self, range: Range<u64>) {
        let from = self.index_of(range.start);
        let to = self.runs.partition_point(|run| run.first < range.end);
        if from >= to {
            return;
        }
        let below = self.runs.get(from).and_then(|run| run.part(0..range.start));
        let above = self.runs.get(to - 1).and_then(|run| run.part(range.end..u64::MAX));
        let removed: u64 = self.runs.drain(from..to).map(|run| run.count).sum();
        let kept = [above, below].into_iter().flatten();
        self.count -= removed - kept.clone().map(|run| run.count).sum::<u64>();
        for run in kept {
            self.runs.insert(from, run);
        }
    }

    /// The runs from the head on.
    pub fn iter_head_first(&self) -> impl Iterator<Item = FrontRun> + '_ {
        self.runs.iter().rev().copied()
    }

    /// The runs in rising order of offset.
    pub fn iter(&self) -> impl Iterator<Item = FrontRun> + '_ {
        self.runs.iter().copied()
    }
}
