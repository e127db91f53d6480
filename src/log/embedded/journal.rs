//! The write-ahead log that all partitions share: gathers entries, writes what has gathered with one call, syncs once.
//!
//! Positions count bytes since the journal began and never restart. An entry lies in one file. The newest bytes stay in
//! memory up to a budget (the memory tail), so that live readers never touch the files. Whoever waits alone writes and syncs
//! himself; when many wait a thread does it. A failed write or sync poisons the journal for good: after it nothing is known
//! about what is on disk.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::LogSettings;
use super::disk::{Disk, File};
use super::files::JOURNAL_HEADER_BYTES;
use super::frame::{Encoder, SHARED_BYTES_MIN, Salt, Target};
use super::pressure::Pressure;
use super::recovery::journal_directory;
use super::spares::Spares;
use super::tail::{Pending, Recent};
use crate::log::error::Refused;
use crate::log::lsn::{Barrier, Durability, Durable, Lsn};
use crate::log::stats::JournalStats;

/// The position of the first entry ever: positive, so that [`Lsn::NONE`] lies before it.
pub const FIRST_POSITION: u64 = 8;

/// One body of an entry, as the journal takes it.
pub struct Body<'a, I> {
    /// Where it goes.
    pub targets: I,
    /// How many offsets it takes.
    pub span: u32,
    /// Its bytes.
    pub bytes: &'a Bytes,
}

/// A file of the journal.
#[derive(Debug, Clone)]
pub struct JournalFile {
    /// The position of its first entry.
    pub start: u64,
    /// Where it lies.
    pub path: PathBuf,
    /// Open for reading and writing.
    pub file: File,
    /// The size of its entries at which a new file is begun, in bytes.
    pub capacity_bytes: u64,
}

/// The journal. One thread runs [`Journal::run`].
pub struct Journal {
    disk: Disk,
    directory: PathBuf,
    salt: Salt,
    tail_bytes: usize,
    /// While more than this is not written, no entry is added.
    in_flight_bytes_max: u64,
    sync_interval: Duration,
    pending: Mutex<Pending>,
    /// What was in flight is written.
    landed: Condvar,
    /// Held by the one who writes.
    writer: Mutex<Writer>,
    recent: Mutex<Recent>,
    files: Mutex<VecDeque<JournalFile>>,
    spares: Spares,
    durable: Arc<Durable>,
    end: AtomicU64,
    /// The end of the last entry that is acknowledged once it is synced.
    synced_end: AtomicU64,
    pressure: Pressure,
    stats: Arc<JournalStats>,
}

/// How often a write that found no room is tried again.
const ROOM_INTERVAL: Duration = Duration::from_millis(100);

/// What the one who writes knows.
#[derive(Default)]
struct Writer {
    /// What found no room on the disk. Nobody was answered, so it can be written again.
    held: Option<Gathered>,
    /// When something was written that is to be synced within the interval.
    unsynced_since: Option<Instant>,
}

/// What was taken to be written.
struct Gathered {
    start: Lsn,
    end: Lsn,
    pieces: Vec<Bytes>,
    durability: Durability,
}

impl Journal {
    /// Takes over the files that recovery found and goes on at `next`, with the salt of the files. `files` must hold at least one.
    pub fn new(
        settings: &LogSettings,
        files: VecDeque<JournalFile>,
        (next, salt): (u64, Salt),
        durable: Arc<Durable>,
        stats: Arc<JournalStats>,
    ) -> Self {
        Self {
            disk: settings.disk.clone(),
            directory: journal_directory(&settings.directory),
            salt,
            tail_bytes: settings.memory_tail_bytes,
            in_flight_bytes_max: settings.in_flight_bytes_max,
            sync_interval: Duration::from_millis(settings.sync_interval_ms),
            pending: Mutex::new(Pending::new(next)),
            landed: Condvar::new(),
            writer: Mutex::default(),
            recent: Mutex::new(Recent::default()),
            files: Mutex::new(files),
            spares: Spares::new(settings.disk.clone(), journal_directory(&settings.directory), settings.journal_file_bytes),
            durable,
            end: AtomicU64::new(next),
            synced_end: AtomicU64::new(next),
            pressure: Pressure::new(settings.watermarks),
            stats,
        }
    }

    /// Up to where it is on disk.
    pub fn durable(&self) -> &Arc<Durable> {
        &self.durable
    }

