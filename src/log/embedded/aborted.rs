//! The index of the aborted transactions that end in one segment: `.txnindex`, in Kafka's own layout.
//!
//! An entry is 34 bytes, big-endian: version 0 (2), producer id (8), the offset of its first record (8), the offset of its
//! marker (8), and the last stable offset when it had ended (8). Entries rise by the offset of the marker.

use crate::log::transactions::Aborted;

/// How the name of the file ends.
pub const EXTENSION: &str = "txnindex";
/// The length of an entry.
pub const ENTRY_BYTES: u64 = 34;

const VERSION: i16 = 0;

/// An entry as it stands in the file.
pub fn encode(aborted: &Aborted) -> [u8; ENTRY_BYTES as usize] {
    let mut entry = [0; ENTRY_BYTES as usize];
    entry[0..2].copy_from_slice(&VERSION.to_be_bytes());
    entry[2..10].copy_from_slice(&aborted.producer_id.to_be_bytes());
    entry[10..18].copy_from_slice(&aborted.first_offset.to_be_bytes());
    entry[18..26].copy_from_slice(&aborted.last_offset.to_be_bytes());
    entry[26..34].copy_from_slice(&aborted.last_stable_offset.to_be_bytes());
    entry
}

/// The bytes of a file with these entries.
pub fn encode_all(all: &[Aborted]) -> Vec<u8> {
    all.iter().flat_map(encode).collect()
}

/// All entries of a file's bytes; none if there is something else among them.
pub fn decode_all(bytes: &[u8]) -> Option<Vec<Aborted>> {
    bytes.chunks(ENTRY_BYTES as usize).map(decode).collect()
}

/// An entry; none if it is not one.
pub fn decode(entry: &[u8]) -> Option<Aborted> {
    let number = |at: usize| Some(u64::from_be_bytes(*entry.get(at..at + 8)?.first_chunk()?));
    if i16::from_be_bytes(*entry.first_chunk()?) != VERSION {
        return None;
    }
    Some(Aborted {
        producer_id: number(2)?.cast_signed(),
        first_offset: number(10)?,
        last_offset: number(18)?,
        last_stable_offset: number(26)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_comes_back_and_another_version_is_damage() {
        let aborted = Aborted { producer_id: 7, first_offset: 3, last_offset: 9, last_stable_offset: 5 };
        let mut entry = encode(&aborted);
        assert_eq!(decode(&entry), Some(aborted));
        assert_eq!(decode(&entry[..20]), None);
        entry[1] = 1;
        assert_eq!(decode(&entry), None);
    }
}
