//! Direct reply-to: a consumer on a name that stands for a queue of its own, and requests that carry that queue's real name.
//!
//! The queue is exclusive and goes with its consumer. Whoever answers publishes to it like to any other.

use bytes::{Bytes, BytesMut};

use super::queue::made_up_name;
use crate::dialect::amqp::error::Fault;
use crate::dialect::amqp::exchange::QueueId;
use crate::dialect::amqp::round::Work;
use crate::dialect::amqp::session::Session;
use crate::dialect::amqp::topology::QueueFlags;
use crate::dialect::amqp::wire::Properties;
use crate::dialect::amqp::wire::method::BasicConsume;

/// The name that stands for the channel's own reply queue.
pub(super) const REPLY_TO: &[u8] = b"amq.rabbitmq.reply-to";

impl Session {
    /// Makes the reply queue of a channel for its consumer.
    pub(super) fn open_reply_queue(
        &mut self,
        work: &mut Work<'_>,
        number: u16,
        consume: &BasicConsume<'_>,
    ) -> Result<QueueId, Fault> {
        if !consume.no_ack {
            return Err(Fault::ReplyConsumer("reply consumer cannot acknowledge"));
        }
        if self.reply_queue(number).is_some() {
            return Err(Fault::ReplyConsumer("reply consumer already set"));
        }
        let name = made_up_name("amq.rabbitmq.reply-to.");
        let flags = QueueFlags { durable: false, auto_delete: true, exclusive: Some(self.id), arguments: Bytes::new() };
        self.create_queue(work, name, flags)
    }

    fn reply_queue(&mut self, number: u16) -> Option<Bytes> {
        let channel = self.channels.get(number)?;
        let is_reply = |name: &Bytes| name.len() > REPLY_TO.len() && name.starts_with(REPLY_TO);
        channel.consumers.iter().map(|consumer| &consumer.queue).find(|name| is_reply(name)).cloned()
    }

    /// The properties of a request with the real name of the reply queue.
    pub(super) fn resolve_reply_to(&mut self, number: u16, view: &Properties<'_>) -> Result<Bytes, Fault> {
        let name = self.reply_queue(number).ok_or(Fault::ReplyConsumer("fast reply consumer does not exist"))?;
        let mut resolved = BytesMut::new();
        Properties { reply_to: Some(&name), ..*view }.encode(&mut resolved);
        Ok(resolved.freeze())
    }
}
