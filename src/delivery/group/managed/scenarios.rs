//! What a managed group does, told as stories about its members.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::delivery::group::{GroupError, GroupSettings, State};
use crate::log::{TopicId, TopicName};

/// Topics by name: identity and number of partitions.
#[derive(Debug, Default, Clone)]
pub(super) struct Topics {
    pub(super) known: BTreeMap<TopicName, (TopicId, u32)>,
    pub(super) version: u64,
}

impl Topics {
    pub(super) fn put(&mut self, name: &str, id: u128, partitions: u32) {
        self.known.insert(topic(name), (TopicId(id), partitions));
        self.version += 1;
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.known.remove(&topic(name));
        self.version += 1;
    }
}

impl Catalog for Topics {
    fn version(&self) -> u64 {
        self.version
    }

    fn find(&self, name: &TopicName) -> Option<(TopicId, u32)> {
        self.known.get(name).copied()
    }

    fn matching(&self, test: &dyn Fn(&str) -> bool, max: usize) -> Vec<TopicName> {
        self.known.keys().filter(|name| name.as_str().is_some_and(test)).take(max).cloned().collect()
    }
}

pub(super) fn topic(name: &str) -> TopicName {
    TopicName::new(name.to_owned()).unwrap()
}

fn places(topic: u128, partitions: impl IntoIterator<Item = u32>) -> Places {
    partitions.into_iter().map(|partition| Place { topic: TopicId(topic), partition }).collect()
}

pub(super) fn settings() -> Arc<GroupSettings> {
    Arc::new(GroupSettings { members_max: 4, pattern_refresh_interval_ms: 1_000, ..GroupSettings::default() })
}

/// A beat that says nothing but that the member is there.
pub(super) fn sign(member: &str, intent: Intent) -> Beat {
    Beat {
        member_id: member.into(),
        intent,
        instance: None,
        rack: None,
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        rebalance_timeout_ms: None,
        topics: None,
        pattern: None,
        assignor: None,
        owned: None,
    }
}

pub(super) fn joining(member: &str, topics: &[&str]) -> Beat {
    Beat {
        rebalance_timeout_ms: Some(30_000),
        topics: Some(topics.iter().map(|name| topic(name)).collect()),
        owned: Some(Places::new()),
        ..sign(member, Intent::Join)
    }
}

struct Story {
    group: Managed,
    topics: Topics,
    now_ms: u64,
}

impl Story {
    fn new() -> Self {
        let mut topics = Topics::default();
        topics.put("orders", 1, 4);
        Self { group: Managed::new(settings(), Sharing::Exclusive, 0), topics, now_ms: 0 }
    }

    fn beat(&mut self, beat: Beat) -> Result<BeatAnswer, GroupError> {
        self.group.beat(&beat, &self.topics, self.now_ms)
    }

    fn join(&mut self, member: &str) -> BeatAnswer {
        self.beat(joining(member, &["orders"])).unwrap()
    }

    fn stay(&mut self, member: &str, epoch: i32, owned: Option<Places>) -> Result<BeatAnswer, GroupError> {
        self.beat(Beat { owned, ..sign(member, Intent::Stay { epoch }) })
    }

    fn wait(&mut self, ms: u64) {
        self.now_ms += ms;
        self.group.tick(self.now_ms);
    }
}

#[test]
fn the_first_member_gets_everything_at_once() {
    let mut story = Story::new();
    let answer = story.join("a");
    assert_eq!((answer.epoch, answer.assignment), (1, Some(places(1, 0..4))));
    assert_eq!(story.group.state(), State::Stable);
    let quiet = story.stay("a", 1, None).unwrap();
    assert_eq!((quiet.epoch, quiet.assignment), (1, None), "nothing new is not told");
}

#[test]
fn a_partition_is_given_only_when_its_old_owner_has_let_go_of_it() {
    let mut story = Story::new();
    story.join("a");
    let b = story.join("b");
    assert_eq!((b.epoch, b.assignment), (2, Some(Places::new())), "a still has everything");
    let a = story.stay("a", 1, Some(places(1, 0..4))).unwrap();
    let kept = a.assignment.unwrap();
    assert_eq!((a.epoch, kept.len()), (1, 2), "a stays in its epoch until it has let go");
    assert_eq!(story.group.state(), State::Reconciling);
    assert_eq!(story.stay("b", 2, None).unwrap().assignment, None, "not yet");
    assert_eq!(story.stay("a", 1, None).unwrap().epoch, 1, "a did not say");
    assert_eq!(story.stay("a", 1, Some(kept.clone())).unwrap().epoch, 2, "a has let go");
    let b = story.stay("b", 2, None).unwrap().assignment.unwrap();
    assert!(b.len() == 2 && b.is_disjoint(&kept));
    assert_eq!(story.group.state(), State::Stable);
}

