//! The threads of the log: who writes the journal, wakes who waits for it, has its next file ready, retires and cleans.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Condvar;

use super::Engine;
use super::files::FIRST_FILE_BYTES;
use crate::log::stats::Room;

impl Engine {
    /// Starts them; they end after [`Self::stop`].
    pub(super) fn start(self: &Arc<Self>) -> io::Result<Vec<JoinHandle<()>>> {
        let all = [
            ("journal", Self::run_journal as fn(&Self)),
            ("waker", Self::run_waker),
            ("spares", Self::run_spares),
            ("maintenance", Self::run_maintenance),
            ("cleaning", Self::run_cleaning),
        ];
        let spawn = |(name, run): (&str, fn(&Self))| {
            let engine = Arc::clone(self);
            std::thread::Builder::new().name(name.to_owned()).spawn(move || run(&engine))
        };
        all.into_iter().map(spawn).collect()
    }

    fn run_journal(&self) {
        self.journal.run();
        self.durable().end_waker();
    }

    fn run_waker(&self) {
        self.durable().run_waker();
    }

    /// Makes the journal's next file as soon as one is due, and has the oldest retired as soon as there are too many.
    fn run_spares(&self) {
        // Where files are that small maintenance is often enough.
        if self.settings.journal_file_bytes < FIRST_FILE_BYTES {
            return;
        }
        let interval = Duration::from_millis(self.settings.maintenance_interval_ms);
        self.journal.spares().set_maker();
        while !self.is_stopping() {
            if self.has_too_much_journal() {
                self.maintenance_due.notify_one();
            }
            match self.journal.prepare_spare() {
                Ok(()) => std::thread::park(),
                // A file that grows does as well until there is room.
                Err(error) if error.kind() == io::ErrorKind::StorageFull => drop(self.stops_within(interval)),
                Err(error) => return self.give_up(&error, "preparation"),
            }
        }
    }

    fn run_maintenance(&self) {
        let mut expired = Instant::now();
        let retention_interval = Duration::from_millis(self.settings.retention_interval_ms);
        self.run_every(self.settings.maintenance_interval_ms, &self.maintenance_due, "maintenance", || {
            self.look_at_room()?;
            self.maintain()?;
            if expired.elapsed() >= retention_interval {
                expired = Instant::now();
                self.expire()?;
            }
            Ok(())
        });
    }

    fn run_cleaning(&self) {
        self.run_every(self.settings.cleaning_interval_ms, &self.stopped, "cleaning", || self.clean());
    }

    fn run_every(&self, interval_ms: u64, due: &Condvar, what: &str, mut step: impl FnMut() -> io::Result<()>) {
        let mut had_room = true;
        while !self.stops_before(due, Duration::from_millis(interval_ms)) {
            match step() {
                Ok(()) => had_room = true,
                // Nothing is lost: what could not be moved stays where it is, and the next round tries again.
                Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                    if std::mem::replace(&mut had_room, false) {
                        tracing::error!(%error, what, "no room to write segments: tried again until there is");
                    }
                }
                Err(error) => return self.give_up(&error, what),
            }
        }
    }

    /// After a failed sync nothing is known about what is on disk.
    fn give_up(&self, error: &io::Error, what: &str) {
        // The journal was closed in the middle of a step, which is left to the next start.
        if self.is_stopping() {
            return;
        }
        tracing::error!(%error, what, "work on the log's files failed");
        self.journal.durable().fail(&format!("{what} of the log failed: {error}"));
        self.pressure().wake_all();
    }

    pub(super) fn is_stopping(&self) -> bool {
        *self.stopping.lock()
    }

    pub(super) fn stops_within(&self, time: Duration) -> bool {
        self.stops_before(&self.stopped, time)
    }

    /// Waits so long, or until it is notified; whether the log is being closed.
    fn stops_before(&self, due: &Condvar, time: Duration) -> bool {
        let mut stopping = self.stopping.lock();
        if !*stopping {
            due.wait_for(&mut stopping, time);
        }
        *stopping
    }

    fn look_at_room(&self) -> std::io::Result<()> {
        let available_bytes = self.settings.disk.space(&self.settings.directory)?.available_bytes;
        match self.pressure().observe(available_bytes) {
            Some(Room::Full) => tracing::error!(available_bytes, "the disk is full: records are refused until there is room"),
            Some(Room::Low) => tracing::warn!(available_bytes, "the disk is nearly full: writing is slowed down"),
            Some(Room::Ample) => tracing::info!(available_bytes, "the disk has room again"),
            None => {}
        }
        Ok(())
    }

    /// Ends the threads once everything is on disk; later appends are refused.
    pub fn stop(&self) {
        *self.stopping.lock() = true;
        self.stopped.notify_all();
        self.maintenance_due.notify_all();
        self.journal.spares().wake();
        self.journal.stop();
    }
}
