//! `XREAD` and `XREADGROUP`, waiting included.
//!
//! Who waits is given what it waits for within the unit that brings it, in the order in which they wait, as Redis does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::blocking::Cause;
use super::{Context, Flow, Outcome, integer, is_word, shown, stream, stream_id};
use crate::delivery::Asker;
use crate::delivery::series::{Answer, Held, Missing, Span, Stamp, Waiter, Want};
use crate::dialect::redis::clients::Unblock;
use crate::dialect::redis::error::CommandError;
use crate::dialect::redis::mapping;
use crate::dialect::redis::session::{Blocked, Waiting};
use crate::dialect::redis::wire::Protocol;
use crate::log::{Signal, TopicName};

/// How many entries a blocked command without `COUNT` is given at most.
const BLOCKED_COUNT: u64 = 1000;

/// What is read of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    /// What lies behind this id; for a group: of what its consumer holds.
    Id(Stamp),
    /// What was given to nobody yet.
    Given,
}

/// What a reader asks for.
#[derive(Debug)]
pub struct Request {
    keys: Vec<(Bytes, TopicName, After)>,
    count: Option<u64>,
    asker: Option<Asker>,
    keep: bool,
}

/// A reader that waits, and the streams that it waits on.
#[derive(Debug)]
pub struct Wait {
    keys: Vec<(Bytes, TopicName)>,
    waiter: Arc<Waiter>,
}

/// What one stream gives.
enum Found {
    Spans(Vec<Span>),
    /// Entries with their ids; those without an offset are gone.
    Single(Vec<(Stamp, Option<u64>)>),
}

impl Found {
    fn given(given: Vec<(Stamp, u64)>) -> Self {
        Found::Single(given.into_iter().map(|(stamp, offset)| (stamp, Some(offset))).collect())
    }
}

pub fn xread(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    read(ctx, arguments, false)
}

pub fn xreadgroup(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    read(ctx, arguments, true)
}

/// The options in front of `STREAMS`.
#[derive(Default)]
struct Options<'a> {
    block_ms: Option<u64>,
    count: Option<u64>,
    group: Option<(&'a Bytes, &'a Bytes)>,
    no_ack: bool,
    /// Keys, then as many ids.
    streams: &'a [Bytes],
}

fn read(ctx: &mut Context<'_, '_>, arguments: &[Bytes], is_group: bool) -> Outcome {
    let options = options(arguments.get(1..).unwrap_or_default(), is_group)?;
    if is_group && options.group.is_none() {
        return Err(CommandError::Option("Missing GROUP option for XREADGROUP"));
    }
    let block_ms = options.block_ms;
    let request = request(ctx, &options)?;
    if serve(ctx, &request)? {
        return Ok(Flow::Next);
    }
    let Some(block_ms) = block_ms.filter(|_| !ctx.round.is_atomic()) else {
        ctx.reply().null_array();
        return Ok(Flow::Next);
    };
    let signal = Signal::clone(ctx.session.client.signal());
    let waiter = Arc::new(Waiter::new(signal, request.count.unwrap_or(BLOCKED_COUNT)));
    let unit = ctx.round.durable_unit()?;
    for (_, name, after) in &request.keys {
        let want = match (after, &request.asker) {
            (After::Given, Some(asker)) => Want::Next { asker: asker.clone(), keep: request.keep },
            (After::Id(id), None) => Want::After(*id),
            // A history is there at once, and nothing else can be asked for.
            (After::Given, None) | (After::Id(_), Some(_)) => continue,
        };
        unit.wait_for_more(name, &waiter, want);
    }
    let keys = request.keys.into_iter().map(|(key, name, _)| (key, name)).collect();
    let deadline = (block_ms > 0).then(|| Instant::now().checked_add(Duration::from_millis(block_ms))).flatten();
    Ok(Flow::Block(Box::new(Blocked { deadline, waiting: Waiting::Entries(Wait { keys, waiter }) })))
}

