//! Streams through the redis crate: ids, ranges, groups, waiting, and what a kill leaves.

use std::thread;

use redis::{Connection, RedisError, Value};

use crate::support::{Gateway, wait_until};
use crate::{blocked_clients, connect};

type Entry = (String, Vec<String>);

fn run<T: redis::FromRedisValue>(c: &mut Connection, command: &str) -> Result<T, RedisError> {
    let mut words = command.split(' ');
    redis::cmd(words.next().unwrap()).arg(words.collect::<Vec<_>>()).query(c)
}

fn ids(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|(id, _)| id.as_str()).collect()
}

fn error(c: &mut Connection, command: &str) -> String {
    run::<Value>(c, command).expect_err("refused").to_string()
}

#[test]
fn ids_rise_and_ranges_are_found_by_them() {
    let gateway = Gateway::start();
    let mut c = connect(&gateway);
    for id in ["5-1", "5-*", "7", "7-5"] {
        let _: String = run(&mut c, &format!("XADD s {id} f {id}")).unwrap();
    }
    let all: Vec<Entry> = run(&mut c, "XRANGE s - +").unwrap();
    assert_eq!(ids(&all), ["5-1", "5-2", "7-0", "7-5"]);
    assert_eq!(all[1].1, ["f", "5-*"]);
    let back: Vec<Entry> = run(&mut c, "XREVRANGE s + (5-1 COUNT 2").unwrap();
    assert_eq!(ids(&back), ["7-5", "7-0"]);
    assert!(error(&mut c, "XADD s 7-5 f v").contains("equal or smaller"));
    assert!(error(&mut c, "XADD s 0-0 f v").contains("must be greater than 0-0"));
    assert_eq!(run::<u64>(&mut c, "XDEL s 5-2 9-9").unwrap(), 1);
    assert_eq!(run::<u64>(&mut c, "XTRIM s MAXLEN 2").unwrap(), 1);
    assert_eq!(run::<u64>(&mut c, "XLEN s").unwrap(), 2);
    assert_eq!(run::<String>(&mut c, "TYPE s").unwrap(), "stream");
    assert!(error(&mut c, "LPUSH s x").contains("WRONGTYPE"));
    assert_eq!(run::<u64>(&mut c, "RPUSH l x").unwrap(), 1);
    assert!(error(&mut c, "XADD l * f v").contains("WRONGTYPE"));
    assert_eq!(run::<u64>(&mut c, "DEL s").unwrap(), 1);
    assert_eq!(run::<u64>(&mut c, "RPUSH s x").unwrap(), 1);
    assert_eq!(run::<Vec<String>>(&mut c, "LRANGE s 0 -1").unwrap(), ["x"]);
}

#[test]
fn a_blocked_read_gets_what_is_added_after_it() {
    let gateway = Gateway::start();
    let mut c = connect(&gateway);
    let _: String = run(&mut c, "XADD s 1-1 f old").unwrap();
    let mut waiting = connect(&gateway);
    let waiter =
        thread::spawn(move || run::<Vec<(String, Vec<Entry>)>>(&mut waiting, "XREAD BLOCK 0 STREAMS none s 0 $").unwrap());
    wait_until("it blocks", || blocked_clients(&mut c) == 1);
    let _: String = run(&mut c, "XADD s 2-1 f new").unwrap();
    assert_eq!(waiter.join().unwrap(), [("s".to_owned(), vec![("2-1".to_owned(), vec!["f".to_owned(), "new".to_owned()])])]);
    assert_eq!(run::<Value>(&mut c, "XREAD BLOCK 10 STREAMS s $").unwrap(), Value::Nil);
}

