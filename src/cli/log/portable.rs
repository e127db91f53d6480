//! The two forms of an export. JSON lines: `{"declare": ...}` for each topic, a line a record, `{"end": ...}`. Batches: a magic
//! number and blocks, each with its length and checksum, that hold a declaration, a record batch as it was stored, or the end.
//!
//! Both say at their end how many records there are, so that a file that was cut is told from a whole one.

use std::io::{self, BufRead, Read, Write};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::line::RecordLine;
use super::outcomes::Undone;
use crate::log::TopicSettings;

const MAGIC: &[u8; 8] = b"TRUNKEXP";
const VERSION: u32 = 1;
/// No block is longer: a batch is at most this long, and a declaration is short.
const BLOCK_BYTES_MAX: u32 = i32::MAX as u32;
/// No line is longer, in bytes.
const LINE_BYTES_MAX: u64 = 1 << 30;

const DECLARE: u8 = 1;
const BATCH: u8 = 2;
const END: u8 = 3;
/// Batches whose transaction was aborted, or has no outcome.
const ABORTED: u8 = 4;
const OPEN: u8 = 5;

/// How an export is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Form {
    /// A line of JSON a record: for eyes and for other programs
    Jsonl,
    /// Record batches as they were stored, compression included: compact and fast
    Batches,
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Declaration {
    pub(super) topic: Value,
    pub(super) partitions: u32,
    pub(super) settings: TopicSettings,
}

/// What the end says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Total {
    pub(super) records: u64,
}

/// What an export consists of.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    Declare(Declaration),
    Record(RecordLine),
    Batch(PlacedBatch),
    End(Total),
}

/// A record batch as it was stored.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PlacedBatch {
    /// The number of the topic's declaration.
    pub(super) topic: u32,
    pub(super) partition: u32,
    pub(super) base_offset: u64,
    pub(super) bytes: Bytes,
    /// Why its records do not count, if they do not.
    pub(super) undone: Option<Undone>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Declare { declare: Declaration },
    End { end: Total },
    Record(RecordLine),
}

/// Writes the beginning of an export.
pub(super) fn begin(out: &mut dyn Write, form: Form) -> io::Result<()> {
    match form {
        Form::Jsonl => Ok(()),
        Form::Batches => {
            out.write_all(MAGIC)?;
            out.write_all(&VERSION.to_be_bytes())
        }
    }
}

/// Writes a piece. A record goes into JSON lines and a batch into batches.
pub(super) fn put(out: &mut dyn Write, form: Form, piece: Piece) -> io::Result<()> {
    match form {
        Form::Jsonl => {
            let line = match piece {
                Piece::Declare(declare) => Line::Declare { declare },
                Piece::End(end) => Line::End { end },
                Piece::Record(record) => Line::Record(record),
                Piece::Batch(..) => return Err(io::Error::other("a batch is no line")),
            };
            serde_json::to_writer(&mut *out, &line)?;
            writeln!(out)
        }
        Form::Batches => {
            let mut payload = BytesMut::new();
            match piece {
                Piece::Declare(declare) => {
                    payload.put_u8(DECLARE);
                    payload.put_slice(&serde_json::to_vec(&declare)?);
                }
                Piece::Batch(batch) => {
                    payload.put_u8(match batch.undone {
                        None => BATCH,
                        Some(Undone::Aborted) => ABORTED,
                        Some(Undone::Open) => OPEN,
                    });
                    payload.put_u32(batch.topic);
                    payload.put_u32(batch.partition);
                    payload.put_u64(batch.base_offset);
                    payload.put_slice(&batch.bytes);
                }
                Piece::End(end) => {
                    payload.put_u8(END);
                    payload.put_slice(&serde_json::to_vec(&end)?);
                }
                Piece::Record(_) => return Err(io::Error::other("a record is no batch")),
            }
            out.write_all(&u32::try_from(payload.len()).map_err(io::Error::other)?.to_be_bytes())?;
            out.write_all(&crc_fast::crc32_iscsi(&payload).to_be_bytes())?;
            out.write_all(&payload)
        }
    }
}

/// Reads an export of either form.
pub(super) struct Reader<R> {
    input: R,
    form: Form,
    /// Lines or blocks so far.
    pub(super) count: u64,
    /// Bytes so far.
    pub(super) bytes: u64,
}

impl<R: BufRead> Reader<R> {
    pub(super) fn new(mut input: R) -> Result<Self, String> {
        let start = input.fill_buf().map_err(|error| error.to_string())?;
        if !start.starts_with(MAGIC.get(..start.len().min(8)).unwrap_or_default()) || start.is_empty() {
            return Ok(Self { input, form: Form::Jsonl, count: 0, bytes: 0 });
        }
        let mut head = [0; 12];
        input.read_exact(&mut head).map_err(|error| format!("the file ends within its first 12 bytes: {error}"))?;
        let version = u32::from_be_bytes([head[8], head[9], head[10], head[11]]);
        if version != VERSION {
            return Err(format!("the export has version {version}, and this program reads version {VERSION}"));
        }
        Ok(Self { input, form: Form::Batches, count: 0, bytes: 12 })
    }

