//! The files of the journal from the oldest to the newest: each whole entry once, and what lies between them where something
//! is not whole.
//!
//! The rules for what is a torn tail and what is damage are those of recovery.

use std::io;
use std::path::{Path, PathBuf};

use super::super::disk::Disk;
use super::super::files::{Header, JOURNAL_VERSION, decode_header};
use super::super::frame::{Frame, Salt};
use super::super::scan::EntryScan;
use super::contents::JournalContents;
use super::repair::Repair;
use super::{Finding, Inspector};

/// Who is told of what the walk meets.
pub(super) trait Visitor {
    /// A whole entry at a byte of a file.
    fn entry(&mut self, journal: &JournalContents, path: &Path, byte: u64, frame: &Frame) -> io::Result<()>;

    /// Something is not as it should be.
    fn found(&mut self, finding: Finding);

    /// So many more bytes have been read.
    fn progress(&mut self, bytes: u64);
}

/// The files of the journal and the positions they begin at, oldest first.
pub(super) fn files(disk: &Disk, directory: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
    if !disk.exists(directory) {
        return Ok(Vec::new());
    }
    let starts = disk.names(directory)?.into_iter().filter_map(|found| {
        let start = found.name.strip_suffix(".journal")?.parse::<u64>().ok()?;
        Some((directory.join(&found.name), start))
    });
    let mut files: Vec<_> = starts.collect();
    files.sort_unstable_by_key(|(_, start)| *start);
    Ok(files)
}

impl Inspector {
    /// What the entries of the journal are marked with, if the header of any file is whole.
    fn salt(&self, files: &[(PathBuf, u64)]) -> io::Result<Option<Salt>> {
        for (path, start) in files {
            match EntryScan::open(&self.disk, path, *start) {
                Err(error) if error.kind() == io::ErrorKind::NotFound && self.is_live => {}
                opened => match decode_header(opened?.header()) {
                    Header::Start(_, salt) => return Ok(Some(salt)),
                    Header::Version(_) | Header::Damaged => {}
                },
            }
        }
        Ok(None)
    }

    /// Visits all entries of the journal in their order.
    pub(super) fn walk_journal(&self, visitor: &mut dyn Visitor) -> io::Result<JournalContents> {
        let files = files(&self.disk, &self.journal())?;
        let salt = self.salt(&files)?;
        let mut walk = Walk { inspector: self, visitor, salt, journal: JournalContents::default() };
        for (index, (path, start)) in files.iter().enumerate() {
            let following = files.get(index + 1).map(|(_, start)| *start);
            walk.file(path, *start, following)?;
        }
        Ok(walk.journal)
    }
}

struct Walk<'a> {
    inspector: &'a Inspector,
    visitor: &'a mut dyn Visitor,
    salt: Option<Salt>,
    journal: JournalContents,
}

impl Walk<'_> {
    fn file(&mut self, path: &Path, start: u64, following: Option<u64>) -> io::Result<()> {
        let mut scan = match EntryScan::open(&self.inspector.disk, path, start) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.inspector.is_live => return Ok(()),
            opened => opened?,
        };
        self.journal.files.push((path.to_owned(), start, start));
        self.check_header(&mut scan, path, start)?;
        self.entries(&mut scan, path, following)
    }

    fn check_header(&mut self, scan: &mut EntryScan, path: &Path, start: u64) -> io::Result<()> {
        let header = decode_header(scan.header());
        if !matches!(header, Header::Start(_, salt) if self.salt == Some(salt)) {
            scan.distrust_header(self.salt)?;
        }
        let repair = Repair::WriteHeader { path: path.to_owned(), start, salt: scan.salt() };
        let finding = match header {
            Header::Start(found, salt) if found == start && self.salt == Some(salt) => {
                self.journal.salt = Some(salt);
                return Ok(());
            }
            Header::Start(found, _) if found == start => {
                Finding::lost(path, 0, "the file is one of another journal", "put the right file in its place, from a backup")
            }
            Header::Version(found) => {
                let what = format!("the file has format version {found}, and this program reads version {JOURNAL_VERSION}");
                Finding::lost(path, 0, what, "use the program that wrote it")
            }
            Header::Start(found, _) => {
                let what = format!("the header says that the file begins at position {found}, its name says {start}");
                Finding::damage(path, 0, what, repair)
            }
            Header::Damaged => Finding::damage(path, 0, "the header is not one of a journal file", repair),
        };
        if !self.inspector.has_moved(path) {
            self.visitor.found(finding);
        }
        Ok(())
    }

    fn entries(&mut self, scan: &mut EntryScan, path: &Path, following: Option<u64>) -> io::Result<()> {
        while following != Some(scan.position()) {
            let position = scan.position();
            match scan.entry()? {
                Some(frame) => self.entry(scan, path, &frame)?,
                None if following.is_none() && scan.byte_of(position) >= scan.file_bytes() => break,
                // Nobody was answered for anything from here on.
                None if following.is_none() && scan.beyond()?.synced.is_none() => {
                    self.torn(scan, path)?;
                    break;
                }
                None => match scan.next_entry()? {
                    Some(frame) => {
                        self.damaged(scan, path, position, frame.position);
                        self.entry(scan, path, &frame)?;
                    }
                    None => {
                        following.into_iter().for_each(|next| self.damaged(scan, path, position, next));
                        break;
                    }
                },
            }
            if self.inspector.has_moved(path) {
                break;
            }
        }
        Ok(())
    }

    fn entry(&mut self, scan: &EntryScan, path: &Path, frame: &Frame) -> io::Result<()> {
        let byte = scan.byte_of(frame.position);
        if frame.writes.iter().all(|write| write.targets.is_empty()) {
            self.journal.holes += 1;
            let what = format!("{} bytes of entries were taken out here by a repair", frame.next - frame.position);
            self.visitor.found(Finding::note(path, byte, what, "nothing to do"));
        }
        self.journal.entries += 1;
        if let Some(file) = self.journal.files.last_mut() {
            file.2 = frame.next;
        }
        self.visitor.progress(frame.next - frame.position);
        self.visitor.entry(&self.journal, path, byte, frame)
    }

    fn damaged(&mut self, scan: &EntryScan, path: &Path, from: u64, to: u64) {
        if self.inspector.has_moved(path) {
            return;
        }
        self.journal.holes += 1;
        let start = self.journal.files.last().map_or(from, |(_, start, _)| *start);
        if let Some(file) = self.journal.files.last_mut() {
            file.2 = to;
        }
        let repair = Repair::FillJournal { path: path.to_owned(), start, salt: scan.salt(), from, to };
        let what = if scan.byte_of(from) >= scan.file_bytes() {
            format!("nothing is there from position {from} to {to}: the file was cut, or the one behind it is missing")
        } else {
            format!("{} bytes from position {from} on are no whole entry, and acknowledged entries follow", to - from)
        };
        self.visitor.found(Finding::damage(path, scan.byte_of(from), what, repair));
    }

    fn torn(&mut self, scan: &mut EntryScan, path: &Path) -> io::Result<()> {
        if self.inspector.is_live || !scan.begins_entry()? {
            return Ok(());
        }
        let what = "the journal ends here; what follows is no whole entry and was never acknowledged";
        self.visitor.found(Finding::note(path, scan.byte_of(scan.position()), what, "the next start cuts it off"));
        Ok(())
    }
}
