//! Topic: binding keys are words between dots; `*` stands for one word, `#` for none or more.
//!
//! A trie of words. Routing walks all live branches a word at a time, so a key costs at most words times branches however many `#` the
//! patterns hold; there is no backtracking and no recursion.

use std::collections::HashMap;

use bytes::Bytes;

use super::{Destination, Destinations};

type NodeId = usize;
const ROOT: NodeId = 0;

#[derive(Debug, Default)]
struct Node {
    words: HashMap<Box<[u8]>, NodeId>,
    one: Option<NodeId>,
    many: Option<NodeId>,
    ends_here: Destinations,
}

impl Node {
    fn is_leaf(&self) -> bool {
        self.words.is_empty() && self.one.is_none() && self.many.is_none() && self.ends_here.is_empty()
    }

    fn child(&self, word: &[u8]) -> Option<NodeId> {
        match word {
            b"*" => self.one,
            b"#" => self.many,
            word => self.words.get(word).copied(),
        }
    }

    fn set_child(&mut self, word: &[u8], child: Option<NodeId>) {
        match (word, child) {
            (b"*", child) => self.one = child,
            (b"#", child) => self.many = child,
            (word, Some(child)) => drop(self.words.insert(word.into(), child)),
            (word, None) => drop(self.words.remove(word)),
        }
    }
}

#[derive(Debug)]
pub struct Topic {
    nodes: Vec<Node>,
    free: Vec<NodeId>,
}

impl Default for Topic {
    fn default() -> Self {
        Self { nodes: vec![Node::default()], free: Vec::new() }
    }
}

impl Topic {
    pub fn bind(&mut self, destination: Destination, pattern: &Bytes) {
        let mut at = ROOT;
        for word in words(pattern) {
            at = self.child_or_new(at, word);
        }
        if let Some(node) = self.nodes.get_mut(at) {
            node.ends_here.add(destination);
        }
    }

    pub fn unbind(&mut self, destination: Destination, pattern: &Bytes) {
        let mut path = Vec::new();
        let mut at = ROOT;
        for word in words(pattern) {
            let Some(child) = self.nodes.get(at).and_then(|node| node.child(word)) else { return };
            path.push((at, word));
            at = child;
        }
        if let Some(node) = self.nodes.get_mut(at) {
            node.ends_here.remove(destination);
        }
        self.prune(at, &path);
    }

    pub fn route(&self, key: &[u8], found: &mut Vec<Destination>) {
        let mut live = Live::default();
        self.enter(ROOT, &mut live);
        for word in words(key) {
            let mut next = Live::default();
            for &(at, inside_many) in &live.nodes {
                let Some(node) = self.nodes.get(at) else { continue };
                if inside_many {
                    self.enter_many(at, &mut next);
                }
                if let Some(child) = node.words.get(word) {
                    self.enter(*child, &mut next);
                }
                if let Some(child) = node.one {
                    self.enter(child, &mut next);
                }
            }
            live = next;
            if live.nodes.is_empty() {
                return;
            }
        }
        for (at, _) in live.nodes {
            if let Some(node) = self.nodes.get(at) {
                node.ends_here.push_to(found);
            }
        }
    }

    /// Reaches a node, and with it what `#` below it may skip to.
    fn enter(&self, at: NodeId, live: &mut Live) {
        live.add(at, false);
        self.enter_below(at, live);
    }

    /// Stays in a `#` that takes one more word.
    fn enter_many(&self, at: NodeId, live: &mut Live) {
        live.add(at, true);
        self.enter_below(at, live);
    }

    fn enter_below(&self, mut at: NodeId, live: &mut Live) {
        while let Some(many) = self.nodes.get(at).and_then(|node| node.many) {
            live.add(many, true);
            at = many;
        }
    }

    fn child_or_new(&mut self, at: NodeId, word: &[u8]) -> NodeId {
        if let Some(child) = self.nodes.get(at).and_then(|node| node.child(word)) {
            return child;
        }
        let child = self.free.pop().unwrap_or_else(|| {
            self.nodes.push(Node::default());
            self.nodes.len() - 1
        });
        if let Some(node) = self.nodes.get_mut(at) {
            node.set_child(word, Some(child));
        }
        child
    }

    fn prune(&mut self, mut at: NodeId, path: &[(NodeId, &[u8])]) {
        for &(parent, word) in path.iter().rev() {
            if !self.nodes.get(at).is_some_and(Node::is_leaf) {
                return;
            }
            self.free.push(at);
            if let Some(node) = self.nodes.get_mut(parent) {
                node.set_child(word, None);
            }
            at = parent;
        }
    }
}

