//! Exchanges, queues and the bindings between them, of all virtual hosts.
//!
//! A state machine without I/O: it never touches the log. What of it must survive a restart is collected as changes to keyed state,
//! which the caller stores in the same unit of work that made them. Records, counts and deliveries are not known here.

mod arena;
pub mod arguments;
mod load;
pub mod options;
pub mod queue;
mod routing;
pub mod stored;

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;

use bytes::Bytes;
use hashbrown::{DefaultHashBuilder, HashTable};

use super::error::{Fault, Named};
use super::exchange::{Destination, ExchangeId, ExchangeKind, QueueId, Router};
use arena::Arena;
pub use queue::{ConnectionId, Place, Queue, QueueFlags, Subscriber};
pub use routing::Routed;
use stored::Stored;

/// The exchanges that every virtual host has beside the default one.
const PREDECLARED: [(&[u8], ExchangeKind); 6] = [
    (b"amq.direct", ExchangeKind::Direct),
    (b"amq.fanout", ExchangeKind::Fanout),
    (b"amq.topic", ExchangeKind::Topic),
    (b"amq.headers", ExchangeKind::Headers),
    (b"amq.match", ExchangeKind::Headers),
    (b"amq.rabbitmq.trace", ExchangeKind::Topic),
];

/// What `exchange.declare` says beside the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExchangeFlags {
    pub kind: ExchangeKind,
    pub durable: bool,
    pub auto_delete: bool,
    pub internal: bool,
    /// The bytes of a table.
    pub arguments: Bytes,
}

/// A declared exchange.
#[derive(Debug)]
pub struct Exchange {
    pub vhost: Bytes,
    pub name: Bytes,
    pub flags: ExchangeFlags,
    predeclared: bool,
    router: Router,
    outgoing: HashSet<Binding>,
    incoming: Vec<Binding>,
}

impl Exchange {
    pub fn named(&self) -> Named {
        Named::exchange(&self.name, &self.vhost)
    }

    /// Whether anything is bound to it or it to anything.
    pub fn is_in_use(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Where messages go that it has no destination for.
    fn alternate(&self) -> Option<&[u8]> {
        super::wire::Table(&self.flags.arguments).get(b"alternate-exchange").and_then(|value| value.text())
    }

    /// Whether a second declaration asks for the same exchange.
    pub fn check_equivalent(&self, declared: &ExchangeFlags) -> Result<(), Fault> {
        let current = &self.flags;
        let compare = |argument: &str, declared: String, current: String| match declared == current {
            true => Ok(()),
            false => Err(Fault::Inequivalent {
                named: self.named(),
                argument: argument.to_owned(),
                received: format!("'{declared}'"),
                current: format!("'{current}'"),
            }),
        };
        compare("type", declared.kind.name().to_owned(), current.kind.name().to_owned())?;
        compare("durable", declared.durable.to_string(), current.durable.to_string())?;
        compare("auto_delete", declared.auto_delete.to_string(), current.auto_delete.to_string())?;
        compare("internal", declared.internal.to_string(), current.internal.to_string())?;
        arguments::check_equivalent(["alternate-exchange"], &declared.arguments, &current.arguments, &self.named())
    }
}

/// A way from an exchange to a queue or another exchange.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Binding {
    pub source: ExchangeId,
    pub destination: Destination,
    pub key: Bytes,
    /// The bytes of a table.
    pub arguments: Bytes,
}

#[derive(Debug, Default)]
struct VirtualHost {
    exchanges: HashMap<Bytes, ExchangeId>,
    /// By the name that each queue carries itself: there may be a million.
    queues: HashTable<QueueId>,
    hasher: DefaultHashBuilder,
}

/// A change to the keyed state: a key and its new value, or none.
pub type Change = (Bytes, Option<Bytes>);

/// All exchanges, queues and bindings.
#[derive(Debug, Default)]
pub struct Topology {
    vhosts: HashMap<Bytes, VirtualHost>,
    exchanges: Arena<Exchange>,
    queues: Arena<Queue>,
    marks: routing::Marks,
    version: u64,
    changes: Vec<Change>,
}

impl Topology {
    /// Grows with every change; a route found at one version holds for as long as the version does.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// What must be stored for all that happened since the last call.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// Makes the exchanges that a virtual host always has.
    pub fn open_vhost(&mut self, vhost: &Bytes) {
        if self.vhosts.contains_key(vhost) {
            return;
        }
        self.vhosts.insert(vhost.clone(), VirtualHost::default());
        for (name, kind) in PREDECLARED {
            let internal = name == b"amq.rabbitmq.trace";
            let flags = ExchangeFlags { kind, durable: true, auto_delete: false, internal, arguments: Bytes::new() };
            self.add_exchange(vhost.clone(), Bytes::from_static(name), flags, true);
        }
    }

