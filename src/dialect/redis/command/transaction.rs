//! `MULTI`, `EXEC`, `DISCARD`, `WATCH`, `UNWATCH`. An `EXEC` is one unit: one entry of the journal, there after a crash or not.

use bytes::Bytes;

use super::{Context, Flow, Outcome, list_edit, run_queued};
use crate::delivery::Unit;
use crate::dialect::redis::error::CommandError;
use crate::dialect::redis::mapping;
use crate::dialect::redis::session::{Transaction, Watched};
use crate::log::TopicName;

pub fn multi(ctx: &mut Context<'_, '_>, _: &[Bytes]) -> Outcome {
    if ctx.session.transaction.is_some() {
        return Err(CommandError::NestedMulti);
    }
    ctx.session.transaction = Some(Transaction::default());
    ctx.reply().ok();
    Ok(Flow::Next)
}

pub fn discard(ctx: &mut Context<'_, '_>, _: &[Bytes]) -> Outcome {
    if ctx.session.transaction.take().is_none() {
        return Err(CommandError::WithoutMulti("DISCARD"));
    }
    ctx.session.watched.clear();
    ctx.reply().ok();
    Ok(Flow::Next)
}

pub fn exec(ctx: &mut Context<'_, '_>, _: &[Bytes]) -> Outcome {
    let Some(transaction) = ctx.session.transaction.take() else { return Err(CommandError::WithoutMulti("EXEC")) };
    if !transaction.aborted && !list_edit::knows_all(ctx, &transaction.commands)? {
        ctx.session.transaction = Some(transaction);
        return Ok(Flow::Search);
    }
    let watched = std::mem::take(&mut ctx.session.watched);
    if transaction.aborted {
        return Err(CommandError::TransactionAborted);
    }
    if transaction.grows
        && let Err(refused) = ctx.server.delivery.log().admit_records()
    {
        return Err(CommandError::TransactionRefused(CommandError::from(refused).to_string()));
    }
    ctx.round.begin_atomic();
    let outcome = run_all(ctx, &transaction, &watched);
    ctx.round.end_atomic();
    outcome
}

fn run_all(ctx: &mut Context<'_, '_>, transaction: &Transaction, watched: &[Watched]) -> Outcome {
    if !watched.is_empty() {
        let unit = ctx.round.unit()?;
        if watched.iter().any(|key| version(unit, &key.name) != key.version) {
            ctx.reply().null_array();
            return Ok(Flow::Next);
        }
    }
    ctx.reply().array(transaction.commands.len());
    for arguments in &transaction.commands {
        // Nothing waits inside a transaction, and what would close or log in is not queued.
        run_queued(ctx, arguments);
    }
    Ok(Flow::Next)
}

pub fn watch(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    if ctx.session.transaction.is_some() {
        return Err(CommandError::WatchInsideMulti);
    }
    for key in arguments.iter().skip(1) {
        let name = mapping::topic_of_key(ctx.session.database, &Bytes::copy_from_slice(key))?;
        if ctx.session.watched.len() >= ctx.server.settings.transaction_commands_max {
            return Err(CommandError::TransactionTooLong(ctx.server.settings.transaction_commands_max));
        }
        if !ctx.session.watched.iter().any(|watched| watched.name == name) {
            let version = version(ctx.round.unit()?, &name);
            ctx.session.watched.push(Watched { name, version });
        }
    }
    ctx.reply().ok();
    Ok(Flow::Next)
}

/// What changes with every change of a list or stream.
fn version(unit: &Unit<'_>, name: &TopicName) -> (u64, u64) {
    (unit.version(name), unit.series_version(name))
}

pub fn unwatch(ctx: &mut Context<'_, '_>, _: &[Bytes]) -> Outcome {
    ctx.session.watched.clear();
    ctx.reply().ok();
    Ok(Flow::Next)
}
