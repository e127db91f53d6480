//! Inside a list: `LSET`, `LINSERT`, `LREM`, `LTRIM`, `LPOS`.
//!
//! An element is a record, so what is set or inserted is a new record that is given its place in the view. A long list is looked
//! through outside of the round, so that nobody else waits for it; a transaction has that done before it begins.

use bytes::Bytes;

use super::{Context, Flow, Outcome, integer, is_word, list};
use crate::delivery::{Class, End, Hit, Position, RunSet, Scope, Search, Side, Stretch};
use crate::dialect::redis::error::CommandError;
use crate::dialect::redis::mapping;
use crate::log::TopicName;

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
    let Some(hits) = find(ctx, &name, pivot, &FIRST)? else { return Ok(Flow::Search) };
    let first = hits.first().and_then(|hit| Some((hit.stretch.partition, hit.stretch.iter().next()?)));
    let Some((partition, offset)) = first else {
        ctx.reply().integer(-1);
        return Ok(Flow::Next);
    };
    let position = Position { partition, offset };
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
    let scope = removed(integer(count)?);
    let Some(name) = list::non_empty(ctx, key)? else {
        ctx.reply().integer(0);
        return Ok(Flow::Next);
    };
    let Some(hits) = find(ctx, &name, value, &scope)? else { return Ok(Flow::Search) };
    let mut gone: Vec<(u32, RunSet)> = Vec::new();
    for Hit { stretch: Stretch { partition, offsets, .. }, .. } in hits {
        match gone.iter_mut().find(|(known, _)| *known == partition) {
            Some((_, runs)) => drop(runs.insert_range(offsets)),
            None => {
                let mut runs = RunSet::new();
                runs.insert_range(offsets);
                gone.push((partition, runs));
            }
        }
    }
    let removed: u64 = gone.iter().map(|(_, runs)| runs.len()).sum();
    if removed > 0 {
        ctx.round.durable_unit()?.remove(&name, &gone);
    }
    ctx.reply().count(removed);
    Ok(Flow::Next)
}

/// What `LREM` looks for.
fn removed(count: i64) -> Scope {
    let from = if count < 0 { End::Tail } else { End::Head };
    let found_max = if count == 0 { u64::MAX } else { count.unsigned_abs() };
    Scope { from, looked_at_max: u64::MAX, found_max }
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
    /// Matches that do not count, before those that do.
    skipped: u64,
    /// Whether the reply is an array.
    is_many: bool,
    scope: Scope,
}

/// `LPOS key element [RANK rank] [COUNT count] [MAXLEN len]`.
pub fn lpos(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let [_, key, element, options @ ..] = arguments else { return Err(CommandError::Arity("lpos")) };
    let wanted = wanted(options)?;
    let mut indexes = Vec::new();
    if let Some(name) = list::non_empty(ctx, key)? {
        let Some(hits) = find(ctx, &name, element, &wanted.scope)? else { return Ok(Flow::Search) };
        let len = ctx.round.durable_unit()?.ready(&name, Class::Queued);
        let walked = hits.iter().flat_map(|hit| hit.walked..hit.walked + hit.stretch.count());
        let skipped = usize::try_from(wanted.skipped).unwrap_or(usize::MAX);
        let from_head = |walked| if wanted.scope.from == End::Head { walked } else { len - 1 - walked };
        indexes.extend(walked.skip(skipped).map(from_head));
    }
    let mut reply = ctx.reply();
    match indexes.first() {
        _ if wanted.is_many => {
            reply.array(indexes.len());
            indexes.into_iter().for_each(|index| reply.count(index));
        }
        Some(index) => reply.count(*index),
        None => reply.null(),
    }
    Ok(Flow::Next)
}

fn wanted(mut options: &[Bytes]) -> Result<Wanted, CommandError> {
    const ZERO_RANK: CommandError = CommandError::Option(
        "RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list",
    );
    let count_of = |value: &Bytes, error| u64::try_from(integer(value)?).map_err(|_| CommandError::Option(error));
    let all = |count| if count == 0 { u64::MAX } else { count };
    let (mut rank, mut count, mut looked_at_max) = (1, None, u64::MAX);
    while let [option, value, rest @ ..] = options {
        if is_word(option, "RANK") {
            rank = integer(value)?;
            if rank == 0 {
                return Err(ZERO_RANK);
            }
        } else if is_word(option, "COUNT") {
            count = Some(all(count_of(value, "COUNT can't be negative")?));
        } else if is_word(option, "MAXLEN") {
            looked_at_max = all(count_of(value, "MAXLEN can't be negative")?);
        } else {
            return Err(CommandError::Syntax);
        }
        options = rest;
    }
    if !options.is_empty() {
        return Err(CommandError::Syntax);
    }
    let skipped = rank.unsigned_abs() - 1;
    let from = if rank < 0 { End::Tail } else { End::Head };
    let scope = Scope { from, looked_at_max, found_max: skipped.saturating_add(count.unwrap_or(1)) };
    Ok(Wanted { skipped, is_many: count.is_some(), scope })
}

/// The first from the head.
const FIRST: Scope = Scope { from: End::Head, looked_at_max: u64::MAX, found_max: 1 };

/// Finds the elements with a value. `None`: there is too much to read for a round.
fn find(ctx: &mut Context<'_, '_>, name: &TopicName, value: &[u8], scope: &Scope) -> Result<Option<Vec<Hit>>, CommandError> {
    let Some(list) = list::recent(ctx, name)? else { return Ok(Some(Vec::new())) };
    let begun = ctx.session.searches.iter().position(|search| search.is_for(&list.topic, value));
    let mut search = match begun {
        Some(index) => ctx.session.searches.swap_remove(index),
        None => Search::new(list.topic, value),
    };
    let entirely = ctx.round.is_atomic();
    let hits = ctx.round.durable_unit()?.find(name, Class::Queued, &mut search, scope, entirely);
    ctx.session.searches.push(search);
    Ok(hits)
}

/// Whether so much of the lists that these commands look through is known that the rest can be read within one round.
pub fn knows_all(ctx: &mut Context<'_, '_>, commands: &[Vec<Bytes>]) -> Result<bool, CommandError> {
    let database = ctx.session.database;
    let mut knows_all = true;
    for arguments in commands {
        if let [name, index] = arguments.as_slice()
            && is_word(name, "SELECT")
        {
            ctx.session.database = integer(index).ok().and_then(|index| u32::try_from(index).ok()).unwrap_or(database);
        }
        if let Some((key, value, scope)) = sought(arguments)
            && let Ok(Some(list)) = list::non_empty(ctx, key)
        {
            knows_all &= find(ctx, &list, value, &scope)?.is_some();
        }
    }
    ctx.session.database = database;
    Ok(knows_all)
}

/// What a command looks for in which list, if it does.
fn sought(arguments: &[Bytes]) -> Option<(&Bytes, &Bytes, Scope)> {
    match arguments {
        [name, key, count, value] if is_word(name, "LREM") => Some((key, value, removed(integer(count).ok()?))),
        [name, key, _, pivot, _] if is_word(name, "LINSERT") => Some((key, pivot, FIRST)),
        [name, key, element, options @ ..] if is_word(name, "LPOS") => Some((key, element, wanted(options).ok()?.scope)),
        _ => None,
    }
}
