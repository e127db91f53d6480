//! The Redis dialect through a real client library, against a gateway of its own: what Redis promises, and what the log adds.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::unwrap_used)]

mod support;

#[path = "redis/editing.rs"]
mod editing;
#[path = "redis/streams.rs"]
mod streams;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use redis::{Commands, Connection, Value};
use support::{Gateway, eventually, http_get, wait_until};

fn connect(gateway: &Gateway) -> Connection {
    let client = redis::Client::open(gateway.redis()).expect("a URL");
    let connection = client.get_connection().expect("a connection");
    connection.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    connection
}

fn blocked_clients(connection: &mut Connection) -> usize {
    let info: String = redis::cmd("INFO").arg("clients").query(connection).expect("INFO");
    let line = info.lines().find_map(|line| line.strip_prefix("blocked_clients:")).expect("the line");
    line.trim().parse().expect("a number")
}

/// Sends raw bytes and returns what comes back until the server has said `until`, or has closed.
fn raw(gateway: &Gateway, bytes: &[u8], until: &str) -> String {
    let url = gateway.redis();
    let address = url.trim_start_matches("redis://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address).expect("connect");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    stream.write_all(bytes).expect("write");
    let (mut seen, mut chunk) = (Vec::new(), [0u8; 4096]);
    while !String::from_utf8_lossy(&seen).contains(until) {
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => break,
            Ok(n) => seen.extend_from_slice(chunk.get(..n).unwrap_or_default()),
        }
    }
    String::from_utf8_lossy(&seen).into_owned()
}

#[test]
fn lists_behave_as_in_redis() {
    let gateway = Gateway::start();
    let mut c = connect(&gateway);
    assert_eq!(c.rpush::<_, _, u64>("l", &["b", "c"]).unwrap(), 2);
    assert_eq!(c.lpush::<_, _, u64>("l", &["a", "z"]).unwrap(), 4);
    assert_eq!(c.lrange::<_, Vec<String>>("l", 0, -1).unwrap(), ["z", "a", "b", "c"]);
    assert_eq!(c.lindex::<_, String>("l", -1).unwrap(), "c");
    assert_eq!(c.lpop::<_, String>("l", None).unwrap(), "z");
    assert_eq!(c.rpop::<_, Vec<String>>("l", std::num::NonZeroUsize::new(2)).unwrap(), ["c", "b"]);
    assert_eq!(c.llen::<_, u64>("l").unwrap(), 1);
    assert_eq!(c.rpush_exists::<_, _, u64>("absent", "x").unwrap(), 0);
    assert_eq!(c.lpop::<_, Option<String>>("absent", None).unwrap(), None);
    let moved: String = redis::cmd("LMOVE").arg("l").arg("m").arg("LEFT").arg("RIGHT").query(&mut c).unwrap();
    assert_eq!(moved, "a");
    assert!(!c.exists::<_, bool>("l").unwrap());
    assert_eq!(c.rpoplpush::<_, _, String>("m", "m").unwrap(), "a");
    let kind: String = redis::cmd("TYPE").arg("m").query(&mut c).unwrap();
    assert_eq!(kind, "list");
    assert_eq!(c.del::<_, u64>("m").unwrap(), 1);
    assert_eq!(c.keys::<_, Vec<String>>("*").unwrap(), Vec::<String>::new());
}

#[test]
fn a_blocked_pop_gets_what_is_pushed_and_the_longest_waiter_is_first() {
    let gateway = Gateway::start();
    let mut c = connect(&gateway);
    let waiters: Vec<_> = (1..=2)
        .map(|place| {
            let mut waiting = connect(&gateway);
            let waiter = thread::spawn(move || waiting.blpop::<_, (String, String)>(&["empty", "jobs"], 0.0).unwrap());
            wait_until("it blocks", || blocked_clients(&mut c) == place);
            waiter
        })
        .collect();
    let _: u64 = c.rpush("jobs", &["first", "second"]).unwrap();
    let got: Vec<_> = waiters.into_iter().map(|waiter| waiter.join().unwrap().1).collect();
    assert_eq!(got, ["first", "second"]);
    let none: Option<(String, String)> = c.brpop("jobs", 0.01).unwrap();
    assert_eq!(none, None);
}

