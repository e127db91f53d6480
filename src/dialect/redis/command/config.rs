//! `CONFIG`: the parameters of [`crate::dialect::redis::parameters`].

use bytes::Bytes;

use super::{Context, Flow, Outcome, introspection};

pub fn get(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let found = ctx.server.parameters.matching(arguments.get(2..).unwrap_or_default());
    let mut reply = ctx.reply();
    reply.map(found.len());
    for (name, value) in &found {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
    Ok(Flow::Next)
}

pub fn set(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    ctx.server.parameters.set(arguments.get(2..).unwrap_or_default())?;
    ctx.reply().ok();
    Ok(Flow::Next)
}

pub fn resetstat(ctx: &mut Context<'_, '_>, _: &[Bytes]) -> Outcome {
    ctx.server.stats.reset();
    ctx.reply().ok();
    Ok(Flow::Next)
}

pub fn help(ctx: &mut Context<'_, '_>, _: &[Bytes]) -> Outcome {
    introspection::help_of(ctx, "CONFIG")
}
