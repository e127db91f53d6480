//! The bytes of one journal entry (`docs/format.md`, "Entry").
//!
//! An entry is atomic: it is there whole after a crash, or it is not. Its header holds a mark made of its own position and a
//! number that only the journal knows, so that neither bytes left over in a recycled file nor a body that somebody wrote to
//! look like an entry is ever taken for one; and the position up to which the journal was synced when it was written, so that
//! recovery can tell a torn tail from damage. Knows nothing of what the bodies mean.

use bytes::{BufMut, Bytes, BytesMut};
use smallvec::SmallVec;

use crate::log::runs::OFFSET_MAX;

/// The fixed part of an entry: length, checksum, mark, synced position, number of writes.
pub const HEADER_BYTES: usize = 28;
/// One target of a write: partition, flags, base offset.
pub const TARGET_BYTES: usize = 16;
/// The fixed part of a write: body length, number of targets, number of offsets it spans.
pub const WRITE_BYTES: usize = 12;
/// Entries begin at multiples of this.
pub const ALIGNMENT_BYTES: usize = 8;
/// Bodies of this size are not copied into the write buffer: it costs more than a write of their own. What a body was cut out of
/// stays in memory as long as it does, so that a small one could keep far more than its size. In bytes.
pub const SHARED_BYTES_MIN: usize = 256 << 10;
/// Set on a target whose records were written for listeners and are no part of a list of elements.
pub const FLAG_BROADCAST: u32 = 1;

/// A number that was drawn when the journal was made, and that no writer learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Salt(pub u64);

impl Salt {
    /// Another number than that of any other journal.
    pub fn draw() -> Self {
        Self(rand::random())
    }

    /// What an entry at a position begins with: who does not know the salt cannot write it.
    pub fn mark(self, position: u64) -> u64 {
        self.0 ^ position
    }

    /// The salt by which a mark is that of a position.
    pub fn of_mark(mark: u64, position: u64) -> Self {
        Self(mark ^ position)
    }
}

/// Where one body goes: a partition, and the offset of the body's first record in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// The number of the partition in the catalog.
    pub partition: u32,
    /// [`FLAG_BROADCAST`] or 0.
    pub flags: u32,
    /// The offset of the first record of the body.
    pub base_offset: u64,
}

/// One body and where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameWrite {
    /// Where it goes; at least one.
    pub targets: Vec<Target>,
    /// How many offsets the body takes.
    pub span: u32,
    /// A record batch; its base offset is not to be trusted.
    pub body: Bytes,
    /// The position of the body in the journal.
    pub position: u64,
}

/// A decoded entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The position of the first byte.
    pub position: u64,
    /// The position of the next entry.
    pub next: u64,
    /// Up to where the journal was synced when this was written.
    pub synced: u64,
    /// What it holds.
    pub writes: Vec<FrameWrite>,
}

/// Rounds up to the alignment of entries.
pub const fn align(bytes: usize) -> usize {
    bytes.next_multiple_of(ALIGNMENT_BYTES)
}

/// Writes the entry's bytes piece by piece. Bodies are copied, or taken as they are and put between stretches of the buffer.
pub struct Encoder<'a> {
    buffer: &'a mut BytesMut,
    start: usize,
    shared: Shared,
    shared_bytes: usize,
}

/// Bodies that were not copied, and where in the buffer each belongs.
pub type Shared = SmallVec<[(usize, Bytes); 1]>;

impl<'a> Encoder<'a> {
    /// Begins an entry with the [mark](Salt::mark) of its position. The buffer may hold earlier entries.
    pub fn begin(buffer: &'a mut BytesMut, mark: u64, synced: u64, writes: usize) -> Self {
        let start = buffer.len();
        buffer.put_u32_le(0);
        buffer.put_u32_le(0);
        buffer.put_u64_le(mark);
        buffer.put_u64_le(synced);
        buffer.put_u32_le(u32::try_from(writes).unwrap_or(u32::MAX));
        Self { buffer, start, shared: Shared::new(), shared_bytes: 0 }
    }

    /// Adds one write and returns where its body begins, in bytes from the start of the entry.
    pub fn write(&mut self, targets: impl ExactSizeIterator<Item = Target>, span: u32, body: &[u8]) -> usize {
        let at = self.begin_write(targets, span, body.len());
        self.buffer.put_slice(body);
        at
    }

