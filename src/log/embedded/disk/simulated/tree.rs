//! Directories: the names that a reader sees, and which of them a power cut would leave.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rand::Rng;
use rand::rngs::StdRng;

use super::content::{Content, Keep};
use super::{Name, Open, Shared};

type Inner = Arc<Mutex<Directory>>;

#[derive(Debug, Clone)]
enum Node {
    File(Shared),
    Directory(Inner),
}

/// What was copied already, by where the original lies.
#[derive(Default)]
struct Copies {
    files: HashMap<*const Mutex<Content>, Shared>,
    directories: HashMap<*const Mutex<Directory>, Inner>,
}

impl Node {
    fn copy(&self, copies: &mut Copies, content: &mut dyn FnMut(&Content) -> Content) -> Self {
        match self {
            Self::File(file) => {
                let copy = copies.files.entry(Arc::as_ptr(file));
                Self::File(Arc::clone(copy.or_insert_with(|| Arc::new(Mutex::new(content(&file.lock()))))))
            }
            Self::Directory(inner) => {
                let known = copies.directories.get(&Arc::as_ptr(inner)).cloned();
                Self::Directory(known.unwrap_or_else(|| {
                    let copy = Arc::new(Mutex::new(inner.lock().copy(copies, content)));
                    copies.directories.insert(Arc::as_ptr(inner), Arc::clone(&copy));
                    copy
                }))
            }
        }
    }
}

/// Names that are given or taken together.
type Change = Vec<(String, Option<Node>)>;

/// A directory.
#[derive(Debug, Default)]
pub struct Directory {
    now: BTreeMap<String, Node>,
    synced: BTreeMap<String, Node>,
    unsynced: Vec<Change>,
}

fn absent<T>() -> io::Result<T> {
    Err(io::ErrorKind::NotFound.into())
}

impl Directory {
    fn change(&mut self, change: Change) {
        apply(&mut self.now, &change);
        self.unsynced.push(change);
    }

    fn find(&self, path: &[String]) -> io::Result<Inner> {
        let Some((first, rest)) = path.split_first() else { return absent() };
        match self.now.get(first) {
            Some(Node::Directory(inner)) if rest.is_empty() => Ok(Arc::clone(inner)),
            Some(Node::Directory(inner)) => inner.lock().find(rest),
            _ => absent(),
        }
    }

    /// Whatever is done in the directory of that path.
    pub fn within<T>(&mut self, path: &Path, act: impl FnOnce(&mut Self) -> io::Result<T>) -> io::Result<T> {
        let parts = parts(path);
        if parts.is_empty() { act(self) } else { act(&mut self.find(&parts)?.lock()) }
    }

