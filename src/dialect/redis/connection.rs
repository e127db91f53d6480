//! One connection: bytes in, rounds of commands, replies out. One task owns all of its state.
//!
//! What the socket has is read at once, run as one round, and answered with one write when the log is durable up to what the
//! replies depend on; meanwhile more is read, up to a bound. An idle connection keeps no buffers.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::clients::Client;
use super::command::blocking::{self, Cause};
use super::command::{self, Context, Flow, Login, connection as login, pubsub};
use super::error::CommandError;
use super::outbox::Outbox;
use super::round::{Round, Written, now_ms};
use super::server::Server;
use super::session::{Blocked, Session};
use super::wire::{Batch, Limits, Parser, ProtocolError};
use crate::delivery::{Listener, RecordReader};
use crate::log::{Barrier, Signal};
use crate::net::{Incoming, Shutdown};

/// The smallest and the largest read, in bytes. A connection starts small and grows while it fills what it asks for.
const READ_BYTES: std::ops::RangeInclusive<usize> = 2 * 1024..=256 * 1024;

/// Commands in one round at most, so that the core's lock is not held for long.
const ROUND_COMMANDS: usize = 1024;

/// Serves one connection to its end.
pub async fn serve(server: Arc<Server>, incoming: Incoming) {
    let Incoming { stream, peer, local, shutdown, .. } = incoming;
    let signal = Signal::default();
    let Some(client) = server.clients.register(peer, local, Arc::clone(&signal), server.settings.clients_max) else {
        refuse(&server, &stream);
        return;
    };
    server.stats.connections_received.fetch_add(1, Ordering::Relaxed);
    let _open = server.metrics.connection_opened();
    let mut connection = Connection::new(Arc::clone(&server), stream, signal, client);
    connection.run(shutdown).await;
    connection.leave();
}

fn refuse(server: &Server, stream: &TcpStream) {
    server.stats.connections_rejected.fetch_add(1, Ordering::Relaxed);
    let _ = stream.try_write(format!("-{}\r\n", CommandError::TooManyClients).as_bytes());
}

/// How a connection goes on.
enum State {
    Running,
    Blocked(Box<Blocked>),
    Verifying(Box<Login>),
    /// A command that is run again when the lists are looked through.
    Searching(Vec<Bytes>),
    /// Nothing more is run; it ends when everything is sent.
    Closing,
}

struct Connection {
    server: Arc<Server>,
    stream: TcpStream,
    signal: Signal,
    session: Session,
    reader: RecordReader,
    parser: Parser,
    input: BytesMut,
    read_bytes: usize,
    batch: Batch,
    /// The request that broke the protocol, until the commands before it are run.
    broken: Option<ProtocolError>,
    out: Outbox,
    state: State,
    /// Until when no command is run, since its client writes and the disk is nearly full.
    paused_until: Option<Instant>,
    /// The position that the log was last asked to wake us at.
    waking_at: Barrier,
    ended: bool,
    /// The last write found the socket full.
    stuck: bool,
}

impl Connection {
    fn new(server: Arc<Server>, stream: TcpStream, signal: Signal, client: Arc<Client>) -> Self {
        let session = Session::new(client, server.users.open());
        let reader = server.delivery.reader();
        Self {
            server,
            stream,
            signal,
            session,
            reader,
            parser: Parser::default(),
            input: BytesMut::new(),
            read_bytes: *READ_BYTES.start(),
            batch: Batch::default(),
            broken: None,
            out: Outbox::default(),
            state: State::Running,
            paused_until: None,
            waking_at: Barrier::NONE,
            ended: false,
            stuck: false,
        }
    }

    async fn run(&mut self, mut shutdown: Shutdown) {
        loop {
            let more = self.run_commands();
            if let State::Verifying(_) = self.state {
                self.verify().await;
                continue;
            }
            if let State::Searching(_) = self.state {
                self.search().await;
                continue;
            }
            let announced_more = self.take_announcements();
            if !self.flush() || self.is_over() {
                return;
            }
            if (more || announced_more) && self.has_room() {
                continue;
            }
            self.note_status();
            self.wait(&mut shutdown).await;
        }
    }

    /// Whether everything is said, or nothing more can be.
    fn is_over(&self) -> bool {
        let silent = self.out.is_empty() && self.batch.waiting() == 0 && self.paused_until.is_none();
        matches!(self.state, State::Closing) && self.out.is_empty()
            || self.ended && (silent || matches!(self.state, State::Blocked(_)))
            || self.session.client.is_killed()
            || self.session.listener.as_ref().is_some_and(Listener::is_cut)
            || (self.out.closed_gate().is_some() && self.server.delivery.log().poisoned().is_some())
    }

