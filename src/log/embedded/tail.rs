//! The newest bytes of the journal in memory: those that wait to be written, and those that were.
//!
//! Both are pieces one behind the other. Small bodies are copied into a shared buffer; a large one is a piece of its own, the
//! memory that it was received in. A body never lies across two pieces.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::frame::Shared;
use crate::log::lsn::Durability;

/// New room for entries is made in steps of this.
const CHUNK_BYTES: usize = 1 << 20;

/// What waits to be written.
pub struct Pending {
    /// The newest entries, to be added to.
    pub buffer: BytesMut,
    sealed: Vec<Bytes>,
    /// The position of the first.
    pub start: u64,
    /// One past the last.
    pub next: u64,
    /// The most that an entry in it asks for.
    pub durability: Durability,
    /// Nothing is taken any more.
    pub stop: bool,
}

impl Pending {
    /// Nothing waits; the next entry comes at `next`.
    pub fn new(next: u64) -> Self {
        Self { buffer: BytesMut::new(), sealed: Vec::new(), start: next, next, durability: Durability::Os, stop: false }
    }

    /// Makes room in the buffer for so many bytes, without moving what is in it.
    pub fn make_room(&mut self, bytes: usize) {
        if self.buffer.capacity() - self.buffer.len() < bytes {
            self.seal();
            self.buffer = BytesMut::with_capacity(bytes.max(CHUNK_BYTES));
        }
    }

    /// Puts bodies where they belong in the buffer.
    pub fn share(&mut self, shared: Shared) {
        let mut cut = 0;
        for (at, body) in shared {
            self.sealed.push(self.buffer.split_to(at - cut).freeze());
            self.sealed.push(body);
            cut = at;
        }
    }

    fn seal(&mut self) {
        if !self.buffer.is_empty() {
            self.sealed.push(self.buffer.split().freeze());
        }
    }

    /// All of it in order; nothing waits then.
    pub fn take(&mut self) -> Vec<Bytes> {
        self.seal();
        self.start = self.next;
        std::mem::take(&mut self.sealed)
    }

    /// The bytes at a position, if they wait here.
    pub fn get(&mut self, position: u64, length: usize) -> Option<Bytes> {
        self.seal();
        let mut start = self.start;
        for piece in &self.sealed {
            let end = start + piece.len() as u64;
            if position < end {
                return within(piece, start, position, length);
            }
            start = end;
        }
        None
    }
}

/// The newest written bytes, in pieces by ascending position without gaps.
#[derive(Default)]
pub struct Recent {
    pieces: VecDeque<(u64, Bytes)>,
    bytes: usize,
}

impl Recent {
    /// The size of all, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds what comes next.
    pub fn push(&mut self, position: u64, piece: Bytes) {
        self.bytes += piece.len();
        self.pieces.push_back((position, piece));
    }

    /// Lets the oldest go. Only what is in its file may.
    pub fn trim(&mut self, budget: usize) {
        while self.bytes > budget && self.pieces.len() > 1 {
            if let Some((_, dropped)) = self.pieces.pop_front() {
                self.bytes -= dropped.len();
            }
        }
    }

    /// The bytes at a position, if they are here.
    pub fn get(&self, position: u64, length: usize) -> Option<Bytes> {
        let index = self.pieces.partition_point(|(start, _)| *start <= position).checked_sub(1)?;
        let (start, piece) = self.pieces.get(index)?;
        within(piece, *start, position, length)
    }
}

fn within(piece: &Bytes, start: u64, position: u64, length: usize) -> Option<Bytes> {
    let at = usize::try_from(position.checked_sub(start)?).ok()?;
    (at + length <= piece.len()).then(|| piece.slice(at..at + length))
}
