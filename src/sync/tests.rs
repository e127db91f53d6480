//! Who waits is woken, whatever the order of steps: positions in the journal, new records, mailboxes and credit; and what a taker leaves
//! behind goes to the next.
//!
//! A wake-up that gets lost leaves everybody waiting, which the scheduler reports as a deadlock with the schedule that led there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use shuttle::future::block_on;
use shuttle::thread;

use super::Mutex;
use super::interleaved::explore;
use crate::delivery::testing::{Hall, Office};
use crate::log::Signal;
use crate::log::testing::Tide;

const SCHEDULES: usize = 10_000;

/// Two wait for positions of their own while a third syncs up to one, then to the other.
#[test]
fn who_waits_for_a_position_is_woken_once_it_is_durable() {
    explore(SCHEDULES, || {
        let tide = Arc::new(Tide::new());
        let waiters: Vec<_> = [8, 16]
            .map(|position| {
                let tide = Arc::clone(&tide);
                thread::spawn(move || {
                    block_on(tide.when_synced(position)).expect("the journal is well");
                    assert!(tide.is_synced(position));
                })
            })
            .into();
        tide.sync(8);
        tide.sync(16);
        waiters.into_iter().for_each(|waiter| waiter.join().expect("no panic"));
    });
}

#[test]
fn who_waits_for_a_position_is_woken_when_the_journal_fails() {
    explore(SCHEDULES, || {
        let tide = Arc::new(Tide::new());
        let waiters: Vec<_> = [8, 16]
            .map(|position| {
                let tide = Arc::clone(&tide);
                thread::spawn(move || block_on(tide.when_synced(position)))
            })
            .into();
        tide.sync(8);
        tide.fail();
        let results: Vec<_> = waiters.into_iter().map(|waiter| waiter.join().expect("no panic")).collect();
        assert!(results.last().is_some_and(Result::is_err), "nothing makes the second durable");
    });
}

/// A reader follows a partition while one appends and another syncs behind it.
#[test]
fn a_reader_sees_every_record_once_it_is_durable() {
    explore(SCHEDULES, || {
        let tide = Arc::new(Tide::new());
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let tide = Arc::clone(&tide);
                thread::spawn(move || {
                    let signal = Signal::default();
                    let mut read = 0;
                    while read < 2 {
                        let durable = tide.durable_offset();
                        if durable > read {
                            read = durable;
                            continue;
                        }
                        tide.wake_beyond(read, &signal);
                        block_on(signal.notified());
                    }
                })
            })
            .collect();
        let writer = thread::spawn({
            let tide = Arc::clone(&tide);
            move || [8, 16].map(|position| tide.append(position))
        });
        let syncer = thread::spawn({
            let tide = Arc::clone(&tide);
            move || [8, 16].map(|position| tide.sync(position))
        });
        writer.join().expect("no panic");
        syncer.join().expect("no panic");
        readers.into_iter().for_each(|reader| reader.join().expect("no panic"));
    });
}

/// Two takers with a prefetch of one that share a credit of two, take what is put in while they work.
#[test]
fn each_record_is_handed_to_one_taker_and_credit_is_never_passed() {
    explore(SCHEDULES, || {
        const RECORDS: u64 = 4;
        let office = Arc::new(Mutex::new(Office::new(2, 1, 2)));
        let taken = Arc::new(AtomicU64::new(0));
        let takers: Vec<_> = (0..2)
            .map(|index| {
                let (office, taken) = (Arc::clone(&office), Arc::clone(&taken));
                thread::spawn(move || {
                    let desk = office.lock().desk(index);
                    while taken.load(Ordering::Relaxed) < RECORDS {
                        let claims = desk.drain();
                        assert!(claims.len() <= 1, "a taker holds no more than its credit");
                        for offset in claims {
                            office.lock().settle(index, offset);
                            taken.fetch_add(1, Ordering::Relaxed);
                        }
                        if taken.load(Ordering::Relaxed) == RECORDS {
                            office.lock().ring();
                            return;
                        }
                        block_on(desk.signal.notified());
                    }
                })
            })
            .collect();
        for _ in 0..RECORDS {
            office.lock().put();
        }
        takers.into_iter().for_each(|taker| taker.join().expect("no panic"));
        assert_eq!(taken.load(Ordering::Relaxed), RECORDS);
        assert!(office.lock().is_empty());
    });
}

