//! A queue as AMQP declares it. The records are elsewhere: this is the name, its flags and who consumes from it.

use bytes::Bytes;

use super::Binding;
use crate::dialect::amqp::error::{Fault, Named};
use crate::dialect::amqp::wire::{Table, Value};
use crate::log::{Topic, TopicName};

/// Numbers the connections of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionId(pub u64);

/// A consumer on a queue.
#[derive(Debug, Clone)]
pub struct Subscriber {
    pub connection: ConnectionId,
    pub channel: u16,
    pub tag: Bytes,
    pub exclusive: bool,
}

/// What `queue.declare` says beside the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueFlags {
    pub durable: bool,
    pub auto_delete: bool,
    /// The one connection that may use it, and with which it dies.
    pub exclusive: Option<ConnectionId>,
    /// The bytes of a table.
    pub arguments: Bytes,
}

/// Where a queue's records are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The topic that publishes append to.
    pub topic: TopicName,
    /// The queue view of it, unless it is the default one.
    own_view: Option<Box<TopicName>>,
}

impl Place {
    /// The default view of a topic.
    pub fn of(topic: TopicName) -> Self {
        Self { topic, own_view: None }
    }

    /// The same, with the topic's own copy of its name.
    pub fn sharing_name_of(self, topic: &Topic) -> Self {
        Self { topic: topic.name().clone(), ..self }
    }

    /// A view of a topic: the default one has the topic's name.
    pub fn with_view(topic: TopicName, view: TopicName) -> Self {
        Self { own_view: (view != topic).then(|| Box::new(view)), topic }
    }

    /// The name of the queue view.
    pub fn view(&self) -> &TopicName {
        self.own_view.as_deref().unwrap_or(&self.topic)
    }

    /// Whether it is a view beside the default one.
    pub fn is_named(&self) -> bool {
        self.own_view.is_some()
    }
}

/// A declared queue.
#[derive(Debug)]
pub struct Queue {
    pub vhost: Bytes,
    pub name: Bytes,
    pub place: Place,
    pub flags: QueueFlags,
    /// The topic was made by somebody else: deleting the queue leaves it.
    pub foreign: bool,
    pub subscribers: Vec<Subscriber>,
    pub(super) incoming: Vec<Binding>,
}

impl Queue {
    pub fn new(vhost: Bytes, name: Bytes, place: Place, flags: QueueFlags, foreign: bool) -> Self {
        // In the default virtual host a queue and its topic have one name, which is kept once.
        let name = if name == place.topic.as_bytes() { place.topic.to_bytes() } else { name };
        Self { vhost, name, place, flags, foreign, subscribers: Vec::new(), incoming: Vec::new() }
    }

    pub fn named(&self) -> Named {
        Named::queue(&self.name, &self.vhost)
    }

    /// Whether it was declared as a quorum queue.
    pub fn is_quorum(&self) -> bool {
        Table(&self.flags.arguments).get(b"x-queue-type") == Some(Value::Text(b"quorum"))
    }

    /// Whether it comes back after a restart.
    pub fn is_kept(&self) -> bool {
        self.flags.durable && self.flags.exclusive.is_none()
    }

    /// An exclusive queue is there for its own connection alone.
    pub fn check_access(&self, by: ConnectionId) -> Result<(), Fault> {
        match self.flags.exclusive {
            Some(owner) if owner != by => Err(Fault::Locked(self.named())),
            _ => Ok(()),
        }
    }

    /// Whether a second declaration asks for the same queue.
    pub fn check_equivalent(&self, declared: &QueueFlags, by: ConnectionId) -> Result<(), Fault> {
        self.check_flags(declared, by)?;
        super::arguments::check_same_queue(&declared.arguments, &self.flags.arguments, &self.named())
    }

    /// Whether it asks for the same one, leaving out its arguments.
    pub fn check_flags(&self, declared: &QueueFlags, by: ConnectionId) -> Result<(), Fault> {
        self.check_access(by)?;
        if self.flags.exclusive != declared.exclusive {
            return Err(Fault::Locked(self.named()));
        }
        let compare = |argument: &str, declared: bool, current: bool| match declared == current {
            true => Ok(()),
            false => Err(Fault::Inequivalent {
                named: self.named(),
                argument: argument.to_owned(),
                received: format!("'{declared}'"),
                current: format!("'{current}'"),
            }),
        };
        compare("durable", declared.durable, self.flags.durable)?;
        compare("auto_delete", declared.auto_delete, self.flags.auto_delete)
    }

    /// Whether it is there because its topic is, and nobody has declared it with arguments yet.
    pub fn is_undeclared(&self) -> bool {
        self.foreign && self.flags.arguments.is_empty()
    }

    /// An exclusive consumer wants to be the only one, before and after.
    pub fn check_may_subscribe(&self, exclusively: bool) -> Result<(), Fault> {
        let taken = if exclusively { !self.subscribers.is_empty() } else { self.subscribers.iter().any(|other| other.exclusive) };
        if taken { Err(Fault::ExclusiveUse(self.named())) } else { Ok(()) }
    }

    /// Forgets a consumer. True if an auto-delete queue lost its last one.
    pub fn unsubscribe(&mut self, connection: ConnectionId, channel: u16, tag: &[u8]) -> bool {
        let before = self.subscribers.len();
        self.subscribers.retain(|other| (other.connection, other.channel, &other.tag[..]) != (connection, channel, tag));
        self.flags.auto_delete && before > 0 && self.subscribers.is_empty()
    }
}
