//! Writes the primitive types of the protocol, compact or not, behind what a buffer already holds.
//!
//! Lengths that a type cannot carry do not occur in what this gateway sends; a string too long for its length is cut short.

use bytes::{BufMut, BytesMut};

use super::Uuid;

#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut BytesMut,
    flexible: bool,
}

impl<'a> Writer<'a> {
    pub fn new(out: &'a mut BytesMut, flexible: bool) -> Self {
        Self { out, flexible }
    }

    /// The buffer itself, for bodies that are written in place.
    pub fn out(&mut self) -> &mut BytesMut {
        self.out
    }

    pub fn bool(&mut self, value: bool) {
        self.out.put_u8(u8::from(value));
    }

    pub fn i8(&mut self, value: i8) {
        self.out.put_i8(value);
    }

    pub fn i16(&mut self, value: i16) {
        self.out.put_i16(value);
    }

    pub fn u16(&mut self, value: u16) {
        self.out.put_u16(value);
    }

    pub fn i32(&mut self, value: i32) {
        self.out.put_i32(value);
    }

    pub fn i64(&mut self, value: i64) {
        self.out.put_i64(value);
    }

    pub fn uuid(&mut self, value: Uuid) {
        self.out.put_u128(value.0);
    }

    pub fn string(&mut self, value: &str) {
        self.nullable_string(Some(value));
    }

    pub fn nullable_string(&mut self, value: Option<&str>) {
        let text = value.map(|text| if self.flexible { text } else { cut(text, i16::MAX as usize) });
        if self.flexible {
            self.compact_length(text.map(str::len));
        } else {
            self.out.put_i16(text.map_or(-1, |text| i16::try_from(text.len()).unwrap_or(i16::MAX)));
        }
        self.out.put_slice(text.unwrap_or_default().as_bytes());
    }

    pub fn bytes(&mut self, value: &[u8]) {
        self.nullable_bytes(Some(value));
    }

    pub fn nullable_bytes(&mut self, value: Option<&[u8]>) {
        self.length(value.map(<[u8]>::len));
        self.out.put_slice(value.unwrap_or_default());
    }

    pub fn array<T>(&mut self, items: &[T], put: impl FnMut(&mut Writer<'_>, &T)) {
        self.nullable_array(Some(items), put);
    }

    pub fn nullable_array<T>(&mut self, items: Option<&[T]>, mut put: impl FnMut(&mut Writer<'_>, &T)) {
        self.length(items.map(<[T]>::len));
        for item in items.unwrap_or_default() {
            put(self, item);
        }
    }

    pub fn nullable_struct<T>(&mut self, value: Option<&T>, mut put: impl FnMut(&mut Writer<'_>, &T)) {
        match value {
            Some(value) => {
                self.i8(1);
                put(self, value);
            }
            None => self.i8(-1),
        }
    }

    /// The length of bytes or of an array; `None` is null.
    pub fn length(&mut self, length: Option<usize>) {
        if self.flexible {
            self.compact_length(length);
        } else {
            self.out.put_i32(length.map_or(-1, |n| i32::try_from(n).unwrap_or(i32::MAX)));
        }
    }

    /// The end of a structure that sends no tagged fields.
    pub fn no_tags(&mut self) {
        if self.flexible {
            self.out.put_u8(0);
        }
    }

    /// The end of a structure that may send tagged fields: `fill` adds them in the order of their tags.
    pub fn tagged(&mut self, fill: impl FnOnce(&mut Tags)) {
        if !self.flexible {
            return;
        }
        let mut tags = Tags { count: 0, fields: BytesMut::new() };
        fill(&mut tags);
        self.unsigned_varint(tags.count);
        self.out.put_slice(&tags.fields);
    }

    fn compact_length(&mut self, length: Option<usize>) {
        self.unsigned_varint(length.map_or(0, |n| u32::try_from(n + 1).unwrap_or(u32::MAX)));
    }

    fn unsigned_varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.out.put_u8((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.out.put_u8(value as u8);
    }
}

/// The tagged fields of one structure.
#[derive(Debug)]
pub struct Tags {
    count: u32,
    fields: BytesMut,
}

impl Tags {
    pub fn field(&mut self, tag: u32, put: impl FnOnce(&mut Writer<'_>)) {
        let mut body = BytesMut::new();
        put(&mut Writer::new(&mut body, true));
        let mut writer = Writer::new(&mut self.fields, true);
        writer.unsigned_varint(tag);
        writer.unsigned_varint(u32::try_from(body.len()).unwrap_or(u32::MAX));
        self.fields.put_slice(&body);
        self.count += 1;
    }
}

fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}
