//! Names and headers of the files, and the few file operations whose order durability hangs on.

use std::io;
use std::path::{Path, PathBuf};

use super::disk::{Disk, File, Open, OpenFile};
use super::frame::{Salt, checksum};
use super::journal::JournalFile;

/// The first bytes of a journal file: magic, version, start position, salt, checksum, reserved.
pub const JOURNAL_HEADER_BYTES: u64 = 64;
/// The version of the journal's format.
pub const JOURNAL_VERSION: u32 = 3;

/// The size of the entries of a journal's first file, in bytes.
pub const FIRST_FILE_BYTES: u64 = 4 << 20;

/// So many zeros are synced at a time: what others sync meanwhile waits for no more than that.
const ZEROS_A_SYNC: usize = 4 << 20;

const MAGIC: &[u8; 8] = b"TRUNKJNL";

/// What a journal file's header says.
#[derive(Debug, PartialEq, Eq)]
pub enum Header {
    /// A journal file whose first entry is at this position, and whose entries have these marks.
    Start(u64, Salt),
    /// A journal file of another version of the format.
    Version(u32),
    /// No header, or a damaged one.
    Damaged,
}

/// The header of a file whose first entry is at `start`.
pub fn encode_header(start: u64, salt: Salt) -> [u8; JOURNAL_HEADER_BYTES as usize] {
    let mut header = [0; JOURNAL_HEADER_BYTES as usize];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&JOURNAL_VERSION.to_le_bytes());
    header[16..24].copy_from_slice(&start.to_le_bytes());
    header[24..32].copy_from_slice(&salt.0.to_le_bytes());
    let crc = checksum(&header[..32]);
    header[32..36].copy_from_slice(&crc.to_le_bytes());
    header
}

/// Reads a header.
pub fn decode_header(bytes: &[u8]) -> Header {
    let word = |at: usize| bytes.get(at..at + 4).and_then(|raw| raw.try_into().ok()).map(u32::from_le_bytes);
    let start = bytes.get(16..24).and_then(|raw| raw.try_into().ok()).map(u64::from_le_bytes);
    let (Some(version), Some(start), Some(crc)) = (word(8), start, word(32)) else { return Header::Damaged };
    if bytes.get(..8) != Some(MAGIC.as_slice()) {
        return Header::Damaged;
    }
    match bytes.get(..32).map(checksum) == Some(crc) {
        true if version == JOURNAL_VERSION => Header::Start(start, salt_of_header(bytes)),
        true => Header::Version(version),
        // The first version had its checksum elsewhere.
        false if version == 1 && bytes.get(..24).map(checksum) == word(24) => Header::Version(version),
        false => Header::Damaged,
    }
}

/// The salt in a header, whatever else it says.
pub fn salt_of_header(bytes: &[u8]) -> Salt {
    Salt(bytes.get(24..32).and_then(|raw| raw.try_into().ok()).map_or(0, u64::from_le_bytes))
}

/// The name of the journal file that begins at a position.
pub fn journal_file_name(start: u64) -> String {
    format!("{start:020}.journal")
}

/// Makes a journal file, out of a retired one if there is one, with its header and its name on disk.
pub fn create_journal_file(
    disk: &Disk,
    directory: &Path,
    (start, salt): (u64, Salt),
    spare: Option<&Path>,
    capacity_bytes: u64,
) -> io::Result<JournalFile> {
    let path = directory.join(journal_file_name(start));
    let fresh = directory.join("next.spare");
    let source = spare.unwrap_or(&fresh);
    let file = disk.open(source, Open::Create)?;
    file.write_all_at(&encode_header(start, salt), 0)?;
    file.sync_all()?;
    disk.rename(source, &path)?;
    disk.sync_directory(directory)?;
    Ok(JournalFile { start, path, file, capacity_bytes })
}

/// Makes the first file of a journal. It is smaller than others, so that it is full of zeros at once: what is written over
/// syncs faster than what makes a file grow.
pub fn create_first_file(disk: &Disk, directory: &Path, start: (u64, Salt), capacity_bytes: u64) -> io::Result<JournalFile> {
    let capacity_bytes = capacity_bytes.min(FIRST_FILE_BYTES);
    let (path, _) = create_spare(disk, directory, 0, capacity_bytes)?;
    create_journal_file(disk, directory, start, Some(&path), capacity_bytes)
}

/// How many bytes of entries a file of this length is to hold: what was made for it, unless it grew as it was written.
pub fn capacity_of(length: u64, file_bytes: u64) -> u64 {
    length.saturating_sub(JOURNAL_HEADER_BYTES).max(FIRST_FILE_BYTES.min(file_bytes))
}

/// Writes zeros over a part of a file, and makes that durable.
pub fn erase(disk: &Disk, path: &Path, from: u64, bytes: u64) -> io::Result<()> {
    let file = disk.open(path, Open::Write)?;
    write_zeros(&*file, from, bytes)?;
    file.sync_all()
}

/// Makes a file full of zeros that a journal file can be made of. `number` has named none before: the file of that name may
/// be a part of the journal by now.
pub fn create_spare(disk: &Disk, directory: &Path, number: u64, bytes: u64) -> io::Result<(PathBuf, File)> {
    let path = directory.join(format!("zeroed-{number}.spare"));
    let file = disk.open(&path, Open::CreateNew)?;
    if let Err(error) = fill_with_zeros(&*file, bytes + JOURNAL_HEADER_BYTES) {
        // On a full disk it would take the room that others need.
        disk.remove_file(&path)?;
        return Err(error);
    }
    Ok((path, file))
}

fn fill_with_zeros(file: &dyn OpenFile, bytes: u64) -> io::Result<()> {
    for at in (0..bytes).step_by(ZEROS_A_SYNC) {
        write_zeros(file, at, (bytes - at).min(ZEROS_A_SYNC as u64))?;
        file.sync_data()?;
    }
    file.sync_all()
}

fn write_zeros(file: &dyn OpenFile, from: u64, bytes: u64) -> io::Result<()> {
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    for at in (from..from + bytes).step_by(ZEROS.len()) {
        let step = (from + bytes - at).min(ZEROS.len() as u64) as usize;
        file.write_all_at(ZEROS.get(..step).unwrap_or_default(), at)?;
    }
    Ok(())
}

/// The directory of one partition's segments.
pub fn partition_directory(root: &Path, stem: &str, partition: u32) -> PathBuf {
    root.join(format!("{stem}-{partition}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_comes_back_and_damage_is_seen() {
        let header = encode_header(77, Salt(99));
        assert_eq!(decode_header(&header), Header::Start(77, Salt(99)));
        for bit in 0..36 * 8 {
            let mut damaged = header;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode_header(&damaged), Header::Damaged, "bit {bit}");
        }
        assert_eq!(decode_header(&header[..10]), Header::Damaged);
    }
}
