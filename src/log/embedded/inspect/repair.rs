//! Taking damage out, so that a log opens again. Whatever is cut or left out is kept in a directory beside, and listed there.
//!
//! An entry that is no more is replaced by one without targets, of the same length, because positions never move. A segment
//! is written anew from its good batches by the code that writes all segments.

use std::io;
use std::path::{Path, PathBuf};

use bytes::BytesMut;

use super::super::disk::{Disk, Open};
use super::super::files::{JOURNAL_HEADER_BYTES, encode_header};
use super::super::frame::{Encoder, HEADER_BYTES, Salt, WRITE_BYTES, align};
use super::super::scan::BatchScan;
use super::super::segment::{OpenFiles, Roll, Segments};
use super::segments::{check_batch, good_batch};
use super::{Finding, Inspector};
use crate::log::stored::StoredBatch;
use crate::log::topic::TopicId;

/// The longest entry that takes the place of others, in bytes.
const FILLER_BYTES_MAX: u64 = 16 << 20;
/// So many bytes of good batches are written at a time.
const BATCHES_BYTES_MAX: usize = 16 << 20;
/// A segment stays one.
const ALL_IN_ONE: Roll = Roll { bytes: u64::MAX, age_ms: None };
/// What says in the side directory what was taken out and why.
const CONTENTS: &str = "CONTENTS";

/// What takes a damage out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Repair {
    /// Puts an entry without content in the place of what is between two positions of a file that begins at `start`.
    FillJournal { path: PathBuf, start: u64, salt: Salt, from: u64, to: u64 },
    /// Writes the header of a journal file.
    WriteHeader { path: PathBuf, start: u64, salt: Salt },
    /// Makes a journal file without content in the place of those that are missing.
    MakeJournal { path: PathBuf, start: u64, salt: Salt, to: u64 },
    /// Writes a segment and its indexes anew, with what is good of it and lies below an offset.
    RewriteSegment { log: PathBuf, id: TopicId, below: u64 },
    /// Writes an index of aborted transactions anew; it goes if there are none.
    WriteAborted { path: PathBuf, bytes: Vec<u8> },
    /// Says again which topic a directory belongs to.
    WriteMetadata { path: PathBuf, text: String },
    /// Moves a file or directory out of the way.
    SetAside { path: PathBuf },
}

impl Repair {
    /// What it does, to follow "let repair ...".
    pub(super) fn describe(&self) -> String {
        match self {
            Self::FillJournal { from, to, .. } => {
                format!("take positions {from} to {to} out of the journal: what they held, acknowledgements included, is gone")
            }
            Self::MakeJournal { start, to, .. } => {
                format!(
                    "go on without positions {start} to {to} of the journal: what they held, acknowledgements included, is gone"
                )
            }
            Self::WriteHeader { .. } => "write the header anew".to_owned(),
            Self::RewriteSegment { .. } => "write the segment and its indexes anew, without what is damaged".to_owned(),
            Self::WriteAborted { .. } => "write it anew, as the tables of state have it".to_owned(),
            Self::WriteMetadata { .. } => "write it anew, as the catalog has it".to_owned(),
            Self::SetAside { .. } => "move it out of the way".to_owned(),
        }
    }
}

/// What was done about a damage.
#[derive(Debug, Clone)]
pub struct Repaired {
    /// The file that was changed.
    pub path: PathBuf,
    /// What was done.
    pub what: String,
    /// Where that which was taken out is now; none: nothing was.
    pub aside: Option<PathBuf>,
}

impl Inspector {
    /// Does what can be done about the findings. What is taken out goes to `side`, which is made, and is listed in a file there.
    /// Nobody else may use the directory meanwhile.
    pub fn repair(&self, findings: &[Finding], side: &Path) -> io::Result<Vec<Repaired>> {
        let mut repairs: Vec<(&Repair, &Finding)> = Vec::new();
        for finding in findings {
            if let Some(repair) = &finding.repair
                && repairs.iter().all(|(known, _)| *known != repair)
            {
                repairs.push((repair, finding));
            }
        }
        if repairs.is_empty() {
            return Ok(Vec::new());
        }
        self.disk.create_directory(side)?;
        let contents = self.disk.open(&side.join(CONTENTS), Open::Append)?;
        let mut done = Vec::new();
        for (repair, finding) in repairs {
            let line = format!("{} at byte {}: {}: {}\n", finding.path.display(), finding.byte, finding.what, repair.describe());
            contents.append(line.as_bytes())?;
            contents.sync_all()?;
            let (path, aside) = self.apply(repair, side)?;
            done.push(Repaired { path, what: repair.describe(), aside });
        }
        self.disk.sync_directory(side)?;
        Ok(done)
    }

