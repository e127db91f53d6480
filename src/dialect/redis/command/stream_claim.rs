//! `XCLAIM` and `XAUTOCLAIM`: pending entries go to another consumer.

use bytes::Bytes;

use super::{Context, Flow, Outcome, integer, is_word, shown, stream, stream_group, stream_id, stream_read};
use crate::delivery::Asker;
use crate::delivery::series::{Held, SeriesOp, Stamp};
use crate::dialect::redis::error::CommandError;
use crate::log::TopicName;

/// So many pending entries are looked at for each that `XAUTOCLAIM` may claim.
const LOOKED_AT_FACTOR: usize = 10;

/// What happens to an entry that is claimed.
#[derive(Debug, Clone, Copy)]
struct Terms {
    idle_ms_min: i64,
    at_ms: i64,
    count: Option<u64>,
    force: bool,
    only_ids: bool,
    last: Stamp,
}

/// `XCLAIM key group consumer min-idle-time id [id ...] [IDLE ms] [TIME unix-ms] [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID id]`.
pub fn xclaim(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let [_, key, group, consumer, idle, rest @ ..] = arguments else { return Err(CommandError::Arity("xclaim")) };
    let name = match stream::existing(ctx, key)? {
        Some(name) if ctx.round.durable_unit()?.cohort(&name, group).is_some() => name,
        _ => return Err(CommandError::NoSuchGroup { key: shown(key), group: shown(group), place: "" }),
    };
    let idle_ms = integer(idle).map_err(|_| CommandError::Option("Invalid min-idle-time argument for XCLAIM"))?;
    let stamps: Vec<Stamp> = rest.iter().map_while(|id| stream_id::strict(id, 0).ok()).collect();
    let options = rest.get(stamps.len()..).unwrap_or_default();
    let terms = terms(options, idle_ms, ctx.round.now_ms())?;
    let asker = asker(group, consumer);
    raise_last(ctx, &name, &asker, terms.last)?;
    let mut claimed = Vec::new();
    for stamp in stamps {
        if let Some(offset) = claim(ctx, &name, &asker, stamp, &terms)? {
            claimed.push((stamp, offset));
        }
    }
    write_claimed(ctx, &name, claimed, terms.only_ids)?;
    Ok(Flow::Next)
}

fn terms(mut options: &[Bytes], idle_ms_min: i64, now_ms: i64) -> Result<Terms, CommandError> {
    let number = |text: &Bytes, error| integer(text).map_err(|_| CommandError::Option(error));
    let mut terms = Terms { idle_ms_min, at_ms: now_ms, count: None, force: false, only_ids: false, last: Stamp::MIN };
    loop {
        options = match options {
            [] => return Ok(terms),
            [word, rest @ ..] if is_word(word, "FORCE") => {
                terms.force = true;
                rest
            }
            [word, rest @ ..] if is_word(word, "JUSTID") => {
                terms.only_ids = true;
                rest
            }
            [word, ms, rest @ ..] if is_word(word, "IDLE") => {
                let idle = number(ms, "Invalid IDLE option argument for XCLAIM")?;
                terms.at_ms = sane(now_ms.saturating_sub(idle), now_ms);
                rest
            }
            [word, ms, rest @ ..] if is_word(word, "TIME") => {
                terms.at_ms = sane(number(ms, "Invalid TIME option argument for XCLAIM")?, now_ms);
                rest
            }
            [word, count, rest @ ..] if is_word(word, "RETRYCOUNT") => {
                terms.count = u64::try_from(number(count, "Invalid RETRYCOUNT option argument for XCLAIM")?).ok();
                rest
            }
            [word, id, rest @ ..] if is_word(word, "LASTID") => {
                terms.last = stream_id::strict(id, 0)?;
                rest
            }
            [word, ..] => return Err(CommandError::UnknownClaimOption(shown(word))),
        };
    }
}

/// A time in the future, or before 1970, is now.
fn sane(at_ms: i64, now_ms: i64) -> i64 {
    if (0..=now_ms).contains(&at_ms) { at_ms } else { now_ms }
}

fn raise_last(ctx: &mut Context<'_, '_>, name: &TopicName, asker: &Asker, last: Stamp) -> Result<(), CommandError> {
    let unit = ctx.round.durable_unit()?;
    if let Some(read) = unit.cohort(name, &asker.cohort).filter(|cohort| cohort.last < last).map(|cohort| cohort.read) {
        unit.change_series(name, SeriesOp::Cohort { name: asker.cohort.clone(), last, read });
    }
    Ok(())
}

