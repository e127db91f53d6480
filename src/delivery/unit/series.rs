//! Series within a unit: opening, appending with a stamp, finding by stamp, removing.

use std::ops::RangeInclusive;

use super::{Target, Unit};
use crate::delivery::SERIES;
use crate::delivery::queue::{Kind, RunSet};
use crate::delivery::series::{SeriesOp, SeriesState, SeriesView, Span, Stamp, Trim};
use crate::log::record::Record;
use crate::log::{Change, Lsn, Partition, StateRecord, TopicError, TopicName};

impl Unit<'_> {
    /// Opens the series of a topic with one partition, unless it is open. `with_past`: with the records that are there already, which
    /// get the stamps `0-1`, `0-2` and so on by their offsets.
    pub fn open_series(&mut self, name: &TopicName, with_past: bool) -> Result<(), TopicError> {
        if self.views.series.contains_key(name) {
            return Ok(());
        }
        let topic = self.log.topic(name).ok_or(TopicError::Unknown)?;
        let partition = topic.partition(0).filter(|_| topic.partition_count() == 1).ok_or(TopicError::InvalidPartitions)?;
        let bounds = partition.bounds();
        let origin = if with_past { bounds.log_start } else { bounds.end };
        let mut view = SeriesView::new(topic, SeriesState::new(origin), self.log.end());
        let mut others = partition.broadcast();
        let (void, undecided) = (partition.void_from(origin), partition.open_transactions());
        for run in undecided.iter().chain([&void]).flat_map(RunSet::iter) {
            others.insert_range(run);
        }
        for gap in others.gaps_in(origin..bounds.end) {
            let first = Stamp { ms: 0, seq: gap.start + 1 };
            view.apply(SeriesOp::Append { offset: gap.start, count: gap.end - gap.start, first, is_given: true });
        }
        view.apply(SeriesOp::Pass(bounds.end));
        view.ops.clear();
        let change = Change::Put(view.put());
        self.states.push(StateRecord { table: SERIES, key: name.to_bytes(), change });
        self.views.series.insert(name.clone(), view);
        Ok(())
    }

    /// Lets a series learn of what retention took away.
    pub fn catch_up_series(&mut self, name: &TopicName) {
        if let Some(view) = self.views.series.get_mut(name) {
            view.catch_up();
        }
    }

    /// Writes the whole state of a series, which takes the place of the changes before.
    pub(in crate::delivery) fn put_series(&mut self, name: &TopicName) {
        let end = self.log.end();
        let Some(view) = self.views.series.get_mut(name) else { return };
        view.put_at = Lsn(end.0 + 1);
        view.changed = false;
        let change = Change::Put(view.put());
        self.states.push(StateRecord { table: SERIES, key: name.to_bytes(), change });
    }

    /// A series as it stands.
    pub fn series(&self, name: &TopicName) -> Option<&SeriesState> {
        self.views.series.get(name).map(|view| &view.state)
    }

    /// Whether there are any.
    pub fn has_any_series(&self) -> bool {
        !self.views.series.is_empty()
    }

    /// The names of all series, in no order.
    pub fn series_names(&self) -> Vec<TopicName> {
        self.views.series.keys().cloned().collect()
    }

    /// A number that grows with every change of a series; 0: there is none.
    pub fn series_version(&self, name: &TopicName) -> u64 {
        self.views.series.get(name).map_or(0, |view| view.version + 1)
    }

    /// Closes a series for good. The topic stays.
    pub fn drop_series(&mut self, name: &TopicName) {
        if self.views.series.remove(name).is_some() {
            self.states.push(StateRecord { table: SERIES, key: name.to_bytes(), change: Change::Delete });
            self.stir_series(name);
        }
    }

    /// Changes a series.
    pub fn change_series(&mut self, name: &TopicName, op: SeriesOp) {
        if let Some(view) = self.views.series.get_mut(name) {
            view.apply(op);
            self.series_changed(name);
        }
    }

    /// Writes a record with a stamp, which must be behind the last. The stamp is its first header. Takers of class `Queued` pass over
    /// it, and it is announced to nobody.
    pub fn append_stamped(&mut self, name: &TopicName, stamp: Stamp, mut record: Record) -> Option<u64> {
        let topic = self.views.series.get(name).map(|view| view.topic.clone())?;
        record.headers.insert(0, stamp.header());
        self.stamp = Some(stamp);
        let offset = self.append(&[Target { topic, partition: 0 }], &record, Kind::Broadcast).first().copied();
        self.stamp = None;
        offset
    }

    /// Tells the series of a topic that records were appended.
    pub(super) fn series_appended(&mut self, partition: &Partition, offset: u64, count: u64, kind: Kind) {
        if self.views.series.is_empty() || partition.index() > 0 {
            return;
        }
        let name = partition.topic_name();
        let (stamp, now_ms) = (self.stamp, u64::try_from(self.now_ms).unwrap_or(0));
        let Some(view) = self.views.series.get_mut(name) else { return };
        if kind == Kind::Broadcast && stamp.is_none() {
            view.apply(SeriesOp::Pass(offset + count));
        } else if let Some(first) = stamp.or_else(|| view.state.next_given(Some(offset), now_ms)) {
            view.apply(SeriesOp::Append { offset, count, first, is_given: stamp.is_none() });
        } else {
            // There are no stamps left: what comes now is no part of the series.
            view.apply(SeriesOp::Pass(offset + count));
        }
        self.series_changed(name);
        self.stir_series(name);
    }

    /// Tells the series of a topic that records of a transaction count from now on.
    pub(super) fn series_decided(&mut self, partition: &Partition, runs: &RunSet) {
        let name = partition.topic_name();
        let now_ms = u64::try_from(self.now_ms).unwrap_or(0);
        let Some(view) = self.views.series.get_mut(name).filter(|_| partition.index() == 0) else { return };
        for run in runs.iter() {
            // There may be no stamps left.
            let Some(first) = view.state.next_given(None, now_ms) else { break };
            view.apply(SeriesOp::Late { offset: run.start, count: run.end - run.start, first });
        }
        self.series_changed(name);
        self.stir_series(name);
    }

    /// The stamp of the record at an index of a series.
    pub fn stamp_at(&mut self, name: &TopicName, index: u64) -> Option<Stamp> {
        self.close_batch();
        let view = self.views.series.get(name)?;
        let partition = view.topic.partition(0)?;
        let (log, entry, reading) = (self.log, &self.entry, &mut self.reading);
        let given = view.state.given(index);
        given.or_else(|| Stamp::of_record(&super::append::read(log, entry, reading, &partition, view.state.offset_of(index))?))
    }

    /// The index of the first record at or behind a stamp; the end of the series if there is none.
    pub fn seek(&mut self, name: &TopicName, stamp: Stamp) -> u64 {
        self.close_batch();
        let Some(view) = self.views.series.get(name) else { return 0 };
        let Some(partition) = view.topic.partition(0) else { return 0 };
        let (log, entry, reading) = (self.log, &self.entry, &mut self.reading);
        let mut read = |offset| super::append::read(log, entry, reading, &partition, offset);
        view.state.seek(stamp, |index| Stamp::of_record(&read(view.state.offset_of(index))?))
    }

    /// The records between two stamps, both included, as spans.
    pub fn spans(&mut self, name: &TopicName, stamps: RangeInclusive<Stamp>, count_max: u64, backwards: bool) -> Vec<Span> {
        let (from, to) = stamps.into_inner();
        if from > to {
            return Vec::new();
        }
        let start = self.seek(name, from);
        let end = match to.next() {
            Some(next) => self.seek(name, next),
            None => u64::MAX,
        };
        self.series(name).map_or_else(Vec::new, |series| series.spans(start..end.max(start), count_max, backwards))
    }

    /// The index of the record that has a stamp.
    pub fn find_stamp(&mut self, name: &TopicName, stamp: Stamp) -> Option<u64> {
        let index = self.seek(name, stamp);
        let found = self.series(name)?.contains(index).then(|| self.stamp_at(name, index))??;
        (found == stamp).then_some(index)
    }

    /// The stamp of the first record.
    pub fn first_stamp(&mut self, name: &TopicName) -> Option<Stamp> {
        let first = self.series(name)?.first_index()?;
        self.stamp_at(name, first)
    }

    /// Takes single records out, and tells how many were there.
    pub fn remove_stamps(&mut self, name: &TopicName, stamps: &[Stamp]) -> u64 {
        let (mut runs, mut last) = (RunSet::new(), Stamp::MIN);
        for stamp in stamps {
            if let Some(index) = self.find_stamp(name, *stamp) {
                runs.insert(index);
                last = last.max(*stamp);
            }
        }
        let removed = runs.len();
        if removed > 0 {
            self.change_series(name, SeriesOp::Remove { runs, last });
        }
        removed
    }

    /// Shortens a series, and tells by how many records. `nodes`: only whole nodes of so many records, and at most so many records
    /// altogether, 0 for any number.
    pub fn trim_series(&mut self, name: &TopicName, trim: Trim, nodes: Option<(u64, u64)>) -> u64 {
        let exact = match trim {
            Trim::Length(keep) => self.series(name).map_or(0, |series| series.floor_for_length(keep)),
            Trim::From(stamp) => self.seek(name, stamp),
        };
        let Some(series) = self.series(name) else { return 0 };
        let floor = match nodes {
            Some((node, limit)) => series.floor_by_nodes(exact, node, limit),
            None => exact,
        };
        let removed = series.count_below(floor);
        if removed > 0 {
            self.change_series(name, SeriesOp::Trim(floor));
        }
        removed
    }

    pub(super) fn series_changed(&mut self, name: &TopicName) {
        if self.changed_series.last() != Some(name) {
            self.changed_series.push(name.clone());
        }
    }

    /// What must survive of the changes.
    pub(super) fn collect_series_ops(&mut self) {
        self.changed_series.sort_unstable();
        self.changed_series.dedup();
        let views = &mut *self.views;
        for name in &self.changed_series {
            let Some(view) = views.series.get_mut(name) else { continue };
            if let Some(body) = view.take_ops() {
                if !std::mem::replace(&mut view.changed, true) {
                    views.unsaved_series.push(name.clone());
                }
                let asked = view.topic.partition(0).map(|partition| partition.durability());
                self.entry.require(asked.unwrap_or_default());
                let change = Change::Operation(body);
                self.states.push(StateRecord { table: SERIES, key: name.to_bytes(), change });
            }
        }
    }
}
