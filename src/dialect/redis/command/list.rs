//! Lists: the default queue view of the topic with the key's name, without what was published to it.
//!
//! A list exists while it has elements. A name that another dialect made becomes readable as a list on its first use.

use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use super::{Context, Flow, Outcome, integer, is_word};
use crate::delivery::{Class, End, Kind, Position, QueueSpec, Room, Stretch, Target, partition_of};
use crate::dialect::redis::error::CommandError;
use crate::dialect::redis::session::Recent;
use crate::dialect::redis::{ORIGIN, mapping};
use crate::log::record::Record;
use crate::log::{Partition, TopicName, TopicSettings};

/// Up to here a value fits every topic: no need to look at its limit.
const SMALL_VALUE_BYTES: usize = 64 * 1024;

pub fn lpush(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    push(ctx, arguments, End::Head, false)
}

pub fn rpush(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    push(ctx, arguments, End::Tail, false)
}

/// `TRUNKLINE.RPUSH key record-key element [record-key element ...]`, which Redis has not: pushes records with keys, which choose
/// their partitions and which other dialects see.
pub fn rpush_keyed(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let [_, key, pairs @ ..] = arguments else { return Err(CommandError::Syntax) };
    if !pairs.len().is_multiple_of(2) {
        return Err(CommandError::Arity("trunkline.rpush"));
    }
    let now_ms = ctx.round.now_ms();
    let keyed = |pair: &[Bytes]| match pair {
        [record_key, value] => Some(Record { key: Some(record_key.clone()), ..mapping::record(value.clone(), now_ms) }),
        _ => None,
    };
    push_records(ctx, key, pairs.chunks(2).filter_map(keyed).collect(), End::Tail)
}

pub fn lpushx(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    push(ctx, arguments, End::Head, true)
}

pub fn rpushx(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    push(ctx, arguments, End::Tail, true)
}

pub fn lpop(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    pop_command(ctx, arguments, End::Head, "lpop")
}

pub fn rpop(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    pop_command(ctx, arguments, End::Tail, "rpop")
}

fn push(ctx: &mut Context<'_, '_>, arguments: &[Bytes], end: End, only_existing: bool) -> Outcome {
    let [_, key, values @ ..] = arguments else { return Err(CommandError::Syntax) };
    if only_existing && length(ctx, key)? == 0 {
        ctx.reply().integer(0);
        return Ok(Flow::Next);
    }
    let now_ms = ctx.round.now_ms();
    let records = values.iter().map(|value| mapping::record(value.clone(), now_ms)).collect();
    push_records(ctx, key, records, end)
}

fn push_records(ctx: &mut Context<'_, '_>, key: &Bytes, records: SmallVec<[Record; 1]>, end: End) -> Outcome {
    let list = open(ctx, key)?;
    for record in &records {
        check_size(&list, mapping::payload(record))?;
        if record.key.as_ref().is_some_and(|key| key.len() > SMALL_VALUE_BYTES) {
            return Err(CommandError::TooLarge { limit_bytes: SMALL_VALUE_BYTES });
        }
    }
    check_room(ctx, &list, &records)?;
    for record in &records {
        put(ctx, &list, end, record)?;
    }
    let len = ctx.round.durable_unit()?.ready(&list.name, Class::Queued);
    ctx.reply().count(len);
    ctx.round.serve_waiting();
    Ok(Flow::Next)
}

fn pop_command(ctx: &mut Context<'_, '_>, arguments: &[Bytes], end: End, command: &'static str) -> Outcome {
    let (key, count) = match arguments {
        [_, key] => (key, None),
        [_, key, count] => {
            let count = integer(count).ok().and_then(|n| u64::try_from(n).ok()).ok_or(CommandError::NotPositive)?;
            (key, Some(count))
        }
        _ => return Err(CommandError::Arity(command)),
    };
    let list = existing(ctx, key)?;
    let Some(count) = count else {
        let popped = match &list {
            Some(name) => pop(ctx, name, end)?,
            None => None,
        };
        match popped {
            Some(at) => write_value(ctx, at),
            None => ctx.reply().null(),
        }
        return Ok(Flow::Next);
    };
    match list {
        Some(name) => pop_many(ctx, &name, end, count),
        None => {
            ctx.reply().null_array();
            Ok(())
        }
    }?;
    Ok(Flow::Next)
}

