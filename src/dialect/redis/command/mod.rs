//! Running commands. [`execute`] is the one place that every command passes: lookup, limits, transactions and statistics live here
//! once; the families of commands are in the files beside it.
//!
//! A handler writes its reply into the outbox and knows no socket. What cannot be finished at once is a [`Flow`].

pub mod blocking;
pub mod client;
pub mod config;
pub mod connection;
pub mod info;
pub mod introspection;
pub mod keyspace;
pub mod list;
pub mod list_edit;
pub mod list_move;
pub mod pubsub;
pub mod server;
pub mod stream;
pub mod stream_claim;
pub mod stream_group;
pub mod stream_id;
pub mod stream_info;
pub mod stream_read;
pub mod transaction;

use bytes::Bytes;

use super::error::CommandError;
use super::outbox::Outbox;
use super::round::Round;
use super::server::Server;
use super::session::{Blocked, Replies, Session};
use super::support::{self, CommandSpec, flag};
use super::wire::{Protocol, ReplyWriter};
use crate::delivery::RecordReader;

/// All that a command may touch.
pub struct Context<'a, 'd> {
    pub server: &'a Server,
    pub session: &'a mut Session,
    pub round: &'a mut Round<'d>,
    pub reader: &'a mut RecordReader,
    pub out: &'a mut Outbox,
}

impl Context<'_, '_> {
    /// A writer for the reply.
    pub fn reply(&mut self) -> ReplyWriter<'_> {
        self.out.writer(self.session.protocol)
    }

    pub fn protocol(&self) -> Protocol {
        self.session.protocol
    }
}

/// How the connection goes on after a command.
pub enum Flow {
    Next,
    /// The reply comes when an element does, or the time is over.
    Block(Box<Blocked>),
    /// A list is too long to be looked through at once: that is done outside of the round, and then the command is run again.
    Search,
    /// A password has to be checked, which takes a while.
    Verify(Box<Login>),
    /// Close when everything is sent.
    Close,
}

/// A name and a password to check, and what to do then.
pub struct Login {
    pub user: String,
    pub password: Bytes,
    pub then: AfterLogin,
}

/// Which command asked for the login.
pub enum AfterLogin {
    Auth,
    Hello(connection::Handshake),
}

/// What a handler answers: an error is written by [`execute`].
pub type Outcome = Result<Flow, CommandError>;