    /// Whether more may be read: not while too much waits to be run or sent.
    fn wants_input(&self) -> bool {
        let settings = &self.server.settings;
        match self.state {
            State::Closing => false,
            State::Running => !self.ended && self.has_room() && self.paused_until.is_none(),
            State::Blocked(_) | State::Verifying(_) | State::Searching(_) => {
                !self.ended && self.input.len() < settings.input_bytes_max
            }
        }
    }

    /// Whether more replies may be added to those that wait.
    fn has_room(&self) -> bool {
        self.out.waiting_bytes() < self.server.settings.output_bytes_max
    }

    /// Waits until something can be done, and reads if it is that.
    async fn wait(&mut self, shutdown: &mut Shutdown) {
        let deadline = match &self.state {
            State::Blocked(blocked) => blocked.deadline,
            State::Running | State::Verifying(_) | State::Searching(_) | State::Closing => None,
        };
        let cut_at = self.session.listener.as_ref().and_then(Listener::cut_at_ms).map(instant_of);
        let read_bytes = self.wants_input().then_some(self.read_bytes);
        tokio::select! {
            biased;
            event = socket_event(&mut self.stream, &mut self.input, read_bytes, self.stuck) => match event {
                SocketEvent::Writable => self.stuck = false,
                SocketEvent::Read(read) => self.note_read(read),
                SocketEvent::Ended => self.ended = true,
            },
            () = self.signal.notified() => self.waking_at = Barrier::NONE,
            () = until(deadline) => self.go_on(Cause::TimedOut),
            () = until(cut_at) => {}
            () = until(self.paused_until) => self.paused_until = None,
            () = shutdown.requested() => self.shut_down(),
        }
        self.look_at_blocked();
    }

    /// The gateway ends: nothing more is run, and what is done is still answered.
    fn shut_down(&mut self) {
        if matches!(self.state, State::Blocked(_)) {
            self.go_on(Cause::Gone);
            self.ended = true;
        }
        self.state = State::Closing;
    }

    /// The next read asks for about as much as this one gave.
    fn note_read(&mut self, read: usize) {
        self.server.stats.input_bytes.fetch_add(read as u64, Ordering::Relaxed);
        let wanted = if read >= self.read_bytes { self.read_bytes * 4 } else { (read * 2).next_power_of_two() };
        self.read_bytes = wanted.clamp(*READ_BYTES.start(), *READ_BYTES.end());
    }

    /// Runs rounds until nothing complete is left, something blocks, or too much waits to be sent: then there may be more to run.
    fn run_commands(&mut self) -> bool {
        let mut exhausted = false;
        while matches!(self.state, State::Running) && self.has_room() && self.paused_until.is_none() && !exhausted {
            if self.batch.waiting() > 0 || self.parse() {
                self.run_round();
            } else {
                exhausted = true;
            }
        }
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
        self.batch.clear_served();
        !exhausted && matches!(self.state, State::Running) && self.paused_until.is_none()
    }

    /// Takes complete commands off the input. `false`: there are none.
    fn parse(&mut self) -> bool {
        if let Some(error) = self.broken.take() {
            self.close_broken(&error);
            return false;
        }
        if self.input.is_empty() {
            return false;
        }
        let (limits, commands_max) = if self.session.logged_in {
            let bulk_bytes_max = self.server.parameters.bulk_bytes_max();
            (Limits { bulk_bytes_max, ..Limits::default() }, ROUND_COMMANDS)
        } else {
            // One at a time: the next may be allowed more.
            (Limits::BEFORE_LOGIN, 1)
        };
        self.broken = self.parser.parse(&mut self.input, &limits, commands_max, &mut self.batch).err();
        if self.input.len() > self.server.settings.query_bytes_max {
            // As Redis does: nobody is told who sends more than is kept.
            tracing::debug!(peer = %self.session.client.peer, "closing a connection: its command is too long");
            self.input = BytesMut::new();
            self.state = State::Closing;
        }
        self.batch.waiting() > 0 || self.broken.is_some()
    }

    /// The client broke the protocol: it is told so, and nothing more is read from it.
    fn close_broken(&mut self, error: &ProtocolError) {
        self.server.metrics.protocol_error();
        tracing::debug!(peer = %self.session.client.peer, %error, "closing a connection");
        self.out.writer(self.session.protocol).error(&format!("ERR {error}"));
        self.out.gate(Barrier::NONE);
        self.input = BytesMut::new();
        self.state = State::Closing;
    }

