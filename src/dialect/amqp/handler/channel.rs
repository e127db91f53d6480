//! Classes channel (20) and access (30): flow, close, and what a closing channel gives back.

use crate::dialect::amqp::channel::{Channel, Mode};
use crate::dialect::amqp::consumer::Consumer;
use crate::dialect::amqp::error::Fault;
use crate::dialect::amqp::round::{Round, Work};
use crate::dialect::amqp::session::Session;
use crate::dialect::amqp::support::{ABANDONED, UNDELIVERED};
use crate::dialect::amqp::wire::method::{AccessRequestOk, ChannelCloseOk, ChannelFlow, ChannelFlowOk};

impl Session {
    pub(super) fn channel_flow(&mut self, number: u16, flow: ChannelFlow) -> Result<(), Fault> {
        if !flow.active {
            return Err(Fault::NotImplemented("active=false"));
        }
        self.outbox().reply(number, ChannelFlowOk { active: true });
        Ok(())
    }

    pub(super) fn channel_close(&mut self, round: &mut Round<'_>, number: u16) -> Result<(), Fault> {
        if let Some(channel) = self.channels.remove(number) {
            self.end_channel(round, channel);
        }
        self.outbox().reply_when_durable(number, ChannelCloseOk {});
        Ok(())
    }

    /// Tickets are a relic: everybody gets one.
    pub(super) fn access_request(&mut self, number: u16) -> Result<(), Fault> {
        self.outbox().reply(number, AccessRequestOk { ticket: 1 });
        Ok(())
    }

    /// Gives back what a channel held: consumers, claims and unsettled deliveries.
    pub(in super::super) fn end_channel(&mut self, round: &mut Round<'_>, mut channel: Channel) {
        let Ok(work) = round.work() else { return };
        let number = channel.number;
        for consumer in std::mem::take(&mut channel.consumers) {
            self.end_consumer(work, number, consumer);
        }
        let mut unsettled = channel.unsettled.take_all();
        if let Mode::Transaction(transaction) = channel.mode {
            unsettled.extend(transaction.accepted);
            unsettled.extend(transaction.rejected.into_iter().map(|(delivery, _)| delivery));
        }
        for delivery in unsettled.iter().filter(|delivery| delivery.stands(&work.unit)).collect::<Vec<_>>() {
            work.unit.settle(&delivery.view, &[delivery.position], ABANDONED);
        }
    }

    /// Takes a consumer off its queue and gives back what it was not delivered yet; its unsettled deliveries stay the channel's.
    pub(super) fn end_consumer(&mut self, work: &mut Work<'_>, number: u16, mut consumer: Consumer) {
        work.unit.remove_taker(&consumer.view, consumer.taker.id());
        consumer.outstanding = consumer.outstanding.max(1);
        consumer.collect(&mut self.claims);
        if !consumer.done.is_empty() {
            work.unit.accept(&consumer.view, &consumer.done);
        }
        for claim in &consumer.held {
            if !work.unit.holds(&consumer.view, claim.position, claim.attempt) {
                continue;
            }
            work.unit.settle(&consumer.view, &[claim.position], UNDELIVERED);
        }
        let Some(id) = work.topology.queue_id(&self.opened.vhost, &consumer.queue) else { return };
        let last_of_auto_delete =
            work.topology.queue_mut(id).is_some_and(|queue| queue.unsubscribe(self.id, number, &consumer.tag));
        if last_of_auto_delete {
            super::queue::remove_queue(work, id);
        }
    }
}
