//! One model's run from the first name made to the last one removed: consumers first, then producers, then patience, then the
//! verdict. Knows the order of things; what they mean is the ledger's.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::clock::now_ns;
use super::consume::{Desk, consume};
use super::fault::Fault;
use super::ledger::Audience;
use super::models::{Group, List, Model, ModelKind, Pubsub, Queue, Receiver, Scope, sweep};
use super::payload::Stamp;
use super::plan::{Plan, Scenario};
use super::produce::{produce, warm_up};
use super::progress::Progress;
use super::report::{ModelReport, Report};
use super::score::Score;
use super::victim::{Task, Victim};

const POLL: Duration = Duration::from_millis(10);
/// Quiet time after the last owed record, in which a late duplicate still counts.
const LINGER: Duration = Duration::from_millis(500);
const READY_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(15);
/// The slot whose consumer is killed in [`Scenario::ConsumerKilled`].
const VICTIM_SLOT: u32 = 0;

/// Runs every model of the plan, one after the other.
pub async fn run_all(plan: &Plan) -> Report {
    let mut models = Vec::with_capacity(plan.models.len());
    for kind in &plan.models {
        models.push(match kind {
            ModelKind::Queue => run::<Queue>(*kind, plan).await,
            ModelKind::List => run::<List>(*kind, plan).await,
            ModelKind::Pubsub => run::<Pubsub>(*kind, plan).await,
            ModelKind::Group => run::<Group>(*kind, plan).await,
        });
    }
    sweep(&scopes(plan)).await;
    Report::new(plan, models)
}

/// Removes the names of the plan, whatever became of its runs. What fails here was not there.
pub async fn clean_all(plan: &Plan) {
    for kind in &plan.models {
        let scope = scope_of(*kind, plan);
        let _ = match kind {
            ModelKind::Queue => Queue::new(scope).clean().await,
            ModelKind::List => List::new(scope).clean().await,
            ModelKind::Pubsub => Pubsub::new(scope).clean().await,
            ModelKind::Group => Group::new(scope).clean().await,
        };
    }
    sweep(&scopes(plan)).await;
}

fn scopes(plan: &Plan) -> Vec<Scope> {
    plan.models.iter().map(|kind| scope_of(*kind, plan)).collect()
}

fn scope_of(kind: ModelKind, plan: &Plan) -> Scope {
    Scope { name: plan.name_for(kind), targets: plan.targets.clone(), tuning: plan.tuning }
}

async fn run<M: Model>(kind: ModelKind, plan: &Plan) -> ModelReport {
    let score = Score::new(plan.run_id, kind.audience(), plan.tuning.producers, plan.tuning.consumers);
    let progress = Progress::start(kind, plan.records, score.clone());
    let flow = Flow { kind, plan: plan.clone(), model: Arc::new(M::new(scope_of(kind, plan))), score: score.clone() };
    let killed = match flow.model.prepare().await {
        Ok(()) => {
            let killed = flow.flow().await;
            if let Err(fault) = flow.model.clean().await {
                score.fault(format!("cleaning up: {fault}"));
            }
            killed
        }
        Err(fault) => Err(fault),
    };
    let killed = killed.unwrap_or_else(|fault| {
        score.fault(fault.to_string());
        false
    });
    let report = ModelReport::new(kind, plan.scenario, killed, score.outcome());
    progress.finish(&report).await;
    report
}

/// What the tasks of one run share.
struct Flow<M> {
    kind: ModelKind,
    plan: Plan,
    model: Arc<M>,
    score: Score,
}

impl<M> Clone for Flow<M> {
    fn clone(&self) -> Self {
        Self { kind: self.kind, plan: self.plan.clone(), model: self.model.clone(), score: self.score.clone() }
    }
}

impl<M: Model> Flow<M> {
    /// The whole run on a name that exists. Returns whether a consumer was killed.
    async fn flow(&self) -> Result<bool, Fault> {
        let (stop, stopped) = watch::channel(false);
        let (ready, mut readies) = mpsc::unbounded_channel();
        let mut crew = JoinSet::new();
        for slot in 0..self.plan.tuning.consumers {
            let (flow, ready, stopped) = (self.clone(), ready.clone(), stopped.clone());
            crew.spawn(async move {
                if flow.plan.scenario == Scenario::ConsumerKilled && slot == VICTIM_SLOT {
                    flow.be_killed_and_replaced(slot, ready, stopped).await
                } else {
                    flow.consume(slot, slot, ready, stopped).await.map(|()| false)
                }
            });
        }
        drop(ready);
        let outcome = self.send_and_wait(&mut readies).await;
        let _ = stop.send(true);
        let killed = self.dismiss(crew).await;
        outcome.map(|()| killed)
    }

