//! Point-to-point: records taken and accepted.

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::{Arc, Mutex};

use trunkline::delivery::queue::{Class, Kind, QueueState};
use trunkline::delivery::{Claim, Credit, Position, Serve, Taker, TakerSpec};
use trunkline::log::Signal;

use super::Table;
use super::scene::{Outcome, Scene, record};

const RECORDS: u64 = 200_000;

pub fn measure(table: &Table) -> Outcome<()> {
    for batch in [1_u64, 100] {
        table.row(&format!("VecDeque under a lock: push, pop, batches of {batch}"), Mutex::default, |queue| plain(queue, batch));
        table.row(&format!("queue state: take, accept, batches of {batch}"), filled_state, |queue| state_alone(queue, batch));
    }
    for (is_durable, what) in [(false, "transient"), (true, "durable")] {
        for takers in [1, 8, 64] {
            for prefetch in [1, 100] {
                let name = format!("queue view, {what}: take, accept, {takers} takers, prefetch {prefetch}");
                let prepare = || Work::new(is_durable, takers, prefetch);
                table.row(&name, prepare, |work| work.as_mut().map_or(0, |work| work.run().unwrap_or(0)));
            }
        }
    }
    Ok(())
}

/// What a queue without any promise costs.
fn plain(queue: &Mutex<VecDeque<trunkline::log::record::Record>>, batch: u64) -> u64 {
    let record = record();
    for _ in 0..RECORDS / batch {
        if let Ok(mut queue) = queue.lock() {
            queue.extend((0..batch).map(|_| record.clone()));
        }
        if let Ok(mut queue) = queue.lock() {
            queue.drain(..batch as usize).for_each(|record| drop(black_box(record)));
        }
    }
    RECORDS
}

fn filled_state() -> QueueState {
    let mut queue = QueueState::new(1);
    queue.extend(0, 0, RECORDS, Kind::Plain);
    queue
}

fn state_alone(queue: &mut QueueState, batch: u64) -> u64 {
    let mut taken = Vec::with_capacity(batch as usize);
    for _ in 0..RECORDS / batch {
        taken.extend((0..batch).filter_map(|_| queue.take(Class::All)));
        for taken in taken.drain(..) {
            black_box(queue.accept(taken.partition, taken.offset));
        }
    }
    RECORDS
}

/// A queue view with records, and those who take them.
struct Work {
    scene: Scene,
    takers: Vec<(Taker, Arc<Credit>)>,
}

impl Work {
    fn new(is_durable: bool, takers: usize, prefetch: i64) -> Option<Self> {
        let scene = Scene::new(is_durable).ok()?;
        scene.fill(RECORDS).ok()?;
        let mut unit = scene.delivery.begin().ok()?;
        let mut added = Vec::new();
        for _ in 0..takers {
            let credit = Credit::new(prefetch);
            let spec = TakerSpec {
                signal: Signal::default(),
                credit: Arc::clone(&credit),
                shared: None,
                serve: Serve::Claim,
                class: Class::All,
                priority: 0,
            };
            added.push((unit.add_taker(&scene.name, spec)?, credit));
        }
        unit.commit();
        Some(Self { scene, takers: added })
    }

    /// Each taker in turn accepts what it was given and is given as much again, until nothing is left.
    fn run(&mut self) -> Outcome<u64> {
        let (mut claims, mut positions): (Vec<Claim>, Vec<Position>) = (Vec::new(), Vec::new());
        let mut done = 0;
        while done < RECORDS {
            for (taker, credit) in &self.takers {
                taker.drain(&mut claims);
                if claims.is_empty() {
                    continue;
                }
                positions.extend(claims.drain(..).map(|claim| claim.position));
                done += positions.len() as u64;
                let mut unit = self.scene.delivery.begin()?;
                unit.accept(&self.scene.name, &positions);
                credit.add(positions.len() as i64);
                unit.resume_taker(&self.scene.name, taker.id());
                unit.commit();
                positions.clear();
            }
        }
        Ok(done)
    }
}
