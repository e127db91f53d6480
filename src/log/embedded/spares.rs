//! Files that the journal goes on in, full of zeros or of entries that nobody needs any more.
//!
//! What is written over syncs faster than what makes a file grow, so the next file should be ready when one is full. The
//! first is small, each is twice as large as the one before, and all are recycled once they have their full size: whoever
//! writes as fast as the disk takes it finds one ready, and a log that is hardly used takes little room.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;
use std::thread::Thread;

use parking_lot::Mutex;

use super::disk::{Disk, File};
use super::files::{self, FIRST_FILE_BYTES};
use super::frame::Salt;
use super::journal::JournalFile;

/// How many files are kept to be written over.
const SPARES_MAX: usize = 2;
/// The next file is made once this part of the newest is used: it is twice as large, and shares the disk with what is written.
const USED_MIN: u64 = 4;

/// The files to be written over.
pub struct Spares {
    disk: Disk,
    directory: PathBuf,
    /// How much a file holds once it has its full size, in bytes.
    file_bytes: u64,
    ready: Mutex<Ready>,
    /// Held while one is being made.
    making: Mutex<()>,
    /// Who makes them, to be woken when one is due.
    maker: OnceLock<Thread>,
}

#[derive(Default)]
struct Ready {
    files: Vec<Spare>,
    /// How many were made.
    made: u64,
}

struct Spare {
    path: PathBuf,
    file: File,
    capacity_bytes: u64,
}

impl Spares {
    /// None yet.
    pub fn new(disk: Disk, directory: PathBuf, file_bytes: u64) -> Self {
        Self { disk, directory, file_bytes, ready: Mutex::default(), making: Mutex::default(), maker: OnceLock::new() }
    }

    /// The calling thread is the one that makes them.
    pub fn set_maker(&self) {
        let _ = self.maker.set(std::thread::current());
    }

    /// Has whoever makes them look whether one is due.
    pub fn wake(&self) {
        if let Some(maker) = self.maker.get() {
            maker.unpark();
        }
    }

    /// Wakes who makes them if one is due: the newest file holds `used_bytes`.
    pub fn watch(&self, newest: &JournalFile, used_bytes: u64) {
        if self.is_due(newest, used_bytes) {
            self.wake();
        }
    }

    fn is_due(&self, newest: &JournalFile, used_bytes: u64) -> bool {
        used_bytes * USED_MIN >= newest.capacity_bytes && self.ready.lock().files.is_empty()
    }

    /// Makes one if that is due.
    pub fn prepare(&self, newest: &JournalFile, used_bytes: u64) -> io::Result<()> {
        let _one_at_a_time = self.making.lock();
        if !self.is_due(newest, used_bytes) {
            return Ok(());
        }
        let number = {
            let mut ready = self.ready.lock();
            ready.made += 1;
            ready.made
        };
        let capacity_bytes =
            newest.capacity_bytes.saturating_mul(2).clamp(FIRST_FILE_BYTES.min(self.file_bytes), self.file_bytes);
        let (path, file) = files::create_spare(&self.disk, &self.directory, number, capacity_bytes)?;
        self.ready.lock().files.push(Spare { path, file, capacity_bytes });
        Ok(())
    }

    /// A new journal file, out of one of these. Where none is ready it is a small one that grows.
    pub fn begin(&self, start: u64, salt: Salt) -> io::Result<JournalFile> {
        let spare = self.ready.lock().take();
        let capacity_bytes = spare.as_ref().map_or(FIRST_FILE_BYTES.min(self.file_bytes), |(_, capacity_bytes)| *capacity_bytes);
        let path = spare.as_ref().map(|(path, _)| path.as_path());
        files::create_journal_file(&self.disk, &self.directory, (start, salt), path, capacity_bytes)
    }

