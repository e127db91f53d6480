//! Cuts the byte stream into frames: a 4-byte length, then that many bytes. Knows nothing of what is inside.

use bytes::{Buf, Bytes, BytesMut};

/// A length that no frame may have. The connection cannot go on after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame claims {claimed} bytes, allowed are 0 to {allowed}")]
pub struct FrameError {
    pub claimed: i32,
    pub allowed: usize,
}

/// Takes the next whole frame from the front of `input`, without its length; `None` until it is all there.
pub fn take_frame(input: &mut BytesMut, frame_bytes_max: usize) -> Result<Option<Bytes>, FrameError> {
    let Some(length) = frame_length(input, frame_bytes_max)? else { return Ok(None) };
    if input.len() < 4 + length {
        return Ok(None);
    }
    input.advance(4);
    Ok(Some(input.split_to(length).freeze()))
}

/// How many bytes the frame at the front still lacks; 0 if it is complete, 4 or fewer if its length is not known yet.
pub fn lacking(input: &BytesMut, frame_bytes_max: usize) -> Result<usize, FrameError> {
    Ok(match frame_length(input, frame_bytes_max)? {
        Some(length) => (4 + length).saturating_sub(input.len()),
        None => 4 - input.len(),
    })
}

fn frame_length(input: &BytesMut, frame_bytes_max: usize) -> Result<Option<usize>, FrameError> {
    let Some(head) = input.first_chunk::<4>() else { return Ok(None) };
    let claimed = i32::from_be_bytes(*head);
    match usize::try_from(claimed) {
        Ok(length) if length <= frame_bytes_max => Ok(Some(length)),
        _ => Err(FrameError { claimed, allowed: frame_bytes_max }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_comes_out_when_its_last_byte_is_there() {
        let mut input = BytesMut::new();
        for (at, byte) in [0, 0, 0, 2, 7, 8, 0].into_iter().enumerate() {
            assert_eq!(take_frame(&mut input, 10), Ok(None), "before byte {at}");
            input.extend_from_slice(&[byte]);
            if at == 5 {
                assert_eq!(take_frame(&mut input, 10), Ok(Some(Bytes::from_static(&[7, 8]))));
            }
        }
        assert_eq!(input.len(), 1);
        assert_eq!(lacking(&input, 10), Ok(3));
    }

    #[test]
    fn an_impossible_length_is_refused_before_anything_is_read() {
        for claimed in [-1, i32::MIN, 11, i32::MAX] {
            let mut input = BytesMut::from(&claimed.to_be_bytes()[..]);
            assert_eq!(take_frame(&mut input, 10), Err(FrameError { claimed, allowed: 10 }));
        }
    }
}
