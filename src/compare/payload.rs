//! The bytes of one record: who sent it, which one it is, when, and a checksum over all of it.
//!
//! Layout, big endian: magic `TKC1` (4), run (8), producer (4), sequence (8), sent at in ns since the epoch (8), filler,
//! CRC-32C over everything before it (4). The filler follows from the sequence number, so that a swapped tail is seen too.

/// The smallest payload: all the fields and four bytes of filler.
pub const MIN_SIZE_BYTES: usize = 40;

const MAGIC: [u8; 4] = *b"TKC1";
const FILLER_AT: usize = 32;
const CHECKSUM_LEN: usize = 4;

/// What a payload says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub run_id: u64,
    pub producer: u32,
    pub sequence: u64,
    pub sent_at_ns: u64,
}

impl Stamp {
    /// The payload of `size_bytes` bytes (at least [`MIN_SIZE_BYTES`]).
    pub fn encode(&self, size_bytes: usize) -> Vec<u8> {
        let size_bytes = size_bytes.max(MIN_SIZE_BYTES);
        let mut bytes = Vec::with_capacity(size_bytes);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&self.run_id.to_be_bytes());
        bytes.extend_from_slice(&self.producer.to_be_bytes());
        bytes.extend_from_slice(&self.sequence.to_be_bytes());
        bytes.extend_from_slice(&self.sent_at_ns.to_be_bytes());
        bytes.resize_with(size_bytes - CHECKSUM_LEN, filler(self.sequence));
        let sum = checksum(&bytes);
        bytes.extend_from_slice(&sum.to_be_bytes());
        bytes
    }

    /// What the payload says, or `None` if it is not whole.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < MIN_SIZE_BYTES {
            return None;
        }
        let (body, sum) = bytes.split_last_chunk::<CHECKSUM_LEN>()?;
        if !body.starts_with(&MAGIC) || checksum(body) != u32::from_be_bytes(*sum) {
            return None;
        }
        Some(Self {
            run_id: u64::from_be_bytes(field(body, 4)?),
            producer: u32::from_be_bytes(field(body, 12)?),
            sequence: u64::from_be_bytes(field(body, 16)?),
            sent_at_ns: u64::from_be_bytes(field(body, 24)?),
        })
    }
}

fn field<const N: usize>(body: &[u8], at: usize) -> Option<[u8; N]> {
    debug_assert!(at + N <= FILLER_AT);
    body.get(at..at + N)?.try_into().ok()
}

/// A stream of bytes that differs from record to record and does not compress to nothing.
fn filler(sequence: u64) -> impl FnMut() -> u8 {
    let mut state = sequence.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 56) as u8
    }
}

fn checksum(bytes: &[u8]) -> u32 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_payload_says_what_was_put_in(
            run_id: u64, producer: u32, sequence: u64, sent_at_ns: u64, size in MIN_SIZE_BYTES..2_000
        ) {
            let stamp = Stamp { run_id, producer, sequence, sent_at_ns };
            let bytes = stamp.encode(size);
            prop_assert_eq!(bytes.len(), size);
            prop_assert_eq!(Stamp::decode(&bytes), Some(stamp));
        }

        #[test]
        fn any_changed_byte_is_seen(sequence: u64, at in 0usize..100, flip in 1u8..) {
            let mut bytes = Stamp { run_id: 7, producer: 1, sequence, sent_at_ns: 9 }.encode(100);
            bytes[at] ^= flip;
            prop_assert_eq!(Stamp::decode(&bytes), None);
        }

        #[test]
        fn any_cut_is_seen(len in 0usize..100) {
            let bytes = Stamp { run_id: 7, producer: 1, sequence: 3, sent_at_ns: 9 }.encode(100);
            prop_assert_eq!(Stamp::decode(&bytes[..len]), None);
        }
    }
}
