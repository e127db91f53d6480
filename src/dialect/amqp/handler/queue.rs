//! Class queue (50): declare, bind, unbind, purge, delete. Every name is a topic: a queue of a name that exists elsewhere is a view on it.

use bytes::Bytes;
use rand::RngCore;

use super::exchange::{RESERVED, check_not_reserved, find_exchange};
use crate::delivery::{Class, QueueSpec};
use crate::dialect::amqp::error::{Fault, Named, Resource};
use crate::dialect::amqp::exchange::{Destination, ExchangeKind, QueueId};
use crate::dialect::amqp::round::{Round, Work};
use crate::dialect::amqp::routes::{name_in, place_in};
use crate::dialect::amqp::session::Session;
use crate::dialect::amqp::topology::options::options;
use crate::dialect::amqp::topology::{Binding, Place, Queue, QueueFlags, arguments};
use crate::dialect::amqp::wire::method::{
    QueueBind, QueueBindOk, QueueDeclare, QueueDeclareOk, QueueDelete, QueueDeleteOk, QueuePurge, QueuePurgeOk, QueueUnbind,
    QueueUnbindOk,
};
use crate::dialect::amqp::wire::{Table, table};
use crate::dialect::amqp::{ORIGIN, exchange::is_match_kind};
use crate::log::{Topic, TopicError, TopicName, TopicSettings};

/// Room for properties beside the largest body, in bytes.
const PROPERTIES_ROOM: u64 = 256 << 10;

/// A random name with a prefix, as a server makes them up.
pub(super) fn made_up_name(prefix: &str) -> Bytes {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut random = [0; 22];
    rand::rng().fill_bytes(&mut random);
    let letters = random.iter().filter_map(|byte| LETTERS.get(usize::from(byte & 63)));
    prefix.bytes().chain(letters.copied()).collect()
}

/// Removes a queue, its bindings, its view and, if it was made here, its topic. Who consumes from it learns it from the view.
pub(super) fn remove_queue(work: &mut Work<'_>, id: QueueId) {
    let Some(queue) = work.topology.remove_queue(id) else { return };
    work.unit.drop_queue(queue.place.view());
    if !queue.foreign {
        // Gone already is as good.
        let _ = work.unit.delete_topic(&queue.place.topic);
    }
}

impl Session {
    /// The queue of a name, or the one declared last on the channel if it is empty. A topic made elsewhere becomes a queue here.
    pub(super) fn find_queue(&mut self, work: &mut Work<'_>, number: u16, name: &[u8]) -> Result<QueueId, Fault> {
        if !name.is_empty() {
            return self.look_up_queue(work, name)?.ok_or_else(|| Fault::NotFound(Named::queue(name, &self.opened.vhost)));
        }
        let last = self.channels.get(number).map(|channel| channel.last_queue.clone()).unwrap_or_default();
        if last.is_empty() {
            return Err(Fault::NoPreviousQueue);
        }
        self.look_up_queue(work, &last)?.ok_or_else(|| Fault::NotFound(Named::queue(&last, &self.opened.vhost)))
    }

    fn look_up_queue(&self, work: &mut Work<'_>, name: &[u8]) -> Result<Option<QueueId>, Fault> {
        let vhost = &self.opened.vhost;
        if let Some(id) = work.topology.queue_id(vhost, name) {
            let Some(queue) = work.topology.queue(id) else { return Ok(None) };
            let (place, durable) = (queue.place.clone(), queue.is_kept());
            if work.unit.topic(&place.topic).is_some() {
                let spec = spec_of(&place, vhost, &queue.name, durable, &queue.flags.arguments);
                open_view(work, &place, spec)?;
                return Ok(Some(id));
            }
            // Another dialect deleted it.
            remove_queue(work, id);
        }
        let Some(topic) = name_in(&self.opened.prefix, name) else { return Ok(None) };
        let Some(found) = work.unit.topic(&topic) else { return Ok(None) };
        let (place, durable) = (Place::of(found.name().clone()), found.settings().durable);
        open_view(work, &place, QueueSpec::new(place.topic.clone(), durable))?;
        let flags = QueueFlags { durable: true, auto_delete: false, exclusive: None, arguments: Bytes::new() };
        let queue = Queue::new(vhost.clone(), Bytes::copy_from_slice(name), place, flags, true);
        Ok(Some(work.topology.insert_queue(queue)))
    }