    pub fn exchange_id(&self, vhost: &[u8], name: &[u8]) -> Option<ExchangeId> {
        self.vhosts.get(vhost)?.exchanges.get(name).copied()
    }

    pub fn exchange(&self, id: ExchangeId) -> Option<&Exchange> {
        self.exchanges.get(id.0)
    }

    pub fn queue_id(&self, vhost: &[u8], name: &[u8]) -> Option<QueueId> {
        let VirtualHost { queues, hasher, .. } = self.vhosts.get(vhost)?;
        queues.find(hasher.hash_one(name), |id| name_of(&self.queues, *id) == name).copied()
    }

    pub fn queue(&self, id: QueueId) -> Option<&Queue> {
        self.queues.get(id.0)
    }

    pub fn queue_mut(&mut self, id: QueueId) -> Option<&mut Queue> {
        self.queues.get_mut(id.0)
    }

    pub fn queues(&self) -> impl Iterator<Item = (QueueId, &Queue)> {
        self.queues.iter().map(|(number, queue)| (QueueId(number), queue))
    }

    /// Adds an exchange that is not there yet.
    pub fn insert_exchange(&mut self, vhost: &Bytes, name: Bytes, flags: ExchangeFlags) -> ExchangeId {
        let id = self.add_exchange(vhost.clone(), name, flags, false);
        if let Some(stored) = self.stored_exchange(id) {
            self.changes.push((stored.key(), Some(stored.value())));
        }
        id
    }

    fn add_exchange(&mut self, vhost: Bytes, name: Bytes, flags: ExchangeFlags, predeclared: bool) -> ExchangeId {
        self.version += 1;
        let router = Router::new(flags.kind);
        let exchange = Exchange {
            vhost: vhost.clone(),
            name: name.clone(),
            flags,
            predeclared,
            router,
            outgoing: HashSet::new(),
            incoming: Vec::new(),
        };
        let id = ExchangeId(self.exchanges.insert(exchange));
        self.vhosts.entry(vhost).or_default().exchanges.insert(name, id);
        id
    }

    /// Removes an exchange and every binding from or to it.
    pub fn remove_exchange(&mut self, id: ExchangeId) {
        let Some(exchange) = self.exchanges.get(id.0) else { return };
        let mut bindings: Vec<_> = exchange.outgoing.iter().cloned().collect();
        bindings.extend(exchange.incoming.iter().cloned());
        for binding in &bindings {
            self.drop_binding(binding);
        }
        self.forget(self.stored_exchange(id));
        self.version += 1;
        if let Some(exchange) = self.exchanges.remove(id.0)
            && let Some(vhost) = self.vhosts.get_mut(&exchange.vhost)
        {
            vhost.exchanges.remove(&exchange.name);
        }
        self.remove_idle_sources(&bindings);
    }

    /// Adds a queue that is not there yet.
    pub fn insert_queue(&mut self, mut queue: Queue) -> QueueId {
        self.version += 1;
        if let Some((known, _)) = self.vhosts.get_key_value(&queue.vhost) {
            queue.vhost = known.clone();
        }
        let vhost = queue.vhost.clone();
        let id = QueueId(self.queues.insert(queue));
        let (all, VirtualHost { queues, hasher, .. }) = (&self.queues, self.vhosts.entry(vhost).or_default());
        let hash = |id: QueueId| hasher.hash_one(name_of(all, id));
        queues.insert_unique(hash(id), id, |id| hash(*id));
        self.store_queue(id);
        id
    }

    /// Gives a queue that was there before its declaration the arguments of that.
    pub fn set_queue_arguments(&mut self, id: QueueId, arguments: Bytes) {
        if let Some(queue) = self.queues.get_mut(id.0) {
            queue.flags.arguments = arguments;
            self.store_queue(id);
        }
    }

    fn store_queue(&mut self, id: QueueId) {
        if let Some(stored) = self.stored_queue(id) {
            self.changes.push((stored.key(), Some(stored.value())));
        }
    }

    /// Removes a queue and every binding to it; its subscribers are the caller's to tell.
    pub fn remove_queue(&mut self, id: QueueId) -> Option<Queue> {
        let bindings = std::mem::take(&mut self.queues.get_mut(id.0)?.incoming);
        for binding in &bindings {
            self.drop_binding(binding);
        }
        self.forget(self.stored_queue(id));
        self.version += 1;
        let queue = self.queues.remove(id.0)?;
        if let Some(VirtualHost { queues, hasher, .. }) = self.vhosts.get_mut(&queue.vhost)
            && let Ok(found) = queues.find_entry(hasher.hash_one(&queue.name[..]), |other| *other == id)
        {
            found.remove();
        }
        self.remove_idle_sources(&bindings);
        Some(queue)
    }