    /// Runs the commands of the batch in one unit.
    fn run_round(&mut self) {
        let mut batch = std::mem::take(&mut self.batch);
        let mut last = None;
        let flow = self.with_round(|ctx| {
            while let Some(at) = batch.next_command() {
                let flow = command::execute(ctx, batch.arguments(&at));
                if !matches!(flow, Flow::Next) {
                    last = Some(at);
                    return flow;
                }
                if ctx.out.waiting_bytes() >= ctx.server.settings.output_bytes_max {
                    break;
                }
            }
            Flow::Next
        });
        let arguments = last.map_or_else(Vec::new, |at| batch.arguments(&at).to_vec());
        self.batch = batch;
        self.follow(flow, arguments);
    }

    /// Goes on as a command said, whose arguments these are.
    fn follow(&mut self, flow: Flow, arguments: Vec<Bytes>) {
        match flow {
            Flow::Next => {}
            Flow::Search => self.state = State::Searching(arguments),
            Flow::Block(blocked) => {
                self.session.client.update(|status| status.blocked = true);
                self.state = State::Blocked(blocked);
            }
            Flow::Verify(login) => self.state = State::Verifying(login),
            Flow::Close => self.state = State::Closing,
        }
    }

    /// Runs something in a unit of its own and holds its replies back until what they depend on is durable.
    fn with_round<R>(&mut self, work: impl FnOnce(&mut Context<'_, '_>) -> R) -> R {
        let server = Arc::clone(&self.server);
        let mut round = Round::new(&server.delivery);
        let mut ctx = Context {
            server: &server,
            session: &mut self.session,
            round: &mut round,
            reader: &mut self.reader,
            out: &mut self.out,
        };
        let result = work(&mut ctx);
        let (barrier, Written { records, bytes, live_only }) = round.finish();
        self.out.gate(barrier);
        if records > 0 {
            server.metrics.records_in(records, bytes);
            self.paused_until = server.delivery.log().pause().map(|pause| Instant::now() + pause);
        }
        if live_only > 0 {
            server.metrics.records_live_only(live_only);
        }
        result
    }

    /// Checks a password, outside of any unit.
    async fn verify(&mut self) {
        let State::Verifying(asked) = std::mem::replace(&mut self.state, State::Running) else { return };
        let verified = self.server.users.verify(&asked.user, &asked.password).await;
        self.with_round(|ctx| login::logged_in(ctx, &asked, verified));
    }

    /// Looks through lists, outside of any unit and a little at a time, and runs the command again that needs it.
    async fn search(&mut self) {
        let State::Searching(arguments) = std::mem::replace(&mut self.state, State::Running) else { return };
        let mut searches = std::mem::take(&mut self.session.searches);
        for search in &mut searches {
            while search.look(&mut self.reader) && !self.session.client.is_killed() {
                tokio::task::yield_now().await;
            }
        }
        self.session.searches = searches;
        let flow = self.with_round(|ctx| command::execute(ctx, &arguments));
        self.follow(flow, arguments);
    }

    /// A blocked command may have been given an element, or been unblocked by another client, or its client may be gone.
    fn look_at_blocked(&mut self) {
        if !matches!(self.state, State::Blocked(_)) {
            return;
        }
        if self.ended || self.session.client.is_killed() {
            self.go_on(Cause::Gone);
            return;
        }
        match self.session.client.take_unblock() {
            Some(how) => self.go_on(Cause::Unblocked(how)),
            None => self.go_on(Cause::Woken),
        }
    }

    fn go_on(&mut self, cause: Cause) {
        let State::Blocked(blocked) = std::mem::replace(&mut self.state, State::Running) else { return };
        let done = self.with_round(|ctx| {
            blocking::go_on(ctx, &blocked, cause).unwrap_or_else(|error| {
                ctx.server.stats.failed(Some(ctx.session.last_command), false, &error);
                ctx.reply().error(&error.to_string());
                true
            })
        });
        if done {
            self.session.client.update(|status| status.blocked = false);
            self.session.client.take_unblock();
        } else {
            self.state = State::Blocked(blocked);
        }
    }

