//! The ids of stream entries as clients write them: `ms-seq`, `ms`, `ms-*`, `-`, `+`, `(id`.

use std::ops::RangeInclusive;

use crate::delivery::series::Stamp;
use crate::dialect::redis::error::CommandError;

const INVALID: CommandError = CommandError::Option("Invalid stream ID specified as stream command argument");

/// The id of an entry to be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToAdd {
    /// `*`.
    Now,
    /// `ms-*`.
    InMillisecond(u64),
    /// `ms-seq`.
    Exactly(Stamp),
}

impl ToAdd {
    /// The id to use behind `last`.
    pub fn after(self, last: Stamp, now_ms: u64) -> Result<Stamp, CommandError> {
        const SMALLER: CommandError =
            CommandError::Option("The ID specified in XADD is equal or smaller than the target stream top item");
        let next =
            last.next().ok_or(CommandError::Option("The stream has exhausted the last possible ID, unable to add more items"))?;
        match self {
            Self::Now if now_ms > last.ms => Ok(Stamp { ms: now_ms, seq: 0 }),
            Self::Now => Ok(next),
            Self::InMillisecond(ms) if ms == last.ms && next.ms == ms => Ok(next),
            Self::InMillisecond(ms) if ms > last.ms => Ok(Stamp { ms, seq: 0 }),
            Self::Exactly(stamp) if stamp > last => Ok(stamp),
            Self::InMillisecond(_) | Self::Exactly(_) => Err(SMALLER),
        }
    }
}

/// An id for `XADD`.
pub fn to_add(text: &[u8]) -> Result<ToAdd, CommandError> {
    if text == b"*" {
        return Ok(ToAdd::Now);
    }
    match text.strip_suffix(b"-*") {
        Some(ms) => Ok(ToAdd::InMillisecond(number(ms)?)),
        None => Ok(ToAdd::Exactly(strict(text, 0)?)),
    }
}

/// `ms-seq` or `ms`, which then has the sequence `missing`.
pub fn strict(text: &[u8], missing: u64) -> Result<Stamp, CommandError> {
    match text.iter().position(|byte| *byte == b'-') {
        Some(at) => {
            let (ms, seq) = (text.get(..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default());
            Ok(Stamp { ms: number(ms)?, seq: number(seq)? })
        }
        None => Ok(Stamp { ms: number(text)?, seq: missing }),
    }
}

/// As [`strict`], and `-` and `+` for the lowest and the highest.
pub fn any(text: &[u8], missing: u64) -> Result<Stamp, CommandError> {
    match text {
        b"-" => Ok(Stamp::MIN),
        b"+" => Ok(Stamp::MAX),
        _ => strict(text, missing),
    }
}

/// The start of an interval, one behind it if it is excluded.
pub fn start(text: &[u8]) -> Result<Stamp, CommandError> {
    match text.strip_prefix(b"(").filter(|rest| !rest.is_empty()) {
        Some(rest) => strict(rest, 0)?.next().ok_or(CommandError::Option("invalid start ID for the interval")),
        None => any(text, 0),
    }
}

/// The end of an interval, one before it if it is excluded.
pub fn end(text: &[u8]) -> Result<Stamp, CommandError> {
    match text.strip_prefix(b"(").filter(|rest| !rest.is_empty()) {
        Some(rest) => strict(rest, u64::MAX)?.previous().ok_or(CommandError::Option("invalid end ID for the interval")),
        None => any(text, u64::MAX),
    }
}

/// Both ends of an interval.
pub fn interval(first: &[u8], last: &[u8]) -> Result<RangeInclusive<Stamp>, CommandError> {
    let first = start(first)?;
    Ok(first..=end(last)?)
}

fn number(text: &[u8]) -> Result<u64, CommandError> {
    let digits = text.len() <= 20 && !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(text).ok().filter(|_| digits).ok_or(INVALID)?;
    text.parse().map_err(|_| INVALID)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(ms: u64, seq: u64) -> Stamp {
        Stamp { ms, seq }
    }

    #[test]
    fn ids_are_read_as_redis_reads_them() {
        assert_eq!(strict(b"5-7", 0), Ok(stamp(5, 7)));
        assert_eq!(strict(b"5", 9), Ok(stamp(5, 9)));
        assert_eq!((any(b"-", 0), any(b"+", 0)), (Ok(Stamp::MIN), Ok(Stamp::MAX)));
        assert_eq!(start(b"(5-18446744073709551615"), Ok(stamp(6, 0)));
        assert_eq!(end(b"(5-0"), Ok(stamp(4, u64::MAX)));
        for text in ["", "-", "+", "5-", "-5", "a", "5-a", "18446744073709551616", "5-*"] {
            assert_eq!(strict(text.as_bytes(), 0), Err(INVALID), "{text}");
        }
        assert!(end(b"(0-0").is_err() && start(b"(18446744073709551615-18446744073709551615").is_err());
    }

    #[test]
    fn an_id_to_add_is_behind_the_last() {
        let last = stamp(100, 3);
        assert_eq!(ToAdd::Now.after(last, 50), Ok(stamp(100, 4)));
        assert_eq!(ToAdd::Now.after(last, 101), Ok(stamp(101, 0)));
        assert_eq!(to_add(b"100-*").and_then(|id| id.after(last, 0)), Ok(stamp(100, 4)));
        assert_eq!(to_add(b"200-*").and_then(|id| id.after(last, 0)), Ok(stamp(200, 0)));
        for id in ["99-*", "100-3", "0-1"] {
            assert!(to_add(id.as_bytes()).and_then(|id| id.after(last, 0)).is_err(), "{id}");
        }
        assert!(to_add(b"100-*").and_then(|id| id.after(stamp(100, u64::MAX), 0)).is_err());
        assert!(ToAdd::Now.after(Stamp::MAX, 0).is_err());
    }
}
