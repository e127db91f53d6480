//! Handles found by a key that each carries itself, so that a million of them do not keep their keys twice.

use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashTable};

/// Shared handles by a key of theirs.
pub struct Handles<K: 'static, T: 'static> {
    table: HashTable<Arc<T>>,
    hasher: DefaultHashBuilder,
    key: fn(&T) -> &K,
}

impl<K: Hash + Eq, T> Handles<K, T> {
    /// None yet; `key` tells the key of each, which never changes.
    pub fn new(key: fn(&T) -> &K) -> Self {
        Self { table: HashTable::new(), hasher: DefaultHashBuilder::default(), key }
    }

    pub fn len(&self) -> usize {
        self.table.len()
    }

    pub fn get(&self, key: &K) -> Option<&Arc<T>> {
        self.table.find(self.hasher.hash_one(key), |handle| (self.key)(handle) == key)
    }

    /// Adds a handle, in the place of one that has its key.
    pub fn insert(&mut self, handle: Arc<T>) {
        let key = (self.key)(&handle);
        let hash = self.hasher.hash_one(key);
        if let Some(present) = self.table.find_mut(hash, |present| (self.key)(present) == key) {
            *present = handle;
            return;
        }
        self.table.insert_unique(hash, handle, |handle| self.hasher.hash_one((self.key)(handle)));
    }

    pub fn remove(&mut self, key: &K) -> Option<Arc<T>> {
        let found = self.table.find_entry(self.hasher.hash_one(key), |handle| (self.key)(handle) == key);
        found.ok().map(|entry| entry.remove().0)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        self.table.iter()
    }
}

impl<K: 'static, T: 'static> fmt::Debug for Handles<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} handles", self.table.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key<'a>(handle: &'a (u32, &'static str)) -> &'a u32 {
        &handle.0
    }

    #[test]
    fn a_handle_is_found_by_its_own_key_until_another_takes_its_place() {
        let mut handles = Handles::new(key);
        for key in 0..1000 {
            handles.insert(Arc::new((key, "first")));
        }
        handles.insert(Arc::new((7, "second")));
        assert_eq!((handles.len(), handles.iter().count()), (1000, 1000));
        assert_eq!(handles.get(&7).map(|handle| handle.1), Some("second"));
        assert_eq!(handles.remove(&7).map(|handle| handle.1), Some("second"));
        assert!(handles.get(&7).is_none() && handles.remove(&7).is_none());
        assert_eq!(handles.get(&999).map(|handle| handle.1), Some("first"));
    }
}
