//! One client's connection: reads what the socket has, runs every whole request, and writes every response that may leave.
//!
//! Responses go out in the order of their requests. A response waits for its position in the journal while later requests
//! are already run; a request that has to wait (a long poll, a group's round) holds up only what is behind it. What is read
//! ahead and what waits to be sent are both bounded: beyond the bounds the socket is not read.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

use super::Kafka;
use super::call::{Answer, Client, Reply};
use super::handler;
use super::sasl::Access;
use super::wire::frame::{lacking, take_frame};
use crate::log::Signal;
use crate::net::{Incoming, Shutdown};

/// Room made for a read, in bytes: the least, and the most that is made before bytes have come.
const READ_BYTES_MIN: usize = 16 << 10;
const READ_BYTES_MAX: usize = 256 << 10;
/// A client that takes nothing of what waits for it for this long is cut off.
const STALL: Duration = Duration::from_secs(60);
/// Small responses are gathered up to this size before they are written, in bytes.
const GATHER_BYTES: usize = 128 << 10;
/// No request is run while so many responses wait, or so many bytes of them.
const PENDING_MAX: usize = 512;
const PENDING_BYTES_MAX: usize = 4 << 20;
/// Requests that are run before the socket is looked at again.
const ROUND_MAX: usize = 128;

pub async fn serve(kafka: Arc<Kafka>, incoming: Incoming) {
    let _open = kafka.metrics.connection_opened();
    let Incoming { stream, peer, local, shutdown, .. } = incoming;
    let access = Access::new(&*kafka.users);
    let connection = Connection {
        client: Arc::new(Client { kafka, peer, local, access }),
        input: BytesMut::new(),
        input_ended: false,
        read_bytes: READ_BYTES_MIN,
        blocked: None,
        paused_until: None,
        pending: VecDeque::new(),
        pending_bytes: 0,
        output: BytesMut::new(),
        synced: Signal::default(),
        synced_asked: false,
    };
    if let Err(ended) = connection.run(stream, shutdown).await {
        match ended {
            Ended::Socket(error) => tracing::debug!(%error, "connection lost"),
            Ended::Protocol(reason) => tracing::debug!(reason, "connection closed"),
            Ended::Journal => tracing::warn!("connection closed: its records can no longer be made durable"),
        }
    }
}

/// Why a connection ends other than by its client's wish.
enum Ended {
    Socket(io::Error),
    Protocol(String),
    /// What was acknowledged to come will never be durable.
    Journal,
}

struct Connection {
    client: Arc<Client>,
    input: BytesMut,
    input_ended: bool,
    /// Room for the next read; follows what the client sends at a time.
    read_bytes: usize,
    /// The request that has to wait, if there is one.
    blocked: Option<Pin<Box<dyn Future<Output = Reply> + Send>>>,
    /// Until when no request is run, since its client writes and the disk is nearly full.
    paused_until: Option<Instant>,
    /// Responses in order, some not durable yet.
    pending: VecDeque<Reply>,
    pending_bytes: usize,
    /// What is being written.
    output: BytesMut,
    synced: Signal,
    synced_asked: bool,
}

impl Connection {
    async fn run(mut self, stream: TcpStream, mut shutdown: Shutdown) -> Result<(), Ended> {
        let mut stopping = false;
        loop {
            let more = !stopping && self.run_requests()?;
            self.release_replies()?;
            self.write(&stream).map_err(Ended::Socket)?;
            if more && self.has_room() {
                tokio::task::yield_now().await;
                continue;
            }
            let ends = stopping || self.input_ended && self.paused_until.is_none();
            if ends && self.pending.is_empty() && self.output.is_empty() {
                return Ok(());
            }
            let wants_input = !stopping && self.wants_input();
            let synced = Arc::clone(&self.synced);
            tokio::select! {
                biased;
                () = synced.notified(), if self.synced_asked => self.synced_asked = false,
                reply = wait(&mut self.blocked), if self.blocked.is_some() && !stopping => {
                    self.blocked = None;
                    self.push(reply);
                }
                ready = tokio::time::timeout(STALL, stream.writable()), if !self.output.is_empty() => match ready {
                    Ok(ready) => ready.map_err(Ended::Socket)?,
                    Err(_) => return Err(Ended::Protocol("the client does not read".to_owned())),
                },
                () = sleep_until(self.paused_until.unwrap_or_else(Instant::now)), if self.paused_until.is_some() => {
                    self.paused_until = None;
                }
                ready = stream.readable(), if wants_input => {
                    ready.map_err(Ended::Socket)?;
                    self.read(&stream)?;
                }
                () = shutdown.requested(), if !stopping => stopping = true,
            }
        }
    }

