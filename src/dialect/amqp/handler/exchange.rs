//! Class exchange (40): declare, delete, bind, unbind.

use bytes::Bytes;

use crate::dialect::amqp::error::{Fault, Named, Resource};
use crate::dialect::amqp::exchange::{Destination, ExchangeId, ExchangeKind};
use crate::dialect::amqp::round::{Round, Work};
use crate::dialect::amqp::session::Session;
use crate::dialect::amqp::topology::{Binding, ExchangeFlags};
use crate::dialect::amqp::wire::method::{
    ExchangeBind, ExchangeBindOk, ExchangeDeclare, ExchangeDeclareOk, ExchangeDelete, ExchangeDeleteOk, ExchangeUnbind,
    ExchangeUnbindOk,
};
use crate::dialect::amqp::wire::table;

/// Names that only the broker gives.
pub(super) const RESERVED: &str = "amq.";

pub(super) fn check_not_reserved(resource: Resource, name: &[u8], prefix: &'static str) -> Result<(), Fault> {
    match name.starts_with(prefix.as_bytes()) {
        true => Err(Fault::ReservedName { resource, name: String::from_utf8_lossy(name).into_owned(), prefix }),
        false => Ok(()),
    }
}

/// The exchange of a name that must be there; the default exchange is none that can be bound.
pub(super) fn find_exchange(work: &Work<'_>, vhost: &[u8], name: &[u8]) -> Result<ExchangeId, Fault> {
    if name.is_empty() {
        return Err(Fault::DefaultExchange);
    }
    work.topology.exchange_id(vhost, name).ok_or_else(|| Fault::NotFound(Named::exchange(name, vhost)))
}

impl Session {
    pub(super) fn exchange_declare(
        &mut self,
        round: &mut Round<'_>,
        number: u16,
        declare: &ExchangeDeclare<'_>,
    ) -> Result<(), Fault> {
        let work = round.work()?;
        let found = match declare.exchange {
            // The default exchange is there; it cannot be declared otherwise.
            b"" if declare.passive => None,
            name => match (find_exchange(work, &self.opened.vhost, name), declare.passive) {
                (Ok(id), _) => Some(id),
                (Err(fault @ Fault::DefaultExchange), _) | (Err(fault), true) => return Err(fault),
                (Err(_), false) => None,
            },
        };
        if !declare.passive {
            self.declare_exchange(work, declare, found)?;
        }
        if !declare.nowait {
            self.outbox().reply_when_durable(number, ExchangeDeclareOk {});
        }
        Ok(())
    }

    fn declare_exchange(
        &self,
        work: &mut Work<'_>,
        declare: &ExchangeDeclare<'_>,
        found: Option<ExchangeId>,
    ) -> Result<(), Fault> {
        table::validate(declare.arguments)?;
        let unknown = || Fault::UnknownExchangeType(String::from_utf8_lossy(declare.kind).into_owned());
        let flags = ExchangeFlags {
            kind: ExchangeKind::from_name(declare.kind).ok_or_else(unknown)?,
            durable: declare.durable,
            auto_delete: declare.auto_delete,
            internal: declare.internal,
            arguments: Bytes::copy_from_slice(declare.arguments),
        };
        if let Some(exchange) = found.and_then(|id| work.topology.exchange(id)) {
            return exchange.check_equivalent(&flags);
        }
        check_not_reserved(Resource::Exchange, declare.exchange, RESERVED)?;
        work.topology.insert_exchange(&self.opened.vhost, Bytes::copy_from_slice(declare.exchange), flags);
        Ok(())
    }

    pub(super) fn exchange_delete(
        &mut self,
        round: &mut Round<'_>,
        number: u16,
        delete: &ExchangeDelete<'_>,
    ) -> Result<(), Fault> {
        let work = round.work()?;
        if delete.exchange.is_empty() {
            return Err(Fault::DefaultExchange);
        }
        check_not_reserved(Resource::Exchange, delete.exchange, RESERVED)?;
        if let Some(id) = work.topology.exchange_id(&self.opened.vhost, delete.exchange) {
            if let Some(exchange) = work.topology.exchange(id).filter(|exchange| delete.if_unused && exchange.is_in_use()) {
                return Err(Fault::InUse(exchange.named()));
            }
            work.topology.remove_exchange(id);
        }
        if !delete.nowait {
            self.outbox().reply_when_durable(number, ExchangeDeleteOk {});
        }
        Ok(())
    }

    pub(super) fn exchange_bind(&mut self, round: &mut Round<'_>, number: u16, bind: &ExchangeBind<'_>) -> Result<(), Fault> {
        let work = round.work()?;
        table::validate(bind.arguments)?;
        let binding = self.exchange_binding(work, bind.source, bind.destination, bind.routing_key, bind.arguments)?;
        work.topology.bind(binding);
        if !bind.nowait {
            self.outbox().reply_when_durable(number, ExchangeBindOk {});
        }
        Ok(())
    }

    pub(super) fn exchange_unbind(
        &mut self,
        round: &mut Round<'_>,
        number: u16,
        unbind: &ExchangeUnbind<'_>,
    ) -> Result<(), Fault> {
        let work = round.work()?;
        let binding = self.exchange_binding(work, unbind.source, unbind.destination, unbind.routing_key, unbind.arguments)?;
        work.topology.unbind(&binding);
        if !unbind.nowait {
            self.outbox().reply_when_durable(number, ExchangeUnbindOk {});
        }
        Ok(())
    }

    fn exchange_binding(
        &self,
        work: &Work<'_>,
        source: &[u8],
        destination: &[u8],
        key: &[u8],
        arguments: &[u8],
    ) -> Result<Binding, Fault> {
        let vhost = &self.opened.vhost;
        Ok(Binding {
            source: find_exchange(work, vhost, source)?,
            destination: Destination::Exchange(find_exchange(work, vhost, destination)?),
            key: Bytes::copy_from_slice(key),
            arguments: Bytes::copy_from_slice(arguments),
        })
    }
}
