//! Which partitions there is something to do for: maintenance looks at these, and not at all that there are.
//!
//! A partition says so itself when it comes to hold something; who is done with it says when to look again, or never. Partitions
//! are named by number: one that was deleted meanwhile is no more in the catalog. No lock is taken while one of these is held.

use std::collections::BTreeSet;

use parking_lot::Mutex;

/// Partitions by what there is to do for them.
#[derive(Debug, Default)]
pub struct Watched {
    /// Those with batches in the journal, and some that had.
    in_journal: Mutex<Vec<u32>>,
    /// Those with segments, and some that had.
    in_segments: Mutex<BTreeSet<u32>>,
    /// When retention is to look at them, in milliseconds since 1970.
    looks: Mutex<BTreeSet<(i64, u32)>>,
    /// Those that it is to look at in any case.
    changed: Mutex<Vec<u32>>,
}

impl Watched {
    /// It has batches in the journal, and had none.
    pub fn has_batches(&self, partition: u32) {
        self.in_journal.lock().push(partition);
    }

    /// Looks at those with batches in the journal; those that it says false of are told when they have some again.
    pub fn each_in_journal(&self, mut has_some: impl FnMut(u32) -> bool) {
        let mut present = std::mem::take(&mut *self.in_journal.lock());
        present.retain(|partition| has_some(*partition));
        self.in_journal.lock().append(&mut present);
    }

    /// It has segments.
    pub fn has_segments(&self, partition: u32) {
        self.in_segments.lock().insert(partition);
    }

    /// Those with segments. `has_some` is asked of each; those that it says false of are left out until they have some again.
    pub fn in_segments(&self, mut has_some: impl FnMut(u32) -> bool) -> Vec<u32> {
        let mut present: Vec<u32> = self.in_segments.lock().iter().copied().collect();
        present.retain(|partition| {
            let stays = has_some(*partition);
            if !stays {
                self.in_segments.lock().remove(partition);
            }
            stays
        });
        present
    }

    /// Retention is to look at it.
    pub fn changed(&self, partition: u32) {
        self.changed.lock().push(partition);
    }

    /// Retention need not look at it before a time, in milliseconds since 1970.
    pub fn look_at(&self, partition: u32, time_ms: i64) {
        self.looks.lock().insert((time_ms, partition));
    }

    /// Those that retention is to look at now; each is forgotten.
    pub fn due(&self, now_ms: i64) -> Vec<u32> {
        let mut due = std::mem::take(&mut *self.changed.lock());
        let mut looks = self.looks.lock();
        let later = looks.split_off(&(now_ms.saturating_add(1), 0));
        due.extend(std::mem::replace(&mut *looks, later).into_iter().map(|(_, partition)| partition));
        drop(looks);
        due.sort_unstable();
        due.dedup();
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retention_looks_at_what_changed_and_at_what_is_due_and_at_each_once() {
        let watched = Watched::default();
        for partition in [4, 9, 4] {
            watched.changed(partition);
        }
        watched.look_at(9, 100);
        watched.look_at(5, 100);
        watched.look_at(6, 101);
        assert_eq!(watched.due(100), [4, 5, 9]);
        assert_eq!(watched.due(100), [0; 0]);
        assert_eq!(watched.due(101), [6]);
    }

    #[test]
    fn what_has_nothing_left_is_not_looked_at_again() {
        let watched = Watched::default();
        (0..4).for_each(|partition| watched.has_batches(partition));
        (0..4).for_each(|partition| watched.has_segments(partition));
        watched.each_in_journal(|partition| partition % 2 == 0);
        let mut seen = Vec::new();
        watched.each_in_journal(|partition| {
            seen.push(partition);
            true
        });
        assert_eq!(seen, [0, 2]);
        assert_eq!(watched.in_segments(|partition| partition > 2), [3]);
        assert_eq!(watched.in_segments(|_| true), [3]);
    }
}
