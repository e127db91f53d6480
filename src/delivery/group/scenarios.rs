//! What a group does, told as stories about its members.

use std::sync::Arc;

use bytes::Bytes;

use super::*;

/// A group, a clock and everybody's answers.
struct Story {
    group: Group,
    now_ms: u64,
    tickets: u64,
    replies: Vec<Reply>,
}

fn settings() -> GroupSettings {
    GroupSettings { initial_rebalance_delay_ms: 10, members_max: 4, ..GroupSettings::default() }
}

fn strategies(names: &[&str]) -> Vec<Strategy> {
    names.iter().map(|n| Strategy { name: (*n).into(), metadata: Bytes::from(format!("about {n}")) }).collect()
}

pub(super) fn ask(id: &str, fresh: &str) -> Join {
    Join {
        member_id: id.into(),
        fresh_id: fresh.into(),
        instance: None,
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 30_000,
        kind: "consumer".into(),
        strategies: strategies(&["range", "sticky"]),
        topics: None,
        takes_id_first: false,
        may_skip_assignment: false,
    }
}

fn ask_static(instance: &str, fresh: &str) -> Join {
    Join { instance: Some(instance.into()), ..ask("", fresh) }
}

pub(super) fn caller(id: &str, epoch: i32) -> Caller {
    Caller { member_id: id.into(), instance: None, epoch }
}

impl Story {
    fn new() -> Self {
        Self { group: Group::new(Arc::new(settings())), now_ms: 0, tickets: 0, replies: Vec::new() }
    }

    fn step<T>(&mut self, call: impl FnOnce(&mut Group, &mut Step) -> T) -> T {
        let mut step = Step::at(self.now_ms);
        let result = call(&mut self.group, &mut step);
        self.replies.append(&mut step.replies);
        result
    }

    #[allow(clippy::needless_pass_by_value)]
    fn join(&mut self, join: Join) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.step(|g, step| g.join(&join, ticket, step));
        ticket
    }

    fn sync(&mut self, id: &str, assignments: &[(&str, &str)]) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let assignments = assignments.iter().map(|(m, a)| ((*m).into(), Bytes::from((*a).to_owned()))).collect();
        let sync = Sync { caller: caller(id, self.group.epoch()), kind: None, strategy: None, assignments };
        self.step(|g, step| g.sync(&sync, ticket, step));
        ticket
    }

    fn wait(&mut self, ms: u64) {
        self.now_ms += ms;
        self.step(Group::tick);
    }

    fn heartbeat(&mut self, id: &str) -> Result<(), GroupError> {
        let who = caller(id, self.group.epoch());
        self.group.heartbeat(&who, self.now_ms)
    }

    fn leave(&mut self, id: &str) -> Result<(), GroupError> {
        let departure = Departure { member_id: id.into(), instance: None };
        self.step(|g, step| g.leave(&[departure], step)).remove(0)
    }

    fn joined(&self, ticket: Ticket) -> Option<Result<Joined, GroupError>> {
        self.replies.iter().find_map(|r| match r {
            Reply::Join(t, answer) if *t == ticket => Some(answer.clone()),
            Reply::Join(..) | Reply::Sync(..) => None,
        })
    }

    fn synced(&self, ticket: Ticket) -> Option<Result<Bytes, GroupError>> {
        self.replies.iter().find_map(|r| match r {
            Reply::Sync(t, answer) if *t == ticket => Some(answer.clone().map(|s| s.assignment)),
            Reply::Join(..) | Reply::Sync(..) => None,
        })
    }

    /// A stable group of these members, the first of them leading.
    fn stable(members: &[&str]) -> Self {
        let mut story = Self::new();
        for member in members {
            story.join(ask("", member));
        }
        story.wait(10);
        story.wait(10);
        for member in &members[1..] {
            story.sync(member, &[]);
        }
        let work: Vec<_> = members.iter().map(|m| (*m, *m)).collect();
        story.sync(members[0], &work);
        assert_eq!(story.group.state(), State::Stable);
        story
    }
}

#[test]
fn a_first_round_waits_for_more_members_and_makes_the_first_one_leader() {
    let mut story = Story::new();
    let a = story.join(ask("", "a"));
    story.now_ms = 9;
    let b = story.join(ask("", "b"));
    story.wait(1);
    assert_eq!(story.joined(a), None, "b came, so the wait is longer");
    story.wait(10);
    let (a, b) = (story.joined(a).unwrap().unwrap(), story.joined(b).unwrap().unwrap());
    assert_eq!((a.epoch, &*a.leader, a.members.len()), (1, "a", 2));
    assert_eq!((b.epoch, &*b.leader, b.members.len()), (1, "a", 0));
    assert_eq!(story.group.state(), State::CompletingRebalance);
}