/// Pops and writes up to `count` elements as an array.
pub fn pop_many(ctx: &mut Context<'_, '_>, name: &TopicName, end: End, count: u64) -> Result<(), CommandError> {
    let ready = ctx.round.durable_unit()?.ready(name, Class::Queued);
    if ready == 0 {
        ctx.reply().null_array();
        return Ok(());
    }
    let mut popped = Vec::new();
    while (popped.len() as u64) < count.min(ready) {
        let Some(at) = pop(ctx, name, end)? else { break };
        popped.push(at);
    }
    ctx.reply().array(popped.len());
    for at in popped {
        write_value(ctx, at);
    }
    Ok(())
}

pub fn llen(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let [_, key] = arguments else { return Err(CommandError::Arity("llen")) };
    let len = length(ctx, key)?;
    ctx.reply().count(len);
    Ok(Flow::Next)
}

pub fn lrange(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let [_, key, start, stop] = arguments else { return Err(CommandError::Arity("lrange")) };
    let (start, stop) = (integer(start)?, integer(stop)?);
    let Some(name) = existing(ctx, key)? else {
        ctx.reply().array(0);
        return Ok(Flow::Next);
    };
    let unit = ctx.round.durable_unit()?;
    let found = slice(unit.ready(&name, Class::Queued), start, stop);
    let stretches = found.map_or_else(Vec::new, |(first, count)| unit.stretches(&name, Class::Queued, first, count));
    write_stretches(ctx, &name, stretches)?;
    Ok(Flow::Next)
}

/// Writes values as an array, each of them read when the reply leaves: a reply of millions waits in a few bytes.
fn write_stretches(ctx: &mut Context<'_, '_>, name: &TopicName, stretches: Vec<Stretch>) -> Result<(), CommandError> {
    let count: u64 = stretches.iter().map(Stretch::count).sum();
    ctx.reply().array(usize::try_from(count).unwrap_or(usize::MAX));
    let Some(list) = recent(ctx, name)? else { return Ok(()) };
    for stretch in stretches {
        if let Some(partition) = list.topic.partition(stretch.partition) {
            ctx.out.values(ctx.session.protocol, partition, stretch.offsets, stretch.falling);
        }
    }
    Ok(())
}

pub fn lindex(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let [_, key, index] = arguments else { return Err(CommandError::Arity("lindex")) };
    let index = integer(index)?;
    let found = match existing(ctx, key)? {
        Some(name) => match index_of(ctx, &name, index)? {
            Some(position) => located(ctx, &name, vec![position])?.pop(),
            None => None,
        },
        None => None,
    };
    match found {
        Some(at) => write_value(ctx, at),
        None => ctx.reply().null(),
    }
    Ok(Flow::Next)
}

/// The element at an index, counted from the end if it is negative.
pub fn index_of(ctx: &mut Context<'_, '_>, name: &TopicName, index: i64) -> Result<Option<Position>, CommandError> {
    let unit = ctx.round.durable_unit()?;
    if index == -1 {
        return Ok(unit.peek(name, End::Tail, Class::Queued));
    }
    let len = i64::try_from(unit.ready(name, Class::Queued)).unwrap_or(i64::MAX);
    let index = if index < 0 { len.checked_add(index).unwrap_or(-1) } else { index };
    let Ok(index) = u64::try_from(index) else { return Ok(None) };
    Ok(unit.range(name, Class::Queued, index, 1).first().copied())
}

/// `LMPOP numkeys key [key ...] LEFT|RIGHT [COUNT count]`.
pub fn lmpop(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let (keys, end, count) = many_keys(arguments.get(1..).unwrap_or_default())?;
    for key in keys {
        if let Some(name) = non_empty(ctx, key)? {
            let mut reply = ctx.reply();
            reply.array(2);
            reply.bulk(key);
            pop_many(ctx, &name, end, count)?;
            return Ok(Flow::Next);
        }
    }
    ctx.reply().null_array();
    Ok(Flow::Next)
}

/// The arguments of `LMPOP` and `BLMPOP` from `numkeys` on: keys, end, count.
pub fn many_keys(arguments: &[Bytes]) -> Result<(&[Bytes], End, u64), CommandError> {
    const NUMKEYS: CommandError = CommandError::Option("numkeys should be greater than 0");
    const COUNT: CommandError = CommandError::Option("count should be greater than 0");
    let [numkeys, rest @ ..] = arguments else { return Err(CommandError::Syntax) };
    let numkeys = integer(numkeys).ok().and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0).ok_or(NUMKEYS)?;
    let (keys, options) = rest.split_at_checked(numkeys).ok_or(CommandError::Syntax)?;
    match options {
        [end] => Ok((keys, end_of(end)?, 1)),
        [end, word, count] if is_word(word, "COUNT") => {
            let count = integer(count).ok().and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0).ok_or(COUNT)?;
            Ok((keys, end_of(end)?, count))
        }
        _ => Err(CommandError::Syntax),
    }
}

