//! A consumer: its taker on a queue view, and how many records it may be handed.
//!
//! Credit is what is left of the prefetch, at most a window: a client that does not read is handed no more than that. Credit comes back
//! when deliveries are rendered (without prefetch or without acks) or settled.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::delivery::{Claim, Credit, Position, Taker};
use crate::log::TopicName;

/// Records that may be on their way to one consumer, at most.
pub const WINDOW: u32 = 1000;

/// A consumer of a channel.
pub struct Consumer {
    pub tag: Bytes,
    /// The queue's name in AMQP.
    pub queue: Bytes,
    pub view: TopicName,
    pub no_ack: bool,
    /// Deliveries say how often their message failed before.
    pub counts: bool,
    /// Unsettled deliveries that it may have; 0: any number.
    pub prefetch: u32,
    pub taker: Taker,
    pub credit: Arc<Credit>,
    /// It spends the channel's shared prefetch too.
    pub shared: bool,
    /// Credit given and not yet turned into a claim that was seen here.
    pub outstanding: u32,
    /// Delivered and not settled.
    pub unsettled: u32,
    /// Claims that wait to be rendered.
    pub held: VecDeque<Claim>,
    /// Rendered without need of an acknowledgement.
    pub done: Vec<Position>,
}

impl Consumer {
    /// The credit that a new consumer begins with.
    pub fn initial_credit(prefetch: u32, no_ack: bool) -> u32 {
        if no_ack || prefetch == 0 { WINDOW } else { prefetch.min(WINDOW) }
    }

    /// Takes over what its taker was handed.
    pub fn collect(&mut self, scratch: &mut Vec<Claim>) {
        if self.outstanding == 0 {
            return;
        }
        scratch.clear();
        self.taker.drain(scratch);
        self.outstanding = self.outstanding.saturating_sub(scratch.len() as u32);
        self.held.extend(scratch.drain(..));
    }

    /// Credit to give now: worth it once half of what it may have is used up.
    pub fn credit_due(&self) -> u32 {
        let held = self.held.len() as u32;
        let allowed = match (self.no_ack, self.prefetch) {
            (true, _) | (false, 0) => WINDOW.saturating_sub(held),
            (false, prefetch) => prefetch.saturating_sub(self.unsettled + held).min(WINDOW.saturating_sub(held)),
        };
        let due = allowed.saturating_sub(self.outstanding);
        let full = Self::initial_credit(self.prefetch, self.no_ack);
        if due >= full.div_ceil(2) || (due > 0 && self.outstanding == 0) { due } else { 0 }
    }
}