    pub(super) fn queue_declare(&mut self, round: &mut Round<'_>, number: u16, declare: &QueueDeclare<'_>) -> Result<(), Fault> {
        let work = round.work()?;
        let id = match declare.passive {
            true => self.find_queue(work, number, declare.queue)?,
            false => self.declare_queue(work, declare)?,
        };
        let Some(queue) = work.topology.queue(id) else { return Err(Fault::Internal("the queue is gone".to_owned())) };
        queue.check_access(self.id)?;
        let (name, view) = (queue.name.clone(), queue.place.view().clone());
        let consumer_count = queue.subscribers.len() as u32;
        let message_count = work.unit.ready(&view, Class::All) as u32;
        if let Some(channel) = self.channels.get(number) {
            channel.last_queue = name.clone();
        }
        if !declare.nowait {
            self.outbox().reply_when_durable(number, QueueDeclareOk { queue: &name, message_count, consumer_count });
        }
        Ok(())
    }

    fn declare_queue(&mut self, work: &mut Work<'_>, declare: &QueueDeclare<'_>) -> Result<QueueId, Fault> {
        table::validate(declare.arguments)?;
        let flags = QueueFlags {
            durable: declare.durable,
            auto_delete: declare.auto_delete,
            exclusive: declare.exclusive.then_some(self.id),
            arguments: Bytes::copy_from_slice(declare.arguments),
        };
        if declare.queue.is_empty() {
            return self.create_queue(work, made_up_name("amq.gen-"), flags);
        }
        if let Some(id) = self.look_up_queue(work, declare.queue)? {
            self.declare_again(work, id, &flags)?;
            let view = work.topology.queue(id).map(|queue| queue.place.view().clone());
            view.iter().for_each(|view| work.unit.use_queue(view));
            return Ok(id);
        }
        check_not_reserved(Resource::Queue, declare.queue, RESERVED)?;
        check_not_reserved(Resource::Queue, declare.queue, "__")?;
        self.create_queue(work, Bytes::copy_from_slice(declare.queue), flags)
    }

    /// Checks a declaration of a queue that is there. One that is there because its topic is takes the arguments of the first.
    fn declare_again(&self, work: &mut Work<'_>, id: QueueId, flags: &QueueFlags) -> Result<(), Fault> {
        let Some(queue) = work.topology.queue(id) else { return Ok(()) };
        if !queue.is_undeclared() || flags.arguments.is_empty() {
            return queue.check_equivalent(flags, self.id);
        }
        let named = queue.named();
        let current = QueueFlags { arguments: flags.arguments.clone(), ..queue.flags.clone() };
        queue.check_flags(flags, self.id)?;
        arguments::check_queue(&current.arguments, &named)?;
        if place_in(&self.opened.prefix, &queue.name, &flags.arguments).as_ref() != Some(&queue.place) {
            let (argument, reason) = (arguments::TOPIC.to_owned(), "there is a topic of the queue's own name");
            return Err(Fault::InvalidArgument { named, argument, reason });
        }
        if let Some(topic) = work.unit.topic(&queue.place.topic) {
            check_partitions(&topic, &flags.arguments, &named)?;
        }
        let options = options(&self.opened.vhost, &queue.name, &flags.arguments);
        let view = queue.place.view().clone();
        work.unit.set_queue_options(&view, options);
        work.topology.set_queue_arguments(id, current.arguments);
        Ok(())
    }