    async fn send_and_wait(&self, readies: &mut mpsc::UnboundedReceiver<()>) -> Result<(), Fault> {
        for _ in 0..self.plan.tuning.consumers {
            match tokio::time::timeout(READY_LIMIT, readies.recv()).await {
                Ok(Some(())) => {}
                // A consumer is gone; its own fault is in the score.
                Ok(None) => return Ok(()),
                Err(_) => return Err(Fault::TooLate { what: "getting the consumers ready", limit: READY_LIMIT }),
            }
        }
        let mut senders = Vec::new();
        for producer in 0..self.plan.tuning.producers {
            let mut sender = self.model.sender(producer).await?;
            warm_up(&mut sender, &self.plan, producer).await?;
            senders.push(sender);
        }
        self.await_warm_up().await?;
        let mut producers = JoinSet::new();
        for (producer, sender) in (0..).zip(senders) {
            let (plan, score) = (self.plan.clone(), self.score.clone());
            producers.spawn(async move { produce(sender, &plan, producer, &score).await });
        }
        while let Some(done) = producers.join_next().await {
            if let Err(fault) = flatten(done) {
                self.score.fault(fault.to_string());
            }
        }
        self.settle().await;
        Ok(())
    }

    /// Waits until the warm-up records are through: what is measured then is the model at work, not its first steps.
    async fn await_warm_up(&self) -> Result<(), Fault> {
        let readers = match self.kind.audience() {
            Audience::Shared => 1,
            Audience::Each => self.plan.tuning.consumers,
        };
        let expected = u64::from(self.plan.tuning.producers) * u64::from(readers);
        let arrived = async {
            while self.score.warmed() < expected {
                tokio::time::sleep(POLL).await;
            }
        };
        let late = |_| Fault::TooLate { what: "the way of a first record to the consumers", limit: READY_LIMIT };
        tokio::time::timeout(READY_LIMIT, arrived).await.map_err(late)
    }

    /// Waits until nothing is owed any more and nothing comes, or until patience ends.
    async fn settle(&self) {
        let patience = self.kind.patience(self.plan.scenario);
        loop {
            let glance = self.score.glance();
            let quiet = Duration::from_nanos(now_ns().saturating_sub(glance.last_event_ns));
            if quiet >= if glance.settled { LINGER } else { patience } {
                return;
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits for the consumers to go home; those that do not are let go. Returns whether one of them was killed on the way.
    async fn dismiss(&self, mut crew: JoinSet<Result<bool, Fault>>) -> bool {
        let mut killed = false;
        let all_home = async {
            while let Some(done) = crew.join_next().await {
                match flatten(done) {
                    Ok(this) => killed |= this,
                    Err(fault) => self.score.fault(fault.to_string()),
                }
            }
        };
        if tokio::time::timeout(STOP_LIMIT, all_home).await.is_err() {
            self.score.fault(Fault::TooLate { what: "stopping the consumers", limit: STOP_LIMIT }.to_string());
        }
        killed
    }

    async fn consume(
        &self,
        slot: u32,
        instance: u32,
        ready: mpsc::UnboundedSender<()>,
        stopped: watch::Receiver<bool>,
    ) -> Result<(), Fault> {
        let receiver = self.noting(self.model.receiver()).await?;
        let _ = ready.send(());
        drop(ready);
        let mut post = Post { slot, instance, score: self.score.clone(), stopped };
        let receiver = self.noting(consume(receiver, self.plan.tuning.lot, &mut post)).await?;
        receiver.close().await;
        Ok(())
    }

    /// Puts the fault into the score as soon as it happens: progress shows it while the others go on.
    async fn noting<T>(&self, step: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        step.await.inspect_err(|fault| self.score.fault(fault.to_string()))
    }

    async fn be_killed_and_replaced(
        &self,
        slot: u32,
        ready: mpsc::UnboundedSender<()>,
        mut stopped: watch::Receiver<bool>,
    ) -> Result<bool, Fault> {
        let plan = &self.plan;
        let hold_at = plan.hold_at(self.kind);
        let task = Task { kind: self.kind, run_id: plan.run_id, scope: scope_of(self.kind, plan), hold_at };
        let victim = Victim::start(&task, slot, self.score.clone())?;
        if victim.ready.await.is_ok() {
            let _ = ready.send(());
        }
        let replacement = plan.tuning.consumers + slot;
        let dead = tokio::select! {
            dead = victim.dead => dead,
            _ = stopped.wait_for(|stop| *stop) => return Ok(false),
        };
        dead.unwrap_or_else(|_| Err(Fault::Worker("its watcher is gone".to_owned())))?;
        self.consume(slot, replacement, ready, stopped).await?;
        Ok(true)
    }
}

fn flatten<T>(done: Result<Result<T, Fault>, tokio::task::JoinError>) -> Result<T, Fault> {
    done.unwrap_or_else(|error| Err(Fault::Task(error.to_string())))
}

/// A consumer's desk in this process.
struct Post {
    slot: u32,
    instance: u32,
    score: Score,
    stopped: watch::Receiver<bool>,
}

impl Desk for Post {
    fn accept(&mut self, stamp: Option<Stamp>, received_at_ns: u64) -> bool {
        self.score.finished(self.slot, self.instance, stamp, received_at_ns);
        true
    }

    fn over(&self) -> bool {
        *self.stopped.borrow()
    }
}
