//! An index of patterns: which of them match a name, at a cost that does not grow with those that do not.
//!
//! A tree over the parts of the patterns, walked with all that is still possible at once. Patterns with a common beginning share
//! its nodes; what is left of a pattern that is alone below a node is not spread out, but checked when the walk gets there.

use std::cell::{Cell, RefCell};

use smallvec::SmallVec;

use super::pattern::{ByteSet, Part, Pattern};

/// Below this depth patterns are checked one by one: hostile ones shall not make a node for each of their bytes.
const DEPTH_MAX: usize = 256;

/// Identifies a pattern in the index, for as long as it is in there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct PatternId(u32);

/// Identifies a node.
type NodeId = u32;

const ROOT: NodeId = 0;

#[derive(Debug, Default)]
struct Node {
    depth: usize,
    bytes: Vec<(u8, NodeId)>,
    sets: Vec<(ByteSet, NodeId)>,
    any_one: Option<NodeId>,
    any_run: Option<NodeId>,
    /// Patterns that end here, or one whose rest is not spread out; several at the greatest depth.
    held: SmallVec<[PatternId; 1]>,
    /// The walk that last reached it, if it stands for a run.
    walk: Cell<u64>,
}

impl Node {
    fn is_leaf(&self) -> bool {
        self.bytes.is_empty() && self.sets.is_empty() && self.any_one.is_none() && self.any_run.is_none()
    }

    fn child(&self, part: Part) -> Option<NodeId> {
        match part {
            Part::Byte(byte) => self.child_of_byte(byte),
            Part::OneOf(set) => self.sets.iter().find(|(own, _)| *own == set).map(|(_, child)| *child),
            Part::AnyOne => self.any_one,
            Part::AnyRun => self.any_run,
        }
    }

    fn child_of_byte(&self, byte: u8) -> Option<NodeId> {
        let index = self.bytes.binary_search_by_key(&byte, |(own, _)| *own).ok()?;
        self.bytes.get(index).map(|(_, child)| *child)
    }

    fn set_child(&mut self, part: Part, child: NodeId) {
        match part {
            Part::Byte(byte) => {
                let index = self.bytes.partition_point(|(own, _)| *own < byte);
                self.bytes.insert(index, (byte, child));
            }
            Part::OneOf(set) => self.sets.push((set, child)),
            Part::AnyOne => self.any_one = Some(child),
            Part::AnyRun => self.any_run = Some(child),
        }
    }

    fn remove_child(&mut self, part: Part) {
        match part {
            Part::Byte(byte) => self.bytes.retain(|(own, _)| *own != byte),
            Part::OneOf(set) => self.sets.retain(|(own, _)| *own != set),
            Part::AnyOne => self.any_one = None,
            Part::AnyRun => self.any_run = None,
        }
    }
}

#[derive(Debug)]
struct Entry {
    pattern: Pattern,
    /// The walk that last found that it matches.
    walk: Cell<u64>,
}

/// What one walk keeps; used again by the next, so that a walk allocates nothing.
#[derive(Debug, Default)]
struct Walk {
    number: u64,
    here: Vec<NodeId>,
    next: Vec<NodeId>,
    /// Nodes that stand for a run: they stay, whatever comes.
    runs: Vec<NodeId>,
    #[cfg(test)]
    entered: usize,
}

/// Patterns by what they match.
#[derive(Debug)]
pub(super) struct PatternIndex {
    nodes: Vec<Node>,
    free_nodes: Vec<NodeId>,
    entries: Vec<Option<Entry>>,
    free_entries: Vec<PatternId>,
    walk: RefCell<Walk>,
}

impl Default for PatternIndex {
    fn default() -> Self {
        Self {
            nodes: vec![Node::default()],
            free_nodes: Vec::new(),
            entries: Vec::new(),
            free_entries: Vec::new(),
            walk: RefCell::default(),
        }
    }
}