enum Admitted {
    Run(usize, &'static CommandSpec),
    Queue(&'static CommandSpec),
}

/// Runs one command and writes its reply.
pub fn execute(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Flow {
    let mark = ctx.out.mark();
    if ctx.session.replies == Replies::SkipNext {
        ctx.session.replies = Replies::Skip;
    }
    let flow = match admit(ctx, arguments) {
        Ok(Admitted::Run(index, spec)) => run(ctx, index, spec, arguments),
        Ok(Admitted::Queue(spec)) => queue(ctx, spec, arguments),
        Err((command, error)) => {
            ctx.server.stats.failed(command, true, &error);
            if let Some(transaction) = &mut ctx.session.transaction {
                transaction.aborted = true;
            }
            ctx.reply().error(&error.to_string());
            Flow::Next
        }
    };
    if let Flow::Search = flow {
        return flow;
    }
    ctx.session.searches.clear();
    match ctx.session.replies {
        Replies::On => {}
        Replies::Off | Replies::SkipNext => ctx.out.truncate(mark),
        Replies::Skip => {
            ctx.out.truncate(mark);
            ctx.session.replies = Replies::On;
        }
    }
    flow
}

/// Runs a command that was admitted.
fn run(ctx: &mut Context<'_, '_>, index: usize, spec: &CommandSpec, arguments: &[Bytes]) -> Flow {
    let mark = ctx.out.mark();
    let outcome = (spec.run)(ctx, arguments);
    if !matches!(outcome, Ok(Flow::Search)) {
        ctx.server.stats.called(index);
    }
    outcome.unwrap_or_else(|error| {
        ctx.server.stats.failed(Some(index), false, &error);
        ctx.out.truncate(mark);
        ctx.reply().error(&error.to_string());
        Flow::Next
    })
}

/// Finds the command and checks whether it may run now.
fn admit(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Result<Admitted, (Option<usize>, CommandError)> {
    let (index, spec) = look_up(arguments, ctx.session.last_command)?;
    ctx.session.last_command = index;
    let reject = |error| Err((Some(index), error));
    if !spec.takes(arguments.len()) {
        return reject(CommandError::Arity(spec.name));
    }
    if !ctx.session.logged_in && !spec.has(flag::NO_AUTH) {
        return reject(CommandError::LoginRequired);
    }
    if ctx.session.is_subscriber() && !spec.has(flag::SUBSCRIBER) {
        return reject(CommandError::SubscriberMode(spec.name.to_owned()));
    }
    if spec.has(flag::DENYOOM)
        && let Err(refused) = ctx.server.delivery.log().admit_records()
    {
        return reject(refused.into());
    }
    let Some(transaction) = &ctx.session.transaction else { return Ok(Admitted::Run(index, spec)) };
    if spec.has(flag::CONTROL) {
        return Ok(Admitted::Run(index, spec));
    }
    if spec.has(flag::NO_MULTI) {
        return reject(CommandError::NotInsideMulti);
    }
    let queued_max = ctx.server.settings.transaction_commands_max;
    if transaction.commands.len() >= queued_max {
        return reject(CommandError::TransactionTooLong(queued_max));
    }
    let bytes_max = ctx.server.settings.transaction_bytes_max;
    if transaction.bytes + size_of_all(arguments) > bytes_max {
        return reject(CommandError::TransactionTooLarge(bytes_max));
    }
    Ok(Admitted::Queue(spec))
}

fn look_up(arguments: &[Bytes], guess: usize) -> Result<(usize, &'static CommandSpec), (Option<usize>, CommandError)> {
    let name = arguments.first().map(|name| &name[..]).unwrap_or_default();
    let found = support::find(name, guess).and_then(|index| Some((index, support::COMMANDS.get(index)?)));
    let Some((index, spec)) = found else {
        return Err((None, unknown(name, arguments)));
    };
    if spec.subcommands.is_empty() || arguments.len() < 2 {
        return Ok((index, spec));
    }
    match spec.subcommand(arguments) {
        Some(sub) => Ok((index, sub)),
        None => {
            let command = spec.name.to_ascii_uppercase();
            let subcommand = arguments.get(1).map(|sub| shown(sub)).unwrap_or_default();
            Err((Some(index), CommandError::UnknownSubcommand { command, subcommand }))
        }
    }
}

fn unknown(name: &[u8], arguments: &[Bytes]) -> CommandError {
    if let Some((command, reason)) = support::refused(name) {
        return CommandError::NotSupported { command, reason };
    }
    let mut shown_arguments = String::new();
    for argument in arguments.iter().skip(1) {
        if shown_arguments.len() >= 128 {
            break;
        }
        let room = 128 - shown_arguments.len();
        shown_arguments.push_str(&format!("'{}' ", String::from_utf8_lossy(argument.get(..room).unwrap_or(argument))));
    }
    CommandError::UnknownCommand { name: shown(name), arguments: shown_arguments }
}

/// An argument as an error message shows it.
pub fn shown(argument: &[u8]) -> String {
    String::from_utf8_lossy(argument.get(..128).unwrap_or(argument)).into_owned()
}

fn size_of_all(arguments: &[Bytes]) -> usize {
    arguments.iter().map(Bytes::len).sum()
}

fn queue(ctx: &mut Context<'_, '_>, spec: &CommandSpec, arguments: &[Bytes]) -> Flow {
    if let Some(transaction) = &mut ctx.session.transaction {
        transaction.grows |= spec.has(flag::DENYOOM);
        // Copied: a slice would hold the whole read buffer for as long as the transaction is open.
        transaction.bytes += size_of_all(arguments);
        transaction.commands.push(arguments.iter().map(|a| Bytes::copy_from_slice(a)).collect());
    }
    ctx.reply().simple("QUEUED");
    Flow::Next
}

/// Runs a command that a transaction had queued.
fn run_queued(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Flow {
    match look_up(arguments, ctx.session.last_command) {
        Ok((index, spec)) => {
            ctx.session.last_command = index;
            run(ctx, index, spec, arguments)
        }
        Err((_, error)) => {
            ctx.reply().error(&error.to_string());
            Flow::Next
        }
    }
}

/// Stands for a command that has only subcommands: reached when none is named.
pub fn subcommand(_: &mut Context<'_, '_>, _: &[Bytes]) -> Outcome {
    Err(CommandError::Syntax)
}

/// Writes the lines of a `HELP` subcommand.
fn write_help(ctx: &mut Context<'_, '_>, command: &str, subcommands: &[CommandSpec]) -> Outcome {
    let mut lines = vec![format!("{command} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")];
    for spec in subcommands {
        lines.push(spec.short_name().to_ascii_uppercase());
        lines.push(format!("    {}", spec.summary));
    }
    let mut reply = ctx.reply();
    reply.array(lines.len());
    for line in &lines {
        reply.simple(line);
    }
    Ok(Flow::Next)
}

/// Whether an argument is this word, in any case.
pub fn is_word(argument: &[u8], word: &str) -> bool {
    argument.eq_ignore_ascii_case(word.as_bytes())
}

/// An argument as an integer.
pub fn integer(argument: &[u8]) -> Result<i64, CommandError> {
    super::wire::number::integer(argument).ok_or(CommandError::NotAnInteger)
}
