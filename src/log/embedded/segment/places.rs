//! Where those who read a segment from end to end left off: their next read begins there, without a look into the index.

use parking_lot::Mutex;

/// So many readers are remembered.
const PLACES: usize = 4;

/// Offsets at which reads ended, and the position of what follows. Batches are added behind them and never moved.
#[derive(Debug, Default)]
pub struct Places(Mutex<Slots>);

#[derive(Debug, Default)]
struct Slots {
    slots: [(u64, u64); PLACES],
    next: usize,
}

impl Places {
    /// The position of the first batch from an offset on, if a read ended there. The place is given up.
    pub fn take(&self, offset: u64) -> Option<u64> {
        let mut places = self.0.lock();
        let slot = places.slots.iter_mut().find(|(left_off, position)| *left_off == offset && *position > 0)?;
        Some(std::mem::take(slot).1)
    }

    /// A read ended before an offset; what follows begins at a position. The oldest place is forgotten.
    pub fn put(&self, offset: u64, position: u64) {
        let mut places = self.0.lock();
        let at = places.next;
        places.next = (at + 1) % PLACES;
        if let Some(slot) = places.slots.get_mut(at) {
            *slot = (offset, position);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reads_on_finds_the_place_once_and_the_oldest_are_forgotten() {
        let places = Places::default();
        assert_eq!(places.take(0), None);
        for offset in 1..=5 {
            places.put(offset, offset * 100);
        }
        assert_eq!((places.take(1), places.take(5), places.take(5)), (None, Some(500), None));
    }
}
