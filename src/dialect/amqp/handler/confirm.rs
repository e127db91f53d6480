//! Class confirm (85): publisher confirms.

use crate::dialect::amqp::channel::{Confirms, Mode};
use crate::dialect::amqp::error::Fault;
use crate::dialect::amqp::session::Session;
use crate::dialect::amqp::wire::method::{ConfirmSelect, ConfirmSelectOk};

impl Session {
    pub(super) fn confirm_select(&mut self, number: u16, select: &ConfirmSelect) -> Result<(), Fault> {
        let Some(channel) = self.channels.get(number) else { return Ok(()) };
        match channel.mode {
            Mode::Plain => channel.mode = Mode::Confirm(Confirms::default()),
            Mode::Confirm(_) => {}
            Mode::Transaction(_) => return Err(Fault::Mode { from: "tx", to: "confirm" }),
        }
        if !select.nowait {
            self.outbox().reply(number, ConfirmSelectOk {});
        }
        Ok(())
    }
}
