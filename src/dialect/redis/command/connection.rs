//! Commands about the connection itself: `AUTH`, `HELLO`, `PING`, `ECHO`, `SELECT`, `QUIT`, `RESET`.

use bytes::Bytes;

use super::{AfterLogin, Context, Flow, Login, Outcome, integer, is_word, pubsub, shown};
use crate::dialect::redis::error::CommandError;
use crate::dialect::redis::session::{Replies, Session};
use crate::dialect::redis::wire::Protocol;
use crate::dialect::redis::{REDIS_VERSION, server::Server};

/// The user of a connection that has named none.
pub const DEFAULT_USER: &str = "default";

/// What `HELLO` asked for, to be done once the password is checked.
#[derive(Debug, Clone)]
pub struct Handshake {
    pub protocol: Option<Protocol>,
    pub name: Option<Bytes>,
}

pub fn auth(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let (user, password) = match arguments {
        [_, password] if ctx.server.users.open() && !password.is_empty() => return Err(CommandError::NoPasswordSet),
        [_, password] => (DEFAULT_USER.to_owned(), password.clone()),
        [_, user, password] => (String::from_utf8_lossy(user).into_owned(), password.clone()),
        _ => return Err(CommandError::Syntax),
    };
    check_user(ctx, &user)?;
    Ok(Flow::Verify(Box::new(Login { user, password, then: AfterLogin::Auth })))
}

/// Without users in the configuration there is the default user alone, as in Redis.
fn check_user(ctx: &Context<'_, '_>, user: &str) -> Result<(), CommandError> {
    if ctx.server.users.open() && user != DEFAULT_USER { Err(CommandError::WrongPassword) } else { Ok(()) }
}

/// `HELLO [protocol [AUTH user password] [SETNAME name]]`.
pub fn hello(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let mut handshake = Handshake { protocol: None, name: None };
    if let Some(version) = arguments.get(1) {
        let version = integer(version).map_err(|_| CommandError::ProtocolNotAnInteger)?;
        handshake.protocol = Some(match version {
            2 => Protocol::Resp2,
            3 => Protocol::Resp3,
            _ => return Err(CommandError::UnsupportedProtocol),
        });
    }
    let mut login = None;
    let mut rest = arguments.get(2..).unwrap_or_default();
    while let Some(option) = rest.first() {
        match rest {
            [_, user, password, after @ ..] if is_word(option, "AUTH") => {
                login = Some((String::from_utf8_lossy(user).into_owned(), password.clone()));
                rest = after;
            }
            [_, name, after @ ..] if is_word(option, "SETNAME") => {
                handshake.name = Some(client_name(name)?);
                rest = after;
            }
            _ => return Err(CommandError::HelloOption(shown(option))),
        }
    }
    match login {
        Some(_) if ctx.round.is_atomic() => Err(CommandError::NotInsideMulti),
        Some((user, password)) => {
            check_user(ctx, &user)?;
            Ok(Flow::Verify(Box::new(Login { user, password, then: AfterLogin::Hello(handshake) })))
        }
        None if !ctx.session.logged_in => Err(CommandError::HelloBeforeLogin),
        None => {
            greet(ctx, &handshake);
            Ok(Flow::Next)
        }
    }
}

/// Goes on with the command that asked for a login.
pub fn logged_in(ctx: &mut Context<'_, '_>, login: &Login, verified: bool) {
    if !verified {
        let error = CommandError::WrongPassword;
        ctx.server.stats.failed(None, false, &error);
        ctx.reply().error(&error.to_string());
        return;
    }
    ctx.session.logged_in = true;
    ctx.session.user.clone_from(&login.user);
    ctx.session.client.update(|status| status.user.clone_from(&login.user));
    match &login.then {
        AfterLogin::Auth => ctx.reply().ok(),
        AfterLogin::Hello(handshake) => greet(ctx, handshake),
    }
}

fn greet(ctx: &mut Context<'_, '_>, handshake: &Handshake) {
    if let Some(protocol) = handshake.protocol {
        ctx.session.protocol = protocol;
    }
    if let Some(name) = &handshake.name {
        ctx.session.client.update(|status| status.name = name.clone());
    }
    let (id, protocol) = (ctx.session.client.id, ctx.session.protocol);
    let mut reply = ctx.reply();
    reply.map(7);
    for (field, value) in [("server", "redis"), ("version", REDIS_VERSION)] {
        reply.bulk(field.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"proto");
    reply.integer(protocol.number());
    reply.bulk(b"id");
    reply.count(id);
    for (field, value) in [("mode", "standalone"), ("role", "master")] {
        reply.bulk(field.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"modules");
    reply.array(0);
}

/// A name that `CLIENT LIST` can show: printable ASCII without spaces. A copy, because it lives long.
pub fn client_name(name: &[u8]) -> Result<Bytes, CommandError> {
    if name.iter().all(u8::is_ascii_graphic) { Ok(Bytes::copy_from_slice(name)) } else { Err(CommandError::ClientName) }
}

pub fn ping(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    if arguments.len() > 2 {
        return Err(CommandError::Arity("ping"));
    }
    let subscriber = ctx.session.is_subscriber();
    let mut reply = ctx.reply();
    match arguments.get(1) {
        message if subscriber => {
            reply.array(2);
            reply.bulk(b"pong");
            reply.bulk(message.map(|m| &m[..]).unwrap_or_default());
        }
        Some(message) => reply.bulk(message),
        None => reply.simple("PONG"),
    }
    Ok(Flow::Next)
}

pub fn echo(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let message = arguments.get(1).map(|m| &m[..]).unwrap_or_default();
    ctx.reply().bulk(message);
    Ok(Flow::Next)
}

pub fn select(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let index = integer(arguments.get(1).map(|i| &i[..]).unwrap_or_default())?;
    let database = u32::try_from(index).ok().filter(|index| *index < ctx.server.settings.databases);
    ctx.session.database = database.ok_or(CommandError::DatabaseOutOfRange)?;
    ctx.session.client.update(|status| status.database = ctx.session.database);
    ctx.reply().ok();
    Ok(Flow::Next)
}

pub fn quit(ctx: &mut Context<'_, '_>, _: &[Bytes]) -> Outcome {
    ctx.reply().ok();
    Ok(Flow::Close)
}

/// `RESET`: the connection as it was when it was opened.
pub fn reset(ctx: &mut Context<'_, '_>, _: &[Bytes]) -> Outcome {
    pubsub::forget_all(ctx)?;
    restart(ctx.session, ctx.server);
    ctx.reply().simple("RESET");
    Ok(Flow::Next)
}

fn restart(session: &mut Session, server: &Server) {
    session.transaction = None;
    session.watched.clear();
    session.protocol = Protocol::Resp2;
    session.database = 0;
    session.replies = Replies::On;
    session.logged_in = server.users.open();
    session.user = DEFAULT_USER.to_owned();
    session.client.update(|status| {
        status.name = Bytes::new();
        status.database = 0;
        status.user = DEFAULT_USER.to_owned();
        status.no_evict = false;
        status.no_touch = false;
    });
}
