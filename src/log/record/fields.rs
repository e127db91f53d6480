//! One record: its parts, and its form inside a batch.
//!
//! A record in a batch is a length, then attributes, timestamp delta, offset delta, key, value and headers, all as zigzag varints.
//! Source: the record format of KIP-98. Nothing is allocated to write a record, or to check one.

use bytes::Bytes;

use super::varint::{Input, put_varint, varint_len};

/// A record as it is written and read: everything that the producer gave.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// What partitioning and compaction go by; any bytes.
    pub key: Option<Bytes>,
    /// The payload; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// In order; keys may repeat.
    pub headers: Vec<Header>,
    /// Milliseconds since 1970 UTC; -1 when the producer gave none.
    pub timestamp_ms: i64,
}

/// One header of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// UTF-8 by contract; what a producer sent is kept as it is, so a reader checks.
    pub key: Bytes,
    /// Any bytes, or null.
    pub value: Option<Bytes>,
}

/// What a record is written from, whoever holds it.
#[derive(Debug, Clone, Copy)]
pub struct RecordParts<'r> {
    /// As [`Record::key`].
    pub key: Option<&'r [u8]>,
    /// As [`Record::value`].
    pub value: Option<&'r [u8]>,
    /// As [`Record::headers`].
    pub headers: &'r [Header],
}

impl Record {
    /// What it is written from.
    pub fn parts(&self) -> RecordParts<'_> {
        RecordParts { key: self.key.as_deref(), value: self.value.as_deref(), headers: &self.headers }
    }
}

/// A record inside the bytes of its batch: nothing copied, headers not taken apart yet.
#[derive(Debug, Clone, Copy)]
pub struct RecordView<'a> {
    /// Added to the batch's base timestamp gives the record's, in milliseconds.
    pub timestamp_delta_ms: i64,
    /// Added to the batch's base offset gives the record's.
    pub offset_delta: u32,
    /// The key, if any.
    pub key: Option<&'a [u8]>,
    /// The value, if any.
    pub value: Option<&'a [u8]>,
    header_count: usize,
    headers: &'a [u8],
}

impl<'a> RecordView<'a> {
    /// Reads the next record; `None` when the bytes are no record.
    pub(super) fn read(input: &mut Input<'a>) -> Option<Self> {
        let length = usize::try_from(input.varint()?).ok()?;
        let mut body = Input::new(input.take(length)?);
        let _attributes = body.byte()?;
        let timestamp_delta_ms = body.varlong()?;
        let offset_delta = u32::try_from(body.varint()?).ok()?;
        let key = body.nullable()?;
        let value = body.nullable()?;
        let header_count = usize::try_from(body.varint()?).ok()?;
        // A header is two bytes at least, so a larger count is a lie.
        if header_count > body.rest().len() / 2 {
            return None;
        }
        Some(RecordView { timestamp_delta_ms, offset_delta, key, value, header_count, headers: body.rest() })
    }

    /// Passes over the next record and tells its offset delta.
    pub(super) fn skip(input: &mut Input<'a>) -> Option<u32> {
        let length = usize::try_from(input.varint()?).ok()?;
        let mut body = Input::new(input.take(length)?);
        let _attributes = body.byte()?;
        let _timestamp_delta_ms = body.varlong()?;
        u32::try_from(body.varint()?).ok()
    }

    /// How many headers the record has.
    pub fn header_count(&self) -> usize {
        self.header_count
    }

    /// The headers in order, key and value; stops early where they do not decode.
    pub fn headers(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        let mut input = Input::new(self.headers);
        (0..self.header_count).map_while(move |_| read_header(&mut input))
    }

    /// True when all headers decode, at most `headers_max` of them, and nothing follows them.
    pub(super) fn is_whole(&self, headers_max: usize) -> bool {
        let mut input = Input::new(self.headers);
        self.header_count <= headers_max && (0..self.header_count).all(|_| read_header(&mut input).is_some()) && input.is_empty()
    }

    /// The record with its parts as shared slices of `payload`, in which this view was read.
    pub(super) fn to_record(self, payload: &Bytes, timestamp_ms: i64) -> Record {
        let share = |part: &[u8]| payload.slice_ref(part);
        let headers = self.headers().map(|(key, value)| Header { key: share(key), value: value.map(share) }).collect();
        Record { key: self.key.map(share), value: self.value.map(share), headers, timestamp_ms }
    }
}

fn read_header<'a>(input: &mut Input<'a>) -> Option<(&'a [u8], Option<&'a [u8]>)> {
    let key = input.nullable()??;
    Some((key, input.nullable()?))
}

/// Bytes that [`put_record`] writes.
pub fn encoded_len(record: RecordParts<'_>, timestamp_delta_ms: i64, offset_delta: u32) -> usize {
    let body = body_len(record, timestamp_delta_ms, offset_delta);
    varint_len(as_i64(body)) + body
}

/// Appends the record in its batch form. It allocates nothing beyond the growth of `out`.
pub fn put_record(out: &mut Vec<u8>, record: RecordParts<'_>, timestamp_delta_ms: i64, offset_delta: u32) {
    put_varint(out, as_i64(body_len(record, timestamp_delta_ms, offset_delta)));
    out.push(0);
    put_varint(out, timestamp_delta_ms);
    put_varint(out, i64::from(offset_delta));
    put_nullable(out, record.key);
    put_nullable(out, record.value);
    put_varint(out, as_i64(record.headers.len()));
    for header in record.headers {
        put_nullable(out, Some(&header.key));
        put_nullable(out, header.value.as_deref());
    }
}

fn body_len(record: RecordParts<'_>, timestamp_delta_ms: i64, offset_delta: u32) -> usize {
    let headers: usize = record.headers.iter().map(|h| nullable_len(Some(&h.key)) + nullable_len(h.value.as_deref())).sum();
    1 + varint_len(timestamp_delta_ms)
        + varint_len(i64::from(offset_delta))
        + nullable_len(record.key)
        + nullable_len(record.value)
        + varint_len(as_i64(record.headers.len()))
        + headers
}

fn put_nullable(out: &mut Vec<u8>, part: Option<&[u8]>) {
    match part {
        Some(bytes) => {
            put_varint(out, as_i64(bytes.len()));
            out.extend_from_slice(bytes);
        }
        None => put_varint(out, -1),
    }
}

fn nullable_len(part: Option<&[u8]>) -> usize {
    part.map_or(1, |bytes| varint_len(as_i64(bytes.len())) + bytes.len())
}

/// A length in memory always fits; saturates rather than wraps.
fn as_i64(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}