#[test]
fn a_blocked_move_is_done_by_the_push_that_ends_it() {
    let gateway = Gateway::start();
    let mut c = connect(&gateway);
    let mut waiting = connect(&gateway);
    let waiter = thread::spawn(move || {
        redis::cmd("BLMOVE").arg(&["from", "to", "RIGHT", "LEFT", "0"]).query::<String>(&mut waiting).unwrap()
    });
    wait_until("it blocks", || blocked_clients(&mut c) == 1);
    let _: u64 = c.rpush("from", &["a", "b"]).unwrap();
    assert_eq!(c.lrange::<_, Vec<String>>("to", 0, -1).unwrap(), ["b"]);
    assert_eq!(waiter.join().unwrap(), "b");
    assert_eq!(c.lrange::<_, Vec<String>>("from", 0, -1).unwrap(), ["a"]);
}

#[test]
fn a_client_that_leaves_while_it_waits_takes_nothing() {
    let gateway = Gateway::start();
    let mut c = connect(&gateway);
    let url = gateway.redis();
    let address = url.trim_start_matches("redis://").trim_end_matches('/');
    let mut leaving = TcpStream::connect(address).expect("connect");
    leaving.write_all(b"BLPOP jobs 0\r\n").expect("write");
    wait_until("it blocks", || blocked_clients(&mut c) == 1);
    drop(leaving);
    wait_until("it is gone", || blocked_clients(&mut c) == 0);
    let _: u64 = c.rpush("jobs", "kept").unwrap();
    assert_eq!(c.lpop::<_, String>("jobs", None).unwrap(), "kept");
}

#[test]
fn a_transaction_is_all_or_nothing_and_sees_watched_keys() {
    let gateway = Gateway::start();
    let (mut c, mut other) = (connect(&gateway), connect(&gateway));
    let (pushed, moved): (u64, String) =
        redis::pipe().atomic().rpush("t", "x").cmd("LMOVE").arg(&["t", "u", "LEFT", "LEFT"]).query(&mut c).unwrap();
    assert_eq!((pushed, moved.as_str()), (1, "x"));

    let _: () = redis::cmd("WATCH").arg("t").query(&mut c).unwrap();
    let _: u64 = other.rpush("t", "theirs").unwrap();
    let nothing: Value = redis::pipe().atomic().rpush("t", "ours").query(&mut c).unwrap();
    assert_eq!(nothing, Value::Nil);
    assert_eq!(c.lrange::<_, Vec<String>>("t", 0, -1).unwrap(), ["theirs"]);

    let replies = raw(&gateway, b"MULTI\r\nRPUSH t x\r\nNOSUCH\r\nEXEC\r\nLLEN t\r\nQUIT\r\n", ":1\r\n+OK");
    assert!(replies.contains("EXECABORT Transaction discarded because of previous errors."), "{replies}");
    assert!(replies.ends_with(":1\r\n+OK\r\n"), "{replies}");
}

#[test]
fn a_subscriber_gets_messages_by_name_and_by_pattern_and_no_pushes() {
    let gateway = Gateway::start();
    let (mut c, mut subscriber) = (connect(&gateway), connect(&gateway));
    let _: u64 = c.rpush("news", "pushed").unwrap();
    let mut live = subscriber.as_pubsub();
    live.subscribe(&["news", "other"]).unwrap();
    live.psubscribe("n*").unwrap();
    wait_until("the pattern is known", || redis::cmd("PUBSUB").arg("NUMPAT").query::<u64>(&mut c).unwrap() == 1);
    assert_eq!(c.publish::<_, _, u64>("news", "hello").unwrap(), 2);
    assert_eq!(c.publish::<_, _, u64>("nobody", "x").unwrap(), 1);
    let mut got = Vec::new();
    for _ in 0..3 {
        let message = live.get_message().unwrap();
        let pattern: Option<String> = message.get_pattern().unwrap();
        got.push((message.get_channel_name().to_owned(), pattern, message.get_payload::<String>().unwrap()));
    }
    let expected = [("news", None, "hello"), ("news", Some("n*"), "hello"), ("nobody", Some("n*"), "x")];
    let expected: Vec<_> = expected.into_iter().map(|(c, p, m)| (c.to_owned(), p.map(str::to_owned), m.to_owned())).collect();
    assert_eq!(got, expected);
    drop(live);
    assert_eq!(c.lrange::<_, Vec<String>>("news", 0, -1).unwrap(), ["pushed"]);
}

/// Subscribes to `flood` and never reads.
fn deaf_subscriber(gateway: &Gateway, c: &mut Connection) -> TcpStream {
    let url = gateway.redis();
    let mut deaf = TcpStream::connect(url.trim_start_matches("redis://").trim_end_matches('/')).expect("connect");
    deaf.write_all(b"SUBSCRIBE flood\r\n").expect("write");
    wait_until("it listens", || redis::cmd("PUBSUB").arg("NUMSUB").arg("flood").query::<(String, u64)>(c).unwrap().1 == 1);
    deaf
}

