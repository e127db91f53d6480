//! Stored bytes to a socket over loopback: by `sendfile`, and read into memory and written, as a Fetch of old records is answered.
//!
//! A file is sent from the page cache in ranges of a size by one thread and received by another. Printed are GB/s and the time of the
//! processor that the sender used for a GB, best of several rounds; both ways take turns, so that other work hits them alike.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Instant;

use clap::Parser;

type Failure = Box<dyn Error + Send + Sync>;

const SIZES: [usize; 4] = [16 << 10, 64 << 10, 256 << 10, 1 << 20];
const WAYS: [(&str, Way); 4] = [
    ("sendfile", by_sendfile),
    ("read, write", by_copy),
    ("read, check, write", by_checked_copy),
    ("read, check, copy, write", by_response),
];

/// Sends a range of the file; the buffers are as long as the range.
type Way = fn(&mut TcpStream, &File, u64, &mut Buffers) -> Result<(), Failure>;

/// Measures sendfile beside a copy through memory
#[derive(Parser)]
struct Args {
    /// Where to write the file
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// The size of the file, in megabytes
    #[arg(long, default_value_t = 256)]
    file_mb: u64,
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

struct Buffers {
    read: Vec<u8>,
    response: Vec<u8>,
}

/// Both for a GB: seconds, and seconds of the processor.
#[derive(Clone, Copy)]
struct Cost {
    took_s: f64,
    cpu_s: f64,
}

fn main() -> Result<(), Failure> {
    let args = Args::parse();
    let mut file = tempfile::tempfile_in(&args.dir)?;
    let file_bytes = args.file_mb << 20;
    for _ in 0..args.file_mb {
        file.write_all(&vec![b'x'; 1 << 20])?;
    }
    file.sync_all()?;
    println!("| bytes at a time | {} |", WAYS.map(|(name, _)| name).join(" | "));
    println!("|---|---|---|---|---|");
    for each_bytes in SIZES {
        let mut best = [Cost { took_s: f64::MAX, cpu_s: f64::MAX }; WAYS.len()];
        for _ in 0..args.rounds {
            for (best, (_, way)) in best.iter_mut().zip(WAYS) {
                let cost = once(&file, file_bytes, each_bytes, way)?;
                *best = Cost { took_s: best.took_s.min(cost.took_s), cpu_s: best.cpu_s.min(cost.cpu_s) };
            }
        }
        let cells = best.map(|cost| format!("{:.2} GB/s, {:.2} CPU s a GB", 1.0 / cost.took_s, cost.cpu_s));
        println!("| {} K | {} |", each_bytes >> 10, cells.join(" | "));
    }
    Ok(())
}

fn once(file: &File, file_bytes: u64, each_bytes: usize, way: Way) -> Result<Cost, Failure> {
    let (mut out, receiver) = connect()?;
    let mut buffers = Buffers { read: vec![0; each_bytes], response: Vec::with_capacity(each_bytes) };
    let (before_s, began) = (cpu_s()?, Instant::now());
    for at in (0..file_bytes).step_by(each_bytes) {
        way(&mut out, file, at, &mut buffers)?;
    }
    let cpu_s = cpu_s()? - before_s;
    drop(out);
    let received = receiver.join().map_err(|_| "the receiver panicked")??;
    if received != file_bytes {
        return Err("not all was received".into());
    }
    let gigabytes = file_bytes as f64 / 1e9;
    Ok(Cost { took_s: began.elapsed().as_secs_f64() / gigabytes, cpu_s: cpu_s / gigabytes })
}

fn connect() -> Result<(TcpStream, JoinHandle<Result<u64, Failure>>), Failure> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    let receiver = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept()?;
        let (mut buffer, mut received) = (vec![0; 1 << 20], 0);
        loop {
            match connection.read(&mut buffer)? {
                0 => return Ok(received),
                got => received += got as u64,
            }
        }
    });
    Ok((TcpStream::connect(address)?, receiver))
}

fn by_sendfile(out: &mut TcpStream, file: &File, at: u64, buffers: &mut Buffers) -> Result<(), Failure> {
    let (mut at, end) = (at, at + buffers.read.len() as u64);
    while at < end {
        let left = usize::try_from(end - at)?;
        // The call moves the position on.
        rustix::fs::sendfile(&*out, file, Some(&mut at), left)?;
    }
    Ok(())
}

fn by_copy(out: &mut TcpStream, file: &File, at: u64, buffers: &mut Buffers) -> Result<(), Failure> {
    file.read_exact_at(&mut buffers.read, at)?;
    Ok(out.write_all(&buffers.read)?)
}

fn by_checked_copy(out: &mut TcpStream, file: &File, at: u64, buffers: &mut Buffers) -> Result<(), Failure> {
    file.read_exact_at(&mut buffers.read, at)?;
    std::hint::black_box(crc_fast::crc32_iscsi(&buffers.read));
    Ok(out.write_all(&buffers.read)?)
}

/// What the gateway does: checked, and copied into the response.
fn by_response(out: &mut TcpStream, file: &File, at: u64, buffers: &mut Buffers) -> Result<(), Failure> {
    file.read_exact_at(&mut buffers.read, at)?;
    std::hint::black_box(crc_fast::crc32_iscsi(&buffers.read));
    buffers.response.clear();
    buffers.response.extend_from_slice(&buffers.read);
    Ok(out.write_all(&buffers.response)?)
}

/// What the calling thread has used of the processor until now.
fn cpu_s() -> Result<f64, Failure> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let on_cpu_ns: f64 = stat.split_whitespace().next().ok_or("no scheduler statistics")?.parse()?;
    Ok(on_cpu_ns / 1e9)
}
