//! What all connections of the dialect share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use super::clients::Clients;
use super::parameters::Parameters;
use super::stats::Stats;
use super::{ORIGIN, Settings};
use crate::delivery::Delivery;
use crate::security::Authenticator;
use crate::telemetry::DialectMetrics;

/// The shared state; handed to every connection.
pub struct Server {
    pub delivery: Delivery,
    pub settings: Settings,
    pub users: Arc<dyn Authenticator>,
    pub metrics: DialectMetrics,
    pub clients: Clients,
    pub stats: Stats,
    pub parameters: Parameters,
    pub started_at: Instant,
    pub run_id: String,
    /// Topics that `PUBLISH` made, those found at the start included.
    pub automatic_topics: AtomicUsize,
    warned: AtomicBool,
}

impl Server {
    pub fn new(delivery: Delivery, settings: Settings, users: Arc<dyn Authenticator>, metrics: DialectMetrics) -> Self {
        let own = delivery.log().topics().iter().filter(|topic| topic.settings().origin == ORIGIN).count();
        let run_id = format!("{:016x}{:016x}{:08x}", rand::random::<u64>(), rand::random::<u64>(), rand::random::<u32>());
        Self {
            parameters: Parameters::new(&settings),
            delivery,
            settings,
            users,
            metrics,
            clients: Clients::default(),
            stats: Stats::default(),
            started_at: Instant::now(),
            run_id,
            automatic_topics: AtomicUsize::new(own),
            warned: AtomicBool::new(false),
        }
    }

    /// Counts one more topic that a channel gets by itself. `false`: the limit is reached, the channel is live only.
    pub fn take_automatic_topic(&self) -> bool {
        let topics_max = self.settings.automatic_topics_max;
        let taken =
            self.automatic_topics.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < topics_max).then_some(n + 1));
        if taken.is_err() && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(topics_max, "the limit on automatic topics is reached: new Redis channels are live only");
        }
        taken.is_ok()
    }
}
