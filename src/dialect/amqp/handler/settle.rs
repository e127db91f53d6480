//! Class basic (60), settling: ack, nack, reject, recover. A channel in a transaction keeps them until commit.

use crate::delivery::Settlement;
use crate::dialect::amqp::channel::{Channel, Mode};
use crate::dialect::amqp::error::Fault;
use crate::dialect::amqp::round::Round;
use crate::dialect::amqp::session::Session;
use crate::dialect::amqp::support::{DISCARDED, NACKED, RECOVERED, REJECTED};
use crate::dialect::amqp::unsettled::Delivery;
use crate::dialect::amqp::wire::method::{BasicAck, BasicNack, BasicRecoverOk, BasicReject};

impl Session {
    pub(super) fn basic_ack(&mut self, round: &mut Round<'_>, number: u16, ack: &BasicAck) -> Result<(), Fault> {
        let Some(channel) = self.channels.get(number) else { return Ok(()) };
        if ack.multiple {
            let settled = channel.unsettled.settle(ack.delivery_tag, true).ok_or(Fault::UnknownDeliveryTag(ack.delivery_tag))?;
            for delivery in settled {
                accept(round, channel, delivery)?;
            }
        } else {
            let delivery = channel.unsettled.take_one(ack.delivery_tag).ok_or(Fault::UnknownDeliveryTag(ack.delivery_tag))?;
            accept(round, channel, delivery)?;
        }
        self.credit_changed = true;
        Ok(())
    }

    pub(super) fn basic_nack(&mut self, round: &mut Round<'_>, number: u16, nack: &BasicNack) -> Result<(), Fault> {
        let settlement = if nack.requeue { NACKED } else { DISCARDED };
        self.give_back(round, number, nack.delivery_tag, nack.multiple, settlement)
    }

    pub(super) fn basic_reject(&mut self, round: &mut Round<'_>, number: u16, reject: &BasicReject) -> Result<(), Fault> {
        let settlement = if reject.requeue { REJECTED } else { DISCARDED };
        self.give_back(round, number, reject.delivery_tag, false, settlement)
    }

    fn give_back(
        &mut self,
        round: &mut Round<'_>,
        number: u16,
        tag: u64,
        multiple: bool,
        settlement: Settlement,
    ) -> Result<(), Fault> {
        let Some(channel) = self.channels.get(number) else { return Ok(()) };
        let settled = channel.unsettled.settle(tag, multiple).ok_or(Fault::UnknownDeliveryTag(tag))?;
        for delivery in settled {
            if let Mode::Transaction(transaction) = &mut channel.mode {
                transaction.rejected.push((delivery, settlement));
                continue;
            }
            channel.settled(&delivery);
            delivery.check_stands(round)?;
            round.work()?.unit.settle(&delivery.view, &[delivery.position], settlement);
        }
        self.credit_changed = true;
        Ok(())
    }

    pub(super) fn basic_recover(&mut self, round: &mut Round<'_>, number: u16, requeue: bool, answer: bool) -> Result<(), Fault> {
        if !requeue {
            return Err(Fault::NotImplemented("requeue=false"));
        }
        let Some(channel) = self.channels.get(number) else { return Ok(()) };
        for delivery in channel.unsettled.take_all() {
            channel.settled(&delivery);
            delivery.check_stands(round)?;
            round.work()?.unit.settle(&delivery.view, &[delivery.position], RECOVERED);
        }
        self.credit_changed = true;
        if answer {
            self.outbox().reply(number, BasicRecoverOk {});
        }
        Ok(())
    }
}

fn accept(round: &mut Round<'_>, channel: &mut Channel, delivery: Delivery) -> Result<(), Fault> {
    if let Mode::Transaction(transaction) = &mut channel.mode {
        transaction.accepted.push(delivery);
        return Ok(());
    }
    channel.settled(&delivery);
    delivery.check_stands(round)?;
    round.accept(&delivery.view, delivery.position)
}
