//! List order: records pushed at either end and popped.

use std::hint::black_box;

use trunkline::delivery::queue::{Class, End, Kind, QueueState};

use super::Table;
use super::scene::{Outcome, Scene, record};

const RECORDS: u64 = 200_000;
const BATCH: u64 = 100;

pub fn measure(table: &Table) -> Outcome<()> {
    for (name, pushed, popped) in [
        ("list state: push at the tail, pop at the head", End::Tail, End::Head),
        ("list state: push at the head, pop at the head", End::Head, End::Head),
    ] {
        table.row(name, || QueueState::new(1), |queue| state_alone(queue, pushed, popped));
    }
    for (name, pushed) in
        [("list view, logged: push at the tail, pop", End::Tail), ("list view, logged: push at the head, pop", End::Head)]
    {
        table.row(name, || Scene::new(true).ok(), |scene| scene.as_ref().map_or(0, |scene| logged(scene, pushed).unwrap_or(0)));
    }
    Ok(())
}

fn state_alone(queue: &mut QueueState, pushed: End, popped: End) -> u64 {
    for batch in 0..RECORDS / BATCH {
        for offset in batch * BATCH..(batch + 1) * BATCH {
            queue.extend(0, offset, 1, Kind::Queued);
            if pushed == End::Head {
                queue.place_front(0, offset, 1);
            }
        }
        while black_box(queue.pop(popped, Class::Queued)).is_some() {}
    }
    RECORDS
}

/// A unit that pushes, then one that pops as many.
fn logged(scene: &Scene, pushed: End) -> Outcome<u64> {
    let (record, target) = (record(), scene.target());
    for _ in 0..RECORDS / BATCH {
        let mut unit = scene.delivery.begin()?;
        for _ in 0..BATCH {
            match pushed {
                End::Tail => drop(unit.append(&target, &record, Kind::Queued)),
                End::Head => drop(unit.append_front(&scene.topic, &record)),
            }
        }
        unit.commit();
        let mut unit = scene.delivery.begin()?;
        for _ in 0..BATCH {
            black_box(unit.pop(&scene.name, End::Head, Class::Queued));
        }
        unit.commit();
    }
    Ok(RECORDS)
}