impl PatternIndex {
    /// Adds a pattern. One that is in there already gets another id.
    pub fn insert(&mut self, pattern: Pattern) -> PatternId {
        let is_void = pattern.is_void();
        let entry = Some(Entry { pattern, walk: Cell::new(0) });
        let id = match self.free_entries.pop() {
            Some(id) => id,
            None => {
                self.entries.push(None);
                PatternId(u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX))
            }
        };
        if let Some(slot) = self.entries.get_mut(id.0 as usize) {
            *slot = entry;
        }
        if !is_void {
            self.place(id, ROOT);
        }
        id
    }

    /// Takes a pattern out.
    pub fn remove(&mut self, id: PatternId) {
        let Some(entry) = self.entries.get_mut(id.0 as usize).and_then(Option::take) else { return };
        self.free_entries.push(id);
        let mut path: Vec<(NodeId, Part)> = Vec::new();
        let mut at = ROOT;
        while let Some(node) = self.nodes.get_mut(at as usize) {
            let held = node.held.len();
            node.held.retain(|held| *held != id);
            if node.held.len() < held {
                break;
            }
            let next = entry.pattern.part(node.depth).and_then(|part| Some((part, node.child(part)?)));
            // A void pattern is nowhere.
            let Some((part, child)) = next else { return };
            path.push((at, part));
            at = child;
        }
        while let Some((parent, part)) = path.pop() {
            let Some(node) = self.nodes.get(at as usize) else { return };
            if !node.held.is_empty() || !node.is_leaf() {
                return;
            }
            self.free_nodes.push(at);
            if let Some(node) = self.nodes.get_mut(parent as usize) {
                node.remove_child(part);
            }
            at = parent;
        }
    }

    /// Calls `found` once for each pattern that matches.
    pub fn matching(&self, name: &[u8], mut found: impl FnMut(PatternId)) {
        if self.nodes.first().is_none_or(|root| root.is_leaf() && root.held.is_empty()) {
            return;
        }
        let mut walk = self.walk.borrow_mut();
        let walk = &mut *walk;
        walk.number += 1;
        walk.here.clear();
        walk.runs.clear();
        self.enter(ROOT, name, 0, walk, &mut found);
        for (at, byte) in name.iter().enumerate() {
            std::mem::swap(&mut walk.here, &mut walk.next);
            walk.here.clear();
            // Runs that begin with this byte's step take part from the next byte on.
            let (next, runs) = (walk.next.len(), walk.runs.len());
            if next + runs == 0 {
                return;
            }
            for index in 0..next + runs {
                let node = if index < next { walk.next.get(index) } else { walk.runs.get(index - next) };
                if let Some(node) = node.and_then(|node| self.nodes.get(*node as usize)) {
                    self.step(node, *byte, name, at + 1, walk, &mut found);
                }
            }
        }
    }

    fn step(&self, node: &Node, byte: u8, name: &[u8], at: usize, walk: &mut Walk, found: &mut impl FnMut(PatternId)) {
        if let Some(child) = node.child_of_byte(byte) {
            self.enter(child, name, at, walk, found);
        }
        for (set, child) in &node.sets {
            if set.contains(byte) {
                self.enter(*child, name, at, walk, found);
            }
        }
        if let Some(child) = node.any_one {
            self.enter(child, name, at, walk, found);
        }
    }

    /// The walk is at a node, with the name from `at` on still to come.
    fn enter(&self, id: NodeId, name: &[u8], at: usize, walk: &mut Walk, found: &mut impl FnMut(PatternId)) {
        #[cfg(test)]
        {
            walk.entered += 1;
        }
        let Some(node) = self.nodes.get(id as usize) else { return };
        let rest = name.get(at..).unwrap_or_default();
        self.check(&node.held, node.depth, rest, walk.number, found);
        if !(node.bytes.is_empty() && node.sets.is_empty() && node.any_one.is_none()) {
            walk.here.push(id);
        }
        let run = node.any_run.and_then(|run| Some((run, self.nodes.get(run as usize)?)));
        if let Some((id, run)) = run
            && run.walk.replace(walk.number) != walk.number
        {
            self.check(&run.held, node.depth, rest, walk.number, found);
            if !run.is_leaf() {
                walk.runs.push(id);
            }
        }
    }

    fn check(&self, held: &[PatternId], first: usize, rest: &[u8], walk: u64, found: &mut impl FnMut(PatternId)) {
        for id in held {
            let Some(Some(entry)) = self.entries.get(id.0 as usize) else { continue };
            if entry.walk.get() != walk && entry.pattern.matches_from(first, rest) {
                entry.walk.set(walk);
                found(*id);
            }
        }
    }

    /// Finds the place of a pattern below a node, and makes room for it.
    fn place(&mut self, id: PatternId, below: NodeId) {
        let mut at = below;
        loop {
            let Some(node) = self.nodes.get(at as usize) else { return };
            let depth = node.depth;
            let part = self.pattern(id).and_then(|pattern| pattern.part(depth)).filter(|_| depth < DEPTH_MAX);
            let Some(part) = part else {
                self.hold(id, at);
                return;
            };
            let Some(child) = node.child(part) else {
                let child = self.new_node(depth + 1);
                if let Some(node) = self.nodes.get_mut(at as usize) {
                    node.set_child(part, child);
                }
                self.hold(id, child);
                return;
            };
            self.spread(child);
            at = child;
        }
    }

    /// A pattern whose rest is not spread out gets a node more, because it is no longer alone.
    fn spread(&mut self, at: NodeId) {
        let Some(node) = self.nodes.get(at as usize) else { return };
        let depth = node.depth;
        if !node.is_leaf() || depth >= DEPTH_MAX {
            return;
        }
        let has_rest = |id: &PatternId| self.pattern(*id).is_some_and(|pattern| pattern.len() > depth);
        let Some(id) = node.held.iter().copied().find(has_rest) else { return };
        let Some(part) = self.pattern(id).and_then(|pattern| pattern.part(depth)) else { return };
        let child = self.new_node(depth + 1);
        if let Some(node) = self.nodes.get_mut(at as usize) {
            node.held.retain(|held| *held != id);
            node.set_child(part, child);
        }
        self.hold(id, child);
    }

    fn hold(&mut self, id: PatternId, at: NodeId) {
        if let Some(node) = self.nodes.get_mut(at as usize) {
            node.held.push(id);
        }
    }

    fn new_node(&mut self, depth: usize) -> NodeId {
        let node = Node { depth, ..Node::default() };
        match self.free_nodes.pop() {
            Some(id) => {
                if let Some(slot) = self.nodes.get_mut(id as usize) {
                    *slot = node;
                }
                id
            }
            None => {
                self.nodes.push(node);
                u32::try_from(self.nodes.len() - 1).unwrap_or(u32::MAX)
            }
        }
    }

    fn pattern(&self, id: PatternId) -> Option<&Pattern> {
        self.entries.get(id.0 as usize)?.as_ref().map(|entry| &entry.pattern)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    fn parts() -> impl Strategy<Value = Vec<Part>> {
        let set = (0..3_u8, 0..3_u8).prop_map(|(low, high)| {
            let mut set = ByteSet::default();
            set.insert_range(b'a' + low.min(high), b'a' + low.max(high));
            Part::OneOf(set)
        });
        let part = prop_oneof![
            4 => (0..3_u8).prop_map(|letter| Part::Byte(b'a' + letter)),
            1 => Just(Part::AnyOne),
            2 => Just(Part::AnyRun),
            1 => set,
        ];
        vec(part, 0..8)
    }

    fn name() -> impl Strategy<Value = Vec<u8>> {
        vec((0..3_u8).prop_map(|letter| b'a' + letter), 0..10)
    }

    fn found(index: &PatternIndex, name: &[u8]) -> Vec<PatternId> {
        let mut found = Vec::new();
        index.matching(name, |id| found.push(id));
        found.sort_unstable();
        found
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// Small alphabets make patterns share paths, end within each other, and match in several ways.
        #[test]
        fn the_index_finds_what_a_check_of_each_pattern_finds(
            steps in vec((parts(), any::<bool>(), any::<prop::sample::Index>()), 1..40),
            names in vec(name(), 1..10),
        ) {
            let mut index = PatternIndex::default();
            let mut present: BTreeMap<PatternId, Pattern> = BTreeMap::new();
            for (parts, is_removal, which) in steps {
                if is_removal && !present.is_empty() {
                    let id = *which.get(&present.keys().copied().collect::<Vec<_>>());
                    present.remove(&id);
                    index.remove(id);
                } else {
                    let pattern = Pattern::new(parts);
                    let id = index.insert(pattern.clone());
                    prop_assert!(present.insert(id, pattern).is_none());
                }
                for name in &names {
                    let expected: Vec<_> =
                        present.iter().filter(|(_, pattern)| pattern.matches(name)).map(|(id, _)| *id).collect();
                    prop_assert_eq!(found(&index, name), expected);
                }
            }
            for id in present.into_keys() {
                index.remove(id);
            }
            prop_assert_eq!(index.free_nodes.len() + 1, index.nodes.len(), "an empty index holds its root only");
        }
    }

    /// As above, in lives that are told by a seed and are too many to shrink.
    #[test]
    fn a_million_steps_find_what_a_check_of_each_pattern_finds() {
        crate::log::simulation::play(1_000, |seed| live(seed, 1_000));
    }

    fn live(seed: u64, steps: usize) {
        let mut random = StdRng::seed_from_u64(seed);
        let (mut index, mut present) = (PatternIndex::default(), BTreeMap::new());
        for _ in 0..steps {
            match random.random_range(0..4) {
                0 if present.len() < 12 => {
                    let length = random.random_range(0..8);
                    let pattern = Pattern::new((0..length).map(|_| some_part(&mut random)));
                    assert!(present.insert(index.insert(pattern.clone()), pattern).is_none());
                }
                1 if !present.is_empty() => {
                    let at = random.random_range(0..present.len());
                    let id = *present.keys().nth(at).expect("it is there");
                    present.remove(&id);
                    index.remove(id);
                }
                _ => {
                    let length = random.random_range(0..10);
                    let name: Vec<u8> = (0..length).map(|_| random.random_range(b'a'..b'd')).collect();
                    let matching = present.iter().filter(|(_, pattern)| pattern.matches(&name));
                    assert_eq!(found(&index, &name), matching.map(|(id, _)| *id).collect::<Vec<_>>());
                }
            }
        }
    }

    fn some_part(random: &mut StdRng) -> Part {
        let mut letter = || random.random_range(b'a'..b'd');
        let (one, other) = (letter(), letter());
        match random.random_range(0..8) {
            0..4 => Part::Byte(one),
            4 => Part::AnyOne,
            5..7 => Part::AnyRun,
            _ => {
                let mut set = ByteSet::default();
                set.insert_range(one.min(other), one.max(other));
                Part::OneOf(set)
            }
        }
    }

    #[test]
    fn patterns_deeper_than_the_tree_are_told_apart() {
        let mut index = PatternIndex::default();
        let long = |last: u8| Pattern::new(std::iter::repeat_n(Part::Byte(b'a'), 400).chain([Part::Byte(last)]));
        let ids: Vec<_> = (b'a'..b'e').map(|last| index.insert(long(last))).collect();
        let name = [vec![b'a'; 400], vec![b'c']].concat();
        assert_eq!(found(&index, &name), [ids[2]]);
        assert!(index.nodes.len() <= DEPTH_MAX + 2, "{} nodes", index.nodes.len());
        ids.into_iter().for_each(|id| index.remove(id));
        assert_eq!(index.nodes.len(), index.free_nodes.len() + 1);
    }

    #[test]
    fn what_does_not_match_costs_nothing() {
        let mut index = PatternIndex::default();
        for number in 0..10_000 {
            let text = format!("user.{number}.");
            index.insert(Pattern::new(text.bytes().map(Part::Byte).chain([Part::AnyRun])));
            let text = format!(".{number}.done");
            index.insert(Pattern::new([Part::AnyRun].into_iter().chain(text.bytes().map(Part::Byte))));
        }
        assert_eq!(found(&index, b"user.4711.done").len(), 2);
        let entered = index.walk.borrow().entered;
        assert!(entered < 64, "the walk went through {entered} nodes");
    }
}
