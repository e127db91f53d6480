//! The exchange types: each answers which destinations a routing key and headers lead to.
//!
//! Pure: no names, no queues, no log. A destination is a number that [`super::topology`] gives; who deletes it unbinds it first.

mod direct;
mod fanout;
mod headers;
mod topic;

use std::collections::BTreeMap;

use bytes::Bytes;

use direct::Direct;
use fanout::Fanout;
use headers::Headers;
pub use headers::is_match_kind;
use topic::Topic;

/// A queue of the topology.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueId(pub u32);

/// An exchange of the topology.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExchangeId(pub u32);

/// Where a binding leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Destination {
    Queue(QueueId),
    Exchange(ExchangeId),
}

/// The exchange types of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExchangeKind {
    Direct,
    Fanout,
    Topic,
    Headers,
}

impl ExchangeKind {
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"direct" => Self::Direct,
            b"fanout" => Self::Fanout,
            b"topic" => Self::Topic,
            b"headers" => Self::Headers,
            _ => return None,
        })
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Fanout => "fanout",
            Self::Topic => "topic",
            Self::Headers => "headers",
        }
    }
}

/// The bindings of one exchange, arranged for routing.
#[derive(Debug)]
pub enum Router {
    Direct(Direct),
    Fanout(Fanout),
    Topic(Topic),
    Headers(Headers),
}

impl Router {
    pub fn new(kind: ExchangeKind) -> Self {
        match kind {
            ExchangeKind::Direct => Self::Direct(Direct::default()),
            ExchangeKind::Fanout => Self::Fanout(Fanout::default()),
            ExchangeKind::Topic => Self::Topic(Topic::default()),
            ExchangeKind::Headers => Self::Headers(Headers::default()),
        }
    }

    pub fn kind(&self) -> ExchangeKind {
        match self {
            Self::Direct(_) => ExchangeKind::Direct,
            Self::Fanout(_) => ExchangeKind::Fanout,
            Self::Topic(_) => ExchangeKind::Topic,
            Self::Headers(_) => ExchangeKind::Headers,
        }
    }

    /// Adds a binding. Bindings that differ in their arguments alone are counted.
    pub fn bind(&mut self, destination: Destination, key: &Bytes, arguments: &Bytes) {
        match self {
            Self::Direct(router) => router.bind(destination, key),
            Self::Fanout(router) => router.bind(destination),
            Self::Topic(router) => router.bind(destination, key),
            Self::Headers(router) => router.bind(destination, arguments),
        }
    }

    /// Takes back one [`bind`](Self::bind) with the same arguments.
    pub fn unbind(&mut self, destination: Destination, key: &Bytes, arguments: &Bytes) {
        match self {
            Self::Direct(router) => router.unbind(destination, key),
            Self::Fanout(router) => router.unbind(destination),
            Self::Topic(router) => router.unbind(destination, key),
            Self::Headers(router) => router.unbind(destination, arguments),
        }
    }

    /// Adds to `found` where the key and the headers (the bytes of a table) lead; one destination may come twice.
    pub fn route(&self, key: &[u8], headers: &[u8], found: &mut Vec<Destination>) {
        match self {
            Self::Direct(router) => router.route(key, found),
            Self::Fanout(router) => router.route(found),
            Self::Topic(router) => router.route(key, found),
            Self::Headers(router) => router.route(headers, found),
        }
    }
}

/// Destinations with the number of bindings that lead there.
#[derive(Debug, Clone, Default)]
struct Destinations(BTreeMap<Destination, u32>);

impl Destinations {
    fn add(&mut self, destination: Destination) {
        *self.0.entry(destination).or_insert(0) += 1;
    }

    fn remove(&mut self, destination: Destination) {
        if let Some(count) = self.0.get_mut(&destination) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&destination);
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn push_to(&self, found: &mut Vec<Destination>) {
        found.extend(self.0.keys().copied());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_bindings_to_one_destination_need_two_unbinds() {
        for kind in [ExchangeKind::Direct, ExchangeKind::Fanout, ExchangeKind::Topic] {
            let mut router = Router::new(kind);
            let (queue, key) = (Destination::Queue(QueueId(1)), Bytes::from_static(b"a.b"));
            let routed = |router: &Router| {
                let mut found = Vec::new();
                router.route(b"a.b", b"", &mut found);
                found
            };
            router.bind(queue, &key, &Bytes::new());
            router.bind(queue, &key, &Bytes::from_static(b"\x01at\x01"));
            router.unbind(queue, &key, &Bytes::new());
            assert_eq!(routed(&router), [queue], "{kind:?}");
            router.unbind(queue, &key, &Bytes::from_static(b"\x01at\x01"));
            assert!(routed(&router).is_empty(), "{kind:?}");
            router.unbind(queue, &key, &Bytes::new());
        }
    }
}
