//! How much room the disk has left, and what that means to those who write.
//!
//! Below the low mark commits take longer the less there is; below the high one records are refused, while acknowledgements,
//! deletions and what retires the journal still have room. Both marks are left only a good way above. Asks no disk itself and
//! has no clock.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use crate::log::error::Refused;
use crate::log::stats::Room;

/// The longest that a commit is delayed.
const DELAY_MAX: Duration = Duration::from_millis(50);

/// Where pressure begins, in bytes that are available.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermarks {
    /// With less than this, writing slows down.
    pub slow_below_bytes: u64,
    /// With less than this, records are refused.
    pub refuse_below_bytes: u64,
}

impl Default for Watermarks {
    fn default() -> Self {
        Self { slow_below_bytes: 512 << 20, refuse_below_bytes: 128 << 20 }
    }
}

/// The pressure that a disk is under.
#[derive(Debug)]
pub struct Pressure {
    marks: Watermarks,
    available_bytes: AtomicU64,
    room: AtomicU8,
    /// A write found no room and waits for it.
    is_stuck: AtomicBool,
    refused: AtomicU64,
}

impl Pressure {
    /// None yet.
    pub fn new(marks: Watermarks) -> Self {
        Self {
            marks,
            available_bytes: AtomicU64::new(u64::MAX),
            room: AtomicU8::new(Room::Ample as u8),
            is_stuck: AtomicBool::new(false),
            refused: AtomicU64::new(0),
        }
    }

    /// So much is available now. Returns how it is if that has changed.
    pub fn observe(&self, available_bytes: u64) -> Option<Room> {
        self.available_bytes.store(available_bytes, Ordering::Relaxed);
        let before = self.level();
        let room = after(before, available_bytes, self.marks);
        self.room.store(room as u8, Ordering::Relaxed);
        (room != before).then_some(room)
    }

    /// A write found no room, or what found none has been written. Returns whether that is news.
    pub fn stick(&self, is_stuck: bool) -> bool {
        self.is_stuck.swap(is_stuck, Ordering::Relaxed) != is_stuck
    }

    /// Whether a write waits for room.
    pub fn is_stuck(&self) -> bool {
        self.is_stuck.load(Ordering::Relaxed)
    }

    /// How it is.
    pub fn room(&self) -> Room {
        if self.is_stuck() { Room::Full } else { self.level() }
    }

    fn level(&self) -> Room {
        match self.room.load(Ordering::Relaxed) {
            0 => Room::Ample,
            1 => Room::Low,
            _ => Room::Full,
        }
    }

    /// Whether records are taken.
    pub fn admit(&self) -> Result<(), Refused> {
        if self.room() < Room::Full {
            return Ok(());
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        Err(Refused::DiskFull)
    }

    /// How long a commit is to wait, so that what is written slows down as room runs out.
    pub fn delay(&self) -> Option<Duration> {
        if self.level() == Room::Ample {
            return None;
        }
        let Watermarks { slow_below_bytes, refuse_below_bytes } = self.marks;
        let available = self.available_bytes.load(Ordering::Relaxed).clamp(refuse_below_bytes, slow_below_bytes);
        let span = (slow_below_bytes - refuse_below_bytes).max(1);
        let used = (slow_below_bytes - available) as f64 / span as f64;
        Some(DELAY_MAX.mul_f64(used.clamp(0.0, 1.0)))
    }

    /// What may still be written, in bytes; `u64::MAX` until it was looked at.
    pub fn available_bytes(&self) -> u64 {
        self.available_bytes.load(Ordering::Relaxed)
    }

    /// How often records were refused.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

/// How it is when it was `before` and so much is available now: a mark is left a quarter above where it was met.
fn after(before: Room, available_bytes: u64, marks: Watermarks) -> Room {
    let is_below = |mark: u64, room: Room| {
        let mark = if before >= room { mark.saturating_add(mark / 4) } else { mark };
        available_bytes < mark
    };
    if is_below(marks.refuse_below_bytes, Room::Full) {
        Room::Full
    } else if is_below(marks.slow_below_bytes, Room::Low) {
        Room::Low
    } else {
        Room::Ample
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pressure() -> Pressure {
        Pressure::new(Watermarks { slow_below_bytes: 1_000, refuse_below_bytes: 400 })
    }

    #[test]
    fn a_mark_is_met_exactly_and_left_a_quarter_above() {
        let pressure = pressure();
        let seen: Vec<Room> = [1_000, 999, 1_100, 400, 399, 450, 499, 500, 1_249, 1_250]
            .into_iter()
            .map(|available| {
                pressure.observe(available);
                pressure.room()
            })
            .collect();
        use Room::{Ample, Full, Low};
        assert_eq!(seen, [Ample, Low, Low, Low, Full, Full, Full, Low, Low, Ample]);
    }

    #[test]
    fn commits_slow_down_as_room_runs_out() {
        let pressure = pressure();
        assert_eq!(pressure.delay(), None);
        pressure.observe(999);
        let little = pressure.delay().expect("a delay");
        pressure.observe(500);
        let more = pressure.delay().expect("a delay");
        assert!(little < more && more < DELAY_MAX, "{little:?} {more:?}");
        pressure.observe(10);
        assert_eq!(pressure.delay(), Some(DELAY_MAX));
    }

    #[test]
    fn records_are_refused_while_the_disk_is_full_or_a_write_waits_for_room() {
        let pressure = pressure();
        assert_eq!(pressure.admit(), Ok(()));
        assert!(pressure.stick(true));
        assert_eq!(pressure.admit(), Err(Refused::DiskFull));
        pressure.stick(false);
        assert_eq!(pressure.admit(), Ok(()));
        pressure.observe(1);
        assert_eq!(pressure.admit(), Err(Refused::DiskFull));
        assert_eq!(pressure.refused(), 2);
    }
}
