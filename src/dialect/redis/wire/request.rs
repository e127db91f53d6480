//! The request parser: RESP arrays of bulk strings, and inline commands.
//!
//! Arguments are slices of the read buffer, not copies. Memory follows what has arrived, never what a frame claims. Progress in a
//! partial command is remembered, so each byte is looked at once. Limits and error texts are those of Redis 7.

use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};

use super::number;

/// The longest inline command, and the longest line that gives a length, in bytes.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// What a client may send.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Arguments a command, its name included.
    pub arguments_max: usize,
    /// Bytes an argument.
    pub bulk_bytes_max: usize,
    /// Whether the client has still to log in: changes the words of the errors.
    pub before_login: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self { arguments_max: 1024 * 1024, bulk_bytes_max: 512 * 1024 * 1024, before_login: false }
    }
}

impl Limits {
    /// The limits of a client that has not logged in yet.
    pub const BEFORE_LOGIN: Self = Self { arguments_max: 10, bulk_bytes_max: 16 * 1024, before_login: true };
}

/// A request that breaks the protocol. The connection is closed after the error is sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    #[error("Protocol error: too big inline request")]
    InlineTooLong,
    #[error("Protocol error: unbalanced quotes in request")]
    UnbalancedQuotes,
    #[error("Protocol error: too big mbulk count string")]
    CountLineTooLong,
    #[error("Protocol error: invalid multibulk length")]
    InvalidCount,
    #[error("Protocol error: unauthenticated multibulk length")]
    CountBeforeLogin,
    #[error("Protocol error: too big bulk count string")]
    LengthLineTooLong,
    #[error("Protocol error: expected '$', got '{}'", printable(*.0))]
    ExpectedBulk(u8),
    #[error("Protocol error: invalid bulk length")]
    InvalidLength,
    #[error("Protocol error: unauthenticated bulk length")]
    LengthBeforeLogin,
}

fn printable(byte: u8) -> char {
    if byte.is_ascii_graphic() || byte == b' ' { char::from(byte) } else { ' ' }
}

/// Complete commands, in the order of their arrival.
#[derive(Debug, Default)]
pub struct Batch {
    arguments: Vec<Bytes>,
    ends: Vec<usize>,
    served: usize,
}

/// Where a command's arguments lie in a [`Batch`].
#[derive(Debug, Clone)]
pub struct CommandAt(Range<usize>);

impl Batch {
    /// The commands that wait.
    pub fn waiting(&self) -> usize {
        self.ends.len() - self.served
    }

    /// Takes the next command off the queue. Its arguments stay readable until the batch is refilled.
    pub fn next_command(&mut self) -> Option<CommandAt> {
        let end = *self.ends.get(self.served)?;
        let start = self.served.checked_sub(1).and_then(|i| self.ends.get(i)).copied().unwrap_or(0);
        self.served += 1;
        Some(CommandAt(start..end))
    }

    /// The arguments of a command, its name first.
    pub fn arguments(&self, at: &CommandAt) -> &[Bytes] {
        self.arguments.get(at.0.clone()).unwrap_or_default()
    }

    /// Forgets the commands that were served, and gives back memory that a large batch took.
    pub fn clear_served(&mut self) {
        if self.waiting() > 0 {
            return;
        }
        self.served = 0;
        if self.arguments.capacity() > 256 {
            (self.arguments, self.ends) = (Vec::new(), Vec::new());
        } else {
            self.arguments.clear();
            self.ends.clear();
        }
    }
}

/// One argument, before the buffer it lies in is frozen.
#[derive(Debug)]
enum Span {
    InBuffer { start: usize, len: usize },
    Unquoted(Bytes),
}

/// The state of the command in progress.
#[derive(Debug, Default, Clone, Copy)]
enum Expect {
    #[default]
    Command,
    Length {
        remaining: usize,
    },
    Argument {
        remaining: usize,
        len: usize,
    },
}

/// An incremental request parser. One a connection.
#[derive(Debug, Default)]
pub struct Parser {
    expect: Expect,
    spans: Vec<Span>,
    /// The next byte to read, from the start of the buffer.
    at: usize,
    /// Up to here no line end was found.
    scanned: usize,
}

