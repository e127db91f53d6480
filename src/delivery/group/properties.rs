//! Whatever members do and however long they take: one leader, growing epochs, work for everybody in a stable group, and
//! one answer to each request.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::{ProptestConfig, any, prop, prop_oneof, proptest};
use proptest::strategy::Strategy as PropStrategy;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::log::simulation::play;

/// What a member may do next. The number picks the member.
#[derive(Debug, Clone)]
enum Act {
    Join { who: usize, id_first: bool, wrong_kind: bool, changed: bool },
    Sync { who: usize, stale: bool },
    Heartbeat { who: usize },
    Leave { who: usize },
    Forget { who: usize },
    Wait { ms: u64 },
}

fn act() -> impl PropStrategy<Value = Act> {
    let who = 0..6_usize;
    prop_oneof![
        6 => (who.clone(), any::<bool>(), prop::bool::weighted(0.05), prop::bool::weighted(0.2))
            .prop_map(|(who, id_first, wrong_kind, changed)| Act::Join { who, id_first, wrong_kind, changed }),
        6 => (who.clone(), prop::bool::weighted(0.1)).prop_map(|(who, stale)| Act::Sync { who, stale }),
        3 => who.clone().prop_map(|who| Act::Heartbeat { who }),
        1 => who.clone().prop_map(|who| Act::Leave { who }),
        1 => who.prop_map(|who| Act::Forget { who }),
        3 => prop_oneof![0..20_u64, 100..5_000_u64, 5_000..40_000_u64].prop_map(|ms| Act::Wait { ms }),
    ]
}

/// One client: even ones are dynamic, odd ones static.
#[derive(Debug, Default, Clone)]
struct Client {
    id: MemberId,
    epoch: i32,
    leads: Vec<MemberId>,
}

struct World {
    group: Group,
    now_ms: u64,
    tickets: u64,
    ids: u64,
    asked: BTreeMap<Ticket, usize>,
    clients: Vec<Client>,
    last_epoch: i32,
}

impl World {
    fn new() -> Self {
        let settings = GroupSettings { initial_rebalance_delay_ms: 10, members_max: 5, ..GroupSettings::default() };
        Self {
            group: Group::new(Arc::new(settings)),
            now_ms: 0,
            tickets: 0,
            ids: 0,
            asked: BTreeMap::new(),
            clients: vec![Client::default(); 6],
            last_epoch: 0,
        }
    }

    fn ask(&mut self, who: usize) -> Ticket {
        self.tickets += 1;
        self.asked.insert(Ticket(self.tickets), who);
        Ticket(self.tickets)
    }

    fn instance(who: usize) -> Option<InstanceName> {
        (who % 2 == 1).then(|| Arc::from(format!("static-{who}")))
    }

    fn caller(&self, who: usize) -> Caller {
        Caller { member_id: self.clients[who].id.clone(), instance: Self::instance(who), epoch: self.clients[who].epoch }
    }

    fn act(&mut self, act: &Act) {
        let mut step = Step::at(self.now_ms);
        match *act {
            Act::Join { who, id_first, wrong_kind, changed } => {
                let ticket = self.ask(who);
                self.ids += 1;
                let metadata = Bytes::from(if changed { self.ids.to_string() } else { "m".to_owned() });
                let join = Join {
                    member_id: self.clients[who].id.clone(),
                    fresh_id: Arc::from(format!("member-{}", self.ids)),
                    instance: Self::instance(who),
                    client_id: "c".into(),
                    client_host: "h".into(),
                    session_timeout_ms: 10_000,
                    rebalance_timeout_ms: 3_000 * who as u32,
                    kind: if wrong_kind { "other" } else { "kind" }.into(),
                    strategies: vec![super::Strategy { name: "s".into(), metadata }],
                    topics: None,
                    takes_id_first: id_first,
                    may_skip_assignment: who == 3,
                };
                self.group.join(&join, ticket, &mut step);
            }
            Act::Sync { who, stale } => {
                let ticket = self.ask(who);
                let mut caller = self.caller(who);
                caller.epoch -= i32::from(stale);
                let work = |id: &MemberId| (id.clone(), Bytes::from(format!("{id}@{}", caller.epoch)));
                let assignments = self.clients[who].leads.iter().map(work).collect();
                let sync = Sync { caller: caller.clone(), kind: None, strategy: Some("s".into()), assignments };
                self.group.sync(&sync, ticket, &mut step);
            }
            Act::Heartbeat { who } => {
                let answer = self.group.heartbeat(&self.caller(who), self.now_ms);
                if matches!(answer, Err(GroupError::UnknownMember | GroupError::Fenced)) {
                    self.clients[who].id = "".into();
                }
            }
            Act::Leave { who } => {
                let Caller { member_id, instance, .. } = self.caller(who);
                self.group.leave(&[Departure { member_id, instance }], &mut step);
            }
            Act::Forget { who } => self.clients[who] = Client::default(),
            Act::Wait { ms } => {
                self.now_ms += ms;
                step.now_ms = self.now_ms;
                self.group.tick(&mut step);
            }
        }
        for reply in step.replies {
            self.take(reply);
        }
        self.check();
    }

