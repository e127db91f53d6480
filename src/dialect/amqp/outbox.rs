//! What a connection has to say: bytes that may go, and replies in order that wait until the log is durable up to their gate.
//!
//! Nothing here does I/O. Bytes in `ready` never depend on anything that a crash can take back.

use std::collections::VecDeque;

use bytes::{Buf, BytesMut};

use super::wire::{Method, put_method};
use crate::delivery::Claim;
use crate::log::{Barrier, Progress};

/// What a reply waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// Nothing but the replies before it.
    Open,
    /// The unit of work that is being done; becomes a position when it is committed.
    Round,
    /// A position of the journal.
    At(Barrier),
}

/// A reply that waits.
#[derive(Debug)]
pub enum Reply {
    /// Frames.
    Frames(BytesMut),
    /// A record fetched by `basic.get`, rendered once it may be seen.
    Got(Got),
}

/// What a `basic.get-ok` needs.
#[derive(Debug)]
pub struct Got {
    pub channel: u16,
    pub delivery_tag: u64,
    pub claim: Claim,
    pub queue: bytes::Bytes,
    /// It says how often its message failed before.
    pub counts: bool,
    pub message_count: u32,
}

/// Bytes to write and replies that wait.
#[derive(Debug, Default)]
pub struct Outbox {
    ready: BytesMut,
    gated: VecDeque<(Gate, Reply)>,
}

impl Outbox {
    /// A reply that depends on nothing, but keeps its place behind those before it.
    pub fn reply<'a>(&mut self, channel: u16, method: impl Into<Method<'a>>) {
        self.push(Gate::Open, channel, method);
    }

    /// A reply that goes out once what this round did is durable.
    pub fn reply_when_durable<'a>(&mut self, channel: u16, method: impl Into<Method<'a>>) {
        self.push(Gate::Round, channel, method);
    }

    fn push<'a>(&mut self, gate: Gate, channel: u16, method: impl Into<Method<'a>>) {
        put_method(self.frames(gate), channel, method);
    }

    /// Where to put frames that go out at a gate, behind everything before them.
    pub fn frames(&mut self, gate: Gate) -> &mut BytesMut {
        if self.gated.is_empty() && gate == Gate::Open {
            return &mut self.ready;
        }
        let joins = |(last, reply): &(Gate, Reply)| (*last == gate || gate == Gate::Open) && matches!(reply, Reply::Frames(_));
        if !self.gated.back().is_some_and(joins) {
            self.gated.push_back((gate, Reply::Frames(BytesMut::new())));
        }
        match self.gated.back_mut() {
            Some((_, Reply::Frames(frames))) => frames,
            // The entry was just put there.
            _ => &mut self.ready,
        }
    }

    /// A record to render when its gate opens.
    pub fn push_got(&mut self, got: Got) {
        self.gated.push_back((Gate::At(got.claim.barrier), Reply::Got(got)));
    }

    /// Gives the replies of this round the position that its unit of work was committed at.
    pub fn settle_round(&mut self, barrier: Barrier) {
        for (gate, _) in self.gated.iter_mut().rev() {
            if *gate == Gate::Round {
                *gate = Gate::At(barrier);
            }
        }
    }

    /// The next reply whose gate is open.
    pub fn next_open(&mut self, progress: Progress) -> Option<Reply> {
        let open = match self.gated.front()?.0 {
            Gate::Open => true,
            Gate::Round => false,
            Gate::At(barrier) => progress.passes(barrier),
        };
        if open { self.gated.pop_front().map(|(_, reply)| reply) } else { None }
    }

    /// The position that the first waiting reply waits for.
    pub fn waits_for(&self) -> Option<Barrier> {
        match self.gated.front()?.0 {
            Gate::Open | Gate::Round => Some(Barrier::NONE),
            Gate::At(barrier) => Some(barrier),
        }
    }

    /// Whether replies wait: what must not overtake them waits too.
    pub fn is_waiting(&self) -> bool {
        !self.gated.is_empty()
    }

    /// Replies that wait.
    pub fn waiting_len(&self) -> usize {
        self.gated.len()
    }

    /// Frames that may go out now; for those who have looked at the gate themselves.
    pub fn ready(&mut self) -> &mut BytesMut {
        &mut self.ready
    }

    /// Bytes that may be written.
    pub fn bytes(&self) -> &[u8] {
        &self.ready
    }

    /// Forgets bytes that were written.
    pub fn written(&mut self, count: usize) {
        self.ready.advance(count);
    }

    /// Drops replies that nobody may hear any more.
    pub fn forget_waiting(&mut self) {
        self.gated.clear();
    }

    /// Gives back memory while there is nothing to say.
    pub fn shrink(&mut self) {
        if self.ready.is_empty() {
            self.ready = BytesMut::new();
        }
    }
}
