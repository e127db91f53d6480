//! Names of topics: any bytes up to a bound, because a Redis key may be any bytes.
//!
//! A name that starts with two underscores belongs to the log itself. Which names a dialect shows or accepts is the
//! dialect's affair.

use std::fmt;

use bytes::Bytes;

use super::error::TopicError;

/// The longest name, in bytes.
pub const NAME_BYTES_MAX: usize = 32_767;

/// The name of a topic.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicName(Bytes);

impl TopicName {
    /// Takes the bytes as a name; they must be 1 to [`NAME_BYTES_MAX`] long.
    pub fn new(name: impl Into<Bytes>) -> Result<Self, TopicError> {
        let name = name.into();
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(TopicError::InvalidName);
        }
        Ok(Self(name))
    }

    /// A name of the log itself. The argument must not be empty.
    pub(crate) const fn internal(name: &'static str) -> Self {
        Self(Bytes::from_static(name.as_bytes()))
    }

    /// The name as it was given.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name as shared bytes.
    pub fn to_bytes(&self) -> Bytes {
        self.0.clone()
    }

    /// The same name in memory of its own: what it was a part of may go.
    pub(crate) fn detached(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }

    /// The name as text, where it is valid UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// Whether the name belongs to the log itself.
    pub fn is_internal(&self) -> bool {
        self.0.starts_with(b"__")
    }

    /// The name as part of a file name: bytes that Kafka does not allow in a topic are written as `%XX`.
    pub(crate) fn to_file_stem(&self) -> String {
        let mut stem = String::with_capacity(self.0.len());
        for &byte in self.0.iter() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-') {
                stem.push(char::from(byte));
            } else {
                stem.push_str(&format!("%{byte:02X}"));
            }
        }
        if stem.len() > 200 {
            let digest = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, &self.0);
            stem.truncate(180);
            stem.push_str(&format!("~{digest:016x}"));
        }
        stem
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_never_empty_nor_longer_than_the_bound() {
        assert!(TopicName::new("").is_err());
        assert!(TopicName::new(vec![b'a'; NAME_BYTES_MAX + 1]).is_err());
        assert!(TopicName::new(vec![b'a'; NAME_BYTES_MAX]).is_ok());
    }

    #[test]
    fn file_stems_escape_what_a_path_cannot_hold() {
        let name = TopicName::new("a/b:c").expect("a legal name");
        assert_eq!(name.to_file_stem(), "a%2Fb%3Ac");
        let long = TopicName::new(vec![b'/'; 5000]).expect("a legal name");
        assert!(long.to_file_stem().len() < 220);
    }
}
