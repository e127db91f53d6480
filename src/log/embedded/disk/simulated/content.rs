//! What is in a file: what a reader sees, and what of it a power cut would leave.

use std::collections::BTreeMap;
use std::io;

use rand::Rng;
use rand::rngs::StdRng;

/// A sector is written whole or not at all.
pub const SECTOR_BYTES: u64 = 512;

/// What a power cut leaves of what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Nothing of it.
    Nothing,
    /// Any sectors of it, and the first few of the names.
    Some,
    /// All of it: the process ended and the system went on. It is synced no more than before.
    All,
}

/// The content of a file.
#[derive(Debug, Clone, Default)]
pub struct Content {
    now: Vec<u8>,
    /// What sectors held that were changed since the last sync.
    unsynced: BTreeMap<u64, Vec<u8>>,
    /// What sectors held that a failed sync has dropped: the system takes them for clean, and they are not on disk.
    lost: BTreeMap<u64, Vec<u8>>,
    synced_length: usize,
}

impl Content {
    /// The same, all of it synced.
    pub fn copy(&self) -> Self {
        Self::synced(self.now.clone())
    }

    fn synced(now: Vec<u8>) -> Self {
        Self { synced_length: now.len(), now, ..Self::default() }
    }

    pub fn length(&self) -> u64 {
        self.now.len() as u64
    }

    pub fn read(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        let at = usize::try_from(at).map_err(io::Error::other)?;
        let found = self.now.get(at..at + bytes.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        bytes.copy_from_slice(found);
        Ok(())
    }

    pub fn write(&mut self, bytes: &[u8], at: u64) {
        if bytes.is_empty() {
            return;
        }
        let (from, to) = (at as usize, at as usize + bytes.len());
        self.remember(from, to);
        self.now.resize(self.now.len().max(to), 0);
        self.now[from..to].copy_from_slice(bytes);
    }

    pub fn set_length(&mut self, bytes: u64) {
        self.remember(bytes as usize, self.now.len());
        self.now.resize(bytes as usize, 0);
    }

    /// Keeps what is about to change.
    fn remember(&mut self, from: usize, to: usize) {
        if from >= to {
            return;
        }
        let (now, lost) = (&self.now, &mut self.lost);
        for sector in from as u64 / SECTOR_BYTES..=(to as u64 - 1) / SECTOR_BYTES {
            let start = ((sector * SECTOR_BYTES) as usize).min(now.len());
            let end = (start + SECTOR_BYTES as usize).min(now.len());
            self.unsynced.entry(sector).or_insert_with(|| lost.remove(&sector).unwrap_or_else(|| now[start..end].to_vec()));
        }
    }

    pub fn sync(&mut self) {
        self.unsynced.clear();
        self.synced_length = self.now.len();
    }

    pub fn fail_sync(&mut self) {
        self.lost.append(&mut self.unsynced);
    }

    /// What a cut leaves.
    pub fn after_cut(&self, keep: Keep, random: &mut StdRng) -> Self {
        let (synced, now) = (self.synced_length, self.now.len());
        let length = match keep {
            Keep::Nothing => synced,
            Keep::All => return self.clone(),
            Keep::Some if random.random() => [synced, now][random.random_range(0..2)],
            Keep::Some => random.random_range(synced.min(now)..=synced.max(now)),
        };
        let mut left = self.now.clone();
        left.resize(synced.max(now).next_multiple_of(SECTOR_BYTES as usize), 0);
        for (sector, old) in self.unsynced.iter().chain(&self.lost) {
            if keep == Keep::Nothing || random.random() {
                let start = (sector * SECTOR_BYTES) as usize;
                left.resize(left.len().max(start + SECTOR_BYTES as usize), 0);
                let place = &mut left[start..start + SECTOR_BYTES as usize];
                place.fill(0);
                place[..old.len()].copy_from_slice(old);
            }
        }
        left.resize(length, 0);
        Self::synced(left)
    }
}
