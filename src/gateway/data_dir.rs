//! The data directory as a whole: made, held by one process at a time, and the file that says where its gateway listens.

use std::fs::{DirBuilder, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::Addresses;

const LOCK: &str = "lock";
/// Where tools and tests find the addresses of a running gateway.
const LISTENING: &str = "listening.json";

/// Why a data directory cannot be used.
#[derive(Debug, Error)]
pub enum DataDirError {
    #[error(
        "the data directory {path} is in use by process {holder}. Stop that process, or choose another directory with \
         `data_dir` (TRUNKLINE_DATA_DIR, --data-dir)"
    )]
    Held { path: String, holder: String },
    #[error("the data directory {path} cannot be used (`data_dir`): {source}")]
    Io { path: String, source: io::Error },
}

/// A directory held by this process. Another one can hold it when this is dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// Locked for as long as it is open.
    _lock: File,
}

impl DataDir {
    /// Makes the directory if need be, and holds it.
    pub fn hold(path: &Path) -> Result<Self, DataDirError> {
        let failed = |source| DataDirError::Io { path: path.display().to_string(), source };
        make(path).map_err(failed)?;
        let path = path.canonicalize().map_err(failed)?;
        let options = File::options().read(true).write(true).create(true).truncate(false).open(path.join(LOCK));
        let mut lock = options.map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(DataDirError::Held { path: path.display().to_string(), holder: holder(&mut lock) });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        write_holder(&mut lock).map_err(failed)?;
        let held = Self { path, _lock: lock };
        held.unpublish();
        Ok(held)
    }

    /// Where it is, in full.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The process that holds a directory, if one does.
    pub fn holder(path: &Path) -> Option<String> {
        let mut lock = File::open(path.join(LOCK)).ok()?;
        match lock.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Some(holder(&mut lock)),
            Ok(()) | Err(TryLockError::Error(_)) => None,
        }
    }

    /// Writes the addresses for whoever looks for this gateway. The file appears whole.
    pub(super) fn publish(&self, addresses: &Addresses) -> Result<(), DataDirError> {
        let failed = |source| DataDirError::Io { path: self.path.display().to_string(), source };
        let text = serde_json::to_vec_pretty(addresses).map_err(|error| failed(error.into()))?;
        let unfinished = self.path.join(format!("{LISTENING}.new"));
        std::fs::write(&unfinished, text).map_err(failed)?;
        std::fs::rename(&unfinished, self.path.join(LISTENING)).map_err(failed)
    }

    /// Lets the directory go.
    pub(super) fn release(self) {
        self.unpublish();
    }

    fn unpublish(&self) {
        // What a crash left behind; there is usually none.
        let _ = std::fs::remove_file(self.path.join(LISTENING));
    }
}

/// Makes the directory and those above it, with their names on disk.
fn make(path: &Path) -> io::Result<()> {
    let missing = path.ancestors().take_while(|ancestor| !ancestor.exists()).count();
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    for above in path.canonicalize()?.ancestors().skip(1).take(missing) {
        File::open(above)?.sync_all()?;
    }
    Ok(())
}

fn write_holder(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{}", std::process::id())
}

fn holder(lock: &mut File) -> String {
    let mut text = String::new();
    let read = lock.take(32).read_to_string(&mut text);
    match (read, text.trim()) {
        (Ok(_), pid) if !pid.is_empty() => pid.to_owned(),
        _ => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_directory_names_its_holder() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("a/b");
        let held = DataDir::hold(&path).expect("held");
        let error = DataDir::hold(&path).expect_err("held already");
        assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
        assert!(error.to_string().contains("--data-dir"), "{error}");
        held.release();
        DataDir::hold(&path).expect("free again");
    }

    #[test]
    fn a_file_in_the_place_of_the_directory_is_an_error_with_its_name() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("file");
        std::fs::write(&path, "x").expect("file");
        let error = DataDir::hold(&path).expect_err("no directory");
        assert!(error.to_string().contains("data_dir"), "{error}");
    }

    #[test]
    fn addresses_are_published_and_gone_after_release() {
        let directory = tempfile::tempdir().expect("directory");
        let held = DataDir::hold(directory.path()).expect("held");
        let addresses = Addresses { redis: Some(([127, 0, 0, 1], 6379).into()), ..Addresses::default() };
        held.publish(&addresses).expect("published");
        let text = std::fs::read_to_string(directory.path().join(LISTENING)).expect("file");
        assert!(text.contains("\"redis\": \"127.0.0.1:6379\""), "{text}");
        held.release();
        assert!(!directory.path().join(LISTENING).exists());
    }
}
