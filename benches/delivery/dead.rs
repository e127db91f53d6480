//! Dead-lettering: records that a taker refuses are done in their queue view and appended elsewhere, in one entry of the journal.

use std::sync::Arc;

use bytes::Bytes;
use trunkline::delivery::{Attributes, Burial, Class, Death, Ended, Kind, Position, QueueOptions, QueueSpec, Steward, Target};
use trunkline::log::record::Record;
use trunkline::log::{Topic, TopicName, TopicSettings};

use super::Table;
use super::scene::{Outcome, Scene, record};

const RECORDS: u64 = 50_000;

pub fn measure(table: &Table) -> Outcome<()> {
    for batch in [1, 100] {
        let name = format!("dead letters: taken, refused and moved, batches of {batch}");
        table.row(&name, Ward::new, |ward| ward.as_ref().map_or(0, |ward| ward.refuse_all(batch).unwrap_or(0)));
    }
    let name = "dead letters: moved back, batches of 100";
    table.row(name, Ward::buried, |ward| ward.as_ref().map_or(0, |ward| ward.move_back(100).unwrap_or(0)));
    Ok(())
}

/// Everything that dies goes to one place.
struct Undertaker(Arc<Topic>);

impl Steward for Undertaker {
    fn bury(&self, _: &Death, record: &Record) -> Option<Burial> {
        let targets = vec![Target { topic: Arc::clone(&self.0), partition: 0 }];
        Some(Burial { targets, record: record.clone(), attributes: Attributes::default() })
    }

    fn end(&self, _: &TopicName) -> Ended {
        Ended::default()
    }
}

/// A queue view full of records, and the one that its dead records go to.
struct Ward {
    scene: Scene,
    dead: TopicName,
}

impl Ward {
    fn new() -> Option<Self> {
        let scene = Scene::new(true).ok()?;
        let dead = TopicName::new("dead").ok()?;
        let mut unit = scene.delivery.begin().ok()?;
        let graves = unit.create_topic(&dead, 1, TopicSettings::consumed("bench", true, 1 << 20)).ok()?;
        unit.open_queue(&dead, QueueSpec::new(dead.clone(), true)).ok()?;
        let options = QueueOptions { dead_route: Some(Bytes::from_static(b"dead")), ..QueueOptions::default() };
        unit.set_queue_options(&scene.name, Some(Box::new(options)));
        unit.commit();
        scene.delivery.set_steward(Arc::new(Undertaker(graves)));
        scene.fill(RECORDS).ok()?;
        Some(Self { scene, dead })
    }

    /// One whose records are all dead.
    fn buried() -> Option<Self> {
        let ward = Self::new()?;
        let mut unit = ward.scene.delivery.begin().ok()?;
        unit.purge(&ward.scene.name, Class::All);
        let target = [Target { topic: unit.topic(&ward.dead)?, partition: 0 }];
        for _ in 0..RECORDS {
            unit.append(&target, &record(), Kind::Plain);
        }
        unit.commit();
        Some(ward)
    }

    fn refuse_all(&self, batch: u64) -> Outcome<u64> {
        let mut taken: Vec<Position> = Vec::new();
        for _ in 0..RECORDS / batch {
            let mut unit = self.scene.delivery.begin()?;
            taken.extend((0..batch).filter_map(|_| unit.take(&self.scene.name, Class::All)).map(|claim| claim.position));
            unit.reject(&self.scene.name, &taken);
            unit.commit();
            taken.clear();
        }
        let unit = self.scene.delivery.begin()?;
        Ok(unit.ready(&self.dead, Class::All))
    }

    fn move_back(&self, batch: u64) -> Outcome<u64> {
        let mut moved = 0;
        for _ in 0..RECORDS / batch {
            let mut unit = self.scene.delivery.begin()?;
            moved += unit.move_records(&self.dead, &self.scene.topic, batch);
            unit.commit();
        }
        Ok(moved)
    }
}
