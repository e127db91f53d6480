//! What a connection has still to send: encoded replies in order, each held back until the log is durable up to what it depends on.
//!
//! A value that lives in the log, or is shared with other connections, is a hole in the encoded bytes, filled when its gate is
//! open. Nothing here leaves before its gate, and nothing overtakes. Knows no command.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};

use super::error::CommandError;
use super::mapping;
use super::wire::{Protocol, ReplyWriter};
use crate::delivery::RecordReader;
use crate::delivery::series::{Span, Stamp};
use crate::log::{Barrier, Partition, ReadError};

/// How much is made ready for the socket at a time, in bytes.
const STAGE_BYTES: usize = 256 * 1024;

/// Shared bytes up to here are copied at once: a hole costs more.
const COPIED_BYTES_MAX: usize = 4 * 1024;

/// Stands in the encoded bytes for a value that is still to be read, so that each value has a position of its own.
const PLACE_HOLDER: &[u8] = b"?";

#[derive(Debug)]
struct Gate {
    end: u64,
    barrier: Barrier,
}

#[derive(Debug)]
struct Hole {
    at: u64,
    filling: Filling,
}

#[derive(Debug)]
enum Filling {
    /// One or more values that follow one another; what is left of them.
    Values {
        partition: Arc<Partition>,
        offsets: Range<u64>,
        falling: bool,
        protocol: Protocol,
    },
    /// One or more stream entries. `first`: the first offset there was, whose id stands in the span.
    Entries {
        partition: Arc<Partition>,
        first: u64,
        span: Span,
        backwards: bool,
        protocol: Protocol,
    },
    Shared(Bytes),
}

impl Hole {
    /// A measure of what it holds in memory.
    fn held_bytes(&self) -> usize {
        match &self.filling {
            Filling::Values { .. } | Filling::Entries { .. } => 64,
            Filling::Shared(bytes) => bytes.len(),
        }
    }
}

/// Where the outbox stood: to take back what a command has written.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    bytes: usize,
    holes: usize,
}

/// The replies and pushes of one connection that are not sent yet.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Encoded, not yet staged. Its first byte is at position `base` of the reply stream.
    buffer: BytesMut,
    base: u64,
    gates: VecDeque<Gate>,
    holes: VecDeque<Hole>,
    /// What the holes hold.
    hole_bytes: usize,
    /// Up to here the gates are open.
    released: u64,
    /// Ready for the socket.
    stage: BytesMut,
}

