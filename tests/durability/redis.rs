//! Redis lists under kills: one owner a pair of lists, who knows what they hold save for the commands whose reply the kill
//! took away.

use std::collections::VecDeque;

use rand::Rng;
use rand::rngs::StdRng;
use redis::Value;
use redis::aio::MultiplexedConnection;

use super::load::{Pace, payload};
use super::support::{PATIENCE, eventually};

/// The most commands that one pipeline holds.
const PIPELINE_MAX: usize = 12;

#[derive(Clone, Debug)]
enum Step {
    Push { list: usize, at_head: bool, values: Vec<Vec<u8>> },
    Pop { list: usize, from_head: bool },
    Move { from: usize, from_head: bool, to_head: bool },
}

/// Both lists.
type Lists = [VecDeque<Vec<u8>>; 2];

/// The owner of two lists.
pub struct Owner {
    names: [String; 2],
    random: StdRng,
    lists: Lists,
    /// Sent and not answered when the gateway was killed; `is_atomic`: as one transaction.
    open: Vec<Step>,
    is_atomic: bool,
    next: u64,
    pub answered: u64,
}

impl Owner {
    pub fn new(name: &str, random: StdRng) -> Self {
        let names = [format!("{name}-a"), format!("{name}-b")];
        Self { names, random, lists: Lists::default(), open: Vec::new(), is_atomic: false, next: 0, answered: 0 }
    }

    /// Works until the connection breaks or the loads end.
    pub async fn work(&mut self, url: &str, pace: &Pace) {
        let mut connection = connect(url).await;
        while !pace.is_ending() {
            let count = self.random.random_range(1..=PIPELINE_MAX);
            self.open = (0..count).map(|_| self.step()).collect();
            self.is_atomic = self.random.random_bool(0.3);
            let Ok(replies) = self.pipeline().query_async::<Vec<Value>>(&mut connection).await else { return };
            self.take_replies(replies);
            pace.count();
        }
    }

    /// What the lists hold after a restart must be what the replies said, and of the commands without a reply the first so many
    /// (all or none, if they were a transaction).
    pub async fn verify(&mut self, url: &str) {
        let mut connection = connect(url).await;
        let found = [self.read(&mut connection, 0).await, self.read(&mut connection, 1).await];
        let mut expected = vec![self.lists.clone()];
        for step in &self.open {
            let mut next = expected.last().cloned().unwrap_or_default();
            apply(&mut next, step);
            expected.push(next);
        }
        if self.is_atomic {
            expected = [expected.first().cloned(), expected.last().cloned()].into_iter().flatten().collect();
        }
        assert!(
            expected.contains(&found),
            "lists {:?} hold {}, which is not what {} open commands {:?} may leave of {}",
            self.names,
            shown(&found),
            self.open.len(),
            self.open,
            shown(&self.lists)
        );
        self.lists = found;
        self.open.clear();
    }

    async fn read(&self, connection: &mut MultiplexedConnection, list: usize) -> VecDeque<Vec<u8>> {
        let mut command = redis::cmd("LRANGE");
        command.arg(&self.names[list]).arg(0).arg(-1);
        let values: Vec<Vec<u8>> = command.query_async(connection).await.expect("LRANGE");
        let length: usize = redis::cmd("LLEN").arg(&self.names[list]).query_async(connection).await.expect("LLEN");
        assert_eq!(length, values.len(), "LLEN of {}", self.names[list]);
        values.into()
    }

    fn step(&mut self) -> Step {
        let random = &mut self.random;
        let (list, at_head, is_long) = (random.random_range(0..2), random.random(), self.lists[0].len() > 60);
        match random.random_range(0..if is_long { 12 } else { 8 }) {
            0..4 => {
                let values = (0..random.random_range(1..4)).map(|_| {
                    self.next += 1;
                    payload(&mut self.random, "element", self.next, 800)
                });
                Step::Push { list, at_head, values: values.collect() }
            }
            4..6 => Step::Move { from: list, from_head: at_head, to_head: self.random.random() },
            _ => Step::Pop { list, from_head: at_head },
        }
    }

    fn pipeline(&self) -> redis::Pipeline {
        let mut pipeline = redis::pipe();
        if self.is_atomic {
            pipeline.atomic();
        }
        let end = |is_head: bool| if is_head { "LEFT" } else { "RIGHT" };
        for step in &self.open {
            match step {
                Step::Push { list, at_head, values } => {
                    pipeline.cmd(if *at_head { "LPUSH" } else { "RPUSH" }).arg(&self.names[*list]).arg(values);
                }
                Step::Pop { list, from_head } => {
                    pipeline.cmd(if *from_head { "LPOP" } else { "RPOP" }).arg(&self.names[*list]);
                }
                Step::Move { from, from_head, to_head } => {
                    let (from, to) = (&self.names[*from], &self.names[1 - *from]);
                    pipeline.cmd("LMOVE").arg(from).arg(to).arg(end(*from_head)).arg(end(*to_head));
                }
            }
        }
        pipeline
    }

