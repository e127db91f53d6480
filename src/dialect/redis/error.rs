//! The errors that commands answer, in Redis's own words, and how the core's refusals map to them.

use thiserror::Error;

use crate::log::{Refused, TopicError};

/// Why a command was not done. The text is what goes on the wire, behind the `-`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CommandError {
    #[error("ERR unknown command '{name}', with args beginning with: {arguments}")]
    UnknownCommand { name: String, arguments: String },
    #[error("ERR unknown subcommand '{subcommand}'. Try {command} HELP.")]
    UnknownSubcommand { command: String, subcommand: String },
    #[error("ERR wrong number of arguments for '{0}' command")]
    Arity(&'static str),
    #[error("ERR the command '{command}' is not supported: {reason}")]
    NotSupported { command: &'static str, reason: &'static str },
    #[error("NOAUTH Authentication required.")]
    LoginRequired,
    #[error(
        "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option \
         can be used to authenticate the client and select the RESP protocol version at the same time"
    )]
    HelloBeforeLogin,
    #[error("WRONGPASS invalid username-password pair or user is disabled.")]
    WrongPassword,
    #[error(
        "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?"
    )]
    NoPasswordSet,
    #[error("NOPROTO unsupported protocol version")]
    UnsupportedProtocol,
    #[error("ERR Protocol version is not an integer or out of range")]
    ProtocolNotAnInteger,
    #[error("ERR Syntax error in HELLO option '{0}'")]
    HelloOption(String),
    #[error("ERR Client names cannot contain spaces, newlines or special characters.")]
    ClientName,
    #[error("ERR {0} cannot contain spaces, newlines or special characters.")]
    ClientAttribute(String),
    #[error("ERR Unrecognized option '{0}'")]
    UnknownClientAttribute(String),
    #[error("ERR No such client")]
    NoSuchClient,
    #[error("ERR Invalid client ID")]
    InvalidClientId,
    #[error("ERR client-id should be greater than 0")]
    ClientIdNotPositive,
    #[error("ERR Unknown client type '{0}'")]
    UnknownClientType(String),
    #[error("ERR syntax error")]
    Syntax,
    #[error("ERR value is not an integer or out of range")]
    NotAnInteger,
    #[error("ERR value is out of range, must be positive")]
    NotPositive,
    #[error("ERR value is out of range")]
    OutOfRange,
    #[error("ERR {0}")]
    Option(&'static str),
    #[error("ERR timeout is not a float or out of range")]
    TimeoutNotAFloat,
    #[error("ERR timeout is not an integer or out of range")]
    TimeoutNotAnInteger,
    #[error("ERR timeout is negative")]
    TimeoutNegative,
    #[error("ERR timeout is out of range")]
    TimeoutOutOfRange,
    #[error("ERR invalid cursor")]
    InvalidCursor,
    #[error("ERR DB index is out of range")]
    DatabaseOutOfRange,
    #[error("ERR no such key")]
    NoSuchKey,
    #[error("ERR the name of a key must have 1 to 32767 bytes")]
    KeyName,
    #[error("WRONGTYPE Operation against a key holding the wrong kind of value")]
    WrongType,
    #[error("ERR Can't execute '{0}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context")]
    SubscriberMode(String),
    #[error("ERR MULTI calls can not be nested")]
    NestedMulti,
    #[error("ERR {0} without MULTI")]
    WithoutMulti(&'static str),
    #[error("ERR WATCH inside MULTI is not allowed")]
    WatchInsideMulti,
    #[error("ERR Command not allowed inside a transaction")]
    NotInsideMulti,
    #[error("ERR a transaction may queue {0} commands at most")]
    TransactionTooLong(usize),
    #[error("ERR a transaction may queue {0} bytes at most")]
    TransactionTooLarge(usize),
    #[error("EXECABORT Transaction discarded because of previous errors.")]
    TransactionAborted,
    #[error("EXECABORT Transaction discarded because of: {0}")]
    TransactionRefused(String),
    #[error("ERR Unknown option or number of arguments for CONFIG SET - '{0}'")]
    UnknownSetting(String),
    #[error("ERR CONFIG SET failed (possibly related to argument '{setting}') - {reason}")]
    SettingRefused { setting: String, reason: &'static str },
    #[error("ERR The command has no key arguments")]
    NoKeyArguments,
    #[error("ERR Invalid command specified")]
    InvalidCommand,
    #[error("ERR Invalid number of arguments specified for command")]
    InvalidArgumentCount,
    #[error("ERR the limit on subscriptions of a connection is reached")]
    TooManySubscriptions,
    #[error("ERR max number of clients reached")]
    TooManyClients,
    #[error("UNBLOCKED client unblocked via CLIENT UNBLOCK")]
    Unblocked,
    #[error("UNBLOCKED the list was removed while the client was blocked on it")]
    ListRemoved,
    #[error("UNBLOCKED the stream key no longer exists")]
    StreamRemoved,
    #[error("NOGROUP the consumer group this client was blocked on no longer exists")]
    GroupRemoved,
    #[error("NOGROUP No such key '{key}' or consumer group '{group}'{place}")]
    NoSuchGroup { key: String, group: String, place: &'static str },
    #[error("NOGROUP No such consumer group '{group}' for key name '{key}'")]
    NoSuchGroupOfKey { group: String, key: String },
    #[error("BUSYGROUP Consumer Group name already exists")]
    GroupExists,
    #[error("ERR Unrecognized XCLAIM option '{0}'")]
    UnknownClaimOption(String),
    #[error("ERR unknown subcommand or wrong number of arguments for '{subcommand}'. Try {command} HELP.")]
    SubcommandSyntax { command: &'static str, subcommand: String },
    /// The log accepts nothing: Redis's word for writes that cannot be made durable.
    #[error("MISCONF Errors writing to the log: {0}")]
    Unwritable(String),
    #[error("OOM command not allowed when the disk is full: free some space or lower the retention")]
    DiskFull,
    #[error("ERR string exceeds maximum allowed size ({limit_bytes} bytes)")]
    TooLarge { limit_bytes: usize },
    #[error("OOM the limit on the number of names is reached")]
    TooManyNames,
    #[error("LOADING the server is shutting down")]
    ShuttingDown,
    #[error("ERR the stored record cannot be read: {0}")]
    Unreadable(String),
}

impl CommandError {
    /// The first word, by which errors are counted.
    pub fn code(&self) -> String {
        self.to_string().split(' ').next().unwrap_or("ERR").to_owned()
    }
}

impl From<Refused> for CommandError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Poisoned(reason) => Self::Unwritable(reason.to_string()),
            Refused::DiskFull => Self::DiskFull,
            Refused::TooLarge { limit_bytes, .. } => Self::TooLarge { limit_bytes },
            Refused::ShuttingDown => Self::ShuttingDown,
        }
    }
}

impl From<TopicError> for CommandError {
    fn from(error: TopicError) -> Self {
        match error {
            // The name is looked up under the same lock, so neither of the first two can occur.
            TopicError::Exists | TopicError::Unknown => Self::NoSuchKey,
            TopicError::InvalidName | TopicError::InvalidPartitions => Self::KeyName,
            TopicError::TooMany => Self::TooManyNames,
        }
    }
}
