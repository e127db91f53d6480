//! What the gateway says when it is ready: where it listens and a line to try in each dialect.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use serde::Serialize;

/// Where each listener is; `None` where it is turned off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Addresses {
    pub kafka: Option<SocketAddr>,
    pub amqp: Option<SocketAddr>,
    pub redis: Option<SocketAddr>,
    pub http: Option<SocketAddr>,
}

/// The text on standard output. Its last line is `Ready.`, for whoever waits for it.
pub(super) fn block(addresses: &Addresses, data_dir: &Path) -> String {
    let mut text = format!("Trunkline {}, data in {}\n\n", env!("CARGO_PKG_VERSION"), data_dir.display());
    let lines = [
        ("Kafka", addresses.kafka, try_kafka as fn(SocketAddr) -> String),
        ("AMQP", addresses.amqp, try_amqp),
        ("Redis", addresses.redis, try_redis),
        ("HTTP", addresses.http, try_http),
    ];
    for (name, address, example) in lines {
        // Writing to a string cannot fail.
        let _ = match address {
            Some(address) => writeln!(text, "  {name:<6} {address:<21} try: {}", example(reachable(address))),
            None => writeln!(text, "  {name:<6} off"),
        };
    }
    text.push_str("\nReady.\n");
    text
}

fn try_kafka(address: SocketAddr) -> String {
    format!("echo hello | kcat -P -b {address} -t orders")
}

fn try_amqp(address: SocketAddr) -> String {
    format!("amqp-consume --url=amqp://{address} -q orders cat")
}

fn try_redis(address: SocketAddr) -> String {
    format!("redis-cli -h {} -p {} BLPOP orders 0", address.ip(), address.port())
}

fn try_http(address: SocketAddr) -> String {
    format!("curl http://{address}/metrics")
}

/// Everywhere is no place to connect to: from here it is loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    if !address.ip().is_unspecified() {
        return address;
    }
    let port = address.port();
    if address.is_ipv4() { ([127, 0, 0, 1], port).into() } else { (std::net::Ipv6Addr::LOCALHOST, port).into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_names_each_listener_and_ends_in_ready() {
        let addresses = Addresses {
            kafka: Some(([0, 0, 0, 0], 9092).into()),
            redis: Some(([127, 0, 0, 1], 6379).into()),
            ..Addresses::default()
        };
        let text = block(&addresses, Path::new("/data"));
        assert!(text.contains("0.0.0.0:9092          try: echo hello | kcat -P -b 127.0.0.1:9092 -t orders"), "{text}");
        assert!(text.contains("redis-cli -h 127.0.0.1 -p 6379"), "{text}");
        assert!(text.contains("AMQP   off"), "{text}");
        assert!(text.ends_with("\nReady.\n"), "{text}");
    }
}