    /// As [`Self::write`], without a copy of the body.
    pub fn share(&mut self, targets: impl ExactSizeIterator<Item = Target>, span: u32, body: Bytes) -> usize {
        let at = self.begin_write(targets, span, body.len());
        self.shared_bytes += body.len();
        self.shared.push((self.buffer.len(), body));
        at
    }

    fn begin_write(&mut self, targets: impl ExactSizeIterator<Item = Target>, span: u32, body_bytes: usize) -> usize {
        self.buffer.put_u32_le(u32::try_from(body_bytes).unwrap_or(u32::MAX));
        self.buffer.put_u32_le(u32::try_from(targets.len()).unwrap_or(u32::MAX));
        self.buffer.put_u32_le(span);
        for target in targets {
            self.buffer.put_u32_le(target.partition);
            self.buffer.put_u32_le(target.flags);
            self.buffer.put_u64_le(target.base_offset);
        }
        self.bytes()
    }

    fn bytes(&self) -> usize {
        self.buffer.len() - self.start + self.shared_bytes
    }

    /// Fills in length and checksum, pads, and returns the entry's length with padding, and what is to be put into the buffer.
    pub fn finish(self) -> (usize, Shared) {
        let bytes = self.bytes();
        let crc = checksum_between(&self.buffer[self.start + 8..], self.start + 8, &self.shared);
        let length = u32::try_from(bytes - 8).unwrap_or(u32::MAX);
        let header = &mut self.buffer[self.start..];
        header[0..4].copy_from_slice(&length.to_le_bytes());
        header[4..8].copy_from_slice(&crc.to_le_bytes());
        let padded = align(bytes);
        self.buffer.put_bytes(0, padded - bytes);
        (padded, self.shared)
    }
}

/// The checksum of a stretch of a buffer from `start` on with bodies put between.
fn checksum_between(stretch: &[u8], start: usize, shared: &Shared) -> u32 {
    if shared.is_empty() {
        return checksum(stretch);
    }
    let (mut digest, mut from) = (crc_fast::Digest::new(CRC), start);
    for (at, body) in shared {
        digest.update(stretch.get(from - start..at - start).unwrap_or_default());
        digest.update(body);
        from = *at;
    }
    digest.update(stretch.get(from - start..).unwrap_or_default());
    digest.finalize() as u32
}

/// How many bytes of an entry are copied that has writes with so many targets and so long bodies, padding included.
pub fn copied_bytes(writes: impl Iterator<Item = (usize, usize)>) -> usize {
    let copied =
        |(targets, body): (usize, usize)| WRITE_BYTES + targets * TARGET_BYTES + if body < SHARED_BYTES_MIN { body } else { 0 };
    HEADER_BYTES + ALIGNMENT_BYTES + writes.map(copied).sum::<usize>()
}

const CRC: crc_fast::CrcAlgorithm = crc_fast::CrcAlgorithm::Crc32Iscsi;

/// CRC-32C.
pub fn checksum(bytes: &[u8]) -> u32 {
    crc_fast::checksum(CRC, bytes) as u32
}

/// How long the entry at the start of `bytes` says it is, with padding, when it has this mark.
pub fn claimed_length(bytes: &[u8], mark: u64) -> Option<usize> {
    let length = u32_at(bytes, 0)? as usize;
    (mark_of(bytes)? == mark && length >= HEADER_BYTES - 8).then(|| align(length + 8))
}

/// The mark in the bytes of an entry.
pub fn mark_of(bytes: &[u8]) -> Option<u64> {
    u64_at(bytes, 8)
}

/// Decodes the entry at the start of `bytes`, which must be one of `position`. `None`: there is no whole, undamaged entry.
pub fn decode(bytes: &Bytes, salt: Salt, position: u64) -> Option<Frame> {
    let padded = claimed_length(bytes, salt.mark(position))?;
    let end = u32_at(bytes, 0)? as usize + 8;
    let entry = bytes.get(..end)?;
    if checksum(entry.get(8..)?) != u32_at(entry, 4)? {
        return None;
    }
    let synced = u64_at(entry, 16)?;
    let count = u32_at(entry, 24)?;
    let mut at = HEADER_BYTES;
    let mut writes = Vec::new();
    for _ in 0..count {
        let (write, next) = decode_write(bytes, end, at, position)?;
        writes.push(write);
        at = next;
    }
    (at == end).then_some(Frame { position, next: position + padded as u64, synced, writes })
}

