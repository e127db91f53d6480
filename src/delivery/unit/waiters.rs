//! Waiting for more of a series within a unit, and answering those who do.

use std::sync::Arc;

use super::Unit;
use crate::delivery::series::{Answer, Missing, Stamp, Waiter, Want};
use crate::log::TopicName;

impl Unit<'_> {
    /// The waiter is answered when a series of this name has what it wants, or what it waits on is gone.
    pub fn wait_for_more(&mut self, name: &TopicName, waiter: &Arc<Waiter>, want: Want) {
        self.views.waiters.entry(name.clone()).or_default().push((Arc::clone(waiter), want));
    }

    /// It waits no more for anything of this name.
    pub fn wait_no_more(&mut self, name: &TopicName, waiter: &Arc<Waiter>) {
        if let Some(waiters) = self.views.waiters.get_mut(name) {
            waiters.retain(|(known, _)| !Arc::ptr_eq(known, waiter));
            if waiters.is_empty() {
                self.views.waiters.remove(name);
            }
        }
    }

    /// Those who wait on a name are looked at when others are served.
    pub fn stir_series(&mut self, name: &TopicName) {
        if !self.views.waiters.is_empty() && !self.stirred_series.contains(name) {
            self.stirred_series.push(name.clone());
        }
    }

    /// Answers who waits on series that were added to or are gone, the longest waiter first.
    pub(super) fn answer_waiters(&mut self) {
        for name in std::mem::take(&mut self.stirred_series) {
            // Handing out changes the series and not who waits.
            let waiters = self.views.waiters.get(&name).cloned().unwrap_or_default();
            for (waiter, want) in waiters {
                if waiter.is_answered() {
                    continue;
                }
                if let Some(answer) = self.answer_to(&name, &want, waiter.count_max) {
                    waiter.set_answer(&name, answer);
                    self.answered.push(waiter);
                }
            }
        }
    }

    fn answer_to(&mut self, name: &TopicName, want: &Want, count_max: u64) -> Option<Answer> {
        match want {
            Want::After(stamp) => {
                let from = stamp.next().filter(|from| self.series(name).is_some_and(|series| series.last() >= *from))?;
                let spans = self.spans(name, from..=Stamp::MAX, count_max, false);
                (!spans.is_empty()).then_some(Answer::Spans(spans))
            }
            Want::Next { .. } if self.series(name).is_none() => Some(Answer::Gone(Missing::Series)),
            Want::Next { asker, .. } if self.cohort(name, &asker.cohort).is_none() => Some(Answer::Gone(Missing::Cohort)),
            Want::Next { asker, keep } => {
                let given = self.hand_out_next(name, asker, count_max, *keep);
                (!given.is_empty()).then_some(Answer::Given(given))
            }
        }
    }
}
