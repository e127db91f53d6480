//! A set of offsets as sorted, disjoint, never touching half-open runs.
//!
//! Memory and time go with the number of runs, not of offsets: adding at the end and removing from the front cost one step.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::log::record::varint::{Input, put_uvarint};

/// No offset in a set reaches this, so that arithmetic on offsets and places cannot overflow.
pub(crate) const OFFSET_MAX: u64 = 1 << 62;
/// No place at the front is below this.
pub(crate) const PLACE_MIN: i64 = -(1 << 62);

/// A set of `u64` that is cheap where its members are neighbours. One run allocates nothing.
#[derive(Clone)]
pub struct RunSet(Runs);

#[derive(Clone)]
enum Runs {
    /// One run, or none if it is empty.
    One(u64, u64),
    /// It stays where it is as long as anything is in it: sets that fall apart do so again and again.
    Many(Box<Many>),
}

/// Any number of runs.
#[derive(Clone, Default)]
struct Many {
    /// Start of each run to its end, which is not in it.
    runs: BTreeMap<u64, u64>,
    len: u64,
}

impl RunSet {
    /// The empty set.
    pub const fn new() -> Self {
        Self(Runs::One(0, 0))
    }

    /// Members.
    pub fn len(&self) -> u64 {
        match &self.0 {
            Runs::One(start, end) => end - start,
            Runs::Many(many) => many.len,
        }
    }

    /// True without members.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Runs that the members form.
    pub fn run_count(&self) -> usize {
        match &self.0 {
            Runs::One(start, end) => usize::from(start < end),
            Runs::Many(many) => many.runs.len(),
        }
    }

    /// The lowest member.
    pub fn first(&self) -> Option<u64> {
        match &self.0 {
            Runs::One(start, end) => (start < end).then_some(*start),
            Runs::Many(many) => many.runs.first_key_value().map(|(start, _)| *start),
        }
    }

    /// The highest member.
    pub fn last(&self) -> Option<u64> {
        match &self.0 {
            Runs::One(start, end) => (start < end).then(|| *end - 1),
            Runs::Many(many) => many.runs.last_key_value().map(|(_, end)| *end - 1),
        }
    }

    /// Whether `value` is a member.
    pub fn contains(&self, value: u64) -> bool {
        self.run_at(value).is_some()
    }

    /// The run that holds `value`.
    fn run_at(&self, value: u64) -> Option<Range<u64>> {
        let run = match &self.0 {
            Runs::One(start, end) => *start..*end,
            Runs::Many(many) => many.runs.range(..=value).next_back().map(|(start, end)| *start..*end)?,
        };
        run.contains(&value).then_some(run)
    }

    /// Adds one member; false if it was one.
    pub fn insert(&mut self, value: u64) -> bool {
        self.insert_range(value..value + 1) == 1
    }

    /// Adds all of `range`; tells how many were new.
    pub fn insert_range(&mut self, range: Range<u64>) -> u64 {
        if range.is_empty() {
            return 0;
        }
        if let Runs::One(start, end) = &mut self.0 {
            let before = *end - *start;
            if before == 0 {
                (*start, *end) = (range.start, range.end);
                return range.end - range.start;
            }
            if range.start <= *end && *start <= range.end {
                (*start, *end) = ((*start).min(range.start), (*end).max(range.end));
                return *end - *start - before;
            }
        }
        self.change(|many| many.insert_range(range))
    }

    /// Takes one member out; false if it was none.
    pub fn remove(&mut self, value: u64) -> bool {
        self.remove_range(value..value + 1) == 1
    }

    /// Takes all of `range` out; tells how many were members.
    pub fn remove_range(&mut self, range: Range<u64>) -> u64 {
        if let Runs::One(start, end) = &mut self.0 {
            let inside = range.start.max(*start)..range.end.min(*end);
            if inside.is_empty() {
                return 0;
            }
            if inside.start == *start {
                *start = inside.end;
                return inside.end - inside.start;
            }
            if inside.end == *end {
                *end = inside.start;
                return inside.end - inside.start;
            }
        }
        self.change(|many| many.remove_range(range))
    }