/// `LEFT` or `RIGHT`.
pub fn end_of(argument: &[u8]) -> Result<End, CommandError> {
    if is_word(argument, "LEFT") {
        Ok(End::Head)
    } else if is_word(argument, "RIGHT") {
        Ok(End::Tail)
    } else {
        Err(CommandError::Syntax)
    }
}

/// First index and count of a range with indexes from either end; `None` if it is empty.
pub fn slice(len: u64, start: i64, stop: i64) -> Option<(u64, u64)> {
    let len = i64::try_from(len).ok()?;
    let from_end = |index: i64| if index < 0 { len.saturating_add(index) } else { index };
    let (start, stop) = (from_end(start).max(0), from_end(stop).min(len - 1));
    if start > stop {
        return None;
    }
    Some((u64::try_from(start).ok()?, u64::try_from(stop - start + 1).ok()?))
}

/// A value in the log: where a reply finds it.
pub type At = (Arc<Partition>, u64);

/// Writes a value that is read once the reply may leave.
pub fn write_value(ctx: &mut Context<'_, '_>, (partition, offset): At) {
    ctx.out.value(ctx.session.protocol, partition, offset);
}

pub fn length(ctx: &mut Context<'_, '_>, key: &Bytes) -> Result<u64, CommandError> {
    match existing(ctx, key)? {
        Some(name) => Ok(ctx.round.durable_unit()?.ready(&name, Class::Queued)),
        None => Ok(0),
    }
}

/// Takes one element off a list.
pub fn pop(ctx: &mut Context<'_, '_>, name: &TopicName, end: End) -> Result<Option<At>, CommandError> {
    let Some(position) = ctx.round.durable_unit()?.pop(name, end, Class::Queued) else { return Ok(None) };
    Ok(located(ctx, name, vec![position])?.pop())
}

fn located(ctx: &mut Context<'_, '_>, name: &TopicName, positions: Vec<Position>) -> Result<Vec<At>, CommandError> {
    let Some(list) = recent(ctx, name)? else { return Ok(Vec::new()) };
    let locate = |at: Position| Some((list.topic.partition(at.partition)?, at.offset));
    Ok(positions.into_iter().filter_map(locate).collect())
}

/// The view of a key, if there is one; opened if another dialect made the name.
pub fn existing(ctx: &mut Context<'_, '_>, key: &Bytes) -> Result<Option<TopicName>, CommandError> {
    let name = mapping::topic_of_key(ctx.session.database, key)?;
    refuse_stream(ctx, &name)?;
    let unit = ctx.round.durable_unit()?;
    if unit.has_queue(&name) {
        return Ok(Some(name));
    }
    match unit.topic(&name) {
        // A channel that nobody has pushed to holds no element.
        Some(topic) if topic.settings().origin != ORIGIN => {
            unit.open_queue(topic.name(), QueueSpec::new(topic.name().clone(), true))?;
            Ok(Some(name))
        }
        Some(_) | None => Ok(None),
    }
}

/// A name of our own is a stream or a list; one that another dialect made may be read as both.
fn refuse_stream(ctx: &mut Context<'_, '_>, name: &TopicName) -> Result<(), CommandError> {
    if !ctx.round.unit()?.has_any_series() || ctx.round.unit()?.series(name).is_none() {
        return Ok(());
    }
    match recent(ctx, name)? {
        Some(topic) if topic.own => Err(CommandError::WrongType),
        Some(_) | None => Ok(()),
    }
}

/// The view of a key, if it has elements.
pub fn non_empty(ctx: &mut Context<'_, '_>, key: &Bytes) -> Result<Option<TopicName>, CommandError> {
    let Some(name) = existing(ctx, key)? else { return Ok(None) };
    Ok((ctx.round.durable_unit()?.ready(&name, Class::Queued) > 0).then_some(name))
}

/// The topic of a name, remembered from the command before if that used the same.
pub fn recent(ctx: &mut Context<'_, '_>, name: &TopicName) -> Result<Option<Recent>, CommandError> {
    if let Some(recent) = &ctx.session.recent
        && recent.name == *name
        && !recent.topic.is_deleted()
    {
        return Ok(Some(recent.clone()));
    }
    let found = ctx.round.unit()?.topic(name);
    ctx.session.recent = found.map(|topic| Recent { own: topic.settings().origin == ORIGIN, name: topic.name().clone(), topic });
    Ok(ctx.session.recent.clone())
}