#[test]
fn a_kill_leaves_what_a_group_has_handed_out() {
    let mut gateway = Gateway::start();
    let mut c = connect(&gateway);
    let _: () = run(&mut c, "XGROUP CREATE s g $ MKSTREAM").unwrap();
    for n in 1..=5 {
        let _: String = run(&mut c, &format!("XADD s {n}-0 n {n}")).unwrap();
    }
    let got: Vec<(String, Vec<Entry>)> = run(&mut c, "XREADGROUP GROUP g a COUNT 3 STREAMS s >").unwrap();
    assert_eq!(ids(&got[0].1), ["1-0", "2-0", "3-0"]);
    assert_eq!(run::<u64>(&mut c, "XACK s g 2-0 9-0").unwrap(), 1);
    let claimed: Vec<Entry> = run(&mut c, "XCLAIM s g b 0 3-0").unwrap();
    assert_eq!(ids(&claimed), ["3-0"]);
    assert_eq!(run::<u64>(&mut c, "XDEL s 5-0").unwrap(), 1);
    gateway.crash();
    let mut c = connect(&gateway);
    let pending: Vec<(String, String, i64, u64)> = run(&mut c, "XPENDING s g - + 10").unwrap();
    let pending: Vec<_> = pending.iter().map(|(id, who, _, count)| (id.as_str(), who.as_str(), *count)).collect();
    assert_eq!(pending, [("1-0", "a", 1), ("3-0", "b", 2)]);
    let rest: Vec<(String, Vec<Entry>)> = run(&mut c, "XREADGROUP GROUP g a STREAMS s >").unwrap();
    assert_eq!(ids(&rest[0].1), ["4-0"]);
    let history: Vec<(String, Vec<Entry>)> = run(&mut c, "XREADGROUP GROUP g b STREAMS s 0").unwrap();
    assert_eq!(ids(&history[0].1), ["3-0"]);
    assert!(error(&mut c, "XADD s 5-0 f v").contains("equal or smaller"), "what was removed is not given out again");
    let claimed: (String, Vec<Entry>, Vec<String>) = run(&mut c, "XAUTOCLAIM s g c 0 0").unwrap();
    assert_eq!((claimed.0.as_str(), ids(&claimed.1)), ("0-0", vec!["1-0", "3-0", "4-0"]));
}

#[test]
fn a_transaction_adds_to_a_stream_and_a_list_at_once() {
    let gateway = Gateway::start();
    let mut c = connect(&gateway);
    let (id, len): (String, u64) =
        redis::pipe().atomic().cmd("XADD").arg(&["s", "3-3", "f", "v"]).cmd("RPUSH").arg(&["l", "v"]).query(&mut c).unwrap();
    assert_eq!((id.as_str(), len), ("3-3", 1));
}

type Read = Vec<(String, Vec<Entry>)>;

/// A command on a connection of its own, once it blocks.
fn blocked(gateway: &Gateway, command: String) -> thread::JoinHandle<Result<Read, RedisError>> {
    let (mut c, mut waiting) = (connect(gateway), connect(gateway));
    let before = blocked_clients(&mut c);
    let waiter = thread::spawn(move || run::<Read>(&mut waiting, &command));
    wait_until("it blocks", || blocked_clients(&mut c) > before);
    waiter
}

#[test]
fn readers_of_a_group_are_served_in_the_order_in_which_they_wait_each_after_a_whole_command() {
    let gateway = Gateway::start();
    let mut c = connect(&gateway);
    let _: () = run(&mut c, "XGROUP CREATE s g $ MKSTREAM").unwrap();
    let mut waiters = Vec::new();
    for who in 0..8 {
        waiters.push(blocked(&gateway, format!("XREADGROUP GROUP g member-{who} COUNT 1 BLOCK 0 STREAMS s >")));
    }
    let everyone = blocked(&gateway, "XREAD BLOCK 0 STREAMS s $".to_owned());
    let mut pipeline = redis::pipe();
    for n in 1..=8 {
        pipeline.cmd("XADD").arg("s").arg(format!("{n}-0")).arg("n").arg(n);
    }
    // All of them at once: each is served before the next command.
    pipeline.cmd("DEL").arg("s");
    let _: Vec<Value> = pipeline.query(&mut c).unwrap();
    for (who, waiter) in waiters.into_iter().enumerate() {
        let got = waiter.join().unwrap().unwrap();
        assert_eq!(ids(&got[0].1), [format!("{}-0", who + 1)], "the {who}th to wait");
    }
    assert_eq!(ids(&everyone.join().unwrap().unwrap()[0].1), ["1-0"]);
}

#[test]
fn who_waits_on_a_group_is_told_when_it_is_gone_though_there_is_one_again() {
    let gateway = Gateway::start();
    let mut c = connect(&gateway);
    for (gone, told) in [
        ("DEL s", "stream key no longer exists"),
        ("XGROUP DESTROY s g", "consumer group this client was blocked on no longer exists"),
    ] {
        let _: () = run(&mut c, "XGROUP CREATE s g $ MKSTREAM").unwrap();
        let waiter = blocked(&gateway, "XREADGROUP GROUP g me BLOCK 0 STREAMS s >".to_owned());
        let mut pipeline = redis::pipe();
        for command in [gone, "DEL s", "XGROUP CREATE s g $ MKSTREAM", "DEL s"] {
            let mut words = command.split(' ');
            pipeline.cmd(words.next().unwrap()).arg(words.collect::<Vec<_>>());
        }
        let _: Vec<Value> = pipeline.query(&mut c).unwrap();
        let error = waiter.join().unwrap().expect_err("there is nothing to wait for").to_string();
        assert!(error.contains(told), "{error}");
    }
}
