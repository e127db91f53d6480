//! Redis under kills: owners of a few names each, who know what those hold save for the commands whose reply the kill took away,
//! and a hand-over of elements from one client to another.

use std::collections::VecDeque;
use std::fmt::Debug;

use rand::Rng;
use rand::rngs::StdRng;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Value};

use super::load::Pace;
use super::support::{PATIENCE, eventually};

/// The most commands that one pipeline holds.
const PIPELINE_MAX: usize = 12;

/// What a few names of one owner hold, as the replies tell it.
pub trait Model: Clone + PartialEq + Debug {
    /// One command.
    type Step: Clone + Debug;

    /// Something to do next.
    fn step(&self, random: &mut StdRng) -> Self::Step;

    /// The step as it is sent.
    fn command(step: &Self::Step, names: &str) -> Cmd;

    /// Does a step and tells its reply.
    fn apply(&mut self, step: &Self::Step, names: &str) -> Value;

    /// What is there.
    async fn read(connection: &mut MultiplexedConnection, names: &str) -> Self;
}

/// The only one who writes to its names.
pub struct Owner<M: Model> {
    /// What its names begin with.
    names: String,
    random: StdRng,
    model: M,
    /// Sent and not answered when the gateway was killed; `is_atomic`: as one transaction.
    open: Vec<M::Step>,
    is_atomic: bool,
    pub answered: u64,
}

impl<M: Model> Owner<M> {
    /// Of names that hold what the model says.
    pub fn new(names: &str, random: StdRng, model: M) -> Self {
        Self { names: names.to_owned(), random, model, open: Vec::new(), is_atomic: false, answered: 0 }
    }

    /// Works until the connection breaks or the loads end.
    pub async fn work(&mut self, url: &str, pace: &Pace) {
        let mut connection = connect(url).await;
        while !pace.is_ending() {
            let mut ahead = self.model.clone();
            self.open.clear();
            for _ in 0..self.random.random_range(1..=PIPELINE_MAX) {
                let step = ahead.step(&mut self.random);
                ahead.apply(&step, &self.names);
                self.open.push(step);
            }
            self.is_atomic = self.random.random_bool(0.3);
            let Ok(replies) = self.pipeline().query_async::<Vec<Value>>(&mut connection).await else { return };
            self.take_replies(replies);
            pace.count();
        }
    }

    /// What the names hold after a restart must be what the replies said, and of the commands without a reply the first so many
    /// (all or none, if they were a transaction).
    pub async fn verify(&mut self, url: &str) {
        let found = M::read(&mut connect(url).await, &self.names).await;
        let mut expected = vec![self.model.clone()];
        for step in &self.open {
            let mut next = expected.last().unwrap_or(&self.model).clone();
            next.apply(step, &self.names);
            expected.push(next);
        }
        if self.is_atomic {
            expected.drain(1..self.open.len().max(1));
        }
        let Some(at) = expected.iter().rposition(|model| *model == found) else {
            panic!(
                "{} hold {found:?}, which is not what {} open commands {:?} (atomic: {}) may leave of {:?}",
                self.names,
                self.open.len(),
                self.open,
                self.is_atomic,
                self.model
            );
        };
        self.model = expected.swap_remove(at);
        self.open.clear();
        self.is_atomic = false;
    }

    fn pipeline(&self) -> redis::Pipeline {
        let mut pipeline = redis::pipe();
        if self.is_atomic {
            pipeline.atomic();
        }
        for step in &self.open {
            pipeline.add_command(M::command(step, &self.names));
        }
        pipeline
    }

    fn take_replies(&mut self, replies: Vec<Value>) {
        assert_eq!(replies.len(), self.open.len());
        for (step, reply) in std::mem::take(&mut self.open).iter().zip(replies) {
            let expected = self.model.apply(step, &self.names);
            assert_eq!(reply, expected, "{step:?} of {}, which hold {:?} now", self.names, self.model);
            self.answered += 1;
        }
    }
}

pub async fn connect(url: &str) -> MultiplexedConnection {
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
