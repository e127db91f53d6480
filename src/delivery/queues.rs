//! All queue views by name, and which of them read a topic: its default view, which has its name, and the named ones.
//!
//! A topic without named views, which is nearly every one, costs nothing here beside its default view.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use super::queue::QueueOptions;
use super::view::View;
use crate::log::TopicName;

/// The queue views.
#[derive(Default)]
pub(super) struct Queues {
    /// By the name that each carries itself.
    views: HashTable<Box<View>>,
    hasher: DefaultHashBuilder,
    /// Topics that have named views, and the names of those.
    named: HashMap<TopicName, Vec<TopicName>>,
    /// Views that may refuse a record.
    refusing: usize,
    /// Views that remember ids.
    remembering: usize,
}

impl Queues {
    pub fn get(&self, name: &TopicName) -> Option<&View> {
        self.views.find(self.hasher.hash_one(name), |view| view.name() == name).map(|view| &**view)
    }

    pub fn get_mut(&mut self, name: &TopicName) -> Option<&mut View> {
        self.views.find_mut(self.hasher.hash_one(name), |view| view.name() == name).map(|view| &mut **view)
    }

    pub fn contains_key(&self, name: &TopicName) -> bool {
        self.get(name).is_some()
    }

    pub fn insert(&mut self, name: &TopicName, view: impl Into<Box<View>>) {
        let mut view = view.into();
        self.remove(name);
        view.set_name(name);
        if view.is_named() {
            self.named.entry(view.topic.name().clone()).or_default().push(view.name().clone());
        }
        self.refusing += usize::from(view.may_refuse());
        self.remembering += usize::from(view.remembers_ids());
        self.views.insert_unique(self.hasher.hash_one(name), view, |view| self.hasher.hash_one(view.name()));
    }

    pub fn remove(&mut self, name: &TopicName) -> Option<Box<View>> {
        let found = self.views.find_entry(self.hasher.hash_one(name), |view| view.name() == name).ok()?;
        let (view, _) = found.remove();
        self.refusing -= usize::from(view.may_refuse());
        self.remembering -= usize::from(view.remembers_ids());
        if let Some(named) = self.named.get_mut(view.topic.name()) {
            named.retain(|other| other != name);
            if named.is_empty() {
                self.named.remove(view.topic.name());
            }
        }
        Some(view)
    }

    /// Changes the options of a view. False if it has them already, or is not there.
    pub fn set_options(&mut self, name: &TopicName, options: Option<Box<QueueOptions>>) -> bool {
        if self.get(name).is_none_or(|view| view.options == options) {
            return false;
        }
        if let Some(mut view) = self.remove(name) {
            view.options = options;
            self.insert(name, view);
        }
        true
    }

    /// Whether any view may refuse a record.
    pub fn any_may_refuse(&self) -> bool {
        self.refusing > 0
    }

    /// Whether any view remembers ids.
    pub fn any_remembers_ids(&self) -> bool {
        self.remembering > 0
    }

    pub fn iter(&self) -> impl Iterator<Item = (&TopicName, &View)> {
        self.views.iter().map(|view| (view.name(), &**view))
    }

    pub fn names(&self) -> impl Iterator<Item = &TopicName> {
        self.views.iter().map(|view| view.name())
    }

    /// Does something with every view.
    pub fn each(&mut self, act: impl FnMut(&mut View)) {
        self.views.iter_mut().map(|view| &mut **view).for_each(act);
    }

    /// The names of the views of a topic beside its default one.
    pub fn named_views_of(&self, topic: &TopicName) -> &[TopicName] {
        self.named.get(topic).map_or(&[], Vec::as_slice)
    }

    /// The views of a topic.
    pub fn of_topic<'a>(&'a self, topic: &'a TopicName) -> impl Iterator<Item = &'a View> {
        let names = std::iter::once(topic).chain(self.named_views_of(topic));
        names.filter_map(|name| self.get(name))
    }

    /// Does something with every view of a topic.
    pub fn each_of_topic(&mut self, topic: &TopicName, mut act: impl FnMut(&TopicName, &mut View)) {
        let Self { views, hasher, named, .. } = self;
        let mut act_on = |name: &TopicName| {
            if let Some(view) = views.find_mut(hasher.hash_one(name), |view| view.name() == name) {
                act(name, view);
            }
        };
        act_on(topic);
        if !named.is_empty() {
            named.get(topic).into_iter().flatten().for_each(act_on);
        }
    }
}
