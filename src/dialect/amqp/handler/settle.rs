//! Class basic (60), settling: ack, nack, reject, recover. A channel in a transaction keeps them until commit.

use crate::dialect::amqp::channel::{Channel, Mode};
use crate::dialect::amqp::error::Fault;
use crate::dialect::amqp::round::Round;
use crate::dialect::amqp::session::Session;
use crate::dialect::amqp::unsettled::Delivery;
use crate::dialect::amqp::wire::method::{BasicAck, BasicNack, BasicRecoverOk, BasicReject};

/// How a client gives a delivery back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Return {
    /// `basic.nack` with requeue: it was not tried.
    Untried,
    /// `basic.reject` with requeue: it was tried and failed.
    Failed,
    /// Without requeue: it is done with.
    Discard,
}

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
        let how = if nack.requeue { Return::Untried } else { Return::Discard };
        self.give_back(round, number, nack.delivery_tag, nack.multiple, how)
    }

    pub(super) fn basic_reject(&mut self, round: &mut Round<'_>, number: u16, reject: &BasicReject) -> Result<(), Fault> {
        let how = if reject.requeue { Return::Failed } else { Return::Discard };
        self.give_back(round, number, reject.delivery_tag, false, how)
    }

    fn give_back(&mut self, round: &mut Round<'_>, number: u16, tag: u64, multiple: bool, how: Return) -> Result<(), Fault> {
        let Some(channel) = self.channels.get(number) else { return Ok(()) };
        let settled = channel.unsettled.settle(tag, multiple).ok_or(Fault::UnknownDeliveryTag(tag))?;
        for delivery in settled {
            if let Mode::Transaction(transaction) = &mut channel.mode {
                transaction.rejected.push((delivery, how != Return::Discard));
                continue;
            }
            channel.settled(&delivery);
            match how {
                Return::Discard => round.accept(&delivery.view, delivery.position)?,
                Return::Untried | Return::Failed => {
                    round.work()?.unit.release(&delivery.view, &[delivery.position], how == Return::Failed);
                }
            }
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
            round.work()?.unit.release(&delivery.view, &[delivery.position], false);
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
    round.accept(&delivery.view, delivery.position)
}