    /// Adds a binding; the same one twice is one.
    pub fn bind(&mut self, binding: Binding) {
        let Some(source) = self.exchanges.get_mut(binding.source.0) else { return };
        if !source.outgoing.insert(binding.clone()) {
            return;
        }
        source.router.bind(binding.destination, &binding.key, &binding.arguments);
        self.version += 1;
        match binding.destination {
            Destination::Queue(id) => {
                if let Some(queue) = self.queues.get_mut(id.0) {
                    queue.incoming.push(binding.clone());
                }
            }
            Destination::Exchange(id) => {
                if let Some(exchange) = self.exchanges.get_mut(id.0) {
                    exchange.incoming.push(binding.clone());
                }
            }
        }
        if let Some(stored) = self.stored_binding(&binding) {
            self.changes.push((stored.key(), Some(stored.value())));
        }
    }

    /// Removes a binding if it is there; an auto-delete source goes with its last one.
    pub fn unbind(&mut self, binding: &Binding) {
        if self.exchanges.get(binding.source.0).is_some_and(|source| source.outgoing.contains(binding)) {
            self.drop_binding(binding);
            self.remove_idle_sources(std::slice::from_ref(binding));
        }
    }

    fn drop_binding(&mut self, binding: &Binding) {
        self.forget(self.stored_binding(binding));
        self.version += 1;
        if let Some(source) = self.exchanges.get_mut(binding.source.0) {
            source.outgoing.remove(binding);
            source.router.unbind(binding.destination, &binding.key, &binding.arguments);
        }
        match binding.destination {
            Destination::Queue(id) => {
                if let Some(queue) = self.queues.get_mut(id.0) {
                    queue.incoming.retain(|other| other != binding);
                }
            }
            Destination::Exchange(id) => {
                if let Some(exchange) = self.exchanges.get_mut(id.0) {
                    exchange.incoming.retain(|other| other != binding);
                }
            }
        }
    }

    fn remove_idle_sources(&mut self, dropped: &[Binding]) {
        for binding in dropped {
            let idle = |exchange: &Exchange| exchange.flags.auto_delete && !exchange.is_in_use();
            if self.exchanges.get(binding.source.0).is_some_and(idle) {
                self.remove_exchange(binding.source);
            }
        }
    }

    fn forget(&mut self, stored: Option<Stored>) {
        if let Some(stored) = stored {
            self.changes.push((stored.key(), None));
        }
    }

    fn stored_exchange(&self, id: ExchangeId) -> Option<Stored> {
        let exchange = self.exchanges.get(id.0).filter(|exchange| exchange.flags.durable && !exchange.predeclared)?;
        let flags = &exchange.flags;
        Some(Stored::Exchange {
            vhost: exchange.vhost.clone(),
            name: exchange.name.clone(),
            kind: Bytes::from_static(flags.kind.name().as_bytes()),
            auto_delete: flags.auto_delete,
            internal: flags.internal,
            arguments: flags.arguments.clone(),
        })
    }

    fn stored_queue(&self, id: QueueId) -> Option<Stored> {
        let queue = self.queues.get(id.0).filter(|queue| queue.is_kept())?;
        Some(Stored::Queue {
            vhost: queue.vhost.clone(),
            name: queue.name.clone(),
            auto_delete: queue.flags.auto_delete,
            foreign: queue.foreign,
            arguments: queue.flags.arguments.clone(),
        })
    }

    /// A binding is kept if both its ends are.
    fn stored_binding(&self, binding: &Binding) -> Option<Stored> {
        let source = self.exchanges.get(binding.source.0).filter(|source| source.flags.durable)?;
        let (to_exchange, destination) = match binding.destination {
            Destination::Queue(id) => (false, &self.queues.get(id.0).filter(|queue| queue.is_kept())?.name),
            Destination::Exchange(id) => (true, &self.exchanges.get(id.0).filter(|exchange| exchange.flags.durable)?.name),
        };
        Some(Stored::Binding {
            vhost: source.vhost.clone(),
            source: source.name.clone(),
            to_exchange,
            destination: destination.clone(),
            key: binding.key.clone(),
            arguments: binding.arguments.clone(),
        })
    }
}

/// The name of a queue that is there.
fn name_of(queues: &Arena<Queue>, id: QueueId) -> &[u8] {
    queues.get(id.0).map_or(&[], |queue| &queue.name)
}

#[cfg(test)]
mod tests;
