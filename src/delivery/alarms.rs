//! When queue views want to be looked at again: an index of views by time, and the task that waits for the first.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Delivery, Views};
use crate::log::{Room, Signal, TopicName};

/// Views looked at in one unit, at most.
const VIEWS_AT_ONCE: usize = 64;
/// Longest sleep, so that a clock that jumps is noticed, in milliseconds.
const SLEEP_MS_MAX: u64 = 60_000;
/// Sleep after the log refused a unit or has no room for one, in milliseconds.
const REFUSED_SLEEP_MS: u64 = 1000;

/// Views by the time at which something is due in them.
#[derive(Default)]
pub(super) struct Alarms {
    by_time: BTreeSet<(i64, TopicName)>,
    /// Notified when the first time has become an earlier one.
    pub earlier: Signal,
}

impl Alarms {
    /// The first time, in milliseconds since 1970.
    pub fn next(&self) -> Option<i64> {
        self.by_time.first().map(|(time_ms, _)| *time_ms)
    }

    /// Views in which something is due, the first of them.
    pub fn due(&self, now_ms: i64) -> Vec<TopicName> {
        let due = self.by_time.iter().take_while(|(time_ms, _)| *time_ms <= now_ms);
        due.take(VIEWS_AT_ONCE).map(|(_, name)| name.clone()).collect()
    }

    /// Changes the time of a view.
    pub fn change(&mut self, name: &TopicName, before: Option<i64>, after: Option<i64>) {
        if before == after {
            return;
        }
        let first = self.next();
        if let Some(time_ms) = before {
            self.by_time.remove(&(time_ms, name.clone()));
        }
        let Some(time_ms) = after else { return };
        self.by_time.insert((time_ms, name.clone()));
        if first.is_none_or(|first| time_ms < first) {
            self.earlier.notify_one();
        }
    }
}

impl Views {
    /// Somebody used a view.
    pub(super) fn used(&mut self, name: &TopicName, now_ms: i64) {
        if let Some(view) = self.queues.get_mut(name) {
            view.used_ms = now_ms;
        }
        self.set_alarm(name);
    }

    /// Looks at when something is due in a view.
    pub(super) fn set_alarm(&mut self, name: &TopicName) {
        if let Some(view) = self.queues.get_mut(name) {
            let due_ms = view.next_due();
            self.alarms.change(name, view.alarm_ms, due_ms);
            view.alarm_ms = due_ms;
        }
    }
}

impl Delivery {
    /// Does what is due in queue views, until told to stop.
    pub async fn run_timers(&self, shutdown: impl Future<Output = ()>) {
        tokio::pin!(shutdown);
        let earlier = self.0.views.lock().alarms.earlier.clone();
        let mut refused = false;
        loop {
            let sleep_ms = if refused { REFUSED_SLEEP_MS } else { self.sleep_ms() };
            tokio::select! {
                () = &mut shutdown => return,
                () = earlier.notified() => {}
                () = tokio::time::sleep(Duration::from_millis(sleep_ms)) => {}
            }
            refused = !self.run_due();
        }
    }

    fn sleep_ms(&self) -> u64 {
        let Some(next_ms) = self.0.views.lock().alarms.next() else { return SLEEP_MS_MAX };
        u64::try_from(next_ms.saturating_sub(super::unit::now_ms())).unwrap_or(0).min(SLEEP_MS_MAX)
    }

    /// Does some of what is due now. False if the log refuses, or what it may do nothing about yet for want of room.
    pub fn run_due(&self) -> bool {
        let Ok(mut unit) = self.begin() else { return false };
        unit.run_due();
        unit.commit();
        self.0.log.room().0 < Room::Full
    }
}