    pub(super) fn create_queue(&mut self, work: &mut Work<'_>, name: Bytes, flags: QueueFlags) -> Result<QueueId, Fault> {
        let vhost = self.opened.vhost.clone();
        let named = Named::queue(&name, &vhost);
        arguments::check_queue(&flags.arguments, &named)?;
        let illegal = || Fault::NameRefused(format!("{named} does not have a legal name"));
        let mut place = place_in(&self.opened.prefix, &name, &flags.arguments).ok_or_else(illegal)?;
        let durable = flags.durable && flags.exclusive.is_none();
        let foreign = place.is_named();
        if work.unit.topic(&place.topic).is_none() {
            if foreign {
                let topic = Table(&flags.arguments).get(arguments::TOPIC.as_bytes()).and_then(|topic| topic.text());
                return Err(Fault::NotFound(Named::queue(topic.unwrap_or_default(), &vhost)));
            }
            let bytes_max = u32::try_from(self.settings.max_message_bytes + PROPERTIES_ROOM).unwrap_or(u32::MAX);
            let (partitions, partitioner) = arguments::partitioning(&flags.arguments);
            let partitioner = partitioner.unwrap_or_default();
            let settings = TopicSettings { partitioner, ..TopicSettings::consumed(ORIGIN, durable, bytes_max) };
            let made = work.unit.create_topic(&place.topic, partitions.unwrap_or(1), settings);
            made.map_err(|error| refused(&error, &named))?;
        }
        if let Some(topic) = work.unit.topic(&place.topic) {
            place = place.sharing_name_of(&topic);
        }
        let spec = spec_of(&place, &vhost, &name, durable, &flags.arguments);
        open_view(work, &place, spec)?;
        if flags.exclusive.is_some() {
            self.exclusive_queues.push(name.clone());
        }
        Ok(work.topology.insert_queue(Queue::new(vhost, name, place, flags, foreign)))
    }

    pub(super) fn queue_bind(&mut self, round: &mut Round<'_>, number: u16, bind: &QueueBind<'_>) -> Result<(), Fault> {
        let work = round.work()?;
        table::validate(bind.arguments)?;
        let binding = self.queue_binding(work, number, bind.exchange, bind.queue, bind.routing_key, bind.arguments)?;
        let kind = work.topology.exchange(binding.source).map(|source| source.flags.kind);
        let match_kind = Table(bind.arguments).get(b"x-match");
        if kind == Some(ExchangeKind::Headers) && match_kind.is_some_and(|value| !is_match_kind(&value)) {
            let named = Named::exchange(bind.exchange, &self.opened.vhost);
            return Err(Fault::InvalidArgument {
                named,
                argument: "x-match".into(),
                reason: "expected all, any, all-with-x or any-with-x",
            });
        }
        work.topology.bind(binding);
        if !bind.nowait {
            self.outbox().reply_when_durable(number, QueueBindOk {});
        }
        Ok(())
    }

    pub(super) fn queue_unbind(&mut self, round: &mut Round<'_>, number: u16, unbind: &QueueUnbind<'_>) -> Result<(), Fault> {
        let work = round.work()?;
        let binding = self.queue_binding(work, number, unbind.exchange, unbind.queue, unbind.routing_key, unbind.arguments)?;
        work.topology.unbind(&binding);
        self.outbox().reply_when_durable(number, QueueUnbindOk {});
        Ok(())
    }

    fn queue_binding(
        &mut self,
        work: &mut Work<'_>,
        number: u16,
        exchange: &[u8],
        queue: &[u8],
        key: &[u8],
        arguments: &[u8],
    ) -> Result<Binding, Fault> {
        let id = self.find_queue(work, number, queue)?;
        let source = find_exchange(work, &self.opened.vhost, exchange)?;
        let found = work.topology.queue(id);
        if let Some(queue) = found {
            queue.check_access(self.id)?;
        }
        // Both empty: the queue that was declared last, under its own name.
        let key = match (queue, key, found) {
            (b"", b"", Some(found)) => found.name.clone(),
            _ => Bytes::copy_from_slice(key),
        };
        Ok(Binding { source, destination: Destination::Queue(id), key, arguments: Bytes::copy_from_slice(arguments) })
    }

