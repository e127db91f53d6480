//! All queue views by name, and which of them read a topic: its default view, which has its name, and the named ones.
//!
//! A topic without named views, which is nearly every one, costs nothing here beside its default view.

use hashbrown::HashMap;

use super::view::View;
use crate::log::TopicName;

/// The queue views.
#[derive(Default)]
pub(super) struct Queues {
    views: HashMap<TopicName, View>,
    /// Topics that have named views, and the names of those.
    named: HashMap<TopicName, Vec<TopicName>>,
}

impl Queues {
    pub fn get(&self, name: &TopicName) -> Option<&View> {
        self.views.get(name)
    }

    pub fn get_mut(&mut self, name: &TopicName) -> Option<&mut View> {
        self.views.get_mut(name)
    }

    pub fn contains_key(&self, name: &TopicName) -> bool {
        self.views.contains_key(name)
    }

    pub fn insert(&mut self, name: TopicName, view: View) {
        self.remove(&name);
        if view.spec.topic != name {
            self.named.entry(view.spec.topic.clone()).or_default().push(name.clone());
        }
        self.views.insert(name, view);
    }

    pub fn remove(&mut self, name: &TopicName) -> Option<View> {
        let view = self.views.remove(name)?;
        if let Some(named) = self.named.get_mut(&view.spec.topic) {
            named.retain(|other| other != name);
            if named.is_empty() {
                self.named.remove(&view.spec.topic);
            }
        }
        Some(view)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&TopicName, &View)> {
        self.views.iter()
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
        names.filter_map(|name| self.views.get(name))
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
