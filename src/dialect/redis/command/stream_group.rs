//! Groups of a stream: `XGROUP`, `XACK`, `XPENDING`.

use bytes::Bytes;

use super::{Context, Flow, Outcome, integer, introspection, is_word, shown, stream, stream_id};
use crate::delivery::Asker;
use crate::delivery::series::{Cohort, Held, SeriesOp, Stamp};
use crate::dialect::redis::error::CommandError;
use crate::log::TopicName;

const KEY_REQUIRED: &str = "The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option \
                            to create an empty stream automatically.";

/// `XGROUP CREATE key group id|$ [MKSTREAM] [ENTRIESREAD entries-read]`.
pub fn create(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let [_, _, key, group, id, options @ ..] = arguments else { return Err(CommandError::Arity("xgroup|create")) };
    let (may_create, read) = position_options(options, "CREATE", true)?;
    let (name, last) = match stream::existing(ctx, key)? {
        Some(name) => {
            let last = last_of(ctx, &name)?;
            (Some(name), last)
        }
        None if may_create => (None, Stamp::MIN),
        None => return Err(CommandError::Option(KEY_REQUIRED)),
    };
    let last = if id.as_ref() == b"$" { last } else { stream_id::strict(id, 0)? };
    let name = match name {
        Some(name) => name,
        None => stream::open(ctx, key)?,
    };
    let unit = ctx.round.durable_unit()?;
    if unit.cohort(&name, group).is_some() {
        return Err(CommandError::GroupExists);
    }
    unit.change_series(&name, SeriesOp::Cohort { name: own(group), last, read });
    ctx.reply().ok();
    Ok(Flow::Next)
}

/// `XGROUP SETID key group id|$ [ENTRIESREAD entries-read]`.
pub fn setid(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let [_, _, key, group, id, options @ ..] = arguments else { return Err(CommandError::Arity("xgroup|setid")) };
    let (_, read) = position_options(options, "SETID", false)?;
    let name = group_of(ctx, key, group)?;
    let last = if id.as_ref() == b"$" { last_of(ctx, &name)? } else { stream_id::any(id, 0)? };
    let unit = ctx.round.durable_unit()?;
    unit.change_series(&name, SeriesOp::Cohort { name: own(group), last, read });
    unit.stir_series(&name);
    ctx.round.serve_waiting();
    ctx.reply().ok();
    Ok(Flow::Next)
}

fn position_options(mut options: &[Bytes], subcommand: &str, is_create: bool) -> Result<(bool, Option<u64>), CommandError> {
    let (mut may_create, mut read) = (false, None);
    loop {
        match options {
            [] => return Ok((may_create, read)),
            [word, rest @ ..] if is_create && is_word(word, "MKSTREAM") => {
                may_create = true;
                options = rest;
            }
            [word, count, rest @ ..] if is_word(word, "ENTRIESREAD") => {
                let count = integer(count)?;
                if count < -1 {
                    return Err(CommandError::Option("value for ENTRIESREAD must be positive or -1"));
                }
                read = u64::try_from(count).ok();
                options = rest;
            }
            _ => {
                return Err(CommandError::SubcommandSyntax { command: "XGROUP", subcommand: subcommand.to_owned() });
            }
        }
    }
}

pub fn destroy(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let [_, _, key, group] = arguments else { return Err(CommandError::Arity("xgroup|destroy")) };
    let name = stream::existing(ctx, key)?.ok_or(CommandError::Option(KEY_REQUIRED))?;
    let unit = ctx.round.durable_unit()?;
    let is_there = unit.cohort(&name, group).is_some();
    if is_there {
        unit.change_series(&name, SeriesOp::DropCohort(own(group)));
        unit.stir_series(&name);
        ctx.round.serve_waiting();
    }
    ctx.reply().integer(i64::from(is_there));
    Ok(Flow::Next)
}

pub fn createconsumer(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let [_, _, key, group, consumer] = arguments else { return Err(CommandError::Arity("xgroup|createconsumer")) };
    let name = group_of(ctx, key, group)?;
    let asker = Asker { cohort: own(group), member: own(consumer) };
    let unit = ctx.round.durable_unit()?;
    let is_new = unit.cohort(&name, group).is_some_and(|cohort| cohort.member(consumer).is_none()) && unit.hear_of(&name, &asker);
    ctx.reply().integer(i64::from(is_new));
    Ok(Flow::Next)
}

pub fn delconsumer(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let [_, _, key, group, consumer] = arguments else { return Err(CommandError::Arity("xgroup|delconsumer")) };
    let name = group_of(ctx, key, group)?;
    let unit = ctx.round.durable_unit()?;
    let held = unit.cohort(&name, group).and_then(|cohort| Some(cohort.member(consumer)?.held()));
    if held.is_some() {
        unit.change_series(&name, SeriesOp::DropMember { cohort: own(group), name: own(consumer) });
    }
    ctx.reply().count(held.unwrap_or(0) as u64);
    Ok(Flow::Next)
}