#[test]
fn who_does_not_let_go_in_time_is_out() {
    let mut story = Story::new();
    story.join("a");
    story.join("b");
    story.stay("a", 1, None).unwrap();
    for _ in 0..2 {
        story.wait(10_000);
        story.stay("b", 2, None).unwrap();
        assert_eq!(story.stay("a", 1, Some(places(1, 0..4))).unwrap().epoch, 1, "it still has everything");
    }
    story.wait(10_000);
    assert_eq!(story.stay("a", 1, None), Err(GroupError::UnknownMember));
    assert_eq!(story.stay("b", 2, None).unwrap().assignment, Some(places(1, 0..4)));
}

#[test]
fn who_is_silent_is_out_and_the_others_get_what_it_had() {
    let mut story = Story::new();
    story.join("a");
    assert_eq!(story.group.next_deadline_ms(), Some(45_000));
    story.wait(40_000);
    story.join("b");
    story.wait(5_000);
    assert_eq!(story.stay("a", 1, None), Err(GroupError::UnknownMember));
    assert_eq!(story.stay("b", 2, None).unwrap().assignment, Some(places(1, 0..4)));
}

#[test]
fn a_lost_answer_is_made_up_for_and_a_wrong_epoch_is_fenced() {
    let mut story = Story::new();
    story.join("a");
    story.beat(Beat { topics: Some(vec![topic("orders"), topic("x")]), ..sign("a", Intent::Stay { epoch: 1 }) }).unwrap();
    // The answer with epoch 2 was lost: the member still says 1, and has only what is its own.
    assert_eq!(story.stay("a", 1, Some(places(1, 0..4))).unwrap().epoch, 2);
    assert_eq!(story.stay("a", 1, Some(places(1, 0..5))), Err(GroupError::FencedEpoch));
    assert_eq!(story.stay("a", 1, None), Err(GroupError::FencedEpoch), "it does not say what it has");
    assert_eq!(story.stay("a", 3, None), Err(GroupError::FencedEpoch));
    assert_eq!(story.join("a").assignment, Some(places(1, 0..4)), "it starts over");
}

#[test]
fn a_static_member_comes_back_to_what_it_had() {
    let mut story = Story::new();
    let named = |member: &str, intent| Beat { instance: Some("one".into()), ..sign(member, intent) };
    let named_join = |member: &str| Beat { instance: Some("one".into()), ..joining(member, &["orders"]) };
    story.beat(named_join("a")).unwrap();
    assert_eq!(story.beat(named_join("b")), Err(GroupError::Unreleased));
    assert_eq!(story.beat(named("a", Intent::StepOut)).unwrap().epoch, -2);
    let other = story.join("other");
    assert_eq!(other.assignment, Some(Places::new()), "what is away is kept");
    let back = story.beat(named_join("b")).unwrap();
    assert_eq!((back.epoch, back.assignment.map(|places| places.len())), (2, Some(2)));
    assert_eq!(story.beat(named("a", Intent::Stay { epoch: 1 })), Err(GroupError::Fenced));
    assert_eq!(story.beat(named("a", Intent::Leave)), Err(GroupError::Fenced));
    assert_eq!(story.stay("other", 2, None).unwrap().assignment.map(|places| places.len()), Some(2));
}

#[test]
fn a_static_member_that_stays_away_is_out() {
    let mut story = Story::new();
    let named = |intent| Beat { instance: Some("one".into()), ..sign("a", intent) };
    story.beat(Beat { instance: Some("one".into()), ..joining("a", &["orders"]) }).unwrap();
    story.beat(named(Intent::StepOut)).unwrap();
    story.wait(45_000);
    assert_eq!(story.beat(named(Intent::Stay { epoch: 1 })), Err(GroupError::UnknownMember));
    assert_eq!(story.group.state(), State::Empty);
}

#[test]
fn topics_that_come_grow_and_go_are_noticed() {
    let mut story = Story::new();
    story.beat(joining("a", &["orders", "later"])).unwrap();
    story.topics.put("unwanted", 9, 3);
    assert_eq!(story.stay("a", 1, None).unwrap().epoch, 1, "nobody wants that one");
    story.topics.put("later", 2, 1);
    let answer = story.stay("a", 1, None).unwrap();
    assert_eq!((answer.epoch, answer.assignment.map(|places| places.len())), (2, Some(5)));
    story.topics.put("orders", 1, 6);
    assert_eq!(story.stay("a", 2, None).unwrap().assignment.map(|places| places.len()), Some(7));
    story.topics.remove("orders");
    let answer = story.stay("a", 3, Some(places(1, 0..6))).unwrap();
    assert_eq!((answer.epoch, answer.assignment), (3, Some(places(2, 0..1))), "what is gone is given up like anything else");
}

