//! What can be wrong with bytes that claim to be AMQP. Every one of these ends the connection: after a framing or a syntax error
//! nothing later on the socket can be trusted. Which reply code the client hears is decided in [`crate::dialect::amqp::error`].

/// A fault in the bytes of a frame, a method or a field table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A frame claims more payload than was negotiated.
    #[error("frame of {claimed} bytes is larger than the negotiated {limit} bytes")]
    FrameTooLarge { claimed: u64, limit: u32 },
    /// The octet after the payload is not 0xCE.
    #[error("frame does not end with 0xCE but with {found:#04x}")]
    FrameEnd { found: u8 },
    /// A frame kind other than method, header, body and heartbeat.
    #[error("unknown frame type {kind}")]
    FrameKind { kind: u8 },
    /// A field reaches past the end of its frame or table.
    #[error("field reaches past the end of its frame")]
    Truncated,
    /// Bytes are left over after the last field.
    #[error("{left} bytes left over after the last field")]
    TrailingBytes { left: usize },
    /// A method that the protocol does not have.
    #[error("unknown method {class_id}.{method_id}")]
    UnknownMethod { class_id: u16, method_id: u16 },
    /// A value type that field tables do not have.
    #[error("unknown field table value type {letter:#04x}")]
    UnknownFieldType { letter: u8 },
    /// Tables and arrays inside each other beyond [`super::table::DEPTH_MAX`].
    #[error("field table is nested more than {limit} levels deep")]
    TableTooDeep { limit: usize },
    /// Property flags with a continuation word; the basic class has 14 properties and one word.
    #[error("property flags {flags:#06x} are not those of the basic class")]
    PropertyFlags { flags: u16 },
}