fn limit_subscribers(c: &mut Connection, limits: &str) {
    let limits = format!("pubsub {limits}");
    let _: () = redis::cmd("CONFIG").arg("SET").arg("client-output-buffer-limit").arg(&limits).query(c).unwrap();
    let shown: (String, String) = redis::cmd("CONFIG").arg("GET").arg("client-output-buffer-limit").query(c).unwrap();
    assert!(shown.1.ends_with(&limits), "{shown:?}");
}

#[tokio::test]
async fn a_subscriber_that_does_not_read_is_cut_counted_and_slows_nobody() {
    let gateway = Gateway::start();
    let mut c = connect(&gateway);
    limit_subscribers(&mut c, "500000 0 0");
    let _deaf = deaf_subscriber(&gateway, &mut c);
    let mut quick = connect(&gateway);
    let (heard, hears) = std::sync::mpsc::channel();
    let reader = thread::spawn(move || {
        let mut live = quick.as_pubsub();
        live.subscribe("flood").unwrap();
        heard.send(None).expect("somebody waits");
        for _ in 0..300 {
            let payload: Vec<u8> = live.get_message().unwrap().get_payload().unwrap();
            heard.send(payload.first().copied()).expect("somebody waits");
        }
    });
    assert_eq!(hears.recv(), Ok(None));
    for number in 0..300 {
        let _: u64 = c.publish("flood", vec![number as u8; 100_000]).unwrap();
        assert_eq!(hears.recv(), Ok(Some(number as u8)));
    }
    reader.join().expect("no panic");
    let cut = || async {
        let (_, metrics) = http_get(gateway.addresses().http, "/metrics").await;
        metrics.contains("trunkline_listeners_cut_total{dialect=\"redis\"} 1").then_some(())
    };
    eventually("it is cut and counted", cut).await;
    wait_until("it no longer listens", || c.publish::<_, _, u64>("flood", "x").unwrap() == 0);
}

#[test]
fn a_subscriber_over_the_soft_limit_is_cut_when_its_time_is_over() {
    let gateway = Gateway::start();
    let mut c = connect(&gateway);
    limit_subscribers(&mut c, "0 100000 1");
    let _deaf = deaf_subscriber(&gateway, &mut c);
    let waits = |c: &mut Connection| {
        let line: String = redis::cmd("CLIENT").arg("LIST").arg("TYPE").arg("pubsub").query(c).unwrap();
        line.split_whitespace().find_map(|field| field.strip_prefix("omem=")?.parse::<u64>().ok()).unwrap_or(0)
    };
    // By more than the system's buffers may still grow: they could take what waits, and it would be behind no more.
    let mut most = 0;
    wait_until("the sockets are full, or it is cut already", || {
        let _: u64 = c.publish("flood", vec![b'x'; 100_000]).unwrap();
        let behind = waits(&mut c);
        most = most.max(behind);
        behind > 10_000_000 || (most > 200_000 && behind == 0)
    });
    wait_until("nobody publishes, and still it is cut", || waits(&mut c) == 0);
}

#[test]
fn databases_are_kept_apart() {
    let gateway = Gateway::start();
    let mut c = connect(&gateway);
    let _: u64 = c.rpush("k", "zero").unwrap();
    let _: () = redis::cmd("SELECT").arg(3).query(&mut c).unwrap();
    assert_eq!(c.llen::<_, u64>("k").unwrap(), 0);
    let _: u64 = c.rpush("k", &["three", "more"]).unwrap();
    assert_eq!(c.keys::<_, Vec<String>>("*").unwrap(), ["k"]);
    let _: () = redis::cmd("FLUSHDB").query(&mut c).unwrap();
    let _: () = redis::cmd("SELECT").arg(0).query(&mut c).unwrap();
    let size: u64 = redis::cmd("DBSIZE").query(&mut c).unwrap();
    assert_eq!(size, 1);
}

#[test]
fn a_scan_sees_every_key_once() {
    let gateway = Gateway::start();
    let mut c = connect(&gateway);
    let mut pipe = redis::pipe();
    let mut names: Vec<String> = (0..200).map(|i| format!("key:{i}")).collect();
    for name in &names {
        pipe.rpush(name, "v").ignore();
    }
    let _: () = pipe.query(&mut c).unwrap();
    let mut seen: Vec<String> = c.scan_match("key:*").unwrap().map(|key| key.unwrap()).collect();
    seen.sort();
    names.sort();
    assert_eq!(seen, names);
}

