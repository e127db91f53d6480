//! Many groups at once, whose members join, leave, crash, lose answers, dawdle and change their minds while topics come and go
//! and the gateway restarts: no partition ever has two owners, epochs only grow, and once everybody is calm everything that is
//! wanted is owned, evenly. The members are played by the rules of the protocol; what they believe to own is checked against
//! each other, not against the group.

use std::cell::Cell;
use std::collections::BTreeMap;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::member::Member;
use super::scenarios::{Topics, joining, settings, sign};
use super::*;
use crate::delivery::group::GroupError;
use crate::log::simulation::play;

const NAMES: [&str; 4] = ["alpha", "beta", "gamma", "alphabet"];
const GROUPS: u64 = 50;
const STEPS_OF_A_GROUP: usize = 20_000;
/// How long clients may take to let go of partitions; shorter than their session.
const REBALANCE_MS: u64 = 30_000;

/// What a client knows of itself.
#[derive(Debug, Clone)]
struct Client {
    id: String,
    instance: Option<String>,
    epoch: i32,
    owned: Places,
    wants: Vec<usize>,
    by_pattern: bool,
    heard_ms: u64,
    /// Since when it has something to let go of and has not said that it did.
    told_ms: Option<u64>,
    /// An answer was lost: the next beat says everything.
    says_all: bool,
}

/// A bit for each partition of the few topics there are: after each step all that is owned is marked anew.
#[derive(Default)]
struct Marks([u32; NAMES.len()]);

impl Marks {
    /// Whether it was not marked before.
    fn mark(&mut self, place: Place) -> bool {
        let (marks, bit) = (&mut self.0[place.topic.0 as usize - 1], 1 << place.partition);
        let is_new = *marks & bit == 0;
        *marks |= bit;
        is_new
    }
}

