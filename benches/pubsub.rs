//! One publisher to many subscribers, and a publisher beside many patterns: a load program for any server that speaks RESP.
//!
//! Subscribers are sockets of one thread that count bytes. The publisher sends the next message when all subscribers have the one before, or
//! keeps a window of them. Prints one JSON object: deliveries a second, and the server's CPU time a delivery if its process is given.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Publishes to many subscribers and prints the rate as JSON
#[derive(Parser)]
struct Args {
    #[arg(long, default_value = "127.0.0.1:6379")]
    address: String,
    /// Process of the server, to count its CPU time
    #[arg(long)]
    pid: Option<u32>,
    /// Connections that listen to the channel
    #[arg(long, default_value_t = 1000)]
    subscribers: u64,
    /// Patterns that never match, on one more connection
    #[arg(long, default_value_t = 0)]
    patterns: u64,
    #[arg(long, default_value_t = 100)]
    messages: u64,
    /// Bytes of a message
    #[arg(long, default_value_t = 100)]
    size: usize,
    /// Messages on their way to the subscribers
    #[arg(long, default_value_t = 1)]
    window: u64,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(serde::Serialize)]
struct Report {
    subscribers: u64,
    patterns: u64,
    deliveries: u64,
    deliveries_per_s: f64,
    messages_per_s: f64,
    server_cpu_us_each: Option<f64>,
}

/// Messages that have arrived, at all subscribers together.
#[derive(Default)]
struct Arrived {
    bytes: AtomicU64,
    more: Notify,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let args = Args::parse();
    let arrived = Arc::new(Arrived::default());
    for _ in 0..args.subscribers {
        let mut stream = TcpStream::connect(&args.address).await?;
        ask(&mut stream, &[b"SUBSCRIBE", b"fan"], b":1\r\n").await?;
        tokio::spawn(count(stream, Arc::clone(&arrived)));
    }
    let mut patterns = TcpStream::connect(&args.address).await?;
    for number in 0..args.patterns {
        let pattern = format!("user.{number}.*");
        ask(&mut patterns, &[b"PSUBSCRIBE", pattern.as_bytes()], format!(":{}\r\n", number + 1).as_bytes()).await?;
    }
    let report = publish(&args, &arrived).await?;
    serde_json::to_writer(std::io::stdout(), &report)?;
    Ok(())
}

async fn publish(args: &Args, arrived: &Arrived) -> Outcome<Report> {
    let mut publisher = TcpStream::connect(&args.address).await?;
    let payload = vec![b'x'; args.size];
    let message_bytes = command(&[b"message", b"fan", &payload]).len() as u64;
    let receivers = format!(":{}\r\n", args.subscribers);
    let (began, cpu) = (Instant::now(), cpu_time(args.pid));
    for sent in 0..args.messages {
        let wanted = (sent + 1).saturating_sub(args.window) * args.subscribers * message_bytes;
        arrived.reach(wanted).await;
        ask(&mut publisher, &[b"PUBLISH", b"fan", &payload], receivers.as_bytes()).await?;
    }
    arrived.reach(args.messages * args.subscribers * message_bytes).await;
    let (took, cpu) = (began.elapsed(), cpu_time(args.pid).zip(cpu).map(|(after, before)| after.saturating_sub(before)));
    let deliveries = args.messages * args.subscribers.max(1);
    Ok(Report {
        subscribers: args.subscribers,
        patterns: args.patterns,
        deliveries,
        deliveries_per_s: deliveries as f64 / took.as_secs_f64(),
        messages_per_s: args.messages as f64 / took.as_secs_f64(),
        server_cpu_us_each: cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / deliveries as f64),
    })
}

impl Arrived {
    async fn reach(&self, bytes: u64) {
        while self.bytes.load(Ordering::Relaxed) < bytes {
            self.more.notified().await;
        }
    }
}

async fn count(mut stream: TcpStream, arrived: Arc<Arrived>) {
    let mut buffer = vec![0; 4096];
    while let Ok(read) = stream.read(&mut buffer).await {
        if read == 0 {
            return;
        }
        arrived.bytes.fetch_add(read as u64, Ordering::Relaxed);
        arrived.more.notify_one();
    }
}

fn command(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", parts.len()).into_bytes();
    for part in parts {
        bytes.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
        bytes.extend_from_slice(part);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// Sends a command and waits for an answer that ends so.
async fn ask(stream: &mut TcpStream, parts: &[&[u8]], ending: &[u8]) -> Outcome<()> {
    stream.write_all(&command(parts)).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(ending) {
        if stream.read_buf(&mut answer).await? == 0 || answer.starts_with(b"-") {
            return Err(format!("answered: {}", String::from_utf8_lossy(&answer)).into());
        }
    }
    Ok(())
}

/// User and system time of a process.
fn cpu_time(pid: Option<u32>) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid?)).ok()?;
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10))
}
