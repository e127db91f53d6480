//! How durable exchanges, queues and bindings are written: keys and values of the dialect's keyed state.
//!
//! A key is a letter, the virtual host and the names; a value is a version, then fields of the wire. What does not decode is skipped
//! by the loader with a warning, never a reason not to start.

use bytes::{Bytes, BytesMut};

use crate::dialect::amqp::wire::WireError;
use crate::dialect::amqp::wire::field::{Reader, Writer};

const VERSION: u8 = 1;

/// One durable thing, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    Exchange { vhost: Bytes, name: Bytes, kind: Bytes, auto_delete: bool, internal: bool, arguments: Bytes },
    Queue { vhost: Bytes, name: Bytes, auto_delete: bool, foreign: bool, arguments: Bytes },
    Binding { vhost: Bytes, source: Bytes, to_exchange: bool, destination: Bytes, key: Bytes, arguments: Bytes },
}

impl Stored {
    pub fn key(&self) -> Bytes {
        let mut out = BytesMut::new();
        let mut writer = Writer::new(&mut out);
        match self {
            Self::Exchange { vhost, name, .. } => put_key(&mut writer, b'e', &[vhost, name]),
            Self::Queue { vhost, name, .. } => put_key(&mut writer, b'q', &[vhost, name]),
            Self::Binding { vhost, source, to_exchange, destination, key, arguments } => {
                put_key(&mut writer, if *to_exchange { b'x' } else { b'b' }, &[vhost, source, destination, key, arguments]);
            }
        }
        writer.finish();
        out.freeze()
    }

    pub fn value(&self) -> Bytes {
        let mut out = BytesMut::new();
        let mut writer = Writer::new(&mut out);
        writer.octet(VERSION);
        match self {
            Self::Exchange { kind, auto_delete, internal, arguments, .. } => {
                writer.bit(*auto_delete);
                writer.bit(*internal);
                writer.longstr(kind);
                writer.table(arguments);
            }
            Self::Queue { auto_delete, foreign, arguments, .. } => {
                writer.bit(*auto_delete);
                writer.bit(*foreign);
                writer.table(arguments);
            }
            Self::Binding { .. } => {}
        }
        writer.finish();
        out.freeze()
    }

    /// Reads what [`key`](Self::key) and [`value`](Self::value) wrote; `None` for an unknown letter or version.
    pub fn decode(key: &[u8], value: &[u8]) -> Result<Option<Self>, WireError> {
        let (mut key, mut value) = (Reader::new(key), Reader::new(value));
        let letter = key.octet()?;
        if value.octet()? != VERSION {
            return Ok(None);
        }
        let mut name = || key.longstr().map(Bytes::copy_from_slice);
        Ok(Some(match letter {
            b'e' => Self::Exchange {
                vhost: name()?,
                name: name()?,
                auto_delete: value.bit()?,
                internal: value.bit()?,
                kind: Bytes::copy_from_slice(value.longstr()?),
                arguments: Bytes::copy_from_slice(value.table()?),
            },
            b'q' => Self::Queue {
                vhost: name()?,
                name: name()?,
                auto_delete: value.bit()?,
                foreign: value.bit()?,
                arguments: Bytes::copy_from_slice(value.table()?),
            },
            b'b' | b'x' => Self::Binding {
                vhost: name()?,
                source: name()?,
                to_exchange: letter == b'x',
                destination: name()?,
                key: name()?,
                arguments: name()?,
            },
            _ => return Ok(None),
        }))
    }

    /// Exchanges and queues are loaded before the bindings between them.
    pub fn load_order(&self) -> u8 {
        match self {
            Self::Exchange { .. } => 0,
            Self::Queue { .. } => 1,
            Self::Binding { .. } => 2,
        }
    }
}

fn put_key(writer: &mut Writer<'_>, letter: u8, names: &[&Bytes]) {
    writer.octet(letter);
    for name in names {
        writer.longstr(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_comes_back() {
        let b = Bytes::from_static;
        let all = [
            Stored::Exchange {
                vhost: b(b"/"),
                name: b(b"e"),
                kind: b(b"topic"),
                auto_delete: true,
                internal: false,
                arguments: b(b"\x01at\x01"),
            },
            Stored::Queue { vhost: b(b"/"), name: b(b"q"), auto_delete: false, foreign: true, arguments: b(b"") },
            Stored::Binding {
                vhost: b(b"v"),
                source: b(b"e"),
                to_exchange: true,
                destination: b(b"f"),
                key: b(b"#"),
                arguments: b(b""),
            },
        ];
        for stored in all {
            assert_eq!(Stored::decode(&stored.key(), &stored.value()), Ok(Some(stored)));
        }
        assert_eq!(Stored::decode(b"z", &[VERSION]), Ok(None));
        assert_eq!(Stored::decode(b"e", &[VERSION]), Err(WireError::Truncated));
    }
}
