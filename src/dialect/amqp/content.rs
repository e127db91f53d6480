//! A message in the making: `basic.publish`, then one header frame, then body frames until the announced size is there.
//!
//! A body in one frame is kept as a slice of what was read; a longer one is gathered as it arrives, never reserved for as announced.

use bytes::{Bytes, BytesMut};

use super::error::Fault;
use super::mapping::Message;
use super::wire::ContentHeader;
use super::wire::method::BasicPublish;
use super::wire::properties::CLASS_BASIC;

/// A complete message and how it was published.
#[derive(Debug, Clone)]
pub struct Publish {
    pub message: Message,
    pub mandatory: bool,
}

/// How far the current message of a channel is.
#[derive(Debug, Default)]
pub enum Content {
    /// No message has begun.
    #[default]
    None,
    /// The header is next.
    Header(Publish),
    /// Body frames are next until nothing is missing.
    Body { publish: Publish, gathered: BytesMut, missing: u64 },
}

impl Content {
    pub fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Begins a message. `input` is what the method was read from.
    pub fn begin(&mut self, publish: &BasicPublish<'_>, input: &Bytes) {
        let message = Message {
            exchange: input.slice_ref(publish.exchange),
            routing_key: input.slice_ref(publish.routing_key),
            properties: Bytes::new(),
            body: Bytes::new(),
        };
        *self = Self::Header(Publish { message, mandatory: publish.mandatory });
    }

    /// Takes the header; an empty body completes the message.
    pub fn header(&mut self, header: &ContentHeader<'_>, input: &Bytes, size_max: u64) -> Result<Option<Publish>, Fault> {
        let Self::Header(mut publish) = std::mem::take(self) else {
            return Err(Fault::UnexpectedFrame("expected method frame, got content header frame instead"));
        };
        if header.class_id != CLASS_BASIC {
            return Err(Fault::UnexpectedFrame("expected content header for class 60"));
        }
        if header.body_size > size_max {
            return Err(Fault::MessageTooLarge { size: header.body_size, limit: size_max });
        }
        publish.message.properties = input.slice_ref(header.properties);
        if header.body_size == 0 {
            return Ok(Some(publish));
        }
        *self = Self::Body { publish, gathered: BytesMut::new(), missing: header.body_size };
        Ok(None)
    }

    /// Takes a piece of the body; the last one completes the message.
    pub fn body(&mut self, piece: &[u8], input: &Bytes) -> Result<Option<Publish>, Fault> {
        let Self::Body { publish, gathered, missing } = self else {
            return Err(Fault::UnexpectedFrame("expected method frame, got content body frame instead"));
        };
        *missing = missing
            .checked_sub(piece.len() as u64)
            .ok_or(Fault::UnexpectedFrame("content body is larger than its header announced"))?;
        if *missing == 0 && gathered.is_empty() {
            publish.message.body = input.slice_ref(piece);
        } else {
            gathered.extend_from_slice(piece);
            if *missing > 0 {
                return Ok(None);
            }
            publish.message.body = std::mem::take(gathered).freeze();
        }
        match std::mem::take(self) {
            Self::Body { publish, .. } => Ok(Some(publish)),
            Self::None | Self::Header(_) => Ok(None),
        }
    }

    /// What a method frame in the middle of a message is.
    pub fn interrupted(&self) -> Fault {
        match self {
            Self::None | Self::Header(_) => {
                Fault::UnexpectedFrame("expected content header for class 60, got non content header frame instead")
            }
            Self::Body { .. } => Fault::UnexpectedFrame("expected content body, got non content body frame instead"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(input: &Bytes) -> Content {
        let mut content = Content::default();
        let publish =
            BasicPublish { exchange: &input[..1], routing_key: &input[1..3], mandatory: true, ..BasicPublish::default() };
        content.begin(&publish, input);
        content
    }

    #[test]
    fn a_body_in_pieces_is_gathered() {
        let input = Bytes::from_static(b"exxHello world");
        let mut content = begun(&input);
        let header = ContentHeader { class_id: 60, body_size: 11, properties: &input[..0] };
        assert!(content.header(&header, &input, 100).unwrap().is_none());
        assert!(content.body(&input[3..8], &input).unwrap().is_none());
        let publish = content.body(&input[8..], &input).unwrap().unwrap();
        assert_eq!(&publish.message.body[..], b"Hello world");
        assert!(publish.mandatory && content.is_none());
    }

    #[test]
    fn frames_out_of_order_and_sizes_that_lie_are_faults() {
        let input = Bytes::from_static(b"exxHello");
        let header = |body_size| ContentHeader { class_id: 60, body_size, properties: &b""[..] };
        assert!(matches!(Content::None.body(b"", &input), Err(Fault::UnexpectedFrame(_))));
        assert!(matches!(Content::None.header(&header(1), &input, 9), Err(Fault::UnexpectedFrame(_))));
        assert!(matches!(begun(&input).header(&header(u64::MAX), &input, 9), Err(Fault::MessageTooLarge { .. })));
        let mut content = begun(&input);
        content.header(&ContentHeader { class_id: 60, body_size: 2, properties: &input[..0] }, &input, 9).unwrap();
        assert!(matches!(content.body(&input[3..], &input), Err(Fault::UnexpectedFrame(_))));
    }
}
