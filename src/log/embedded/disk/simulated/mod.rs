//! A file system in memory that fails when it is told to, and whose power can be cut.
//!
//! It knows of each file what was synced and of each directory which names were. A cut leaves that, and of the rest nothing,
//! everything, or a random part: sectors one by one, names in the order in which they were given. The image is that of one
//! moment, whatever other threads were doing.

mod content;
mod faults;
mod tree;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rand::SeedableRng;
use rand::rngs::StdRng;

pub use content::Keep;
pub use faults::Fault;

use super::{Disk, File, FileSystem, Name, Open, OpenFile, Space};
use content::Content;
use faults::{Faults, Operation};
use tree::Directory;

/// The file system; clones share it.
#[derive(Debug, Clone)]
pub struct Simulated(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    root: Directory,
    faults: Faults,
    capacity_bytes: u64,
    /// What was read of all files until now.
    read_bytes: u64,
    /// The power goes before the so-manieth change from now.
    cut_in: Option<(u32, Keep)>,
    /// What the cut has left.
    image: Option<Directory>,
    random: StdRng,
}

type Shared = Arc<Mutex<Content>>;

#[derive(Debug)]
struct Handle {
    disk: Simulated,
    content: Shared,
}

impl Simulated {
    /// Empty, with all the room there is.
    pub fn new(seed: u64) -> Self {
        Self::with(Directory::default(), seed)
    }

    fn with(root: Directory, seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            root,
            faults: Faults::default(),
            capacity_bytes: u64::MAX,
            read_bytes: 0,
            cut_in: None,
            image: None,
            random: StdRng::seed_from_u64(seed),
        })))
    }

    /// As the engine takes it.
    pub fn disk(&self) -> Disk {
        Disk::new(self.clone())
    }

    /// Lets an operation fail: the first of its kind after `others` more of them.
    pub fn fail(&self, fault: Fault, others: u32) {
        self.0.lock().faults.add(fault, others);
    }

    /// All files together may not grow beyond this.
    pub fn limit(&self, capacity_bytes: u64) {
        self.0.lock().capacity_bytes = capacity_bytes;
    }

    /// How many bytes were read until now.
    pub fn read_bytes(&self) -> u64 {
        self.0.lock().read_bytes
    }

    /// How many bytes all files have together.
    pub fn used_bytes(&self) -> u64 {
        self.0.lock().root.bytes()
    }

    /// Lets the power go after so many more changes.
    pub fn cut_after(&self, changes: u32, keep: Keep) {
        self.0.lock().cut_in = Some((changes, keep));
    }

    /// Cuts the power now, unless it is off already, and returns what a start finds. Everything fails from now on.
    pub fn cut(&self, keep: Keep) -> Self {
        let mut state = self.0.lock();
        state.cut(keep);
        let seed = rand::Rng::random(&mut state.random);
        let image = state.image.take().unwrap_or_default();
        // Off it stays.
        state.image = Some(Directory::default());
        Self::with(image, seed)
    }

    /// Another one with the same files, all of them synced.
    pub fn copy(&self) -> Self {
        let mut state = self.0.lock();
        let seed = rand::Rng::random(&mut state.random);
        let State { root, random, .. } = &mut *state;
        Self::with(root.after_cut(Keep::All, random), seed)
    }

    /// The paths of all files.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        self.0.lock().root.collect(Path::new("/"), &mut found);
        found
    }

    fn changing<T>(&self, operation: Operation, change: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let slow = {
            let mut state = self.0.lock();
            state.count_down();
            state.is_on()?;
            match state.faults.due(operation) {
                None => return change(&mut state),
                Some(Fault::SlowSync(time)) => time,
                Some(fault) => return Err(fault.error()),
            }
        };
        std::thread::sleep(slow);
        let mut state = self.0.lock();
        state.is_on()?;
        change(&mut state)
    }
}

impl State {
    fn is_on(&self) -> io::Result<()> {
        if self.image.is_some() { Err(io::Error::other("the power is off")) } else { Ok(()) }
    }

    fn cut(&mut self, keep: Keep) {
        if self.image.is_none() {
            self.image = Some(self.root.after_cut(keep, &mut self.random));
        }
    }

    fn count_down(&mut self) {
        match &mut self.cut_in {
            Some((0, keep)) => {
                let keep = *keep;
                self.cut(keep);
            }
            Some((left, _)) => *left -= 1,
            None => {}
        }
    }

    /// Whatever is done to a name in its directory.
    fn beside<T>(&mut self, path: &Path, act: impl FnOnce(&mut Directory, &str) -> io::Result<T>) -> io::Result<T> {
        let name = last_name(path);
        self.root.within(path.parent().unwrap_or(path), |directory| act(directory, &name))
    }

