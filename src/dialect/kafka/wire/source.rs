//! Where fields come from. [`Source`] is what the messages read; [`Reader`] reads them from bytes without copying bodies.
//!
//! A reader has a budget: what decoding may allocate is bounded by the size of the frame, whatever its counts claim.

use bytes::{Buf, Bytes};

use super::{Uuid, WireError};

/// Memory that even the smallest frame may take when decoded, in bytes.
const BUDGET_FLOOR_BYTES: usize = 1 << 20;
/// Memory that a frame may take when decoded, as a multiple of its size.
const BUDGET_FACTOR: usize = 8;
/// No array reserves room for more elements than this before it has seen them.
const RESERVE_MAX: usize = 64;

type Result<T> = std::result::Result<T, WireError>;

/// Gives the primitive types of the protocol, one after the other.
pub trait Source: Sized {
    fn bool(&mut self) -> Result<bool>;
    fn i8(&mut self) -> Result<i8>;
    fn i16(&mut self) -> Result<i16>;
    fn u16(&mut self) -> Result<u16>;
    fn i32(&mut self) -> Result<i32>;
    fn i64(&mut self) -> Result<i64>;
    fn uuid(&mut self) -> Result<Uuid>;
    fn nullable_string(&mut self) -> Result<Option<String>>;
    fn nullable_bytes(&mut self) -> Result<Option<Bytes>>;
    fn nullable_array<T>(&mut self, item: impl FnMut(&mut Self) -> Result<T>) -> Result<Option<Vec<T>>>;
    fn nullable_struct<T>(&mut self, read: impl FnMut(&mut Self) -> Result<T>) -> Result<Option<T>>;
    /// Reads the tagged fields, if this version has any. `known` lists the tags that `read` may understand; it says whether it
    /// did, and an unknown field is skipped.
    fn tagged(&mut self, known: &[u32], read: impl FnMut(&mut Self, u32) -> Result<bool>) -> Result<()>;

    fn string(&mut self) -> Result<String> {
        self.nullable_string()?.ok_or(WireError::Null("a string"))
    }

    fn bytes(&mut self) -> Result<Bytes> {
        self.nullable_bytes()?.ok_or(WireError::Null("a byte field"))
    }

    fn array<T>(&mut self, item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        self.nullable_array(item)?.ok_or(WireError::Null("an array"))
    }
}

/// Reads from bytes. In flexible versions lengths are unsigned varints that count from one, with zero for null (KIP-482).
#[derive(Debug)]
pub struct Reader {
    rest: Bytes,
    flexible: bool,
    budget_bytes: usize,
}

impl Reader {
    pub fn new(bytes: Bytes, flexible: bool) -> Self {
        let budget_bytes = BUDGET_FLOOR_BYTES.saturating_add(bytes.len().saturating_mul(BUDGET_FACTOR));
        Self { rest: bytes, flexible, budget_bytes }
    }

    pub fn set_flexible(&mut self, flexible: bool) {
        self.flexible = flexible;
    }

