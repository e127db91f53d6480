//! A stream of one owner with a group of two members: entries that are added, handed out, claimed, acknowledged, deleted and
//! trimmed.

use std::collections::{BTreeMap, HashMap};

use rand::Rng;
use rand::rngs::StdRng;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Value};

use super::load::payload;
use super::redis::Model;

const GROUP: &str = "group";
const MEMBERS: [&str; 2] = ["one", "two"];
/// So many entries are left by a trim.
const LONG: usize = 50;

type Entry = (String, Vec<(String, Vec<u8>)>);

/// The stream and what its group has not acknowledged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stream {
    entries: BTreeMap<u64, Vec<u8>>,
    /// Who has it, and how often it was handed out.
    pending: BTreeMap<u64, (usize, u64)>,
    /// The last id that was added, and the last that was handed out.
    added: u64,
    delivered: u64,
}

#[derive(Clone, Debug)]
pub enum Step {
    Add { id: u64, value: Vec<u8> },
    Read { member: usize, count: usize },
    Acknowledge { ids: Vec<u64> },
    Claim { member: usize, id: u64 },
    Delete { id: u64 },
    Trim,
}

impl Stream {
    /// Some of the pending ones.
    fn some_pending(&self, random: &mut StdRng) -> Vec<u64> {
        self.pending.keys().copied().filter(|_| random.random_bool(0.2)).take(4).collect()
    }
}

impl Model for Stream {
    type Step = Step;

    fn step(&self, random: &mut StdRng) -> Step {
        let member = random.random_range(0..MEMBERS.len());
        let pending = self.some_pending(random);
        match (random.random_range(0..20), pending.first()) {
            (0..8, _) => Step::Add { id: self.added + 1, value: payload(random, "entry", self.added + 1, 300) },
            (8..12, _) => Step::Read { member, count: random.random_range(1..5) },
            (12..16, Some(_)) => Step::Acknowledge { ids: pending },
            // What it stands for may be gone, and then it is not pending any more either.
            (16..18, Some(id)) => Step::Claim { member, id: *id },
            (18, _) if self.added > 0 => Step::Delete { id: random.random_range(1..=self.added) },
            (19, _) if self.entries.len() > LONG => Step::Trim,
            _ => Step::Read { member, count: 2 },
        }
    }

    fn command(step: &Step, names: &str) -> Cmd {
        let command = |word: &str| {
            let mut command = redis::cmd(word);
            command.arg(names);
            command
        };
        match step {
            Step::Add { id, value } => command("XADD").arg(text(*id)).arg("value").arg(value).take(),
            Step::Read { member, count } => {
                let mut read = redis::cmd("XREADGROUP");
                read.arg("GROUP").arg(GROUP).arg(MEMBERS[*member]).arg("COUNT").arg(count);
                read.arg("STREAMS").arg(names).arg(">").take()
            }
            Step::Acknowledge { ids } => command("XACK").arg(GROUP).arg(ids.iter().copied().map(text).collect::<Vec<_>>()).take(),
            Step::Claim { member, id } => command("XCLAIM").arg(GROUP).arg(MEMBERS[*member]).arg(0).arg(text(*id)).take(),
            Step::Delete { id } => command("XDEL").arg(text(*id)).take(),
            Step::Trim => command("XTRIM").arg("MAXLEN").arg(LONG).take(),
        }
    }

