//! `LMOVE` and `RPOPLPUSH`: an element goes from one list to another in one atomic step.
//!
//! The record moves whole, with its key, headers and time, and is written a second time: each list is its own topic.

use bytes::Bytes;

use super::list::{self, At};
use super::{Context, Flow, Outcome};
use crate::delivery::{Class, End, Position};
use crate::dialect::redis::error::CommandError;
use crate::dialect::redis::mapping;
use crate::log::TopicName;

pub fn lmove(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let [_, from, to, pop, put] = arguments else { return Err(CommandError::Arity("lmove")) };
    let (pop, put) = (list::end_of(pop)?, list::end_of(put)?);
    move_or_null(ctx, from, to, pop, put)
}

pub fn rpoplpush(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let [_, from, to] = arguments else { return Err(CommandError::Arity("rpoplpush")) };
    move_or_null(ctx, from, to, End::Tail, End::Head)
}

fn move_or_null(ctx: &mut Context<'_, '_>, from: &Bytes, to: &Bytes, pop: End, put: End) -> Outcome {
    if !move_one(ctx, from, to, pop, put)? {
        ctx.reply().null();
    }
    Ok(Flow::Next)
}

/// Moves one element and writes it as the reply. `false`: there is none, and nothing was written.
pub fn move_one(ctx: &mut Context<'_, '_>, from: &Bytes, to: &Bytes, pop: End, put: End) -> Result<bool, CommandError> {
    // What this round pushed before can be read back only from a unit that has ended.
    ctx.round.split();
    let Some(name) = list::non_empty(ctx, from)? else { return Ok(false) };
    let unit = ctx.round.durable_unit()?;
    let index = match pop {
        End::Head => 0,
        End::Tail => unit.ready(&name, Class::Queued).saturating_sub(1),
    };
    let Some(at) = unit.range(&name, Class::Queued, index, 1).pop() else { return Ok(false) };
    let source = list::recent(ctx, &name)?.ok_or(CommandError::NoSuchKey)?;
    let record = ctx.round.record(ctx.reader, &source.topic, at)?;
    let target = list::open(ctx, to)?;
    list::check_size(&target, mapping::payload(&record))?;
    ctx.round.durable_unit()?.pop(&name, pop, Class::Queued);
    list::put(ctx, &target, put, &record)?;
    ctx.reply().bulk(mapping::payload(&record));
    list::serve_waiting(ctx, &target.name)?;
    Ok(true)
}

/// Moves an element that was claimed for a blocked command, and writes it as the reply.
pub fn move_claimed(ctx: &mut Context<'_, '_>, from: &TopicName, (partition, offset): At, to: &Bytes, put: End) -> Result<(), CommandError> {
    let record = ctx.reader.record(&partition, offset).map_err(|error| CommandError::Unreadable(error.to_string()))?;
    let target = list::open(ctx, to)?;
    list::check_size(&target, mapping::payload(&record))?;
    ctx.round.durable_unit()?.accept(from, &[Position { partition: partition.index(), offset }]);
    list::put(ctx, &target, put, &record)?;
    ctx.reply().bulk(mapping::payload(&record));
    list::serve_waiting(ctx, &target.name)
}
