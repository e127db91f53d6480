//! Ids that a queue view has seen within a window, so that what is written twice is there once.
//!
//! Ids are forgotten by age and, when there are too many, oldest first: memory is bounded by what the options say.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

use bytes::Bytes;

use crate::log::record::varint::{Input, put_uvarint};

/// An id is at most so long, in bytes; a longer one is not looked at.
pub const ID_BYTES_MAX: usize = 1024;

/// Ids and when they are forgotten.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// When each is forgotten, and how often it stands in the order.
    known: HashMap<Bytes, (i64, usize)>,
    /// Oldest first.
    order: VecDeque<(i64, Bytes)>,
}

impl Seen {
    /// Whether an id was seen and is not forgotten.
    pub fn knows(&self, id: &[u8], now_ms: i64) -> bool {
        self.known.get(id).is_some_and(|(until_ms, _)| *until_ms > now_ms)
    }

    /// Remembers an id until a time, and forgets those whose time is over by `now_ms` and the oldest of more than `most`.
    pub fn remember(&mut self, id: Bytes, until_ms: i64, now_ms: i64, most: usize) {
        let known = self.known.entry(id.clone()).or_default();
        *known = (until_ms, known.1 + 1);
        self.order.push_back((until_ms, id));
        while self.order.front().is_some_and(|(until_ms, _)| *until_ms <= now_ms) || self.order.len() > most {
            let Some((_, id)) = self.order.pop_front() else { break };
            // Seen again after it was forgotten, it is remembered by its second entry.
            if let Entry::Occupied(mut known) = self.known.entry(id) {
                known.get_mut().1 -= 1;
                if known.get().1 == 0 {
                    known.remove();
                }
            }
        }
    }

    /// The number of ids, and for each when it is forgotten and itself.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_uvarint(out, self.order.len() as u64);
        for (until_ms, id) in &self.order {
            put_id(out, id, *until_ms);
        }
    }

    pub fn decode(input: &mut Input<'_>) -> Option<Self> {
        let mut seen = Self::default();
        for _ in 0..input.uvarint()? {
            let (id, until_ms) = read_id(input)?;
            seen.remember(id, until_ms, i64::MIN, usize::MAX);
        }
        Some(seen)
    }
}

pub(super) fn put_id(out: &mut Vec<u8>, id: &[u8], until_ms: i64) {
    put_uvarint(out, until_ms.max(0).unsigned_abs());
    put_uvarint(out, id.len() as u64);
    out.extend_from_slice(id);
}

pub(super) fn read_id(input: &mut Input<'_>) -> Option<(Bytes, i64)> {
    let until_ms = i64::try_from(input.uvarint()?).ok()?;
    let length = usize::try_from(input.uvarint()?).ok().filter(|length| *length <= ID_BYTES_MAX)?;
    Some((Bytes::copy_from_slice(input.take(length)?), until_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_was_forgotten_and_seen_again_at_once_is_known_after_a_start_too() {
        let id = |text: &'static str| Bytes::from_static(text.as_bytes());
        let mut bytes = Vec::new();
        put_uvarint(&mut bytes, 4);
        ["a", "b", "c", "a"].into_iter().for_each(|text| put_id(&mut bytes, text.as_bytes(), 10));
        // The first "a" had made room for "c"; both entries are written down.
        let mut seen = Seen::decode(&mut Input::new(&bytes)).expect("whole");
        seen.remember(id("d"), 11, 1, 2);
        assert!(seen.knows(b"a", 9) && seen.knows(b"d", 9) && !seen.knows(b"b", 9));
    }

    #[test]
    fn ids_are_known_for_their_time_and_the_oldest_go_first() {
        let id = |text: &'static str| Bytes::from_static(text.as_bytes());
        let mut seen = Seen::default();
        seen.remember(id("a"), 10, 0, 3);
        seen.remember(id("b"), 11, 1, 3);
        assert_eq!((seen.knows(b"a", 9), seen.knows(b"a", 10), seen.knows(b"c", 0)), (true, false, false));
        // Again after it was forgotten.
        seen.remember(id("a"), 30, 20, 3);
        assert!(seen.knows(b"a", 29) && !seen.knows(b"b", 20));
        ["c", "d", "e"].into_iter().for_each(|text| seen.remember(id(text), 40, 20, 3));
        assert!(!seen.knows(b"a", 20) && seen.knows(b"c", 20));
        let mut bytes = Vec::new();
        seen.encode(&mut bytes);
        assert_eq!(Seen::decode(&mut Input::new(&bytes)), Some(seen));
        assert_eq!(Seen::decode(&mut Input::new(&bytes[..bytes.len() - 1])), None);
    }
}
