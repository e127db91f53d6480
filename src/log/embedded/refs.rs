//! Where the batches of one partition lie in the journal, oldest first, and how large they are together.
//!
//! Batches come at the end and go at the front, so their size is known without looking at each.

use std::collections::VecDeque;
use std::ops::Deref;

/// Where a batch lies in the journal.
#[derive(Debug, Clone, Copy)]
pub struct BatchRef {
    pub base_offset: u64,
    pub position: u64,
    pub bytes: u32,
    pub span: u32,
    pub max_timestamp_ms: i64,
    /// Whether it holds the outcome of a transaction.
    pub is_control: bool,
}

impl BatchRef {
    pub fn next_offset(&self) -> u64 {
        self.base_offset + u64::from(self.span)
    }
}

/// The batches of a partition in the journal.
#[derive(Debug, Default)]
pub struct Refs {
    list: VecDeque<BatchRef>,
    bytes: u64,
}

impl Refs {
    /// Their size together, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn push_back(&mut self, batch: BatchRef) {
        self.bytes += u64::from(batch.bytes);
        // Many a partition holds one and no more.
        if self.list.capacity() == 0 {
            self.list.reserve_exact(1);
        }
        self.list.push_back(batch);
    }

    pub fn pop_front(&mut self) -> Option<BatchRef> {
        let batch = self.list.pop_front()?;
        self.bytes -= u64::from(batch.bytes);
        if self.list.is_empty() {
            self.list = VecDeque::new();
        }
        Some(batch)
    }

    /// The index of the first batch that reaches beyond an offset.
    pub fn index_beyond(&self, offset: u64) -> usize {
        self.list.partition_point(|batch| batch.next_offset() <= offset)
    }

    /// The batch that holds an offset.
    pub fn holding(&self, offset: u64) -> Option<&BatchRef> {
        self.list.get(self.index_beyond(offset)).filter(|batch| batch.base_offset <= offset)
    }
}

/// They are looked at as they are, and changed only by what keeps count.
impl Deref for Refs {
    type Target = VecDeque<BatchRef>;

    fn deref(&self) -> &Self::Target {
        &self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(base_offset: u64, span: u32, bytes: u32) -> BatchRef {
        BatchRef { base_offset, position: 0, bytes, span, max_timestamp_ms: 0, is_control: false }
    }

    #[test]
    fn the_size_follows_what_comes_and_goes() {
        let mut refs = Refs::default();
        refs.push_back(batch(0, 2, 100));
        refs.push_back(batch(5, 1, 50));
        assert_eq!(refs.bytes(), 150);
        assert_eq!(refs.pop_front().map(|batch| batch.base_offset), Some(0));
        assert_eq!(refs.bytes(), 50);
        refs.pop_front();
        assert_eq!((refs.bytes(), refs.pop_front().is_none()), (0, true));
    }

    #[test]
    fn a_gap_between_batches_holds_nothing() {
        let mut refs = Refs::default();
        refs.push_back(batch(0, 2, 100));
        refs.push_back(batch(5, 3, 50));
        let holding = |offset| refs.holding(offset).map(|batch| batch.base_offset);
        assert_eq!([0, 1, 2, 4, 5, 7, 8].map(holding), [Some(0), Some(0), None, None, Some(5), Some(5), None]);
    }
}
