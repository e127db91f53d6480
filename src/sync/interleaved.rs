//! The same types with a scheduling point before each operation, for tests that try interleavings.
//!
//! Outside of [`explore`] they are the plain ones. Inside, all tasks are coroutines of one thread, and a scheduler with a printed seed
//! picks who goes on at each point. What the memory model allows beyond sequential consistency is not tried.

use std::cell::Cell;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::MutexGuard;
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, MaxSteps, Runner};

thread_local! {
    static EXPLORING: Cell<bool> = const { Cell::new(false) };
}

/// Runs a test under many schedules, half of them with few and far switches, and fails if one panics or ends in a deadlock.
pub fn explore(schedules: usize, test: impl Fn() + Send + Sync + Clone + 'static) {
    let mut config = Config::new();
    config.max_steps = MaxSteps::FailAfter(100_000);
    config.max_time = Some(Duration::from_secs(3));
    EXPLORING.set(true);
    Runner::new(RandomScheduler::new(schedules), config.clone()).run(test.clone());
    Runner::new(PctScheduler::new(3, schedules), config).run(test);
    EXPLORING.set(false);
}

/// Another task may run here.
fn point() {
    if EXPLORING.get() {
        shuttle::thread::yield_now();
    }
}

/// A mutex; whoever finds it taken lets others run until it is not.
#[derive(Debug, Default)]
pub struct Mutex<T>(parking_lot::Mutex<T>);

impl<T> Mutex<T> {
    pub const fn new(value: T) -> Self {
        Self(parking_lot::Mutex::new(value))
    }

    pub fn lock(&self) -> MutexGuard<'_, T> {
        point();
        while EXPLORING.get() {
            if let Some(guard) = self.0.try_lock() {
                return guard;
            }
            point();
        }
        self.0.lock()
    }
}

/// An atomic with a point before each operation.
macro_rules! atomic {
    ($name:ident, $value:ty, $($operation:ident),*) => {
        #[derive(Debug, Default)]
        pub struct $name(std::sync::atomic::$name);

        #[allow(dead_code)]
        impl $name {
            pub const fn new(value: $value) -> Self {
                Self(std::sync::atomic::$name::new(value))
            }

            pub fn load(&self, order: Ordering) -> $value {
                point();
                self.0.load(order)
            }

            pub fn store(&self, value: $value, order: Ordering) {
                point();
                self.0.store(value, order);
            }

            pub fn fetch_update(
                &self,
                set: Ordering,
                fetch: Ordering,
                update: impl FnMut($value) -> Option<$value>,
            ) -> Result<$value, $value> {
                point();
                self.0.fetch_update(set, fetch, update)
            }

            $(pub fn $operation(&self, value: $value, order: Ordering) -> $value {
                point();
                self.0.$operation(value, order)
            })*
        }
    };
}

atomic!(AtomicBool, bool, swap);
atomic!(AtomicI64, i64, swap, fetch_add, fetch_sub, fetch_max);
atomic!(AtomicU64, u64, swap, fetch_add, fetch_sub, fetch_max);
atomic!(AtomicUsize, usize, swap, fetch_add, fetch_sub, fetch_max);