    /// Whether a file may become longer by so much.
    fn has_room(&self, more_bytes: u64) -> bool {
        self.capacity_bytes == u64::MAX || self.root.bytes() + more_bytes <= self.capacity_bytes
    }
}

fn last_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

impl FileSystem for Simulated {
    fn open(&self, path: &Path, how: Open) -> io::Result<File> {
        let make = |state: &mut State| {
            let content = state.beside(path, |directory, name| directory.file(name, how))?;
            Ok(Arc::new(Handle { disk: self.clone(), content }) as File)
        };
        match how {
            Open::Read | Open::Write => {
                let mut state = self.0.lock();
                state.is_on()?;
                make(&mut state)
            }
            Open::Create | Open::CreateNew | Open::Append => self.changing(Operation::Name, make),
        }
    }

    fn names(&self, directory: &Path) -> io::Result<Vec<Name>> {
        let mut state = self.0.lock();
        state.is_on()?;
        state.root.within(directory, |directory| Ok(directory.names()))
    }

    fn exists(&self, path: &Path) -> bool {
        let mut state = self.0.lock();
        state.is_on().is_ok() && state.beside(path, |directory, name| Ok(directory.has(name))).unwrap_or(false)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.changing(Operation::Name, |state| state.root.make(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if from.parent() != to.parent() {
            return Err(io::ErrorKind::CrossesDevices.into());
        }
        let to = last_name(to);
        self.changing(Operation::Name, |state| state.beside(from, |directory, from| directory.rename(from, &to)))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.changing(Operation::Name, |state| state.beside(path, Directory::remove))
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        // Not one change but many: a cut may leave some of what was in it.
        let held = {
            let mut state = self.0.lock();
            state.is_on()?;
            state.root.within(path, |directory| Ok(directory.names()))?
        };
        for name in held {
            let inner = path.join(&name.name);
            if name.is_directory { self.remove_directory(&inner)? } else { self.remove_file(&inner)? }
        }
        self.remove_file(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.changing(Operation::Sync, |state| {
            state.root.within(path, |directory| {
                directory.sync();
                Ok(())
            })
        })
    }

    fn space(&self, _: &Path) -> io::Result<Space> {
        let state = self.0.lock();
        state.is_on()?;
        let used = if state.capacity_bytes == u64::MAX { 0 } else { state.root.bytes() };
        Ok(Space { total_bytes: state.capacity_bytes, available_bytes: state.capacity_bytes.saturating_sub(used) })
    }
}

impl Handle {
    fn write(&self, bytes: &[u8], at: Option<u64>) -> io::Result<()> {
        let done = self.disk.changing(Operation::Write, |state| {
            let length = self.content.lock().length();
            let at = at.unwrap_or(length);
            if !state.has_room((at + bytes.len() as u64).saturating_sub(length)) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.content.lock().write(bytes, at);
            Ok(())
        });
        if done.is_err() {
            self.write_some(bytes, at);
        }
        done
    }

    /// A write that fails may have been done in part: here up to any of its sectors, as long as there is room.
    fn write_some(&self, bytes: &[u8], at: Option<u64>) {
        let mut state = self.disk.0.lock();
        if state.is_on().is_err() {
            return;
        }
        let length = self.content.lock().length();
        let at = at.unwrap_or(length);
        let some = rand::Rng::random_range(&mut state.random, 0..=bytes.len());
        if state.has_room((at + some as u64).saturating_sub(length)) {
            self.content.lock().write(&bytes[..some], at);
        }
    }

    fn sync(&self) -> io::Result<()> {
        let synced = self.disk.changing(Operation::Sync, |_| {
            self.content.lock().sync();
            Ok(())
        });
        if synced.is_err() {
            self.content.lock().fail_sync();
        }
        synced
    }
}

impl OpenFile for Handle {
    fn read_exact_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        state.is_on()?;
        state.read_bytes += bytes.len() as u64;
        drop(state);
        self.content.lock().read(bytes, at)
    }

    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.write(bytes, Some(at))
    }

    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.write(bytes, None)
    }

    fn set_length(&self, bytes: u64) -> io::Result<()> {
        self.disk.changing(Operation::Name, |_| {
            self.content.lock().set_length(bytes);
            Ok(())
        })
    }

    fn length(&self) -> io::Result<u64> {
        self.disk.0.lock().is_on()?;
        Ok(self.content.lock().length())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync()
    }
}

#[cfg(test)]
mod tests;
