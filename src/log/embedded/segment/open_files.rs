//! Files that stay open between reads, up to a budget over all partitions.
//!
//! A handle opens its file when it is first read, and gives it back when others need the place: the one that was not used since
//! it was last looked at goes first. Whoever is reading at that moment goes on with what they have.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::log::embedded::disk::{Disk, File, Open};

/// The budget; clones share it.
#[derive(Debug, Clone)]
pub struct OpenFiles(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    disk: Disk,
    files_max: usize,
    /// Those that may be open, in the order in which they are looked at.
    held: Mutex<VecDeque<Weak<Slot>>>,
    open: AtomicU64,
    opened: AtomicU64,
}

/// A file that is read now and then; clones share it.
#[derive(Debug, Clone)]
pub struct Handle(Arc<Slot>);

#[derive(Debug)]
struct Slot {
    files: OpenFiles,
    path: PathBuf,
    file: Mutex<Option<File>>,
    is_used: AtomicBool,
    is_pinned: AtomicBool,
}

impl OpenFiles {
    /// At most `files_max` stay open, but at least one.
    pub fn new(disk: Disk, files_max: usize) -> Self {
        let held = Mutex::new(VecDeque::new());
        let files_max = files_max.max(1);
        Self(Arc::new(Shared { disk, files_max, held, open: AtomicU64::new(0), opened: AtomicU64::new(0) }))
    }

    /// Where the files lie.
    pub fn disk(&self) -> &Disk {
        &self.0.disk
    }

    /// A handle on a file, which is not opened yet.
    pub fn handle(&self, path: PathBuf) -> Handle {
        let (is_used, is_pinned) = (AtomicBool::new(false), AtomicBool::new(false));
        Handle(Arc::new(Slot { files: self.clone(), path, file: Mutex::new(None), is_used, is_pinned }))
    }

    /// How many are open now.
    pub fn open(&self) -> u64 {
        self.0.open.load(Ordering::Relaxed)
    }

    /// How many times one was opened.
    pub fn opened(&self) -> u64 {
        self.0.opened.load(Ordering::Relaxed)
    }

    /// Takes a new one in, and closes others if there are too many.
    fn hold(&self, slot: &Arc<Slot>) {
        self.0.open.fetch_add(1, Ordering::Relaxed);
        self.0.opened.fetch_add(1, Ordering::Relaxed);
        let mut closed = Vec::new();
        let mut held = self.0.held.lock();
        held.push_back(Arc::downgrade(slot));
        // Each is passed over once at most because it was used.
        let mut looks = 2 * held.len();
        while held.len() > self.0.files_max && looks > 0 {
            looks -= 1;
            let Some(oldest) = held.pop_front() else { break };
            let Some(slot) = oldest.upgrade() else { continue };
            if slot.is_pinned.load(Ordering::Relaxed) || slot.is_used.swap(false, Ordering::Relaxed) {
                held.push_back(oldest);
            } else {
                closed.push(slot);
            }
        }
        drop(held);
        for slot in closed {
            slot.close();
        }
    }
}

impl Handle {
    /// The file, opened if it is not.
    pub fn get(&self) -> io::Result<File> {
        let slot = &self.0;
        let mut place = slot.file.lock();
        if let Some(file) = &*place {
            slot.is_used.store(true, Ordering::Relaxed);
            return Ok(Arc::clone(file));
        }
        let file = slot.files.disk().open(&slot.path, Open::Read)?;
        *place = Some(Arc::clone(&file));
        drop(place);
        slot.files.hold(slot);
        Ok(file)
    }

    /// Opens it for good: its name is about to go, and whoever knows this handle is to read on.
    pub fn pin(&self) -> io::Result<()> {
        self.0.is_pinned.store(true, Ordering::Relaxed);
        self.get().map(drop)
    }

    /// The disk that it lies on.
    pub fn disk(&self) -> &Disk {
        self.0.files.disk()
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.0.path
    }
}

impl Slot {
    fn close(&self) {
        if self.file.lock().take().is_some() {
            self.files.0.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_stay_open_than_the_budget_allows_and_all_can_be_read() {
        let directory = tempfile::tempdir().expect("a directory");
        let files = OpenFiles::new(Disk::default(), 3);
        let handles: Vec<_> = (0..10_u8)
            .map(|number| {
                let path = directory.path().join(number.to_string());
                std::fs::write(&path, [number]).expect("a file");
                files.handle(path)
            })
            .collect();
        for _ in 0..3 {
            for (number, handle) in (0..10_u8).zip(&handles) {
                let mut byte = [99];
                handle.get().and_then(|file| file.read_exact_at(&mut byte, 0)).expect("it reads");
                assert_eq!(byte, [number]);
                assert!(files.open() <= 3, "{} are open", files.open());
            }
        }
        drop(handles);
        assert_eq!(files.open(), 0);
    }

    #[test]
    fn what_is_used_all_the_time_stays_open() {
        let directory = tempfile::tempdir().expect("a directory");
        let files = OpenFiles::new(Disk::default(), 3);
        let handle = |name: &str| {
            std::fs::write(directory.path().join(name), name).expect("a file");
            files.handle(directory.path().join(name))
        };
        let hot = handle("hot");
        let others: Vec<_> = (0..20).map(|number| handle(&number.to_string())).collect();
        for other in &others {
            hot.get().expect("it opens");
            other.get().expect("it opens");
        }
        assert_eq!(files.opened(), 21);
    }

    #[test]
    fn a_pinned_file_is_read_after_its_name_is_gone() {
        let directory = tempfile::tempdir().expect("a directory");
        let files = OpenFiles::new(Disk::default(), 1);
        let path = directory.path().join("a");
        std::fs::write(&path, "a").expect("a file");
        let handle = files.handle(path.clone());
        handle.pin().expect("it opens");
        std::fs::remove_file(path).expect("it goes");
        std::fs::write(directory.path().join("b"), "b").expect("a file");
        files.handle(directory.path().join("b")).get().expect("it opens");
        let mut byte = [0];
        handle.get().and_then(|file| file.read_exact_at(&mut byte, 0)).expect("it reads");
        assert_eq!(&byte, b"a");
    }
}
