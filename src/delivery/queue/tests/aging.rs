//! What time does, in the queue and in its model: deadlines, waiting, and a clock that moves on.

use super::*;

impl World {
    /// Gives a record that has none a deadline.
    pub(super) fn set_deadline(&mut self, pick: &prop::sample::Index, in_ms: i64) {
        let time_ms = self.now_ms + in_ms;
        let may = |e: &&Entry| e.status != Status::Done && e.deadline.is_none();
        let Some(at) = self.pick(pick, may) else { return };
        self.entry(at).deadline = Some(time_ms);
        self.mark(Mark::Deadline, at, 1, time_ms as u64);
    }

    /// Lets a ready record wait.
    pub(super) fn wait(&mut self, pick: &prop::sample::Index, for_ms: i64) {
        let time_ms = self.now_ms + for_ms;
        let Some(at) = self.pick(pick, |e| e.status == Status::Ready) else { return };
        self.entry(at).status = Status::Waiting(time_ms);
        self.mark(Mark::Wait, at, 1, time_ms as u64);
    }

    fn mark(&mut self, mark: Mark, at: (u32, u64), count: u64, value: u64) {
        self.queue.mark(mark, at.0, at.1, count, value);
        self.op(|ops| ops.mark(mark, at.0, at.1, count, value));
    }

    /// Appends records with a level and a size.
    pub(super) fn append_ranked(&mut self, partition: u32, count: u64, level: u8) {
        let first = self.append(partition, count, Kind::Plain);
        self.mark(Mark::Level, (partition, first), count, level.into());
        self.mark(Mark::Weight, (partition, first), count, u64::from(level) * 10);
        for offset in first..first + count {
            let entry = self.entry((partition, offset));
            (entry.level, entry.weight) = (level, u64::from(level) * 10);
        }
    }

    fn pick(&self, pick: &prop::sample::Index, may: impl Fn(&&Entry) -> bool) -> Option<(u32, u64)> {
        let all: Vec<_> = self.entries.iter().filter(may).map(Entry::at).collect();
        (!all.is_empty()).then(|| all[pick.index(all.len())])
    }

    /// Time goes on: what waited long enough is ready, and what has expired is gone, except what is in flight.
    pub(super) fn tick(&mut self, by_ms: i64) {
        self.now_ms += by_ms;
        let now_ms = self.now_ms;
        self.queue.wake(now_ms);
        self.wake_entries();
        let mut expired = BTreeSet::new();
        while let Some(taken) = self.queue.expire(now_ms) {
            expired.insert((taken.partition, taken.offset));
            self.op(|ops| ops.accept(taken.partition, taken.offset));
        }
        let is_over = |e: &&mut Entry| e.deadline.is_some_and(|deadline| deadline <= now_ms);
        let is_here = |e: &&mut Entry| e.status == Status::Ready || matches!(e.status, Status::Waiting(_));
        let gone = self.entries.iter_mut().filter(|e| is_over(e) && is_here(e));
        let gone: BTreeSet<_> = gone
            .map(|e| {
                e.status = Status::Done;
                e.at()
            })
            .collect();
        assert_eq!(expired, gone);
    }

    pub(super) fn wake_entries(&mut self) {
        for entry in &mut self.entries {
            if matches!(entry.status, Status::Waiting(until) if until <= self.now_ms) {
                entry.status = Status::Ready;
            }
        }
    }

    pub(super) fn check_times(&self) {
        let waiting = self.entries.iter().filter_map(|e| if let Status::Waiting(until) = e.status { Some(until) } else { None });
        let waiting: Vec<_> = waiting.collect();
        assert_eq!(self.queue.waiting(), waiting.len() as u64);
        let held = self.entries.iter().filter(|e| !matches!(e.status, Status::InFlight | Status::Done));
        assert_eq!(self.queue.held_bytes(), held.map(|e| e.weight).sum::<u64>());
        if self.in_flight().is_empty() {
            let deadlines = self.entries.iter().filter(|e| e.status != Status::Done).filter_map(|e| e.deadline);
            let next = deadlines.chain(waiting).min();
            // One that was over while its record was in flight is due since ever.
            assert!(
                self.queue.next_due() == next || self.queue.next_due() == Some(0) && next.is_some_and(|next| next <= self.now_ms)
            );
        }
    }
}

#[test]
fn a_steady_flow_with_one_time_to_live_is_few_runs() {
    let mut queue = QueueState::new(1);
    for offset in 0..100_000 {
        queue.extend(0, offset, 1, Kind::Plain);
        // A thousand records a second.
        queue.set_deadline(0, offset, 1, time_after(offset as i64, 60_000));
    }
    assert!(queue.snapshot().len() < 20_000, "{}", queue.snapshot().len());
    for _ in 0..50_000 {
        queue.pop(End::Head, Class::All).unwrap();
    }
    assert_eq!(queue.next_due().map(|due| due >= 110_000), Some(true));
    while queue.expire(i64::MAX).is_some() {}
    assert_eq!((queue.ready(Class::All), queue.next_due()), (0, None));
}

#[test]
fn levels_cost_runs_and_not_records() {
    let mut queue = QueueState::new(1);
    for batch in 0..1000 {
        queue.extend(0, batch * 1000, 1000, Kind::Plain);
        queue.mark(Mark::Level, 0, batch * 1000, 1000, 1 + batch / 500);
    }
    queue.extend(0, 1_000_000, 1, Kind::Plain);
    assert!(queue.snapshot().len() < 60);
    let order = [0, 1, 499_999, 500_000, 1_000_000].map(|index| queue.range(Class::All, index, 1)[0].1);
    assert_eq!(order, [500_000, 500_001, 999_999, 0, 1_000_000]);
    let (first, last) = (queue.take(Class::All).unwrap(), queue.take_from(End::Tail, Class::All).unwrap());
    assert_eq!((first.offset, last.offset), (500_000, 1_000_000));
    queue.release(0, 500_000, true);
    let mut restored = QueueState::restore(&queue.snapshot(), false).unwrap();
    let again = restored.take(Class::All).unwrap();
    assert_eq!((again.offset, again.delivered), (500_000, 1));
}

#[test]
fn a_record_that_waited_below_the_cursor_comes_before_fresh_ones() {
    let mut queue = queue_of(5);
    queue.wait_until(0, 0, 2, 100);
    assert_eq!(queue.take(Class::All).unwrap().offset, 2);
    assert_eq!(queue.wake(99), 0);
    assert_eq!(queue.wake(100), 2);
    let order: Vec<_> = std::iter::from_fn(|| queue.take(Class::All)).map(|taken| (taken.offset, taken.redelivered)).collect();
    assert_eq!(order, [(0, false), (1, false), (3, false), (4, false)]);
}