    fn take_replies(&mut self, replies: Vec<Value>) {
        assert_eq!(replies.len(), self.open.len());
        for (step, reply) in std::mem::take(&mut self.open).iter().zip(replies) {
            let expected = apply(&mut self.lists, step);
            assert_eq!(reply, expected, "{step:?}");
            self.answered += 1;
        }
    }
}

/// Does a step and tells its reply.
fn apply(lists: &mut Lists, step: &Step) -> Value {
    let take = |list: &mut VecDeque<Vec<u8>>, from_head: bool| if from_head { list.pop_front() } else { list.pop_back() };
    let put = |list: &mut VecDeque<Vec<u8>>, at_head: bool, value: Vec<u8>| match at_head {
        true => list.push_front(value),
        false => list.push_back(value),
    };
    match step {
        Step::Push { list, at_head, values } => {
            values.iter().for_each(|value| put(&mut lists[*list], *at_head, value.clone()));
            Value::Int(i64::try_from(lists[*list].len()).unwrap())
        }
        Step::Pop { list, from_head } => take(&mut lists[*list], *from_head).map_or(Value::Nil, Value::BulkString),
        Step::Move { from, from_head, to_head } => match take(&mut lists[*from], *from_head) {
            Some(value) => {
                put(&mut lists[1 - *from], *to_head, value.clone());
                Value::BulkString(value)
            }
            None => Value::Nil,
        },
    }
}

fn shown(lists: &Lists) -> String {
    let names = |list: &VecDeque<Vec<u8>>| {
        let name = |value: &Vec<u8>| String::from_utf8_lossy(value).trim_end_matches('.').to_owned();
        list.iter().map(name).collect::<Vec<_>>().join(" ")
    };
    format!("[{}] [{}]", names(&lists[0]), names(&lists[1]))
}

async fn connect(url: &str) -> MultiplexedConnection {
    let client = redis::Client::open(url).unwrap();
    let config = redis::AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
    eventually("a Redis connection", || async { client.get_multiplexed_async_connection_with_config(&config).await.ok() }).await
}

/// Pushes numbered elements with BLPOP on the other side; after a kill what is left is what was pushed and not popped.
pub async fn hand_over(url: &str, name: &str, pace: &Pace, state: &mut HandOver) {
    let (mut pusher, mut popper) = (connect(url).await, connect(url).await);
    let push = async {
        while !pace.is_ending() {
            state.pushing = Some(state.next);
            let value = state.next;
            state.next += 1;
            let pushed: redis::RedisResult<i64> = redis::cmd("RPUSH").arg(name).arg(value).query_async(&mut pusher).await;
            if pushed.is_err() {
                return;
            }
            state.pushed.push_back(value);
            state.pushing = None;
            pace.count();
        }
    };
    let popped = &mut state.popped;
    let pop = async {
        while !pace.is_ending() {
            let reply: redis::RedisResult<Option<(String, u64)>> =
                redis::cmd("BLPOP").arg(name).arg(0.2).query_async(&mut popper).await;
            match reply {
                Ok(Some((_, value))) => popped.push(value),
                Ok(None) => {}
                Err(_) => return,
            }
            pace.count();
        }
    };
    tokio::join!(push, pop);
}

/// What went through one list from its tail to its head.
#[derive(Default)]
pub struct HandOver {
    next: u64,
    pushing: Option<u64>,
    pushed: VecDeque<u64>,
    popped: Vec<u64>,
}

impl HandOver {
    pub async fn verify(&mut self, url: &str, name: &str) {
        let mut connection = connect(url).await;
        let left: Vec<u64> = redis::cmd("LRANGE").arg(name).arg(0).arg(-1).query_async(&mut connection).await.expect("LRANGE");
        // What was popped went in order, each once. A push and a pop may each have lost their reply to the kill.
        let pushing = self.pushing.take();
        let mut due: Vec<u64> = self.pushed.drain(..).chain(pushing).collect();
        let popped = std::mem::take(&mut self.popped);
        assert!(due.starts_with(&popped), "popped {popped:?} of {due:?}");
        due.drain(..popped.len());
        let fits = |due: &[u64]| due.strip_suffix(&left[..]).is_some_and(|gone| gone.len() <= 1);
        let without_last = due.split_last().filter(|_| pushing.is_some()).map(|(_, rest)| rest);
        assert!(fits(&due) || without_last.is_some_and(fits), "{left:?} is left of {due:?}, {pushing:?} unanswered");
        self.pushed = left.into();
    }
}
