//! The newest offset of each key, in bounded memory: keys are kept as hashes of 128 bits.
//!
//! The hash is keyed by chance at each start, so that nobody can make two keys of one hash and have a record removed by another.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};

/// What an entry takes: hash, offset, and the map's own.
const ENTRY_BYTES: usize = 32;

/// A map that says when it is full.
pub struct OffsetMap {
    newest: HashMap<Hash, u64, BuildHasherDefault<Fold>>,
    keys_max: usize,
    seeds: (RandomState, RandomState),
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Hash(u64, u64);

impl std::hash::Hash for Hash {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0);
    }
}

/// A hash needs no hashing.
#[derive(Default)]
struct Fold(u64);

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

impl OffsetMap {
    /// An empty map that takes about so many bytes when it is full.
    pub fn new(memory_bytes: usize) -> Self {
        let keys_max = (memory_bytes / ENTRY_BYTES).max(1);
        Self { newest: HashMap::default(), keys_max, seeds: (RandomState::new(), RandomState::new()) }
    }

    /// Remembers that a key is at an offset, the highest so far. False: there is no room for it.
    pub fn put(&mut self, key: &[u8], offset: u64) -> bool {
        let hash = self.hash(key);
        if self.newest.len() >= self.keys_max && !self.newest.contains_key(&hash) {
            return false;
        }
        self.newest.insert(hash, offset);
        true
    }

    /// The highest offset of a key.
    pub fn newest(&self, key: &[u8]) -> Option<u64> {
        self.newest.get(&self.hash(key)).copied()
    }

    fn hash(&self, key: &[u8]) -> Hash {
        Hash(self.seeds.0.hash_one(key), self.seeds.1.hash_one(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_map_takes_known_keys_only() {
        let mut map = OffsetMap::new(2 * ENTRY_BYTES);
        assert!(map.put(b"a", 1) && map.put(b"b", 2) && map.put(b"a", 3));
        assert!(!map.put(b"c", 4));
        assert!(map.put(b"b", 5));
        assert_eq!((map.newest(b"a"), map.newest(b"b"), map.newest(b"c")), (Some(3), Some(5), None));
    }
}
