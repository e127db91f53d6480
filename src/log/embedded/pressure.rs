//! How much room the disk has left, and what that means to those who write.
//!
//! Below the low mark those who write are to pause, longer the less there is; below the high one records are refused, while
//! acknowledgements, deletions and what retires the journal still have room. Both marks are left only a good way above. Asks
//! no disk itself and has no clock.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::log::error::Refused;
use crate::log::lsn::Signal;
use crate::log::stats::Room;

/// Between the marks no more is written than would use up the room above the high one in this time.
const PACE_TIME: Duration = Duration::from_secs(16);
/// The slowest pace, in bytes a second.
const PACE_BYTES_PER_S_MIN: f64 = 65_536.0;
/// The longest that a writer is to pause: some clients take more than half a second without a reply for an error.
const PAUSE_MAX: Duration = Duration::from_millis(250);

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
    paused_us: AtomicU64,
    /// When what was written so far is paid for, at the pace of its time.
    paid_at: Mutex<Option<Instant>>,
    /// Who waits until records are taken, by the address of the signal.
    waiting: Mutex<HashMap<usize, Signal>>,
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
            paused_us: AtomicU64::new(0),
            paid_at: Mutex::new(None),
            waiting: Mutex::default(),
        }
    }

    /// Where pressure begins.
    pub fn marks(&self) -> Watermarks {
        self.marks
    }

    /// So much is available now. Returns how it is if that has changed.
    pub fn observe(&self, available_bytes: u64) -> Option<Room> {
        self.available_bytes.store(available_bytes, Ordering::Relaxed);
        let before = self.level();
        let room = after(before, available_bytes, self.marks);
        self.room.store(room as u8, Ordering::Relaxed);
        self.wake_where_it_fits();
        (room != before).then_some(room)
    }

    /// A write found no room, or what found none has been written. Returns whether that is news.
    pub fn stick(&self, is_stuck: bool) -> bool {
        let is_news = self.is_stuck.swap(is_stuck, Ordering::Relaxed) != is_stuck;
        if is_news {
            self.wake_where_it_fits();
        }
        is_news
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

    /// Notifies the signal once, when records are taken again; at once if they are.
    pub fn wake_at_room(&self, signal: &Signal) {
        let mut waiting = self.waiting.lock();
        // Looked at under the lock: who makes room changes that first and then takes it.
        if self.room() < Room::Full {
            signal.notify_one();
        } else {
            waiting.insert(Arc::as_ptr(signal).addr(), Arc::clone(signal));
        }
    }

    /// Notifies all who wait for room, whether there is some or never will be.
    pub fn wake_all(&self) {
        for (_, signal) in self.waiting.lock().drain() {
            signal.notify_one();
        }
    }

    fn wake_where_it_fits(&self) {
        if self.room() < Room::Full {
            self.wake_all();
        } else {
            // Nobody else has it: its owner is gone.
            self.waiting.lock().retain(|_, signal| Arc::strong_count(signal) > 1);
        }
    }

    /// So much was written.
    pub fn wrote(&self, bytes: u64, now: Instant) {
        if self.level() == Room::Ample {
            return;
        }
        let above = self.available_bytes().saturating_sub(self.marks.refuse_below_bytes);
        let bytes_per_s = (above as f64 / PACE_TIME.as_secs_f64()).max(PACE_BYTES_PER_S_MIN);
        let mut paid_at = self.paid_at.lock();
        let from = paid_at.map_or(now, |paid_at| paid_at.max(now));
        // No debt grows beyond what one is made to pause for it.
        let due = from.saturating_duration_since(now) + Duration::from_secs_f64(bytes as f64 / bytes_per_s);
        *paid_at = Some(now + due.min(PAUSE_MAX));
    }

    /// How long who has just written records is to wait before it writes more, so that writing slows down as room runs out.
    pub fn pause(&self, now: Instant) -> Option<Duration> {
        if self.level() == Room::Ample {
            return None;
        }
        let pause = self.paid_at.lock().map(|paid_at| paid_at.saturating_duration_since(now))?;
        let pause_us = u64::try_from(pause.as_micros()).unwrap_or(u64::MAX);
        self.paused_us.fetch_add(pause_us, Ordering::Relaxed);
        (pause_us > 0).then_some(pause)
    }

    /// How long writers were made to pause, together, in microseconds.
    pub fn paused_us(&self) -> u64 {
        self.paused_us.load(Ordering::Relaxed)
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
    fn writing_slows_down_as_room_runs_out_and_never_for_longer_than_clients_bear() {
        let pressure = Pressure::new(Watermarks { slow_below_bytes: 100 << 20, refuse_below_bytes: 20 << 20 });
        let now = Instant::now();
        let pause_after = |available_bytes: u64, bytes: u64, now: Instant| {
            pressure.observe(available_bytes);
            pressure.wrote(bytes, now);
            pressure.pause(now)
        };
        let ms = |ms: u64| Some(Duration::from_millis(ms));
        assert_eq!(pause_after(100 << 20, 1 << 30, now), None, "there is room");
        // 64 MiB above the mark, 4 MiB a second.
        assert_eq!(pause_after(84 << 20, 512 << 10, now), ms(125));
        assert_eq!(pause_after(84 << 20, 512 << 10, now), ms(250), "whoever writes, they share the pace");
        assert_eq!(pressure.pause(now + Duration::from_millis(200)), ms(50));
        assert_eq!(pressure.pause(now + Duration::from_millis(250)), None, "it is paid for");
        let later = now + Duration::from_secs(10);
        assert_eq!(pause_after(36 << 20, 128 << 10, later), ms(125), "a quarter of the room, a quarter of the pace");
        assert_eq!(pause_after(21 << 20, 1 << 30, later), Some(PAUSE_MAX));
        assert_eq!(pause_after(125 << 20, 1 << 30, later), None, "there is room again");
        assert_eq!(pressure.paused_us(), 125_000 + 250_000 + 50_000 + 125_000 + 250_000);
    }

    #[test]
    fn who_waits_for_room_is_woken_when_there_is_some_and_kept_no_longer_than_it_lives() {
        let is_woken = |signal: &Signal| futures_util::FutureExt::now_or_never(signal.notified()).is_some();
        let pressure = pressure();
        let signal = Signal::default();
        pressure.wake_at_room(&signal);
        assert!(is_woken(&signal), "there is room");
        pressure.observe(1);
        for _ in 0..3 {
            pressure.wake_at_room(&signal);
        }
        pressure.wake_at_room(&Signal::default());
        assert_eq!(pressure.waiting.lock().len(), 2);
        pressure.observe(2);
        assert!(!is_woken(&signal));
        assert_eq!(pressure.waiting.lock().len(), 1);
        pressure.stick(true);
        pressure.observe(5_000);
        assert!(!is_woken(&signal), "a write waits for room still");
        pressure.stick(false);
        assert!(is_woken(&signal));
        assert_eq!(pressure.waiting.lock().len(), 0);
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