    /// Makes the directory of that path, and those above it.
    pub fn make(&mut self, path: &Path) -> io::Result<()> {
        let parts = parts(path);
        let Some((first, rest)) = parts.split_first() else { return Ok(()) };
        if !self.now.contains_key(first) {
            self.change(vec![(first.clone(), Some(Node::Directory(Inner::default())))]);
        }
        match self.now.get(first) {
            Some(Node::Directory(inner)) => inner.lock().make(&rest.iter().collect::<PathBuf>()),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    /// Opens a file in it.
    pub fn file(&mut self, name: &str, how: Open) -> io::Result<Shared> {
        match self.now.get(name) {
            Some(Node::Directory(_)) => Err(io::ErrorKind::IsADirectory.into()),
            Some(Node::File(_)) if how == Open::CreateNew => Err(io::ErrorKind::AlreadyExists.into()),
            Some(Node::File(file)) => Ok(Arc::clone(file)),
            None if how == Open::Read || how == Open::Write => absent(),
            None => {
                let file = Shared::default();
                self.change(vec![(name.to_owned(), Some(Node::File(Arc::clone(&file))))]);
                Ok(file)
            }
        }
    }

    pub fn names(&self) -> Vec<Name> {
        let named =
            |(name, node): (&String, &Node)| Name { name: name.clone(), is_directory: matches!(node, Node::Directory(_)) };
        self.now.iter().map(named).collect()
    }

    pub fn has(&self, name: &str) -> bool {
        self.now.contains_key(name)
    }

    pub fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let Some(node) = self.now.get(from).cloned() else { return absent() };
        match (&node, self.now.get(to)) {
            (_, None) | (Node::File(_), Some(Node::File(_))) => {}
            (Node::Directory(_), Some(Node::Directory(other))) if other.lock().now.is_empty() => {}
            _ => return Err(io::ErrorKind::DirectoryNotEmpty.into()),
        }
        self.change(vec![(from.to_owned(), None), (to.to_owned(), Some(node))]);
        Ok(())
    }

    /// Takes a name away: a file's, or an empty directory's.
    pub fn remove(&mut self, name: &str) -> io::Result<()> {
        match self.now.get(name) {
            None => return absent(),
            Some(Node::Directory(inner)) if !inner.lock().now.is_empty() => {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            Some(_) => {}
        }
        self.change(vec![(name.to_owned(), None)]);
        Ok(())
    }

    pub fn sync(&mut self) {
        self.synced = self.now.clone();
        self.unsynced.clear();
    }

    /// What a cut leaves.
    pub fn after_cut(&self, keep: Keep, random: &mut StdRng) -> Self {
        let kept = match keep {
            Keep::Nothing => 0,
            Keep::Some => random.random_range(0..=self.unsynced.len()),
            Keep::All => return self.copy(&mut Copies::default(), &mut |content| content.after_cut(keep, random)),
        };
        let mut names = self.synced.clone();
        self.unsynced.iter().take(kept).for_each(|change| apply(&mut names, change));
        let left = |node: Node, random: &mut StdRng| match node {
            Node::File(file) => Node::File(Arc::new(Mutex::new(file.lock().after_cut(keep, random)))),
            Node::Directory(inner) => Node::Directory(Arc::new(Mutex::new(inner.lock().after_cut(keep, random)))),
        };
        let now: BTreeMap<_, _> = names.into_iter().map(|(name, node)| (name, left(node, random))).collect();
        Self { synced: now.clone(), now, unsynced: Vec::new() }
    }

    /// The same with all names synced, and what a copy of each content is.
    pub fn synced_copy(&self) -> Self {
        let mut copy = self.copy(&mut Copies::default(), &mut |content| content.copy());
        copy.sync_all();
        copy
    }

    fn sync_all(&mut self) {
        self.sync();
        for node in self.now.values() {
            if let Node::Directory(inner) = node {
                inner.lock().sync_all();
            }
        }
    }

    /// The same in files of its own, each of which may have several names, here and on disk.
    fn copy(&self, copies: &mut Copies, content: &mut dyn FnMut(&Content) -> Content) -> Self {
        let mut names = |names: &BTreeMap<String, Node>| {
            names.iter().map(|(name, node)| (name.clone(), node.copy(copies, content))).collect::<BTreeMap<_, _>>()
        };
        let (now, synced) = (names(&self.now), names(&self.synced));
        let mut change =
            |(name, node): &(String, Option<Node>)| (name.clone(), node.as_ref().map(|node| node.copy(copies, content)));
        let unsynced = self.unsynced.iter().map(|changes| changes.iter().map(&mut change).collect()).collect();
        Self { now, synced, unsynced }
    }

    /// The size of all files below, in bytes.
    pub fn bytes(&self) -> u64 {
        let size = |node: &Node| match node {
            Node::File(file) => file.lock().length(),
            Node::Directory(inner) => inner.lock().bytes(),
        };
        self.now.values().map(size).sum()
    }

    /// The paths of all files below.
    pub fn collect(&self, path: &Path, found: &mut Vec<PathBuf>) {
        for (name, node) in &self.now {
            match node {
                Node::File(_) => found.push(path.join(name)),
                Node::Directory(inner) => inner.lock().collect(&path.join(name), found),
            }
        }
    }
}

fn apply(names: &mut BTreeMap<String, Node>, change: &Change) {
    for (name, node) in change {
        match node {
            Some(node) => names.insert(name.clone(), node.clone()),
            None => names.remove(name),
        };
    }
}

fn parts(path: &Path) -> Vec<String> {
    let normal = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
        _ => None,
    });
    normal.collect()
}
