//! Class basic (60), publishing: route first, then one append with all targets, so the body is written once.

use bytes::Bytes;

use super::reply_to::REPLY_TO;
use crate::delivery::{Attributes, Kind};
use crate::dialect::amqp::channel::{Channel, Mode};
use crate::dialect::amqp::content::Publish;
use crate::dialect::amqp::error::{Fault, Named, ReplyCode};
use crate::dialect::amqp::mapping::{Message, fill_record, placing, without_header};
use crate::dialect::amqp::outbox::Gate;
use crate::dialect::amqp::round::{Round, Work};
use crate::dialect::amqp::session::Session;
use crate::dialect::amqp::wire::method::BasicReturn;
use crate::dialect::amqp::wire::{Properties, Table, put_body, put_header, put_method};

/// What a transaction may hold, in bytes and in publishes.
const TRANSACTION_BYTES_MAX: usize = 64 << 20;
const TRANSACTION_PUBLISHES_MAX: usize = 100_000;
/// Record fields beside body and properties, in bytes, on the safe side.
const RECORD_ROOM: usize = 1024;
/// The longest time to live of a message, in milliseconds: ten years, as in RabbitMQ.
const TTL_MS_MAX: u64 = 315_360_000_000;

impl Session {
    /// Takes a complete message: now, or at commit if the channel is transactional.
    pub(in super::super) fn publish(&mut self, round: &mut Round<'_>, number: u16, publish: Publish) -> Result<(), Fault> {
        self.counted.records_in += 1;
        self.counted.bytes_in += publish.message.body.len() as u64;
        let Some(channel) = self.channels.get(number) else { return Ok(()) };
        let Mode::Transaction(transaction) = &mut channel.mode else {
            return self.publish_now(round.work()?, number, publish);
        };
        transaction.bytes += publish.message.body.len() + publish.message.properties.len();
        if transaction.bytes > TRANSACTION_BYTES_MAX {
            return Err(Fault::Limit { what: "bytes in a transaction", limit: TRANSACTION_BYTES_MAX });
        }
        if transaction.publishes.len() >= TRANSACTION_PUBLISHES_MAX {
            return Err(Fault::Limit { what: "publishes in a transaction", limit: TRANSACTION_PUBLISHES_MAX });
        }
        let exchange = publish.message.exchange.clone();
        transaction.publishes.push(publish);
        let vhost = &self.opened.vhost;
        match exchange.is_empty() || round.work()?.topology.exchange_id(vhost, &exchange).is_some() {
            true => Ok(()),
            false => Err(Fault::NotFound(Named::exchange(&exchange, vhost))),
        }
    }

    /// Whether [`Self::publish_now`] would take a message. It does in the same unit of work if this says so.
    pub(super) fn check_publish(&mut self, work: &mut Work<'_>, number: u16, publish: &Publish) -> Result<(), Fault> {
        let message = &publish.message;
        let view = Properties::decode(&message.properties)?;
        if view.reply_to == Some(REPLY_TO) {
            self.resolve_reply_to(number, &view)?;
        }
        self.check_user(&view)?;
        attributes_of(&view)?;
        let targets = self.routes.find(work, &self.opened.vhost, &self.opened.prefix, message, &view)?;
        if targets.is_empty() { Ok(()) } else { self.check_size(message) }
    }

    fn check_size(&self, message: &Message) -> Result<(), Fault> {
        let size = message.body.len() + 2 * message.properties.len() + RECORD_ROOM;
        if size > self.routes.bytes_max() {
            return Err(Fault::MessageTooLarge { size: message.body.len() as u64, limit: self.routes.bytes_max() as u64 });
        }
        Ok(())
    }

