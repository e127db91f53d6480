//! Streams: the series of the topic with the key's name. Adding, counting, ranges, removing, trimming.
//!
//! A stream exists until it is deleted, with entries or without. A name that another dialect made becomes readable as a stream on its
//! first use, with everything that is kept of it.

use std::ops::RangeInclusive;

use bytes::Bytes;

use super::{Context, Flow, Outcome, integer, is_word, list, stream_id};
use crate::delivery::Class;
use crate::delivery::series::{SeriesOp, Span, Stamp, Trim};
use crate::dialect::redis::error::CommandError;
use crate::dialect::redis::{ORIGIN, mapping};
use crate::log::TopicName;

/// `XADD key [NOMKSTREAM] [MAXLEN|MINID [=|~] threshold [LIMIT count]] *|id field value [field value ...]`.
pub fn xadd(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let [_, key, rest @ ..] = arguments else { return Err(CommandError::Arity("xadd")) };
    let (options, rest) = options(ctx, rest, true)?;
    let [id, fields @ ..] = rest else { return Err(CommandError::Arity("xadd")) };
    let id = stream_id::to_add(id)?;
    if fields.is_empty() || !fields.len().is_multiple_of(2) {
        return Err(CommandError::Arity("xadd"));
    }
    if id == stream_id::ToAdd::Exactly(Stamp::MIN) {
        return Err(CommandError::Option("The ID specified in XADD must be greater than 0-0"));
    }
    let name = match (existing(ctx, key)?, options.may_create) {
        (Some(name), _) => name,
        (None, true) => open(ctx, key)?,
        (None, false) => {
            ctx.reply().null();
            return Ok(Flow::Next);
        }
    };
    let now_ms = ctx.round.now_ms();
    let last = ctx.round.durable_unit()?.series(&name).map(|series| series.last()).unwrap_or_default();
    let stamp = id.after(last, u64::try_from(now_ms).unwrap_or(0))?;
    let record = mapping::entry(fields, now_ms);
    let target = list::recent(ctx, &name)?.ok_or(CommandError::NoSuchKey)?;
    list::check_bytes(&target, fields.iter().map(Bytes::len).sum())?;
    list::check_room(ctx, &target, std::slice::from_ref(&record))?;
    list::count_written(ctx, &record);
    ctx.round.durable_unit()?.append_stamped(&name, stamp, record);
    ctx.reply().bulk(stamp.to_string().as_bytes());
    if let Some(trim) = options.trim {
        ctx.round.durable_unit()?.trim_series(&name, trim, options.nodes);
    }
    ctx.round.serve_waiting();
    Ok(Flow::Next)
}

/// What is said before the id.
struct Options {
    may_create: bool,
    trim: Option<Trim>,
    /// Approximately: by nodes of so many entries, at most so many altogether.
    nodes: Option<(u64, u64)>,
}

/// Reads the options of `XADD` and `XTRIM`, and gives what follows them.
fn options<'a>(ctx: &Context<'_, '_>, mut rest: &'a [Bytes], is_add: bool) -> Result<(Options, &'a [Bytes]), CommandError> {
    let mut options = Options { may_create: true, trim: None, nodes: None };
    let (mut is_approximate, mut limit) = (false, None);
    loop {
        match rest {
            [star, ..] if is_add && star.as_ref() == b"*" => break,
            [word, after @ ..] if (is_word(word, "MAXLEN") || is_word(word, "MINID")) && !after.is_empty() => {
                if options.trim.is_some() {
                    const BOTH: &str = "syntax error, MAXLEN and MINID options at the same time are not compatible";
                    return Err(CommandError::Option(BOTH));
                }
                let (approximate, after) = match after {
                    [sign, after @ ..] if !after.is_empty() && sign.as_ref() == b"~" => (true, after),
                    [sign, after @ ..] if !after.is_empty() && sign.as_ref() == b"=" => (false, after),
                    _ => (false, after),
                };
                let [threshold, after @ ..] = after else { return Err(CommandError::Syntax) };
                is_approximate = approximate;
                options.trim = Some(threshold_of(word, threshold)?);
                rest = after;
            }
            [word, value, after @ ..] if is_word(word, "LIMIT") => {
                let value = integer(value)?;
                limit = Some(u64::try_from(value).map_err(|_| CommandError::Option("The LIMIT argument must be >= 0."))?);
                rest = after;
            }
            [word, after @ ..] if is_add && is_word(word, "NOMKSTREAM") => {
                options.may_create = false;
                rest = after;
            }
            [] => break,
            _ if is_add => break,
            _ => return Err(CommandError::Syntax),
        }
    }
    if limit.is_some_and(|limit| limit > 0) && options.trim.is_none() {
        return Err(CommandError::Option("syntax error, LIMIT cannot be used without specifying a trimming strategy"));
    }
    if !is_add && options.trim.is_none() {
        return Err(CommandError::Option("syntax error, XTRIM must be called with a trimming strategy"));
    }
    if limit.is_some() && !is_approximate {
        return Err(CommandError::Option("syntax error, LIMIT cannot be used without the special ~ option"));
    }
    if is_approximate {
        let node = ctx.server.parameters.stream_node_entries();
        options.nodes = Some((node, limit.unwrap_or((100 * node).min(1_000_000))));
    }
    Ok((options, rest))
}