/// Only one of two takers is served; it leaves with a record in hand and perhaps others in its mailbox, while more come. The other gets
/// all that the first was not done with, each once.
#[test]
fn the_next_taker_goes_on_where_the_one_before_left() {
    explore(SCHEDULES, || {
        const RECORDS: u64 = 3;
        let office = Arc::new(Mutex::new(Office::new(2, 2, 4)));
        office.lock().serve_one_at_a_time();
        let first = thread::spawn({
            let office = Arc::clone(&office);
            move || {
                let desk = office.lock().desk(0);
                let claims = loop {
                    let claims = desk.drain();
                    if !claims.is_empty() {
                        break claims;
                    }
                    block_on(desk.signal.notified());
                };
                assert_eq!(claims[0], 0, "it is served first");
                office.lock().leave(0, &claims);
            }
        });
        let second = thread::spawn({
            let office = Arc::clone(&office);
            move || {
                let desk = office.lock().desk(1);
                let mut taken: Vec<u64> = Vec::new();
                while taken.len() < RECORDS as usize {
                    let claims = desk.drain();
                    for offset in &claims {
                        office.lock().settle(1, *offset);
                    }
                    taken.extend(&claims);
                    if claims.is_empty() {
                        block_on(desk.signal.notified());
                    }
                }
                assert_eq!(taken, [0, 1, 2], "in order, and each once");
            }
        });
        for _ in 0..RECORDS {
            office.lock().put();
        }
        first.join().expect("no panic");
        second.join().expect("no panic");
        assert!(office.lock().is_empty());
    });
}

/// A queue view goes while its takers wait and records come: each is told, whatever it was doing.
#[test]
fn takers_are_told_that_their_queue_view_is_gone() {
    explore(SCHEDULES, || {
        let office = Arc::new(Mutex::new(Office::new(2, 1, 2)));
        let takers: Vec<_> = (0..2)
            .map(|index| {
                let office = Arc::clone(&office);
                thread::spawn(move || {
                    let desk = office.lock().desk(index);
                    while !desk.is_cancelled() {
                        desk.drain();
                        if !desk.is_cancelled() {
                            block_on(desk.signal.notified());
                        }
                    }
                })
            })
            .collect();
        office.lock().put();
        office.lock().close();
        takers.into_iter().for_each(|taker| taker.join().expect("no panic"));
    });
}

/// One announces, another unsubscribes for good once it has all.
#[test]
fn a_listener_hears_everything_that_is_announced() {
    explore(SCHEDULES, || {
        let hall = Arc::new(Hall::new(0));
        let listener = thread::spawn({
            let hall = Arc::clone(&hall);
            move || {
                let mut heard = 0;
                while heard < 3 {
                    let (more, count) = hall.take(1);
                    heard += count;
                    if !more && heard < 3 {
                        block_on(hall.signal.notified());
                    }
                }
            }
        });
        (0..3).for_each(|_| hall.announce());
        listener.join().expect("no panic");
    });
}

/// A listener that takes nothing is woken once more when it is cut, so that its connection ends.
#[test]
fn a_listener_that_is_cut_is_told() {
    explore(SCHEDULES, || {
        let hall = Arc::new(Hall::new(150));
        let listener = thread::spawn({
            let hall = Arc::clone(&hall);
            move || {
                while !hall.is_cut() {
                    block_on(hall.signal.notified());
                }
            }
        });
        (0..3).for_each(|_| hall.announce());
        listener.join().expect("no panic");
    });
}
