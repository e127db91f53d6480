//! Field tables and arrays (specification section 4.2.5.5) with RabbitMQ's letters for the value types.
//!
//! A [`Table`] is a view of bytes, walked one entry at a time; nested ones stay bytes until somebody looks. Only
//! [`validate`] goes all the way down, with a stack of its own and at most [`DEPTH_MAX`] levels.

use bytes::{BufMut, BytesMut};

use super::error::WireError;
use super::field::{Reader, Writer};

/// How deep tables and arrays may lie inside each other.
pub const DEPTH_MAX: usize = 32;

/// One value of a table. The letter on the wire is in brackets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// `t`
    Bool(bool),
    /// `b`
    I8(i8),
    /// `B`
    U8(u8),
    /// `s`
    I16(i16),
    /// `u`
    U16(u16),
    /// `I`
    I32(i32),
    /// `i`
    U32(u32),
    /// `l`, and `L` as some clients write it
    I64(i64),
    /// `f`
    F32(f32),
    /// `d`
    F64(f64),
    /// `D`: scale, then the unscaled value
    Decimal(u8, i32),
    /// `S`
    Text(&'a [u8]),
    /// `x`
    Bytes(&'a [u8]),
    /// `T`: seconds since 1970
    Timestamp(u64),
    /// `A`
    Array(&'a [u8]),
    /// `F`
    Table(&'a [u8]),
    /// `V`
    Void,
}

impl<'a> Value<'a> {
    /// Reads a letter and what it announces; nested tables and arrays are not looked into.
    pub fn read(reader: &mut Reader<'a>) -> Result<Self, WireError> {
        Ok(match reader.octet()? {
            b't' => Self::Bool(reader.octet()? != 0),
            b'b' => Self::I8(reader.octet()?.cast_signed()),
            b'B' => Self::U8(reader.octet()?),
            b's' => Self::I16(reader.short()?.cast_signed()),
            b'u' => Self::U16(reader.short()?),
            b'I' => Self::I32(reader.long()?.cast_signed()),
            b'i' => Self::U32(reader.long()?),
            b'l' | b'L' => Self::I64(reader.longlong()?.cast_signed()),
            b'f' => Self::F32(f32::from_bits(reader.long()?)),
            b'd' => Self::F64(f64::from_bits(reader.longlong()?)),
            b'D' => Self::Decimal(reader.octet()?, reader.long()?.cast_signed()),
            b'S' => Self::Text(reader.longstr()?),
            b'x' => Self::Bytes(reader.longstr()?),
            b'T' => Self::Timestamp(reader.longlong()?),
            b'A' => Self::Array(reader.longstr()?),
            b'F' => Self::Table(reader.longstr()?),
            b'V' => Self::Void,
            letter => return Err(WireError::UnknownFieldType { letter }),
        })
    }

    pub fn write(&self, out: &mut BytesMut) {
        match *self {
            Self::Bool(value) => out.put_slice(&[b't', u8::from(value)]),
            Self::I8(value) => out.put_slice(&[b'b', value.cast_unsigned()]),
            Self::U8(value) => out.put_slice(&[b'B', value]),
            Self::I16(value) => put(out, b's', &value.to_be_bytes()),
            Self::U16(value) => put(out, b'u', &value.to_be_bytes()),
            Self::I32(value) => put(out, b'I', &value.to_be_bytes()),
            Self::U32(value) => put(out, b'i', &value.to_be_bytes()),
            Self::I64(value) => put(out, b'l', &value.to_be_bytes()),
            Self::F32(value) => put(out, b'f', &value.to_be_bytes()),
            Self::F64(value) => put(out, b'd', &value.to_be_bytes()),
            Self::Decimal(scale, value) => {
                out.put_slice(&[b'D', scale]);
                out.put_i32(value);
            }
            Self::Text(value) => put_long(out, b'S', value),
            Self::Bytes(value) => put_long(out, b'x', value),
            Self::Timestamp(value) => put(out, b'T', &value.to_be_bytes()),
            Self::Array(value) => put_long(out, b'A', value),
            Self::Table(value) => put_long(out, b'F', value),
            Self::Void => out.put_u8(b'V'),
        }
    }

    /// The value of any of the integer types, if it fits.
    pub fn integer(&self) -> Option<i64> {
        match *self {
            Self::I8(value) => Some(value.into()),
            Self::U8(value) => Some(value.into()),
            Self::I16(value) => Some(value.into()),
            Self::U16(value) => Some(value.into()),
            Self::I32(value) => Some(value.into()),
            Self::U32(value) => Some(value.into()),
            Self::I64(value) => Some(value),
            Self::Timestamp(value) => i64::try_from(value).ok(),
            _ => None,
        }
    }

    /// The bytes of a text or byte string.
    pub fn text(&self) -> Option<&'a [u8]> {
        match *self {
            Self::Text(value) | Self::Bytes(value) => Some(value),
            _ => None,
        }
    }

    /// RabbitMQ's name for the type, as its error texts have it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Bool(_) => "bool",
            Self::I8(_) => "byte",
            Self::U8(_) => "unsignedbyte",
            Self::I16(_) => "short",
            Self::U16(_) => "unsignedshort",
            Self::I32(_) => "signedint",
            Self::U32(_) => "unsignedint",
            Self::I64(_) => "long",
            Self::F32(_) => "float",
            Self::F64(_) => "double",
            Self::Decimal(..) => "decimal",
            Self::Text(_) => "longstr",
            Self::Bytes(_) => "binary",
            Self::Timestamp(_) => "timestamp",
            Self::Array(_) => "array",
            Self::Table(_) => "table",
            Self::Void => "void",
        }
    }
}

