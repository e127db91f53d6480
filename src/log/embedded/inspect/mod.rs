//! A data directory looked at from outside: what is in it, what is wrong with it, and what can be done about that.
//!
//! Nothing here needs a log that opens, so that a damaged directory can be looked at; nothing here writes but
//! [`Inspector::repair`] and [`Inspector::backup`]. Memory grows with the number of names, never with what they hold. What a
//! running gateway changes meanwhile is passed over, not reported.

mod backup;
mod contents;
mod journal;
mod records;
mod repair;
mod segments;
mod survey;

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

pub use backup::{Backup, BackupSettings};
pub use contents::{Contents, JournalContents, PartitionContents, SegmentContents, TopicContents};
pub use records::{EntryLine, Found, Selection, TargetLine, WriteLine};
pub use repair::Repaired;

use super::disk::Disk;
use super::recovery::{journal_directory, topics_directory};
use crate::log::state::Change;
use repair::Repair;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// What a crash or a repair leaves behind. The next start deals with it.
    Note,
    /// Bytes are not what was written. Something that was acknowledged may be gone.
    Damage,
}

/// Something that is not as it should be.
#[derive(Debug, Clone)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The file or directory.
    pub path: PathBuf,
    /// The place in the file, in bytes.
    pub byte: u64,
    /// What is wrong there.
    pub what: String,
    /// What can be done.
    pub way_out: String,
    repair: Option<Repair>,
}

impl Finding {
    fn note(path: impl Into<PathBuf>, byte: u64, what: impl Into<String>, way_out: &str) -> Self {
        let (path, what, way_out) = (path.into(), what.into(), way_out.to_owned());
        Self { severity: Severity::Note, path, byte, what, way_out, repair: None }
    }

    /// Damage that only a copy helps against.
    fn lost(path: impl Into<PathBuf>, byte: u64, what: impl Into<String>, way_out: &str) -> Self {
        Self { severity: Severity::Damage, ..Self::note(path, byte, what, way_out) }
    }

    /// Damage that can be taken out.
    fn damage(path: impl Into<PathBuf>, byte: u64, what: impl Into<String>, repair: Repair) -> Self {
        let way_out = format!("restore the file from a backup, or let `trunkline log repair` {}", repair.describe());
        Self { repair: Some(repair), ..Self::lost(path, byte, what, &way_out) }
    }

    /// Whether [`Inspector::repair`] can do something about it.
    pub fn is_repairable(&self) -> bool {
        self.repair.is_some()
    }
}

/// Who looks on while a directory is read.
pub trait Watch {
    /// So many more bytes have been read or written.
    fn progress(&mut self, bytes: u64) {
        let _ = bytes;
    }

    /// A change of a table of state, in order.
    ///
    /// # Errors
    /// What is wrong with it.
    fn state(&mut self, table: &str, key: &Bytes, change: &Change) -> Result<(), String> {
        let _ = (table, key, change);
        Ok(())
    }

    /// Something is not as it should be.
    fn found(&mut self, finding: Finding);
}

/// A data directory.
#[derive(Debug, Clone)]
pub struct Inspector {
    disk: Disk,
    directory: PathBuf,
    is_live: bool,
}

impl Inspector {
    /// A directory that must hold a log. `is_live`: a gateway may be writing to it.
    pub fn open(directory: &Path, is_live: bool) -> io::Result<Self> {
        let disk = Disk::real();
        let shown = directory.display();
        let no_log = |why| io::Error::new(io::ErrorKind::NotFound, format!("{shown} holds no log: {why}"));
        match disk.names(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(no_log("there is no such directory")),
            Err(error) => return Err(io::Error::new(error.kind(), format!("{shown} cannot be read: {error}"))),
            Ok(_) => {}
        }
        if !disk.exists(&journal_directory(directory)) && !disk.exists(&topics_directory(directory)) {
            return Err(no_log("there is neither `journal` nor `topics` in it"));
        }
        Ok(Self { disk, directory: directory.to_owned(), is_live })
    }

    /// The size of all files of the log, in bytes.
    pub fn total_bytes(&self) -> io::Result<u64> {
        let mut total = 0;
        for (path, _) in journal::files(&self.disk, &self.journal())? {
            total += self.length(&path)?;
        }
        for directory in self.partition_directories()? {
            for path in segments::files(&self.disk, &self.topics().join(directory))? {
                total += self.length(&path)?;
            }
        }
        Ok(total)
    }

    fn journal(&self) -> PathBuf {
        journal_directory(&self.directory)
    }

    fn topics(&self) -> PathBuf {
        topics_directory(&self.directory)
    }

    /// The names in `topics`, sorted; empty if there is no such directory.
    fn partition_directories(&self) -> io::Result<Vec<String>> {
        if !self.disk.exists(&self.topics()) {
            return Ok(Vec::new());
        }
        let mut names: Vec<String> =
            self.disk.names(&self.topics())?.into_iter().filter(|name| name.is_directory).map(|name| name.name).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// 0 for a file that a running gateway has just removed.
    fn length(&self, path: &Path) -> io::Result<u64> {
        match self.disk.open(path, super::disk::Open::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.is_live => Ok(0),
            opened => opened?.length(),
        }
    }

    /// Whether a file that was there is gone because a running gateway has moved on.
    fn has_moved(&self, path: &Path) -> bool {
        self.is_live && !self.disk.exists(path)
    }
}
