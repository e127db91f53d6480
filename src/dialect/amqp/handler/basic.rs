//! Class basic (60), the taking side: qos, consume, cancel, get.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::queue::made_up_name;
use super::reply_to::REPLY_TO;
use crate::delivery::{Class, Credit, Serve, TakerSpec};
use crate::dialect::amqp::channel::{Channel, SharedPrefetch};
use crate::dialect::amqp::consumer::Consumer;
use crate::dialect::amqp::error::{Fault, Named};
use crate::dialect::amqp::exchange::QueueId;
use crate::dialect::amqp::outbox::Got;
use crate::dialect::amqp::round::{Round, Work};
use crate::dialect::amqp::session::Session;
use crate::dialect::amqp::topology::Subscriber;
use crate::dialect::amqp::unsettled::Delivery;
use crate::dialect::amqp::wire::Table;
use crate::dialect::amqp::wire::method::{
    BasicCancel, BasicCancelOk, BasicConsume, BasicConsumeOk, BasicGet, BasicGetEmpty, BasicQos, BasicQosOk,
};

impl Session {
    pub(super) fn basic_qos(&mut self, number: u16, qos: &BasicQos) -> Result<(), Fault> {
        if qos.prefetch_size != 0 {
            return Err(Fault::NotImplemented("prefetch_size!=0"));
        }
        let count = u32::from(qos.prefetch_count);
        if let Some(channel) = self.channels.get(number) {
            match (&mut channel.shared, qos.global) {
                (Some(shared), true) => shared.change(count),
                (None, true) => channel.shared = Some(SharedPrefetch::new(count)),
                (_, false) => channel.prefetch = count,
            }
        }
        self.credit_changed = true;
        self.outbox().reply(number, BasicQosOk {});
        Ok(())
    }

    pub(super) fn basic_consume(&mut self, round: &mut Round<'_>, number: u16, consume: &BasicConsume<'_>) -> Result<(), Fault> {
        let work = round.work()?;
        let tag = match consume.consumer_tag {
            b"" => made_up_name("amq.ctag-"),
            tag => Bytes::copy_from_slice(tag),
        };
        if self.channels.get(number).is_some_and(|channel| channel.consumer_mut(&tag).is_some()) {
            return Err(Fault::ConsumerTagInUse(String::from_utf8_lossy(&tag).into_owned()));
        }
        let id = match consume.queue {
            REPLY_TO => self.open_reply_queue(work, number, consume)?,
            name => self.find_queue(work, number, name)?,
        };
        self.subscribe(work, number, id, &tag, consume)?;
        if !consume.nowait {
            self.outbox().reply(number, BasicConsumeOk { consumer_tag: &tag });
        }
        Ok(())
    }

    fn subscribe(
        &mut self,
        work: &mut Work<'_>,
        number: u16,
        id: QueueId,
        tag: &Bytes,
        consume: &BasicConsume<'_>,
    ) -> Result<(), Fault> {
        let gone = || Fault::NotFound(Named::queue(consume.queue, &self.opened.vhost));
        let priority = priority_of(consume.arguments, || Named::queue(consume.queue, &self.opened.vhost))?;
        let queue = work.topology.queue_mut(id).ok_or_else(gone)?;
        queue.check_access(self.id)?;
        queue.check_may_subscribe(consume.exclusive)?;
        let subscriber = Subscriber { connection: self.id, channel: number, tag: tag.clone(), exclusive: consume.exclusive };
        queue.subscribers.push(subscriber);
        let (name, view, counts) = (queue.name.clone(), queue.place.view().clone(), queue.is_quorum());

        let Some(channel) = self.channels.get(number) else { return Ok(()) };
        let (no_ack, prefetch) = (consume.no_ack, channel.prefetch);
        let outstanding = Consumer::initial_credit(prefetch, no_ack);
        let credit = Credit::new(i64::from(outstanding));
        let shared = channel.shared.as_ref().filter(|_| !no_ack).map(|shared| Arc::clone(&shared.credit));
        let spec = TakerSpec {
            signal: Arc::clone(&self.signal),
            credit: Arc::clone(&credit),
            shared: shared.clone(),
            serve: Serve::Claim,
            class: Class::All,
            priority,
        };
        let Some(taker) = work.unit.add_taker(&view, spec) else { return Ok(()) };
        channel.consumers.push(Consumer {
            tag: tag.clone(),
            queue: name,
            view,
            no_ack,
            counts,
            prefetch,
            taker,
            credit,
            shared: shared.is_some(),
            outstanding,
            unsettled: 0,
            held: VecDeque::new(),
            done: Vec::new(),
        });
        Ok(())
    }

    pub(super) fn basic_cancel(&mut self, round: &mut Round<'_>, number: u16, cancel: &BasicCancel<'_>) -> Result<(), Fault> {
        let work = round.work()?;
        let found = self.channels.get(number).and_then(|channel| take_consumer(channel, cancel.consumer_tag));
        if let Some(consumer) = found {
            self.end_consumer(work, number, consumer);
        }
        if !cancel.nowait {
            self.outbox().reply(number, BasicCancelOk { consumer_tag: cancel.consumer_tag });
        }
        Ok(())
    }

    pub(super) fn basic_get(&mut self, round: &mut Round<'_>, number: u16, get: &BasicGet<'_>) -> Result<(), Fault> {
        let work = round.work()?;
        let id = self.find_queue(work, number, get.queue)?;
        let view = self.accessible_view(work, id)?;
        let found = work.topology.queue(id).map(|queue| (queue.name.clone(), queue.is_quorum()));
        let (queue, counts) = found.unwrap_or_default();
        work.unit.use_queue(&view);
        let Some(claim) = work.unit.take(&view, Class::All) else {
            self.outbox().reply(number, BasicGetEmpty::default());
            return Ok(());
        };
        if get.no_ack {
            work.unit.accept(&view, &[claim.position]);
        }
        let message_count = work.unit.ready(&view, Class::All) as u32;
        let Some(channel) = self.channels.get(number) else { return Ok(()) };
        let delivery_tag = channel.next_delivery_tag();
        if !get.no_ack {
            let (position, attempt) = (claim.position, claim.attempt);
            channel.unsettled.push(Delivery { tag: delivery_tag, view, position, attempt, consumer: None, shared: false });
        }
        self.outbox().push_got(Got { channel: number, delivery_tag, claim, queue, counts, message_count });
        Ok(())
    }
}

/// What `x-priority` says of a consumer.
fn priority_of(arguments: &[u8], named: impl Fn() -> Named) -> Result<i32, Fault> {
    let Some(value) = Table(arguments).get(b"x-priority") else { return Ok(0) };
    value.integer().and_then(|priority| i32::try_from(priority).ok()).ok_or_else(|| Fault::InvalidArgument {
        named: named(),
        argument: "x-priority".to_owned(),
        reason: "expected a number",
    })
}

fn take_consumer(channel: &mut Channel, tag: &[u8]) -> Option<Consumer> {
    let at = channel.consumers.iter().position(|consumer| consumer.tag == tag)?;
    Some(channel.consumers.remove(at))
}
