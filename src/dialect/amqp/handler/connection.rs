//! Class connection (10), after the handshake: close, from either side, and the end of everything that dies with a connection.

use std::sync::Arc;

use crate::dialect::amqp::channel::{Channel, Phase};
use crate::dialect::amqp::error::Fault;
use crate::dialect::amqp::round::Round;
use crate::dialect::amqp::session::{Life, Session};
use crate::dialect::amqp::wire::Method;
use crate::dialect::amqp::wire::method::{ChannelCloseOk, ChannelOpenOk, ConnectionCloseOk};

impl Session {
    /// A method on channel 0, or any while the connection is closing.
    pub(in super::super) fn connection_method(&mut self, method: Method<'_>) -> Result<(), Fault> {
        match (method, self.life()) {
            (Method::ConnectionClose(_), _) => {
                self.outbox().reply(0, ConnectionCloseOk {});
                self.life = Life::Closed;
                Ok(())
            }
            (Method::ConnectionCloseOk(_), Life::Closing) => {
                self.life = Life::Closed;
                Ok(())
            }
            (_, Life::Closing | Life::Closed) => Ok(()),
            (Method::ConnectionUpdateSecret(_), Life::Open) => Err(Fault::NotImplemented("secrets cannot be updated")),
            (Method::ConnectionBlocked(_) | Method::ConnectionUnblocked(_), Life::Open) => Ok(()),
            (_, Life::Open) => Err(Fault::InvalidCommand("unexpected method on channel 0")),
        }
    }

    /// A method on a channel that is not open: only `channel.open` is one.
    pub(in super::super) fn open_channel(&mut self, number: u16, method: Method<'_>) -> Result<(), Fault> {
        match method {
            Method::ChannelOpen(_) if number > self.opened.channel_max => {
                Err(Fault::ChannelNumber { number, limit: self.opened.channel_max })
            }
            Method::ChannelOpen(_) => {
                self.channels.insert(Channel::new(number));
                self.outbox().reply(number, ChannelOpenOk::default());
                Ok(())
            }
            // Close and its answer may cross on the way.
            Method::ChannelCloseOk(_) => Ok(()),
            _ => Err(Fault::ChannelNotOpen),
        }
    }

    /// A method on a channel that we closed: only the client's agreement counts, or its own close that crossed ours.
    pub(in super::super) fn closing_channel_method(&mut self, number: u16, method: Method<'_>) {
        match method {
            Method::ChannelCloseOk(_) => {
                self.channels.remove(number);
            }
            Method::ChannelClose(_) => self.outbox().reply(number, ChannelCloseOk {}),
            _ => {}
        }
    }

    /// Gives back everything that the connection held. For the end of its task.
    pub fn end(&mut self) {
        let (delivery, topology) = (self.delivery.clone(), Arc::clone(&self.topology));
        let mut round = Round::new(&delivery, &topology);
        for number in self.channels.numbers() {
            if let Some(channel) = self.channels.remove(number).filter(|channel| channel.phase == Phase::Open) {
                self.end_channel(&mut round, channel);
            }
        }
        self.drop_exclusive_queues(&mut round);
        self.finish_round(round);
    }

    fn drop_exclusive_queues(&mut self, round: &mut Round<'_>) {
        for name in std::mem::take(&mut self.exclusive_queues) {
            let Ok(work) = round.work() else { return };
            let id = work.topology.queue_id(&self.opened.vhost, &name);
            let is_own = |id: &_| work.topology.queue(*id).is_some_and(|queue| queue.flags.exclusive == Some(self.id));
            if let Some(id) = id.filter(is_own) {
                super::queue::remove_queue(work, id);
            }
        }
    }
}
