//! Each view alone, without network: records a second on one core and allocations a record, beside a plain `VecDeque` under a lock.
//!
//! One thread does everything, so a figure is what one core can do; the journal's own thread is not counted. Best of several
//! rounds. `cargo bench --bench delivery -- tail` runs the rows whose names contain the word.
#![allow(clippy::print_stdout)]

mod allocations;
mod dead;
mod group;
mod list;
mod queue;
mod scene;
mod tail;

use std::error::Error;
use std::time::{Duration, Instant};

use clap::Parser;

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

/// Measures queue, list, tail and group views without network
#[derive(Parser)]
struct Args {
    /// Only rows whose names contain this
    filter: Option<String>,
    /// Rounds of each row; the best counts
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

/// Prints rows as they are measured.
pub struct Table {
    args: Args,
}

impl Table {
    /// Measures one row: each round prepares, then does a number of records' worth of work, which it returns.
    pub fn row<S>(&self, name: &str, mut prepare: impl FnMut() -> S, mut work: impl FnMut(&mut S) -> u64) {
        if self.args.filter.as_ref().is_some_and(|filter| !name.contains(filter.as_str())) {
            return;
        }
        let (mut best, mut allocated) = (0.0_f64, f64::MAX);
        for _ in 0..self.args.rounds.max(1) {
            let mut state = prepare();
            let before = allocations::count();
            let began = Instant::now();
            let records = work(&mut state) as f64;
            let took = began.elapsed().max(Duration::from_nanos(1));
            allocated = allocated.min((allocations::count() - before) as f64 / records);
            best = best.max(records / took.as_secs_f64());
        }
        println!("| {name} | {:.3} M/s | {:.0} ns | {allocated:.3} |", best / 1e6, 1e9 / best);
    }
}

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let table = Table { args: Args::parse() };
    println!("| work | records a second | a record | allocations a record |\n|---|---|---|---|");
    queue::measure(&table)?;
    list::measure(&table)?;
    dead::measure(&table)?;
    tail::measure(&table)?;
    group::measure(&table)?;
    Ok(())
}
