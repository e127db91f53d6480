//! Replacing neighbouring segments by one that holds less, so that a crash leaves the old ones or the new one.
//!
//! The new one is written beside the old ones (`.cleaned`) and synced. Then a file that names the old ones gets its name
//! (`BASE.swap`): from here on the new one counts. The old files go, the new ones take their names, and `BASE.swap` goes last. A
//! start that finds `BASE.swap` does the rest; without it, it removes what is `.cleaned`.

use std::io;
use std::path::Path;

use super::Segments;
use super::file::{EXTENSIONS, Segment, path};
use super::open_files::OpenFiles;
use super::writer::{Roll, Writer};
use crate::log::embedded::aborted;
use crate::log::embedded::disk::{Disk, Open};
use crate::log::embedded::frame::checksum;
use crate::log::stored::StoredBatch;
use crate::log::transactions::Aborted;

/// What the files of the new segment are called until they are in their place.
const CLEANED: &str = "cleaned";
/// What the file is called that says that the new segment counts, and before it is whole.
const SWAP: &str = "swap";
const SWAP_BEFORE: &str = "swap.part";
/// What takes the place of the old ones: nothing, a segment, or one with an index of aborted transactions.
const NOTHING: &str = "nothing";
const SEGMENT: &str = "segment";
const SEGMENT_WITH_ABORTED: &str = "segment-aborted";

/// Writes the segment that is to take the place of others.
pub struct Rewriter {
    files: OpenFiles,
    old: Vec<Segment>,
    writer: Option<Writer>,
    roll: Roll,
    /// The aborted transactions that end in them, and those of these whose end was written again.
    aborted: Vec<Aborted>,
    ended: Vec<Aborted>,
}

impl Rewriter {
    /// Of segments that follow each other, and are sealed; `aborted` are the transactions that end in them.
    pub fn new(segments: &Segments, old: Vec<Segment>, aborted: Vec<Aborted>) -> Self {
        let roll = Roll { bytes: u64::MAX, age_ms: None };
        Self { files: segments.files.clone(), old, writer: None, roll, aborted, ended: Vec::new() }
    }

    /// The offsets that segments that follow each other span.
    pub fn range(old: &[Segment]) -> std::ops::Range<u64> {
        old.first().map_or(0, |first| first.base_offset)..old.last().map_or(0, |last| last.next_offset)
    }

    /// The aborted transactions whose end was left out.
    pub fn gone_aborted(&self) -> Vec<Aborted> {
        self.aborted.iter().filter(|aborted| !self.ended.contains(aborted)).copied().collect()
    }

    /// Whether one segment can hold what lies from the first to the last.
    pub fn spans(first: &Segment, last: &Segment) -> bool {
        last.next_offset - first.base_offset <= super::writer::INDEXED_MAX
    }

    /// Those that it replaces.
    pub fn old(&self) -> &[Segment] {
        &self.old
    }

    /// Adds a batch. False: there is no room for it in one segment.
    pub fn push(&mut self, directory: &Path, batch: &StoredBatch) -> io::Result<bool> {
        let Some(base) = self.old.first().map(|segment| segment.base_offset) else { return Ok(false) };
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => self.writer.insert(Writer::open(Segment::beside(&self.files, directory, base))?),
        };
        if writer.is_full(batch, self.roll) {
            return Ok(false);
        }
        let ends = self.aborted.partition_point(|aborted| aborted.last_offset < batch.base_offset);
        self.ended.extend(self.aborted.get(ends).filter(|aborted| aborted.last_offset == batch.base_offset));
        writer.push(batch, &self.aborted).map(|_| true)
    }

    /// Makes it durable, and says which segment it will be; none if nothing was left.
    pub fn finish(&mut self, directory: &Path) -> io::Result<Option<Segment>> {
        let (Some(first), Some(last)) = (self.old.first(), self.old.last()) else { return Ok(None) };
        let Some(writer) = self.writer.take() else { return Ok(None) };
        let mut written = writer.finish(true)?;
        self.files.disk().sync_directory(directory)?;
        // To readers it still goes up to where the next one begins.
        written.next_offset = last.next_offset;
        Ok(Some(written.in_place(&self.files, directory, first.base_offset)))
    }

    /// Puts the new files in the place of the old ones. Whoever reads the old ones reads on.
    pub fn swap(&self, directory: &Path, new: Option<&Segment>) -> io::Result<()> {
        let Some(base) = self.old.first().map(|segment| segment.base_offset) else { return Ok(()) };
        self.old.iter().try_for_each(Segment::pin)?;
        let disk = self.files.disk();
        let part = path(directory, base, SWAP_BEFORE);
        disk.clear_file(&part)?;
        let file = disk.open(&part, Open::CreateNew)?;
        let old: Vec<String> = self.old.iter().map(|segment| segment.base_offset.to_string()).collect();
        let kind = match new {
            None => NOTHING,
            Some(new) if new.has_aborted => SEGMENT_WITH_ABORTED,
            Some(_) => SEGMENT,
        };
        file.write_all_at(sealed(&format!("{kind} {}", old.join(" "))).as_bytes(), 0)?;
        file.sync_all()?;
        disk.rename(&part, &path(directory, base, SWAP))?;
        // From here on there is no way back, so this is no failure after which to go on as before, whatever its kind.
        disk.sync_directory(directory).and_then(|()| complete(disk, directory, base)).map_err(io::Error::other)
    }

    /// Removes what was written.
    pub fn abandon(self, directory: &Path) {
        if let Some(base) = self.old.first().map(|segment| segment.base_offset) {
            for extension in EXTENSIONS {
                let _ = self.files.disk().clear_file(&path(directory, base, &format!("{extension}.{CLEANED}")));
            }
        }
    }
}

