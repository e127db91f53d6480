//! `/api/queues/VERB`: looks into queue views and changes them: peek, purge, seek, move, redrive.
//!
//! Off unless configured, since nobody is asked who he is. Arguments come as JSON, and only as `application/json`: a page in a browser
//! cannot send that to another site without asking first. An answer comes when what it tells of is durable.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::routes::Shown;
use super::topics::{answer, recovering};
use crate::delivery::{Class, Delivery, Moved, Start, Unit, view_name};
use crate::log::record::Record;
use crate::log::{Barrier, TopicName};

/// Where the verbs are.
pub(super) const PATH: &str = "/api/queues/";
/// Records that one peek shows: unless it says how many, and at most.
const PEEKED: u64 = 10;
const PEEKED_MAX: u64 = 100;
/// Records that are moved in one entry.
const MOVED_AT_ONCE: u64 = 500;

/// What a verb is told.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    topic: String,
    /// The view's own name; none: the default view.
    view: Option<String>,
    /// Where to move records, or to begin anew.
    to: Option<Value>,
    /// The first record that is shown.
    start: Option<u64>,
    /// How many records, unless all.
    count: Option<u64>,
}

/// Why a verb did nothing.
type Refusal = (StatusCode, String);

fn invalid(reason: &str) -> Refusal {
    (StatusCode::BAD_REQUEST, reason.to_owned())
}

pub(super) async fn run(State(shown): State<Shown>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let Some(observer) = (shown.sight)() else { return recovering() };
    let done = match parse(&headers, &body) {
        Ok(arguments) => act(observer.delivery(), uri.path().strip_prefix(PATH).unwrap_or_default(), arguments).await,
        Err(refusal) => Err(refusal),
    };
    match done {
        Ok(shown) => answer(StatusCode::OK, &shown),
        Err((status, reason)) => answer(status, &json!({ "error": reason })),
    }
}

fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Arguments, Refusal> {
    let is_json = headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
    if !is_json {
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "arguments are application/json".to_owned()));
    }
    serde_json::from_slice(body).map_err(|error| invalid(&error.to_string()))
}

async fn act(delivery: &Delivery, verb: &str, arguments: Arguments) -> Result<Value, Refusal> {
    let topic = TopicName::new(arguments.topic.clone()).map_err(|error| invalid(&error.to_string()))?;
    let name = match &arguments.view {
        Some(view) => view_name(&topic, view.as_bytes()).map_err(|error| invalid(&error.to_string()))?,
        None => topic,
    };
    let (shown, barrier) = match verb {
        "peek" => (peek(delivery, &name, &arguments)?, Barrier::NONE),
        "purge" => purge(delivery, &name)?,
        "seek" => seek(delivery, &name, &arguments)?,
        "move" | "redrive" => shift(delivery, &name, verb, &arguments).await?,
        _ => return Err((StatusCode::NOT_FOUND, "the verbs are peek, purge, seek, move and redrive".to_owned())),
    };
    let unwritable = |error: crate::log::Refused| (StatusCode::SERVICE_UNAVAILABLE, error.to_string());
    delivery.log().when_durable(barrier).await.map_err(unwritable)?;
    Ok(shown)
}

/// Begins a unit on a queue view that is there.
fn begin<'d>(delivery: &'d Delivery, name: &TopicName) -> Result<Unit<'d>, Refusal> {
    let unit = delivery.begin().map_err(|error| (StatusCode::SERVICE_UNAVAILABLE, error.to_string()))?;
    if unit.has_queue(name) { Ok(unit) } else { Err((StatusCode::NOT_FOUND, "there is no such queue".to_owned())) }
}

fn peek(delivery: &Delivery, name: &TopicName, arguments: &Arguments) -> Result<Value, Refusal> {
    let unit = begin(delivery, name)?;
    let count = arguments.count.unwrap_or(PEEKED).min(PEEKED_MAX);
    let places = unit.range(name, Class::All, arguments.start.unwrap_or(0), count);
    let topic = unit.topic(&TopicName::new(arguments.topic.clone()).map_err(|error| invalid(&error.to_string()))?);
    drop(unit);
    let Some(topic) = topic else { return Err((StatusCode::NOT_FOUND, "there is no such topic".to_owned())) };
    let mut reader = delivery.reader();
    let mut records = Vec::new();
    for at in places {
        // What is not durable yet is nobody's to see.
        let Some(partition) = topic.partition(at.partition).filter(|partition| at.offset < partition.bounds().durable) else {
            continue;
        };
        match reader.record(&partition, at.offset) {
            Ok(record) => records.push(of_record(at.partition, at.offset, &record)),
            Err(error) => records.push(json!({ "partition": at.partition, "offset": at.offset, "error": error.to_string() })),
        }
    }
    Ok(json!({ "records": records }))
}