    fn apply(&self, repair: &Repair, side: &Path) -> io::Result<(PathBuf, Option<PathBuf>)> {
        match repair {
            Repair::FillJournal { path, start, salt, from, to } => {
                let byte = |position: u64| JOURNAL_HEADER_BYTES + position - start;
                let aside = self.keep_bytes(path, byte(*from), byte(*to), side)?;
                fill(&self.disk, path, byte(*from), *salt, (*from, *to))?;
                Ok((path.clone(), aside))
            }
            Repair::WriteHeader { path, start, salt } => {
                let aside = self.keep_bytes(path, 0, JOURNAL_HEADER_BYTES, side)?;
                let file = self.disk.open(path, Open::Write)?;
                file.write_all_at(&encode_header(*start, *salt), 0)?;
                file.sync_all()?;
                Ok((path.clone(), aside))
            }
            Repair::MakeJournal { path, start, salt, to } => {
                let file = self.disk.open(path, Open::CreateNew)?;
                file.write_all_at(&encode_header(*start, *salt), 0)?;
                fill(&self.disk, path, JOURNAL_HEADER_BYTES, *salt, (*start, *to))?;
                self.sync_parent(path)?;
                Ok((path.clone(), None))
            }
            Repair::RewriteSegment { log, id, below } => self.rewrite_segment(log, *id, *below, side),
            Repair::WriteMetadata { path, text } => self.write_anew(path, text.as_bytes(), side),
            Repair::WriteAborted { path, bytes } => self.write_anew(path, bytes, side),
            Repair::SetAside { path } => {
                let aside = self.set_aside(path, side)?;
                self.sync_parent(path)?;
                Ok((path.clone(), Some(aside)))
            }
        }
    }

    /// Puts a file with this content in the place of what is there; nothing if it has none.
    fn write_anew(&self, path: &Path, content: &[u8], side: &Path) -> io::Result<(PathBuf, Option<PathBuf>)> {
        let aside = if self.disk.exists(path) { Some(self.set_aside(path, side)?) } else { None };
        if !content.is_empty() {
            let file = self.disk.open(path, Open::CreateNew)?;
            file.write_all_at(content, 0)?;
            file.sync_all()?;
        }
        self.sync_parent(path)?;
        Ok((path.to_owned(), aside))
    }

    /// Copies bytes of a file into the side directory, as far as the file has them.
    fn keep_bytes(&self, path: &Path, from: u64, to: u64, side: &Path) -> io::Result<Option<PathBuf>> {
        let file = self.disk.open(path, Open::Read)?;
        let to = to.min(file.length()?);
        if from >= to {
            return Ok(None);
        }
        let aside = self.beside(path, side)?;
        let name = format!("{}.{from}-{to}", aside.file_name().unwrap_or_default().to_string_lossy());
        let aside = aside.with_file_name(name);
        let kept = self.disk.open(&aside, Open::CreateNew)?;
        let mut at = from;
        while at < to {
            let step = (to - at).min(1 << 20);
            let mut bytes = BytesMut::zeroed(usize::try_from(step).map_err(io::Error::other)?);
            file.read_exact_at(&mut bytes, at)?;
            kept.write_all_at(&bytes, at - from)?;
            at += step;
        }
        kept.sync_all()?;
        self.sync_parent(&aside)?;
        Ok(Some(aside))
    }

    fn rewrite_segment(&self, log: &Path, id: TopicId, below: u64, side: &Path) -> io::Result<(PathBuf, Option<PathBuf>)> {
        let staging = side.join("unfinished");
        self.disk.clear_directory(&staging)?;
        let written = copy_good_batches(
            &self.disk,
            log,
            below,
            Segments::empty(OpenFiles::new(self.disk.clone(), 1), staging.clone(), id),
        )?;
        let mut aside = None;
        for extension in ["log", "index", "timeindex"] {
            let path = log.with_extension(extension);
            if self.disk.exists(&path) {
                let moved = self.set_aside(&path, side)?;
                aside.get_or_insert(moved);
            }
        }
        for extension in ["log", "index", "timeindex"] {
            for segment in written.list() {
                let name = format!("{:020}.{extension}", segment.base_offset);
                self.disk.rename(&staging.join(&name), &log.with_file_name(&name))?;
            }
        }
        // Which transactions were aborted holds for whatever is left of them.
        let aborted = log.with_extension("txnindex");
        if let Some(first) = written.list().first()
            && self.disk.exists(&aborted)
        {
            self.disk.rename(&aborted, &log.with_file_name(format!("{:020}.txnindex", first.base_offset)))?;
        }
        self.sync_parent(log)?;
        self.disk.clear_directory(&staging)?;
        Ok((log.to_owned(), aside))
    }