pub fn help(ctx: &mut Context<'_, '_>, _: &[Bytes]) -> Outcome {
    introspection::help_of(ctx, "XGROUP")
}

pub fn xack(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let [_, key, group, ids @ ..] = arguments else { return Err(CommandError::Arity("xack")) };
    let settled = match stream::existing(ctx, key)? {
        Some(name) if ctx.round.durable_unit()?.cohort(&name, group).is_some() => {
            let stamps: Vec<Stamp> = ids.iter().map(|id| stream_id::strict(id, 0)).collect::<Result<_, _>>()?;
            ctx.round.durable_unit()?.settle_held(&name, &own(group), &stamps)
        }
        Some(_) | None => 0,
    };
    ctx.reply().count(settled);
    Ok(Flow::Next)
}

/// `XPENDING key group [[IDLE min-idle-time] start end count [consumer]]`.
pub fn xpending(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let [_, key, group, details @ ..] = arguments else { return Err(CommandError::Arity("xpending")) };
    let (idle_ms, range) = match details {
        [] => (0, None),
        [word, idle, rest @ ..] if is_word(word, "IDLE") => (integer(idle)?, Some(rest)),
        rest => (0, Some(rest)),
    };
    let range = match range {
        None => None,
        Some([start, end, count, consumer @ ..]) if consumer.len() <= 1 => {
            let count = usize::try_from(integer(count)?).unwrap_or(0);
            Some((stream_id::interval(start, end)?, count, consumer.first()))
        }
        Some(_) => return Err(CommandError::Syntax),
    };
    let name = pending_group(ctx, key, group)?;
    let now_ms = ctx.round.now_ms();
    let unit = ctx.round.durable_unit()?;
    let Some(cohort) = unit.cohort(&name, group).cloned() else { return Ok(Flow::Next) };
    let Some((range, count, consumer)) = range else {
        write_summary(ctx, &cohort);
        return Ok(Flow::Next);
    };
    let held: Box<dyn Iterator<Item = (Stamp, &Held)>> = match consumer {
        Some(consumer) => cohort.held_by(consumer, range),
        None => cohort.held_in(range),
    };
    let long_enough = |(_, held): &(Stamp, &Held)| idle_ms == 0 || now_ms - held.at_ms >= idle_ms;
    let shown: Vec<_> = held.filter(long_enough).take(count).collect();
    let mut reply = ctx.reply();
    reply.array(shown.len());
    for (stamp, held) in shown {
        reply.array(4);
        reply.bulk(stamp.to_string().as_bytes());
        reply.bulk(&held.member);
        reply.integer((now_ms - held.at_ms).max(0));
        reply.count(held.count);
    }
    Ok(Flow::Next)
}

fn write_summary(ctx: &mut Context<'_, '_>, cohort: &Cohort) {
    let mut reply = ctx.reply();
    reply.array(4);
    reply.count(cohort.held_count() as u64);
    let Some((first, last)) = cohort.held_bounds() else {
        reply.null();
        reply.null();
        reply.null_array();
        return;
    };
    reply.bulk(first.to_string().as_bytes());
    reply.bulk(last.to_string().as_bytes());
    let holders: Vec<_> = cohort.members().filter(|(_, member)| member.held() > 0).collect();
    reply.array(holders.len());
    for (name, member) in holders {
        reply.array(2);
        reply.bulk(name);
        reply.bulk(member.held().to_string().as_bytes());
    }
}

/// The stream that has a group, for the subcommands of `XGROUP`.
fn group_of(ctx: &mut Context<'_, '_>, key: &Bytes, group: &[u8]) -> Result<TopicName, CommandError> {
    let name = stream::existing(ctx, key)?.ok_or(CommandError::Option(KEY_REQUIRED))?;
    match ctx.round.durable_unit()?.cohort(&name, group) {
        Some(_) => Ok(name),
        None => Err(CommandError::NoSuchGroupOfKey { group: shown(group), key: shown(key) }),
    }
}

/// The stream that has a group, for what concerns pending entries.
pub fn pending_group(ctx: &mut Context<'_, '_>, key: &Bytes, group: &[u8]) -> Result<TopicName, CommandError> {
    let found = stream::existing(ctx, key)?;
    let unit = ctx.round.durable_unit()?;
    let found = found.filter(|name| unit.cohort(name, group).is_some());
    found.ok_or_else(|| CommandError::NoSuchGroup { key: shown(key), group: shown(group), place: "" })
}

fn last_of(ctx: &mut Context<'_, '_>, name: &TopicName) -> Result<Stamp, CommandError> {
    Ok(ctx.round.durable_unit()?.series(name).map(|series| series.last()).unwrap_or_default())
}

/// Copied: what is kept outlives the read buffer that an argument is a slice of.
fn own(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}
