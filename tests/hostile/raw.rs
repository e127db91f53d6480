//! Bytes by hand: what no client sends, and requests of clients that never read.

use std::net::SocketAddr;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, RngCore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::within;

pub const AMQP_HEADER: &[u8] = b"AMQP\x00\x00\x09\x01";
const NESTING: usize = 100_000;

/// Sends bytes, ends the sending side, and reads until the other end closes.
pub async fn send_and_read_to_the_end(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    // The other end may close before it has taken everything.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let read = async {
        let mut some = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut some).await {
            answer.extend_from_slice(&some[..count]);
        }
    };
    within(&format!("the end of the connection after {}", shown(bytes)), read).await;
    answer
}

/// Opens a connection, sends what the peer takes of the bytes and never reads. Returns the open connection.
pub async fn send_and_never_read(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    // The peer stops taking requests when nobody takes its answers.
    let _ = tokio::time::timeout(Duration::from_secs(1), stream.write_all(bytes)).await;
    stream
}

fn shown(bytes: &[u8]) -> String {
    format!("{} bytes: {}", bytes.len(), bytes[..bytes.len().min(40)].escape_ascii())
}

pub fn random_bytes(random: &mut StdRng) -> Vec<u8> {
    let mut bytes = vec![0; random.random_range(1..5_000)];
    random.fill_bytes(&mut bytes);
    bytes
}

/// A Kafka request with its length before it.
pub fn kafka_request(key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let mut request = Vec::new();
    request.extend(key.to_be_bytes());
    request.extend(version.to_be_bytes());
    request.extend(7_i32.to_be_bytes());
    request.extend(4_i16.to_be_bytes());
    request.extend(b"test");
    request.extend(body);
    let length = i32::try_from(request.len()).expect("small");
    [&length.to_be_bytes()[..], &request].concat()
}

/// Fetch, version 4: one partition of a topic from its start, as much as may be.
pub fn kafka_fetch(topic: &str) -> Vec<u8> {
    let mut body = Vec::new();
    for number in [-1_i32, 100, 1, i32::MAX] {
        body.extend(number.to_be_bytes());
    }
    body.push(0);
    body.extend(1_i32.to_be_bytes());
    body.extend(i16::try_from(topic.len()).expect("short").to_be_bytes());
    body.extend(topic.as_bytes());
    body.extend(1_i32.to_be_bytes());
    body.extend(0_i32.to_be_bytes());
    body.extend(0_i64.to_be_bytes());
    body.extend(i32::MAX.to_be_bytes());
    kafka_request(1, 4, &body)
}

pub fn kafka_inputs() -> Vec<Vec<u8>> {
    let length = |length: i32| length.to_be_bytes().to_vec();
    let mut inputs = vec![length(i32::MAX), length(-1), length(0), length(1), [length(i32::MAX), vec![0; 100_000]].concat()];
    // Counts and lengths inside of a request: topics of Metadata and Produce, strings, compact arrays.
    for count in [i32::MAX, -2, i32::MIN] {
        for (key, version) in [(3, 4), (2, 1), (19, 2), (20, 1), (8, 2), (9, 1), (18, 0)] {
            inputs.push(kafka_request(key, version, &count.to_be_bytes()));
        }
        inputs.push(kafka_request(0, 3, &[&(-1_i16).to_be_bytes()[..], &[255, 255], &[0; 4], &count.to_be_bytes()].concat()));
    }
    for key in [0, 1, 3, 18, 19] {
        inputs.push(kafka_request(key, 9, &[0, 255, 255, 255, 255, 15]));
        inputs.push(kafka_request(key, i16::MAX, &[]));
        inputs.push(kafka_request(key, -1, &[]));
    }
    inputs.push(kafka_request(999, 0, &[]));
    let whole = kafka_fetch("truncated");
    inputs.extend((0..whole.len()).map(|end| whole[..end].to_vec()));
    inputs
}

pub fn redis_command(arguments: &[&[u8]]) -> Vec<u8> {
    let mut command = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        command.extend(format!("${}\r\n", argument.len()).into_bytes());
        command.extend_from_slice(argument);
        command.extend(b"\r\n");
    }
    command
}

pub fn redis_inputs() -> Vec<Vec<u8>> {
    let texts = [
        "*2147483647\r\n",
        "*2147483648\r\n",
        "*99999999999999999999\r\n",
        "*-1\r\n",
        "*-2147483648\r\n",
        "*1\r\n$2147483647\r\n",
        "*1\r\n$-1\r\n",
        "*1\r\n$99999999999999999999\r\n",
        "*1\r\n:1\r\n",
        "*1\r\n*1\r\n$4\r\nPING\r\n",
        "*1048577\r\n",
        "*3\r\n$7\r\nPUBLISH\r\n$1\r\nc\r\n$2147483647\r\nx",
        "$5\r\nhello\r\n",
        "'unbalanced \"quotes\r\n",
        "\0\0\0\r\n\r\n\r\n",
    ];
    let mut inputs: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    inputs.push(b"*1\r\n".repeat(NESTING));
    inputs.push(b"*1048576\r\n$1\r\nx\r\n".repeat(1_000));
    inputs.push(vec![b'x'; 1 << 20]);
    inputs.push([b"*1\r\n$".to_vec(), vec![b'1'; 1 << 20]].concat());
    let whole = redis_command(&[b"RPUSH", b"truncated", b"value"]);
    inputs.extend((0..whole.len()).map(|end| whole[..end].to_vec()));
    inputs
}

