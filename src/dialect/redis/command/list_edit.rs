//! Inside a list: `LSET`, `LINSERT`, `LREM`, `LTRIM`, `LPOS`.
//!
//! An element is a record, so what is set or inserted is a new record that is given its place in the view. Elements are looked at in the
//! order of the view, a batch of the log read once for all of its neighbours.

use bytes::Bytes;

use super::{Context, Flow, Outcome, integer, is_word, list};
use crate::delivery::{Class, Position, RunSet, Side, Stretch, Unit};
use crate::dialect::redis::error::CommandError;
use crate::dialect::redis::mapping;
use crate::log::{Topic, TopicName};

/// `LSET key index value`.
pub fn lset(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let [_, key, index, value] = arguments else { return Err(CommandError::Arity("lset")) };
    let name = list::non_empty(ctx, key)?.ok_or(CommandError::NoSuchKey)?;
    let position = list::index_of(ctx, &name, integer(index)?)?.ok_or(CommandError::Option("index out of range"))?;
    let target = list::open(ctx, key)?;
    list::check_size(&target, value)?;
    let record = mapping::record(value.clone(), ctx.round.now_ms());
    ctx.round.durable_unit()?.replace(&name, position, &record);
    list::count_written(ctx, &record);
    ctx.reply().ok();
    Ok(Flow::Next)
}

/// `LINSERT key BEFORE|AFTER pivot value`.
pub fn linsert(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let [_, key, side, pivot, value] = arguments else { return Err(CommandError::Arity("linsert")) };
    let side = match side {
        word if is_word(word, "BEFORE") => Side::Before,
        word if is_word(word, "AFTER") => Side::After,
        _ => return Err(CommandError::Syntax),
    };
    let Some(name) = list::non_empty(ctx, key)? else {
        ctx.reply().integer(0);
        return Ok(Flow::Next);
    };
    let target = list::open(ctx, key)?;
    list::check_size(&target, value)?;
    let unit = ctx.round.durable_unit()?;
    let found = matches(unit, &target.topic, &name, Direction::FromHead, pivot, u64::MAX).next();
    let Some((_, position)) = found else {
        ctx.reply().integer(-1);
        return Ok(Flow::Next);
    };
    let record = mapping::record(value.clone(), ctx.round.now_ms());
    list::check_room(ctx, &target, std::slice::from_ref(&record))?;
    ctx.round.durable_unit()?.insert_beside(&name, position, side, &record);
    list::count_written(ctx, &record);
    let len = list::length(ctx, key)?;
    ctx.reply().count(len);
    Ok(Flow::Next)
}

/// `LREM key count value`: a negative count begins at the tail, 0 means all.
pub fn lrem(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let [_, key, count, value] = arguments else { return Err(CommandError::Arity("lrem")) };
    let count = integer(count)?;
    let Some(name) = list::non_empty(ctx, key)? else {
        ctx.reply().integer(0);
        return Ok(Flow::Next);
    };
    let topic = list::open(ctx, key)?.topic;
    let direction = if count < 0 { Direction::FromTail } else { Direction::FromHead };
    let removed_max = if count == 0 { u64::MAX } else { count.unsigned_abs() };
    let unit = ctx.round.durable_unit()?;
    let mut gone: Vec<(u32, RunSet)> = Vec::new();
    let mut removed = 0;
    let mut found = matches(unit, &topic, &name, direction, value, u64::MAX);
    while removed < removed_max
        && let Some((_, position)) = found.next()
    {
        add(&mut gone, position);
        removed += 1;
    }
    drop(found);
    if removed > 0 {
        unit.remove(&name, &gone);
    }
    ctx.reply().count(removed);
    Ok(Flow::Next)
}

fn add(gone: &mut Vec<(u32, RunSet)>, Position { partition, offset }: Position) {
    match gone.iter_mut().find(|(known, _)| *known == partition) {
        Some((_, runs)) => drop(runs.insert(offset)),
        None => gone.push((partition, RunSet::from_iter([offset]))),
    }
}

/// `LTRIM`: the elements outside of the range are done.
pub fn ltrim(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let [_, key, start, stop] = arguments else { return Err(CommandError::Arity("ltrim")) };
    let (start, stop) = (integer(start)?, integer(stop)?);
    if let Some(name) = list::non_empty(ctx, key)? {
        let unit = ctx.round.durable_unit()?;
        let len = unit.ready(&name, Class::Queued);
        match list::slice(len, start, stop) {
            None => drop(unit.purge(&name, Class::Queued)),
            Some((first, count)) if count < len => {
                let mut outside = unit.stretches(&name, Class::Queued, 0, first);
                outside.extend(unit.stretches(&name, Class::Queued, first + count, len));
                let runs = |stretch: &Stretch| {
                    let mut runs = RunSet::new();
                    runs.insert_range(stretch.offsets.clone());
                    (stretch.partition, runs)
                };
                let outside: Vec<(u32, RunSet)> = outside.iter().map(runs).collect();
                unit.remove(&name, &outside);
            }
            Some(_) => {}
        }
    }
    ctx.reply().ok();
    Ok(Flow::Next)
}

