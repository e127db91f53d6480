//! What happens to a session between rounds: durable replies, confirms and deliveries move out, credit goes back to the views.

use std::sync::Arc;

use super::channel::{Channel, Confirmed};
use super::consumer::Consumer;
use super::error::Fault;
use super::mapping::{to_message, with_delivery_count};
use super::outbox::{Gate, Got, Reply};
use super::round::Round;
use super::session::{Life, Session};
use super::unsettled::Delivery;
use super::wire::method::{BasicAck, BasicCancel, BasicDeliver, BasicGetEmpty, BasicGetOk, BasicNack};
use super::wire::{put_body, put_header, put_method};
use crate::delivery::Claim;
use crate::log::record::Record;

impl Session {
    /// Moves out everything that may go by now, and asks to be woken for the rest.
    pub fn advance(&mut self) {
        self.unblock();
        self.move_out();
        while self.arm() {
            self.move_out();
        }
    }

    fn move_out(&mut self) {
        self.progress = self.log.progress();
        if let Some(reason) = self.log.poisoned().filter(|_| self.life == Life::Open) {
            self.refuse_all(&reason);
        }
        self.drop_lost_consumers();
        while let Some(reply) = self.outbox.next_open(self.progress) {
            match reply {
                Reply::Frames(frames) => self.outbox.ready().unsplit(frames),
                Reply::Got(got) => self.render_got(got),
            }
        }
        if self.life == Life::Open && !self.outbox.is_waiting() {
            self.confirm();
            self.deliver();
        }
        if self.credit_changed {
            let (delivery, topology) = (self.delivery.clone(), Arc::clone(&self.topology));
            let round = Round::new(&delivery, &topology);
            self.finish_round(round);
        }
    }

    /// The log has failed: nothing that waits will ever be durable.
    fn refuse_all(&mut self, reason: &str) {
        self.outbox.forget_waiting();
        for channel in self.channels.iter_mut() {
            let number = channel.number;
            if let Some(Confirmed { tag, multiple, .. }) = channel.confirms_mut().and_then(|confirms| confirms.take_all()) {
                self.outbox.reply(number, BasicNack { delivery_tag: tag, multiple, requeue: false });
            }
        }
        self.fail_connection(&Fault::Internal(format!("the log no longer accepts records: {reason}")), (0, 0));
    }

    fn confirm(&mut self) {
        for channel in self.channels.iter_mut() {
            let number = channel.number;
            let Some(confirms) = channel.confirms_mut() else { continue };
            while let Some(Confirmed { tag, multiple, refused }) = confirms.take_durable(|barrier| self.progress.passes(barrier))
            {
                match refused {
                    true => put_method(self.outbox.ready(), number, BasicNack { delivery_tag: tag, multiple, requeue: false }),
                    false => put_method(self.outbox.ready(), number, BasicAck { delivery_tag: tag, multiple }),
                }
            }
        }
    }

    fn deliver(&mut self) {
        let limit = self.delivery_bytes_max();
        let mut channels = std::mem::take(&mut self.channels);
        for channel in channels.iter_mut().filter(|channel| !channel.consumers.is_empty()) {
            let mut consumers = std::mem::take(&mut channel.consumers);
            for consumer in &mut consumers {
                if self.outbox.bytes().len() >= limit {
                    break;
                }
                self.deliver_to(channel, consumer, limit);
            }
            channel.consumers = consumers;
        }
        self.channels = channels;
    }

    fn deliver_to(&mut self, channel: &mut Channel, consumer: &mut Consumer, limit: usize) {
        if consumer.held.is_empty() {
            consumer.collect(&mut self.claims);
        }
        while let Some(claim) = consumer.held.front().filter(|claim| self.progress.passes(claim.barrier)) {
            if self.outbox.bytes().len() >= limit {
                return;
            }
            let record = match self.reader.record(&claim.partition, claim.position.offset) {
                Ok(record) => record,
                Err(error) => {
                    tracing::error!(queue = %claim.queue, offset = claim.position.offset, %error, "a record cannot be delivered");
                    consumer.held.pop_front();
                    continue;
                }
            };
            self.render_delivery(channel, consumer, &record);
            self.credit_changed = true;
            if consumer.held.is_empty() {
                consumer.collect(&mut self.claims);
            }
        }
    }