    /// Keeps a retired file if it has its full size and there are not enough, and deletes it otherwise.
    pub fn recycle(&self, file: &JournalFile) -> io::Result<()> {
        // Whoever writes looks at them meanwhile, and does not wait for the file system.
        let is_kept = self.ready.lock().files.len() < SPARES_MAX && file.capacity_bytes >= self.file_bytes;
        if !is_kept {
            return self.disk.remove_file(&file.path);
        }
        let path = file.path.with_extension("spare");
        self.disk.rename(&file.path, &path)?;
        let spare = Spare { path, file: Arc::clone(&file.file), capacity_bytes: file.capacity_bytes };
        self.ready.lock().files.push(spare);
        Ok(())
    }
}

impl Ready {
    /// A file that nobody reads any more, and how much it holds: a reader that found its batch in a file before it was
    /// retired has it open.
    fn take(&mut self) -> Option<(PathBuf, u64)> {
        let index = self.files.iter().position(|spare| Arc::strong_count(&spare.file) == 1)?;
        let spare = self.files.swap_remove(index);
        Some((spare.path, spare.capacity_bytes))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::disk::Open;
    use super::super::disk::simulated::Simulated;
    use super::*;

    const FULL_BYTES: u64 = 4 * FIRST_FILE_BYTES;

    fn place() -> (Disk, Spares) {
        let disk = Simulated::new(1).disk();
        let directory = Path::new("/journal");
        disk.create_directory(directory).expect("a directory");
        let spares = Spares::new(disk.clone(), directory.to_path_buf(), FULL_BYTES);
        (disk, spares)
    }

    #[test]
    fn each_file_is_twice_as_large_as_the_one_before_until_it_has_its_full_size() {
        let (disk, spares) = place();
        let directory = Path::new("/journal");
        let mut newest = files::create_first_file(&disk, directory, (8, Salt(1)), FULL_BYTES).expect("the first file");
        let mut capacities = vec![newest.capacity_bytes];
        for _ in 0..4 {
            spares.prepare(&newest, newest.capacity_bytes / USED_MIN - 1).expect("there is nothing to be done yet");
            assert!(spares.ready.lock().files.is_empty());
            spares.prepare(&newest, newest.capacity_bytes / USED_MIN).expect("it is made");
            newest = spares.begin(newest.start + newest.capacity_bytes, Salt(1)).expect("the next file");
            let length = newest.file.length().expect("a length");
            assert_eq!(length, newest.capacity_bytes + files::JOURNAL_HEADER_BYTES, "it is there from the beginning");
            capacities.push(newest.capacity_bytes);
        }
        assert_eq!(capacities, [1, 2, 4, 4, 4].map(|times| times * FIRST_FILE_BYTES));
    }

    #[test]
    fn without_one_a_small_file_grows_so_that_the_next_is_soon_begun() {
        let (_, spares) = place();
        let file = spares.begin(8, Salt(1)).expect("a file");
        assert_eq!(file.capacity_bytes, FIRST_FILE_BYTES);
        assert_eq!(file.file.length().expect("a length"), files::JOURNAL_HEADER_BYTES);
    }

    #[test]
    fn files_of_full_size_are_written_over_once_nobody_reads_them() {
        let (disk, spares) = place();
        let directory = Path::new("/journal");
        let small = files::create_first_file(&disk, directory, (8, Salt(1)), FULL_BYTES).expect("the first file");
        spares.recycle(&small).expect("it is deleted");
        assert!(spares.ready.lock().files.is_empty() && disk.open(&small.path, Open::Read).is_err());
        spares.prepare(&JournalFile { capacity_bytes: FULL_BYTES, ..small }, FULL_BYTES).expect("it is made");
        let full = spares.begin(9, Salt(1)).expect("a file");
        let reader = Arc::clone(&full.file);
        spares.recycle(&full).expect("it is kept");
        drop(full);
        assert!(spares.ready.lock().take().is_none(), "it is being read");
        drop(reader);
        assert_eq!(spares.begin(10, Salt(1)).expect("a file").capacity_bytes, FULL_BYTES);
    }
}