pub fn amqp_frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("small");
    [&[kind][..], &channel.to_be_bytes(), &length.to_be_bytes(), payload, &[0xce]].concat()
}

fn amqp_method(channel: u16, class: u16, method: u16, arguments: &[u8]) -> Vec<u8> {
    amqp_frame(1, channel, &[&class.to_be_bytes()[..], &method.to_be_bytes(), arguments].concat())
}

fn long(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).expect("small").to_be_bytes()[..], bytes].concat()
}

/// The client's side of the handshake up to an open channel 1.
pub fn amqp_handshake() -> Vec<u8> {
    let start_ok = [&long(b"")[..], b"\x05PLAIN", &long(b"\0guest\0guest"), b"\x05en_US"].concat();
    let tune_ok = [&10_u16.to_be_bytes()[..], &(1_u32 << 20).to_be_bytes(), &0_u16.to_be_bytes()].concat();
    [
        AMQP_HEADER.to_vec(),
        amqp_method(0, 10, 11, &start_ok),
        amqp_method(0, 10, 31, &tune_ok),
        amqp_method(0, 10, 40, b"\x01/\0\0"),
        amqp_method(1, 20, 10, b"\0"),
    ]
    .concat()
}

/// Consumes from a queue without acknowledgements.
pub fn amqp_consume(queue: &str) -> Vec<u8> {
    let name = [&[u8::try_from(queue.len()).expect("short")], queue.as_bytes()].concat();
    let arguments = [&[0, 0][..], &name, b"\0", &[0b0000_0010], &long(b"")].concat();
    amqp_method(1, 60, 20, &arguments)
}

/// Declares a queue with arguments as they are given.
fn amqp_declare(arguments: &[u8]) -> Vec<u8> {
    amqp_method(1, 50, 10, &[&[0, 0][..], b"\x04deep", &[0], &long(arguments)].concat())
}

/// A table of tables, or of arrays of arrays, as deep as it goes; every length is true.
fn nested(kind: u8) -> Vec<u8> {
    let (key, header): (&[u8], usize) = if kind == b'F' { (b"\x01k", 7) } else { (b"", 5) };
    let mut bytes = Vec::with_capacity(NESTING * header);
    if kind != b'F' {
        bytes.extend(b"\x01k");
    }
    for depth in (0..NESTING).rev() {
        bytes.extend(key);
        bytes.push(kind);
        bytes.extend(u32::try_from(depth * header).expect("small").to_be_bytes());
    }
    bytes
}

pub fn amqp_inputs() -> Vec<Vec<u8>> {
    let after_handshake = |bytes: &[u8]| [&amqp_handshake()[..], bytes].concat();
    let mut inputs = vec![b"AMQP\x01\x01\x00\x0a".to_vec(), b"GET / HTTP/1.1\r\n\r\n".to_vec(), b"AMQ".to_vec()];
    for length in [i32::MAX as u32, u32::MAX, 1 << 31, 131_073, 0] {
        let frame = [&[1, 0, 0][..], &length.to_be_bytes(), b"some"].concat();
        inputs.push([AMQP_HEADER, &frame].concat());
        inputs.push(after_handshake(&frame));
        // Tables and strings that say more than there is.
        let start_ok = [&length.to_be_bytes()[..], b"\x05PLAIN"].concat();
        inputs.push([AMQP_HEADER, &amqp_method(0, 10, 11, &start_ok)].concat());
        inputs.push(after_handshake(&amqp_method(1, 50, 10, &[&b"\0\0\x01q\0"[..], &length.to_be_bytes()].concat())));
        let body_size = u64::from(length) << 32;
        let header = [&60_u16.to_be_bytes()[..], &[0, 0], &body_size.to_be_bytes(), &[0, 0]].concat();
        let publish = amqp_method(1, 60, 40, b"\0\0\0\x01q\0");
        inputs.push(after_handshake(&[publish, amqp_frame(2, 1, &header)].concat()));
    }
    inputs.push(after_handshake(&amqp_declare(&nested(b'F'))));
    inputs.push(after_handshake(&amqp_declare(&nested(b'A'))));
    inputs.push([AMQP_HEADER, &amqp_method(0, 10, 11, &long(&nested(b'F')))].concat());
    // Methods, bodies and headers that nobody asked for, and channels that are not open.
    inputs.push(after_handshake(&amqp_frame(3, 1, b"a body")));
    inputs.push(after_handshake(&amqp_frame(2, 1, &[0; 14])));
    inputs.push(after_handshake(&amqp_frame(9, 1, b"what")));
    inputs.push(after_handshake(&amqp_method(9, 50, 10, &[0; 20])));
    inputs.push(after_handshake(&amqp_method(1, 99, 99, &[0; 20])));
    inputs.push(after_handshake(&amqp_frame(1, 1, b"\0")));
    let whole = after_handshake(&amqp_declare(b""));
    inputs.extend((0..whole.len()).map(|end| whole[..end].to_vec()));
    inputs
}
