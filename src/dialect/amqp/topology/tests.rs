//! Topology: declarations, bindings, exclusive and automatic ends, and what comes back after a restart.

use super::*;
use crate::log::TopicName;

fn b(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn topic_name(text: &str) -> TopicName {
    TopicName::new(b(text)).unwrap()
}

fn exchange(topology: &mut Topology, name: &str, kind: ExchangeKind, auto_delete: bool, arguments: Bytes) -> ExchangeId {
    let flags = ExchangeFlags { kind, durable: true, auto_delete, internal: false, arguments };
    topology.insert_exchange(&b("/"), b(name), flags)
}

fn queue(topology: &mut Topology, name: &str, exclusive: Option<ConnectionId>) -> QueueId {
    let flags = QueueFlags { durable: true, auto_delete: false, exclusive, arguments: Bytes::new() };
    topology.insert_queue(Queue::new(b("/"), b(name), Place::of(topic_name(name)), flags, false))
}

fn bind(topology: &mut Topology, source: ExchangeId, destination: Destination, key: &str) -> Binding {
    let binding = Binding { source, destination, key: b(key), arguments: Bytes::new() };
    topology.bind(binding.clone());
    binding
}

fn routed(topology: &mut Topology, from: ExchangeId, keys: &[&str]) -> Vec<QueueId> {
    let mut routed = Vec::new();
    topology.route(from, keys.iter().map(|key| key.as_bytes()), b"", &mut routed);
    routed.sort();
    routed
}

#[test]
fn a_queue_reached_by_many_ways_is_reached_once() {
    let mut topology = Topology::default();
    topology.open_vhost(&b("/"));
    let fan = topology.exchange_id(b"/", b"amq.fanout").unwrap();
    let words = exchange(&mut topology, "words", ExchangeKind::Topic, false, Bytes::new());
    let (one, two) = (queue(&mut topology, "one", None), queue(&mut topology, "two", None));
    bind(&mut topology, fan, Destination::Exchange(words), "");
    bind(&mut topology, fan, Destination::Queue(one), "x");
    bind(&mut topology, words, Destination::Queue(one), "a.#");
    bind(&mut topology, words, Destination::Queue(one), "*.b");
    bind(&mut topology, words, Destination::Queue(two), "c");
    // A circle of exchanges ends.
    bind(&mut topology, words, Destination::Exchange(fan), "#");
    assert_eq!(routed(&mut topology, fan, &["a.b"]), [one]);
    assert_eq!(routed(&mut topology, fan, &["a.b", "c"]), [one, two]);
}

#[test]
fn an_alternate_exchange_takes_what_has_no_destination() {
    let mut topology = Topology::default();
    let arguments = crate::dialect::amqp::wire::TableBuilder::new()
        .entry(b"alternate-exchange", crate::dialect::amqp::wire::Value::Text(b"rest"))
        .finish()
        .freeze();
    let main = exchange(&mut topology, "main", ExchangeKind::Direct, false, arguments);
    let rest = exchange(&mut topology, "rest", ExchangeKind::Fanout, false, Bytes::new());
    let (known, unknown) = (queue(&mut topology, "known", None), queue(&mut topology, "unknown", None));
    bind(&mut topology, main, Destination::Queue(known), "k");
    bind(&mut topology, rest, Destination::Queue(unknown), "");
    assert_eq!(routed(&mut topology, main, &["k"]), [known]);
    assert_eq!(routed(&mut topology, main, &["other"]), [unknown]);
}

#[test]
fn removals_take_bindings_and_idle_sources_along() {
    let mut topology = Topology::default();
    let first = exchange(&mut topology, "first", ExchangeKind::Fanout, true, Bytes::new());
    let second = exchange(&mut topology, "second", ExchangeKind::Fanout, true, Bytes::new());
    let only = queue(&mut topology, "only", None);
    bind(&mut topology, first, Destination::Exchange(second), "");
    bind(&mut topology, second, Destination::Queue(only), "");
    topology.remove_queue(only).unwrap();
    assert_eq!((topology.exchange_id(b"/", b"second"), topology.exchange_id(b"/", b"first")), (None, None));
    let again = queue(&mut topology, "only", None);
    assert!(topology.queue(again).is_some_and(|queue| queue.incoming.is_empty()));
}

#[test]
fn what_is_durable_comes_back_and_nothing_else() {
    let mut topology = Topology::default();
    topology.open_vhost(&b("/"));
    let words = exchange(&mut topology, "words", ExchangeKind::Topic, false, Bytes::new());
    let (kept, own) = (queue(&mut topology, "kept", None), queue(&mut topology, "own", Some(ConnectionId(1))));
    bind(&mut topology, words, Destination::Queue(kept), "a.*");
    bind(&mut topology, words, Destination::Queue(own), "a.*");
    let gone = bind(&mut topology, words, Destination::Queue(kept), "gone");
    topology.unbind(&gone);
    topology.unbind(&gone);

    let mut state = std::collections::BTreeMap::new();
    for (key, value) in topology.take_changes() {
        match value {
            Some(value) => drop(state.insert(key, value)),
            None => drop(state.remove(&key)),
        }
    }
    let mut loaded = Topology::load(state.into_iter().collect(), |_, name, _| {
        TopicName::new(Bytes::copy_from_slice(name)).ok().map(Place::of)
    });
    let words = loaded.exchange_id(b"/", b"words").unwrap();
    let kept = loaded.queue_id(b"/", b"kept").unwrap();
    assert_eq!(loaded.queue_id(b"/", b"own"), None);
    assert_eq!(routed(&mut loaded, words, &["a.b"]), [kept]);
    assert_eq!(routed(&mut loaded, words, &["gone"]), []);
    assert!(loaded.exchange_id(b"/", b"amq.topic").is_some());
    assert!(loaded.take_changes().is_empty());
}
