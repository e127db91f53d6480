//! The task of one connection: reads what the socket has, hands it to the session, and writes what the session has to say with one
//! call. Timers, heartbeats and back-pressure live here; the protocol does not.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};

use super::error::Fault;
use super::session::{Life, Session};
use super::wire::{next_frame, put_heartbeat};
use crate::net::Shutdown;

/// What is read at once: from an idle client, and at most when it sends much. In bytes.
const READ_BYTES_MIN: usize = 512;
const READ_BYTES_MAX: usize = 256 << 10;
/// How long a client has to agree to our close.
const CLOSING_TIME: Duration = Duration::from_secs(3);
/// Between looks at an idle connection without heartbeats.
const IDLE_TICK: Duration = Duration::from_secs(30);
/// Half heartbeat intervals without a sign of life before the connection counts as dead.
const SILENT_TICKS_MAX: u32 = 4;

/// A connection after its handshake.
pub struct Connection {
    session: Session,
    input: BytesMut,
    read_bytes: usize,
    pulse: Pulse,
    paused_until: Option<Instant>,
    closing_until: Option<Instant>,
    stopping: bool,
}

/// Signs of life in both directions since the last tick.
struct Pulse {
    heartbeat_s: u16,
    sent: bool,
    received: bool,
    silent_ticks: u32,
}

/// Why a connection ended, for the log.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    #[error("closed")]
    Closed,
    #[error("the client went away without closing the connection")]
    Gone,
    #[error("missed heartbeats from client")]
    Silent,
    #[error("the client did not agree to the close in time")]
    NoCloseOk,
    #[error("{0}")]
    Socket(#[from] io::Error),
}

impl Connection {
    pub fn new(session: Session, early_input: BytesMut, heartbeat_s: u16) -> Self {
        let pulse = Pulse { heartbeat_s, sent: true, received: true, silent_ticks: 0 };
        Self {
            session,
            input: early_input,
            read_bytes: READ_BYTES_MIN,
            pulse,
            paused_until: None,
            closing_until: None,
            stopping: false,
        }
    }

    /// Serves the connection to its end and gives back what it held.
    pub async fn run(mut self, mut stream: TcpStream, shutdown: Shutdown) -> Ended {
        let (reader, writer) = stream.split();
        let ended = self.serve(reader, writer, shutdown).await;
        self.session.end();
        ended
    }

    async fn serve(&mut self, mut reader: ReadHalf<'_>, writer: WriteHalf<'_>, mut shutdown: Shutdown) -> Ended {
        let mut tick = self.pulse.ticker();
        let signal = self.session.signal().clone();
        self.process();
        loop {
            if let Err(error) = self.speak(&writer) {
                return Ended::Socket(error);
            }
            if let Some(ended) = self.check_end() {
                return ended;
            }
            if let Some(pause) = self.session.take_pause() {
                self.paused_until = Some(Instant::now() + pause);
            }
            let (wants_input, has_output) = (self.wants_input(), !self.session.output().is_empty());
            if wants_input {
                self.input.reserve(self.read_bytes);
            }
            tokio::select! {
                read = reader.read_buf(&mut self.input), if wants_input => match read {
                    Ok(0) => return Ended::Gone,
                    Ok(count) => self.received(count),
                    Err(error) => return Ended::Socket(error),
                },
                writable = writer.writable(), if has_output => if let Err(error) = writable {
                    return Ended::Socket(error);
                },
                () = signal.notified() => {}
                () = sleep_until(self.closing_until.unwrap_or_else(Instant::now)), if self.closing_until.is_some() => {
                    return Ended::NoCloseOk;
                }
                () = sleep_until(self.paused_until.unwrap_or_else(Instant::now)), if self.paused_until.is_some() => {
                    self.paused_until = None;
                }
                () = shutdown.requested(), if !self.stopping => self.stopping = true,
                _ = tick.tick() => if !self.beat(wants_input) {
                    return Ended::Silent;
                },
            }
        }
    }

    fn wants_input(&self) -> bool {
        match self.session.life() {
            Life::Open => !self.stopping && self.paused_until.is_none() && self.session.wants_input(),
            Life::Closing => true,
            Life::Closed => false,
        }
    }

