//! The content header (specification section 4.2.6.1): class, body size, and the properties of the basic class.
//!
//! The property bytes (flags and values) travel raw; [`Properties`] is a view that is made when somebody needs one of them.

use bytes::{BufMut, BytesMut};

use super::error::WireError;
use super::field::{Reader, Writer};
use super::frame::{FrameKind, put_frame};
use super::table;

/// The only class with content.
pub const CLASS_BASIC: u16 = 60;
/// Delivery mode 2.
pub const PERSISTENT: u8 = 2;

/// A content header whose properties were not looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentHeader<'a> {
    pub class_id: u16,
    /// Bytes of the body that follows.
    pub body_size: u64,
    /// Flags and values as on the wire.
    pub properties: &'a [u8],
}

impl<'a> ContentHeader<'a> {
    /// Reads the payload of a header frame.
    pub fn decode(payload: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(payload);
        let class_id = reader.short()?;
        let _weight = reader.short()?;
        let body_size = reader.longlong()?;
        Ok(Self { class_id, body_size, properties: reader.rest() })
    }
}

/// Appends a header frame.
pub fn put_header(out: &mut BytesMut, channel: u16, body_size: u64, properties: &[u8]) {
    put_frame(out, FrameKind::Header, channel, |out| {
        out.put_u16(CLASS_BASIC);
        out.put_u16(0);
        out.put_u64(body_size);
        out.put_slice(properties);
    });
}

/// The properties of the basic class. `None` where the flag is not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Properties<'a> {
    pub content_type: Option<&'a [u8]>,
    pub content_encoding: Option<&'a [u8]>,
    /// The bytes of a table.
    pub headers: Option<&'a [u8]>,
    /// 1 transient, 2 persistent.
    pub delivery_mode: Option<u8>,
    pub priority: Option<u8>,
    pub correlation_id: Option<&'a [u8]>,
    pub reply_to: Option<&'a [u8]>,
    pub expiration: Option<&'a [u8]>,
    pub message_id: Option<&'a [u8]>,
    /// Seconds since 1970.
    pub timestamp_s: Option<u64>,
    pub kind: Option<&'a [u8]>,
    pub user_id: Option<&'a [u8]>,
    pub app_id: Option<&'a [u8]>,
    pub cluster_id: Option<&'a [u8]>,
}

const CONTENT_TYPE: u16 = 1 << 15;
const CONTENT_ENCODING: u16 = 1 << 14;
const HEADERS: u16 = 1 << 13;
const DELIVERY_MODE: u16 = 1 << 12;
const PRIORITY: u16 = 1 << 11;
const CORRELATION_ID: u16 = 1 << 10;
const REPLY_TO: u16 = 1 << 9;
const EXPIRATION: u16 = 1 << 8;
const MESSAGE_ID: u16 = 1 << 7;
const TIMESTAMP: u16 = 1 << 6;
const KIND: u16 = 1 << 5;
const USER_ID: u16 = 1 << 4;
const APP_ID: u16 = 1 << 3;
const CLUSTER_ID: u16 = 1 << 2;
const UNKNOWN: u16 = 0b11;