/// Gives an entry to a consumer if it may be, and tells where it lies; one that is gone is pending no more.
fn claim(
    ctx: &mut Context<'_, '_>,
    name: &TopicName,
    asker: &Asker,
    stamp: Stamp,
    terms: &Terms,
) -> Result<Option<u64>, CommandError> {
    let unit = ctx.round.durable_unit()?;
    let held = unit.cohort(name, &asker.cohort).and_then(|cohort| cohort.held(stamp)).cloned();
    let index = match &held {
        Some(held) => unit.series(name).is_some_and(|series| series.contains(held.index)).then_some(held.index),
        None if terms.force => unit.find_stamp(name, stamp),
        None => None,
    };
    let Some(index) = index else {
        if held.is_some() {
            unit.settle_held(name, &asker.cohort, &[stamp]);
        }
        return Ok(None);
    };
    let now_ms = unit.now_ms();
    if held.as_ref().is_some_and(|held| terms.idle_ms_min > 0 && now_ms - held.at_ms < terms.idle_ms_min) {
        return Ok(None);
    }
    let before = held.map_or(u64::from(terms.force), |held| held.count);
    let count = terms.count.unwrap_or(if terms.only_ids { before } else { before.saturating_add(1) });
    unit.hear_of(name, asker);
    unit.hold(name, &asker.cohort, stamp, Held { member: asker.member.clone(), index, at_ms: terms.at_ms, count });
    Ok(unit.series(name).map(|series| series.offset_of(index)))
}

/// `XAUTOCLAIM key group consumer min-idle-time start [COUNT count] [JUSTID]`.
pub fn xautoclaim(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let [_, key, group, consumer, idle, start, options @ ..] = arguments else { return Err(CommandError::Arity("xautoclaim")) };
    let idle_ms = integer(idle).map_err(|_| CommandError::Option("Invalid min-idle-time argument for XAUTOCLAIM"))?;
    let start = stream_id::start(start)?;
    let (count_max, only_ids) = auto_options(options)?;
    let name = stream_group::pending_group(ctx, key, group)?;
    let asker = asker(group, consumer);
    let now_ms = ctx.round.now_ms();
    let terms = Terms { idle_ms_min: idle_ms, at_ms: now_ms, count: None, force: false, only_ids, last: Stamp::MIN };
    let unit = ctx.round.durable_unit()?;
    let looked_at = count_max.saturating_mul(LOOKED_AT_FACTOR);
    let cohort = unit.cohort(&name, group);
    let pending: Vec<(Stamp, u64)> = cohort
        .map(|cohort| cohort.held_in(start..=Stamp::MAX).take(looked_at.saturating_add(1)).map(|(s, h)| (s, h.index)).collect())
        .unwrap_or_default();
    let (mut claimed, mut gone, mut next) = (Vec::new(), Vec::new(), Stamp::MIN);
    for (passed, (stamp, index)) in pending.into_iter().enumerate() {
        if passed >= looked_at || claimed.len() + gone.len() >= count_max {
            next = stamp;
            break;
        }
        let is_there = ctx.round.durable_unit()?.series(&name).is_some_and(|series| series.contains(index));
        match claim(ctx, &name, &asker, stamp, &terms)? {
            Some(offset) => claimed.push((stamp, offset)),
            None if !is_there => gone.push(stamp),
            None => {}
        }
    }
    let mut reply = ctx.reply();
    reply.array(3);
    reply.bulk(next.to_string().as_bytes());
    write_claimed(ctx, &name, claimed, only_ids)?;
    let mut reply = ctx.reply();
    reply.array(gone.len());
    gone.into_iter().for_each(|stamp| reply.bulk(stamp.to_string().as_bytes()));
    Ok(Flow::Next)
}

fn auto_options(mut options: &[Bytes]) -> Result<(usize, bool), CommandError> {
    const NOT_POSITIVE: CommandError = CommandError::Option("COUNT must be > 0");
    let (mut count, mut only_ids) = (100, false);
    loop {
        options = match options {
            [] => return Ok((count, only_ids)),
            [word, value, rest @ ..] if is_word(word, "COUNT") => {
                count = usize::try_from(integer(value)?).ok().filter(|n| *n > 0 && *n < 1 << 59).ok_or(NOT_POSITIVE)?;
                rest
            }
            [word, rest @ ..] if is_word(word, "JUSTID") => {
                only_ids = true;
                rest
            }
            _ => return Err(CommandError::Syntax),
        };
    }
}

fn write_claimed(
    ctx: &mut Context<'_, '_>,
    name: &TopicName,
    claimed: Vec<(Stamp, u64)>,
    only_ids: bool,
) -> Result<(), CommandError> {
    ctx.reply().array(claimed.len());
    for (stamp, offset) in claimed {
        if only_ids {
            ctx.reply().bulk(stamp.to_string().as_bytes());
        } else {
            stream_read::write_entry(ctx, name, stamp, Some(offset))?;
        }
    }
    Ok(())
}

fn asker(group: &Bytes, consumer: &Bytes) -> Asker {
    Asker { cohort: Bytes::copy_from_slice(group), member: Bytes::copy_from_slice(consumer) }
}