    /// Takes all members below `bound` out.
    pub fn remove_below(&mut self, bound: u64) {
        match &mut self.0 {
            Runs::One(start, end) => *start = (*start).max(bound).min(*end),
            Runs::Many(_) => self.change(|many| many.remove_below(bound)),
        }
    }

    /// If the first run starts at `value`, takes the run out and tells its end.
    pub fn take_run_from(&mut self, value: u64) -> Option<u64> {
        match &mut self.0 {
            Runs::One(start, end) => {
                let is_there = *start == value && *start < *end;
                is_there.then(|| {
                    *start = *end;
                    *end
                })
            }
            Runs::Many(_) => self.change(|many| many.take_run_from(value)),
        }
    }

    /// Does what may leave more than one run. Where nothing is left, nothing is kept for it.
    fn change<R>(&mut self, change: impl FnOnce(&mut Many) -> R) -> R {
        let (is_empty, result) = match &mut self.0 {
            Runs::Many(many) => {
                let result = change(many);
                (many.len == 0, result)
            }
            Runs::One(start, end) => {
                let runs = (start < end).then_some((*start, *end)).into_iter().collect();
                let mut many = Box::new(Many { runs, len: *end - *start });
                let result = change(&mut many);
                let is_empty = many.len == 0;
                self.0 = Runs::Many(many);
                (is_empty, result)
            }
        };
        if is_empty {
            *self = Self::new();
        }
        result
    }

    /// The lowest value from `from` on that is no member.
    pub fn next_absent(&self, from: u64) -> u64 {
        self.run_at(from).map_or(from, |run| run.end)
    }

    /// The highest value below `before` that is no member.
    pub fn prev_absent(&self, before: u64) -> Option<u64> {
        let candidate = before.checked_sub(1)?;
        match self.run_at(candidate) {
            Some(run) => run.start.checked_sub(1),
            None => Some(candidate),
        }
    }

    /// The runs in rising order.
    pub fn iter(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        let (one, many) = match &self.0 {
            Runs::One(start, end) => (Some(*start..*end).filter(|run| !run.is_empty()), None),
            Runs::Many(many) => (None, Some(many.runs.iter())),
        };
        one.into_iter().chain(many.into_iter().flatten().map(|(start, end)| *start..*end))
    }

    /// The parts of the runs that lie in `range`, in rising order.
    pub fn runs_in(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let (one, many) = match &self.0 {
            Runs::One(start, end) => (Some(*start..*end), None),
            Runs::Many(many) => {
                let first = self.run_at(range.start).map_or(range.start, |run| run.start);
                (None, Some(many.runs.range(first..range.end.max(first))))
            }
        };
        let runs = one.into_iter().chain(many.into_iter().flatten().map(|(start, end)| *start..*end));
        runs.map(move |run| run.start.max(range.start)..run.end.min(range.end)).filter(|run| !run.is_empty())
    }

    /// The stretches of `range` without members, in rising order.
    pub fn gaps_in(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let mut at = range.start;
        let end = range.end;
        self.runs_in(range).chain(std::iter::once(end..end)).filter_map(move |run| {
            let gap = at..run.start;
            at = run.end;
            (!gap.is_empty()).then_some(gap)
        })
    }

    /// Appends the set: the number of runs, then for each its distance from the end of the one before, and its length.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_uvarint(out, self.run_count() as u64);
        let mut at = 0;
        for run in self.iter() {
            put_uvarint(out, run.start - at);
            put_uvarint(out, run.end - run.start);
            at = run.end;
        }
    }

    /// Reads what [`Self::encode`] wrote; `None` if it is not that. Allocates as it reads, never because of the count.
    pub fn decode(input: &mut Input<'_>) -> Option<Self> {
        let count = input.uvarint()?;
        let mut set = RunSet::new();
        let mut at = 0_u64;
        for _ in 0..count {
            let start = at.checked_add(input.uvarint()?)?;
            let end = start.checked_add(input.uvarint()?)?;
            let touches = start == at && !set.is_empty();
            if end <= start || end > OFFSET_MAX || touches {
                return None;
            }
            set.insert_range(start..end);
            at = end;
        }
        Some(set)
    }
}

