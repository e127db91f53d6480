//! Channels: a publish is an append to the topic of that name, a subscription is a tail of it.
//!
//! A subscriber gets what any dialect writes to the name, except what Redis pushes to the list of that name. The reply to `PUBLISH`
//! does not wait for the disk; subscribers get the message once it is durable.

use std::sync::atomic::Ordering;

use bytes::{Bytes, BytesMut};

use super::{Context, Flow, Outcome, list};
use crate::delivery::{Announcement, Class, Form, Kind, Listener, Target, partition_of};
use crate::dialect::redis::error::CommandError;
use crate::dialect::redis::outbox::Outbox;
use crate::dialect::redis::session::Recent;
use crate::dialect::redis::wire::{Protocol, ReplyWriter};
use crate::dialect::redis::{ORIGIN, glob, mapping};
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
            ctx.server.delivery.log().admit_records()?;
            let partition = partition_of(&topic.topic, &mapping::placing(&record));
            unit.append(&[Target { topic: topic.topic, partition }], &record, Kind::Broadcast);
            ctx.round.written.records += 1;
            ctx.round.written.bytes += mapping::payload(&record).len() as u64;
            ctx.round.serve_waiting();
        }
        None => {
            unit.announce(&TopicName::new(Bytes::copy_from_slice(channel))?, &record);
            ctx.round.written.live_only += 1;
        }
    }
    ctx.reply().count(receivers);
    Ok(Flow::Next)
}

/// Where a publish is logged; `None` for a channel that is live only: the name of a list or stream, a name of the log itself, a message
/// that the topic does not take, or one name too many.
fn topic_of_channel(ctx: &mut Context<'_, '_>, name: &TopicName, message: &[u8]) -> Result<Option<Recent>, CommandError> {
    if name.is_internal() {
        return Ok(None);
    }
    if let Some(topic) = list::recent(ctx, name)? {
        let unit = ctx.round.unit()?;
        let is_key = topic.own && (unit.series(name).is_some() || unit.ready(name, Class::Queued) > 0);
        return Ok((!is_key && list::check_size(&topic, message).is_ok()).then_some(topic));
    }
    if !ctx.server.take_automatic_topic() {
        return Ok(None);
    }
    if let Err(refused) = ctx.server.delivery.log().admit_records() {
        ctx.server.automatic_topics.fetch_sub(1, Ordering::Relaxed);
        return Err(refused.into());
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
            ctx.round.unit()?.listen_pattern(&listener, pattern.clone(), || glob::pattern(&pattern));
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
    if let Some(listener) = &ctx.session.listener {
        return Ok(listener.clone());
    }
    let listener = Listener::new(Signal::clone(ctx.session.client.signal()), ctx.server.parameters.subscriber_limits());
    ctx.session.client.update(|status| status.listener = Some(listener.clone()));
    ctx.session.listener = Some(listener.clone());
    Ok(listener)
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
    let has_left = ctx.session.listener.is_none();
    ctx.session.client.update(|status| {
        (status.channels, status.patterns) = (channels, patterns);
        status.listener.take_if(|_| has_left);
    });
}

/// Writes what was published before an unsubscription, so that it comes before the confirmation.
fn deliver(ctx: &mut Context<'_, '_>) {
    let mut announcements = Vec::new();
    if let Some(listener) = &ctx.session.listener {
        listener.take(usize::MAX, &mut announcements);
    }
    for announcement in &announcements {
        ctx.round.depend_on(announcement.barrier);
        write_announcement(ctx.out, ctx.session.protocol, announcement);
    }
}

/// Writes a message to a subscriber. It is encoded once for all that speak the same version of the protocol.
pub fn write_announcement(out: &mut Outbox, protocol: Protocol, announcement: &Announcement) {
    let form = match protocol {
        Protocol::Resp2 => Form("redis 2"),
        Protocol::Resp3 => Form("redis 3"),
    };
    out.shared(announcement.encoded(form, |announcement| encode(protocol, announcement)));
}

fn encode(protocol: Protocol, announcement: &Announcement) -> Bytes {
    let mut out = BytesMut::with_capacity(announcement.size_bytes() + 64);
    let mut writer = ReplyWriter::new(&mut out, protocol);
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
    writer.bulk(mapping::payload(&announcement.record));
    out.freeze()
}

/// `PUBSUB CHANNELS [pattern]`.
pub fn channels(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    if arguments.len() > 3 {
        return Err(CommandError::UnknownSubcommand { command: "PUBSUB".to_owned(), subcommand: "channels".to_owned() });
    }
    let pattern = arguments.get(2).map(|pattern| glob::pattern(pattern));
    let mut names = ctx.round.unit()?.live_names();
    names.retain(|(name, _)| pattern.as_ref().is_none_or(|pattern| pattern.matches(name.as_bytes())));
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
    let unit = ctx.round.unit()?;
    let listeners = |channel: &Bytes| TopicName::new(channel.clone()).map_or(0, |name| unit.listeners(&name));
    let counts: Vec<u64> = wanted.iter().map(listeners).collect();
    let mut reply = ctx.reply();
    reply.array(wanted.len() * 2);
    for (channel, count) in wanted.iter().zip(counts) {
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
