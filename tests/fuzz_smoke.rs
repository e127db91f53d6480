//! The fuzz targets' entry points on their seeds and on mutations of them, with stable Rust and a bounded number of rounds.
//!
//! Every run uses other mutations and prints its seed; `TRUNKLINE_TEST_FUZZ_SEED` repeats one, `TRUNKLINE_TEST_FUZZ_ROUNDS`
//! makes it longer. An input that fails belongs into `fuzz/corpus`.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const ROUNDS: u64 = 20_000;
const INPUT_BYTES_MAX: usize = 8 * 1024;
/// Values that lengths, counts and indexes go wrong at.
const EDGES: [u64; 12] =
    [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0xffff_ffff_ffff_ffff];

fn smoke(target: &str, run: impl Fn(&[u8])) {
    let seeds = seeds(target);
    assert!(!seeds.is_empty(), "{target} has no seeds");
    let number = variable("TRUNKLINE_TEST_FUZZ_SEED").unwrap_or_else(rand::random);
    let rounds = variable("TRUNKLINE_TEST_FUZZ_ROUNDS").unwrap_or(ROUNDS);
    let mut random = StdRng::seed_from_u64(number);
    for seed in &seeds {
        attempt(target, number, seed, &run);
    }
    for _ in 0..rounds {
        let mut input = seeds[random.random_range(0..seeds.len())].clone();
        for _ in 0..random.random_range(1..8) {
            mutate(&mut input, &seeds, &mut random);
        }
        attempt(target, number, &input, &run);
    }
}

fn attempt(target: &str, number: u64, input: &[u8], run: &impl Fn(&[u8])) {
    if catch_unwind(AssertUnwindSafe(|| run(input))).is_err() {
        let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
        panic!("{target} panicked (TRUNKLINE_TEST_FUZZ_SEED={number}) on {hex}");
    }
}

fn mutate(input: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut StdRng) {
    let place = random.random_range(0..=input.len());
    match random.random_range(0..7) {
        0 => input.truncate(place),
        1 => {
            if let Some(byte) = input.get_mut(place) {
                *byte = random.random();
            }
        }
        2 => {
            if let Some(byte) = input.get_mut(place) {
                *byte ^= 1 << random.random_range(0..8);
            }
        }
        3 => {
            let edge = EDGES[random.random_range(0..EDGES.len())].to_be_bytes();
            let width = [1, 2, 4, 8][random.random_range(0..4)];
            overwrite(input, place, &edge[8 - width..]);
        }
        4 => {
            let end = random.random_range(place..=input.len());
            let copy = input[place..end].to_vec();
            input.splice(place..place, copy);
        }
        5 => {
            let other = &seeds[random.random_range(0..seeds.len())];
            let from = random.random_range(0..=other.len());
            input.truncate(place);
            input.extend_from_slice(&other[from..]);
        }
        _ => {
            let end = random.random_range(place..=input.len());
            input.drain(place..end);
        }
    }
    input.truncate(INPUT_BYTES_MAX);
}

fn overwrite(input: &mut Vec<u8>, place: usize, bytes: &[u8]) {
    let end = (place + bytes.len()).min(input.len());
    input.splice(place..end, bytes.iter().copied());
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut paths: Vec<_> = std::fs::read_dir(corpus).expect("corpus").flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths.into_iter().map(|path| std::fs::read(path).expect("seed")).collect()
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

#[test]
fn kafka_requests_never_panic() {
    smoke("kafka_request", |bytes| drop(trunkline::dialect::kafka::wire::decode_any(bytes)));
}

#[test]
fn amqp_frames_never_panic() {
    smoke("amqp_frame", |bytes| {
        trunkline::dialect::amqp::wire::decode_any(bytes);
    });
}

#[test]
fn redis_requests_never_panic_and_are_the_same_however_they_are_cut() {
    smoke("redis_request", |bytes| assert!(trunkline::dialect::redis::wire::decode_any(bytes)));
}

#[test]
fn journals_never_panic() {
    smoke("journal_recovery", |bytes| drop(trunkline::log::replay_any(bytes)));
}