impl Many {
    /// Adds all of `range`; tells how many were new.
    fn insert_range(&mut self, range: Range<u64>) -> u64 {
        if let Some(added) = self.append(&range) {
            return added;
        }
        let (mut start, mut end, mut absorbed) = (range.start, range.end, 0);
        if let Some((before, before_end)) = self.runs.range(..=start).next_back() {
            if *before_end >= end {
                return 0;
            }
            if *before_end >= start {
                absorbed += before_end - before;
                start = *before;
            }
        }
        while let Some((next, next_end)) = self.runs.range(range.start + 1..=end).next() {
            let (next, next_end) = (*next, *next_end);
            absorbed += next_end - next;
            end = end.max(next_end);
            self.runs.remove(&next);
        }
        self.runs.insert(start, end);
        let added = (end - start) - absorbed;
        self.len += added;
        added
    }

    /// The common case of [`Self::insert_range`]: nothing of the set lies beyond the start of `range`.
    fn append(&mut self, range: &Range<u64>) -> Option<u64> {
        let added = range.end - range.start;
        match self.runs.last_entry() {
            None => {
                self.runs.insert(range.start, range.end);
            }
            Some(mut last) if *last.get() == range.start => *last.get_mut() = range.end,
            Some(last) if *last.get() < range.start => {
                self.runs.insert(range.start, range.end);
            }
            Some(_) => return None,
        }
        self.len += added;
        Some(added)
    }

    /// Takes all of `range` out; tells how many were members.
    fn remove_range(&mut self, range: Range<u64>) -> u64 {
        if range.is_empty() {
            return 0;
        }
        let mut removed = 0;
        if let Some((_, end)) = self.runs.range_mut(..range.start).next_back() {
            let old_end = *end;
            if old_end > range.start {
                *end = range.start;
                removed += old_end.min(range.end) - range.start;
                if old_end > range.end {
                    self.runs.insert(range.end, old_end);
                }
            }
        }
        while let Some((start, end)) = self.runs.range(range.clone()).next() {
            let (start, end) = (*start, *end);
            self.runs.remove(&start);
            removed += end.min(range.end) - start;
            if end > range.end {
                self.runs.insert(range.end, end);
            }
        }
        self.len -= removed;
        removed
    }

    /// Takes all members below `bound` out.
    fn remove_below(&mut self, bound: u64) {
        while let Some(first) = self.runs.first_entry() {
            let (start, end) = (*first.key(), *first.get());
            if start >= bound {
                return;
            }
            first.remove();
            self.len -= end.min(bound) - start;
            if end > bound {
                self.runs.insert(bound, end);
            }
        }
    }

    /// If the first run starts at `value`, takes the run out and tells its end.
    fn take_run_from(&mut self, value: u64) -> Option<u64> {
        let first = self.runs.first_entry()?;
        if *first.key() != value {
            return None;
        }
        let end = first.remove();
        self.len -= end - value;
        Some(end)
    }
}

impl Default for RunSet {
    fn default() -> Self {
        Self::new()
    }
}

impl PartialEq for RunSet {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl Eq for RunSet {}

impl fmt::Debug for RunSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// In text formats: for each run its distance from the end of the one before, and its length, all in one list.
impl Serialize for RunSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut at = 0;
        serializer.collect_seq(self.iter().flat_map(|run| {
            let pair = [run.start - at, run.end - run.start];
            at = run.end;
            pair
        }))
    }
}

impl<'de> Deserialize<'de> for RunSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let numbers = Vec::<u64>::deserialize(deserializer)?;
        let mut set = RunSet::new();
        let mut at = 0_u64;
        for pair in numbers.chunks(2) {
            let range = match pair {
                [gap, length] => at.checked_add(*gap).and_then(|start| Some(start..start.checked_add(*length)?)),
                _ => None,
            };
            let range = range.filter(|range| range.end <= OFFSET_MAX).ok_or_else(|| D::Error::custom("not a set of offsets"))?;
            at = range.end;
            set.insert_range(range);
        }
        Ok(set)
    }
}

impl FromIterator<u64> for RunSet {
    fn from_iter<I: IntoIterator<Item = u64>>(values: I) -> Self {
        let mut set = RunSet::new();
        for value in values {
            set.insert(value);
        }
        set
    }
}