fn decode_write(bytes: &Bytes, end: usize, at: usize, position: u64) -> Option<(FrameWrite, usize)> {
    let entry = bytes.get(..end)?;
    let body_bytes = u32_at(entry, at)? as usize;
    let target_count = u32_at(entry, at + 4)? as usize;
    let span = u32_at(entry, at + 8)?;
    let targets_at = at + WRITE_BYTES;
    let body_at = targets_at.checked_add(target_count.checked_mul(TARGET_BYTES)?)?;
    let next = body_at.checked_add(body_bytes)?;
    let targets = entry
        .get(targets_at..body_at)?
        .chunks_exact(TARGET_BYTES)
        .map(|raw| {
            Some(Target {
                partition: u32_at(raw, 0)?,
                flags: u32_at(raw, 4)?,
                base_offset: u64_at(raw, 8).filter(|offset| *offset < OFFSET_MAX)?,
            })
        })
        .collect::<Option<Vec<_>>>()?;
    if next > end {
        return None;
    }
    let write = FrameWrite { targets, span, body: bytes.slice(body_at..next), position: position + body_at as u64 };
    Some((write, next))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SALT: Salt = Salt(0x5a17_5a17_5a17_5a17);

    fn sample(position: u64, bodies: &[&[u8]]) -> Bytes {
        let mut buffer = BytesMut::new();
        let mut encoder = Encoder::begin(&mut buffer, SALT.mark(position), 7, bodies.len());
        for (index, body) in bodies.iter().enumerate() {
            let target = Target { partition: index as u32, flags: 0, base_offset: 40 };
            encoder.write([target, target].into_iter(), 3, body);
        }
        encoder.finish();
        buffer.freeze()
    }

    #[test]
    fn an_entry_comes_back_as_it_was_written() {
        let bytes = sample(4096, &[b"one", b"", b"three"]);
        let frame = decode(&bytes, SALT, 4096).expect("a whole entry");
        assert_eq!(frame.next, 4096 + bytes.len() as u64);
        assert_eq!(frame.synced, 7);
        assert_eq!(frame.writes.len(), 3);
        assert_eq!(&frame.writes[2].body[..], b"three");
        let at = (frame.writes[2].position - 4096) as usize;
        assert_eq!(&bytes[at..at + 5], b"three");
        assert_eq!(frame.writes[0].targets.len(), 2);
    }

    #[test]
    fn an_entry_of_another_journal_is_no_entry() {
        assert!(decode(&sample(4096, &[b"one"]), Salt(SALT.0 ^ 1), 4096).is_none());
    }

    #[test]
    fn a_body_that_is_not_copied_gives_the_same_bytes() {
        let bodies = [&b"first"[..], b"second, shared", b"", b"third, shared", b"last"];
        let mut pieces = (BytesMut::from(&b"before!!"[..]), Vec::new());
        let mut encoder = Encoder::begin(&mut pieces.0, SALT.mark(8), 7, bodies.len());
        let target = Target { partition: 3, flags: 0, base_offset: 40 };
        let mut positions = Vec::new();
        for (index, body) in bodies.iter().enumerate() {
            positions.push(match index {
                1 | 3 => encoder.share([target].into_iter(), 3, Bytes::from_static(body)),
                _ => encoder.write([target].into_iter(), 3, body),
            });
        }
        let (length, shared) = encoder.finish();
        let mut cut = 0;
        for (at, body) in shared {
            pieces.1.push(pieces.0.split_to(at - cut).freeze());
            pieces.1.push(body);
            cut = at;
        }
        pieces.1.push(pieces.0.freeze());
        let whole = Bytes::from(pieces.1.concat()).slice(8..);
        assert_eq!(whole.len(), length);
        let frame = decode(&whole, SALT, 8).expect("a whole entry");
        for ((write, body), at) in frame.writes.iter().zip(bodies).zip(positions) {
            assert_eq!((&write.body[..], write.position), (body, 8 + at as u64));
        }
    }

    #[test]
    fn an_entry_of_another_position_is_no_entry() {
        assert!(decode(&sample(4096, &[b"one"]), SALT, 8192).is_none());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let bytes = sample(64, &[b"some body"]);
        let length = u32_at(&bytes, 0).expect("a length") as usize + 8;
        for bit in 0..length * 8 {
            let mut damaged = bytes.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&damaged.into(), SALT, 64).is_none(), "bit {bit}");
        }
        for cut in 0..length {
            assert!(decode(&bytes.slice(..cut), SALT, 64).is_none(), "cut at {cut}");
        }
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes.into(), SALT, 0);
        }
    }
}
