//! The signal that asks every connection to finish. It is level-triggered: who asks late still learns of it.

use std::sync::Arc;

use tokio::sync::watch;

/// Held by who decides that the process ends. Dropping it requests shutdown too.
#[derive(Debug)]
pub struct ShutdownTrigger(watch::Sender<bool>);

/// Held by who has to end. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Shutdown {
    requested: watch::Receiver<bool>,
    /// Only of a handle that is never triggered: keeps the sender, whose end would count as a request.
    _kept: Option<Arc<ShutdownTrigger>>,
}

impl ShutdownTrigger {
    /// A trigger and the first handle that listens to it.
    #[must_use]
    pub fn new() -> (Self, Shutdown) {
        let (sender, receiver) = watch::channel(false);
        (Self(sender), Shutdown { requested: receiver, _kept: None })
    }

    /// Wakes everyone who waits in [`Shutdown::requested`]. Doing it twice changes nothing.
    pub fn request(&self) {
        self.0.send_replace(true);
    }
}

impl Shutdown {
    /// A handle that is never triggered, for tests and for tools that serve one connection.
    #[must_use]
    pub fn never() -> Self {
        let (trigger, shutdown) = ShutdownTrigger::new();
        Self { _kept: Some(Arc::new(trigger)), ..shutdown }
    }

    /// Whether shutdown has been requested.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        *self.requested.borrow() || self.requested.has_changed().is_err()
    }

    /// Returns once shutdown is requested. Safe to drop and call again, as `select!` does.
    pub async fn requested(&mut self) {
        // An error says that the trigger is gone, which is a request as well.
        let _ = self.requested.wait_for(|requested| *requested).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_reaches_waiters_and_latecomers() {
        let (trigger, shutdown) = ShutdownTrigger::new();
        let mut early = shutdown.clone();
        let waiter = tokio::spawn(async move { early.requested().await });
        assert!(!shutdown.is_requested());
        trigger.request();
        waiter.await.expect("the waiter ends");
        let mut late = shutdown.clone();
        late.requested().await;
        assert!(late.is_requested());
    }

    #[tokio::test]
    async fn a_dropped_trigger_is_a_request() {
        let (trigger, mut shutdown) = ShutdownTrigger::new();
        drop(trigger);
        shutdown.requested().await;
        assert!(shutdown.is_requested());
    }
}