    /// Puts what was published into the outbox, as long as there is room. `true`: there is more.
    fn take_announcements(&mut self) -> bool {
        let Some(listener) = &self.session.listener else { return false };
        let room = self.server.settings.output_bytes_max.saturating_sub(self.out.waiting_bytes());
        let mut announcements = Vec::new();
        let more = listener.take(room, &mut announcements);
        let mut bytes = 0;
        for announcement in &announcements {
            bytes += super::mapping::payload(&announcement.record).len() as u64;
            pubsub::write_announcement(&mut self.out, self.session.protocol, announcement);
            self.out.gate(announcement.barrier);
        }
        if !announcements.is_empty() {
            self.server.metrics.records_out(announcements.len() as u64, bytes);
        }
        more
    }

    /// Sends what may leave. `false`: the client is gone.
    fn flush(&mut self) -> bool {
        let log = self.server.delivery.log();
        self.out.open_gates(|barrier| log.is_durable(barrier));
        if !self.out.has_ready() && self.out.closed_gate().is_some_and(|barrier| log.press(barrier)) {
            self.out.open_gates(|barrier| log.is_durable(barrier));
        }
        if self.out.has_ready() {
            let stream = &self.stream;
            match self.out.send(&mut self.reader, |bytes| stream.try_write(bytes)) {
                Ok(sent) => {
                    self.server.stats.output_bytes.fetch_add(sent, Ordering::Relaxed);
                    self.stuck = self.out.has_ready();
                }
                Err(_) => return false,
            }
        }
        if let Some(listener) = &self.session.listener {
            listener.note_unsent(self.out.waiting_bytes(), now_ms());
        }
        if let Some(barrier) = self.out.closed_gate()
            && barrier != self.waking_at
        {
            self.waking_at = barrier;
            self.server.delivery.log().wake_at(barrier, &self.signal);
        }
        true
    }

    /// What the others see of this connection.
    fn note_status(&mut self) {
        let session = &self.session;
        let queued = session.transaction.as_ref().map_or(-1, |t| i64::try_from(t.commands.len()).unwrap_or(i64::MAX));
        let command = super::support::COMMANDS.get(session.last_command).map_or("", |spec| spec.name);
        let (input_bytes, output_bytes) = (self.input.len(), self.out.waiting_bytes());
        session.client.update(|status| {
            status.last_command = command;
            status.last_at = Instant::now();
            status.queued = queued;
            status.protocol = session.protocol.number();
            (status.input_bytes, status.output_bytes) = (input_bytes, output_bytes);
        });
    }

    /// Gives up everything that others could see or wait for.
    fn leave(&mut self) {
        self.go_on(Cause::Gone);
        if self.session.listener.as_ref().is_some_and(Listener::is_cut) {
            self.server.metrics.listener_cut();
            tracing::warn!(peer = %self.session.client.peer, "a subscriber that fell too far behind was cut off");
        }
        // A log that takes no more writes has no one left to tell: the listener dies with the connection.
        let _ = self.with_round(pubsub::forget_all);
        self.server.clients.remove(self.session.client.id);
    }
}

/// What the socket had to say.
enum SocketEvent {
    /// It takes bytes again.
    Writable,
    /// So many bytes were read.
    Read(usize),
    /// The client has closed, or is gone.
    Ended,
}

/// Waits for the socket: until it takes bytes again if it was full, and until there is input if any is wanted, which is read
/// with one call. The buffer is allocated when there is something to read.
async fn socket_event(stream: &mut TcpStream, input: &mut BytesMut, read_bytes: Option<usize>, was_full: bool) -> SocketEvent {
    poll_fn(|cx| {
        if was_full && let Poll::Ready(ready) = stream.poll_write_ready(cx) {
            return Poll::Ready(if ready.is_ok() { SocketEvent::Writable } else { SocketEvent::Ended });
        }
        let Some(read_bytes) = read_bytes else { return Poll::Pending };
        if stream.poll_read_ready(cx).is_pending() {
            return Poll::Pending;
        }
        input.reserve(read_bytes);
        let polled = pin!(stream.read_buf(input)).poll(cx);
        if polled.is_pending() && input.is_empty() {
            *input = BytesMut::new();
        }
        polled.map(|read| match read {
            Ok(0) | Err(_) => SocketEvent::Ended,
            Ok(read) => SocketEvent::Read(read),
        })
    })
    .await
}

/// The instant of a time in milliseconds since the epoch.
fn instant_of(time_ms: i64) -> Instant {
    Instant::now() + Duration::from_millis(u64::try_from(time_ms.saturating_sub(now_ms())).unwrap_or(0))
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