impl Parser {
    /// Moves all complete commands of `buffer` (at most `commands_max`) into `batch`. What is left in the buffer is incomplete.
    ///
    /// # Errors
    /// The first violation. The commands before it are in the batch and should be served first; the parser must not be used again.
    pub fn parse(
        &mut self,
        buffer: &mut BytesMut,
        limits: &Limits,
        commands_max: usize,
        batch: &mut Batch,
    ) -> Result<(), ProtocolError> {
        batch.clear_served();
        let (mut done_bytes, mut done_spans, mut found) = (0, 0, 0);
        let base = batch.arguments.len();
        let outcome = loop {
            if found >= commands_max {
                break Ok(());
            }
            match self.step(buffer, limits) {
                Ok(true) => {
                    done_bytes = self.at;
                    if self.spans.len() > done_spans {
                        done_spans = self.spans.len();
                        batch.ends.push(base + done_spans);
                        found += 1;
                    }
                }
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.hand_over(buffer, done_bytes, done_spans, batch);
        outcome
    }

    /// Whether a command has arrived in part.
    pub fn is_inside_command(&self) -> bool {
        !matches!(self.expect, Expect::Command)
    }

    fn hand_over(&mut self, buffer: &mut BytesMut, bytes: usize, spans: usize, batch: &mut Batch) {
        if bytes == 0 {
            return;
        }
        if spans == 0 {
            buffer.advance(bytes);
        } else {
            let frozen = buffer.split_to(bytes).freeze();
            batch.arguments.extend(self.spans.drain(..spans).map(|span| match span {
                Span::InBuffer { start, len } => frozen.slice(start..start + len),
                Span::Unquoted(bytes) => bytes,
            }));
        }
        for span in &mut self.spans {
            if let Span::InBuffer { start, .. } = span {
                *start -= bytes;
            }
        }
        self.at -= bytes;
        self.scanned = self.scanned.saturating_sub(bytes);
    }

    /// Reads one command. `true`: a command (or an empty line) is complete; `false`: more bytes are needed.
    fn step(&mut self, buffer: &[u8], limits: &Limits) -> Result<bool, ProtocolError> {
        if matches!(self.expect, Expect::Command) {
            match buffer.get(self.at) {
                None => return Ok(false),
                Some(b'*') => match self.count(buffer, limits)? {
                    None => return Ok(false),
                    Some(0) => return Ok(true),
                    Some(remaining) => self.expect = Expect::Length { remaining },
                },
                Some(_) => return self.inline(buffer),
            }
        }
        loop {
            match self.expect {
                Expect::Command => return Ok(true),
                Expect::Length { remaining } => match self.length(buffer, limits)? {
                    None => return Ok(false),
                    Some(len) => self.expect = Expect::Argument { remaining, len },
                },
                Expect::Argument { remaining, len } => {
                    if buffer.len() - self.at < len + 2 {
                        return Ok(false);
                    }
                    self.spans.push(Span::InBuffer { start: self.at, len });
                    self.advance_to(self.at + len + 2);
                    self.expect = if remaining > 1 { Expect::Length { remaining: remaining - 1 } } else { Expect::Command };
                }
            }
        }
    }

    fn advance_to(&mut self, at: usize) {
        (self.at, self.scanned) = (at, at);
    }

    /// The line that starts at `self.at`, up to the carriage return; `None` when it has not arrived whole.
    fn header_line<'b>(&mut self, buffer: &'b [u8], too_long: ProtocolError) -> Result<Option<&'b [u8]>, ProtocolError> {
        let from = self.scanned.max(self.at);
        let unseen = buffer.get(from..).unwrap_or_default();
        match memchr::memchr(b'\r', unseen) {
            Some(found) => {
                let end = from + found;
                self.scanned = end;
                if buffer.len() < end + 2 {
                    return Ok(None);
                }
                let line = buffer.get(self.at..end);
                self.advance_to(end + 2);
                Ok(line)
            }
            None if buffer.len() - self.at > LINE_BYTES_MAX => Err(too_long),
            None => {
                self.scanned = buffer.len();
                Ok(None)
            }
        }
    }

