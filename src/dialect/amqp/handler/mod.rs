//! What each method does, one file a class. A handler changes the session and the unit of work of its round; it never writes to a
//! socket and never waits.

mod basic;
mod channel;
mod confirm;
mod connection;
mod exchange;
mod publish;
mod queue;
mod reply_to;
mod settle;
mod tx;

use super::error::Fault;
use super::round::Round;
use super::session::Session;
use super::wire::Method;

impl Session {
    /// Runs a method on an open channel.
    pub(super) fn channel_method(&mut self, round: &mut Round<'_>, number: u16, method: Method<'_>) -> Result<(), Fault> {
        match method {
            Method::ChannelFlow(flow) => self.channel_flow(number, flow),
            Method::ChannelFlowOk(_) => Ok(()),
            Method::ChannelClose(_) => self.channel_close(round, number),
            Method::ChannelOpen(_) => Err(Fault::ChannelAlreadyOpen),
            Method::AccessRequest(_) => self.access_request(number),
            Method::ExchangeDeclare(declare) => self.exchange_declare(round, number, &declare),
            Method::ExchangeDelete(delete) => self.exchange_delete(round, number, &delete),
            Method::ExchangeBind(bind) => self.exchange_bind(round, number, &bind),
            Method::ExchangeUnbind(unbind) => self.exchange_unbind(round, number, &unbind),
            Method::QueueDeclare(declare) => self.queue_declare(round, number, &declare),
            Method::QueueBind(bind) => self.queue_bind(round, number, &bind),
            Method::QueueUnbind(unbind) => self.queue_unbind(round, number, &unbind),
            Method::QueuePurge(purge) => self.queue_purge(round, number, &purge),
            Method::QueueDelete(delete) => self.queue_delete(round, number, &delete),
            Method::BasicQos(qos) => self.basic_qos(number, &qos),
            Method::BasicConsume(consume) => self.basic_consume(round, number, &consume),
            Method::BasicCancel(cancel) => self.basic_cancel(round, number, &cancel),
            Method::BasicGet(get) => self.basic_get(round, number, &get),
            Method::BasicAck(ack) => self.basic_ack(round, number, &ack),
            Method::BasicNack(nack) => self.basic_nack(round, number, &nack),
            Method::BasicReject(reject) => self.basic_reject(round, number, &reject),
            Method::BasicRecover(recover) => self.basic_recover(round, number, recover.requeue, true),
            Method::BasicRecoverAsync(recover) => self.basic_recover(round, number, recover.requeue, false),
            Method::ConfirmSelect(select) => self.confirm_select(number, &select),
            Method::TxSelect(_) => self.tx_select(number),
            Method::TxCommit(_) => self.tx_commit(round, number),
            Method::TxRollback(_) => self.tx_rollback(number),
            Method::BasicPublish(_)
            | Method::ChannelCloseOk(_)
            | Method::ChannelOpenOk(_)
            | Method::AccessRequestOk(_)
            | Method::ExchangeDeclareOk(_)
            | Method::ExchangeDeleteOk(_)
            | Method::ExchangeBindOk(_)
            | Method::ExchangeUnbindOk(_)
            | Method::QueueDeclareOk(_)
            | Method::QueueBindOk(_)
            | Method::QueueUnbindOk(_)
            | Method::QueuePurgeOk(_)
            | Method::QueueDeleteOk(_)
            | Method::BasicQosOk(_)
            | Method::BasicConsumeOk(_)
            | Method::BasicCancelOk(_)
            | Method::BasicReturn(_)
            | Method::BasicDeliver(_)
            | Method::BasicGetOk(_)
            | Method::BasicGetEmpty(_)
            | Method::BasicRecoverOk(_)
            | Method::ConfirmSelectOk(_)
            | Method::TxSelectOk(_)
            | Method::TxCommitOk(_)
            | Method::TxRollbackOk(_) => Err(Fault::InvalidCommand("unimplemented method")),
            Method::ConnectionStart(_)
            | Method::ConnectionStartOk(_)
            | Method::ConnectionSecure(_)
            | Method::ConnectionSecureOk(_)
            | Method::ConnectionTune(_)
            | Method::ConnectionTuneOk(_)
            | Method::ConnectionOpen(_)
            | Method::ConnectionOpenOk(_)
            | Method::ConnectionClose(_)
            | Method::ConnectionCloseOk(_)
            | Method::ConnectionBlocked(_)
            | Method::ConnectionUnblocked(_)
            | Method::ConnectionUpdateSecret(_)
            | Method::ConnectionUpdateSecretOk(_) => Err(Fault::InvalidCommand("connection methods belong on channel 0")),
        }
    }
}
