//! `INFO`: the sections that clients and monitors read. What has no meaning here is left out, not invented.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::{Context, Flow, Outcome, keyspace};
use crate::dialect::redis::REDIS_VERSION;
use crate::dialect::redis::error::CommandError;

/// All sections, and whether a plain `INFO` shows them.
const SECTIONS: &[(&str, bool)] = &[
    ("server", true),
    ("clients", true),
    ("memory", true),
    ("persistence", true),
    ("stats", true),
    ("replication", true),
    ("modules", true),
    ("commandstats", false),
    ("errorstats", true),
    ("cluster", true),
    ("keyspace", true),
];

pub fn info(ctx: &mut Context<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let wanted: Vec<String> = arguments.iter().skip(1).map(|a| String::from_utf8_lossy(a).to_ascii_lowercase()).collect();
    let has = |name: &str| wanted.iter().any(|w| w == name);
    let everything = has("all") || has("everything");
    let defaults = wanted.is_empty() || has("default");
    let mut text = String::new();
    for (section, shown_by_default) in SECTIONS {
        if everything || has(section) || (defaults && *shown_by_default) {
            if !text.is_empty() {
                text.push_str("\r\n");
            }
            let mut title = (*section).to_owned();
            title.get_mut(..1).map(str::make_ascii_uppercase);
            let _ = write!(text, "# {title}\r\n");
            for line in lines(ctx, section)? {
                text.push_str(&line);
                text.push_str("\r\n");
            }
        }
    }
    ctx.reply().verbatim(&text);
    Ok(Flow::Next)
}

fn lines(ctx: &mut Context<'_, '_>, section: &str) -> Result<Vec<String>, CommandError> {
    Ok(match section {
        "server" => server(ctx),
        "clients" => clients(ctx),
        "memory" => vec!["maxmemory:0".to_owned(), "maxmemory_policy:noeviction".to_owned()],
        "persistence" => persistence(ctx),
        "stats" => stats(ctx)?,
        "replication" => vec!["role:master".to_owned(), "connected_slaves:0".to_owned()],
        "commandstats" => ctx.server.stats.command_lines(),
        "errorstats" => ctx.server.stats.error_lines(),
        "cluster" => vec!["cluster_enabled:0".to_owned()],
        "keyspace" => keyspace_lines(ctx)?,
        _ => Vec::new(),
    })
}

fn server(ctx: &Context<'_, '_>) -> Vec<String> {
    let uptime_s = ctx.server.started_at.elapsed().as_secs();
    vec![
        format!("redis_version:{REDIS_VERSION}"),
        format!("trunkline_version:{}", env!("CARGO_PKG_VERSION")),
        "redis_mode:standalone".to_owned(),
        format!("os:{}", std::env::consts::OS),
        format!("arch_bits:{}", usize::BITS),
        format!("process_id:{}", std::process::id()),
        format!("run_id:{}", ctx.server.run_id),
        format!("tcp_port:{}", ctx.session.client.local.port()),
        format!("uptime_in_seconds:{uptime_s}"),
        format!("uptime_in_days:{}", uptime_s / 86_400),
    ]
}

fn clients(ctx: &Context<'_, '_>) -> Vec<String> {
    let all = ctx.server.clients.all();
    let blocked = all.iter().filter(|client| client.status().blocked).count();
    let subscribers = all.iter().filter(|client| client.kind() == "pubsub").count();
    vec![
        format!("connected_clients:{}", all.len()),
        format!("maxclients:{}", ctx.server.settings.clients_max),
        format!("blocked_clients:{blocked}"),
        format!("pubsub_clients:{subscribers}"),
        "tracking_clients:0".to_owned(),
    ]
}

fn persistence(ctx: &Context<'_, '_>) -> Vec<String> {
    let writable = if ctx.server.delivery.log().poisoned().is_none() { "ok" } else { "err" };
    vec![
        "loading:0".to_owned(),
        "aof_enabled:1".to_owned(),
        "aof_rewrite_in_progress:0".to_owned(),
        format!("aof_last_write_status:{writable}"),
        "rdb_bgsave_in_progress:0".to_owned(),
        "rdb_last_bgsave_status:ok".to_owned(),
        "rdb_changes_since_last_save:0".to_owned(),
    ]
}

fn stats(ctx: &mut Context<'_, '_>) -> Result<Vec<String>, CommandError> {
    let unit = ctx.round.unit()?;
    let (channels, patterns) = (unit.live_names().len(), unit.pattern_count());
    let stats = &ctx.server.stats;
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    Ok(vec![
        format!("total_connections_received:{}", count(&stats.connections_received)),
        format!("total_commands_processed:{}", stats.commands_processed()),
        format!("total_net_input_bytes:{}", count(&stats.input_bytes)),
        format!("total_net_output_bytes:{}", count(&stats.output_bytes)),
        format!("rejected_connections:{}", count(&stats.connections_rejected)),
        "expired_keys:0".to_owned(),
        "evicted_keys:0".to_owned(),
        format!("pubsub_channels:{channels}"),
        format!("pubsub_patterns:{patterns}"),
        format!("automatic_topics:{}", ctx.server.automatic_topics.load(Ordering::Relaxed)),
        format!("total_error_replies:{}", stats.errors_total()),
    ])
}

fn keyspace_lines(ctx: &mut Context<'_, '_>) -> Result<Vec<String>, CommandError> {
    let databases = ctx.server.settings.databases;
    let sizes = keyspace::sizes(ctx.round.durable_unit()?, databases);
    Ok(sizes.into_iter().map(|(database, keys)| format!("db{database}:keys={keys},expires=0,avg_ttl=0")).collect())
}
