//! Managed groups over a real log: when an answer may be told, what a restart brings back, and what is left of a group that
//! changes its kind or is deleted.

use std::sync::Arc;

use super::scenarios::{joining, sign};
use super::*;
use crate::delivery::Delivery;
use crate::delivery::group::persistence::{Place as Disk, at, make, offset, stranger};
use crate::delivery::group::scenarios::ask;
use crate::delivery::group::{Caller, GroupError, GroupKind, GroupSettings, Groups, State};
use crate::log::Table;

fn open(delivery: &Delivery) -> Groups {
    Groups::open(delivery.clone(), GroupSettings { initial_rebalance_delay_ms: 10, ..GroupSettings::default() }).unwrap()
}

fn keys(delivery: &Delivery) -> Vec<i16> {
    let records = delivery.state(Table("__consumer_offsets")).unwrap();
    let mut versions: Vec<i16> = records.iter().map(|(key, _)| i16::from_be_bytes([key[0], key[1]])).collect();
    versions.sort_unstable();
    versions
}

#[tokio::test]
async fn members_go_on_after_a_restart_with_what_they_had() {
    let disk = Disk::new();
    let delivery = disk.open();
    make(&delivery, "orders", 4);
    let (g, groups) = (Arc::from("g"), open(&delivery));
    let (a, first) = groups.beat(&g, Sharing::Exclusive, &joining("a", &["orders"])).unwrap();
    let (_, second) = groups.beat(&g, Sharing::Exclusive, &joining("b", &["orders"])).unwrap();
    assert!(!first.covers(second), "what is told is gated by what it tells");
    let quiet = sign("b", Intent::Stay { epoch: 2 });
    assert_eq!(groups.beat(&g, Sharing::Exclusive, &quiet).unwrap().1, second, "nothing new is not written");
    groups.commit(&g, &Caller { member_id: "a".into(), instance: None, epoch: 1 }, vec![at("orders", 0, 3)]).unwrap();
    drop(groups);
    delivery.close().unwrap();
    drop(delivery);

    let delivery = disk.open();
    let groups = open(&delivery);
    let (described, _) = groups.describe_managed(&g, Sharing::Exclusive).unwrap();
    assert_eq!((described.epoch, described.target_epoch, described.members.len()), (2, 2, 2));
    assert_eq!(Some(&described.members[0].assigned), a.assignment.as_ref());
    let (b, _) = groups.beat(&g, Sharing::Exclusive, &quiet).unwrap();
    assert_eq!((b.epoch, b.assignment), (2, None), "a has everything still");
    let letting_go = Beat { owned: Some(Places::new()), ..sign("a", Intent::Stay { epoch: 1 }) };
    groups.beat(&g, Sharing::Exclusive, &letting_go).unwrap();
    assert_eq!(groups.beat(&g, Sharing::Exclusive, &quiet).unwrap().0.assignment.map(|places| places.len()), Some(2));
    assert_eq!(offset(&groups, "g", "orders", 0), Some(3));
    delivery.close().unwrap();
}

#[tokio::test]
async fn a_group_that_changes_its_kind_keeps_its_offsets_and_leaves_nothing_of_the_other() {
    let disk = Disk::new();
    let delivery = disk.open();
    make(&delivery, "orders", 1);
    let (g, groups) = (Arc::from("g"), open(&delivery));
    groups.commit(&g, &stranger(), vec![at("orders", 0, 3)]).unwrap();
    groups.beat(&g, Sharing::Exclusive, &joining("a", &["orders"])).unwrap();
    assert_eq!(groups.join(&g, ask("", "c")).await, Err(GroupError::Mismatch), "it has a member of another kind");
    assert_eq!(groups.beat(&g, Sharing::Shared, &joining("s", &["orders"])).unwrap_err(), GroupError::NotFound);
    groups.beat(&g, Sharing::Exclusive, &sign("a", Intent::Leave)).unwrap();
    assert_eq!(keys(&delivery), [1, 3, 6], "of members nothing is left");

    let (joins, timers) = (groups.join(&g, ask("", "c")), groups.run_timers(std::future::pending()));
    let joined = tokio::select! {
        joined = joins => joined.unwrap(),
        () = timers => unreachable!("the timers run for ever"),
    };
    assert!(joined.epoch > 1, "epochs go on");
    assert_eq!(groups.beat(&g, Sharing::Exclusive, &joining("a", &["orders"])).unwrap_err(), GroupError::NotFound);
    let departure = crate::delivery::group::Departure { member_id: "c".into(), instance: None };
    groups.leave(&g, &[departure]).unwrap();
    let listed = groups.list();
    assert_eq!((listed.len(), listed[0].kind, listed[0].state), (1, GroupKind::Led, State::Empty));
    assert_eq!(keys(&delivery), [1, 2], "of the other kind nothing is left");
    delivery.close().unwrap();
}

#[tokio::test]
async fn of_a_deleted_group_nothing_is_left() {
    let disk = Disk::new();
    let delivery = disk.open();
    make(&delivery, "orders", 1);
    for sharing in [Sharing::Exclusive, Sharing::Shared] {
        let (g, groups) = (Arc::from("g"), open(&delivery));
        groups.beat(&g, sharing, &joining("a", &["orders"])).unwrap();
        assert_eq!(groups.delete(&g), Err(GroupError::NotEmpty));
        groups.beat(&g, sharing, &sign("a", Intent::Leave)).unwrap();
        groups.delete(&g).unwrap();
        assert_eq!((groups.list(), keys(&delivery)), (Vec::new(), Vec::new()));
        assert_eq!(groups.beat(&g, sharing, &sign("a", Intent::Stay { epoch: 1 })).unwrap_err(), GroupError::UnknownMember);
    }
    delivery.close().unwrap();
}
