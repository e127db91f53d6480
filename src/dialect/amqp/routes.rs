//! From a message to the partitions that it is appended to: exchanges, the default exchange's every-name-is-a-topic, and a memory of
//! the last route, which most publishes share.

use std::sync::Arc;

use bytes::Bytes;

use super::error::{Fault, Named};
use super::exchange::QueueId;
use super::mapping::Message;
use super::round::Work;
use super::topology::arguments::TOPIC;
use super::topology::{Place, Routed};
use super::wire::table::array_values;
use super::wire::{Properties, Table, Value};
use crate::delivery::{Placing, Target, partition_of, view_name};
use crate::log::{Topic, TopicName};

/// The last route of a connection, and scratch space to find the next.
#[derive(Debug, Default)]
pub struct Routes {
    known: bool,
    version: u64,
    exchange: Bytes,
    key: Bytes,
    targets: Vec<Target>,
    /// Some target has several partitions.
    spreads: bool,
    /// What all targets take, in bytes.
    bytes_max: usize,
    routed: Routed,
}

/// Keys beside the routing key, from the headers `CC` and `BCC`.
pub(super) fn more_keys<'a>(headers: Table<'a>) -> impl Iterator<Item = &'a [u8]> {
    [&b"CC"[..], b"BCC"]
        .into_iter()
        .filter_map(move |name| headers.get(name))
        .flat_map(|value| array_values(if let Value::Array(values) = value { values } else { b"" }))
        .filter_map(|value| value.text())
}

impl Routes {
    /// Where a message goes; empty: nowhere. `vhost` and `prefix` are those of the connection.
    pub fn find(
        &mut self,
        work: &mut Work<'_>,
        vhost: &[u8],
        prefix: &[u8],
        message: &Message,
        view: &Properties<'_>,
    ) -> Result<&[Target], Fault> {
        let headers = Table(view.headers.unwrap_or_default());
        let has_more_keys = !headers.is_empty() && more_keys(headers).next().is_some();
        if has_more_keys || !self.is_known(work, message) {
            self.known = false;
            self.targets.clear();
            let by_key_alone = match message.exchange.is_empty() {
                true => self.by_name(work, vhost, prefix, message, headers),
                false => self.through_exchange(work, vhost, message, headers)?,
            };
            self.remember(work, message, by_key_alone && !has_more_keys);
        }
        Ok(&self.targets)
    }

    /// Where the last message went.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// Chooses the partitions of the last route's targets, where they have several. `placing` is asked for if so.
    pub fn place<'r>(&mut self, placing: impl FnOnce() -> Placing<'r>) {
        if self.spreads {
            let placing = placing();
            for target in &mut self.targets {
                target.partition = partition_of(&target.topic, &placing);
            }
        }
    }

    /// The largest message that all targets of the last route take, in bytes.
    pub fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    fn is_known(&self, work: &Work<'_>, message: &Message) -> bool {
        self.known
            && self.version == work.topology.version()
            && self.key == message.routing_key
            && self.exchange == message.exchange
            && !self.targets.iter().any(|target| target.topic.is_deleted())
    }

    fn remember(&mut self, work: &Work<'_>, message: &Message, lasting: bool) {
        self.spreads = self.targets.iter().any(|target| target.topic.partition_count() > 1);
        self.bytes_max = self.targets.iter().map(|target| target.topic.max_message_bytes()).min().unwrap_or(usize::MAX);
        self.known = lasting && !self.targets.is_empty();
        if self.known {
            self.version = work.topology.version();
            // Copies: a slice would keep the whole input alive.
            self.exchange = Bytes::copy_from_slice(&message.exchange);
            self.key = Bytes::copy_from_slice(&message.routing_key);
        }
    }

    fn add(&mut self, topic: Arc<Topic>) {
        self.targets.push(Target { topic, partition: 0 });
    }

    fn add_once(&mut self, topic: Arc<Topic>) {
        if !self.targets.iter().any(|target| Arc::ptr_eq(&target.topic, &topic)) {
            self.add(topic);
        }
    }

    /// The default exchange: the key is the name of a queue, or of any topic.
    fn by_name(&mut self, work: &mut Work<'_>, vhost: &[u8], prefix: &[u8], message: &Message, headers: Table<'_>) -> bool {
        for key in std::iter::once(&message.routing_key[..]).chain(more_keys(headers)) {
            let topic = match work.topology.queue_id(vhost, key).and_then(|id| work.topology.queue(id)) {
                Some(queue) => work.unit.topic(&queue.place.topic),
                None => name_in(prefix, key).and_then(|name| work.unit.topic(&name)),
            };
            if let Some(topic) = topic {
                self.add_once(topic);
            }
        }
        true
    }

    /// Whether the route depends on exchange and key alone.
    fn through_exchange(
        &mut self,
        work: &mut Work<'_>,
        vhost: &[u8],
        message: &Message,
        headers: Table<'_>,
    ) -> Result<bool, Fault> {
        let missing = || Fault::NotFound(Named::exchange(&message.exchange, vhost));
        let id = work.topology.exchange_id(vhost, &message.exchange).ok_or_else(missing)?;
        let exchange = work.topology.exchange(id).ok_or_else(missing)?;
        if exchange.flags.internal {
            return Err(Fault::InternalExchange(exchange.named()));
        }
        let mut routed = std::mem::take(&mut self.routed);
        routed.clear();
        let keys = std::iter::once(&message.routing_key[..]).chain(more_keys(headers));
        let by_key_alone = work.topology.route(id, keys, headers.0, &mut routed);
        self.add_queues(work, &routed);
        self.routed = routed;
        Ok(by_key_alone)
    }

    fn add_queues(&mut self, work: &Work<'_>, routed: &[QueueId]) {
        let queues = || routed.iter().filter_map(|id| work.topology.queue(*id));
        // Queues have topics of their own, unless some are views of one.
        let shares = queues().any(|queue| queue.place.is_named());
        for queue in queues() {
            let Some(topic) = work.unit.topic(&queue.place.topic) else { continue };
            if shares {
                self.add_once(topic);
            } else {
                self.add(topic);
            }
        }
    }
}