    /// Routes and appends a message.
    pub(super) fn publish_now(&mut self, work: &mut Work<'_>, number: u16, publish: Publish) -> Result<(), Fault> {
        let Publish { mut message, mandatory } = publish;
        let properties = message.properties.clone();
        let view = Properties::decode(&properties)?;
        if view.reply_to == Some(REPLY_TO) {
            message.properties = self.resolve_reply_to(number, &view)?;
            return self.publish_now(work, number, Publish { message, mandatory });
        }
        self.check_user(&view)?;
        let id = if work.unit.remembers_ids() { id_of(&properties, &view) } else { None };
        let attributes = Attributes { id, ..attributes_of(&view)? };
        let targets = self.routes.find(work, &self.opened.vhost, &self.opened.prefix, &message, &view)?;
        if targets.is_empty() {
            if mandatory {
                self.return_unroutable(number, &message);
            }
            self.count_for_confirm(number, false);
            return Ok(());
        }
        self.check_size(&message)?;
        let blind = view.headers.is_some_and(|headers| Table(headers).get(b"BCC").is_some());
        if blind {
            message.properties = without_header(&properties, &view, b"BCC");
            let view = Properties::decode(&message.properties)?;
            fill_record(&mut self.record, &message, &view, work.unit.now_ms());
        } else {
            fill_record(&mut self.record, &message, &view, work.unit.now_ms());
        }
        self.routes.place(|| placing(&self.record, &message, &view));
        let fits = self.routes.targets().iter().all(|target| !work.unit.refuses(target.topic.name()));
        if fits {
            work.unit.append_with(self.routes.targets(), &self.record, Kind::Plain, &attributes);
            self.count_for_confirm(number, view.is_persistent());
        } else {
            work.unit.append_where_it_fits(self.routes.targets(), &self.record, Kind::Plain, &attributes);
            self.refuse_for_confirm(number);
        }
        Ok(())
    }

    fn check_user(&self, view: &Properties<'_>) -> Result<(), Fault> {
        match view.user_id {
            Some(claimed) if claimed != self.opened.user.as_bytes() => {
                let claimed = String::from_utf8_lossy(claimed).into_owned();
                Err(Fault::UserId { claimed, user: self.opened.user.clone() })
            }
            _ => Ok(()),
        }
    }

    fn count_for_confirm(&mut self, number: u16, durable: bool) {
        let Some(confirms) = self.channels.get(number).and_then(Channel::confirms_mut) else { return };
        confirms.published(durable);
        if self.published.last() != Some(&number) {
            self.published.push(number);
        }
    }

    /// A queue that the message should have reached had no room.
    fn refuse_for_confirm(&mut self, number: u16) {
        let Some(confirms) = self.channels.get(number).and_then(Channel::confirms_mut) else { return };
        confirms.refused();
        if self.published.last() != Some(&number) {
            self.published.push(number);
        }
    }

    fn return_unroutable(&mut self, number: u16, message: &Message) {
        let frame_size_max = self.opened.frame_size_max;
        let out = self.outbox().frames(Gate::Open);
        let returned = BasicReturn {
            reply_code: ReplyCode::NoRoute.number(),
            reply_text: ReplyCode::NoRoute.name().as_bytes(),
            exchange: &message.exchange,
            routing_key: &message.routing_key,
        };
        put_method(out, number, returned);
        put_header(out, number, message.body.len() as u64, &message.properties);
        put_body(out, number, &message.body, frame_size_max);
    }
}

/// What makes a message the same as another.
fn id_of(properties: &Bytes, view: &Properties<'_>) -> Option<Bytes> {
    let own = view.headers.and_then(|headers| Table(headers).get(b"x-deduplication-header")).and_then(|id| id.text());
    own.or(view.message_id).map(|id| properties.slice_ref(id))
}

/// What a message asks of the queues that it reaches.
fn attributes_of(view: &Properties<'_>) -> Result<Attributes, Fault> {
    let mut attributes = Attributes { level: view.priority.unwrap_or(0), ..Attributes::default() };
    if let Some(expiration) = view.expiration {
        let ttl_ms = std::str::from_utf8(expiration).ok().and_then(|text| text.parse().ok());
        let invalid = || Fault::InvalidExpiration(String::from_utf8_lossy(expiration).into_owned());
        attributes.ttl_ms = Some(ttl_ms.filter(|ttl_ms| *ttl_ms <= TTL_MS_MAX).ok_or_else(invalid)?);
    }
    if let Some(delay) = view.headers.and_then(|headers| Table(headers).get(b"x-delay")) {
        attributes.delay_ms = delay.integer().map(|delay_ms| u64::try_from(delay_ms).unwrap_or(0));
    }
    Ok(attributes)
}