    fn apply(&mut self, step: &Step, names: &str) -> Value {
        let count = |count: usize| Value::Int(i64::try_from(count).unwrap());
        match step {
            Step::Add { id, value } => {
                self.added = *id;
                self.entries.insert(*id, value.clone());
                bulk(&text(*id))
            }
            Step::Read { member, count } => {
                let new: Vec<_> =
                    self.entries.range(self.delivered + 1..).take(*count).map(|(id, value)| (*id, value.clone())).collect();
                let Some((last, _)) = new.last() else { return Value::Nil };
                self.delivered = *last;
                self.pending.extend(new.iter().map(|(id, _)| (*id, (*member, 1))));
                let entries = new.iter().map(|(id, value)| entry(*id, value)).collect();
                Value::Array(vec![Value::Array(vec![bulk(names), Value::Array(entries)])])
            }
            Step::Acknowledge { ids } => count(ids.iter().filter(|id| self.pending.remove(id).is_some()).count()),
            Step::Claim { member, id } => match (self.pending.get_mut(id), self.entries.get(id)) {
                (Some(pending), Some(value)) => {
                    *pending = (*member, pending.1 + 1);
                    Value::Array(vec![entry(*id, value)])
                }
                _ => {
                    self.pending.remove(id);
                    Value::Array(Vec::new())
                }
            },
            Step::Delete { id } => count(usize::from(self.entries.remove(id).is_some())),
            Step::Trim => {
                let gone = self.entries.len().saturating_sub(LONG);
                let first = self.entries.keys().nth(gone).copied();
                self.entries = first.map(|first| self.entries.split_off(&first)).unwrap_or_default();
                count(gone)
            }
        }
    }

    async fn read(connection: &mut MultiplexedConnection, names: &str) -> Self {
        let entries: Vec<Entry> =
            redis::cmd("XRANGE").arg(names).arg("-").arg("+").query_async(connection).await.expect("XRANGE");
        let length: usize = redis::cmd("XLEN").arg(names).query_async(connection).await.expect("XLEN");
        assert_eq!(length, entries.len(), "XLEN of {names}");
        let mut pending = redis::cmd("XPENDING");
        pending.arg(names).arg(GROUP).arg("-").arg("+").arg(1_000_000);
        let pending: Vec<(String, String, u64, u64)> = pending.query_async(connection).await.expect("XPENDING");
        let member = |name: &str| MEMBERS.iter().position(|member| *member == name).expect("a member");
        Self {
            entries: entries.into_iter().map(|(id, mut fields)| (number(&id), fields.remove(0).1)).collect(),
            pending: pending.iter().map(|(id, name, _, count)| (number(id), (member(name), *count))).collect(),
            added: told(connection, "STREAM", names, "last-generated-id").await,
            delivered: told(connection, "GROUPS", names, "last-delivered-id").await,
        }
    }
}

/// Makes the stream and its group.
pub async fn create(connection: &mut MultiplexedConnection, name: &str) {
    let mut create = redis::cmd("XGROUP");
    create.arg("CREATE").arg(name).arg(GROUP).arg("$").arg("MKSTREAM");
    create.query_async::<()>(connection).await.expect("XGROUP CREATE");
}

/// An id that XINFO tells.
async fn told(connection: &mut MultiplexedConnection, what: &str, name: &str, field: &str) -> u64 {
    let told: Value = redis::cmd("XINFO").arg(what).arg(name).query_async(connection).await.expect("XINFO");
    let mut fields = match told {
        // Of the one group.
        Value::Array(groups) if matches!(groups.first(), Some(Value::Array(_))) => redis::from_redis_value(groups[0].clone()),
        fields => redis::from_redis_value(fields),
    }
    .map(|fields: HashMap<String, Value>| fields)
    .expect("fields");
    let id: String = redis::from_redis_value(fields.remove(field).expect(field)).expect("an id");
    number(&id)
}

fn text(id: u64) -> String {
    format!("{id}-0")
}

fn number(id: &str) -> u64 {
    id.strip_suffix("-0").and_then(|id| id.parse().ok()).expect("an id of this test")
}

fn bulk(text: &str) -> Value {
    Value::BulkString(text.as_bytes().to_vec())
}

fn entry(id: u64, value: &[u8]) -> Value {
    Value::Array(vec![bulk(&text(id)), Value::Array(vec![bulk("value"), Value::BulkString(value.to_vec())])])
}