#[test]
fn the_leaders_sync_gives_everybody_their_work() {
    let mut story = Story::new();
    story.join(ask("", "a"));
    story.join(ask("", "b"));
    story.wait(10);
    story.wait(10);
    let b = story.sync("b", &[]);
    assert_eq!(story.synced(b), None);
    let a = story.sync("a", &[("b", "all of it")]);
    assert_eq!(story.synced(a), Some(Ok(Bytes::new())), "left out by the leader: nothing");
    assert_eq!(story.synced(b), Some(Ok("all of it".into())));
    assert_eq!(story.group.state(), State::Stable);
    let again = story.sync("b", &[]);
    assert_eq!(story.synced(again), Some(Ok("all of it".into())));
}

#[test]
fn a_member_may_be_told_its_id_before_it_joins() {
    let mut story = Story::new();
    let first = story.join(Join { takes_id_first: true, ..ask("", "a") });
    assert_eq!(story.joined(first), Some(Err(GroupError::MemberIdRequired("a".into()))));
    assert_eq!(story.group.state(), State::Empty);
    let second = story.join(ask("a", "unused"));
    story.wait(10);
    story.wait(10);
    assert_eq!(&*story.joined(second).unwrap().unwrap().member_id, "a");
}

#[test]
fn an_id_that_nobody_joins_with_lapses() {
    let mut story = Story::new();
    story.join(Join { takes_id_first: true, ..ask("", "a") });
    assert!(!story.group.is_idle());
    story.wait(10_000);
    assert!(story.group.is_idle());
    let late = story.join(ask("a", "unused"));
    assert_eq!(story.joined(late), Some(Err(GroupError::UnknownMember)));
}

#[test]
fn a_round_of_a_running_group_waits_for_who_was_promised_an_id() {
    let mut story = Story::stable(&["a"]);
    story.join(Join { takes_id_first: true, ..ask("", "b") });
    assert_eq!(story.heartbeat("a"), Ok(()), "a promise alone disturbs nobody");
    let a = story.join(ask("a", ""));
    assert_eq!(story.joined(a), None);
    story.join(ask("b", ""));
    assert_eq!(story.joined(a).unwrap().unwrap().members.len(), 2);
}

#[test]
fn a_newcomer_makes_the_others_join_again() {
    let mut story = Story::stable(&["a", "b"]);
    let c = story.join(ask("", "c"));
    assert_eq!(story.heartbeat("a"), Err(GroupError::Rebalancing));
    story.join(ask("a", ""));
    assert_eq!(story.joined(c), None);
    story.join(ask("b", ""));
    assert_eq!(story.joined(c).unwrap().unwrap().epoch, 2);
}

#[test]
fn who_does_not_come_back_in_time_is_out() {
    let mut story = Story::stable(&["a", "b"]);
    let c = story.join(ask("", "c"));
    story.join(ask("a", ""));
    for _ in 0..29 {
        story.wait(1_000);
        story.heartbeat("b").unwrap_err();
        assert_eq!(story.joined(c), None);
    }
    story.wait(1_000);
    assert_eq!(story.joined(c).unwrap().unwrap().epoch, 2);
    assert_eq!(story.heartbeat("b"), Err(GroupError::UnknownMember));
}

#[test]
fn silence_ends_a_membership_and_starts_a_round() {
    let mut story = Story::stable(&["a", "b"]);
    story.now_ms += 9_000;
    assert_eq!(story.heartbeat("b"), Ok(()));
    story.wait(1_000);
    assert_eq!(story.heartbeat("b"), Err(GroupError::Rebalancing));
    let b = story.join(ask("b", ""));
    let b = story.joined(b).unwrap().unwrap();
    assert_eq!((&*b.leader, b.members.len()), ("b", 1));
}

#[test]
fn waiting_for_the_group_is_not_silence() {
    let mut story = Story::stable(&["a", "b"]);
    let a = story.join(ask("a", ""));
    for _ in 0..3 {
        story.wait(9_000);
        story.heartbeat("b").unwrap_err();
    }
    assert_eq!(story.joined(a), None, "a has been waiting for longer than its session lasts");
    story.join(ask("b", ""));
    assert!(story.joined(a).unwrap().is_ok());
}

#[test]
fn a_new_member_whose_join_waits_too_long_is_told_to_start_over() {
    let mut story = Story::new();
    story.group = Group::new(Arc::new(GroupSettings { new_member_timeout_ms: 5_000, ..settings() }));
    story.join(ask("", "a"));
    story.wait(10);
    story.wait(10);
    story.sync("a", &[]);
    let b = story.join(ask("", "b"));
    story.wait(5_000);
    assert_eq!(story.joined(b), Some(Err(GroupError::UnknownMember)));
}

