//! The table: a test a writer, a case a reader.

use lapin::ExchangeKind;
use rdkafka::message::Message;

use crate::clients::{Meeting, hear, hears_nothing, persistent, receive};
use crate::support::unique;

#[derive(Clone, Debug)]
enum Writer {
    /// With this compression.
    Kafka(&'static str),
    /// Through an exchange of this kind; none: the default exchange.
    Amqp(Option<ExchangeKind>),
    Rpush,
    Lpush,
    Publish,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Reader {
    KafkaGroup,
    KafkaAssign,
    AmqpConsume,
    Blpop,
    Subscribe,
}

const READERS: [Reader; 5] = [Reader::KafkaGroup, Reader::KafkaAssign, Reader::AmqpConsume, Reader::Blpop, Reader::Subscribe];

/// Writes the same values for each reader to a name of its own, and compares what comes out.
async fn every_reader_gets_what_is_written_by(writer: Writer) {
    let meeting = Meeting::start().await;
    let values: Vec<Vec<u8>> = (0..5u8).map(|n| [b"value-".as_slice(), &[n, 0, 255, b'\r', b'\n']].concat()).collect();
    for reader in READERS {
        let name = unique("meeting");
        println!("{writer:?} by {reader:?}");
        let mut subscriber = meeting.subscriber(&name).await;
        write(&meeting, &writer, &name, &values).await;
        match (&writer, reader) {
            (Writer::Publish, Reader::Blpop) => {
                assert_eq!(meeting.redis::<u64>("LLEN", &[name.as_bytes()]).await, 0, "a list never holds what was published");
                assert_eq!(meeting.redis::<Option<Vec<u8>>>("LPOP", &[name.as_bytes()]).await, None);
            }
            (Writer::Rpush | Writer::Lpush, Reader::Subscribe) => {
                assert!(hears_nothing(&mut subscriber).await, "a subscriber never gets what was pushed");
            }
            (_, Reader::Subscribe) => assert_eq!(hear(&mut subscriber, values.len()).await, values),
            // A queue view begins at the head of the list; a reader of the log sees the order of writing.
            (Writer::Lpush, Reader::AmqpConsume | Reader::Blpop) => {
                let head_first: Vec<_> = values.iter().rev().cloned().collect();
                assert_eq!(read(&meeting, reader, &name, values.len()).await, head_first);
            }
            _ => assert_eq!(read(&meeting, reader, &name, values.len()).await, values),
        }
    }
}

async fn write(meeting: &Meeting, writer: &Writer, name: &str, values: &[Vec<u8>]) {
    match writer {
        Writer::Kafka(codec) => meeting.produce(name, codec, values).await,
        Writer::Amqp(kind) => {
            meeting.declare(name).await;
            let (exchange, key) = match kind {
                Some(kind) => meeting.exchange(kind.clone(), name).await,
                None => (String::new(), ""),
            };
            let key = if exchange.is_empty() { name } else { key };
            for value in values {
                meeting.publish(&exchange, key, value, persistent()).await;
            }
        }
        Writer::Rpush | Writer::Lpush | Writer::Publish => {
            let command = match writer {
                Writer::Rpush => "RPUSH",
                Writer::Lpush => "LPUSH",
                _ => "PUBLISH",
            };
            for value in values {
                let _: u64 = meeting.redis(command, &[name.as_bytes(), value]).await;
            }
        }
    }
}

async fn read(meeting: &Meeting, reader: Reader, name: &str, count: usize) -> Vec<Vec<u8>> {
    match reader {
        Reader::KafkaGroup | Reader::KafkaAssign => {
            let consumer = if reader == Reader::KafkaGroup { meeting.member(name) } else { meeting.assigned(name) };
            let records = receive(&consumer, count).await;
            let offsets: Vec<i64> = records.iter().map(Message::offset).collect();
            assert_eq!(offsets, (0..offsets.len() as i64).collect::<Vec<_>>(), "offsets are dense");
            records.iter().map(|record| record.payload().expect("a value").to_vec()).collect()
        }
        Reader::AmqpConsume => meeting.consume(name, count).await.into_iter().map(|delivery| delivery.data).collect(),
        Reader::Blpop => {
            let mut got = Vec::new();
            while got.len() < count {
                let (key, value): (Vec<u8>, Vec<u8>) = meeting.redis("BLPOP", &[name.as_bytes(), b"20"]).await;
                assert_eq!(key, name.as_bytes());
                got.push(value);
            }
            got
        }
        Reader::Subscribe => unreachable!("a subscriber listens before the writer writes"),
    }
}

macro_rules! table {
    ($($test:ident: $writer:expr,)*) => {
        $(#[tokio::test]
        async fn $test() {
            every_reader_gets_what_is_written_by($writer).await;
        })*
    };
}

table! {
    kafka_produce_uncompressed: Writer::Kafka("none"),
    kafka_produce_gzip: Writer::Kafka("gzip"),
    kafka_produce_snappy: Writer::Kafka("snappy"),
    kafka_produce_lz4: Writer::Kafka("lz4"),
    kafka_produce_zstd: Writer::Kafka("zstd"),
    amqp_publish_through_the_default_exchange: Writer::Amqp(None),
    amqp_publish_through_a_direct_exchange: Writer::Amqp(Some(ExchangeKind::Direct)),
    amqp_publish_through_a_fanout_exchange: Writer::Amqp(Some(ExchangeKind::Fanout)),
    amqp_publish_through_a_topic_exchange: Writer::Amqp(Some(ExchangeKind::Topic)),
    redis_rpush: Writer::Rpush,
    redis_lpush: Writer::Lpush,
    redis_publish: Writer::Publish,
}
