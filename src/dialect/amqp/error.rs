//! What a client can be told went wrong: reply codes (specification section 1.2, RabbitMQ's use of them) and RabbitMQ's texts.
//!
//! A fault says what dies: its channel or the whole connection. The core's errors become faults here, case by case.

use crate::log::Refused;

use super::wire::WireError;

/// Reply codes of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum ReplyCode {
    Success = 200,
    NoRoute = 312,
    ConnectionForced = 320,
    AccessRefused = 403,
    NotFound = 404,
    ResourceLocked = 405,
    PreconditionFailed = 406,
    FrameError = 501,
    SyntaxError = 502,
    CommandInvalid = 503,
    ChannelError = 504,
    UnexpectedFrame = 505,
    ResourceError = 506,
    NotAllowed = 530,
    NotImplemented = 540,
    InternalError = 541,
}

impl ReplyCode {
    pub fn number(self) -> u16 {
        self as u16
    }

    /// The name that begins every reply text.
    pub fn name(self) -> &'static str {
        match self {
            Self::Success => "OK",
            Self::NoRoute => "NO_ROUTE",
            Self::ConnectionForced => "CONNECTION_FORCED",
            Self::AccessRefused => "ACCESS_REFUSED",
            Self::NotFound => "NOT_FOUND",
            Self::ResourceLocked => "RESOURCE_LOCKED",
            Self::PreconditionFailed => "PRECONDITION_FAILED",
            Self::FrameError => "FRAME_ERROR",
            Self::SyntaxError => "SYNTAX_ERROR",
            Self::CommandInvalid => "COMMAND_INVALID",
            Self::ChannelError => "CHANNEL_ERROR",
            Self::UnexpectedFrame => "UNEXPECTED_FRAME",
            Self::ResourceError => "RESOURCE_ERROR",
            Self::NotAllowed => "NOT_ALLOWED",
            Self::NotImplemented => "NOT_IMPLEMENTED",
            Self::InternalError => "INTERNAL_ERROR",
        }
    }

    /// What dies of it.
    pub fn scope(self) -> Scope {
        match self {
            Self::Success
            | Self::NoRoute
            | Self::AccessRefused
            | Self::NotFound
            | Self::ResourceLocked
            | Self::PreconditionFailed => Scope::Channel,
            Self::ConnectionForced
            | Self::FrameError
            | Self::SyntaxError
            | Self::CommandInvalid
            | Self::ChannelError
            | Self::UnexpectedFrame
            | Self::ResourceError
            | Self::NotAllowed
            | Self::NotImplemented
            | Self::InternalError => Scope::Connection,
        }
    }
}

/// What an error ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Channel,
    Connection,
}

/// A kind of thing with a name in a virtual host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    Queue,
    Exchange,
}

impl std::fmt::Display for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Queue => "queue",
            Self::Exchange => "exchange",
        })
    }
}

/// A name as error texts have it: `queue 'q' in vhost '/'`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named(String);

impl Named {
    pub fn queue(name: &[u8], vhost: &[u8]) -> Self {
        Self::new(Resource::Queue, name, vhost)
    }

    pub fn exchange(name: &[u8], vhost: &[u8]) -> Self {
        Self::new(Resource::Exchange, name, vhost)
    }

