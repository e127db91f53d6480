//! Lists that are edited in the middle, through the redis crate.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use redis::{Commands, Connection, RedisError};

use crate::support::{Gateway, wait_until};
use crate::{blocked_clients, connect};

fn all(c: &mut Connection, key: &str) -> Vec<String> {
    c.lrange(key, 0, -1).unwrap()
}

fn error(result: Result<redis::Value, RedisError>) -> String {
    result.expect_err("refused").to_string()
}

#[test]
fn elements_are_set_inserted_removed_and_found() {
    let gateway = Gateway::start();
    let mut c = connect(&gateway);
    let _: u64 = c.rpush("l", &["a", "b", "c", "b", "a"]).unwrap();
    let _: () = c.lset("l", -2, "B").unwrap();
    assert_eq!(c.linsert_before::<_, _, _, i64>("l", "b", "x").unwrap(), 6);
    assert_eq!(c.linsert_after::<_, _, _, i64>("l", "B", "y").unwrap(), 7);
    assert_eq!(c.linsert_after::<_, _, _, i64>("l", "none", "y").unwrap(), -1);
    assert_eq!(all(&mut c, "l"), ["a", "x", "b", "c", "B", "y", "a"]);
    assert_eq!(redis::cmd("LPOS").arg(&["l", "a", "RANK", "-1"]).query::<u64>(&mut c).unwrap(), 6);
    assert_eq!(redis::cmd("LPOS").arg(&["l", "a", "COUNT", "0"]).query::<Vec<u64>>(&mut c).unwrap(), [0, 6]);
    assert_eq!(c.lrem::<_, _, u64>("l", -1, "a").unwrap(), 1);
    let _: () = c.ltrim("l", 1, -2).unwrap();
    assert_eq!(all(&mut c, "l"), ["x", "b", "c", "B"]);
    assert!(error(redis::cmd("LSET").arg(&["l", "9", "v"]).query(&mut c)).contains("index out of range"));
    assert!(error(redis::cmd("LSET").arg(&["none", "0", "v"]).query(&mut c)).contains("no such key"));
    assert!(error(redis::cmd("LPOS").arg(&["l", "v", "RANK", "0"]).query(&mut c)).contains("RANK can't be zero"));
}

/// Random edits against a plain list, through a kill now and then.
#[test]
fn an_edited_list_is_the_same_list_after_a_kill() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut gateway = Gateway::start();
    let mut model: VecDeque<String> = VecDeque::new();
    for round in 0..4 {
        let mut c = connect(&gateway);
        for step in 0..150 {
            let value = format!("{round}-{step}");
            let index = if model.is_empty() { 0 } else { random.random_range(0..model.len()) };
            match random.random_range(0..9) {
                0 | 1 => {
                    let _: u64 = c.rpush("l", &value).unwrap();
                    model.push_back(value);
                }
                2 | 3 => {
                    let _: u64 = c.lpush("l", &value).unwrap();
                    model.push_front(value);
                }
                4 if !model.is_empty() => {
                    let _: () = c.lset("l", index as isize, &value).unwrap();
                    model[index] = value;
                }
                5 if !model.is_empty() => {
                    let _: i64 = c.linsert_before("l", &model[index], &value).unwrap();
                    model.insert(index, value);
                }
                6 if !model.is_empty() => {
                    let _: i64 = c.linsert_after("l", &model[index], &value).unwrap();
                    model.insert(index + 1, value);
                }
                7 if !model.is_empty() => {
                    assert_eq!(c.lrem::<_, _, u64>("l", 0, &model[index]).unwrap(), 1);
                    model.remove(index);
                }
                _ => {
                    let moved: Option<String> = c.rpoplpush("l", "l").unwrap();
                    assert_eq!(moved.as_ref(), model.back());
                    model.rotate_right(usize::from(!model.is_empty()));
                }
            }
        }
        assert_eq!(all(&mut c, "l"), Vec::from(model.clone()));
        gateway.crash();
        assert_eq!(all(&mut connect(&gateway), "l"), Vec::from(model.clone()));
    }
}

#[test]
fn a_range_and_an_index_deep_inside_do_not_read_what_is_before() {
    let gateway = Gateway::start();
    let mut c = connect(&gateway);
    let values: Vec<String> = (0..50_000).map(|n| format!("element {n}")).collect();
    for part in values.chunks(1000) {
        let _: u64 = c.lpush("l", part).unwrap();
    }
    let shown = all(&mut c, "l");
    assert!(shown.iter().eq(values.iter().rev()));
    assert_eq!(c.lindex::<_, String>("l", 49_999).unwrap(), "element 0");
    assert_eq!(c.lindex::<_, String>("l", -2).unwrap(), "element 1");
    assert_eq!(c.lrange::<_, Vec<String>>("l", 25_000, 25_001).unwrap(), ["element 24999", "element 24998"]);
}