impl Outbox {
    /// A writer at the end.
    pub fn writer(&mut self, protocol: Protocol) -> ReplyWriter<'_> {
        ReplyWriter::new(&mut self.buffer, protocol)
    }

    /// Puts the value of a record at the end, to be read when its gate is open.
    pub fn value(&mut self, protocol: Protocol, partition: Arc<Partition>, offset: u64) {
        self.values(protocol, partition, offset..offset + 1, false);
    }

    /// Puts the values of neighbouring records at the end, from the highest offset down if they are `falling`.
    pub fn values(&mut self, protocol: Protocol, partition: Arc<Partition>, offsets: Range<u64>, falling: bool) {
        if !offsets.is_empty() {
            self.dig(Filling::Values { partition, offsets, falling, protocol });
        }
    }

    /// Puts neighbouring stream entries at the end, from the last to the first if `backwards`.
    pub fn entries(&mut self, protocol: Protocol, partition: Arc<Partition>, span: Span, backwards: bool) {
        if !span.offsets.is_empty() {
            self.dig(Filling::Entries { partition, first: span.offsets.start, span, backwards, protocol });
        }
    }

    /// Puts encoded bytes that other connections send too at the end.
    pub fn shared(&mut self, bytes: &Bytes) {
        if bytes.len() <= COPIED_BYTES_MAX {
            self.buffer.extend_from_slice(bytes);
        } else {
            self.dig(Filling::Shared(bytes.clone()));
        }
    }

    fn dig(&mut self, filling: Filling) {
        let hole = Hole { at: self.end(), filling };
        self.hole_bytes += hole.held_bytes();
        self.holes.push_back(hole);
        self.buffer.extend_from_slice(PLACE_HOLDER);
    }

    /// Holds back everything written since the last gate until the log is durable up to `barrier`.
    pub fn gate(&mut self, barrier: Barrier) {
        let end = self.end();
        if end == self.gates.back().map_or(self.released, |last| last.end) {
            return;
        }
        match self.gates.back_mut() {
            Some(last) if last.barrier.covers(barrier) => last.end = end,
            _ => self.gates.push_back(Gate { end, barrier }),
        }
    }

    /// Where the outbox stands.
    pub fn mark(&self) -> Mark {
        Mark { bytes: self.buffer.len(), holes: self.holes.len() }
    }

    /// Whether something was written since.
    pub fn has_grown(&self, since: Mark) -> bool {
        self.buffer.len() > since.bytes
    }

    /// Takes back what was written since.
    pub fn truncate(&mut self, to: Mark) {
        self.buffer.truncate(to.bytes);
        let taken_back = self.holes.drain(to.holes.min(self.holes.len())..);
        self.hole_bytes -= taken_back.map(|hole| hole.held_bytes()).sum::<usize>();
    }

    /// A measure of what waits, in bytes.
    pub fn waiting_bytes(&self) -> usize {
        self.buffer.len() + self.stage.len() + self.hole_bytes
    }

    /// Whether all is sent.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty() && self.stage.is_empty()
    }

    /// The gate that holds back the next bytes, if one does.
    pub fn closed_gate(&self) -> Option<Barrier> {
        self.gates.front().map(|gate| gate.barrier)
    }

    /// Whether something is ready for the socket.
    pub fn has_ready(&self) -> bool {
        !self.stage.is_empty() || self.base < self.released
    }

    /// Opens the gates that the log has reached.
    pub fn open_gates(&mut self, is_durable: impl Fn(Barrier) -> bool) {
        while let Some(gate) = self.gates.front() {
            if !is_durable(gate.barrier) {
                return;
            }
            self.released = gate.end;
            self.gates.pop_front();
        }
    }

    /// Writes what is ready with as few calls as possible, until all of it is gone or `write` would block.
    ///
    /// # Errors
    /// What `write` answers, `WouldBlock` excepted; a write of nothing is [`io::ErrorKind::WriteZero`].
    pub fn send(&mut self, reader: &mut RecordReader, mut write: impl FnMut(&[u8]) -> io::Result<usize>) -> io::Result<u64> {
        let mut sent = 0;
        loop {
            self.fill_stage(reader);
            if self.stage.is_empty() {
                self.give_back_memory();
                return Ok(sent);
            }
            match write(&self.stage) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    self.stage.advance(n);
                    sent += n as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(sent),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn end(&self) -> u64 {
        self.base + self.buffer.len() as u64
    }

    fn fill_stage(&mut self, reader: &mut RecordReader) {
        while self.stage.len() < STAGE_BYTES {
            let hole_at = self.holes.front().map(|hole| hole.at).filter(|at| *at < self.released);
            self.stage_plain(hole_at.unwrap_or(self.released));
            if hole_at.is_none() {
                return;
            }
            let Some(hole) = self.holes.front_mut() else { return };
            if fill(&mut self.stage, reader, &mut hole.filling) {
                self.hole_bytes -= hole.held_bytes();
                self.holes.pop_front();
                self.buffer.advance(PLACE_HOLDER.len());
                self.base += PLACE_HOLDER.len() as u64;
            }
        }
    }

    fn stage_plain(&mut self, upto: u64) {
        let len = usize::try_from(upto.saturating_sub(self.base)).unwrap_or(usize::MAX).min(self.buffer.len());
        if len == 0 {
            return;
        }
        self.base += len as u64;
        if self.stage.is_empty() {
            self.stage = self.buffer.split_to(len);
        } else {
            let plain = self.buffer.split_to(len);
            self.stage.extend_from_slice(&plain);
        }
    }

    /// An idle connection keeps no buffer.
    fn give_back_memory(&mut self) {
        self.stage = BytesMut::new();
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
            self.holes.shrink_to(16);
            self.gates.shrink_to(16);
        }
    }
}

