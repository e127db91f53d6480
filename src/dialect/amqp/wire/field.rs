//! The primitive fields of AMQP 0-9-1 (specification section 4.2.5): integers, strings, packed bits and raw tables.
//!
//! A [`Reader`] borrows: it never copies and never allocates. A [`Writer`] appends to the connection's one output buffer.

use bytes::{BufMut, BytesMut};

use super::error::WireError;

/// The longest short string, in bytes.
pub const SHORT_STRING_MAX: usize = 255;

/// Takes fields from the front of a slice.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
    bits: u8,
    bits_left: u8,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, bits: 0, bits_left: 0 }
    }

    /// What has not been read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Ends reading; an error if bytes are left over.
    pub fn finish(self) -> Result<(), WireError> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(WireError::TrailingBytes { left }),
        }
    }

    pub fn take(&mut self, len: usize) -> Result<&'a [u8], WireError> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(WireError::Truncated)?;
        self.rest = rest;
        self.bits_left = 0;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(WireError::Truncated)?;
        self.rest = rest;
        self.bits_left = 0;
        Ok(*head)
    }

    pub fn octet(&mut self) -> Result<u8, WireError> {
        self.array().map(u8::from_be_bytes)
    }

    pub fn short(&mut self) -> Result<u16, WireError> {
        self.array().map(u16::from_be_bytes)
    }

    pub fn long(&mut self) -> Result<u32, WireError> {
        self.array().map(u32::from_be_bytes)
    }

    pub fn longlong(&mut self) -> Result<u64, WireError> {
        self.array().map(u64::from_be_bytes)
    }

    /// One bit; up to eight that follow each other share an octet, lowest first.
    pub fn bit(&mut self) -> Result<bool, WireError> {
        if self.bits_left == 0 {
            self.bits = self.octet()?;
            self.bits_left = 8;
        }
        let bit = self.bits & 1 == 1;
        self.bits >>= 1;
        self.bits_left -= 1;
        Ok(bit)
    }

    /// Up to 255 bytes. UTF-8 by convention, not by check: RabbitMQ passes any bytes too.
    pub fn shortstr(&mut self) -> Result<&'a [u8], WireError> {
        let len = self.octet()?;
        self.take(usize::from(len))
    }

    pub fn longstr(&mut self) -> Result<&'a [u8], WireError> {
        let len = self.long()?;
        self.take(usize::try_from(len).map_err(|_| WireError::Truncated)?)
    }

    /// The bytes of a field table without their length. Not looked into: see [`super::table`].
    pub fn table(&mut self) -> Result<&'a [u8], WireError> {
        self.longstr()
    }
}

/// Appends fields to a buffer.
#[derive(Debug)]
pub struct Writer<'b> {
    out: &'b mut BytesMut,
    bits: u8,
    bit_count: u8,
}

impl<'b> Writer<'b> {
    pub fn new(out: &'b mut BytesMut) -> Self {
        Self { out, bits: 0, bit_count: 0 }
    }

    fn flush_bits(&mut self) {
        if self.bit_count > 0 {
            self.out.put_u8(self.bits);
            self.bits = 0;
            self.bit_count = 0;
        }
    }

    /// Writes bits that wait for their octet to fill.
    pub fn finish(mut self) {
        self.flush_bits();
    }

    pub fn octet(&mut self, value: u8) {
        self.flush_bits();
        self.out.put_u8(value);
    }

    pub fn short(&mut self, value: u16) {
        self.flush_bits();
        self.out.put_u16(value);
    }

    pub fn long(&mut self, value: u32) {
        self.flush_bits();
        self.out.put_u32(value);
    }

    pub fn longlong(&mut self, value: u64) {
        self.flush_bits();
        self.out.put_u64(value);
    }

    pub fn bit(&mut self, value: bool) {
        if self.bit_count == 8 {
            self.flush_bits();
        }
        self.bits |= u8::from(value) << self.bit_count;
        self.bit_count += 1;
    }

    /// A short string; what is longer than 255 bytes is cut there, at a character's boundary where there is one.
    pub fn shortstr(&mut self, value: &[u8]) {
        self.flush_bits();
        let value = cut_to_short(value);
        self.out.put_u8(value.len() as u8);
        self.out.put_slice(value);
    }

    /// A long string. The caller keeps it below 4 GiB: every source of one is a frame or a record with a smaller limit.
    pub fn longstr(&mut self, value: &[u8]) {
        self.flush_bits();
        self.out.put_u32(value.len() as u32);
        self.out.put_slice(value);
    }

    pub fn table(&mut self, value: &[u8]) {
        self.longstr(value);
    }
}

fn cut_to_short(value: &[u8]) -> &[u8] {
    let Some(head) = value.get(..SHORT_STRING_MAX) else { return value };
    if value.len() == SHORT_STRING_MAX {
        return value;
    }
    match std::str::from_utf8(head) {
        Ok(_) => head,
        Err(error) if error.error_len().is_none() => head.get(..error.valid_up_to()).unwrap_or(head),
        Err(_) => head,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_pack_lowest_first_and_end_at_the_next_field() {
        let mut out = BytesMut::new();
        let mut writer = Writer::new(&mut out);
        for bit in [true, false, true] {
            writer.bit(bit);
        }
        writer.octet(7);
        writer.bit(true);
        writer.finish();
        assert_eq!(&out[..], &[0b101, 7, 1]);
        let mut reader = Reader::new(&out);
        assert_eq!([reader.bit(), reader.bit(), reader.bit()], [Ok(true), Ok(false), Ok(true)]);
        assert_eq!(reader.octet(), Ok(7));
        assert_eq!(reader.bit(), Ok(true));
        assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn nine_bits_take_two_octets() {
        let mut out = BytesMut::new();
        let mut writer = Writer::new(&mut out);
        for _ in 0..9 {
            writer.bit(true);
        }
        writer.finish();
        assert_eq!(&out[..], &[0xff, 1]);
    }

    #[test]
    fn a_length_beyond_the_frame_is_truncated_not_read() {
        assert_eq!(Reader::new(&[0x7f, 0xff, 0xff, 0xff, 1]).longstr(), Err(WireError::Truncated));
        assert_eq!(Reader::new(&[0xff, 0xff, 0xff, 0xff]).table(), Err(WireError::Truncated));
        assert_eq!(Reader::new(&[9, 1]).shortstr(), Err(WireError::Truncated));
    }

    #[test]
    fn short_strings_are_cut_between_characters() {
        let text = "é".repeat(200);
        let mut out = BytesMut::new();
        let mut writer = Writer::new(&mut out);
        writer.shortstr(text.as_bytes());
        writer.finish();
        assert_eq!(out.len(), 1 + 254);
    }
}