fn threshold_of(word: &[u8], threshold: &[u8]) -> Result<Trim, CommandError> {
    if is_word(word, "MINID") {
        return Ok(Trim::From(stream_id::strict(threshold, 0)?));
    }
    let keep = integer(threshold)?;
    Ok(Trim::Length(u64::try_from(keep).map_err(|_| CommandError::Option("The MAXLEN argument must be >= 0."))?))
}

pub fn xtrim(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let [_, key, rest @ ..] = arguments else { return Err(CommandError::Arity("xtrim")) };
    let (options, _) = options(ctx, rest, false)?;
    let removed = match (existing(ctx, key)?, options.trim) {
        (Some(name), Some(trim)) => ctx.round.durable_unit()?.trim_series(&name, trim, options.nodes),
        _ => 0,
    };
    ctx.reply().count(removed);
    Ok(Flow::Next)
}

pub fn xlen(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let [_, key] = arguments else { return Err(CommandError::Arity("xlen")) };
    let len = match existing(ctx, key)? {
        Some(name) => ctx.round.durable_unit()?.series(&name).map_or(0, |series| series.len()),
        None => 0,
    };
    ctx.reply().count(len);
    Ok(Flow::Next)
}

pub fn xdel(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let [_, key, ids @ ..] = arguments else { return Err(CommandError::Arity("xdel")) };
    let name = existing(ctx, key)?;
    let stamps: Vec<Stamp> = ids.iter().map(|id| stream_id::strict(id, 0)).collect::<Result<_, _>>()?;
    let removed = match name {
        Some(name) => ctx.round.durable_unit()?.remove_stamps(&name, &stamps),
        None => 0,
    };
    ctx.reply().count(removed);
    Ok(Flow::Next)
}

/// `XSETID key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]`.
pub fn xsetid(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let [_, key, last, options @ ..] = arguments else { return Err(CommandError::Arity("xsetid")) };
    let last = stream_id::strict(last, 0)?;
    let mut options = options;
    let (mut added, mut removed) = (None, Stamp::MIN);
    while let [option, value, rest @ ..] = options {
        if is_word(option, "ENTRIESADDED") {
            let count = integer(value)?;
            added = Some(u64::try_from(count).map_err(|_| CommandError::Option("entries_added must be positive"))?);
        } else if is_word(option, "MAXDELETEDID") {
            removed = stream_id::strict(value, 0)?;
            if last < removed {
                const SMALLER: &str = "The ID specified in XSETID is smaller than the provided max_deleted_entry_id";
                return Err(CommandError::Option(SMALLER));
            }
        } else {
            return Err(CommandError::Syntax);
        }
        options = rest;
    }
    if !options.is_empty() {
        return Err(CommandError::Syntax);
    }
    let name = existing(ctx, key)?.ok_or(CommandError::NoSuchKey)?;
    let unit = ctx.round.durable_unit()?;
    let top = unit.series(&name).and_then(|series| series.last_index()).and_then(|index| unit.stamp_at(&name, index));
    if top.is_some_and(|top| last < top) {
        return Err(CommandError::Option("The ID specified in XSETID is smaller than the target stream top item"));
    }
    let Some(series) = unit.series(&name) else { return Err(CommandError::NoSuchKey) };
    if top.is_some() && added.is_some_and(|added| series.len() > added) {
        return Err(CommandError::Option("The entries_added specified in XSETID is smaller than the target stream length"));
    }
    let added = added.unwrap_or(series.added());
    let last_removed = if removed == Stamp::MIN { series.last_removed() } else { removed };
    unit.change_series(&name, SeriesOp::Set { last, added, last_removed });
    ctx.reply().ok();
    Ok(Flow::Next)
}

