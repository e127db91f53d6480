//! What only the operating system's files can do: being copied or linked as a whole, and a lock between processes.

use std::fs::{File, TryLockError};
use std::io::{self, Read};
use std::path::Path;

/// Held by whoever removes or replaces files of the log, and by whoever needs them to stay.
const HOLD: &str = "hold";

/// Files of the log stay where they are, or are changed by nobody else, until this is dropped.
#[derive(Debug)]
pub struct Hold {
    /// Locked for as long as it is open.
    _lock: Option<File>,
}

impl Hold {
    /// Lets files stay. Waits for whoever is at work on them.
    pub fn shared(directory: &Path) -> io::Result<Self> {
        let lock = open(directory)?;
        lock.lock_shared()?;
        Ok(Self { _lock: Some(lock) })
    }

    /// The right to remove or replace files; `None` while someone needs them to stay.
    pub fn exclusive(directory: &Path) -> io::Result<Option<Self>> {
        let lock = open(directory)?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self { _lock: Some(lock) })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// For a file system that no other process sees.
    pub fn nobody_else() -> Self {
        Self { _lock: None }
    }
}

fn open(directory: &Path) -> io::Result<File> {
    File::options().write(true).create(true).truncate(false).open(directory.join(HOLD))
}

/// Copies a file, or its first bytes, and syncs the copy. Returns its size, in bytes.
pub fn copy_file(from: &Path, to: &Path, bytes_max: u64) -> io::Result<u64> {
    let mut out = File::create_new(to)?;
    let copied = io::copy(&mut File::open(from)?.take(bytes_max), &mut out)?;
    out.sync_all()?;
    Ok(copied)
}

/// Gives a file a second name, or copies it to another file system. Returns its size, in bytes.
pub fn link_file(from: &Path, to: &Path) -> io::Result<u64> {
    match std::fs::hard_link(from, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => copy_file(from, to, u64::MAX),
        linked => linked.and_then(|()| Ok(std::fs::metadata(to)?.len())),
    }
}