impl<'a> Properties<'a> {
    /// Reads flags and values; the headers are checked all the way down.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let flags = reader.short()?;
        if flags & UNKNOWN != 0 {
            return Err(WireError::PropertyFlags { flags });
        }
        let mut properties = Self::default();
        if flags == 0 {
            return reader.finish().map(|()| properties);
        }
        let has = |flag: u16| flags & flag != 0;
        let r = &mut reader;
        properties.content_type = text(r, has(CONTENT_TYPE))?;
        properties.content_encoding = text(r, has(CONTENT_ENCODING))?;
        if has(HEADERS) {
            let headers = r.table()?;
            table::validate(headers)?;
            properties.headers = Some(headers);
        }
        properties.delivery_mode = has(DELIVERY_MODE).then(|| r.octet()).transpose()?;
        properties.priority = has(PRIORITY).then(|| r.octet()).transpose()?;
        properties.correlation_id = text(r, has(CORRELATION_ID))?;
        properties.reply_to = text(r, has(REPLY_TO))?;
        properties.expiration = text(r, has(EXPIRATION))?;
        properties.message_id = text(r, has(MESSAGE_ID))?;
        properties.timestamp_s = has(TIMESTAMP).then(|| r.longlong()).transpose()?;
        properties.kind = text(r, has(KIND))?;
        properties.user_id = text(r, has(USER_ID))?;
        properties.app_id = text(r, has(APP_ID))?;
        properties.cluster_id = text(r, has(CLUSTER_ID))?;
        reader.finish()?;
        Ok(properties)
    }

    /// Appends flags and values.
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_u16(self.flags());
        let mut writer = Writer::new(out);
        put_text(&mut writer, self.content_type);
        put_text(&mut writer, self.content_encoding);
        if let Some(headers) = self.headers {
            writer.table(headers);
        }
        if let Some(mode) = self.delivery_mode {
            writer.octet(mode);
        }
        if let Some(priority) = self.priority {
            writer.octet(priority);
        }
        put_text(&mut writer, self.correlation_id);
        put_text(&mut writer, self.reply_to);
        put_text(&mut writer, self.expiration);
        put_text(&mut writer, self.message_id);
        if let Some(timestamp_s) = self.timestamp_s {
            writer.longlong(timestamp_s);
        }
        put_text(&mut writer, self.kind);
        put_text(&mut writer, self.user_id);
        put_text(&mut writer, self.app_id);
        put_text(&mut writer, self.cluster_id);
        writer.finish();
    }

    fn flags(&self) -> u16 {
        let flag = |present: bool, flag: u16| if present { flag } else { 0 };
        flag(self.content_type.is_some(), CONTENT_TYPE)
            | flag(self.content_encoding.is_some(), CONTENT_ENCODING)
            | flag(self.headers.is_some(), HEADERS)
            | flag(self.delivery_mode.is_some(), DELIVERY_MODE)
            | flag(self.priority.is_some(), PRIORITY)
            | flag(self.correlation_id.is_some(), CORRELATION_ID)
            | flag(self.reply_to.is_some(), REPLY_TO)
            | flag(self.expiration.is_some(), EXPIRATION)
            | flag(self.message_id.is_some(), MESSAGE_ID)
            | flag(self.timestamp_s.is_some(), TIMESTAMP)
            | flag(self.kind.is_some(), KIND)
            | flag(self.user_id.is_some(), USER_ID)
            | flag(self.app_id.is_some(), APP_ID)
            | flag(self.cluster_id.is_some(), CLUSTER_ID)
    }

    pub fn is_persistent(&self) -> bool {
        self.delivery_mode == Some(PERSISTENT)
    }
}

fn text<'a>(reader: &mut Reader<'a>, present: bool) -> Result<Option<&'a [u8]>, WireError> {
    present.then(|| reader.shortstr()).transpose()
}

fn put_text(writer: &mut Writer<'_>, value: Option<&[u8]>) {
    if let Some(value) = value {
        writer.shortstr(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn all_properties_come_back_as_written() {
        let properties = Properties {
            content_type: Some(b"text/plain"),
            content_encoding: Some(b"gzip"),
            headers: Some(b"\x01at\x01"),
            delivery_mode: Some(2),
            priority: Some(9),
            correlation_id: Some(b"c"),
            reply_to: Some(b"r"),
            expiration: Some(b"1000"),
            message_id: Some(b"m"),
            timestamp_s: Some(1_700_000_000),
            kind: Some(b"k"),
            user_id: Some(b"guest"),
            app_id: Some(b"app"),
            cluster_id: Some(b""),
        };
        let mut bytes = BytesMut::new();
        properties.encode(&mut bytes);
        assert_eq!(Properties::decode(&bytes), Ok(properties));
    }

    #[test]
    fn flags_without_values_and_continued_flags_are_refused() {
        assert_eq!(Properties::decode(&[0x80, 0]), Err(WireError::Truncated));
        assert_eq!(Properties::decode(&[0, 1]), Err(WireError::PropertyFlags { flags: 1 }));
        assert_eq!(Properties::decode(&[0, 0, 1]), Err(WireError::TrailingBytes { left: 1 }));
        assert_eq!(Properties::decode(&[0, 0]), Ok(Properties::default()));
    }

    proptest! {
        #[test]
        fn random_properties_never_panic_and_what_decodes_encodes_to_itself(bytes in proptest::collection::vec(any::<u8>(), 0..128)) {
            if let Ok(properties) = Properties::decode(&bytes) {
                let mut again = BytesMut::new();
                properties.encode(&mut again);
                prop_assert_eq!(&again[..], &bytes[..]);
            }
        }
    }
}