    fn new(resource: Resource, name: &[u8], vhost: &[u8]) -> Self {
        let (name, vhost) = (String::from_utf8_lossy(name), String::from_utf8_lossy(vhost));
        Self(format!("{resource} '{name}' in vhost '{vhost}'"))
    }
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Everything that ends a channel or a connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("no {0}")]
    NotFound(Named),
    #[error("no previously declared queue")]
    NoPreviousQueue,
    #[error("inequivalent arg '{argument}' for {named}: received {received} but current is {current}")]
    Inequivalent { named: Named, argument: String, received: String, current: String },
    #[error("invalid arg '{argument}' for {named}: {reason}")]
    InvalidArgument { named: Named, argument: String, reason: &'static str },
    #[error("delivery {0} was not settled in time and is no longer this channel's")]
    TooLate(u64),
    #[error("invalid expiration '{0}': expected a number of milliseconds")]
    InvalidExpiration(String),
    #[error("arg '{argument}' for {named} is not supported")]
    UnsupportedArgument { named: Named, argument: String },
    #[error("{resource} name '{name}' contains reserved prefix '{prefix}*'")]
    ReservedName { resource: Resource, name: String, prefix: &'static str },
    #[error("operation not permitted on the default exchange")]
    DefaultExchange,
    #[error("cannot publish to internal {0}")]
    InternalExchange(Named),
    #[error(
        "cannot obtain exclusive access to locked {0}. It could be originally declared on another connection or the exclusive property \
         value does not match that of the original declaration."
    )]
    Locked(Named),
    #[error("{0} in exclusive use")]
    ExclusiveUse(Named),
    #[error("{0} in use")]
    InUse(Named),
    #[error("{0} is not empty")]
    NotEmpty(Named),
    #[error("unknown delivery tag {0}")]
    UnknownDeliveryTag(u64),
    #[error("attempt to reuse consumer tag '{0}'")]
    ConsumerTagInUse(String),
    #[error("unknown exchange type '{0}'")]
    UnknownExchangeType(String),
    #[error("message size {size} is larger than configured max size {limit}")]
    MessageTooLarge { size: u64, limit: u64 },
    #[error("user_id property set to '{claimed}' but authenticated user was '{user}'")]
    UserId { claimed: String, user: String },
    #[error("cannot switch from {from} to {to} mode")]
    Mode { from: &'static str, to: &'static str },
    #[error("{0}")]
    ReplyConsumer(&'static str),
    #[error("channel is not transactional")]
    NotTransactional,
    #[error("{0}")]
    NotImplemented(&'static str),
    #[error("{0}")]
    InvalidCommand(&'static str),
    #[error("expected 'channel.open'")]
    ChannelNotOpen,
    #[error("second 'channel.open' seen")]
    ChannelAlreadyOpen,
    #[error("channel number {number} is larger than the negotiated {limit}")]
    ChannelNumber { number: u16, limit: u16 },
    #[error("{0}")]
    UnexpectedFrame(&'static str),
    #[error("vhost {0} not found")]
    NoVirtualHost(String),
    #[error("{0}")]
    Negotiation(String),
    #[error("Login was refused using authentication mechanism {mechanism}. For details see the broker logfile.")]
    Login { mechanism: String },
    #[error("{0}")]
    Wire(#[from] WireError),
    #[error("{0}")]
    Refused(#[from] Refused),
    #[error("{0}")]
    NameRefused(String),
    #[error("{0}")]
    Internal(String),
    #[error("limit of {limit} {what} reached")]
    Limit { what: &'static str, limit: usize },
    #[error("broker forced connection closure with reason 'shutdown'")]
    Shutdown,
}

impl Fault {
    pub fn code(&self) -> ReplyCode {
        match self {
            Self::NotFound(_) | Self::NoPreviousQueue => ReplyCode::NotFound,
            Self::Inequivalent { .. }
            | Self::InvalidArgument { .. }
            | Self::UnsupportedArgument { .. }
            | Self::InvalidExpiration(_)
            | Self::TooLate(_)
            | Self::InUse(_)
            | Self::NotEmpty(_)
            | Self::UnknownDeliveryTag(_)
            | Self::MessageTooLarge { .. }
            | Self::UserId { .. }
            | Self::Mode { .. }
            | Self::NotTransactional
            | Self::ReplyConsumer(_)
            | Self::NameRefused(_) => ReplyCode::PreconditionFailed,
            Self::ReservedName { .. }
            | Self::DefaultExchange
            | Self::InternalExchange(_)
            | Self::ExclusiveUse(_)
            | Self::Login { .. } => ReplyCode::AccessRefused,
            Self::Locked(_) => ReplyCode::ResourceLocked,
            Self::ConsumerTagInUse(_) | Self::NoVirtualHost(_) | Self::Negotiation(_) | Self::Limit { .. } => {
                ReplyCode::NotAllowed
            }
            Self::UnknownExchangeType(_) | Self::InvalidCommand(_) => ReplyCode::CommandInvalid,
            Self::NotImplemented(_) => ReplyCode::NotImplemented,
            Self::ChannelNotOpen | Self::ChannelAlreadyOpen | Self::ChannelNumber { .. } => ReplyCode::ChannelError,
            Self::UnexpectedFrame(_) => ReplyCode::UnexpectedFrame,
            Self::Wire(error) => wire_code(error),
            Self::Refused(refused) => refused_code(refused),
            Self::Internal(_) => ReplyCode::InternalError,
            Self::Shutdown => ReplyCode::ConnectionForced,
        }
    }

    /// The reply text: the code's name, then the reason.
    pub fn text(&self) -> String {
        format!("{} - {}", self.code().name(), self)
    }
}

fn wire_code(error: &WireError) -> ReplyCode {
    match error {
        WireError::FrameTooLarge { .. } | WireError::FrameEnd { .. } | WireError::FrameKind { .. } => ReplyCode::FrameError,
        WireError::Truncated
        | WireError::TrailingBytes { .. }
        | WireError::UnknownFieldType { .. }
        | WireError::TableTooDeep { .. }
        | WireError::PropertyFlags { .. } => ReplyCode::SyntaxError,
        WireError::UnknownMethod { .. } => ReplyCode::NotImplemented,
    }
}

fn refused_code(refused: &Refused) -> ReplyCode {
    match refused {
        Refused::Poisoned(..) => ReplyCode::InternalError,
        Refused::DiskFull => ReplyCode::ResourceError,
        Refused::TooLarge { .. } => ReplyCode::PreconditionFailed,
        Refused::ShuttingDown => ReplyCode::ConnectionForced,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_that_clients_of_rabbitmq_know() {
        assert_eq!(Fault::NotFound(Named::queue(b"x", b"/")).text(), "NOT_FOUND - no queue 'x' in vhost '/'");
        assert_eq!(Fault::UnknownDeliveryTag(7).text(), "PRECONDITION_FAILED - unknown delivery tag 7");
        let mismatch = Fault::Inequivalent {
            named: Named::queue(b"q", b"/"),
            argument: "durable".into(),
            received: "'true'".into(),
            current: "'false'".into(),
        };
        assert_eq!(
            mismatch.text(),
            "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q' in vhost '/': received 'true' but current is 'false'"
        );
    }

    #[test]
    fn what_dies_follows_the_code() {
        assert_eq!(Fault::NoPreviousQueue.code().scope(), Scope::Channel);
        assert_eq!(Fault::ConsumerTagInUse("t".into()).code().scope(), Scope::Connection);
        assert_eq!(Fault::Wire(WireError::FrameEnd { found: 0 }).code().number(), 501);
    }
}
