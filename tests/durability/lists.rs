//! Two lists of one owner: pushes, pops and moves at all ends, and edits in the middle.

use std::collections::VecDeque;
use std::fmt;

use rand::Rng;
use rand::rngs::StdRng;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Value};

use super::load::payload;
use super::redis::Model;

/// Above so many elements more is taken than given.
const LONG: usize = 60;

/// Both lists, and how many elements were ever made.
#[derive(Clone, Default)]
pub struct Lists {
    lists: [VecDeque<Vec<u8>>; 2],
    made: u64,
}

#[derive(Clone)]
pub enum Step {
    Push { list: usize, at_head: bool, values: Vec<Vec<u8>> },
    Pop { list: usize, from_head: bool },
    Move { from: usize, from_head: bool, to_head: bool },
    Set { list: usize, index: usize, value: Vec<u8> },
    Insert { list: usize, before: bool, pivot: Vec<u8>, value: Vec<u8> },
    Remove { list: usize, value: Vec<u8> },
    Trim { list: usize, start: usize, stop: usize },
}

impl Lists {
    fn value(&self, random: &mut StdRng, index: u64) -> Vec<u8> {
        payload(random, "element", self.made + index, 800)
    }

    fn edit(&self, random: &mut StdRng, list: usize) -> Step {
        let elements = &self.lists[list];
        let index = random.random_range(0..elements.len());
        // Now and then one that is not there.
        let pivot = if random.random_bool(0.9) { elements[index].clone() } else { b"nowhere".to_vec() };
        match random.random_range(0..4) {
            0 => Step::Set { list, index, value: self.value(random, 0) },
            1 => Step::Insert { list, before: random.random(), pivot, value: self.value(random, 0) },
            2 => Step::Remove { list, value: pivot },
            _ => {
                let (start, stop) = (random.random_range(0..3), elements.len() - random.random_range(0..elements.len().min(3)));
                Step::Trim { list, start, stop }
            }
        }
    }
}

impl Model for Lists {
    type Step = Step;

    fn step(&self, random: &mut StdRng) -> Step {
        let (list, at_head, is_long) = (random.random_range(0..2), random.random(), self.lists[0].len() > LONG);
        match random.random_range(0..if is_long { 14 } else { 10 }) {
            0..4 => Step::Push { list, at_head, values: (0..random.random_range(1..4)).map(|n| self.value(random, n)).collect() },
            4..6 => Step::Move { from: list, from_head: at_head, to_head: random.random() },
            6..8 if !self.lists[list].is_empty() => self.edit(random, list),
            _ => Step::Pop { list, from_head: at_head },
        }
    }

    fn command(step: &Step, names: &str) -> Cmd {
        let end = |is_head: bool| if is_head { "LEFT" } else { "RIGHT" };
        let command = |word: &str, list: usize| {
            let mut command = redis::cmd(word);
            command.arg(name(names, list));
            command
        };
        match step {
            Step::Push { list, at_head, values } => command(if *at_head { "LPUSH" } else { "RPUSH" }, *list).arg(values).take(),
            Step::Pop { list, from_head } => command(if *from_head { "LPOP" } else { "RPOP" }, *list),
            Step::Move { from, from_head: false, to_head: true } => command("RPOPLPUSH", *from).arg(name(names, 1 - from)).take(),
            Step::Move { from, from_head, to_head } => {
                command("LMOVE", *from).arg(name(names, 1 - from)).arg(end(*from_head)).arg(end(*to_head)).take()
            }
            Step::Set { list, index, value } => command("LSET", *list).arg(index).arg(value).take(),
            Step::Insert { list, before, pivot, value } => {
                command("LINSERT", *list).arg(if *before { "BEFORE" } else { "AFTER" }).arg(pivot).arg(value).take()
            }
            Step::Remove { list, value } => command("LREM", *list).arg(0).arg(value).take(),
            Step::Trim { list, start, stop } => command("LTRIM", *list).arg(start).arg(stop).take(),
        }
    }

    fn apply(&mut self, step: &Step, _: &str) -> Value {
        let take = |list: &mut VecDeque<Vec<u8>>, from_head: bool| if from_head { list.pop_front() } else { list.pop_back() };
        let put = |list: &mut VecDeque<Vec<u8>>, at_head: bool, value: Vec<u8>| match at_head {
            true => list.push_front(value),
            false => list.push_back(value),
        };
        let count = |count: usize| Value::Int(i64::try_from(count).unwrap());
        match step {
            Step::Push { list, at_head, values } => {
                self.made += values.len() as u64;
                values.iter().for_each(|value| put(&mut self.lists[*list], *at_head, value.clone()));
                count(self.lists[*list].len())
            }
            Step::Pop { list, from_head } => take(&mut self.lists[*list], *from_head).map_or(Value::Nil, Value::BulkString),
            Step::Move { from, from_head, to_head } => match take(&mut self.lists[*from], *from_head) {
                Some(value) => {
                    put(&mut self.lists[1 - *from], *to_head, value.clone());
                    Value::BulkString(value)
                }
                None => Value::Nil,
            },
            Step::Set { list, index, value } => {
                self.made += 1;
                self.lists[*list][*index] = value.clone();
                Value::Okay
            }
            Step::Insert { list, before, pivot, value } => {
                self.made += 1;
                let list = &mut self.lists[*list];
                match list.iter().position(|other| other == pivot) {
                    Some(at) => {
                        list.insert(at + usize::from(!before), value.clone());
                        count(list.len())
                    }
                    None if list.is_empty() => count(0),
                    None => Value::Int(-1),
                }
            }
            Step::Remove { list, value } => {
                let length = self.lists[*list].len();
                self.lists[*list].retain(|other| other != value);
                count(length - self.lists[*list].len())
            }
            Step::Trim { list, start, stop } => {
                let list = &mut self.lists[*list];
                list.truncate(stop + 1);
                list.drain(..(*start).min(list.len()));
                Value::Okay
            }
        }
    }

    async fn read(connection: &mut MultiplexedConnection, names: &str) -> Self {
        let mut found = Self::default();
        for (list, elements) in found.lists.iter_mut().enumerate() {
            let mut range = redis::cmd("LRANGE");
            let values: Vec<Vec<u8>> = range.arg(name(names, list)).arg(0).arg(-1).query_async(connection).await.expect("LRANGE");
            let length: usize = redis::cmd("LLEN").arg(name(names, list)).query_async(connection).await.expect("LLEN");
            assert_eq!(length, values.len(), "LLEN of {}", name(names, list));
            *elements = values.into();
        }
        found
    }
}

/// How many were made cannot be read.
impl PartialEq for Lists {
    fn eq(&self, other: &Self) -> bool {
        self.lists == other.lists
    }
}

impl fmt::Debug for Lists {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.lists.iter().map(|list| list.iter().map(|value| shown(value)).collect::<Vec<_>>())).finish()
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let packed = Lists::command(self, "").get_packed_command();
        let text = String::from_utf8_lossy(&packed).replace("\r\n", " ");
        let words = text.split(' ').filter(|word| !word.starts_with(['$', '*']));
        write!(f, "{}", words.map(|word| shown(word.as_bytes())).collect::<Vec<_>>().join(" "))
    }
}

fn name(names: &str, list: usize) -> String {
    format!("{names}-{}", ["a", "b"][list])
}

fn shown(value: &[u8]) -> String {
    String::from_utf8_lossy(value).trim_end_matches('.').to_owned()
}