struct World {
    random: StdRng,
    group: Managed,
    topics: Topics,
    now_ms: u64,
    clients: Vec<Client>,
    made: u32,
    table: BTreeMap<Bytes, Bytes>,
    last_epoch: i32,
    member_epochs: BTreeMap<String, i32>,
    joins: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut topics = Topics::default();
        topics.put("alpha", 1, 3);
        topics.put("beta", 2, 5);
        Self {
            random: StdRng::seed_from_u64(seed),
            group: Managed::new(settings(), Sharing::Exclusive, 0),
            topics,
            now_ms: 0,
            clients: Vec::new(),
            made: 0,
            table: BTreeMap::new(),
            last_epoch: 0,
            member_epochs: BTreeMap::new(),
            joins: 0,
        }
    }

    fn step(&mut self) {
        self.now_ms += u64::from(self.random.random_range(0..1_500_u32));
        self.tick();
        match self.random.random_range(0..100) {
            0..=3 => self.arrive(),
            4 => self.leave(),
            5 => self.crash(),
            6 => self.restart(),
            7 => self.change_topics(),
            8 => self.change_mind(),
            9 => self.step_out_and_back(),
            _ => {
                if !self.clients.is_empty() {
                    let at = self.random.random_range(0..self.clients.len());
                    let dawdles = self.random.random_range(0..4) == 0;
                    let loses_answer = self.random.random_range(0..10) == 0;
                    self.stay(at, dawdles, loses_answer);
                }
            }
        }
        self.keep();
        self.check();
    }

    fn tick(&mut self) {
        self.group.tick(self.now_ms);
        // Clients stop working when they have heard nothing, or not let go, for as long as they may take to let go.
        let now_ms = self.now_ms;
        for client in &mut self.clients {
            let is_late = client.told_ms.is_some_and(|told_ms| now_ms >= told_ms + REBALANCE_MS);
            if is_late || now_ms >= client.heard_ms + REBALANCE_MS {
                client.told_ms = None;
                client.owned.clear();
                client.epoch = 0;
            }
        }
    }

    fn some_wishes(&mut self) -> Vec<usize> {
        (0..NAMES.len()).filter(|_| self.random.random()).collect()
    }

    fn arrive(&mut self) {
        self.made += 1;
        let instance = self.random.random_range(0..3) == 0;
        let mut client = Client {
            id: format!("m{}", self.made),
            instance: instance.then(|| format!("i{}", self.random.random_range(0..3))),
            epoch: 0,
            owned: Places::new(),
            wants: self.some_wishes(),
            by_pattern: self.random.random_range(0..5) == 0,
            heard_ms: self.now_ms,
            told_ms: None,
            says_all: false,
        };
        if self.join(&mut client).is_ok() {
            self.clients.push(client);
        }
    }

    fn wishes_of(client: &Client) -> Beat {
        let names: Vec<&str> = client.wants.iter().map(|at| NAMES[*at]).collect();
        let beat = joining(&client.id, &names);
        let pattern = if client.by_pattern { "alpha.*" } else { "" };
        Beat { instance: client.instance.clone().map(Into::into), pattern: Some(pattern.into()), ..beat }
    }

    fn join(&mut self, client: &mut Client) -> Result<(), GroupError> {
        let answer = self.group.beat(&Self::wishes_of(client), &self.topics, self.now_ms)?;
        self.joins += 1;
        // A member that starts over may be given the epoch that it had.
        self.member_epochs.remove(&client.id);
        self.hear(client, answer);
        Ok(())
    }

    fn hear(&mut self, client: &mut Client, answer: BeatAnswer) {
        let last = self.member_epochs.insert(client.id.clone(), answer.epoch).unwrap_or(0);
        assert!(answer.epoch >= last, "the epoch of {} fell from {last} to {}", client.id, answer.epoch);
        client.epoch = answer.epoch;
        client.heard_ms = self.now_ms;
        if let Some(assignment) = answer.assignment {
            if !client.owned.is_subset(&assignment) {
                client.told_ms.get_or_insert(self.now_ms);
            }
            client.owned = assignment;
        }
    }

    /// A client says what it has. One that dawdles has not yet let go of what it lost, and says nothing of it.
    fn stay(&mut self, at: usize, dawdles: bool, loses_answer: bool) {
        let mut client = self.clients.remove(at);
        if client.epoch == 0 {
            if self.join(&mut client).is_ok() {
                self.clients.push(client);
            }
            return;
        }
        let stay = Intent::Stay { epoch: client.epoch };
        let mut beat = Beat { instance: client.instance.clone().map(Into::into), ..sign(&client.id, stay) };
        if client.says_all {
            beat = Beat { intent: stay, ..Self::wishes_of(&client) };
        }
        if client.says_all || !dawdles {
            beat.owned = Some(client.owned.clone());
            client.told_ms = None;
        }
        client.says_all = loses_answer;
        match self.group.beat(&beat, &self.topics, self.now_ms) {
            Ok(answer) if loses_answer => {
                // What it did not hear of it cannot work on. It says everything the next time.
                if let Some(assignment) = &answer.assignment {
                    client.owned = client.owned.intersection(assignment).copied().collect();
                }
            }
            Ok(answer) => self.hear(&mut client, answer),
            Err(GroupError::FencedEpoch | GroupError::UnknownMember | GroupError::Fenced) => {
                client.epoch = 0;
                client.owned.clear();
            }
            Err(error) => panic!("{error}"),
        }
        self.clients.push(client);
    }

    fn leave(&mut self) {
        if let Some(client) = self.clients.pop() {
            let beat = Beat { instance: client.instance.clone().map(Into::into), ..sign(&client.id, Intent::Leave) };
            let _unknown = self.group.beat(&beat, &self.topics, self.now_ms);
        }
    }

    /// Gone without a word.
    fn crash(&mut self) {
        if !self.clients.is_empty() {
            let at = self.random.random_range(0..self.clients.len());
            self.clients.remove(at);
        }
    }

    fn step_out_and_back(&mut self) {
        let Some(at) = self.clients.iter().position(|client| client.instance.is_some() && client.epoch > 0) else { return };
        let mut client = self.clients.remove(at);
        let out = Beat { instance: client.instance.clone().map(Into::into), ..sign(&client.id, Intent::StepOut) };
        if self.group.beat(&out, &self.topics, self.now_ms).is_err() {
            return;
        }
        self.made += 1;
        client.id = format!("m{}", self.made);
        client.owned.clear();
        self.join(&mut client).expect("its place is free");
        self.clients.push(client);
    }

    fn change_mind(&mut self) {
        let wants = self.some_wishes();
        let Some(at) = self.clients.iter().position(|client| client.epoch > 0) else { return };
        let mut client = self.clients.remove(at);
        client.wants = wants;
        let beat = Beat { intent: Intent::Stay { epoch: client.epoch }, owned: None, ..Self::wishes_of(&client) };
        match self.group.beat(&beat, &self.topics, self.now_ms) {
            Ok(answer) => self.hear(&mut client, answer),
            Err(_) => {
                client.epoch = 0;
                client.owned.clear();
            }
        }
        self.clients.push(client);
    }

    fn change_topics(&mut self) {
        let at = self.random.random_range(0..NAMES.len());
        let id = at as u128 + 1;
        let partitions = self.topics.known.values().find(|(known, _)| known.0 == id).map_or(0, |(_, n)| *n);
        match self.random.random_range(0..4) {
            0 if partitions > 0 => self.topics.remove(NAMES[at]),
            _ if partitions < 9 => self.topics.put(NAMES[at], id, partitions + self.random.random_range(1..3)),
            _ => {}
        }
    }

    fn keep(&mut self) {
        for (key, value) in self.group.take_records("g") {
            match value {
                Some(value) => drop(self.table.insert(key, value)),
                None => drop(self.table.remove(&key)),
            }
        }
    }

    /// The gateway is gone and comes back with what it kept.
    fn restart(&mut self) {
        self.keep();
        let parts: Vec<_> =
            self.table.iter().map(|(key, value)| decode(key, value.clone()).expect("it was written here")).collect();
        let Some(first) = parts.first() else { return };
        let mut kept = KeptParts::new(first);
        parts.into_iter().for_each(|part| kept.add(part));
        let what = |group: &Managed| {
            let plain = |m: &Member| Member { deadline_ms: 0, revoke_by_ms: None, ..m.clone() };
            group.members.iter().map(|(id, m)| (id.clone(), plain(m))).collect::<Vec<_>>()
        };
        let restored = Managed::restore(kept, settings(), self.now_ms);
        assert_eq!(what(&restored), what(&self.group), "all that counts is kept");
        assert_eq!((restored.epoch, restored.target_epoch), (self.group.epoch, self.group.target_epoch));
        self.group = restored;
    }

    fn check(&mut self) {
        assert!(self.group.epoch() >= self.last_epoch, "the group's epoch grows");
        self.last_epoch = self.group.epoch();
        assert!(self.group.target_epoch <= self.group.epoch);
        let mut owned = Marks::default();
        for client in &self.clients {
            for place in &client.owned {
                assert!(owned.mark(*place), "two believe to own {place:?}");
            }
        }
        let mut held = 0;
        for (id, member) in &self.group.members {
            assert!(member.epoch <= self.group.target_epoch);
            for place in member.holds() {
                assert_eq!(self.group.owners.get(place), Some(id), "the owners are those who hold");
                held += 1;
            }
        }
        assert_eq!(held, self.group.owners.len(), "the owners are those who hold");
    }

    /// Nobody comes or goes any more: in a few rounds everybody has what he is to have.
    fn calm_down(&mut self) {
        for _ in 0..12 {
            self.now_ms += 6_000;
            self.tick();
            for _ in 0..self.clients.len() {
                self.stay(0, false, false);
                self.check();
            }
        }
        assert!(matches!(self.group.state(), crate::delivery::group::State::Stable | crate::delivery::group::State::Empty));
        self.check_complete();
    }

    fn check_complete(&self) {
        let mut wanted = Places::new();
        for (name, (topic, partitions)) in &self.topics.known {
            let wants = |client: &Client| {
                let matches = client.by_pattern && name.as_str().is_some_and(|name| name.starts_with("alpha"));
                matches || client.wants.iter().any(|at| name.as_bytes() == NAMES[*at].as_bytes())
            };
            if self.clients.iter().any(wants) {
                wanted.extend((0..*partitions).map(|partition| Place { topic: *topic, partition }));
            }
        }
        let owned: Places = self.clients.iter().flat_map(|client| client.owned.iter().copied()).collect();
        assert_eq!(owned, wanted, "everything that is wanted is owned, and nothing else");
        let same = self.clients.windows(2).all(|p| (&p[0].wants, p[0].by_pattern) == (&p[1].wants, p[1].by_pattern));
        let loads = || self.clients.iter().map(|client| client.owned.len());
        if same {
            assert!(loads().max().unwrap_or(0) <= loads().min().unwrap_or(0) + 1, "balanced within one");
        }
    }
}

#[test]
fn whatever_happens_no_partition_has_two_owners() {
    let (joins, groups) = (Cell::new(0), Cell::new(0));
    play(GROUPS, |seed| {
        let mut world = World::new(seed);
        for step in 1..=STEPS_OF_A_GROUP {
            world.step();
            if step % 500 == 0 {
                world.calm_down();
            }
        }
        joins.set(joins.get() + world.joins);
        groups.set(groups.get() + 1);
    });
    assert!(joins.get() > 100 * groups.get(), "there was something to see: {} joins", joins.get());
}
