//! `CLIENT`: names, the register of connections, and what the connection wants of the server.

use std::sync::Arc;

use bytes::Bytes;

use super::connection::client_name;
use super::{Context, Flow, Outcome, integer, introspection, is_word, shown};
use crate::dialect::redis::clients::{Client, Unblock};
use crate::dialect::redis::error::CommandError;
use crate::dialect::redis::session::Replies;

pub fn id(ctx: &mut Context<'_, '_>, _: &[Bytes]) -> Outcome {
    let id = ctx.session.client.id;
    ctx.reply().count(id);
    Ok(Flow::Next)
}

pub fn getname(ctx: &mut Context<'_, '_>, _: &[Bytes]) -> Outcome {
    let name = ctx.session.client.status().name;
    if name.is_empty() {
        ctx.reply().null()
    } else {
        ctx.reply().bulk(&name)
    }
    Ok(Flow::Next)
}

pub fn setname(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let name = client_name(argument(arguments, 2))?;
    ctx.session.client.update(|status| status.name = name);
    ctx.reply().ok();
    Ok(Flow::Next)
}

pub fn setinfo(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let (attribute, value) = (argument(arguments, 2), argument(arguments, 3));
    let checked = client_name(value).map_err(|_| CommandError::ClientAttribute(shown(attribute).to_ascii_lowercase()))?;
    if is_word(attribute, "LIB-NAME") {
        ctx.session.client.update(|status| status.library_name = checked);
    } else if is_word(attribute, "LIB-VER") {
        ctx.session.client.update(|status| status.library_version = checked);
    } else {
        return Err(CommandError::UnknownClientAttribute(shown(attribute)));
    }
    ctx.reply().ok();
    Ok(Flow::Next)
}

fn argument(arguments: &[Bytes], index: usize) -> &[u8] {
    arguments.get(index).map(|a| &a[..]).unwrap_or_default()
}

pub fn info(ctx: &mut Context<'_, '_>, _: &[Bytes]) -> Outcome {
    let line = ctx.session.client.line() + "\n";
    ctx.reply().verbatim(&line);
    Ok(Flow::Next)
}

/// `CLIENT LIST [TYPE type] [ID id ...]`.
pub fn list(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let clients = match arguments.get(2..).unwrap_or_default() {
        [] => ctx.server.clients.all(),
        [option, kind] if is_word(option, "TYPE") => {
            let kind = client_type(kind)?;
            ctx.server.clients.all().into_iter().filter(|client| client.kind() == kind).collect()
        }
        [option, ids @ ..] if is_word(option, "ID") && !ids.is_empty() => {
            let mut found = Vec::new();
            for id in ids {
                let id = integer(id).ok().and_then(|id| u64::try_from(id).ok()).ok_or(CommandError::InvalidClientId)?;
                found.extend(ctx.server.clients.get(id));
            }
            found
        }
        _ => return Err(CommandError::Syntax),
    };
    let lines: String = clients.iter().map(|client| client.line() + "\n").collect();
    ctx.reply().verbatim(&lines);
    Ok(Flow::Next)
}

fn client_type(name: &[u8]) -> Result<&'static str, CommandError> {
    let known = ["normal", "master", "replica", "pubsub"];
    let name = if is_word(name, "slave") { b"replica" } else { name };
    let found = known.into_iter().find(|known| is_word(name, known));
    found.ok_or_else(|| CommandError::UnknownClientType(shown(name)))
}

/// `CLIENT KILL addr`, or with filters `ID`, `ADDR`, `LADDR`, `TYPE`, `USER`, `SKIPME`.
pub fn kill(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    if let [_, _, address] = arguments {
        let found = ctx.server.clients.all().into_iter().find(|c| c.peer.to_string().as_bytes() == &address[..]);
        let client = found.ok_or(CommandError::NoSuchClient)?;
        let own = client.id == ctx.session.client.id;
        client.kill();
        ctx.reply().ok();
        return Ok(if own { Flow::Close } else { Flow::Next });
    }
    let (filters, skip_me) = kill_filters(arguments.get(2..).unwrap_or_default())?;
    let own_id = ctx.session.client.id;
    let (mut killed, mut own) = (0, false);
    for client in ctx.server.clients.all() {
        if filters.iter().all(|filter| filter(&client)) && !(skip_me && client.id == own_id) {
            own |= client.id == own_id;
            killed += 1;
            if client.id != own_id {
                client.kill();
            }
        }
    }
    ctx.reply().integer(killed);
    Ok(if own { Flow::Close } else { Flow::Next })
}

type Filter = Box<dyn Fn(&Arc<Client>) -> bool>;

