//! Cycles of the queue state machine: what one core can take and settle when nothing else costs anything.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use trunkline::delivery::queue::{Class, End, Kind, QueueState};

const CYCLES: u64 = 64 * 1024;
const WINDOW: u64 = 64;

/// A queue with `CYCLES` ready records.
fn filled() -> QueueState {
    let mut queue = QueueState::new(1);
    queue.extend(0, 0, CYCLES, Kind::Plain);
    queue
}

/// Takes a window of records, then accepts them in the order that `step` gives: `(i * step) % WINDOW`.
fn take_and_accept(queue: &mut QueueState, step: u64) {
    let mut window = Vec::with_capacity(WINDOW as usize);
    for _ in 0..CYCLES / WINDOW {
        window.clear();
        window.extend((0..WINDOW).filter_map(|_| queue.take(Class::All)));
        for index in 0..WINDOW {
            if let Some(taken) = window.get((index * step % WINDOW) as usize) {
                black_box(queue.accept(taken.partition, taken.offset));
            }
        }
    }
}

fn push_one_by_one(end: End) -> QueueState {
    let mut queue = QueueState::new(1);
    for offset in 0..CYCLES {
        queue.extend(0, offset, 1, Kind::Queued);
        if end == End::Head {
            queue.place_front(0, offset, 1);
        }
    }
    queue
}

fn cycles(c: &mut Criterion) {
    let mut group = c.benchmark_group("queue");
    group.throughput(Throughput::Elements(CYCLES)).sample_size(20);
    for (name, step) in [("take, accept in order", 1), ("take, accept out of order", 37)] {
        group.bench_function(name, |b| {
            b.iter_batched(filled, |mut queue| take_and_accept(&mut queue, step), BatchSize::LargeInput);
        });
    }
    group.bench_function("take, release, take, accept", |b| {
        b.iter_batched(
            filled,
            |mut queue| {
                while let Some(taken) = queue.take(Class::All) {
                    queue.release(taken.partition, taken.offset, true);
                    if let Some(again) = queue.take(Class::All) {
                        queue.accept(again.partition, again.offset);
                    }
                }
            },
            BatchSize::LargeInput,
        );
    });
    for (name, pushed, popped) in [("push tail, pop head", End::Tail, End::Head), ("push head, pop head", End::Head, End::Head)] {
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut queue = push_one_by_one(pushed);
                while queue.pop(popped, Class::Queued).is_some() {}
                black_box(queue.ready(Class::All))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, cycles);
criterion_main!(benches);
