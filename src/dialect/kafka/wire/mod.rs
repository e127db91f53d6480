//! Kafka's wire protocol: bytes in, messages out, and back. No I/O, no clock, and nothing of what a message means.
//!
//! [`frame`] cuts the stream, [`header`] reads who asks for what, [`message`] has one file an API key, written by a script
//! from Kafka's definitions on top of [`source`] and [`writer`]. Nothing is allocated because a frame claims it.

pub mod frame;
pub mod header;
pub mod message;
pub mod source;
pub mod writer;

#[cfg(test)]
mod oracle_test;

use bytes::{Bytes, BytesMut};

pub use header::RequestHeader;
pub use source::{Reader, Source};
pub use writer::Writer;

/// A 128-bit identifier, as Kafka sends topic ids; zero means "none".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct Uuid(pub u128);

impl Uuid {
    pub const ZERO: Uuid = Uuid(0);
}

/// Why bytes are not the message they claim to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    #[error("the message ends before its {0}")]
    Short(&'static str),
    #[error("{0} has the impossible length {1}")]
    Length(&'static str, i64),
    #[error("a string is not UTF-8")]
    Utf8,
    #[error("a variable-length integer is longer than its type")]
    Varint,
    #[error("{0} is null where null is not allowed")]
    Null(&'static str),
    #[error("a tagged field does not have the length it claims")]
    Tag,
    #[error("the message would take more memory than its size allows")]
    Budget,
    #[error("API key {key} has no version {version}")]
    Version { key: i16, version: i16 },
}

/// What every structure of the protocol can do, nested ones included.
pub trait Fields: Sized {
    /// Reads the structure as `version` sends it; fields that the version lacks get their defaults.
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError>;
    /// Writes the structure as `version` sends it; fields that the version lacks are left out.
    fn encode(&self, w: &mut Writer<'_>, version: i16);
}

/// A request or a response.
pub trait Message: Fields + Default {
    const KEY: i16;
    const NAME: &'static str;
    /// First and last version that the codec knows.
    const MIN: i16;
    const MAX: i16;
    /// The first version with compact lengths and tagged fields (KIP-482); `i16::MAX` if there is none.
    const FLEXIBLE: i16;
}

/// Reads a message. Bytes behind it are let be, as Kafka does: librdkafka leaves three behind a Metadata request for all topics.
pub fn decode<M: Message>(body: Bytes, version: i16) -> Result<M, WireError> {
    decode_front(body, version).map(|(message, _)| message)
}

/// Reads a message and gives back what follows it.
pub fn decode_front<M: Message>(body: Bytes, version: i16) -> Result<(M, Bytes), WireError> {
    if version < M::MIN || version > M::MAX {
        return Err(WireError::Version { key: M::KEY, version });
    }
    let mut reader = Reader::new(body, version >= M::FLEXIBLE);
    let message = M::decode(&mut reader, version)?;
    Ok((message, reader.into_rest()))
}

/// Writes a message after what `out` already holds.
pub fn encode<M: Message>(message: &M, out: &mut BytesMut, version: i16) {
    message.encode(&mut Writer::new(out, version >= M::FLEXIBLE), version);
}

/// Reads one request frame (without its length) of any API; for tests that throw bytes at the codec.
pub fn decode_any(frame: &[u8]) -> Result<(), WireError> {
    let (header, body) = RequestHeader::decode(Bytes::copy_from_slice(frame))?;
    let version = header.api_version;
    macro_rules! try_each {
        ($($module:ident $request:ident $response:ident,)*) => {
            match header.api_key {
                $(<message::$module::$request as Message>::KEY => decode::<message::$module::$request>(body, version).map(drop),)*
                key => Err(WireError::Version { key, version }),
            }
        };
    }
    message::each_kafka_api!(try_each)
}

/// The first flexible version of an API's requests, or `None` for an API that the codec does not know.
pub fn first_flexible(api_key: i16) -> Option<i16> {
    macro_rules! look_up {
        ($($module:ident $request:ident $response:ident,)*) => {
            match api_key {
                $(<message::$module::$request as Message>::KEY => Some(<message::$module::$request as Message>::FLEXIBLE),)*
                _ => None,
            }
        };
    }
    message::each_kafka_api!(look_up)
}