    fn count(&mut self, buffer: &[u8], limits: &Limits) -> Result<Option<usize>, ProtocolError> {
        let Some(line) = self.header_line(buffer, ProtocolError::CountLineTooLong)? else { return Ok(None) };
        let count = line.get(1..).and_then(number::integer).ok_or(ProtocolError::InvalidCount)?;
        let count = usize::try_from(count).unwrap_or(0);
        if count > limits.arguments_max {
            return Err(if limits.before_login { ProtocolError::CountBeforeLogin } else { ProtocolError::InvalidCount });
        }
        Ok(Some(count))
    }

    fn length(&mut self, buffer: &[u8], limits: &Limits) -> Result<Option<usize>, ProtocolError> {
        let Some(line) = self.header_line(buffer, ProtocolError::LengthLineTooLong)? else { return Ok(None) };
        match line.first() {
            Some(b'$') => {}
            Some(other) => return Err(ProtocolError::ExpectedBulk(*other)),
            None => return Err(ProtocolError::ExpectedBulk(b'\r')),
        }
        let length = line.get(1..).and_then(number::integer).ok_or(ProtocolError::InvalidLength)?;
        let length = usize::try_from(length).map_err(|_| ProtocolError::InvalidLength)?;
        if length > limits.bulk_bytes_max {
            return Err(if limits.before_login { ProtocolError::LengthBeforeLogin } else { ProtocolError::InvalidLength });
        }
        Ok(Some(length))
    }

    fn inline(&mut self, buffer: &[u8]) -> Result<bool, ProtocolError> {
        let from = self.scanned.max(self.at);
        let Some(found) = memchr::memchr(b'\n', buffer.get(from..).unwrap_or_default()) else {
            if buffer.len() - self.at > LINE_BYTES_MAX {
                return Err(ProtocolError::InlineTooLong);
            }
            self.scanned = buffer.len();
            return Ok(false);
        };
        let end = from + found;
        let line = buffer.get(self.at..end).unwrap_or_default();
        if line.len() > LINE_BYTES_MAX {
            return Err(ProtocolError::InlineTooLong);
        }
        split_words(line.strip_suffix(b"\r").unwrap_or(line), &mut self.spans)?;
        self.advance_to(end + 1);
        Ok(true)
    }
}

/// Splits an inline command into words; `"` allows escapes, `'` only `\'`.
fn split_words(line: &[u8], words: &mut Vec<Span>) -> Result<(), ProtocolError> {
    let mut rest = line;
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() || rest.first() == Some(&0) {
            return Ok(());
        }
        let mut word = Vec::new();
        rest = read_word(rest, &mut word)?;
        words.push(Span::Unquoted(word.into()));
    }
}

fn read_word<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], ProtocolError> {
    loop {
        match rest {
            [b'"', after @ ..] => return end_of_quoted(double_quoted(after, word)?),
            [b'\'', after @ ..] => return end_of_quoted(single_quoted(after, word)?),
            [] | [0, ..] => return Ok(&[]),
            [byte, after @ ..] if byte.is_ascii_whitespace() => return Ok(after),
            [byte, after @ ..] => {
                word.push(*byte);
                rest = after;
            }
        }
    }
}

/// A closing quote ends the word: what follows must be white space.
fn end_of_quoted(rest: &[u8]) -> Result<&[u8], ProtocolError> {
    match rest.first() {
        Some(byte) if !byte.is_ascii_whitespace() => Err(ProtocolError::UnbalancedQuotes),
        _ => Ok(rest),
    }
}

fn double_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], ProtocolError> {
    loop {
        rest = match rest {
            [] => return Err(ProtocolError::UnbalancedQuotes),
            [b'"', after @ ..] => return Ok(after),
            [b'\\', b'x', high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                word.push(hex_digit(*high) << 4 | hex_digit(*low));
                after
            }
            [b'\\', escaped, after @ ..] => {
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                });
                after
            }
            [byte, after @ ..] => {
                word.push(*byte);
                after
            }
        };
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], ProtocolError> {
    loop {
        rest = match rest {
            [] => return Err(ProtocolError::UnbalancedQuotes),
            [b'\'', after @ ..] => return Ok(after),
            [b'\\', b'\'', after @ ..] => {
                word.push(b'\'');
                after
            }
            [byte, after @ ..] => {
                word.push(*byte);
                after
            }
        };
    }
}

fn hex_digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        _ => byte.wrapping_sub(b'A').wrapping_add(10),
    }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
