//! The reply writer for both protocol versions.
//!
//! Types that only RESP3 has are written as Redis writes them for RESP2: maps as flat arrays, sets and pushes as arrays, null as
//! a null bulk string or array. Writes into a buffer and never fails.

use bytes::{BufMut, BytesMut};

use super::number::put_integer;

/// The version of the protocol that a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    #[default]
    Resp2,
    Resp3,
}

impl Protocol {
    /// The number in `HELLO`.
    pub const fn number(self) -> i64 {
        match self {
            Self::Resp2 => 2,
            Self::Resp3 => 3,
        }
    }
}

/// Appends replies to a buffer in one version of the protocol.
#[derive(Debug)]
pub struct ReplyWriter<'b> {
    out: &'b mut BytesMut,
    protocol: Protocol,
}

impl<'b> ReplyWriter<'b> {
    pub fn new(out: &'b mut BytesMut, protocol: Protocol) -> Self {
        Self { out, protocol }
    }

    /// `+OK`.
    pub fn ok(&mut self) {
        self.out.put_slice(b"+OK\r\n");
    }

    /// A simple string. `text` must have no line end.
    pub fn simple(&mut self, text: &str) {
        self.line(b'+', text.as_bytes());
    }

    /// An error; line ends in the text become spaces.
    pub fn error(&mut self, text: &str) {
        self.out.put_u8(b'-');
        self.out.extend(text.bytes().map(|b| if b == b'\r' || b == b'\n' { b' ' } else { b }));
        self.out.put_slice(b"\r\n");
    }

    pub fn integer(&mut self, value: i64) {
        self.header(b':', value);
    }

    /// An integer from a count.
    pub fn count(&mut self, value: u64) {
        self.integer(i64::try_from(value).unwrap_or(i64::MAX));
    }

    pub fn bulk(&mut self, bytes: &[u8]) {
        self.out.reserve(bytes.len() + 16);
        self.header(b'$', bytes.len() as i64);
        self.out.put_slice(bytes);
        self.out.put_slice(b"\r\n");
    }

    /// A text of several lines, shown as such by RESP3 clients.
    pub fn verbatim(&mut self, text: &str) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(text.as_bytes()),
            Protocol::Resp3 => {
                self.header(b'=', text.len() as i64 + 4);
                self.out.put_slice(b"txt:");
                self.out.put_slice(text.as_bytes());
                self.out.put_slice(b"\r\n");
            }
        }
    }

    pub fn array(&mut self, len: usize) {
        self.header(b'*', len as i64);
    }

    /// A map of `len` pairs.
    pub fn map(&mut self, len: usize) {
        match self.protocol {
            Protocol::Resp2 => self.header(b'*', len as i64 * 2),
            Protocol::Resp3 => self.header(b'%', len as i64),
        }
    }

    pub fn set(&mut self, len: usize) {
        match self.protocol {
            Protocol::Resp2 => self.header(b'*', len as i64),
            Protocol::Resp3 => self.header(b'~', len as i64),
        }
    }

    pub fn push(&mut self, len: usize) {
        match self.protocol {
            Protocol::Resp2 => self.header(b'*', len as i64),
            Protocol::Resp3 => self.header(b'>', len as i64),
        }
    }

    /// The absence of a string.
    pub fn null(&mut self) {
        self.out.put_slice(match self.protocol {
            Protocol::Resp2 => b"$-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// The absence of an array.
    pub fn null_array(&mut self) {
        self.out.put_slice(match self.protocol {
            Protocol::Resp2 => b"*-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    fn header(&mut self, kind: u8, value: i64) {
        self.out.reserve(24);
        self.out.put_u8(kind);
        put_integer(self.out, value);
        self.out.put_slice(b"\r\n");
    }

    fn line(&mut self, kind: u8, text: &[u8]) {
        self.out.put_u8(kind);
        self.out.put_slice(text);
        self.out.put_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn written(protocol: Protocol, write: impl FnOnce(&mut ReplyWriter<'_>)) -> Bytes {
        let mut out = BytesMut::new();
        write(&mut ReplyWriter::new(&mut out, protocol));
        out.freeze()
    }

    fn everything(w: &mut ReplyWriter<'_>) {
        w.array(9);
        w.ok();
        w.error("ERR a\r\nb");
        w.integer(-7);
        w.bulk(b"a\r\nb");
        w.verbatim("text");
        w.map(1);
        w.simple("k");
        w.null();
        w.set(0);
        w.null_array();
        w.count(3);
    }

    #[test]
    fn resp2_has_only_resp2_types() {
        let bytes = written(Protocol::Resp2, everything);
        let expected: &[u8] =
            b"*9\r\n+OK\r\n-ERR a  b\r\n:-7\r\n$4\r\na\r\nb\r\n$4\r\ntext\r\n*2\r\n+k\r\n$-1\r\n*0\r\n*-1\r\n:3\r\n";
        assert_eq!(bytes, expected);
        let (_, rest) = resp_rs::resp2::parse_frame(bytes).expect("the oracle reads it");
        assert!(rest.is_empty());
    }

    #[test]
    fn resp3_has_its_own_types() {
        let bytes = written(Protocol::Resp3, everything);
        let expected: &[u8] =
            b"*9\r\n+OK\r\n-ERR a  b\r\n:-7\r\n$4\r\na\r\nb\r\n=8\r\ntxt:text\r\n%1\r\n+k\r\n_\r\n~0\r\n_\r\n:3\r\n";
        assert_eq!(bytes, expected);
        let (_, rest) = resp_rs::resp3::parse_frame(bytes).expect("the oracle reads it");
        assert!(rest.is_empty());
        assert_eq!(written(Protocol::Resp3, |w| w.push(2)), &b">2\r\n"[..]);
    }
}
