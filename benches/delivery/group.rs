//! Consumer group: offsets committed by groups without members.

use std::sync::Arc;

use trunkline::delivery::group::{Caller, GroupSettings, Groups, MemberId, NewOffset, OffsetKey};

use super::Table;
use super::scene::{Outcome, Scene};

const COMMITS: u64 = 50_000;

pub fn measure(table: &Table) -> Outcome<()> {
    for partitions in [1, 10] {
        let name = format!("group: offsets committed, {partitions} in a commit");
        table.row(&name, || Committing::new(partitions), |work| work.as_ref().map_or(0, |work| work.run().unwrap_or(0)));
    }
    Ok(())
}

struct Committing {
    scene: Scene,
    groups: Groups,
    partitions: u32,
}

impl Committing {
    fn new(partitions: u32) -> Option<Self> {
        let scene = Scene::new(false).ok()?;
        let mut unit = scene.delivery.begin().ok()?;
        unit.add_partitions(&scene.name, partitions.max(2)).ok()?;
        unit.commit();
        let groups = Groups::open(scene.delivery.clone(), GroupSettings::default()).ok()?;
        Some(Self { scene, groups, partitions })
    }

    fn run(&self) -> Outcome<u64> {
        let (group, metadata): (Arc<str>, Arc<str>) = (Arc::from("billing"), Arc::from(""));
        let caller = Caller { member_id: MemberId::from(""), instance: None, epoch: -1 };
        let mut committed = 0;
        while committed < COMMITS {
            let offset = |partition| NewOffset {
                key: OffsetKey { topic: self.scene.name.clone(), partition },
                offset: committed,
                leader_epoch: -1,
                metadata: Arc::clone(&metadata),
            };
            let answers = self.groups.commit(&group, &caller, (0..self.partitions).map(offset).collect())?;
            committed += answers.results.len() as u64;
        }
        Ok(committed)
    }
}