    fn set_aside(&self, path: &Path, side: &Path) -> io::Result<PathBuf> {
        let aside = self.beside(path, side)?;
        self.disk.rename(path, &aside)?;
        self.sync_parent(&aside)?;
        Ok(aside)
    }

    /// The place in the side directory of a file of the data directory.
    fn beside(&self, path: &Path, side: &Path) -> io::Result<PathBuf> {
        let aside = side.join(path.strip_prefix(&self.directory).unwrap_or(path));
        if let Some(parent) = aside.parent() {
            self.disk.create_directory(parent)?;
        }
        Ok(aside)
    }

    fn sync_parent(&self, path: &Path) -> io::Result<()> {
        path.parent().map_or(Ok(()), |parent| self.disk.sync_directory(parent))
    }
}

fn copy_good_batches(disk: &Disk, log: &Path, below: u64, mut to: Segments) -> io::Result<Segments> {
    let mut scan = BatchScan::open(disk, log, 0)?;
    let (mut next, mut bytes, mut batches) = (0, 0, Vec::new());
    while scan.at() < scan.file_bytes() {
        let at = scan.at();
        let Some(batch) = good_batch(&mut scan, (next, below))? else {
            let fits = |batch: &StoredBatch| batch.base_offset >= next && batch.last_offset < below && check_batch(batch).is_ok();
            let Some(found) = scan.next_batch(at, fits)? else { break };
            scan.seek(scan.at() - found.len() as u64);
            continue;
        };
        next = batch.last_offset + 1;
        bytes += batch.len();
        batches.push(batch);
        if bytes >= BATCHES_BYTES_MAX {
            to.append(&batches, &[], ALL_IN_ONE)?;
            batches.clear();
            bytes = 0;
        }
    }
    to.append(&batches, &[], ALL_IN_ONE)?;
    Ok(to)
}

/// Writes entries without targets over the bytes between two positions.
fn fill(disk: &Disk, path: &Path, mut byte: u64, salt: Salt, (from, to): (u64, u64)) -> io::Result<()> {
    let file = disk.open(path, Open::Write)?;
    let mut position = from;
    while position < to {
        let left = to - position;
        // What is left after it must hold an entry too.
        let length = if left > FILLER_BYTES_MAX + 64 { FILLER_BYTES_MAX } else { left };
        let entry = filler(salt, position, usize::try_from(length).map_err(io::Error::other)?)?;
        file.write_all_at(&entry, byte)?;
        position += length;
        byte += length;
    }
    file.sync_all()
}

/// An entry of exactly this length that does nothing.
fn filler(salt: Salt, position: u64, length: usize) -> io::Result<BytesMut> {
    let mut bytes = BytesMut::with_capacity(length);
    let body = length.checked_sub(HEADER_BYTES + WRITE_BYTES);
    let mut encoder = Encoder::begin(&mut bytes, salt.mark(position), position, usize::from(body.is_some()));
    if let Some(body) = body {
        encoder.write(std::iter::empty(), 0, &vec![0; body]);
    }
    encoder.finish();
    if bytes.len() == length && length == align(length) {
        return Ok(bytes);
    }
    Err(io::Error::other(format!("no entry fits the {length} bytes at position {position}")))
}

#[cfg(test)]
mod tests {
    use super::super::super::frame::decode;
    use super::*;

    #[test]
    fn a_filler_of_every_length_is_an_entry_that_does_nothing() {
        for length in (32..400).step_by(8) {
            let bytes = filler(Salt(5), 4096, length).expect("a filler").freeze();
            let frame = decode(&bytes, Salt(5), 4096).unwrap_or_else(|| panic!("{length}"));
            assert_eq!(frame.next, 4096 + length as u64);
            assert!(frame.writes.iter().all(|write| write.targets.is_empty()));
        }
        assert!(filler(Salt(5), 4096, 24).is_err());
    }
}