/// Writes the next of what stands in a hole; true if that was all.
fn fill(out: &mut BytesMut, reader: &mut RecordReader, filling: &mut Filling) -> bool {
    match filling {
        Filling::Shared(bytes) => {
            out.extend_from_slice(bytes);
            true
        }
        Filling::Values { partition, offsets, falling, protocol } => {
            let next = if *falling { offsets.next_back() } else { offsets.next() };
            if let Some(offset) = next {
                render(&mut ReplyWriter::new(out, *protocol), reader, partition, offset);
            }
            offsets.is_empty()
        }
        Filling::Entries { partition, first, span, backwards, protocol } => {
            let next = if *backwards { span.offsets.next_back() } else { span.offsets.next() };
            if let Some(offset) = next {
                let given = span.given.map(|stamp| stamp.plus(offset - *first));
                render_entry(&mut ReplyWriter::new(out, *protocol), reader, partition, offset, given);
            }
            span.offsets.is_empty()
        }
    }
}

/// Writes an entry: its id, and its fields and values in turn.
fn render_entry(
    writer: &mut ReplyWriter<'_>,
    reader: &mut RecordReader,
    partition: &Partition,
    offset: u64,
    given: Option<Stamp>,
) {
    let found = reader.record(partition, offset);
    if let Err(error @ (ReadError::Corrupt { .. } | ReadError::Io(_))) = &found {
        tracing::error!(%error, "a record that was acknowledged cannot be read");
    }
    let (own, fields) = found.as_ref().map_or((None, None), |record| {
        let (own, fields) = mapping::fields(record);
        (own, Some(fields))
    });
    writer.array(2);
    match given.or(own) {
        Some(stamp) => writer.bulk(stamp.to_string().as_bytes()),
        None => writer.null(),
    }
    match fields {
        Some(fields) => {
            writer.array(fields.len() * 2);
            fields.into_iter().for_each(|(name, value)| {
                writer.bulk(name);
                writer.bulk(value);
            });
        }
        // Retention took it between the command and now, or it cannot be read: an entry without fields.
        None => writer.null_array(),
    }
}

