//! What a queue view does beside giving each record to one taker. Everything is off by default.
//!
//! As bytes: a varint for each number, one more than its value, or 0 where there is none; then the flags; then where dead records go.

use bytes::Bytes;

use crate::log::record::varint::{Input, put_uvarint};

/// What happens to what does not fit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Overflow {
    /// The oldest ready records go.
    #[default]
    DropOldest,
    /// New records are refused.
    Refuse,
    /// New records are refused, and go where dead records go.
    RefuseAndBury,
    /// Who writes waits until there is room.
    Wait,
}

/// The options of a queue view.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueOptions {
    /// Records expire this long after they came, in milliseconds.
    pub ttl_ms: Option<u64>,
    /// The view goes when nobody has used it for so long, in milliseconds.
    pub idle_ms: Option<u64>,
    /// Ready records at most.
    pub records_max: Option<u64>,
    /// Bytes of ready records at most: keys and values.
    pub bytes_max: Option<u64>,
    /// A record that failed more often than this is dead.
    pub failures_max: Option<u32>,
    /// A failed record waits before it is ready again: this long after the first time, and longer after each that follows; in
    /// milliseconds.
    pub retry_min_ms: Option<u64>,
    /// The longest such wait, in milliseconds.
    pub retry_max_ms: Option<u64>,
    /// A taker that has not settled a record for so long has failed, in milliseconds.
    pub lease_ms: Option<u64>,
    /// Ids of records are remembered for so long, and what has one of them is not written again; in milliseconds.
    pub ids_ms: Option<u64>,
    /// So many ids are remembered at most.
    pub ids_max: Option<u64>,
    /// Records are taken by level, highest first; higher levels than this count as this.
    pub level_max: Option<u8>,
    /// What happens to what does not fit.
    pub overflow: Overflow,
    /// Only one taker at a time is served.
    pub single_taker: bool,
    /// Records of one key are in flight to one taker at a time.
    pub by_key: bool,
    /// Each wait before another try is twice the one before; otherwise it is longer by the first one.
    pub retry_doubles: bool,
    /// Where dead records go, in the words of whoever resolves it; none: they are dropped.
    pub dead_route: Option<Bytes>,
}

impl QueueOptions {
    /// Whether there is nothing to do.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// Appends the options.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let numbers = [self.ttl_ms, self.idle_ms, self.records_max, self.bytes_max, self.failures_max.map(u64::from)];
        let more =
            [self.retry_min_ms, self.retry_max_ms, self.lease_ms, self.ids_ms, self.ids_max, self.level_max.map(u64::from)];
        for number in numbers.into_iter().chain(more) {
            put_uvarint(out, number.map_or(0, |number| number.saturating_add(1)));
        }
        let overflow = match self.overflow {
            Overflow::DropOldest => 0,
            Overflow::Refuse => 1,
            Overflow::RefuseAndBury => 2,
            Overflow::Wait => 3,
        };
        let flags = [self.single_taker, self.by_key, self.retry_doubles, self.dead_route.is_some()];
        let flags = flags.iter().rev().fold(0, |bits, flag| bits << 1 | u8::from(*flag));
        out.extend([overflow, flags]);
        if let Some(route) = &self.dead_route {
            put_uvarint(out, route.len() as u64);
            out.extend_from_slice(route);
        }
    }

    /// Reads what [`Self::encode`] wrote; `None` if it is not that.
    pub fn decode(input: &mut Input<'_>) -> Option<Self> {
        let mut number = || input.uvarint().map(|number| number.checked_sub(1));
        let mut options = Self {
            ttl_ms: number()?,
            idle_ms: number()?,
            records_max: number()?,
            bytes_max: number()?,
            failures_max: number()?.map(u32::try_from).transpose().ok()?,
            retry_min_ms: number()?,
            retry_max_ms: number()?,
            lease_ms: number()?,
            ids_ms: number()?,
            ids_max: number()?,
            level_max: number()?.map(u8::try_from).transpose().ok()?,
            ..Self::default()
        };
        options.overflow = match input.byte()? {
            0 => Overflow::DropOldest,
            1 => Overflow::Refuse,
            2 => Overflow::RefuseAndBury,
            3 => Overflow::Wait,
            _ => return None,
        };
        let flags = input.byte().filter(|flags| *flags < 1 << 4)?;
        let is_set = |bit: u32| flags >> bit & 1 == 1;
        (options.single_taker, options.by_key, options.retry_doubles) = (is_set(0), is_set(1), is_set(2));
        if is_set(3) {
            let length = usize::try_from(input.uvarint()?).ok()?;
            options.dead_route = Some(Bytes::copy_from_slice(input.take(length)?));
        }
        Some(options)
    }

    /// How long a record waits that failed for the `failures`th time, in milliseconds.
    pub fn retry_ms(&self, failures: u32) -> Option<u64> {
        let times = match (self.retry_doubles, failures.max(1)) {
            (true, failures) => 1_u64.checked_shl(failures - 1).unwrap_or(u64::MAX),
            (false, failures) => u64::from(failures),
        };
        let wait_ms = self.retry_min_ms?.saturating_mul(times);
        Some(wait_ms.min(self.retry_max_ms.unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_come_back_as_they_were_written() {
        let all = QueueOptions {
            ttl_ms: Some(0),
            idle_ms: Some(1),
            records_max: Some(0),
            bytes_max: Some(1 << 40),
            failures_max: Some(u32::MAX),
            retry_min_ms: Some(10),
            retry_max_ms: Some(25),
            lease_ms: Some(4),
            ids_ms: Some(5),
            ids_max: Some(6),
            level_max: Some(255),
            overflow: Overflow::RefuseAndBury,
            single_taker: true,
            by_key: false,
            retry_doubles: false,
            dead_route: Some(Bytes::from_static(b"there")),
        };
        let doubling = QueueOptions { retry_doubles: true, overflow: Overflow::Wait, single_taker: false, ..all.clone() };
        let by_key = QueueOptions { by_key: true, dead_route: None, ..all };
        for options in [all.clone(), doubling.clone(), by_key, QueueOptions::default()] {
            let mut bytes = Vec::new();
            options.encode(&mut bytes);
            let mut input = Input::new(&bytes);
            assert_eq!(QueueOptions::decode(&mut input), Some(options));
            assert!(input.is_empty());
            assert!((0..bytes.len()).all(|end| QueueOptions::decode(&mut Input::new(&bytes[..end])).is_none()));
        }
        assert_eq!([1, 2, 3].map(|failures| all.retry_ms(failures)), [Some(10), Some(20), Some(25)]);
        assert_eq!(
            [1, 2, 3, 63, 64, 65, u32::MAX].map(|failures| doubling.retry_ms(failures).unwrap_or(0)),
            [10, 20, 25, 25, 25, 25, 25]
        );
        let endless = QueueOptions { retry_max_ms: None, ..doubling };
        assert_eq!([3, 4, 65].map(|failures| endless.retry_ms(failures)), [Some(40), Some(80), Some(u64::MAX)]);
    }
}
