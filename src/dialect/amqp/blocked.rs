//! A connection that publishes while the disk is full: its publishes wait, as RabbitMQ has it, and everything behind them.
//!
//! The frame that would have been a publish is where the connection stops being read. Deliveries to it go on, and so do connections
//! that only consume. What was read and not taken is taken first when there is room.

use bytes::Bytes;

use super::channel::Mode;
use super::session::{Life, Session};
use super::wire::method::{ConnectionBlocked, ConnectionUnblocked};
use super::wire::{Frame, FrameKind, put_method};
use crate::log::Room;
use crate::telemetry::BlockedGuard;

/// What RabbitMQ says when its disk is full.
const REASON: &[u8] = b"low on disk";

/// Class and method of `basic.publish` and of `tx.commit`, as a payload begins with them.
const PUBLISH: [u8; 4] = [0, 60, 0, 40];
const COMMIT: [u8; 4] = [0, 90, 0, 20];

/// What waits.
pub(super) struct Blocked {
    /// Frames from the first publish on.
    rest: Bytes,
    _counted: BlockedGuard,
}

impl Session {
    /// Whether a frame has to wait until there is room: it writes a message, or a piece of one.
    pub(super) fn must_wait(&mut self, frame: &Frame<'_>) -> bool {
        self.life == Life::Open && self.log.room().0 == Room::Full && self.is_publish(frame)
    }

    fn is_publish(&mut self, frame: &Frame<'_>) -> bool {
        match frame.kind {
            FrameKind::Header | FrameKind::Body => true,
            FrameKind::Heartbeat => false,
            FrameKind::Method => match frame.payload.first_chunk() {
                Some(&PUBLISH) => true,
                Some(&COMMIT) => matches!(
                    self.channels.get(frame.channel).map(|channel| &channel.mode),
                    Some(Mode::Transaction(transaction)) if !transaction.publishes.is_empty()
                ),
                _ => false,
            },
        }
    }

    /// Keeps input that has to wait, and tells the client if it wants to know. It overtakes replies: those may wait for room, too.
    pub(super) fn block(&mut self, rest: Bytes) {
        if self.opened.wants_blocked_notice {
            put_method(self.outbox.ready(), 0, ConnectionBlocked { reason: REASON });
        }
        tracing::info!(user = self.opened.user, "the disk is full: a connection that publishes is blocked");
        self.blocked = Some(Blocked { rest, _counted: self.metrics.connection_blocked() });
        self.log.wake_at_room(&self.signal);
    }

    /// Takes what waited, once there is room or the connection is at its end.
    pub(super) fn unblock(&mut self) {
        if self.blocked.is_none() {
            return;
        }
        if self.life == Life::Open && self.log.room().0 == Room::Full {
            self.log.wake_at_room(&self.signal);
            return;
        }
        let Some(Blocked { rest, .. }) = self.blocked.take() else { return };
        if self.opened.wants_blocked_notice && self.life == Life::Open {
            put_method(self.outbox.ready(), 0, ConnectionUnblocked {});
        }
        self.process(&rest);
    }
}
