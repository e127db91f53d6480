//! The codec of AMQP 0-9-1: frames, methods, content headers and field tables.
//!
//! Sans I/O: bytes in, borrowed frames out, incomplete is `None`. It allocates nothing for what the input claims and knows neither
//! connections nor channels nor the log.

pub mod error;
pub mod field;
pub mod frame;
pub mod method;
pub mod properties;
pub mod table;

#[cfg(test)]
mod oracle;

pub use error::WireError;
pub use frame::{Frame, FrameKind, next_frame, put_body, put_heartbeat};
pub use method::{Method, put_method};
pub use properties::{ContentHeader, Properties, put_header};
pub use table::{Table, TableBuilder, Value};

/// Decodes all there is in `input` as a server would, to the deepest table. Returns the number of frames; for fuzzing.
pub fn decode_any(input: &[u8]) -> usize {
    const SIZE_MAX: u32 = 131_072;
    let (mut rest, mut frames) = (input, 0);
    while let Ok(Some(found)) = next_frame(rest, SIZE_MAX) {
        frames += 1;
        look_into(found);
        rest = rest.get(found.wire_len()..).unwrap_or_default();
    }
    frames
}

fn look_into(found: Frame<'_>) {
    match found.kind {
        FrameKind::Method => {
            if let Ok(method) = Method::decode(found.payload) {
                look_into_arguments(method);
            }
        }
        FrameKind::Header => {
            if let Ok(header) = ContentHeader::decode(found.payload) {
                let _ = Properties::decode(header.properties);
            }
        }
        FrameKind::Body | FrameKind::Heartbeat => {}
    }
}

fn look_into_arguments(method: Method<'_>) {
    let arguments = match method {
        Method::QueueDeclare(declare) => declare.arguments,
        Method::ExchangeDeclare(declare) => declare.arguments,
        Method::QueueBind(bind) => bind.arguments,
        Method::BasicConsume(consume) => consume.arguments,
        Method::ConnectionStartOk(start) => start.client_properties,
        _ => return,
    };
    let _ = table::validate(arguments);
}
