//! One producer's work: paced by the clock, bounded by its window, each record opened in the ledger before it is sent and
//! closed by the broker's answer.

use std::future::Future;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};

use super::clock::now_ns;
use super::fault::Fault;
use super::models::Sender;
use super::payload::Stamp;
use super::plan::Plan;
use super::score::{Score, warm_up_id};

/// A timer wakes up to this late: being behind by less is not the broker's doing, and the record is stamped when it is sent.
/// Further behind, it is stamped when it was due, so that a stalled broker pays for the wait it caused.
const TIMER_SLACK_NS: u64 = 2_000_000;

/// Sends this producer's share and waits for every answer.
pub async fn produce<S: Sender>(mut sender: S, plan: &Plan, producer: u32, score: &Score) -> Result<(), Fault> {
    let mut receipts = FuturesUnordered::new();
    let started_ns = now_ns();
    for nth in 0..plan.share(producer) {
        let due_ns = started_ns + due_after_ns(plan, nth);
        while let Some(early) = early_by(due_ns) {
            tokio::select! {
                () = tokio::time::sleep(early) => break,
                Some((sequence, outcome)) = receipts.next() => note(score, producer, sequence, outcome),
            }
        }
        while receipts.len() >= plan.tuning.window {
            let Some((sequence, outcome)) = receipts.next().await else { break };
            note(score, producer, sequence, outcome);
        }
        let now = now_ns();
        let sent_at_ns = if plan.rate_per_s > 0 && now > due_ns + TIMER_SLACK_NS { due_ns } else { now };
        let Some(sequence) = score.attempt(producer, sent_at_ns) else { break };
        let payload = Stamp { run_id: plan.run_id, producer, sequence, sent_at_ns }.encode(plan.size_bytes);
        match sender.submit(payload).await {
            Ok(receipt) => receipts.push(async move { (sequence, receipt.await) }),
            Err(fault) => {
                score.answered(producer, sequence, false);
                drain(receipts, producer, score).await;
                return Err(fault);
            }
        }
    }
    drain(receipts, producer, score).await;
    Ok(())
}

/// Sends one record that counts for nothing and waits for its answer: connections, metadata and sessions are then made.
pub async fn warm_up<S: Sender>(sender: &mut S, plan: &Plan, producer: u32) -> Result<(), Fault> {
    let stamp = Stamp { run_id: warm_up_id(plan.run_id), producer, sequence: 0, sent_at_ns: now_ns() };
    sender.submit(stamp.encode(plan.size_bytes)).await?.await
}

async fn drain<F>(mut receipts: FuturesUnordered<F>, producer: u32, score: &Score)
where
    F: Future<Output = (u64, Result<(), Fault>)>,
{
    while let Some((sequence, outcome)) = receipts.next().await {
        note(score, producer, sequence, outcome);
    }
}

fn note(score: &Score, producer: u32, sequence: u64, outcome: Result<(), Fault>) {
    score.answered(producer, sequence, outcome.is_ok());
    if let Err(fault) = outcome {
        score.fault(fault.to_string());
    }
}

/// When the nth record is due, from the start: producers take turns on one beat. 0 without a rate.
fn due_after_ns(plan: &Plan, nth: u64) -> u64 {
    if plan.rate_per_s == 0 {
        return 0;
    }
    let beat = u128::from(nth) * u128::from(plan.tuning.producers) * 1_000_000_000 / u128::from(plan.rate_per_s);
    u64::try_from(beat).unwrap_or(u64::MAX / 2)
}

fn early_by(due_ns: u64) -> Option<Duration> {
    let early = due_ns.saturating_sub(now_ns());
    (early > 0).then(|| Duration::from_nanos(early))
}