    fn render_delivery(&mut self, channel: &mut Channel, consumer: &mut Consumer, record: &Record) {
        let Some(claim) = consumer.held.pop_front() else { return };
        let delivery_tag = channel.next_delivery_tag();
        let mut message = to_message(record, &consumer.queue);
        if consumer.counts && claim.delivery_count > 0 {
            message.properties = with_delivery_count(&message.properties, claim.delivery_count).to_vec().into();
        }
        let out = self.outbox.ready();
        let deliver = BasicDeliver {
            consumer_tag: &consumer.tag,
            delivery_tag,
            redelivered: claim.redelivered,
            exchange: message.exchange,
            routing_key: &message.routing_key,
        };
        put_method(out, channel.number, deliver);
        put_header(out, channel.number, message.body.len() as u64, &message.properties);
        put_body(out, channel.number, message.body, self.opened.frame_size_max);
        self.counted.records_out += 1;
        self.counted.bytes_out += message.body.len() as u64;
        if consumer.no_ack {
            consumer.done.push(claim.position);
        } else {
            consumer.unsettled += 1;
            let Claim { queue, position, attempt, .. } = claim;
            let tag = Some(consumer.tag.clone());
            let shared = consumer.shared;
            channel.unsettled.push(Delivery { tag: delivery_tag, view: queue, position, attempt, consumer: tag, shared });
        }
    }

    fn render_got(&mut self, got: Got) {
        let Got { channel, delivery_tag, claim, queue, counts, message_count } = got;
        let out = self.outbox.ready();
        match self.reader.record(&claim.partition, claim.position.offset) {
            Ok(record) => {
                let mut message = to_message(&record, &queue);
                if counts && claim.delivery_count > 0 {
                    message.properties = with_delivery_count(&message.properties, claim.delivery_count).to_vec().into();
                }
                let (exchange, routing_key) = (message.exchange, &message.routing_key[..]);
                let redelivered = claim.redelivered;
                put_method(out, channel, BasicGetOk { delivery_tag, redelivered, exchange, routing_key, message_count });
                put_header(out, channel, message.body.len() as u64, &message.properties);
                put_body(out, channel, message.body, self.opened.frame_size_max);
                self.counted.records_out += 1;
                self.counted.bytes_out += message.body.len() as u64;
            }
            Err(error) => {
                tracing::error!(queue = %claim.queue, offset = claim.position.offset, %error, "a record cannot be delivered");
                put_method(out, channel, BasicGetEmpty::default());
            }
        }
    }

    /// Gives consumers what they are due and accepts what needs no acknowledgement.
    pub(super) fn give_credit(&mut self, round: &mut Round<'_>) {
        if !std::mem::take(&mut self.credit_changed) {
            return;
        }
        let room = self.outbox.bytes().len() < self.settings.output_bytes_max;
        for channel in self.channels.iter_mut() {
            let shared_changed = channel.shared.as_mut().is_some_and(|shared| shared.take_changed());
            for consumer in &mut channel.consumers {
                let done = std::mem::take(&mut consumer.done);
                let due = if room { consumer.credit_due() } else { 0 };
                let is_stirred = due > 0 || (shared_changed && consumer.shared);
                if done.is_empty() && !is_stirred {
                    continue;
                }
                let Ok(work) = round.work() else { return };
                if !done.is_empty() {
                    work.unit.accept(&consumer.view, &done);
                }
                if is_stirred {
                    consumer.outstanding += due;
                    consumer.credit.add(due.into());
                    work.unit.resume_taker(&consumer.view, consumer.taker.id());
                }
            }
        }
    }

    /// Forgets consumers whose queue is gone, and tells clients that want to know.
    fn drop_lost_consumers(&mut self) {
        for channel in self.channels.iter_mut() {
            let number = channel.number;
            for lost in channel.consumers.extract_if(.., |consumer| consumer.taker.is_cancelled()) {
                if self.opened.wants_cancel_notice {
                    let cancel = BasicCancel { consumer_tag: &lost.tag, nowait: true };
                    put_method(self.outbox.frames(Gate::Open), number, cancel);
                }
            }
        }
    }
}