impl Segment {
    /// A segment whose files are named so that nobody takes them for one.
    fn beside(files: &OpenFiles, directory: &Path, base_offset: u64) -> Self {
        let handle = |extension: &str| files.handle(path(directory, base_offset, &format!("{extension}.{CLEANED}")));
        let [log, offsets, times, aborted] = EXTENSIONS.map(handle);
        Self { log, offsets, times, aborted, ..Self::new(files, directory, base_offset) }
    }

    /// The same under its final names.
    fn in_place(self, files: &OpenFiles, directory: &Path, base_offset: u64) -> Self {
        let Self { log, offsets, times, aborted, .. } = Self::new(files, directory, base_offset);
        Self { log, offsets, times, aborted, ..self }
    }
}

/// A line with its checksum.
fn sealed(text: &str) -> String {
    format!("{text} {:08x}\n", checksum(text.as_bytes()))
}

/// The line, if that is what was written.
fn unsealed(bytes: Vec<u8>) -> Option<String> {
    let text = String::from_utf8(bytes).ok()?;
    let (line, _) = text.rsplit_once(' ')?;
    (sealed(line) == text).then(|| line.to_owned())
}

/// Does what a `BASE.swap` file says. Doing it again changes nothing.
fn complete(disk: &Disk, directory: &Path, base: u64) -> io::Result<()> {
    let swap = path(directory, base, SWAP);
    let text = unsealed(disk.read(&swap)?).ok_or_else(|| {
        let what = "is damaged: it says which segments are to be replaced. Restore the directory from a backup";
        io::Error::new(io::ErrorKind::InvalidData, format!("{} {what}", swap.display()))
    })?;
    let mut words = text.split_whitespace();
    let kind = words.next();
    let is_empty = kind == Some(NOTHING);
    let old: Vec<u64> = words.filter_map(|word| word.parse().ok()).collect();
    for other in old.into_iter().filter(|other| is_empty || *other != base) {
        for extension in EXTENSIONS {
            disk.clear_file(&path(directory, other, extension))?;
        }
    }
    if kind == Some(SEGMENT) {
        disk.clear_file(&path(directory, base, aborted::EXTENSION))?;
    }
    // The log last: where it is in its place, the indexes are.
    for extension in EXTENSIONS.into_iter().rev() {
        let cleaned = path(directory, base, &format!("{extension}.{CLEANED}"));
        if disk.exists(&cleaned) {
            disk.rename(&cleaned, &path(directory, base, extension))?;
        }
    }
    disk.sync_directory(directory)?;
    disk.remove_file(&swap)?;
    disk.sync_directory(directory)
}

/// Ends what a crash interrupted.
pub fn settle(disk: &Disk, directory: &Path) -> io::Result<()> {
    for found in disk.names(directory)? {
        if let Some(base) = found.name.strip_suffix(".swap").and_then(|stem| stem.parse().ok()) {
            complete(disk, directory, base)?;
        }
    }
    for found in disk.names(directory)? {
        if [".cleaned", ".swap.part", ".deleted"].iter().any(|suffix| found.name.ends_with(suffix)) {
            disk.remove_file(&directory.join(found.name))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_in_which_a_bit_was_flipped_is_not_believed() {
        let whole = sealed("segment 0 40 700").into_bytes();
        assert_eq!(unsealed(whole.clone()).as_deref(), Some("segment 0 40 700"));
        for bit in 0..whole.len() * 8 {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(unsealed(damaged), None, "bit {bit}");
        }
    }
}
