//! Commands that wait for an element: `BLPOP`, `BRPOP`, `BLMPOP`, `BLMOVE`, `BRPOPLPUSH`.
//!
//! A waiting command is a taker on each of its lists with one credit for all of them, so it gets one element at most. Inside a
//! transaction nothing waits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::list::{self, At};
use super::{Context, Flow, Outcome, list_move, stream_read};
use crate::delivery::{Claim, Class, Credit, End, Serve, TakerSpec};
use crate::dialect::redis::clients::Unblock;
use crate::dialect::redis::error::CommandError;
use crate::dialect::redis::session::{Blocked, Then, Wait, Waiting};
use crate::dialect::redis::wire::number;
use crate::log::Signal;

/// Why a blocked command is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    Woken,
    TimedOut,
    Unblocked(Unblock),
    /// The client is gone.
    Gone,
}

pub fn blpop(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    pop(ctx, arguments, End::Head)
}

pub fn brpop(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    pop(ctx, arguments, End::Tail)
}

fn pop(ctx: &mut Context<'_, '_>, arguments: &[Bytes], end: End) -> Outcome {
    let [_, keys @ .., timeout] = arguments else { return Err(CommandError::Syntax) };
    let deadline = deadline(timeout)?;
    for key in keys {
        if let Some(name) = list::non_empty(ctx, key)?
            && let Some(at) = list::pop(ctx, &name, end)?
        {
            write_key_and_value(ctx, key, at);
            return Ok(Flow::Next);
        }
    }
    wait_for(ctx, keys, deadline, &Serve::Pop { end, count_max: 1 }, Then::ReplyKeyAndValue)
}

/// `BLMPOP timeout numkeys key [key ...] LEFT|RIGHT [COUNT count]`.
pub fn blmpop(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let [_, timeout, rest @ ..] = arguments else { return Err(CommandError::Syntax) };
    let (keys, end, count) = list::many_keys(rest)?;
    let deadline = deadline(timeout)?;
    for key in keys {
        if let Some(name) = list::non_empty(ctx, key)? {
            let mut reply = ctx.reply();
            reply.array(2);
            reply.bulk(key);
            list::pop_many(ctx, &name, end, count)?;
            return Ok(Flow::Next);
        }
    }
    wait_for(ctx, keys, deadline, &Serve::Pop { end, count_max: count }, Then::ReplyMany)
}

pub fn blmove(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let [_, from, to, pop, put, timeout] = arguments else { return Err(CommandError::Arity("blmove")) };
    let (pop, put) = (list::end_of(pop)?, list::end_of(put)?);
    move_or_wait(ctx, from, to, pop, put, timeout)
}

pub fn brpoplpush(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let [_, from, to, timeout] = arguments else { return Err(CommandError::Arity("brpoplpush")) };
    move_or_wait(ctx, from, to, End::Tail, End::Head, timeout)
}

fn move_or_wait(ctx: &mut Context<'_, '_>, from: &Bytes, to: &Bytes, pop: End, put: End, timeout: &[u8]) -> Outcome {
    let deadline = deadline(timeout)?;
    if list_move::move_one(ctx, from, to, pop, put)? {
        return Ok(Flow::Next);
    }
    let target = list::open(ctx, to)?.name;
    let serve = Serve::Move { from: pop, to: target, to_end: put };
    wait_for(ctx, std::slice::from_ref(from), deadline, &serve, Then::ReplyValue)
}

/// Seconds as a double, 0 for ever; the result is when to give up.
fn deadline(timeout: &[u8]) -> Result<Option<Instant>, CommandError> {
    let seconds = number::float(timeout).ok_or(CommandError::TimeoutNotAFloat)?;
    if seconds < 0.0 {
        return Err(CommandError::TimeoutNegative);
    }
    let limit_ms = i64::MAX as f64;
    let ms = (seconds * 1000.0).ceil();
    if ms >= limit_ms {
        return Err(CommandError::TimeoutOutOfRange);
    }
    if ms == 0.0 {
        return Ok(None);
    }
    Ok(Instant::now().checked_add(Duration::from_millis(ms as u64)))
}

