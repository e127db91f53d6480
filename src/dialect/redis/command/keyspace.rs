//! Keys of a database: the queue views that hold elements, and the streams, under the names that the database sees.

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use bytes::Bytes;

use super::{Context, Flow, Outcome, integer, is_word, list};
use crate::delivery::{Class, Unit};
use crate::dialect::redis::error::CommandError;
use crate::dialect::redis::{glob, mapping};
use crate::log::TopicName;

/// The names of all keys: views with elements, and streams.
fn all_keys(unit: &Unit<'_>) -> Vec<TopicName> {
    let streams = unit.series_names();
    let mut names = unit.queue_names();
    names.retain(|name| unit.series(name).is_none() && unit.ready(name, Class::Queued) > 0);
    names.extend(streams);
    names
}

/// All keys of this database, with their topics.
fn keys_of(ctx: &mut Context<'_, '_>, database: u32) -> Result<Vec<(Bytes, TopicName)>, CommandError> {
    let databases = ctx.server.settings.databases;
    let unit = ctx.round.durable_unit()?;
    let names = all_keys(unit).into_iter();
    Ok(names.filter_map(|name| Some((mapping::key_of_topic(database, databases, &name)?, name))).collect())
}

/// The number of keys in each database that has any.
pub fn sizes(unit: &Unit<'_>, databases: u32) -> Vec<(u32, u64)> {
    let filled = all_keys(unit);
    let size = |database| filled.iter().filter(|name| mapping::key_of_topic(database, databases, name).is_some()).count();
    (0..databases).map(|database| (database, size(database) as u64)).filter(|(_, size)| *size > 0).collect()
}

/// What a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    List,
    Stream,
}

impl Type {
    const fn name(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Stream => "stream",
        }
    }
}

/// What a key is, if it exists, and its topic.
fn look_up(ctx: &mut Context<'_, '_>, key: &Bytes) -> Result<Option<(Type, TopicName)>, CommandError> {
    let name = mapping::topic_of_key(ctx.session.database, key)?;
    if ctx.round.durable_unit()?.series(&name).is_some() {
        return Ok(Some((Type::Stream, name)));
    }
    Ok(list::non_empty(ctx, key)?.map(|name| (Type::List, name)))
}

/// Empties a list, or forgets a stream. The records stay in the log for its other readers.
fn delete(ctx: &mut Context<'_, '_>, (kind, name): (Type, TopicName)) -> Result<(), CommandError> {
    let unit = ctx.round.durable_unit()?;
    match kind {
        Type::Stream => unit.drop_series(&name),
        Type::List => drop(unit.purge(&name, Class::Queued)),
    }
    ctx.round.serve_waiting();
    Ok(())
}

pub fn dbsize(ctx: &mut Context<'_, '_>, _: &[Bytes]) -> Outcome {
    let size = keys_of(ctx, ctx.session.database)?.len() as u64;
    ctx.reply().count(size);
    Ok(Flow::Next)
}

/// `DEL` and `UNLINK`.
pub fn del(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let mut deleted = 0;
    for key in arguments.iter().skip(1) {
        if let Some(found) = look_up(ctx, key)? {
            delete(ctx, found)?;
            deleted += 1;
        }
    }
    ctx.reply().integer(deleted);
    Ok(Flow::Next)
}

/// `EXISTS` and `TOUCH`: a key named twice counts twice.
pub fn exists(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let mut found = 0;
    for key in arguments.iter().skip(1) {
        found += i64::from(look_up(ctx, key)?.is_some());
    }
    ctx.reply().integer(found);
    Ok(Flow::Next)
}

pub fn type_of(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let key = arguments.get(1).ok_or(CommandError::Arity("type"))?;
    let found = look_up(ctx, key)?;
    ctx.reply().simple(found.map_or("none", |(kind, _)| kind.name()));
    Ok(Flow::Next)
}

/// `TTL` and `PTTL`: no key has a time to live yet.
pub fn ttl(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let exists = has_key(ctx, arguments.get(1))?;
    ctx.reply().integer(if exists { -1 } else { -2 });
    Ok(Flow::Next)
}

