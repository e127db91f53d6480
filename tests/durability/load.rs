//! What the loads share: a seed, a count of acknowledgements that kills wait for, turns, and payloads that are told apart.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::{Notify, watch};

/// The acknowledgements of all loads, and whether they may begin anything new.
pub struct Pace {
    acknowledged: AtomicU64,
    target: AtomicU64,
    reached: Notify,
    phase: watch::Sender<Phase>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// What was begun goes on, over the kill and behind it; nothing new is begun.
    Closed,
    Open,
    Ending,
}

impl Pace {
    pub fn new() -> Arc<Self> {
        let (acknowledged, target) = (AtomicU64::new(0), AtomicU64::new(u64::MAX));
        Arc::new(Self { acknowledged, target, reached: Notify::new(), phase: watch::Sender::new(Phase::Closed) })
    }

    /// Counts one acknowledgement.
    pub fn count(&self) {
        let count = self.acknowledged.fetch_add(1, Ordering::SeqCst) + 1;
        if count >= self.target.load(Ordering::SeqCst) {
            self.reached.notify_one();
        }
    }

    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    /// Waits for so many more acknowledgements.
    pub async fn wait_for(&self, more: u64) {
        let target = self.acknowledged() + more;
        self.target.store(target, Ordering::SeqCst);
        while self.acknowledged() < target {
            self.reached.notified().await;
        }
    }

    /// A round begins.
    pub fn open(&self) {
        self.phase.send_replace(Phase::Open);
    }

    /// A round is over: what lives through kills writes no more than it has under way until the next one, so that a round is as
    /// large as it was meant to be, however long the restart and the verification take.
    pub fn close(&self) {
        self.phase.send_replace(Phase::Closed);
    }

    pub fn end(&self) {
        self.phase.send_replace(Phase::Ending);
    }

    pub fn is_open(&self) -> bool {
        *self.phase.borrow() == Phase::Open
    }

    pub fn is_ending(&self) -> bool {
        *self.phase.borrow() == Phase::Ending
    }

    /// Waits for a round, or for the end.
    pub async fn opened(&self) {
        let _ = self.phase.subscribe().wait_for(|phase| *phase != Phase::Closed).await;
    }
}

/// A generator of its own for each load, so that one seed gives the same decisions again.
pub fn random(seed: u64, load: u64) -> StdRng {
    StdRng::seed_from_u64(seed ^ load.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// A payload that says who wrote it and as which, of a random size.
pub fn payload(random: &mut StdRng, load: &str, number: u64, bytes_max: usize) -> Vec<u8> {
    let mut payload = format!("{load}:{number}:").into_bytes();
    let length = payload.len() + random.random_range(0..bytes_max);
    payload.resize(length, b'.');
    payload
}

/// The number in a payload.
pub fn number_of(payload: &[u8]) -> u64 {
    let text = payload.split(|byte| *byte == b':').nth(1).unwrap_or_default();
    String::from_utf8_lossy(text).parse().expect("a payload of this test")
}