/// The topic and view of a key, made if they are not there.
pub fn open(ctx: &mut Context<'_, '_>, key: &Bytes) -> Result<Recent, CommandError> {
    let list = topic_of(ctx, key)?;
    refuse_stream(ctx, &list.name)?;
    let unit = ctx.round.durable_unit()?;
    if !unit.has_queue(&list.name) {
        unit.open_queue(&list.name, QueueSpec::new(list.name.clone(), true))?;
    }
    Ok(list)
}

/// The topic of a key, made if it is not there.
pub fn topic_of(ctx: &mut Context<'_, '_>, key: &Bytes) -> Result<Recent, CommandError> {
    let name = mapping::topic_of_key(ctx.session.database, key)?;
    if recent(ctx, &name)?.is_none() {
        // Copied: the name outlives the read buffer that the key is a slice of.
        let own_name = TopicName::new(Bytes::copy_from_slice(name.as_bytes()))?;
        let max_bytes = u32::try_from(ctx.server.settings.bulk_bytes_max).unwrap_or(u32::MAX);
        ctx.round.durable_unit()?.create_topic(&own_name, 1, TopicSettings::consumed(ORIGIN, true, max_bytes))?;
    }
    recent(ctx, &name)?.ok_or(CommandError::NoSuchKey)
}

/// Refuses records that some queue view of the topic has no room for, all or none. Where others wait, a command of Redis does not:
/// none of those that write ever waits.
pub fn check_room(ctx: &mut Context<'_, '_>, list: &Recent, records: &[Record]) -> Result<(), CommandError> {
    let checked = check_room_for(ctx, list, records.len() as u64);
    if checked.is_err() {
        let unit = ctx.round.durable_unit()?;
        records.iter().for_each(|record| unit.refuse(&list.name, record, records.len() as u64));
    }
    checked
}

/// The same, for what does not die of it.
pub fn check_room_for(ctx: &mut Context<'_, '_>, list: &Recent, records: u64) -> Result<(), CommandError> {
    match ctx.round.durable_unit()?.room(&list.name, records) {
        Room::Enough => Ok(()),
        Room::Later | Room::Refused => Err(CommandError::QueueFull(list.name.to_string())),
    }
}

/// Refuses a value that the topic does not take.
pub fn check_size(list: &Recent, value: &[u8]) -> Result<(), CommandError> {
    check_bytes(list, value.len())
}

/// Refuses a record of so many bytes that the topic does not take.
pub fn check_bytes(list: &Recent, bytes: usize) -> Result<(), CommandError> {
    let limit_bytes = if bytes > SMALL_VALUE_BYTES { list.topic.max_message_bytes() } else { SMALL_VALUE_BYTES };
    if bytes > limit_bytes { Err(CommandError::TooLarge { limit_bytes }) } else { Ok(()) }
}

/// Puts a record at an end of a list.
pub fn put(ctx: &mut Context<'_, '_>, list: &Recent, end: End, record: &Record) -> Result<(), CommandError> {
    let unit = ctx.round.durable_unit()?;
    match end {
        End::Head => {
            unit.append_front(&list.topic, record);
        }
        End::Tail => {
            let partition = partition_of(&list.topic, &mapping::placing(record));
            unit.append(&[Target { topic: Arc::clone(&list.topic), partition }], record, Kind::Queued);
        }
    }
    count_written(ctx, record);
    Ok(())
}

/// Counts a record for the metrics.
pub fn count_written(ctx: &mut Context<'_, '_>, record: &Record) {
    ctx.round.written.records += 1;
    ctx.round.written.bytes += mapping::payload(record).len() as u64;
}

#[cfg(test)]
mod tests {
    use super::slice;

    #[test]
    fn ranges_count_from_either_end() {
        assert_eq!(slice(5, 0, -1), Some((0, 5)));
        assert_eq!(slice(5, -2, -1), Some((3, 2)));
        assert_eq!(slice(5, -100, 100), Some((0, 5)));
        assert_eq!(slice(5, 2, 2), Some((2, 1)));
        for (len, start, stop) in [(0, 0, -1), (5, 3, 2), (5, 5, 9), (5, 0, -6), (5, i64::MAX, i64::MIN)] {
            assert_eq!(slice(len, start, stop), None);
        }
    }
}