/// The topic of a name in a virtual host; none if the name is empty or belongs to the log.
pub fn name_in(prefix: &[u8], name: &[u8]) -> Option<TopicName> {
    if name.is_empty() {
        return None;
    }
    let full = match prefix.is_empty() {
        true => Bytes::copy_from_slice(name),
        false => [prefix, name].concat().into(),
    };
    TopicName::new(full).ok().filter(|name| !name.is_internal())
}

/// Where the records of a queue of this name and these arguments (the bytes of a table) are; none if a name is not one.
pub fn place_in(prefix: &[u8], name: &[u8], arguments: &[u8]) -> Option<Place> {
    let own = name_in(prefix, name)?;
    let Some(topic) = Table(arguments).get(TOPIC.as_bytes()) else { return Some(Place::of(own)) };
    let topic = name_in(prefix, topic.text()?)?;
    if topic == own {
        return Some(Place::of(own));
    }
    let view = view_name(&topic, name).ok()?;
    Some(Place::with_view(topic, view))
}

/// What the names of a virtual host begin with in the log.
pub fn prefix_of(vhost: &[u8]) -> Option<Bytes> {
    match vhost {
        b"/" => Some(Bytes::new()),
        b"" => None,
        vhost if vhost.starts_with(b"__") => None,
        vhost => Some([vhost, b"/"].concat().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::amqp::wire::TableBuilder;

    #[test]
    fn a_virtual_host_is_a_prefix() {
        assert_eq!(prefix_of(b"/"), Some(Bytes::new()));
        assert_eq!(prefix_of(b"team"), Some(Bytes::from_static(b"team/")));
        assert_eq!((prefix_of(b""), prefix_of(b"__log")), (None, None));
    }

    #[test]
    fn a_queue_is_the_view_of_its_own_topic_or_of_the_one_it_names() {
        let of = |topic: &'static [u8]| TableBuilder::new().entry(b"x-topic", Value::Text(topic)).finish();
        let plain = place_in(b"team/", b"q", b"").unwrap();
        assert_eq!((plain.topic.as_bytes(), plain.is_named()), (&b"team/q"[..], false));
        let named = place_in(b"team/", b"q", &of(b"orders")).unwrap();
        assert_eq!((named.topic.as_bytes(), named.is_named()), (&b"team/orders"[..], true));
        assert!(!place_in(b"", b"q", &of(b"q")).unwrap().is_named());
        assert_eq!((place_in(b"", b"q", &of(b"")), place_in(b"", b"q", &of(b"__log"))), (None, None));
    }
}
