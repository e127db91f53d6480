//! The ledger and the clock readings of one model's run, shared by everyone who works on it. One short lock, no I/O under it.

use std::sync::Arc;

use hdrhistogram::Histogram;
use parking_lot::Mutex;

use super::clock::now_ns;
use super::ledger::{Audience, Finished, Ledger, Note, Tally};
use super::payload::Stamp;
use super::report::Latency;

const LATENCY_DIGITS: u8 = 3;
/// An hour: later than any patience here.
const LATENCY_MAX_US: u64 = 3_600_000_000;

/// Shared by the tasks of one run; cheap to clone.
#[derive(Clone)]
pub struct Score {
    run_id: u64,
    book: Arc<Mutex<Book>>,
}

struct Book {
    ledger: Ledger,
    latency_us: Option<Histogram<u64>>,
    first_sent_ns: u64,
    last_event_ns: u64,
    last_first_copy_ns: u64,
    warmed: u64,
    faults: Vec<String>,
}

/// A look at a run that goes on.
#[derive(Clone, Copy, Debug)]
pub struct Glance {
    pub tally: Tally,
    pub settled: bool,
    /// When anything was sent, answered or delivered last; ns since the epoch.
    pub last_event_ns: u64,
}

/// What a run comes to.
pub struct Outcome {
    pub tally: Tally,
    pub latency: Option<Latency>,
    pub records_per_s: f64,
    pub faults: Vec<String>,
}

/// What a warm-up record carries in place of the run: it proves that the way is open, and counts for nothing.
pub fn warm_up_id(run_id: u64) -> u64 {
    !run_id
}

impl Score {
    /// An empty score for a run of that shape.
    pub fn new(run_id: u64, audience: Audience, producers: u32, consumers: u32) -> Self {
        let book = Book {
            ledger: Ledger::new(audience, producers, consumers),
            latency_us: Histogram::new_with_max(LATENCY_MAX_US, LATENCY_DIGITS).ok(),
            first_sent_ns: 0,
            last_event_ns: now_ns(),
            last_first_copy_ns: 0,
            warmed: 0,
            faults: Vec::new(),
        };
        Self { run_id, book: Arc::new(Mutex::new(book)) }
    }

    /// Opens the producer's next record, sent (or due) at that time.
    pub fn attempt(&self, producer: u32, sent_at_ns: u64) -> Option<u64> {
        let mut book = self.book.lock();
        if book.first_sent_ns == 0 {
            book.first_sent_ns = sent_at_ns;
        }
        book.ledger.attempt(producer)
    }

    /// The broker's answer for one record.
    pub fn answered(&self, producer: u32, sequence: u64, accepted: bool) {
        let mut book = self.book.lock();
        if accepted {
            book.ledger.acknowledge(producer, sequence);
        } else {
            book.ledger.refuse(producer, sequence);
        }
        book.last_event_ns = now_ns();
    }

    /// A consumer has finished a payload that came at `received_at_ns`; `None` for one that is not whole.
    pub fn finished(&self, slot: u32, instance: u32, stamp: Option<Stamp>, received_at_ns: u64) {
        let mut book = self.book.lock();
        book.last_event_ns = now_ns();
        let Some(stamp) = stamp else { return book.ledger.corrupt() };
        if stamp.run_id == warm_up_id(self.run_id) {
            book.warmed += 1;
            return;
        }
        // A record of another run names no producer of this one.
        let producer = if stamp.run_id == self.run_id { stamp.producer } else { u32::MAX };
        let finished = Finished { slot, instance, producer, sequence: stamp.sequence };
        if book.ledger.finish(finished) != Note::First {
            return;
        }
        book.last_first_copy_ns = book.last_first_copy_ns.max(received_at_ns);
        if let Some(histogram) = &mut book.latency_us {
            histogram.saturating_record(received_at_ns.saturating_sub(stamp.sent_at_ns) / 1_000);
        }
    }

    /// Something failed; the run goes on with who is left.
    pub fn fault(&self, fault: String) {
        let mut book = self.book.lock();
        if !book.faults.contains(&fault) {
            book.faults.push(fault);
        }
    }

    /// Deliveries of warm-up records so far.
    pub fn warmed(&self) -> u64 {
        self.book.lock().warmed
    }

    /// How it stands.
    pub fn glance(&self) -> Glance {
        let book = self.book.lock();
        Glance { tally: book.ledger.tally(), settled: book.ledger.settled(), last_event_ns: book.last_event_ns }
    }

    /// The result, final once nobody works on the run any more.
    pub fn outcome(&self) -> Outcome {
        let book = self.book.lock();
        let tally = book.ledger.tally();
        let took_ns = book.last_first_copy_ns.saturating_sub(book.first_sent_ns);
        let records_per_s = if took_ns == 0 { 0.0 } else { tally.distinct as f64 * 1e9 / took_ns as f64 };
        let measured = book.latency_us.as_ref().filter(|histogram| !histogram.is_empty());
        Outcome { tally, latency: measured.map(Latency::of), records_per_s, faults: book.faults.clone() }
    }
}