fn of_record(partition: u32, offset: u64, record: &Record) -> Value {
    let text = |bytes: &Option<Bytes>| bytes.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let header = |header: &crate::log::record::Header| json!([String::from_utf8_lossy(&header.key), text(&header.value)]);
    json!({
        "partition": partition,
        "offset": offset,
        "timestamp_ms": record.timestamp_ms,
        "key": text(&record.key),
        "value": text(&record.value),
        "headers": record.headers.iter().map(header).collect::<Vec<_>>(),
    })
}

fn purge(delivery: &Delivery, name: &TopicName) -> Result<(Value, Barrier), Refusal> {
    let mut unit = begin(delivery, name)?;
    let purged = unit.purge(name, Class::All);
    Ok((json!({ "purged": purged }), unit.commit()))
}

fn seek(delivery: &Delivery, name: &TopicName, arguments: &Arguments) -> Result<(Value, Barrier), Refusal> {
    let start = arguments.to.as_ref().and_then(start_of);
    let start = start.ok_or_else(|| invalid("to is earliest, latest, {\"offset\": N} or {\"time_ms\": N}"))?;
    let mut unit = begin(delivery, name)?;
    if !unit.seek_queue(name, start) {
        let reason = "records of the queue are in flight: their consumers have to settle them first";
        return Err((StatusCode::CONFLICT, reason.to_owned()));
    }
    let ready = unit.ready(name, Class::All);
    Ok((json!({ "ready": ready }), unit.commit()))
}

fn start_of(to: &Value) -> Option<Start> {
    match to {
        Value::String(word) if word == "earliest" => Some(Start::Earliest),
        Value::String(word) if word == "latest" => Some(Start::Latest),
        Value::Object(_) => {
            let offset = to.get("offset").and_then(Value::as_u64).map(Start::Offset);
            offset.or_else(|| to.get("time_ms").and_then(Value::as_i64).map(Start::Time))
        }
        _ => None,
    }
}

/// Moves records part by part, each of them whole: one that is cut short has moved what it says.
async fn shift(delivery: &Delivery, name: &TopicName, verb: &str, arguments: &Arguments) -> Result<(Value, Barrier), Refusal> {
    let target = match (verb, arguments.to.as_ref().and_then(Value::as_str)) {
        ("move", Some(to)) => {
            let topic =
                TopicName::new(to.to_owned()).ok().filter(|to| !to.is_internal()).and_then(|to| delivery.log().topic(&to));
            Some(topic.ok_or((StatusCode::NOT_FOUND, "there is no topic to move to".to_owned()))?)
        }
        ("move", None) => return Err(invalid("to is the name of a topic")),
        _ => None,
    };
    let ready = begin(delivery, name)?.ready(name, Class::All);
    let mut left = arguments.count.unwrap_or(u64::MAX).min(ready);
    let (mut all, mut barrier) = (Moved::default(), Barrier::NONE);
    while left > 0 && !all.is_full {
        let part = move_part(delivery, name, target.as_ref(), all.kept, left.min(MOVED_AT_ONCE))?;
        if part.0.moved + part.0.kept == 0 {
            all.is_full |= part.0.is_full;
            break;
        }
        left = left.saturating_sub(part.0.moved + part.0.kept);
        all = Moved { moved: all.moved + part.0.moved, kept: all.kept + part.0.kept, is_full: part.0.is_full };
        barrier = barrier.and(part.1);
        tokio::task::yield_now().await;
    }
    Ok((json!({ "moved": all.moved, "kept": all.kept, "target_full": all.is_full }), barrier))
}

fn move_part(
    delivery: &Delivery,
    name: &TopicName,
    target: Option<&std::sync::Arc<crate::log::Topic>>,
    start: u64,
    count: u64,
) -> Result<(Moved, Barrier), Refusal> {
    let mut unit = begin(delivery, name)?;
    let moved = match target {
        Some(topic) => unit.move_records(name, topic, start, count),
        None => unit.redrive(name, start, count),
    };
    Ok((moved, unit.commit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_a_word_an_offset_or_a_time() {
        assert_eq!(start_of(&json!("earliest")), Some(Start::Earliest));
        assert_eq!(start_of(&json!("latest")), Some(Start::Latest));
        assert_eq!(start_of(&json!({ "offset": 7 })), Some(Start::Offset(7)));
        assert_eq!(start_of(&json!({ "time_ms": 7 })), Some(Start::Time(7)));
        assert_eq!([json!("now"), json!(7), json!({ "offset": -1 })].iter().find_map(start_of), None);
    }
}
