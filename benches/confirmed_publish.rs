//! Confirmed persistent publishes to one durable queue, through lapin: the load program of `scripts/figures`.
//!
//! One connection, one channel, a window of unconfirmed messages, an empty queue to begin with, deleted at the end. It prints
//! one JSON object: messages a second and the confirm latency. It knows no broker in particular.

use std::time::Instant;

use clap::Parser;
use futures_util::stream::{FuturesUnordered, StreamExt};
use hdrhistogram::Histogram;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Confirmation, Connection, ConnectionProperties};

const QUEUE: &str = "figures-confirmed-publish";
const PERSISTENT: u8 = 2;

/// Publishes persistent messages with confirms and prints the rate as JSON
#[derive(Parser)]
struct Args {
    #[arg(long, default_value = "amqp://guest:guest@127.0.0.1:5672/%2f")]
    url: String,
    /// Messages
    #[arg(long, default_value_t = 10_000)]
    count: u64,
    /// Bytes of a message
    #[arg(long, default_value_t = 100)]
    size: usize,
    /// Messages not yet confirmed
    #[arg(long, default_value_t = 100)]
    window: usize,
    /// The argument x-queue-type, where it is not "classic"
    #[arg(long, default_value = "classic")]
    queue_type: String,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(serde::Serialize)]
struct Outcome {
    records: u64,
    records_per_s: f64,
    confirm_p50_us: u64,
    confirm_p99_us: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    let connection = Connection::connect(&args.url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.queue_delete(QUEUE.into(), QueueDeleteOptions::default()).await?;
    channel.queue_declare(QUEUE.into(), QueueDeclareOptions::durable(), queue_arguments(&args.queue_type)).await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let outcome = publish(&channel, &args).await?;
    channel.queue_delete(QUEUE.into(), QueueDeleteOptions::default()).await?;
    connection.close(200, "done".into()).await?;
    serde_json::to_writer(std::io::stdout(), &outcome)?;
    Ok(())
}

fn queue_arguments(queue_type: &str) -> FieldTable {
    let mut arguments = FieldTable::default();
    if queue_type != "classic" {
        arguments.insert("x-queue-type".into(), AMQPValue::LongString(queue_type.into()));
    }
    arguments
}

async fn publish(channel: &lapin::Channel, args: &Args) -> Result<Outcome, Box<dyn std::error::Error>> {
    let payload = vec![b'x'; args.size];
    let properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
    let mut latency_us = Histogram::<u64>::new(3)?;
    let mut confirms = FuturesUnordered::new();
    let began = Instant::now();
    for _ in 0..args.count {
        while confirms.len() >= args.window {
            if let Some(confirmed) = confirms.next().await {
                latency_us.record(confirmed?)?;
            }
        }
        let sent = Instant::now();
        let confirm =
            channel.basic_publish("".into(), QUEUE.into(), BasicPublishOptions::default(), &payload, properties.clone()).await?;
        confirms.push(async move {
            match confirm.await? {
                Confirmation::Ack(_) => Ok(u64::try_from(sent.elapsed().as_micros())?),
                Confirmation::Nack(_) | Confirmation::NotRequested => {
                    Err::<u64, Box<dyn std::error::Error>>("not confirmed".into())
                }
            }
        });
    }
    while let Some(confirmed) = confirms.next().await {
        latency_us.record(confirmed?)?;
    }
    Ok(Outcome {
        records: args.count,
        records_per_s: args.count as f64 / began.elapsed().as_secs_f64(),
        confirm_p50_us: latency_us.value_at_quantile(0.5),
        confirm_p99_us: latency_us.value_at_quantile(0.99),
    })
}
