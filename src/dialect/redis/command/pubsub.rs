//! Channels: a publish is an append to the topic of that name, a subscription is a tail of it.
//!
//! A subscriber gets what any dialect writes to the name, except what Redis pushes to the list of that name. The reply to `PUBLISH`
//! does not wait for the disk; subscribers get the message once it is durable.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::{Context, Flow, Outcome, list};
use crate::delivery::{Announcement, Class, Kind, Listener, Target};
use crate::dialect::redis::error::CommandError;
use crate::dialect::redis::outbox::Outbox;
use crate::dialect::redis::session::Recent;
use crate::dialect::redis::wire::Protocol;
use crate::dialect::redis::{ORIGIN, glob, mapping};
use crate::log::record::Record;
use crate::log::{Signal, TopicName, TopicSettings};

pub fn publish(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let [_, channel, message] = arguments else { return Err(CommandError::Arity("publish")) };
    let name = TopicName::new(channel.clone())?;
    let topic = topic_of_channel(ctx, &name, message)?;
    let now_ms = ctx.round.now_ms();
    let unit = ctx.round.unit()?;
    let receivers = unit.receivers(&name);
    // Copied for subscribers: a slice would hold the whole read buffer until the slowest has taken it.
    let message = if receivers > 0 { Bytes::copy_from_slice(message) } else { message.clone() };
    let record = mapping::record(message, now_ms);
    match topic {
        Some(topic) => {
            unit.append(&[Target { topic: topic.topic, partition: 0 }], &record, Kind::Broadcast);
            ctx.round.written.records += 1;
            ctx.round.written.bytes += mapping::payload(&record).len() as u64;
            ctx.round.serve_waiting();
        }
        None => {
            unit.announce(&name, &record);
            ctx.round.written.live_only += 1;
        }
    }
    ctx.reply().count(receivers);
    Ok(Flow::Next)
}

/// Where a publish is logged; `None` for a channel that is live only: the name of a list, a name of the log itself, a message
/// that the topic does not take, or one name too many.
fn topic_of_channel(ctx: &mut Context<'_, '_>, name: &TopicName, message: &[u8]) -> Result<Option<Recent>, CommandError> {
    if name.is_internal() {
        return Ok(None);
    }
    if let Some(topic) = list::recent(ctx, name)? {
        let is_list = topic.own && ctx.round.unit()?.ready(name, Class::Queued) > 0;
        return Ok((!is_list && list::check_size(&topic, message).is_ok()).then_some(topic));
    }
    if !ctx.server.take_automatic_topic() {
        return Ok(None);
    }
    let own_name = TopicName::new(Bytes::copy_from_slice(name.as_bytes()))?;
    let max_bytes = u32::try_from(ctx.server.settings.bulk_bytes_max).unwrap_or(u32::MAX);
    match ctx.round.unit()?.create_topic(&own_name, 1, TopicSettings::consumed(ORIGIN, true, max_bytes)) {
        Ok(_) => list::recent(ctx, name),
        Err(error) => {
            ctx.server.automatic_topics.fetch_sub(1, Ordering::Relaxed);
            tracing::debug!(%error, topic = %name, "a channel is live only");
            Ok(None)
        }
    }
}

pub fn subscribe(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    for channel in arguments.iter().skip(1) {
        let name = TopicName::new(Bytes::copy_from_slice(channel))?;
        if !ctx.session.channels.contains(&name) {
            let listener = listener(ctx)?;
            ctx.round.unit()?.listen(&listener, name.clone());
            ctx.session.channels.insert(name);
        }
        confirm(ctx, "subscribe", Some(channel));
    }
    note_subscriptions(ctx);
    Ok(Flow::Next)
}

pub fn psubscribe(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    for pattern in arguments.iter().skip(1) {
        let pattern = Bytes::copy_from_slice(pattern);
        if !ctx.session.patterns.contains(&pattern) {
            let listener = listener(ctx)?;
            let glob = pattern.clone();
            let matches = Arc::new(move |name: &[u8]| glob::matches(&glob, name));
            ctx.round.unit()?.listen_pattern(&listener, pattern.clone(), matches);
            ctx.session.patterns.insert(pattern.clone());
        }
        confirm(ctx, "psubscribe", Some(&pattern));
    }
    note_subscriptions(ctx);
    Ok(Flow::Next)
}

/// The connection's listener, made with its first subscription.
fn listener(ctx: &mut Context<'_, '_>) -> Result<Listener, CommandError> {
    if ctx.session.subscriptions() >= ctx.server.settings.subscriptions_max {
        return Err(CommandError::TooManySubscriptions);
    }
    let (signal, max_bytes) = (ctx.session.client.signal(), ctx.server.settings.subscriber_bytes_max);
    Ok(ctx.session.listener.get_or_insert_with(|| Listener::new(Signal::clone(signal), max_bytes)).clone())
}

pub fn unsubscribe(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let all: Vec<Bytes>;
    let channels = match arguments {
        [_] => {
            all = ctx.session.channels.iter().map(TopicName::to_bytes).collect();
            &all[..]
        }
        [_, named @ ..] => named,
        [] => &[],
    };
    for channel in channels {
        let name = TopicName::new(channel.clone())?;
        if ctx.session.channels.remove(&name)
            && let Some(listener) = ctx.session.listener.clone()
        {
            ctx.round.unit()?.unlisten(&listener, &name);
            deliver(ctx);
        }
        confirm(ctx, "unsubscribe", Some(channel));
    }
    if channels.is_empty() {
        confirm(ctx, "unsubscribe", None);
    }
    note_subscriptions(ctx);
    Ok(Flow::Next)
}

