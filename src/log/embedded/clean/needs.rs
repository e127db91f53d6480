//! Freeing the space behind what is held: where most of a stretch of segments is needed by nobody, the few records that are
//! move to a segment of their own. One record that is not acknowledged pins itself, and nothing behind it.

use std::io;
use std::sync::Arc;

use super::judge::ByNeed;
use super::pace::Pace;
use super::{Swapped, groups};
use crate::log::embedded::Engine;
use crate::log::embedded::expire::Policy;
use crate::log::embedded::partition::Partition;
use crate::log::embedded::segment::{Segment, Segments};
use crate::log::stats::Removal;
use crate::log::topic::{Cleanup, Topic};

impl Engine {
    /// Rewrites the segments of which most records are dead. True: something was done.
    pub(super) fn clean_by_need(&self, topic: &Topic, partition: &Arc<Partition>, pace: &mut Pace) -> io::Result<bool> {
        let policy = self.policy(topic, partition);
        let present = partition.with(|state| Arc::clone(&state.segments));
        if !any_mostly_dead(present.list(), &policy)? {
            return Ok(false);
        }
        let is_last_dead = present.list().last().is_some_and(|last| is_mostly_dead(last, &policy));
        let segments = if is_last_dead { self.seal(partition) } else { Segments::clone(&present) };
        let why = if policy.settings.cleanup == Cleanup::Consumed { Removal::Consumed } else { Removal::Time };
        for stretch in segments.list().chunk_by(|left, right| is_mostly_dead(left, &policy) == is_mostly_dead(right, &policy)) {
            if !stretch.first().is_some_and(|first| is_mostly_dead(first, &policy)) {
                continue;
            }
            for group in groups(stretch, self.roll(&policy.settings).bytes) {
                let group_now = group.clone();
                let mut judge = ByNeed { needs: &policy.needs, kept_from_ms: kept_from_ms(&policy) };
                match self.rewrite_group(partition, &segments, group, &mut judge, (why, 0), pace)? {
                    Swapped::Done(_) => {
                        for segment in group_now {
                            segment.note_futile(policy.needs.count(segment.base_offset, segment.next_offset));
                        }
                    }
                    Swapped::GivenUp => return Ok(true),
                }
            }
        }
        Ok(true)
    }
}

/// Also counts the records of all that may be, so that it is known how many are dead.
fn any_mostly_dead(segments: &[Segment], policy: &Policy) -> io::Result<bool> {
    for segment in segments.iter().filter(|segment| may_hold_dead(segment, policy)) {
        segment.record_count()?;
    }
    Ok(segments.iter().any(|segment| is_mostly_dead(segment, policy)))
}

fn kept_from_ms(policy: &Policy) -> i64 {
    if policy.settings.cleanup == Cleanup::Consumed { i64::MAX } else { policy.kept_from_ms() }
}

/// Whether nothing but a view keeps it.
fn may_hold_dead(segment: &Segment, policy: &Policy) -> bool {
    segment.max_timestamp_ms() < kept_from_ms(policy)
}

/// Half of what was written is read and written again at most, for each half that goes.
fn is_mostly_dead(segment: &Segment, policy: &Policy) -> bool {
    let records = segment.record_count().unwrap_or(0);
    let needed = policy.needs.count(segment.base_offset, segment.next_offset);
    may_hold_dead(segment, policy) && records > 0 && needed.saturating_mul(2) <= records && !segment.was_futile(needed)
}
