//! `/api/topics`: topics and the views on them as JSON, for people and for what draws them.
//!
//! Names are bytes: those that are no text are shown with replacement characters, and `path` leads to each topic in any case.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::routes::Shown;
use crate::delivery::queue::FailureSpread;
use crate::delivery::{GroupSnapshot, PartitionSnapshot, QueueSnapshot, TopicSnapshot};
use crate::log::TopicName;

/// Where the topics are.
pub(super) const PATH: &str = "/api/topics";
const LIMIT: usize = 100;
const LIMIT_MAX: usize = 1_000;

/// Which part of the list is asked for.
#[derive(Default)]
struct Page {
    /// Only names that begin so.
    prefix: Vec<u8>,
    /// Only names behind this one.
    after: Option<Vec<u8>>,
    /// How many.
    limit: Option<usize>,
}

impl Page {
    fn asked_for(uri: &Uri) -> Self {
        let mut page = Self::default();
        for (field, value) in uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('=')) {
            let value = decoded(value);
            match field {
                "prefix" => page.prefix = value.unwrap_or_default(),
                "after" => page.after = value,
                "limit" => page.limit = value.and_then(|value| String::from_utf8(value).ok()?.parse().ok()),
                _ => {}
            }
        }
        page
    }
}

/// The topics in the order of their names, a page at a time.
pub(super) async fn list(State(shown): State<Shown>, uri: Uri) -> Response {
    let Some(observer) = (shown.sight)() else { return recovering() };
    let page = Page::asked_for(&uri);
    let is_wanted = |name: &TopicName| {
        let name = name.as_bytes();
        name.starts_with(&page.prefix) && page.after.as_ref().is_none_or(|after| name > &after[..])
    };
    let names = observer.names();
    let mut wanted = names.iter().filter(|name| is_wanted(name));
    let limit = page.limit.unwrap_or(LIMIT).clamp(1, LIMIT_MAX);
    let now_ms = (shown.clock)();
    let found = wanted.by_ref().take(limit).filter_map(|name| observer.topic(name, now_ms));
    let topics: Vec<Value> = found.map(|topic| of_topic(&topic, now_ms, false)).collect();
    let more = wanted.next().is_some();
    answer(StatusCode::OK, &json!({ "topics": topics, "more": more }))
}

/// One topic with its partitions and views.
pub(super) async fn one(State(shown): State<Shown>, uri: Uri) -> Response {
    let Some(observer) = (shown.sight)() else { return recovering() };
    let now_ms = (shown.clock)();
    let name = uri.path().strip_prefix(PATH).and_then(|rest| rest.strip_prefix('/')).and_then(decoded);
    let topic = name.and_then(|name| TopicName::new(name).ok()).and_then(|name| observer.topic(&name, now_ms));
    match topic {
        Some(topic) => answer(StatusCode::OK, &of_topic(&topic, now_ms, true)),
        None => answer(StatusCode::NOT_FOUND, &json!({ "error": "there is no such topic" })),
    }
}

pub(super) fn recovering() -> Response {
    answer(StatusCode::SERVICE_UNAVAILABLE, &json!({ "error": "the log is not open" }))
}

pub(super) fn answer(status: StatusCode, body: &Value) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

fn of_topic(topic: &TopicSnapshot, now_ms: i64, in_full: bool) -> Value {
    let mut shown = json!({
        "name": topic.name.to_string(),
        "path": format!("{PATH}/{}", encoded(topic.name.as_bytes())),
        "records": topic.records(),
        "bytes": topic.bytes(),
        "written_per_s": topic.written_per_s,
        "partition_count": topic.partitions.len(),
        "queues": topic.queues.iter().map(|queue| of_queue(queue, now_ms)).collect::<Vec<_>>(),
        "tail": { "listeners": topic.tail.listeners, "receivers": topic.tail.receivers },
        "groups": topic.groups.iter().map(|group| of_group(group, now_ms, in_full)).collect::<Vec<_>>(),
    });
    if in_full && let Some(fields) = shown.as_object_mut() {
        fields.insert("partitions".to_owned(), topic.partitions.iter().map(of_partition).collect());
    }
    shown
}

fn of_partition(partition: &PartitionSnapshot) -> Value {
    json!({
        "index": partition.index,
        "log_start": partition.log_start,
        "durable": partition.durable,
        "stable": partition.stable,
        "end": partition.end,
        "bytes": partition.bytes,
        "written_per_s": partition.written_per_s,
    })
}

fn of_queue(queue: &QueueSnapshot, now_ms: i64) -> Value {
    let failures = FailureSpread::NAMES.iter().zip(queue.failures.0);
    json!({
        "name": queue.label(),
        "ready": queue.ready,
        "in_flight": queue.in_flight,
        "delayed": queue.delayed,
        "lag": queue.lag(),
        "takers": queue.takers,
        "oldest_age_ms": queue.oldest_age_ms,
        "failed_deliveries": failures.map(|(name, count)| ((*name).to_owned(), count.into())).collect::<serde_json::Map<_, Value>>(),
        "taken": queue.flow.taken.total(),
        "taken_per_s": queue.flow.taken.per_s(now_ms),
        "settled": queue.flow.settled.total(),
        "settled_per_s": queue.flow.settled.per_s(now_ms),
    })
}

fn of_group(group: &GroupSnapshot, now_ms: i64, in_full: bool) -> Value {
    let mut shown = json!({
        "group": &*group.group,
        "members": group.members,
        "lag": group.lag,
        "oldest_age_ms": group.oldest_age_ms,
        "passed": group.passed.total(),
        "passed_per_s": group.passed.per_s(now_ms),
    });
    if in_full && let Some(fields) = shown.as_object_mut() {
        let committed = group.committed.iter().map(|(partition, offset)| json!({ "partition": partition, "offset": offset }));
        fields.insert("committed".to_owned(), committed.collect());
    }
    shown
}

/// Bytes as a part of a path.
fn encoded(name: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    name.iter().map(|byte| if plain(byte) { char::from(*byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// What [`encoded`] made a part of a path; none if it is not that.
fn decoded(path: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, after @ ..] = rest {
        (*first != b'%').then(|| bytes.push(*first));
        rest = after;
        if *first == b'%' {
            let (digits, after) = rest.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = after;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_has_a_path() {
        for name in [&b"orders"[..], b"team/jobs 1", b"\xff%41\x00", "gr\u{fc}n".as_bytes()] {
            assert_eq!(decoded(&encoded(name)).as_deref(), Some(name));
        }
        assert_eq!(decoded("%4"), None);
        assert_eq!(decoded("%zz"), None);
    }
}
