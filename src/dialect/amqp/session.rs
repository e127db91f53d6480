//! An open connection without its socket: frames in, frames out. It owns the channels and everything that dies with the connection.
//!
//! Input is handled in rounds; one round is one unit of work. [`Session::advance`] moves out what has become durable meanwhile.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use smallvec::SmallVec;

use super::Settings;
use super::blocked::Blocked;
use super::channel::{Channel, Channels, Phase};
use super::error::{Fault, Scope};
use super::handshake::Opened;
use super::outbox::Outbox;
use super::round::Round;
use super::routes::Routes;
use super::topology::{ConnectionId, Topology};
use super::wire::method::{BasicPublish, ChannelClose, ConnectionClose};
use super::wire::{ContentHeader, Frame, FrameKind, Method, next_frame};
use crate::delivery::{Claim, Delivery, RecordReader};
use crate::log::record::Record;
use crate::log::{Barrier, Log, Progress, Signal};
use crate::telemetry::DialectMetrics;

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    Open,
    /// We said close; only the client's agreement is listened to.
    Closing,
    /// Nothing more to hear; what is in the outbox may still be written.
    Closed,
}

/// What counts as one connection's share, added up and reported once a round.
#[derive(Debug, Default)]
pub(super) struct Counted {
    pub records_in: u64,
    pub bytes_in: u64,
    pub records_out: u64,
    pub bytes_out: u64,
}

/// The state of one connection.
pub struct Session {
    pub(super) id: ConnectionId,
    pub(super) opened: Opened,
    pub(super) settings: Settings,
    pub(super) delivery: Delivery,
    pub(super) log: Log,
    pub(super) topology: Arc<Mutex<Topology>>,
    pub(super) reader: RecordReader,
    pub(super) signal: Signal,
    pub(super) channels: Channels,
    pub(super) outbox: Outbox,
    pub(super) routes: Routes,
    /// Filled anew for every publish.
    pub(super) record: Record,
    pub(super) claims: Vec<Claim>,
    /// Channels that published in this round.
    pub(super) published: Vec<u16>,
    pub(super) exclusive_queues: Vec<Bytes>,
    /// Some consumer may be due credit, or has records to accept.
    pub(super) credit_changed: bool,
    pub(super) life: Life,
    pub(super) counted: Counted,
    /// Input that waits for room on the disk.
    pub(super) blocked: Option<Blocked>,
    /// How long nothing is to be read, since the disk is nearly full.
    pause: Option<Duration>,
    pub(super) metrics: DialectMetrics,
    /// How far the journal had come when things were last moved out.
    pub(super) progress: Progress,
    armed: SmallVec<[Barrier; 2]>,
}

/// What a session shares with the others of its dialect.
pub struct Shared {
    pub settings: Settings,
    pub delivery: Delivery,
    pub topology: Arc<Mutex<Topology>>,
    pub metrics: DialectMetrics,
}

impl Session {
    pub fn new(id: ConnectionId, opened: Opened, shared: &Shared) -> Self {
        shared.topology.lock().open_vhost(&opened.vhost);
        Self {
            id,
            opened,
            settings: shared.settings.clone(),
            delivery: shared.delivery.clone(),
            log: shared.delivery.log().clone(),
            topology: Arc::clone(&shared.topology),
            reader: shared.delivery.reader(),
            signal: Signal::default(),
            channels: Channels::default(),
            outbox: Outbox::default(),
            routes: Routes::default(),
            record: Record { key: None, value: None, headers: Vec::new(), timestamp_ms: 0 },
            claims: Vec::new(),
            published: Vec::new(),
            exclusive_queues: Vec::new(),
            credit_changed: false,
            life: Life::Open,
            counted: Counted::default(),
            blocked: None,
            pause: None,
            metrics: shared.metrics.clone(),
            progress: Progress::default(),
            armed: SmallVec::new(),
        }
    }

    pub fn life(&self) -> Life {
        self.life
    }

    /// Fires when [`advance`](Self::advance) may have something to do.
    pub fn signal(&self) -> &Signal {
        &self.signal
    }

    /// The largest frame, in bytes.
    pub fn frame_size_max(&self) -> u32 {
        self.opened.frame_size_max
    }

