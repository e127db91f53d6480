//! Class tx (90): publishes and settlements are kept until commit, and then are one unit of work: all of it happens, or nothing.

use crate::dialect::amqp::channel::{Mode, Transaction};
use crate::dialect::amqp::error::Fault;
use crate::dialect::amqp::round::Round;
use crate::dialect::amqp::session::Session;
use crate::dialect::amqp::wire::method::{TxCommitOk, TxRollbackOk, TxSelectOk};

impl Session {
    pub(super) fn tx_select(&mut self, number: u16) -> Result<(), Fault> {
        let Some(channel) = self.channels.get(number) else { return Ok(()) };
        match channel.mode {
            Mode::Plain => channel.mode = Mode::Transaction(Transaction::default()),
            Mode::Transaction(_) => {}
            Mode::Confirm(_) => return Err(Fault::Mode { from: "confirm", to: "tx" }),
        }
        self.outbox().reply(number, TxSelectOk {});
        Ok(())
    }

    fn take_transaction(&mut self, number: u16) -> Result<Transaction, Fault> {
        match self.channels.get(number).map(|channel| &mut channel.mode) {
            Some(Mode::Transaction(transaction)) => Ok(std::mem::take(transaction)),
            Some(Mode::Plain | Mode::Confirm(_)) | None => Err(Fault::NotTransactional),
        }
    }

    pub(super) fn tx_commit(&mut self, round: &mut Round<'_>, number: u16) -> Result<(), Fault> {
        let transaction = self.take_transaction(number)?;
        let work = round.work()?;
        let all = || transaction.accepted.iter().chain(transaction.rejected.iter().map(|(delivery, _)| delivery));
        if let Some(late) = all().find(|delivery| !delivery.stands(&work.unit)) {
            return Err(Fault::TooLate(late.tag));
        }
        // A fault of the last must leave nothing of the first.
        for publish in &transaction.publishes {
            self.check_publish(work, number, publish)?;
        }
        for publish in transaction.publishes {
            self.publish_now(work, number, publish)?;
        }
        let Some(channel) = self.channels.get(number) else { return Ok(()) };
        for delivery in transaction.accepted {
            channel.settled(&delivery);
            work.unit.accept(&delivery.view, &[delivery.position]);
        }
        for (delivery, settlement) in transaction.rejected {
            channel.settled(&delivery);
            work.unit.settle(&delivery.view, &[delivery.position], settlement);
        }
        self.credit_changed = true;
        self.outbox().reply_when_durable(number, TxCommitOk {});
        Ok(())
    }

    /// Forgets publishes; deliveries are unsettled again.
    pub(super) fn tx_rollback(&mut self, number: u16) -> Result<(), Fault> {
        let Transaction { mut accepted, rejected, .. } = self.take_transaction(number)?;
        accepted.extend(rejected.into_iter().map(|(delivery, _)| delivery));
        if let Some(channel) = self.channels.get(number) {
            channel.unsettled.put_back(accepted);
        }
        self.outbox().reply(number, TxRollbackOk {});
        Ok(())
    }
}