pub fn persist(ctx: &mut Context<'_, '_>, _: &[Bytes]) -> Outcome {
    ctx.reply().integer(0);
    Ok(Flow::Next)
}

fn has_key(ctx: &mut Context<'_, '_>, key: Option<&Bytes>) -> Result<bool, CommandError> {
    match key {
        Some(key) => Ok(look_up(ctx, key)?.is_some()),
        None => Ok(false),
    }
}

pub fn keys(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let pattern = arguments.get(1).cloned().unwrap_or_default();
    let mut keys = keys_of(ctx, ctx.session.database)?;
    keys.retain(|(key, _)| glob::matches(&pattern, key));
    let mut reply = ctx.reply();
    reply.array(keys.len());
    for (key, _) in &keys {
        reply.bulk(key);
    }
    Ok(Flow::Next)
}

pub fn randomkey(ctx: &mut Context<'_, '_>, _: &[Bytes]) -> Outcome {
    let keys = keys_of(ctx, ctx.session.database)?;
    let chosen = if keys.is_empty() { None } else { keys.get(rand::random_range(0..keys.len())) };
    match chosen {
        Some((key, _)) => ctx.reply().bulk(key),
        None => ctx.reply().null(),
    }
    Ok(Flow::Next)
}

/// `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]`.
///
/// The cursor is a place in the order of the keys' hashes, so it stays valid while keys come and go: a key that is there all the
/// time is returned, once.
pub fn scan(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let [_, cursor, options @ ..] = arguments else { return Err(CommandError::Arity("scan")) };
    let cursor: u64 = std::str::from_utf8(cursor).ok().and_then(|text| text.parse().ok()).ok_or(CommandError::InvalidCursor)?;
    let options = scan_options(options)?;
    let keys = keys_of(ctx, ctx.session.database)?;
    let unit = ctx.round.durable_unit()?;
    let is_stream = |name: &TopicName| unit.series(name).is_some();
    let streams: HashSet<Bytes> = keys.iter().filter(|(_, name)| is_stream(name)).map(|(key, _)| key.clone()).collect();
    let keys = keys.into_iter().map(|(key, _)| (hash(&key), key)).collect();
    let (next, mut page) = page_of(keys, cursor, options.count);
    if let Some(wanted) = &options.kind {
        page.retain(|key| {
            let kind = if streams.contains(key) { Type::Stream } else { Type::List };
            is_word(wanted, kind.name())
        });
    }
    page.retain(|key| options.pattern.as_ref().is_none_or(|pattern| glob::matches(pattern, key)));
    let mut reply = ctx.reply();
    reply.array(2);
    reply.bulk(next.to_string().as_bytes());
    reply.array(page.len());
    for key in &page {
        reply.bulk(key);
    }
    Ok(Flow::Next)
}

struct ScanOptions {
    pattern: Option<Bytes>,
    count: usize,
    /// The name of the only type that is wanted.
    kind: Option<Bytes>,
}

fn scan_options(mut rest: &[Bytes]) -> Result<ScanOptions, CommandError> {
    let mut options = ScanOptions { pattern: None, count: 10, kind: None };
    while let [option, value, after @ ..] = rest {
        if is_word(option, "MATCH") {
            options.pattern = Some(value.clone());
        } else if is_word(option, "COUNT") {
            options.count = usize::try_from(integer(value)?).ok().filter(|n| *n > 0).ok_or(CommandError::Syntax)?;
        } else if is_word(option, "TYPE") {
            options.kind = Some(value.clone());
        } else {
            return Err(CommandError::Syntax);
        }
        rest = after;
    }
    if rest.is_empty() { Ok(options) } else { Err(CommandError::Syntax) }
}

/// A hash that is the same in every call, and never the largest number.
fn hash(key: &[u8]) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(key) >> 1
}