/// What `LPOS` asks for.
struct Wanted {
    /// The first match that counts, from 1.
    rank: u64,
    direction: Direction,
    /// How many at most, 0 for all; none: one, not as an array.
    count: Option<u64>,
    /// How many elements are looked at.
    looked_at_max: u64,
}

/// `LPOS key element [RANK rank] [COUNT count] [MAXLEN len]`.
pub fn lpos(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let [_, key, element, options @ ..] = arguments else { return Err(CommandError::Arity("lpos")) };
    let wanted = wanted(options)?;
    let mut indexes = Vec::new();
    if let Some(name) = list::non_empty(ctx, key)? {
        let topic = list::open(ctx, key)?.topic;
        let unit = ctx.round.durable_unit()?;
        let skipped = usize::try_from(wanted.rank - 1).unwrap_or(usize::MAX);
        let count_max = match wanted.count {
            Some(0) => usize::MAX,
            Some(count) => usize::try_from(count).unwrap_or(usize::MAX),
            None => 1,
        };
        let found = matches(unit, &topic, &name, wanted.direction, element, wanted.looked_at_max);
        indexes.extend(found.skip(skipped).take(count_max).map(|(index, _)| index));
    }
    let mut reply = ctx.reply();
    match (wanted.count, indexes.first()) {
        (Some(_), _) => {
            reply.array(indexes.len());
            indexes.into_iter().for_each(|index| reply.count(index));
        }
        (None, Some(index)) => reply.count(*index),
        (None, None) => reply.null(),
    }
    Ok(Flow::Next)
}

fn wanted(mut options: &[Bytes]) -> Result<Wanted, CommandError> {
    const ZERO_RANK: CommandError = CommandError::Option(
        "RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list",
    );
    let count_of = |value: &Bytes, error| u64::try_from(integer(value)?).map_err(|_| CommandError::Option(error));
    let mut wanted = Wanted { rank: 1, direction: Direction::FromHead, count: None, looked_at_max: u64::MAX };
    while let [option, value, rest @ ..] = options {
        if is_word(option, "RANK") {
            let rank = integer(value)?;
            wanted.rank = rank.unsigned_abs();
            wanted.direction = if rank < 0 { Direction::FromTail } else { Direction::FromHead };
            if rank == 0 {
                return Err(ZERO_RANK);
            }
        } else if is_word(option, "COUNT") {
            wanted.count = Some(count_of(value, "COUNT can't be negative")?);
        } else if is_word(option, "MAXLEN") {
            let most = count_of(value, "MAXLEN can't be negative")?;
            wanted.looked_at_max = if most == 0 { u64::MAX } else { most };
        } else {
            return Err(CommandError::Syntax);
        }
        options = rest;
    }
    if options.is_empty() { Ok(wanted) } else { Err(CommandError::Syntax) }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    FromHead,
    FromTail,
}

/// The elements that are equal to `value` among the first or last `looked_at_max`, each with its index from the head.
fn matches<'u>(
    unit: &'u mut Unit<'_>,
    topic: &'u Topic,
    name: &TopicName,
    direction: Direction,
    value: &'u [u8],
    looked_at_max: u64,
) -> impl Iterator<Item = (u64, Position)> + 'u {
    let len = unit.ready(name, Class::Queued);
    let looked_at = looked_at_max.min(len);
    let first = if direction == Direction::FromHead { 0 } else { len - looked_at };
    let mut stretches = unit.stretches(name, Class::Queued, first, looked_at);
    if direction == Direction::FromTail {
        stretches.reverse();
    }
    let positions = stretches.into_iter().flat_map(move |stretch| {
        let partition = stretch.partition;
        let offsets: Box<dyn Iterator<Item = u64>> = match direction {
            Direction::FromHead => Box::new(stretch.iter()),
            Direction::FromTail => Box::new(stretch.iter().rev()),
        };
        offsets.map(move |offset| Position { partition, offset })
    });
    let indexed = (0..).zip(positions).filter(move |(_, Position { partition, offset })| {
        let found = topic.partition(*partition).and_then(|partition| unit.read(&partition, *offset));
        found.is_some_and(|record| mapping::payload(&record) == value)
    });
    indexed.map(move |(index, position)| (if direction == Direction::FromHead { index } else { len - 1 - index }, position))
}
