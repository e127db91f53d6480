//! Request headers version 1 and 2, response headers version 0 and 1 (KIP-482). Version 2 keeps the old form of the client
//! id, and a response to ApiVersions has header version 0 whatever its version, so that any client can read it (KIP-511).

use bytes::{BufMut, Bytes, BytesMut};

use super::{Message, Reader, Source, WireError, first_flexible, message::api_versions::ApiVersionsRequest};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHeader {
    pub api_key: i16,
    pub api_version: i16,
    pub correlation_id: i32,
    pub client_id: Option<String>,
}

impl RequestHeader {
    /// Reads the header of a frame and gives back what follows it. For an API that the codec does not know, what follows is
    /// not to be trusted: the header's own form depends on the API.
    pub fn decode(frame: Bytes) -> Result<(RequestHeader, Bytes), WireError> {
        let mut reader = Reader::new(frame, false);
        let (api_key, api_version, correlation_id) = (reader.i16()?, reader.i16()?, reader.i32()?);
        let client_id = reader.nullable_string()?;
        // A later version of ApiVersions may have any header behind the correlation id, and is answered all the same (KIP-511).
        let is_later = api_key == ApiVersionsRequest::KEY && api_version > ApiVersionsRequest::MAX;
        if !is_later && first_flexible(api_key).is_some_and(|first| api_version >= first) {
            reader.set_flexible(true);
            reader.tagged(&[], |_, _| Ok(false))?;
        }
        Ok((RequestHeader { api_key, api_version, correlation_id, client_id }, reader.into_rest()))
    }

    /// Writes the header as a client does.
    pub fn encode(&self, out: &mut BytesMut) {
        let mut writer = super::Writer::new(out, false);
        writer.i16(self.api_key);
        writer.i16(self.api_version);
        writer.i32(self.correlation_id);
        writer.nullable_string(self.client_id.as_deref());
        if first_flexible(self.api_key).is_some_and(|first| self.api_version >= first) {
            out.put_u8(0);
        }
    }
}

/// Starts a response frame: room for its length, then the header. [`finish_response`] fills in the length.
pub fn start_response(out: &mut BytesMut, api_key: i16, flexible: bool, correlation_id: i32) -> usize {
    let start = out.len();
    out.put_i32(0);
    out.put_i32(correlation_id);
    if flexible && api_key != ApiVersionsRequest::KEY {
        out.put_u8(0);
    }
    start
}

/// Fills in the length of the response frame that starts at `start`.
pub fn finish_response(out: &mut BytesMut, start: usize) {
    let length = i32::try_from(out.len().saturating_sub(start + 4)).unwrap_or(i32::MAX);
    if let Some(room) = out.get_mut(start..start + 4) {
        room.copy_from_slice(&length.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_reads_back_in_both_forms() {
        for (api_key, api_version) in [(3, 4), (3, 12), (18, 0), (18, 4), (17, 1), (999, 3)] {
            for client_id in [None, Some(String::new()), Some("kcat".to_owned())] {
                let header = RequestHeader { api_key, api_version, correlation_id: -7, client_id };
                let mut out = BytesMut::new();
                header.encode(&mut out);
                out.put_slice(b"body");
                assert_eq!(RequestHeader::decode(out.freeze()), Ok((header, Bytes::from_static(b"body"))));
            }
        }
    }

    #[test]
    fn the_response_to_api_versions_has_no_tagged_fields_in_its_header() {
        for (api_key, flexible, length) in [(18, true, 4), (3, true, 5), (3, false, 4)] {
            let mut out = BytesMut::from(&b"before"[..]);
            let start = start_response(&mut out, api_key, flexible, 9);
            finish_response(&mut out, start);
            assert_eq!(out.get(6..10), Some(&[0, 0, 0, length][..]));
        }
    }
}