fn render(writer: &mut ReplyWriter<'_>, reader: &mut RecordReader, partition: &Partition, offset: u64) {
    match reader.record(partition, offset) {
        Ok(record) => writer.bulk(mapping::payload(&record)),
        // Retention took it between the command and now: as if it had never been there.
        Err(ReadError::OutOfRange { .. }) => writer.null(),
        Err(error @ (ReadError::Corrupt { .. } | ReadError::Io(_))) => {
            tracing::error!(%error, "a record that was acknowledged cannot be read");
            writer.error(&CommandError::Unreadable(error.to_string()).to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::{Delivery, Kind, Target};
    use crate::log::record::Record;
    use crate::log::{LogSettings, TopicName, TopicSettings};

    /// A log with the records `zero`, `one`, `two`.
    fn delivery(directory: &std::path::Path) -> (Delivery, Arc<Partition>) {
        let delivery = Delivery::open(LogSettings { directory: directory.to_owned(), ..LogSettings::default() }).expect("opens");
        let name = TopicName::new("t").expect("a name");
        let mut unit = delivery.begin().expect("begins");
        let topic = unit.create_topic(&name, 1, TopicSettings::default()).expect("is made");
        for value in ["zero", "one", "two"] {
            let record: Record = mapping::record(value.into(), 1);
            unit.append(&[Target { topic: Arc::clone(&topic), partition: 0 }], &record, Kind::Queued);
        }
        unit.commit();
        (delivery, topic.partition(0).expect("a partition"))
    }

    fn sent(out: &mut Outbox, reader: &mut RecordReader) -> String {
        let mut bytes = Vec::new();
        out.send(reader, |some| {
            // One byte at a time: a socket takes what it likes.
            bytes.extend_from_slice(some.get(..1).unwrap_or_default());
            Ok(1)
        })
        .expect("sends");
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn nothing_leaves_before_its_gate_and_nothing_overtakes() {
        let directory = tempfile::tempdir().expect("a directory");
        let (delivery, partition) = delivery(directory.path());
        let (mut out, mut reader) = (Outbox::default(), delivery.reader());
        out.writer(Protocol::Resp2).ok();
        out.gate(Barrier::NONE);
        out.value(Protocol::Resp2, Arc::clone(&partition), 1);
        out.gate(Barrier::NEVER);
        out.writer(Protocol::Resp2).integer(1);
        out.value(Protocol::Resp2, partition, 2);
        out.gate(Barrier::NONE);
        out.open_gates(|barrier| barrier == Barrier::NONE);
        assert_eq!(sent(&mut out, &mut reader), "+OK\r\n");
        assert_eq!(out.closed_gate(), Some(Barrier::NEVER));
        out.open_gates(|_| true);
        assert_eq!(sent(&mut out, &mut reader), "$3\r\none\r\n:1\r\n$3\r\ntwo\r\n");
        assert!(out.is_empty() && out.closed_gate().is_none());
        delivery.close().expect("closes");
    }

    #[test]
    fn a_full_socket_keeps_the_rest() {
        let directory = tempfile::tempdir().expect("a directory");
        let (delivery, partition) = delivery(directory.path());
        let (mut out, mut reader) = (Outbox::default(), delivery.reader());
        (0..3).for_each(|offset| out.value(Protocol::Resp3, Arc::clone(&partition), offset));
        out.gate(Barrier::NONE);
        out.open_gates(|_| true);
        let mut room = Some(4);
        let wrote = out.send(&mut reader, |_| room.take().ok_or_else(|| io::ErrorKind::WouldBlock.into())).expect("sends");
        assert_eq!((wrote, out.has_ready()), (4, true));
        assert_eq!(sent(&mut out, &mut reader), "zero\r\n$3\r\none\r\n$3\r\ntwo\r\n");
        delivery.close().expect("closes");
    }

    #[test]
    fn what_is_shared_is_counted_until_it_is_sent_and_keeps_its_place() {
        let directory = tempfile::tempdir().expect("a directory");
        let (delivery, _) = delivery(directory.path());
        let (mut out, mut reader) = (Outbox::default(), delivery.reader());
        let (short, long) = (Bytes::from_static(b"short"), Bytes::from(vec![b'x'; 5000]));
        out.shared(&short);
        out.shared(&long);
        let mark = out.mark();
        out.shared(&long);
        out.truncate(mark);
        out.writer(Protocol::Resp2).ok();
        assert!((5000..5100).contains(&out.waiting_bytes()));
        out.gate(Barrier::NONE);
        out.open_gates(|_| true);
        assert_eq!(sent(&mut out, &mut reader), format!("short{}+OK\r\n", "x".repeat(5000)));
        assert_eq!(out.waiting_bytes(), 0);
        delivery.close().expect("closes");
    }

    #[test]
    fn what_is_taken_back_is_never_sent() {
        let directory = tempfile::tempdir().expect("a directory");
        let (delivery, partition) = delivery(directory.path());
        let (mut out, mut reader) = (Outbox::default(), delivery.reader());
        out.writer(Protocol::Resp2).ok();
        let mark = out.mark();
        out.value(Protocol::Resp2, Arc::clone(&partition), 0);
        out.writer(Protocol::Resp2).integer(9);
        out.truncate(mark);
        out.value(Protocol::Resp2, partition, 1);
        out.gate(Barrier::NONE);
        out.open_gates(|_| true);
        assert_eq!(sent(&mut out, &mut reader), "+OK\r\n$3\r\none\r\n");
        delivery.close().expect("closes");
    }
}