/// The nodes that the words so far lead to, each once; `true` for those that swallow further words.
#[derive(Debug, Default)]
struct Live {
    nodes: smallvec::SmallVec<[(NodeId, bool); 8]>,
}

impl Live {
    fn add(&mut self, at: NodeId, inside_many: bool) {
        match self.nodes.iter_mut().find(|(known, _)| *known == at) {
            Some((_, many)) => *many |= inside_many,
            None => self.nodes.push((at, inside_many)),
        }
    }
}

/// The words of a key. The empty key has none; "a." has two, the second empty.
fn words(key: &[u8]) -> impl Iterator<Item = &[u8]> {
    key.split(|byte| *byte == b'.').filter(|_| !key.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::QueueId;
    use super::*;
    use proptest::prelude::*;

    fn queue(number: u32) -> Destination {
        Destination::Queue(QueueId(number))
    }

    fn routed(topic: &Topic, key: &[u8]) -> Vec<Destination> {
        let mut found = Vec::new();
        topic.route(key, &mut found);
        found.sort();
        found
    }

    /// The definition, word by word.
    fn fits(pattern: &[&[u8]], key: &[&[u8]]) -> bool {
        match (pattern.split_first(), key.split_first()) {
            (None, None) => true,
            (None, Some(_)) => false,
            (Some((&b"#", rest)), _) => fits(rest, key) || (!key.is_empty() && fits(pattern, &key[1..])),
            (Some((&b"*", rest)), Some((_, tail))) => fits(rest, tail),
            (Some((word, rest)), Some((head, tail))) => word == head && fits(rest, tail),
            (Some(_), None) => false,
        }
    }

    #[test]
    fn the_patterns_of_the_tutorial() {
        let mut topic = Topic::default();
        for (number, pattern) in ["*.orange.*", "*.*.rabbit", "lazy.#", "#", "*"].iter().enumerate() {
            topic.bind(queue(number as u32), &Bytes::from(pattern.as_bytes()));
        }
        assert_eq!(routed(&topic, b"quick.orange.rabbit"), [queue(0), queue(1), queue(3)]);
        assert_eq!(routed(&topic, b"lazy"), [queue(2), queue(3), queue(4)]);
        assert_eq!(routed(&topic, b"lazy.brown.fox.jumps"), [queue(2), queue(3)]);
        assert_eq!(routed(&topic, b""), [queue(3)]);
    }

    #[test]
    fn unbinding_prunes_the_trie() {
        let mut topic = Topic::default();
        topic.bind(queue(1), &Bytes::from_static(b"a.*.#.b"));
        topic.bind(queue(2), &Bytes::from_static(b"a.*"));
        topic.unbind(queue(1), &Bytes::from_static(b"a.*.#.b"));
        assert_eq!(topic.free.len(), 2);
        topic.unbind(queue(2), &Bytes::from_static(b"a.*"));
        assert_eq!(topic.free.len(), topic.nodes.len() - 1);
        topic.unbind(queue(2), &Bytes::from_static(b"never.bound"));
        topic.bind(queue(3), &Bytes::from_static(b"x.y"));
        assert_eq!(routed(&topic, b"x.y"), [queue(3)]);
    }

    #[test]
    fn many_hashes_do_not_explode() {
        let mut topic = Topic::default();
        topic.bind(queue(1), &Bytes::from("#.a".repeat(40)));
        topic.bind(queue(2), &Bytes::from(["#"; 60].join(".").into_bytes()));
        assert_eq!(routed(&topic, ["a"; 120].join(".").as_bytes()), [queue(2)]);
    }

    proptest! {
        #[test]
        fn routing_follows_the_definition(
            patterns in proptest::collection::vec(proptest::collection::vec("[ab*#]", 0..5), 1..8),
            key in proptest::collection::vec("[ab]", 0..6),
        ) {
            let key = key.join(".");
            let mut topic = Topic::default();
            let mut expected = Vec::new();
            for (number, pattern) in patterns.iter().enumerate() {
                let pattern = pattern.join(".");
                topic.bind(queue(number as u32), &Bytes::from(pattern.clone().into_bytes()));
                let (pattern, key): (Vec<_>, Vec<_>) = (words(pattern.as_bytes()).collect(), words(key.as_bytes()).collect());
                if fits(&pattern, &key) {
                    expected.push(queue(number as u32));
                }
            }
            prop_assert_eq!(routed(&topic, key.as_bytes()), expected);
        }
    }
}
