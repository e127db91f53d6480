//! Frames (specification section 4.2.3): a kind, a channel, a payload and the end octet 0xCE.
//!
//! Bytes in, frames out; an incomplete frame is `None`. A payload is borrowed from the input, and nothing is reserved for what a
//! length merely claims.

use bytes::{BufMut, BytesMut};

use super::error::WireError;

/// Kind, channel and length before the payload.
pub const HEAD_LEN: usize = 7;
/// What a frame costs beside its payload, in bytes.
pub const OVERHEAD: usize = HEAD_LEN + 1;
/// The last octet of every frame.
pub const END: u8 = 0xCE;
/// The largest frame before tuning and the smallest that may be negotiated, in bytes (specification: frame-min-size).
pub const SIZE_MIN: u32 = 4096;
/// What a client of this protocol sends first, and what the server answers to one of another.
pub const PROTOCOL_HEADER: [u8; 8] = *b"AMQP\x00\x00\x09\x01";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    Method,
    Header,
    Body,
    Heartbeat,
}

impl FrameKind {
    fn from_octet(octet: u8) -> Result<Self, WireError> {
        match octet {
            1 => Ok(Self::Method),
            2 => Ok(Self::Header),
            3 => Ok(Self::Body),
            8 => Ok(Self::Heartbeat),
            kind => Err(WireError::FrameKind { kind }),
        }
    }

    pub fn octet(self) -> u8 {
        match self {
            Self::Method => 1,
            Self::Header => 2,
            Self::Body => 3,
            Self::Heartbeat => 8,
        }
    }
}

/// A complete frame whose payload is still in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    pub kind: FrameKind,
    pub channel: u16,
    pub payload: &'a [u8],
}

impl Frame<'_> {
    /// Bytes on the wire.
    pub fn wire_len(&self) -> usize {
        self.payload.len() + OVERHEAD
    }
}

/// The first frame of `input`, if all of it is there. `size_max` is the largest whole frame, in bytes.
pub fn next_frame(input: &[u8], size_max: u32) -> Result<Option<Frame<'_>>, WireError> {
    let Some((head, rest)) = input.split_first_chunk::<HEAD_LEN>() else {
        return early_fault(input).map(|()| None);
    };
    let [kind, channel_high, channel_low, len @ ..] = *head;
    let kind = FrameKind::from_octet(kind)?;
    let claimed = u32::from_be_bytes(len);
    if u64::from(claimed) + OVERHEAD as u64 > u64::from(size_max) {
        return Err(WireError::FrameTooLarge { claimed: u64::from(claimed) + OVERHEAD as u64, limit: size_max });
    }
    let Some((payload, after)) = rest.split_at_checked(claimed as usize) else { return Ok(None) };
    match after.first() {
        None => Ok(None),
        Some(&END) => Ok(Some(Frame { kind, channel: u16::from_be_bytes([channel_high, channel_low]), payload })),
        Some(&found) => Err(WireError::FrameEnd { found }),
    }
}

fn early_fault(input: &[u8]) -> Result<(), WireError> {
    match input.first() {
        Some(&kind) => FrameKind::from_octet(kind).map(drop),
        None => Ok(()),
    }
}

/// Appends a frame whose payload `write` produces, and fills in its length.
pub fn put_frame(out: &mut BytesMut, kind: FrameKind, channel: u16, write: impl FnOnce(&mut BytesMut)) {
    out.put_u8(kind.octet());
    out.put_u16(channel);
    let len_at = out.len();
    out.put_u32(0);
    write(out);
    let len = (out.len() - len_at - 4) as u32;
    if let Some(slot) = out.get_mut(len_at..len_at + 4) {
        slot.copy_from_slice(&len.to_be_bytes());
    }
    out.put_u8(END);
}

pub fn put_heartbeat(out: &mut BytesMut) {
    put_frame(out, FrameKind::Heartbeat, 0, |_| {});
}

/// Appends a body in as many frames as the negotiated size asks for; none for an empty body.
pub fn put_body(out: &mut BytesMut, channel: u16, body: &[u8], frame_size_max: u32) {
    let payload_max = (frame_size_max.max(SIZE_MIN) as usize) - OVERHEAD;
    out.reserve(body.len() + OVERHEAD * body.len().div_ceil(payload_max));
    for piece in body.chunks(payload_max) {
        put_frame(out, FrameKind::Body, channel, |out| out.put_slice(piece));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_incomplete_frame_is_none_at_every_cut() {
        let mut out = BytesMut::new();
        put_frame(&mut out, FrameKind::Body, 3, |out| out.put_slice(b"payload"));
        for cut in 0..out.len() {
            assert_eq!(next_frame(&out[..cut], 4096), Ok(None), "cut at {cut}");
        }
        let frame = next_frame(&out, 4096).unwrap().unwrap();
        assert_eq!((frame.kind, frame.channel, frame.payload), (FrameKind::Body, 3, &b"payload"[..]));
        assert_eq!(frame.wire_len(), out.len());
    }

    #[test]
    fn claims_beyond_the_limit_are_refused_before_the_payload_arrives() {
        let claim = [1, 0, 1, 0x7f, 0xff, 0xff, 0xff];
        assert!(matches!(next_frame(&claim, 4096), Err(WireError::FrameTooLarge { .. })));
        let all_ones = [1, 0, 1, 0xff, 0xff, 0xff, 0xff];
        assert!(matches!(next_frame(&all_ones, u32::MAX), Err(WireError::FrameTooLarge { .. })));
    }

    #[test]
    fn a_wrong_kind_is_seen_in_the_first_octet() {
        assert_eq!(next_frame(b"G", 4096), Err(WireError::FrameKind { kind: b'G' }));
    }

    #[test]
    fn a_wrong_end_is_refused() {
        assert_eq!(next_frame(&[8, 0, 0, 0, 0, 0, 0, 0], 4096), Err(WireError::FrameEnd { found: 0 }));
    }

    #[test]
    fn bodies_are_cut_to_the_negotiated_size() {
        let mut out = BytesMut::new();
        put_body(&mut out, 1, &[7; 10_000], 4096);
        let mut at = 0;
        let mut sizes = Vec::new();
        while let Some(frame) = next_frame(&out[at..], 4096).unwrap() {
            sizes.push(frame.payload.len());
            at += frame.wire_len();
        }
        assert_eq!(sizes, [4088, 4088, 1824]);
        assert_eq!(at, out.len());
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = next_frame(&bytes, 4096);
        }
    }
}