    fn received(&mut self, count: usize) {
        self.pulse.received = true;
        if count >= self.read_bytes {
            self.read_bytes = (self.read_bytes * 8).min(READ_BYTES_MAX);
        }
        self.process();
    }

    /// Hands all complete frames to the session.
    fn process(&mut self) {
        let complete = complete_len(&self.input, self.session.frame_size_max());
        if complete > 0 {
            let input = self.input.split_to(complete).freeze();
            self.session.process(&input);
        }
    }

    /// Says all that can be said by now, as far as the client takes it.
    fn speak(&mut self, writer: &WriteHalf<'_>) -> io::Result<()> {
        loop {
            self.session.advance();
            if self.stopping && !self.session.is_waiting() {
                self.session.fail_connection(&Fault::Shutdown, (0, 0));
            }
            let before = self.session.output().len();
            if before == 0 || !self.write(writer)? {
                return Ok(());
            }
            // Deliveries may have stopped because the output was full.
            if before < self.session.delivery_bytes_max() {
                return Ok(());
            }
        }
    }

    /// Writes; true if nothing is left.
    fn write(&mut self, writer: &WriteHalf<'_>) -> io::Result<bool> {
        while !self.session.output().is_empty() {
            match writer.try_write(self.session.output()) {
                Ok(count) => {
                    self.session.written(count);
                    self.pulse.sent = true;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn check_end(&mut self) -> Option<Ended> {
        match self.session.life() {
            Life::Open => None,
            Life::Closing => {
                self.closing_until.get_or_insert_with(|| Instant::now() + CLOSING_TIME);
                None
            }
            Life::Closed if self.session.output().is_empty() => Some(Ended::Closed),
            Life::Closed => {
                self.closing_until.get_or_insert_with(|| Instant::now() + CLOSING_TIME);
                None
            }
        }
    }

    /// A tick of the clock: a heartbeat if nothing else was said; false if the client seems dead.
    fn beat(&mut self, listening: bool) -> bool {
        let is_idle = !self.pulse.received && self.input.is_empty();
        if is_idle {
            self.input = BytesMut::new();
            self.read_bytes = READ_BYTES_MIN;
            self.session.shrink();
        }
        if !self.pulse.sent && self.pulse.heartbeat_s > 0 && self.session.life() == Life::Open {
            put_heartbeat(self.session.outbox().ready());
        }
        self.pulse.tick(listening)
    }
}

impl Pulse {
    fn ticker(&self) -> Interval {
        let period = match self.heartbeat_s {
            0 => IDLE_TICK,
            heartbeat_s => Duration::from_secs(heartbeat_s.into()) / 2,
        };
        let mut tick = interval_at(Instant::now() + period, period);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tick
    }

    /// False once the client has been silent for too long. While we do not listen, taking what we say is a sign of life.
    fn tick(&mut self, listening: bool) -> bool {
        let alive = self.received || (!listening && self.sent);
        self.silent_ticks = if alive { 0 } else { self.silent_ticks + 1 };
        (self.sent, self.received) = (false, false);
        self.heartbeat_s == 0 || self.silent_ticks < SILENT_TICKS_MAX
    }
}

/// The length of all complete frames in front; all of it if something is wrong, for the session to find out.
fn complete_len(input: &[u8], size_max: u32) -> usize {
    let mut at = 0;
    loop {
        match next_frame(input.get(at..).unwrap_or_default(), size_max) {
            Ok(Some(frame)) => at += frame.wire_len(),
            Ok(None) => return at,
            Err(_) => return input.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pulse() -> Pulse {
        Pulse { heartbeat_s: 10, sent: false, received: false, silent_ticks: 0 }
    }

    #[test]
    fn a_silent_client_is_dead_after_two_intervals() {
        let mut silent = pulse();
        assert_eq!([silent.tick(true), silent.tick(true), silent.tick(true), silent.tick(true)], [true, true, true, false]);
        let mut speaking = pulse();
        for _ in 0..10 {
            speaking.received = true;
            assert!(speaking.tick(true));
        }
    }

    #[test]
    fn a_client_that_only_reads_while_we_do_not_listen_lives() {
        let mut reading = pulse();
        for _ in 0..10 {
            reading.sent = true;
            assert!(reading.tick(false));
        }
    }
}
