//! The HTTP side of a gateway: there before the log is open, so that a long recovery can be watched, and the last to go.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::task::JoinSet;

use super::finish;
use super::vitals::now_ms;
use crate::admin::{self, Admin};
use crate::delivery::Observer;
use crate::log::{LogStats, Room, Watermarks};
use crate::net::{ConnectionLimit, Listener, ShutdownTrigger};
use crate::telemetry::Telemetry;

/// What is asked for over HTTP is small: who has not taken it by then is cut.
const GRACE: Duration = Duration::from_millis(500);

/// How far the gateway is, for who asks whether it is ready.
pub(super) enum Stage {
    Recovering,
    Serving(Observer),
    Stopping,
}

/// The HTTP listener at work.
pub(super) struct Side {
    tasks: JoinSet<()>,
    stop: ShutdownTrigger,
    stage: Arc<RwLock<Stage>>,
}

impl Side {
    /// Serves on `listener`, if there is one, and says that the log is being recovered.
    /// `with_queues`: queues can be looked into and changed.
    pub(super) fn start(listener: Option<Listener>, telemetry: Telemetry, with_queues: bool) -> Self {
        let stage = Arc::new(RwLock::new(Stage::Recovering));
        let (stop, stopped) = ShutdownTrigger::new();
        let mut tasks = JoinSet::new();
        if let Some(listener) = listener {
            let asked = Arc::clone(&stage);
            let seen = Arc::clone(&stage);
            let sight = Arc::new(move || match &*seen.read() {
                Stage::Serving(observer) => Some(observer.clone()),
                Stage::Recovering | Stage::Stopping => None,
            });
            let admin = Admin::new(telemetry, Arc::new(move || readiness(&asked.read())), sight, Arc::new(now_ms));
            let admin = if with_queues { admin.with_queues() } else { admin };
            tasks.spawn(listener.serve(Arc::new(admin), ConnectionLimit::new(admin::CONNECTIONS_MAX), stopped));
        }
        Self { tasks, stop, stage }
    }

    pub(super) fn enter(&self, stage: Stage) {
        *self.stage.write() = stage;
    }

    pub(super) async fn end(mut self) {
        self.stop.request();
        finish(&mut self.tasks, GRACE).await;
    }
}

fn readiness(stage: &Stage) -> Result<String, String> {
    match stage {
        Stage::Recovering => Err("the log is being recovered".to_owned()),
        Stage::Serving(observer) => {
            let log = observer.delivery().log();
            let state = || disk(log.room(), log.watermarks()) + &memory(&log.stats());
            log.admit().map(|()| state()).map_err(|refused| refused.to_string())
        }
        Stage::Stopping => Err("shutting down".to_owned()),
    }
}

/// How much room the disk has and where it becomes too little, as a line of its own. With a full disk a gateway still serves who reads.
fn disk((room, available_bytes): (Room, u64), marks: Watermarks) -> String {
    let state = match room {
        Room::Ample => "has room",
        Room::Low => "is nearly full, and writing slowed down",
        Room::Full => "is full, and records are refused",
    };
    match available_bytes {
        u64::MAX => String::new(),
        _ => format!(
            "the disk {state}: {available_bytes} bytes available, slow below {}, refused below {}\n",
            marks.slow_below_bytes, marks.refuse_below_bytes
        ),
    }
}

/// What the log keeps in memory, and how much it may.
fn memory(stats: &LogStats) -> String {
    format!(
        "the log has {} of {} bytes in flight, and the newest {} of {} in memory\n",
        stats.in_flight_bytes, stats.in_flight_bytes_max, stats.tail_bytes, stats.tail_bytes_max
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn before_and_after_serving_it_is_not_ready_and_says_why() {
        assert_eq!(readiness(&Stage::Recovering), Err("the log is being recovered".to_owned()));
        assert_eq!(readiness(&Stage::Stopping), Err("shutting down".to_owned()));
    }
}