#[test]
fn the_leader_can_ask_for_a_round_and_a_follower_cannot() {
    let mut story = Story::stable(&["a", "b"]);
    let b = story.join(ask("b", ""));
    assert_eq!(story.joined(b).unwrap().unwrap().epoch, 1);
    assert_eq!(story.group.state(), State::Stable);
    let a = story.join(ask("a", ""));
    assert_eq!(story.joined(a), None);
    assert_eq!(story.group.state(), State::PreparingRebalance);
}

#[test]
fn changed_metadata_starts_a_round() {
    let mut story = Story::stable(&["a", "b"]);
    story.join(Join { strategies: strategies(&["sticky"]), ..ask("b", "") });
    assert_eq!(story.group.state(), State::PreparingRebalance);
}

#[test]
fn a_round_that_starts_before_the_assignment_came_sends_the_waiting_back() {
    let mut story = Story::new();
    story.join(ask("", "a"));
    story.join(ask("", "b"));
    story.wait(10);
    story.wait(10);
    let b = story.sync("b", &[]);
    story.join(ask("", "c"));
    assert_eq!(story.synced(b), Some(Err(GroupError::Rebalancing)));
    let a = story.sync("a", &[]);
    assert_eq!(story.synced(a), Some(Err(GroupError::Rebalancing)));
}

#[test]
fn who_never_asks_for_its_work_does_not_hold_up_the_group() {
    let mut story = Story::new();
    story.join(ask("", "a"));
    story.join(ask("", "b"));
    story.wait(10);
    story.wait(10);
    story.sync("a", &[]);
    for _ in 0..3 {
        story.now_ms += 9_999;
        story.heartbeat("a").unwrap();
        story.heartbeat("b").unwrap();
    }
    story.wait(100);
    assert_eq!(story.heartbeat("b"), Err(GroupError::UnknownMember));
    assert_eq!(story.heartbeat("a"), Err(GroupError::Rebalancing));
}

#[test]
fn the_strategy_that_all_know_and_most_prefer_wins() {
    let mut story = Story::new();
    let a = story.join(Join { strategies: strategies(&["range", "sticky", "mine"]), ..ask("", "a") });
    story.join(Join { strategies: strategies(&["sticky", "range"]), ..ask("", "b") });
    story.join(Join { strategies: strategies(&["sticky", "range"]), ..ask("", "c") });
    let d = story.join(Join { strategies: strategies(&["mine"]), ..ask("", "d") });
    let e = story.join(Join { kind: "connect".into(), ..ask("", "e") });
    story.wait(10);
    story.wait(10);
    let a = story.joined(a).unwrap().unwrap();
    assert_eq!((&*a.strategy, &*a.kind), ("sticky", "consumer"));
    assert!(a.members.iter().all(|m| m.metadata == "about sticky"));
    assert_eq!(story.joined(d), Some(Err(GroupError::Mismatch)));
    assert_eq!(story.joined(e), Some(Err(GroupError::Mismatch)));
}

#[test]
fn a_sync_that_names_another_strategy_is_refused() {
    let mut story = Story::stable(&["a"]);
    let sync =
        Sync { caller: caller("a", 1), kind: Some("consumer".into()), strategy: Some("range".into()), assignments: vec![] };
    let mut ask = |sync: &Sync| {
        let mut step = Step::at(0);
        story.group.sync(sync, Ticket(99), &mut step);
        step.replies.remove(0)
    };
    assert!(matches!(ask(&sync), Reply::Sync(_, Ok(_))));
    let other = Sync { strategy: Some("sticky".into()), ..sync.clone() };
    assert_eq!(ask(&other), Reply::Sync(Ticket(99), Err(GroupError::Mismatch)));
    let stale = Sync { caller: caller("a", 0), ..sync };
    assert_eq!(ask(&stale), Reply::Sync(Ticket(99), Err(GroupError::StaleEpoch)));
}

#[test]
fn leaving_starts_a_round_at_once() {
    let mut story = Story::stable(&["a", "b"]);
    assert_eq!(story.leave("a"), Ok(()));
    assert_eq!(story.heartbeat("b"), Err(GroupError::Rebalancing));
    assert_eq!(story.leave("a"), Err(GroupError::UnknownMember));
    assert_eq!(story.leave("b"), Ok(()));
    assert_eq!(story.group.state(), State::Empty);
}

#[test]
fn a_full_group_takes_no_more() {
    let mut story = Story::stable(&["a", "b", "c", "d"]);
    let e = story.join(ask("", "e"));
    assert_eq!(story.joined(e), Some(Err(GroupError::Full)));
    assert_eq!(story.heartbeat("a"), Ok(()));
}

