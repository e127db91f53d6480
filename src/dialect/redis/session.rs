//! What a connection remembers between commands: who it is, its database, its transaction, its subscriptions.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::clients::Client;
use super::command::stream_read;
use super::wire::Protocol;
use crate::delivery::{Listener, Search, Taker};
use crate::log::{Topic, TopicName};

/// The state of one connection, without socket and buffers.
pub struct Session {
    pub client: Arc<Client>,
    pub protocol: Protocol,
    pub database: u32,
    pub logged_in: bool,
    pub user: String,
    pub transaction: Option<Transaction>,
    pub watched: Vec<Watched>,
    pub listener: Option<Listener>,
    pub channels: BTreeSet<TopicName>,
    pub patterns: BTreeSet<Bytes>,
    pub replies: Replies,
    /// The topic that was used last: commands in a pipeline mostly name one.
    pub recent: Option<Recent>,
    /// Index of the command that was run last, for the same reason.
    pub last_command: usize,
    /// What the command that is run has found in lists until now.
    pub searches: Vec<Search>,
}

/// The topic that a name led to.
#[derive(Clone)]
pub struct Recent {
    pub name: TopicName,
    pub topic: Arc<Topic>,
    /// Whether this dialect made it.
    pub own: bool,
}

/// Commands queued behind `MULTI`.
#[derive(Debug, Default)]
pub struct Transaction {
    pub commands: Vec<Vec<Bytes>>,
    /// The size of their arguments.
    pub bytes: usize,
    /// It needs room on the disk.
    pub grows: bool,
    /// An error while queueing: `EXEC` will refuse.
    pub aborted: bool,
}

/// A key under `WATCH`, and what it was like then.
#[derive(Debug)]
pub struct Watched {
    pub name: TopicName,
    pub version: (u64, u64),
}

/// `CLIENT REPLY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Replies {
    #[default]
    On,
    Off,
    /// Not the reply to this command and the next: `CLIENT REPLY SKIP` has just been run.
    SkipNext,
    /// Not the reply to this command.
    Skip,
}

/// A command that waits.
pub struct Blocked {
    pub deadline: Option<Instant>,
    pub waiting: Waiting,
}

/// What a command waits for.
pub enum Waiting {
    /// An element of one of these lists.
    Elements { waits: Vec<Wait>, then: Then },
    /// Entries of streams.
    Entries(stream_read::Wait),
}

/// One of the keys that a blocked command waits for.
pub struct Wait {
    pub key: Bytes,
    pub name: TopicName,
    pub taker: Taker,
}

/// What a blocked command does with the element.
#[derive(Debug, Clone)]
pub enum Then {
    /// `BLPOP`, `BRPOP`.
    ReplyKeyAndValue,
    /// `BLMPOP`.
    ReplyMany,
    /// `BLMOVE`, `BRPOPLPUSH`: it was moved already.
    ReplyValue,
}

impl Session {
    pub fn new(client: Arc<Client>, logged_in: bool) -> Self {
        Self {
            client,
            protocol: Protocol::Resp2,
            database: 0,
            logged_in,
            user: "default".to_owned(),
            transaction: None,
            watched: Vec::new(),
            listener: None,
            channels: BTreeSet::new(),
            patterns: BTreeSet::new(),
            replies: Replies::On,
            recent: None,
            last_command: 0,
            searches: Vec::new(),
        }
    }

    /// Channels and patterns together, as the replies to `SUBSCRIBE` count them.
    pub fn subscriptions(&self) -> usize {
        self.channels.len() + self.patterns.len()
    }

    /// Whether RESP2 allows only few commands now.
    pub fn is_subscriber(&self) -> bool {
        self.protocol == Protocol::Resp2 && self.subscriptions() > 0
    }
}