    /// How much room there is.
    pub fn pressure(&self) -> &Pressure {
        &self.pressure
    }

    /// One past the last entry, written or not.
    pub fn end(&self) -> Lsn {
        Lsn(self.end.load(Ordering::Acquire))
    }

    /// Passed once everything appended by now is as safe as each entry asked for.
    pub fn barrier(&self) -> Barrier {
        let synced = Barrier::at(Lsn(self.synced_end.load(Ordering::Acquire)), Durability::Fsync);
        synced.and(Barrier::at(self.end(), Durability::Os))
    }

    /// Appends one atomic entry, of which `copied_bytes` are copied. Calls `placed` with each body's index and position, before
    /// anything else can be appended, and returns the position that must be durable for the entry to be.
    pub fn append<'a, I>(
        &self,
        bodies: impl ExactSizeIterator<Item = Body<'a, I>>,
        copied_bytes: usize,
        durability: Durability,
        mut placed: impl FnMut(usize, u64, Lsn),
    ) -> Result<Lsn, Refused>
    where
        I: ExactSizeIterator<Item = Target>,
    {
        if let Some(reason) = self.durable.failure() {
            return Err(Refused::Poisoned(reason));
        }
        let synced = self.durable.synced().0;
        let mut pending = self.pending.lock();
        self.wait_for_room(&mut pending);
        if pending.stop {
            return Err(Refused::ShuttingDown);
        }
        let position = pending.next;
        pending.make_room(copied_bytes);
        let mut positions = smallvec::SmallVec::<[u64; 4]>::new();
        let mut encoder = Encoder::begin(&mut pending.buffer, self.salt.mark(position), synced, bodies.len());
        for body in bodies {
            let at = if body.bytes.len() < SHARED_BYTES_MIN {
                encoder.write(body.targets, body.span, body.bytes)
            } else {
                encoder.share(body.targets, body.span, body.bytes.clone())
            };
            positions.push(position + at as u64);
        }
        let (length, shared) = encoder.finish();
        pending.share(shared);
        let next = position + length as u64;
        for (index, at) in positions.into_iter().enumerate() {
            placed(index, at, Lsn(next));
        }
        pending.next = next;
        pending.durability = pending.durability.max(durability);
        self.end.store(next, Ordering::Release);
        if durability == Durability::Fsync {
            self.synced_end.store(next, Ordering::Release);
        }
        let first = pending.start == position;
        drop(pending);
        if first {
            self.durable.wake_writer();
        }
        Ok(Lsn(next))
    }

    /// Whoever writes is slowed down to what the disk takes, so that what is in flight stays bounded.
    fn wait_for_room(&self, pending: &mut MutexGuard<'_, Pending>) {
        let is_full = |pending: &Pending| pending.next.saturating_sub(self.durable.written().0) > self.in_flight_bytes_max;
        if !is_full(pending) {
            return;
        }
        self.stats.held_back.fetch_add(1, Ordering::Relaxed);
        while is_full(pending) && !pending.stop && self.durable.failure().is_none() {
            self.landed.wait_for(pending, Duration::from_millis(50));
        }
    }

    /// What was appended and is not written yet, in bytes.
    pub fn in_flight_bytes(&self) -> u64 {
        self.end().0.saturating_sub(self.durable.written().0)
    }

    /// The bytes at a position: from memory where they are recent, else from their file.
    pub fn read(&self, position: u64, length: usize) -> io::Result<Bytes> {
        self.in_memory(position, length).map_or_else(|| self.in_file(position, length), Ok)
    }

    /// The bytes at a position, if they are recent.
    pub fn in_memory(&self, position: u64, length: usize) -> Option<Bytes> {
        let recent = self.recent.lock().get(position, length);
        recent.or_else(|| self.read_pending(position, length))
    }

    /// The bytes at a position, which were written, as their file has them.
    pub fn in_file(&self, position: u64, length: usize) -> io::Result<Bytes> {
        let file = {
            let files = self.files.lock();
            let index = files.partition_point(|file| file.start <= position).checked_sub(1);
            index.and_then(|index| files.get(index).cloned())
        };
        let file = file.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the journal file was retired"))?;
        file.file.read_at(length, JOURNAL_HEADER_BYTES + position - file.start)
    }

    fn read_pending(&self, position: u64, length: usize) -> Option<Bytes> {
        let mut pending = self.pending.lock();
        if position < pending.start {
            // Between the two looks the writer may have taken it.
            drop(pending);
            return self.recent.lock().get(position, length);
        }
        pending.get(position, length)
    }

    /// Writes and syncs until [`Journal::stop`] is called and nothing is left. Runs on a thread of its own.
    pub fn run(&self) {
        self.durable.set_writer();
        loop {
            // Stopped is looked at first: what is appended before it is written below.
            let stop = self.pending.lock().stop;
            let next_sync = match self.writer.try_lock() {
                Some(mut writer) => {
                    if self.work(&mut writer, stop).is_err() {
                        return;
                    }
                    if stop && writer.held.is_some() {
                        self.durable.fail("the disk is full, and the log is being closed");
                        self.pressure.wake_all();
                        return;
                    }
                    let next_try = writer.held.is_some().then(|| Instant::now() + ROOM_INTERVAL);
                    next_try.or_else(|| writer.unsynced_since.map(|since| since + self.sync_interval))
                }
                // Who holds it looks again when done, and wakes this thread if there is more.
                None => None,
            };
            match next_sync {
                _ if stop && self.durable.synced() == self.end() => return,
                _ if !self.pressure.is_stuck() && self.has_work() && !self.writer.is_locked() => {}
                Some(due) => std::thread::park_timeout(due.saturating_duration_since(Instant::now())),
                None => std::thread::park(),
            }
        }
    }

    /// Writes and syncs what there is on the calling thread if nobody else does, and nobody else waits for it: a hand-off
    /// to another thread costs a large part of a sync. Whether the barrier is passed.
    pub fn press(&self, barrier: Barrier) -> bool {
        if self.durable.is_durable(barrier) {
            return true;
        }
        if self.durable.is_crowded() || self.pressure.is_stuck() {
            return false;
        }
        let Some(mut writer) = self.writer.try_lock() else { return false };
        let worked = self.work(&mut writer, false);
        let is_due_later = writer.unsynced_since.is_some() || writer.held.is_some();
        drop(writer);
        if is_due_later || self.has_work() {
            self.durable.wake_writer();
        }
        worked.is_ok() && self.durable.is_durable(barrier)
    }

    fn has_work(&self) -> bool {
        let pending = self.pending.lock();
        pending.next > pending.start || self.durable.wants_sync()
    }

    /// Writes what waits, and syncs if somebody asked for it, if it is due, or `all` is to be safe.
    fn work(&self, writer: &mut Writer, all: bool) -> Result<(), ()> {
        self.try_work(writer, all).map_err(|error| {
            let reason = format!("writing the journal in {} failed: {error}", self.directory.display());
            tracing::error!(%reason, "the log is poisoned: no record is accepted until the next start");
            self.durable.fail(&reason);
            self.pressure.wake_all();
        })
    }

    fn try_work(&self, writer: &mut Writer, all: bool) -> io::Result<()> {
        if self.durable.failure().is_some() {
            return Err(io::Error::other("an earlier write failed"));
        }
        let began = Instant::now();
        let mut is_asked_for = all;
        let mut bytes = 0;
        if let Some(gathered) = writer.held.take().or_else(|| self.gather()) {
            bytes = gathered.end.0 - gathered.start.0;
            match self.write(writer, &gathered) {
                Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                    bytes = 0;
                    self.wait_for_space(writer, gathered);
                }
                written => {
                    written?;
                    self.pressure.stick(false);
                    is_asked_for |= gathered.durability == Durability::Fsync;
                    if gathered.durability == Durability::Interval {
                        writer.unsynced_since.get_or_insert(began);
                    }
                }
            }
        }
        let written = Instant::now();
        // Before the sync tells anybody.
        if bytes > 0 {
            self.stats.wrote(bytes, written - began);
        }
        let end = self.durable.written();
        let is_due = writer.unsynced_since.is_some_and(|since| written - since >= self.sync_interval);
        if end > self.durable.synced() && (is_asked_for || is_due || self.durable.wants_sync()) {
            self.sync(writer)?;
        }
        Ok(())
    }

    /// Nothing of it is known to be on disk and nobody was told that it is, so it is written again when there is room.
    fn wait_for_space(&self, writer: &mut Writer, gathered: Gathered) {
        writer.held = Some(gathered);
        if self.pressure.stick(true) {
            tracing::error!(directory = %self.directory.display(), "no room for the journal: writing waits until there is");
        }
    }

    /// Takes everything that waits, and keeps it in memory for readers.
    fn gather(&self) -> Option<Gathered> {
        let mut pending = self.pending.lock();
        if pending.next == pending.start {
            return None;
        }
        let start = pending.start;
        let pieces = pending.take();
        let mut recent = self.recent.lock();
        let mut position = start;
        for piece in &pieces {
            recent.push(position, piece.clone());
            position += piece.len() as u64;
        }
        let durability = std::mem::replace(&mut pending.durability, Durability::Os);
        Some(Gathered { start: Lsn(start), end: Lsn(position), pieces, durability })
    }

    fn write(&self, writer: &mut Writer, gathered: &Gathered) -> io::Result<()> {
        let file = self.file_for(writer, gathered)?;
        let mut at = JOURNAL_HEADER_BYTES + gathered.start.0 - file.start;
        for piece in &gathered.pieces {
            file.file.write_all_at(piece, at)?;
            at += piece.len() as u64;
        }
        self.spares.watch(&file, gathered.end.0 - file.start);
        if gathered.durability < Durability::Fsync {
            self.durable.wrote(gathered.end);
        } else {
            self.durable.wrote_silently(gathered.end);
        }
        // Under the lock, so that nobody looks before and waits after.
        drop(self.pending.lock());
        self.landed.notify_all();
        self.trim_recent();
        Ok(())
    }

    /// Syncs the newest file; those before were when it was begun.
    fn sync(&self, writer: &mut Writer) -> io::Result<()> {
        let newest = self.files.lock().back().cloned();
        let Some(newest) = newest else { return Ok(()) };
        let end = self.durable.written();
        let began = Instant::now();
        // For whatever reason: what was to be synced may be lost, and must not be taken for a write that found no room.
        newest.file.sync_data().map_err(io::Error::other)?;
        writer.unsynced_since = None;
        self.stats.synced(began.elapsed());
        self.durable.advance(end);
        Ok(())
    }

    fn trim_recent(&self) {
        let mut recent = self.recent.lock();
        recent.trim(self.tail_bytes);
        self.stats.tail_bytes.store(recent.bytes() as u64, Ordering::Relaxed);
    }

    /// The newest file, or a new one where this would make it too large.
    fn file_for(&self, writer: &mut Writer, gathered: &Gathered) -> io::Result<JournalFile> {
        let (start, length) = (gathered.start.0, gathered.end.0 - gathered.start.0);
        let newest = self.files.lock().back().cloned();
        if let Some(file) = newest {
            let used = start - file.start;
            if used == 0 || used + length <= file.capacity_bytes {
                return Ok(file);
            }
            if self.durable.written() > self.durable.synced() {
                self.sync(writer)?;
            }
        }
        let file = self.spares.begin(start, self.salt)?;
        self.spares.wake();
        self.files.lock().push_back(file.clone());
        self.stats.files.store(self.files.lock().len() as u64, Ordering::Relaxed);
        Ok(file)
    }

    /// The files that it goes on in.
    pub fn spares(&self) -> &Spares {
        &self.spares
    }

    /// Has the next file ready in time.
    pub fn prepare_spare(&self) -> io::Result<()> {
        let newest = self.files.lock().back().cloned();
        newest.map_or(Ok(()), |newest| self.spares.prepare(&newest, self.end().0.saturating_sub(newest.start)))
    }

    /// Lets [`Journal::run`] end once everything is on disk. Later appends are refused.
    pub fn stop(&self) {
        self.pending.lock().stop = true;
        self.durable.wake_writer();
    }

    /// How many bytes its files hold.
    pub fn live_bytes(&self) -> u64 {
        self.files.lock().front().map_or(0, |file| self.end().0.saturating_sub(file.start))
    }

    /// The oldest file and the position at which it ends, unless it is the only one.
    pub fn oldest(&self) -> Option<(JournalFile, Lsn)> {
        let files = self.files.lock();
        let end = files.get(1)?.start;
        files.front().map(|file| (file.clone(), Lsn(end)))
    }

    /// Forgets the oldest file, whose entries are all kept elsewhere or needed no more, and keeps it for new entries.
    pub fn retire(&self, file: &JournalFile) -> io::Result<()> {
        {
            let mut files = self.files.lock();
            if files.front().is_some_and(|front| front.start == file.start) {
                files.pop_front();
            }
            self.stats.files.store(files.len() as u64, Ordering::Relaxed);
        }
        self.spares.recycle(file)?;
        self.disk.sync_directory(&self.directory)
    }
}
