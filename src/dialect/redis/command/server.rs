//! Small commands about the server: the time, replicas and scripts that are not there, an empty slow log.

use bytes::Bytes;

use super::{Context, Flow, Outcome, integer};
use crate::dialect::redis::error::CommandError;

pub fn time(ctx: &mut Context<'_, '_>, _: &[Bytes]) -> Outcome {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let mut reply = ctx.reply();
    reply.array(2);
    reply.bulk(now.as_secs().to_string().as_bytes());
    reply.bulk(now.subsec_micros().to_string().as_bytes());
    Ok(Flow::Next)
}

/// `LASTSAVE`: what is answered is saved, so the last save is now.
pub fn lastsave(ctx: &mut Context<'_, '_>, _: &[Bytes]) -> Outcome {
    let now_s = ctx.round.now_ms() / 1000;
    ctx.reply().integer(now_s);
    Ok(Flow::Next)
}

/// `WAIT`: there are no replicas, and there is nothing to wait for.
pub fn wait(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let [_, replicas, timeout_ms] = arguments else { return Err(CommandError::Arity("wait")) };
    integer(replicas)?;
    if integer(timeout_ms)? < 0 {
        return Err(CommandError::TimeoutNegative);
    }
    ctx.reply().integer(0);
    Ok(Flow::Next)
}

pub fn function_flush(ctx: &mut Context<'_, '_>, _: &[Bytes]) -> Outcome {
    ctx.reply().ok();
    Ok(Flow::Next)
}

pub fn function_list(ctx: &mut Context<'_, '_>, _: &[Bytes]) -> Outcome {
    ctx.reply().array(0);
    Ok(Flow::Next)
}

pub fn slowlog_get(ctx: &mut Context<'_, '_>, _: &[Bytes]) -> Outcome {
    ctx.reply().array(0);
    Ok(Flow::Next)
}

pub fn slowlog_len(ctx: &mut Context<'_, '_>, _: &[Bytes]) -> Outcome {
    ctx.reply().integer(0);
    Ok(Flow::Next)
}

pub fn slowlog_reset(ctx: &mut Context<'_, '_>, _: &[Bytes]) -> Outcome {
    ctx.reply().ok();
    Ok(Flow::Next)
}