    /// Bytes not read yet.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub fn into_rest(self) -> Bytes {
        self.rest
    }

    fn fixed<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N]> {
        let head = *self.rest.first_chunk::<N>().ok_or(WireError::Short(what))?;
        self.rest.advance(N);
        Ok(head)
    }

    fn take(&mut self, length: usize, what: &'static str) -> Result<Bytes> {
        if length > self.rest.len() {
            return Err(WireError::Short(what));
        }
        Ok(self.rest.split_to(length))
    }

    fn unsigned_varint(&mut self) -> Result<u32> {
        let mut value = 0u32;
        for shift in (0..35).step_by(7) {
            let [byte] = self.fixed("varint")?;
            if shift == 28 && byte > 0x0f {
                return Err(WireError::Varint);
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(WireError::Varint)
    }

    /// The length of a string (2 bytes wide in old versions) or of anything else (4 bytes wide); `None` for null.
    fn length(&mut self, short: bool, what: &'static str) -> Result<Option<usize>> {
        if self.flexible {
            return Ok((self.unsigned_varint()? as usize).checked_sub(1));
        }
        let length = if short { i64::from(self.i16()?) } else { i64::from(self.i32()?) };
        match length {
            -1 => Ok(None),
            _ => usize::try_from(length).map(Some).map_err(|_| WireError::Length(what, length)),
        }
    }

    fn spend(&mut self, bytes: usize) -> Result<()> {
        self.budget_bytes = self.budget_bytes.checked_sub(bytes).ok_or(WireError::Budget)?;
        Ok(())
    }
}

impl Source for Reader {
    fn bool(&mut self) -> Result<bool> {
        Ok(self.fixed::<1>("flag")? != [0])
    }

    fn i8(&mut self) -> Result<i8> {
        self.fixed("int8").map(i8::from_be_bytes)
    }

    fn i16(&mut self) -> Result<i16> {
        self.fixed("int16").map(i16::from_be_bytes)
    }

    fn u16(&mut self) -> Result<u16> {
        self.fixed("uint16").map(u16::from_be_bytes)
    }

    fn i32(&mut self) -> Result<i32> {
        self.fixed("int32").map(i32::from_be_bytes)
    }

    fn i64(&mut self) -> Result<i64> {
        self.fixed("int64").map(i64::from_be_bytes)
    }

    fn uuid(&mut self) -> Result<Uuid> {
        self.fixed("uuid").map(|bytes| Uuid(u128::from_be_bytes(bytes)))
    }

    fn nullable_string(&mut self) -> Result<Option<String>> {
        let Some(length) = self.length(true, "a string")? else { return Ok(None) };
        let bytes = self.take(length, "string")?;
        self.spend(length)?;
        std::str::from_utf8(&bytes).map(|text| Some(text.to_owned())).map_err(|_| WireError::Utf8)
    }

    fn nullable_bytes(&mut self) -> Result<Option<Bytes>> {
        let Some(length) = self.length(false, "a byte field")? else { return Ok(None) };
        self.take(length, "byte field").map(Some)
    }

    fn nullable_array<T>(&mut self, mut item: impl FnMut(&mut Self) -> Result<T>) -> Result<Option<Vec<T>>> {
        let Some(count) = self.length(false, "an array")? else { return Ok(None) };
        // No element takes less than a byte, but for structures without fields, which no array of the protocol holds.
        if count > self.rest.len() {
            return Err(WireError::Short("array"));
        }
        let mut items = Vec::with_capacity(count.min(RESERVE_MAX));
        for _ in 0..count {
            self.spend(size_of::<T>())?;
            items.push(item(self)?);
        }
        Ok(Some(items))
    }

    fn nullable_struct<T>(&mut self, mut read: impl FnMut(&mut Self) -> Result<T>) -> Result<Option<T>> {
        if self.i8()? < 0 { Ok(None) } else { read(self).map(Some) }
    }

    fn tagged(&mut self, known: &[u32], mut read: impl FnMut(&mut Self, u32) -> Result<bool>) -> Result<()> {
        if !self.flexible {
            return Ok(());
        }
        for _ in 0..self.unsigned_varint()? {
            let tag = self.unsigned_varint()?;
            let length = self.unsigned_varint()? as usize;
            let left = self.rest.len().checked_sub(length).ok_or(WireError::Short("tagged field"))?;
            if !(known.contains(&tag) && read(self, tag)?) {
                self.take(length, "tagged field")?;
            }
            if self.rest.len() != left {
                return Err(WireError::Tag);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(bytes: &'static [u8], flexible: bool) -> Reader {
        Reader::new(Bytes::from_static(bytes), flexible)
    }

    #[test]
    fn lengths_that_claim_more_than_is_there_are_short() {
        let huge = &[0x7f, 0xff, 0xff, 0xff][..];
        assert_eq!(reader(huge, false).bytes(), Err(WireError::Short("byte field")));
        assert_eq!(reader(huge, false).array(Reader::i32), Err(WireError::Short("array")));
        assert_eq!(reader(&[0xff, 0xff, 0xff, 0xff, 0x0f], true).array(Reader::i32), Err(WireError::Short("array")));
    }

    #[test]
    fn minus_one_is_null_and_other_negative_lengths_are_errors() {
        assert_eq!(reader(&[0xff; 4], false).nullable_bytes(), Ok(None));
        assert_eq!(reader(&[0xff; 4], false).string(), Err(WireError::Null("a string")));
        assert_eq!(reader(&[0xff, 0xfe], false).string(), Err(WireError::Length("a string", -2)));
        assert_eq!(reader(&[0x80, 0, 0, 0], false).bytes(), Err(WireError::Length("a byte field", -(1 << 31))));
    }

    #[test]
    fn varints_beyond_32_bits_are_refused() {
        assert_eq!(reader(&[0xff, 0xff, 0xff, 0xff, 0x1f], true).string(), Err(WireError::Varint));
        assert_eq!(reader(&[0x80; 8], true).string(), Err(WireError::Varint));
    }

    #[test]
    fn unknown_tagged_fields_are_skipped_and_wrong_lengths_refused() {
        let mut reader_ok = reader(&[1, 9, 2, 0xaa, 0xbb, 5], true);
        assert_eq!(reader_ok.tagged(&[0], |_, _| Ok(true)), Ok(()));
        assert_eq!(reader_ok.i8(), Ok(5));
        let read_one = |s: &mut Reader, _| s.i8().map(|_| true);
        assert_eq!(reader(&[1, 0, 2, 0xaa, 0xbb], true).tagged(&[0], read_one), Err(WireError::Tag));
        assert_eq!(reader(&[1, 0, 0, 0xaa, 0xbb], true).tagged(&[0], read_one), Err(WireError::Tag));
    }

    #[test]
    fn many_small_elements_cannot_take_memory_without_bound() {
        let frame = Bytes::from(vec![1u8; 4 << 20]);
        let mut source = Reader::new(frame.slice(..), true);
        source.rest.advance(1);
        let count = 4u32 << 19;
        let result = source.nullable_array_of_large_items(count);
        assert_eq!(result, Err(WireError::Budget));
    }

    impl Reader {
        fn nullable_array_of_large_items(&mut self, count: u32) -> Result<()> {
            for _ in 0..count {
                self.spend(size_of::<[u64; 16]>())?;
                self.i8()?;
            }
            Ok(())
        }
    }
}