fn options(mut rest: &[Bytes], is_group: bool) -> Result<Options<'_>, CommandError> {
    const UNBALANCED: &str = "Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.";
    let mut options = Options::default();
    loop {
        match rest {
            [word, timeout, after @ ..] if is_word(word, "BLOCK") => {
                let ms = integer(timeout).map_err(|_| CommandError::TimeoutNotAnInteger)?;
                options.block_ms = Some(u64::try_from(ms).map_err(|_| CommandError::TimeoutNegative)?);
                rest = after;
            }
            [word, count, after @ ..] if is_word(word, "COUNT") => {
                options.count = u64::try_from(integer(count)?).ok().filter(|count| *count > 0);
                rest = after;
            }
            [word, streams @ ..] if is_word(word, "STREAMS") && !streams.is_empty() => {
                if !streams.len().is_multiple_of(2) {
                    return Err(CommandError::Option(UNBALANCED));
                }
                options.streams = streams;
                return Ok(options);
            }
            [word, group, consumer, after @ ..] if is_word(word, "GROUP") => {
                if !is_group {
                    const ONLY: &str = "The GROUP option is only supported by XREADGROUP. You called XREAD instead.";
                    return Err(CommandError::Option(ONLY));
                }
                options.group = Some((group, consumer));
                rest = after;
            }
            [word, after @ ..] if is_word(word, "NOACK") => {
                if !is_group {
                    const ONLY: &str = "The NOACK option is only supported by XREADGROUP. You called XREAD instead.";
                    return Err(CommandError::Option(ONLY));
                }
                options.no_ack = true;
                rest = after;
            }
            _ => return Err(CommandError::Syntax),
        }
    }
}

/// Looks up streams and groups, and what `$` and `>` mean now.
fn request(ctx: &mut Context<'_, '_>, options: &Options<'_>) -> Result<Request, CommandError> {
    let (keys, ids) = options.streams.split_at(options.streams.len() / 2);
    let own = |bytes: &Bytes| Bytes::copy_from_slice(bytes);
    let asker = options.group.map(|(group, member)| Asker { cohort: own(group), member: own(member) });
    let mut request = Request { keys: Vec::new(), count: options.count, asker, keep: !options.no_ack };
    for (key, id) in keys.iter().zip(ids) {
        let name = mapping::topic_of_key(ctx.session.database, &own(key))?;
        let found = stream::existing(ctx, key)?;
        let unit = ctx.round.durable_unit()?;
        if let Some(asker) = &request.asker
            && found.as_ref().and_then(|name| unit.cohort(name, &asker.cohort)).is_none()
        {
            let (key, group) = (shown(key), shown(&asker.cohort));
            return Err(CommandError::NoSuchGroup { key, group, place: " in XREADGROUP with GROUP option" });
        }
        let after = match (id.as_ref(), request.asker.is_some()) {
            (b"$", true) => return Err(CommandError::Option(DOLLAR_IN_GROUP)),
            (b"$", false) => After::Id(unit.series(&name).map(|series| series.last()).unwrap_or_default()),
            (b">", true) => After::Given,
            (b">", false) => return Err(CommandError::Option(GIVEN_WITHOUT_GROUP)),
            (id, _) => After::Id(stream_id::strict(id, 0)?),
        };
        request.keys.push((own(key), name, after));
    }
    Ok(request)
}

const DOLLAR_IN_GROUP: &str = "The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by \
                               specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty \
                               result set.";
const GIVEN_WITHOUT_GROUP: &str =
    "The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.";

/// Writes what there is. `false`: nothing was there, and nothing is written.
fn serve(ctx: &mut Context<'_, '_>, request: &Request) -> Result<bool, CommandError> {
    let mut all = Vec::new();
    for (key, name, after) in &request.keys {
        if let Some(found) = look(ctx, request, name, *after)? {
            all.push((key.clone(), name.clone(), found));
        }
    }
    if all.is_empty() {
        return Ok(false);
    }
    write_all(ctx, all)?;
    Ok(true)
}

/// Writes what several streams give.
fn write_all(ctx: &mut Context<'_, '_>, all: Vec<(Bytes, TopicName, Found)>) -> Result<(), CommandError> {
    match ctx.protocol() {
        Protocol::Resp2 => ctx.reply().array(all.len()),
        Protocol::Resp3 => ctx.reply().map(all.len()),
    }
    for (key, name, found) in all {
        if ctx.protocol() == Protocol::Resp2 {
            ctx.reply().array(2);
        }
        ctx.reply().bulk(&key);
        write_found(ctx, &name, found)?;
    }
    Ok(())
}

