//! A log in a temporary directory, with a topic that holds records.

use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use trunkline::delivery::{Delivery, Kind, QueueSpec, Target};
use trunkline::log::record::Record;
use trunkline::log::{LogSettings, Topic, TopicName, TopicSettings};

pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The log is closed, and its directory removed, when the scene goes.
pub struct Scene {
    pub delivery: Delivery,
    pub topic: Arc<Topic>,
    pub name: TopicName,
    _directory: tempfile::TempDir,
}

impl Scene {
    /// A topic with a queue view on it.
    pub fn new(is_durable: bool) -> Outcome<Self> {
        let directory = tempfile::tempdir_in(".")?;
        let delivery = Delivery::open(LogSettings { directory: directory.path().to_owned(), ..LogSettings::default() })?;
        let name = TopicName::new("orders")?;
        let mut unit = delivery.begin()?;
        let topic = unit.create_topic(&name, 1, TopicSettings::consumed("bench", true, 1 << 20))?;
        unit.open_queue(&name, QueueSpec::new(name.clone(), is_durable))?;
        unit.commit();
        Ok(Self { delivery, topic, name, _directory: directory })
    }

    /// Appends records and waits until they are durable.
    pub fn fill(&self, records: u64) -> Outcome<()> {
        for _ in 0..records.div_ceil(1000) {
            let mut unit = self.delivery.begin()?;
            for _ in 0..1000 {
                unit.append(&self.target(), &record(), Kind::Plain);
            }
            unit.commit();
        }
        let log = self.delivery.log();
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        runtime.block_on(log.when_durable(log.barrier()))?;
        Ok(())
    }

    pub fn target(&self) -> [Target; 1] {
        [Target { topic: Arc::clone(&self.topic), partition: 0 }]
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = self.delivery.close();
    }
}

/// A record of 100 bytes.
pub fn record() -> Record {
    Record { key: None, value: Some(Bytes::from_static(&[b'x'; 100])), headers: Vec::new(), timestamp_ms: 1 }
}
