//! All queue views by name, and which of them read a topic: its default view, which has its name, and the named ones.
//!
//! A topic without named views, which is nearly every one, costs nothing here beside its default view.

use hashbrown::HashMap;

use super::queue::QueueOptions;
use super::view::View;
use crate::log::TopicName;

/// The queue views.
#[derive(Default)]
pub(super) struct Queues {
    views: HashMap<TopicName, Box<View>>,
    /// Topics that have named views, and the names of those.
    named: HashMap<TopicName, Vec<TopicName>>,
    /// Views that may refuse a record.
    refusing: usize,
    /// Views that remember ids.
    remembering: usize,
}

impl Queues {
    pub fn get(&self, name: &TopicName) -> Option<&View> {
        self.views.get(name).map(|view| &**view)
    }

    pub fn get_mut(&mut self, name: &TopicName) -> Option<&mut View> {
        self.views.get_mut(name).map(|view| &mut **view)
    }

    pub fn contains_key(&self, name: &TopicName) -> bool {
        self.views.contains_key(name)
    }

    pub fn insert(&mut self, name: TopicName, view: impl Into<Box<View>>) {
        let view = view.into();
        self.remove(&name);
        if view.spec.topic != name {
            self.named.entry(view.spec.topic.clone()).or_default().push(name.clone());
        }
        self.refusing += usize::from(view.may_refuse());
        self.remembering += usize::from(view.remembers_ids());
        self.views.insert(name, view);
    }

    pub fn remove(&mut self, name: &TopicName) -> Option<Box<View>> {
        let view = self.views.remove(name)?;
        self.refusing -= usize::from(view.may_refuse());
        self.remembering -= usize::from(view.remembers_ids());
        if let Some(named) = self.named.get_mut(&view.spec.topic) {
            named.retain(|other| other != name);
            if named.is_empty() {
                self.named.remove(&view.spec.topic);
            }
        }
        Some(view)
    }

    /// Changes the options of a view. False if it has them already, or is not there.
    pub fn set_options(&mut self, name: &TopicName, options: Option<Box<QueueOptions>>) -> bool {
        if self.views.get(name).is_none_or(|view| view.spec.options == options) {
            return false;
        }
        if let Some(mut view) = self.remove(name) {
            view.spec.options = options;
            self.insert(name.clone(), view);
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
        self.views.iter().map(|(name, view)| (name, &**view))
    }

    pub fn names(&self) -> impl Iterator<Item = &TopicName> {
        self.views.keys()
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
        if let Some(view) = self.views.get_mut(topic) {
            act(topic, view);
        }
        if self.named.is_empty() {
            return;
        }
        for name in self.named.get(topic).into_iter().flatten() {
            if let Some(view) = self.views.get_mut(name) {
                act(name, view);
            }
        }
    }
}
