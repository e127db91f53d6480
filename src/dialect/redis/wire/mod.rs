//! RESP on the wire: requests in ([`request`]), replies out ([`reply`]), numbers as Redis reads and writes them ([`number`]).
//!
//! Sans-I/O: bytes in, commands out; an incomplete command is no error and is not scanned again from its start. Knows no
//! command, no session and no socket.

pub mod number;
pub mod reply;
pub mod request;

use bytes::BytesMut;

pub use reply::{Protocol, ReplyWriter};
pub use request::{Batch, Limits, Parser, ProtocolError};

/// Decodes `bytes` as a stream of requests, whole and again in small pieces, and reports whether both ways agree.
///
/// Made for fuzzing: it returns on every input, and needs memory in proportion to the input only.
pub fn decode_any(bytes: &[u8]) -> bool {
    decode_in_pieces(bytes, bytes.len().max(1)) == decode_in_pieces(bytes, 7)
}

type Decoded = (Vec<Vec<Vec<u8>>>, Option<ProtocolError>);

fn decode_in_pieces(bytes: &[u8], piece_bytes: usize) -> Decoded {
    let (mut parser, mut batch, mut buffer) = (Parser::default(), Batch::default(), BytesMut::new());
    let limits = Limits::default();
    let mut commands = Vec::new();
    let mut failed = None;
    for piece in bytes.chunks(piece_bytes) {
        buffer.extend_from_slice(piece);
        let outcome = parser.parse(&mut buffer, &limits, usize::MAX, &mut batch);
        while let Some(command) = batch.next_command() {
            commands.push(batch.arguments(&command).iter().map(|a| a.to_vec()).collect());
        }
        if let Err(error) = outcome {
            failed = Some(error);
            break;
        }
    }
    (commands, failed)
}
