//! `LMOVE` and `RPOPLPUSH`: an element goes from one list to another in one atomic step.
//!
//! The record moves with its key and headers and is written a second time: each list is a topic of its own.

use bytes::Bytes;

use super::{Context, Flow, Outcome, list};
use crate::delivery::{Class, End};
use crate::dialect::redis::error::CommandError;
use crate::dialect::redis::mapping;

pub fn lmove(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let [_, from, to, from_end, to_end] = arguments else { return Err(CommandError::Arity("lmove")) };
    let (from_end, to_end) = (list::end_of(from_end)?, list::end_of(to_end)?);
    move_or_null(ctx, from, to, from_end, to_end)
}

pub fn rpoplpush(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let [_, from, to] = arguments else { return Err(CommandError::Arity("rpoplpush")) };
    move_or_null(ctx, from, to, End::Tail, End::Head)
}

fn move_or_null(ctx: &mut Context<'_, '_>, from: &Bytes, to: &Bytes, from_end: End, to_end: End) -> Outcome {
    if !move_one(ctx, from, to, from_end, to_end)? {
        ctx.reply().null();
    }
    Ok(Flow::Next)
}

/// Moves one element and writes it as the reply. `false`: there is none, and nothing was written.
pub fn move_one(ctx: &mut Context<'_, '_>, from: &Bytes, to: &Bytes, from_end: End, to_end: End) -> Result<bool, CommandError> {
    let Some(source) = list::non_empty(ctx, from)? else { return Ok(false) };
    let target = list::open(ctx, to)?;
    if target.name != source {
        // What stays where it is is not refused: it goes nowhere.
        list::check_room_for(ctx, &target, 1)?;
    }
    let unit = ctx.round.durable_unit()?;
    let Some(record) = unit.move_record(&source, from_end, Class::Queued, &target.topic, to_end) else {
        // All that is there may wait for a key.
        return if unit.orders_by_key(&source) { Ok(false) } else { Err(CommandError::Unreadable(source.to_string())) };
    };
    ctx.reply().bulk(mapping::payload(&record));
    ctx.round.serve_waiting();
    Ok(true)
}