#[test]
fn errors_have_the_words_of_redis() {
    let gateway = Gateway::start();
    let cases = [
        ("foo a b\r\n", "-ERR unknown command 'foo', with args beginning with: 'a' 'b' \r\n"),
        ("llen\r\n", "-ERR wrong number of arguments for 'llen' command\r\n"),
        ("lpop k x\r\n", "-ERR value is out of range, must be positive\r\n"),
        ("lrange k 0 x\r\n", "-ERR value is not an integer or out of range\r\n"),
        ("lpop k -1\r\n", "-ERR value is out of range, must be positive\r\n"),
        ("blpop k x\r\n", "-ERR timeout is not a float or out of range\r\n"),
        ("blpop k -1\r\n", "-ERR timeout is negative\r\n"),
        ("lmove a b up down\r\n", "-ERR syntax error\r\n"),
        ("exec\r\n", "-ERR EXEC without MULTI\r\n"),
        ("client nosuch\r\n", "-ERR unknown subcommand 'nosuch'. Try CLIENT HELP.\r\n"),
        ("select 99\r\n", "-ERR DB index is out of range\r\n"),
        ("hello 9\r\n", "-NOPROTO unsupported protocol version\r\n"),
        ("rpush __topics x\r\n", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
        ("*1\r\n!x\r\n", "-ERR Protocol error: expected '$', got '!'\r\n"),
        ("*-5\r\n*99999999999\r\n", "-ERR Protocol error: invalid multibulk length\r\n"),
        (
            "subscribe c\r\nllen k\r\n",
            "only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context\r\n",
        ),
    ];
    for (request, reply) in cases {
        let got = raw(&gateway, request.as_bytes(), reply);
        assert!(got.ends_with(reply), "{request:?}: {got:?}");
    }
}

#[test]
fn users_must_log_in_where_users_are_configured() {
    // The variable that the gateway is given keeps the case of the name.
    let gateway = Gateway::builder().set("security.users.ANN", "pa55").start();
    let replies = raw(
        &gateway,
        b"LLEN k\r\nAUTH wrong\r\nHELLO 3\r\nAUTH ANN pa55\r\nLLEN k\r\nRESET\r\nLLEN k\r\nAUTH ANN pa55\r\nPING\r\n",
        "+PONG",
    );
    let lines: Vec<&str> = replies.lines().collect();
    assert!(lines.first().is_some_and(|line| line.starts_with("-NOAUTH")), "{replies}");
    assert!(lines.get(1).is_some_and(|line| line.starts_with("-WRONGPASS")), "{replies}");
    assert!(lines.get(2).is_some_and(|line| line.starts_with("-NOAUTH HELLO must be called")), "{replies}");
    assert_eq!(lines.get(3..), Some(&["+OK", ":0", "+RESET", "-NOAUTH Authentication required.", "+OK", "+PONG"][..]));
}

#[test]
fn what_was_answered_survives_a_kill() {
    let mut gateway = Gateway::start();
    let mut c = connect(&gateway);
    let mut pipe = redis::pipe();
    for i in 0..500 {
        pipe.rpush("log", i).ignore();
    }
    let _: () = pipe.query(&mut c).unwrap();
    assert_eq!(c.lpop::<_, u64>("log", None).unwrap(), 0);
    assert_eq!(c.rpop::<_, u64>("log", None).unwrap(), 499);
    let _: u64 = c.lpush("log", "head").unwrap();
    gateway.kill();
    gateway.restart();
    let mut c = connect(&gateway);
    let held: Vec<String> = c.lrange("log", 0, -1).unwrap();
    let expected: Vec<String> = std::iter::once("head".to_owned()).chain((1..499).map(|i| i.to_string())).collect();
    assert_eq!(held, expected);
}

#[test]
fn a_client_that_never_reads_is_not_served_without_end() {
    let gateway = Gateway::start();
    let mut c = connect(&gateway);
    let _: u64 = c.rpush("big", vec![b'x'; 100_000]).unwrap();
    let url = gateway.redis();
    let address = url.trim_start_matches("redis://").trim_end_matches('/');
    let mut greedy = TcpStream::connect(address).expect("connect");
    greedy.set_nonblocking(true).expect("nonblocking");
    let request = b"LRANGE big 0 -1\r\n".repeat(1000);
    // 100 MB of replies are asked for at once: the sockets and the outbox hold little of it, and the rest is not read.
    let _ = greedy.write(&request);
    assert_eq!(c.llen::<_, u64>("big").unwrap(), 1);
    let line: String = redis::cmd("CLIENT").arg("LIST").query(&mut c).unwrap();
    let most = line.split_whitespace().filter_map(|field| field.strip_prefix("obl=")?.parse::<u64>().ok()).max();
    assert!(most.is_some_and(|bytes| bytes < 4 << 20), "{line}");
}