    /// Bytes to write.
    pub fn output(&self) -> &[u8] {
        self.outbox.bytes()
    }

    /// Forgets bytes that were written.
    pub fn written(&mut self, count: usize) {
        self.outbox.written(count);
    }

    pub(super) fn outbox(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    /// Deliveries stop while this many bytes wait to be read.
    pub fn delivery_bytes_max(&self) -> usize {
        self.settings.output_bytes_max / 2
    }

    /// Whether more input may be taken: not while the client leaves too much unread or unconfirmed, or publishes to a full disk.
    pub fn wants_input(&self) -> bool {
        let limits = &self.settings;
        let unconfirmed = |channel: &Channel| channel.confirms().map_or(0, |confirms| confirms.unconfirmed());
        self.blocked.is_none()
            && self.outbox.bytes().len() < limits.output_bytes_max
            && self.outbox.waiting_len() < limits.waiting_replies_max
            && self.channels.iter().map(unconfirmed).sum::<u64>() < limits.unconfirmed_max
    }

    /// How long to read nothing after what was published last.
    pub fn take_pause(&mut self) -> Option<Duration> {
        self.pause.take()
    }

    /// Handles the complete frames of `input` in one round.
    pub fn process(&mut self, input: &Bytes) {
        let (delivery, topology) = (self.delivery.clone(), Arc::clone(&self.topology));
        let mut round = Round::new(&delivery, &topology);
        let mut rest = &input[..];
        while !rest.is_empty() && self.life != Life::Closed {
            match next_frame(rest, self.opened.frame_size_max) {
                Ok(Some(frame)) if self.must_wait(&frame) => {
                    self.block(input.slice_ref(rest));
                    break;
                }
                Ok(Some(frame)) => {
                    rest = rest.get(frame.wire_len()..).unwrap_or_default();
                    self.frame(&mut round, input, frame);
                }
                Ok(None) => break,
                Err(error) => {
                    self.fail_connection(&Fault::Wire(error), (0, 0));
                    break;
                }
            }
        }
        self.finish_round(round);
    }

    /// Ends a round: gives credit, commits, and lets what waits know the position.
    pub(super) fn finish_round(&mut self, mut round: Round<'_>) {
        self.give_credit(&mut round);
        let barrier = round.finish();
        self.outbox.settle_round(barrier);
        for number in self.published.drain(..) {
            if let Some(confirms) = self.channels.get(number).and_then(Channel::confirms_mut) {
                confirms.settle_round(barrier);
            }
        }
        let counted = std::mem::take(&mut self.counted);
        if counted.records_in > 0 {
            self.metrics.records_in(counted.records_in, counted.bytes_in);
            self.pause = self.log.pause();
        }
        if counted.records_out > 0 {
            self.metrics.records_out(counted.records_out, counted.bytes_out);
        }
    }

    fn frame(&mut self, round: &mut Round<'_>, input: &Bytes, frame: Frame<'_>) {
        let mut during = (0, 0);
        let result = match frame.kind {
            FrameKind::Method => Method::decode(frame.payload).map_err(Fault::Wire).and_then(|method| {
                during = method.id();
                self.method(round, input, frame.channel, method)
            }),
            FrameKind::Header | FrameKind::Body => {
                during = Method::BasicPublish(BasicPublish::default()).id();
                self.content(round, input, frame)
            }
            FrameKind::Heartbeat if frame.channel == 0 => Ok(()),
            FrameKind::Heartbeat => Err(Fault::UnexpectedFrame("heartbeat on a channel")),
        };
        if let Err(fault) = result {
            self.fail(round, frame.channel, &fault, during);
        }
    }

    fn method(&mut self, round: &mut Round<'_>, input: &Bytes, number: u16, method: Method<'_>) -> Result<(), Fault> {
        if number == 0 || self.life == Life::Closing {
            return self.connection_method(method);
        }
        let Some(channel) = self.channels.get(number) else { return self.open_channel(number, method) };
        if channel.phase == Phase::Closing {
            self.closing_channel_method(number, method);
            return Ok(());
        }
        if !channel.content.is_none() {
            return Err(channel.content.interrupted());
        }
        if let Method::BasicPublish(publish) = method {
            if publish.immediate {
                return Err(Fault::NotImplemented("immediate=true"));
            }
            channel.content.begin(&publish, input);
            return Ok(());
        }
        self.channel_method(round, number, method)
    }

    fn content(&mut self, round: &mut Round<'_>, input: &Bytes, frame: Frame<'_>) -> Result<(), Fault> {
        if self.life == Life::Closing {
            return Ok(());
        }
        let Some(channel) = self.channels.get(frame.channel) else { return Err(Fault::ChannelNotOpen) };
        if channel.phase == Phase::Closing {
            return Ok(());
        }
        let complete = match frame.kind {
            FrameKind::Header => {
                let header = ContentHeader::decode(frame.payload)?;
                channel.content.header(&header, input, self.settings.max_message_bytes)?
            }
            FrameKind::Body | FrameKind::Method | FrameKind::Heartbeat => channel.content.body(frame.payload, input)?,
        };
        match complete {
            Some(publish) => self.publish(round, frame.channel, publish),
            None => Ok(()),
        }
    }

    /// Tells the client what went wrong and ends what dies of it.
    fn fail(&mut self, round: &mut Round<'_>, number: u16, fault: &Fault, during: (u16, u16)) {
        if self.life != Life::Open {
            return;
        }
        match fault.code().scope() {
            Scope::Channel if number != 0 => {
                tracing::debug!(channel = number, error = %fault.text(), "channel error");
                if let Some(channel) = self.channels.remove(number) {
                    self.end_channel(round, channel);
                }
                let mut closing = Channel::new(number);
                closing.phase = Phase::Closing;
                self.channels.insert(closing);
                let text = fault.text();
                let close = ChannelClose {
                    reply_code: fault.code().number(),
                    reply_text: text.as_bytes(),
                    class_id: during.0,
                    method_id: during.1,
                };
                self.outbox.reply(number, close);
            }
            Scope::Channel | Scope::Connection => self.fail_connection(fault, during),
        }
    }

    /// Tells the client why its connection ends.
    pub fn fail_connection(&mut self, fault: &Fault, during: (u16, u16)) {
        if self.life != Life::Open {
            return;
        }
        match fault {
            Fault::Shutdown => tracing::debug!("connection closed by shutdown"),
            _ => {
                self.metrics.protocol_error();
                tracing::info!(error = %fault.text(), "connection error");
            }
        }
        let text = fault.text();
        let close = ConnectionClose {
            reply_code: fault.code().number(),
            reply_text: text.as_bytes(),
            class_id: during.0,
            method_id: during.1,
        };
        self.outbox.reply(0, close);
        self.life = Life::Closing;
    }

    /// Asks to be woken when the first thing that waits may go; true: it may already.
    pub(super) fn arm(&mut self) -> bool {
        let waits = |barrier: &Barrier| !self.progress.passes(*barrier);
        let replies = self.outbox.waits_for();
        let confirms = self.channels.iter().filter_map(|channel| channel.confirms()?.waits_for());
        let held = self
            .channels
            .iter()
            .flat_map(|channel| &channel.consumers)
            .filter_map(|consumer| Some(consumer.held.front()?.barrier));
        let mut first = SmallVec::<[Barrier; 2]>::new();
        for barrier in replies.into_iter().chain(confirms).chain(held).filter(waits) {
            if !first.iter().any(|known| barrier.covers(*known)) {
                first.retain(|known| !known.covers(barrier));
                first.push(barrier);
            }
        }
        if self.outbox.bytes().is_empty()
            && let [only] = first.as_slice()
            && !self.armed.contains(only)
            && self.log.press(*only)
        {
            return true;
        }
        for barrier in first.iter().filter(|barrier| !self.armed.contains(barrier)) {
            self.log.wake_at(*barrier, &self.signal);
        }
        self.armed = first;
        false
    }

    /// Gives back memory of an idle connection.
    pub fn shrink(&mut self) {
        self.outbox.shrink();
        if self.claims.capacity() > 64 {
            self.claims = Vec::new();
        }
    }

    /// Whether replies or confirms wait for the log.
    pub fn is_waiting(&self) -> bool {
        self.outbox.is_waiting()
            || self.channels.iter().any(|channel| channel.confirms().is_some_and(|confirms| confirms.unconfirmed() > 0))
    }
}
