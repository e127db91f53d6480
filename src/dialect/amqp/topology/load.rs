//! The topology from keyed state, at start.

use bytes::Bytes;

use super::stored::Stored;
use super::{Binding, ExchangeFlags, Place, Queue, QueueFlags, Topology};
use crate::dialect::amqp::exchange::{Destination, ExchangeKind};

impl Topology {
    /// Rebuilds what was stored. `place_of` tells where a queue of this virtual host, name and arguments is, or none if it is gone.
    pub fn load(entries: Vec<(Bytes, Bytes)>, place_of: impl Fn(&[u8], &[u8], &[u8]) -> Option<Place>) -> Self {
        let mut topology = Self::default();
        let mut all: Vec<Stored> = entries.iter().filter_map(|(key, value)| decode(key, value)).collect();
        all.sort_by_key(Stored::load_order);
        for stored in all {
            topology.load_one(stored, &place_of);
        }
        topology.changes.clear();
        topology
    }

    fn load_one(&mut self, stored: Stored, place_of: &impl Fn(&[u8], &[u8], &[u8]) -> Option<Place>) {
        match stored {
            Stored::Exchange { vhost, name, kind, auto_delete, internal, arguments } => {
                self.open_vhost(&vhost);
                let Some(kind) = ExchangeKind::from_name(&kind) else { return };
                self.insert_exchange(&vhost, name, ExchangeFlags { kind, durable: true, auto_delete, internal, arguments });
            }
            Stored::Queue { vhost, name, auto_delete, foreign, arguments } => {
                self.open_vhost(&vhost);
                let Some(place) = place_of(&vhost, &name, &arguments) else { return };
                let flags = QueueFlags { durable: true, auto_delete, exclusive: None, arguments };
                self.insert_queue(Queue::new(vhost, name, place, flags, foreign));
            }
            Stored::Binding { vhost, source, to_exchange, destination, key, arguments } => {
                self.open_vhost(&vhost);
                let destination = match to_exchange {
                    true => self.exchange_id(&vhost, &destination).map(Destination::Exchange),
                    false => self.queue_id(&vhost, &destination).map(Destination::Queue),
                };
                if let (Some(source), Some(destination)) = (self.exchange_id(&vhost, &source), destination) {
                    self.bind(Binding { source, destination, key, arguments });
                }
            }
        }
    }
}

fn decode(key: &[u8], value: &[u8]) -> Option<Stored> {
    match Stored::decode(key, value) {
        Ok(stored) => stored,
        Err(error) => {
            tracing::warn!(%error, key = %key.escape_ascii(), "a stored declaration does not decode and is left out");
            None
        }
    }
}