pub fn punsubscribe(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let all: Vec<Bytes>;
    let patterns = match arguments {
        [_] => {
            all = ctx.session.patterns.iter().cloned().collect();
            &all[..]
        }
        [_, named @ ..] => named,
        [] => &[],
    };
    for pattern in patterns {
        if ctx.session.patterns.remove(pattern)
            && let Some(listener) = ctx.session.listener.clone()
        {
            ctx.round.unit()?.unlisten_pattern(&listener, pattern);
            deliver(ctx);
        }
        confirm(ctx, "punsubscribe", Some(pattern));
    }
    if patterns.is_empty() {
        confirm(ctx, "punsubscribe", None);
    }
    note_subscriptions(ctx);
    Ok(Flow::Next)
}

/// Ends all subscriptions without a word: `RESET`, and the end of a connection.
pub fn forget_all(ctx: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let Some(listener) = ctx.session.listener.take() else { return Ok(()) };
    let unit = ctx.round.unit()?;
    for name in std::mem::take(&mut ctx.session.channels) {
        unit.unlisten(&listener, &name);
    }
    for pattern in std::mem::take(&mut ctx.session.patterns) {
        unit.unlisten_pattern(&listener, &pattern);
    }
    note_subscriptions(ctx);
    Ok(())
}

fn confirm(ctx: &mut Context<'_, '_>, what: &str, name: Option<&[u8]>) {
    let subscriptions = ctx.session.subscriptions() as u64;
    let mut reply = ctx.reply();
    reply.push(3);
    reply.bulk(what.as_bytes());
    match name {
        Some(name) => reply.bulk(name),
        None => reply.null(),
    }
    reply.count(subscriptions);
}

fn note_subscriptions(ctx: &mut Context<'_, '_>) {
    let (channels, patterns) = (ctx.session.channels.len(), ctx.session.patterns.len());
    ctx.session.client.update(|status| (status.channels, status.patterns) = (channels, patterns));
}

/// Writes what was published before an unsubscription, so that it comes before the confirmation.
fn deliver(ctx: &mut Context<'_, '_>) {
    let mut announcements = Vec::new();
    if let Some(listener) = &ctx.session.listener {
        listener.drain(&mut announcements);
    }
    for announcement in &announcements {
        ctx.round.depend_on(announcement.barrier);
        write_announcement(ctx.out, ctx.session.protocol, announcement);
    }
}

/// Writes a message to a subscriber.
pub fn write_announcement(out: &mut Outbox, protocol: Protocol, announcement: &Announcement) {
    let record: &Record = &announcement.record;
    let mut writer = out.writer(protocol);
    match &announcement.pattern {
        Some(pattern) => {
            writer.push(4);
            writer.bulk(b"pmessage");
            writer.bulk(pattern);
        }
        None => {
            writer.push(3);
            writer.bulk(b"message");
        }
    }
    writer.bulk(announcement.topic.as_bytes());
    writer.bulk(mapping::payload(record));
}

/// `PUBSUB CHANNELS [pattern]`.
pub fn channels(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    if arguments.len() > 3 {
        return Err(CommandError::UnknownSubcommand { command: "PUBSUB".to_owned(), subcommand: "channels".to_owned() });
    }
    let pattern = arguments.get(2);
    let mut names = ctx.round.unit()?.live_names();
    names.retain(|(name, _)| pattern.is_none_or(|pattern| glob::matches(pattern, name.as_bytes())));
    let mut reply = ctx.reply();
    reply.array(names.len());
    for (name, _) in &names {
        reply.bulk(name.as_bytes());
    }
    Ok(Flow::Next)
}

/// `PUBSUB NUMSUB [channel ...]`: subscribers by exact name.
pub fn numsub(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let wanted = arguments.get(2..).unwrap_or_default();
    let live = if wanted.is_empty() { Vec::new() } else { ctx.round.unit()?.live_names() };
    let mut reply = ctx.reply();
    reply.array(wanted.len() * 2);
    for channel in wanted {
        let count = live.iter().find(|(name, _)| name.as_bytes() == &channel[..]).map_or(0, |(_, count)| *count);
        reply.bulk(channel);
        reply.count(count);
    }
    Ok(Flow::Next)
}

pub fn numpat(ctx: &mut Context<'_, '_>, _: &[Bytes]) -> Outcome {
    let count = ctx.round.unit()?.pattern_count();
    ctx.reply().count(count);
    Ok(Flow::Next)
}

pub fn shardchannels(ctx: &mut Context<'_, '_>, _: &[Bytes]) -> Outcome {
    ctx.reply().array(0);
    Ok(Flow::Next)
}

pub fn shardnumsub(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let wanted = arguments.get(2..).unwrap_or_default();
    let mut reply = ctx.reply();
    reply.array(wanted.len() * 2);
    for channel in wanted {
        reply.bulk(channel);
        reply.integer(0);
    }
    Ok(Flow::Next)
}

pub fn help(ctx: &mut Context<'_, '_>, _: &[Bytes]) -> Outcome {
    super::introspection::help_of(ctx, "PUBSUB")
}
