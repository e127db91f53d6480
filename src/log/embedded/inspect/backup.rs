//! A copy of a data directory that a log opens on, taken while a gateway goes on writing.
//!
//! Segments are copied while nobody may retire journal files or remove segments; the journal is copied after them, up to the
//! last whole entry. An acknowledged entry was written before it was acknowledged, so none from before the call is missing.
//! Writers are not held up: they only ever add to the journal.

use std::io;
use std::path::{Path, PathBuf};

use super::super::disk::{Hold, copy_file, link_file};
use super::super::files::JOURNAL_HEADER_BYTES;
use super::super::recovery::{journal_directory, topics_directory};
use super::super::scan::EntryScan;
use super::{Inspector, Watch, journal, segments};

/// How a backup is made.
#[derive(Debug, Clone)]
pub struct BackupSettings {
    /// Where it goes: a directory that is not there yet.
    pub to: PathBuf,
    /// Whether full segments become second names of the same files instead of copies.
    pub link: bool,
}

/// What was copied.
#[derive(Debug, Clone, Copy, Default)]
pub struct Backup {
    /// Files.
    pub files: u64,
    /// Their size, in bytes.
    pub bytes: u64,
    /// Position behind the last entry.
    pub end: u64,
}

impl Inspector {
    /// Copies the log to another directory.
    pub fn backup(&self, settings: &BackupSettings, watch: &mut dyn Watch) -> io::Result<Backup> {
        if self.disk.exists(&settings.to) {
            let what = format!("{} exists: name a directory that is not there yet", settings.to.display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
        }
        let unfinished = unfinished(&settings.to);
        self.disk.clear_directory(&unfinished)?;
        let _held = Hold::shared(&self.directory)?;
        let mut copy = Copy { inspector: self, watch, link: settings.link, done: Backup::default() };
        let made = copy.topics(&topics_directory(&unfinished)).and_then(|()| copy.journal(&journal_directory(&unfinished)));
        if let Err(error) = made {
            self.disk.clear_directory(&unfinished)?;
            return Err(error);
        }
        let done = copy.done;
        self.disk.sync_directory(&unfinished)?;
        self.disk.rename(&unfinished, &settings.to)?;
        match settings.to.parent() {
            Some(parent) if parent != Path::new("") => self.disk.sync_directory(parent)?,
            _ => self.disk.sync_directory(Path::new("."))?,
        }
        Ok(done)
    }
}

/// The name that a backup has until it is whole.
fn unfinished(to: &Path) -> PathBuf {
    let mut name = to.file_name().unwrap_or_default().to_owned();
    name.push(".unfinished");
    to.with_file_name(name)
}

struct Copy<'a> {
    inspector: &'a Inspector,
    watch: &'a mut dyn Watch,
    link: bool,
    done: Backup,
}

impl Copy<'_> {
    fn topics(&mut self, to: &Path) -> io::Result<()> {
        let disk = &self.inspector.disk;
        disk.create_directory(to)?;
        for name in self.inspector.partition_directories()? {
            let (from, to) = (self.inspector.topics().join(&name), to.join(&name));
            disk.create_directory(&to)?;
            // The newest segment will be added to.
            let newest = segments::log_files(disk, &from)?.pop().map(|(path, _)| path.with_extension(""));
            for path in segments::files(disk, &from)? {
                let Some(name) = path.file_name() else { continue };
                let is_full = path
                    .extension()
                    .is_some_and(|extension| extension == "log" || extension == "index" || extension == "timeindex")
                    && newest.as_ref() != Some(&path.with_extension(""));
                let bytes = if self.link && is_full {
                    link_file(&path, &to.join(name))?
                } else {
                    copy_file(&path, &to.join(name), u64::MAX)?
                };
                self.count(bytes);
            }
            disk.sync_directory(&to)?;
        }
        disk.sync_directory(to)
    }

    fn journal(&mut self, to: &Path) -> io::Result<()> {
        let disk = &self.inspector.disk;
        disk.create_directory(to)?;
        let files = journal::files(disk, &self.inspector.journal())?;
        for (index, (path, start)) in files.iter().enumerate() {
            let mut scan = EntryScan::open(disk, path, *start)?;
            while scan.entry()?.is_some() {}
            let end = scan.position();
            if let Some((_, following)) = files.get(index + 1).filter(|(_, following)| *following != end) {
                let what = format!(
                    "{} is damaged at byte {}: the journal goes on at position {following}; see `trunkline log verify`",
                    path.display(),
                    scan.byte_of(end)
                );
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
            let Some(name) = path.file_name() else { continue };
            let bytes = copy_file(path, &to.join(name), JOURNAL_HEADER_BYTES + end - start)?;
            self.count(bytes);
            self.done.end = end;
        }
        disk.sync_directory(to)
    }

    fn count(&mut self, bytes: u64) {
        self.done.files += 1;
        self.done.bytes += bytes;
        self.watch.progress(bytes);
    }
}