    pub(super) fn queue_purge(&mut self, round: &mut Round<'_>, number: u16, purge: &QueuePurge<'_>) -> Result<(), Fault> {
        let work = round.work()?;
        let id = self.find_queue(work, number, purge.queue)?;
        let view = self.accessible_view(work, id)?;
        let message_count = work.unit.purge(&view, Class::All) as u32;
        if !purge.nowait {
            self.outbox().reply_when_durable(number, QueuePurgeOk { message_count });
        }
        Ok(())
    }

    pub(super) fn queue_delete(&mut self, round: &mut Round<'_>, number: u16, delete: &QueueDelete<'_>) -> Result<(), Fault> {
        let work = round.work()?;
        let message_count = match self.find_queue(work, number, delete.queue) {
            Ok(id) => self.delete_queue(work, id, delete)?,
            Err(Fault::NotFound(_)) => 0,
            Err(fault) => return Err(fault),
        };
        if !delete.nowait {
            self.outbox().reply_when_durable(number, QueueDeleteOk { message_count });
        }
        Ok(())
    }

    fn delete_queue(&self, work: &mut Work<'_>, id: QueueId, delete: &QueueDelete<'_>) -> Result<u32, Fault> {
        let view = self.accessible_view(work, id)?;
        let message_count = work.unit.ready(&view, Class::All) as u32;
        if let Some(queue) = work.topology.queue(id) {
            if delete.if_unused && !queue.subscribers.is_empty() {
                return Err(Fault::InUse(queue.named()));
            }
            if delete.if_empty && message_count > 0 {
                return Err(Fault::NotEmpty(queue.named()));
            }
        }
        remove_queue(work, id);
        Ok(message_count)
    }

    /// The view of a queue that this connection may use.
    pub(super) fn accessible_view(&self, work: &Work<'_>, id: QueueId) -> Result<TopicName, Fault> {
        let queue = work.topology.queue(id).ok_or_else(|| Fault::Internal("the queue is gone".to_owned()))?;
        queue.check_access(self.id)?;
        Ok(queue.place.view().clone())
    }
}

fn spec_of(place: &Place, vhost: &Bytes, name: &Bytes, durable: bool, arguments: &[u8]) -> QueueSpec {
    let options = options(vhost, name, arguments);
    QueueSpec { start: arguments::start(arguments), options, ..QueueSpec::new(place.topic.clone(), durable) }
}

fn open_view(work: &mut Work<'_>, place: &Place, spec: QueueSpec) -> Result<(), Fault> {
    if work.unit.has_queue(place.view()) {
        return Ok(());
    }
    let opened = work.unit.open_queue(place.view(), spec);
    opened.map_err(|error| Fault::NameRefused(format!("queue '{}' cannot be opened: {error}", place.topic)))
}

/// A topic that was made elsewhere has the partitions that it has.
fn check_partitions(topic: &Topic, arguments: &[u8], named: &Named) -> Result<(), Fault> {
    let (partitions, partitioner) = arguments::partitioning(arguments);
    let is_other = [
        (arguments::PARTITIONS, partitions.is_some_and(|count| count != topic.partition_count())),
        (arguments::PARTITIONER, partitioner.is_some_and(|partitioner| partitioner != topic.partitioner())),
    ];
    match is_other.into_iter().find(|(_, is_other)| *is_other) {
        Some((argument, _)) => {
            let reason = "the queue's topic was made with another";
            Err(Fault::InvalidArgument { named: named.clone(), argument: argument.to_owned(), reason })
        }
        None => Ok(()),
    }
}

fn refused(error: &TopicError, named: &Named) -> Fault {
    match error {
        TopicError::TooMany => Fault::Limit { what: "topics", limit: 0 },
        TopicError::Exists | TopicError::Unknown | TopicError::InvalidName | TopicError::InvalidPartitions => {
            Fault::NameRefused(format!("{named} cannot be made: {error}"))
        }
    }
}