pub fn xrange(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let [_, key, start, end, options @ ..] = arguments else { return Err(CommandError::Arity("xrange")) };
    range(ctx, key, start, end, options, false)
}

pub fn xrevrange(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let [_, key, end, start, options @ ..] = arguments else { return Err(CommandError::Arity("xrevrange")) };
    range(ctx, key, start, end, options, true)
}

fn range(ctx: &mut Context<'_, '_>, key: &Bytes, start: &[u8], end: &[u8], options: &[Bytes], backwards: bool) -> Outcome {
    let stamps = stream_id::interval(start, end)?;
    let count = match options {
        [] => None,
        [word, count] if is_word(word, "COUNT") => Some(u64::try_from(integer(count)?).unwrap_or(0)),
        _ => return Err(CommandError::Syntax),
    };
    match (existing(ctx, key)?, count) {
        (None, _) => ctx.reply().array(0),
        (Some(_), Some(0)) => ctx.reply().null_array(),
        (Some(name), count) => write_range(ctx, &name, stamps, count.unwrap_or(u64::MAX), backwards)?,
    }
    Ok(Flow::Next)
}

/// Writes the entries of a range as an array.
pub fn write_range(
    ctx: &mut Context<'_, '_>,
    name: &TopicName,
    stamps: RangeInclusive<Stamp>,
    count: u64,
    backwards: bool,
) -> Result<(), CommandError> {
    let spans = ctx.round.durable_unit()?.spans(name, stamps, count, backwards);
    let count: u64 = spans.iter().map(|span| span.offsets.end - span.offsets.start).sum();
    ctx.reply().array(usize::try_from(count).unwrap_or(usize::MAX));
    write_spans(ctx, name, spans, backwards)
}

/// Writes entries, each of them read when the reply leaves.
pub fn write_spans(ctx: &mut Context<'_, '_>, name: &TopicName, spans: Vec<Span>, backwards: bool) -> Result<(), CommandError> {
    let Some(topic) = list::recent(ctx, name)? else { return Ok(()) };
    let Some(partition) = topic.topic.partition(0) else { return Ok(()) };
    for span in spans {
        ctx.out.entries(ctx.session.protocol, std::sync::Arc::clone(&partition), span, backwards);
    }
    Ok(())
}

/// The stream of a key, if there is one; opened if another dialect made the name.
pub fn existing(ctx: &mut Context<'_, '_>, key: &Bytes) -> Result<Option<TopicName>, CommandError> {
    let name = mapping::topic_of_key(ctx.session.database, key)?;
    let unit = ctx.round.durable_unit()?;
    if unit.series(&name).is_some() {
        unit.catch_up_series(&name);
        return Ok(Some(name));
    }
    let Some(topic) = unit.topic(&name) else { return Ok(None) };
    if topic.settings().origin == ORIGIN {
        return if unit.ready(&name, Class::Queued) > 0 { Err(CommandError::WrongType) } else { Ok(None) };
    }
    if topic.partition_count() != 1 {
        return Err(CommandError::Option("a name with several partitions is not a stream"));
    }
    unit.open_series(topic.name(), true)?;
    Ok(Some(name))
}

/// The stream of a key that is none yet.
pub fn open(ctx: &mut Context<'_, '_>, key: &Bytes) -> Result<TopicName, CommandError> {
    let topic = list::topic_of(ctx, key)?;
    ctx.round.durable_unit()?.open_series(&topic.name, false)?;
    Ok(topic.name)
}
