//! The consumer that gets killed: a process of its own, so that SIGKILL ends it as a crash would, with no goodbye to the
//! broker from any client library.
//!
//! The worker runs the same receiver as everyone, writes a line for each record it has finished, and stops with one record in
//! its hands; its parent then kills it. A worker whose parent is gone ends itself when its standard input closes.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::consume::{Desk, consume};
use super::fault::{CompareError, Fault};
use super::models::{Group, List, Model, ModelKind, Pubsub, Queue, Scope};
use super::payload::Stamp;
use super::score::Score;

/// What the worker is to do.
#[derive(Debug, Serialize, Deserialize)]
pub struct Task {
    pub kind: ModelKind,
    pub scope: Scope,
    pub run_id: u64,
    /// Which of the run's records, counted from 1 as they come, it takes and never finishes.
    pub hold_at: u64,
}

/// One line from the worker.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Line {
    Ready,
    Finished { run_id: u64, producer: u32, sequence: u64, sent_at_ns: u64, received_at_ns: u64 },
    Corrupt { received_at_ns: u64 },
    Holding,
}

/// The worker as its parent sees it. Dropping it ends the worker.
pub struct Victim {
    /// Resolves when records would reach it.
    pub ready: oneshot::Receiver<()>,
    /// Resolves when it is dead: `Ok` if it was killed with a record in its hands.
    pub dead: oneshot::Receiver<Result<(), Fault>>,
    _lifeline: Option<ChildStdin>,
}

impl Victim {
    /// Starts this very program as the worker; its deliveries go to the score as that slot and instance.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn start(task: &Task, slot: u32, score: Score) -> Result<Self, Fault> {
        let describe = |error: &dyn std::fmt::Display| Fault::Worker(error.to_string());
        let task = serde_json::to_string(task).map_err(|error| describe(&error))?;
        let program = std::env::current_exe().map_err(|error| describe(&error))?;
        let mut child = Command::new(program)
            .args(["compare", "--victim", &task])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| describe(&error))?;
        let lifeline = child.stdin.take();
        let (ready_tx, ready) = oneshot::channel();
        let (dead_tx, dead) = oneshot::channel();
        std::thread::spawn(move || {
            let held = follow(&mut child, slot, &score, ready_tx);
            let ended = child.kill().and_then(|()| child.wait());
            let outcome = match (held, ended) {
                (true, Ok(_)) => Ok(()),
                (true, Err(error)) => Err(Fault::Worker(error.to_string())),
                (false, _) => Err(Fault::Worker("ended before it held a record".to_owned())),
            };
            // Nobody waits any more when the run is over.
            let _ = dead_tx.send(outcome);
        });
        Ok(Self { ready, dead, _lifeline: lifeline })
    }
}

/// Reads the worker's lines until it holds its last record (`true`) or ends (`false`).
fn follow(child: &mut Child, slot: u32, score: &Score, ready: oneshot::Sender<()>) -> bool {
    let mut ready = Some(ready);
    let Some(stdout) = child.stdout.take() else { return false };
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        match serde_json::from_str(&line) {
            Ok(Line::Ready) => {
                if let Some(ready) = ready.take() {
                    let _ = ready.send(());
                }
            }
            Ok(Line::Finished { run_id, producer, sequence, sent_at_ns, received_at_ns }) => {
                score.finished(slot, slot, Some(Stamp { run_id, producer, sequence, sent_at_ns }), received_at_ns);
            }
            Ok(Line::Corrupt { received_at_ns }) => score.finished(slot, slot, None, received_at_ns),
            Ok(Line::Holding) => return true,
            Err(_) => score.fault(format!("the worker process said: {line}")),
        }
    }
    false
}

/// The worker's side: works on its task until it holds the record it dies with, and then waits to be killed.
///
/// # Errors
/// When the task cannot be read, or the model fails.
pub async fn work(task: &str) -> Result<ExitCode, CompareError> {
    let task: Task = serde_json::from_str(task)?;
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin().lock().by_ref(), &mut std::io::sink());
        std::process::exit(0);
    });
    let kind = task.kind;
    let outcome = match kind {
        ModelKind::Queue => hold::<Queue>(task).await,
        ModelKind::List => hold::<List>(task).await,
        ModelKind::Pubsub => hold::<Pubsub>(task).await,
        ModelKind::Group => hold::<Group>(task).await,
    };
    outcome.map_err(|fault| CompareError::Worker { model: kind, fault })
}

async fn hold<M: Model>(task: Task) -> Result<ExitCode, Fault> {
    let lot = task.scope.tuning.lot;
    let receiver = M::new(task.scope).receiver().await?;
    let mut hands = Hands { run_id: task.run_id, received: 0, hold_at: task.hold_at, out: std::io::stdout(), broken_pipe: false };
    hands.tell(&Line::Ready);
    let _unsettled = consume(receiver, lot, &mut hands).await?;
    hands.tell(&Line::Holding);
    std::future::pending().await
}

/// The worker's desk: one line a record, until the one it keeps.
struct Hands<W> {
    run_id: u64,
    received: u64,
    hold_at: u64,
    out: W,
    /// Nobody reads any more.
    broken_pipe: bool,
}

impl<W: Write> Hands<W> {
    /// Writes one line at once: what stays in a buffer dies with the process.
    fn tell(&mut self, line: &Line) {
        let Ok(mut text) = serde_json::to_string(line) else { return };
        text.push('\n');
        self.broken_pipe |= self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush()).is_err();
    }
}

impl<W: Write> Desk for Hands<W> {
    fn accept(&mut self, stamp: Option<Stamp>, received_at_ns: u64) -> bool {
        if stamp.is_some_and(|stamp| stamp.run_id == self.run_id) {
            self.received += 1;
            if self.received >= self.hold_at {
                return false;
            }
        }
        let line = match stamp {
            Some(Stamp { run_id, producer, sequence, sent_at_ns }) => {
                Line::Finished { run_id, producer, sequence, sent_at_ns, received_at_ns }
            }
            None => Line::Corrupt { received_at_ns },
        };
        self.tell(&line);
        true
    }

    fn over(&self) -> bool {
        self.broken_pipe
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_to_die_with_is_counted_among_those_of_the_run() {
        let stamp = Stamp { run_id: 7, producer: 0, sequence: 0, sent_at_ns: 0 };
        let mut hands = Hands { run_id: 7, received: 0, hold_at: 1, out: Vec::new(), broken_pipe: false };
        assert!(hands.accept(Some(Stamp { run_id: 8, ..stamp }), 0));
        assert!(hands.accept(None, 0));
        assert!(!hands.accept(Some(stamp), 0));
        assert_eq!(hands.out.iter().filter(|byte| **byte == b'\n').count(), 2);
    }

    #[test]
    fn a_line_reads_back_as_it_was_written() {
        let line = Line::Finished { run_id: u64::MAX, producer: 1, sequence: 2, sent_at_ns: 3, received_at_ns: 4 };
        let text = serde_json::to_string(&line).unwrap();
        assert_eq!(serde_json::from_str::<Line>(&text).unwrap(), line);
    }
}
