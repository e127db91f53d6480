//! `XINFO`: streams, groups and consumers as they stand.

use bytes::Bytes;

use super::{Context, Flow, Outcome, integer, introspection, is_word, shown, stream};
use crate::delivery::series::{Cohort, Held, SeriesState, Stamp};
use crate::dialect::redis::error::CommandError;
use crate::dialect::redis::wire::ReplyWriter;
use crate::log::TopicName;

/// A copy of a stream's state, and the id of its first entry.
fn state_of(ctx: &mut Context<'_, '_>, key: &Bytes) -> Result<(TopicName, SeriesState, Option<Stamp>), CommandError> {
    let name = stream::existing(ctx, key)?.ok_or(CommandError::NoSuchKey)?;
    let unit = ctx.round.durable_unit()?;
    let first = unit.first_stamp(&name);
    let state = unit.series(&name).cloned().ok_or(CommandError::NoSuchKey)?;
    Ok((name, state, first))
}

/// `XINFO STREAM key [FULL [COUNT count]]`.
pub fn stream(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let [_, _, key, options @ ..] = arguments else { return Err(CommandError::Arity("xinfo|stream")) };
    let full = match options {
        [] => None,
        [word] if is_word(word, "FULL") => Some(10),
        [word, count_word, count] if is_word(word, "FULL") && is_word(count_word, "COUNT") => {
            Some(u64::try_from(integer(count)?).unwrap_or(10))
        }
        _ => return Err(CommandError::SubcommandSyntax { command: "XINFO", subcommand: "STREAM".to_owned() }),
    };
    let (name, state, first) = state_of(ctx, key)?;
    let nodes = state.len().div_ceil(ctx.server.parameters.stream_node_entries());
    let mut reply = ctx.reply();
    reply.map(if full.is_some() { 9 } else { 10 });
    for (field, value) in [("length", state.len()), ("radix-tree-keys", nodes), ("radix-tree-nodes", nodes + 1)] {
        reply.bulk(field.as_bytes());
        reply.count(value);
    }
    write_id(&mut reply, "last-generated-id", state.last());
    write_id(&mut reply, "max-deleted-entry-id", state.last_removed());
    reply.bulk(b"entries-added");
    reply.count(state.added());
    write_id(&mut reply, "recorded-first-entry-id", first.unwrap_or_default());
    match full {
        None => write_edges(ctx, &name, &state)?,
        Some(count) => write_everything(ctx, &name, &state, first, count)?,
    }
    Ok(Flow::Next)
}

fn write_id(reply: &mut ReplyWriter<'_>, field: &str, stamp: Stamp) {
    reply.bulk(field.as_bytes());
    reply.bulk(stamp.to_string().as_bytes());
}

fn write_edges(ctx: &mut Context<'_, '_>, name: &TopicName, state: &SeriesState) -> Result<(), CommandError> {
    let mut reply = ctx.reply();
    reply.bulk(b"groups");
    reply.count(state.cohorts().len() as u64);
    for (field, index) in [("first-entry", state.first_index()), ("last-entry", state.last_index())] {
        ctx.reply().bulk(field.as_bytes());
        match index {
            Some(index) => stream::write_spans(ctx, name, state.spans(index..index + 1, 1, false), false)?,
            None => ctx.reply().null(),
        }
    }
    Ok(())
}

fn write_everything(
    ctx: &mut Context<'_, '_>,
    name: &TopicName,
    state: &SeriesState,
    first: Option<Stamp>,
    count: u64,
) -> Result<(), CommandError> {
    let shown_max = if count == 0 { u64::MAX } else { count };
    ctx.reply().bulk(b"entries");
    stream::write_range(ctx, name, Stamp::MIN..=Stamp::MAX, shown_max, false)?;
    let mut reply = ctx.reply();
    reply.bulk(b"groups");
    reply.array(state.cohorts().len());
    for (group, cohort) in state.cohorts() {
        reply.map(7);
        write_group(&mut reply, group, state, cohort, first, "pel-count", false);
        let pending: Vec<_> = cohort.held_in(Stamp::MIN..=Stamp::MAX).take(limit(shown_max)).collect();
        reply.bulk(b"pending");
        reply.array(pending.len());
        for (stamp, held) in pending {
            reply.array(4);
            reply.bulk(stamp.to_string().as_bytes());
            reply.bulk(&held.member);
            reply.integer(held.at_ms);
            reply.count(held.count);
        }
        write_consumers(&mut reply, cohort, limit(shown_max));
    }
    Ok(())
}

