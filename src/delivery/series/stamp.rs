//! The identity of a record in a series: milliseconds and a number among those of one millisecond.
//!
//! A record that was written with a stamp carries it as its first header, as text, so that no index of single records is needed.

use std::fmt;

use bytes::Bytes;

use crate::log::record::{Header, Record};

/// The key of the header that a record's stamp stands in.
pub const STAMP_HEADER: &[u8] = b"record.id";

/// A time and a number, ordered by the time first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Stamp {
    /// Milliseconds since 1970, as far as anyone keeps to it.
    pub ms: u64,
    /// The number among those of the millisecond.
    pub seq: u64,
}

impl Stamp {
    /// Before every record.
    pub const MIN: Self = Stamp { ms: 0, seq: 0 };
    /// The last there can be.
    pub const MAX: Self = Stamp { ms: u64::MAX, seq: u64::MAX };

    /// The stamp right behind.
    pub fn next(self) -> Option<Self> {
        match (self.ms.checked_add(1), self.seq.checked_add(1)) {
            (_, Some(seq)) => Some(Stamp { seq, ..self }),
            (Some(ms), None) => Some(Stamp { ms, seq: 0 }),
            (None, None) => None,
        }
    }

    /// The stamp right before.
    pub fn previous(self) -> Option<Self> {
        match (self.ms.checked_sub(1), self.seq.checked_sub(1)) {
            (_, Some(seq)) => Some(Stamp { seq, ..self }),
            (Some(ms), None) => Some(Stamp { ms, seq: u64::MAX }),
            (None, None) => None,
        }
    }

    /// The stamp `by` numbers on in the same millisecond.
    pub fn plus(self, by: u64) -> Self {
        Stamp { seq: self.seq.saturating_add(by), ..self }
    }

    /// The header that a record carries it in.
    pub fn header(self) -> Header {
        Header { key: Bytes::from_static(STAMP_HEADER), value: Some(Bytes::from(self.to_string())) }
    }

    /// The stamp that a record was written with.
    pub fn of_record(record: &Record) -> Option<Self> {
        let header = record.headers.first().filter(|header| header.key == STAMP_HEADER)?;
        let text = std::str::from_utf8(header.value.as_deref()?).ok()?;
        let (ms, seq) = text.split_once('-')?;
        Some(Stamp { ms: ms.parse().ok()?, seq: seq.parse().ok()? })
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}
