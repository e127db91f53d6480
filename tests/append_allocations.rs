//! A record batch on its way from the socket to the journal: what is allocated for it is counted, in a gateway within this process.
//!
//! The client's bytes are made beforehand, so every allocation of a body's size is the gateway's.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use trunkline::config::Config;
use trunkline::gateway::Gateway;
use trunkline::log::record::{BatchBuilder, Record};
use trunkline::net::ShutdownTrigger;

/// Counts allocations from a size on.
struct Counting;

static FROM_BYTES: AtomicUsize = AtomicUsize::new(usize::MAX);
static COUNT: AtomicU64 = AtomicU64::new(0);

fn note(bytes: usize) {
    if bytes >= FROM_BYTES.load(Ordering::Relaxed) {
        COUNT.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: everything is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        note(new_size);
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// So many batches are counted after those that make buffers grow. All fit what the journal has made ready.
const WARM_UP: u64 = 2;
const COUNTED: u64 = 3;

fn batch(value_bytes: usize) -> Bytes {
    let mut builder = BatchBuilder::new();
    let value = Some(Bytes::from(vec![b'x'; value_bytes]));
    builder.push(&Record { key: None, value, headers: Vec::new(), timestamp_ms: 1_700_000_000_000 });
    builder.finish()
}

/// A frame of the protocol: its length, a header of version 1, and the body.
fn frame(key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let header = [&key.to_be_bytes()[..], &version.to_be_bytes(), &7_i32.to_be_bytes(), &(-1_i16).to_be_bytes()].concat();
    [&i32::try_from(header.len() + body.len()).unwrap().to_be_bytes()[..], &header, body].concat()
}

fn string(text: &str) -> Vec<u8> {
    [&i16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
}

/// `CreateTopics` 2: one topic of one partition.
fn create_topic() -> Vec<u8> {
    let counts = [&1_i32.to_be_bytes()[..], &1_i16.to_be_bytes(), &0_i32.to_be_bytes(), &0_i32.to_be_bytes()].concat();
    let (timeout, is_only_checked) = (10_000_i32.to_be_bytes(), [0]);
    frame(19, 2, &[&1_i32.to_be_bytes()[..], &string("orders"), &counts, &timeout, &is_only_checked].concat())
}

/// Produce 3 with acks=all.
fn produce(batch: &[u8]) -> Vec<u8> {
    let head = [&(-1_i16).to_be_bytes()[..], &(-1_i16).to_be_bytes(), &10_000_i32.to_be_bytes()].concat();
    let partition = [&0_i32.to_be_bytes()[..], &i32::try_from(batch.len()).unwrap().to_be_bytes(), batch].concat();
    let topics = [&1_i32.to_be_bytes()[..], &string("orders"), &1_i32.to_be_bytes(), &partition].concat();
    frame(0, 3, &[head, topics].concat())
}

fn ask(stream: &mut TcpStream, request: &[u8], answer: &mut [u8; 512]) -> usize {
    stream.write_all(request).expect("it is taken");
    let mut length = [0; 4];
    stream.read_exact(&mut length).expect("an answer");
    let length = u32::from_be_bytes(length) as usize;
    stream.read_exact(&mut answer[..length]).expect("a whole answer");
    length
}

/// Allocations of the size of a body or more while batches are produced, one after the other.
fn allocations(stream: &mut TcpStream, value_bytes: usize) -> u64 {
    let (request, mut answer) = (produce(&batch(value_bytes)), [0; 512]);
    let produce = |stream: &mut TcpStream, answer: &mut [u8; 512]| {
        ask(stream, &request, answer);
        // Correlation, topics, name, partitions, index, then the error.
        assert_eq!(answer[4 + 4 + 8 + 4 + 4..][..2], [0, 0], "no error");
    };
    (0..WARM_UP).for_each(|_| produce(stream, &mut answer));
    FROM_BYTES.store(value_bytes, Ordering::SeqCst);
    let before = COUNT.load(Ordering::SeqCst);
    (0..COUNTED).for_each(|_| produce(stream, &mut answer));
    let counted = COUNT.load(Ordering::SeqCst) - before;
    FROM_BYTES.store(usize::MAX, Ordering::SeqCst);
    counted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_in_memory_once_between_socket_and_journal() {
    let directory = tempfile::tempdir().expect("directory");
    let mut config = Config { data_dir: directory.path().to_owned(), ..Config::default() };
    for listen in [&mut config.kafka.listen, &mut config.amqp.listen, &mut config.redis.listen, &mut config.http.listen] {
        "127.0.0.1:0".clone_into(listen);
    }
    let gateway = Gateway::open(config).await.expect("it opens");
    let address: SocketAddr = gateway.addresses().kafka.expect("a listener");
    let (stop, stopped) = ShutdownTrigger::new();
    let running = tokio::spawn(gateway.run(stopped));
    let counted = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).expect("it connects");
        ask(&mut stream, &create_topic(), &mut [0; 512]);
        [300 << 10, 40 << 10].map(|value_bytes| allocations(&mut stream, value_bytes))
    });
    let [large, small] = counted.await.expect("no panic");
    assert_eq!(large, COUNTED, "a large body stays in the memory that the socket was read into, which is all that it gets");
    assert!(small <= COUNTED + 1, "a small body is read once, and copied into a buffer that many share: {small} allocations");
    stop.request();
    running.await.expect("no panic").expect("it ends in order");
}