fn limit(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

fn write_consumers(reply: &mut ReplyWriter<'_>, cohort: &Cohort, shown_max: usize) {
    reply.bulk(b"consumers");
    reply.array(cohort.members().len());
    for (name, member) in cohort.members() {
        reply.map(4);
        reply.bulk(b"name");
        reply.bulk(name);
        reply.bulk(b"seen-time");
        reply.integer(member.seen_ms);
        reply.bulk(b"pel-count");
        reply.count(member.held() as u64);
        let pending: Vec<(Stamp, &Held)> = cohort.held_by(name, Stamp::MIN..=Stamp::MAX).take(shown_max).collect();
        reply.bulk(b"pending");
        reply.array(pending.len());
        for (stamp, held) in pending {
            reply.array(3);
            reply.bulk(stamp.to_string().as_bytes());
            reply.integer(held.at_ms);
            reply.count(held.count);
        }
    }
}

/// The fields that both forms show of a group: five, and the number of consumers if it is asked for.
fn write_group(
    reply: &mut ReplyWriter<'_>,
    name: &[u8],
    state: &SeriesState,
    cohort: &Cohort,
    first: Option<Stamp>,
    pending_field: &str,
    with_consumers: bool,
) {
    let pending = |reply: &mut ReplyWriter<'_>| {
        reply.bulk(pending_field.as_bytes());
        reply.count(cohort.held_count() as u64);
    };
    reply.bulk(b"name");
    reply.bulk(name);
    if with_consumers {
        reply.bulk(b"consumers");
        reply.count(cohort.members().len() as u64);
        pending(reply);
    }
    write_id(reply, "last-delivered-id", cohort.last);
    for (field, value) in [("entries-read", cohort.read), ("lag", lag(state, cohort, first))] {
        reply.bulk(field.as_bytes());
        match value {
            Some(value) => reply.count(value),
            None => reply.null(),
        }
    }
    if !with_consumers {
        pending(reply);
    }
}

/// How many entries are still to be delivered, where that can be told.
fn lag(state: &SeriesState, cohort: &Cohort, first: Option<Stamp>) -> Option<u64> {
    if state.added() == 0 {
        return Some(0);
    }
    let read = match cohort.read {
        Some(read) if !state.has_hole_from(cohort.last, first) => Some(read),
        Some(_) | None => state.distance(cohort.last, first),
    };
    read.map(|read| state.added().saturating_sub(read))
}

pub fn groups(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let [_, _, key] = arguments else { return Err(CommandError::Arity("xinfo|groups")) };
    let (_, state, first) = state_of(ctx, key)?;
    let mut reply = ctx.reply();
    reply.array(state.cohorts().len());
    for (name, cohort) in state.cohorts() {
        reply.map(6);
        write_group(&mut reply, name, &state, cohort, first, "pending", true);
    }
    Ok(Flow::Next)
}

pub fn consumers(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let [_, _, key, group] = arguments else { return Err(CommandError::Arity("xinfo|consumers")) };
    let now_ms = ctx.round.now_ms();
    let (_, state, _) = state_of(ctx, key)?;
    let Some(cohort) = state.cohort(group) else {
        return Err(CommandError::NoSuchGroupOfKey { group: shown(group), key: shown(key) });
    };
    let mut reply = ctx.reply();
    reply.array(cohort.members().len());
    for (name, member) in cohort.members() {
        reply.map(3);
        reply.bulk(b"name");
        reply.bulk(name);
        reply.bulk(b"pending");
        reply.count(member.held() as u64);
        reply.bulk(b"idle");
        reply.integer((now_ms - member.seen_ms).max(0));
    }
    Ok(Flow::Next)
}

pub fn help(ctx: &mut Context<'_, '_>, _: &[Bytes]) -> Outcome {
    introspection::help_of(ctx, "XINFO")
}