#[test]
fn a_blocked_pop_of_many_takes_them_in_one_step() {
    let gateway = Gateway::start();
    let mut c = connect(&gateway);
    let waiters: Vec<_> = (1..=2)
        .map(|place| {
            let mut waiting = connect(&gateway);
            let waiter = thread::spawn(move || {
                let call = redis::cmd("BLMPOP").arg(&["0", "2", "none", "l", "LEFT", "COUNT", "2"]).clone();
                call.query::<(String, Vec<String>)>(&mut waiting).unwrap()
            });
            wait_until("it blocks", || blocked_clients(&mut c) == place);
            waiter
        })
        .collect();
    let _: u64 = c.rpush("l", &["1", "2", "3"]).unwrap();
    let got: Vec<_> = waiters.into_iter().map(|waiter| waiter.join().unwrap().1).collect();
    assert_eq!(got, [vec!["1", "2"], vec!["3"]]);
}

const MILLION: usize = 1_000_000;

/// A list of a million elements, each the same but for a hundred needles that are spread over it.
fn long_list(gateway: &Gateway, key: &str) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", gateway.kafka())
        .set("linger.ms", "50")
        .set("batch.num.messages", "100000")
        .set("queue.buffering.max.messages", "2000000")
        .create()
        .unwrap();
    for n in 0..MILLION {
        let value = if n % 10_000 == 9_999 { "needle" } else { "hay" };
        producer.send(BaseRecord::<(), str>::to(key).partition(0).payload(value)).map_err(|(error, _)| error).unwrap();
        if n % 10_000 == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    producer.flush(Duration::from_secs(120)).unwrap();
}

/// Runs `work` while others push to another list, one after the other. The longest that one of them waited, and how long the work took.
fn while_others_push(gateway: &Gateway, work: impl FnOnce()) -> (Duration, Duration) {
    let (is_done, mut other) = (Arc::new(AtomicBool::new(false)), connect(gateway));
    let done = Arc::clone(&is_done);
    let pusher = thread::spawn(move || {
        let mut longest = Duration::ZERO;
        while !done.load(Ordering::Relaxed) {
            let began = Instant::now();
            let _: u64 = other.rpush("other", "x").unwrap();
            longest = longest.max(began.elapsed());
        }
        longest
    });
    let began = Instant::now();
    work();
    let took = began.elapsed();
    is_done.store(true, Ordering::Relaxed);
    (pusher.join().unwrap(), took)
}

#[test]
fn nobody_else_waits_while_a_list_of_a_million_elements_is_looked_through() {
    let gateway = Gateway::start();
    let mut c = connect(&gateway);
    c.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    long_list(&gateway, "long");
    assert_eq!(c.llen::<_, usize>("long").unwrap(), MILLION);
    let (longest, took) = while_others_push(&gateway, || {
        assert_eq!(redis::cmd("LPOS").arg(&["long", "none"]).query::<Option<u64>>(&mut c).unwrap(), None);
        assert_eq!(redis::cmd("LPOS").arg(&["long", "needle", "RANK", "-2"]).query::<u64>(&mut c).unwrap(), 989_999);
        assert_eq!(c.linsert_before::<_, _, _, usize>("long", "needle", "pin").unwrap(), MILLION + 1);
        assert_eq!(c.lrem::<_, _, usize>("long", -3, "needle").unwrap(), 3);
        // A transaction is atomic all the same.
        let (removed, len, at, left): (usize, usize, u64, usize) = redis::pipe()
            .atomic()
            .cmd("LREM")
            .arg(&["long", "0", "needle"])
            .cmd("RPUSH")
            .arg(&["long", "needle"])
            .cmd("LPOS")
            .arg(&["long", "needle"])
            .cmd("LREM")
            .arg(&["long", "0", "needle"])
            .query(&mut c)
            .unwrap();
        assert_eq!((removed, len, left), (97, MILLION - 98, 1));
        assert_eq!(at as usize, len - 1);
    });
    assert_eq!(c.lindex::<_, String>("long", 9_999).unwrap(), "pin");
    assert!(longest < took / 8, "one waited {longest:?} of {took:?}");
}

#[test]
fn what_is_pushed_while_a_list_is_looked_through_is_removed_or_left_but_not_lost() {
    let gateway = Gateway::start();
    let mut c = connect(&gateway);
    let hay = vec!["hay"; 5_000];
    let _: usize = c.rpush("l", &hay).unwrap();
    let mut other = connect(&gateway);
    let pusher = thread::spawn(move || {
        for n in 0..600 {
            let _: usize = if n % 2 == 0 { other.rpush("l", "needle").unwrap() } else { other.lpush("l", "needle").unwrap() };
            let _: Option<String> = other.rpoplpush("l", "l").unwrap();
        }
    });
    let mut removed = 0;
    while !pusher.is_finished() {
        removed += c.lrem::<_, _, usize>("l", 0, "needle").unwrap();
    }
    pusher.join().unwrap();
    removed += c.lrem::<_, _, usize>("l", 0, "needle").unwrap();
    assert_eq!((removed, c.llen::<_, usize>("l").unwrap()), (600, hay.len()));
}
