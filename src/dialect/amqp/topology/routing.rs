//! From an exchange to the set of queues, through bindings between exchanges and alternate exchanges; each queue once.

use super::Topology;
use crate::dialect::amqp::exchange::{Destination, ExchangeId, ExchangeKind, QueueId};

/// Scratch space of routing: which queues and exchanges the current message has reached.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// Grows with every key of every message; an exchange is entered once a key.
    stamp: u64,
    /// The stamp when the current message began; a queue is reached once a message.
    message: u64,
    queues: Vec<u64>,
    exchanges: Vec<u64>,
    todo: Vec<ExchangeId>,
    found: Vec<Destination>,
    saw_headers: bool,
}

/// The queues that a message goes to; reused from message to message.
pub type Routed = Vec<QueueId>;

impl Topology {
    /// Adds to `routed` the queues that any of `keys` lead to from an exchange. `headers` are the bytes of a table.
    /// Returns whether exchange and key alone decided it, so that the same ones lead there again.
    pub fn route<'k>(
        &mut self,
        from: ExchangeId,
        keys: impl Iterator<Item = &'k [u8]>,
        headers: &[u8],
        routed: &mut Routed,
    ) -> bool {
        let mut marks = std::mem::take(&mut self.marks);
        marks.begin(self.queues.span(), self.exchanges.span());
        for key in keys {
            marks.begin_key();
            marks.reach_exchange(from);
            while let Some(at) = marks.todo.pop() {
                self.route_through(at, key, headers, &mut marks, routed);
            }
        }
        let by_key_alone = !marks.saw_headers;
        self.marks = marks;
        by_key_alone
    }

    fn route_through(&self, at: ExchangeId, key: &[u8], headers: &[u8], marks: &mut Marks, routed: &mut Routed) {
        let Some(exchange) = self.exchange(at) else { return };
        marks.saw_headers |= exchange.flags.kind == ExchangeKind::Headers;
        let mut found = std::mem::take(&mut marks.found);
        found.clear();
        exchange.router.route(key, headers, &mut found);
        if found.is_empty()
            && let Some(alternate) = exchange.alternate().and_then(|name| self.exchange_id(&exchange.vhost, name))
        {
            marks.reach_exchange(alternate);
        }
        for destination in &found {
            match *destination {
                Destination::Queue(queue) if marks.reach_queue(queue) => routed.push(queue),
                Destination::Queue(_) => {}
                Destination::Exchange(exchange) => marks.reach_exchange(exchange),
            }
        }
        marks.found = found;
    }
}

impl Marks {
    fn begin(&mut self, queues: usize, exchanges: usize) {
        self.queues.resize(queues.max(self.queues.len()), 0);
        self.exchanges.resize(exchanges.max(self.exchanges.len()), 0);
        self.stamp += 1;
        self.message = self.stamp;
        self.saw_headers = false;
    }

    fn begin_key(&mut self) {
        self.stamp += 1;
    }

    fn reach_queue(&mut self, queue: QueueId) -> bool {
        self.queues.get_mut(queue.0 as usize).is_some_and(|mark| std::mem::replace(mark, self.message) != self.message)
    }

    fn reach_exchange(&mut self, exchange: ExchangeId) {
        let first =
            self.exchanges.get_mut(exchange.0 as usize).is_some_and(|mark| std::mem::replace(mark, self.stamp) != self.stamp);
        if first {
            self.todo.push(exchange);
        }
    }
}