fn put(out: &mut BytesMut, letter: u8, value: &[u8]) {
    out.put_u8(letter);
    out.put_slice(value);
}

fn put_long(out: &mut BytesMut, letter: u8, value: &[u8]) {
    out.put_u8(letter);
    out.put_u32(value.len() as u32);
    out.put_slice(value);
}

/// The bytes of a table, without their length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Table<'a>(pub &'a [u8]);

impl<'a> Table<'a> {
    /// Names and values in the order on the wire; ends at the first malformed one, with the error.
    pub fn entries(self) -> Entries<'a> {
        Entries { reader: Reader::new(self.0) }
    }

    /// The first value of this name in a table that is well formed up to there.
    pub fn get(self, name: &[u8]) -> Option<Value<'a>> {
        self.entries().map_while(Result::ok).find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

/// Iterator over a table.
#[derive(Debug, Clone)]
pub struct Entries<'a> {
    reader: Reader<'a>,
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<(&'a [u8], Value<'a>), WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.rest().is_empty() {
            return None;
        }
        let entry = self.reader.shortstr().and_then(|name| Ok((name, Value::read(&mut self.reader)?)));
        if entry.is_err() {
            self.reader = Reader::new(&[]);
        }
        Some(entry)
    }
}

/// Values of an array in order; ends at the first malformed one.
pub fn array_values(bytes: &[u8]) -> impl Iterator<Item = Value<'_>> {
    let mut reader = Reader::new(bytes);
    std::iter::from_fn(move || (!reader.rest().is_empty()).then(|| Value::read(&mut reader).ok()).flatten())
}

/// Whether a table is well formed all the way down.
pub fn validate(table: &[u8]) -> Result<(), WireError> {
    let mut stack: smallvec::SmallVec<[(Reader<'_>, bool); 4]> = smallvec::smallvec![(Reader::new(table), true)];
    while let Some((reader, named)) = stack.last_mut() {
        if reader.rest().is_empty() {
            stack.pop();
            continue;
        }
        if *named {
            reader.shortstr()?;
        }
        match Value::read(reader)? {
            Value::Table(inner) => stack.push((Reader::new(inner), true)),
            Value::Array(inner) => stack.push((Reader::new(inner), false)),
            _ => continue,
        }
        if stack.len() > DEPTH_MAX {
            return Err(WireError::TableTooDeep { limit: DEPTH_MAX });
        }
    }
    Ok(())
}

/// Writes a table's entries into a buffer; the length comes with the field that holds it.
#[derive(Debug, Default)]
pub struct TableBuilder {
    bytes: BytesMut,
}

impl TableBuilder {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn entry(mut self, name: &[u8], value: Value<'_>) -> Self {
        self.push(name, value);
        self
    }

    pub fn push(&mut self, name: &[u8], value: Value<'_>) {
        let mut writer = Writer::new(&mut self.bytes);
        writer.shortstr(name);
        writer.finish();
        value.write(&mut self.bytes);
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn finish(self) -> BytesMut {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn nested(depth: usize, letter: u8) -> Vec<u8> {
        let mut inner = Vec::new();
        for _ in 0..depth {
            let mut outer = if letter == b'F' { vec![1, b'k'] } else { Vec::new() };
            outer.push(letter);
            outer.extend_from_slice(&(inner.len() as u32).to_be_bytes());
            outer.extend_from_slice(&inner);
            inner = outer;
        }
        inner
    }

    #[test]
    fn values_come_back_as_written() {
        let values = [
            Value::Bool(true),
            Value::I8(-1),
            Value::U8(200),
            Value::I16(-300),
            Value::U16(65_000),
            Value::I32(-70_000),
            Value::U32(4_000_000_000),
            Value::I64(i64::MIN),
            Value::F32(1.5),
            Value::F64(-2.25),
            Value::Decimal(2, -314),
            Value::Text(b"text"),
            Value::Bytes(&[0, 255]),
            Value::Timestamp(u64::MAX),
            Value::Array(b"t\x01"),
            Value::Table(b"\x01at\x00"),
            Value::Void,
        ];
        let mut builder = TableBuilder::new();
        for value in values {
            builder.push(value.type_name().as_bytes(), value);
        }
        let bytes = builder.finish();
        validate(&bytes).unwrap();
        let back: Vec<_> = Table(&bytes).entries().map(|entry| entry.unwrap().1).collect();
        assert_eq!(back, values);
        assert_eq!(Table(&bytes).get(b"longstr"), Some(Value::Text(b"text")));
    }

    #[test]
    fn nesting_is_limited_without_recursion() {
        validate(&nested(DEPTH_MAX - 1, b'F')).unwrap();
        assert_eq!(validate(&nested(DEPTH_MAX, b'F')), Err(WireError::TableTooDeep { limit: DEPTH_MAX }));
        let mut arrays = vec![1, b'k'];
        arrays.extend_from_slice(&nested(10_000, b'A'));
        assert_eq!(validate(&arrays), Err(WireError::TableTooDeep { limit: DEPTH_MAX }));
    }

    #[test]
    fn unknown_letters_and_cut_tables_are_named() {
        assert_eq!(validate(b"\x01kZ"), Err(WireError::UnknownFieldType { letter: b'Z' }));
        assert_eq!(validate(b"\x01kS\x00\x00\x00\x09x"), Err(WireError::Truncated));
        assert_eq!(Table(b"\x01kZ\x01").entries().count(), 1);
    }

    proptest! {
        #[test]
        fn random_tables_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = validate(&bytes);
            let _ = Table(&bytes).entries().count();
            let _ = array_values(&bytes).count();
        }
    }
}