fn wait_for(ctx: &mut Context<'_, '_>, keys: &[Bytes], deadline: Option<Instant>, serve: &Serve, then: Then) -> Outcome {
    if ctx.round.is_atomic() {
        write_nothing(ctx, &then);
        return Ok(Flow::Next);
    }
    let credit = Credit::new(1);
    let mut waits = Vec::with_capacity(keys.len());
    for key in keys {
        let name = list::open(ctx, key)?.name;
        let (signal, credit) = (Signal::clone(ctx.session.client.signal()), Arc::clone(&credit));
        let spec = TakerSpec { signal, credit, shared: None, serve: serve.clone(), class: Class::Queued, priority: 0 };
        let taker = ctx.round.durable_unit()?.add_taker(&name, spec).ok_or(CommandError::NoSuchKey)?;
        waits.push(Wait { key: Bytes::copy_from_slice(key), name, taker });
    }
    Ok(Flow::Block(Box::new(Blocked { deadline, waiting: Waiting::Elements { waits, then } })))
}

/// Looks whether a blocked command can be answered. `true`: it is done, and waits no more.
pub fn go_on(ctx: &mut Context<'_, '_>, blocked: &Blocked, cause: Cause) -> Result<bool, CommandError> {
    match &blocked.waiting {
        Waiting::Elements { waits, then } => take(ctx, waits, then, cause),
        Waiting::Entries(wait) => stream_read::go_on(ctx, wait, cause),
    }
}

fn take(ctx: &mut Context<'_, '_>, waits: &[Wait], then: &Then, cause: Cause) -> Result<bool, CommandError> {
    let mut claims = Vec::new();
    if cause == Cause::Woken {
        waits.iter().for_each(|wait| wait.taker.drain(&mut claims));
        if claims.is_empty() && !waits.iter().any(|wait| wait.taker.is_cancelled()) {
            return Ok(false);
        }
    }
    let unit = ctx.round.durable_unit()?;
    for wait in waits {
        unit.remove_taker(&wait.name, wait.taker.id());
        wait.taker.drain(&mut claims);
    }
    if claims.is_empty() {
        give_up(ctx, then, cause);
    } else {
        deliver(ctx, waits, then, &claims);
    }
    Ok(true)
}

/// Writes the reply with what was taken. A client that has left loses it, as in Redis.
fn deliver(ctx: &mut Context<'_, '_>, waits: &[Wait], then: &Then, claims: &[Claim]) {
    let Some(first) = claims.first() else { return };
    claims.iter().for_each(|claim| ctx.round.depend_on(claim.barrier));
    let at = |claim: &Claim| -> At { (Arc::clone(&claim.partition), claim.position.offset) };
    let key = waits.iter().find(|wait| wait.name == first.queue).map(|wait| wait.key.clone()).unwrap_or_default();
    match then {
        Then::ReplyKeyAndValue => write_key_and_value(ctx, &key, at(first)),
        Then::ReplyValue => list::write_value(ctx, at(first)),
        Then::ReplyMany => {
            let mut reply = ctx.reply();
            reply.array(2);
            reply.bulk(&key);
            reply.array(claims.len());
            claims.iter().for_each(|claim| list::write_value(ctx, at(claim)));
        }
    }
}

/// The reply to a command that got nothing until now.
fn give_up(ctx: &mut Context<'_, '_>, then: &Then, cause: Cause) {
    match cause {
        Cause::Unblocked(Unblock::Error) => ctx.reply().error(&CommandError::Unblocked.to_string()),
        Cause::Woken => ctx.reply().error(&CommandError::ListRemoved.to_string()),
        Cause::TimedOut | Cause::Unblocked(Unblock::Timeout) | Cause::Gone => write_nothing(ctx, then),
    }
}

fn write_key_and_value(ctx: &mut Context<'_, '_>, key: &[u8], at: At) {
    let mut reply = ctx.reply();
    reply.array(2);
    reply.bulk(key);
    list::write_value(ctx, at);
}

/// The reply to a command that got nothing.
fn write_nothing(ctx: &mut Context<'_, '_>, then: &Then) {
    match then {
        Then::ReplyKeyAndValue | Then::ReplyMany => ctx.reply().null_array(),
        Then::ReplyValue => ctx.reply().null(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_doubles_with_redis_errors() {
        assert_eq!(deadline(b"0"), Ok(None));
        assert!(deadline(b"0.01").is_ok_and(|d| d.is_some()));
        assert_eq!(deadline(b"-1"), Err(CommandError::TimeoutNegative));
        assert_eq!(deadline(b"abc"), Err(CommandError::TimeoutNotAFloat));
        assert_eq!(deadline(b"0x7FFFFFFFFFFFFF"), Err(CommandError::TimeoutOutOfRange));
        assert_eq!(deadline(b"0x7FFFFFFFFFFFFFFF"), Err(CommandError::TimeoutOutOfRange));
        assert_eq!(deadline(b"inf"), Err(CommandError::TimeoutOutOfRange));
    }
}
