//! `COMMAND`: the command table, as clients ask for it.

use bytes::Bytes;

use super::{Context, Flow, Outcome, is_word, write_help};
use crate::dialect::redis::error::CommandError;
use crate::dialect::redis::glob;
use crate::dialect::redis::support::{self, COMMANDS, CommandSpec, flag};
use crate::dialect::redis::wire::ReplyWriter;

pub fn command(ctx: &mut Context<'_, '_>, _: &[Bytes]) -> Outcome {
    let mut reply = ctx.reply();
    reply.array(COMMANDS.len());
    for spec in COMMANDS {
        write_info(&mut reply, spec);
    }
    Ok(Flow::Next)
}

pub fn count(ctx: &mut Context<'_, '_>, _: &[Bytes]) -> Outcome {
    ctx.reply().count(COMMANDS.len() as u64);
    Ok(Flow::Next)
}

/// A command or subcommand by its name in `COMMAND INFO`: `get` or `config|get`.
fn by_name(name: &[u8]) -> Option<&'static CommandSpec> {
    let container = name.split(|b| *b == b'|').next().unwrap_or(name);
    let spec = COMMANDS.get(support::find(container, 0)?)?;
    if container.len() == name.len() {
        return Some(spec);
    }
    spec.subcommands.iter().find(|sub| name.eq_ignore_ascii_case(sub.name.as_bytes()))
}

pub fn info(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let names = arguments.get(2..).unwrap_or_default();
    if names.is_empty() {
        return command(ctx, arguments);
    }
    let mut reply = ctx.reply();
    reply.array(names.len());
    for name in names {
        match by_name(name) {
            Some(spec) => write_info(&mut reply, spec),
            None => reply.null_array(),
        }
    }
    Ok(Flow::Next)
}

fn write_info(reply: &mut ReplyWriter<'_>, spec: &CommandSpec) {
    reply.array(10);
    reply.bulk(spec.name.as_bytes());
    reply.integer(i64::from(spec.arity));
    let flags: Vec<&str> = flag::SHOWN.iter().filter(|(bit, _)| spec.has(*bit)).map(|(_, name)| *name).collect();
    reply.set(flags.len());
    for flag in flags {
        reply.simple(flag);
    }
    for position in [spec.keys.first, spec.keys.last, spec.keys.step] {
        reply.integer(i64::from(position));
    }
    let categories = spec.categories();
    reply.set(categories.len());
    for category in categories {
        reply.simple(category);
    }
    reply.array(0);
    reply.array(0);
    reply.array(spec.subcommands.len());
    for sub in spec.subcommands {
        write_info(reply, sub);
    }
}

pub fn docs(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let names = arguments.get(2..).unwrap_or_default();
    let wanted: Vec<&CommandSpec> =
        if names.is_empty() { COMMANDS.iter().collect() } else { names.iter().filter_map(|name| by_name(name)).collect() };
    let mut reply = ctx.reply();
    reply.map(wanted.len());
    for spec in wanted {
        write_docs(&mut reply, spec);
    }
    Ok(Flow::Next)
}

fn write_docs(reply: &mut ReplyWriter<'_>, spec: &CommandSpec) {
    reply.bulk(spec.name.as_bytes());
    reply.map(if spec.subcommands.is_empty() { 3 } else { 4 });
    for (field, value) in [("summary", spec.summary), ("since", spec.since), ("group", spec.group.name())] {
        reply.bulk(field.as_bytes());
        reply.bulk(value.as_bytes());
    }
    if !spec.subcommands.is_empty() {
        reply.bulk(b"subcommands");
        reply.map(spec.subcommands.len());
        for sub in spec.subcommands {
            write_docs(reply, sub);
        }
    }
}

/// `COMMAND LIST [FILTERBY MODULE|ACLCAT|PATTERN value]`.
pub fn list(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let keep: Box<dyn Fn(&CommandSpec) -> bool> = match arguments.get(2..).unwrap_or_default() {
        [] => Box::new(|_| true),
        [by, kind, _] if is_word(by, "FILTERBY") && is_word(kind, "MODULE") => Box::new(|_| false),
        [by, kind, value] if is_word(by, "FILTERBY") && is_word(kind, "ACLCAT") => {
            let category = format!("@{}", String::from_utf8_lossy(value).to_ascii_lowercase());
            Box::new(move |spec| spec.categories().contains(&category.as_str()))
        }
        [by, kind, value] if is_word(by, "FILTERBY") && is_word(kind, "PATTERN") => {
            let pattern = value.clone();
            Box::new(move |spec| glob::matches_any_case(&pattern, spec.name.as_bytes()))
        }
        _ => return Err(CommandError::Syntax),
    };
    let all = COMMANDS.iter().flat_map(|spec| std::iter::once(spec).chain(spec.subcommands));
    let found: Vec<&CommandSpec> = all.filter(|spec| keep(spec)).collect();
    let mut reply = ctx.reply();
    reply.array(found.len());
    for spec in found {
        reply.bulk(spec.name.as_bytes());
    }
    Ok(Flow::Next)
}

pub fn getkeys(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let inner = arguments.get(2..).unwrap_or_default();
    let spec = inner.first().and_then(|name| COMMANDS.get(support::find(name, 0)?)).ok_or(CommandError::InvalidCommand)?;
    let spec = spec.subcommand(inner).unwrap_or(spec);
    if spec.keys.first == 0 && spec.keys.count_at == 0 && spec.keys.behind.is_empty() {
        return Err(CommandError::NoKeyArguments);
    }
    if !spec.takes(inner.len()) {
        return Err(CommandError::InvalidArgumentCount);
    }
    let keys = spec.keys_of(inner);
    let mut reply = ctx.reply();
    reply.array(keys.len());
    for key in keys {
        reply.bulk(key);
    }
    Ok(Flow::Next)
}

pub fn help(ctx: &mut Context<'_, '_>, _: &[Bytes]) -> Outcome {
    help_of(ctx, "COMMAND")
}

/// The `HELP` of a command with subcommands, from the table.
pub fn help_of(ctx: &mut Context<'_, '_>, command: &str) -> Outcome {
    let spec = support::find(command.as_bytes(), 0).and_then(|index| COMMANDS.get(index));
    write_help(ctx, command, spec.map(|spec| spec.subcommands).unwrap_or_default())
}