fn kill_filters(mut rest: &[Bytes]) -> Result<(Vec<Filter>, bool), CommandError> {
    let (mut filters, mut skip_me): (Vec<Filter>, bool) = (Vec::new(), true);
    while let [option, value, after @ ..] = rest {
        let text = String::from_utf8_lossy(value).into_owned();
        if is_word(option, "ID") {
            let id = integer(value).ok().and_then(|id| u64::try_from(id).ok()).filter(|id| *id > 0);
            let id = id.ok_or(CommandError::ClientIdNotPositive)?;
            filters.push(Box::new(move |client| client.id == id));
        } else if is_word(option, "ADDR") {
            filters.push(Box::new(move |client| client.peer.to_string() == text));
        } else if is_word(option, "LADDR") {
            filters.push(Box::new(move |client| client.local.to_string() == text));
        } else if is_word(option, "TYPE") {
            let kind = client_type(value)?;
            filters.push(Box::new(move |client| client.kind() == kind));
        } else if is_word(option, "USER") {
            filters.push(Box::new(move |client| client.status().user == text));
        } else if is_word(option, "SKIPME") && (is_word(value, "yes") || is_word(value, "no")) {
            skip_me = is_word(value, "yes");
        } else {
            return Err(CommandError::Syntax);
        }
        rest = after;
    }
    if rest.is_empty() { Ok((filters, skip_me)) } else { Err(CommandError::Syntax) }
}

/// `CLIENT UNBLOCK id [TIMEOUT|ERROR]`.
pub fn unblock(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let how = match arguments.get(3..).unwrap_or_default() {
        [] => Unblock::Timeout,
        [how] if is_word(how, "TIMEOUT") => Unblock::Timeout,
        [how] if is_word(how, "ERROR") => Unblock::Error,
        _ => return Err(CommandError::Option("CLIENT UNBLOCK reason should be TIMEOUT or ERROR")),
    };
    let id = u64::try_from(integer(argument(arguments, 2))?).unwrap_or(0);
    let unblocked = ctx.server.clients.get(id).is_some_and(|client| client.unblock(how));
    ctx.reply().integer(i64::from(unblocked));
    Ok(Flow::Next)
}

pub fn reply(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let how = argument(arguments, 2);
    if is_word(how, "ON") {
        ctx.session.replies = Replies::On;
        ctx.reply().ok();
    } else if is_word(how, "OFF") {
        ctx.session.replies = Replies::Off;
    } else if is_word(how, "SKIP") {
        if ctx.session.replies != Replies::Off {
            ctx.session.replies = Replies::SkipNext;
        }
    } else {
        return Err(CommandError::Syntax);
    }
    Ok(Flow::Next)
}

pub fn no_evict(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let on = on_or_off(argument(arguments, 2))?;
    ctx.session.client.update(|status| status.no_evict = on);
    ctx.reply().ok();
    Ok(Flow::Next)
}

pub fn no_touch(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let on = on_or_off(argument(arguments, 2))?;
    ctx.session.client.update(|status| status.no_touch = on);
    ctx.reply().ok();
    Ok(Flow::Next)
}

fn on_or_off(word: &[u8]) -> Result<bool, CommandError> {
    if is_word(word, "on") {
        Ok(true)
    } else if is_word(word, "off") {
        Ok(false)
    } else {
        Err(CommandError::Syntax)
    }
}

/// `CLIENT TRACKING`: switching it off is granted, it is never on.
pub fn tracking(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    if on_or_off(argument(arguments, 2))? {
        return Err(CommandError::NotSupported { command: "client|tracking", reason: "the server keeps no record of keys read" });
    }
    ctx.reply().ok();
    Ok(Flow::Next)
}

pub fn caching(_: &mut Context<'_, '_>, _: &[Bytes]) -> Outcome {
    Err(CommandError::Option(
        "CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
    ))
}

pub fn getredir(ctx: &mut Context<'_, '_>, _: &[Bytes]) -> Outcome {
    ctx.reply().integer(-1);
    Ok(Flow::Next)
}

pub fn trackinginfo(ctx: &mut Context<'_, '_>, _: &[Bytes]) -> Outcome {
    let mut reply = ctx.reply();
    reply.map(3);
    reply.bulk(b"flags");
    reply.set(1);
    reply.bulk(b"off");
    reply.bulk(b"redirect");
    reply.integer(-1);
    reply.bulk(b"prefixes");
    reply.array(0);
    Ok(Flow::Next)
}

pub fn help(ctx: &mut Context<'_, '_>, _: &[Bytes]) -> Outcome {
    introspection::help_of(ctx, "CLIENT")
}