/// The keys from `cursor` on, `count` of them or a few more where hashes are equal, and the next cursor.
fn page_of(mut keys: Vec<(u64, Bytes)>, cursor: u64, count: usize) -> (u64, Vec<Bytes>) {
    keys.retain(|(hash, _)| *hash >= cursor);
    keys.sort_unstable();
    let last = keys.get(count.saturating_sub(1)).map(|(hash, _)| *hash);
    let Some(last) = last else { return (0, keys.into_iter().map(|(_, key)| key).collect()) };
    let more = keys.last().is_some_and(|(hash, _)| *hash > last);
    let page = keys.into_iter().take_while(|(hash, _)| *hash <= last).map(|(_, key)| key).collect();
    (if more { last + 1 } else { 0 }, page)
}

pub fn flushdb(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    check_flush(arguments)?;
    flush(ctx, Some(ctx.session.database))
}

pub fn flushall(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    check_flush(arguments)?;
    flush(ctx, None)
}

fn check_flush(arguments: &[Bytes]) -> Result<(), CommandError> {
    match arguments {
        [_] => Ok(()),
        [_, how] if is_word(how, "ASYNC") || is_word(how, "SYNC") => Ok(()),
        _ => Err(CommandError::Syntax),
    }
}

fn flush(ctx: &mut Context<'_, '_>, database: Option<u32>) -> Outcome {
    let databases = match database {
        Some(one) => one..one + 1,
        None => 0..ctx.server.settings.databases,
    };
    for database in databases {
        for (_, name) in keys_of(ctx, database)? {
            let is_stream = ctx.round.durable_unit()?.series(&name).is_some();
            delete(ctx, (if is_stream { Type::Stream } else { Type::List }, name))?;
        }
    }
    ctx.reply().ok();
    Ok(Flow::Next)
}

pub fn object_encoding(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let key = arguments.get(2).ok_or(CommandError::Arity("object|encoding"))?;
    match look_up(ctx, key)? {
        Some((Type::List, _)) => ctx.reply().bulk(b"quicklist"),
        Some((Type::Stream, _)) => ctx.reply().bulk(b"stream"),
        None => ctx.reply().null(),
    }
    Ok(Flow::Next)
}

pub fn object_refcount(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    write_if_key(ctx, arguments, 1)
}

pub fn object_number(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    write_if_key(ctx, arguments, 0)
}

fn write_if_key(ctx: &mut Context<'_, '_>, arguments: &[Bytes], value: i64) -> Outcome {
    if has_key(ctx, arguments.get(2))? {
        ctx.reply().integer(value);
    } else {
        ctx.reply().null();
    }
    Ok(Flow::Next)
}

pub fn object_freq(_: &mut Context<'_, '_>, _: &[Bytes]) -> Outcome {
    Err(CommandError::Option(
        "An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at \
         runtime LRU and LFU data will take some time to adjust.",
    ))
}

pub fn object_help(ctx: &mut Context<'_, '_>, _: &[Bytes]) -> Outcome {
    super::introspection::help_of(ctx, "OBJECT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_returns_each_key_once_whatever_the_page() {
        let names: Vec<Bytes> = (0..1000).map(|i| Bytes::from(format!("key:{i}"))).collect();
        for count in [1, 7, 10, 999, 1000, 5000] {
            let (mut cursor, mut seen) = (0, Vec::new());
            loop {
                let keys = names.iter().map(|key| (hash(key), key.clone())).collect();
                let (next, page) = page_of(keys, cursor, count);
                seen.extend(page);
                cursor = next;
                if cursor == 0 {
                    break;
                }
            }
            seen.sort();
            let mut all = names.clone();
            all.sort();
            assert_eq!(seen, all, "count {count}");
        }
    }

    #[test]
    fn keys_with_one_hash_come_on_one_page() {
        let keys = vec![(5, Bytes::from("a")), (5, Bytes::from("b")), (5, Bytes::from("c")), (9, Bytes::from("d"))];
        let (next, page) = page_of(keys.clone(), 0, 1);
        assert_eq!((next, page.len()), (6, 3));
        assert_eq!(page_of(keys, 6, 1), (0, vec![Bytes::from("d")]));
    }
}
