//! The five compression types of a batch, with a cap on what comes out.
//!
//! Output grows with what is really decoded, never with what a frame claims. Snappy is read raw (librdkafka) and in the block
//! framing of Java's snappy library; it is written in blocks, which all clients read.

use std::io::{self, Read, Write};

use super::BatchError;
use super::varint::Input;

/// How the records of a batch are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all.
    None,
    /// RFC 1952.
    Gzip,
    /// Snappy, raw or in blocks.
    Snappy,
    /// LZ4 frames.
    Lz4,
    /// Zstandard (KIP-110).
    Zstd,
}

/// What Java's snappy library puts in front: a magic and two version numbers.
const BLOCK_MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const BLOCK_VERSIONS_BYTES: usize = 8;
/// The version that wrote it and the oldest that reads it, 1 both.
const BLOCK_VERSIONS: [u8; BLOCK_VERSIONS_BYTES] = [0, 0, 0, 1, 0, 0, 0, 1];
/// The size of a block before it is compressed, that of Java's library.
const BLOCK_BYTES: usize = 32 << 10;
/// Three bytes of snappy become 64 at most.
const SNAPPY_RATIO_MAX: usize = 22;
/// The largest window that zstd's own levels use, as a power of two (128 MiB of address space).
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

impl Compression {
    /// All types in the order of their codes.
    pub const ALL: [Compression; 5] =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

    /// The code in a batch's attributes, 0 to 4.
    pub fn code(self) -> i16 {
        match self {
            Compression::None => 0,
            Compression::Gzip => 1,
            Compression::Snappy => 2,
            Compression::Lz4 => 3,
            Compression::Zstd => 4,
        }
    }

    /// The type of a code.
    pub fn from_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|compression| compression.code() == code)
    }

    /// Compresses `plain`.
    ///
    /// # Errors
    /// What the compressor reports; writing to memory it has no reason to.
    pub fn compress(self, plain: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Compression::None => Ok(plain.to_vec()),
            Compression::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(plain)?;
                encoder.finish()
            }
            Compression::Snappy => snap_blocks(plain),
            Compression::Lz4 => {
                let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
                encoder.write_all(plain)?;
                encoder.finish().map_err(io::Error::other)
            }
            Compression::Zstd => zstd::stream::encode_all(plain, zstd::DEFAULT_COMPRESSION_LEVEL),
        }
    }

    /// Decompresses `packed` to at most `bytes_max` bytes.
    ///
    /// # Errors
    /// `TooLarge` beyond `bytes_max`, `Decompress` for damaged data.
    pub fn decompress(self, packed: &[u8], bytes_max: usize) -> Result<Vec<u8>, BatchError> {
        let damaged = |_: io::Error| BatchError::Decompress(self);
        match self {
            Compression::None if packed.len() > bytes_max => Err(BatchError::TooLarge { limit_bytes: bytes_max }),
            Compression::None => Ok(packed.to_vec()),
            Compression::Gzip => self.read_capped(flate2::read::MultiGzDecoder::new(packed), bytes_max),
            Compression::Snappy => unsnap(packed, bytes_max),
            Compression::Lz4 => self.read_capped(lz4_flex::frame::FrameDecoder::new(packed), bytes_max),
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(packed).map_err(damaged)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(damaged)?;
                self.read_capped(decoder, bytes_max)
            }
        }
    }

    fn read_capped(self, decoder: impl Read, bytes_max: usize) -> Result<Vec<u8>, BatchError> {
        let mut out = Vec::new();
        let cap = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
        decoder.take(cap).read_to_end(&mut out).map_err(|_| BatchError::Decompress(self))?;
        if out.len() > bytes_max {
            return Err(BatchError::TooLarge { limit_bytes: bytes_max });
        }
        Ok(out)
    }
}

fn snap_blocks(plain: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = [BLOCK_MAGIC, BLOCK_VERSIONS].concat();
    let mut encoder = snap::raw::Encoder::new();
    for block in plain.chunks(BLOCK_BYTES) {
        let packed = encoder.compress_vec(block).map_err(io::Error::other)?;
        out.extend_from_slice(&u32::try_from(packed.len()).map_err(io::Error::other)?.to_be_bytes());
        out.extend_from_slice(&packed);
    }
    Ok(out)
}

fn unsnap(packed: &[u8], bytes_max: usize) -> Result<Vec<u8>, BatchError> {
    let mut out = Vec::new();
    match packed.strip_prefix(&BLOCK_MAGIC) {
        None => unsnap_block(packed, bytes_max, &mut out)?,
        Some(rest) => {
            let mut input = Input::new(rest);
            input.take(BLOCK_VERSIONS_BYTES).ok_or(BatchError::Decompress(Compression::Snappy))?;
            while !input.is_empty() {
                let block = next_block(&mut input).ok_or(BatchError::Decompress(Compression::Snappy))?;
                unsnap_block(block, bytes_max, &mut out)?;
            }
        }
    }
    Ok(out)
}

fn next_block<'a>(input: &mut Input<'a>) -> Option<&'a [u8]> {
    let length = i32::from_be_bytes(input.array()?);
    input.take(usize::try_from(length).ok()?)
}

/// Appends one raw snappy block to `out`, which is not to exceed `bytes_max`.
fn unsnap_block(block: &[u8], bytes_max: usize, out: &mut Vec<u8>) -> Result<(), BatchError> {
    let damaged = BatchError::Decompress(Compression::Snappy);
    let claimed = snap::raw::decompress_len(block).map_err(|_| damaged.clone())?;
    if claimed > block.len().saturating_mul(SNAPPY_RATIO_MAX) {
        return Err(damaged);
    }
    let start = out.len();
    if claimed > bytes_max.saturating_sub(start) {
        return Err(BatchError::TooLarge { limit_bytes: bytes_max });
    }
    out.resize(start + claimed, 0);
    let room = out.get_mut(start..).unwrap_or_default();
    let written = snap::raw::Decoder::new().decompress(block, room).map_err(|_| damaged.clone())?;
    if written == claimed { Ok(()) } else { Err(damaged) }
}
