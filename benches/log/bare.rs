//! The bare device, a plain file and memory: what the log is compared with.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::Failure;

/// Where the probe of the device wraps around, in bytes.
const PROBE_BYTES: u64 = 64 << 20;

/// Syncs a second of so many bytes each, written over a file full of zeros.
pub fn overwrite(scratch: &Path, each_bytes: usize, time: Duration) -> Result<f64, Failure> {
    let path = scratch.join("probe");
    let file = zeros(&path, PROBE_BYTES)?;
    let body = vec![b'x'; each_bytes.max(1)];
    let (mut at, mut syncs) = (0, 0_u64);
    let began = Instant::now();
    while began.elapsed() < time {
        if at + body.len() as u64 > PROBE_BYTES {
            at = 0;
        }
        file.write_all_at(&body, at)?;
        file.sync_data()?;
        at += body.len() as u64;
        syncs += 1;
    }
    let took = began.elapsed();
    std::fs::remove_file(path)?;
    Ok(syncs as f64 / took.as_secs_f64())
}

fn zeros(path: &Path, bytes: u64) -> Result<File, Failure> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
    let chunk = vec![0; 1 << 20];
    for at in (0..bytes).step_by(chunk.len()) {
        file.write_all_at(&chunk, at)?;
    }
    file.sync_all()?;
    Ok(file)
}

/// Megabytes a second.
pub fn plain_write(scratch: &Path, body: &[u8], count: u64, is_synced: bool) -> Result<f64, Failure> {
    let path = scratch.join("probe");
    let file = zeros(&path, PROBE_BYTES)?;
    let places = PROBE_BYTES / body.len() as u64;
    let began = Instant::now();
    for number in 0..count {
        file.write_all_at(body, number % places * body.len() as u64)?;
        if is_synced {
            file.sync_data()?;
        }
    }
    let took = began.elapsed();
    std::fs::remove_file(path)?;
    Ok(megabytes(count * body.len() as u64, took))
}

pub fn megabytes(bytes: u64, time: Duration) -> f64 {
    bytes as f64 / f64::from(1 << 20) / time.as_secs_f64()
}

/// Megabytes a second, so many bytes at a time.
pub fn copy_memory(each_bytes: usize) -> f64 {
    let (body, mut out) = (vec![b'x'; each_bytes], Vec::with_capacity(each_bytes));
    let began = Instant::now();
    let mut bytes = 0;
    while began.elapsed() < Duration::from_millis(500) {
        out.clear();
        out.extend_from_slice(std::hint::black_box(&body));
        bytes += std::hint::black_box(&out).len() as u64;
    }
    megabytes(bytes, began.elapsed())
}

/// Megabytes a second, so many bytes at a time; from disk: not from what the operating system keeps in memory.
pub fn plain_read(scratch: &Path, count: u64, each_bytes: usize, is_from_disk: bool) -> Result<f64, Failure> {
    let path = scratch.join("probe");
    let bytes = count * each_bytes as u64;
    let file = zeros(&path, bytes)?;
    if is_from_disk {
        forget_cached(&file)?;
    }
    let mut out = vec![0; each_bytes];
    let began = Instant::now();
    for at in (0..bytes).step_by(each_bytes) {
        file.read_exact_at(&mut out, at)?;
        std::hint::black_box(&out);
    }
    let took = began.elapsed();
    std::fs::remove_file(path)?;
    Ok(megabytes(bytes, took))
}

/// Has the operating system forget what it keeps in memory of a file that is synced.
pub fn forget_cached(file: &File) -> Result<(), Failure> {
    Ok(rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed)?)
}