#[test]
fn a_pattern_finds_topics_old_and_new_but_not_every_moment() {
    let mut story = Story::new();
    let pattern = |text: &str| Beat { pattern: Some(text.into()), topics: None, ..joining("a", &[]) };
    assert_eq!(story.beat(pattern("ord(")), Err(GroupError::InvalidPattern));
    assert_eq!(story.beat(pattern("ord.*")).unwrap().assignment, Some(places(1, 0..4)));
    story.topics.put("orders-eu", 2, 1);
    story.topics.put("more-orders", 3, 1);
    story.wait(1);
    assert_eq!(story.stay("a", 1, None).unwrap().epoch, 1, "it is not time to look again");
    story.wait(1_000);
    assert_eq!(story.stay("a", 1, None).unwrap().assignment.map(|places| places.len()), Some(5));
}

#[test]
fn the_assignor_that_most_ask_for_is_taken() {
    let mut story = Story::new();
    let with = |member: &str, name: &str| Beat { assignor: Some(name.into()), ..joining(member, &["orders"]) };
    assert_eq!(story.beat(with("a", "best")), Err(GroupError::UnknownAssignor));
    assert_eq!(story.group.state(), State::Empty);
    story.beat(with("a", "range")).unwrap();
    assert_eq!(story.group.assignor(), Assignor::Range);
    story.beat(with("b", "uniform")).unwrap();
    story.beat(with("c", "uniform")).unwrap();
    assert_eq!(story.group.assignor(), Assignor::Uniform);
}

#[test]
fn a_full_group_takes_nobody_but_returning_members() {
    let mut story = Story::new();
    for member in ["a", "b", "c", "d"] {
        story.join(member);
    }
    assert_eq!(story.beat(joining("e", &["orders"])), Err(GroupError::Full));
    assert!(story.beat(joining("a", &["orders"])).is_ok());
}

#[test]
fn offsets_are_committed_in_the_members_epoch_only() {
    let mut story = Story::new();
    let caller = |id: &str, epoch| crate::delivery::group::Caller { member_id: id.into(), instance: None, epoch };
    assert_eq!(story.group.check_commit(&caller("", -1)), Ok(()), "nobody is in it");
    story.join("a");
    assert_eq!(story.group.check_commit(&caller("", -1)), Err(GroupError::UnknownMember));
    assert_eq!(story.group.check_commit(&caller("a", 1)), Ok(()));
    assert_eq!(story.group.check_commit(&caller("a", 0)), Err(GroupError::StaleMember));
    assert_eq!(story.group.check_commit(&caller("a", 2)), Err(GroupError::StaleMember));
    assert_eq!(story.group.check_fetch(&caller("", -1)), Ok(()));
    assert_eq!(story.group.check_fetch(&caller("b", 1)), Err(GroupError::UnknownMember));
}

#[test]
fn members_that_share_read_partitions_together() {
    let mut story = Story::new();
    story.group = Managed::new(settings(), Sharing::Shared, 0);
    assert_eq!(story.join("a").assignment, Some(places(1, 0..4)));
    story.join("b");
    for member in ["c", "d"] {
        assert_eq!(story.join(member).assignment.map(|places| places.len()), Some(1));
    }
    let a = story.stay("a", 1, None).unwrap();
    assert_eq!((a.epoch, a.assignment.map(|places| places.len())), (4, Some(1)), "it follows at once");
    story.beat(sign("b", Intent::Leave)).unwrap();
    assert_eq!(story.group.state(), State::Assigning);
}

#[test]
fn what_is_kept_is_what_comes_back() {
    let mut story = Story::new();
    story.join("a");
    story.join("b");
    story.stay("a", 1, Some(places(1, 0..4))).unwrap();
    let records = story.group.take_records("g");
    let parts: Vec<_> = records.into_iter().filter_map(|(key, value)| decode(&key, value?)).collect();
    let mut kept = KeptParts::new(&parts[0]);
    parts.into_iter().for_each(|part| kept.add(part));
    let before = format!("{:?}", story.group.describe(listing()));
    story.group = Managed::restore(kept, settings(), 0);
    assert_eq!(format!("{:?}", story.group.describe(listing())), before);
    assert_eq!(story.stay("b", 2, None).unwrap().assignment, None, "a still has them");
    story.stay("a", 1, Some(Places::new())).unwrap();
    assert_eq!(story.stay("b", 2, None).unwrap().assignment.map(|places| places.len()), Some(2));
    assert_eq!(story.group.epoch(), 2, "a restart is no change");
}

fn listing() -> crate::delivery::group::GroupListing {
    let kind = crate::delivery::group::GroupKind::Managed;
    crate::delivery::group::GroupListing { name: "g".into(), kind, work: "".into(), state: State::Stable }
}