fn look(ctx: &mut Context<'_, '_>, request: &Request, name: &TopicName, after: After) -> Result<Option<Found>, CommandError> {
    let count = request.count.unwrap_or(u64::MAX);
    let unit = ctx.round.durable_unit()?;
    if unit.series(name).is_none() {
        return Ok(None);
    }
    Ok(match (&request.asker, after) {
        (Some(asker), After::Given) => {
            let given = unit.hand_out_next(name, asker, count, request.keep);
            (!given.is_empty()).then(|| Found::given(given))
        }
        (Some(asker), After::Id(id)) => {
            unit.hear_of(name, asker);
            let from = id.next().unwrap_or(Stamp::MAX);
            Some(Found::Single(history(unit, name, asker, from, count)))
        }
        (None, After::Id(id)) => {
            let Some(from) = id.next() else { return Ok(None) };
            let spans = unit.spans(name, from..=Stamp::MAX, count, false);
            (!spans.is_empty()).then_some(Found::Spans(spans))
        }
        (None, After::Given) => None,
    })
}

/// What a consumer holds from an id on; it has been given it once more.
fn history(
    unit: &mut crate::delivery::Unit<'_>,
    name: &TopicName,
    asker: &Asker,
    from: Stamp,
    count: u64,
) -> Vec<(Stamp, Option<u64>)> {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let Some(cohort) = unit.cohort(name, &asker.cohort) else { return Vec::new() };
    let held: Vec<(Stamp, Held)> =
        cohort.held_by(&asker.member, from..=Stamp::MAX).take(count).map(|(stamp, held)| (stamp, held.clone())).collect();
    let mut found = Vec::with_capacity(held.len());
    for (stamp, held) in held {
        let series = unit.series(name).filter(|series| series.contains(held.index));
        let offset = series.map(|series| series.offset_of(held.index));
        found.push((stamp, offset));
        if offset.is_some() {
            let again = Held { at_ms: unit.now_ms(), count: held.count.saturating_add(1), ..held };
            unit.hold(name, &asker.cohort, stamp, again);
        }
    }
    found
}

fn write_found(ctx: &mut Context<'_, '_>, name: &TopicName, found: Found) -> Result<(), CommandError> {
    match found {
        Found::Spans(spans) => {
            let count: u64 = spans.iter().map(|span| span.offsets.end - span.offsets.start).sum();
            ctx.reply().array(usize::try_from(count).unwrap_or(usize::MAX));
            stream::write_spans(ctx, name, spans, false)
        }
        Found::Single(entries) => {
            ctx.reply().array(entries.len());
            entries.into_iter().try_for_each(|(stamp, offset)| write_entry(ctx, name, stamp, offset))
        }
    }
}

/// Writes one entry, or its id alone if it is gone.
pub fn write_entry(ctx: &mut Context<'_, '_>, name: &TopicName, stamp: Stamp, offset: Option<u64>) -> Result<(), CommandError> {
    match offset {
        Some(offset) => {
            let span = Span { offsets: offset..offset + 1, given: Some(stamp) };
            stream::write_spans(ctx, name, vec![span], false)
        }
        None => {
            let mut reply = ctx.reply();
            reply.array(2);
            reply.bulk(stamp.to_string().as_bytes());
            reply.null_array();
            Ok(())
        }
    }
}

/// Looks whether a reader that waits can be answered. `true`: it is done, and waits no more.
pub fn go_on(ctx: &mut Context<'_, '_>, wait: &Wait, cause: Cause) -> Result<bool, CommandError> {
    let unit = ctx.round.durable_unit()?;
    let answer = wait.waiter.answer();
    if answer.is_none() && cause == Cause::Woken {
        return Ok(false);
    }
    wait.keys.iter().for_each(|(_, name)| unit.wait_no_more(name, &wait.waiter));
    match answer {
        Some((name, answer)) => write_answer(ctx, wait, &name, answer)?,
        None if cause == Cause::Unblocked(Unblock::Error) => return Err(CommandError::Unblocked),
        None => ctx.reply().null_array(),
    }
    Ok(true)
}

fn write_answer(ctx: &mut Context<'_, '_>, wait: &Wait, name: &TopicName, answer: Answer) -> Result<(), CommandError> {
    let found = match answer {
        Answer::Spans(spans) => Found::Spans(spans),
        Answer::Given(given) => Found::given(given),
        Answer::Gone(Missing::Series) => return Err(CommandError::StreamRemoved),
        Answer::Gone(Missing::Cohort) => return Err(CommandError::GroupRemoved),
    };
    let key = wait.keys.iter().find(|(_, known)| known == name).map(|(key, _)| key.clone()).unwrap_or_default();
    write_all(ctx, vec![(key, name.clone(), found)])
}