    fn take(&mut self, reply: Reply) {
        let ticket = match &reply {
            Reply::Join(ticket, _) | Reply::Sync(ticket, _) => *ticket,
        };
        let who = self.asked.remove(&ticket).expect("each request is answered once");
        let client = &mut self.clients[who];
        match reply {
            Reply::Join(_, Ok(joined)) => {
                client.id = joined.member_id;
                client.epoch = joined.epoch;
                client.leads = joined.members.into_iter().map(|m| m.member_id).collect();
            }
            Reply::Join(_, Err(GroupError::MemberIdRequired(id))) => client.id = id,
            Reply::Join(_, Err(GroupError::UnknownMember | GroupError::Fenced)) => client.id = "".into(),
            Reply::Join(_, Err(_)) | Reply::Sync(_, Err(_)) => {}
            Reply::Sync(_, Ok(synced)) => {
                // The work is of the current round, and was given to this member or to its former self.
                let work = String::from_utf8_lossy(&synced.assignment).into_owned();
                let ends = format!("@{}", self.group.epoch());
                assert!(work.is_empty() || work.ends_with(&ends), "{work} is not of {ends}");
            }
        }
    }

    fn check(&mut self) {
        let group = &self.group;
        assert!(group.epoch >= self.last_epoch, "epochs grow");
        self.last_epoch = group.epoch;
        assert_eq!(group.members.is_empty(), group.leader.is_none(), "a leader as long as there are members");
        assert!(group.leader.as_ref().is_none_or(|id| group.members.contains_key(id)), "the leader is a member");
        if !group.members.is_empty() {
            assert_ne!(group.state, State::Empty);
        }
        for (id, member) in &group.members {
            let waits_in_place = match group.state {
                State::Empty | State::Dead | State::Assigning | State::Reconciling | State::Stable => {
                    member.joining.is_none() && member.syncing.is_none()
                }
                State::PreparingRebalance => member.syncing.is_none(),
                State::CompletingRebalance => member.joining.is_none(),
            };
            assert!(waits_in_place, "{id} waits for what does not come in {:?}", group.state);
            let registered = member.instance.as_ref().map(|name| group.statics.get(name) == Some(id));
            assert_ne!(registered, Some(false), "a static member holds its name");
            assert!(!group.pending.contains_key(id), "{id} is a member and pending");
        }
        assert!(group.statics.values().all(|id| group.members.contains_key(id)), "names are held by members");
        let may_go = |m: &&super::member::Member| m.joining.is_none() && m.instance.is_none();
        let leaving = if group.state == State::PreparingRebalance { group.members.values().filter(may_go).count() } else { 0 };
        assert!(group.members.len() - leaving <= 5, "the limit holds");
        let waiting: HashSet<Ticket> = group.members.values().flat_map(|m| [m.joining, m.syncing]).flatten().collect();
        assert_eq!(waiting, self.asked.keys().copied().collect(), "whoever waits is remembered");
        if !self.asked.is_empty() {
            assert!(group.next_deadline_ms().is_some(), "every wait has an end");
        }
    }

    /// Everybody gives up: time alone answers all requests and empties the group.
    fn run_out(&mut self) {
        for _ in 0..200 {
            let Some(at) = self.group.next_deadline_ms() else { break };
            self.act(&Act::Wait { ms: at.saturating_sub(self.now_ms) });
        }
        assert!(self.asked.is_empty(), "a request was never answered");
        assert!(self.group.is_idle(), "a group without living members empties");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn members_come_and_go_and_the_group_stays_whole(acts in prop::collection::vec(act(), 1..120)) {
        let mut world = World::new();
        for act in acts {
            world.act(&act);
        }
        world.run_out();
    }
}

/// Acts in all, in lives of this length each.
const ACTS: u64 = 1_000_000;
const LIFE: u64 = 500;

/// The same acts as [`act`], as often, for lives that are told by a seed and are too many to shrink.
fn some_act(random: &mut StdRng) -> Act {
    let who = random.random_range(0..6);
    match random.random_range(0..20) {
        0..6 => {
            Act::Join { who, id_first: random.random(), wrong_kind: random.random_bool(0.05), changed: random.random_bool(0.2) }
        }
        6..12 => Act::Sync { who, stale: random.random_bool(0.1) },
        12..15 => Act::Heartbeat { who },
        15 => Act::Leave { who },
        16 => Act::Forget { who },
        _ => {
            let (least, most) = [(0, 20), (100, 5_000), (5_000, 40_000)][random.random_range(0..3)];
            Act::Wait { ms: random.random_range(least..most) }
        }
    }
}

#[test]
fn a_million_acts_leave_the_group_whole() {
    play(ACTS / LIFE, |seed| {
        let (mut world, mut random) = (World::new(), StdRng::seed_from_u64(seed));
        (0..LIFE).for_each(|_| world.act(&some_act(&mut random)));
        world.run_out();
    });
}