    /// The next piece; none at the end of the input.
    pub(super) fn next(&mut self) -> Result<Option<Piece>, String> {
        let read = match self.form {
            Form::Jsonl => self.line(),
            Form::Batches => self.block(),
        };
        let what = if self.form == Form::Jsonl { "line" } else { "block" };
        read.map_err(|reason| format!("{what} {} (before byte {}): {reason}", self.count, self.bytes))
    }

    fn line(&mut self) -> Result<Option<Piece>, String> {
        loop {
            let mut line = Vec::new();
            let read = (&mut self.input).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).map_err(|error| error.to_string())?;
            if read == 0 {
                return Ok(None);
            }
            self.count += 1;
            self.bytes += read as u64;
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let value: Value = serde_json::from_slice(&line).map_err(|error| error.to_string())?;
            // Told apart by hand, because the error of an untagged form names none of them.
            let piece = match &value {
                Value::Object(fields) if fields.contains_key("declare") => {
                    serde_json::from_value(value["declare"].clone()).map(Piece::Declare)
                }
                Value::Object(fields) if fields.contains_key("end") => {
                    serde_json::from_value(value["end"].clone()).map(Piece::End)
                }
                _ => serde_json::from_value(value).map(Piece::Record),
            };
            return piece.map(Some).map_err(|error| error.to_string());
        }
    }

    fn block(&mut self) -> Result<Option<Piece>, String> {
        if self.input.fill_buf().map_err(|error| error.to_string())?.is_empty() {
            return Ok(None);
        }
        self.count += 1;
        let mut head = [0; 8];
        self.input.read_exact(&mut head).map_err(|error| error.to_string())?;
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        let crc = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
        if length == 0 || length > BLOCK_BYTES_MAX {
            return Err(format!("a block cannot be {length} bytes long"));
        }
        let mut payload = Vec::new();
        let read = (&mut self.input).take(u64::from(length)).read_to_end(&mut payload).map_err(|error| error.to_string())?;
        self.bytes += 8 + read as u64;
        if read as u64 != u64::from(length) {
            return Err(format!("the file ends within a block of {length} bytes"));
        }
        if crc_fast::crc32_iscsi(&payload) != crc {
            return Err("the block is damaged: its checksum is another".to_owned());
        }
        let mut payload = Bytes::from(payload);
        match payload.get_u8() {
            DECLARE => {
                serde_json::from_slice(&payload).map(|declare| Some(Piece::Declare(declare))).map_err(|error| error.to_string())
            }
            END => serde_json::from_slice(&payload).map(|end| Some(Piece::End(end))).map_err(|error| error.to_string()),
            kind @ (BATCH | ABORTED | OPEN) if payload.len() > 16 => {
                let (topic, partition, base_offset) = (payload.get_u32(), payload.get_u32(), payload.get_u64());
                let undone = match kind {
                    ABORTED => Some(Undone::Aborted),
                    OPEN => Some(Undone::Open),
                    _ => None,
                };
                Ok(Some(Piece::Batch(PlacedBatch { topic, partition, base_offset, bytes: payload, undone })))
            }
            kind => Err(format!("a block of the unknown kind {kind}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn batch(undone: Option<Undone>) -> PlacedBatch {
        PlacedBatch { topic: 0, partition: 1, base_offset: 77, bytes: Bytes::from_static(b"a batch"), undone }
    }

    fn pieces(form: Form) -> Vec<Piece> {
        let declaration = Declaration { topic: json!("t"), partitions: 2, settings: TopicSettings::default() };
        let record: RecordLine = serde_json::from_value(json!({ "topic": "t", "value": "v" })).expect("a record");
        let middle = match form {
            Form::Jsonl => Piece::Record(record),
            Form::Batches => Piece::Batch(batch(None)),
        };
        let undone = [Undone::Aborted, Undone::Open].into_iter().filter(|_| form == Form::Batches);
        let undone = undone.map(|undone| Piece::Batch(batch(Some(undone))));
        let ends = [Piece::End(Total { records: 1 })];
        [Piece::Declare(declaration), middle].into_iter().chain(undone).chain(ends).collect()
    }

    fn written(form: Form) -> Vec<u8> {
        let mut out = Vec::new();
        begin(&mut out, form).expect("begun");
        for piece in pieces(form) {
            put(&mut out, form, piece).expect("written");
        }
        out
    }

    fn read(bytes: &[u8]) -> Result<Vec<Piece>, String> {
        let mut reader = Reader::new(bytes)?;
        let mut found = Vec::new();
        while let Some(piece) = reader.next()? {
            found.push(piece);
        }
        Ok(found)
    }

    #[test]
    fn both_forms_come_back_as_they_went() {
        for form in [Form::Jsonl, Form::Batches] {
            assert_eq!(read(&written(form)), Ok(pieces(form)), "{form:?}");
        }
    }

    #[test]
    fn a_flipped_bit_in_a_block_is_noticed() {
        let bytes = written(Form::Batches);
        for bit in 12 * 8..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(read(&damaged), Ok(pieces(Form::Batches)), "bit {bit}");
        }
    }

    #[test]
    fn a_line_that_is_no_record_is_named() {
        let error = read(b"{\"topic\":\"t\"}\n\n{\"topic\":\"t\",\"valu\":1}\n").expect_err("refused");
        assert!(error.starts_with("line 3 ") && error.contains("valu"), "{error}");
    }
}