#[test]
fn a_static_member_that_returns_keeps_its_work_and_fences_its_old_self() {
    let mut story = Story::new();
    story.join(ask_static("one", "a"));
    story.join(ask_static("two", "b"));
    story.wait(10);
    story.wait(10);
    story.sync("b", &[]);
    story.sync("a", &[("a", "left"), ("b", "right")]);

    let back = story.join(ask_static("two", "b2"));
    let back = story.joined(back).unwrap().unwrap();
    assert_eq!((&*back.member_id, back.epoch), ("b2", 1));
    assert_eq!(story.group.state(), State::Stable);
    let work = story.sync("b2", &[]);
    assert_eq!(story.synced(work), Some(Ok("right".into())));

    let old = Caller { member_id: "b".into(), instance: Some("two".into()), epoch: 1 };
    assert_eq!(story.group.heartbeat(&old, story.now_ms), Err(GroupError::Fenced));
}

#[test]
fn a_static_leader_that_returns_does_not_assign_again() {
    for may_skip in [false, true] {
        let mut story = Story::new();
        story.join(ask_static("one", "a"));
        story.wait(10);
        story.wait(10);
        story.sync("a", &[("a", "work")]);
        let back = story.join(Join { may_skip_assignment: may_skip, ..ask_static("one", "a2") });
        let back = story.joined(back).unwrap().unwrap();
        let leads = *back.leader == *"a2";
        assert_eq!((leads, back.skip_assignment, back.members.len()), (may_skip, may_skip, usize::from(may_skip)));
        let work = story.sync("a2", &[]);
        assert_eq!(story.synced(work), Some(Ok("work".into())));
    }
}

#[test]
fn a_static_member_waits_out_rounds_until_its_session_ends() {
    let mut story = Story::new();
    story.join(ask_static("one", "a"));
    story.wait(10);
    story.wait(10);
    story.sync("a", &[]);
    let b = story.join(Join { rebalance_timeout_ms: 1_000, ..ask("", "b") });
    for _ in 0..4 {
        story.wait(8_000);
        let one = Caller { member_id: "a".into(), instance: Some("one".into()), epoch: 1 };
        let _rebalancing = story.group.heartbeat(&one, story.now_ms);
    }
    let b = story.joined(b).unwrap().unwrap();
    assert_eq!((&*b.leader, b.members.len()), ("b", 2), "a is kept, but leads no more");
}

#[test]
fn an_administrator_removes_a_static_member_by_its_name() {
    let mut story = Story::new();
    story.join(ask_static("one", "a"));
    story.wait(10);
    story.wait(10);
    let gone = |instance: &str| Departure { member_id: "".into(), instance: Some(instance.into()) };
    let answers = story.step(|g, step| g.leave(&[gone("one"), gone("two")], step));
    assert_eq!(answers, [Ok(()), Err(GroupError::UnknownMember)]);
    assert_eq!(story.group.state(), State::Empty);
}

#[test]
fn offsets_are_taken_from_current_members_and_from_strangers_while_empty() {
    let mut story = Story::new();
    let stranger = caller("", -1);
    assert_eq!(story.group.check_commit(&stranger, 0), Ok(()));
    let mut story = Story::stable(&["a"]);
    assert_eq!(story.group.check_commit(&stranger, 0), Err(GroupError::UnknownMember));
    assert_eq!(story.group.check_commit(&caller("a", 1), 0), Ok(()));
    assert_eq!(story.group.check_commit(&caller("a", 0), 0), Err(GroupError::StaleEpoch));
    assert_eq!(story.group.check_commit(&caller("z", 1), 0), Err(GroupError::UnknownMember));
    story.join(ask("", "b"));
    assert_eq!(story.group.check_commit(&caller("a", 1), 0), Ok(()), "before it joins again, a member may finish");
    story.join(ask("a", ""));
    assert_eq!(story.group.check_commit(&caller("a", 2), 0), Err(GroupError::Rebalancing));
}

#[test]
fn a_description_shows_work_only_when_stable() {
    let mut story = Story::stable(&["a", "b"]);
    let name = Arc::from("g");
    let told = story.group.describe(&name);
    assert_eq!((told.listing.state, &*told.strategy, &*told.listing.work), (State::Stable, "range", "consumer"));
    assert_eq!((told.members[1].assignment.clone(), told.members[1].metadata.clone()), ("b".into(), "about range".into()));
    story.join(ask("a", ""));
    let told = story.group.describe(&name);
    assert_eq!((told.listing.state, &*told.strategy), (State::PreparingRebalance, ""));
    assert!(told.members.iter().all(|m| m.assignment.is_empty() && m.metadata.is_empty()));
}