    /// While a request or the connection waits, a little is read ahead: that is how a client's leaving is seen.
    fn wants_input(&self) -> bool {
        let can_run = self.blocked.is_none() && self.paused_until.is_none() && self.has_room();
        !self.input_ended && (can_run || self.input.len() < READ_BYTES_MIN)
    }

    fn has_room(&self) -> bool {
        self.pending.len() < PENDING_MAX && self.pending_bytes + self.output.len() < PENDING_BYTES_MAX
    }

    /// Runs the whole requests that were read, as far as there is room for their responses. Whether more may be there.
    fn run_requests(&mut self) -> Result<bool, Ended> {
        let frame_bytes_max = self.client.kafka.settings.request_bytes_max;
        for _ in 0..ROUND_MAX {
            if self.blocked.is_some() || self.paused_until.is_some() || !self.has_room() {
                return Ok(false);
            }
            let frame = take_frame(&mut self.input, frame_bytes_max).map_err(|error| self.violation(error.to_string()))?;
            let Some(frame) = frame else { return Ok(false) };
            match handler::run(&self.client, frame).map_err(|error| self.violation(error.to_string()))? {
                Answer::Now(reply) => self.push(reply),
                Answer::Later(waiting) => self.blocked = Some(waiting),
                Answer::Silent => {}
                Answer::Paused(reply, pause) => {
                    if let Some(reply) = reply {
                        self.push(reply);
                    }
                    self.paused_until = Some(Instant::now() + pause);
                }
                Answer::Close(reason) => return Err(self.violation(reason.to_owned())),
            }
        }
        Ok(true)
    }

    fn violation(&self, reason: String) -> Ended {
        self.client.kafka.metrics.protocol_error();
        Ended::Protocol(reason)
    }

    fn push(&mut self, reply: Reply) {
        self.pending_bytes += reply.frame.len();
        self.pending.push_back(reply);
    }

    /// Moves responses that may leave to the output, and asks to be woken when the next one may.
    fn release_replies(&mut self) -> Result<(), Ended> {
        let client = Arc::clone(&self.client);
        let log = client.kafka.delivery.log();
        while self.output.len() < GATHER_BYTES {
            let Some(reply) = self.pending.front() else { return Ok(()) };
            if !log.is_durable(reply.after) {
                if log.poisoned().is_some() {
                    return Err(Ended::Journal);
                }
                if log.press(reply.after) {
                    continue;
                }
                if !self.synced_asked {
                    self.synced_asked = true;
                    log.wake_at(reply.after, &self.synced);
                }
                return Ok(());
            }
            let Some(reply) = self.pending.pop_front() else { return Ok(()) };
            self.pending_bytes -= reply.frame.len();
            if self.output.is_empty() {
                self.output = reply.frame;
            } else {
                self.output.extend_from_slice(&reply.frame);
            }
        }
        Ok(())
    }

    fn write(&mut self, stream: &TcpStream) -> io::Result<()> {
        while !self.output.is_empty() {
            match stream.try_write(&self.output) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.output.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.output = BytesMut::new();
        Ok(())
    }

    fn read(&mut self, stream: &TcpStream) -> Result<(), Ended> {
        let frame_bytes_max = self.client.kafka.settings.request_bytes_max;
        let lacks = lacking(&self.input, frame_bytes_max).map_err(|error| self.violation(error.to_string()))?;
        // Room grows with what has come, never with what is claimed alone.
        let room = lacks.clamp(self.read_bytes, READ_BYTES_MAX.max(self.input.len()));
        self.input.reserve(room);
        match stream.try_read_buf(&mut self.input) {
            Ok(0) => self.input_ended = true,
            Ok(got) if got >= self.read_bytes => self.read_bytes = (self.read_bytes * 2).min(READ_BYTES_MAX),
            Ok(got) if got < self.read_bytes / 4 => self.read_bytes = (self.read_bytes / 2).max(READ_BYTES_MIN),
            Ok(_) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => return Err(Ended::Socket(error)),
        }
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
        Ok(())
    }
}

async fn wait(blocked: &mut Option<Pin<Box<dyn Future<Output = Reply> + Send>>>) -> Reply {
    match blocked {
        Some(waiting) => waiting.await,
        None => std::future::pending().await,
    }
}
